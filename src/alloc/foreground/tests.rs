// SPDX-License-Identifier: GPL-2.0

use super::{
    watermark::open_reserved,
    *, //
};
use crate::{
    env::units::{
        BucketNr,
        DevIdx,
        Sectors, //
    },
    error::Error,
    format::{
        data_type::DataType,
        sb::assemble::DevMask,
        values::alloc::Alloc, //
    },
};
use std::{
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    vec,
    vec::Vec, //
};

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % n.max(1)
    }
}

fn mask(devs: &[u8]) -> DevMask {
    let mut mask = DevMask::default();
    for dev in devs {
        mask.add(*dev);
    }
    mask
}

/// Without any part that holds nodes.
const NO_REGIONS: NodeRegions = NodeRegions {
    bits: 0,
    shift: 20,
    bucket_sectors: 64,
};

#[derive(Clone, Debug, Default)]
struct Dev {
    nr: u64,
    durability: u8,
    free: BTreeSet<u64>,
    cursor: u64,
}

/// Devices whose buckets are taken for good once something is written there.
struct Pool {
    devs: Vec<Dev>,
    table: OpenBuckets,
}

impl Pool {
    fn new(sizes: &[u64]) -> Self {
        let devs = sizes.iter().map(|nr| Dev {
            nr: *nr,
            durability: 1,
            free: (0..*nr).collect(),
            cursor: 0,
        });
        Self {
            devs: devs.collect(),
            table: OpenBuckets::new(OPEN_BUCKETS).unwrap(),
        }
    }

    fn space(devs: &[Dev], table: &OpenBuckets, dev: DevIdx) -> Option<DevSpace> {
        let d = devs.get(usize::from(dev.0))?;
        Some(DevSpace {
            nr_buckets: d.nr,
            bucket_sectors: 64,
            node_sectors: 8,
            free: d.free.len() as u64,
            open_unused: table.nr_unused(dev),
            durability: d.durability,
            ..DevSpace::default()
        })
    }

    /// Takes a bucket as the filesystem does it.
    fn take(&mut self, dev: DevIdx, ty: DataType, w: Watermark) -> Result<OpenRef, Refusal> {
        let space = Self::space(&self.devs, &self.table, dev).unwrap();
        if space.free_for(w) == 0 {
            return Err(Refusal::FreelistEmpty);
        }
        let d = &mut self.devs[usize::from(dev.0)];
        let mut search = Search::new(ty, NO_REGIONS, (0, d.nr), d.cursor);
        loop {
            match search.step() {
                Step::Range(from) => {
                    let next = d.free.range(from..).next();
                    search.range(next.map(|b| (*b, *b + 1)));
                }
                Step::Try(bucket, _) => {
                    assert!(search.is_valid(bucket));
                    let at = (dev, bucket);
                    let open = OpenBucket::new(at, 0, 64, ty, d.durability);
                    match self.table.take(open, w)? {
                        Some(at) => {
                            search.taken();
                            d.cursor = search.cursor();
                            return Ok(at);
                        }
                        None => search.skip(Skip::Open),
                    }
                }
                Step::End => return Err(Refusal::FreelistEmpty),
            }
        }
    }

    fn fill(&mut self, point: &mut WritePoint, request: &Request) -> Result<Filled, Refusal> {
        let ty = point.data_type;
        let mut gather = Gather::begin(request, point, &mut self.table);
        loop {
            let devs = &self.devs;
            let snapshot: Vec<_> = (0..devs.len() as u8)
                .map(|d| Self::space(devs, &self.table, DevIdx(d)))
                .collect();
            let space = |dev: DevIdx| snapshot.get(usize::from(dev.0)).copied().flatten();
            let Some(dev) = gather.next_device(&mut self.table, &space) else {
                return gather.finish(&mut self.table);
            };
            let found = self.take(dev, ty, request.watermark);
            gather.offer(&mut self.table, dev, &space(dev).unwrap(), found);
        }
    }

    /// Writes, and says to which devices. What is written is in a btree at once.
    fn write(
        &mut self,
        point: &mut WritePoint,
        request: &Request,
        sectors: u32,
    ) -> Result<Vec<(u8, u64)>, Refusal> {
        self.fill(point, request)?;
        let sectors = sectors.min(point.sectors_free());
        assert_ne!(sectors, 0);
        let mut to = Vec::new();
        let appended = point.append(&mut self.table, sectors, |ptr| {
            to.push((ptr.dev.0, ptr.offset.0));
            Ok(())
        });
        assert_eq!(appended, Some(Ok(())));
        for (dev, sector) in &to {
            self.devs[usize::from(*dev)].free.remove(&(sector / 64));
            self.table.filled(DevIdx(*dev), BucketNr(sector / 64));
        }
        point.done(&mut self.table);
        Ok(to)
    }
}

fn request(devs: &[u8], nr_replicas: u8, watermark: Watermark) -> Request {
    Request {
        devs: mask(devs),
        fallback: None,
        nr_replicas,
        nr_required: nr_replicas,
        accept_fewer: false,
        watermark,
    }
}

#[test]
fn more_urgent_writes_may_take_more() {
    let mut space = DevSpace {
        nr_buckets: 640,
        bucket_sectors: 1024,
        node_sectors: 512,
        free: 100,
        ..DevSpace::default()
    };
    // 28 nodes in buckets of two.
    let reserved = Watermark::ALL.map(|w| space.reserved(w));
    assert_eq!(reserved, [48, 38, 28, 14, 7, 0, 0]);
    let open = Watermark::ALL.map(|w| open_reserved(w, 1024));
    assert_eq!(open, [512, 512, 341, 256, 256, 170, 0]);
    space.open_unused = 60;
    let free = Watermark::ALL.map(|w| space.free_for(w));
    assert_eq!(free, [0, 2, 12, 26, 33, 40, 40]);
    space.need_discard = 5;
    space.cached = 7;
    assert_eq!(space.available_for(Watermark::Normal), 14);
    assert!(space.wants_discard(Watermark::Normal) && !space.wants_discard(Watermark::Btree));
    // 5 are to be free or waiting for discard, besides the reserves.
    space.free = 45;
    assert_eq!(space.to_invalidate(), 3);
    space.free = 4;
    assert_eq!(space.to_invalidate(), 5);
    space.cached = 2;
    assert_eq!(space.to_invalidate(), 2);
    // Whatever the numbers are.
    let odd = DevSpace {
        free: u64::MAX,
        cached: u64::MAX,
        nr_buckets: u64::MAX,
        ..DevSpace::default()
    };
    assert!(odd.available_for(Watermark::Stripe) > 0);
}

#[test]
fn the_last_buckets_are_for_those_that_free_some() {
    for left in 1..=3 {
        let mut pool = Pool::new(&[1000]);
        pool.devs[0].free = (0..left).map(|b| b * 17 + 3).collect();
        let dev = DevIdx(0);
        for w in [Watermark::Normal, Watermark::CopyGc, Watermark::Btree] {
            let refused = pool.take(dev, DataType::BTREE, w);
            assert_eq!(refused, Err(Refusal::FreelistEmpty), "{left} {w:?}");
        }
        let mut held = Vec::new();
        for _ in 0..left {
            let w = Watermark::Reclaim;
            held.push(pool.take(dev, DataType::BTREE, w).unwrap());
        }
        let w = Watermark::InteriorUpdates;
        let refused = pool.take(dev, DataType::BTREE, w);
        assert_eq!(refused, Err(Refusal::FreelistEmpty));
        // One that was not used after all can be had again.
        assert!(pool.table.put(held.pop().unwrap()));
        held.push(pool.take(dev, DataType::BTREE, w).unwrap());
        // One that was used up does not count twice.
        let at = held.pop().unwrap();
        let open = *pool.table.get(&at).unwrap();
        pool.devs[0].free.remove(&open.bucket.0);
        pool.table.filled(dev, open.bucket);
        assert_eq!(pool.table.nr_unused(dev), left - 1);
        pool.devs[0].free.insert(999);
        held.push(pool.take(dev, DataType::BTREE, w).unwrap());
        assert!(pool.table.put(at));
    }
}

#[test]
fn open_buckets_match_a_model() {
    let mut rng = Rng(99);
    let mut table = OpenBuckets::new(24).unwrap();
    let mut model = BTreeMap::<(u8, u64), Vec<OpenRef>>::new();
    let mut refused = 0;
    for _ in 0..20_000 {
        let at = (rng.below(3) as u8, rng.below(30));
        let place = (DevIdx(at.0), BucketNr(at.1));
        let there = model.contains_key(&at);
        assert_eq!(table.is_open(place.0, place.1), there);
        match rng.below(4) {
            0 | 1 => {
                let w = Watermark::ALL[rng.below(7) as usize];
                let open = OpenBucket::new(place, 5, 64, DataType::USER, 1);
                let left = table.left_for(w);
                let reserved = open_reserved(w, 24);
                assert_eq!(left, (24 - model.len() as u16).saturating_sub(reserved));
                match table.take(open, w) {
                    Ok(Some(own)) => {
                        assert!(!there && left > 0);
                        model.insert(at, vec![own]);
                    }
                    Ok(None) => assert!(there),
                    Err(e) => {
                        assert_eq!((e, left), (Refusal::OpenBucketsEmpty, 0));
                        refused += 1;
                    }
                }
            }
            2 => {
                if let Some(refs) = model.get_mut(&at) {
                    let more = table.pin(&refs[0]);
                    refs.push(more);
                }
            }
            _ => {
                if let Some(mut refs) = model.remove(&at) {
                    let last = table.put(refs.pop().unwrap());
                    assert_eq!(last, refs.is_empty());
                    if !last {
                        model.insert(at, refs);
                    }
                }
            }
        }
        for dev in 0..3 {
            let nr = model.keys().filter(|k| k.0 == dev).count() as u64;
            assert_eq!(table.nr_unused(DevIdx(dev)), nr);
        }
    }
    assert!(refused > 100);
}

#[test]
fn space_is_given_out_once() {
    let mut table = OpenBuckets::new(4).unwrap();
    let open = OpenBucket::new((DevIdx(2), BucketNr(3)), 9, 64, DataType::USER, 0);
    let at = table
        .take(open, Watermark::InteriorUpdates)
        .unwrap()
        .unwrap();
    let first = table.use_sectors(&at, 60).unwrap();
    assert_eq!((first.dev.0, first.offset.0, first.generation), (2, 192, 9));
    // Its device only caches.
    assert!(first.cached);
    assert_eq!(table.use_sectors(&at, 5), None);
    assert_eq!(table.use_sectors(&at, 4).unwrap().offset.0, 252);
    // Full: not worth putting aside.
    assert!(table.park(at));
    assert_eq!(table.unpark(|_| true), None);
    let at = table
        .take(open, Watermark::InteriorUpdates)
        .unwrap()
        .unwrap();
    assert!(!table.park(at));
    assert_eq!(table.nr_parked(DevIdx(2)), 1);
    assert_eq!(table.unpark(|o| o.data_type == DataType::BTREE), None);
    table.stop(Some(DevIdx(1)));
    assert!(table.is_open(DevIdx(2), BucketNr(3)));
    table.stop(None);
    assert!(!table.is_open(DevIdx(2), BucketNr(3)));
    assert_eq!(
        (table.nr_parked(DevIdx(2)), table.nr_unused(DevIdx(2))),
        (0, 0)
    );
}

#[test]
fn devices_take_turns_by_their_space() {
    let mut clock = DevClock::new();
    let space = [100, 200, 700];
    let mut taken = [0u64; 3];
    for _ in 0..1000 {
        let dev = clock.next_of(&mask(&[0, 1, 2])).unwrap();
        let n = &mut taken[usize::from(dev.0)];
        *n += 1;
        clock.advance(dev, space[usize::from(dev.0)]);
    }
    for (taken, space) in taken.into_iter().zip(space) {
        assert!(taken.abs_diff(space) < space / 10, "{taken} of {space}");
    }
    // One that has nothing waits for a long time, one that is new does not.
    clock.advance(DevIdx(2), 0);
    assert_ne!(clock.next_of(&mask(&[0, 1, 2])), Some(DevIdx(2)));
    assert_eq!(clock.next_of(&mask(&[0, 1, 2, 77])), Some(DevIdx(77)));
    assert_eq!(clock.next_of(&DevMask::default()), None);
}

/// All that a search offers, in order, for these free ranges.
fn offers(search: &mut Search, ranges: &[(u64, u64)]) -> Vec<(u64, u8)> {
    let mut all = Vec::new();
    loop {
        match search.step() {
            Step::Range(from) => {
                search.range(ranges.iter().find(|(_, end)| *end > from).copied());
            }
            Step::Try(bucket, group) => {
                all.push((bucket.0, group));
                search.skip(Skip::Open);
            }
            Step::End => return all,
        }
        assert!(all.len() < 1000, "it ends");
    }
}

#[test]
fn a_search_goes_round() {
    let old = 1 << 56;
    let ranges = [(3, 6), (9, 10), (old | 1, old | 3)];
    let mut search = Search::new(DataType::USER, NO_REGIONS, (2, 20), 5);
    let found = offers(&mut search, &ranges);
    // From the cursor to the end, those with old pointers last; then all from the start. Then once
    // more without regard to where nodes are.
    let tail = [(5, 0), (9, 0), (1, 1), (2, 1)];
    let all = [(3, 0), (4, 0), (5, 0), (9, 0), (1, 1), (2, 1)];
    let want = [&tail[..], &all, &tail, &all].concat();
    assert_eq!(found, want);
    assert_eq!((search.skipped, search.seen), ([20, 0, 0, 0], 20));
    assert!(!search.is_valid(BucketNr(1)) && !search.is_valid(BucketNr(20)));
    let mut search = Search::new(DataType::USER, NO_REGIONS, (2, 20), 0);
    assert_eq!(offers(&mut search, &[]), []);
}

#[test]
fn what_a_key_says_about_taking_its_bucket() {
    let state = Alloc {
        generation: 40,
        oldest_gen: 20,
        journal_seq_nonempty: 7,
        ..Alloc::default()
    };
    assert_eq!(Verdict::on(&state, 1, 7), Verdict::Free);
    let wait = Verdict::Skip(Skip::NeedsJournalCommit);
    assert_eq!(Verdict::on(&state, 1, 6), wait);
    let is_wrong = |v| matches!(v, Verdict::Inconsistent(_));
    assert!(is_wrong(Verdict::on(&state, 0, 7)));
    let full = Alloc {
        data_type: DataType::USER,
        ..state
    };
    assert!(is_wrong(Verdict::on(&full, 1, 7)));
}

#[test]
fn nodes_are_kept_together() {
    // Parts of 256 sectors are four buckets each; the second and the last have nodes.
    let regions = NodeRegions {
        bits: 1 << 1 | 1 << 63,
        shift: 8,
        bucket_sectors: 64,
    };
    assert!(regions.has(BucketNr(4)) && regions.has(BucketNr(255)));
    assert!(!regions.has(BucketNr(3)) && !regions.has(BucketNr(256)));
    // A new node makes its part one of them, and all parts larger if it is behind them.
    let more = regions.with(Sectors(0), 64).unwrap();
    assert_eq!((more.bits, more.shift), (1 << 63 | 0b11, 8));
    let more = regions.with(Sectors(1 << 16), 64).unwrap();
    assert_eq!((more.bits, more.shift), (1 << 32 | 1 << 7 | 1, 11));
    let across = regions.with(Sectors(256 * 3 - 1), 2).unwrap();
    assert_eq!(across.bits, regions.bits | 0b1100);
    assert!(across.covers(Sectors(256), 512) && !across.covers(Sectors(255), 512));
    assert_eq!(regions.with(Sectors(u64::MAX - 64), 64), None);
    let buckets = |ty, ranges: &[(u64, u64)]| {
        let mut search = Search::new(ty, regions, (0, 400), 0);
        let all = offers(&mut search, ranges);
        all.into_iter().map(|(b, _)| b).collect::<Vec<_>>()
    };
    let ranges = [(2, 10), (254, 258)];
    let all: Vec<u64> = (2..10).chain(254..258).collect();
    let nodes = [vec![4, 5, 6, 7, 254, 255], all.clone()].concat();
    assert_eq!(buckets(DataType::BTREE, &ranges), nodes);
    let others = [vec![2, 3, 8, 9, 256, 257], all].concat();
    assert_eq!(buckets(DataType::USER, &ranges), others);
}

#[test]
fn copies_are_on_different_devices_until_all_are_full() {
    let mut pool = Pool::new(&[300, 600, 150]);
    let mut point = WritePoint::try_new(DataType::USER).unwrap();
    let mut written = BTreeSet::new();
    let mut rng = Rng(5);
    let ask = request(&[0, 1, 2], 2, Watermark::Normal);
    let refusal = loop {
        let sectors = 1 + rng.below(50) as u32;
        match pool.write(&mut point, &ask, sectors) {
            Ok(to) => {
                assert_eq!(to.len(), 2);
                assert_ne!(to[0].0, to[1].0);
                for at in to {
                    assert!(written.insert(at), "{at:?} was given out twice");
                }
            }
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Refusal::FreelistEmpty);
    // The two small ones are full at once, with as much as the large one has.
    let free = |pool: &Pool, dev: u8| {
        let space = Pool::space(&pool.devs, &pool.table, DevIdx(dev)).unwrap();
        space.free_for(Watermark::Normal)
    };
    assert_eq!((free(&pool, 0), free(&pool, 2)), (0, 0));
    assert!(free(&pool, 1) > 50);

    // With one copy it goes on, or with two if one is enough.
    let fewer = Request {
        nr_required: 1,
        ..ask
    };
    let refused = pool.write(&mut point, &fewer, 64);
    assert_eq!(refused, Err(Refusal::FreelistEmpty));
    let fewer = Request {
        accept_fewer: true,
        ..fewer
    };
    while let Ok(to) = pool.write(&mut point, &fewer, 64) {
        assert_eq!(to.len(), 1);
    }
    assert_eq!(free(&pool, 1), 0);
    // What is reserved is still there.
    for (dev, d) in pool.devs.iter().enumerate() {
        let space = Pool::space(&pool.devs, &pool.table, DevIdx(dev as u8)).unwrap();
        assert_eq!(d.free.len() as u64, space.reserved(Watermark::Normal));
    }
    point.stop(&mut pool.table, None);
    pool.table.stop(None);
    assert_eq!(
        pool.table.left_for(Watermark::InteriorUpdates),
        OPEN_BUCKETS
    );
}

#[test]
fn targets_and_caches() {
    let mut pool = Pool::new(&[500, 500, 500]);
    pool.devs[2].durability = 0;
    let mut point = WritePoint::try_new(DataType::USER).unwrap();
    // The target first, the rest of the copies elsewhere.
    let ask = Request {
        fallback: Some(mask(&[0, 1, 2])),
        ..request(&[0], 2, Watermark::Normal)
    };
    let devs = |to: Vec<(u8, u64)>| to.into_iter().map(|t| t.0).collect::<Vec<_>>();
    let to = pool.write(&mut point, &ask, 8).unwrap();
    assert_eq!(devs(to), [0, 1]);
    let only = request(&[0], 2, Watermark::Normal);
    let refused = pool.write(&mut point, &only, 8);
    assert_eq!(refused, Err(Refusal::InsufficientDevices));
    // A full target is a reason to wait, also when there is nothing else.
    let all = core::mem::take(&mut pool.devs[0].free);
    let mut other = WritePoint::try_new(DataType::USER).unwrap();
    let full = Request {
        fallback: Some(mask(&[0])),
        ..request(&[0], 1, Watermark::Normal)
    };
    let refused = pool.write(&mut other, &full, 8);
    assert_eq!(refused, Err(Refusal::FreelistEmpty));
    pool.devs[0].free = all;
    // What it had it still has: the next write goes on in the same buckets.
    let to = pool.write(&mut point, &ask, 8).unwrap();
    assert_eq!(to, [(0, 8), (1, 8)]);
    let fewer = Request {
        nr_required: 1,
        ..only
    };
    assert_eq!(pool.fill(&mut point, &fewer), Ok(Filled::Degraded));

    // A device that only caches gets a copy that does not count, if it is in the target.
    point.give_up(&mut pool.table);
    let cache = Request {
        fallback: Some(mask(&[0, 1, 2])),
        ..request(&[2], 1, Watermark::Normal)
    };
    let to = pool.write(&mut point, &cache, 8).unwrap();
    assert_eq!(to.len(), 2);
    assert_eq!(to[0].0, 2);
    let mut nodes = WritePoint::try_new(DataType::BTREE).unwrap();
    let refused = pool.write(&mut nodes, &request(&[2], 1, Watermark::Btree), 8);
    assert_eq!(refused, Err(Refusal::InsufficientDevices));

    // A device that counts for two is enough for two; then the other is not used.
    pool.devs[1].durability = 2;
    let mut point = WritePoint::try_new(DataType::BTREE).unwrap();
    let two = request(&[0, 1], 2, Watermark::Btree);
    let to = pool.write(&mut point, &two, 8).unwrap();
    assert_eq!(devs(to), [1]);
}

#[test]
fn full_devices_do_not_keep_urgent_writes_out() {
    // However users and nodes fill devices of all sizes: what empties the journal goes on as long
    // as there is a bucket, and nobody gets what another has.
    for seed in 1..40 {
        let mut rng = Rng(seed * 77);
        let sizes: Vec<u64> = (0..1 + rng.below(4)).map(|_| 40 + rng.below(200)).collect();
        let mut pool = Pool::new(&sizes);
        let all: Vec<u8> = (0..sizes.len() as u8).collect();
        let replicas = 1 + rng.below(all.len().min(2) as u64) as u8;
        let mut users = WritePoint::try_new(DataType::USER).unwrap();
        let mut nodes = WritePoint::try_new(DataType::BTREE).unwrap();
        let mut written = BTreeSet::new();
        let mut refused = [0, 0];
        for _ in 0..3000 {
            let kind = rng.below(2) as usize;
            let w = [Watermark::Normal, Watermark::Btree][kind];
            let point = [&mut users, &mut nodes].into_iter().nth(kind).unwrap();
            let sectors = 8 + rng.below(57) as u32;
            match pool.write(point, &request(&all, replicas, w), sectors) {
                Ok(to) => to.into_iter().for_each(|at| assert!(written.insert(at))),
                Err(e) => {
                    assert_eq!(e, Refusal::FreelistEmpty);
                    refused[kind] += 1;
                }
            }
        }
        assert!(refused[0] > 0 && refused[1] > 0, "{sizes:?}");
        let mut urgent = WritePoint::try_new(DataType::BTREE).unwrap();
        let reclaim = request(&all, 1, Watermark::Reclaim);
        while let Ok(to) = pool.write(&mut urgent, &reclaim, 64) {
            to.into_iter().for_each(|at| assert!(written.insert(at)));
        }
        assert!(pool.devs.iter().all(|d| d.free.is_empty()));
    }
}

#[test]
fn streams_have_write_points_of_their_own() {
    let mut points = Points::new();
    let plenty = 1 << 40;
    let mut used = BTreeSet::new();
    for id in 0..32u64 {
        let chosen = points.choose(stream(id * 2), 100 + id, plenty, 64).unwrap();
        assert!(used.insert(chosen.index) && !chosen.was_others);
    }
    // Its own again; a new stream gets the one that was not used for longest.
    let own = points.choose(stream(0), 200, plenty, 64).unwrap();
    assert!(!own.was_others);
    let stolen = points.choose(stream(1000), 201, plenty, 64).unwrap();
    let second = points.choose(stream(2), 202, plenty, 64).unwrap();
    assert!(stolen.was_others && second.was_others);
    assert_ne!(stolen.index, second.index);

    // With little space there are fewer: what they hold is at most an eighth of it.
    assert_eq!(points.shrink(32, plenty, 64), None);
    let free = 64 * 8 * 4;
    let mut seen = points.nr();
    while let Some(index) = points.shrink(seen, free, 64) {
        assert_eq!(index, Some(seen - 1));
        seen = points.nr();
    }
    assert_eq!(points.nr(), 4);
    assert_eq!(points.shrink(9, free, 64), Some(None));
    assert!(points.choose(stream(5000), 300, free, 64).unwrap().index < 4);
    // And more again, one at a time, when there is more.
    assert!(points.choose(stream(5002), 301, plenty, 64).unwrap().index < 5);
    assert_eq!(points.nr(), 5);
}

#[test]
fn refusals_as_errors() {
    for (refusal, error) in [
        (Refusal::FreelistEmpty, Error::FreelistEmpty),
        (Refusal::OpenBucketsEmpty, Error::OpenBucketsEmpty),
        (Refusal::InsufficientDevices, Error::InsufficientDevices),
        (Refusal::Failed(Error::Io), Error::Io),
    ] {
        assert_eq!(refusal.error(), error);
    }
}
