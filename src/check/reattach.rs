// SPDX-License-Identifier: GPL-2.0

//! The pass `check_unreachable_inodes`: inodes that have lost their name get one in the directory
//! `lost+found`.
//!
//! C: `bch2_check_unreachable_inodes()`.

use super::{
    files::{
        is_unlinked,
        says_where,
        Files,
        Versions, //
    },
    hash::{
        entry,
        Hashed,
        Name, //
    },
    inodes::check_name, //
};
use crate::{
    algo::str_hash::HashInfo,
    alloc::space::Trans,
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    data::inode_put,
    env::{
        pr_info,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            dirent::{
                dirent,
                Dirent,
                FileType,
                Target, //
            },
            inode::{
                Inode,
                ROOT_INUM, //
            },
            snapshot::SnapshotTree,
            subvolume::ROOT_SUBVOL,
        },
    },
    fs::first::{
        new_inode,
        LOST_AND_FOUND, //
    },
    snapshots::{
        delete_visible,
        keys::move_subvolume, //
    },
};

/// How many names are tried.
const NAMES_MAX: u64 = 1000;

/// Finds inodes that no name leads to, and gives them one.
#[inline(never)]
pub fn check_unreachable_inodes(files: &mut Files<'_>) -> Result {
    let btrees = files.engine.btrees;
    let mut keys = btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        let Ok(Some(mut inode)) = Inode::decode(&key) else {
            continue;
        };
        // Names may have been deleted since inodes were looked at.
        if files.report.repaired != 0 && says_where(&inode) {
            let old = inode;
            check_name(files, &mut inode)?;
            if inode != old {
                files.change_inode(&old, &inode)?;
            }
        }
        if !wants_name(&inode) || is_root(files, &inode)? {
            continue;
        }
        let versions = files.versions(inode.inum)?;
        let inode = match inode.subvol {
            0 => oldest(files, &inode, &versions),
            _ => inode,
        };
        let (inum, snapshot) = (inode.inum, inode.snapshot);
        if files.found(
            FsckError::INODE_UNREACHABLE,
            format_args!("inode {inum}:{snapshot} is unreachable: to lost+found"),
        )? {
            reattach(files, &inode)?;
        }
    }
    Ok(())
}

/// Whether an inode is the root of all that sees it: there is nothing above it that could have its
/// name, and `lost+found` is in it.
fn is_root(files: &Files<'_>, inode: &Inode) -> Result<bool> {
    Ok(inode.subvol == 0 && root_of(files, inode.snapshot)? == inode.inum)
}

/// Whether an inode should have a name, and does not say that it has.
///
/// C: `inode_should_reattach()`.
fn wants_name(inode: &Inode) -> bool {
    let is_root = (inode.inum, inode.subvol) == (ROOT_INUM, ROOT_SUBVOL);
    !is_root && inode.dir == 0 && !is_unlinked(inode)
}

/// The oldest version that needs a name, which those of snapshots below see then.
///
/// C: `find_oldest_inode_needs_reattach()`.
fn oldest(files: &Files<'_>, inode: &Inode, versions: &Versions) -> Inode {
    let above = |v: &&Inode| {
        v.snapshot > inode.snapshot && files.table().is_ancestor(inode.snapshot, v.snapshot)
    };
    let all = versions.all.iter().filter(above);
    all.take_while(|v| wants_name(v))
        .last()
        .copied()
        .unwrap_or(*inode)
}

/// Gives an inode a name in `lost+found`, in one transaction, and all versions of it below, unless
/// they have one or are to be deleted.
///
/// C: `reattach_inode()`.
#[inline(never)]
pub(super) fn reattach(files: &mut Files<'_>, inode: &Inode) -> Result {
    if is_root(files, inode)? {
        return Ok(());
    }
    let mut inode = *inode;
    let mut snapshot = inode.snapshot;
    let target = match inode.subvol {
        0 => (Target::Inode(inode.inum), FileType::of_mode(inode.mode)),
        child => {
            snapshot = files.view.subvolume(ROOT_SUBVOL)?.snapshot;
            let parent = ROOT_SUBVOL;
            inode.parent_subvol = parent;
            (Target::Subvol { child, parent }, FileType::SUBVOL)
        }
    };
    let lost = lost_and_found(files, snapshot)?;
    let info = HashInfo::of(&lost).ok_or_else(unusable)?;
    let versions = files.versions(inode.inum)?;
    let stray = Stray {
        inode,
        blind: blind_below(files, &inode, &versions)?,
        versions,
        lost,
        lost_versions: files.versions(lost.inum)?,
        hashed: Hashed {
            btree: BtreeId::DIRENTS,
            info,
        },
    };
    for nr in 0..NAMES_MAX {
        let name = name_of(&inode, nr)?;
        let new = entry((lost.inum, snapshot), &name.0, target)?;
        if files.repair(|t| stray.stage(t, files, &new))? {
            return Ok(());
        }
    }
    Err(taken())
}

/// The name that an inode gets, or one with a number behind it when that is taken.
fn name_of(inode: &Inode, nr: u64) -> Result<Name> {
    let mut name = Name::default();
    match inode.subvol {
        0 => name.add_number(inode.inum)?,
        subvol => {
            name.add(b"subvol-")?;
            name.add_number(subvol.into())?;
        }
    }
    if nr != 0 {
        name.add(b"-")?;
        name.add_number(nr)?;
    }
    Ok(name)
}

/// An inode that gets a name.
struct Stray {
    inode: Inode,
    versions: Versions,
    /// Snapshots below in which it is deleted, or has another name.
    blind: Vec<u32>,
    /// The directory `lost+found`.
    lost: Inode,
    lost_versions: Versions,
    hashed: Hashed,
}

impl Stray {
    /// Stages the entry `new`, and all that it means. Says whether the name was free.
    fn stage(&self, t: &mut Trans<'_>, files: &Files<'_>, new: &KeyBuf) -> TransResult<bool> {
        let Some(offset) = self.hashed.stage_put(t, files, new)? else {
            return Ok(false);
        };
        let (inode, snapshot) = (&self.inode, new.k.p.snapshot);
        let at = |i: &Inode| Inode {
            dir: self.lost.inum,
            dir_offset: offset,
            ..*i
        };
        inode_put(t, &at(inode))?;
        if inode.subvol == 0 {
            if inode.is_dir() {
                let to = (snapshot, &*self.blind);
                files.stage_subdirs(t, &self.lost_versions, to, 1)?;
            }
            let place = Bpos::new(self.lost.inum, offset, snapshot);
            let who = (inode, &self.versions, &*self.blind);
            name_below(t, files, who, place, &at)?;
            return Ok(true);
        }
        move_subvolume(t, inode.subvol, ROOT_SUBVOL)?;
        // What it was before others were made of it says the same.
        let of_subvol = |v: &&Inode| v.subvol == inode.subvol && v.snapshot != inode.snapshot;
        for version in self.versions.all.iter().filter(of_subvol) {
            let same = Inode {
                parent_subvol: ROOT_SUBVOL,
                ..*version
            };
            inode_put(t, &at(&same))?;
        }
        Ok(true)
    }
}

/// Snapshots below that of `inode` that are not to see its new name: in which it is deleted, or has
/// another one.
fn blind_below(files: &Files<'_>, inode: &Inode, versions: &Versions) -> Result<Vec<u32>> {
    let (start, end) = (
        Bpos::new(0, inode.inum, 0),
        Bpos::new(0, inode.inum, inode.snapshot),
    );
    let mut blind = Vec::new();
    let mut keys = files.btrees().iter(BtreeId::INODES, 0, start).until(end);
    while let Some(key) = keys.next()?.filter(|k| k.k.p < end) {
        let is_gone = matches!(
            key.k.key_type,
            KeyType::WHITEOUT | KeyType::INODE_GENERATION
        );
        if is_gone && files.table().is_ancestor(key.k.p.snapshot, inode.snapshot) {
            blind.push(key.k.p.snapshot)?;
        }
    }
    let below = |id: u32| id < inode.snapshot && files.table().is_ancestor(id, inode.snapshot);
    for version in versions.all.iter().filter(|v| below(v.snapshot)) {
        if !wants_name(version) {
            blind.push(version.snapshot)?;
        }
    }
    Ok(blind)
}

/// Versions of snapshots below: they get the same name, or do not see it.
fn name_below(
    t: &mut Trans<'_>,
    files: &Files<'_>,
    (inode, versions, blind): (&Inode, &Versions, &[u32]),
    place: Bpos,
    at: &impl Fn(&Inode) -> Inode,
) -> TransResult {
    let table = files.table();
    let is_below = |id: u32| id < inode.snapshot && table.is_ancestor(id, inode.snapshot);
    for version in versions.all.iter().filter(|v| is_below(v.snapshot)) {
        if wants_name(version) {
            inode_put(t, &at(version))?;
        }
    }
    for id in blind.iter() {
        // Once for those below.
        let is_done = |other: &&u32| **other > *id && table.is_ancestor(*id, **other);
        if !blind.iter().any(|other| is_done(&other)) {
            delete_visible(t, table, BtreeId::DIRENTS, place.with_snapshot(*id))?;
        }
    }
    Ok(())
}

/// The directory `lost+found` as `snapshot` sees it; it is made when it is not there.
///
/// C: `lookup_lostfound()`.
#[inline(never)]
fn lost_and_found(files: &mut Files<'_>, snapshot: u32) -> Result<Inode> {
    let root_inum = root_of(files, snapshot)?;
    let roots = files.versions(root_inum)?;
    let root = roots.of(files.table(), snapshot).copied();
    let root = root.ok_or_else(unusable)?;
    let info = HashInfo::of(&root).ok_or_else(unusable)?;
    let hash = info.dirent(LOST_AND_FOUND);
    if let Some(inum) = find(files, (root_inum, snapshot), hash)? {
        let versions = files.versions(inum)?;
        let found = versions.of(files.table(), snapshot).copied();
        return found.filter(Inode::is_dir).ok_or_else(unusable);
    }
    // For all snapshots of the tree at once: it must not be there twice.
    let top = top_of(files, snapshot);
    let snapshot = match roots.of(files.table(), top) {
        Some(_) if files.table().is_ancestor(snapshot, top) => top,
        _ => snapshot,
    };
    pr_info!(
        "{}: making lost+found in snapshot {snapshot}",
        files.st().name()
    );
    let hashed = Hashed {
        btree: BtreeId::DIRENTS,
        info,
    };
    let new = new_inode(files.st());
    let made = |inum| Inode {
        inum,
        snapshot,
        mode: 0o040700,
        dir: root_inum,
        ..new
    };
    loop {
        let mut inode = None;
        let done = files.repair(|t| {
            let Some(inum) = files.numbers.take(t)? else {
                return Ok(false);
            };
            let target = (Target::Inode(inum), FileType::DIR);
            let new = entry((root_inum, snapshot), LOST_AND_FOUND, target)?;
            let Some(dir_offset) = hashed.stage_put(t, files, &new)? else {
                return Err(taken().into());
            };
            let lost = Inode {
                dir_offset,
                ..made(inum)
            };
            inode_put(t, &lost)?;
            files.stage_subdirs(t, &roots, (snapshot, &[]), 1)?;
            inode = Some(lost);
            Ok(true)
        })?;
        if let Some(inode) = inode.filter(|_| done) {
            return Ok(inode);
        }
        files.numbers.search(files.engine.btrees)?;
    }
}

/// `lost+found` is not what it should be.
#[cold]
fn unusable() -> Error {
    Error::CheckLostFound
}

/// There is an entry of that name already.
#[cold]
fn taken() -> Error {
    Error::CheckReattach
}

/// The number of the root directory of the subvolumes that see what is of `snapshot`.
fn root_of(files: &Files<'_>, snapshot: u32) -> Result<u64> {
    let tree = files.table().tree(snapshot).unwrap_or(0);
    let pos = Bpos::new(0, tree.into(), 0);
    let found = files.btrees().lookup(BtreeId::SNAPSHOT_TREES, pos)?;
    let tree = found.and_then(|f| SnapshotTree::decode(f.key().v).ok());
    let master = tree.map_or(ROOT_SUBVOL, |t| t.master_subvol);
    match files.view.subvolume(master) {
        Ok(subvol) => Ok(subvol.inode),
        Err(_) => Ok(files.view.subvolume(ROOT_SUBVOL)?.inode),
    }
}

/// The root of the snapshot tree that `snapshot` is in.
fn top_of(files: &Files<'_>, mut snapshot: u32) -> u32 {
    while let Some(parent) = files.table().parent(snapshot) {
        snapshot = parent;
    }
    snapshot
}

/// What `lost+found` leads to, in a directory.
fn find(files: &Files<'_>, (dir, snapshot): (u64, u32), hash: u64) -> Result<Option<u64>> {
    let (start, end) = (Bpos::new(dir, hash, 0), Bpos::new(dir, u64::MAX, u32::MAX));
    let mut keys = files.view.range(BtreeId::DIRENTS, start, end, snapshot);
    let mut expected = hash;
    while let Some(key) = keys.next()? {
        if key.k.p.inode != dir || key.k.p.offset != expected {
            break;
        }
        let d: Option<Dirent<'_>> = dirent(&key).ok().flatten();
        match d.filter(|d| d.name == LOST_AND_FOUND).map(|d| d.target) {
            Some(Target::Inode(inum)) => return Ok(Some(inum)),
            Some(Target::Subvol { .. }) => return Err(unusable()),
            None => expected = expected.saturating_add(1),
        }
    }
    Ok(None)
}
