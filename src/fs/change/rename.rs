// SPDX-License-Identifier: GPL-2.0

//! Other names.

use super::{
    dirents::{
        Dir,
        Entry,
        Name, //
    },
    inode::{
        add_subdirs,
        inherit,
        links_parent,
        remove_link,
        touch, //
    },
    link::forget_place,
    At,
    Changes,
    NewFile, //
    Nodes,
};
use crate::{
    alloc::space::Trans,
    btree::trans::{
        Committed,
        TransResult, //
    },
    data::inode::{
        inode_get,
        inode_put, //
    },
    env::Box,
    error::{
        Error,
        Result, //
    },
    format::values::inode::Inode,
    fs::SubvolInum,
    snapshots::keys::move_subvolume, //
};

/// What is to become of what has the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// There is nothing.
    Free,
    /// It loses the name.
    Replace,
    /// It gets the old name.
    Exchange,
}

/// One side of a renaming.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The directory.
    pub dir: SubvolInum,
    /// The name in it.
    pub name: &'a [u8],
}

/// What became of those involved.
#[derive(Clone, Copy, Debug)]
pub struct Renamed {
    /// The directory with the old name.
    pub old_dir: Inode,
    /// The directory with the new name, if that is another one.
    pub new_dir: Option<Inode>,
    /// What has the new name now.
    pub inode: Inode,
    /// What had it before.
    pub other: Option<Inode>,
    /// When that was.
    pub at: Committed,
}

/// Entries that are going to change.
struct Moved {
    /// The entry with the old name, as it was.
    from: Entry,
    /// That with the new one, if there was one.
    to: Option<Entry>,
    /// Where the old and the new name are now.
    old_offset: u64,
    new_offset: u64,
}

impl Changes<'_> {
    /// Renames. `whiteout` is put in the old place, if given.
    ///
    /// C: `bch2_rename_trans()`, `bch2_rename2()`.
    pub fn rename(
        &self,
        old: Side<'_>,
        new: Side<'_>,
        mode: Mode,
        whiteout: Option<&NewFile<'_>>,
        now: u64,
    ) -> Result<Box<Renamed>> {
        loop {
            let (renamed, at) = self.run(Nodes::FromFree, |t| {
                let (from, to) = (self.at(old.dir)?, self.at(new.dir)?);
                // Before anything is staged: what is, is committed.
                let whiteout = match whiteout {
                    Some(file) => match self.numbers.take(t)? {
                        Some(inum) => Some((inum, file)),
                        None => return Ok(None),
                    },
                    None => None,
                };
                let mut done = self.rename_in(t, (from, old.name), (to, new.name), mode, now)?;
                if let Some((inum, file)) = whiteout {
                    self.make(t, inum, (from, &mut done.old_dir), Some(old.name), file)?;
                }
                put_all(t, &done)?;
                Ok(Some(done))
            })?;
            match renamed {
                Some(mut renamed) => {
                    renamed.at = at;
                    return Ok(renamed);
                }
                None => self.numbers.search(&self.view.btrees)?,
            }
        }
    }

    #[inline(never)]
    fn rename_in(
        &self,
        t: &mut Trans<'_>,
        (from, old_name): (At, &[u8]),
        (to, new_name): (At, &[u8]),
        mode: Mode,
        now: u64,
    ) -> TransResult<Box<Renamed>> {
        // Inodes are large, and the stack is small.
        let mut done = Box::try_new(Renamed {
            old_dir: Inode::default(),
            new_dir: None,
            inode: Inode::default(),
            other: None,
            at: Committed::default(),
        })?;
        let Renamed {
            old_dir,
            new_dir,
            inode,
            other,
            ..
        } = &mut *done;
        *old_dir = inode_get(t, self.view, from.file())?;
        let is_same = from == to;
        if !is_same {
            *new_dir = Some(inode_get(t, self.view, to.file())?);
        }
        let old_entries = Dir::of(self, from, old_dir)?;
        let new_entries = Dir::of(self, to, new_dir.as_ref().unwrap_or(old_dir))?;
        let old = (&old_entries, old_name);
        let moved = self.move_entry(t, old, (&new_entries, new_name), is_same, mode)?;
        let Moved {
            from: was,
            to: had,
            old_offset,
            new_offset,
        } = moved;
        let at = |id: SubvolInum| -> Result<At> {
            let snapshot = self.view.subvolume(id.subvol)?.snapshot;
            Ok(At { id, snapshot })
        };
        *inode = inode_get(t, self.view, at(was.leads_to)?.file())?;
        if let Some(entry) = &had {
            *other = Some(inode_get(t, self.view, at(entry.leads_to)?.file())?);
        }
        if from.id.subvol != to.id.subvol {
            let mut both = [&*inode].into_iter().chain(&*other);
            if !both.all(Inode::is_subvol_root) {
                return Err(Error::RenameOtherSubvolume.into());
            }
        }
        move_root(t, inode, to.id.subvol)?;
        if let (Mode::Exchange, Some(other)) = (mode, &mut *other) {
            move_root(t, other, from.id.subvol)?;
        }
        (inode.dir, inode.dir_offset) = (to.id.inum, new_offset);
        if let (Some(other), Some(had)) = (other, &had) {
            match mode {
                Mode::Exchange => {
                    (other.dir, other.dir_offset) = (from.id.inum, old_offset);
                }
                _ => {
                    forget_place(other, to.id.inum, had.pos.offset);
                    self.check_replaced(t, inode, other, at(had.leads_to)?)?;
                }
            }
        }
        settle(&mut done, mode, now)?;
        Ok(done)
    }

    /// Whether `other` may lose its name to `inode`.
    fn check_replaced(
        &self,
        t: &mut Trans<'_>,
        inode: &Inode,
        other: &Inode,
        at: At,
    ) -> TransResult {
        if other.is_subvol_root() {
            return Err(Error::RenameOverSubvolume.into());
        }
        if inode.is_dir() != other.is_dir() {
            return Err(Error::RenameOtherKind.into());
        }
        match other.is_dir() {
            true => Dir::of(self, at, other)?.check_empty(t),
            false => Ok(()),
        }
    }

    /// Stages what becomes of the entries.
    ///
    /// C: `bch2_dirent_rename()`.
    #[inline(never)]
    fn move_entry(
        &self,
        t: &mut Trans<'_>,
        (old, old_name): (&Dir<'_>, &[u8]),
        (new, new_name): (&Dir<'_>, &[u8]),
        is_same: bool,
        mode: Mode,
    ) -> TransResult<Moved> {
        let from = old.get(t, old_name)?;
        let (to, place) = match new.find(t, new_name)? {
            Name::Free(_) if mode != Mode::Free => return Err(Error::RenameTargetGone.into()),
            Name::Taken(_) if mode == Mode::Free => return Err(Error::RenameTargetThere.into()),
            Name::Free(_) => (None, new.free(t, new_name)?),
            Name::Taken(entry) => {
                let offset = entry.pos.offset;
                (Some(entry), offset)
            }
        };
        let own = from.pos.offset;
        let value = (from.target, from.file_type);
        let moved = |from, to, new_offset| Moved {
            from,
            to,
            old_offset: own,
            new_offset,
        };
        if let (Mode::Exchange, Some(entry)) = (mode, &to) {
            new.put(t, place, new_name, value)?;
            old.put(t, own, old_name, (entry.target, entry.file_type))?;
            old.delete_above(t, &from)?;
            new.delete_above(t, entry)?;
            return Ok(moved(from, to, place));
        }
        // The way from where the new name is looked for first to where it is goes over the old one.
        let leads_there = is_same && new.hash_of(new_name) <= own && own < place;
        if leads_there && to.is_none() {
            new.put(t, own, new_name, value)?;
            old.delete_above(t, &from)?;
            return Ok(moved(from, to, own));
        }
        let leads_on = leads_there || old.leads_on(t, own)?;
        new.put(t, place, new_name, value)?;
        old.delete(t, own, leads_on)?;
        old.delete_above(t, &from)?;
        if let Some(entry) = &to {
            new.delete_above(t, entry)?;
        }
        Ok(moved(from, to, place))
    }
}

/// Stages that the name of `inode`, if it is the root of a subvolume, is in a directory of `above`.
///
/// C: `subvol_update_parent()`.
fn move_root(t: &mut Trans<'_>, inode: &mut Inode, above: u32) -> TransResult {
    if inode.is_subvol_root() && inode.parent_subvol != above {
        move_subvolume(t, inode.subvol, above)?;
        inode.parent_subvol = above;
    }
    Ok(())
}

/// Stages all inodes.
#[inline(never)]
fn put_all(t: &mut Trans<'_>, done: &Renamed) -> TransResult {
    let others = done.new_dir.iter().chain(&done.other);
    for inode in others.chain([&done.old_dir, &done.inode]) {
        inode_put(t, inode)?;
    }
    Ok(())
}

/// What follows for inodes from that names are other ones now.
#[inline(never)]
fn settle(done: &mut Renamed, mode: Mode, now: u64) -> Result {
    inherit_both(done, mode)?;
    count_subdirs(done, mode)?;
    if let Some(other) = &mut done.other {
        if mode == Mode::Replace {
            remove_link(other)?;
        }
        other.ctime = now;
    }
    touch(&mut done.old_dir, now);
    if let Some(dir) = &mut done.new_dir {
        touch(dir, now);
    }
    done.inode.ctime = now;
    Ok(())
}

/// Options that come from the directory above. A directory would have to hand them down.
fn inherit_both(done: &mut Renamed, mode: Mode) -> Result {
    let Renamed {
        old_dir,
        new_dir,
        inode,
        other,
        ..
    } = done;
    let mut differs = inherit(inode, new_dir.as_ref().unwrap_or(old_dir)) && inode.is_dir();
    if let (Mode::Exchange, Some(other)) = (mode, other) {
        differs |= inherit(other, old_dir) && other.is_dir();
    }
    match differs {
        true => Err(Error::RenameOtherOptions),
        false => Ok(()),
    }
}

/// What names the directories have by those in them.
fn count_subdirs(done: &mut Renamed, mode: Mode) -> Result {
    let (mut in_old, mut in_new) = (0i32, 0i32);
    if links_parent(&done.inode) {
        (in_old, in_new) = (-1, 1);
    }
    if done.other.as_ref().is_some_and(links_parent) {
        in_new = in_new.saturating_sub(1);
        if mode == Mode::Exchange {
            in_old = in_old.saturating_add(1);
        }
    }
    match &mut done.new_dir {
        Some(new_dir) => {
            add_subdirs(&mut done.old_dir, in_old)?;
            add_subdirs(new_dir, in_new)
        }
        None => add_subdirs(&mut done.old_dir, in_old.saturating_add(in_new)),
    }
}
