// SPDX-License-Identifier: GPL-2.0

//! Random damage of what is derived of keys: a repair makes all of it right, by a check that counts
//! everything anew and shares no code with it.
//!
//! `BCACHEFS_RS_ROUNDS` sets how much of it there is, `BCACHEFS_RS_SEED` which.

mod engine;

use engine::{
    golden::{
        check_whole,
        contents,
        cuts,
        left,
        overwritten,
        root_of,
        start,
        REPAIR, //
    },
    setting,
    Random, //
};
use sim::{
    alloc::space::{
        Engine,
        Trans, //
    },
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    check::DERIVED,
    env::Arc as EnvArc,
    error::Error,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        values::alloc::Alloc, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::{
        Disk,
        Medium,
        Power,
        Replay, //
    },
};

const IMAGES: [&str; 5] = [
    "v113-snap",
    "v113-reflink",
    "v113-threedev",
    "v113-repl2",
    "v113-many",
];
/// Btrees that nothing is derived of.
const INDICES: [BtreeId; 5] = [
    BtreeId::FREESPACE,
    BtreeId::NEED_DISCARD,
    BtreeId::LRU,
    BtreeId::BACKPOINTERS,
    BtreeId::BUCKET_GENS,
];

/// Starts a filesystem that can be started; its devices, to look at later.
fn started(disks: Vec<Disk>, access: Access, opts: &str) -> (EnvArc<Filesystem>, Vec<Medium>) {
    let (fs, media) = start(disks, access, opts, &Power::new());
    (fs.unwrap(), media)
}

/// All keys of a btree.
fn keys(fs: &Filesystem, btree: BtreeId) -> Vec<KeyBuf> {
    let mut all = Vec::new();
    let mut iter = fs.view.btrees.iter(btree, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        all.push(KeyBuf::copy_of(&key).unwrap());
    }
    all
}

fn stage(t: &mut Trans<'_>, btree: BtreeId, key: &KeyBuf) -> TransResult {
    let key = KeyBuf::copy_of(&key.key())?;
    match btree {
        b if b.uses_write_buffer() => t.buffer(b, key),
        b if b.is_extents() => t.update_extent(b, key),
        b => t.update(b, key),
    }
}

/// Says whether such a key can be at all.
#[must_use]
fn put(engine: Engine<'_>, btree: BtreeId, key: &KeyBuf) -> Option<()> {
    let done = engine.run(Watermark::Normal, |t| {
        stage(t, btree, key)?;
        t.commit()
    });
    match done {
        Ok(_) => Some(()),
        Err(e) => {
            assert_eq!(e, Error::TransKeyInvalid);
            None
        }
    }
}

/// Damages one thing; says what.
fn damage(fs: &Filesystem, r: &mut Random) -> Option<String> {
    let engine = fs.read_write().unwrap().engine();
    let pick = |r: &mut Random, all: Vec<KeyBuf>| {
        let nr = all.len() as u64;
        all.into_iter().nth(r.below(nr) as usize)
    };
    match r.below(9) {
        // An entry of an index is gone.
        0..=3 => {
            let btree = INDICES[r.below(INDICES.len() as u64) as usize];
            let key = pick(r, keys(fs, btree))?;
            let mut gone = KeyBuf::deletion(key.k.p);
            gone.k.size = key.k.size;
            put(engine, btree, &gone)?;
            Some(format!("{btree} {}: deleted", key.k.p))
        }
        // An entry is in another place.
        4 | 5 => {
            let btree = INDICES[r.below(4) as usize];
            let key = pick(r, keys(fs, btree))?;
            let by = 1 + r.below(300);
            let p = match btree {
                BtreeId::BACKPOINTERS => Bpos::new(key.k.p.inode, key.k.p.offset + (by << 10), 0),
                _ => Bpos::new(key.k.p.inode, key.k.p.offset + by, 0),
            };
            let moved = KeyBuf::of(Bkey { p, ..key.k }, key.key().v).unwrap();
            put(engine, btree, &moved)?;
            Some(format!("{btree} {p}: too much"))
        }
        // The state of a bucket is wrong; its indices are those of the wrong state.
        6 => {
            let key = pick(r, keys(fs, BtreeId::ALLOC))?;
            let mut a = Alloc::decode(&key.key()).unwrap().unwrap();
            let what = match r.below(4) {
                0 => {
                    a.dirty_sectors += 8;
                    "dirty"
                }
                1 => {
                    a.cached_sectors += 8;
                    "cached"
                }
                2 => {
                    (a.dirty_sectors, a.cached_sectors) = (0, 0);
                    a.data_type = DataType::FREE;
                    "empty"
                }
                _ => {
                    (a.data_type, a.dirty_sectors) = (DataType::BTREE, 16);
                    "a node"
                }
            };
            let k = Bkey {
                key_type: KeyType::ALLOC_V4,
                ..key.k
            };
            // What is empty gets a new generation, and pointers to it do not fit any more.
            if a.dirty_sectors == 0 && a.cached_sectors == 0 {
                a.need_inc_gen = false;
            }
            put(engine, BtreeId::ALLOC, &KeyBuf::of(k, &a.encode()).unwrap())?;
            Some(format!("bucket {}: {what}", key.k.p))
        }
        // A counter is wrong.
        7 => {
            let key = pick(r, keys(fs, BtreeId::ACCOUNTING))?;
            let nr = key.key().v.len() / 8;
            let by: Vec<u8> = (0..nr).flat_map(|_| r.below(1000).to_le_bytes()).collect();
            let delta = KeyBuf::of(key.k, &by).unwrap();
            put(engine, BtreeId::ACCOUNTING, &delta)?;
            Some(format!("counter {}: changed", key.k.p))
        }
        // A shared extent has another reference count.
        _ => {
            let key = pick(r, keys(fs, BtreeId::REFLINK))?;
            let mut v = key.key().v.to_vec();
            let refs = u64::from_le_bytes(v[..8].try_into().unwrap());
            v[..8].copy_from_slice(&(refs + 1 + r.below(3)).to_le_bytes());
            put(engine, BtreeId::REFLINK, &KeyBuf::of(key.k, &v).unwrap())?;
            Some(format!("shared extent {}: references", key.k.p))
        }
    }
}

/// Repairs, and checks what came of it.
fn repair_and_check(disks: Vec<Disk>, what: &str) {
    let (fs, media) = started(disks, Access::Write, REPAIR);
    drop(fs);
    check_whole(left(&media), what);
}

/// The power is lost while it is repaired, and then it is repaired.
fn power_is_lost(disks: Vec<Disk>, what: &str) {
    let power = Power::new();
    let (fs, media) = start(disks, Access::Write, REPAIR, &power);
    drop(fs.unwrap());
    let end = power.now();
    let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
    for (nr, cut) in cuts(end, 12).enumerate() {
        let mut disks: Vec<_> = replays.iter_mut().map(|r| r.image(cut)).collect();
        // Who mounts it without fsck in between goes on with what the superblock requires, or is
        // refused.
        if nr % 2 == 1 {
            let (fs, media) = start(disks, Access::Write, "", &Power::new());
            match fs {
                Ok(fs) => drop(fs),
                Err(e) => assert_eq!(e, Error::ReadWriteDamaged, "{what}: {cut:?}"),
            }
            disks = left(&media);
        }
        repair_and_check(disks, &format!("{what}: {cut:?} of {end}"));
    }
}

#[test]
fn whatever_is_derived_is_made_right() {
    let (rounds, seed) = (
        setting("BCACHEFS_RS_ROUNDS", 4),
        setting("BCACHEFS_RS_SEED", 1),
    );
    for name in IMAGES {
        for round in 0..rounds {
            let Some(disks) = contents(name) else { return };
            let mut r = Random(seed << 32 | round);
            let (fs, media) = started(disks, Access::Write, "errors=continue");
            let mut done = Vec::new();
            for _ in 0..1 + r.below(12) {
                done.extend(damage(&fs, &mut r));
            }
            drop(fs);
            let what = format!("{name} round {round} seed {seed}: {done:#?}");
            repair_and_check(left(&media), &what);
        }
    }
}

/// Nodes of btrees that are derived are overwritten.
#[test]
fn derived_btrees_are_made_anew() {
    for name in IMAGES {
        for btree in DERIVED {
            let Some(disks) = contents(name) else { return };
            let (fs, _) = started(disks, Access::Read, "");
            let mut places = Vec::new();
            for level in 1..3 {
                let mut iter = fs.view.btrees.iter(btree, level, Bpos::MIN);
                while let Some(key) = iter.next().unwrap() {
                    let sizes = fs.view.btrees.entry_sizes();
                    let ptr = sim::btree::ptr::NodePtr::decode(btree, level - 1, &key, sizes);
                    places.push(ptr.unwrap().copies().collect::<Vec<_>>());
                }
            }
            if fs.view.btrees.root_pointer(btree).unwrap().is_some() {
                places.push(root_of(&fs, btree).copies().collect());
            }
            drop(fs);
            // What is nothing but a root is so in all of them.
            if places.len() == 1 && !["v113-snap", "v113-threedev"].contains(&name) {
                continue;
            }
            // One in the middle, if there are several; all copies.
            let Some(copies) = places.get(places.len() / 2) else {
                continue;
            };
            let damaged = || overwritten(contents(name).unwrap(), copies.iter().copied());
            let what = format!("{name}: a node of {btree}, of {}", places.len());
            repair_and_check(damaged(), &what);
            if name == "v113-snap" {
                power_is_lost(damaged(), &what);
            }
            println!("{what}: made anew");
        }
    }
}

/// Says that a bucket with data is empty, and then takes away some of that data: does writing end?
fn ends_writing(opts: &str) -> Option<bool> {
    let (fs, _) = started(contents("v113-snap")?, Access::Write, opts);
    let engine = fs.read_write().unwrap().engine();
    let sizes = *fs.view.btrees.entry_sizes();
    let on_disk = |k: &KeyBuf| {
        let key = k.key();
        let mut all = sim::format::values::extent::ptrs(&key, &sizes);
        all.next().map(|p| p.expect("valid").ptr)
    };
    let all = keys(&fs, BtreeId::EXTENTS).into_iter();
    let mut with = all.filter(|k| k.k.key_type == KeyType::EXTENT);
    let extent = with
        .find(|k| on_disk(k).is_some_and(|p| !p.cached))
        .unwrap();
    let ptr = on_disk(&extent).unwrap();
    let size = fs.view.sb().dev(ptr.dev).unwrap().member.bucket_sectors();
    let pos = Bpos::new(ptr.dev.0.into(), ptr.offset.0 / u64::from(size), 0);
    let key = engine.btrees.lookup(BtreeId::ALLOC, pos).unwrap().unwrap();
    let mut a = Alloc::decode(&key.key()).unwrap().unwrap();
    (a.dirty_sectors, a.data_type, a.need_inc_gen) = (0, DataType::FREE, false);
    let k = Bkey {
        key_type: KeyType::ALLOC_V4,
        p: pos,
        ..Bkey::default()
    };
    drop(key);
    put(engine, BtreeId::ALLOC, &KeyBuf::of(k, &a.encode()).unwrap()).unwrap();
    let mut gone = KeyBuf::deletion(extent.k.p);
    gone.k.size = extent.k.size;
    let done = engine.run(Watermark::Normal, |t| {
        stage(t, BtreeId::EXTENTS, &gone)?;
        t.commit()
    });
    let ended = fs.read_write().is_err();
    assert_eq!(done.is_err(), ended, "{opts}: {done:?}");
    assert_ne!(fs.view.sb().errors.since_mount(), 0, "{opts}");
    Some(ended)
}

#[test]
fn what_is_inconsistent_ends_writing_if_it_is_to() {
    for (opts, want) in [
        ("errors=continue", false),
        ("errors=fix_safe", true),
        ("errors=ro", true),
    ] {
        let Some(ended) = ends_writing(opts) else {
            return;
        };
        assert_eq!(ended, want, "{opts}");
    }
}

/// A node of which one copy is bad is written anew, with two good ones.
#[test]
fn a_bad_copy_is_replaced() {
    for btree in [BtreeId::EXTENTS, BtreeId::INODES, BtreeId::ALLOC] {
        let Some(disks) = contents("v113-repl2") else {
            return;
        };
        let (fs, _) = started(disks, Access::Read, "");
        let copies: Vec<_> = root_of(&fs, btree).copies().collect();
        assert_eq!(copies.len(), 2);
        drop(fs);
        let disks = contents("v113-repl2").unwrap();
        let disks = overwritten(disks, copies.into_iter().take(1));
        repair_and_check(disks, &format!("a copy of {btree}"));
    }
}
