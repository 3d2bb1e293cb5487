// SPDX-License-Identifier: GPL-2.0

//! Walking through a whole filesystem.

use super::{
    base64,
    manifest::{
        escape,
        Entry, //
    },
};
use crate::{
    algo::time::TimeUnits,
    data,
    env::hash::sha256,
    error::{
        Error,
        Result, //
    },
    format::values::{
        dirent::FileType,
        inode::Inode,
        xattr::XattrType, //
    },
    fs::{
        acl,
        dirent,
        folds_case,
        inode,
        options,
        stat,
        symlink,
        xattr,
        SubvolInum, //
    },
    snapshots::View,
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

/// Everything in a filesystem.
#[derive(Debug, Default)]
pub struct Tree {
    /// All files, by path.
    pub entries: Vec<Entry>,
    /// What could not be read.
    pub errors: Vec<(Vec<u8>, Error)>,
}

/// Bytes of a file that are read at a time.
const PIECE: usize = 1 << 20;
/// Levels of directories gone into: a damaged filesystem can have loops.
const DEPTH_MAX: usize = 256;
/// Files larger than this are not read.
const SIZE_MAX: u64 = 1 << 30;

/// What is still to be visited: path, inode, depth.
type Todo = Vec<(Vec<u8>, SubvolInum, usize)>;

/// Walks through a filesystem and reads everything.
pub fn walk(view: &View) -> Tree {
    let mut tree = Tree::default();
    match inode::root(view) {
        Ok(root) => {
            let mut todo = vec![(b".".to_vec(), root, 0)];
            while let Some((path, at, depth)) = todo.pop() {
                if let Err(e) = visit(view, &mut tree, &mut todo, &path, at, depth) {
                    tree.errors.push((path, e));
                }
            }
        }
        Err(e) => tree.errors.push((b".".to_vec(), e)),
    }
    tree.entries.sort_by(|a, b| a.path.cmp(&b.path));
    tree
}

fn visit(
    view: &View,
    tree: &mut Tree,
    todo: &mut Todo,
    path: &[u8],
    at: SubvolInum,
    depth: usize,
) -> Result<()> {
    let inode = inode::find(view, at)?;
    let mut e = properties(view, path, at, &inode);
    let kind = FileType::of_mode(inode.mode);
    if kind == FileType::FILE {
        match contents_hash(view, at, &inode) {
            Ok(hash) => e.set("sha256", hash),
            Err(error) => {
                e.set("read_error", error.to_errno());
                tree.errors.push((path.to_vec(), error));
            }
        }
    }
    if kind == FileType::SYMLINK {
        match symlink::target(view, at, &inode) {
            Ok(target) => e.set("target", escape(&target)),
            Err(error) => tree.errors.push((path.to_vec(), error)),
        }
    }
    match xattrs(view, at, &inode) {
        Ok(list) if list.is_empty() => (),
        Ok(list) => e.set("xattrs", list.join(" ")),
        Err(error) => tree.errors.push((path.to_vec(), error)),
    }
    tree.entries.push(e);
    if kind == FileType::DIR && depth < DEPTH_MAX {
        let errors = &mut tree.errors;
        list(view, (todo, errors), path, at, &inode, depth)?;
    }
    Ok(())
}

fn list(
    view: &View,
    (todo, errors): (&mut Todo, &mut Vec<(Vec<u8>, Error)>),
    path: &[u8],
    at: SubvolInum,
    inode: &Inode,
    depth: usize,
) -> Result<()> {
    let mut names = Vec::new();
    let mut from = 0;
    // In steps of one more entry each time: none may be lost or come twice in between.
    for room in 1.. {
        let upto = names.len() + room;
        from = dirent::readdir(view, at, from, |entry| {
            let taken = names.len() < upto;
            if taken {
                names.push((entry.name.to_vec(), entry.target));
            }
            taken
        })?;
        if names.len() < upto {
            break;
        }
    }
    let different: BTreeSet<_> = names.iter().map(|(name, _)| name).collect();
    if different.len() != names.len() {
        return Err(Error::NoEntry);
    }
    for (name, target) in names {
        let child = match path {
            b"." => name.clone(),
            _ => [path, b"/", &name].concat(),
        };
        // What is listed can be looked up, and is the same.
        match dirent::lookup(view, at, inode, &name) {
            Ok(Some(found)) if found == target => todo.push((child, target, depth + 1)),
            Ok(_) => errors.push((child, Error::NoEntry)),
            Err(e) => errors.push((child, e)),
        }
    }
    Ok(())
}

fn properties(view: &View, path: &[u8], at: SubvolInum, inode: &Inode) -> Entry {
    let sb = &view.sb().sb;
    let attr = stat::Attr::of(
        inode,
        &TimeUnits::new(sb.time_base_lo(), sb.time_precision()),
    );
    let mut e = Entry {
        path: path.to_vec(),
        fields: BTreeMap::new(),
    };
    let kind = match FileType::of_mode(attr.mode) {
        FileType::FIFO => "fifo",
        FileType::CHAR_DEV => "chr",
        FileType::DIR => "dir",
        FileType::BLOCK_DEV => "blk",
        FileType::FILE => "file",
        FileType::SYMLINK => "link",
        FileType::SOCKET => "sock",
        _ => "?",
    };
    e.set("type", kind);
    e.set("mode", format!("{:04o}", attr.mode & 0o7777));
    e.set("uid", attr.uid);
    e.set("gid", attr.gid);
    e.set("nlink", attr.links);
    e.set("size", attr.size);
    let mtime = i128::from(attr.mtime.sec) * 1_000_000_000 + i128::from(attr.mtime.nsec);
    e.set("mtime", mtime);
    e.set("ino", at.inum);
    if kind == "chr" || kind == "blk" {
        e.set("rdev", format!("{}:{}", attr.rdev.major, attr.rdev.minor));
    }
    let flags = stat::user_flags(inode, folds_case(view.sb(), inode));
    if flags != 0 && (kind == "file" || kind == "dir") {
        e.set("flags", format!("{flags:x}"));
    }
    e
}

fn contents_hash(view: &View, at: SubvolInum, inode: &Inode) -> Result<String> {
    if inode.size > SIZE_MAX {
        return Err(Error::Overflow);
    }
    let mut bytes = vec![0; inode.size as usize];
    let file = at.file(view)?;
    for (nr, piece) in bytes.chunks_mut(PIECE).enumerate() {
        let read = data::read_sync(view, file, (nr * PIECE) as u64, piece)?;
        if read != piece.len() {
            return Err(Error::Io);
        }
    }
    Ok(sha256(&bytes).iter().map(|b| format!("{b:02x}")).collect())
}

fn xattrs(view: &View, at: SubvolInum, inode: &Inode) -> Result<Vec<String>> {
    let mut names = Vec::new();
    xattr::list(view, at, |x| {
        names.push((x.xattr_type, x.name.to_vec()));
        Ok(())
    })?;
    let mut out = BTreeMap::new();
    for (namespace, name) in names {
        let value = match namespace {
            XattrType::ACL_ACCESS => acl_text(view, at, inode, acl::Kind::Access)?,
            XattrType::ACL_DEFAULT => acl_text(view, at, inode, acl::Kind::Default)?,
            _ => xattr::get_vec(view, at, inode, namespace, &name)?.map(|v| base64(&v)),
        };
        let prefix = namespace.prefix().unwrap_or("?");
        let full = format!("{prefix}{}", String::from_utf8_lossy(&name));
        out.insert(full, value.ok_or(Error::XattrNotFound)?);
    }
    for o in options::options(inode) {
        let mut text = String::new();
        o.write(view.sb(), &mut text).map_err(|_| Error::Overflow)?;
        let value = base64(text.as_bytes());
        if o.is_own {
            out.insert(format!("bcachefs.{}", o.name), value.clone());
        }
        out.insert(format!("bcachefs_effective.{}", o.name), value);
    }
    Ok(out.into_iter().map(|(n, v)| format!("{n}={v}")).collect())
}

fn acl_text(view: &View, at: SubvolInum, inode: &Inode, kind: acl::Kind) -> Result<Option<String>> {
    match acl::get(view, at, inode, kind)? {
        Some(entries) => Ok(Some(base64(&acl::to_xattr(&entries)?))),
        None => Ok(None),
    }
}
