// SPDX-License-Identifier: GPL-2.0

//! What files leave behind that were deleted: nothing.

use super::{
    check_all,
    engine::{
        mounted::{
            after_cuts,
            contents,
            mount,
            ROOT, //
        },
        setting,
        space::disks, //
    },
};
use sim::{
    alloc::space::Engine,
    data::{
        write::{
            write,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    env::Arc,
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    fs::{
        change::{
            Created,
            NewFile, //
        }, //
    },
    init::Filesystem,
    sys::block::{
        Medium,
        Power, //
    },
};
use std::ops::Range;

/// Writes a block of a file, at a byte of it.
fn put(fs: &Filesystem, file: &Created, at: u64) {
    let options = WriteOptions::of(fs.view.sb(), &file.inode);
    let id = FileId {
        inum: file.id.inum,
        snapshot: file.snapshot,
    };
    let (data, mut done) = ([7; 4096], Written::default());
    let engine = fs.read_write().unwrap().engine();
    let what = (at / 512, &data[..]);
    write(engine, &fs.view, id, &options, what, at + 4096, &mut done).unwrap();
}

/// Writes back all that there is now, and has the journal start behind it.
fn write_back(fs: &Filesystem) {
    let Engine { btrees, writer } = fs.read_write().unwrap().engine();
    sim::btree::write_back(btrees, writer, writer.journal.newest()).unwrap();
    fs.sync().unwrap();
    writer.journal.write_entry().unwrap();
}

fn name(nr: u64) -> Vec<u8> {
    format!("file{nr}").into_bytes()
}

/// Files with some data each.
fn make(fs: &Filesystem, numbers: Range<u64>) -> Vec<Created> {
    let changes = fs.changes().unwrap();
    let new = NewFile {
        mode: 0o100_644,
        now: 1 << 60,
        ..NewFile::default()
    };
    let file = |nr| {
        let made = changes.create(ROOT, Some(&name(nr)), &new).unwrap();
        put(fs, &made, 0);
        made
    };
    numbers.map(file).collect()
}

fn remove(fs: &Filesystem, files: &[Created], numbers: Range<u64>) {
    let changes = fs.changes().unwrap();
    for (file, nr) in files.iter().zip(numbers) {
        changes.unlink(ROOT, &name(nr), 1 << 60).unwrap();
        changes.remove(file.id).unwrap();
    }
}

/// Keys of a btree.
fn nr_keys(fs: &Filesystem, btree: BtreeId) -> usize {
    let mut iter = fs.view.btrees.iter(btree, 0, Bpos::MIN);
    std::iter::from_fn(|| iter.advance().unwrap().map(drop)).count()
}

/// Keys of each btree that files have keys in.
fn keys(fs: &Filesystem) -> [(BtreeId, usize); 5] {
    [
        BtreeId::INODES,
        BtreeId::DIRENTS,
        BtreeId::EXTENTS,
        BtreeId::ACCOUNTING,
        BtreeId::DELETED_INODES,
    ]
    .map(|btree| (btree, nr_keys(fs, btree)))
}

/// Makes files and deletes them; what is there after that, read again.
fn round(media: &[Medium], power: &Power, nr: u64) -> (Arc<Filesystem>, Vec<Medium>) {
    let (fs, media) = mount(contents(media), power, "");
    let files = make(&fs, 0..nr);
    remove(&fs, &files, 0..nr);
    fs.go_read_only().unwrap();
    let (fs, again) = mount(contents(&media), power, "");
    check_all(&media, "deleted");
    (fs, again)
}

#[test]
fn nothing_is_left_of_deleted_files() {
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    fs.go_read_only().unwrap();
    let before = {
        let (fs, _) = round(&media, &power, 500);
        keys(&fs)
    };
    let (fs, _) = round(&media, &power, setting("BCACHEFS_RS_OPS", 1000));
    assert_eq!(keys(&fs), before);
}

/// A crash forgets which counters are 0; fsck finds them.
#[test]
fn fsck_finds_what_a_crash_left() {
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let files = make(&fs, 0..100);
    remove(&fs, &files, 0..100);
    write_back(&fs);
    let crashed = contents(&media);
    fs.go_read_only().unwrap();
    let counters = |options: &str| {
        let (fs, media) = mount(crashed.clone(), &power, options);
        fs.go_read_only().unwrap();
        check_all(&media, options);
        let (fs, _) = mount(contents(&media), &power, "");
        nr_keys(&fs, BtreeId::ACCOUNTING)
    };
    let (left, none) = (counters(""), counters("fsck,fix_errors=yes"));
    assert!(
        none < 50 && left > 100,
        "{left} counters, {none} after fsck"
    );
}

/// The power is lost while files come and go, and while what they leave is done away with: the
/// counters are right after it, whichever differences the journal still has.
#[test]
fn counters_are_right_after_a_cut() {
    let cuts = setting("BCACHEFS_RS_CUTS", 60);
    let power = Power::new();
    let (fs, media) = mount(disks("engine-small").unwrap(), &power, "");
    let begin = power.now();
    let stays = make(&fs, 1000..1050);
    for nr in 0..8 {
        let files = make(&fs, 0..60);
        if nr % 2 == 0 {
            fs.sync().unwrap();
        }
        remove(&fs, &files, 0..60);
        write_back(&fs);
        stays
            .iter()
            .for_each(|file| put(&fs, file, 4096 * (1 + nr)));
    }
    fs.go_read_only().unwrap();
    let end = power.now();
    after_cuts(&media, begin..end, cuts, |cut, left| {
        let (again, left) = mount(left, &Power::new(), "");
        again.go_read_only().unwrap();
        check_all(&left, &format!("{cut:?}"));
    });
}
