// SPDX-License-Identifier: GPL-2.0

//! Cutting extents: what an extent is when a part of its range belongs to another one.

use crate::{
    env::num::usize_of,
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        key_type::KeyType,
        values::{
            extent::entry_bytes,
            extent_entry::{
                Entries,
                Entry,
                EntrySizes, //
            },
            reflink::ReflinkPtr, //
        },
    },
};

/// Bytes in a sector.
const SECTOR_BYTES: u64 = 512;

/// Cuts the front off an extent, so that it starts at `start`, which has to be within it; an extent
/// that starts there or later is left as it is. Returns how many bytes of the value remain.
///
/// C: `bch2_cut_front_s()`.
pub fn cut_front(
    k: &mut Bkey,
    v: &mut [u8],
    start: u64,
    sizes: &EntrySizes,
) -> Result<usize, Invalid> {
    let by = start.saturating_sub(k.start_offset());
    let left = u64::from(k.size).checked_sub(by).filter(|left| *left > 0);
    let (Some(left), len) = (left, v.len()) else {
        return Err(not_within(start, k));
    };
    if by == 0 {
        return Ok(len);
    }
    let remains = match k.key_type {
        KeyType::EXTENT | KeyType::REFLINK_V => {
            let from = len.saturating_sub(entry_bytes(&Key { k: *k, v }).len());
            move_pointers(v.get_mut(from..).unwrap_or(&mut []), by, sizes)?;
            len
        }
        KeyType::REFLINK_P => {
            let mut p = ReflinkPtr::decode(v)?;
            p.idx = p.idx.saturating_add(by);
            let value = p.encode().ok_or_else(|| not_within(start, k))?;
            put(v, &value);
            len
        }
        KeyType::INLINE_DATA => drop_front(v, 0, by),
        KeyType::INDIRECT_INLINE_DATA => drop_front(v, 8, by),
        _ => len,
    };
    k.size = u32::try_from(left).unwrap_or(k.size);
    Ok(remains)
}

/// Cuts the end off an extent, so that it ends at `end`, which has to be within it; an extent that
/// ends there or before is left as it is. Returns how many bytes of the value remain.
///
/// C: `bch2_cut_back_s()`.
pub fn cut_back(k: &mut Bkey, v: &[u8], end: u64) -> Result<usize, Invalid> {
    let by = k.p.offset.saturating_sub(end);
    let left = u64::from(k.size).checked_sub(by).filter(|left| *left > 0);
    let Some(left) = left else {
        return Err(not_within(end, k));
    };
    k.size = u32::try_from(left).unwrap_or(k.size);
    k.p.offset = k.p.offset.min(end);
    let data = usize_of(left.saturating_mul(SECTOR_BYTES));
    Ok(match k.key_type {
        KeyType::INLINE_DATA => v.len().min(data),
        KeyType::INDIRECT_INLINE_DATA => v.len().min(data.saturating_add(8)),
        _ => v.len(),
    })
}

#[cold]
fn not_within(at: u64, k: &Bkey) -> Invalid {
    let what = "cut of an extent, against its end";
    Invalid::with(FsckError::EXTENT_PTRS_INVALID_ENTRY, what, at, k.p.offset)
}

/// Makes pointers lead `by` sectors further. Behind a checksum it is that which says where in the
/// data the extent begins: a checksum covers all of it or nothing.
fn move_pointers(v: &mut [u8], by: u64, sizes: &EntrySizes) -> Result<(), Invalid> {
    let mut rest: &mut [u8] = v;
    let mut behind_crc = false;
    loop {
        let len = rest.len();
        let mut entries = Entries::new(rest, 0, sizes);
        let Some(entry) = entries.next().transpose()? else {
            return Ok(());
        };
        let bytes = len.saturating_sub(entries.left());
        let Some((own, next)) = rest.split_at_mut_checked(bytes) else {
            return Ok(());
        };
        let moved = match entry {
            Entry::Ptr(mut p) if !behind_crc => {
                p.offset.0 = p.offset.0.saturating_add(by);
                Some(Entry::Ptr(p))
            }
            Entry::Crc(kind, mut crc) => {
                behind_crc = true;
                crc.offset = crc
                    .offset
                    .saturating_add(u16::try_from(by).unwrap_or(u16::MAX));
                Some(Entry::Crc(kind, crc))
            }
            _ => None,
        };
        if let Some(moved) = moved {
            let Some((words, _)) = moved.encode() else {
                return Err(Invalid::with(
                    FsckError::EXTENT_PTRS_INVALID_ENTRY,
                    "extent entry that can not be moved, sectors",
                    by,
                    0,
                ));
            };
            for (to, word) in own.chunks_exact_mut(8).zip(words) {
                put(to, &word.to_le_bytes());
            }
        }
        rest = next;
    }
}

/// Drops `by` sectors of data behind `header` bytes; how many bytes remain.
fn drop_front(v: &mut [u8], header: usize, by: u64) -> usize {
    let skip = usize_of(by.saturating_mul(SECTOR_BYTES));
    let end = v.len();
    let from = header.saturating_add(skip).min(end);
    v.copy_within(from..end, header.min(from));
    end.saturating_sub(from).saturating_add(header)
}

/// Puts `from` at the start of `to`.
fn put(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::units::{
            DevIdx,
            Sectors, //
        },
        format::{
            bpos::Bpos,
            values::{
                crc::{
                    Crc,
                    CrcKind, //
                },
                extent::ptrs,
                extent_entry::Ptr, //
            },
        },
    };
    use std::vec::Vec;

    const SIZES: EntrySizes = EntrySizes::KNOWN;

    fn ptr(offset: u64) -> Entry {
        Entry::Ptr(Ptr {
            dev: DevIdx(1),
            offset: Sectors(offset),
            generation: 3,
            cached: false,
            unwritten: false,
        })
    }

    fn extent(entries: &[Entry]) -> (Bkey, Vec<u8>) {
        let k = Bkey {
            key_type: KeyType::EXTENT,
            size: 16,
            p: Bpos::new(4096, 116, 7),
            ..Bkey::default()
        };
        let mut v = Vec::new();
        for e in entries {
            let (words, n) = e.encode().unwrap();
            words[..n as usize]
                .iter()
                .for_each(|w| v.extend_from_slice(&w.to_le_bytes()));
        }
        (k, v)
    }

    fn decoded(k: &Bkey, v: &[u8]) -> Vec<(u64, u16, u32)> {
        ptrs(&Key { k: *k, v }, &SIZES)
            .map(|p| p.unwrap())
            .map(|p| (p.ptr.offset.0, p.crc.offset, p.crc.live_size))
            .collect()
    }

    #[test]
    fn pointers_move_unless_a_checksum_says_where() {
        let crc = Crc {
            compressed_size: 16,
            uncompressed_size: 16,
            offset: 0,
            ..Crc::none(16)
        };
        let kind = CrcKind::Crc32;
        let (mut k, mut v) = extent(&[ptr(1000), Entry::Crc(kind, crc), ptr(2000)]);
        let n = cut_front(&mut k, &mut v, 105, &SIZES).unwrap();
        assert_eq!((n, k.size, k.p.offset), (v.len(), 11, 116));
        assert_eq!(decoded(&k, &v), [(1005, 0, 11), (2000, 5, 11)]);
        cut_back(&mut k, &v, 110).unwrap();
        assert_eq!((k.size, k.p.offset), (5, 110));
        assert_eq!(decoded(&k, &v), [(1005, 0, 5), (2000, 5, 5)]);
        // Nothing to do, and nothing left.
        cut_front(&mut k, &mut v, 50, &SIZES).unwrap();
        cut_back(&mut k, &v, 500).unwrap();
        assert_eq!((k.size, k.p.offset), (5, 110));
        assert!(cut_front(&mut k, &mut v, 110, &SIZES).is_err());
        assert!(cut_back(&mut k, &v, 105).is_err());
    }

    #[test]
    fn data_in_the_key_is_dropped() {
        let (mut k, _) = extent(&[]);
        k.key_type = KeyType::INDIRECT_INLINE_DATA;
        (k.size, k.p.offset) = (3, 3);
        let mut v: Vec<u8> = [9; 8].into_iter().chain([1; 512]).chain([2; 512]).collect();
        v.extend_from_slice(&[3; 100]);
        let n = cut_front(&mut k, &mut v, 1, &SIZES).unwrap();
        v.truncate(n);
        assert_eq!(v.len(), 8 + 512 + 100);
        assert_eq!((v[0], v[8], v[520]), (9, 2, 3));
        let n = cut_back(&mut k, &v, 2).unwrap();
        assert_eq!((n, k.size), (520, 1));
    }
}
