// SPDX-License-Identifier: GPL-2.0

//! Binary search trees laid out in an array level by level, as M. Eytzinger numbered ancestors:
//! the root is 1, the children of `i` are `2 * i` and `2 * i + 1`. A search touches neighbouring
//! elements first, and needs no branch that the CPU would have to guess.
//!
//! A tree of `size` elements has indices 1 to `size`; "in order" positions are 1 to `size` too.

/// Position of the highest bit; 0 for 0.
#[inline]
const fn log2(v: u32) -> u32 {
    match v.checked_ilog2() {
        Some(l) => l,
        None => 0,
    }
}

/// What the conversions below need to know about a tree of `size` elements: how many in-order
/// positions, counted in units of the full last level, the partly filled last level covers.
///
/// C: `eytzinger1_extra()`.
#[inline]
pub const fn extra(size: u32) -> u32 {
    if size == 0 {
        return 0;
    }
    size.wrapping_add(1).wrapping_sub(1 << log2(size)) << 1
}

/// The in-order position of the element with tree index `i`, which is 1 to `size`.
///
/// C: `__eytzinger1_to_inorder()`.
#[inline]
pub const fn to_inorder(i: u32, size: u32, extra: u32) -> u32 {
    let level = log2(i);
    // The position there would be if the last level were full.
    let full = (((i ^ (1 << level)) << 1) | 1) << (log2(size).wrapping_sub(level) & 31);
    if full > extra {
        full.wrapping_sub(full.wrapping_sub(extra) >> 1)
    } else {
        full
    }
}

/// The tree index of the element at in-order position `i`, which is 1 to `size`.
///
/// C: `__inorder_to_eytzinger1()`.
#[inline]
pub const fn from_inorder(i: u32, size: u32, extra: u32) -> u32 {
    let full = if i > extra {
        i.wrapping_add(i.wrapping_sub(extra))
    } else {
        i
    };
    // The lowest bit set says how far above the last level the element is.
    let height = full.trailing_zeros();
    (full >> (height & 31) >> 1) | (1 << (log2(size).wrapping_sub(height) & 31))
}

/// The nearest ancestor of `i` that comes before it in order; 0 when there is none.
#[inline]
pub const fn left_ancestor(i: u32) -> u32 {
    i >> (i.trailing_zeros() & 31) >> 1
}

/// The nearest ancestor of `i` that comes after it in order; 0 when there is none.
#[inline]
pub const fn right_ancestor(i: u32) -> u32 {
    i >> (i.trailing_ones() & 31) >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In-order walk by definition.
    fn walk(i: u32, size: u32, out: &mut std::vec::Vec<u32>) {
        if i <= size {
            walk(2 * i, size, out);
            out.push(i);
            walk(2 * i + 1, size, out);
        }
    }

    #[test]
    fn conversions_match_a_walk() {
        for size in (1..300).step_by(if cfg!(miri) { 29 } else { 1 }) {
            let mut order = std::vec::Vec::new();
            walk(1, size, &mut order);
            let x = extra(size);
            for (n, i) in order.iter().enumerate() {
                let n = n as u32 + 1;
                assert_eq!(to_inorder(*i, size, x), n, "{i} of {size}");
                assert_eq!(from_inorder(n, size, x), *i, "{n} of {size}");
            }
        }
    }

    #[test]
    fn ancestors_bound_an_element() {
        for size in (1..200).step_by(if cfg!(miri) { 29 } else { 1 }) {
            let mut order = std::vec::Vec::new();
            walk(1, size, &mut order);
            let mut place = std::vec![0; order.len() + 1];
            (0..).zip(&order).for_each(|(n, i)| place[*i as usize] = n);
            let place = |i: u32| place[i as usize];
            for i in 1..=size {
                let up = |i: u32| Some(i >> 1).filter(|a| *a > 0);
                let above = || core::iter::successors(up(i), |a| up(*a));
                let before = above().filter(|a| place(*a) < place(i)).max();
                let after = above().filter(|a| place(*a) > place(i)).max();
                assert_eq!(left_ancestor(i), before.unwrap_or(0));
                assert_eq!(right_ancestor(i), after.unwrap_or(0));
            }
        }
    }

    #[test]
    fn nonsense_does_not_trap() {
        for i in [0, 1, u32::MAX] {
            for size in [0, 1, 7] {
                to_inorder(i, size, extra(size));
                from_inorder(i, size, extra(size));
            }
        }
    }
}
