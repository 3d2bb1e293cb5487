// SPDX-License-Identifier: GPL-2.0

//! Making and deleting subvolumes.

use super::{
    charge::Paid,
    errno::reported,
    inode::{
        changes,
        touch, //
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
    fs::change::Source,
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
        .map_err(|e| reported("making a subvolume in the directory", dir.ino(), e))
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
            let by = (uid, touch(dir));
            changes.snapshot(dir.key(), name, from, read_only, by)
        })
        .map_err(|e| reported("making a snapshot in the directory", dir.ino(), e))
    }

    fn remove_subvolume(from: Place<'_, Self>, inode: &INode<Self>) -> Result {
        let changes = changes(inode.sb().data())?;
        let done = changes
            .unlink_subvolume(from.dir.key(), from.name, touch(inode))
            .map_err(|e| reported("deleting the subvolume of", inode.ino(), e))?;
        unlinked(from.dir, inode, done);
        Ok(())
    }

    fn is_removed(inode: &INode<Self>) -> bool {
        inode.sb().data().fs.view.is_removed(inode.key().subvol)
    }
}
