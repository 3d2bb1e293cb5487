// SPDX-License-Identifier: GPL-2.0

//! Errors for user space.

use crate::{
    env::pr_err,
    error::{
        errno::Errno,
        Error, //
    },
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
pub(super) fn reported(what: &str, ino: u64, e: Error) -> Errno {
    if e.is_corruption() {
        pr_err!("{what} of inode {ino}: {e}");
    }
    errno(e)
}
