// SPDX-License-Identifier: GPL-2.0

//! What single updates mean, by number. That sums of them are right is tested on whole filesystems
//! (`tests/host/sim/tests/derived.rs`, `tests/host/sim/tests/triggers`).

use super::*;
use crate::{
    env::units::{
        BucketNr,
        DevIdx,
        Sectors, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::{
            assemble::DevMask,
            Version, //
        },
        values::{
            accounting::{
                Counted,
                Replicas, //
            },
            alloc::Alloc,
            bucket_index::alloc_pos,
            crc::{
                Crc,
                CrcKind, //
            },
            extent_entry::{
                Entry,
                EntrySizes,
                Ptr,
                StripePtr, //
            },
            inode::InodeFlags,
            kinds::{
                CompressionType,
                CsumType, //
            },
            stripe::Stripe,
            validate::DevGeometry, //
        },
    },
};
use core::{
    cell::RefCell,
    fmt, //
};
use std::{
    vec,
    vec::Vec, //
};

mod buckets;

const VERSION: Version = Version::new(1, 13);
const SIZES: EntrySizes = EntrySizes::KNOWN;

/// Four devices with buckets of 128 sectors; bucket n has generation n.
#[derive(Default)]
struct Fake {
    reports: RefCell<Vec<FsckError>>,
    open: bool,
    stripe: Vec<u8>,
}

impl Lookups for Fake {
    type Error = Error;

    fn version(&self) -> Version {
        VERSION
    }
    fn entry_sizes(&self) -> &EntrySizes {
        &SIZES
    }
    fn node_sectors(&self) -> u64 {
        512
    }
    fn device(&self, dev: DevIdx) -> Option<DevGeometry> {
        (dev.0 < 4).then_some(DevGeometry {
            first_bucket: 0,
            nr_buckets: 1000,
            bucket_sectors: 128,
        })
    }
    fn bucket_gen(&mut self, _: DevIdx, bucket: BucketNr) -> Result<u8> {
        Ok(bucket.0 as u8)
    }
    fn is_open(&self, _: DevIdx, _: BucketNr) -> bool {
        self.open
    }
    fn io_time(&self) -> [u64; 2] {
        [70, 80]
    }
    fn target(&self, _: u16) -> Option<DevMask> {
        None
    }
    fn with_stripe<R>(&mut self, _: u64, f: impl FnOnce(&Stripe<'_>) -> R) -> Result<Option<R>> {
        Ok(Stripe::decode(&self.stripe).ok().map(|s| f(&s)))
    }
    fn indirect(&mut self, _: u64) -> Result<Option<Indirect>> {
        Ok(None)
    }
    fn parent_inode(&mut self, _: Bpos) -> Result<Option<(Bpos, InodeFlags)>> {
        Ok(None)
    }
    fn has_child_inode(&mut self, _: Bpos) -> Result<bool> {
        Ok(false)
    }
    fn found(&self, id: FsckError, what: fmt::Arguments<'_>) {
        assert!(!what.to_string().is_empty());
        self.reports.borrow_mut().push(id);
    }
}

impl Fake {
    fn reported(&self) -> Vec<FsckError> {
        self.reports.take()
    }
}

/// Space in a bucket, with the bucket's generation.
fn ptr(dev: u8, bucket: u64, into: u64) -> Ptr {
    Ptr {
        dev: DevIdx(dev),
        offset: Sectors(bucket * 128 + into),
        generation: bucket as u8,
        cached: false,
        unwritten: false,
    }
}

fn value(entries: &[Entry]) -> Vec<u8> {
    let words = entries.iter().flat_map(|e| {
        let (words, nr) = e.encode().unwrap();
        words.into_iter().take(nr.into())
    });
    words.flat_map(u64::to_le_bytes).collect()
}

/// A key of `size` sectors that ends at sector 100 of inode 5.
fn key(key_type: KeyType, size: u32, v: &[u8]) -> Key<'_> {
    let k = Bkey {
        key_type,
        size,
        p: Bpos::new(5, 100, 7),
        ..Bkey::default()
    };
    Key { k, v }
}

fn insert(cx: &mut Fake, key: Key<'_>) -> Result<Effects> {
    let mut out = Effects::new();
    let old = deleted(key.k.p);
    let amend = trigger(cx, BtreeId::EXTENTS, 0, old, key, &mut out)?;
    assert_eq!(amend, Amend::Keep);
    Ok(out)
}

fn delete(cx: &mut Fake, key: Key<'_>) -> Result<Effects> {
    let mut out = Effects::new();
    let new = deleted(key.k.p);
    let amend = trigger(cx, BtreeId::EXTENTS, 0, key, new, &mut out)?;
    assert_eq!(amend, Amend::Keep);
    Ok(out)
}

/// Counters that change, as text so that a failure can be read.
fn counters(out: &Effects) -> Vec<(std::string::String, Vec<i64>)> {
    let all = out.counters().iter().filter(|c| !c.is_zero());
    let all = all.map(|c| {
        let counted = Counted::decode(c.pos, VERSION);
        (counted.to_string(), c.by().to_vec())
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

fn counts(want: &[(Counted, &[i64])]) -> Vec<(std::string::String, Vec<i64>)> {
    let all = want.iter().map(|(c, by)| (c.to_string(), by.to_vec()));
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

fn replicas(data_type: DataType, nr_required: u8, devs: &[u8]) -> Counted {
    Counted::Replicas(Replicas::new(data_type, nr_required, devs).unwrap())
}

#[test]
fn a_part_of_a_compressed_extent() {
    let crc = Crc {
        compressed_size: 10,
        uncompressed_size: 64,
        live_size: 32,
        offset: 16,
        csum_type: CsumType::CRC32C,
        compression: CompressionType::LZ4,
        ..Crc::default()
    };
    let entries = [
        Entry::Crc(CrcKind::Crc32, crc),
        Entry::Ptr(ptr(1, 3, 20)),
        Entry::Ptr(ptr(0, 4, 0)),
    ];
    let v = value(&entries);
    let out = insert(&mut Fake::default(), key(KeyType::EXTENT, 32, &v)).unwrap();
    // 32 of 64 sectors are 5 of 10 on disk, on each of two devices.
    let want = counts(&[
        (replicas(DataType::USER, 1, &[0, 1]), &[10]),
        (Counted::Snapshot(7, 0), &[10]),
        (Counted::Inum(5), &[1, 32, 10]),
        (Counted::Compression(CompressionType::LZ4), &[1, 128, 20]),
    ]);
    assert_eq!(counters(&out), want);
    assert_eq!(out.sectors_added(VERSION), 10);
    let [first, second] = out.keys() else {
        panic!("{:?}", out.keys());
    };
    // In order of device; shifted by 10 bits, and where the live part starts in the data.
    assert_eq!(first.start, Bpos::new(0, (4 * 128) << 10 | 16, 0));
    assert_eq!(second.start, Bpos::new(1, (3 * 128 + 20) << 10 | 16, 0));
    let Derived::Backpointer(bp) = second.to else {
        panic!("{second:?}");
    };
    assert_eq!(bp.bucket_offset(), 20 << 10 | 16);
    assert_eq!(
        (bp.bucket_len, bp.level, bp.pos),
        (5, 0, Bpos::new(5, 100, 7))
    );
    assert_eq!(second.header().key_type, KeyType::BACKPOINTER);
    let dirty: Vec<_> = out
        .buckets()
        .iter()
        .map(|b| (b.bucket.0, b.dirty))
        .collect();
    assert_eq!(dirty, [(4, 5), (3, 5)]);
}

#[test]
fn a_node_pointer_counts_whole_nodes() {
    let mut v = vec![0; 40];
    v.extend(ptr(2, 8, 0).to_word().to_le_bytes());
    let mut out = Effects::new();
    let k = key(KeyType::BTREE_PTR_V2, 0, &v);
    recount(&mut Fake::default(), BtreeId::XATTRS, 1, k, &mut out).unwrap();
    let want = counts(&[
        (replicas(DataType::BTREE, 1, &[2]), &[512]),
        (Counted::Btree(3), &[512]),
    ]);
    assert_eq!(counters(&out), want);
}

#[test]
fn only_the_pointers_of_a_node_pointer_matter() {
    let mut v = vec![0; 40];
    v.extend(ptr(2, 8, 0).to_word().to_le_bytes());
    let mut written = v.clone();
    written[16] = 9;
    let (old, new) = (
        key(KeyType::BTREE_PTR_V2, 0, &v),
        key(KeyType::BTREE_PTR_V2, 0, &written),
    );
    let mut out = Effects::new();
    let amend = trigger(&mut Fake::default(), BtreeId::XATTRS, 1, old, new, &mut out).unwrap();
    assert_eq!(amend, Amend::Keep);
    assert!(out.counters().is_empty() && out.keys().is_empty() && out.buckets().is_empty());
}

#[test]
fn generations() {
    let mut cx = Fake::default();
    let with = |generation, cached| {
        value(&[Entry::Ptr(Ptr {
            generation,
            cached,
            ..ptr(0, 200, 0)
        })])
    };
    for (generation, id) in [
        (201, FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN),
        (200 - 97, FsckError::PTR_TOO_STALE),
        (199, FsckError::STALE_DIRTY_PTR),
    ] {
        let v = with(generation, false);
        let k = key(KeyType::EXTENT, 8, &v);
        assert_eq!(insert(&mut cx, k).err(), Some(Error::TriggerPointer));
        assert_eq!(cx.reported(), [id]);
        // It can be deleted; the bucket is not touched.
        let out = delete(&mut cx, k).unwrap();
        assert!(out.buckets().is_empty() && out.keys().len() == 1);
        assert_eq!(cx.reported(), [id]);
        // A check goes on.
        let mut out = Effects::new();
        recount(&mut cx, BtreeId::EXTENTS, 0, k, &mut out).unwrap();
        assert_eq!(cx.reported(), [id]);
    }
    // Cached data that was dropped is as if it were not there.
    let v = with(190, true);
    let out = insert(&mut cx, key(KeyType::EXTENT, 8, &v)).unwrap();
    assert_eq!(counters(&out), counts(&[(Counted::Inum(5), &[1, 8, 0])]));
    assert!(cx.reported().is_empty() && out.buckets().is_empty());
    let v = with(200, true);
    let out = insert(&mut cx, key(KeyType::EXTENT, 8, &v)).unwrap();
    let want = counts(&[
        (Counted::Inum(5), &[1, 8, 0]),
        (replicas(DataType::CACHED, 1, &[0]), &[8]),
    ]);
    assert_eq!(counters(&out), want);
    assert!(out.keys().is_empty() && out.buckets().len() == 1);
}

#[test]
fn pointers_to_nowhere() {
    let mut cx = Fake::default();
    for (p, id) in [
        (ptr(9, 1, 0), FsckError::PTR_TO_INVALID_DEVICE),
        (ptr(0, 1000, 0), FsckError::PTR_AFTER_LAST_BUCKET),
    ] {
        let v = value(&[Entry::Ptr(p)]);
        let k = key(KeyType::EXTENT, 8, &v);
        assert_eq!(insert(&mut cx, k).err(), Some(Error::TriggerPointer));
        assert_eq!(cx.reported(), [id]);
        assert!(delete(&mut cx, k).is_ok());
        assert_eq!(cx.reported(), [id]);
    }
}

#[test]
fn shared_extents_without_references_are_deleted() {
    let mut cx = Fake::default();
    let mut v = vec![0; 8];
    v.extend(value(&[Entry::Ptr(ptr(0, 1, 0))]));
    let k = key(KeyType::REFLINK_V, 8, &v);
    let mut out = Effects::new();
    let amend = trigger(&mut cx, BtreeId::REFLINK, 0, deleted(k.k.p), k, &mut out).unwrap();
    assert_eq!(amend, Amend::Delete);
    assert!(out.buckets().is_empty() && out.counters().is_empty());
    // A pointer to none can not be made.
    let p = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let e = insert(&mut cx, key(KeyType::REFLINK_P, 8, &p)).err();
    assert_eq!(e, Some(Error::TriggerReflinkPointer));
    assert_eq!(cx.reported(), [FsckError::REFLINK_P_TO_MISSING_REFLINK_V]);
}

#[test]
fn nonsense_does_no_harm() {
    // Validators would have refused most of it. Whatever it is, nothing panics, and no sum wraps
    // where it is not meant to.
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let mut cx = Fake {
        stripe: buckets::stripe(),
        ..Fake::default()
    };
    let mut done = 0;
    for _ in 0..100_000 {
        let mut v: Vec<u8> = (0..next() % 12)
            .flat_map(|_| next().to_le_bytes())
            .collect();
        // Entries that are likely to be some.
        for word in v.chunks_exact_mut(8) {
            if next() % 2 == 0 {
                word[0] = 1 << (next() % 8);
            }
        }
        let mut header = || Bkey {
            key_type: KeyType((next() % 39) as u8),
            size: next() as u32 >> (next() % 32),
            p: Bpos::new(next() % 5, next() >> (next() % 64), next() as u32),
            ..Bkey::default()
        };
        let (k, other) = (header(), header());
        let (key, other) = (Key { k, v: &v }, Key { k: other, v: &v });
        let (btree, level) = (BtreeId((next() % 29) as u8), (next() % 3) as u8);
        let mut out = Effects::new();
        done += u32::from(recount(&mut cx, btree, level, key, &mut out).is_ok());
        let mut out = Effects::new();
        if let Ok(amend) = trigger(&mut cx, btree, level, key, other, &mut out) {
            done += u32::from(amend != Amend::Delete);
        }
        for change in out.buckets() {
            done += u32::from(change.apply(&cx, &Alloc::default()).is_ok());
        }
        cx.reports.take();
    }
    assert!(done > 10_000);
}

#[test]
fn nothing_follows_where_nothing_can() {
    for btree in (0..29).map(BtreeId) {
        for key_type in (0..64).map(KeyType) {
            if btree.leaf_types() & key_type.bit() == 0 {
                continue;
            }
            let k = Bkey {
                key_type,
                p: Bpos::new(1, 2, 3),
                ..Bkey::default()
            };
            let (mut cx, mut out) = (Fake::default(), Effects::new());
            let key = Key { k, v: &[0; 64] };
            let done = trigger(&mut cx, btree, 0, key, deleted(k.p), &mut out);
            let nothing = done == Ok(Amend::Keep)
                && out.keys().is_empty()
                && out.counters().is_empty()
                && out.buckets().is_empty();
            assert!(nothing || has_triggers(btree, 0), "{btree} {key_type}");
        }
    }
    for btree in [BtreeId::XATTRS, BtreeId::DIRENTS, BtreeId::BACKPOINTERS] {
        assert!(!has_triggers(btree, 0) && has_triggers(btree, 1));
    }
    for btree in [
        BtreeId::EXTENTS,
        BtreeId::ALLOC,
        BtreeId::INODES,
        BtreeId(60),
    ] {
        assert!(has_triggers(btree, 0));
    }
}
