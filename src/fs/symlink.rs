// SPDX-License-Identifier: GPL-2.0

//! Where symbolic links lead: the link's data.

use super::SubvolInum;
use crate::{
    data::read_sync,
    env::{
        num::usize_of,
        pr_err,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::values::inode::Inode,
    snapshots::View,
};

/// Longest target, with the zero byte at its end. C: `PATH_MAX`.
const TARGET_MAX: u64 = 4096;

/// Reads where the symbolic link `at` leads: without a zero byte at the end, and with none in it.
///
/// C: `bch2_symlink()`, `page_get_link()`.
pub fn target(view: &View, at: SubvolInum, inode: &Inode) -> Result<Vec<u8>> {
    if inode.size == 0 || inode.size > TARGET_MAX {
        pr_err!("{at}: symbolic link of {} bytes", inode.size);
        return Err(Error::SymlinkInvalid);
    }
    let mut out = Vec::from_elem(0u8, usize_of(inode.size))?;
    read_sync(view, at.file(view)?, 0, &mut out)?;
    let len = out.iter().position(|b| *b == 0).unwrap_or(out.len());
    out.truncate(len);
    Ok(out)
}
