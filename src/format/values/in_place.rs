// SPDX-License-Identifier: GPL-2.0

//! Changing a field of a value where it is, without decoding the rest: what triggers and commits
//! do to keys. Each function returns `None`, and changes nothing, when the value is too short for
//! the field or the number does not fit.

use super::{
    accounting::COUNTERS_MAX,
    alloc::BUCKET_GENS,
    inode::InodeFlags,
    stripe::Stripe, //
};
use crate::format::key_type::KeyType;

/// The little-endian word of `N` bytes that starts at byte `at`.
fn word<const N: usize>(v: &mut [u8], at: usize) -> Option<&mut [u8; N]> {
    v.get_mut(at..)?.first_chunk_mut()
}

/// Adds `delta` to how many pointers lead to a `reflink_v` or `indirect_inline_data`, and returns
/// the sum. C: `le64_add_cpu(bkey_refcount(k), add)`.
pub fn add_refcount(v: &mut [u8], delta: i64) -> Option<u64> {
    let word = word(v, 0)?;
    let sum = u64::from_le_bytes(*word).checked_add_signed(delta)?;
    *word = sum.to_le_bytes();
    Some(sum)
}

/// Sets how far beyond its range a `reflink_p` holds references, in sectors.
pub fn set_reflink_pads(v: &mut [u8], front: u32, back: u32) -> Option<()> {
    let word: &mut [u8; 8] = word(v, 8)?;
    let [a, b, c, d] = front.to_le_bytes();
    let [e, f, g, h] = back.to_le_bytes();
    *word = [a, b, c, d, e, f, g, h];
    Some(())
}

/// Adds `delta` to the sectors used of a block of a `stripe`, and returns the sum.
/// C: `stripe_blockcount_set()`.
pub fn add_block_sectors(v: &mut [u8], block: u8, delta: i64) -> Option<u16> {
    let at = Stripe::decode(v).ok()?.block_sectors_at(block)?;
    let word = word(v, at)?;
    let sum = i64::from(u16::from_le_bytes(*word)).checked_add(delta)?;
    let sum = u16::try_from(sum).ok()?;
    *word = sum.to_le_bytes();
    Some(sum)
}

/// Sets or clears a flag of an inode of any version. C: `bkey_inode_flags_set()`.
pub fn set_inode_flag(key_type: KeyType, v: &mut [u8], flag: InodeFlags, on: bool) -> Option<()> {
    let at = match key_type {
        KeyType::INODE_V3 | KeyType::INODE_V2 => 16,
        KeyType::INODE => 8,
        _ => return None,
    };
    // Flags are the low bits in all versions.
    let word = word(v, at)?;
    let flags = u32::from_le_bytes(*word);
    let flags = match on {
        true => flags | flag.0,
        false => flags & !flag.0,
    };
    *word = flags.to_le_bytes();
    Some(())
}

/// Sets the journal entry that changed a key: of an `inode_v3`, or of an `alloc_v4`, where it is
/// the entry that made the bucket hold something or nothing.
pub fn set_journal_seq(key_type: KeyType, v: &mut [u8], seq: u64) -> Option<()> {
    match key_type {
        KeyType::INODE_V3 | KeyType::ALLOC_V4 => *word(v, 0)? = seq.to_le_bytes(),
        _ => return None,
    }
    Some(())
}

/// Sets one of the generations of a `bucket_gens`; `None` when that is no value of one.
pub fn set_bucket_gen(v: &mut [u8], nr: u8, generation: u8) -> Option<()> {
    let gens: &mut [u8; BUCKET_GENS] = v.try_into().ok()?;
    *gens.get_mut(usize::from(nr))? = generation;
    Some(())
}

/// Adds to the counters of an `accounting` key; `None` when the value has not as many.
/// C: `bch2_accounting_accumulate()`.
pub fn add_counters(v: &mut [u8], by: &[i64]) -> Option<()> {
    if by.len().checked_mul(8)? != v.len() {
        return None;
    }
    for (at, by) in v.chunks_exact_mut(8).zip(by) {
        let word: &mut [u8; 8] = word(at, 0)?;
        *word = i64::from_le_bytes(*word).wrapping_add(*by).to_le_bytes();
    }
    Some(())
}

/// The value of an `accounting` key with these counters, and how many bytes of it count. More than
/// [`COUNTERS_MAX`] are cut off.
pub fn encode_counters(counters: &[i64]) -> ([u8; COUNTERS_MAX * 8], usize) {
    let mut v = [0; COUNTERS_MAX * 8];
    let mut len = 0usize;
    for (to, from) in v.chunks_exact_mut(8).zip(counters) {
        for (to, from) in to.iter_mut().zip(from.to_le_bytes()) {
            *to = from;
        }
        len = len.wrapping_add(8);
    }
    (v, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{
        bkey::{
            Bkey,
            Key, //
        },
        values::{
            accounting::counters,
            inode::Inode,
            reflink::{
                refcount,
                ReflinkPtr, //
            },
        },
    };

    #[test]
    fn refcounts() {
        let mut v = [0u8; 16];
        assert_eq!(add_refcount(&mut v, 3), Some(3));
        assert_eq!(add_refcount(&mut v, -4), None);
        assert_eq!(refcount(&v).unwrap(), 3);
        assert_eq!(add_refcount(&mut v[..7], 1), None);
    }

    #[test]
    fn pads() {
        let ptr = ReflinkPtr {
            idx: 77,
            front_pad: 0,
            back_pad: 0,
            error: false,
            may_update_options: false,
        };
        let mut v = ptr.encode().unwrap();
        set_reflink_pads(&mut v, 5, 1 << 31).unwrap();
        let want = ReflinkPtr {
            front_pad: 5,
            back_pad: 1 << 31,
            ..ptr
        };
        assert_eq!(ReflinkPtr::decode(&v).unwrap(), want);
    }

    #[test]
    fn blocks() {
        // Two blocks of data, one of parity; no checksums.
        let mut v = std::vec![0u8; 40];
        v[0] = 128;
        v[3] = 3;
        v[4] = 1;
        assert_eq!(add_block_sectors(&mut v, 1, 7), Some(7));
        assert_eq!(add_block_sectors(&mut v, 1, -8), None);
        let read = |block| Stripe::decode(&v).unwrap().block_sectors(block);
        assert_eq!([read(0), read(1), read(3)], [Some(0), Some(7), None]);
        assert_eq!(add_block_sectors(&mut v, 3, 1), None);
    }

    #[test]
    fn inode_flags_and_seq() {
        let inode = Inode {
            mode: 0o100644,
            flags: InodeFlags::UNLINKED,
            size: 9,
            ..Inode::default()
        };
        let encoded = inode.encode();
        let mut v = encoded.as_bytes().to_vec();
        let ty = KeyType::INODE_V3;
        set_inode_flag(ty, &mut v, InodeFlags::HAS_CHILD_SNAPSHOT, true).unwrap();
        set_inode_flag(ty, &mut v, InodeFlags::UNLINKED, false).unwrap();
        set_journal_seq(ty, &mut v, 99).unwrap();
        let k = Bkey {
            key_type: ty,
            ..Bkey::default()
        };
        let want = Inode {
            flags: InodeFlags::HAS_CHILD_SNAPSHOT,
            journal_seq: 99,
            ..inode
        };
        assert_eq!(Inode::decode(&Key { k, v: &v }).unwrap(), Some(want));
        assert_eq!(
            set_inode_flag(KeyType::SET, &mut v, InodeFlags::SYNC, true),
            None
        );
    }

    #[test]
    fn gens_and_counters() {
        let mut v = [0u8; BUCKET_GENS];
        set_bucket_gen(&mut v, 255, 9).unwrap();
        assert_eq!(v[255], 9);
        assert_eq!(set_bucket_gen(&mut v[1..], 0, 9), None);
        let (v, len) = encode_counters(&[1, -2]);
        let mut v = v[..len].to_vec();
        assert!(counters(&v).eq([1, -2]));
        add_counters(&mut v, &[5, 2]).unwrap();
        assert!(counters(&v).eq([6, 0]));
        assert_eq!(add_counters(&mut v, &[1]), None);
    }
}
