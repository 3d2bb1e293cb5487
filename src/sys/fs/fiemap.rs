// SPDX-License-Identifier: GPL-2.0

//! `FS_IOC_FIEMAP`: where the data of a file is.

use super::{
    file::FileData,
    inode::INode,
    Result, //
};
use crate::{
    bindings,
    error::errno::Errno,
    sys::{
        check,
        returned, //
    },
};
use core::{
    ffi::c_int,
    marker::PhantomData, //
};

/// Where the mappings of a file go: to the caller's memory.
///
/// # Invariants
///
/// The request of a call that lasts as long as `'a`.
pub struct MapList<'a> {
    info: *mut bindings::fiemap_extent_info,
    call: PhantomData<&'a mut ()>,
}

impl MapList<'_> {
    /// Adds a mapping of `len` bytes; `flags` are `FIEMAP_EXTENT_*`. Returns `false` when no more
    /// are wanted.
    pub fn add(&mut self, logical: u64, physical: u64, len: u64, flags: u32) -> Result<bool> {
        // SAFETY: By the type invariant.
        let ret =
            unsafe { bindings::fiemap_fill_next_extent(self.info, logical, physical, len, flags) };
        check(ret)?;
        Ok(ret == 0)
    }
}

/// `->fiemap`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn fiemap<T: FileData>(
    inode: *mut bindings::inode,
    info: *mut kernel::bindings::fiemap_extent_info,
    start: u64,
    len: u64,
) -> c_int {
    let info: *mut bindings::fiemap_extent_info = info.cast();
    let mut len = len;
    // SAFETY: An inode of ours, and a request of the VFS.
    let inode = unsafe {
        let mut ret = bindings::fiemap_prep(inode, info, start, &mut len, 0);
        if ret == 0 {
            // What is dirty has no place yet, and has to get one.
            ret = bindings::filemap_write_and_wait_range((*inode).i_mapping, 0, i64::MAX);
        }
        if ret != 0 {
            return ret;
        }
        INode::<T>::from_raw(inode)
    };
    let Some(end) = start.checked_add(len) else {
        return Errno::EINVAL.0.wrapping_neg();
    };
    // INVARIANT: The VFS passed it for this call.
    let mut to = MapList {
        info,
        call: PhantomData,
    };
    returned(T::map(inode, start, end, &mut to))
}
