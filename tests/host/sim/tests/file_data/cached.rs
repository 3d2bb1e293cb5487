// SPDX-License-Identifier: GPL-2.0

//! Buckets with cached copies of data, as a filesystem with a `promote_target` has them: they count
//! as space that can be had, and whoever needs it gets it.

use super::{
    engine::{
        mounted::{
            look,
            mount, //
        },
        space::disks,
        Random, //
    },
    file::{
        first_files,
        SECTOR, //
    },
};
use sim::{
    alloc::space::Engine,
    btree::KeyBuf,
    check::check_derived,
    data::write::{
        punch,
        write,
        Written, //
    },
    env::units::{
        BucketNr,
        DevIdx,
        Sectors, //
    },
    error::{
        Class,
        Result as BchResult, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::counters::Counter,
        values::{
            alloc::Alloc,
            bucket_index::alloc_pos,
            extent,
            extent_entry::Ptr, //
        },
    },
    journal::live::Watermark,
    sb::Device,
    sys::block::Power, //
};
use zerocopy::IntoBytes as _;

/// Bytes written at a time.
const PIECE: u64 = 128 << 10;

/// The last buckets of a device that are free, and their generations.
fn free_buckets(engine: Engine<'_>, dev: &Device, nr: usize) -> Vec<(BucketNr, u8)> {
    let all = (0..dev.member.nbuckets()).rev().map(BucketNr);
    let state = |bucket| {
        let found = engine
            .btrees
            .lookup(BtreeId::ALLOC, alloc_pos(dev.idx, bucket));
        let alloc = found
            .unwrap()
            .and_then(|f| Alloc::decode(&f.key()).unwrap());
        (bucket, alloc.unwrap_or_default())
    };
    let free = all
        .map(state)
        .filter(|(_, a)| a.data_type == DataType::FREE);
    free.map(|(bucket, a)| (bucket, a.generation))
        .take(nr)
        .collect()
}

/// Makes extents that are on some device have a cached copy on another one, `nr` on each, each in a
/// bucket of its own. No data is there: nobody reads it as long as the other copy is good.
fn add_cached(engine: Engine<'_>, nr: usize) -> u64 {
    let devices: Vec<&Device> = engine.btrees.sb().devices().collect();
    let mut buckets: Vec<_> = devices
        .iter()
        .map(|d| free_buckets(engine, d, nr))
        .collect();
    let (mut keys, mut iter) = (
        Vec::new(),
        engine.btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN),
    );
    while let Some(key) = iter.next().unwrap() {
        if key.k.key_type == KeyType::EXTENT {
            let ptrs = extent::ptrs(&key, engine.btrees.entry_sizes());
            let on: Vec<DevIdx> = ptrs.map(|p| p.unwrap().ptr.dev).collect();
            keys.push((KeyBuf::copy_of(&key).unwrap(), on));
        }
    }
    drop(iter);
    let mut added = 0;
    for (key, on) in keys {
        let fits = |d: &&Device| key.k.size <= d.member.bucket_sectors().into();
        let other = devices.iter().position(|d| !on.contains(&d.idx) && fits(d));
        let bucket = other.and_then(|other| Some((other, buckets[other].pop()?)));
        let Some((other, (bucket, generation))) = bucket else {
            continue;
        };
        let cached = Ptr {
            dev: devices[other].idx,
            offset: Sectors(bucket.0 * u64::from(devices[other].member.bucket_sectors())),
            generation,
            cached: true,
            unwritten: false,
        };
        let value: Vec<u64> = key
            .value()
            .iter()
            .copied()
            .chain([cached.to_word()])
            .collect();
        let done = engine.run(Watermark::Normal, |t| {
            t.update_extent(BtreeId::EXTENTS, KeyBuf::of(key.k, value.as_bytes())?)?;
            t.commit()
        });
        done.unwrap();
        added += 1;
    }
    added
}

#[test]
fn cached_copies_make_room() {
    let power = Power::new();
    let (fs, media) = mount(disks("engine-three").unwrap(), &power, "");
    let (engine, view) = (fs.read_write().unwrap().engine(), &fs.view);
    let space = &engine.writer.hooks;
    let mut r = Random(1);
    let mut files = first_files(view, engine, 1);
    let file = &mut files[0];
    file.options.nr_replicas = 1;
    let append = |file: &mut super::File, r: &mut Random| -> BchResult {
        let reserved = space.reserve(PIECE / SECTOR)?;
        let (byte, at) = (r.next() as u8, file.bytes.len() as u64);
        let data = vec![byte; PIECE as usize];
        let (mut done, end) = (Written::default(), at + PIECE);
        let what = (at / SECTOR, &data[..]);
        // Whoever has space reserved gets it.
        write(engine, view, file.id, &file.options, what, end, &mut done).unwrap();
        space.give_back(reserved);
        file.resize(end);
        file.bytes[at as usize..].fill(byte);
        Ok(())
    };
    for _ in 0..60 {
        append(file, &mut r).unwrap();
    }
    let cached = || space.usage_base().cached;
    let added = add_cached(engine, 60);
    assert!(added > 80, "{added}");
    assert_ne!(cached(), 0);

    let refused = loop {
        if let Err(e) = append(file, &mut r) {
            break e;
        }
    };
    assert_eq!(refused.class(), Class::NoSpace);
    let dropped = fs.view.sb().counters.get(Counter::BUCKET_INVALIDATE);
    println!("{added} with cached data, {dropped} were dropped");
    // The space that is left for moving data may have some yet.
    assert!(dropped > added / 8, "{dropped}");
    file.check(view);

    // Nobody minds pointers that have become stale, neither a check nor who deletes them.
    fs.go_read_only().unwrap();
    let seen = look(&media);
    let findings = check_derived(&seen.view);
    assert!(findings.is_empty(), "{findings:#?}");
    drop(seen);
    fs.go_read_write().unwrap();
    let engine = fs.read_write().unwrap().engine();
    punch(engine, view, file.id, 0, file.bytes.len() as u64 / SECTOR).unwrap();
    fs.go_read_only().unwrap();
    let findings = check_derived(&look(&media).view);
    assert!(findings.is_empty(), "{findings:#?}");
}
