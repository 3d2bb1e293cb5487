// SPDX-License-Identifier: GPL-2.0

//! Updates of extents: what they do to the extents they overlap.
//!
//! A snapshot sees at each place the key of its nearest ancestor that has one there, and extents
//! are at the place where they end. So whoever writes to a part of what an ancestor has cuts the
//! ancestor's extent, for all who see it, in such a way that one of its parts is at a place of its
//! own, and hides just that. Nobody else sees a difference: those who had hidden the whole have
//! each of its parts hidden.

use super::{
    Hooks,
    Trans,
    TransResult, //
};
use crate::{
    algo::merge_extents::{
        merged,
        Limits,
        SIZE_MAX, //
    },
    btree::KeyBuf,
    env::{
        pr_err,
        units::DevIdx,
        Vec, //
    },
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
};

/// Which snapshots come from which: what the btrees themselves do not know.
pub trait Ancestry {
    /// Whether `ancestor` is `id` or above it.
    fn is_ancestor(&self, id: u32, ancestor: u32) -> bool;
}

/// What extents can become, by the hooks of a writer.
struct Of<'a, H>(&'a H);

impl<H: Hooks> Limits for Of<'_, H> {
    fn encoded_max(&self) -> u32 {
        self.0.encoded_max()
    }

    fn is_same_bucket(&self, dev: DevIdx, a: u64, b: u64) -> bool {
        self.0.is_same_bucket(dev, a, b)
    }
}

/// Where there is only one snapshot, or none.
struct OneSnapshot;

impl Ancestry for OneSnapshot {
    fn is_ancestor(&self, id: u32, ancestor: u32) -> bool {
        id == ancestor
    }
}

impl<H: Hooks> Trans<'_, H> {
    /// Stages an extent; or with a key of type deleted, that there is none in its range. What
    /// others have of its range is cut off. Extents of type `set` are merged with those beside.
    ///
    /// For btrees without snapshots, and files that only one snapshot has keys of:
    /// [`Error::ExtentOtherSnapshot`] when that is not so.
    ///
    /// C: `bch2_trans_update_extent()`.
    pub fn update_extent(&mut self, btree: BtreeId, mut new: KeyBuf) -> TransResult {
        let mut pos = new.k.start_pos();
        // An extent ends at its position, so one that only touches the start is found first.
        let end = Bpos::new(new.k.p.inode, u64::MAX, u32::MAX);
        while let Some(old) = self.next(btree, pos, end)? {
            if old.k.start_offset() > new.k.p.offset {
                break;
            }
            pos = old.k.p.successor();
            if old.k.p.snapshot != new.k.p.snapshot {
                if overlaps(&old.k, &new.k) && !old.k.key_type.is_whiteout() {
                    return Err(Error::ExtentOtherSnapshot.into());
                }
                continue;
            }
            if !overlaps(&old.k, &new.k) {
                self.merge(btree, &old, &mut new)?;
                continue;
            }
            self.overwrite(btree, &old, &new, &OneSnapshot)?;
        }
        if new.is_deleted() {
            return Ok(());
        }
        self.update(btree, new)
    }

    /// As [`update_extent`](Self::update_extent), for the snapshot of the position of `new`, which
    /// has no descendants, and in front of what its ancestors have. It is merged with what is
    /// beside it, if that is possible.
    pub fn update_extent_in(
        &mut self,
        btree: BtreeId,
        mut new: KeyBuf,
        ancestry: &impl Ancestry,
    ) -> TransResult {
        let mut at = new.k.start_offset();
        while let Some(old) = self.next_extent(btree, new.k.p, at, ancestry)? {
            if old.k.start_offset() >= new.k.p.offset {
                break;
            }
            self.overwrite(btree, &old, &new, ancestry)?;
            at = old.k.p.offset;
            if at >= new.k.p.offset {
                break;
            }
        }
        if new.is_deleted() {
            return Ok(());
        }
        self.merge_left(btree, &mut new)?;
        self.merge_right(btree, &mut new)?;
        self.update(btree, new)
    }

    /// Joins `new` with the extent that ends where it starts.
    ///
    /// C: `extent_front_merge()`.
    fn merge_left(&mut self, btree: BtreeId, new: &mut KeyBuf) -> TransResult {
        let before = new.k.start_pos();
        let Some(old) = self.get(btree, before)? else {
            return Ok(());
        };
        let Some(both) = self.joined(&old, new)? else {
            return Ok(());
        };
        if self.is_alone(btree, before)? && self.is_alone(btree, new.k.p)? {
            self.delete(btree, before)?;
            *new = both;
        }
        Ok(())
    }

    /// Joins `new` with the extent that starts where it ends, and gets its place.
    ///
    /// C: `extent_back_merge()`.
    fn merge_right(&mut self, btree: BtreeId, new: &mut KeyBuf) -> TransResult {
        let end = Bpos::new(new.k.p.inode, u64::MAX, u32::MAX);
        let Some(old) = self.next(btree, new.k.p.next_offset(), end)? else {
            return Ok(());
        };
        let Some(both) = self.joined(new, &old)? else {
            return Ok(());
        };
        if self.is_alone(btree, new.k.p)? && self.is_alone(btree, old.k.p)? {
            *new = both;
        }
        Ok(())
    }

    /// One extent for two, if there can be one.
    fn joined(&self, left: &KeyBuf, right: &KeyBuf) -> Result<Option<KeyBuf>> {
        let sizes = self.btrees.entry_sizes();
        let limits = Of(&self.writer.hooks);
        let value = merged(&left.key(), &right.key(), sizes, &limits)?;
        let k = Bkey {
            size: left.k.size.saturating_add(right.k.size),
            ..right.k
        };
        value.map(|v| KeyBuf::of(k, &v)).transpose()
    }

    /// Whether no other snapshot has something at this place: an extent that is hidden there, or
    /// hides the one that is, would not be any more if that was at another place.
    ///
    /// C: `bch2_key_has_snapshot_overwrites()`, which looks at descendants.
    fn is_alone(&mut self, btree: BtreeId, pos: Bpos) -> TransResult<bool> {
        let mut from = pos.with_snapshot(0);
        let until = pos.with_snapshot(u32::MAX);
        while let Some(key) = self.next(btree, from, until)? {
            if key.k.p.snapshot != pos.snapshot {
                return Ok(false);
            }
            if key.k.p == until {
                break;
            }
            from = key.k.p.successor();
        }
        Ok(true)
    }

    /// The first extent that ends behind sector `at`, of those that `of.snapshot` sees of the file
    /// `of.inode`. Leaves that were gone over stay locked.
    ///
    /// C: `bch2_btree_iter_peek_max()` with `BTREE_ITER_is_extents`.
    pub fn next_extent(
        &mut self,
        btree: BtreeId,
        of: Bpos,
        at: u64,
        ancestry: &impl Ancestry,
    ) -> TransResult<Option<KeyBuf>> {
        let end = Bpos::new(of.inode, u64::MAX, u32::MAX);
        // Those of ids below ours are no ancestors.
        let mut pos = Bpos::new(of.inode, at.saturating_add(1), of.snapshot);
        while let Some(key) = self.next(btree, pos, end)? {
            let p = key.k.p;
            if p.snapshot < of.snapshot {
                pos = p.with_snapshot(of.snapshot);
            } else if !ancestry.is_ancestor(of.snapshot, p.snapshot) {
                pos = p.successor();
            } else if key.k.key_type.is_extent_whiteout() {
                pos = p.next_offset().with_snapshot(of.snapshot);
            } else {
                return Ok(Some(key));
            }
            if pos <= p {
                break;
            }
        }
        Ok(None)
    }

    /// The first extent up to `last`, of those of its inode and snapshot, that ends behind sector
    /// `at`; those of ancestors do not count.
    pub fn next_of_snapshot(
        &mut self,
        btree: BtreeId,
        at: u64,
        last: Bpos,
    ) -> TransResult<Option<KeyBuf>> {
        let mut pos = Bpos::new(last.inode, at.saturating_add(1), 0);
        while let Some(key) = self.next(btree, pos, last)? {
            if key.k.p.snapshot == last.snapshot {
                return Ok(Some(key));
            }
            pos = key.k.p.successor();
        }
        Ok(None)
    }

    /// Takes what `new` covers away from `old`, as the snapshot of `new` sees it.
    ///
    /// C: `bch2_trans_update_extent_overwrite()`. A range that is deleted of an ancestor's extent,
    /// and not up to its end, remains visible there.
    pub fn overwrite(
        &mut self,
        btree: BtreeId,
        old: &KeyBuf,
        new: &KeyBuf,
        ancestry: &impl Ancestry,
    ) -> TransResult {
        let (start, end) = (new.k.start_offset(), new.k.p.offset);
        let has_front = old.k.start_offset() < start;
        let has_back = old.k.p.offset > end;
        let is_others = old.k.p.snapshot != new.k.p.snapshot;
        if has_front {
            let front = self.part(btree, old, 0, start)?;
            self.hide_as(btree, old.k.p, start, ancestry)?;
            self.update(btree, front)?;
        }
        if is_others && has_back {
            // It gets a place of its own, where it can be hidden.
            let middle = self.part(btree, old, start, end)?;
            self.hide_as(btree, old.k.p, end, ancestry)?;
            self.update(btree, middle)?;
            if new.is_deleted() {
                self.update(btree, whiteout(new.k.p))?;
            }
        } else if is_others && has_front {
            let middle = self.part(btree, old, start, end)?;
            self.update(btree, middle)?;
        }
        if has_back {
            let back = self.part(btree, old, end, u64::MAX)?;
            return self.update(btree, back);
        }
        // `new` replaces it when it ends at the same place.
        let place = old.k.p.with_snapshot(new.k.p.snapshot);
        let shows = is_others || self.shows_through(btree, place, ancestry)?;
        match shows {
            true => self.update(btree, whiteout(place)),
            false => self.delete(btree, place),
        }
    }

    /// Cuts the extent `old` in two at sector `at`, for everyone: nobody sees a difference.
    ///
    /// C: what `bch2_insert_snapshot_whiteouts()` is for when a data update is committed.
    pub fn split_extent(
        &mut self,
        btree: BtreeId,
        old: &KeyBuf,
        at: u64,
        ancestry: &impl Ancestry,
    ) -> TransResult {
        let front = self.part(btree, old, 0, at)?;
        let back = self.part(btree, old, at, u64::MAX)?;
        self.hide_as(btree, old.k.p, at, ancestry)?;
        self.update(btree, front)?;
        self.update(btree, back)
    }

    /// What `key` is from sector `start` to sector `end`.
    fn part(&self, btree: BtreeId, key: &KeyBuf, start: u64, end: u64) -> Result<KeyBuf> {
        let invalid = |e: Invalid| {
            pr_err!("btree {btree}: can not cut extent {}: {e}", key.k);
            Error::ExtentCut
        };
        let mut part = KeyBuf::copy_of(&key.key())?;
        part.cut_back(end).map_err(invalid)?;
        part.cut_front(start, self.btrees.entry_sizes())
            .map_err(invalid)?;
        Ok(part)
    }

    /// A part of the extent at `old` is going to be at `offset`: whoever does not see what is at
    /// `old`, since he or somebody in between has a key there, is not to see it either.
    ///
    /// C: `bch2_insert_snapshot_whiteouts()`.
    fn hide_as(
        &mut self,
        btree: BtreeId,
        old: Bpos,
        offset: u64,
        ancestry: &impl Ancestry,
    ) -> TransResult {
        if old.snapshot == 0 {
            return Ok(());
        }
        let mut below = Vec::new();
        let mut from = old.with_snapshot(0);
        let until = old.with_snapshot(old.snapshot.saturating_sub(1));
        while let Some(key) = self.next(btree, from, until)? {
            from = key.k.p.successor();
            if ancestry.is_ancestor(key.k.p.snapshot, old.snapshot) {
                below.push(key.k.p.snapshot)?;
            }
        }
        for (nr, id) in below.iter().enumerate() {
            // An ancestor in between does it for its descendants, which may see something else of
            // it there. Those come behind.
            let mut others = below.iter().skip(nr.saturating_add(1));
            let place = Bpos::new(old.inode, offset, *id);
            let is_first = !others.any(|other| ancestry.is_ancestor(*id, *other));
            if is_first && self.get(btree, place)?.is_none() {
                self.update(btree, whiteout(place))?;
            }
        }
        Ok(())
    }

    /// Whether an ancestor's key would be seen at `pos` if there was none.
    ///
    /// C: `need_whiteout_for_snapshot()`.
    fn shows_through(
        &mut self,
        btree: BtreeId,
        pos: Bpos,
        ancestry: &impl Ancestry,
    ) -> TransResult<bool> {
        if !btree.has_snapshots() || pos.snapshot == u32::MAX {
            return Ok(false);
        }
        let mut from = pos.successor();
        while let Some(key) = self.next(btree, from, pos.with_snapshot(u32::MAX))? {
            if ancestry.is_ancestor(pos.snapshot, key.k.p.snapshot) {
                return Ok(!key.k.key_type.is_extent_whiteout());
            }
            if key.k.p.snapshot == u32::MAX {
                break;
            }
            from = key.k.p.successor();
        }
        Ok(false)
    }

    /// Joins `new` with an extent that ends where it starts, or starts where it ends.
    ///
    /// C: `bch2_bkey_merge()`, for keys of type `set`.
    fn merge(&mut self, btree: BtreeId, old: &KeyBuf, new: &mut KeyBuf) -> TransResult {
        let both = [old, &*new]
            .iter()
            .all(|k| k.k.key_type == KeyType::SET && k.value().is_empty());
        let size = old.k.size.saturating_add(new.k.size);
        if !both || old.k.size == 0 || size > SIZE_MAX {
            return Ok(());
        }
        if old.k.p.offset == new.k.start_offset() {
            new.k.size = size;
        } else if old.k.start_offset() == new.k.p.offset {
            new.k.size = size;
            new.k.p = old.k.p;
        } else {
            return Ok(());
        }
        // Also when `new` has its position now: it may get another one with the next extent.
        self.delete(btree, old.k.p)
    }
}

/// Hides what ancestors have at `pos`.
fn whiteout(pos: Bpos) -> KeyBuf {
    let mut key = KeyBuf::deletion(pos);
    key.k.key_type = KeyType::WHITEOUT;
    key
}

fn overlaps(a: &Bkey, b: &Bkey) -> bool {
    a.start_offset() < b.p.offset && b.start_offset() < a.p.offset
}
