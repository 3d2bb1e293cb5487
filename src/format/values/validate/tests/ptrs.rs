// SPDX-License-Identifier: GPL-2.0

//! Pointers and what goes with them.

use super::{
    super::super::{
        crc::Crc,
        extent_entry::{
            Entry,
            Ptr,
            Reconcile,
            StripePtr,
            DEV_NONE,
            EXTENT_POISONED, //
        },
        kinds::{
            CompressionType,
            CsumType, //
        },
    },
    found_in,
    leaf,
    DevGeometry,
    ValidateCtx,
    LEAF, //
};
use crate::{
    env::units::{
        DevIdx,
        Sectors, //
    },
    error::fsck::FsckError as E,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
};
use std::{
    vec,
    vec::Vec, //
};

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut v = Vec::new();
    for entry in entries {
        let (words, n) = entry.encode().unwrap();
        for word in &words[..usize::from(n)] {
            v.extend(word.to_le_bytes());
        }
    }
    v
}

fn ptr(dev: u8) -> Ptr {
    Ptr {
        dev: DevIdx(dev),
        offset: Sectors(1024),
        generation: 0,
        cached: false,
        unwritten: false,
    }
}

fn crc() -> Crc {
    Crc {
        csum_type: CsumType::CRC32C,
        ..Crc::none(8)
    }
}

fn crc_entry(crc: Crc) -> Entry {
    Entry::Crc(crc.smallest_kind().unwrap(), crc)
}

const STRIPE: Entry = Entry::Stripe(StripePtr {
    idx: 1,
    block: 0,
    redundancy: 1,
});

fn in_extent(entries: &[Entry], ctx: &ValidateCtx<'_>) -> Option<E> {
    let p = Bpos::new(4096, 8, LEAF);
    found_in(KeyType::EXTENT, p, 8, &bytes(entries), ctx)
}

#[test]
fn entries_of_an_extent() {
    let found = |entries: &[Entry]| in_extent(entries, &leaf(BtreeId::EXTENTS));
    let (p0, p1) = (Entry::Ptr(ptr(0)), Entry::Ptr(ptr(1)));
    let c = crc_entry(crc());
    let unwritten = |dev| {
        Entry::Ptr(Ptr {
            unwritten: true,
            ..ptr(dev)
        })
    };
    let flags = Entry::Flags(EXTENT_POISONED);
    for (entries, want) in [
        (vec![p0, p1], None),
        (vec![c, p0, c, p1], None),
        (vec![flags, p0], None),
        (vec![STRIPE, p0, STRIPE, p1], None),
        (vec![unwritten(0)], None),
        (vec![], Some(E::EXTENT_PTRS_NO_PTRS)),
        (vec![p0, p0], Some(E::PTR_TO_DUPLICATE_DEVICE)),
        (
            vec![p0, unwritten(1)],
            Some(E::EXTENT_PTRS_WRITTEN_AND_UNWRITTEN),
        ),
        (vec![c, c, p0], Some(E::PTR_CRC_REDUNDANT)),
        (vec![p0, c], Some(E::EXTENT_PTRS_REDUNDANT_CRC)),
        (vec![STRIPE, STRIPE, p0], Some(E::PTR_STRIPE_REDUNDANT)),
        (vec![p0, STRIPE], Some(E::EXTENT_PTRS_REDUNDANT_STRIPE)),
        (vec![p0, flags], Some(E::EXTENT_FLAGS_NOT_AT_START)),
        (
            vec![Entry::Ptr(ptr(DEV_NONE.0))],
            Some(E::EXTENT_PTRS_ALL_INVALID),
        ),
        (vec![Entry::Ptr(ptr(DEV_NONE.0)), p0], None),
        (
            vec![
                STRIPE,
                Entry::Ptr(Ptr {
                    cached: true,
                    ..ptr(0)
                }),
            ],
            Some(E::PTR_CACHED_AND_ERASURE_CODED),
        ),
    ] {
        assert_eq!(found(&entries), want, "{entries:?}");
    }
    let many: Vec<_> = (0..=16).map(|dev| Entry::Ptr(ptr(dev))).collect();
    assert_eq!(found(&many[..16]), None);
    assert_eq!(found(&many), Some(E::EXTENT_PTRS_TOO_MANY_PTRS));
    let mut cut = bytes(&[p0]);
    cut.extend([0; 8]);
    let p = Bpos::new(4096, 8, LEAF);
    assert_eq!(
        found_in(KeyType::EXTENT, p, 8, &cut, &leaf(BtreeId::EXTENTS)),
        Some(E::EXTENT_PTRS_INVALID_ENTRY)
    );
}

#[test]
fn checksum_entries() {
    let ctx = ValidateCtx {
        encoded_extent_max: 128,
        ..leaf(BtreeId::EXTENTS)
    };
    let found = |crc: Crc, ctx| in_extent(&[crc_entry(crc), Entry::Ptr(ptr(0))], ctx);
    let both = |n| Crc {
        compressed_size: n,
        uncompressed_size: n,
        ..crc()
    };
    assert_eq!(found(both(8), &ctx), None);
    assert_eq!(
        found(both(7), &ctx),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_TOO_SMALL)
    );
    let shifted = |offset| Crc { offset, ..both(16) };
    assert_eq!(found(shifted(8), &ctx), None);
    assert_eq!(
        found(shifted(9), &ctx),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_TOO_SMALL)
    );
    let small = Crc {
        compressed_size: 4,
        ..both(8)
    };
    assert_eq!(
        found(small, &ctx),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_MISMATCH)
    );
    let compressed = Crc {
        compression: CompressionType::LZ4,
        ..small
    };
    assert_eq!(found(compressed, &ctx), None);
    let unknown = Crc {
        compression: CompressionType(6),
        ..small
    };
    assert_eq!(
        found(unknown, &ctx),
        Some(E::PTR_CRC_COMPRESSION_TYPE_UNKNOWN)
    );
    let unknown = Crc {
        csum_type: CsumType(8),
        ..crc()
    };
    assert_eq!(found(unknown, &ctx), Some(E::PTR_CRC_CSUM_TYPE_UNKNOWN));
    // Too large is only what is to be written.
    assert_eq!(found(both(129), &ctx), None);
    let writing = ValidateCtx {
        writing: true,
        ..ctx
    };
    assert_eq!(found(both(128), &writing), None);
    assert_eq!(
        found(both(129), &writing),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_TOO_BIG)
    );

    let secret = |nonce, offset| {
        crc_entry(Crc {
            csum_type: CsumType::CHACHA20_POLY1305_80,
            nonce,
            offset,
            ..both(16)
        })
    };
    let two = |a, b| [a, Entry::Ptr(ptr(0)), b, Entry::Ptr(ptr(1))];
    assert_eq!(in_extent(&two(secret(4, 4), secret(8, 0)), &ctx), None);
    assert_eq!(
        in_extent(&two(secret(4, 4), secret(8, 1)), &ctx),
        Some(E::PTR_CRC_NONCE_MISMATCH)
    );
    let keyless = ValidateCtx {
        has_key: false,
        ..ctx
    };
    assert_eq!(
        in_extent(&two(secret(4, 4), secret(8, 0)), &keyless),
        Some(E::PTR_CRC_CSUM_TYPE_UNKNOWN)
    );
}

#[test]
fn places_of_pointers() {
    let devs = [Some(DevGeometry {
        first_bucket: 1,
        nr_buckets: 10,
        bucket_sectors: 1024,
    })];
    let ctx = ValidateCtx {
        devs: &devs,
        ..leaf(BtreeId::EXTENTS)
    };
    let at = |sector| {
        let p = Ptr {
            offset: Sectors(sector),
            ..ptr(0)
        };
        in_extent(&[Entry::Ptr(p)], &ctx)
    };
    assert_eq!(at(1023), Some(E::PTR_BEFORE_FIRST_BUCKET));
    assert_eq!(at(1024), None);
    assert_eq!(at(2048 - 8), None);
    assert_eq!(at(2048 - 7), Some(E::PTR_SPANS_MULTIPLE_BUCKETS));
    assert_eq!(at(10 * 1024 - 8), None);
    assert_eq!(at(10 * 1024), Some(E::PTR_AFTER_LAST_BUCKET));
    // A device that is not there is not judged, nor one that makes no sense.
    assert_eq!(in_extent(&[Entry::Ptr(ptr(1))], &ctx), None);
    let devs = [Some(DevGeometry {
        first_bucket: 0,
        nr_buckets: 1,
        bucket_sectors: 0,
    })];
    let ctx = ValidateCtx { devs: &devs, ..ctx };
    assert!(in_extent(&[Entry::Ptr(ptr(0))], &ctx).is_some());
}

#[test]
fn reconcile_entries() {
    let word = |replicas: u64, need: u64, hipri: u64, pending: u64| {
        let w = 1 << 7 | hipri << 15 | pending << 16 | need << 17 | replicas << 28;
        let entries = [Entry::Reconcile(Reconcile(w)), Entry::Ptr(ptr(0))];
        in_extent(&entries, &leaf(BtreeId::EXTENTS))
    };
    assert_eq!(word(1, 0, 0, 0), None);
    assert_eq!(word(1, 1, 1, 1), None);
    assert_eq!(word(0, 0, 0, 0), Some(E::EXTENT_RECONCILE_BAD_REPLICAS));
    assert_eq!(word(1, 0, 0, 1), Some(E::EXTENT_RECONCILE_BAD_PENDING));
    assert_eq!(word(1, 2, 1, 0), Some(E::EXTENT_RECONCILE_BAD_HIPRI));
}

#[test]
fn node_pointers() {
    let found = |min_key: u8, entries: &[Entry], ctx: &ValidateCtx<'_>| {
        let mut v = vec![0; 40];
        v[24] = min_key; // low byte of the lowest position's offset
        v.extend(bytes(entries));
        let p = Bpos::new(0, 5, 0);
        found_in(KeyType::BTREE_PTR_V2, p, 0, &v, ctx)
    };
    let inner = ValidateCtx::new(BtreeId::ALLOC, 1);
    let p = Entry::Ptr(ptr(0));
    assert_eq!(found(4, &[p], &inner), None);
    assert_eq!(found(5, &[p], &inner), Some(E::BTREE_PTR_V2_MIN_KEY_BAD));
    assert_eq!(
        found(0, &[crc_entry(crc()), p], &inner),
        Some(E::BTREE_PTR_HAS_NON_PTR)
    );
    let many: Vec<_> = (0..15).map(|dev| Entry::Ptr(ptr(dev))).collect();
    assert_eq!(found(0, &many[..10], &inner), None);
    assert_eq!(found(0, &many, &inner), Some(E::BTREE_PTR_V2_VAL_TOO_BIG));
    // A node all of whose devices are gone is still known by its pointer.
    assert_eq!(found(0, &[Entry::Ptr(ptr(DEV_NONE.0))], &inner), None);
    let writing = ValidateCtx {
        writing: true,
        ..inner
    };
    assert_eq!(found(0, &[p], &writing), Some(E::BTREE_PTR_V2_WRITTEN_0));
}
