// SPDX-License-Identifier: GPL-2.0

//! Which of the journal entries found on disk count.

use super::blacklist::Blacklist;
use crate::{
    env::{
        sort::sort_by,
        units::DevIdx,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    sb::SbState,
};

/// A journal entry found on a device.
///
/// C: `struct journal_replay`.
#[derive(Debug)]
pub(super) struct Found {
    /// Its sequence number.
    pub(super) seq: u64,
    /// The oldest entry needed when this one is the newest; 0 for one that was not flushed.
    pub(super) last_seq: u64,
    /// Written without a flush: void unless a later entry was flushed.
    pub(super) no_flush: bool,
    /// Checksum and header are right. Otherwise `bytes` is empty.
    pub(super) good: bool,
    /// The device it was found on.
    pub(super) dev: DevIdx,
    /// The journal bucket it was found in, by index in the device's list.
    pub(super) bucket: usize,
    /// Where on the device it starts.
    pub(super) sector: u64,
    /// Header and records.
    pub(super) bytes: Vec<u8>,
}

/// The part of the journal to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The oldest entry with updates that may not be in the btree.
    pub(super) first: u64,
    /// The newest entry that counts.
    pub(super) last: u64,
    /// The highest sequence number seen, whether it counts or not.
    pub(super) highest: u64,
}

/// Sorts entries by sequence number and keeps one per number, a good one if there is any.
pub(super) fn sort_and_dedup(found: &mut Vec<Found>) {
    sort_by(found, |a, b| {
        (a.seq, !a.good, a.dev, a.sector).cmp(&(b.seq, !b.good, b.dev, b.sector))
    });
    let mut kept = 0usize;
    for i in 0..found.len() {
        let Some((head, tail)) = found.split_at_mut_checked(i) else {
            break;
        };
        let Some(this) = tail.first_mut() else {
            break;
        };
        let last = kept.checked_sub(1).and_then(|l| head.get_mut(l));
        if let Some(last) = last.filter(|last| last.seq == this.seq) {
            if this.good && last.bytes != this.bytes {
                crate::env::pr_warn!(
                    "journal: two different entries with seq {}: device {} sector {} (used), \
                     device {} sector {}",
                    this.seq,
                    last.dev,
                    last.sector,
                    this.dev,
                    this.sector
                );
            }
            continue;
        }
        if let Some(slot) = head.get_mut(kept) {
            core::mem::swap(slot, this);
        }
        kept = kept.saturating_add(1);
    }
    found.truncate(kept);
}

/// Finds the newest entry that was flushed and is whole; entries after it are void. `None` when
/// there is none. `found` is sorted.
///
/// A power cut can leave several torn entries at the end, as several writes are in flight at a
/// time; none of them was reported as durable.
pub(super) fn span(found: &[Found]) -> Option<Span> {
    let highest = found.last()?.seq;
    let newest = found.iter().rev().find(|e| e.good && !e.no_flush)?;
    Some(Span {
        first: newest.last_seq,
        last: newest.seq,
        highest,
    })
}

/// Why a span can not be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The entries from the first to before the second number are on no device.
    Missing(u64, u64),
    /// The entry with this number does not match its checksum.
    Damaged(u64),
}

impl Fault {
    /// Reports the fault and gives its error.
    pub(super) fn report(self, st: &SbState, span: &Span) -> Error {
        let (first, last) = (span.first, span.last);
        match self {
            Fault::Missing(from, to) => {
                crate::env::pr_err!(
                    "{}: journal entries {from}-{} are missing (using {first}-{last})",
                    st.name(),
                    to.saturating_sub(1)
                );
                st.errors.count(FsckError::JOURNAL_ENTRIES_MISSING);
                Error::JournalEntriesMissing
            }
            Fault::Damaged(seq) => {
                crate::env::pr_err!(
                    "{}: journal entry {seq} does not match its checksum (using {first}-{last})",
                    st.name()
                );
                Error::JournalChecksum
            }
        }
    }
}

/// Looks for entries of `span` that are damaged or missing; calls `fault` for each, which decides
/// whether to go on. `found` is sorted.
pub(super) fn check(
    found: &[Found],
    span: &Span,
    blacklist: &Blacklist,
    mut fault: impl FnMut(Fault) -> Result,
) -> Result {
    let mut next = span.first;
    for e in found {
        if e.seq < span.first || e.seq > span.last {
            continue;
        }
        gap(blacklist, next, e.seq, &mut fault)?;
        next = e.seq.saturating_add(1);
        if !e.good && !blacklist.contains(e.seq) {
            fault(Fault::Damaged(e.seq))?;
        }
    }
    gap(blacklist, next, span.last.saturating_add(1), &mut fault)
}

/// Reports what is missing from `from` to before `to`, which no entry covers.
fn gap(
    blacklist: &Blacklist,
    from: u64,
    to: u64,
    fault: &mut impl FnMut(Fault) -> Result,
) -> Result {
    let mut from = from;
    while let Some((start, end)) = blacklist.first_valid_run(from, to) {
        fault(Fault::Missing(start, end))?;
        from = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn e(seq: u64, last_seq: u64) -> Found {
        Found {
            seq,
            last_seq,
            no_flush: last_seq == 0,
            good: true,
            dev: DevIdx(0),
            bucket: 0,
            sector: seq,
            bytes: Vec::new(),
        }
    }

    fn bad(seq: u64) -> Found {
        Found {
            good: false,
            ..e(seq, seq)
        }
    }

    fn list(entries: impl IntoIterator<Item = Found>) -> Vec<Found> {
        let mut v = Vec::new();
        for e in entries {
            v.push(e).unwrap();
        }
        sort_and_dedup(&mut v);
        v
    }

    fn faults(found: &[Found], void: &[(u64, u64)]) -> std::vec::Vec<Fault> {
        let blacklist = Blacklist::from_ranges(void.iter().copied()).unwrap();
        let mut out = std::vec![];
        check(found, &span(found).unwrap(), &blacklist, |f| {
            out.push(f);
            Ok(())
        })
        .unwrap();
        out
    }

    #[test]
    fn a_good_copy_is_preferred() {
        let v = list([e(4, 1), bad(3), e(3, 1), bad(5)]);
        let seqs: std::vec::Vec<_> = v.iter().map(|e| (e.seq, e.good)).collect();
        assert_eq!(seqs, [(3, true), (4, true), (5, false)]);
    }

    #[test]
    fn the_tail_without_flush_is_void() {
        let v = list([e(3, 2), e(4, 2), e(5, 0), bad(6), e(7, 0)]);
        let want = Span {
            first: 2,
            last: 4,
            highest: 7,
        };
        assert_eq!(span(&v), Some(want));
        assert_eq!(span(&list([e(5, 0)])), None);
        assert_eq!(span(&[]), None);
    }

    #[test]
    fn gaps_and_damage_are_named() {
        let v = list([e(2, 2), bad(3), e(6, 2)]);
        assert_eq!(faults(&v, &[]), [Fault::Damaged(3), Fault::Missing(4, 6)]);
        assert_eq!(
            faults(&v, &[(4, 5)]),
            [Fault::Damaged(3), Fault::Missing(5, 6)]
        );
        assert_eq!(faults(&v, &[(3, 6)]), []);
        assert_eq!(faults(&list([e(6, 5)]), &[]), [Fault::Missing(5, 6)]);
    }
}
