// SPDX-License-Identifier: GPL-2.0

//! What triggers have to know when everything is counted anew.

use crate::{
    alloc::{
        space::{
            geometry,
            target_devs, //
        },
        trigger::{
            Indirect,
            Lookups, //
        },
    },
    btree::Btrees,
    env::{
        num::usize_of,
        pr_err,
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
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
            alloc::{
                bucket_gens,
                Alloc, //
            },
            bucket_index::bucket_of,
            extent_entry::EntrySizes,
            inode::InodeFlags,
            reflink::refcount,
            stripe::Stripe,
            validate::DevGeometry, //
        },
    },
};
use core::{
    cell::Cell,
    fmt, //
};

/// The generation of each bucket: as its key in the alloc btree has it, or else, where there is
/// none, `bucket_gens`.
///
/// C: `bch2_bucket_gens_read()`, `bch2_alloc_read()`.
#[derive(Default)]
pub(super) struct Gens {
    by_dev: Vec<Vec<u8>>,
}

impl Gens {
    #[inline(never)]
    pub(super) fn read(btrees: &Btrees) -> Result<Self> {
        let mut this = Self::default();
        let st = btrees.sb();
        for dev in (0..st.sb.nr_devices()).map(DevIdx) {
            let nr = geometry(st, dev).map_or(0, |g| g.nr_buckets);
            this.by_dev.push(Vec::from_elem(0, usize_of(nr))?)?;
        }
        let mut iter = btrees.iter(BtreeId::BUCKET_GENS, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            let (p, Ok(gens)) = (key.k.p, bucket_gens(key.v)) else {
                continue;
            };
            let first = p.offset.saturating_mul(256);
            for (nr, gen) in (first..).zip(gens) {
                if let Ok(dev) = u8::try_from(p.inode) {
                    this.set(DevIdx(dev), BucketNr(nr), *gen);
                }
            }
        }
        let mut iter = btrees.iter(BtreeId::ALLOC, 0, Bpos::MIN);
        while let Some(key) = iter.next()? {
            if let (Some((dev, bucket)), Ok(Some(state))) =
                (bucket_of(key.k.p), Alloc::decode(&key))
            {
                this.set(dev, bucket, state.generation);
            }
        }
        Ok(this)
    }

    /// As [`read`](Self::read), as far as the btrees that have them can be read.
    #[inline(never)]
    pub(super) fn read_if_there(btrees: &Btrees) -> Result<Self> {
        match Self::read(btrees) {
            Err(e) if e.is_corruption() => {
                pr_err!(
                    "{}: the generations of buckets can not be read: {e}",
                    btrees.sb().name()
                );
                Ok(Self::default())
            }
            gens => gens,
        }
    }

    pub(super) fn set(&mut self, dev: DevIdx, bucket: BucketNr, gen: u8) {
        let of_dev = self.by_dev.get_mut(usize::from(dev.0));
        if let Some(to) = of_dev.and_then(|d| d.get_mut(usize_of(bucket.0))) {
            *to = gen;
        }
    }

    pub(super) fn get(&self, dev: DevIdx, bucket: BucketNr) -> u8 {
        let of_dev = self.by_dev.get(usize::from(dev.0));
        let gen = of_dev.and_then(|d| d.get(usize_of(bucket.0)));
        gen.copied().unwrap_or(0)
    }
}

/// The btrees as they are, and the generations of buckets.
pub(super) struct Look<'a> {
    pub(super) btrees: &'a Btrees,
    pub(super) gens: &'a Gens,
    /// Things that do not fit, and are not for the check of allocations to repair.
    pub(super) odd: Cell<u64>,
    /// They are only counted: whoever looks comes again.
    is_quiet: bool,
}

impl<'a> Look<'a> {
    pub(super) fn new(btrees: &'a Btrees, gens: &'a Gens) -> Self {
        Self {
            btrees,
            gens,
            odd: Cell::new(0),
            is_quiet: false,
        }
    }

    /// What does not fit is counted, and nothing else.
    pub(super) fn quiet(btrees: &'a Btrees, gens: &'a Gens) -> Self {
        Self {
            is_quiet: true,
            ..Self::new(btrees, gens)
        }
    }
}

impl Lookups for Look<'_> {
    type Error = Error;

    fn version(&self) -> Version {
        self.btrees.sb().sb.version()
    }

    fn entry_sizes(&self) -> &EntrySizes {
        self.btrees.entry_sizes()
    }

    fn node_sectors(&self) -> u64 {
        self.btrees.sb().sb.node_sectors().into()
    }

    fn device(&self, dev: DevIdx) -> Option<DevGeometry> {
        geometry(self.btrees.sb(), dev)
    }

    fn bucket_gen(&mut self, dev: DevIdx, bucket: BucketNr) -> Result<u8> {
        Ok(self.gens.get(dev, bucket))
    }

    fn is_open(&self, _: DevIdx, _: BucketNr) -> bool {
        false
    }

    fn io_time(&self) -> [u64; 2] {
        [1, 1]
    }

    fn target(&self, target: u16) -> Option<DevMask> {
        target_devs(self.btrees.sb(), target)
    }

    fn with_stripe<R>(&mut self, idx: u64, f: impl FnOnce(&Stripe<'_>) -> R) -> Result<Option<R>> {
        let found = self.btrees.lookup(BtreeId::STRIPES, Bpos::new(0, idx, 0))?;
        let stripe = found
            .as_ref()
            .map(|f| f.key())
            .filter(|k| k.k.key_type == KeyType::STRIPE)
            .and_then(|k| Stripe::decode(k.v).ok());
        Ok(stripe.map(|s| f(&s)))
    }

    fn indirect(&mut self, idx: u64) -> Result<Option<Indirect>> {
        let from = Bpos::new(0, idx.saturating_add(1), 0);
        let mut iter = self.btrees.iter(BtreeId::REFLINK, 0, from);
        let key = iter.next()?;
        Ok(key.and_then(|key| {
            let refcount = refcount(key.v).ok()?;
            Some(Indirect {
                start: key.k.start_offset(),
                end: key.k.p.offset,
                refcount,
            })
        }))
    }

    // What inodes of other snapshots are for is a flag in an inode, which is not looked at here.
    fn parent_inode(&mut self, _: Bpos) -> Result<Option<(Bpos, InodeFlags)>> {
        Ok(None)
    }

    fn has_child_inode(&mut self, _: Bpos) -> Result<bool> {
        Ok(true)
    }

    fn found(&self, id: FsckError, what: fmt::Arguments<'_>) {
        self.odd.set(self.odd.get().saturating_add(1));
        if self.is_quiet {
            return;
        }
        let st = self.btrees.sb();
        if st.admit_message() {
            pr_err!("{}: {id}: {what}", st.name());
        }
        st.errors.count(id);
    }
}
