// SPDX-License-Identifier: GPL-2.0

//! A transaction on a [`Stored`], as short as can be: what it does with the effects of triggers is
//! what their documentation asks of every transaction.

use super::{
    stored::{
        OwnedKey,
        Stored, //
    },
    world::World,
};
use crate::env::units::{
    BucketNr,
    DevIdx, //
};
use crate::{
    alloc::trigger::{
        deleted,
        invalidated,
        trigger,
        Amend,
        Derived,
        Edit,
        Effects, //
    },
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            accounting::Counted,
            alloc::Alloc,
            bucket_index::alloc_pos,
            in_place,
            inode::{
                inode_flags,
                InodeFlags, //
            },
            reflink::refcount, //
        },
    },
};
use std::collections::BTreeMap;

/// A key to be written, of type `deleted` for a deletion: its btree and level, and the key.
pub type Update = (BtreeId, u8, OwnedKey);

/// Updates by place: what the last trigger saw, and what is to be.
type Staged = BTreeMap<(BtreeId, u8, Bpos), (OwnedKey, OwnedKey)>;

impl Stored {
    /// Writes keys, with everything that follows. `buckets` are new states of buckets. Returns what
    /// triggers reported.
    pub fn commit(
        &mut self,
        updates: Vec<Update>,
        buckets: &[((u8, u64), Alloc)],
    ) -> Result<Vec<String>> {
        self.commit_with(Effects::new(), updates, buckets)
    }

    /// Drops what is cached in a bucket.
    pub fn invalidate(&mut self, at: (u8, u64)) -> Result<Vec<String>> {
        let mut out = Effects::new();
        let old = self.alloc.get(&at).copied().unwrap_or_default();
        let new = invalidated(&World::new(self), DevIdx(at.0), &old, &mut out)?;
        self.commit_with(out, Vec::new(), &[(at, new)])
    }

    fn commit_with(
        &mut self,
        mut out: Effects,
        updates: Vec<Update>,
        buckets: &[((u8, u64), Alloc)],
    ) -> Result<Vec<String>> {
        let mut staged = Staged::new();
        for (btree, level, key) in updates {
            self.stage(&mut staged, btree, level, key);
        }
        let mut reports = Vec::new();
        while let Some(at) = self.next_trigger(&mut staged, &mut out) {
            let (seen, key) = staged[&at].clone();
            let mut world = World::new(self);
            let amend = trigger(&mut world, at.0, at.1, seen.key(), key.key(), &mut out)?;
            reports.extend(world.reports.take().into_iter().map(|(_, what)| what));
            let key = amended(key, amend);
            self.put(at.0, at.1, &key);
            staged.insert(at, (key.clone(), key));
        }
        let mut new: BTreeMap<_, _> = buckets.iter().copied().collect();
        for change in out.buckets() {
            let at = (change.dev.0, change.bucket.0);
            let world = World::new(self);
            let stored = self.alloc.get(&at).copied().unwrap_or_default();
            let state = change.apply(&world, new.get(&at).unwrap_or(&stored))?;
            reports.extend(world.reports.take().into_iter().map(|(_, what)| what));
            new.insert(at, state);
        }
        for ((dev, bucket), state) in new {
            let pos = alloc_pos(DevIdx(dev), BucketNr(bucket));
            let old = self.alloc.get(&(dev, bucket)).map(|a| bucket_key(pos, a));
            let old = old.unwrap_or_else(|| OwnedKey::from(deleted(pos)));
            let key = bucket_key(pos, &state);
            let mut world = World::new(self);
            let amend = trigger(
                &mut world,
                BtreeId::ALLOC,
                0,
                old.key(),
                key.key(),
                &mut out,
            )?;
            if let Amend::Alloc(state) = amend {
                self.alloc.insert((dev, bucket), state);
            }
        }
        self.edit(&mut staged, &mut out);
        self.write(&out);
        Ok(reports)
    }

    fn stage(&mut self, staged: &mut Staged, btree: BtreeId, level: u8, key: OwnedKey) {
        let old = self.put(btree, level, &key);
        staged
            .entry((btree, level, key.k.p))
            .and_modify(|(_, new)| *new = key.clone())
            .or_insert((old, key));
    }

    /// The next update whose trigger has to be run; does edits before it goes to another btree.
    fn next_trigger(
        &mut self,
        staged: &mut Staged,
        out: &mut Effects,
    ) -> Option<(BtreeId, u8, Bpos)> {
        loop {
            let next = staged.iter().find(|(_, (seen, new))| seen != new);
            let next = next.map(|(at, _)| *at);
            let done = staged.iter().filter(|(_, (seen, new))| seen == new);
            let last = done.map(|(at, _)| at.0).max();
            let goes_on = next.is_some_and(|n| last.is_none_or(|l| l >= n.0));
            if goes_on || !self.edit(staged, out) {
                return next;
            }
        }
    }

    /// Does all edits; says whether there were any.
    fn edit(&mut self, staged: &mut Staged, out: &mut Effects) -> bool {
        let mut any = false;
        while let Some(edit) = out.take_edit() {
            any = true;
            let place = match edit {
                Edit::Refcount { end, .. } => (BtreeId::REFLINK, Bpos::new(0, end, 0)),
                Edit::StripeBlock { idx, .. } => (BtreeId::STRIPES, Bpos::new(0, idx, 0)),
                Edit::InodeHasChild { at, .. } => (BtreeId::INODES, at),
                Edit::BucketGen {
                    dev,
                    bucket,
                    generation,
                } => {
                    self.gens.insert((dev.0, bucket.0), generation);
                    continue;
                }
            };
            let mut key = self.sources[&(place.0, 0, place.1)].clone();
            match edit {
                Edit::Refcount { by, .. } => {
                    in_place::add_refcount(&mut key.v, by).expect("a count");
                }
                Edit::StripeBlock { block, by, .. } => {
                    in_place::add_block_sectors(&mut key.v, block, by).expect("a block");
                }
                Edit::InodeHasChild { has, .. } => {
                    let flag = InodeFlags::HAS_CHILD_SNAPSHOT;
                    in_place::set_inode_flag(key.k.key_type, &mut key.v, flag, has)
                        .expect("an inode");
                }
                Edit::BucketGen { .. } => {}
            }
            self.stage(staged, place.0, 0, key);
        }
        any
    }

    /// Puts a key in its place. Returns the one that was there.
    fn put(&mut self, btree: BtreeId, level: u8, key: &OwnedKey) -> OwnedKey {
        let p = key.k.p;
        let at = (btree, level, p);
        let old = match key.k.key_type {
            KeyType::DELETED => self.sources.remove(&at),
            _ => self.sources.insert(at, key.clone()),
        };
        match (btree, level) {
            (BtreeId::INODES, 0) => {
                self.inodes.remove(&(p.offset, p.snapshot));
                if let Some(flags) = inode_flags(&key.key()).expect("valid") {
                    self.inodes.insert((p.offset, p.snapshot), flags);
                }
            }
            (BtreeId::REFLINK, 0) => {
                self.indirect.remove(&p.offset);
                if key.k.key_type != KeyType::DELETED {
                    let refs = refcount(&key.v).expect("valid");
                    self.indirect.insert(p.offset, (key.k.start_offset(), refs));
                }
            }
            _ => {}
        }
        old.unwrap_or_else(|| OwnedKey::from(deleted(p)))
    }

    fn write(&mut self, out: &Effects) {
        for change in out.keys() {
            let at = change.start;
            match (change.btree, change.to) {
                (BtreeId::BACKPOINTERS, Derived::Backpointer(bp)) => {
                    self.backpointers.insert(at, bp);
                }
                (BtreeId::BACKPOINTERS, _) => {
                    self.backpointers.remove(&at);
                }
                (btree, Derived::Absent) => {
                    self.bits.remove(&(btree, at));
                }
                (btree, _) => {
                    self.bits.insert((btree, at));
                }
            }
        }
        for change in out.counters() {
            if let Counted::Replicas(replicas) = change.counted(self.version) {
                if !self.replicas.contains(&replicas) {
                    self.replicas.push(replicas);
                }
            }
            let sums = self.counters.entry(change.pos).or_default();
            sums.resize(sums.len().max(change.by().len()), 0);
            for (sum, by) in sums.iter_mut().zip(change.by()) {
                *sum += by;
            }
        }
        self.counters.retain(|_, sums| sums.iter().any(|s| *s != 0));
        self.gens.retain(|_, gen| *gen != 0);
    }
}

fn bucket_key(pos: Bpos, state: &Alloc) -> OwnedKey {
    OwnedKey {
        k: Bkey {
            key_type: KeyType::ALLOC_V4,
            p: pos,
            ..Bkey::default()
        },
        v: state.encode().to_vec(),
    }
}

fn amended(mut key: OwnedKey, amend: Amend) -> OwnedKey {
    match amend {
        Amend::Keep | Amend::Alloc(_) => {}
        Amend::Delete => return OwnedKey::from(deleted(key.k.p)),
        Amend::ReflinkPads(front, back) => {
            in_place::set_reflink_pads(&mut key.v, front, back).expect("a pointer");
        }
        Amend::InodeHasChild(has) => {
            let flag = InodeFlags::HAS_CHILD_SNAPSHOT;
            in_place::set_inode_flag(key.k.key_type, &mut key.v, flag, has).expect("an inode");
        }
    }
    key
}
