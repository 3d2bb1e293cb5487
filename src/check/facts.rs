// SPDX-License-Identifier: GPL-2.0

//! What pointers say of their buckets, and which of them can not be right then.

use super::look::Gens;
use crate::{
    alloc::{
        space::geometry,
        trigger::{
            bucket_of,
            metadata_buckets, //
        },
    },
    btree::Btrees,
    env::{
        num::usize_of,
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::values::{
        alloc::GC_GEN_MAX,
        extent_entry::Ptr, //
    },
};

/// What a bucket holds. Who comes later has precedence over those before: it can not be done
/// without.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Holds {
    /// Data, or nothing.
    #[default]
    Data,
    /// Blocks of stripes that others can be rebuilt of.
    Parity,
    /// Nodes of btrees.
    Nodes,
    /// Superblocks, or the journal.
    Metadata,
}

/// What pointers say of one bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact {
    holds: Holds,
    /// There is a pointer of the generation that is stored, to something that is still needed.
    is_confirmed: bool,
    /// The newest generation of such pointers.
    newest: u8,
}

/// Whether generation `a` comes after `b`, counting in a circle.
fn is_after(a: u8, b: u8) -> bool {
    matches!(a.wrapping_sub(b), 1..=127)
}

impl Fact {
    fn add(&mut self, holds: Holds, stored: u8, generation: u8) {
        if holds > self.holds {
            self.holds = holds;
            (self.is_confirmed, self.newest) = (false, generation);
        }
        if holds == self.holds {
            self.is_confirmed |= generation == stored;
            if is_after(generation, self.newest) {
                self.newest = generation;
            }
        }
    }

    /// What the generation should be. That of a node is always right, as nodes are found by
    /// nothing else and say themselves who they are.
    pub(super) fn generation(&self, stored: u8) -> u8 {
        match (self.holds, self.is_confirmed) {
            (Holds::Nodes | Holds::Data, false) => self.newest,
            _ => stored,
        }
    }
}

/// What pointers say of all buckets.
pub(super) struct Facts {
    by_dev: Vec<Vec<Fact>>,
}

impl Facts {
    /// Nothing but where superblocks and the journal are.
    #[inline(never)]
    pub(super) fn new(btrees: &Btrees, gens: &Gens) -> Result<Self> {
        let (mut by_dev, st) = (Vec::new(), btrees.sb());
        for dev in (0..st.sb.nr_devices()).map(DevIdx) {
            let nr = geometry(st, dev).map_or(0, |g| g.nr_buckets);
            let mut of_dev = Vec::with_capacity(usize_of(nr))?;
            for bucket in (0..nr).map(BucketNr) {
                of_dev.push(Fact {
                    holds: Holds::Data,
                    is_confirmed: false,
                    newest: gens.get(dev, bucket),
                })?;
            }
            by_dev.push(of_dev)?;
        }
        let mut this = Self { by_dev };
        for dev in st.devices() {
            metadata_buckets(&dev.own, &dev.member, |bucket, _, _| {
                this.add(
                    dev.idx,
                    bucket,
                    Holds::Metadata,
                    gens.get(dev.idx, bucket),
                    gens,
                );
                Ok(())
            })?;
        }
        Ok(this)
    }

    /// There is a pointer to something that the bucket holds.
    pub(super) fn add(
        &mut self,
        dev: DevIdx,
        bucket: BucketNr,
        holds: Holds,
        generation: u8,
        gens: &Gens,
    ) {
        let of_dev = self.by_dev.get_mut(usize::from(dev.0));
        if let Some(fact) = of_dev.and_then(|d| d.get_mut(usize_of(bucket.0))) {
            fact.add(holds, gens.get(dev, bucket), generation);
        }
    }

    /// All buckets, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DevIdx, BucketNr, &Fact)> {
        let devs = (0u8..=u8::MAX).map(DevIdx).zip(self.by_dev.iter());
        devs.flat_map(|(dev, facts)| {
            let buckets = (0u64..).map(BucketNr).zip(facts.iter());
            buckets.map(move |(bucket, fact)| (dev, bucket, fact))
        })
    }

    /// Why a pointer to data can not be right, when buckets have the generations `gens`.
    ///
    /// C: `bch2_check_fix_ptr()`, and what `bch2_check_fix_ptrs()` drops.
    pub(super) fn refute(&self, btrees: &Btrees, gens: &Gens, ptr: &Ptr) -> Option<FsckError> {
        if !ptr.has_dev() {
            return None;
        }
        let Some(dev) = geometry(btrees.sb(), ptr.dev) else {
            return Some(FsckError::PTR_TO_INVALID_DEVICE);
        };
        let (bucket, _) = bucket_of(ptr, &dev);
        let of_dev = self.by_dev.get(usize::from(ptr.dev.0));
        let Some(fact) = of_dev.and_then(|d| d.get(usize_of(bucket.0))) else {
            return Some(FsckError::PTR_AFTER_LAST_BUCKET);
        };
        match gens.get(ptr.dev, bucket).wrapping_sub(ptr.generation) {
            0 if fact.holds != Holds::Data => Some(FsckError::PTR_BUCKET_DATA_TYPE_MISMATCH),
            0 => None,
            128.. => Some(FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN),
            age if age > GC_GEN_MAX => Some(FsckError::PTR_TOO_STALE),
            _ if ptr.cached => None,
            _ => Some(FsckError::STALE_DIRTY_PTR),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(stored: u8, pointers: &[(Holds, u8)]) -> (Holds, u8) {
        let mut fact = Fact {
            holds: Holds::Data,
            is_confirmed: false,
            newest: stored,
        };
        for (holds, generation) in pointers {
            fact.add(*holds, stored, *generation);
        }
        (fact.holds, fact.generation(stored))
    }

    #[test]
    fn a_generation_that_a_pointer_has_is_kept() {
        use Holds::Data;
        assert_eq!(fact(5, &[]), (Data, 5));
        assert_eq!(fact(5, &[(Data, 5), (Data, 9), (Data, 2)]), (Data, 5));
        assert_eq!(fact(5, &[(Data, 9), (Data, 7)]), (Data, 9));
        assert_eq!(fact(5, &[(Data, 2)]), (Data, 5));
        assert_eq!(fact(255, &[(Data, 1)]), (Data, 1));
    }

    #[test]
    fn nodes_come_before_data_in_any_order() {
        use Holds::{
            Data,
            Metadata,
            Nodes,
            Parity, //
        };
        for pointers in [
            [(Data, 5), (Data, 9), (Nodes, 3)],
            [(Nodes, 3), (Data, 5), (Data, 9)],
        ] {
            assert_eq!(fact(5, &pointers), (Nodes, 3));
        }
        assert_eq!(fact(5, &[(Nodes, 4), (Nodes, 5)]), (Nodes, 5));
        assert_eq!(fact(5, &[(Parity, 6), (Data, 7)]), (Parity, 5));
        assert_eq!(fact(5, &[(Metadata, 5), (Nodes, 7)]), (Metadata, 5));
    }
}
