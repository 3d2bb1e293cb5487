// SPDX-License-Identifier: GPL-2.0

//! What follows from updates, added up but not yet done.

use super::bucket::BucketChange;
use crate::{
    alloc::usage::sectors_added,
    env::{
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec,
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        sb::Version,
        values::{
            accounting::{
                Counted,
                COUNTERS_MAX, //
            },
            backpointer::Backpointer, //
        },
    },
};
use core::cmp::Ordering;

/// What a derived key is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// There is none.
    Absent,
    /// A key of type `set`.
    Set,
    /// A backpointer.
    Backpointer(Backpointer),
}

/// A derived key that has to be set or deleted, whatever is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The btree: `backpointers`, `freespace`, `need_discard`, `lru`, `rebalance_work` (in later
    /// versions `reconcile_work`) or `deleted_inodes`.
    pub btree: BtreeId,
    /// Where it starts: its position, but in `freespace`.
    pub start: Bpos,
    /// What it is to be.
    pub to: Derived,
}

impl KeyChange {
    /// The header of the key to be stored. In `freespace`, which is a btree of extents, it covers
    /// one bucket, of a deletion as well: `set` keys there are merged.
    pub fn header(&self) -> Bkey {
        let size = u32::from(self.btree == BtreeId::FREESPACE);
        let offset = self.start.offset.saturating_add(size.into());
        Bkey {
            key_type: match self.to {
                Derived::Absent => KeyType::DELETED,
                Derived::Set => KeyType::SET,
                Derived::Backpointer(_) => KeyType::BACKPOINTER,
            },
            size,
            p: Bpos {
                offset,
                ..self.start
            },
            ..Bkey::default()
        }
    }

    fn place(&self) -> (BtreeId, Bpos) {
        (self.btree, self.start)
    }
}

/// What has to be added to the counters of an accounting key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterChange {
    /// The position of the key: what is counted.
    pub pos: Bpos,
    nr: usize,
    by: [i64; COUNTERS_MAX],
}

impl CounterChange {
    /// What to add to each counter of the key.
    pub fn by(&self) -> &[i64] {
        self.by.get(..self.nr).unwrap_or(&self.by)
    }

    /// What is counted, in a filesystem of `version`.
    ///
    /// [`Counted::Replicas`] have to be in the superblock before they are in a key.
    pub fn counted(&self, version: Version) -> Counted {
        Counted::decode(self.pos, version)
    }

    /// Whether nothing changes.
    pub fn is_zero(&self) -> bool {
        self.by.iter().all(|by| *by == 0)
    }
}

/// A change of a part of another key. What to do to its value is in
/// [`in_place`](crate::format::values::in_place).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Add to the reference count of the shared extent that ends at `end` in the reflink btree. At
    /// zero its own trigger deletes it.
    Refcount {
        /// The offset of its position.
        end: u64,
        /// What to add.
        by: i64,
    },
    /// Add to the sectors used of a block of a stripe.
    StripeBlock {
        /// The stripe.
        idx: u64,
        /// The block.
        block: u8,
        /// Sectors to add.
        by: i64,
    },
    /// Set the flag of an inode that says whether there are others below it.
    InodeHasChild {
        /// Where the inode's key is.
        at: Bpos,
        /// What the flag is to be.
        has: bool,
    },
    /// Set the generation of a bucket in its `bucket_gens` key, which may not exist yet.
    BucketGen {
        /// The device.
        dev: DevIdx,
        /// The bucket.
        bucket: BucketNr,
        /// Its generation.
        generation: u8,
    },
}

impl Edit {
    /// Makes this edit one with `other`, a later one, if both are of the same thing.
    fn merge(&mut self, other: &Edit) -> bool {
        match (self, other) {
            (Edit::Refcount { end, by }, Edit::Refcount { end: e, by: b }) if end == e => {
                *by = by.wrapping_add(*b);
            }
            (
                Edit::StripeBlock { idx, block, by },
                Edit::StripeBlock {
                    idx: i,
                    block: o,
                    by: b,
                },
            ) if idx == i && block == o => *by = by.wrapping_add(*b),
            (Edit::InodeHasChild { at, has }, Edit::InodeHasChild { at: a, has: h }) if at == a => {
                *has = *h;
            }
            (
                Edit::BucketGen {
                    dev,
                    bucket,
                    generation,
                },
                Edit::BucketGen {
                    dev: d,
                    bucket: b,
                    generation: g,
                },
            ) if dev == d && bucket == b => *generation = *g,
            _ => return false,
        }
        true
    }
}

/// What follows from the updates of a transaction, or from all keys of a filesystem.
///
/// C: what transactional triggers put on the lists of updates and of journal entries of a
/// `struct btree_trans`.
#[derive(Debug, Default)]
pub struct Effects {
    /// By place.
    keys: Vec<KeyChange>,
    /// By bucket.
    buckets: Vec<BucketChange>,
    /// By position.
    counters: Vec<CounterChange>,
    edits: Vec<Edit>,
}

impl Effects {
    /// Nothing.
    pub const fn new() -> Self {
        Self {
            keys: Vec::new(),
            buckets: Vec::new(),
            counters: Vec::new(),
            edits: Vec::new(),
        }
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.buckets.clear();
        self.counters.clear();
        self.edits.clear();
    }

    /// Derived keys to be set or deleted, in order of btree and position.
    pub fn keys(&self) -> &[KeyChange] {
        &self.keys
    }

    /// Changes of buckets, in order of device and bucket.
    pub fn buckets(&self) -> &[BucketChange] {
        &self.buckets
    }

    /// Changes of counters, in order of position. Some may be [zero](CounterChange::is_zero).
    pub fn counters(&self) -> &[CounterChange] {
        &self.counters
    }

    /// How many sectors more are in use by files and btrees after all of this, in a filesystem of
    /// `version`: what has to be reserved.
    pub fn sectors_added(&self, version: Version) -> i64 {
        let all = self.counters.iter().map(|c| {
            let [first, ..] = c.by;
            sectors_added(&c.counted(version), first)
        });
        all.fold(0, i64::wrapping_add)
    }

    /// Changes of parts of other keys, in no order.
    pub fn edits(&self) -> &[Edit] {
        &self.edits
    }

    /// Takes an edit out, to be done; `None` when there are no more.
    pub fn take_edit(&mut self) -> Option<Edit> {
        self.edits.pop()
    }

    /// A derived key is to be `to`, unless what it is to be so far is not what `replaces` says.
    fn key(
        &mut self,
        (btree, start): (BtreeId, Bpos),
        to: Derived,
        replaces: impl FnOnce(&Derived) -> bool,
    ) -> Result {
        let change = KeyChange { btree, start, to };
        let at = |c: &KeyChange| c.place().cmp(&change.place());
        match search(&self.keys, at) {
            Err(at) => self.keys.insert(at, change),
            Ok(at) => {
                if let Some(there) = self.keys.get_mut(at).filter(|c| replaces(&c.to)) {
                    there.to = to;
                }
                Ok(())
            }
        }
    }

    /// Sets or deletes a key of type `set`. Each place is one key's, so the last word counts.
    pub(super) fn bit(&mut self, btree: BtreeId, start: Bpos, set: bool) -> Result {
        let to = match set {
            true => Derived::Set,
            false => Derived::Absent,
        };
        self.key((btree, start), to, |_| true)
    }

    /// Sets the backpointer at `start`.
    pub(super) fn set_backpointer(&mut self, start: Bpos, bp: Backpointer) -> Result {
        let to = Derived::Backpointer(bp);
        self.key((BtreeId::BACKPOINTERS, start), to, |_| true)
    }

    /// Deletes the backpointer at `start`, if it is still `bp`: what is left of an extent that was
    /// cut has its own in the same place.
    pub(super) fn delete_backpointer(&mut self, start: Bpos, bp: Backpointer) -> Result {
        let is_it = |there: &Derived| *there == Derived::Backpointer(bp);
        self.key((BtreeId::BACKPOINTERS, start), Derived::Absent, is_it)
    }

    /// Changes `bucket` with `f`.
    pub(super) fn bucket(
        &mut self,
        dev: DevIdx,
        bucket: BucketNr,
        f: impl FnOnce(&mut BucketChange),
    ) -> Result {
        let at = |c: &BucketChange| (c.dev, c.bucket).cmp(&(dev, bucket));
        let at = match search(&self.buckets, at) {
            Ok(at) => at,
            Err(at) => {
                self.buckets.insert(at, BucketChange::none(dev, bucket))?;
                at
            }
        };
        if let Some(change) = self.buckets.get_mut(at) {
            f(change);
        }
        Ok(())
    }

    /// Adds to counters. `by` has as many as the kind of counter has.
    pub(super) fn count(&mut self, version: Version, counted: &Counted, by: &[i64]) -> Result {
        let pos = counted.encode(version).ok_or(Error::Overflow)?;
        let at = match search(&self.counters, |c| c.pos.cmp(&pos)) {
            Ok(at) => at,
            Err(at) => {
                let change = CounterChange {
                    pos,
                    nr: by.len().min(COUNTERS_MAX),
                    by: [0; COUNTERS_MAX],
                };
                self.counters.insert(at, change)?;
                at
            }
        };
        if let Some(change) = self.counters.get_mut(at) {
            for (sum, by) in change.by.iter_mut().zip(by) {
                *sum = sum.wrapping_add(*by);
            }
        }
        Ok(())
    }

    /// A part of another key is to be changed.
    pub(super) fn edit(&mut self, edit: Edit) -> Result {
        if self.edits.iter_mut().any(|e| e.merge(&edit)) {
            return Ok(());
        }
        self.edits.push(edit)
    }
}

/// Where in sorted `v` an element is, or is to be inserted. Most often that is the end.
fn search<T>(v: &[T], cmp: impl Fn(&T) -> Ordering) -> Result<usize, usize> {
    match v.last().map(&cmp) {
        None => Err(0),
        Some(Ordering::Less) => Err(v.len()),
        Some(_) => v.binary_search_by(cmp),
    }
}
