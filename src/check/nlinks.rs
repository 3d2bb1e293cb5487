// SPDX-License-Identifier: GPL-2.0

//! The pass `check_nlinks`: how many names files have.
//!
//! Of files that say that they have several; those with one name were compared with it before. A
//! range of them at a time, for they need memory.
//!
//! A version of a file with one name still keeps names of its snapshot from the versions above: C
//! leaves it out, and so takes a name in a snapshot for one of what the snapshot was made of.
//!
//! C: `bch2_check_nlinks()`.

use super::{
    files::Files,
    seen::Seen, //
};
use crate::{
    env::Vec,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
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

/// Versions of files that are looked at in one go.
const LINKED_MAX: usize = 1 << 17;

/// A version of a file of which some version has several names.
struct Linked {
    inum: u64,
    snapshot: u32,
    /// Whether this one says so.
    several: bool,
    found: u32,
}

/// Checks the link counts of files, and repairs them.
#[inline(never)]
pub fn check_nlinks(files: &mut Files<'_>) -> Result {
    let mut start = Some(0);
    while let Some(from) = start {
        let (mut linked, next) = linked(files, from)?;
        count(files, &mut linked)?;
        for link in linked.iter().filter(|l| l.several) {
            compare(files, link)?;
        }
        start = next;
    }
    Ok(())
}

/// Files from number `from` on, and the number to go on with.
///
/// C: `check_nlinks_find_hardlinks()`.
#[inline(never)]
fn linked(files: &Files<'_>, from: u64) -> Result<(Vec<Linked>, Option<u64>)> {
    let mut all: Vec<Linked> = Vec::new();
    // Where the versions of the newest file begin.
    let mut first = 0;
    let mut keys = files
        .btrees()
        .iter(BtreeId::INODES, 0, Bpos::new(0, from, 0));
    while let Some(key) = keys.next()? {
        let Ok(Some(inode)) = Inode::decode(&key) else {
            continue;
        };
        if inode.is_dir() {
            continue;
        }
        if all.last().is_none_or(|l| l.inum != inode.inum) {
            drop_single(&mut all, first);
            first = all.len();
            if first >= LINKED_MAX {
                return Ok((all, Some(inode.inum)));
            }
        }
        all.push(Linked {
            inum: inode.inum,
            snapshot: inode.snapshot,
            several: inode.nlink != 0 && !inode.flags.has(InodeFlags::UNLINKED),
            found: 0,
        })?;
    }
    drop_single(&mut all, first);
    Ok((all, None))
}

/// Drops the versions from `first` on if none of them has several names.
fn drop_single(all: &mut Vec<Linked>, first: usize) {
    if !all.iter().skip(first).any(|l| l.several) {
        all.truncate(first);
    }
}

/// C: `check_nlinks_walk_dirents()`.
#[inline(never)]
fn count(files: &Files<'_>, linked: &mut [Linked]) -> Result {
    if linked.is_empty() {
        return Ok(());
    }
    let mut seen = Seen::default();
    let mut keys = files.btrees().iter(BtreeId::DIRENTS, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        seen.note(key.k.p)?;
        let Ok(Some(d)) = dirent(&key) else {
            continue;
        };
        let Target::Inode(inum) = d.target else {
            continue;
        };
        if d.file_type == FileType::DIR {
            continue;
        }
        let first = linked.partition_point(|l| l.inum < inum);
        let rest = linked.get_mut(first..).unwrap_or_default();
        for link in rest.iter_mut().take_while(|l| l.inum == inum) {
            if seen.meets(files.table(), link.snapshot) {
                link.found = link.found.saturating_add(1);
                // Those above are hidden by it.
                if link.snapshot >= key.k.p.snapshot {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// C: `check_nlinks_update_inode()`.
#[inline(never)]
fn compare(files: &mut Files<'_>, link: &Linked) -> Result {
    let pos = Bpos::new(0, link.inum, link.snapshot);
    let found = files.btrees().lookup(BtreeId::INODES, pos)?;
    let inode = found.and_then(|f| Inode::decode(&f.key()).ok().flatten());
    let Some(inode) = inode.filter(|i| i.links() != link.found) else {
        return Ok(());
    };
    let (inum, says, found) = (link.inum, inode.links(), link.found);
    if !files.found(
        FsckError::INODE_WRONG_NLINK,
        format_args!("inode {inum} has wrong i_nlink ({says}, should be {found})"),
    )? {
        return Ok(());
    }
    let flags = match found {
        0 => inode.flags.with(InodeFlags::UNLINKED),
        _ => inode.flags,
    };
    let new = Inode {
        nlink: found.saturating_sub(1),
        flags,
        ..inode
    };
    files.change_inode(&inode, &new).map(drop)
}
