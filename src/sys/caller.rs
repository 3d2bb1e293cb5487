// SPDX-License-Identifier: GPL-2.0

//! The process that made a system call: its memory, and what it may do.

use crate::{
    bindings,
    error::errno::Errno, //
};
use kernel::uaccess::{
    UserPtr,
    UserSlice, //
};

type Result<T = ()> = core::result::Result<T, Errno>;

/// C: `CAP_SYS_RESOURCE`.
const RESOURCE: kernel::ffi::c_int = 24;

/// The longest text taken, with its final NUL. C: `PATH_MAX`.
const TEXT_MAX: usize = 4096;

/// Copies what is at the address `from` to `to`. `EFAULT` when the caller has no such memory.
pub fn read(from: usize, to: &mut [u8]) -> Result {
    let from = UserSlice::new(UserPtr::from_addr(from), to.len());
    from.reader().read_slice(to).map_err(|_| Errno::EFAULT)
}

/// Copies `bytes` to the address `to`. `EFAULT` when the caller has no such memory.
pub fn write(to: usize, bytes: &[u8]) -> Result {
    let to = UserSlice::new(UserPtr::from_addr(to), bytes.len());
    to.writer().write_slice(bytes).map_err(|_| Errno::EFAULT)
}

/// Copies the text at the address `from` to `to`, as much as fits, and returns its length there.
/// `EFAULT` when the caller has no such memory.
pub fn read_text(from: usize, to: &mut [u8]) -> Result<usize> {
    let from = UserSlice::new(UserPtr::from_addr(from), TEXT_MAX);
    let text = from.reader().strcpy_into_buf(to);
    text.map(|t| t.to_bytes().len()).map_err(|_| Errno::EFAULT)
}

/// Whether the caller may administer the system (`CAP_SYS_ADMIN`).
pub fn is_admin() -> bool {
    // SAFETY: Looks at the calling task only.
    unsafe { bindings::bch_rs_capable_admin() }
}

/// Whether the caller may have more than quotas allow (`CAP_SYS_RESOURCE`).
pub fn may_exceed_quotas() -> bool {
    // SAFETY: Looks at the calling task only.
    unsafe { bindings::capable(RESOURCE) }
}

/// Whether the caller has got a signal, and should not be kept longer than necessary.
pub fn is_interrupted() -> bool {
    kernel::current!().signal_pending()
}
