// SPDX-License-Identifier: GPL-2.0

//! Names, inodes and attributes.

use crate::{
    image,
    start, //
};
use sim::{
    env::Arc,
    error::{
        Error,
        Result, //
    },
    format::values::{
        inode::Inode,
        kinds::StrHashType,
        xattr::XattrType, //
    },
    fs::{
        acl,
        change::{
            Changes,
            Mode,
            NewFile,
            SetMode,
            Side, //
        },
        dirent,
        handle,
        inode,
        symlink,
        xattr,
        SubvolInum, //
    },
    init::{
        Access,
        Filesystem, //
    },
};

const DIR: u16 = 0o040_755;
const FILE: u16 = 0o100_644;
const LINK: u16 = 0o120_777;

fn new<'a>(mode: u16) -> NewFile<'a> {
    NewFile {
        mode,
        now: 1 << 60,
        ..NewFile::default()
    }
}

fn mounted(name: &str) -> Option<(Arc<Filesystem>, SubvolInum)> {
    let (fs, _) = start(Access::Write, image(name)?, "").unwrap();
    let root = inode::root(&fs.view).unwrap();
    Some((fs, root))
}

fn made(c: &Changes<'_>, dir: SubvolInum, name: &[u8], mode: u16) -> SubvolInum {
    c.create(dir, Some(name), &new(mode)).unwrap().id
}

fn renamed(
    c: &Changes<'_>,
    old: (SubvolInum, &[u8]),
    to: (SubvolInum, &[u8]),
    mode: Mode,
) -> Result {
    let side = |(dir, name)| Side { dir, name };
    c.rename(side(old), side(to), mode, None, 1).map(|_| ())
}

#[test]
fn changes_that_are_refused() {
    let (fs, root) = mounted("engine-small").unwrap();
    let c = fs.changes().unwrap();
    let e = c.create(root, Some(&[b'x'; 513]), &new(FILE)).err();
    assert_eq!(e, Some(Error::NameTooLong));
    for target in [&[][..], &[b'x'; 4096]] {
        let link = NewFile {
            link: Some(target),
            ..new(LINK)
        };
        let e = c.create(root, Some(b"link"), &link).err();
        assert_eq!(e, Some(Error::SymlinkTooLong));
    }
    let (file, dir) = (made(&c, root, b"file", FILE), made(&c, root, b"dir", DIR));
    let other = made(&c, root, b"other", DIR);
    c.change(other, |i| {
        i.data_replicas = 2;
        Ok(())
    })
    .unwrap();
    let e = c.link(other, b"name", file, 1).err();
    assert_eq!(e, Some(Error::LinkOtherOptions));
    let to = (other, &b"dir"[..]);
    let e = renamed(&c, (root, b"dir"), to, Mode::Free).err();
    assert_eq!(e, Some(Error::RenameOtherOptions));
    for mode in [Mode::Replace, Mode::Exchange] {
        let e = renamed(&c, (root, b"file"), (dir, b"none"), mode).err();
        assert_eq!(e, Some(Error::RenameTargetGone));
    }
    let value = [0; 2048];
    let at = (XattrType::USER, &b"long"[..]);
    let e = c.set_xattr(file, at, Some(&value), SetMode::Any, 1).err();
    assert_eq!(e, Some(Error::XattrTooLong));
    let at = (XattrType::USER, &b"name"[..]);
    c.set_xattr(file, at, Some(b"value"), SetMode::Any, 1)
        .unwrap();
    let node = inode::find(&fs.view, file).unwrap();
    let mut buf = [0; 4];
    let e = xattr::get(&fs.view, file, &node, XattrType::USER, b"name", &mut buf).err();
    assert_eq!(e, Some(Error::XattrBufferTooSmall));
    let e = handle::name_in(&fs.view, dir, file).err();
    assert_eq!(e, Some(Error::NameNotFound));
}

#[test]
fn directories_that_compare_without_case() {
    let disks = image("engine-small").unwrap();
    let (fs, _) = start(Access::Write, disks, "casefold_disabled").unwrap();
    let root = inode::root(&fs.view).unwrap();
    let c = fs.changes().unwrap();
    let dir = made(&c, root, b"dir", DIR);
    c.change(dir, |i| {
        i.casefold = 2;
        Ok(())
    })
    .unwrap();
    let e = c.create(dir, Some(b"name"), &new(FILE)).err();
    assert_eq!(e, Some(Error::CasefoldWriteUnsupported));
    let node = inode::find(&fs.view, dir).unwrap();
    let e = dirent::lookup(&fs.view, dir, &node, b"name").err();
    assert_eq!(e, Some(Error::CasefoldDirButDisabled));
}

#[test]
fn what_can_not_be_read() {
    let (fs, root) = mounted("engine-small").unwrap();
    let (c, view) = (fs.changes().unwrap(), &fs.view);
    let node = Inode {
        str_hash: StrHashType(15),
        ..inode::find(view, root).unwrap()
    };
    let e = dirent::lookup(view, root, &node, b"name").err();
    assert_eq!(e, Some(Error::StrHashUnknown));
    let link = NewFile {
        link: Some(b"target"),
        ..new(LINK)
    };
    let link = c.create(root, Some(b"link"), &link).unwrap();
    for size in [0, 4097] {
        let node = Inode { size, ..link.inode };
        let e = symlink::target(view, link.id, &node).err();
        assert_eq!(e, Some(Error::SymlinkInvalid));
    }
    let file = made(&c, root, b"file", FILE);
    let at = (XattrType::ACL_ACCESS, &b""[..]);
    // No whole number of entries.
    let list = [1, 0, 0, 0, 7, 0, 7];
    c.set_xattr(file, at, Some(&list), SetMode::Any, 1).unwrap();
    let node = inode::find(view, file).unwrap();
    let e = acl::get(view, file, &node, acl::Kind::Access).err();
    assert_eq!(e, Some(Error::AclInvalid));
}

#[test]
fn subvolumes_are_not_in_the_way() {
    let Some((fs, root)) = mounted("v113-snap") else {
        return;
    };
    let (c, view) = (fs.changes().unwrap(), &fs.view);
    let mut found = Vec::new();
    let mut todo = vec![root];
    while let Some(dir) = todo.pop() {
        dirent::readdir(view, dir, 0, |e| {
            let is_root = e.target.subvol != dir.subvol;
            if is_root {
                found.push((dir, e.name.to_vec(), e.target));
            } else if inode::find(view, e.target).is_ok_and(|i| i.is_dir()) {
                todo.push(e.target);
            }
            true
        })
        .unwrap();
    }
    let read_only = |s: SubvolInum| view.subvolume(s.subvol).unwrap().read_only;
    let (_, _, target) = found.iter().find(|f| read_only(f.2)).expect("one");
    let e = c.create(*target, Some(b"name"), &new(FILE)).err();
    assert_eq!(e, Some(Error::SubvolumeReadOnly));
    let (dir, name, _) = found.iter().find(|f| !read_only(f.2)).expect("one");
    made(&c, *dir, b"dir", DIR);
    let e = renamed(&c, (*dir, b"dir"), (*dir, name), Mode::Replace).err();
    assert_eq!(e, Some(Error::RenameOverSubvolume));
}
