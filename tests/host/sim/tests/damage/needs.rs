// SPDX-License-Identifier: GPL-2.0

//! What each file of an undamaged filesystem needs of each btree.

use sim::{
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::FileType,
            inode::Inode, //
        },
    },
    fs::{
        dirent,
        inode,
        SubvolInum, //
    },
    init::Filesystem,
};
use std::collections::BTreeSet;

/// A file, as the walk through the golden images names it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: Vec<u8>,
    pub(crate) at: SubvolInum,
    pub(crate) inode: Inode,
    pub(crate) kind: FileType,
    snapshot: u32,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Loss {
    /// It can not be reached, and nothing in it.
    Gone,
    /// Its contents can not be read whole.
    Data,
    /// Its attributes can not be listed whole.
    Xattrs,
}

pub(crate) type Losses = BTreeSet<(Vec<u8>, Loss)>;

fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    match dir {
        b"." => name.to_vec(),
        _ => [dir, b"/", name].concat(),
    }
}

/// All files.
pub(crate) fn files(fs: &Filesystem) -> Vec<File> {
    let view = &fs.view;
    let mut out = Vec::new();
    let mut todo = vec![(b".".to_vec(), inode::root(view).expect("a root"))];
    while let Some((path, at)) = todo.pop() {
        let inode = inode::find(view, at).expect("undamaged");
        let kind = FileType::of_mode(inode.mode);
        if kind == FileType::DIR {
            dirent::readdir(view, at, 0, |e| {
                todo.push((join(&path, e.name), e.target));
                true
            })
            .expect("undamaged");
        }
        out.push(File {
            snapshot: at.file(view).expect("undamaged").snapshot,
            path,
            at,
            inode,
            kind,
        });
    }
    out
}

/// Everything below `path`, and itself if asked for, is gone.
pub(crate) fn gone(files: &[File], path: &[u8], itself: bool, losses: &mut Losses) {
    for f in files {
        let below = path == b"." || f.path.starts_with(&[path, b"/"].concat());
        if f.path == path && itself || f.path != path && below {
            losses.insert((f.path.clone(), Loss::Gone));
        }
    }
}

impl File {
    /// The range of positions that reading its contents looks at.
    fn extents(&self, fs: &Filesystem) -> Option<(Bpos, Bpos)> {
        if self.inode.size == 0 || !matches!(self.kind, FileType::FILE | FileType::SYMLINK) {
            return None;
        }
        let (inum, last) = (self.at.inum, (self.inode.size - 1) / 512);
        let end = Bpos::new(inum, u64::MAX, u32::MAX);
        let from = Bpos::new(inum, last + 1, 0);
        let mut iter = fs.view.range(BtreeId::EXTENTS, from, end, self.snapshot);
        let covering = iter.advance().expect("undamaged");
        let to = covering.filter(|k| k.p.inode == inum && k.start_offset() <= last);
        Some((Bpos::new(inum, 1, 0), to.map_or(end, |k| k.p)))
    }

    /// The range of positions that looking up its inode looks at.
    fn inodes(&self, fs: &Filesystem) -> (Bpos, Bpos) {
        let pos = Bpos::new(0, self.at.inum, self.snapshot);
        let found = fs.view.lookup(BtreeId::INODES, pos).expect("undamaged");
        (pos, found.expect("the inode").key().k.p)
    }
}

/// What is lost when nothing between `min` and `max` of a btree can be read; `None` when the
/// filesystem can not be mounted.
pub(crate) fn lost(
    fs: &Filesystem,
    files: &[File],
    btree: BtreeId,
    min: Bpos,
    max: Bpos,
) -> Option<Losses> {
    let hit = |(from, to): (Bpos, Bpos)| from <= max && min <= to;
    let own = |inum: u64, from: u64| {
        (
            Bpos::new(inum, from, 0),
            Bpos::new(inum, u64::MAX, u32::MAX),
        )
    };
    let mut losses = Losses::new();
    match btree {
        BtreeId::SNAPSHOTS | BtreeId::SUBVOLUMES => return None,
        BtreeId::INODES => {
            for f in files.iter().filter(|f| hit(f.inodes(fs))) {
                if f.path == b"." {
                    return None;
                }
                gone(files, &f.path, true, &mut losses);
            }
        }
        BtreeId::DIRENTS => {
            let dirs = files.iter().filter(|f| f.kind == FileType::DIR);
            for f in dirs.filter(|f| hit(own(f.at.inum, dirent::FIRST_OFFSET))) {
                gone(files, &f.path, false, &mut losses);
            }
        }
        BtreeId::EXTENTS => {
            for f in files.iter().filter(|f| f.extents(fs).is_some_and(hit)) {
                losses.insert((f.path.clone(), Loss::Data));
            }
        }
        BtreeId::XATTRS => {
            for f in files.iter().filter(|f| hit(own(f.at.inum, 0))) {
                losses.insert((f.path.clone(), Loss::Xattrs));
            }
        }
        BtreeId::REFLINK => {
            for f in files.iter().filter(|f| reflinks(fs, f)) {
                losses.insert((f.path.clone(), Loss::Data));
            }
        }
        _ => (),
    }
    Some(losses)
}

/// Whether a file shares data with others.
fn reflinks(fs: &Filesystem, f: &File) -> bool {
    let end = Bpos::new(f.at.inum, u64::MAX, u32::MAX);
    let start = Bpos::new(f.at.inum, 0, 0);
    let mut iter = fs.view.range(BtreeId::EXTENTS, start, end, f.snapshot);
    while let Some(k) = iter.advance().expect("undamaged") {
        if k.p.inode != f.at.inum {
            break;
        }
        if k.key_type == KeyType::REFLINK_P && k.start_offset() * 512 < f.inode.size {
            return true;
        }
    }
    false
}
