// SPDX-License-Identifier: GPL-2.0

//! Variable-length integers: the number of trailing one bits of the first byte says how many
//! bytes follow it; the value is what lies above the zero bit that ends them.

use crate::env::num::{
    low_u8,
    usize_of_u32, //
};

/// Bytes an encoded integer can have.
pub const VARINT_MAX: usize = 9;

/// Decodes an integer off the front of `bytes`: the value, and what follows it. `None` when it
/// would end beyond `bytes`. C: `bch2_varint_decode()`.
#[inline]
pub fn decode(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = bytes.first()?;
    let len = first.trailing_ones().wrapping_add(1);
    let (own, rest) = bytes.split_at_checked(usize_of_u32(len))?;
    if len == 9 {
        let value = own.get(1..9)?.try_into().ok()?;
        return Some((u64::from_le_bytes(value), rest));
    }
    let word = own
        .iter()
        .rev()
        .fold(0u64, |word, &b| word.wrapping_shl(8) | u64::from(b));
    Some((word.wrapping_shr(len), rest))
}

/// An integer, encoded: the bytes and how many of them count, 1 to [`VARINT_MAX`].
/// C: `bch2_varint_encode()`.
pub fn encode(value: u64) -> ([u8; VARINT_MAX], usize) {
    let mut out = [0; VARINT_MAX];
    let bits = 64u32.wrapping_sub((value | 1).leading_zeros());
    let len = bits.div_ceil(7);
    if len < 9 {
        let ones = 1u64.wrapping_shl(len.wrapping_sub(1)).wrapping_sub(1);
        let word = value.wrapping_shl(len) | ones;
        for (to, from) in out.iter_mut().zip(word.to_le_bytes()) {
            *to = from;
        }
        return (out, usize_of_u32(len));
    }
    for (to, from) in out
        .iter_mut()
        .zip(core::iter::once(low_u8(u64::MAX)).chain(value.to_le_bytes()))
    {
        *to = from;
    }
    (out, VARINT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_at_every_length() {
        for shift in 0..64 {
            for v in [1u64 << shift, (1 << shift) - 1, (1 << shift) + 1] {
                let (bytes, len) = encode(v);
                let mut buf = bytes[..len].to_vec();
                assert_eq!(decode(&buf), Some((v, &[][..])), "{v:#x}");
                buf.push(0xaa);
                assert_eq!(decode(&buf), Some((v, &[0xaa][..])));
                assert_eq!(decode(&buf[..len - 1]), None);
            }
        }
        assert_eq!(encode(u64::MAX).1, 9);
        assert_eq!(decode(&[]), None);
    }

    #[test]
    fn golden() {
        assert_eq!(&encode(0).0[..1], [0]);
        assert_eq!(&encode(127).0[..1], [0xfe]);
        assert_eq!(&encode(128).0[..2], [0x01, 0x02]);
        assert_eq!(decode(&[0x01, 0x02]), Some((128, &[][..])));
    }
}
