// SPDX-License-Identifier: GPL-2.0

//! The journal is written, on golden images in memory, and read again. Without images
//! (`BCACHEFS_RS_IMAGES`) the tests only say so.

use sim::{
    env::Arc,
    error::Error,
    format::{
        bkey::{
            Bkey,
            RawBkey, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts,
    },
    golden::{
        images,
        walk,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::{
        self,
        live::{
            Journal,
            Reservation,
            Start,
            Watermark, //
        },
        JournalContents,
    },
    sb::{
        self,
        SbState, //
    },
};
use std::sync::atomic::{
    AtomicU64,
    Ordering, //
};
use zerocopy::IntoBytes;

/// A filesystem whose journal is written.
struct Live {
    st: Arc<SbState>,
    journal: Arc<Journal>,
    first: u64,
}

fn unpack(name: &str) -> Option<Vec<Vec<u8>>> {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return None;
    };
    Some(Image::named(&folder, name)?.unpack().unwrap())
}

fn start(devices: Vec<Vec<u8>>, options: &str) -> Live {
    let mut opts = Opts::new();
    opts.parse_list(options).unwrap();
    let st = sb::open(images::devices("live", devices), &opts).unwrap();
    let st = Arc::try_new(st).unwrap();
    let from = Start::after(&journal::read(&st, false).unwrap()).unwrap();
    st.mark_dirty().unwrap();
    let first = from.next_seq;
    let journal = Journal::start(st.clone(), &from).unwrap();
    Live { st, journal, first }
}

impl Live {
    /// What is on the devices now.
    fn contents(&self) -> Vec<Vec<u8>> {
        contents(&self.st)
    }
}

fn read_again(devices: Vec<Vec<u8>>) -> (SbState, JournalContents) {
    let st = sb::open(images::devices("again", devices), &Opts::new()).unwrap();
    let contents = journal::read(&st, false).unwrap();
    (st, contents)
}

/// The position of the key that thread `t` adds as its `n`-th.
fn pos(t: u64, n: u64) -> Bpos {
    Bpos::new(1 << 40 | t, n, u32::MAX)
}

/// A key without a value: a whiteout, where there is nothing.
fn key(pos: Bpos) -> [u64; 5] {
    let k = Bkey {
        key_type: KeyType::HASH_WHITEOUT,
        p: pos,
        ..Bkey::default()
    };
    let raw = RawBkey::encode(&k, 0).unwrap();
    let mut words = [0; 5];
    for (to, bytes) in words.iter_mut().zip(raw.as_bytes().chunks_exact(8)) {
        *to = u64::from_le_bytes(bytes.try_into().unwrap());
    }
    words
}

/// Adds a key, and has its entry kept if asked to.
fn add_and(journal: &Journal, pos: Bpos, pin: bool) -> u64 {
    let room = Reservation::u64s_for(5);
    let mut r = journal.reserve(room, Watermark::Normal).unwrap();
    r.add_keys(BtreeId::XATTRS, 0, &key(pos)).unwrap();
    if pin {
        journal.pin(r.seq());
    }
    r.seq()
}

fn add(journal: &Journal, pos: Bpos) -> u64 {
    add_and(journal, pos, false)
}

/// Whether the overlay has the key.
fn has(found: &JournalContents, pos: Bpos) -> bool {
    let range = found.keys.range(BtreeId::XATTRS, 0);
    let at = found.keys.lower_bound(range, pos);
    at < range.end && found.keys.pos(at) == Some(pos)
}

#[test]
fn what_was_flushed_is_there_after_a_crash() {
    const THREADS: u64 = 6;
    const KEYS: u64 = 400;
    for name in [
        "v113-snap",
        "v113-threedev",
        "v113-repl2",
        "v113-block512",
        "v113-encrypted",
    ] {
        let Some(devices) = unpack(name) else { return };
        let live = start(devices, "journal_flush_delay=5");
        // So that everything stays in the journal.
        let pin = add_and(&live.journal, pos(99, 0), true);
        let flushed: Vec<AtomicU64> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
        std::thread::scope(|s| {
            for t in 0..THREADS {
                let (live, flushed) = (&live, &flushed);
                s.spawn(move || {
                    let mut last = 0;
                    for n in 0..KEYS {
                        let seq = add(&live.journal, pos(t, n));
                        assert!(seq >= last && seq >= live.first);
                        last = seq;
                        if n % 50 == 13 * t % 50 {
                            live.journal.flush_seq(seq).unwrap();
                            flushed[t as usize].store(n + 1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!((pin, live.journal.oldest_pinned()), (live.first, pin));
        let (st, found) = read_again(live.contents());
        assert!(!found.clean && !st.sb.is_clean(), "{name}");
        assert!(found.last_seq >= live.journal.flushed());
        for t in 0..THREADS {
            let nr = flushed[t as usize].load(Ordering::Relaxed);
            assert!(nr > KEYS / 2);
            assert!(
                (0..nr).all(|n| has(&found, pos(t, n))),
                "{name}: thread {t}"
            );
        }
        // After a flush of all, all are there.
        live.journal.flush().unwrap();
        let (_, found) = read_again(live.contents());
        assert_eq!(found.last_seq, live.journal.newest());
        for t in 0..THREADS {
            assert!(
                (0..KEYS).all(|n| has(&found, pos(t, n))),
                "{name}: thread {t}"
            );
        }
    }
}

#[test]
fn the_ring_is_written_round_and_round() {
    let Some(devices) = unpack("v113-empty") else {
        return;
    };
    let live = start(devices, "journal_flush_delay=1000");
    let ring_bytes: u64 = live.st.devices().map(ring_bytes).sum();
    let mut written = 0;
    let mut kept = add_and(&live.journal, pos(0, 0), true);
    let mut n = 0;
    // As reclaim would: what is old is let go, and asked for when room is short.
    while written < 5 * ring_bytes {
        n += 1;
        let words = [key(pos(1, n)); 100].concat();
        let room = Reservation::u64s_for(500);
        let r = live.journal.try_reserve(room, Watermark::Normal);
        match r {
            Ok(mut r) => r.add_keys(BtreeId::XATTRS, 0, &words).unwrap(),
            Err(Error::JournalFull | Error::JournalRetry) => {
                if live.journal.reclaim_target().is_some_and(|to| to >= kept) {
                    let next = live.journal.reserve(1, Watermark::Reclaim).unwrap();
                    live.journal.pin(next.seq());
                    live.journal.unpin(kept);
                    kept = next.seq();
                }
                live.journal
                    .wait_for_space(room, Watermark::Normal)
                    .unwrap();
            }
            Err(e) => panic!("{e}"),
        }
        written += 4000;
    }
    live.journal.flush().unwrap();
    let (_, found) = read_again(live.contents());
    assert_eq!(found.last_seq, live.journal.newest());
    assert!(found.first_seq <= kept && kept > live.first + 10);
    assert!(has(&found, pos(1, n)));
}

fn ring_bytes(dev: &sb::Device) -> u64 {
    dev.own.journal_buckets().count() * u64::from(dev.member.bucket_sectors()) * 512
}

#[test]
fn a_full_journal_says_so() {
    let Some(devices) = unpack("v113-empty") else {
        return;
    };
    let live = start(devices, "");
    let kept = add_and(&live.journal, pos(0, 0), true);
    let room = Reservation::u64s_for(10_000);
    let mut quiet = false;
    let full = loop {
        match live.journal.try_reserve(room, Watermark::Normal) {
            Ok(_) => (),
            Err(Error::JournalRetry) => live.journal.flush().unwrap(),
            // Entries that are open count as if they would be filled.
            Err(Error::JournalFull) if !quiet => {
                live.journal.flush().unwrap();
                quiet = true;
                continue;
            }
            Err(e) => break e,
        }
        quiet = false;
    };
    assert_eq!(full, Error::JournalFull);
    assert_eq!(live.journal.watermark(), Watermark::Reclaim);
    assert!(live.journal.reclaim_target().is_some_and(|to| to >= kept));
    let too_big = live.journal.try_reserve(40_000, Watermark::Reclaim);
    assert!(matches!(too_big, Err(Error::JournalTooBig)));
    std::thread::scope(|s| {
        // Somebody waits, and gets room when what is old goes.
        let waits = s.spawn(|| live.journal.wait_for_space(room, Watermark::Normal));
        live.journal.wait_for_reclaim(60_000, || false);
        assert!(!waits.is_finished());
        live.journal.unpin(kept);
        assert_eq!(waits.join().unwrap(), Ok(()));
    });
    // Nobody lets go: those who would have to use the rest of the room are told.
    let kept = add_and(&live.journal, pos(0, 1), true);
    let stuck = loop {
        match live.journal.reserve(room, Watermark::Reclaim) {
            Ok(r) => assert!(r.seq() >= kept),
            Err(e) => break e,
        }
    };
    assert_eq!(stuck, Error::JournalStuck);
    assert_eq!(live.journal.halted(), Some(Error::JournalStuck));
    assert_eq!(live.st.state.get(), sb::State::EmergencyReadOnly);
    assert_eq!(live.journal.write_entry(), Err(Error::JournalStuck));
    let (_, found) = read_again(live.contents());
    assert!(has(&found, pos(0, 1)));
}

#[test]
fn what_is_not_reserved_is_refused() {
    let Some(devices) = unpack("v113-empty") else {
        return;
    };
    let live = start(devices, "");
    let mut r = live.journal.reserve(6, Watermark::Normal).unwrap();
    let seq = r.seq();
    let seven = [0; 6];
    assert_eq!(
        r.add_keys(BtreeId::XATTRS, 0, &seven),
        Err(Error::JournalOverrun)
    );
    r.add_keys(BtreeId::XATTRS, 0, &key(pos(3, 3))).unwrap();
    assert_eq!(
        r.add_keys(BtreeId::XATTRS, 0, &[]),
        Err(Error::JournalOverrun)
    );
    live.journal.pin(seq);
    drop(r);
    live.journal.flush_seq(seq).unwrap();
    let (_, found) = read_again(live.contents());
    assert!(has(&found, pos(3, 3)));
    // A pin of what is gone ends it all.
    live.journal.unpin(seq);
    live.journal.write_entry().unwrap();
    assert!(live.journal.oldest_pinned() > seq);
    live.journal.pin(seq);
    assert_eq!(live.journal.halted(), Some(Error::JournalPin));
    let refused = live.journal.try_reserve(1, Watermark::InteriorUpdates);
    assert!(matches!(refused, Err(Error::JournalPin)));
}

#[test]
fn roots_are_in_every_entry() {
    for name in ["v113-snap", "v113-encrypted"] {
        let Some(devices) = unpack(name) else { return };
        let before = read_again(devices.clone()).1;
        let live = start(devices, "");
        live.journal.write_entry().unwrap();
        let (_, after) = read_again(live.contents());
        assert!(!after.clean);
        assert_eq!(roots(&after), roots(&before), "{name}");
        assert_eq!(after.clocks, before.clocks);
        assert_eq!(after.key_version, before.key_version);
        // One changes: here to what another one has, which is enough to be read back.
        let (_, other) = roots(&before)[0].clone();
        let mut r = live
            .journal
            .reserve(20, Watermark::InteriorUpdates)
            .unwrap();
        r.set_root(BtreeId::LRU, 0, &other).unwrap();
        drop(r);
        live.journal.write_entry().unwrap();
        live.journal.write_entry().unwrap();
        let (_, after) = read_again(live.contents());
        let new: Vec<_> = roots(&after)
            .into_iter()
            .filter(|r| !roots(&before).contains(r))
            .collect();
        assert_eq!(new, [(BtreeId::LRU, other)], "{name}");
    }
}

/// The roots: btree, and the words of the pointer.
fn roots(of: &JournalContents) -> Vec<(BtreeId, Vec<u64>)> {
    let words = |root: &journal::Root| {
        let key = root.key().unwrap();
        let raw = RawBkey::encode(&key.k, (key.v.len() / 8) as u8).unwrap();
        let bytes = [raw.as_bytes(), key.v].concat();
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        bytes.chunks_exact(8).map(word).collect()
    };
    of.roots.iter().map(|(id, r)| (id, words(r))).collect()
}

/// What is on the devices of a started filesystem.
fn contents(st: &SbState) -> Vec<Vec<u8>> {
    let read = |dev: &sb::Device| {
        let mut bytes = vec![0; dev.bdev.nr_sectors() as usize * 512];
        dev.bdev.read(0, &mut bytes).unwrap();
        bytes
    };
    st.devices().map(read).collect()
}

#[test]
fn a_mount_and_an_unmount_change_only_the_superblock_and_the_journal() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut nr = 0;
    for image in Image::all(&folder) {
        let is_plain = image.name.starts_with("v113-") && !image.name.contains("dmg");
        if !is_plain || image.name.contains("unclean") || image.name == "v113-many" {
            continue;
        }
        let name = &image.name;
        let mut devices = image.unpack().unwrap();
        // A second time after the first.
        for round in 0..2 {
            let devs = images::devices(name, devices.clone());
            let fs = Filesystem::start_for(Access::Write, devs, &Opts::new()).expect(name);
            let st = fs.view.btrees.sb().clone();
            let between = contents(&st);
            assert_eq!(fs.state().get(), sb::State::ReadWrite);
            fs.sync().unwrap();
            fs.go_read_only().unwrap();
            assert_eq!(fs.state().get(), sb::State::ReadOnly);
            assert!(fs.read_write().is_err());
            let after = contents(&st);

            // Not shut down, it is not clean, and has what it had.
            let (dirty, found) = read_again(between);
            assert!(!dirty.sb.is_clean() && !found.clean && found.keys.is_empty());
            assert_eq!(dirty.sb.seq(), st.sb.seq() + dirty_writes(&dirty, &st));
            let (clean, found) = read_again(after.clone());
            assert!(clean.sb.is_clean() && found.clean, "{name}");
            assert_eq!(found.last_seq, fs.journal.last + 2);
            for (old, new) in devices.iter().zip(&after) {
                check_changes(name, &clean, old, new);
            }
            let devs = images::devices(name, after.clone());
            let again = Filesystem::start(devs, &Opts::new()).unwrap();
            let manifest = image.manifest().unwrap();
            let different = manifest.differences(&walk(&again.view));
            assert!(different.is_empty(), "{name}, round {round}: {different:?}");
            devices = after;
        }
        nr += 1;
    }
    assert!(nr == 0 || nr > 10, "{nr} images");
}

/// How often the superblock was written while the filesystem was started: once, and once for each
/// set of devices that got a journal entry for the first time.
fn dirty_writes(new: &SbState, old: &SbState) -> u64 {
    let more = new.sb.replicas().count() - old.sb.replicas().count();
    1 + more as u64
}

/// Only copies of the superblock, and journal buckets, differ.
fn check_changes(name: &str, st: &SbState, old: &[u8], new: &[u8]) {
    let uuid = st.sb.uuid();
    let dev = st
        .devices()
        .find(|d| {
            let at = 4096 + 122;
            new[at] == d.idx.0
        })
        .unwrap();
    assert_eq!(dev.own.uuid(), uuid);
    let bucket = u64::from(dev.member.bucket_sectors());
    let mut may: Vec<(u64, u64)> = dev
        .own
        .journal_buckets()
        .iter()
        .map(|b| (b * bucket, (b + 1) * bucket))
        .collect();
    let sectors = dev.own.layout.max_bytes() / 512;
    may.extend(dev.own.layout.offsets().map(|o| (o, o + sectors)));
    for (at, (a, b)) in old.chunks(512).zip(new.chunks(512)).enumerate() {
        let at = at as u64;
        let is_ours = may.iter().any(|(start, end)| (*start..*end).contains(&at));
        assert!(a == b || is_ours, "{name}: device {}: sector {at}", dev.idx);
    }
}

#[test]
fn what_can_not_be_written_yet_is_refused() {
    let cases = [
        ("v139-snap", Error::ReadWriteUnsupported),
        ("v113-unclean", Error::ReadWriteUnclean),
    ];
    for (name, want) in cases {
        let Some(devices) = unpack(name) else { return };
        let devs = images::devices(name, devices.clone());
        let refused = Filesystem::start_for(Access::Write, devs, &Opts::new());
        assert_eq!(refused.err(), Some(want), "{name}");
    }
}
