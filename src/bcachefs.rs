// SPDX-License-Identifier: GPL-2.0

//! bcachefs: a copy-on-write filesystem for one or many devices.
//!
//! The layers, lowest first; a layer uses only those above it in this table.
//!
//! | module     | holds                                                         |
//! |------------|---------------------------------------------------------------|
//! | `error`    | the one error type                                            |
//! | `env`      | memory, log, numbers                                          |
//! | `sys`      | safe wrappers over kernel C                                   |
//! | `vfs`      | translation between the VFS and the filesystem                |

mod bindings;
pub mod env;
#[forbid(unsafe_code)]
pub mod error;
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
    /// Unregisters the filesystem type when the module goes.
    _registration: vfs::Registration,
}

impl kernel::Module for Bcachefs {
    fn init(module: &'static ThisModule) -> Result<Self> {
        let registration = vfs::register(module).map_err(|e| Error::from_errno(-e.0))?;
        Ok(Self {
            _registration: registration,
        })
    }
}
