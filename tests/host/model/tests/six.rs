// SPDX-License-Identifier: GPL-2.0

//! SIX locks in every order of a few threads. What a lock protects here are two numbers that are
//! always equal. Their accesses order nothing, so it is the lock that has to; and writes are not
//! atomic: loom complains when another access is not clearly before or after.

use ::env::env::Arc;
use ::error::error::Result;
use loom::sync::atomic::{
    AtomicU64,
    Ordering::Relaxed, //
};
use model::sys::six::{
    HasSix,
    IntentGuard,
    Six, //
};

#[derive(Default)]
struct Pair(AtomicU64, AtomicU64);

impl Pair {
    fn get(&self) -> u64 {
        let (a, b) = (self.0.load(Relaxed), self.1.load(Relaxed));
        assert_eq!(a, b, "torn");
        a
    }

    fn set(&mut self, to: u64) {
        self.0.with_mut(|n| *n = to);
        self.1.with_mut(|n| *n = to);
    }
}

struct Node(Six<Pair>);

impl HasSix for Node {
    type Body = Pair;

    fn six(&self) -> &Six<Pair> {
        &self.0
    }
}

impl Node {
    fn shared() -> Result<Arc<Self>> {
        Arc::try_new(Self(Six::try_new(Pair::default())?))
    }
}

fn add_one(node: &Arc<Node>) {
    let mut intent = IntentGuard::lock(node.clone());
    let seq = intent.seq();
    let before = intent.get();
    let mut write = intent.write();
    write.set(before + 1);
    drop(write);
    assert_eq!(intent.seq(), seq + 1);
}

/// Runs all `threads` at once in every order with few switches between them; `last` sees the
/// outcome.
fn check(preemptions: usize, threads: &'static [fn(&Arc<Node>)], last: fn(&Arc<Node>)) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(preemptions);
    model.check(move || {
        let node = Node::shared().unwrap();
        let running: Vec<_> = threads
            .iter()
            .map(|run| {
                let node = node.clone();
                loom::thread::spawn(move || run(&node))
            })
            .collect();
        for thread in running {
            thread.join().unwrap();
        }
        last(&node);
    });
}

fn read(node: &Arc<Node>) {
    let guard = node.0.read();
    let (seq, value) = (guard.seq(), guard.get());
    assert_eq!(u64::from(seq), value);
}

#[test]
fn readers_see_no_half_of_a_write() {
    check(2, &[read, read, add_one], |node| {
        assert_eq!(node.0.read().get(), 1);
    });
}

#[test]
fn readers_between_two_writes() {
    fn twice(node: &Arc<Node>) {
        add_one(node);
        add_one(node);
    }
    check(3, &[read, twice], |node| {
        assert_eq!(node.0.read().get(), 2);
    });
}

#[test]
fn one_intent_at_a_time() {
    check(1, &[add_one, add_one, read], |node| {
        assert_eq!(node.0.read().get(), 2);
        assert_eq!(node.0.seq(), 2);
    });
    check(3, &[add_one, add_one], |node| {
        assert_eq!(node.0.read().get(), 2);
    });
}

#[test]
fn trying_does_not_wait() {
    fn try_one(node: &Arc<Node>) {
        if let Some(mut intent) = IntentGuard::try_lock(node) {
            let value = intent.get();
            intent.write().set(value + 1);
        }
        if let Some(guard) = node.0.try_read() {
            guard.get();
        }
    }
    check(3, &[try_one, add_one], |node| {
        let value = node.0.read().get();
        assert!(value == 1 || value == 2);
        assert_eq!(u64::from(node.0.seq()), value);
    });
}

// What was read under a lock that was let go of is still so when the number is.
#[test]
fn a_number_that_is_the_same_means_no_write() {
    fn relock(node: &Arc<Node>) {
        let (seq, value) = {
            let guard = node.0.read();
            (guard.seq(), guard.get())
        };
        if let Some(intent) = IntentGuard::try_relock(node, seq) {
            assert_eq!(intent.get(), value);
        } else {
            loom::thread::yield_now();
        }
    }
    check(3, &[relock, add_one], |node| {
        assert_eq!(node.0.read().get(), 1);
    });
}

// The number that is seen without a lock is never that of a state which is being changed.
#[test]
fn a_number_seen_in_passing() {
    fn pass(node: &Arc<Node>) {
        let seq = node.0.seq();
        if let Some(intent) = IntentGuard::try_relock(node, seq) {
            assert_eq!(intent.get(), u64::from(seq));
        }
    }
    check(3, &[pass, add_one], |node| {
        assert_eq!(node.0.read().get(), 1);
    });
}
