// SPDX-License-Identifier: GPL-2.0

//! The journal is written, on golden images in memory, and read again. Without images
//! (`BCACHEFS_RS_IMAGES`) the tests only say so.
//!
//! | file        | tests                                                       |
//! |-------------|-------------------------------------------------------------|
//! | `crash.rs`  | losing power at any moment                                   |
//! | `entries.rs` | what is added is there, there is an end to the room         |
//! | `faults.rs` | devices that fail                                            |
//! | `mount.rs`  | going read-write, and a clean end                            |

mod crash;
mod entries;
mod faults;
mod mount;

use sim::{
    env::Arc,
    error::Error,
    format::{
        bkey::{
            Bkey,
            RawBkey, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts,
    },
    golden::{
        images,
        walk,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::{
        self,
        live::{
            Journal,
            Reservation,
            Start,
            Watermark, //
        },
        JournalContents,
    },
    sb::{
        self,
        SbState, //
    },
    sys::block::BlockDevice,
};
use std::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};
use zerocopy::IntoBytes;

/// A filesystem whose journal is written.
struct Live {
    st: Arc<SbState>,
    journal: Arc<Journal>,
    first: u64,
}

fn unpack(name: &str) -> Option<Vec<Vec<u8>>> {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return None;
    };
    Some(Image::named(&folder, name)?.unpack().unwrap())
}

fn start(devices: Vec<Vec<u8>>, options: &str) -> Live {
    start_on(images::devices("live", devices), options)
}

fn start_on(devices: sim::env::Vec<BlockDevice>, options: &str) -> Live {
    let mut opts = Opts::new();
    opts.parse_list(options).unwrap();
    let st = sb::open(devices, &opts).unwrap();
    let st = Arc::try_new(st).unwrap();
    let mut contents = journal::read(&st, false).unwrap();
    let from = Start::after(&mut contents).unwrap();
    st.mark_dirty(contents.blacklist.ranges()).unwrap();
    let first = from.next_seq;
    let journal = Journal::start(st.clone(), &from).unwrap();
    Live { st, journal, first }
}

impl Live {
    /// What is on the devices now.
    fn contents(&self) -> Vec<Vec<u8>> {
        contents_of(&self.st)
    }
}

fn read_again(devices: Vec<Vec<u8>>) -> (SbState, JournalContents) {
    let st = sb::open(images::devices("again", devices), &Opts::new()).unwrap();
    let contents = journal::read(&st, false).unwrap();
    (st, contents)
}

/// The position of the key that thread `t` adds as its `n`-th.
fn pos(t: u64, n: u64) -> Bpos {
    Bpos::new(1 << 40 | t, n, u32::MAX)
}

/// A key without a value: a whiteout, where there is nothing.
fn key(pos: Bpos) -> [u64; 5] {
    let k = Bkey {
        key_type: KeyType::HASH_WHITEOUT,
        p: pos,
        ..Bkey::default()
    };
    let raw = RawBkey::encode(&k, 0).unwrap();
    let mut words = [0; 5];
    for (to, bytes) in words.iter_mut().zip(raw.as_bytes().chunks_exact(8)) {
        *to = u64::from_le_bytes(bytes.try_into().unwrap());
    }
    words
}

/// Adds a key, and has its entry kept if asked to.
fn add_and(journal: &Journal, pos: Bpos, pin: bool) -> u64 {
    let room = Reservation::u64s_for(5);
    let mut r = journal.reserve(room, Watermark::Normal).unwrap();
    r.add_key(BtreeId::XATTRS, 0, &key(pos), &[]).unwrap();
    if pin {
        journal.pin(r.seq());
    }
    r.seq()
}

fn add(journal: &Journal, pos: Bpos) -> u64 {
    add_and(journal, pos, false)
}

/// Whether the overlay has the key.
fn has(found: &JournalContents, pos: Bpos) -> bool {
    let range = found.keys.range(BtreeId::XATTRS, 0);
    let at = found.keys.lower_bound(range, pos);
    at < range.end && found.keys.pos(at) == Some(pos)
}

/// What is on the devices of a started filesystem.
fn contents_of(st: &SbState) -> Vec<Vec<u8>> {
    let read = |dev: &sb::Device| {
        let mut bytes = vec![0; dev.bdev.nr_sectors() as usize * 512];
        dev.bdev.read(0, &mut bytes).unwrap();
        bytes
    };
    st.devices().map(read).collect()
}
