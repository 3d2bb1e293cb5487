// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::env::units::{
    DevIdx,
    Sectors, //
};

/// A stripe's value: `sectors` per block, a checksum per 2^`bits` of them.
fn value(sectors: u16, nr_blocks: u8, nr_redundant: u8, csum: CsumType, bits: u8) -> Vec<u8> {
    let [lo, hi] = sectors.to_le_bytes();
    let mut v = Vec::new();
    v.extend_from_slice(&[lo, hi, 0, nr_blocks, nr_redundant, bits, csum.0, 0])
        .unwrap();
    for block in 0..nr_blocks {
        v.extend_from_slice(&ptr(block).to_word().to_le_bytes())
            .unwrap();
    }
    let len = Stripe::decode(&v).unwrap().bytes();
    v.resize(num::usize_of(len), 0).unwrap();
    v
}

fn ptr(block: u8) -> Ptr {
    Ptr {
        dev: DevIdx(block),
        offset: Sectors(1024),
        generation: 3,
        cached: false,
        unwritten: false,
    }
}

fn replica(dev: u8, sector: u64, generation: u8) -> Replica {
    Replica {
        dev: DevIdx(dev),
        is_here: false,
        stripe: None,
        generation,
        sector,
        skip: 0,
        crc: Default::default(),
    }
}

#[test]
fn ranges_are_as_large_as_checksums_ask() {
    let v = value(100, 3, 1, CsumType::CRC32C, 4);
    let stripe = decode(&v).unwrap();
    let around = |from, nr| Range::around(from, nr, &stripe).map(|r| (r.start, r.end));
    assert_eq!(around(0, 1), Some((0, 16)));
    assert_eq!(around(15, 2), Some((0, 32)));
    assert_eq!(around(96, 4), Some((96, 100)));
    assert_eq!(around(96, 5), None);
    assert_eq!(around(0, 0), None);
    assert_eq!(around(u64::MAX, 2), None);

    let v = value(100, 3, 1, CsumType::NONE, 4);
    let stripe = decode(&v).unwrap();
    let range = Range::around(15, 2, &stripe).unwrap();
    assert_eq!((range.start, range.end, range.bytes()), (15, 17, 1024));

    // One checksum for more than there is.
    let v = value(100, 3, 1, CsumType::CRC32C, 30);
    let stripe = decode(&v).unwrap();
    let range = Range::around(15, 2, &stripe).unwrap();
    assert_eq!((range.start, range.end), (0, 100));
}

#[test]
fn stripes_that_make_no_sense() {
    let error = |v: &[u8]| decode(v).err();
    assert_eq!(error(&value(8, 16, 2, CsumType::CRC32C, 3)), None);
    assert_eq!(error(&[]), Some(Error::StripeInvalid));
    for (blocks, redundant) in [(3, 0), (3, 3), (2, 2), (17, 1), (6, 4), (0, 0)] {
        let v = value(8, blocks, redundant, CsumType::NONE, 3);
        assert_eq!(error(&v), Some(Error::StripeInvalid), "{blocks}:{redundant}");
    }
    let v = value(8, 3, 1, CsumType::CRC32C, 3);
    assert_eq!(error(&v[..v.len() - 8]), Some(Error::StripeInvalid));
    for kind in [CsumType::CHACHA20_POLY1305_80, CsumType(12)] {
        let v = value(8, 3, 1, kind, 3);
        assert_eq!(error(&v), Some(Error::StripeChecksumKind));
    }
}

#[test]
fn an_extent_has_to_be_where_its_stripe_says() {
    let v = value(64, 3, 1, CsumType::NONE, 3);
    let stripe = decode(&v).unwrap();
    let is = |own: Ptr, r: Replica| is_within(&own, &r, &stripe);
    assert!(is(ptr(1), replica(1, 1024, 3)));
    assert!(is(ptr(1), replica(1, 1087, 3)));
    assert!(!is(ptr(1), replica(1, 1088, 3)));
    assert!(!is(ptr(1), replica(1, 1023, 3)));
    assert!(!is(ptr(1), replica(1, 1024, 4)));
    assert!(!is(ptr(1), replica(2, 1024, 3)));
    // A device that was removed.
    assert!(is(ptr(1), replica(255, 1024, 3)));
    let removed = Ptr {
        dev: DEV_NONE,
        ..ptr(1)
    };
    assert!(is(removed, replica(1, 1024, 3)));
}
