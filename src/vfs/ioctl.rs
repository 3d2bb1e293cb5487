// SPDX-License-Identifier: GPL-2.0

//! ioctl(2).

use super::{
    Bcachefs,
    Mount, //
};
use crate::sys::fs::Controls;

impl Controls for Bcachefs {
    fn label(mount: &Mount) -> &[u8] {
        mount.fs.view.sb().sb.label().bytes()
    }
}
