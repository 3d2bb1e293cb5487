// SPDX-License-Identifier: GPL-2.0

//! Errors for user space.

use super::Bcachefs;
use crate::{
    env::pr_err,
    error::{
        errno::Errno,
        Error, //
    },
    sb::SbState,
    sys::fs::INode,
};

/// What user space is told about a failed operation.
///
/// C: `bch2_err_class()`.
pub(super) fn errno(e: Error) -> Errno {
    e.errno()
}

/// What user space is told about a failed mount.
///
/// mount(8) tries again read-only after `EROFS`, so that is for the cases where this helps.
pub(super) fn mount_errno(e: Error) -> Errno {
    match e {
        Error::ReadWriteUnsupported
        | Error::ReadWriteNodeSize
        | Error::ReadWriteNew
        | Error::ReadWriteNeedsFsck
        | Error::ReadWriteDamaged
        | Error::RemountUnsupported
        | Error::RemountForced
        | Error::RemountShared
        | Error::DeviceReadOnly
        | Error::DeviceNotWritable
        | Error::ReadOnly => Errno::EROFS,
        e => match errno(e) {
            Errno::EROFS => Errno::EIO,
            no => no,
        },
    }
}

/// Like [`errno`], for operations on one inode where damage on disk is a reason for a message.
pub(super) fn reported(what: &str, inode: &INode<Bcachefs>, e: Error) -> Errno {
    reported_of(inode.sb().data().fs.view.sb(), what, inode.ino(), e)
}

/// The same for the inode number `ino` of a filesystem. Of many messages, some are kept back:
/// whoever meets an error may try again without end.
pub(super) fn reported_of(st: &SbState, what: &str, ino: u64, e: Error) -> Errno {
    if e.is_corruption() && st.admit_message() {
        pr_err!("{}: {what} of inode {ino}: {e}", st.name());
    }
    errno(e)
}
