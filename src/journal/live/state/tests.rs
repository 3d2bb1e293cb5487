// SPDX-License-Identifier: GPL-2.0

use super::*;

const CONF: Conf = Conf {
    block_sectors: 8,
    buffer_sectors: 64,
    reserved_u64s: 100,
    replicas: 1,
    replicas_needed: 1,
    flush_delay_ns: 1000,
    reclaim_delay_ns: 500,
    stuck_ms: 0,
    may_skip_flush: true,
};

fn ring(dev: u8, nr: u64, sectors: u32) -> Ring {
    let mut starts = Vec::new();
    for i in 0..nr {
        starts
            .push(u64::from(dev) * 100_000 + i * u64::from(sectors))
            .unwrap();
    }
    Ring::new(DevIdx(dev), sectors, starts, (0, 0)).unwrap()
}

fn state(conf: &Conf, all: impl IntoIterator<Item = Ring>) -> State {
    let mut rings = Vec::new();
    for r in all {
        rings.push(r).unwrap();
    }
    let mut s = State::new(10, 10..10, Pins::new(10, 64).unwrap(), rings, 0);
    s.update_space(conf);
    s
}

/// Opens, closes and writes one entry, which nobody pins.
fn one(s: &mut State, conf: &Conf, must_flush: bool, now: u64) -> (u64, Option<u64>) {
    let (seq, _) = s.open(conf, 1, now).unwrap();
    s.entry(seq).must_flush = must_flush;
    s.close(conf, 200);
    s.unpin(conf, seq);
    assert_eq!(s.start_next(|_| false), Some(seq));
    let last = s.pick_flush(conf, seq, now);
    s.place(conf, seq, 8).unwrap();
    assert!(s.written(conf, seq));
    while s.can_discard {
        s.rings.iter_mut().for_each(Ring::discarded);
        s.update_space(conf);
    }
    (seq, last)
}

#[test]
fn the_first_entry_is_flushed_and_later_ones_when_time_has_come() {
    let mut s = state(&CONF, [ring(0, 8, 64)]);
    assert_eq!(one(&mut s, &CONF, false, 10), (10, Some(10)));
    assert_eq!((s.flushed, s.ondisk, s.last_ondisk), (10, 10, 10));
    assert_eq!(one(&mut s, &CONF, false, 20), (11, None));
    assert_eq!(one(&mut s, &CONF, false, 30), (12, None));
    assert_eq!((s.flushed, s.ondisk), (10, 12));
    assert_eq!(one(&mut s, &CONF, true, 40), (13, Some(13)));
    assert_eq!(one(&mut s, &CONF, false, 1039), (14, None));
    assert_eq!(one(&mut s, &CONF, false, 1041), (15, Some(15)));
    assert_eq!((s.flushed, s.last_ondisk), (15, 15));
    let never = Conf {
        may_skip_flush: false,
        ..CONF
    };
    assert_eq!(one(&mut s, &never, false, 1042), (16, Some(16)));
}

#[test]
fn an_entry_counts_as_written_when_all_before_it_are() {
    let mut s = state(&CONF, [ring(0, 8, 64)]);
    for seq in 10..14 {
        assert_eq!(s.open(&CONF, 1, 0).unwrap().0, seq);
        s.close(&CONF, 10);
        s.unpin(&CONF, seq);
    }
    assert_eq!(s.open(&CONF, 1, 0), Err(Refusal::Busy));
    for seq in 10..14 {
        // Somebody still adds to a later one.
        assert_eq!(s.start_next(|held| held >= seq), None);
        assert_eq!(s.start_next(|held| held > seq), Some(seq));
        // Without a place for this one, the next can not begin.
        assert_eq!(s.start_next(|_| false), None);
        assert!(s.pick_flush(&CONF, seq, 0).is_some() || seq > 10);
        s.place(&CONF, seq, 8).unwrap();
    }
    assert!(!s.written(&CONF, 12) && !s.written(&CONF, 11));
    assert_eq!((s.ondisk, s.pins.front()), (9, 10));
    assert!(s.written(&CONF, 10));
    assert_eq!((s.ondisk, s.flushed, s.pins.front()), (12, 10, 13));
    assert!(s.written(&CONF, 13));
    assert!(s.is_quiet());
}

#[test]
fn it_gets_full_and_reclaim_still_gets_room() {
    let mut s = state(&CONF, [ring(0, 8, 64)]);
    let (first, _) = one(&mut s, &CONF, true, 0);
    // Somebody wants the next one kept.
    let (kept, _) = s.open(&CONF, 1, 0).unwrap();
    assert_eq!(kept, first + 1);
    assert!(s.pins.get(kept));
    s.close(&CONF, 10);
    s.unpin(&CONF, kept);
    assert_eq!(s.start_next(|_| false), Some(kept));
    s.pick_flush(&CONF, kept, 0);
    s.place(&CONF, kept, 8).unwrap();
    s.written(&CONF, kept);
    let mut low_at = None;
    let full = loop {
        match s.open(&CONF, 1, 0) {
            Ok((seq, words)) => {
                assert!(words <= 64 * 64 - 107);
                s.close(&CONF, words);
                s.unpin(&CONF, seq);
                assert_eq!(s.start_next(|_| false), Some(seq));
                s.entry(seq).must_flush = true;
                s.pick_flush(&CONF, seq, 0);
                let sectors = s.entry(seq).sectors;
                s.place(&CONF, seq, sectors).unwrap();
                s.written(&CONF, seq);
                assert_eq!(s.pins.front(), kept);
                if s.watermark == Watermark::Reclaim && low_at.is_none() {
                    low_at = Some(seq);
                }
            }
            Err(e) => {
                assert_eq!(e, Refusal::Full);
                break s.seq;
            }
        }
    };
    assert!(low_at.unwrap() < full, "{low_at:?} {full}");
    assert_eq!(
        s.reclaim_target(&CONF, 0),
        Some(s.rings[0].seq_at_half().max(kept))
    );
    assert!(!s.is_stuck(true) && s.is_stuck(false));
    // It is written back: now one entry can say so, and everything is free again.
    assert!(s.unpin(&CONF, kept));
    assert_eq!(s.watermark, Watermark::Stripe);
    one(&mut s, &CONF, false, 1);
    assert_eq!(s.last_ondisk, s.seq);
    for _ in 0..100 {
        one(&mut s, &CONF, false, 1);
    }
}

#[test]
fn sizes_that_do_not_fit() {
    let mut s = state(&CONF, [ring(0, 8, 64)]);
    let most = 64 * 64 - 7 - 100;
    assert!(s.is_too_big(&CONF, most + 1) && !s.is_too_big(&CONF, most));
    assert_eq!(s.open(&CONF, most + 1, 0), Err(Refusal::Full));
    assert_eq!(s.open(&CONF, most, 0), Ok((10, most)));
    s.stopped = true;
    assert_eq!(s.open(&CONF, 1, 0), Err(Refusal::Stopped));
    let mut s = state(&CONF, []);
    assert_eq!(s.open(&CONF, 1, 0), Err(Refusal::NoDevice));
    assert_eq!(State::sectors_of(&CONF, 57), 8);
    assert_eq!(State::sectors_of(&CONF, 8 * 64 - 7), 8);
    assert_eq!(State::sectors_of(&CONF, 8 * 64 - 6), 16);
}

#[test]
fn copies_go_to_several_devices_by_turns() {
    let conf = Conf {
        replicas: 2,
        replicas_needed: 1,
        ..CONF
    };
    let mut s = state(&conf, [ring(0, 8, 64), ring(1, 8, 64), ring(2, 16, 64)]);
    let mut used = [0; 3];
    for _ in 0..40 {
        let (seq, _) = s.open(&conf, 1, 0).unwrap();
        s.close(&conf, 10);
        s.unpin(&conf, seq);
        s.start_next(|_| false);
        s.entry(seq).must_flush = true;
        s.pick_flush(&conf, seq, 0);
        let place = s.place(&conf, seq, 8).unwrap();
        let devs: std::vec::Vec<u8> = place.iter().map(|(d, _)| d.0).collect();
        assert_eq!(devs.len(), 2);
        assert_ne!(devs[0], devs[1]);
        devs.iter().for_each(|d| used[usize::from(*d)] += 1);
        s.written(&conf, seq);
        while s.can_discard {
            s.rings.iter_mut().for_each(Ring::discarded);
            s.update_space(&conf);
        }
    }
    assert!(used.iter().all(|n| *n > 20), "{used:?}");
    assert_eq!(used.iter().sum::<i32>(), 80);
    // With one device left, entries have one copy.
    let mut s = state(&conf, [ring(0, 8, 64)]);
    let (seq, _) = s.open(&conf, 1, 0).unwrap();
    s.close(&conf, 10);
    assert_eq!(s.place(&conf, seq, 8).unwrap().iter().count(), 1);
}

#[test]
fn a_halt_ends_flushes() {
    let mut s = state(&CONF, [ring(0, 8, 64)]);
    one(&mut s, &CONF, true, 0);
    let (seq, _) = s.open(&CONF, 1, 0).unwrap();
    s.close(&CONF, 10);
    s.unpin(&CONF, seq);
    assert_eq!(s.start_next(|_| false), Some(seq));
    s.halted = Some(Error::Io);
    assert!(s.written(&CONF, seq));
    assert_eq!((s.ondisk, s.flushed), (11, 10));
    assert_eq!(s.start_next(|_| false), None);
}

#[test]
fn who_writes_back_gets_most_of_what_is_kept_for_him() {
    let conf = Conf {
        buffer_sectors: 1024,
        ..CONF
    };
    let mut s = state(&conf, [ring(0, 8, 512)]);
    // An entry that stays, with so many words of those it has room for; how many those are.
    let kept = |s: &mut State, most: u32| {
        let (seq, words) = s.open(&conf, 1, 10).ok()?;
        let used = words.min(most);
        s.close(&conf, used);
        let sectors = s.entry(seq).sectors;
        assert_eq!(s.start_next(|_| false), Some(seq));
        s.pick_flush(&conf, seq, 10);
        s.place(&conf, seq, sectors).unwrap();
        assert!(s.written(&conf, seq));
        Some(used)
    };
    while s.watermark < Watermark::Reclaim {
        kept(&mut s, u32::MAX).unwrap();
    }
    // Now small ones, that somebody waits for, and large ones by turns.
    let mut words = 0;
    for most in [1, u32::MAX].into_iter().cycle() {
        match kept(&mut s, most) {
            Some(used) => words += used,
            None => break,
        }
    }
    let reserve = (8 * 512 / 4) * SECTOR_U64S;
    assert!(words > reserve / 2, "{words} words of {reserve}");
}
