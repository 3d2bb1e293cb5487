// SPDX-License-Identifier: GPL-2.0

//! Translation between the VFS and the filesystem, and nothing else: arguments are decoded, the
//! layers below are called, and errors become errnos.
//!
//! | file       | holds                                                             |
//! |------------|-------------------------------------------------------------------|
//! | `attr.rs`  | statx, file flags, symbolic links                                 |
//! | `charge.rs` | what inodes count for in quotas                                   |
//! | `change.rs` | changing attributes; inodes that are written back, or go          |
//! | `dir.rs`   | lookup and readdir                                                |
//! | `export.rs` | handles of files, for NFS servers                                |
//! | `errno.rs` | the one place where an [`Error`](crate::error::Error) becomes an errno |
//! | `file.rs`  | data of regular files                                             |
//! | `ioctl.rs` | ioctl(2), and the devices for it                                  |
//! | `inode.rs` | inodes: from the btree to the VFS                                 |
//! | `job.rs`   | data of regular files on its way to the devices                   |
//! | `mount.rs` | mounting, remounting, `statfs`, options                           |
//! | `names.rs` | changing directories                                              |
//! | `quota.rs` | quotactl                                                          |
//! | `subvolume.rs` | making and deleting subvolumes                                |
//! | `write.rs` | writing data of regular files                                     |
//! | `xattr.rs` | extended attributes and access control lists                      |

mod attr;
mod change;
mod charge;
mod dir;
mod errno;
mod export;
mod file;
mod inode;
mod ioctl;
mod job;
mod mount;
mod names;
mod quota;
mod subvolume;
mod write;
mod xattr;

pub use self::{
    inode::Node,
    ioctl::{
        register_control,
        ControlRegistration, //
    },
    mount::{
        register,
        Mount,
        Registration, //
    },
};

/// bcachefs as a type of filesystem.
pub struct Bcachefs;
