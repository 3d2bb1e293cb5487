// SPDX-License-Identifier: GPL-2.0

//! Devices that fail.

use super::{crash::cuttable, *};
use sim::sys::block::{
    Fault,
    Kind, //
};

#[test]
fn a_write_that_fails_ends_it_for_everybody() {
    for (image, kind, want) in [
        ("v113-empty", Kind::Write, Error::JournalWriteFailed),
        // One device does both at once.
        ("v113-empty", Kind::Flush, Error::JournalWriteFailed),
        // What is on one of three, and nowhere else, may be lost then.
        ("v113-threedev", Kind::Flush, Error::JournalFlushFailed),
    ] {
        let Some(contents) = unpack(image) else {
            return;
        };
        let (devices, cuttable) = cuttable(contents);
        let live = start_on(devices, "");
        let kept = add_and(&live.journal, pos(1, 1), true);
        live.journal.flush_seq(kept).unwrap();
        cuttable.media[0].fail_from_then_on(kind, 0);
        std::thread::scope(|s| {
            for t in 2..6 {
                let live = &live;
                s.spawn(move || {
                    let room = Reservation::u64s_for(5);
                    let r = live.journal.reserve(room, Watermark::Normal);
                    let seq = r.map(|mut r| {
                        r.add_key(BtreeId::XATTRS, 0, &key(pos(t, 1)), &[]).unwrap();
                        r.seq()
                    });
                    let flushed = seq.and_then(|seq| live.journal.flush_seq(seq));
                    assert_eq!(flushed, Err(want));
                });
            }
        });
        assert_eq!(live.journal.halted(), Some(want));
        assert_eq!(live.st.state.first_error(), Some(want));
        assert!(live.st.devices().any(|d| d.errors.all()[1] > 0));
        // Nothing is written any more, also when it would work.
        cuttable.media[0].heal();
        let since = cuttable.power.now();
        let refused = live.journal.reserve(1, Watermark::InteriorUpdates);
        assert_eq!(refused.err(), Some(want));
        assert_eq!(live.journal.stop().err(), Some(want));
        assert_eq!(live.st.change_super(|_| Ok(true)), Err(want));
        // What was safe before is.
        live.journal.flush_seq(kept).unwrap();
        drop(live.journal);
        assert_eq!(cuttable.media[0].changes_since(since), 0);
        let (_, found) = read_again(contents_of(&live.st));
        assert!(has(&found, pos(1, 1)));
    }
}

#[test]
fn a_device_that_is_needed_and_fails_for_long_ends_it() {
    let Some(contents) = unpack("v113-empty") else {
        return;
    };
    let (devices, _cuttable) = cuttable(contents);
    let live = start_on(devices, "write_error_timeout=1");
    let dev = live.st.devices().next().unwrap();
    let first = add(&live.journal, pos(1, 1));
    live.journal.flush_seq(first).unwrap();
    dev.errors.count_write(Error::Io);
    // One that works, and it is as if nothing had been.
    let second = add(&live.journal, pos(1, 2));
    live.journal.flush_seq(second).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let third = add(&live.journal, pos(1, 3));
    live.journal.flush_seq(third).unwrap();
    dev.errors.count_write(Error::Io);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let last = add(&live.journal, pos(1, 4));
    let want = Error::DeviceWritesFail;
    assert_eq!(live.journal.flush_seq(last), Err(want));
    assert_eq!(live.st.state.first_error(), Some(want));
}

#[test]
fn one_of_two_devices_is_enough() {
    let Some(contents) = unpack("v113-repl2") else {
        return;
    };
    let (devices, cuttable) = cuttable(contents);
    let live = start_on(devices, "degraded");
    let first = add_and(&live.journal, pos(1, 1), true);
    live.journal.flush_seq(first).unwrap();
    cuttable.media[1].inject(Kind::Write, 0, Fault::Fail);
    for n in 2..20 {
        let seq = add(&live.journal, pos(1, n));
        live.journal.flush_seq(seq).unwrap();
    }
    assert_eq!(live.journal.halted(), None);
    let (_, found) = read_again(contents_of(&live.st));
    assert!((1..20).all(|n| has(&found, pos(1, n))));
}

#[test]
fn a_mount_fails_when_the_journal_can_not_be_written() {
    let Some(contents) = unpack("v113-empty") else {
        return;
    };
    // The superblock is written three times at the start: marked, in three copies.
    for after in [0, 1, 3] {
        let (devices, cuttable) = cuttable(contents.clone());
        cuttable.media[0].fail_from_then_on(Kind::Write, after);
        let failed = Filesystem::start_for(Access::Write, devices, &Opts::new());
        let e = failed.err().unwrap();
        let want = [Error::SbWriteFailed, Error::JournalWriteFailed];
        assert!(want.contains(&e), "after {after}: {e}");
    }
}

#[test]
fn a_superblock_that_others_wrote_or_that_was_lost_is_noticed() {
    let Some(contents) = unpack("v113-empty") else {
        return;
    };
    let (devices, cuttable) = cuttable(contents);
    let live = start_on(devices, "");
    live.st.change_super(|_| Ok(true)).unwrap();
    for _ in 0..3 {
        cuttable.media[0].inject(Kind::Write, 0, Fault::Lose);
    }
    // This one is lost, which shows the next time.
    live.st.change_super(|_| Ok(true)).unwrap();
    let lost = live.st.change_super(|_| Ok(true));
    assert_eq!(lost, Err(Error::SbWriteDropped));

    let Some(contents) = unpack("v113-empty") else {
        return;
    };
    let live = start(contents, "");
    let dev = live.st.devices().next().unwrap();
    let mut head = vec![0; 4096];
    dev.bdev.read(8, &mut head).unwrap();
    head[112] += 1;
    dev.bdev
        .write(8, &head, sim::sys::block::Durability::Cached)
        .unwrap();
    let raced = live.st.change_super(|_| Ok(true));
    assert_eq!(raced, Err(Error::SbWriteRaced));
}
