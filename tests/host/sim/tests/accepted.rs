// SPDX-License-Identifier: GPL-2.0

//! Filesystems that were changed and shut down, for others to check. They go to the directory
//! `BCACHEFS_RS_OUT`, as `SEED.0.img` and so on for each device, `BCACHEFS_RS_ROUNDS` of them from
//! `BCACHEFS_RS_SEED` on; `tests/accepted` has the packaged tools look at them. Without a
//! directory, only our own checker looks at one.

mod engine;
#[path = "file_data/file.rs"]
#[allow(dead_code)] // it is used as far as it goes here
mod file;
#[allow(dead_code)] // not all of it is used here
#[path = "namespace/model.rs"]
mod model;
#[allow(dead_code)]
#[path = "snapshots_made/trees.rs"]
mod trees;
#[allow(dead_code)]
#[path = "namespace/workload.rs"]
mod workload;
#[allow(dead_code)]
#[path = "snapshots_made/world.rs"]
mod world;

use engine::{
    accept::{
        Base,
        Kind, //
    },
    setting,
    space::{
        devices,
        disks,
        open,
        SpaceFs, //
    },
    Random, //
};
use file::{
    first_files,
    Target, //
};
use model::{
    roots,
    Model, //
};
use sim::{
    alloc::space::discard_buckets,
    btree::write_back,
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::Class,
    format::opts::Opts,
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::{
        Disk,
        Medium, //
    },
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{
        Path,
        PathBuf, //
    },
};
use workload::Workload;
use world::World;

const IMAGES: [&str; 5] = [
    "engine-small",
    "engine-unequal",
    "engine-three",
    "v113-repl2",
    "v113-tree",
];

/// Bytes written at a time, if not all of them are 0.
const PIECE: usize = 64 << 10;

fn save(disk: &Disk, path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(disk.nr_sectors() * 512).unwrap();
    let mut piece = vec![0; PIECE];
    for at in (0..disk.nr_sectors()).step_by(PIECE / 512) {
        let left = (disk.nr_sectors() - at) as usize * 512;
        let piece = &mut piece[..left.min(PIECE)];
        disk.read(at, piece).unwrap();
        if piece.iter().any(|b| *b != 0) {
            file.write_all_at(piece, at * 512).unwrap();
        }
    }
}

/// Changes a filesystem in one of many ways, and shuts it down.
fn changed(seed: u64) -> SpaceFs {
    let mut r = Random(seed);
    let fs = open(disks(IMAGES[r.below(5) as usize]).expect("an image of the tree"));
    let base = Base::of(&fs.view.btrees);
    let kind = |thread| Kind {
        base: &base,
        positions: [60, 1000, 20_000][seed as usize % 3],
        changes: 5,
        thread,
        deletes: 3,
    };
    let nr = [20, 300, 3000][r.below(3) as usize];
    let empties = r.one_in(2);
    let one = |fs: &SpaceFs, thread: u64| {
        let (mut model, mut r) = (base.model.clone(), Random(seed << 4 | thread));
        let kind = kind(thread);
        fs.fill(&kind, &mut model, &mut r, nr);
        if empties {
            for changes in kind.undo(&model) {
                fs.take_back(&changes).unwrap();
            }
        }
    };
    let threads = 1 + r.below(3);
    match r.one_in(3) {
        // Nobody writes back before the end, unless the journal is full.
        true => {
            let mut model = base.model.clone();
            fs.fill(&kind(0), &mut model, &mut r, 40);
            write_back(&fs.view.btrees, &fs.writer, u64::MAX).unwrap();
            discard_buckets(fs.engine(), Watermark::Btree).unwrap();
        }
        false => fs.live(|fs| {
            std::thread::scope(|s| {
                for thread in 0..threads {
                    let one = &one;
                    s.spawn(move || one(fs, thread));
                }
            });
        }),
    }
    if r.one_in(2) {
        write_files(&fs, &mut r);
    }
    fs.shut_down();
    fs
}

/// A filesystem as it is mounted, and its devices.
fn mounted(r: &mut Random) -> (Arc<Filesystem>, Vec<Medium>) {
    let disks = disks(IMAGES[r.below(5) as usize]).expect("an image of the tree");
    let (mut devs, mut media) = (EnvVec::new(), Vec::new());
    for dev in devices(disks) {
        media.push(dev.medium());
        devs.push(dev).unwrap();
    }
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    (fs, media)
}

/// Makes and deletes subvolumes and snapshots, changes what is in them, and shuts the filesystem
/// down: when all that is deleted is gone, as otherwise there is something to be said.
fn snapped(seed: u64) -> Vec<Disk> {
    let (fs, media) = mounted(&mut Random(seed));
    let mut w = World::new(&fs, seed);
    w.keep_roots();
    for _ in 0..[40, 200, 600][seed as usize / 5 % 3] {
        w.step(&fs);
    }
    while trees::nr_to_go(&fs.view) != 0 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    w.compare(&fs);
    fs.go_read_only().unwrap();
    trees::check_trees(&fs.view, true);
    let left = || media.iter().map(|m| m.contents()).collect();
    // Our own fsck has nothing to say.
    let mut devs = EnvVec::new();
    for dev in devices(left()) {
        devs.push(dev).unwrap();
    }
    let mut opts = Opts::new();
    opts.parse_list("fsck,fix_errors=exit,errors=ro").unwrap();
    Filesystem::start_for(Access::Write, devs, &opts).unwrap();
    left()
}

/// Changes names, inodes and attributes, and shuts the filesystem down.
fn named(seed: u64) -> Vec<Disk> {
    let mut r = Random(seed);
    let (fs, media) = mounted(&mut r);
    let names: Vec<_> = (0..30u8)
        .map(|i| vec![b'a' + i % 26; 1 + usize::from(i) * 8])
        .collect();
    let mut w = Workload {
        model: Model::read(&fs.view, &[]),
        r,
        names: &names,
        open: Vec::new(),
        dirs: roots(&fs.view),
        roots_stay: true,
        now: 1 << 60,
    };
    for _ in 0..[30, 300, 3000][seed as usize / 5 % 3] {
        w.step(&fs.changes().unwrap());
    }
    w.lists(&fs.changes().unwrap());
    fs.go_read_only().unwrap();
    media.iter().map(|m| m.contents()).collect()
}

/// Changes contents of files, until there is no space.
fn write_files(fs: &SpaceFs, r: &mut Random) {
    let nr = [10, 100, 400][r.below(3) as usize];
    fs.live(|fs| {
        let mut files = first_files(&fs.view, fs.engine(), 3);
        let target = Target {
            engine: fs.engine(),
            view: &fs.view,
            blocks: 300,
        };
        for _ in 0..nr {
            if let Err(e) = target.change(&mut files, r) {
                assert_eq!(e.class(), Class::NoSpace, "{e}");
                return;
            }
        }
        files.iter().for_each(|file| file.check(&fs.view));
    });
}

#[test]
fn filesystems_for_others() {
    let out = std::env::var_os("BCACHEFS_RS_OUT").map(PathBuf::from);
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_ROUNDS", 1) {
        println!("BCACHEFS_RS_SEED={seed}");
        let left = match seed % 5 {
            0 => named(seed),
            1 => snapped(seed),
            _ => {
                let fs = changed(seed);
                fs.check();
                fs.contents()
            }
        };
        let Some(out) = &out else {
            continue;
        };
        for (nr, disk) in left.iter().enumerate() {
            save(disk, &out.join(format!("{seed}.{nr}.img")));
        }
    }
}
