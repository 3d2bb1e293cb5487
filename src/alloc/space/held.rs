// SPDX-License-Identifier: GPL-2.0

//! Buckets that are not taken while the check goes on.

use crate::{
    env::{
        num::{
            low_u32,
            usize_of, //
        },
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::Result,
};

/// Bits of a word.
const BITS: u64 = 64;

/// A set of buckets.
#[derive(Debug, Default)]
pub struct Held {
    /// By slot of the device, a bit for each bucket.
    by_dev: Vec<Vec<u64>>,
}

impl Held {
    /// No bucket, with room for those of device `dev`, which has so many.
    pub fn reserve(&mut self, dev: DevIdx, nr_buckets: u64) -> Result {
        while self.by_dev.len() <= usize::from(dev.0) {
            self.by_dev.push(Vec::new())?;
        }
        let words = usize_of(nr_buckets.div_ceil(BITS));
        match self.by_dev.get_mut(usize::from(dev.0)) {
            Some(of_dev) => of_dev.resize(words, 0),
            None => Ok(()),
        }
    }

    fn place(bucket: BucketNr) -> (usize, u64) {
        let bit = 1u64.wrapping_shl(low_u32(bucket.0 % BITS));
        (usize_of(bucket.0 / BITS), bit)
    }

    /// Adds a bucket, of those there is room for.
    pub fn add(&mut self, dev: DevIdx, bucket: BucketNr) {
        let (at, bit) = Self::place(bucket);
        let of_dev = self.by_dev.get_mut(usize::from(dev.0));
        if let Some(word) = of_dev.and_then(|d| d.get_mut(at)) {
            *word |= bit;
        }
    }

    /// Whether a bucket is in the set.
    pub fn has(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        let (at, bit) = Self::place(bucket);
        let of_dev = self.by_dev.get(usize::from(dev.0));
        of_dev
            .and_then(|d| d.get(at))
            .is_some_and(|word| word & bit != 0)
    }

    /// How many there are.
    pub fn nr(&self) -> u64 {
        let all = self.by_dev.iter().flat_map(|d| d.iter());
        all.map(|w| u64::from(w.count_ones()))
            .fold(0, u64::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_set() {
        let mut held = Held::default();
        held.reserve(DevIdx(2), 130).unwrap();
        for b in [0, 63, 64, 129] {
            assert!(!held.has(DevIdx(2), BucketNr(b)));
            held.add(DevIdx(2), BucketNr(b));
            assert!(held.has(DevIdx(2), BucketNr(b)));
        }
        held.add(DevIdx(2), BucketNr(1000));
        held.add(DevIdx(0), BucketNr(1));
        assert_eq!(held.nr(), 4);
        assert!(!held.has(DevIdx(2), BucketNr(1)) && !held.has(DevIdx(9), BucketNr(0)));
    }
}
