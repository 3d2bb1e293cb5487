// SPDX-License-Identifier: GPL-2.0

//! Directories: looking up names, listing entries.

use super::{
    fold::{
        fold,
        folds_case, //
    },
    inode::subvolume_root,
    probe::{
        probe,
        Probed, //
    },
    SubvolInum,
};
use crate::{
    algo::str_hash::{
        HashInfo,
        FIRST_DIRENT_OFFSET, //
    },
    env::pr_err,
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                Dirent,
                FileType,
                Target, //
            },
            inode::Inode,
        },
    },
    sb::Lost,
    snapshots::View,
};

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The name: bytes, of no particular encoding.
    pub name: &'a [u8],
    /// What it refers to.
    pub target: SubvolInum,
    /// The kind of file; roots of subvolumes are directories. The numbers are those of `DT_*`.
    pub file_type: FileType,
    /// Where the entry is: reading on from here gives this entry again.
    pub offset: u64,
}

impl Entry<'_> {
    /// Where to read on after this entry.
    pub fn next_offset(&self) -> u64 {
        self.offset.saturating_add(1)
    }
}

/// The offset of the first entry proper; those below stand for `.` and `..`.
pub const FIRST_OFFSET: u64 = FIRST_DIRENT_OFFSET;

pub(super) fn target_of(view: &View, dir: SubvolInum, target: Target) -> Result<SubvolInum> {
    match target {
        Target::Inode(inum) => Ok(SubvolInum {
            subvol: dir.subvol,
            inum,
        }),
        Target::Subvol { child, .. } => subvolume_root(view, child),
    }
}

fn decode<'a>(view: &View, dir: SubvolInum, key: &Key<'a>) -> Option<Dirent<'a>> {
    if key.k.key_type == KeyType::ERROR {
        // What is wrong with it was reported when it was read.
        view.sb().lost(Lost::Dirent);
        return None;
    }
    let decoded = Dirent::decode(key.v);
    decoded
        .inspect_err(|invalid| {
            pr_err!("{dir}: entry (btree dirents, {}): {invalid}", key.k.p);
            view.sb().errors.count(invalid.id);
            view.sb().lost(Lost::Dirent);
        })
        .ok()
}

/// Reports that the entry `name` of `dir` leads to an inode that does not exist.
///
/// C: in `bch2_lookup_trans()`.
pub fn report_dangling(view: &View, dir: SubvolInum, name: &[u8], target: SubvolInum) {
    let id = FsckError::DIRENT_TO_MISSING_INODE;
    view.sb().errors.count(id);
    view.sb().lost(Lost::Inode);
    if view.sb().admit_message() {
        let (fs, name) = (view.sb().name(), name.escape_ascii());
        pr_err!("{fs}: entry \"{name}\" of {dir} leads to {target}, which does not exist ({id})");
    }
}

/// How names in `dir` are hashed.
///
/// C: `bch2_hash_info_init()`.
pub(super) fn hash_info(at: SubvolInum, inode: &Inode) -> Result<HashInfo> {
    HashInfo::of(inode).ok_or_else(|| {
        pr_err!("{at}: unknown kind of hash {}", inode.str_hash);
        Error::StrHashUnknown
    })
}

/// Looks up `name` in the directory `dir`, whose inode is given. `None` when there is no such
/// name.
///
/// C: `bch2_dirent_lookup()`.
pub fn lookup(
    view: &View,
    dir: SubvolInum,
    inode: &Inode,
    name: &[u8],
) -> Result<Option<SubvolInum>> {
    let folded;
    let name = if folds_case(view.sb(), inode) {
        folded = fold(view.sb(), name)?;
        match &folded {
            Some(folded) => folded.as_bytes(),
            None => return Ok(None),
        }
    } else {
        name
    };
    let hash = hash_info(dir, inode)?.dirent(name);
    let mut unreadable = false;
    let check = |key: Key<'_>| match decode(view, dir, &key) {
        Some(d) if !d.visible_in(dir.subvol) => Probed::Hole,
        Some(d) if d.lookup_name() == name => Probed::Found(d.target),
        Some(_) => Probed::Other,
        None => {
            unreadable = true;
            Probed::Other
        }
    };
    match probe(view, BtreeId::DIRENTS, KeyType::DIRENT, dir, hash, check)? {
        Some(target) => target_of(view, dir, target).map(Some),
        // It could have been the one that can not be read.
        None if unreadable => Err(Error::DirentInvalid),
        None => Ok(None),
    }
}

/// Lists the entries of the directory `dir` from offset `from` on, without `.` and `..`. `emit`
/// returns whether it took the entry; if it did not, the listing ends. Returns the offset to read
/// on from: that of the entry not taken, or one after all others.
///
/// Entries whose target can not be told are reported and left out.
///
/// C: `bch2_readdir()`.
pub fn readdir(
    view: &View,
    dir: SubvolInum,
    from: u64,
    mut emit: impl FnMut(&Entry<'_>) -> bool,
) -> Result<u64> {
    let snapshot = dir.snapshot(view)?;
    let start = Bpos::new(dir.inum, from.max(FIRST_OFFSET), snapshot);
    let end = Bpos::new(dir.inum, u64::MAX, u32::MAX);
    let mut keys = view.range(BtreeId::DIRENTS, start, end, snapshot);
    let mut next = from.max(FIRST_OFFSET);
    while let Some(key) = keys.next()? {
        if key.k.p.inode != dir.inum {
            break;
        }
        if key.k.key_type != KeyType::DIRENT && key.k.key_type != KeyType::ERROR {
            continue;
        }
        let Some(d) = decode(view, dir, &key).filter(|d| d.visible_in(dir.subvol)) else {
            continue;
        };
        let target = match target_of(view, dir, d.target) {
            Ok(target) => target,
            Err(e) if e.is_not_found() || e.is_corruption() => {
                pr_err!("{dir}: entry {d}: {e}");
                continue;
            }
            Err(e) => return Err(e),
        };
        let entry = Entry {
            name: d.name,
            target,
            file_type: match d.file_type {
                FileType::SUBVOL => FileType::DIR,
                other => other,
            },
            offset: key.k.p.offset,
        };
        if !emit(&entry) {
            return Ok(entry.offset);
        }
        next = entry.next_offset();
    }
    Ok(next)
}
