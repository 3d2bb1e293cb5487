// SPDX-License-Identifier: GPL-2.0

//! Names of subvolumes: their roots can go from a directory of one subvolume to one of another, and
//! nothing else can.

mod engine;
#[path = "snapshots_made/trees.rs"]
#[allow(dead_code)]
mod trees;

use engine::{
    mounted::{
        look,
        mount,
        ROOT, //
    },
    space::disks, //
};
use sim::{
    check::check_derived,
    env::Box,
    error::Error,
    fs::{
        change::{
            Changes,
            Mode,
            NewFile,
            Renamed,
            Side,
            Source, //
        },
        dirent::lookup,
        inode::find,
        SubvolInum, //
    },
    init::Filesystem,
    sys::block::Power,
};
use trees::{
    check_trees,
    subvolumes, //
};

const DIR: NewFile<'_> = NewFile {
    mode: 0o040755,
    uid: 0,
    gid: 0,
    dev: 0,
    now: 1,
    acl: None,
    default_acl: None,
    link: None,
};

fn subvolume(c: &Changes<'_>, dir: SubvolInum, name: &[u8]) -> SubvolInum {
    c.create_subvolume(dir, name, &DIR).unwrap().id
}

fn rename(
    c: &Changes<'_>,
    old: (SubvolInum, &[u8]),
    new: (SubvolInum, &[u8]),
    mode: Mode,
) -> Result<Box<Renamed>, Error> {
    let side = |(dir, name)| Side { dir, name };
    c.rename(side(old), side(new), mode, None, 2)
}

/// What a name leads to.
fn at(fs: &Filesystem, dir: SubvolInum, name: &[u8]) -> Option<SubvolInum> {
    let inode = find(&fs.view, dir).unwrap();
    lookup(&fs.view, dir, &inode, name).unwrap()
}

#[test]
fn roots_go_from_one_to_another() {
    let (fs, media) = mount(disks("v113-empty").unwrap(), &Power::new(), "");
    let c = fs.changes().unwrap();
    let (a, b) = (subvolume(&c, ROOT, b"a"), subvolume(&c, ROOT, b"b"));
    let nested = subvolume(&c, a, b"nested");
    c.create(a, Some(b"dir"), &DIR).unwrap();
    c.create(
        a,
        Some(b"file"),
        &NewFile {
            mode: 0o100644,
            ..DIR
        },
    )
    .unwrap();

    for name in [&b"dir"[..], b"file"] {
        let refused = rename(&c, (a, name), (b, name), Mode::Free);
        assert_eq!(refused.map(drop), Err(Error::RenameOtherSubvolume));
        let refused = rename(&c, (a, b"nested"), (ROOT, b"b"), Mode::Replace);
        assert_eq!(refused.map(drop), Err(Error::RenameOverSubvolume));
    }
    rename(&c, (a, b"nested"), (b, b"moved"), Mode::Free).unwrap();
    assert_eq!(at(&fs, a, b"nested"), None);
    assert_eq!(at(&fs, b, b"moved"), Some(nested));
    let root = find(&fs.view, nested).unwrap();
    assert_eq!((root.parent_subvol, root.dir), (b.subvol, b.inum));
    let refused = rename(&c, (a, b"dir"), (b, b"moved"), Mode::Exchange);
    assert_eq!(refused.map(drop), Err(Error::RenameOtherSubvolume));

    // With a snapshot that had the name, too, which leads nowhere there.
    let other = subvolume(&c, b, b"other");
    let snap = c
        .snapshot(ROOT, b"snap", Source::Root(b), false, (0, 3))
        .unwrap()
        .id;
    assert_eq!(at(&fs, snap, b"moved"), None);
    let c_in_a = subvolume(&c, a, b"c");
    rename(&c, (a, b"c"), (b, b"moved"), Mode::Exchange).unwrap();
    assert_eq!(at(&fs, a, b"c"), Some(nested));
    assert_eq!(at(&fs, b, b"moved"), Some(c_in_a));
    rename(&c, (b, b"other"), (snap, b"other"), Mode::Free).unwrap();
    assert_eq!(at(&fs, b, b"other"), None);
    assert_eq!(at(&fs, snap, b"other"), Some(other));

    // Whose directories it is in is what keeps one from being deleted.
    let full = c.unlink_subvolume(ROOT, b"snap", 4).map(drop);
    assert_eq!(full, Err(Error::SubvolumeNotEmpty));
    rename(&c, (snap, b"other"), (ROOT, b"other"), Mode::Free).unwrap();
    c.unlink_subvolume(ROOT, b"snap", 4).unwrap();

    fs.go_read_only().unwrap();
    let seen = look(&media);
    let findings = check_derived(&seen.view);
    assert!(findings.is_empty(), "{findings:#?}");
    check_trees(&seen.view, false);
    let parents = subvolumes(&seen.view);
    for (id, parent) in [(nested, a), (c_in_a, b), (other, ROOT), (a, ROOT)] {
        assert_eq!(parents[&id.subvol].fs_path_parent, parent.subvol);
    }
    assert_eq!(at(&seen, a, b"c"), Some(nested));
    assert_eq!(at(&seen, ROOT, b"other"), Some(other));
}
