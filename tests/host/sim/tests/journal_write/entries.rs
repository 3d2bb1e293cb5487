// SPDX-License-Identifier: GPL-2.0

//! What is added is there, and there is an end to the room.

use super::*;

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
        let safe = live.journal.flushed();
        let (st, found) = read_again(live.contents());
        assert!(!found.clean && !st.sb.is_clean(), "{name}");
        assert!(found.last_seq >= safe);
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

/// Keeps one entry, and a newer one whenever that is asked for, until told to end; as if everything
/// was written back.
fn reclaim(journal: &Journal, end: &AtomicBool, mut kept: u64) -> u64 {
    while !end.load(Ordering::Relaxed) {
        journal.wait_for_reclaim(5, || false);
        if journal.reclaim_target().is_some_and(|to| to >= kept) {
            let next = journal.reserve(1, Watermark::Reclaim).unwrap();
            journal.pin(next.seq());
            journal.unpin(kept);
            kept = next.seq();
        }
    }
    kept
}

#[test]
fn the_ring_is_written_round_and_round() {
    const THREADS: u64 = 3;
    let Some(devices) = unpack("v113-empty") else {
        return;
    };
    let live = start(devices, "journal_reclaim_delay=100000");
    let ring_bytes: u64 = live.st.devices().map(ring_bytes).sum();
    let keys = 5 * ring_bytes / 4000 / THREADS;
    let first = add_and(&live.journal, pos(0, 0), true);
    let end = AtomicBool::new(false);
    let kept = std::thread::scope(|s| {
        let reclaims = s.spawn(|| reclaim(&live.journal, &end, first));
        let add_many = |t| {
            for n in 0..keys {
                let words = [key(pos(t, n)); 100].concat();
                let room = Reservation::u64s_for(500);
                let mut r = live.journal.reserve(room, Watermark::Normal).unwrap();
                r.add_key(BtreeId::XATTRS, 0, &words, &[]).unwrap();
            }
        };
        let all: Vec<_> = (1..=THREADS)
            .map(|t| s.spawn(move || add_many(t)))
            .collect();
        all.into_iter().for_each(|t| t.join().unwrap());
        end.store(true, Ordering::Relaxed);
        reclaims.join().unwrap()
    });
    live.journal.flush().unwrap();
    let (_, found) = read_again(live.contents());
    assert_eq!(found.last_seq, live.journal.newest());
    assert!(found.first_seq <= kept && kept > first + 10);
    // What is still needed is what was added last.
    assert!((1..=THREADS).any(|t| has(&found, pos(t, keys - 1))));
}

fn ring_bytes(dev: &sb::Device) -> u64 {
    dev.own.journal_buckets().count() * u64::from(dev.member.bucket_sectors()) * 512
}

#[test]
fn a_full_journal_says_so() {
    let Some(devices) = unpack("v113-empty") else {
        return;
    };
    let live = start(devices, "allocator_stuck_timeout=1");
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
        r.add_key(BtreeId::XATTRS, 0, &seven, &[]),
        Err(Error::JournalOverrun)
    );
    r.add_key(BtreeId::XATTRS, 0, &key(pos(3, 3)), &[]).unwrap();
    assert_eq!(
        r.add_key(BtreeId::XATTRS, 0, &[], &[]),
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
        r.set_root(BtreeId::LRU, 0, &other, &[]).unwrap();
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
pub(crate) fn roots(of: &JournalContents) -> Vec<(BtreeId, Vec<u64>)> {
    let words = |root: &journal::Root| {
        let key = root.key().unwrap();
        let raw = RawBkey::encode(&key.k, (key.v.len() / 8) as u8).unwrap();
        let bytes = [raw.as_bytes(), key.v].concat();
        let word = |b: &[u8]| u64::from_le_bytes(b.try_into().unwrap());
        bytes.chunks_exact(8).map(word).collect()
    };
    of.roots.iter().map(|(id, r)| (id, words(r))).collect()
}
