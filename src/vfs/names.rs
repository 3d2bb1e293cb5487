// SPDX-License-Identifier: GPL-2.0

//! Changing directories.

use super::{
    charge::{
        self,
        Paid, //
    },
    errno::reported,
    inode::{
        change_time,
        changes,
        committed,
        params,
        Node,
        Times, //
    },
    Bcachefs, //
};
use crate::{
    env::{
        Box,
        Vec, //
    },
    error::Error,
    format::{
        sb::counters::Counter,
        values::inode::{
            Inode,
            InodeFlags, //
        },
    },
    fs::{
        acl::{
            AclEntry as Entry,
            Tag, //
        },
        change::{
            Created,
            Linked,
            Mode,
            NewFile,
            Side, //
        },
        quota::Ids, //
    },
    sys::fs::{
        AclEntry,
        INode,
        Made,
        Names,
        NewNode,
        Over,
        Place,
        Result, //
    },
};

/// An access control list as the filesystem has it.
pub(super) fn entries(list: &[AclEntry]) -> crate::error::Result<Vec<Entry>> {
    let mut all = Vec::with_capacity(list.len())?;
    for e in list {
        let tag = Tag::from_number(e.tag).ok_or(Error::AclTagUnknown)?;
        all.push(Entry {
            tag,
            perm: e.perm,
            id: e.id,
        })?;
    }
    Ok(all)
}

/// Calls `create` with what a new file is to be.
pub(super) fn with_lists<T>(
    dir: &INode<Bcachefs>,
    new: &NewNode<'_>,
    create: impl FnOnce(&NewFile<'_>) -> crate::error::Result<T>,
) -> crate::error::Result<T> {
    let acl = new.acl.map(entries).transpose()?;
    let default_acl = new.default_acl.map(entries).transpose()?;
    create(&NewFile {
        mode: new.mode,
        uid: new.uid,
        gid: new.gid,
        dev: new.rdev,
        now: change_time(dir),
        acl: acl.as_deref(),
        default_acl: default_acl.as_deref(),
        link: new.link,
    })
}

/// Who pays for a new inode in the subvolume of `dir`.
pub(super) fn paid<'a>(
    dir: &'a INode<Bcachefs>,
    new: &NewNode<'_>,
) -> crate::error::Result<Paid<'a>> {
    let ids = ids(dir, new.uid, new.gid);
    Paid::for_new(dir.sb(), dir.key().subvol, ids)
}

/// Whom a new inode counts for: the project comes from the directory.
fn ids(dir: &INode<Bcachefs>, user: u32, group: u32) -> Ids {
    Ids {
        user,
        group,
        ..Ids::of(&dir.data().inode())
    }
}

/// What `create` makes, for the VFS; `is_named` if it has a name in `dir` then.
pub(super) fn made(
    dir: &INode<Bcachefs>,
    is_named: bool,
    paid: Paid<'_>,
    create: impl FnOnce() -> crate::error::Result<Created>,
) -> crate::error::Result<Made<Bcachefs>> {
    // What can fail comes before.
    let mut data = Node::unused()?;
    let made = create()?;
    data.set(made.inode, made.snapshot, made.at);
    data.charge = paid.made(&made.inode);
    if is_named {
        committed(dir, &made.dir, made.at, Times::CONTENTS);
    }
    Ok(Made {
        key: made.id,
        hash: made.id.inum,
        params: params(dir.sb().data(), &made.inode),
        data,
    })
}

fn side<'a>(place: &'a Place<'_, Bcachefs>) -> Side<'a> {
    Side {
        dir: place.dir.key(),
        name: place.name,
    }
}

impl Names for Bcachefs {
    fn create(dir: &INode<Self>, name: Option<&[u8]>, new: &NewNode<'_>) -> Result<Made<Self>> {
        let changes = changes(dir.sb().data())?;
        let make = || {
            with_lists(dir, new, |file| {
                made(dir, name.is_some(), paid(dir, new)?, || {
                    changes.create(dir.key(), name, file) //
                })
            })
        };
        make().map_err(|e| reported("making a file in the directory", dir, e))
    }

    fn link(to: Place<'_, Self>, inode: &INode<Self>) -> Result {
        let changes = changes(inode.sb().data())?;
        let done = changes
            .link(to.dir.key(), to.name, inode.key(), change_time(inode))
            .map_err(|e| reported("a new name", inode, e))?;
        committed(to.dir, &done.dir, done.at, Times::CONTENTS);
        committed(inode, &done.inode, done.at, Times::CHANGE);
        Ok(())
    }

    fn unlink(from: Place<'_, Self>, inode: &INode<Self>) -> Result {
        let changes = changes(inode.sb().data())?;
        let done = changes
            .unlink(from.dir.key(), from.name, change_time(inode))
            .map_err(|e| reported("removing a name", inode, e))?;
        unlinked(from.dir, inode, done);
        Ok(())
    }

    fn rename(
        from: Place<'_, Self>,
        to: Place<'_, Self>,
        inode: &INode<Self>,
        over: &Over<'_, Self>,
    ) -> Result {
        let changes = changes(inode.sb().data())?;
        let now = change_time(inode);
        let (mode, other, whiteout) = match over {
            Over::Free(whiteout) => (Mode::Free, None, *whiteout),
            Over::Replaced(other, whiteout) => (Mode::Replace, Some(other), *whiteout),
            Over::Exchanged(other) => (Mode::Exchange, Some(other), None),
        };
        let whiteout = whiteout.map(|(uid, gid)| NewFile {
            mode: WHITEOUT,
            uid,
            gid,
            now,
            ..NewFile::default()
        });
        let rename = || {
            let paid = match &whiteout {
                Some(new) => {
                    let ids = ids(from.dir, new.uid, new.gid);
                    Some((
                        Paid::for_new(from.dir.sb(), from.dir.key().subvol, ids)?,
                        new,
                    ))
                }
                None => None,
            };
            may_get_project_of(inode, to.dir)?;
            if let Over::Exchanged(other) = over {
                may_get_project_of(other, from.dir)?;
            }
            let done = changes.rename(side(&from), side(&to), mode, whiteout.as_ref(), now)?;
            if let Some((paid, new)) = paid {
                paid_for_whiteout(paid, new, done.old_dir.project);
            }
            Ok(done)
        };
        let done = rename().map_err(|e| reported("another name", inode, e))?;
        committed(from.dir, &done.old_dir, done.at, Times::CONTENTS);
        if let Some(dir) = &done.new_dir {
            committed(to.dir, dir, done.at, Times::CONTENTS);
        }
        committed(inode, &done.inode, done.at, Times::CHANGE);
        if let (Some(vfs), Some(other)) = (other, &done.other) {
            committed(vfs, other, done.at, Times::CHANGE);
        }
        Ok(())
    }

    fn sync_inode(inode: &INode<Self>) -> Result {
        let fs = &inode.sb().data().fs;
        let seq = inode.data().journal_seq();
        fs.view.sb().count(Counter::FSYNC);
        fs.sync_seq(seq).map_err(|e| reported("fsync", inode, e))
    }
}

/// A whiteout was made in a directory of `project`.
// Out of line: inodes are large, and the stack is small. An overlay takes a part of it, too.
#[inline(never)]
fn paid_for_whiteout(paid: Paid<'_>, new: &NewFile<'_>, project: u32) {
    let inode = Inode {
        uid: new.uid,
        gid: new.gid,
        project,
        ..Inode::default()
    };
    let _ = paid.made(&inode);
}

/// Whether an inode may count for the project of a directory, unless it has one of its own.
pub(super) fn may_get_project_of(
    inode: &INode<Bcachefs>,
    dir: &INode<Bcachefs>,
) -> crate::error::Result {
    if inode.data().inode().has_own_project() {
        return Ok(());
    }
    let project = Ids::of(&dir.data().inode()).project;
    charge::may_move(inode, |ids| ids.project = project)
}

/// The VFS gets to know that `inode` has lost a name in `dir`.
pub(super) fn unlinked(dir: &INode<Bcachefs>, inode: &INode<Bcachefs>, mut done: Box<Linked>) {
    committed(dir, &done.dir, done.at, Times::CONTENTS);
    if done.inode.is_subvol_root() {
        // All of the subvolume goes, and with it the root.
        done.inode.flags = done.inode.flags.with(InodeFlags::UNLINKED);
        done.inode.nlink = 0;
    }
    committed(inode, &done.inode, done.at, Times::CHANGE);
}

/// A whiteout of an overlay: a character device without permissions. C: `WHITEOUT_MODE`.
const WHITEOUT: u16 = 0o020000;
