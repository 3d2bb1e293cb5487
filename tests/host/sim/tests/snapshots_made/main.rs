// SPDX-License-Identifier: GPL-2.0

//! Subvolumes and snapshots that are made and deleted, while files are changed: random operations
//! against a model, on filesystems as they are mounted. Deleted ones go in the background all the
//! time. `BCACHEFS_RS_SEED`, `BCACHEFS_RS_ROUNDS` and `BCACHEFS_RS_CUTS` as in `namespace`.
//!
//! | file       | holds                                                           |
//! |------------|-----------------------------------------------------------------|
//! | `damage.rs` | what can be wrong with snapshot trees                            |
//! | `moved.rs` | data is moved meanwhile                                          |
//! | `trees.rs` | what has to be true of snapshot trees and subvolumes             |
//! | `world.rs` | the operations, and the model                                    |

mod damage;
#[path = "../engine/mod.rs"]
mod engine;
#[allow(dead_code)]
#[path = "../namespace/model.rs"]
mod model;
mod moved;
mod trees;
#[allow(dead_code)]
#[path = "../namespace/workload.rs"]
mod workload;
mod world;

use engine::{
    mounted::{
        after_cuts,
        contents,
        look,
        mount, //
    },
    setting,
    space::disks, //
};
use sim::{
    check::check_derived,
    env::restart_often,
    init::Filesystem,
    sys::block::{
        Medium,
        Power, //
    },
};
use std::time::{
    Duration,
    Instant, //
};
use trees::check_trees;
use world::{
    Seen,
    World, //
};

/// What a fresh look at the devices finds wrong.
fn check_all(media: &[Medium], what: &str, is_reaped: bool) {
    let fs = look(media);
    let mut findings = check_derived(&fs.view);
    if trees::nr_to_go(&fs.view) != 0 {
        // Where extents have gone to another snapshot, and the inode not yet, nobody but who stays
        // sees both.
        findings.retain(|f| f.what != "inode sectors");
    }
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    check_trees(&fs.view, is_reaped);
}

/// Waits until dead snapshots are gone.
fn wait_for_reaper(fs: &Filesystem) {
    let begin = Instant::now();
    while trees::nr_to_go(&fs.view) != 0 {
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing goes");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn run(image: &str, seed: u64, steps: u64) {
    let what = format!("{image} BCACHEFS_RS_SEED={seed}");
    println!("{what}");
    let Some(disks) = disks(image) else {
        println!("{image}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let power = Power::new();
    let (mut fs, mut media) = mount(disks, &power, "");
    let mut w = World::new(&fs, seed);
    w.nocow = seed % 2 == 0;
    for round in 0..3 {
        for step in 0..steps {
            w.step(&fs);
            if step % 50 == 49 {
                w.compare(&fs);
            }
        }
        w.compare(&fs);
        // With dead snapshots, or without.
        let is_reaped = round == 0;
        if is_reaped {
            wait_for_reaper(&fs);
            w.compare(&fs);
        }
        if round == 1 {
            // As after a crash.
            fs.sync().unwrap();
        } else {
            fs.go_read_only().unwrap();
            check_all(&media, &what, is_reaped);
        }
        let disks = contents(&media);
        drop(fs);
        (fs, media) = mount(disks, &power, if round == 1 { "fsck" } else { "" });
        w.forget_open();
        w.compare(&fs);
    }
    // All of them go.
    w.delete_all(&fs);
    wait_for_reaper(&fs);
    w.compare(&fs);
    fs.go_read_only().unwrap();
    check_all(&media, &what, true);
}

#[test]
fn in_an_empty_filesystem() {
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_ROUNDS", 2) {
        run("engine-small", seed, 400);
    }
}

#[test]
fn where_there_are_snapshots() {
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_ROUNDS", 2) {
        run("v113-snap", seed, 300);
    }
}

/// Transactions start over at every step they take, for the first times.
#[test]
fn restarts() {
    restart_often(12);
    run("engine-small", 7, 120);
    restart_often(0);
}

/// After a loss of power, all is as it was after some operation, none before the last sync; and
/// what is dead goes then.
#[test]
fn power_cuts() {
    let cuts = setting("BCACHEFS_RS_CUTS", 60);
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let mut w = World::new(&fs, seed);
    let begin = power.now();
    // What there was after each step, and the moment when it was safe.
    let mut history: Vec<(Seen, Option<u64>)> = Vec::new();
    for step in 0..250 {
        w.step(&fs);
        let safe = (step % 11 == 0).then(|| {
            fs.sync().unwrap();
            power.now()
        });
        history.push((w.named(), safe));
    }
    wait_for_reaper(&fs);
    fs.sync().unwrap();
    let end = power.now();
    after_cuts(&media, begin..end, cuts, |cut, left| {
        let (again, left) = mount(left, &Power::new(), "");
        let found = Seen::read(&again, &[]);
        let is_safe = |at: &Option<u64>| at.is_some_and(|at| at <= cut.at);
        let safe = history.iter().rposition(|(_, at)| is_safe(at));
        let matching = history.iter().rposition(|(seen, _)| *seen == found);
        match (matching, safe) {
            (Some(matching), Some(safe)) => assert!(matching >= safe, "{cut:?}"),
            (None, Some(safe)) => {
                let near = &history[safe..];
                let least = near.iter().map(|(seen, _)| seen.differences(&found));
                let least = least.min_by_key(|d| d.len());
                panic!("{cut:?}: as after no step: {least:#?}")
            }
            // Before the first sync it may be what there was before.
            (_, None) => (),
        }
        if cut.seed % 3 == 0 {
            wait_for_reaper(&again);
            assert!(Seen::read(&again, &[]) == found, "{cut:?}");
        }
        again.go_read_only().unwrap();
        check_all(&left, &format!("{cut:?}"), cut.seed % 3 == 0);
    });
}

/// What the recovery passes about snapshots and subvolumes find, they repair.
#[test]
fn repairs() {
    for (nr, damage) in damage::ALL.iter().enumerate() {
        let power = Power::new();
        let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
        let mut w = World::new(&fs, 3);
        w.some_subvolumes(&fs);
        wait_for_reaper(&fs);
        damage(&fs);
        fs.go_read_only().unwrap();
        let disks = contents(&media);
        drop(fs);
        let (fs, media) = mount(disks, &power, "fsck,fix_errors=yes");
        w.compare(&fs);
        wait_for_reaper(&fs);
        w.compare(&fs);
        fs.go_read_only().unwrap();
        check_all(&media, &format!("damage {nr}"), true);
        let disks = contents(&media);
        drop(fs);
        // Nothing is left to be found.
        let (fs, _) = mount(disks, &Power::new(), "fsck,fix_errors=exit");
        w.compare(&fs);
    }
}

/// A name that is there only in a snapshot is none of what the snapshot was made of, also when the
/// file has but this one there.
#[test]
fn names_of_one_version() {
    use sim::fs::{
        change::{
            NewFile,
            Source, //
        },
        inode::{
            find,
            root,
            SubvolInum, //
        },
    };
    let (fs, media) = mount(disks("engine-small").unwrap(), &Power::new(), "");
    let top = root(&fs.view).unwrap();
    let new = |mode| NewFile {
        mode,
        ..NewFile::default()
    };
    let c = fs.changes().unwrap();
    let sub = c.create_subvolume(top, b"sub", &new(0o040755)).unwrap().id;
    let file = c.create(sub, Some(b"a"), &new(0o100644)).unwrap().id;
    c.link(sub, b"b", file, 1).unwrap();
    let copy = c.snapshot(top, b"copy", Source::Root(sub), false, (0, 1));
    let copy = copy.unwrap().id;
    let there = SubvolInum {
        subvol: copy.subvol,
        ..file
    };
    c.unlink(copy, b"b", 2).unwrap();
    c.link(copy, b"c", there, 2).unwrap();
    c.unlink(copy, b"a", 2).unwrap();
    fs.go_read_only().unwrap();
    let disks = contents(&media);
    drop(fs);
    let (fs, _) = mount(disks, &Power::new(), "fsck,fix_errors=exit,errors=ro");
    for (id, links) in [(file, 2), (there, 1)] {
        assert_eq!(find(&fs.view, id).unwrap().links(), links);
    }
}

/// Of one directory there are more versions than go, or change, in one transaction.
#[test]
fn many_versions() {
    use sim::{
        error::Error,
        fs::change::{
            NewFile,
            Source, //
        },
    };
    const NR: u64 = 150;
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let root = sim::fs::inode::root(&fs.view).unwrap();
    let dir = NewFile {
        mode: 0o040755,
        ..NewFile::default()
    };
    let c = fs.changes().unwrap();
    let top = c.create_subvolume(root, b"top", &dir).unwrap().id;
    let below = c.create(top, Some(b"below"), &dir).unwrap().id;
    let name = |nr: u64| format!("s{nr}").into_bytes();
    for nr in 0..NR {
        c.create(top, Some(&name(nr)), &dir).unwrap();
        let made = c.snapshot(root, &name(nr), Source::Root(top), true, (0, nr));
        made.unwrap();
    }
    // Somebody is in it when its name goes.
    fs.view.count_user(top.subvol, true);
    c.unlink_subvolume(root, b"top", NR).unwrap();
    let made = c.create_subvolume(below, b"late", &dir);
    assert_eq!(made.err(), Some(Error::SubvolumeUnlinked));
    let made = c.snapshot(below, b"late", Source::Here, false, (0, NR));
    assert_eq!(made.err(), Some(Error::SubvolumeUnlinked));
    fs.view.count_user(top.subvol, false);
    wait_for_reaper(&fs);
    check_trees(&fs.view, true);
    for nr in 0..NR {
        c.unlink_subvolume(root, &name(nr), NR).unwrap();
    }
    wait_for_reaper(&fs);
    fs.go_read_only().unwrap();
    check_all(&media, "many versions", true);
}

/// Threads change names, and contents, of what others make snapshots of, and delete them.
#[test]
fn threads() {
    use sim::fs::change::{
        Mode,
        NewFile,
        Side,
        Source, //
    };
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let root = sim::fs::inode::root(&fs.view).unwrap();
    let top = NewFile {
        mode: 0o040755,
        ..NewFile::default()
    };
    let top = fs.changes().unwrap().create_subvolume(root, b"top", &top);
    let top = top.unwrap().id;
    let names: Vec<_> = (0..12).map(|i| format!("n{i}").into_bytes()).collect();
    let ended = std::sync::atomic::AtomicBool::new(false);
    // As in the kernel, an inode is not removed while somebody uses it who has looked it up.
    let used = std::sync::RwLock::new(());
    std::thread::scope(|s| {
        let (fs, names, ended, used) = (&fs, &names, &ended, &used);
        let snapshots = s.spawn(move || {
            let (c, mut r, mut nr) = (fs.changes().unwrap(), engine::Random(seed), 0u64);
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                let name = format!("s{nr}").into_bytes();
                let made = c.snapshot(root, &name, Source::Root(top), r.one_in(2), (0, nr));
                let made = made.unwrap();
                // What is in it does not change.
                let read = || model::Model::read_from(&fs.view, vec![made.id]);
                let before = read();
                for at in before.0.keys().filter(|at| **at != made.id) {
                    let inode = sim::fs::inode::find(&fs.view, *at).unwrap();
                    assert_eq!(inode.links(), before.links(*at), "{at}: {inode}");
                }
                std::thread::sleep(Duration::from_millis(r.below(5)));
                assert!(before == read());
                if nr >= 3 {
                    let gone = format!("s{}", nr - 3).into_bytes();
                    c.unlink_subvolume(root, &gone, nr).unwrap();
                }
                nr += 1;
            }
            nr
        });
        let workers: Vec<_> = (0..3u64)
            .map(|thread| {
                s.spawn(move || {
                    let c = fs.changes().unwrap();
                    let mut r = engine::Random(seed * 100 + thread);
                    for now in 0..1500 {
                        let name = &names[r.below(names.len() as u64) as usize];
                        let other = &names[r.below(names.len() as u64) as usize];
                        let new = NewFile {
                            mode: 0o100644,
                            now,
                            ..NewFile::default()
                        };
                        let sides = [name, other].map(|name| Side { dir: top, name });
                        // Most fails for one reason or another.
                        match r.below(5) {
                            0 => _ = c.create(top, Some(name), &new),
                            1 => {
                                let _alone = used.write().unwrap();
                                let gone = c.unlink(top, name, now);
                                if let Some(done) = gone.ok().filter(|d| d.inode.links() == 0) {
                                    let at = sim::fs::SubvolInum {
                                        inum: done.inode.inum,
                                        ..top
                                    };
                                    c.remove(at).unwrap();
                                }
                            }
                            2 => _ = c.rename(sides[0], sides[1], Mode::Free, None, now),
                            _ => {
                                let _user = used.read().unwrap();
                                let dir = sim::fs::inode::find(&fs.view, top).unwrap();
                                let at = sim::fs::dirent::lookup(&fs.view, top, &dir, name);
                                if let Ok(Some(at)) = at {
                                    _ = c.link(top, other, at, now);
                                }
                            }
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|w| w.join().unwrap());
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        println!("{} snapshots", snapshots.join().unwrap());
    });
    wait_for_reaper(&fs);
    fs.go_read_only().unwrap();
    check_all(&media, "threads", true);
}
