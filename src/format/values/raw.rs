// SPDX-License-Identifier: GPL-2.0

//! Taking structures off the front of a value.

use crate::error::{
    fsck::FsckError,
    Invalid, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

/// The structure at the front of `v`, and the bytes behind it.
pub(super) fn split<T: FromBytes>(v: &[u8]) -> Result<(T, &[u8]), Invalid> {
    T::read_from_prefix(v).map_err(|_| too_small(v, size_of::<T>()))
}

/// The structure at the front of `v`, whatever follows.
pub(super) fn prefix<T: FromBytes>(v: &[u8]) -> Result<T, Invalid> {
    split(v).map(|(t, _)| t)
}

/// The structure at the front of `v`, which may end anywhere after `min` bytes: an older version
/// wrote fewer fields, which read as zero. C: `bkey_val_copy_pad()`.
pub(super) fn padded<T: FromBytes + IntoBytes>(v: &[u8], min: usize) -> Result<T, Invalid> {
    if v.len() < min {
        return Err(too_small(v, min));
    }
    let mut t = T::new_zeroed();
    for (to, from) in t.as_mut_bytes().iter_mut().zip(v) {
        *to = *from;
    }
    Ok(t)
}

/// Checks that a value has at least `min` bytes. C: `min_val_size`.
pub(super) fn at_least(v: &[u8], min: usize) -> Result<(), Invalid> {
    if v.len() < min {
        return Err(too_small(v, min));
    }
    Ok(())
}

fn too_small(v: &[u8], min: usize) -> Invalid {
    Invalid::with(
        FsckError::BKEY_VAL_SIZE_TOO_SMALL,
        "bytes in the value",
        crate::env::num::u64_of(v.len()),
        crate::env::num::u64_of(min),
    )
}

/// Bits `from..to` of `word`; 0 for a range that is no range.
#[inline]
pub(super) const fn bits(word: u64, from: u32, to: u32) -> u64 {
    match (to.checked_sub(from), 64u32.checked_sub(to)) {
        (Some(1..), Some(above)) => word
            .wrapping_shl(above)
            .wrapping_shr(from.wrapping_add(above)),
        _ => 0,
    }
}

/// `value` at bits `from..to`; excess high bits are cut off.
#[inline]
pub(super) const fn place(value: u64, from: u32, to: u32) -> u64 {
    match to.checked_sub(from) {
        Some(len @ 1..=64) => {
            bits(value, 0, len).wrapping_shl(from) // from < 64 because to <= 64
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_and_place_are_inverse() {
        for (from, to) in [(0, 1), (4, 48), (56, 64), (0, 64), (31, 36), (63, 64)] {
            let all = u64::MAX >> (64 - (to - from));
            assert_eq!(bits(u64::MAX, from, to), all);
            assert_eq!(bits(place(all, from, to), from, to), all);
            assert_eq!(place(u64::MAX, from, to).count_ones(), to - from);
        }
        assert_eq!(bits(u64::MAX, 5, 5), 0);
        assert_eq!(bits(u64::MAX, 6, 5), 0);
        assert_eq!(bits(u64::MAX, 0, 65), 0);
    }

    #[test]
    fn padded_reads_missing_fields_as_zero() {
        use zerocopy::little_endian::U64;
        let v: U64 = padded(&[1, 2], 2).unwrap();
        assert_eq!(v.get(), 0x0201);
        assert!(padded::<U64>(&[1], 2).is_err());
    }
}
