// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    env::units::Sectors,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        values::{
            crc::CrcKind,
            extent_entry::{
                Entry,
                Ptr,
                EXTENT_POISONED, //
            },
            kinds, //
        },
    },
};

/// Devices below this number are there.
struct Present(u8);

impl Devices for Present {
    fn rank(&self, dev: DevIdx) -> Option<u8> {
        // Device 9 is better not used.
        (dev.0 < self.0).then_some(u8::from(dev.0 == 9))
    }
}

fn bytes_of(entries: &[Entry]) -> std::vec::Vec<u8> {
    let mut v = std::vec::Vec::new();
    for e in entries {
        let (words, nr) = e.encode().unwrap();
        for w in words.iter().take(nr.into()) {
            v.extend_from_slice(&w.to_le_bytes());
        }
    }
    v
}

fn plan(key_type: KeyType, size: u32, v: &[u8], piece: Piece, devs: u8) -> Result<Source> {
    let k = Bkey {
        key_type,
        size,
        p: Bpos::new(4096, u64::from(size), 1),
        ..Bkey::default()
    };
    source(&Key { k, v }, piece, &EntrySizes::KNOWN, &Present(devs))
}

fn extent(entries: &[Entry], size: u32, piece: Piece, devs: u8) -> Result<Source> {
    plan(KeyType::EXTENT, size, &bytes_of(entries), piece, devs)
}

fn replicas_of(source: Result<Source>) -> std::vec::Vec<Replica> {
    match source {
        Ok(Source::Replicas(r)) => r.iter().copied().collect(),
        other => panic!("{other:?}"),
    }
}

const fn ptr(dev: u8, offset: u64) -> Ptr {
    Ptr {
        dev: DevIdx(dev),
        offset: Sectors(offset),
        generation: 0,
        cached: false,
        unwritten: false,
    }
}

const fn piece(into: u32, len: u32) -> Piece {
    Piece { into, len }
}

/// A checksummed extent of `size` sectors, of which the key has those from `offset` on.
fn crc(size: u32, offset: u16) -> Entry {
    let crc = Crc {
        csum_type: kinds::CsumType::CRC32C,
        csum_lo: 0x1234,
        offset,
        ..Crc::none(size)
    };
    Entry::Crc(CrcKind::Crc32, crc)
}

#[test]
fn plain_data_is_read_in_part() {
    let r = replicas_of(extent(&[Entry::Ptr(ptr(0, 1000))], 64, piece(8, 4), 1));
    assert_eq!(r.len(), 1);
    assert_eq!((r[0].sector, r[0].skip), (1008, 0));
    assert!(!r[0].crc.is_encoded());
    assert_eq!(r[0].crc.compressed_size, 4);
}

#[test]
fn checksummed_data_is_read_whole() {
    let entries = [crc(128, 32), Entry::Ptr(ptr(0, 1000))];
    let r = replicas_of(extent(&entries, 64, piece(8, 4), 1));
    assert_eq!((r[0].sector, r[0].skip), (1000, 40));
    assert_eq!(r[0].crc.compressed_size, 128);
    let sum = |lo| Csum { lo, hi: 0 };
    assert!(r[0].matches(sum(0x1234)) && !r[0].matches(sum(0x1235)));
    // The last sector, and one beyond.
    assert!(extent(&entries, 96, piece(95, 1), 1).is_ok());
    assert_eq!(
        extent(&entries, 97, piece(95, 2), 1),
        Err(Error::DataExtentInvalid)
    );
}

#[test]
fn checksum_entry_without_checksum_only_shifts() {
    let shift = Crc {
        offset: 16,
        ..Crc::none(64)
    };
    let entries = [Entry::Crc(CrcKind::Crc32, shift), Entry::Ptr(ptr(0, 1000))];
    let r = replicas_of(extent(&entries, 48, piece(2, 3), 1));
    assert_eq!((r[0].sector, r[0].skip), (1018, 0));
}

#[test]
fn uncompressed_data_has_one_size() {
    let odd = Crc {
        csum_type: kinds::CsumType::CRC32C,
        compressed_size: 32,
        ..Crc::none(64)
    };
    let entries = [Entry::Crc(CrcKind::Crc32, odd), Entry::Ptr(ptr(0, 1000))];
    assert_eq!(
        extent(&entries, 64, piece(0, 64), 1),
        Err(Error::DataExtentInvalid)
    );
}

#[test]
fn missing_devices_are_left_out() {
    let entries = [Entry::Ptr(ptr(1, 1000)), Entry::Ptr(ptr(0, 2000))];
    let r = replicas_of(extent(&entries, 8, piece(0, 8), 1));
    assert_eq!((r.len(), r[0].dev), (1, DevIdx(0)));
    assert_eq!(
        extent(&entries, 8, piece(0, 8), 0),
        Err(Error::DataNoDevice)
    );
}

#[test]
fn cached_replicas_come_last_and_need_a_checksum() {
    let cached = Ptr {
        cached: true,
        ..ptr(0, 1000)
    };
    let plain = [Entry::Ptr(cached), Entry::Ptr(ptr(1, 2000))];
    let r = replicas_of(extent(&plain, 8, piece(0, 8), 2));
    assert_eq!((r.len(), r[0].dev), (1, DevIdx(1)));
    let checked = [crc(8, 0), Entry::Ptr(cached), Entry::Ptr(ptr(1, 2000))];
    let r = replicas_of(extent(&checked, 8, piece(0, 8), 2));
    assert_eq!(
        r.iter().map(|r| r.dev.0).collect::<std::vec::Vec<_>>(),
        [1, 0]
    );
}

#[test]
fn devices_being_emptied_come_after_others() {
    let entries = [Entry::Ptr(ptr(9, 1000)), Entry::Ptr(ptr(0, 2000))];
    let r = replicas_of(extent(&entries, 8, piece(0, 8), 10));
    assert_eq!((r[0].dev, r[1].dev), (DevIdx(0), DevIdx(9)));
}

#[test]
fn every_device_gets_its_turn() {
    let entries = [Entry::Ptr(ptr(0, 1000)), Entry::Ptr(ptr(1, 2000))];
    let first = |start: u64| {
        let k = Bkey {
            key_type: KeyType::EXTENT,
            size: 8,
            p: Bpos::new(4096, start + 8, 1),
            ..Bkey::default()
        };
        let v = bytes_of(&entries);
        let s = source(
            &Key { k, v: &v },
            piece(0, 8),
            &EntrySizes::KNOWN,
            &Present(2),
        );
        replicas_of(s)[0].dev.0
    };
    assert_eq!(first(0), first(2040));
    assert_ne!(first(0), first(2048));
}

#[test]
fn more_replicas_than_places() {
    let entries: std::vec::Vec<Entry> = (0..7).map(|i| Entry::Ptr(ptr(i, 100))).collect();
    let r = replicas_of(extent(&entries, 8, piece(0, 8), 7));
    assert_eq!(r.len(), REPLICAS_MAX);
}

#[test]
fn space_without_data_reads_as_zeros() {
    let unwritten = Ptr {
        unwritten: true,
        ..ptr(0, 1000)
    };
    assert_eq!(
        extent(&[Entry::Ptr(unwritten)], 8, piece(0, 8), 1),
        Ok(Source::Zeros)
    );
    assert_eq!(
        plan(KeyType::RESERVATION, 8, &[0; 8], piece(0, 8), 1),
        Ok(Source::Zeros)
    );
}

#[test]
fn lost_and_poisoned_data_are_errors() {
    assert_eq!(
        plan(KeyType::ERROR, 8, &[], piece(0, 8), 1),
        Err(Error::DataLost)
    );
    let entries = [Entry::Flags(EXTENT_POISONED), Entry::Ptr(ptr(0, 1000))];
    assert_eq!(
        extent(&entries, 8, piece(0, 8), 1),
        Err(Error::DataPoisoned)
    );
}

#[test]
fn inline_data_is_cut_to_the_piece() {
    let v: std::vec::Vec<u8> = (0..1024u32).map(|i| (i >> 9) as u8 + 1).collect();
    let take = |key_type, v: &[u8], p| match plan(key_type, 8, v, p, 1) {
        Ok(Source::Inline(data)) => (data.len(), data.first().copied()),
        other => panic!("{other:?}"),
    };
    let direct = KeyType::INLINE_DATA;
    assert_eq!(take(direct, &v, piece(0, 8)), (1024, Some(1)));
    assert_eq!(take(direct, &v, piece(0, 1)), (512, Some(1)));
    assert_eq!(take(direct, &v, piece(1, 7)), (512, Some(2)));
    assert_eq!(take(direct, &v, piece(4, 4)), (0, None));
    let indirect = KeyType::INDIRECT_INLINE_DATA;
    assert_eq!(take(indirect, &v, piece(0, 8)), (1016, Some(1)));
}

#[test]
fn garbage_is_an_error_not_a_panic() {
    let mut x = 0x9e37_79b9_7f4a_7c15u64;
    for _ in 0..20_000 {
        let mut v = std::vec::Vec::new();
        for _ in 0..(x % 6) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            v.extend_from_slice(&(x & (x << 3)).to_le_bytes());
        }
        x = x.wrapping_add(0x1234_5677);
        let p = piece((x >> 50) as u32, (x >> 40) as u32 & 0xff);
        let _ = extent_raw(&v, p);
    }
}

fn extent_raw(v: &[u8], p: Piece) -> Result<Source> {
    plan(KeyType::EXTENT, u32::MAX, v, p, 255)
}

#[test]
fn what_only_allocates_space() {
    let is = |key_type, v: &[u8]| {
        let k = Bkey {
            key_type,
            size: 8,
            ..Bkey::default()
        };
        is_unwritten(&Key { k, v }, &EntrySizes::KNOWN)
    };
    let unwritten = Ptr {
        unwritten: true,
        ..ptr(0, 1000)
    };
    assert!(is(KeyType::EXTENT, &bytes_of(&[Entry::Ptr(unwritten)])));
    assert!(!is(KeyType::EXTENT, &bytes_of(&[Entry::Ptr(ptr(0, 1000))])));
    assert!(is(KeyType::RESERVATION, &[0; 8]));
    assert!(!is(KeyType::INLINE_DATA, &[0; 8]));
}
