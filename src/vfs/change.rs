// SPDX-License-Identifier: GPL-2.0

//! Changing attributes; inodes that are written back, or leave memory.

use super::{
    charge,
    errno::reported,
    inode::{
        change_time,
        changes,
        committed,
        raw_time,
        Times, //
    },
    names::entries,
    xattr,
    Bcachefs, //
};
use crate::{
    env::pr_err,
    error::{
        errno::Errno,
        Error, //
    },
    fs::{
        acl::Kind,
        change::Flags,
        stat::{
            flags_of_user,
            flags_of_user_x,
            FLAG_CASEFOLD, //
        },
    },
    sys::fs::{
        set_size,
        AclEntry,
        AclKind,
        Attributes as _,
        Changeable,
        FileFlags,
        INode,
        Life,
        NewAttributes,
        Result,
        Subvolumes as _,
        XattrMode, //
    },
};

impl Changeable for Bcachefs {
    fn set_attributes(
        inode: &INode<Self>,
        new: &NewAttributes,
        acl: Option<&[AclEntry]>,
    ) -> Result {
        let mount = inode.sb().data();
        let changes = changes(mount)?;
        let set = || {
            charge::may_move(inode, |ids| {
                ids.user = new.uid.unwrap_or(ids.user);
                ids.group = new.gid.unwrap_or(ids.group);
            })?;
            let acl = acl.map(entries).transpose()?;
            let time = |t| raw_time(mount, t);
            changes.set_attributes(inode.key(), acl.as_deref(), |i| {
                i.mode = new.mode.unwrap_or(i.mode);
                i.uid = new.uid.unwrap_or(i.uid);
                i.gid = new.gid.unwrap_or(i.gid);
                i.atime = new.atime.map_or(i.atime, time);
                i.mtime = new.mtime.map_or(i.mtime, time);
                i.ctime = new.ctime.map_or(i.ctime, time);
                Ok(())
            })
        };
        let (changed, at) = set().map_err(|e| reported("setattr", inode, e))?;
        let times = Times {
            atime: new.atime.is_some(),
            mtime: new.mtime.is_some(),
            ctime: new.ctime.is_some(),
        };
        committed(inode, &changed, at, times);
        Ok(())
    }

    fn resize(inode: &INode<Self>, size: u64) -> Result {
        set_size(inode, size)
    }

    fn set_flags(inode: &INode<Self>, new: &FileFlags, plain: bool) -> Result {
        let (on, project) = match plain {
            // Whether case counts can not be changed.
            true if (new.flags ^ Self::flags(inode).flags) & FLAG_CASEFOLD != 0 => (None, None),
            true => (flags_of_user(new.flags), None),
            false => {
                let (on, is_set) = flags_of_user_x(new.xflags);
                (on, Some((new.project, is_set)))
            }
        };
        let flags = Flags {
            on: on.ok_or(Errno::EOPNOTSUPP)?,
            project,
        };
        let (changes, now) = (changes(inode.sb().data())?, change_time(inode));
        let set = || {
            if let Some((project, _)) = project {
                charge::may_move(inode, |ids| ids.project = project)?;
            }
            changes.change(inode.key(), |i| flags.set(i, now))
        };
        let (changed, at) = set().map_err(|e| reported("setting flags", inode, e))?;
        committed(inode, &changed, at, Times::CHANGE);
        Ok(())
    }

    fn set_xattr(
        inode: &INode<Self>,
        space: i32,
        name: &[u8],
        value: Option<&[u8]>,
        mode: XattrMode,
    ) -> Result {
        xattr::set(inode, space, name, value, mode)
    }

    fn set_acl(inode: &INode<Self>, kind: AclKind, list: Option<&[AclEntry]>, mode: u16) -> Result {
        let kind = match kind {
            AclKind::Access => Kind::Access,
            AclKind::Default => Kind::Default,
        };
        let changes = changes(inode.sb().data())?;
        let set = || {
            let list = list.map(entries).transpose()?;
            changes.set_acl(inode.key(), kind, list.as_deref(), mode, change_time(inode))
        };
        let (changed, at) = set().map_err(|e| reported("setting the ACL", inode, e))?;
        committed(inode, &changed, at, Times::CHANGE);
        Ok(())
    }
}

impl Life for Bcachefs {
    fn write_times(inode: &INode<Self>) -> Result {
        let mount = inode.sb().data();
        let (changed, at) = changes(mount)?
            .change(inode.key(), |i| {
                // Where the VFS has what was there before, somebody may have changed it since.
                let (before, now) = (inode.data().inode(), inode.times());
                let [atime, mtime, ctime] = now.map(|t| raw_time(mount, t));
                for (to, was, is) in [
                    (&mut i.atime, before.atime, atime),
                    (&mut i.mtime, before.mtime, mtime),
                    (&mut i.ctime, before.ctime, ctime),
                ] {
                    if is != was {
                        *to = is;
                    }
                }
                Ok(())
            })
            .map_err(|e| reported("writing the inode", inode, e))?;
        committed(inode, &changed, at, Times::default());
        Ok(())
    }

    fn entered(inode: &INode<Self>) {
        let view = &inode.sb().data().fs.view;
        view.count_user(inode.key().subvol, true);
    }

    fn sectors_changed(inode: &INode<Self>, by: i64) {
        charge::changed(inode, by);
    }

    fn left(inode: &INode<Self>) {
        charge::release(inode);
        let view = &inode.sb().data().fs.view;
        view.count_user(inode.key().subvol, false);
    }

    fn remove(inode: &INode<Self>) {
        // With all of the subvolume.
        if Self::is_removed(inode) {
            return;
        }
        // Else it is done by the next mount.
        let Ok(changes) = changes(inode.sb().data()) else {
            return;
        };
        match changes.remove(inode.key()) {
            Ok(()) => charge::removed(inode),
            Err(Error::SubvolumeReadOnly) => (),
            Err(e) => pr_err!("{}: can not be removed yet: {e}", inode.key()),
        }
    }
}
