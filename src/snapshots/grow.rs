// SPDX-License-Identifier: GPL-2.0

//! A list that grows while others read it.

use crate::{
    env::{
        num::{
            sat_u32,
            usize_of_u32, //
        },
        Vec,
    },
    error::{
        Error,
        Result, //
    },
    sys::sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Once, //
    },
};
use core::fmt;

/// Elements in the first part; a power of two.
const FIRST_PART: usize = 64;
/// Parts, each twice as long as the one before.
const PARTS: usize = 24;

/// A list whose elements stay where they are. Readers need no lock; those who add to it have to
/// exclude each other.
pub(super) struct Grow<T> {
    /// What was there from the beginning.
    first: Vec<T>,
    more: Vec<Once<Vec<Once<T>>>>,
    len: AtomicU32,
}

impl<T> Grow<T> {
    pub(super) fn try_new(first: Vec<T>) -> Result<Self> {
        let mut more = Vec::with_capacity(PARTS)?;
        for _ in 0..PARTS {
            more.push(Once::new(None))?;
        }
        Ok(Self {
            len: AtomicU32::new(sat_u32(first.len())),
            first,
            more,
        })
    }

    pub(super) fn len(&self) -> usize {
        usize_of_u32(self.len.load(Ordering::Acquire))
    }

    /// The part that the element `at` is in, and where there; of those behind the first ones.
    fn place(&self, at: usize) -> Option<(usize, usize)> {
        let at = at.checked_sub(self.first.len())?;
        let at = at.checked_add(FIRST_PART)?;
        let part = at
            .checked_ilog2()?
            .checked_sub(FIRST_PART.trailing_zeros())?;
        let begin = FIRST_PART.checked_shl(part)?;
        Some((usize_of_u32(part), at.checked_sub(begin)?))
    }

    #[inline]
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        if let Some(value) = self.first.get(at) {
            return Some(value);
        }
        let (part, slot) = self.place(at)?;
        self.more.get(part)?.get()?.get(slot)?.get()
    }

    /// Adds to a list that nobody reads yet.
    pub(super) fn add(&mut self, value: T) -> Result {
        self.first.push(value)?;
        *self.len.get_mut() = sat_u32(self.first.len());
        Ok(())
    }

    /// Makes room for `nr` more, so that adding them can not fail.
    pub(super) fn reserve(&self, nr: usize) -> Result {
        let len = self.len();
        for at in len..len.saturating_add(nr) {
            let Some((part, _)) = self.place(at) else {
                continue;
            };
            let Some(to) = self.more.get(part) else {
                return Err(Error::Overflow);
            };
            if to.get().is_some() {
                continue;
            }
            let nr = FIRST_PART.checked_shl(sat_u32(part)).unwrap_or(FIRST_PART);
            let mut slots = Vec::with_capacity(nr)?;
            for _ in 0..nr {
                slots.push(Once::new(None))?;
            }
            to.set(slots);
        }
        Ok(())
    }

    /// Adds one, for which there is room.
    pub(super) fn push(&self, value: T) -> Result {
        let len = self.len();
        let place = self.place(len);
        let slot = place.and_then(|(part, slot)| self.more.get(part)?.get()?.get(slot));
        match slot.map(|slot| slot.set(value)) {
            Some(true) => {
                let len = sat_u32(len).saturating_add(1);
                self.len.store(len, Ordering::Release);
                Ok(())
            }
            _ => Err(Error::Overflow),
        }
    }

    /// The first element for which `is_before` is false; those for which it is true come first.
    #[inline]
    pub(super) fn partition_point(&self, mut is_before: impl FnMut(&T) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let mid = low.midpoint(high);
            match self.get(mid).is_some_and(&mut is_before) {
                true => low = mid.saturating_add(1),
                false => high = mid,
            }
        }
        low
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl<T: fmt::Debug> fmt::Debug for Grow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_while_it_is_read() {
        let mut list = Grow::try_new(Vec::new()).unwrap();
        for i in 0..5u32 {
            list.add(i * 2).unwrap();
        }
        assert!(list.push(9).is_err(), "no room was made");
        let list = &list;
        std::thread::scope(|s| {
            s.spawn(|| {
                for i in 5..2000u32 {
                    list.reserve(2).unwrap();
                    list.push(i * 2).unwrap();
                }
            });
            while list.len() < 2000 {
                let len = list.len();
                assert!(list.iter().zip(0..).all(|(v, i)| *v == i * 2));
                assert_eq!(list.get(len - 1), Some(&((len as u32 - 1) * 2)));
                let at = list.partition_point(|v| *v < len as u32);
                assert_eq!(at, len.div_ceil(2));
            }
        });
        assert_eq!(list.get(2000), None);
    }
}
