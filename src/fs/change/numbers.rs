// SPDX-License-Identifier: GPL-2.0

//! Inode numbers for new inodes. Each processor has a range of its own, so that those who make
//! files at the same time work on different leaves.

use crate::{
    alloc::space::Trans,
    btree::{
        trans::TransResult,
        Btrees, //
    },
    env::{
        num::low_u32,
        random_u64,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        values::inode::ROOT_INUM, //
    },
    sys::{
        sync::atomic::{
            AtomicU32,
            AtomicU64,
            Ordering, //
        },
        task::{
            cpu,
            nr_cpus, //
        },
    },
};

/// How many numbers are tried in one transaction.
const TRIES: u32 = 32;

/// Numbers for new inodes.
///
/// C: `inode_shard_bits` and `unused_inode_hints` of `struct bch_fs`.
#[derive(Debug)]
pub struct Numbers {
    /// For each range, the number to be tried next; 0 when it is not known.
    next: Vec<AtomicU64>,
    /// Bits of a number within its range.
    bits: u32,
    /// What [`Numbers::generation`] gives next.
    generation: AtomicU32,
}

/// The numbers of a range: from the first one up to the last.
#[derive(Clone, Copy, Debug)]
struct Range {
    nr: usize,
    first: u64,
    last: u64,
}

impl Numbers {
    /// As for the processors there are. `narrow` when numbers are to have 31 bits, for programs
    /// that have no more for them. Without `shards` there is one range for all.
    pub fn try_new(narrow: bool, shards: bool) -> Result<Self> {
        let wanted = match shards {
            true => nr_cpus().max(1).checked_next_power_of_two().unwrap_or(1),
            false => 1,
        };
        let all: u32 = if narrow { 31 } else { 63 };
        let mut next = Vec::new();
        for _ in 0..wanted {
            next.push(AtomicU64::new(0))?;
        }
        Ok(Self {
            next,
            bits: all.saturating_sub(wanted.trailing_zeros()),
            generation: AtomicU32::new(low_u32(random_u64())),
        })
    }

    /// A generation for a new inode: its number may have been another one's, and handles of that
    /// one are not for this.
    pub fn generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }

    fn range(&self) -> Range {
        let mask = self.next.len().saturating_sub(1);
        let nr = cpu() & mask;
        let first = crate::env::num::u64_of(nr).wrapping_shl(self.bits);
        Range {
            nr,
            first: first.max(ROOT_INUM),
            last: first | !u64::MAX.wrapping_shl(self.bits),
        }
    }

    /// A number that no snapshot has an inode of, and that nobody else can take before the commit.
    /// `None` when one has to be looked for, with [`Numbers::search`].
    ///
    /// C: `bch2_inode_create()`.
    pub fn take(&self, t: &mut Trans<'_>) -> TransResult<Option<u64>> {
        let range = self.range();
        let Some(next) = self.next.get(range.nr) else {
            return Ok(None);
        };
        let mut inum = next.load(Ordering::Relaxed);
        for _ in 0..TRIES {
            if inum < range.first || inum > range.last {
                return Ok(None);
            }
            let (pos, until) = (Bpos::new(0, inum, 0), Bpos::new(0, inum, u32::MAX));
            let after = inum.saturating_add(1);
            if t.next_header(BtreeId::INODES, pos, until)?.is_none() {
                next.store(after, Ordering::Relaxed);
                return Ok(Some(inum));
            }
            inum = after;
        }
        next.store(0, Ordering::Relaxed);
        Ok(None)
    }

    /// Looks for a number to go on from: the one behind all, or else the first that is not taken.
    #[cold]
    #[inline(never)]
    pub fn search(&self, btrees: &Btrees) -> Result {
        let range = self.range();
        let found = match behind_all(btrees, range)? {
            Some(inum) => inum,
            None => first_hole(btrees, range)?,
        };
        if let Some(next) = self.next.get(range.nr) {
            next.store(found, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The lowest number above all that are taken; `None` when the last one is.
fn behind_all(btrees: &Btrees, range: Range) -> Result<Option<u64>> {
    let end = Bpos::new(0, range.last, u32::MAX);
    let is_taken = |from: u64| -> Result<bool> {
        let iter = btrees.iter(BtreeId::INODES, 0, Bpos::new(0, from, 0));
        Ok(iter.until(end).advance()?.is_some())
    };
    if is_taken(range.last)? {
        return Ok(None);
    }
    // Nothing is taken from `high` on.
    let (mut low, mut high) = (range.first, range.last);
    while low < high {
        let mid = low.midpoint(high);
        match is_taken(mid)? {
            true => low = mid.saturating_add(1),
            false => high = mid,
        }
    }
    Ok(Some(high))
}

fn first_hole(btrees: &Btrees, range: Range) -> Result<u64> {
    let end = Bpos::new(0, range.last, u32::MAX);
    let mut inum = range.first;
    let iter = btrees.iter(BtreeId::INODES, 0, Bpos::new(0, inum, 0));
    let mut iter = iter.until(end);
    while let Some(k) = iter.advance()? {
        if k.p.offset > inum {
            break;
        }
        inum = k.p.offset.saturating_add(1);
    }
    match inum <= range.last {
        true => Ok(inum),
        false => Err(Error::InodesExhausted),
    }
}
