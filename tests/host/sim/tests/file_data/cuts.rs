// SPDX-License-Identifier: GPL-2.0

//! The power is lost while files are changed, and transfers fail: what was acknowledged is there,
//! each block is old or new, and all that is derived is what it should be, before and after
//! recovery.

use super::{
    engine::{
        setting,
        space::{
            devices,
            disks,
            look,
            record,
            SpaceFs, //
        },
        Random, //
    },
    file::{
        check_ends,
        first_files,
        File,
        Target,
        SECTOR, //
    },
};
use sim::{
    check::check_derived,
    data::{
        read_sync,
        write::{
            write,
            Written, //
        },
    },
    env::Vec as EnvVec,
    error::{
        Class,
        Error, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts, //
    },
    init::{
        Access,
        Filesystem, //
    },
    snapshots::View,
    sys::block::{
        Disk,
        Fault,
        Kind,
        PowerCut,
        Replay, //
    },
};

/// What files have been, from the beginning on.
struct Past {
    states: Vec<Vec<File>>,
    /// When a state was known to be safe: the moment, and its index.
    safe: Vec<(u64, usize)>,
    /// Files have the option `nocow`.
    in_place: bool,
}

impl Past {
    /// The index of the last state that was safe at a moment.
    fn safe_at(&self, at: u64) -> usize {
        let known = self.safe.iter().take_while(|s| s.0 < at);
        known.last().map_or(0, |s| s.1)
    }

    /// Each block of each file is as it was in one of the states from an index on; or each sector,
    /// when data is written over where it is.
    fn check(&self, view: &View, first: usize) {
        let block = match self.in_place {
            true => SECTOR as usize,
            false => view.sb().sb.block_bytes() as usize,
        };
        let states = &self.states[first..];
        for (nr, file) in states[0].iter().enumerate() {
            let longest = states.iter().map(|s| s[nr].bytes.len()).max().unwrap();
            let mut found = vec![0; longest];
            read_sync(view, file.id, 0, &mut found).unwrap();
            for (at, found) in found.chunks(block).enumerate() {
                let was = states.iter().any(|s| {
                    let bytes = s[nr].bytes.get(at * block..).unwrap_or(&[]);
                    // Behind the end there are zeros.
                    let want = bytes.iter().chain(std::iter::repeat(&0));
                    found.iter().zip(want).all(|(a, b)| a == b)
                });
                assert!(was, "block {at} of {:?} never was so", file.id);
            }
        }
    }
}

/// Changes files, with a flush now and then; ends with the first error.
fn changed(fs: &SpaceFs, r: &mut Random, nr: u64, in_place: bool) -> (Past, Option<Error>) {
    let mut files = first_files(&fs.view, fs.engine(), 2);
    if in_place {
        files.iter_mut().for_each(File::set_nocow);
    }
    fs.writer.journal.flush().unwrap();
    let mut past = Past {
        states: vec![files.clone()],
        safe: vec![(fs.power.now(), 0)],
        in_place,
    };
    let target = Target {
        engine: fs.engine(),
        view: &fs.view,
        blocks: 40,
    };
    for _ in 0..nr {
        let before = r.clone();
        let done = target.change(&mut files, r);
        if let Err(e) = done {
            // It may have happened in part: what it would have been is one of the states.
            *r = before;
            return (past, Some(e));
        }
        past.states.push(files.clone());
        if r.one_in(6) {
            match fs.writer.journal.flush() {
                Ok(()) => past.safe.push((fs.power.now(), past.states.len() - 1)),
                Err(e) => return (past, Some(e)),
            }
        }
    }
    (past, None)
}

/// Whether an operation was begun and did not end, which recovery goes on with.
fn has_unfinished(view: &View) -> bool {
    let mut ops = view.btrees.iter(BtreeId::LOGGED_OPS, 0, Bpos::MIN);
    ops.advance().unwrap().is_some()
}

/// Recovers, as a mount does, and shuts down.
fn recovered(disks: Vec<Disk>, check: impl FnOnce(&View)) {
    let devs = devices(disks);
    let media: Vec<_> = devs.iter().map(|d| d.medium()).collect();
    let mut list = EnvVec::new();
    devs.into_iter().for_each(|d| list.push(d).unwrap());
    let fs = Filesystem::start_for(Access::Write, list, &Opts::default()).unwrap();
    check(&fs.view);
    fs.go_read_only().unwrap();
    drop(fs);
    let contents = media.iter().map(|m| m.contents()).collect();
    let seen = look(devices(contents)).unwrap();
    let findings = check_derived(&seen.view);
    assert!(findings.is_empty(), "{findings:#?}");
}

fn cut_while_files_change(image: &str, in_place: bool, seed: u64) {
    println!("BCACHEFS_RS_SEED={seed} {image}, in place: {in_place}");
    let fs = record(disks(image).unwrap());
    let start = fs.power.now();
    let mut r = Random(seed);
    let (past, failed) = fs.live(|fs| changed(fs, &mut r, 40, in_place));
    assert_eq!(failed, None);
    let end = fs.power.now();
    let mut replays: Vec<_> = fs.media.iter().map(|m| Replay::new(m).unwrap()).collect();
    let first_safe = past.safe[0].0.max(start);
    let mut moments: Vec<_> = (0..setting("BCACHEFS_RS_CUTS", 25))
        .map(|_| first_safe + r.below(end - first_safe + 1))
        .collect();
    moments.sort_unstable();
    for at in moments {
        let cut = PowerCut { at, seed: r.next() };
        println!("{cut:?}");
        let disks: Vec<_> = replays.iter_mut().map(|m| m.image(cut)).collect();
        let first = past.safe_at(at);
        let copies = disks.clone();
        let seen = look(devices(copies)).unwrap();
        // What takes many transactions may have come half way.
        if !has_unfinished(&seen.view) {
            past.check(&seen.view, first);
        }
        recovered(disks, |view| {
            past.check(view, first);
            check_ends(view, &past.states[0]);
        });
    }
}

#[test]
fn what_was_safe_is_there_after_a_loss_of_power() {
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_WORKLOADS", 3) {
        for in_place in [false, true] {
            cut_while_files_change("engine-small", in_place, seed);
            cut_while_files_change("v113-repl2", in_place, seed);
        }
    }
}

/// One write of a device fails at some time.
fn write_fails(image: &str, seed: u64) -> bool {
    println!("BCACHEFS_RS_SEED={seed} {image}");
    let fs = record(disks(image).unwrap());
    let mut r = Random(seed);
    let victim = r.below(fs.media.len() as u64) as usize;
    fs.media[victim].inject(Kind::Write, 20 + r.below(150), Fault::Fail);
    // Nobody else: who writes back would panic.
    let (past, failed) = changed(&fs, &mut r, 30, seed % 2 == 0);
    if let Some(e) = failed {
        let expected = matches!(e.class(), Class::Io | Class::Shutdown | Class::ReadOnly);
        assert!(expected, "{e}");
    } else {
        fs.writer.journal.flush().unwrap();
        past.check(&fs.view, past.states.len() - 1);
    }
    fs.media[victim].heal();
    let first = match failed {
        // With both copies written, or one of them: all of it.
        None => past.states.len() - 1,
        Some(_) => past.safe.last().unwrap().1,
    };
    if failed.is_none() {
        recovered(fs.contents(), |view| past.check(view, first));
    }
    failed.is_none()
}

/// With no device that can be written, a write fails as one of devices, and changes nothing.
#[test]
fn without_devices_that_write_nothing_is_changed() {
    let fs = record(disks("v113-repl2").unwrap());
    let mut files = first_files(&fs.view, fs.engine(), 1);
    fs.writer.journal.flush().unwrap();
    for medium in &fs.media {
        medium.fail_from_then_on(Kind::Write, 0);
    }
    let file = &mut files[0];
    let block = fs.view.sb().sb.block_bytes() as usize;
    let (data, mut done) = (vec![1; 4 * block], Written::default());
    let options = file.options;
    let what = (0, &data[..]);
    let size = (4 * block) as u64;
    let failed = write(
        fs.engine(),
        &fs.view,
        file.id,
        &options,
        what,
        size,
        &mut done,
    );
    assert_eq!(failed, Err(Error::DataWriteFailed));
    assert_eq!(done, Written::default());
    file.check(&fs.view);
    let past = Past {
        states: vec![files.clone()],
        safe: Vec::new(),
        in_place: false,
    };
    recovered(fs.contents(), |view| past.check(view, 0));
}

#[test]
fn a_device_that_fails_to_write_costs_a_copy() {
    let first = setting("BCACHEFS_RS_SEED", 1);
    let rounds = setting("BCACHEFS_RS_WORKLOADS", 8);
    let seeds = first..first + rounds;
    let survived = seeds
        .filter(|seed| write_fails("v113-repl2", *seed))
        .count();
    println!("{survived} of {rounds} went on");
    assert!(survived > 0);
}
