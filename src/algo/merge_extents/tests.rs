// SPDX-License-Identifier: GPL-2.0

//! Tests of merging extents.

use super::*;
use crate::{
    env::units::Sectors,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        values::kinds, //
    },
};

/// Buckets of 1024 sectors.
struct Buckets;

impl Limits for Buckets {
    fn encoded_max(&self) -> u32 {
        128
    }

    fn is_same_bucket(&self, _: DevIdx, a: u64, b: u64) -> bool {
        a / 1024 == b / 1024
    }
}

fn ptr(offset: u64) -> Ptr {
    Ptr {
        dev: DevIdx(0),
        offset: Sectors(offset),
        generation: 3,
        cached: false,
        unwritten: false,
    }
}

fn crc_of_data(data: &[u8], kind: CsumType) -> Crc {
    let sum = checksum::of_pieces(kind, core::iter::once(data)).unwrap();
    Crc {
        csum_type: kinds::CsumType(kind.0),
        csum_lo: sum,
        ..Crc::none((data.len() / SECTOR) as u32)
    }
}

type Owned = (Bkey, std::vec::Vec<u8>);

fn extent(end: u64, size: u32, all: &[Entry]) -> Owned {
    let k = Bkey {
        key_type: KeyType::EXTENT,
        p: Bpos::new(5, end, 7),
        size,
        ..Bkey::default()
    };
    let mut v = std::vec::Vec::new();
    for entry in all {
        let (words, nr) = entry.encode().unwrap();
        for word in &words[..nr.into()] {
            v.extend_from_slice(&word.to_le_bytes());
        }
    }
    (k, v)
}

fn merge(left: &Owned, right: &Owned) -> Option<std::vec::Vec<Entry>> {
    let key = |of: &'_ Owned| of.0;
    let (l, r) = (
        Key {
            k: key(left),
            v: &left.1,
        },
        Key {
            k: key(right),
            v: &right.1,
        },
    );
    let value = merged(&l, &r, &EntrySizes::KNOWN, &Buckets).unwrap()?;
    let k = Bkey {
        size: left.0.size + right.0.size,
        ..right.0
    };
    let all = entries(&Key { k, v: &value }, &EntrySizes::KNOWN);
    Some(all.map(Result::unwrap).collect())
}

#[test]
fn what_follows_in_a_bucket_is_merged() {
    let left = extent(8, 8, &[Entry::Ptr(ptr(100))]);
    let at = |offset| extent(24, 16, &[Entry::Ptr(ptr(offset))]);
    assert_eq!(merge(&left, &at(108)), Some(vec![Entry::Ptr(ptr(100))]));
    assert_eq!(merge(&left, &at(116)), None);
    let old = Ptr {
        generation: 2,
        ..ptr(108)
    };
    assert_eq!(merge(&left, &extent(24, 16, &[Entry::Ptr(old)])), None);
    // Another bucket, another place in the file, another number of copies.
    let edge = extent(8, 8, &[Entry::Ptr(ptr(1016))]);
    assert_eq!(merge(&edge, &at(1024)), None);
    assert_eq!(merge(&left, &extent(25, 16, &[Entry::Ptr(ptr(108))])), None);
    let two = extent(24, 16, &[Entry::Ptr(ptr(108)), Entry::Ptr(ptr(500))]);
    assert_eq!(merge(&left, &two), None);
}

#[test]
fn checksums_are_merged_as_far_as_one_may_go() {
    let data: std::vec::Vec<u8> = (0..96 * SECTOR).map(|i| (i * 7 / 5) as u8).collect();
    for kind in [CsumType::CRC32C, CsumType::CRC64, CsumType::XXHASH] {
        let part = |from: usize, to: usize| {
            let crc = crc_of_data(&data[from * SECTOR..to * SECTOR], kind);
            let size = crc.smallest_kind().unwrap();
            let entries = [Entry::Crc(size, crc), Entry::Ptr(ptr(100 + from as u64))];
            extent(to as u64, (to - from) as u32, &entries)
        };
        let whole = merge(&part(0, 32), &part(32, 96));
        if kind == CsumType::XXHASH {
            assert_eq!(whole, None);
            continue;
        }
        let [Entry::Crc(_, crc), Entry::Ptr(at)] = whole.unwrap()[..] else {
            panic!("{kind:?}");
        };
        let expected = crc_of_data(&data, kind);
        assert_eq!((crc.csum_lo, crc.uncompressed_size), (expected.csum_lo, 96));
        assert_eq!((crc.offset, crc.live_size, at), (0, 96, ptr(100)));
    }
    let part = |end, sectors: u32, offset| {
        let crc = crc_of_data(&data[..sectors as usize * SECTOR], CsumType::CRC32C);
        let entries = [Entry::Crc(CrcKind::Crc32, crc), Entry::Ptr(ptr(offset))];
        extent(end, sectors, &entries)
    };
    assert!(merge(&part(64, 64, 100), &part(128, 64, 164)).is_some());
    assert_eq!(merge(&part(65, 65, 100), &part(129, 64, 165)), None);
}

#[test]
fn parts_of_the_same_data_are_put_together_again() {
    let crc = Crc {
        csum_type: kinds::CsumType(CsumType::CRC64.0),
        compression: kinds::CompressionType::LZ4,
        compressed_size: 8,
        ..Crc::none(32)
    };
    let part = |end: u64, size: u32, skip: u16, offset: u64, crc: Crc| {
        let crc = Crc {
            offset: skip,
            live_size: size,
            ..crc
        };
        let entries = [Entry::Crc(CrcKind::Crc64, crc), Entry::Ptr(ptr(offset))];
        extent(end, size, &entries)
    };
    let left = part(16, 16, 0, 100, crc);
    let [Entry::Crc(_, both), Entry::Ptr(at)] =
        merge(&left, &part(32, 16, 16, 100, crc)).unwrap()[..]
    else {
        panic!();
    };
    assert_eq!((both.offset, both.live_size, at), (0, 32, ptr(100)));
    // What comes next on the device is other data, even where it looks like the rest.
    assert_eq!(merge(&left, &part(32, 16, 0, 116, crc)), None);
    assert_eq!(merge(&left, &part(24, 8, 24, 100, crc)), None);
    let other = Crc { csum_lo: 1, ..crc };
    assert_eq!(merge(&left, &part(32, 16, 16, 100, other)), None);
}

#[test]
fn reservations_for_as_many_copies_are_merged() {
    let reservation = |end, nr_replicas| {
        let value = Reservation {
            generation: 0,
            nr_replicas,
        };
        let k = Bkey {
            key_type: KeyType::RESERVATION,
            p: Bpos::new(5, end, 7),
            size: 8,
            ..Bkey::default()
        };
        (k, value.encode().to_vec())
    };
    assert!(merge(&reservation(8, 1), &reservation(16, 1)).is_some());
    assert_eq!(merge(&reservation(8, 1), &reservation(16, 2)), None);
}
