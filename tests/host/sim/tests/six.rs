// SPDX-License-Identifier: GPL-2.0

//! SIX locks with threads; `tests/host/model` has them in every order.

use sim::{
    env::Arc,
    sys::six::{
        HasSix,
        IntentGuard,
        Six, //
    },
};
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    thread,
};

/// Rounds of each thread; Miri takes its time.
const ROUNDS: u64 = if cfg!(miri) { 30 } else { 20_000 };

#[derive(Debug, Default)]
struct Pair {
    a: u64,
    b: u64,
}

struct Node(Six<Pair>);

impl HasSix for Node {
    type Body = Pair;

    fn six(&self) -> &Six<Pair> {
        &self.0
    }
}

fn node() -> Arc<Node> {
    Arc::try_new(Node(Six::try_new(Pair::default()).unwrap())).unwrap()
}

#[test]
fn writers_count_and_readers_see_whole_pairs() {
    let node = node();
    let done = AtomicBool::new(false);
    thread::scope(|s| {
        let writers: Vec<_> = (0..3)
            .map(|_| {
                s.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mut intent = IntentGuard::lock(node.clone());
                        let next = intent.a + 1;
                        let mut write = intent.write();
                        write.a = next;
                        write.b = next;
                    }
                })
            })
            .collect();
        for _ in 0..2 {
            s.spawn(|| {
                let mut last = 0;
                while !done.load(Ordering::Relaxed) {
                    let pair = node.0.read();
                    assert_eq!(pair.a, pair.b);
                    assert!(pair.a >= last);
                    assert_eq!(pair.a, u64::from(pair.seq()));
                    last = pair.a;
                }
            });
        }
        s.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let seq = node.0.seq();
                if let Some(intent) = IntentGuard::try_relock(&node, seq) {
                    assert_eq!(intent.a, u64::from(seq));
                    assert_eq!(intent.a, intent.b);
                }
                thread::yield_now();
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(node.0.read().b, 3 * ROUNDS);
    assert_eq!(
        format!("{:?}", node.0),
        format!("Six(seq {}, 0 readers)", 3 * ROUNDS)
    );
}

#[test]
fn who_excludes_whom() {
    let node = node();
    let first = node.0.read();
    let mut intent = IntentGuard::try_lock(&node).unwrap();
    assert!(IntentGuard::try_lock(&node).is_none());
    assert!(node.0.try_read().is_some());
    assert_eq!(format!("{:?}", node.0), "Six(seq 0, 1 readers, intent)");
    drop(first);

    let write = intent.write();
    assert!(node.0.try_read().is_none());
    assert_eq!(node.0.seq(), 1);
    drop(write);
    assert!(node.0.try_read().is_some());
    assert_eq!(intent.seq(), 1);
    assert!(Arc::ptr_eq(intent.node(), &node));

    // The reference comes back, from who did not get it and from who has let it go.
    let back = IntentGuard::try_lock_owned(node.clone()).err().unwrap();
    assert!(Arc::ptr_eq(&back, &node));
    assert!(Arc::ptr_eq(&intent.unlock(), &node));
    assert!(IntentGuard::try_lock_owned(back).is_ok());
    assert!(IntentGuard::try_relock(&node, 0).is_none());
    assert!(IntentGuard::try_relock(&node, 1).is_some());
}

// Guards that are never dropped keep others out, and do no other harm.
#[test]
fn guards_that_are_forgotten() {
    let node = node();
    let mut intent = IntentGuard::lock(node.clone());
    std::mem::forget(intent.write());
    assert!(node.0.try_read().is_none());
    intent.write().a = 1;
    std::mem::forget(intent.write());
    drop(intent);
    assert_eq!(node.0.read().a, 1);
    assert!(IntentGuard::try_lock(&node).is_some());
    std::mem::forget(node.0.read());
    assert!(IntentGuard::try_relock(&node, 2).is_some());
}

#[test]
fn guards_keep_their_object() {
    let node = node();
    let mut intents = vec![IntentGuard::lock(node.clone())];
    drop(node);
    if let Some(intent) = intents.last_mut() {
        intent.write().b = 5;
        assert_eq!(intent.b, 5);
    }
    let last = intents.pop().map(|intent| intent.node().clone());
    assert_eq!(last.unwrap().0.read().b, 5);
}

#[test]
fn a_lock_that_nobody_shares() {
    let mut six = Six::try_new(1).unwrap();
    *six.get_mut() += 1;
    assert_eq!(*six.read(), 2);
}
