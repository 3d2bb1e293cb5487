// SPDX-License-Identifier: GPL-2.0

//! Names, inodes and attributes: random operations against a model, on filesystems as they are
//! mounted; then what is derived is counted anew. `BCACHEFS_RS_SEED` and `BCACHEFS_RS_ROUNDS` say
//! where to begin and how many times; `BCACHEFS_RS_CUTS` how many losses of power are looked at.

mod collide;
#[path = "../engine/mod.rs"]
mod engine;
mod left;
#[allow(dead_code)] // others use more of it
mod model;
#[allow(dead_code)]
mod workload;

use engine::{
    mounted::{
        after_cuts,
        contents,
        look,
        mount,
        start, //
    },
    setting,
    space::disks,
    Random, //
};
use model::{
    roots,
    Model, //
};
use sim::{
    check::{
        check_derived,
        check_sectors, //
    },
    env::restart_often,
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        Medium,
        Power, //
    },
};
use workload::Workload;

/// Where things can be made in the beginning: the roots of subvolumes that may be changed.
fn writable(fs: &Filesystem) -> Vec<sim::fs::SubvolInum> {
    let all = roots(&fs.view).into_iter();
    all.filter(|r| !fs.view.subvolume(r.subvol).unwrap().read_only)
        .collect()
}

fn names(collide: bool) -> Vec<Vec<u8>> {
    if collide {
        return collide::names(5);
    }
    let short = (0..20).map(|i| format!("name{i}").into_bytes());
    short.chain([vec![b'x'; 255], vec![0xff; 254]]).collect()
}

/// Reads all again, and compares.
fn compare(fs: &Filesystem, model: &Model, open: &[sim::fs::SubvolInum]) {
    let found = Model::read(&fs.view, open);
    for (at, node) in &model.0 {
        assert_eq!(found.0.get(at), Some(node), "{at}");
    }
    assert_eq!(found.0.len(), model.0.len());
    found.check(&fs.view);
}

/// What a fresh look at the devices finds wrong.
fn check_all(media: &[Medium], what: &str) {
    let fs = look(media);
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    let findings = check_sectors(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
}

fn run(image: &str, seed: u64, steps: u64, collide: bool) {
    let what = format!("{image} BCACHEFS_RS_SEED={seed}");
    println!("{what}");
    let Some(disks) = disks(image) else {
        println!("{image}: skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let options = if collide { "str_hash=crc32c" } else { "" };
    let power = Power::new();
    let (fs, mut media) = mount(disks, &power, options);
    let names = names(collide);
    let mut w = Workload {
        model: Model::read(&fs.view, &[]),
        r: Random(seed),
        names: &names,
        open: Vec::new(),
        dirs: writable(&fs),
        roots_stay: false,
        now: 1 << 60,
    };
    if collide {
        // The roots are not hashed that way.
        w.dirs = w.fresh_dirs(&fs.changes().unwrap(), 3);
    }
    let mut fs = fs;
    for round in 0..3 {
        let changes = fs.changes().unwrap();
        for _ in 0..steps {
            w.step(&changes);
        }
        w.lists(&changes);
        compare(&fs, &w.model, &w.open);
        if round == 1 {
            // As after a crash.
            fs.sync().unwrap();
        } else {
            fs.go_read_only().unwrap();
        }
        let disks = contents(&media);
        drop(fs);
        (fs, media) = mount(disks, &power, options);
        // What had no name is gone, with the mount.
        for at in w.open.drain(..) {
            w.model.0.remove(&at);
        }
        compare(&fs, &w.model, &[]);
        w.dirs.retain(|d| w.model.0.contains_key(d));
    }
    fs.go_read_only().unwrap();
    check_all(&media, &what);
}

fn rounds(image: &str, collide: bool) {
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_ROUNDS", 2) {
        run(image, seed, 1500, collide);
    }
}

#[test]
fn names_in_an_empty_filesystem() {
    rounds("engine-small", false);
}

#[test]
fn names_in_snapshots() {
    rounds("v113-snap", false);
}

#[test]
fn names_among_many() {
    rounds("v113-tree", false);
}

#[test]
fn names_with_the_same_hash() {
    rounds("engine-small", true);
}

/// Transactions start over at every step they take, for the first times.
#[test]
fn restarts() {
    restart_often(12);
    run("v113-snap", 7, 250, false);
    run("engine-small", 8, 250, true);
    restart_often(0);
}

/// Read-only and back, also when it was mounted for reading, with a journal to replay.
#[test]
fn remounts() {
    let power = Power::new();
    let (mut fs, mut media) = mount(disks("engine-small").unwrap(), &power, "");
    let names = names(false);
    let mut w = Workload {
        model: Model::read(&fs.view, &[]),
        r: Random(5),
        names: &names,
        open: Vec::new(),
        dirs: writable(&fs),
        roots_stay: false,
        now: 1 << 60,
    };
    for round in 0..6 {
        for _ in 0..300 {
            w.step(&fs.changes().unwrap());
        }
        if round % 3 == 2 {
            // As after a crash, read-only.
            fs.sync().unwrap();
            let disks = contents(&media);
            drop(fs);
            (fs, media) = start(Access::Read, disks, "").unwrap();
            compare(&fs, &w.model, &w.open);
        } else {
            fs.go_read_only().unwrap();
            fs.go_read_only().unwrap();
            check_all(&media, "read-only");
        }
        assert!(fs.changes().is_err());
        fs.go_read_write().unwrap();
        fs.go_read_write().unwrap();
        for at in w.open.drain(..) {
            w.model.0.remove(&at);
        }
        compare(&fs, &w.model, &[]);
    }
    fs.go_read_only().unwrap();
    check_all(&media, "after many remounts");
}

/// After a loss of power, all is as it was after some operation, none before the last sync.
#[test]
fn power_cuts() {
    let cuts = setting("BCACHEFS_RS_CUTS", 40);
    let seed = setting("BCACHEFS_RS_SEED", 1);
    for collide in [false, true] {
        let options = if collide { "str_hash=crc32c" } else { "" };
        let power = Power::new();
        let (fs, media) = mount(disks("engine-small").unwrap(), &power, options);
        let names = names(collide);
        let mut w = Workload {
            model: Model::read(&fs.view, &[]),
            r: Random(seed),
            names: &names,
            open: Vec::new(),
            dirs: writable(&fs),
            roots_stay: false,
            now: 1 << 60,
        };
        if collide {
            w.dirs = w.fresh_dirs(&fs.changes().unwrap(), 3);
        }
        let changes = fs.changes().unwrap();
        let begin = power.now();
        // The model after each step, what of it has a name, and the moment when it was safe.
        let mut history = Vec::new();
        for step in 0..400 {
            w.step(&changes);
            let mut named = w.model.clone();
            for at in &w.open {
                named.0.remove(at);
            }
            if step % 13 == 0 {
                fs.sync().unwrap();
                history.push((named, Some(power.now())));
            } else {
                history.push((named, None));
            }
        }
        fs.sync().unwrap();
        let end = power.now();
        after_cuts(&media, begin..end, cuts, |cut, left| {
            let (again, left) = mount(left, &Power::new(), options);
            let found = Model::read(&again.view, &[]);
            found.check(&again.view);
            let is_safe = |at: &Option<u64>| at.is_some_and(|at| at <= cut.at);
            let safe = history.iter().rposition(|(_, at)| is_safe(at));
            let matching = history.iter().rposition(|(model, _)| *model == found);
            match (matching, safe) {
                (Some(matching), Some(safe)) => assert!(matching >= safe, "{cut:?}"),
                (None, Some(_)) => panic!("{cut:?}: as after no step"),
                // Before the first sync it may be what there was before.
                (_, None) => (),
            }
            again.go_read_only().unwrap();
            check_all(&left, &format!("{cut:?}"));
        });
    }
}

/// Threads make, move and delete in the same directories: nothing fails that should not, and what
/// is left is consistent.
#[test]
fn threads() {
    use sim::fs::change::{
        Mode,
        NewFile,
        Side, //
    };
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let root = writable(&fs)[0];
    let names = names(false);
    std::thread::scope(|s| {
        for thread in 0..4u64 {
            let (fs, names) = (&fs, &names);
            s.spawn(move || {
                let (c, mut r) = (fs.changes().unwrap(), Random(thread + 9));
                for now in 0..800 {
                    let name = &names[r.below(names.len() as u64) as usize];
                    let other = &names[r.below(names.len() as u64) as usize];
                    let new = NewFile {
                        mode: if r.one_in(3) { 0o040755 } else { 0o100644 },
                        now,
                        ..NewFile::default()
                    };
                    let sides = [name, other].map(|name| Side { dir: root, name });
                    let done = match r.below(4) {
                        0 | 1 => c.create(root, Some(name), &new).map(drop),
                        2 => c.unlink(root, name, now).map(drop),
                        _ if name == other => Ok(()),
                        _ => c
                            .rename(sides[0], sides[1], Mode::Free, None, now)
                            .map(drop),
                    };
                    if let Err(e) = done {
                        use sim::error::Error;
                        let lost = [
                            Error::DirentExists,
                            Error::DirentNotFound,
                            Error::RenameTargetThere,
                            // "lost+found", and nothing else, holds nothing.
                            Error::DirNotEmpty,
                        ];
                        assert!(lost.contains(&e), "{e}");
                    }
                }
            });
        }
    });
    let left = Model::read(&fs.view, &[]);
    left.check(&fs.view);
    fs.go_read_only().unwrap();
    let disks = contents(&media);
    drop(fs);
    let (fs, media) = mount(disks, &power, "");
    compare(&fs, &left, &[]);
    fs.go_read_only().unwrap();
    check_all(&media, "threads");
}
