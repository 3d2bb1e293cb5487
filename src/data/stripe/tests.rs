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
        nonce: crate::format::nonce::Nonce::default(),
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
        assert_eq!(
            error(&v),
            Some(Error::StripeInvalid),
            "{blocks}:{redundant}"
        );
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

/// Blocks in memory, of which some can not be read.
struct Memory {
    blocks: std::vec::Vec<std::vec::Vec<u8>>,
    /// Those are not there.
    missing: std::vec::Vec<usize>,
    /// What was said to be bad.
    bad: core::cell::RefCell<std::vec::Vec<(usize, Error)>>,
}

impl Source for &Memory {
    fn read(&self, ptr: &Ptr, sector: u64, to: &mut [u8]) -> Result {
        let block = usize::from(ptr.dev.0);
        if self.missing.contains(&block) {
            return Err(Error::DeviceGone);
        }
        let at = num::usize_of(sector) * 512;
        to.copy_from_slice(&self.blocks[block][at..at + to.len()]);
        Ok(())
    }

    fn unusable(&self, block: usize, _: &Ptr, error: Error) {
        self.bad.borrow_mut().push((block, error));
    }
}

/// A whole stripe: its value, with checksums, and its blocks. Parity by Horner's scheme.
fn stripe(nr_data: u8, nr_redundant: u8, csum: CsumType) -> (Vec<u8>, Memory) {
    const SECTORS: u16 = 5;
    let mut seed = 99u32;
    let mut random = || {
        seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
        seed.to_be_bytes()[0]
    };
    let bytes = usize::from(SECTORS) * 512;
    let (data, all) = (usize::from(nr_data), usize::from(nr_data + nr_redundant));
    let mut blocks: std::vec::Vec<std::vec::Vec<u8>> = (0..all)
        .map(|_| (0..bytes).map(|_| random()).collect())
        .collect();
    for at in 0..bytes {
        let (mut p, mut q) = (0u8, 0u8);
        for d in blocks[..data].iter().rev().map(|b| b[at]) {
            p ^= d;
            q = (q << 1) ^ if q & 0x80 != 0 { 0x1d } else { 0 } ^ d;
        }
        blocks[data][at] = p;
        if nr_redundant == 2 {
            blocks[data + 1][at] = q;
        }
    }
    let mut v = value(SECTORS, nr_data + nr_redundant, nr_redundant, csum, 1);
    let per_block = 3;
    for (i, block) in blocks.iter().enumerate() {
        for (j, piece) in block.chunks(1024).enumerate() {
            let sum = csum.checksum(piece).unwrap().to_le_bytes();
            let len = usize::from(csum.stored_bytes());
            let to = 8 + 8 * all + (i * per_block + j) * len;
            v[to..to + len].copy_from_slice(&sum[..len]);
        }
    }
    let memory = Memory {
        blocks,
        missing: std::vec![],
        bad: Default::default(),
    };
    (v, memory)
}

/// What comes of rebuilding `lost`.
fn rebuilt(value: &[u8], memory: &Memory, lost: usize) -> Result<std::vec::Vec<u8>> {
    let stripe = decode(value).unwrap();
    let range = Range::around(1, 3, &stripe).unwrap();
    let mut rebuilder = Rebuilder {
        blocks_of: memory,
        stripe,
        range,
        blocks: Blocks::new(range.bytes())?,
    };
    rebuilder.run(lost)?;
    Ok(rebuilder.blocks.get(lost).unwrap().to_vec())
}

#[test]
fn any_block_comes_back_as_long_as_enough_are_good() {
    for (nr_data, nr_redundant) in [(1, 1), (2, 1), (5, 1), (1, 2), (2, 2), (4, 2), (6, 2)] {
        for csum in [CsumType::NONE, CsumType::CRC32C, CsumType::CRC64] {
            let (value, mut memory) = stripe(nr_data, nr_redundant, csum);
            let nr = usize::from(nr_data + nr_redundant);
            let unit = if csum == CsumType::NONE {
                512..2048
            } else {
                0..2048
            };
            for lost in 0..usize::from(nr_data) {
                // Every set of other blocks.
                for set in (0..1u32 << nr).filter(|s| s >> lost & 1 == 0) {
                    memory.missing = (0..nr).filter(|b| set >> b & 1 != 0).collect();
                    let got = rebuilt(&value, &memory, lost);
                    let what = std::format!("{nr_data}:{nr_redundant} {lost} {set:b}");
                    match set.count_ones() < u32::from(nr_redundant) {
                        true => {
                            assert_eq!(got.unwrap(), memory.blocks[lost][unit.clone()], "{what}")
                        }
                        false => assert_eq!(got, Err(Error::StripeTooFewBlocks), "{what}"),
                    }
                }
            }
        }
    }
}

#[test]
fn bad_blocks_are_not_used() {
    let (value, mut memory) = stripe(4, 2, CsumType::CRC32C);
    let want = memory.blocks[1][..2048].to_vec();
    memory.blocks[3][700] ^= 4;
    assert_eq!(rebuilt(&value, &memory, 1), Ok(want.clone()));
    assert_eq!(memory.bad.take(), [(3, Error::StripeChecksum)]);
    // Beyond what is read.
    memory.blocks[0][2048] ^= 4;
    assert_eq!(rebuilt(&value, &memory, 1), Ok(want));
    memory.blocks[4][0] ^= 1;
    assert_eq!(rebuilt(&value, &memory, 1), Err(Error::StripeTooFewBlocks));

    // Parity that was never right, without a checksum of its own that could tell.
    let (mut value, mut memory) = stripe(2, 1, CsumType::CRC32C);
    memory.blocks[2][9] ^= 1;
    let sum = CsumType::CRC32C
        .checksum(&memory.blocks[2][..1024])
        .unwrap();
    let at = 8 + 8 * 3 + 2 * 3 * 4;
    value[at..at + 4].copy_from_slice(&sum.to_le_bytes()[..4]);
    assert_eq!(
        rebuilt(&value, &memory, 0),
        Err(Error::StripeRebuiltChecksum)
    );
}
