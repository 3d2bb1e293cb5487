// SPDX-License-Identifier: GPL-2.0

//! Error codes that nothing else raises: for each, what leads to it, and that it is this one.
//!
//! | file           | codes of                                                          |
//! |----------------|-------------------------------------------------------------------|
//! | `deep.rs`      | a btree with too many levels                                      |
//! | `files.rs`     | the check of files and directories                                |
//! | `journal.rs`   | the journal, read and written                                     |
//! | `mounting.rs`  | superblocks, options, what a mount is refused with                |
//! | `names.rs`     | names, inodes and attributes                                      |
//! | `nodes.rs`     | btree nodes as they are on disk                                   |
//! | `overlay.rs`   | [`Overlay`](overlay::Overlay): keys that no validator has seen    |
//! | `reading.rs`   | keys that are read                                                |
//! | `snapshots.rs` | snapshot trees and subvolumes                                     |
//! | `writing.rs`   | keys that are changed, and what is derived from them              |

mod deep;
#[allow(dead_code)] // not all of it is used here
#[path = "../damage/disk.rs"]
mod disk;
#[path = "../engine/mod.rs"]
mod engine;
mod files;
mod journal;
mod mounting;
mod names;
mod nodes;
mod overlay;
mod reading;
mod snapshots;
mod writing;

use engine::{
    mounted::{
        contents,
        start, //
    },
    space::disks, //
};
use sim::{
    format::{
        csum::CsumType,
        sb::Superblock, //
    },
    sys::block::Disk, //
};

/// The devices of an image; `None` when there is no such image, which is said.
fn image(name: &str) -> Option<Vec<Disk>> {
    let found = disks(name);
    if found.is_none() {
        println!("skipped: no image {name} (BCACHEFS_RS_IMAGES)");
    }
    found
}

/// All of a disk, to be changed.
fn bytes_of(disk: &Disk) -> Vec<u8> {
    let mut bytes = vec![0; disk.nr_sectors() as usize * 512];
    disk.read(0, &mut bytes).unwrap();
    bytes
}

/// A disk whose superblock was changed, in all copies.
fn with_superblock(bytes: &[u8], change: impl FnOnce(&mut Superblock)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut sb = Superblock::decode(&bytes[4096..], Some(8)).unwrap();
    change(&mut sb);
    let offsets: Vec<u64> = sb.layout.offsets().collect();
    for at in offsets {
        let new = sb.encode(at, CsumType::CRC32C_NONZERO).unwrap();
        bytes[at as usize * 512..][..new.len()].copy_from_slice(&new);
    }
    bytes
}

fn disk_of(bytes: Vec<u8>) -> Disk {
    Disk::from_memory(std::sync::Arc::new(bytes))
}
