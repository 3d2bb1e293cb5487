// SPDX-License-Identifier: GPL-2.0

//! From the devices' journals, or the superblock's clean section, to [`JournalContents`].

use super::{
    blacklist::Blacklist,
    contents::{
        is_node_pointer,
        JournalContents,
        Roots, //
    },
    keys::JournalKeys,
    scan::Scan,
    select::{
        check,
        sort_and_dedup,
        span,
        Found,
        Span, //
    },
};
use crate::{
    env::{
        pr_err,
        pr_info,
        pr_warn,
        Vec, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::{
            Key,
            BKEY_BYTES, //
        },
        csum::CsumType,
        jset::{
            Entries,
            Entry,
            EntryType,
            RawJset,
            JSET_HEADER_BYTES,
            JSET_MAGIC, //
        },
        node::filesystem_magic,
    },
    sb::SbState,
};

/// Reads the journal, or, after a clean shutdown, the clean section of the superblock.
///
/// `lenient`: go on without what is damaged or missing, instead of failing.
///
/// C: `bch2_journal_read()`, `journal_replay_early()`, `bch2_journal_keys_sort()`.
pub fn read(st: &SbState, lenient: bool) -> Result<JournalContents> {
    let blacklist = Blacklist::from_ranges(st.sb.blacklist().ranges())?;
    let mut contents = JournalContents {
        clean: st.sb.is_clean(),
        first_seq: 0,
        last_seq: 0,
        highest_seq: 0,
        roots: Roots::new()?,
        keys: JournalKeys::new(),
        blacklist,
    };
    if contents.clean {
        read_clean(st, &mut contents, lenient)?;
    } else {
        read_dirty(st, &mut contents, lenient)?;
    }
    contents.keys.finish();
    Ok(contents)
}

/// Whether a journal entry's checksum is the one its header has.
pub(super) fn checksum_matches(head: &RawJset, covered: &[u8]) -> bool {
    let computed = CsumType(head.csum_type()).checksum(covered);
    computed == Some(head.csum().lo.get()) && head.csum().hi.get() == 0
}

fn read_clean(st: &SbState, contents: &mut JournalContents, lenient: bool) -> Result {
    let Some(clean) = st.sb.clean() else {
        pr_err!("superblock says the filesystem is clean, but has no clean section");
        return Err(Error::CleanSectionMissing);
    };
    let seq = clean.journal_seq();
    (contents.first_seq, contents.last_seq, contents.highest_seq) = (seq, seq, seq);
    pr_info!("recovering from clean shutdown, journal seq {seq}");
    let mut copy = Vec::new();
    copy.extend_from_slice(clean.entries)?;
    replay_records(contents, Source::Clean, copy, 0, lenient)
}

fn read_dirty(st: &SbState, contents: &mut JournalContents, lenient: bool) -> Result {
    pr_info!("recovering from unclean shutdown");
    let mut found = scan_all(st, false)?;
    let mut plan = span(&found);
    // Skipping buckets relied on what stands at their start. If anything is wrong, read them all.
    let whole = plan.is_some_and(|p| {
        check(&found, &p, &contents.blacklist, |_| {
            Err(Error::JournalEntriesMissing)
        })
        .is_ok()
    });
    if !whole {
        found = scan_all(st, true)?;
        plan = span(&found);
    }
    let Some(plan) = plan else {
        pr_err!("journal: no usable entries found, but the filesystem was not shut down cleanly");
        return Err(Error::JournalEmpty);
    };
    report_span(&plan);
    check(&found, &plan, &contents.blacklist, |fault| {
        let e = fault.report(&plan);
        if lenient {
            Ok(())
        } else {
            Err(e)
        }
    })?;
    contents.first_seq = plan.first;
    contents.last_seq = plan.last;
    contents.highest_seq = plan.highest;
    for e in found {
        replay_entry(contents, &plan, e, lenient)?;
    }
    // Sets of keys may refer to entries that never were written, or were just found void.
    let beyond = plan.last.saturating_add(1);
    contents.blacklist.add(beyond, u64::MAX)
}

fn report_span(plan: &Span) {
    let (first, last) = (plan.first, plan.last);
    if plan.highest > last {
        pr_info!(
            "journal: using entries {first}-{last}, leaving out {}-{} which were not flushed",
            last.saturating_add(1),
            plan.highest
        );
    } else {
        pr_info!("journal: using entries {first}-{last}");
    }
}

fn scan_all(st: &SbState, everything: bool) -> Result<Vec<Found>> {
    let mut scan = Scan {
        st,
        magic: filesystem_magic(&st.sb.uuid().0) ^ JSET_MAGIC,
        need_from: 0,
        found: Vec::new(),
    };
    for dev in st.devices() {
        scan.device(dev, everything)?;
    }
    sort_and_dedup(&mut scan.found);
    Ok(scan.found)
}

fn replay_entry(contents: &mut JournalContents, plan: &Span, e: Found, lenient: bool) -> Result {
    if e.seq < plan.first || e.seq > plan.last || !e.good {
        return Ok(());
    }
    if contents.blacklist.contains(e.seq) {
        if !e.no_flush {
            pr_warn!("journal: entry {} is void, but was flushed", e.seq);
        }
        return Ok(());
    }
    let source = Source::Journal {
        seq: e.seq,
        dev: e.dev.0,
        sector: e.sector,
    };
    replay_records(contents, source, e.bytes, JSET_HEADER_BYTES, lenient)
}

/// Where records come from, for messages.
#[derive(Clone, Copy)]
enum Source {
    Clean,
    Journal { seq: u64, dev: u8, sector: u64 },
}

impl core::fmt::Display for Source {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Source::Clean => f.write_str("superblock clean section"),
            Source::Journal { seq, dev, sector } => {
                write!(f, "journal entry {seq} (device {dev} sector {sector})")
            }
        }
    }
}

/// Takes roots, keys and blacklists out of the records in `bytes`, which start at `skip`.
fn replay_records(
    contents: &mut JournalContents,
    source: Source,
    bytes: Vec<u8>,
    skip: usize,
    lenient: bool,
) -> Result {
    // The overlay owns the bytes; the records are gone through by offset.
    contents.keys.add_buffer(bytes)?;
    let mut at = skip;
    loop {
        let Some(rest) = contents.keys.last_buffer().and_then(|b| b.get(at..)) else {
            return Ok(());
        };
        let record = match Entries::new(rest).next() {
            None => return Ok(()),
            Some(Ok(record)) => record,
            Some(Err(invalid)) => return tolerate(lenient, source, &invalid),
        };
        let data_at = at.saturating_add(crate::format::jset::ENTRY_HEADER_BYTES);
        at = data_at.saturating_add(record.data.len());
        let valid = record.validate();
        if let Err(invalid) = &valid {
            pr_err!("{source}: record {}: {invalid}", record.kind);
        }
        match record.kind {
            EntryType::BTREE_ROOT => {
                let valid = valid.is_ok() && root_is_valid(source, &record);
                contents.roots.set(&record, valid)?;
            }
            EntryType::BTREE_KEYS | EntryType::WRITE_BUFFER_KEYS if valid.is_ok() => {
                overlay_record(&mut contents.keys, source, data_at, lenient)?;
            }
            EntryType::BLACKLIST | EntryType::BLACKLIST_V2 if valid.is_ok() => {
                if let Some((start, end)) = record.blacklist() {
                    contents.blacklist.add(start, end.saturating_add(1))?;
                }
            }
            EntryType::REWIND => {
                pr_err!("{source}: a journal rewind was in progress: not supported");
                return Err(Error::JournalRewindUnsupported);
            }
            _ if valid.is_err() && !lenient && record.is_update() => {
                return Err(Error::JournalBadRecord);
            }
            _ => (),
        }
    }
}

/// Says what is wrong with an entry's records; whether that ends the mount.
fn tolerate(lenient: bool, source: Source, invalid: &Invalid) -> Result {
    pr_err!("{source}: {invalid}");
    if lenient {
        Ok(())
    } else {
        Err(Error::JournalBadEntry)
    }
}

fn root_is_valid(source: Source, record: &Entry<'_>) -> bool {
    match record.keys().next() {
        Some(Ok(key)) if is_node_pointer(key.k.key_type) => true,
        Some(Ok(key)) => {
            pr_err!("{source}: root of btree {} is a {}", record.btree, key.k);
            false
        }
        Some(Err(invalid)) => {
            pr_err!("{source}: root of btree {}: {invalid}", record.btree);
            false
        }
        None => false,
    }
}

/// Puts the keys of the record whose contents start `data_at` bytes into the newest buffer into
/// the overlay.
fn overlay_record(keys: &mut JournalKeys, source: Source, data_at: usize, lenient: bool) -> Result {
    let header_at = data_at.saturating_sub(crate::format::jset::ENTRY_HEADER_BYTES);
    let mut at = data_at;
    let mut nth = 0usize;
    loop {
        // Looked up again for each key, as the overlay can not be changed while it is read.
        let Some(Ok(record)) = keys
            .last_buffer()
            .and_then(|b| b.get(header_at..))
            .and_then(|b| Entries::new(b).next())
        else {
            return Ok(());
        };
        let consumed = at.saturating_sub(data_at);
        let mut rest = record.keys_from(consumed);
        let key = match rest.next() {
            None => return Ok(()),
            Some(Err(invalid)) => {
                pr_err!("{source}: key {nth} of btree {}: {invalid}", record.btree);
                if lenient {
                    return Ok(());
                }
                return Err(Error::JournalBadKey);
            }
            Some(Ok(key)) => key,
        };
        let (btree, level) = (record.btree, record.level);
        let len = BKEY_BYTES.saturating_add(key.v.len());
        let ok = key_is_valid(source, &record, &key);
        if ok {
            keys.push(btree, level, at)?;
        } else if !lenient {
            return Err(Error::JournalInvalidKey);
        }
        at = at.saturating_add(len);
        nth = nth.saturating_add(1);
    }
}

fn key_is_valid(source: Source, record: &Entry<'_>, key: &Key<'_>) -> bool {
    match super::check::check_key(record.btree, record.level, key) {
        Ok(()) => true,
        Err(invalid) => {
            pr_err!(
                "{source}: btree {} level {} key {}: {invalid}",
                record.btree,
                record.level,
                key.k
            );
            false
        }
    }
}
