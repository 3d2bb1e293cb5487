// SPDX-License-Identifier: GPL-2.0

//! The pass `check_extents`: whether extents have a file, do not overlap, and do not go beyond its
//! end; and how many sectors inodes say their files have.
//!
//! C: `bch2_check_extents()`.

use super::{
    files::{
        same,
        Files,
        Versions, //
    },
    overlaps::Ends,
    rounds::Again,
    seen::Seen, //
};
use crate::{
    btree::KeyBuf,
    env::{
        num::round_up_pow2,
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
            extent::is_unwritten,
            inode::{
                Inode,
                InodeFlags,
                ROOT_INUM, //
            },
        },
    },
};

/// The file whose extents are gone through.
#[derive(Default)]
struct File {
    inum: u64,
    versions: Versions,
    /// Sectors that each version has.
    sectors: Vec<u64>,
    ends: Ends,
    /// Something was cut: it is gone through again when all of it was looked at.
    is_cut: bool,
}

/// Checks extents and the numbers of sectors of files, and repairs them.
#[inline(never)]
pub fn check_extents(files: &mut Files<'_>) -> Result {
    let btrees = files.engine.btrees;
    let (mut seen, mut file) = (Seen::default(), File::default());
    let mut again = Again::default();
    let mut keys = btrees.iter(BtreeId::EXTENTS, 0, Bpos::new(ROOT_INUM, 0, 0));
    loop {
        let key = keys.next()?;
        let inum = key.as_ref().map(|key| key.k.p.inode);
        if inum != Some(file.inum) {
            if file.is_cut {
                again.go_on()?;
                file = open(files, file.inum)?;
                seen = Seen::default();
                keys.seek(Bpos::new(file.inum, 0, 0));
                continue;
            }
            check_sectors(files, &file)?;
            let between = (file.inum, inum.unwrap_or(u64::MAX));
            files.for_each_inode(between, check_without)?;
            again = Again::default();
        }
        let Some(key) = key else { return Ok(()) };
        let k = key.k;
        if k.p.inode != file.inum {
            file = open(files, k.p.inode)?;
        }
        if files.is_of_no_snapshot(BtreeId::EXTENTS, &k)? {
            continue;
        }
        seen.note(k.p)?;
        if k.key_type.is_whiteout() {
            continue;
        }
        let key = KeyBuf::copy_of(&key)?;
        file.is_cut |= !check(files, &key, &mut file, &seen)?;
    }
}

/// A file without extents.
fn check_without(files: &mut Files<'_>, inode: &Inode) -> Result {
    if inode.flags.has(InodeFlags::I_SECTORS_DIRTY) {
        return Ok(());
    }
    set_sectors(files, inode, 0)
}

fn open(files: &Files<'_>, inum: u64) -> Result<File> {
    let versions = files.versions(inum)?;
    let mut file = File {
        inum,
        versions,
        ..File::default()
    };
    file.count_from_zero()?;
    Ok(file)
}

impl File {
    fn count_from_zero(&mut self) -> Result {
        self.sectors.clear();
        self.sectors.resize(self.versions.all.len(), 0)
    }
}

/// Checks one extent. Says whether all of the file seen so far is as it was.
#[inline(never)]
fn check(files: &mut Files<'_>, key: &KeyBuf, file: &mut File, seen: &Seen) -> Result<bool> {
    let nr = file.versions.all.len();
    if !files.has_inode(BtreeId::EXTENTS, key, &mut file.versions)? {
        return Ok(true);
    }
    if file.versions.all.len() != nr {
        file.count_from_zero()?;
    }
    if file.ends.check(files, key, seen)? {
        return Ok(false);
    }
    // Space may be set aside behind the end.
    let is_space = key.k.key_type == KeyType::RESERVATION
        || is_unwritten(&key.key(), files.btrees().entry_sizes());
    if !is_space && cut_end(files, key, file, seen)? {
        return Ok(false);
    }
    if key.k.key_type.is_allocation() {
        let all = file.versions.all.iter();
        for (version, sectors) in all.zip(file.sectors.iter_mut()) {
            let id = version.snapshot;
            if id <= key.k.p.snapshot && seen.is_seen_by(files.table(), id) {
                *sectors = sectors.saturating_add(key.k.size.into());
            }
        }
    }
    file.ends.add(key, seen)?;
    Ok(true)
}

/// Cuts what of an extent is behind the end of the file, for the versions for which it is. Says
/// whether there was something.
#[inline(never)]
fn cut_end(files: &mut Files<'_>, key: &KeyBuf, file: &File, seen: &Seen) -> Result<bool> {
    let block = u64::from(files.st().sb.block_bytes());
    for version in file.versions.all.iter().rev() {
        let (inum, id, size) = (version.inum, version.snapshot, version.size);
        let end = round_up_pow2(size, block).unwrap_or(u64::MAX) >> 9;
        let sees = id <= key.k.p.snapshot && seen.is_seen_by(files.table(), id);
        if !sees || key.k.p.offset <= end {
            continue;
        }
        if !files.found(
            FsckError::EXTENT_PAST_END_OF_INODE,
            format_args!(
                "extent {} past end of inode {inum}:{id}, i_size {size}",
                key.k
            ),
        )? {
            continue;
        }
        let start = end.max(key.k.start_offset());
        let mut cut = KeyBuf::deletion(key.k.p.with_snapshot(id));
        cut.k.size = u32::try_from(key.k.p.offset.saturating_sub(start)).unwrap_or(key.k.size);
        files.repair(|t| {
            let is_there = same(t, BtreeId::EXTENTS, key)?;
            if is_there {
                t.update_extent_in(
                    BtreeId::EXTENTS,
                    KeyBuf::copy_of(&cut.key())?,
                    files.table(),
                )?;
            }
            Ok(is_there)
        })?;
        return Ok(true);
    }
    Ok(false)
}

/// C: `check_i_sectors()`.
#[inline(never)]
fn check_sectors(files: &mut Files<'_>, file: &File) -> Result {
    let all = file.versions.all.iter().zip(file.sectors.iter().copied());
    for (version, counted) in all {
        let (inum, id, says) = (version.inum, version.snapshot, version.sectors);
        if says == counted || version.flags.has(InodeFlags::I_SECTORS_DIRTY) {
            continue;
        }
        // Repairs may have changed something behind.
        let found = count_sectors(files, inum, id)?;
        set_sectors(files, version, found)?;
    }
    Ok(())
}

/// An inode has to say that it has so many sectors.
#[inline(never)]
fn set_sectors(files: &mut Files<'_>, inode: &Inode, sectors: u64) -> Result {
    let (inum, id, says) = (inode.inum, inode.snapshot, inode.sectors);
    if says != sectors
        && files.found(
            FsckError::INODE_I_SECTORS_WRONG,
            format_args!("inode {inum}:{id} has wrong i_sectors ({says}, should be {sectors})"),
        )?
    {
        files.change_inode(inode, &Inode { sectors, ..*inode })?;
    }
    Ok(())
}

/// C: `bch2_count_inode_sectors()`.
fn count_sectors(files: &Files<'_>, inum: u64, snapshot: u32) -> Result<u64> {
    let (start, end) = (Bpos::new(inum, 0, 0), Bpos::new(inum, u64::MAX, u32::MAX));
    let mut keys = files.view.range(BtreeId::EXTENTS, start, end, snapshot);
    let mut sectors = 0u64;
    while let Some(k) = keys.advance()?.filter(|k| k.p.inode == inum) {
        if k.key_type.is_allocation() {
            sectors = sectors.saturating_add(k.size.into());
        }
    }
    Ok(sectors)
}
