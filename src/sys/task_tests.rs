// SPDX-License-Identifier: GPL-2.0

//! Tests inside the kernel of waiting, threads and SIX locks.

use super::{
    six::{
        HasSix,
        IntentGuard,
        Six, //
    },
    task::Thread,
    wait::WaitQueue,
    workqueue::WorkQueue, //
};
use crate::{
    env::{
        time,
        Arc,
        Vec, //
    },
    error::Result,
};
use core::sync::atomic::{
    AtomicU64,
    Ordering::{
        AcqRel,
        Acquire, //
    },
};

/// Longer than anything here can take: the tests fail then, instead of hanging.
const LONG_MS: u64 = 60_000;

/// A number that others wait for.
#[derive(Default)]
struct Count(AtomicU64, WaitQueue);

impl Count {
    fn shared() -> Result<Arc<Self>> {
        Arc::try_new(Self::default())
    }

    fn add(&self, n: u64) {
        self.0.fetch_add(n, AcqRel);
        self.1.wake_all();
    }

    fn get(&self) -> u64 {
        self.0.load(Acquire)
    }

    fn reaches(&self, n: u64) -> bool {
        self.1.wait_timeout_ms(LONG_MS, || self.get() >= n)
    }
}

/// Counts that it goes.
struct Dropped(Arc<Count>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.add(1);
    }
}

/// Two numbers that are always equal.
struct Node(Six<(u64, u64)>);

impl HasSix for Node {
    type Body = (u64, u64);

    fn six(&self) -> &Six<(u64, u64)> {
        &self.0
    }
}

const WRITERS: u64 = 3;
const ROUNDS: u64 = 2000;

fn write_rounds(node: &Arc<Node>) {
    for _ in 0..ROUNDS {
        let mut intent = IntentGuard::lock(node.clone());
        let next = intent.0.wrapping_add(1);
        let mut pair = intent.write();
        pair.0 = next;
        pair.1 = next;
    }
}

/// How many pairs were torn, or older than one seen before.
fn read_rounds(node: &Node) -> u64 {
    let (mut wrong, mut last) = (0u64, 0);
    while last < WRITERS.wrapping_mul(ROUNDS) {
        let pair = node.0.read();
        let seq = u64::from(pair.seq());
        if pair.0 != pair.1 || pair.0 < last || seq != pair.0 {
            wrong = wrong.wrapping_add(1);
        }
        last = pair.0;
    }
    wrong
}

/// Torn pairs, and the last one.
fn six_under_load() -> Result<(u64, u64)> {
    let node = Arc::try_new(Node(Six::try_new((0, 0))?))?;
    let (wrong, done) = (Count::shared()?, Count::shared()?);
    let mut threads = Vec::new();
    for i in 0..WRITERS {
        let (node, done) = (node.clone(), done.clone());
        threads.push(Thread::spawn(
            format_args!("bcachefs-test-w{i}"),
            move |_| {
                write_rounds(&node);
                done.add(1);
            },
        )?)?;
    }
    for i in 0..2 {
        let (node, done, wrong) = (node.clone(), done.clone(), wrong.clone());
        threads.push(Thread::spawn(
            format_args!("bcachefs-test-r{i}"),
            move |_| {
                wrong.add(read_rounds(&node));
                done.add(1);
            },
        )?)?;
    }
    if !done.reaches(WRITERS.wrapping_add(2)) {
        wrong.add(1);
    }
    drop(threads);
    let last = node.0.read().1;
    Ok((wrong.get(), last))
}

/// Starts threads and stops them at once: how many of their closures were dropped.
fn stopped_at_once(nr: u64) -> Result<u64> {
    let dropped = Count::shared()?;
    for _ in 0..nr {
        let token = Dropped(dropped.clone());
        let thread = Thread::spawn(format_args!("bcachefs-test-stop"), move |stop| {
            let _token = token;
            while !stop.requested() {
                stop.sleep();
            }
        })?;
        thread.stop();
    }
    Ok(dropped.get())
}

/// Wakes a thread that sleeps for long: how often it was woken in the end.
fn woken(times: u64) -> Result<u64> {
    let rounds = Count::shared()?;
    let its = rounds.clone();
    let thread = Thread::spawn(format_args!("bcachefs-test-wake"), move |stop| {
        while !stop.requested() {
            its.add(1);
            stop.sleep_ms(10 * LONG_MS);
        }
    })?;
    for round in 1..=times {
        if !rounds.reaches(round) {
            break;
        }
        thread.wake();
    }
    thread.stop();
    Ok(rounds.get())
}

fn queued(nr: u64) -> Result<u64> {
    let ran = Count::shared()?;
    let queue = WorkQueue::try_new(c"bcachefs-test")?;
    for _ in 0..nr {
        let ran = ran.clone();
        queue.spawn(move || ran.add(1))?;
    }
    drop(queue);
    Ok(ran.get())
}

/// Calls of one kind inside of each other: how many there were.
fn nested(queue: &WorkQueue, more: u64) -> u64 {
    let inner = || match more.checked_sub(1) {
        Some(more) => nested(queue, more).wrapping_add(1),
        None => 1,
    };
    queue.call(inner).unwrap_or(0)
}

#[kernel::macros::kunit_tests(bcachefs_tasks)]
mod tests {
    use super::*;

    #[test]
    fn waiting_has_an_end() {
        let queue = WaitQueue::new();
        let start = time::monotonic_ns();
        assert!(!queue.wait_timeout_ms(20, || false));
        assert!(!queue.idle_timeout_ms(0, || false));
        assert!(time::monotonic_ns().wrapping_sub(start) >= 20_000_000);
        assert!(queue.wait_timeout_ms(0, || true));
        queue.wait(|| true);
    }

    #[test]
    fn threads_that_are_stopped_at_once() {
        assert_eq!(stopped_at_once(50).ok(), Some(50));
    }

    #[test]
    fn threads_that_are_woken() {
        let rounds = woken(100).ok().unwrap_or(0);
        assert!(rounds >= 100);
    }

    #[test]
    fn a_queue_runs_all_before_it_goes() {
        assert_eq!(queued(100).ok(), Some(100));
    }

    #[test]
    fn calls_inside_of_calls() {
        let queue = WorkQueue::try_new(c"bcachefs-test").ok();
        assert_eq!(queue.map(|queue| nested(&queue, 9)), Some(10));
    }

    #[test]
    fn six_locks_under_load() {
        assert_eq!(six_under_load().ok(), Some((0, 6000)));
    }
}
