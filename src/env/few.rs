// SPDX-License-Identifier: GPL-2.0

//! Lists that are mostly short.

use super::Vec;
use crate::error::Result;

/// A list whose first `N` elements need no memory of their own.
#[derive(Debug)]
pub struct Few<T, const N: usize> {
    first: [Option<T>; N],
    /// Those behind.
    more: Vec<T>,
    len: usize,
}

impl<T, const N: usize> Few<T, N> {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            first: [const { None }; N],
            more: Vec::new(),
            len: 0,
        }
    }

    /// Appends `value`.
    #[inline]
    pub fn push(&mut self, value: T) -> Result {
        match self.first.get_mut(self.len) {
            Some(place) => *place = Some(value),
            None => self.more.push(value)?,
        }
        self.len = self.len.saturating_add(1);
        Ok(())
    }

    /// The element at position `at`.
    #[inline]
    pub fn get(&self, at: usize) -> Option<&T> {
        match self.first.get(at) {
            Some(place) => place.as_ref(),
            None => self.more.get(at.wrapping_sub(N)),
        }
    }

    /// The element at position `at`, to change.
    #[inline]
    pub fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        match self.first.get_mut(at) {
            Some(place) => place.as_mut(),
            None => self.more.get_mut(at.wrapping_sub(N)),
        }
    }

    /// The last element, to change.
    #[inline]
    pub fn last_mut(&mut self) -> Option<&mut T> {
        self.get_mut(self.len.checked_sub(1)?)
    }

    /// All elements.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let first = self.first.iter().take(self.len).flatten();
        first.chain(self.more.iter())
    }
}

impl<T, const N: usize> Default for Few<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_list() {
        let mut few: Few<usize, 3> = Few::new();
        assert_eq!(few.last_mut(), None);
        for n in 0..10 {
            assert!(few.iter().copied().eq(0..n));
            assert_eq!(few.get(n), None);
            assert_eq!(few.get_mut(n), None);
            few.push(n + 1).unwrap();
            *few.last_mut().unwrap() = n;
            assert_eq!(few.get(n), Some(&n));
        }
    }
}
