// SPDX-License-Identifier: GPL-2.0

//! Telling those who watch a filesystem of its errors: fanotify(7) with `FAN_FS_ERROR`. Errors of
//! file data are told by what reads and writes it.

use crate::{
    bindings,
    error::{
        errno::Errno,
        Result, //
    },
    sys::sync::SpinLock,
};
use core::ptr::NonNull;

/// A superblock.
///
/// # Invariants
///
/// It was filled, and `->put_super` was not called or waits for the lock that this is behind.
struct Filled(NonNull<bindings::super_block>);

// SAFETY: All that is done with it is to report errors, which any thread may.
unsafe impl Send for Filled {}

/// Who is told of the errors of a filesystem: nobody before it is mounted, and after.
pub struct Watchers(SpinLock<Option<Filled>>);

impl Watchers {
    /// Nobody yet.
    pub fn try_new() -> Result<Self> {
        Ok(Self(SpinLock::try_new(None)?))
    }

    /// Those of the superblock `sb`, from now on.
    ///
    /// # Safety
    ///
    /// It was filled, and [`detach`](Self::detach) is called before `->put_super` returns.
    pub(super) unsafe fn attach(&self, sb: *mut bindings::super_block) {
        // INVARIANT: By the function's contract.
        *self.0.lock() = NonNull::new(sb).map(Filled);
    }

    /// Nobody any more.
    pub(super) fn detach(&self) {
        *self.0.lock() = None;
    }

    /// Tells of damaged metadata. May be called anywhere.
    pub fn metadata(&self) {
        self.tell(Errno::EUCLEAN);
    }

    /// Tells that nothing is written any more because of an error. May be called anywhere.
    pub fn shutdown(&self) {
        self.tell(Errno::ESHUTDOWN);
    }

    fn tell(&self, e: Errno) {
        let sb = self.0.lock();
        if let Some(Filled(sb)) = &*sb {
            // SAFETY: By the type invariant the superblock is there as long as the lock is held.
            unsafe { bindings::bch_rs_report_error(sb.as_ptr(), e.0.wrapping_neg()) };
        }
    }
}
