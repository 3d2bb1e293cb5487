// SPDX-License-Identifier: GPL-2.0

//! A queue by number, the lowest first, into which a promised element always fits: the last steps
//! of a commit can not fail.

use crate::{
    env::Vec,
    error::Result, //
};

/// Elements in order of their numbers. They come nearly in order.
#[derive(Debug)]
pub(super) struct Queue<T> {
    /// A ring.
    slots: Vec<Option<(u64, T)>>,
    /// The slot of the first one, and how many there are.
    first: usize,
    len: usize,
    /// Slots that are kept free for who was promised one.
    promised: usize,
}

const MIN_SLOTS: usize = 64;

impl<T> Queue<T> {
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            first: 0,
            len: 0,
            promised: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Promises room for `nr` more.
    pub(super) fn promise(&mut self, nr: usize) -> Result {
        let promised = self.promised.saturating_add(nr);
        let wanted = self.len.saturating_add(promised);
        if wanted > self.slots.len() {
            self.grow(wanted)?;
        }
        self.promised = promised;
        Ok(())
    }

    /// Takes the promise of `nr` back.
    pub(super) fn release(&mut self, nr: usize) {
        self.promised = self.promised.saturating_sub(nr);
    }

    #[inline(never)]
    fn grow(&mut self, wanted: usize) -> Result {
        let nr = self.slots.len().saturating_mul(2);
        let nr = nr.max(wanted).max(MIN_SLOTS);
        let mut slots = Vec::with_capacity(nr)?;
        for at in 0..nr {
            let old = match at < self.len {
                true => self.slot(at).and_then(Option::take),
                false => None,
            };
            // There is room; what is here must not get lost half-way.
            slots.push(old)?;
        }
        (self.slots, self.first) = (slots, 0);
        Ok(())
    }

    /// The slot of the element `nr` from the first one.
    fn slot(&mut self, nr: usize) -> Option<&mut Option<(u64, T)>> {
        let at = self.first.saturating_add(nr);
        let at = match at.checked_sub(self.slots.len()) {
            Some(wrapped) => wrapped,
            None => at,
        };
        self.slots.get_mut(at)
    }

    fn seq_at(&mut self, nr: usize) -> Option<u64> {
        Some(self.slot(nr)?.as_ref()?.0)
    }

    /// The place behind all elements with numbers up to `seq`.
    fn behind(&mut self, seq: u64) -> usize {
        let (mut from, mut to) = (0usize, self.len);
        // Most often it is the end.
        let mut at = self.len.saturating_sub(1);
        while from < to {
            match self.seq_at(at).is_some_and(|s| s <= seq) {
                true => from = at.saturating_add(1),
                false => to = at,
            }
            at = from.midpoint(to);
        }
        from
    }

    fn shift(&mut self, from: usize, to: usize) {
        let item = self.slot(from).and_then(Option::take);
        if let Some(slot) = self.slot(to) {
            *slot = item;
        }
    }

    /// Adds an element that was promised room. Those before it are moved, or those behind it,
    /// whichever are fewer: what could not be done yet comes back with a low number.
    pub(super) fn push(&mut self, seq: u64, item: T) {
        self.promised = self.promised.saturating_sub(1);
        let at = self.behind(seq);
        let len = self.len.saturating_add(1);
        if at < self.len / 2 {
            let end = self.slots.len();
            self.first = self.first.checked_sub(1).unwrap_or(end.saturating_sub(1));
            (0..at).for_each(|nr| self.shift(nr.saturating_add(1), nr));
        } else {
            let later = (at..self.len).rev();
            later.for_each(|nr| self.shift(nr, nr.saturating_add(1)));
        }
        self.len = len;
        if let Some(slot) = self.slot(at) {
            *slot = Some((seq, item));
        }
    }

    /// Takes the first element, if its number is `until` or less. Its room is promised to the
    /// caller, who may put it back.
    pub(super) fn pop(&mut self, until: u64) -> Option<(u64, T)> {
        self.seq_at(0).filter(|seq| *seq <= until)?;
        let taken = self.slot(0)?.take()?;
        self.first = match self.first.saturating_add(1) {
            end if end >= self.slots.len() => 0,
            next => next,
        };
        self.len = self.len.saturating_sub(1);
        self.promised = self.promised.saturating_add(1);
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_comes_first_and_what_was_promised_fits() {
        let mut q = Queue::new();
        let mut model: std::vec::Vec<u64> = std::vec::Vec::new();
        let (mut seed, mut promised) = (1u64, 0usize);
        for step in 0..50_000u64 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            match seed >> 62 {
                0 => {
                    let nr = (seed >> 40) as usize % 5;
                    q.promise(nr).unwrap();
                    promised += nr;
                }
                1 if promised > 0 => {
                    let seq = step / 8 + (seed >> 40) % 3;
                    q.push(seq, seq);
                    model.push(seq);
                    model.sort();
                    promised -= 1;
                }
                2 => {
                    let until = step / 8;
                    let want = model.first().copied().filter(|s| *s <= until);
                    assert_eq!(q.pop(until), want.map(|s| (s, s)));
                    if want.is_some() {
                        model.remove(0);
                        q.release(1);
                    }
                }
                _ => {
                    if let Some((seq, item)) = q.pop(u64::MAX) {
                        q.push(seq, item);
                    }
                }
            }
            assert_eq!(q.len(), model.len());
            assert!(q.slots.len() >= q.len + q.promised && q.promised == promised);
        }
        assert!(q.slots.len() < 40_000);
    }

    #[test]
    fn low_numbers_that_come_back_keep_the_order() {
        let mut q = Queue::new();
        q.promise(500).unwrap();
        (0..400u64).for_each(|seq| q.push(seq * 2, seq * 2));
        for round in 0..90u64 {
            let (seq, item) = q.pop(u64::MAX).unwrap();
            let (back, _) = q.pop(u64::MAX).unwrap();
            q.push(back, back);
            q.push(seq, item);
            q.push(round * 7 + 1, round * 7 + 1);
            assert_eq!(
                q.pop(u64::MAX).map(|(s, _)| s),
                Some(seq.min(round * 7 + 1))
            );
        }
        let left: std::vec::Vec<u64> =
            std::iter::from_fn(|| q.pop(u64::MAX).map(|(s, _)| s)).collect();
        assert_eq!(left.len(), 400);
        assert!(left.is_sorted());
    }

    #[test]
    fn equal_numbers_keep_their_order() {
        let mut q = Queue::new();
        q.promise(3).unwrap();
        for item in 0..3 {
            q.push(7, item);
        }
        let items = [(); 3].map(|()| q.pop(7).unwrap().1);
        assert_eq!(items, [0, 1, 2]);
        assert_eq!(q.pop(u64::MAX), None);
    }
}
