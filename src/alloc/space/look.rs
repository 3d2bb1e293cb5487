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
        key_type::KeyType,
        sb::{
            assemble::DevMask,
            Version, //
        },
        values::{
            alloc::Alloc,
            bucket_index::alloc_pos,
            extent_entry::EntrySizes,
            inode::InodeFlags,
            reflink::refcount,
            stripe::Stripe,
            validate::DevGeometry, //
        },
    },
};
use core::{
    cell::{
        Cell,
        RefCell, //
    },
    fmt,
};

/// A transaction, to look things up in.
pub(super) struct Look<'t, 'a> {
    t: RefCell<&'t mut Trans<'a>>,
    /// A look-up asked for a restart.
    restart: Cell<bool>,
}

impl<'t, 'a> Look<'t, 'a> {
    pub(super) fn new(t: &'t mut Trans<'a>) -> Self {
        Self {
            t: RefCell::new(t),
            restart: Cell::new(false),
        }
    }

    /// What a trigger failed with, to the transaction.
    pub(super) fn failed(&self, e: Error) -> TransError {
        match self.restart.get() {
            true => TransError::Restart,
            false => TransError::Failed(e),
        }
    }

    fn with<R>(&self, f: impl FnOnce(&mut Trans<'a>) -> TransResult<R>) -> Result<R> {
        // Look-ups do not look anything up, so it is not borrowed.
        let mut t = self.t.try_borrow_mut().map_err(|_| Error::Overflow)?;
        f(&mut t).map_err(|e| match e {
            TransError::Failed(e) => e,
            TransError::Restart => {
                self.restart.set(true);
                Error::Interrupted
            }
        })
    }

    fn get(&self, btree: BtreeId, pos: Bpos) -> Result<Option<KeyBuf>> {
        self.with(|t| t.get(btree, pos))
    }

    fn view<R>(&self, default: R, f: impl FnOnce(&Trans<'a>) -> R) -> R {
        match self.t.try_borrow() {
            Ok(t) => f(&t),
            Err(_) => default,
        }
    }
}

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

fn inodes_unsupported<T>() -> Result<T> {
    Err(Error::InodeUpdateUnsupported)
}

impl Lookups for Look<'_, '_> {
    fn version(&self) -> Version {
        self.view(Version::OLDEST_DATA, |t| t.btrees.sb().sb.version())
    }

    fn entry_sizes(&self) -> &EntrySizes {
        &EntrySizes::KNOWN
    }

    fn node_sectors(&self) -> u64 {
        self.view(0, |t| t.btrees.sb().sb.node_sectors().into())
    }

    fn device(&self, dev: DevIdx) -> Option<DevGeometry> {
        self.view(None, |t| {
            let st = t.btrees.sb();
            let geometry = |m: &crate::format::sb::Member| DevGeometry {
                first_bucket: m.first_bucket().into(),
                nr_buckets: m.nbuckets(),
                bucket_sectors: m.bucket_sectors().into(),
            };
            match st.dev(dev) {
                Some(dev) => Some(geometry(&dev.member)),
                None => st.sb.member(dev.0).map(|m| geometry(&m)),
            }
        })
    }

    fn bucket_gen(&self, dev: DevIdx, bucket: BucketNr) -> Result<u8> {
        let key = self.get(BtreeId::ALLOC, alloc_pos(dev, bucket))?;
        Ok(alloc_of(key.as_ref())?.generation)
    }

    fn is_open(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        self.view(true, |t| t.writer.hooks.open.lock().is_open(dev, bucket))
    }

    fn io_time(&self) -> [u64; 2] {
        self.view([1, 1], |t| t.writer.journal.clocks().map(|c| c.max(1)))
    }

    fn target(&self, _: u16) -> Option<DevMask> {
        None
    }

    fn with_stripe<R>(&self, idx: u64, f: impl FnOnce(&Stripe<'_>) -> R) -> Result<Option<R>> {
        let key = self.get(BtreeId::STRIPES, Bpos::new(0, idx, 0))?;
        let key = key.filter(|k| k.k.key_type == KeyType::STRIPE);
        let Some(key) = key else {
            return Ok(None);
        };
        match Stripe::decode(key.key().v) {
            Ok(stripe) => Ok(Some(f(&stripe))),
            Err(e) => {
                pr_err!("stripe {idx} can not be read: {e}");
                Err(Error::StripeUnreadable)
            }
        }
    }

    fn indirect(&self, idx: u64) -> Result<Option<Indirect>> {
        let from = Bpos::new(0, idx.saturating_add(1), 0);
        let key = self.with(|t| t.next(BtreeId::REFLINK, from, Bpos::MAX))?;
        let found = key.and_then(|key| {
            let refcount = refcount(key.key().v).ok()?;
            Some(Indirect {
                start: key.k.start_offset(),
                end: key.k.p.offset,
                refcount,
            })
        });
        Ok(found)
    }

    fn parent_inode(&self, _: Bpos) -> Result<Option<(Bpos, InodeFlags)>> {
        inodes_unsupported()
    }

    fn has_child_inode(&self, _: Bpos) -> Result<bool> {
        inodes_unsupported()
    }

    fn found(&self, id: FsckError, what: fmt::Arguments<'_>) {
        self.view((), |t| {
            let st = t.btrees.sb();
            pr_err!("{}: {what}", st.name());
            st.errors.count(id);
        });
    }
}
