// SPDX-License-Identifier: GPL-2.0

//! What triggers have to know, as the transaction sees it.

use super::space::Trans;
use crate::{
    alloc::trigger::{
        Indirect,
        Lookups, //
    },
    btree::{
        trans::{
            TransError,
            TransResult, //
        },
        KeyBuf, //
    },
    env::{
        pr_err,
        units::{
            BucketNr,
            DevIdx, //
        },
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::{
            assemble::DevMask,
            groups::Target,
            Member,
            Version, //
        },
        values::{
            alloc::Alloc,
            bucket_index::alloc_pos,
            extent_entry::EntrySizes,
            inode::{
                inode_flags,
                InodeFlags, //
            },
            reflink::refcount,
            snapshot::Snapshot,
            stripe::Stripe,
            validate::DevGeometry, //
        },
    },
    sb::SbState,
};
use core::fmt;

/// The buckets of a member, whether it is online or not.
pub fn geometry(st: &SbState, dev: DevIdx) -> Option<DevGeometry> {
    let of = |m: &Member| DevGeometry {
        first_bucket: m.first_bucket().into(),
        nr_buckets: m.nbuckets(),
        bucket_sectors: m.bucket_sectors().into(),
    };
    match st.dev(dev) {
        Some(dev) => Some(of(&dev.member)),
        None => st.sb.member(dev.0).map(|m| of(&m)),
    }
}

/// The devices of an option's target; see [`Lookups::target`].
pub fn target_devs(st: &SbState, target: u16) -> Option<DevMask> {
    let target = Target::decode(target.into());
    let (mut all, mut accepts) = (DevMask::default(), false);
    for dev in st.devices().filter(|d| st.is_in_target(target, d)) {
        all.add(dev.idx.0);
        accepts |= dev.is_writable() && dev.member.allows(DataType::USER);
    }
    (target != Target::None && accepts).then_some(all)
}

/// A transaction, to look things up in.
pub(super) struct Look<'t, 'a>(pub(super) &'t mut Trans<'a>);

/// The state of a bucket that a key tells of; one that was never used for none.
pub(super) fn alloc_of(key: Option<&KeyBuf>) -> Result<Alloc> {
    let decoded = match key {
        Some(key) => Alloc::decode(&key.key()),
        None => Ok(None),
    };
    match decoded {
        Ok(state) => Ok(state.unwrap_or_default()),
        Err(e) => {
            pr_err!("the state of a bucket can not be read: {e}");
            Err(Error::AllocKeyInvalid)
        }
    }
}

/// The parent of a snapshot; `None` for the root of a tree.
fn parent_snapshot(t: &Trans<'_>, id: u32) -> Result<Option<u32>> {
    // It has none, and most filesystems have nothing else.
    if id == u32::MAX {
        return Ok(None);
    }
    // One that is being made.
    let mut staged = t.updates().filter(|u| u.btree == BtreeId::SNAPSHOTS);
    if let Some(update) = staged.find(|u| u.key.k.p.offset == id.into()) {
        if update.key.k.key_type == KeyType::SNAPSHOT {
            let node = Snapshot::decode(update.key.key().v).ok();
            return Ok(node.map(|n| n.parent).filter(|parent| *parent > id));
        }
    }
    let btrees = t.btrees;
    let found = btrees.lookup(BtreeId::SNAPSHOTS, Bpos::new(0, id.into(), 0))?;
    let node = found.and_then(|f| match f.key() {
        k if k.k.key_type == KeyType::SNAPSHOT => Snapshot::decode(k.v).ok(),
        _ => None,
    });
    match node {
        Some(node) => Ok(Some(node.parent).filter(|parent| *parent > id)),
        // Keys of snapshots that do not exist are deleted then.
        None if btrees.sb().is_checking() => Ok(None),
        None => {
            pr_err!("{}: snapshot {id} is missing", btrees.sb().name());
            Err(Error::SnapshotUnreadable)
        }
    }
}

fn is_descendant(t: &Trans<'_>, mut id: u32, of: u32) -> Result<bool> {
    // Parents have higher numbers.
    while id < of {
        match parent_snapshot(t, id)? {
            Some(parent) => id = parent,
            None => return Ok(false),
        }
    }
    Ok(id == of)
}

impl Lookups for Look<'_, '_> {
    type Error = TransError;

    fn version(&self) -> Version {
        self.0.btrees.sb().sb.version()
    }

    fn entry_sizes(&self) -> &EntrySizes {
        self.0.btrees.entry_sizes()
    }

    fn node_sectors(&self) -> u64 {
        self.0.btrees.sb().sb.node_sectors().into()
    }

    fn device(&self, dev: DevIdx) -> Option<DevGeometry> {
        geometry(self.0.btrees.sb(), dev)
    }

    fn bucket_gen(&mut self, dev: DevIdx, bucket: BucketNr) -> TransResult<u8> {
        let key = self.0.get(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
        Ok(alloc_of(key.as_ref())?.generation)
    }

    fn is_open(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        self.0.writer.hooks.open.lock().is_open(dev, bucket)
    }

    fn io_time(&self) -> [u64; 2] {
        self.0.writer.journal.clocks().map(|c| c.max(1))
    }

    fn target(&self, target: u16) -> Option<DevMask> {
        target_devs(self.0.btrees.sb(), target)
    }

    fn with_stripe<R>(
        &mut self,
        idx: u64,
        f: impl FnOnce(&Stripe<'_>) -> R,
    ) -> TransResult<Option<R>> {
        let key = self.0.get(BtreeId::STRIPES, Bpos::new(0, idx, 0))?;
        let key = key.filter(|k| k.k.key_type == KeyType::STRIPE);
        let Some(key) = key else {
            return Ok(None);
        };
        match Stripe::decode(key.key().v) {
            Ok(stripe) => Ok(Some(f(&stripe))),
            Err(e) => {
                pr_err!("stripe {idx} can not be read: {e}");
                Err(Error::StripeUnreadable.into())
            }
        }
    }

    fn indirect(&mut self, idx: u64) -> TransResult<Option<Indirect>> {
        let from = Bpos::new(0, idx.saturating_add(1), 0);
        let key = self.0.next(BtreeId::REFLINK, from, Bpos::MAX)?;
        Ok(key.and_then(|key| {
            let refcount = refcount(key.key().v).ok()?;
            Some(Indirect {
                start: key.k.start_offset(),
                end: key.k.p.offset,
                refcount,
            })
        }))
    }

    fn parent_inode(&mut self, pos: Bpos) -> TransResult<Option<(Bpos, InodeFlags)>> {
        let mut id = pos.snapshot;
        while let Some(parent) = parent_snapshot(self.0, id)? {
            id = parent;
            let at = pos.with_snapshot(id);
            let Some(key) = self.0.get(BtreeId::INODES, at)? else {
                continue;
            };
            match inode_flags(&key.key()) {
                Ok(Some(flags)) => return Ok(Some((at, flags))),
                Ok(None) => (),
                Err(_) => return Err(Error::InodeAboveUnreadable.into()),
            }
        }
        Ok(None)
    }

    fn has_child_inode(&mut self, pos: Bpos) -> TransResult<bool> {
        let mut from = pos.with_snapshot(0);
        while from < pos {
            let until = pos.with_snapshot(pos.snapshot.saturating_sub(1));
            let Some(key) = self.0.next(BtreeId::INODES, from, until)? else {
                break;
            };
            let is_inode = matches!(inode_flags(&key.key()), Ok(Some(_)));
            if is_inode && is_descendant(self.0, key.k.p.snapshot, pos.snapshot)? {
                return Ok(true);
            }
            from = key.k.p.successor();
        }
        Ok(false)
    }

    fn found(&self, id: FsckError, what: fmt::Arguments<'_>) {
        let st = self.0.btrees.sb();
        pr_err!("{}: {id}: {what}", st.name());
        st.errors.count(id);
        if st.inconsistent() {
            self.0.writer.journal.halt(Error::Inconsistent);
        }
    }
}
