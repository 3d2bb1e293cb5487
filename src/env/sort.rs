// SPDX-License-Identifier: GPL-2.0

//! Heapsort: in place, O(n log n) always, no allocation. `core`'s sorts panic when the order
//! given is not total, which bytes from disk could bring about.

use core::cmp::Ordering;

fn sift_down<T>(v: &mut [T], mut root: usize, cmp: &mut impl FnMut(&T, &T) -> Ordering) {
    loop {
        let left = root.saturating_mul(2).saturating_add(1);
        let right = left.saturating_add(1);
        let (Some(r), Some(l)) = (v.get(root), v.get(left)) else {
            return;
        };
        let mut largest = root;
        let mut top = r;
        if cmp(top, l).is_lt() {
            (largest, top) = (left, l);
        }
        if v.get(right).is_some_and(|x| cmp(top, x).is_lt()) {
            largest = right;
        }
        if largest == root || !exchange(v, root, largest) {
            return;
        }
        root = largest;
    }
}

/// Swaps two different elements; says whether both exist.
pub(super) fn exchange<T>(v: &mut [T], a: usize, b: usize) -> bool {
    let (lo, hi) = if a < b { (a, b) } else { (b, a) };
    let Some((head, tail)) = v.split_at_mut_checked(hi) else {
        return false;
    };
    match (head.get_mut(lo), tail.first_mut()) {
        (Some(x), Some(y)) => {
            core::mem::swap(x, y);
            true
        }
        _ => false,
    }
}

/// Sorts `v` by `cmp`. Not stable. Any `cmp` terminates without a panic.
pub fn sort_by<T>(v: &mut [T], mut cmp: impl FnMut(&T, &T) -> Ordering) {
    for root in (0..v.len() >> 1).rev() {
        sift_down(v, root, &mut cmp);
    }
    for end in (1..v.len()).rev() {
        exchange(v, 0, end);
        if let Some(heap) = v.get_mut(..end) {
            sift_down(heap, 0, &mut cmp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorts_all_small_inputs() {
        for n in 0..7u32 {
            for code in 0..n.pow(n) {
                let mut v: std::vec::Vec<u32> = (0..n).map(|i| code / n.pow(i) % n).collect();
                let mut want = v.clone();
                want.sort();
                sort_by(&mut v, |a, b| a.cmp(b));
                assert_eq!(v, want);
            }
        }
    }

    #[test]
    fn nonsense_order_terminates() {
        let mut v: std::vec::Vec<u32> = (0..100).collect();
        sort_by(&mut v, |_, _| Ordering::Less);
        assert_eq!(v.len(), 100);
    }
}
