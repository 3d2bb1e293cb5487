// SPDX-License-Identifier: GPL-2.0

//! What the check of files and directories can not repair: a mount that asks for it is refused.

use crate::{
    contents,
    image,
    start, //
};
use sim::{
    error::Error,
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    fs::{
        change::{
            Changes,
            NewFile, //
        },
        inode,
        SubvolInum, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::Disk,
};

const DIR: u16 = 0o040_755;
const FILE: u16 = 0o100_644;
/// How many names are tried for a file that has lost its own.
const NAMES: u64 = 1000;

fn made(c: &Changes<'_>, dir: SubvolInum, name: &[u8], mode: u16) -> SubvolInum {
    let new = NewFile {
        mode,
        now: 1 << 60,
        ..NewFile::default()
    };
    c.create(dir, Some(name), &new).unwrap().id
}

/// Takes the name of a file away, and nothing else.
fn lose_name(fs: &Filesystem, file: SubvolInum) {
    let node = inode::find(&fs.view, file).unwrap();
    let snapshot = fs.view.subvolume(file.subvol).unwrap().snapshot;
    let pos = Bpos::new(node.dir, node.dir_offset, snapshot);
    let rw = fs.read_write().unwrap();
    rw.engine()
        .run(Watermark::Normal, |t| {
            assert!(t.get(BtreeId::DIRENTS, pos)?.is_some());
            t.delete(BtreeId::DIRENTS, pos)?;
            t.commit()
        })
        .unwrap();
}

/// A filesystem after `change`, which gets a file that then loses its name.
fn with_stray(change: impl FnOnce(&Changes<'_>, SubvolInum, SubvolInum)) -> Option<Vec<Disk>> {
    let (fs, media) = start(Access::Write, image("engine-small")?, "").unwrap();
    let root = inode::root(&fs.view).unwrap();
    {
        let c = fs.changes().unwrap();
        let stray = made(&c, root, b"stray", FILE);
        c.unlink(root, b"lost+found", 1).unwrap();
        change(&c, root, stray);
        lose_name(&fs, stray);
    }
    drop(fs);
    Some(contents(&media))
}

fn checked(disks: Vec<Disk>) -> Option<Error> {
    start(Access::Write, disks, "fsck,fix_errors=yes").err()
}

#[test]
fn lost_and_found_is_a_file() {
    let Some(disks) = with_stray(|c, root, _| {
        made(c, root, b"lost+found", FILE);
    }) else {
        return;
    };
    assert_eq!(checked(disks), Some(Error::CheckLostFound));
}

#[test]
fn all_names_in_lost_and_found_are_taken() {
    for nr_taken in [NAMES - 1, NAMES] {
        let Some(disks) = with_stray(|c, root, stray| {
            let dir = made(c, root, b"lost+found", DIR);
            let other = made(c, root, b"other", FILE);
            for nr in 0..nr_taken {
                let name = match nr {
                    0 => format!("{}", stray.inum),
                    _ => format!("{}-{nr}", stray.inum),
                };
                c.link(dir, name.as_bytes(), other, 1).unwrap();
            }
        }) else {
            return;
        };
        let want = (nr_taken == NAMES).then_some(Error::CheckReattach);
        assert_eq!(checked(disks), want, "{nr_taken}");
    }
}
