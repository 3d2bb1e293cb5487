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
    fn bucket_gen(&self, _: DevIdx, bucket: BucketNr) -> Result<u8> {
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
    fn with_stripe<R>(&self, _: u64, f: impl FnOnce(&Stripe<'_>) -> R) -> Result<Option<R>> {
        Ok(Stripe::decode(&self.stripe).ok().map(|s| f(&s)))
    }
    fn indirect(&self, _: u64) -> Result<Option<Indirect>> {
        Ok(None)
    }
    fn parent_inode(&self, _: Bpos) -> Result<Option<(Bpos, InodeFlags)>> {
        Ok(None)
    }
    fn has_child_inode(&self, _: Bpos) -> Result<bool> {
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

fn insert(cx: &Fake, key: Key<'_>) -> Result<Effects> {
    let mut out = Effects::new();
    let old = deleted(key.k.p);
    let amend = trigger(cx, BtreeId::EXTENTS, 0, old, key, &mut out)?;
    assert_eq!(amend, Amend::Keep);
    Ok(out)
}

fn delete(cx: &Fake, key: Key<'_>) -> Result<Effects> {
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
    let out = insert(&Fake::default(), key(KeyType::EXTENT, 32, &v)).unwrap();
    // 32 of 64 sectors are 5 of 10 on disk, on each of two devices.
    let want = counts(&[
        (replicas(DataType::USER, 1, &[0, 1]), &[10]),
        (Counted::Snapshot(7, 0), &[10]),
        (Counted::Inum(5), &[1, 32, 10]),
        (Counted::Compression(CompressionType::LZ4), &[1, 128, 20]),
    ]);
    assert_eq!(counters(&out), want);
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
    recount(&Fake::default(), BtreeId::XATTRS, 1, k, &mut out).unwrap();
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
    let amend = trigger(&Fake::default(), BtreeId::XATTRS, 1, old, new, &mut out).unwrap();
    assert_eq!(amend, Amend::Keep);
    assert!(out.counters().is_empty() && out.keys().is_empty() && out.buckets().is_empty());
}

#[test]
fn generations() {
    let cx = Fake::default();
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
        assert_eq!(insert(&cx, k).err(), Some(Error::TriggerPointer));
        assert_eq!(cx.reported(), [id]);
        // It can be deleted; the bucket is not touched.
        let out = delete(&cx, k).unwrap();
        assert!(out.buckets().is_empty() && out.keys().len() == 1);
        assert_eq!(cx.reported(), [id]);
        // A check goes on.
        let mut out = Effects::new();
        recount(&cx, BtreeId::EXTENTS, 0, k, &mut out).unwrap();
        assert_eq!(cx.reported(), [id]);
    }
    // Cached data that was dropped is as if it were not there.
    let v = with(190, true);
    let out = insert(&cx, key(KeyType::EXTENT, 8, &v)).unwrap();
    assert_eq!(counters(&out), counts(&[(Counted::Inum(5), &[1, 8, 0])]));
    assert!(cx.reported().is_empty() && out.buckets().is_empty());
    let v = with(200, true);
    let out = insert(&cx, key(KeyType::EXTENT, 8, &v)).unwrap();
    let want = counts(&[
        (Counted::Inum(5), &[1, 8, 0]),
        (replicas(DataType::CACHED, 1, &[0]), &[8]),
    ]);
    assert_eq!(counters(&out), want);
    assert!(out.keys().is_empty() && out.buckets().len() == 1);
}

#[test]
fn pointers_to_nowhere() {
    let cx = Fake::default();
    for (p, id) in [
        (ptr(9, 1, 0), FsckError::PTR_TO_INVALID_DEVICE),
        (ptr(0, 1000, 0), FsckError::PTR_AFTER_LAST_BUCKET),
    ] {
        let v = value(&[Entry::Ptr(p)]);
        let k = key(KeyType::EXTENT, 8, &v);
        assert_eq!(insert(&cx, k).err(), Some(Error::TriggerPointer));
        assert_eq!(cx.reported(), [id]);
        assert!(delete(&cx, k).is_ok());
        assert_eq!(cx.reported(), [id]);
    }
}

/// Two blocks of data in buckets 10 and 11, one of parity in bucket 12, on devices 0 to 2.
fn stripe() -> Vec<u8> {
    let mut v = vec![128, 0, 0, 3, 1, 0, 0, 0];
    for (dev, bucket) in [(0, 10), (1, 11), (2, 12)] {
        v.extend(ptr(dev, bucket, 0).to_word().to_le_bytes());
    }
    v.extend([0; 8]);
    v
}

#[test]
fn data_in_a_stripe() {
    let mut cx = Fake {
        stripe: stripe(),
        ..Fake::default()
    };
    let within = |block| {
        let at = StripePtr {
            idx: 4,
            block,
            redundancy: 1,
        };
        value(&[
            Entry::Stripe(at),
            Entry::Ptr(ptr(1, 11, 8)),
            Entry::Ptr(ptr(3, 9, 0)),
        ])
    };
    let v = within(1);
    let out = insert(&cx, key(KeyType::EXTENT, 8, &v)).unwrap();
    // The other copy is not needed for reading: 0 of its devices are required.
    let want = counts(&[
        (replicas(DataType::USER, 2, &[0, 1, 2]), &[8]),
        (replicas(DataType::USER, 0, &[3]), &[8]),
        (Counted::Snapshot(7, 0), &[8]),
        (Counted::Inum(5), &[1, 8, 8]),
    ]);
    assert_eq!(counters(&out), want);
    let block = Edit::StripeBlock {
        idx: 4,
        block: 1,
        by: 8,
    };
    assert_eq!(out.edits(), [block]);
    let sums = out.buckets().iter().map(|b| (b.dirty, b.striped));
    assert!(sums.eq([(0, 8), (8, 0)]));
    // Another block, parity, no stripe.
    for (block, id) in [
        (0, FsckError::PTR_TO_INCORRECT_STRIPE),
        (2, FsckError::PTR_TO_INCORRECT_STRIPE),
    ] {
        let v = within(block);
        let e = insert(&cx, key(KeyType::EXTENT, 8, &v)).err();
        assert_eq!(
            (e, cx.reported()),
            (Some(Error::TriggerStripePointer), vec![id])
        );
    }
    cx.stripe.clear();
    assert!(insert(&cx, key(KeyType::EXTENT, 8, &v)).is_err());
    assert_eq!(cx.reported(), [FsckError::PTR_TO_MISSING_STRIPE]);
}

#[test]
fn stripes_come_and_go() {
    let cx = Fake::default();
    let v = stripe();
    let k = Bkey {
        key_type: KeyType::STRIPE,
        p: Bpos::new(0, 4, 0),
        ..Bkey::default()
    };
    let key = Key { k, v: &v };
    let out = insert(&cx, key).unwrap();
    let parity = replicas(DataType::PARITY, 2, &[0, 1, 2]);
    assert_eq!(counters(&out), counts(&[(parity, &[128])]));
    let full = Alloc {
        data_type: DataType::USER,
        dirty_sectors: 128,
        ..Alloc::default()
    };
    let [data, _, parity] = out.buckets() else {
        panic!("{:?}", out.buckets());
    };
    let data = data.apply(&cx, &full).unwrap();
    assert_eq!((data.stripe, data.stripe_redundancy), (4, 1));
    assert_eq!(
        (data.data_type, data.dirty_sectors),
        (DataType::STRIPE, 128)
    );
    assert_eq!(parity.apply(&cx, &full), Err(Error::MarkStripe));
    let parity = parity.apply(&cx, &Alloc::default()).unwrap();
    assert_eq!(
        (parity.data_type, parity.dirty_sectors),
        (DataType::PARITY, 128)
    );
    assert_eq!(parity.stripe, 4);

    // It goes: parity is empty, and data is data again.
    let out = delete(&cx, key).unwrap();
    let [own, _, last] = out.buckets() else {
        panic!("{:?}", out.buckets());
    };
    let was = own.apply(&cx, &data).unwrap();
    assert_eq!(was, full);
    assert_eq!(own.apply(&cx, &full), Err(Error::MarkStripe));
    let empty = last.apply(&cx, &parity).unwrap();
    assert_eq!((empty.data_type, empty.dirty_sectors), (DataType::FREE, 0));
    assert_eq!(empty.stripe, 0);
}

#[test]
fn what_does_not_fit_a_bucket() {
    let cx = Fake::default();
    let mut change = BucketChange::none(DevIdx(0), BucketNr(1));
    change.pointer(Kind::Dirty, 8, DataType::USER);
    let state = |data_type, dirty_sectors| Alloc {
        data_type,
        dirty_sectors,
        ..Alloc::default()
    };
    let journal = state(DataType::JOURNAL, 128);
    assert_eq!(change.apply(&cx, &journal), Err(Error::BucketRefUpdate));
    assert_eq!(cx.reported(), [FsckError::PTR_BUCKET_DATA_TYPE_MISMATCH]);
    let full = state(DataType::USER, u32::MAX - 7);
    assert_eq!(change.apply(&cx, &full), Err(Error::BucketRefUpdate));
    assert_eq!(cx.reported(), [FsckError::BUCKET_SECTOR_COUNT_OVERFLOW]);

    // Taking away what was not counted is reported, and ends at 0.
    let mut change = BucketChange::none(DevIdx(0), BucketNr(1));
    change.pointer(Kind::Dirty, -8, DataType::USER);
    let few = change.apply(&cx, &state(DataType::USER, 7)).unwrap();
    assert_eq!((few.dirty_sectors, few.data_type), (0, DataType::FREE));
    assert_eq!(cx.reported(), [FsckError::BUCKET_SECTOR_COUNT_OVERFLOW]);
    assert_eq!(change.apply(&cx, &journal), Ok(journal));
    assert_eq!(cx.reported(), [FsckError::PTR_BUCKET_DATA_TYPE_MISMATCH]);

    // Two new pointers that do not agree.
    let mut change = BucketChange::none(DevIdx(0), BucketNr(1));
    change.pointer(Kind::Dirty, 8, DataType::USER);
    change.pointer(Kind::Dirty, 8, DataType::BTREE);
    assert_eq!(
        change.apply(&cx, &Alloc::default()),
        Err(Error::BucketRefUpdate)
    );
}

/// The trigger of bucket 300 of device 1: the state it gets, and what follows.
fn bucket(cx: &Fake, old: &Alloc, new: &Alloc) -> (Alloc, Effects) {
    let mut out = Effects::new();
    let k = Bkey {
        key_type: KeyType::ALLOC_V4,
        p: alloc_pos(DevIdx(1), BucketNr(300)),
        ..Bkey::default()
    };
    let (old, new) = (old.encode(), new.encode());
    let (old, new) = (Key { k, v: &old }, Key { k, v: &new });
    match trigger(cx, BtreeId::ALLOC, 0, old, new, &mut out).unwrap() {
        Amend::Alloc(state) => (state, out),
        other => panic!("{other:?}"),
    }
}

fn set(out: &Effects) -> Vec<(BtreeId, Bpos, bool)> {
    let all = out.keys().iter();
    let all = all.map(|c| (c.btree, c.start, c.to == Derived::Set));
    all.collect()
}

#[test]
fn the_life_of_a_bucket() {
    let mut cx = Fake::default();
    let free = Alloc {
        generation: 7,
        oldest_gen: 7,
        ..Alloc::default()
    };
    let of = |data_type| Counted::DevDataType(DevIdx(1), data_type);
    let start = Bpos::new(1, 300, 0);
    let time = |id: u64, t: u64| Bpos::new(id << 48 | t, 1 << 48 | 300, 0);

    let filled = Alloc {
        data_type: DataType::USER,
        dirty_sectors: 32,
        ..free
    };
    let (filled, out) = bucket(&cx, &free, &filled);
    assert!(filled.need_discard && filled.need_inc_gen);
    assert_eq!((filled.io_time, filled.generation), ([70, 80], 7));
    // A quarter is in use.
    let lru = time(0xffff, 1 << 29);
    assert_eq!(
        set(&out),
        [
            (BtreeId::LRU, lru, true),
            (BtreeId::FREESPACE, start, false) //
        ]
    );
    let want = counts(&[
        (of(DataType::FREE), &[-1, 0, 0]),
        (of(DataType::USER), &[1, 32, 96]),
    ]);
    assert_eq!(counters(&out), want);
    let freespace = out.keys().last().unwrap().header();
    assert_eq!(
        (freespace.key_type, freespace.size, freespace.p),
        (KeyType::DELETED, 1, Bpos::new(1, 301, 0))
    );

    // Empty, but still being written to: the generation stays.
    cx.open = true;
    let emptied = Alloc {
        dirty_sectors: 0,
        ..filled
    };
    let (waiting, out) = bucket(&cx, &filled, &emptied);
    assert_eq!(waiting.data_type, DataType::NEED_DISCARD);
    assert!(waiting.need_inc_gen && waiting.generation == 7);
    assert!(out.edits().is_empty());
    cx.open = false;
    let (waiting, out) = bucket(&cx, &filled, &emptied);
    assert!(!waiting.need_inc_gen && waiting.generation == 8);
    assert_eq!(
        set(&out),
        [
            (BtreeId::LRU, lru, false),
            (BtreeId::NEED_DISCARD, start, true) //
        ]
    );
    let generation = Edit::BucketGen {
        dev: DevIdx(1),
        bucket: BucketNr(300),
        generation: 8,
    };
    assert_eq!(out.edits(), [generation]);

    let discarded = Alloc {
        need_discard: false,
        ..waiting
    };
    let (discarded, out) = bucket(&cx, &waiting, &discarded);
    assert_eq!(discarded.data_type, DataType::FREE);
    assert_eq!(
        set(&out),
        [
            (BtreeId::FREESPACE, start, true),
            (BtreeId::NEED_DISCARD, start, false) //
        ]
    );

    // Cached data is on the list of its device.
    let cached = Alloc {
        data_type: DataType::USER,
        cached_sectors: 5,
        io_time: [0, 0],
        ..discarded
    };
    let (cached, out) = bucket(&cx, &discarded, &cached);
    assert_eq!(cached.data_type, DataType::CACHED);
    assert!(set(&out).contains(&(BtreeId::LRU, time(1, 70), true)));
    let mut out = Effects::new();
    let dropped = invalidated(&cx, DevIdx(1), &cached, &mut out).unwrap();
    let lost = replicas(DataType::CACHED, 1, &[1]);
    assert_eq!(counters(&out), counts(&[(lost, &[-5])]));
    let (dropped, out) = bucket(&cx, &cached, &dropped);
    assert_eq!(
        (dropped.generation, dropped.data_type),
        (9, DataType::NEED_DISCARD)
    );
    assert!(set(&out).contains(&(BtreeId::LRU, time(1, 70), false)));
}

#[test]
fn free_buckets_move_with_the_age_of_their_pointers() {
    let cx = Fake::default();
    let young = Alloc {
        generation: 31,
        oldest_gen: 16,
        ..Alloc::default()
    };
    let old = Alloc {
        generation: 33,
        ..young
    };
    let (_, out) = bucket(&cx, &young, &old);
    assert_eq!(
        set(&out),
        [
            (BtreeId::FREESPACE, Bpos::new(1, 300, 0), false),
            (BtreeId::FREESPACE, Bpos::new(1, 1 << 56 | 300, 0), true),
        ]
    );
    // Too old to be used before it is known better; then no index has it.
    let older = Alloc {
        generation: 16 + 96,
        ..young
    };
    let (state, out) = bucket(&cx, &young, &older);
    assert_eq!(state.data_type, DataType::NEED_GC_GENS);
    assert_eq!(
        set(&out),
        [(BtreeId::FREESPACE, Bpos::new(1, 300, 0), false)]
    );
    let mut out = Effects::new();
    let k = Bkey {
        p: alloc_pos(DevIdx(1), BucketNr(1000)),
        key_type: KeyType::ALLOC_V4,
        ..Bkey::default()
    };
    let v = old.encode();
    let key = Key { k, v: &v };
    let beyond = trigger(&cx, BtreeId::ALLOC, 0, deleted(k.p), key, &mut out);
    assert_eq!(beyond, Err(Error::TriggerBucket));
}

#[test]
fn which_journal_entry_a_bucket_waits_for() {
    let state = |data_type, journal_seq_nonempty| Alloc {
        data_type,
        journal_seq_nonempty,
        ..Alloc::default()
    };
    let empty = state(DataType::FREE, 3);
    let full = state(DataType::USER, 8);
    let discard = state(DataType::NEED_DISCARD, 8);
    let at = |old, new, never| journal_seq_at_commit(old, new, 9, |_| never);
    assert_eq!(at(&empty, &full, false), Some(9));
    assert_eq!(at(&full, &full, false), None);
    assert_eq!(at(&discard, &empty, false), None);
    assert_eq!(at(&full, &discard, false), Some(9));
    assert_eq!(at(&full, &discard, true), Some(0));
    let now = state(DataType::NEED_DISCARD, 9);
    assert_eq!(at(&full, &now, false), Some(0));
}

#[test]
fn buckets_of_superblocks_hold_nothing_else() {
    let cx = Fake::default();
    let mark = |old: &Alloc, data_type, sectors| {
        mark_metadata(&cx, DevIdx(0), BucketNr(0), old, data_type, sectors)
    };
    let free = Alloc::default();
    let sb = mark(&free, DataType::SB, 8).unwrap().unwrap();
    assert_eq!((sb.data_type, sb.dirty_sectors), (DataType::SB, 8));
    assert_eq!(mark(&sb, DataType::SB, 8), Ok(None));
    assert_eq!(
        mark(&sb, DataType::JOURNAL, 128),
        Err(Error::MetadataBucketInconsistency)
    );
    assert_eq!(cx.reported(), [FsckError::BUCKET_METADATA_TYPE_MISMATCH]);
    assert_eq!(mark(&sb, DataType::FREE, 0), Ok(Some(free)));
}

#[test]
fn shared_extents_without_references_are_deleted() {
    let cx = Fake::default();
    let mut v = vec![0; 8];
    v.extend(value(&[Entry::Ptr(ptr(0, 1, 0))]));
    let k = key(KeyType::REFLINK_V, 8, &v);
    let mut out = Effects::new();
    let amend = trigger(&cx, BtreeId::REFLINK, 0, deleted(k.k.p), k, &mut out).unwrap();
    assert_eq!(amend, Amend::Delete);
    assert!(out.buckets().is_empty() && out.counters().is_empty());
    // A pointer to none can not be made.
    let p = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let e = insert(&cx, key(KeyType::REFLINK_P, 8, &p)).err();
    assert_eq!(e, Some(Error::TriggerReflinkPointer));
    assert_eq!(cx.reported(), [FsckError::REFLINK_P_TO_MISSING_REFLINK_V]);
}
