// SPDX-License-Identifier: GPL-2.0

//! How urgent something is that takes space.

/// Who asks for space, the least urgent first. When space is short, only those may have it without
/// whom none can be made.
///
/// C: `enum bch_watermark`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Watermark {
    /// Making stripes.
    Stripe,
    /// What users asked for.
    Normal,
    /// Moving data so that buckets become free.
    CopyGc,
    /// Btree nodes.
    Btree,
    /// Btree nodes for moving data.
    BtreeCopyGc,
    /// Writing back what the journal holds.
    Reclaim,
    /// Finishing what others began.
    InteriorUpdates,
}

impl Watermark {
    /// All, the least urgent first.
    pub const ALL: [Self; 7] = [
        Self::Stripe,
        Self::Normal,
        Self::CopyGc,
        Self::Btree,
        Self::BtreeCopyGc,
        Self::Reclaim,
        Self::InteriorUpdates,
    ];

    /// The number, larger for what is more urgent.
    pub const fn rank(self) -> u8 {
        match self {
            Watermark::Stripe => 0,
            Watermark::Normal => 1,
            Watermark::CopyGc => 2,
            Watermark::Btree => 3,
            Watermark::BtreeCopyGc => 4,
            Watermark::Reclaim => 5,
            Watermark::InteriorUpdates => 6,
        }
    }
}
