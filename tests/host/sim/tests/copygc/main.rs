// SPDX-License-Identifier: GPL-2.0

//! Data is moved so that buckets become free: files hold what was written, whatever kind of extents
//! they have; who has reserved space gets it, however fragmented all is.
//!
//! | file       | holds                                                           |
//! |------------|-----------------------------------------------------------------|
//! | `kinds.rs` | all kinds of extents are moved, between random changes           |
//! | `full.rs`  | a full filesystem is written over in small pieces                |
//! | `race.rs`  | others write and read meanwhile                                  |
//! | `bad.rs`   | data that can not be read, devices that can not be written       |
//! | `cuts.rs`  | the power is lost meanwhile                                      |
//!
//! `BCACHEFS_RS_OPS` sets how many changes are made, `BCACHEFS_RS_SEED` which, and
//! `BCACHEFS_RS_CUTS` how many losses of power are looked at.

mod bad;
mod cuts;
#[path = "../engine/mod.rs"]
mod engine;
#[path = "../file_data/file.rs"]
mod file;
mod full;
mod kinds;
mod race;

use engine::{
    space::{
        disks,
        open,
        SpaceFs, //
    },
    Random, //
};
use file::{
    check_all,
    first_files,
    File,
    Target, //
};
use sim::{
    data::mover::{
        Mover,
        Round, //
    },
    error::Result as BchResult,
    sys::block::Disk, //
};

/// Empties buckets as long as that helps, at most so many times; what came of it.
fn move_all(fs: &SpaceFs, mover: &mut Mover, rounds: u64) -> BchResult<Round> {
    let mut all = Round::default();
    for _ in 0..rounds {
        let round = mover.round(fs.engine(), &fs.view, true, &|| false)?;
        all.emptied += round.emptied;
        all.moved += round.moved;
        all.failed = all.failed.or(round.failed);
        if !round.is_fruitful() {
            break;
        }
    }
    Ok(all)
}

/// The devices of an image whose first files were written over in small pieces, so that buckets are
/// used in part; and these files. Each write is changed by `change` before.
fn fragmented(image: &str, change: impl Fn(&mut File), seed: u64) -> (Vec<Disk>, Vec<File>) {
    let fs = open(disks(image).unwrap());
    let mut r = Random(seed);
    let mut files = first_files(&fs.view, fs.engine(), 2);
    files.iter_mut().for_each(&change);
    fs.live(|fs| {
        let target = Target {
            engine: fs.engine(),
            view: &fs.view,
            blocks: 200,
        };
        for _ in 0..120 {
            target.change(&mut files, &mut r).unwrap();
        }
    });
    check_all(&fs, &files);
    fs.shut_down();
    (fs.contents(), files)
}
