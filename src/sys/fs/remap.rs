// SPDX-License-Identifier: GPL-2.0

//! Sharing data between files: `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE`, copy_file_range(2).

use super::{inode::INode, write::FileWrite, write_ops::clear_old_end};
use crate::{
    bindings,
    env::num,
    sys::check, //
};
use core::ffi::c_uint;

/// `->remap_file_range`.
///
/// C: `bch2_remap_file_range()`.
///
/// # Safety
///
/// For the VFS to call, with open files of `T`.
pub(super) unsafe extern "C" fn remap_file_range<T: FileWrite>(
    from: *mut bindings::file,
    pos_from: bindings::loff_t,
    to: *mut bindings::file,
    pos_to: bindings::loff_t,
    mut len: bindings::loff_t,
    flags: c_uint,
) -> bindings::loff_t {
    // SAFETY: By the function's contract. Locked and unlocked in pairs.
    let (source, target) = unsafe {
        let ret = bindings::bch_rs_remap_start(from, pos_from, to, pos_to, &mut len, flags);
        if ret != 0 || len == 0 {
            return ret.into();
        }
        (
            INode::<T>::from_raw((*from).f_inode),
            INode::<T>::from_raw((*to).f_inode),
        )
    };
    let [from_byte, to_byte, bytes] = [pos_from, pos_to, len].map(num::u64_of_bits);
    let end = to_byte.saturating_add(bytes);
    let done = clear_old_end(target, end).and_then(|()| {
        // SAFETY: The inodes are locked, and nobody brings pages to their caches.
        check(unsafe { bindings::bch_rs_remap_drop(to, pos_to, len) })?;
        T::share_data((source, from_byte), (target, to_byte), bytes, end)
    });
    // SAFETY: As above.
    let is_synchronous = unsafe {
        if done.is_ok() && end > target.size() {
            bindings::bch_rs_set_longer(target.as_ptr(), num::i64_of_bits(end));
        }
        bindings::bch_rs_remap_end(from, to);
        bindings::bch_rs_file_is_synchronous(to)
    };
    let safe = done.and_then(|()| match is_synchronous {
        true => T::sync_data(target),
        false => Ok(()),
    });
    match safe {
        Ok(()) => len,
        Err(e) => e.0.wrapping_neg().into(),
    }
}
