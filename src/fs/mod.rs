// SPDX-License-Identifier: GPL-2.0

//! Filesystem semantics: inodes, directories, attributes. Nothing of the VFS.
//!
//! | file         | holds                                                                  |
//! |--------------|------------------------------------------------------------------------|
//! | `first.rs`   | the directories that every filesystem begins with                       |
//! | `inode.rs`   | finding inodes                                                          |
//! | `dirent.rs`  | looking up names, reading directories                                   |
//! | `probe.rs`   | walking the entries a name's hash can lead to                           |
//! | `fold.rs`    | names compared without case                                             |
//! | `xattr.rs`   | extended attributes                                                     |
//! | `options.rs` | options of an inode as extended attributes                              |
//! | `acl.rs`     | access control lists                                                    |
//! | `change/`    | changing all this                                                       |
//! | `cookie.rs`  | positions in directories for callers with 31 bits for them              |
//! | `handle.rs`  | handles of files, and the directories above them                        |
//! | `quota.rs`   | quotas: limits, and what is in use                                     |
//! | `symlink.rs` | where symbolic links lead                                               |
//! | `stat.rs`    | what `stat` and `statfs` show                                           |
//!
//! Every inode belongs to a subvolume, and what is found depends on the snapshot that the
//! subvolume is at: a [`SubvolInum`] names one. Operations on a directory or an inode are given
//! what its inode says too, as callers have that at hand.

mod fold;
mod probe;

pub mod acl;
pub mod change;
pub mod cookie;
pub mod dirent;
pub mod first;
pub mod handle;
pub mod inode;
pub mod options;
pub mod quota;
pub mod stat;
pub mod symlink;
pub mod xattr;

pub use fold::folds_case;
pub use inode::SubvolInum;
