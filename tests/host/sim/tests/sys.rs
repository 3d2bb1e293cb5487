// SPDX-License-Identifier: GPL-2.0

//! What the simulated `sys` promises, and with it what the engine may expect of the kernel's.

use sim::{
    error::Error,
    sys::{
        block::{
            BlockDevice,
            Durability, //
        },
        task::Thread,
        wait::WaitQueue,
        workqueue::WorkQueue, //
    },
};
use std::{
    sync::{
        atomic::{
            AtomicU32,
            AtomicU64,
            Ordering, //
        },
        Arc,
    },
    time::{
        Duration,
        Instant, //
    },
};

const HOUR_MS: u64 = 3_600_000;

fn device(sectors: usize) -> BlockDevice {
    BlockDevice::from_memory("mem", Arc::new(vec![0x11; sectors * 512]))
}

#[test]
fn what_was_written_is_read() {
    let dev = device(8);
    dev.write(2, &[0x22; 1024], Durability::Cached).unwrap();
    dev.write(3, &[0x33; 512], Durability::Fua).unwrap();
    dev.flush().unwrap();
    let mut all = [0; 4096];
    dev.read(0, &mut all).unwrap();
    let firsts: Vec<u8> = all.chunks(512).map(|s| s[0]).collect();
    assert_eq!(firsts, [0x11, 0x11, 0x22, 0x33, 0x11, 0x11, 0x11, 0x11]);
}

#[test]
fn transfers_that_can_not_be() {
    let dev = device(8);
    let read = |sector, len| dev.read(sector, &mut vec![0; len]);
    assert_eq!(read(7, 512), Ok(()));
    assert_eq!(read(7, 1024), Err(Error::DeviceReadPastEnd));
    assert_eq!(read(u64::MAX, 512), Err(Error::DeviceReadPastEnd));
    let write = |sector, len| dev.write(sector, &vec![0; len], Durability::Cached);
    assert_eq!(write(0, 511), Err(Error::DeviceWriteUnaligned));
    assert_eq!(write(8, 512), Err(Error::DeviceWritePastEnd));
    assert_eq!(write(7, 1024), Err(Error::DeviceWritePastEnd));
    assert_eq!(write(u64::MAX, 512), Err(Error::DeviceWritePastEnd));
    assert_eq!(write(8, 0), Ok(()));
    assert_eq!(dev.discard(7, 2), Err(Error::DeviceDiscardRange));
    assert_eq!(dev.discard(1, u64::MAX), Err(Error::DeviceDiscardRange));
    assert_eq!(dev.discard(0, 8), Ok(()));
}

#[test]
fn files_are_read_only() {
    let path = std::env::current_exe().unwrap();
    let dev = BlockDevice::from_file(&path).unwrap();
    assert!(!dev.is_writable());
    let write = dev.write(0, &[0; 512], Durability::Cached);
    assert_eq!(write, Err(Error::DeviceReadOnly));
    assert_eq!(dev.flush(), Err(Error::DeviceReadOnly));
    assert_eq!(dev.discard(0, 1), Err(Error::DeviceReadOnly));
}

#[test]
fn waiting_ends_when_it_may() {
    let queue = WaitQueue::new();
    let value = AtomicU32::new(0);
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| queue.wait(|| value.load(Ordering::Acquire) == 1000));
        }
        for _ in 0..1000 {
            value.fetch_add(1, Ordering::AcqRel);
            queue.wake_all();
        }
    });
    assert!(queue.wait_timeout_ms(0, || value.load(Ordering::Acquire) == 1000));
    let start = Instant::now();
    assert!(!queue.wait_timeout_ms(20, || false));
    assert!(start.elapsed() >= Duration::from_millis(20));
}

// Two threads hand a number to and fro; a lost wake-up would hold them up for ever.
#[test]
fn no_wake_up_is_lost() {
    let turns = WaitQueue::new();
    let turn = AtomicU64::new(0);
    std::thread::scope(|s| {
        for side in 0..2 {
            let (turns, turn) = (&turns, &turn);
            s.spawn(move || {
                for round in 0..5000 {
                    let mine = round * 2 + side;
                    turns.wait(|| turn.load(Ordering::Acquire) == mine);
                    turn.store(mine + 1, Ordering::Release);
                    turns.wake_all();
                }
            });
        }
    });
    assert_eq!(turn.load(Ordering::Acquire), 10_000);
}

#[test]
fn threads_are_woken_and_stopped() {
    let rounds = Arc::new(AtomicU64::new(0));
    let done = Arc::new(WaitQueue::new());
    let (its_rounds, its_done) = (rounds.clone(), done.clone());
    let thread = Thread::spawn(format_args!("bcachefs-test/{}", 1), move |stop| {
        assert_eq!(std::thread::current().name(), Some("bcachefs-test/1"));
        while !stop.requested() {
            its_rounds.fetch_add(1, Ordering::AcqRel);
            its_done.wake_all();
            stop.sleep_ms(HOUR_MS);
        }
        its_rounds.fetch_add(1000, Ordering::AcqRel);
    })
    .unwrap();
    for round in 1..100 {
        done.wait(|| rounds.load(Ordering::Acquire) >= round);
        thread.wake();
    }
    thread.stop();
    assert!(rounds.load(Ordering::Acquire) >= 1099);
}

#[test]
fn a_queue_runs_all_before_it_goes() {
    let ran = Arc::new(AtomicU32::new(0));
    let queue = Arc::new(WorkQueue::try_new(c"bcachefs-test").unwrap());
    for _ in 0..100 {
        let ran = ran.clone();
        queue
            .spawn(move || {
                ran.fetch_add(1, Ordering::AcqRel);
            })
            .unwrap();
    }
    drop(queue);
    assert_eq!(ran.load(Ordering::Acquire), 100);
}
