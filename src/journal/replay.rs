// SPDX-License-Identifier: GPL-2.0

//! Taking roots, keys and void sequence numbers out of records.

use super::{
    contents::{
        is_node_pointer,
        JournalContents, //
    },
    select::{
        Found,
        Span, //
    },
};
use crate::{
    env::{
        pr_err,
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
        jset::{
            Entries,
            Entry,
            EntryType,
            ENTRY_HEADER_BYTES,
            JSET_HEADER_BYTES,
            USAGE_KEY_VERSION, //
        },
        values::validate::Origin,
    },
    sb::{
        Lost,
        SbState, //
    },
};
use core::fmt;

/// Fills [`JournalContents`].
pub(super) struct Replay<'a> {
    pub(super) st: &'a SbState,
    pub(super) contents: JournalContents,
    /// Go on without what is damaged.
    pub(super) lenient: bool,
}

/// Where records come from, for messages.
#[derive(Clone, Copy)]
struct Source<'a> {
    st: &'a SbState,
    /// Sequence number, device and sector; `None` for the clean section.
    entry: Option<(u64, u8, u64)>,
}

impl fmt::Display for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.st.name())?;
        match self.entry {
            None => f.write_str("superblock clean section"),
            Some((seq, dev, sector)) => {
                write!(f, "journal entry {seq} (device {dev} sector {sector})")
            }
        }
    }
}

impl Replay<'_> {
    /// Takes what the clean section's records, `bytes`, hold.
    pub(super) fn clean_section(&mut self, bytes: &[u8]) -> Result {
        let mut copy = Vec::new();
        copy.extend_from_slice(bytes)?;
        let source = Source {
            st: self.st,
            entry: None,
        };
        self.records(source, copy, 0)
    }

    /// Takes what a journal entry holds, if it counts.
    pub(super) fn entry(&mut self, span: &Span, e: Found) -> Result {
        if e.seq < span.first || e.seq > span.last || !e.good {
            return Ok(());
        }
        let source = Source {
            st: self.st,
            entry: Some((e.seq, e.dev.0, e.sector)),
        };
        if self.contents.blacklist.contains(e.seq) {
            if !e.no_flush {
                pr_warn!("{source}: void, but was flushed");
            }
            return Ok(());
        }
        self.records(source, e.bytes, JSET_HEADER_BYTES)
    }

    /// Counts a key or a record that can not be used.
    fn count(&self, invalid: Invalid) {
        self.st.errors.count(invalid.id);
        self.st.lost(Lost::JournalKey);
    }

    /// `Ok` when damage is to be tolerated, else `e`.
    fn tolerate(&mut self, e: Error) -> Result {
        self.contents.damaged = true;
        match self.lenient {
            true => Ok(()),
            false => Err(e),
        }
    }

    /// Takes what the records in `bytes`, which start at `skip`, hold.
    fn records(&mut self, source: Source<'_>, bytes: Vec<u8>, skip: usize) -> Result {
        // The overlay owns the bytes; the records are gone through by offset.
        let seq = source.entry.map_or(0, |(seq, ..)| seq);
        self.contents.keys.add_buffer(seq, bytes)?;
        let mut at = skip;
        loop {
            let Some(rest) = self.contents.keys.last_buffer().and_then(|b| b.get(at..)) else {
                return Ok(());
            };
            let record = match Entries::new(rest).next() {
                None => return Ok(()),
                Some(Ok(record)) => record,
                Some(Err(invalid)) => {
                    pr_err!("{source}: {invalid}");
                    self.count(invalid);
                    return self.tolerate(Error::JournalBadEntry);
                }
            };
            let record_at = at;
            at = at
                .saturating_add(ENTRY_HEADER_BYTES)
                .saturating_add(record.data.len());
            let valid = record.validate();
            if let Err(invalid) = &valid {
                pr_err!("{source}: record {}: {invalid}", record.kind);
                self.count(*invalid);
            }
            match record.kind {
                EntryType::BTREE_ROOT => {
                    let valid = valid.is_ok() && root_is_valid(source, &record);
                    self.contents.roots.set(&record, valid)?;
                }
                EntryType::BTREE_KEYS | EntryType::WRITE_BUFFER_KEYS => match valid {
                    Ok(()) => self.keys(source, record_at)?,
                    Err(_) => self.tolerate(Error::JournalBadRecord)?,
                },
                EntryType::CLOCK if valid.is_ok() => {
                    let rw = usize::from(record.data.first().is_some_and(|rw| *rw != 0));
                    let time = record.word(1);
                    if let Some(clock) = self.contents.clocks.get_mut(rw) {
                        *clock = time;
                    }
                }
                EntryType::USAGE if record.btree == USAGE_KEY_VERSION && valid.is_ok() => {
                    self.contents.key_version = record.word(0);
                }
                EntryType::BLACKLIST | EntryType::BLACKLIST_V2 if valid.is_ok() => {
                    if let Some((start, end)) = record.blacklist() {
                        self.contents.blacklist.add(start, end.saturating_add(1))?;
                    }
                }
                EntryType::REWIND => {
                    pr_err!("{source}: a journal rewind was in progress: not supported");
                    return Err(Error::JournalRewindUnsupported);
                }
                _ => (),
            }
        }
    }

    /// Puts the keys of the record that starts `record_at` bytes into the newest buffer into the
    /// overlay.
    fn keys(&mut self, source: Source<'_>, record_at: usize) -> Result {
        let data_at = record_at.saturating_add(ENTRY_HEADER_BYTES);
        let mut at = data_at;
        loop {
            // Looked up again for each key, as the overlay can not be changed while it is read.
            let buffer = self.contents.keys.last_buffer();
            let record = buffer
                .and_then(|b| b.get(record_at..))
                .and_then(|b| Entries::new(b).next());
            let Some(Ok(record)) = record else {
                return Ok(());
            };
            let key = match record.keys_from(at.saturating_sub(data_at)).next() {
                None => return Ok(()),
                Some(Ok(key)) => key,
                Some(Err(invalid)) => {
                    pr_err!("{source}: btree {}: {invalid}", record.btree);
                    self.count(invalid);
                    return self.tolerate(Error::JournalBadKey);
                }
            };
            let (btree, level) = (record.btree, record.level);
            let len = BKEY_BYTES.saturating_add(key.v.len());
            if self.key_is_valid(source, &record, &key) {
                self.contents.keys.push(btree, level, at)?;
            } else {
                self.tolerate(Error::JournalInvalidKey)?;
            }
            at = at.saturating_add(len);
        }
    }

    fn key_is_valid(&self, source: Source<'_>, record: &Entry<'_>, key: &Key<'_>) -> bool {
        let (btree, level) = (record.btree, record.level);
        let checked = self
            .contents
            .check
            .check(btree, level, Origin::Journal, key);
        if let Err(invalid) = &checked {
            pr_err!(
                "{source}: btree {btree} level {level} key {}: {invalid}",
                key.k
            );
            self.count(*invalid);
        }
        checked.is_ok()
    }
}

fn root_is_valid(source: Source<'_>, record: &Entry<'_>) -> bool {
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
