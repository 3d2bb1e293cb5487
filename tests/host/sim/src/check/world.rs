// SPDX-License-Identifier: GPL-2.0

//! What triggers have to know, from a [`Stored`].

use super::stored::{
    Dev,
    Stored, //
};
use crate::{
    alloc::trigger::{
        Indirect,
        Lookups, //
    },
    env::units::{
        BucketNr,
        DevIdx, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        sb::{
            assemble::DevMask,
            groups::Target,
            Version, //
        },
        values::{
            extent_entry::EntrySizes,
            inode::InodeFlags,
            stripe::Stripe,
            validate::DevGeometry, //
        },
    },
};
use std::{
    cell::RefCell,
    fmt,
    ops::Bound, //
};

/// A filesystem at rest. What triggers tell of is kept.
pub(super) struct World<'a> {
    stored: &'a Stored,
    pub(super) reports: RefCell<Vec<(FsckError, String)>>,
}

impl<'a> World<'a> {
    pub(super) fn new(stored: &'a Stored) -> Self {
        Self {
            stored,
            reports: RefCell::default(),
        }
    }

    /// Whether snapshot `ancestor` is above `id`.
    fn is_above(&self, ancestor: u32, id: u32) -> bool {
        let parent = |id| self.stored.snapshot_parents.get(&id).copied();
        let mut at = parent(id);
        // Ids rise towards the root.
        while let Some(id) = at.filter(|id| *id != 0 && *id <= ancestor) {
            if id == ancestor {
                return true;
            }
            at = parent(id);
        }
        false
    }
}

impl Lookups for World<'_> {
    type Error = Error;

    fn version(&self) -> Version {
        self.stored.version
    }

    fn entry_sizes(&self) -> &EntrySizes {
        &self.stored.sizes
    }

    fn node_sectors(&self) -> u64 {
        self.stored.node_sectors
    }

    fn device(&self, dev: DevIdx) -> Option<DevGeometry> {
        self.stored.devs.get(&dev.0).map(|d| d.geometry)
    }

    fn bucket_gen(&mut self, dev: DevIdx, bucket: BucketNr) -> Result<u8> {
        let alloc = self.stored.alloc.get(&(dev.0, bucket.0));
        Ok(alloc.map_or(0, |a| a.generation))
    }

    fn is_open(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        self.stored.open.contains(&(dev.0, bucket.0))
    }

    fn io_time(&self) -> [u64; 2] {
        [self.stored.now.max(1); 2]
    }

    fn target(&self, target: u16) -> Option<DevMask> {
        let target = Target::decode(target.into());
        let within = |idx: u8, dev: &Dev| match target {
            Target::None => false,
            Target::Device(d) => d == idx,
            Target::Group(g) => dev.groups.contains(&g),
        };
        let mut devs = DevMask::default();
        let mut accepts = false;
        for (idx, dev) in &self.stored.devs {
            if within(*idx, dev) {
                devs.add(*idx);
                accepts |= dev.takes_user_data;
            }
        }
        accepts.then_some(devs)
    }

    fn with_stripe<R>(&mut self, idx: u64, f: impl FnOnce(&Stripe<'_>) -> R) -> Result<Option<R>> {
        let at = (BtreeId::STRIPES, 0, Bpos::new(0, idx, 0));
        let key = self.stored.sources.get(&at);
        Ok(key.map(|key| f(&Stripe::decode(&key.v).expect("valid"))))
    }

    fn indirect(&mut self, idx: u64) -> Result<Option<Indirect>> {
        let next = self.stored.indirect.range(idx + 1..).next();
        Ok(next.map(|(&end, &(start, refcount))| Indirect {
            start,
            end,
            refcount,
        }))
    }

    fn parent_inode(&mut self, pos: Bpos) -> Result<Option<(Bpos, InodeFlags)>> {
        let above = (
            Bound::Excluded((pos.offset, pos.snapshot)),
            Bound::Included((pos.offset, u32::MAX)),
        );
        let mut found = self.stored.inodes.range(above);
        let nearest = found.find(|((_, id), _)| self.is_above(*id, pos.snapshot));
        Ok(nearest.map(|((inum, id), flags)| (Bpos::new(0, *inum, *id), *flags)))
    }

    fn has_child_inode(&mut self, pos: Bpos) -> Result<bool> {
        let mut below = self
            .stored
            .inodes
            .range((pos.offset, 0)..(pos.offset, pos.snapshot));
        Ok(below.any(|((_, id), _)| self.is_above(pos.snapshot, *id)))
    }

    fn found(&self, id: FsckError, what: fmt::Arguments<'_>) {
        self.reports.borrow_mut().push((id, what.to_string()));
    }
}
