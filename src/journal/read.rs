// SPDX-License-Identifier: GPL-2.0

//! From the devices' journals, or the superblock's clean section, to [`JournalContents`].

use super::{
    blacklist::Blacklist,
    contents::{
        JournalContents,
        Roots, //
    },
    key_check::KeyCheck,
    keys::JournalKeys,
    replay::Replay,
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
        units::DevIdx,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        jset::JSET_MAGIC,
        node::filesystem_magic,
        sb::{
            assemble::DevMask,
            replicas::ReplicasEntry, //
        },
    },
    sb::SbState,
};

/// Reads the journal, or, after a clean shutdown, the clean section of the superblock.
/// `lenient`: go on without what is damaged or missing, instead of failing.
///
/// C: `bch2_journal_read()`, `journal_replay_early()`, `bch2_journal_keys_sort()`.
#[inline(never)]
pub fn read(st: &SbState, lenient: bool) -> Result<JournalContents> {
    let mut replay = Replay {
        st,
        contents: nothing(st)?,
        lenient,
    };
    match replay.contents.clean {
        true => read_clean(&mut replay)?,
        false => read_dirty(&mut replay)?,
    }
    let mut contents = replay.contents;
    contents.keys.finish()?;
    Ok(contents)
}

fn nothing(st: &SbState) -> Result<JournalContents> {
    Ok(JournalContents {
        clean: st.sb.is_clean(),
        first_seq: 0,
        last_seq: 0,
        highest_seq: 0,
        roots: Roots::new()?,
        clocks: [0; 2],
        key_version: 0,
        keys: JournalKeys::new(),
        blacklist: Blacklist::from_ranges(st.sb.blacklist().ranges())?,
        check: KeyCheck::new(st)?,
        used: Vec::new(),
        damaged: false,
    })
}

/// What a filesystem begins with that was never mounted: nothing. When an attempt at that did not
/// come to its end, entries may be there that it wrote; their numbers are not used again.
#[inline(never)]
pub fn of_new(st: &SbState) -> Result<JournalContents> {
    let found = scan_all(st, true)?.found;
    let mut contents = nothing(st)?;
    contents.clean = false;
    contents.highest_seq = found.iter().map(|f| f.seq).max().unwrap_or(0);
    contents.last_seq = contents.highest_seq;
    contents.first_seq = contents.last_seq.saturating_add(1);
    contents.keys.finish()?;
    Ok(contents)
}

#[inline(never)]
fn read_clean(replay: &mut Replay<'_>) -> Result {
    let st = replay.st;
    let Some(clean) = st.sb.clean() else {
        pr_err!("{}: marked clean, but has no clean section", st.name());
        return Err(Error::CleanSectionMissing);
    };
    let (seq, to) = (clean.journal_seq(), &mut replay.contents);
    (to.first_seq, to.last_seq, to.highest_seq) = (seq, seq, seq);
    pr_info!("{}: was shut down cleanly, journal seq {seq}", st.name());
    replay.clean_section(clean.entries)
}

#[inline(never)]
fn read_dirty(replay: &mut Replay<'_>) -> Result {
    let (st, lenient) = (replay.st, replay.lenient);
    pr_info!(
        "{}: was not shut down cleanly, reading the journal",
        st.name()
    );
    let mut scan = scan_all(st, false)?;
    let mut plan = span(&scan.found);
    // Skipping buckets relied on what stands at their start. If anything is wrong, read them all.
    if !plan.is_some_and(|p| is_whole(&scan.found, &p, &replay.contents.blacklist)) {
        scan = scan_all(st, true)?;
        plan = span(&scan.found);
    }
    let unreadable = may_be_only_on(st, &scan.unreadable);
    let mut damaged = unreadable;
    if unreadable && !lenient {
        pr_err!(
            "{}: newer journal entries than those found may be where it can not be read; \
             errors=continue mounts without them",
            st.name()
        );
        return Err(Error::JournalUnreadable);
    }
    let Scan { found, used, .. } = scan;
    let Some(plan) = plan else {
        pr_err!("{}: the journal has no usable entry", st.name());
        return Err(Error::JournalEmpty);
    };
    report_span(st, &plan);
    check(&found, &plan, &replay.contents.blacklist, |fault| {
        let e = fault.report(st, &plan);
        damaged = true;
        match lenient {
            true => Ok(()),
            false => Err(e),
        }
    })
    .inspect_err(|_| {
        pr_err!(
            "{}: errors=continue mounts without it, to be read; fsck,fix_errors=yes to be written",
            st.name()
        );
    })?;
    let to = &mut replay.contents;
    (to.first_seq, to.last_seq, to.highest_seq) = (plan.first, plan.last, plan.highest);
    to.used = used;
    to.damaged = damaged;
    for e in found {
        replay.entry(&plan, e)?;
    }
    // Sets of keys may refer to entries that never were written, or were just found void.
    let beyond = plan.last.saturating_add(1);
    replay.contents.blacklist.add(beyond, u64::MAX)
}

fn is_whole(found: &[Found], plan: &Span, blacklist: &Blacklist) -> bool {
    let mut whole = true;
    let checked = check(found, plan, blacklist, |_| {
        whole = false;
        Ok(())
    });
    checked.is_ok() && whole
}

fn report_span(st: &SbState, plan: &Span) {
    let (first, last) = (plan.first, plan.last);
    if plan.highest > last {
        pr_info!(
            "{}: using journal entries {first}-{last}, not {}-{}, which were not flushed",
            st.name(),
            last.saturating_add(1),
            plan.highest
        );
    } else {
        pr_info!("{}: using journal entries {first}-{last}", st.name());
    }
}

#[inline(never)]
fn scan_all(st: &SbState, everything: bool) -> Result<Scan<'_>> {
    let mut scan = Scan {
        st,
        magic: filesystem_magic(&st.sb.uuid().0) ^ JSET_MAGIC,
        need_from: 0,
        found: Vec::new(),
        used: Vec::new(),
        unreadable: DevMask::default(),
    };
    for dev in st.devices() {
        scan.device(dev, everything)?;
    }
    sort_and_dedup(&mut scan.found);
    Ok(scan)
}

/// Whether the newest entries may be on these devices only.
fn may_be_only_on(st: &SbState, unreadable: &DevMask) -> bool {
    let lacks = |dev: &u8| unreadable.has(*dev) || st.dev(DevIdx(*dev)).is_none();
    let of_journal = |e: &ReplicasEntry<'_>| e.data_type == DataType::JOURNAL;
    let mut sets = st.sb.replicas().filter(of_journal).peekable();
    let any = unreadable.iter().next().is_some();
    any && (sets.peek().is_none() || sets.any(|e| e.devs.iter().all(lacks)))
}
