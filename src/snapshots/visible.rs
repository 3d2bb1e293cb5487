// SPDX-License-Identifier: GPL-2.0

//! What one snapshot sees, in order.

use super::table::Table;
use crate::{
    btree::Iter,
    error::Result,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos, //
    },
};

/// Keys of other snapshots gone past one by one before the btree is searched again.
const STEPS_BEFORE_SEEK: u32 = 16;

/// Walks over the keys that are visible in one snapshot. In btrees without snapshots, all keys
/// are. Whiteouts are never returned.
///
/// C: `struct btree_iter` with `BTREE_ITER_filter_snapshots`.
pub struct VisibleIter<'a> {
    iter: Iter<'a>,
    table: &'a Table,
    /// `None` where nothing has to be filtered.
    snapshot: Option<u32>,
    /// The last position wanted.
    end: Bpos,
    /// Where the walk began.
    start: Bpos,
    /// Keys at this place are not wanted any more.
    done_with: Option<Bpos>,
    at_end: bool,
}

impl<'a> VisibleIter<'a> {
    pub(super) fn new(
        iter: Iter<'a>,
        table: &'a Table,
        snapshot: u32,
        (start, end): (Bpos, Bpos),
    ) -> Self {
        Self {
            start,
            snapshot: iter.btree().has_snapshots().then_some(snapshot),
            iter,
            table,
            end,
            done_with: None,
            at_end: false,
        }
    }

    /// Goes to `pos`, whose snapshot is ignored: the next key is the first one at or after it.
    pub fn seek(&mut self, pos: Bpos) {
        self.done_with = None;
        self.at_end = false;
        let pos = match self.snapshot {
            Some(_) => pos.with_snapshot(0),
            None => pos,
        };
        self.start = pos;
        self.iter.seek(pos);
    }

    /// Where no key can be wanted any more. Extents reach back from their position: one beyond
    /// the end may start before it, only another inode can not.
    fn is_past_end(&self, p: Bpos) -> bool {
        if self.iter.btree().is_extents() {
            p.inode > self.end.inode
        } else {
            (p.inode, p.offset) > (self.end.inode, self.end.offset)
        }
    }

    /// Moves to the next visible key and returns its header; [`current`](Self::current) has the
    /// value. `None` at the end.
    pub fn advance(&mut self) -> Result<Option<Bkey>> {
        if self.snapshot.is_none() {
            return self.step();
        }
        let (table, mut again) = (self.table, false);
        let (from, was_at_end) = (self.done_with, self.at_end);
        table.moves.read(|| {
            if core::mem::replace(&mut again, true) {
                (self.done_with, self.at_end) = (from, was_at_end);
                let next = from.map_or(self.start, |p| p.next_offset());
                self.iter.seek(next);
            }
            self.step()
        })
    }

    /// One step; what is moved meanwhile may be missed.
    fn step(&mut self) -> Result<Option<Bkey>> {
        let mut steps = 0u32;
        while !self.at_end {
            let Some(k) = self.iter.advance()? else {
                break;
            };
            if self.is_past_end(k.p) {
                break;
            }
            let Some(snapshot) = self.snapshot else {
                return Ok(Some(k));
            };
            steps = steps.wrapping_add(1);
            if self.done_with.is_some_and(|p| p.same_place(k.p)) {
                if steps >= STEPS_BEFORE_SEEK {
                    steps = 0;
                    self.iter.seek(k.p.next_offset());
                }
                continue;
            }
            // Those of ids below ours are no ancestors.
            if k.p.snapshot < snapshot {
                if steps >= STEPS_BEFORE_SEEK {
                    steps = 0;
                    self.iter.seek(k.p.with_snapshot(snapshot));
                }
                continue;
            }
            if !self.table.is_ancestor(snapshot, k.p.snapshot) {
                continue;
            }
            self.done_with = Some(k.p);
            if !k.key_type.is_extent_whiteout() {
                return Ok(Some(k));
            }
        }
        self.at_end = true;
        Ok(None)
    }

    /// The key that [`advance`](Self::advance) moved to.
    pub fn current(&self) -> Option<Key<'_>> {
        match self.at_end {
            true => None,
            false => self.iter.current(),
        }
    }

    /// The next visible key; `None` at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Key<'_>>> {
        match self.advance()? {
            Some(_) => Ok(self.current()),
            None => Ok(None),
        }
    }

    /// The walk below, which stands on the same key.
    pub(super) fn into_inner(self) -> Iter<'a> {
        self.iter
    }
}
