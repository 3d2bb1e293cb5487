// SPDX-License-Identifier: GPL-2.0

//! Buckets in which data is written over where it is.

use crate::{
    env::{
        units::{
            BucketNr,
            DevIdx, //
        },
        Vec, //
    },
    error::Result,
};

/// In how many buckets data is written over at a time. What is more goes elsewhere.
const IN_PLACE_MAX: usize = 256;

/// Who has a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// So many writes, never 0.
    Writes(u32),
    /// Its data is moved elsewhere.
    Mover,
}

/// Buckets in which data is written over where it is, and those out of which it is moved: never the
/// same. Else what is written after the mover has read it would be lost.
///
/// Nobody waits here: who writes goes elsewhere, and who moves takes another bucket. A list that is
/// searched is enough, as only what is under way is in it.
///
/// C: `struct bucket_nocow_lock_table`.
pub struct InPlace {
    held: Vec<(DevIdx, BucketNr, Holder)>,
}

impl InPlace {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self {
            held: Vec::with_capacity(IN_PLACE_MAX)?,
        })
    }

    fn find(&mut self, dev: DevIdx, bucket: BucketNr) -> Option<&mut (DevIdx, BucketNr, Holder)> {
        let mut all = self.held.iter_mut();
        all.find(|(d, b, _)| (*d, *b) == (dev, bucket))
    }

    fn add(&mut self, dev: DevIdx, bucket: BucketNr, holder: Holder) -> bool {
        // There is memory for so many.
        self.held.len() < IN_PLACE_MAX && self.held.push((dev, bucket, holder)).is_ok()
    }

    fn remove(&mut self, dev: DevIdx, bucket: BucketNr) {
        let at = self
            .held
            .iter()
            .position(|(d, b, _)| (*d, *b) == (dev, bucket));
        if let Some(last) = self.held.pop() {
            if let Some(place) = at.and_then(|at| self.held.get_mut(at)) {
                *place = last;
            }
        }
    }

    /// Data in a bucket is about to be written over. `false` when it must not be.
    ///
    /// C: `bch2_bucket_nocow_trylock()`, for an update.
    #[must_use]
    pub fn begin_write(&mut self, dev: DevIdx, bucket: BucketNr) -> bool {
        match self.find(dev, bucket) {
            Some((_, _, Holder::Writes(nr))) => {
                *nr = nr.saturating_add(1);
                true
            }
            Some((_, _, Holder::Mover)) => false,
            None => self.add(dev, bucket, Holder::Writes(1)),
        }
    }

    /// That was done, and the keys that point there say so.
    pub fn end_write(&mut self, dev: DevIdx, bucket: BucketNr) {
        match self.find(dev, bucket) {
            Some((_, _, Holder::Writes(nr @ 2..))) => *nr = nr.wrapping_sub(1),
            Some((_, _, Holder::Writes(_))) => self.remove(dev, bucket),
            _ => (),
        }
    }

    /// What is in a bucket is about to be moved elsewhere. `false` when somebody is writing there,
    /// or moves it, too.
    ///
    /// C: `bch2_bucket_nocow_trylock()`, for a copy.
    #[must_use]
    pub fn begin_move(&mut self, dev: DevIdx, bucket: BucketNr) -> bool {
        self.find(dev, bucket).is_none() && self.add(dev, bucket, Holder::Mover)
    }

    /// That was done.
    pub fn end_move(&mut self, dev: DevIdx, bucket: BucketNr) {
        if let Some((_, _, Holder::Mover)) = self.find(dev, bucket) {
            self.remove(dev, bucket);
        }
    }

    /// Whether data in a bucket is being written over.
    pub fn is_written(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        let mut all = self.held.iter();
        all.any(|(d, b, h)| (*d, *b) == (dev, bucket) && *h != Holder::Mover)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEV: DevIdx = DevIdx(1);

    #[test]
    fn a_bucket_is_written_to_or_emptied() {
        let mut all = InPlace::try_new().unwrap();
        let (a, b) = (BucketNr(5), BucketNr(6));
        assert!(all.begin_write(DEV, a) && all.begin_write(DEV, a));
        assert!(all.begin_move(DEV, b));
        assert!(!all.begin_move(DEV, a) && !all.begin_move(DEV, b) && !all.begin_write(DEV, b));
        // Another device has buckets of its own.
        assert!(all.begin_write(DevIdx(2), b) && all.begin_move(DevIdx(2), a));
        assert!(all.is_written(DEV, a) && !all.is_written(DEV, b));
        all.end_write(DEV, a);
        assert!(!all.begin_move(DEV, a));
        // Who is not there changes nothing.
        all.end_move(DEV, a);
        all.end_write(DEV, b);
        all.end_write(DEV, BucketNr(7));
        assert!(all.is_written(DEV, a) && !all.begin_write(DEV, b));
        all.end_write(DEV, a);
        assert!(!all.is_written(DEV, a) && all.begin_move(DEV, a));
        all.end_move(DEV, b);
        assert!(all.begin_write(DEV, b));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut all = InPlace::try_new().unwrap();
        let nr = IN_PLACE_MAX as u64;
        for bucket in 0..nr {
            assert!(all.begin_write(DEV, BucketNr(bucket)));
        }
        assert!(!all.begin_write(DEV, BucketNr(nr)) && !all.begin_move(DEV, BucketNr(nr)));
        assert!(all.begin_write(DEV, BucketNr(3)));
        all.end_write(DEV, BucketNr(4));
        assert!(all.begin_write(DEV, BucketNr(nr)));
        let left = (0..=nr).filter(|b| all.is_written(DEV, BucketNr(*b)));
        assert_eq!(left.count() as u64, nr);
    }
}
