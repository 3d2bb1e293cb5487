// SPDX-License-Identifier: GPL-2.0

//! Dropping some elements of an array. The kernel crate's way of doing so can panic.

use super::{
    sort::exchange,
    Vec, //
};

impl<T> Vec<T> {
    /// Drops all elements for which `keep` is false; the others stay in order.
    pub fn retain(&mut self, mut keep: impl FnMut(&mut T) -> bool) {
        let mut kept = 0usize;
        for at in 0..self.len() {
            if self.get_mut(at).is_some_and(&mut keep) {
                if at != kept {
                    exchange(self, kept, at);
                }
                kept = kept.saturating_add(1);
            }
        }
        self.truncate(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_kept_stay_in_order() {
        for pattern in 0u32..1 << 6 {
            let mut v = Vec::new();
            (0..6u32).for_each(|n| v.push(n).unwrap());
            v.retain(|n| pattern >> *n & 1 != 0);
            assert!(v
                .iter()
                .copied()
                .eq((0..6).filter(|n| pattern >> n & 1 != 0)));
        }
    }
}
