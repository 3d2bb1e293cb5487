// SPDX-License-Identifier: GPL-2.0

//! What tests of the engine that writes have in common.
//!
//! | file       | holds                                                                     |
//! |------------|---------------------------------------------------------------------------|
//! | `accept.rs` | random transactions on a filesystem that a check accepts afterwards        |
//! | `golden.rs` | golden images that are damaged and repaired                              |
//! | `history.rs` | what threads did, and what of it has to be there after a loss of power    |
//! | `image.rs` | empty filesystems with nodes and blocks of any size                        |
//! | `model.rs` | [`Model`](model::Model): what the btrees should hold, as plain maps         |
//! | `mounted.rs` | filesystems as they are mounted, on devices that log what is written     |
//! | `new.rs`   | filesystems that were never mounted                                       |
//! | `ops.rs`   | random transactions                                                       |
//! | `pool.rs`  | [`Pool`](pool::Pool): space for nodes                                      |
//! | `space.rs` | filesystems with the allocator that they have in the kernel                |

#![allow(dead_code)] // not every test uses all of it

pub(crate) mod accept;
pub(crate) mod golden;
pub(crate) mod history;
pub(crate) mod image;
pub(crate) mod model;
pub(crate) mod mounted;
pub(crate) mod new;
pub(crate) mod ops;
pub(crate) mod pool;
pub(crate) mod space;

use pool::Pool;
use sim::{
    btree::{
        trans::Writer,
        write_back,
        Btrees, //
    },
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::{
        Error,
        Result as BchResult, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts, //
    },
    journal::{
        self,
        live::{
            Journal,
            Start,
            Watermark, //
        },
    },
    sb,
    sys::block::{
        BlockDevice,
        Medium,
        Power, //
    },
};
use std::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// A filesystem that is written.
pub(crate) struct Fs {
    pub(crate) btrees: Btrees,
    pub(crate) writer: Writer<Pool>,
}

/// What was read of a filesystem, and how the journal goes on.
pub(crate) struct Found {
    pub(crate) btrees: Btrees,
    pub(crate) start: Start,
    /// The newest journal entry.
    pub(crate) last_seq: u64,
}

/// Reads what is on a device.
pub(crate) fn read(dev: BlockDevice) -> BchResult<Found> {
    let mut devices = EnvVec::new();
    devices.push(dev)?;
    let st = Arc::try_new(sb::open(devices, &Opts::default())?)?;
    let mut contents = journal::read(&st, false)?;
    let start = Start::after(&mut contents)?;
    let last_seq = contents.last_seq;
    Ok(Found {
        btrees: Btrees::start(st, contents)?,
        start,
        last_seq,
    })
}

/// Starts writing.
pub(crate) fn open(dev: BlockDevice) -> Fs {
    let Found { btrees, start, .. } = read(dev).unwrap();
    let st = btrees.sb().clone();
    st.mark_dirty(btrees.blacklist().ranges()).unwrap();
    let journal = Journal::start(st, &start).unwrap();
    let pool = Pool::new(&btrees, journal.clone());
    // The old journal is gone: there has to be an entry before anything happens.
    drop(journal.reserve(1, Watermark::Normal).unwrap());
    journal.flush().unwrap();
    Fs {
        writer: Writer::try_new(journal, pool).unwrap(),
        btrees,
    }
}

/// A device with what is on another one now.
pub(crate) fn copy(medium: &Medium) -> BlockDevice {
    BlockDevice::recorded("copy", medium.contents(), &Power::new())
}

/// Ends a loop in another thread when it goes.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Calls `f` while another thread writes back what the journal holds; gives that one's error.
pub(crate) fn live_until_error<T>(fs: &Fs, f: impl FnOnce(&Fs) -> T) -> (T, BchResult) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (stopped, journal) = (&stop, &fs.writer.journal);
        let thread = s.spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                journal.wait_for_reclaim(5, || stopped.load(Ordering::Relaxed));
                if let Some(target) = journal.reclaim_target() {
                    match write_back(&fs.btrees, &fs.writer, target) {
                        // There may be memory the next time.
                        Ok(()) | Err(Error::NoMemory) => (),
                        Err(e) => {
                            // Nobody makes room any more: who waits for it must not.
                            journal.halt(e);
                            return Err(e);
                        }
                    }
                }
            }
            Ok(())
        });
        let done = {
            let _stop = Stop(&stop);
            f(fs)
        };
        (done, thread.join().unwrap())
    })
}

/// The same where nothing may fail.
pub(crate) fn live<T>(fs: &Fs, f: impl FnOnce(&Fs) -> T) -> T {
    let (done, error) = live_until_error(fs, f);
    error.unwrap();
    done
}

/// Numbers from a seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// Once in `n` times.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |v| v.parse().expect(name))
}

/// Everything a walk over all levels of all btrees finds in order; whatever is damaged fails.
pub(crate) fn walk_all(btrees: &Btrees) -> usize {
    let mut nr = 0;
    for btree in (0..63).map(BtreeId) {
        let Some(root) = btrees.root_node(btree) else {
            continue;
        };
        for level in 0..=root.level {
            let mut iter = btrees.iter(btree, level, Bpos::MIN);
            let mut last = None;
            while let Some(key) = iter.next().unwrap() {
                assert!(
                    last.is_none_or(|l| l < key.k.p),
                    "btree {btree} level {level}"
                );
                last = Some(key.k.p);
                nr += 1;
            }
            assert!(
                level == 0 || last == Some(Bpos::MAX),
                "btree {btree} level {level}"
            );
        }
    }
    let sick: Vec<_> = (0..63)
        .map(BtreeId)
        .filter_map(|b| btrees.health.first(b))
        .collect();
    assert!(sick.is_empty(), "{sick:?}");
    nr
}
