// SPDX-License-Identifier: GPL-2.0

//! The pass `check_dirents`: whether directory entries have a directory, are where their names are
//! looked for, and lead to something that says the same; and how many subdirectories directories
//! have.
//!
//! C: `bch2_check_dirents()`.

use super::{
    files::{
        Files,
        Versions, //
    },
    hash::{
        Checked,
        Hashed, //
    },
    seen::Seen,
    targets, //
};
use crate::{
    algo::str_hash::HashInfo,
    btree::{
        flush_write_buffer,
        KeyBuf, //
    },
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
                FileType, //
            },
            inode::{
                Inode,
                ROOT_INUM, //
            },
        },
    },
};

/// The directory whose entries are gone through.
#[derive(Default)]
struct Dir {
    inum: u64,
    versions: Versions,
    /// Subdirectories that each version has.
    subdirs: Vec<u32>,
    /// Some entries were repaired, and not all of them counted once, as what they are.
    recount: bool,
}

/// Checks directory entries, and repairs them.
#[inline(never)]
pub fn check_dirents(files: &mut Files<'_>) -> Result {
    flush_write_buffer(files.engine.btrees, files.engine.writer)?;
    let (btree, btrees) = (BtreeId::DIRENTS, files.engine.btrees);
    let (mut seen, mut dir) = (Seen::default(), Dir::default());
    let mut keys = btrees.iter(btree, 0, Bpos::new(ROOT_INUM, 0, 0));
    while let Some(key) = keys.next()? {
        let k = key.k;
        if k.p.inode != dir.inum {
            check_subdirs(files, &dir)?;
            files.for_each_inode((dir.inum, k.p.inode), check_without)?;
            dir = open(files, k.p.inode)?;
        }
        if files.is_of_no_snapshot(btree, &k)? {
            continue;
        }
        seen.note(k.p)?;
        if k.key_type.is_whiteout() {
            continue;
        }
        let key = KeyBuf::copy_of(&key)?;
        let before = files.report.repaired;
        check(files, &key, &mut dir, &seen)?;
        dir.recount |= files.report.repaired != before;
    }
    check_subdirs(files, &dir)?;
    files.for_each_inode((dir.inum, u64::MAX), check_without)
}

/// A directory without entries, if it is one.
fn check_without(files: &mut Files<'_>, inode: &Inode) -> Result {
    match inode.is_dir() && wrong_subdirs(files, inode, 0)? {
        true => {
            let nlink = 0;
            files
                .change_inode(inode, &Inode { nlink, ..*inode })
                .map(drop)
        }
        false => Ok(()),
    }
}

/// Whether a directory that has `found` subdirectories is to be changed, as it says something else.
#[inline(never)]
fn wrong_subdirs(files: &mut Files<'_>, dir: &Inode, found: u32) -> Result<bool> {
    let (inum, id, says) = (dir.inum, dir.snapshot, dir.nlink);
    Ok(says != found
        && files.found(
            FsckError::INODE_DIR_WRONG_NLINK,
            format_args!("directory {inum}:{id} with wrong i_nlink: got {says}, should be {found}"),
        )?)
}

fn open(files: &Files<'_>, inum: u64) -> Result<Dir> {
    let versions = files.versions(inum)?;
    let subdirs = Vec::from_elem(0, versions.all.len())?;
    Ok(Dir {
        inum,
        versions,
        subdirs,
        recount: false,
    })
}

/// C: `check_dirent()`.
#[inline(never)]
fn check(files: &mut Files<'_>, key: &KeyBuf, dir: &mut Dir, seen: &Seen) -> Result {
    let btree = BtreeId::DIRENTS;
    let nr = dir.versions.all.len();
    if !files.has_inode(btree, key, &mut dir.versions)? {
        return Ok(());
    }
    if dir.versions.all.len() != nr {
        dir.subdirs.resize(dir.versions.all.len(), 0)?;
    }
    let Ok(Some(d)) = dirent(&key.key()) else {
        return Ok(());
    };
    let inode = dir.versions.of(files.table(), key.k.p.snapshot);
    let Some(info) = inode.and_then(HashInfo::of) else {
        return Ok(());
    };
    let hashed = Hashed { btree, info };
    match hashed.check(files, key, seen)? {
        Checked::Kept => (),
        Checked::Gone => return Ok(()),
        Checked::Moved(key) => {
            let mut seen = Seen::default();
            seen.note(key.k.p)?;
            if let Ok(Some(d)) = dirent(&key.key()) {
                targets::check(files, &key, &d, &hashed, &seen)?;
            }
            return Ok(());
        }
    }
    if !targets::check(files, key, &d, &hashed, seen)? {
        return Ok(());
    }
    if d.file_type == FileType::DIR {
        let all = dir.versions.all.iter();
        for (version, subdirs) in all.zip(dir.subdirs.iter_mut()) {
            let id = version.snapshot;
            if id <= key.k.p.snapshot && seen.is_seen_by(files.table(), id) {
                *subdirs = subdirs.saturating_add(1);
            }
        }
    }
    Ok(())
}

/// C: `check_subdir_count()`.
#[inline(never)]
fn check_subdirs(files: &mut Files<'_>, dir: &Dir) -> Result {
    let all = dir.versions.all.iter().zip(dir.subdirs.iter().copied());
    for (version, counted) in all {
        let (inum, id, says) = (version.inum, version.snapshot, version.nlink);
        if says == counted && !dir.recount || !version.is_dir() {
            continue;
        }
        // Repairs may have changed something behind.
        let found = count_subdirs(files, inum, id)?;
        if wrong_subdirs(files, version, found)? {
            let nlink = found;
            // What was repaired of it meanwhile is kept.
            let now = files.versions(inum)?;
            if let Some(now) = now.all.iter().find(|v| v.snapshot == id) {
                files.change_inode(now, &Inode { nlink, ..*now })?;
            }
        }
    }
    Ok(())
}

/// C: `bch2_count_subdirs()`.
pub(super) fn count_subdirs(files: &Files<'_>, inum: u64, snapshot: u32) -> Result<u32> {
    let (start, end) = (Bpos::new(inum, 0, 0), Bpos::new(inum, u64::MAX, u32::MAX));
    let mut keys = files.view.range(BtreeId::DIRENTS, start, end, snapshot);
    let mut nr = 0u32;
    while let Some(key) = keys.next()?.filter(|k| k.k.p.inode == inum) {
        if let Ok(Some(d)) = dirent(&key) {
            nr = nr.saturating_add((d.file_type == FileType::DIR).into());
        }
    }
    Ok(nr)
}
