// SPDX-License-Identifier: GPL-2.0

//! Snapshot trees and subvolumes: what is made of them when they are not as they should be, and
//! when there is no number left.

use crate::overlay::{
    Overlay,
    Written,
    LEAF,
    ROOT, //
};
use sim::{
    check::{
        check_snapshots,
        check_subvols,
        Report, //
    },
    data::{
        write::{
            write,
            WriteOptions,
            Written as Done, //
        },
        FileId,
    },
    error::Error,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::Inode,
            snapshot::{
                Snapshot,
                SnapshotState, //
            },
            subvolume::{
                SubvolState,
                Subvolume,
                SUBVOL_MAX, //
            },
        },
    },
    fs::{
        change::{
            Changes,
            NewFile,
            Numbers,
            Source, //
        },
        SubvolInum,
    },
    journal::live::Watermark,
    snapshots::{
        delete_unused,
        reap,
        Writing, //
    },
};
use std::cell::Cell;

const EMPTY: &str = "v113-empty";
const TOP: SubvolInum = SubvolInum {
    subvol: 1,
    inum: ROOT,
};
const ADMIN: u32 = 0;

fn at(id: u32) -> Bpos {
    Bpos::new(0, id.into(), 0)
}

/// The root of a snapshot tree.
fn node(tree: u32, children: [u32; 2]) -> Snapshot {
    Snapshot {
        flags: Snapshot::IS_SUBVOL,
        parent: 0,
        children,
        subvol: 1,
        tree,
        depth: 0,
        skip: [0; 3],
        btime_lo: 0,
        btime_hi: 0,
        state: SnapshotState::Live,
        has_state: false,
        pad: 0,
    }
}

fn with_node(id: u32, node: &Snapshot) -> Written {
    let (btree, kind) = (BtreeId::SNAPSHOTS, KeyType::SNAPSHOT);
    Overlay::with(btree, kind, at(id), 0, &node.encode()).write(EMPTY)
}

fn with_subvolume(id: u32, snapshot: u32) -> Written {
    let subvol = Subvolume {
        read_only: false,
        is_snapshot: false,
        snapshot,
        inode: ROOT,
        creation_parent: 0,
        fs_path_parent: 0,
        otime_lo: 0,
        otime_hi: 0,
        state: SubvolState::Live,
        has_state: false,
        pad: 0,
    };
    let (btree, kind) = (BtreeId::SUBVOLUMES, KeyType::SUBVOLUME);
    Overlay::with(btree, kind, at(id), 0, &subvol.encode()).write(EMPTY)
}

fn changing<T>(w: &Written, f: impl FnOnce(&Changes<'_>) -> T) -> T {
    let numbers = Numbers::try_new(false, true).unwrap();
    f(&Changes {
        view: &w.view,
        engine: w.engine(),
        numbers: &numbers,
    })
}

fn subvolume_made(w: &Written) -> Option<Error> {
    let new = NewFile {
        mode: 0o040_755,
        ..NewFile::default()
    };
    changing(w, |c| c.create_subvolume(TOP, b"sub", &new).err())
}

fn snapshot_made(w: &Written, uid: u32) -> Option<Error> {
    changing(w, |c| {
        let done = c.snapshot(TOP, b"snap", Source::Here, false, (uid, 1));
        done.err()
    })
}

#[test]
fn numbers_that_are_taken() {
    let w = with_subvolume(u32::try_from(SUBVOL_MAX).unwrap(), LEAF);
    assert_eq!(subvolume_made(&w), Some(Error::SubvolumesExhausted));
    assert_eq!(snapshot_made(&w, ADMIN), Some(Error::SubvolumesExhausted));
    // One below, there is one left.
    let w = with_subvolume(u32::try_from(SUBVOL_MAX).unwrap() - 1, LEAF);
    assert_eq!(subvolume_made(&w), None);

    let w = with_node(1, &node(2, [0; 2]));
    assert_eq!(subvolume_made(&w), Some(Error::SnapshotsExhausted));
    // A snapshot takes two.
    let w = with_node(2, &node(2, [0; 2]));
    assert_eq!(snapshot_made(&w, ADMIN), Some(Error::SnapshotsExhausted));
    assert_eq!(subvolume_made(&w), None);

    let w = with_node(77, &node(u32::MAX, [0; 2]));
    assert_eq!(subvolume_made(&w), Some(Error::SnapshotTreesExhausted));
    // Which goes to a tree that there is.
    assert_eq!(snapshot_made(&w, ADMIN), None);
}

/// The keys go after the mount.
#[test]
fn what_is_to_change_is_gone() {
    for (btree, id, want) in [
        (BtreeId::SUBVOLUMES, 1, Error::SubvolumeMissing),
        (BtreeId::SNAPSHOTS, LEAF, Error::SnapshotMissing),
    ] {
        let w = Overlay::default().write(EMPTY);
        let deleted = w.engine().run(Watermark::Normal, |t| {
            t.delete(btree, at(id))?;
            t.commit()
        });
        deleted.unwrap();
        assert_eq!(snapshot_made(&w, ADMIN), Some(want));
    }
}

#[test]
fn snapshots_that_are_refused() {
    let w = Overlay::default().write(EMPTY);
    assert_eq!(snapshot_made(&w, 1000), Some(Error::SnapshotOfOthers));
    assert_eq!(snapshot_made(&w, ADMIN), None);
    let w = with_node(LEAF, &node(1, [77, 0]));
    assert_eq!(snapshot_made(&w, ADMIN), Some(Error::SnapshotHasChildren));
}

#[test]
fn trees_that_can_not_be_told() {
    let report = || Report::new(true);
    let whole = Overlay::default().write(EMPTY);
    assert_eq!(check_snapshots(whole.engine(), &mut report()), Ok(()));
    let broken = Err(Error::SnapshotTreeBroken);
    // A child that is not there; one that does not know; a subvolume that is elsewhere.
    let child = Snapshot {
        parent: LEAF,
        ..node(1, [0; 2])
    };
    for w in [
        with_node(LEAF, &node(1, [77, 0])),
        with_node(77, &child),
        with_node(77, &node(1, [0; 2])),
    ] {
        assert_eq!(check_snapshots(w.engine(), &mut report()), broken);
    }
    let w = with_subvolume(5, 77);
    let done = check_subvols(w.engine(), &w.view, 0, &mut report());
    assert_eq!(done, broken);

    // Nothing is deleted then, however often it is tried.
    let (btree, kind) = (BtreeId::SNAPSHOTS, KeyType::SNAPSHOT);
    let w = Overlay::with(btree, kind, at(77), 0, &[0; 8]).write(EMPTY);
    for _ in 0..2 {
        let done = reap(&writing(&w), &w.view, &|| false);
        assert_eq!(done, Err(Error::SnapshotsUnclear));
    }
}

fn writing(w: &Written) -> Writing<'_, sim::alloc::space::Space> {
    let engine = w.engine();
    Writing {
        btrees: engine.btrees,
        writer: engine.writer,
    }
}

/// A file is still open when its subvolume goes.
#[test]
fn writes_to_what_is_deleted() {
    let w = Overlay::default().write(EMPTY);
    let written = |file: FileId| {
        let options = WriteOptions::of(w.view.sb(), &Inode::default());
        let (data, mut done) = ([7; 4096], Done::default());
        let what = (0, &data[..]);
        write(w.engine(), &w.view, file, &options, what, 4096, &mut done).err()
    };
    changing(&w, |c| {
        let new = |mode| NewFile {
            mode,
            ..NewFile::default()
        };
        let sub = c.create_subvolume(TOP, b"sub", &new(0o040_755)).unwrap();
        let file = c.create(sub.id, Some(b"file"), &new(0o100_644)).unwrap();
        let file = file.id.file(&w.view).unwrap();
        assert_eq!(written(file), None);
        c.unlink_subvolume(TOP, b"sub", 1).unwrap();
        // Without a name, it is still there.
        assert_eq!(written(file), None);
        assert_eq!(delete_unused(&writing(&w), &w.view, &|| true), Ok(0));
        assert_eq!(delete_unused(&writing(&w), &w.view, &|| false), Ok(1));
        assert_eq!(written(file), Some(Error::SubvolumeDeleted));
    });
}

/// Data is moved while a snapshot goes: an extent is split, and its first part ends where those who
/// look for keys of the snapshot have been already.
#[test]
fn extents_that_are_split_while_their_snapshot_goes() {
    let w = Overlay::default().write(EMPTY);
    let new = |mode| NewFile {
        mode,
        ..NewFile::default()
    };
    let snapshot = changing(&w, |c| {
        let sub = c.create_subvolume(TOP, b"sub", &new(0o040_755)).unwrap();
        let file = c.create(sub.id, Some(b"file"), &new(0o100_644)).unwrap();
        let file = file.id.file(&w.view).unwrap();
        let options = WriteOptions::of(w.view.sb(), &Inode::default());
        // More extents, with holes between them, than are deleted in one transaction.
        for nr in 0..12 {
            let (data, mut done) = ([7; 8192], Done::default());
            let (at, end) = (nr * 32, (nr * 32 + 16) * 512);
            let what = (at, &data[..]);
            write(w.engine(), &w.view, file, &options, what, end, &mut done).unwrap();
        }
        c.unlink_subvolume(TOP, b"sub", 1).unwrap();
        file.snapshot
    });
    assert_eq!(delete_unused(&writing(&w), &w.view, &|| false), Ok(1));
    let left = || {
        let mut iter = w.engine().btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN);
        let mut next = || iter.advance().unwrap().map(|k| k.p);
        let all: Vec<Bpos> = std::iter::from_fn(&mut next).collect();
        let of_it = all.into_iter().filter(|p| p.snapshot == snapshot);
        of_it.collect::<Vec<_>>()
    };
    assert_eq!(left().len(), 12);
    let was_split = Cell::new(false);
    let stop = || {
        if let Some(at) = left().first().filter(|_| !was_split.replace(true)) {
            let split = w.engine().run(Watermark::Normal, |t| {
                let key = t.get(BtreeId::EXTENTS, *at)?.unwrap();
                t.split_extent(BtreeId::EXTENTS, &key, at.offset - 8, &w.view.table)?;
                t.commit()
            });
            split.unwrap();
        }
        false
    };
    let done = reap(&writing(&w), &w.view, &stop).unwrap().unwrap();
    assert!(was_split.get() && done.nodes == 1, "{done:?}");
    assert_eq!(left(), []);
}
