// SPDX-License-Identifier: GPL-2.0

//! A part of the pass `check_nlinks`: how many names files have.
//!
//! Of files that say that they have several names, and of which there is one version, with all
//! names in the same snapshot. The rest is left to the tools.
//!
//! C: `bch2_check_nlinks()`.

use super::{
    inodes::{
        change_inode,
        is_whole, //
    },
    Outcome,
    Report, //
};
use crate::{
    alloc::space::Engine,
    btree::Btrees,
    env::{
        pr_warn,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                dirent,
                FileType,
                Target, //
            },
            inode::{
                Inode,
                InodeFlags, //
            },
        },
    },
};

/// A file with several names.
struct Linked {
    inum: u64,
    snapshot: u32,
    /// How many it says it has.
    says: u32,
    found: u32,
    /// It can not be told.
    unclear: bool,
}

/// Checks the link counts of files, and repairs those that are certain to be wrong.
#[inline(never)]
pub fn check_nlinks(engine: Engine<'_>, report: &mut Report) -> Result {
    let btrees = engine.btrees;
    if !is_whole(btrees, BtreeId::INODES) || !is_whole(btrees, BtreeId::DIRENTS) {
        pr_warn!(
            "{}: inodes or names are damaged: not counted",
            btrees.sb().name()
        );
        return Ok(());
    }
    let mut files = linked(btrees)?;
    count(btrees, &mut files)?;
    let wrong = |f: &&Linked| !f.unclear && f.found != 0 && f.found != f.says;
    for file in files.iter().filter(wrong) {
        let (inum, says, found) = (file.inum, file.says, file.found);
        let outcome = report.found(
            btrees.sb(),
            FsckError::INODE_WRONG_NLINK,
            format_args!("inode {inum} has wrong i_nlink ({says}, should be {found})"),
        )?;
        if outcome == Outcome::Repair {
            change_inode(engine, inum, file.snapshot, |inode| {
                inode.nlink = found.saturating_sub(1);
            })?;
        }
    }
    Ok(())
}

/// C: `check_nlinks_find_hardlinks()`.
#[inline(never)]
fn linked(btrees: &Btrees) -> Result<Vec<Linked>> {
    let mut files: Vec<Linked> = Vec::new();
    let mut last = None;
    let mut iter = btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        if key.k.key_type == KeyType::INODE_GENERATION {
            continue;
        }
        let (inum, snapshot) = (key.k.p.offset, key.k.p.snapshot);
        let is_another_version = last.replace(inum) == Some(inum);
        if is_another_version {
            if let Some(f) = files.last_mut().filter(|f| f.inum == inum) {
                f.unclear = true;
            }
            continue;
        }
        let inode = Inode::decode(&key).ok().flatten();
        let is_v3 = key.k.key_type == KeyType::INODE_V3;
        let Some(inode) = inode.filter(|i| is_v3 && !i.is_dir() && i.nlink != 0) else {
            continue;
        };
        if inode.flags.has(InodeFlags::UNLINKED) {
            continue;
        }
        files.push(Linked {
            inum,
            snapshot,
            says: inode.links(),
            found: 0,
            unclear: false,
        })?;
    }
    Ok(files)
}

/// C: `check_nlinks_walk_dirents()`.
#[inline(never)]
fn count(btrees: &Btrees, files: &mut [Linked]) -> Result {
    let mut iter = btrees.iter(BtreeId::DIRENTS, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        let Ok(Some(d)) = dirent(&key) else {
            continue;
        };
        let Target::Inode(inum) = d.target else {
            continue;
        };
        if d.file_type == FileType::DIR {
            continue;
        }
        let at = files.binary_search_by(|f| f.inum.cmp(&inum));
        let Some(file) = at.ok().and_then(|at| files.get_mut(at)) else {
            continue;
        };
        match file.snapshot == key.k.p.snapshot {
            true => file.found = file.found.saturating_add(1),
            false => file.unclear = true,
        }
    }
    Ok(())
}
