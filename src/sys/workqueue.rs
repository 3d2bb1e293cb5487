// SPDX-License-Identifier: GPL-2.0

//! Work queues of our own: for what has to run in a task, but not in the one that is there.

mod spawn;

use crate::{
    bindings,
    error::{
        Error,
        Result, //
    },
};
use core::{
    ffi::CStr,
    ptr::NonNull, //
};
use kernel::str::CStrExt as _;

/// A work queue that makes progress while memory is short.
///
/// Items are closures, and what the modules of this folder queue that own a `work_struct`. Dropping
/// the queue waits until the last item has returned.
///
/// # Invariants
///
/// The pointer came from `alloc_workqueue()` and is destroyed only by `drop`.
pub struct WorkQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A `workqueue_struct` may be used and destroyed from any thread.
unsafe impl Send for WorkQueue {}
// SAFETY: Queueing work is safe from several threads at once.
unsafe impl Sync for WorkQueue {}

impl WorkQueue {
    /// Makes a queue whose items can run on any CPU; `name` is what `ps` shows of its rescuer
    /// thread.
    pub fn try_new(name: &'static CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_UNBOUND)
    }

    /// Makes a queue whose items run on the CPU they are queued on, one after the other but for
    /// those that sleep: for many that take little time each, as no thread is woken for each.
    pub fn try_new_local(name: &'static CStr) -> Result<Self> {
        Self::with_flags(name, bindings::wq_flags_WQ_PERCPU)
    }

    fn with_flags(name: &'static CStr, flags: u32) -> Result<Self> {
        let flags = flags | bindings::wq_flags_WQ_MEM_RECLAIM;
        // SAFETY: The format takes one string, `name` is one and lives for ever. 0 asks for the
        // default number of items running at once.
        let wq = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        // INVARIANT: Just allocated.
        NonNull::new(wq).map(Self).ok_or(Error::NoMemory)
    }

    /// The C object; valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *mut bindings::workqueue_struct {
        self.0.as_ptr()
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the queue is ours; `destroy_workqueue()` drains it first.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
