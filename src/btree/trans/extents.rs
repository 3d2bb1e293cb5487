// SPDX-License-Identifier: GPL-2.0

//! Updates of extents: what they do to the extents they overlap.

use super::{
    Hooks,
    Trans,
    TransResult, //
};
use crate::{
    btree::KeyBuf,
    env::pr_err,
    error::{
        Error,
        Invalid, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
};

/// The largest extent that two are merged to, in sectors. C: `KEY_SIZE_MAX`.
const MERGED_MAX: u32 = u32::MAX >> 1;

impl<H: Hooks> Trans<'_, H> {
    /// Stages an extent; or with a key of type deleted, that there is none in its range. What
    /// others have of its range is cut off. Extents of type `set` are merged with those beside.
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
            self.cut_off(btree, &old, &new)?;
        }
        if new.is_deleted() {
            return Ok(());
        }
        self.update(btree, new)
    }

    /// Takes what `new` covers away from `old`.
    ///
    /// C: `bch2_trans_update_extent_overwrite()`.
    fn cut_off(&mut self, btree: BtreeId, old: &KeyBuf, new: &KeyBuf) -> TransResult {
        let sizes = *self.btrees.entry_sizes();
        let invalid = |e: Invalid| {
            pr_err!("btree {btree}: can not cut extent {}: {e}", old.k);
            Error::ExtentCut
        };
        if old.k.start_offset() < new.k.start_offset() {
            let mut front = KeyBuf::copy_of(&old.key())?;
            front.cut_back(new.k.start_offset()).map_err(invalid)?;
            self.update(btree, front)?;
        }
        if old.k.p.offset > new.k.p.offset {
            let mut back = KeyBuf::copy_of(&old.key())?;
            back.cut_front(new.k.p.offset, &sizes).map_err(invalid)?;
            self.update(btree, back)
        } else {
            // `new` replaces it when it ends at the same place.
            self.delete(btree, old.k.p)
        }
    }

    /// Joins `new` with an extent that ends where it starts, or starts where it ends.
    ///
    /// C: `bch2_bkey_merge()`, for keys of type `set`.
    fn merge(&mut self, btree: BtreeId, old: &KeyBuf, new: &mut KeyBuf) -> TransResult {
        let both = [old, &*new]
            .iter()
            .all(|k| k.k.key_type == KeyType::SET && k.value().is_empty());
        let size = old.k.size.saturating_add(new.k.size);
        if !both || old.k.size == 0 || size > MERGED_MAX {
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

fn overlaps(a: &Bkey, b: &Bkey) -> bool {
    a.start_offset() < b.p.offset && b.start_offset() < a.p.offset
}
