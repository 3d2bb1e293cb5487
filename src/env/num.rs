// SPDX-License-Identifier: GPL-2.0

//! Integer conversions that lose nothing, and arithmetic that can not trap.
//!
//! The only place where `as` between integers is allowed. The project targets 64-bit machines.

#![allow(clippy::as_conversions)]

const _: () = assert!(usize::BITS == 64, "only 64-bit machines are supported");

/// `u64` as an index or length; lossless on 64-bit machines.
#[inline]
pub const fn usize_of(v: u64) -> usize {
    v as usize
}

/// `u32` as an index or length.
#[inline]
pub const fn usize_of_u32(v: u32) -> usize {
    v as usize
}

/// `u8` as an index or length; for constants, elsewhere `usize::from` does it.
#[inline]
pub const fn usize_of_u8(v: u8) -> usize {
    v as usize
}

/// An index or length as `u64`.
#[inline]
pub const fn u64_of(v: usize) -> u64 {
    v as u64
}

/// The low 32 bits.
#[inline]
pub const fn low_u32(v: u64) -> u32 {
    v as u32
}

/// The low 16 bits.
#[inline]
pub const fn low_u16(v: u64) -> u16 {
    v as u16
}

/// The low 8 bits.
#[inline]
pub const fn low_u8(v: u64) -> u8 {
    v as u8
}

/// A length that saturates at `u32::MAX`.
#[inline]
pub const fn sat_u32(v: usize) -> u32 {
    if v > u32::MAX as usize {
        u32::MAX
    } else {
        v as u32
    }
}

/// Two's complement reinterpretation.
#[inline]
pub const fn i64_of_bits(v: u64) -> i64 {
    v as i64
}

/// Two's complement reinterpretation.
#[inline]
pub const fn u64_of_bits(v: i64) -> u64 {
    v as u64
}

/// Two's complement reinterpretation.
#[inline]
pub const fn i32_of_bits(v: u32) -> i32 {
    v as i32
}

/// The number with the same bits.
#[allow(clippy::cast_sign_loss)]
#[inline]
pub const fn u32_of_bits(v: i32) -> u32 {
    v as u32
}

/// Two's complement reinterpretation.
#[inline]
pub const fn isize_of_bits(v: usize) -> isize {
    v as isize
}

/// `a / b`, or 0 when `b` is 0.
#[inline]
pub const fn div_or_zero(a: u64, b: u64) -> u64 {
    match a.checked_div(b) {
        Some(v) => v,
        None => 0,
    }
}

/// `a % b`, or 0 when `b` is 0.
#[inline]
pub const fn rem_or_zero(a: u64, b: u64) -> u64 {
    match a.checked_rem(b) {
        Some(v) => v,
        None => 0,
    }
}

/// `v` rounded up to a multiple of `to`, a power of two; `None` when that does not fit.
#[inline]
pub const fn round_up_pow2(v: u64, to: u64) -> Option<u64> {
    let mask = to.wrapping_sub(1);
    match v.checked_add(mask) {
        Some(s) => Some(s & !mask),
        None => None,
    }
}

/// `v` rounded down to a multiple of `to`, a power of two.
#[inline]
pub const fn round_down_pow2(v: u64, to: u64) -> u64 {
    v & !to.wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding() {
        assert_eq!(round_up_pow2(1, 8), Some(8));
        assert_eq!(round_up_pow2(8, 8), Some(8));
        assert_eq!(round_up_pow2(u64::MAX, 8), None);
        assert_eq!(round_down_pow2(15, 8), 8);
    }

    #[test]
    fn division_by_zero_is_zero() {
        assert_eq!(div_or_zero(5, 0), 0);
        assert_eq!(rem_or_zero(5, 0), 0);
        assert_eq!(div_or_zero(5, 2), 2);
        assert_eq!(rem_or_zero(5, 2), 1);
    }
}
