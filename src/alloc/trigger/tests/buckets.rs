// SPDX-License-Identifier: GPL-2.0

//! Buckets and stripes.

use super::*;

/// Two blocks of data in buckets 10 and 11, one of parity in bucket 12, on devices 0 to 2.
pub(super) fn stripe() -> Vec<u8> {
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
    let out = insert(&mut cx, key(KeyType::EXTENT, 8, &v)).unwrap();
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
        let e = insert(&mut cx, key(KeyType::EXTENT, 8, &v)).err();
        assert_eq!(
            (e, cx.reported()),
            (Some(Error::TriggerStripePointer), vec![id])
        );
    }
    cx.stripe.clear();
    assert!(insert(&mut cx, key(KeyType::EXTENT, 8, &v)).is_err());
    assert_eq!(cx.reported(), [FsckError::PTR_TO_MISSING_STRIPE]);
}

#[test]
fn stripes_come_and_go() {
    let mut cx = Fake::default();
    let v = stripe();
    let k = Bkey {
        key_type: KeyType::STRIPE,
        p: Bpos::new(0, 4, 0),
        ..Bkey::default()
    };
    let key = Key { k, v: &v };
    let out = insert(&mut cx, key).unwrap();
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
    let out = delete(&mut cx, key).unwrap();
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
fn bucket(cx: &mut Fake, old: &Alloc, new: &Alloc) -> (Alloc, Effects) {
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
    let (filled, out) = bucket(&mut cx, &free, &filled);
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
    let (waiting, out) = bucket(&mut cx, &filled, &emptied);
    assert_eq!(waiting.data_type, DataType::NEED_DISCARD);
    assert!(waiting.need_inc_gen && waiting.generation == 7);
    assert!(out.edits().is_empty());
    cx.open = false;
    let (waiting, out) = bucket(&mut cx, &filled, &emptied);
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
    let (discarded, out) = bucket(&mut cx, &waiting, &discarded);
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
    let (cached, out) = bucket(&mut cx, &discarded, &cached);
    assert_eq!(cached.data_type, DataType::CACHED);
    assert!(set(&out).contains(&(BtreeId::LRU, time(1, 70), true)));
    let mut out = Effects::new();
    let dropped = invalidated(&cx, DevIdx(1), &cached, &mut out).unwrap();
    let lost = replicas(DataType::CACHED, 1, &[1]);
    assert_eq!(counters(&out), counts(&[(lost, &[-5])]));
    let (dropped, out) = bucket(&mut cx, &cached, &dropped);
    assert_eq!(
        (dropped.generation, dropped.data_type),
        (9, DataType::NEED_DISCARD)
    );
    assert!(set(&out).contains(&(BtreeId::LRU, time(1, 70), false)));
}

#[test]
fn free_buckets_move_with_the_age_of_their_pointers() {
    let mut cx = Fake::default();
    let young = Alloc {
        generation: 31,
        oldest_gen: 16,
        ..Alloc::default()
    };
    let old = Alloc {
        generation: 33,
        ..young
    };
    let (_, out) = bucket(&mut cx, &young, &old);
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
    let (state, out) = bucket(&mut cx, &young, &older);
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
    let beyond = trigger(&mut cx, BtreeId::ALLOC, 0, deleted(k.p), key, &mut out);
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
