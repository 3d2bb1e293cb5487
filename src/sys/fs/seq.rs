// SPDX-License-Identifier: GPL-2.0

//! Text for files in `/proc`.

use super::{
    sb::SuperBlock,
    FileSystem, //
};
use crate::{
    bindings,
    sys::returned, //
};
use core::{
    ffi::c_int,
    fmt,
    marker::PhantomData, //
};

/// The text of a file in `/proc`, for `write!`. What does not fit is dropped; the kernel sees it
/// and starts again with more room.
///
/// # Invariants
///
/// A `seq_file` that is being shown, for as long as `'a`.
pub struct Seq<'a> {
    file: *mut bindings::seq_file,
    call: PhantomData<&'a mut ()>,
}

impl fmt::Write for Seq<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: By the type invariant; the text is readable for its length.
        unsafe { bindings::seq_write(self.file, s.as_ptr().cast(), s.len()) };
        Ok(())
    }
}

/// `->show_options`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn show_options<T: FileSystem>(
    file: *mut bindings::seq_file,
    root: *mut bindings::dentry,
) -> c_int {
    // INVARIANT: The VFS passed the file for this call.
    let mut to = Seq {
        file,
        call: PhantomData,
    };
    // SAFETY: `root` is the root of a mount of ours.
    let sb = unsafe { SuperBlock::<T>::from_raw((*root).d_sb) };
    returned(T::show_options(sb.data(), &mut to))
}
