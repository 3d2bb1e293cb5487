// SPDX-License-Identifier: GPL-2.0

//! Data is moved all the time meanwhile, extents of snapshots that have others below them too: what
//! each of them sees stays the same.

use super::{
    check_all,
    engine::{
        mounted::mount,
        setting,
        space::disks, //
    },
    wait_for_reaper,
    world::World,
};
use sim::{
    data::mover::Mover,
    init::Filesystem,
    sys::block::Power, //
};
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
    time::Duration,
};

/// Moves what there is in buckets that are used in part; how many sectors.
fn move_some(fs: &Filesystem, mover: &mut Mover) -> u64 {
    let engine = fs.read_write().unwrap().engine();
    let round = mover.round(engine, &fs.view, true, &|| false).unwrap();
    fs.sync().unwrap();
    round.moved
}

/// Data is moved at the same time, or now and then.
fn run(image: &str, seed: u64, steps: u64, at_once: bool) {
    let what = format!("{image} BCACHEFS_RS_SEED={seed}");
    println!("{what}");
    let Some(disks) = disks(image) else {
        println!("{image}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    // The one thread there may be is ours.
    let (fs, media) = mount(disks, &Power::new(), "copygc_enabled=0");
    let mut w = World::new(&fs, seed);
    let ends = AtomicBool::new(false);
    let moved = std::thread::scope(|s| {
        let thread = s.spawn(|| {
            let (mut mover, mut moved) = (Mover::default(), 0);
            while at_once && !ends.load(Ordering::Relaxed) {
                moved += move_some(&fs, &mut mover);
                // Locks of the host are not fair: without this, the others can wait for very long.
                std::thread::sleep(Duration::from_millis(1));
            }
            moved
        });
        let (mut mover, mut moved) = (Mover::default(), 0);
        for step in 0..steps {
            w.step(&fs);
            if !at_once && step % 4 == 3 {
                moved += move_some(&fs, &mut mover);
            }
            if step % 20 == 19 {
                w.compare(&fs);
            }
        }
        w.compare(&fs);
        ends.store(true, Ordering::Relaxed);
        moved + thread.join().unwrap()
    });
    println!("{what}: {moved} sectors were moved");
    assert!(moved > 0);
    wait_for_reaper(&fs);
    w.compare(&fs);
    fs.go_read_only().unwrap();
    check_all(&media, &what, true);
}

#[test]
fn nobody_sees_a_difference() {
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_ROUNDS", 2) {
        for at_once in [true, false] {
            run("engine-small", seed, 400, at_once);
            run("v113-snap", seed, 300, at_once);
        }
    }
}
