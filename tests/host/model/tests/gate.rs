// SPDX-License-Identifier: GPL-2.0

//! Changes of files while a snapshot is made: each counts as made before or after, and what takes
//! several transactions is in it as a whole or not at all.

use loom::sync::{
    atomic::{
        AtomicU32,
        Ordering::{
            Relaxed,
            SeqCst, //
        },
    },
    Arc,
    Mutex, //
};
use model::snapshots::{
    gate,
    Gate, //
};

/// Every order with few switches between threads that could go on.
fn check(run: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(run);
}

/// A subvolume and one key of its files.
struct Subvolume {
    gate: Gate,
    /// Where it is: 0, and 1 once a snapshot was made.
    snapshot: AtomicU32,
    /// What was written, in the one and in the other, behind the lock of the node.
    key: Mutex<[u32; 2]>,
}

impl Subvolume {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: gate(),
            snapshot: AtomicU32::new(0),
            key: Mutex::new([0; 2]),
        })
    }

    /// As a transaction changes a file.
    fn change(&self, to: u32) {
        loop {
            let entered = self.gate.enter();
            let snapshot = self.snapshot.load(Relaxed) as usize;
            let mut key = self.key.lock().unwrap();
            if self.gate.check(entered).is_ok() {
                key[snapshot] = to;
                return;
            }
        }
    }

    /// As a snapshot is made. Returns what it has.
    fn snap(&self) -> u32 {
        let _closed = self.gate.close();
        self.snapshot.store(1, Relaxed);
        drop(_closed);
        // Who looks at the snapshot first finds what it will have for ever.
        self.key.lock().unwrap()[0]
    }
}

#[test]
fn what_a_snapshot_has_does_not_change() {
    check(|| {
        let subvolume = Subvolume::new();
        let its = subvolume.clone();
        let writer = loom::thread::spawn(move || its.change(7));
        let had = subvolume.snap();
        writer.join().unwrap();
        let [before, after] = *subvolume.key.lock().unwrap();
        assert_eq!(before, had, "changed after it was made");
        assert_eq!(before + after, 7, "written once");
    });
}

#[test]
fn an_operation_is_in_it_as_a_whole() {
    check(|| {
        let subvolume = Subvolume::new();
        let its = subvolume.clone();
        let writer = loom::thread::spawn(move || {
            let _op = its.gate.op();
            let snapshot = its.snapshot.load(SeqCst) as usize;
            for _ in 0..2 {
                let entered = its.gate.enter();
                let mut key = its.key.lock().unwrap();
                its.gate.check(entered).unwrap();
                key[snapshot] += 1;
            }
        });
        let had = subvolume.snap();
        writer.join().unwrap();
        let [before, after] = *subvolume.key.lock().unwrap();
        assert_eq!(before, had, "changed after it was made");
        assert!(
            matches!((before, after), (0, 2) | (2, 0)),
            "{before} and {after}"
        );
    });
}

/// Who writes over what is there, without a transaction: before it is closed, or not at all.
#[test]
fn who_does_not_wait_is_in_it_or_stays_away() {
    check(|| {
        let subvolume = Subvolume::new();
        let its = subvolume.clone();
        let writer = loom::thread::spawn(move || {
            if !its.gate.try_begin_op() {
                return false;
            }
            let is_own = its.snapshot.load(SeqCst) == 0;
            if is_own {
                its.key.lock().unwrap()[0] = 7;
            }
            its.gate.end_op();
            is_own
        });
        let had = subvolume.snap();
        let was_written = writer.join().unwrap();
        let [before, after] = *subvolume.key.lock().unwrap();
        assert_eq!(before, had, "changed after it was made");
        assert_eq!((before, after), (if was_written { 7 } else { 0 }, 0));
    });
}

#[test]
fn two_who_close_it_take_turns() {
    check(|| {
        let subvolume = Subvolume::new();
        let its = subvolume.clone();
        let other = loom::thread::spawn(move || {
            let _closed = its.gate.close();
            its.snapshot.fetch_add(1, Relaxed);
        });
        {
            let _closed = subvolume.gate.close();
            let before = subvolume.snapshot.load(Relaxed);
            subvolume.snapshot.store(before + 1, Relaxed);
        }
        other.join().unwrap();
        assert_eq!(subvolume.snapshot.load(Relaxed), 2);
        // And it is open again.
        drop(subvolume.gate.op());
        assert!(subvolume.gate.check(subvolume.gate.enter()).is_ok());
    });
}
