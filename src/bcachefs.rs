// SPDX-License-Identifier: GPL-2.0

//! bcachefs: a copy-on-write filesystem for one or many devices.
//!
//! The layers, lowest first. A layer uses only those above it in this table.
//!
//! | module      | holds                                                             |
//! |-------------|-------------------------------------------------------------------|
//! | `error`     | the one error type                                                |
//! | `env`       | memory, log, numbers, hashes                                      |
//! | `format`    | every byte on disk                                                |
//! | `algo`      | pure functions on what `format` decodes                           |
//! | `sys`       | safe wrappers over the kernel's C interfaces                      |
//! | `sb`        | member devices and superblocks                                    |
//! | `journal`   | reading the journal                                               |
//! | `btree`     | nodes, their cache, iterators                                     |
//! | `alloc`     | space in use                                                      |
//! | `snapshots` | snapshot trees and subvolumes                                     |
//! | `data`      | extents: from a range of a file to bytes                          |
//! | `fs`        | inodes, directories, attributes                                   |
//! | `init`      | starting and stopping a filesystem                                |
//! | `check`     | checking what is on disk, and repairing it                        |
//! | `ctl`       | what a filesystem shows of itself in sysfs and to ioctl           |
//! | `vfs`       | translation between the VFS and the layers above                  |

#[forbid(unsafe_code)]
pub mod algo;
#[deny(unsafe_code)]
pub mod alloc;
mod bindings;
#[deny(unsafe_code)]
pub mod btree;
#[deny(unsafe_code)]
pub mod check;
#[deny(unsafe_code)]
pub mod ctl;
#[deny(unsafe_code)]
pub mod data;
pub mod env;
#[forbid(unsafe_code)]
pub mod error;
#[forbid(unsafe_code)]
pub mod format;
#[deny(unsafe_code)]
pub mod fs;
#[deny(unsafe_code)]
pub mod init;
#[deny(unsafe_code)]
pub mod journal;
#[deny(unsafe_code)]
pub mod sb;
#[deny(unsafe_code)]
pub mod snapshots;
pub mod sys;
#[deny(unsafe_code)]
pub mod vfs;

use kernel::prelude::*;

module! {
    type: Bcachefs,
    name: "bcachefs",
    authors: ["The bcachefs-rs authors"],
    description: "bcachefs filesystem",
    license: "GPL",
    alias: ["fs-bcachefs"],
}

/// The loaded module.
struct Bcachefs {
    /// Unregisters the filesystem type when the module goes. After that there is no mount.
    _registration: vfs::Registration,
    /// Removes the control device for all filesystems.
    _control: vfs::ControlRegistration,
    /// Removes the directory in sysfs.
    _sysfs: ctl::Registration,
}

impl kernel::Module for Bcachefs {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let sysfs = ctl::register().map_err(|e| Error::from_errno(-e.0))?;
        let control = vfs::register_control().map_err(|e| Error::from_errno(-e.0))?;
        let registration = vfs::register(module).map_err(|e| Error::from_errno(-e.0))?;
        Ok(Self {
            _registration: registration,
            _control: control,
            _sysfs: sysfs,
        })
    }
}
