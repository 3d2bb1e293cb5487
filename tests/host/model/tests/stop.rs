// SPDX-License-Identifier: GPL-2.0

//! Messages to threads: none is lost, whenever it comes.

use loom::sync::{
    atomic::{
        AtomicU64,
        Ordering::Relaxed, //
    },
    Arc,
};
use model::sys::{
    stop::Stop,
    task, //
};

/// Every order with few switches between threads that could go on.
fn check(run: fn()) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(2);
    model.check(run);
}

// Two bring work, and tell the thread to stop when it is done. Sleeping here is never over by
// itself: a message that came too early for a sleep has to end it all the same.
#[test]
fn no_work_is_overlooked() {
    check(|| {
        let shared = Arc::new((Stop::default(), AtomicU64::new(0)));
        let its = shared.clone();
        let worker = loom::thread::spawn(move || {
            let (stop, work) = &*its;
            while work.load(Relaxed) < 2 {
                stop.sleep_ms(1);
            }
        });
        let other = shared.clone();
        let bringer = loom::thread::spawn(move || {
            other.1.fetch_add(1, Relaxed);
            task::wake(&other.0);
        });
        shared.1.fetch_add(1, Relaxed);
        task::wake(&shared.0);
        worker.join().unwrap();
        bringer.join().unwrap();
    });
}

#[test]
fn a_request_to_stop_ends_every_sleep() {
    check(|| {
        let shared = Arc::new((Stop::default(), AtomicU64::new(0)));
        let its = shared.clone();
        let worker = loom::thread::spawn(move || {
            while !its.0.requested() {
                its.0.sleep();
            }
            // And all that come after.
            its.0.sleep();
            assert_eq!(its.1.load(Relaxed), 7);
        });
        shared.1.store(7, Relaxed);
        task::wake(&shared.0);
        task::request(&shared.0);
        worker.join().unwrap();
    });
}
