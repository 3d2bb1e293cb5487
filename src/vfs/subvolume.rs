// SPDX-License-Identifier: GPL-2.0

//! Making, deleting and listing subvolumes.

use super::{
    charge::Paid,
    errno::reported,
    inode::{
        change_time, //
        changes,
        load,
    },
    names::{
        made,
        paid,
        unlinked,
        with_lists, //
    },
    Bcachefs, //
};
use crate::{
    ctl::ioctl::{
        Answer,
        Listing, //
    },
    fs::{
        change::Source,
        handle::{
            way_from,
            Way, //
        },
        inode::subvolume_root,
        SubvolInum, //
    },
    sys::fs::{
        INode,
        Made,
        NewNode,
        Place,
        Result,
        Subvolumes, //
    },
};

impl Subvolumes for Bcachefs {
    fn create_subvolume(dir: &INode<Self>, name: &[u8], new: &NewNode<'_>) -> Result<Made<Self>> {
        let changes = changes(dir.sb().data())?;
        with_lists(dir, new, |file| {
            made(dir, true, paid(dir, new)?, || {
                changes.create_subvolume(dir.key(), name, file) //
            })
        })
        .map_err(|e| reported("making a subvolume in the directory", dir, e))
    }

    fn snapshot(
        dir: &INode<Self>,
        name: &[u8],
        source: Option<&INode<Self>>,
        read_only: bool,
        uid: u32,
    ) -> Result<Made<Self>> {
        let changes = changes(dir.sb().data())?;
        let from = source.map_or(Source::Here, |inode| Source::Root(inode.key()));
        made(dir, true, Paid::nothing(dir.sb()), || {
            let by = (uid, change_time(dir));
            changes.snapshot(dir.key(), name, from, read_only, by)
        })
        .map_err(|e| reported("making a snapshot in the directory", dir, e))
    }

    fn remove_subvolume(from: Place<'_, Self>, inode: &INode<Self>) -> Result {
        let changes = changes(inode.sb().data())?;
        let done = changes
            .unlink_subvolume(from.dir.key(), from.name, change_time(inode))
            .map_err(|e| reported("deleting the subvolume of", inode, e))?;
        unlinked(from.dir, inode, done);
        Ok(())
    }

    fn is_removed(inode: &INode<Self>) -> bool {
        inode.sb().data().fs.view.is_removed(inode.key().subvol)
    }
}

/// The subvolumes that have a name in the one of `inode`, if whoever asks may search all
/// directories on the way there.
///
/// C: `bch2_ioctl_subvolume_list()`.
pub(super) fn list_subvolumes(
    inode: &INode<Bcachefs>,
    mut list: Listing,
    may_search: &dyn Fn(&INode<Bcachefs>) -> bool,
) -> crate::error::Result<Answer> {
    let (mount, parent) = (inode.sb().data(), inode.key().subvol);
    let view = &mount.fs.view;
    let top = subvolume_root(view, parent)?;
    loop {
        let some = view.children(parent, list.next())?;
        if some.is_empty() {
            return list.answer();
        }
        for id in some {
            // Others are on their way to being deleted, or to another place.
            let found = view.subvolume(id).and_then(|subvol| {
                let root = subvolume_root(view, id)?;
                Ok((subvol, way_from(view, top, root)?))
            });
            match found {
                Ok((subvol, way)) if is_open(inode, &way, may_search) => {
                    let time = mount.times.timespec(subvol.otime_lo);
                    if !list.add(id, &subvol, (time.sec, time.nsec), &way.path)? {
                        return list.answer();
                    }
                }
                _ => list.skip(id),
            }
        }
    }
}

/// Whether all directories on the way may be searched.
fn is_open(
    inode: &INode<Bcachefs>,
    way: &Way,
    may_search: &dyn Fn(&INode<Bcachefs>) -> bool,
) -> bool {
    let open = |dir: &SubvolInum| load(inode.sb(), *dir).is_ok_and(|dir| may_search(&dir));
    way.dirs.iter().all(open)
}
