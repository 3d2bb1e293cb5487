// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    env::units::{
        DevIdx,
        Sectors, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        values::{
            crc::{
                Crc,
                CrcKind, //
            },
            extent_entry::{
                Entry,
                Ptr, //
            },
            kinds::CsumType, //
        },
    },
};

const RANGE: Range = Range {
    start: 100,
    end: 108,
    block: 8,
};

fn map(key_type: KeyType, entries: &[Entry], into: u64) -> std::vec::Vec<Mapping> {
    let mut v = std::vec::Vec::new();
    if key_type == KeyType::REFLINK_V {
        v.extend_from_slice(&1u64.to_le_bytes());
    }
    for e in entries {
        let (words, nr) = e.encode().unwrap();
        for w in words.iter().take(nr.into()) {
            v.extend_from_slice(&w.to_le_bytes());
        }
    }
    let k = Bkey {
        key_type,
        size: 64,
        p: Bpos::new(4096, 164, 1),
        ..Bkey::default()
    };
    let mut out = Vec::new();
    RANGE
        .map(&Key { k, v: &v }, into, &EntrySizes::KNOWN, &mut out)
        .unwrap();
    out.iter().copied().collect()
}

const fn ptr(offset: u64) -> Ptr {
    Ptr {
        dev: DevIdx(0),
        offset: Sectors(offset),
        generation: 0,
        cached: false,
        unwritten: false,
    }
}

fn crc(compression: CompressionType, offset: u16) -> Entry {
    let crc = Crc {
        compressed_size: if compression == CompressionType::NONE {
            128
        } else {
            40
        },
        uncompressed_size: 128,
        live_size: 64,
        csum_type: CsumType::CRC32C,
        compression,
        offset,
        ..Crc::default()
    };
    Entry::Crc(CrcKind::Crc32, crc)
}

fn mapping(sector: u64, flags: u32) -> Mapping {
    Mapping {
        logical: 100 << 9,
        physical: sector << 9,
        len: 8 << 9,
        flags: MapFlags(flags),
    }
}

#[test]
fn a_mapping_for_each_pointer() {
    let entries = [Entry::Ptr(ptr(800)), Entry::Ptr(ptr(1600))];
    assert_eq!(
        map(KeyType::EXTENT, &entries, 16),
        [mapping(816, 0), mapping(1616, 0)]
    );
    assert_eq!(
        map(KeyType::REFLINK_V, &entries, 16),
        [mapping(816, 0x2000), mapping(1616, 0x2000)]
    );
}

#[test]
fn checksummed_data_can_be_pointed_into() {
    let entries = [crc(CompressionType::NONE, 32), Entry::Ptr(ptr(800))];
    assert_eq!(map(KeyType::EXTENT, &entries, 8), [mapping(840, 0)]);
}

#[test]
fn compressed_data_can_not() {
    for kind in [CompressionType::LZ4, CompressionType::INCOMPRESSIBLE] {
        let entries = [crc(kind, 32), Entry::Ptr(ptr(800))];
        assert_eq!(map(KeyType::EXTENT, &entries, 8), [mapping(800, 0x8)]);
    }
}

#[test]
fn odd_places_are_marked() {
    let entries = [Entry::Ptr(ptr(801)), Entry::Ptr(ptr(1600))];
    assert_eq!(
        map(KeyType::EXTENT, &entries, 0),
        [mapping(801, 0x100), mapping(1600, 0)]
    );
}

#[test]
fn space_without_data() {
    let unwritten = Ptr {
        unwritten: true,
        ..ptr(800)
    };
    let entries = [Entry::Ptr(unwritten)];
    assert_eq!(map(KeyType::EXTENT, &entries, 0), [mapping(800, 0x800)]);
    assert_eq!(map(KeyType::RESERVATION, &[], 0), [mapping(0, 0x804)]);
}

#[test]
fn data_in_keys_and_no_data() {
    assert_eq!(map(KeyType::INLINE_DATA, &[], 0), [mapping(0, 0x200)]);
    assert_eq!(
        map(KeyType::INDIRECT_INLINE_DATA, &[], 0),
        [mapping(0, 0x200)]
    );
    assert!(map(KeyType::ERROR, &[], 0).is_empty());
}
