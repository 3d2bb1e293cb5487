// SPDX-License-Identifier: GPL-2.0

//! What each kind of write may use of what is left, so that writes that free space always can.

use crate::env::num::div_or_zero;

pub use crate::journal::live::Watermark;

/// How many of `nr` open buckets are for more urgent writes than these.
/// C: `open_buckets_reserved()`.
pub(super) const fn open_reserved(watermark: Watermark, nr: u16) -> u16 {
    match watermark {
        Watermark::InteriorUpdates => 0,
        Watermark::Reclaim => nr / 6,
        Watermark::Btree | Watermark::BtreeCopyGc => nr / 4,
        Watermark::CopyGc => nr / 3,
        Watermark::Normal | Watermark::Stripe => nr / 2,
    }
}

/// The most nodes that one update of a btree writes. C: `BTREE_RESERVE_MAX`.
const UPDATE_NODES: u64 = 7;

/// The buckets of a device, at some moment.
///
/// C: `struct bch_dev_usage` with what else `dev_buckets_free()` looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DevSpace {
    /// All buckets.
    pub nr_buckets: u64,
    /// Sectors of a bucket.
    pub bucket_sectors: u64,
    /// Sectors of a btree node.
    pub node_sectors: u64,
    /// Buckets counted as `free`.
    pub free: u64,
    /// Buckets counted as `cached`.
    pub cached: u64,
    /// Buckets counted as `need_discard`.
    pub need_discard: u64,
    /// Buckets counted as `need_gc_gens`.
    pub need_gc_gens: u64,
    /// Open buckets that are still counted as `free`: [`OpenBuckets::nr_unused`].
    ///
    /// [`OpenBuckets::nr_unused`]: super::OpenBuckets::nr_unused
    pub open_unused: u64,
    /// For how many replicas data on the device counts; 0 for one that only caches.
    pub durability: u8,
}

impl DevSpace {
    /// Buckets for four updates of a btree. C: `nr_btree_reserve`.
    fn btree_reserve(&self) -> u64 {
        let nodes = UPDATE_NODES.saturating_mul(4);
        let per_bucket = div_or_zero(self.bucket_sectors, self.node_sectors).max(1);
        let rounded = nodes.saturating_add(per_bucket.saturating_sub(1));
        div_or_zero(rounded, per_bucket)
    }

    /// Buckets that writes of this kind have to leave. Who empties buckets leaves some for writing
    /// back the journal, without which nothing becomes free; C lets both take all.
    ///
    /// C: `bch2_dev_buckets_reserved()`.
    pub fn reserved(&self, watermark: Watermark) -> u64 {
        // Without one bucket at least, data could not be moved.
        let part = (self.nr_buckets >> 6).max(1);
        let btree = self.btree_reserve();
        let terms = match watermark {
            Watermark::Stripe => [part, part, btree, btree],
            Watermark::Normal => [0, part, btree, btree],
            Watermark::CopyGc => [0, 0, btree, btree],
            Watermark::Btree => [0, 0, 0, btree],
            Watermark::BtreeCopyGc => [0, 0, 0, btree >> 1],
            Watermark::Reclaim | Watermark::InteriorUpdates => [0; 4],
        };
        terms.into_iter().fold(0, u64::saturating_add)
    }

    /// Buckets that writes of this kind can take now.
    ///
    /// Of open buckets, those that were written to are not counted as free any more and so are not
    /// taken off again; C does that, and gets stuck earlier on a small device.
    ///
    /// C: `dev_buckets_free()`.
    pub fn free_for(&self, watermark: Watermark) -> u64 {
        self.free
            .saturating_sub(self.open_unused)
            .saturating_sub(self.reserved(watermark))
    }

    /// Buckets that writes of this kind can take now, or when what is waiting for it is discarded
    /// and what is cached is dropped. C: `__dev_buckets_available()`.
    pub fn available_for(&self, watermark: Watermark) -> u64 {
        [self.free, self.cached, self.need_gc_gens, self.need_discard]
            .into_iter()
            .fold(0, u64::saturating_add)
            .saturating_sub(self.open_unused)
            .saturating_sub(self.reserved(watermark))
    }

    /// Buckets of cached data that are to be dropped. One at least is to be free, also where there
    /// are few, of which C wants none.
    ///
    /// C: `should_invalidate_buckets()`.
    pub fn to_invalidate(&self) -> u64 {
        let want = (self.nr_buckets >> 7).max(1);
        let free = self
            .free
            .saturating_add(self.need_discard)
            .saturating_sub(self.reserved(Watermark::Stripe));
        want.saturating_sub(free).min(self.cached)
    }

    /// Whether discarding what is waiting for it would help writes of this kind more than what is
    /// free. C: the condition in `bch2_bucket_alloc_trans()`.
    pub fn wants_discard(&self, watermark: Watermark) -> bool {
        self.need_discard > self.free_for(watermark)
    }
}
