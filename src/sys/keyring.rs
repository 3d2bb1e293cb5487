// SPDX-License-Identifier: GPL-2.0

//! Keys that user space has left in a keyring.

use crate::{
    bindings,
    env::num,
    error::errno::Errno, //
};
use core::ffi::CStr;
use kernel::str::CStrExt as _;

/// Copies the key of type "user" that is called `description` to `to`, as much as fits, and returns
/// its length. The thread, process and session keyrings of the calling task are searched, and what
/// is linked to them. May sleep.
///
/// Errors: `ENOKEY`, `EKEYEXPIRED`, `EKEYREVOKED`, `EACCES`, and what else `request_key()` gives.
pub fn read_user_key(description: &CStr, to: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `description` is a string, `to` a buffer of the length given.
    let ret = unsafe {
        bindings::bch_rs_read_user_key(description.as_char_ptr(), to.as_mut_ptr(), to.len())
    };
    match usize::try_from(ret) {
        Ok(len) => Ok(len),
        Err(_) => {
            let errno = num::low_u32(num::u64_of(ret.unsigned_abs()));
            Err(Errno(num::i32_of_bits(errno)))
        }
    }
}
