// SPDX-License-Identifier: GPL-2.0

//! Closures as items of a work queue.

use super::{
    super::reclaim::NoFs,
    WorkQueue, //
};
use crate::{
    bindings,
    env::Box,
    error::Result, //
};
use kernel::str::CStrExt as _;

impl WorkQueue {
    /// Runs `f` in a task of the queue, soon. Items may run at the same time, in any order. They
    /// allocate without asking filesystems for memory.
    ///
    /// On failure `f` is dropped: there is no memory for it.
    pub fn spawn<F>(&self, f: F) -> Result
    where
        F: FnOnce() + Send + 'static,
    {
        let item = Item {
            work: bindings::work_struct::default(),
            run: f,
        };
        let item = Box::try_new(item)?.into_raw();
        // SAFETY: The item is ours until it is queued, then `run::<F>` takes it over. It does not
        // move. The name lives for ever, as does the class.
        unsafe {
            bindings::init_work_with_key(
                &raw mut (*item).work,
                Some(run::<F>),
                false,
                c"bcachefs_spawn".as_char_ptr(),
                kernel::static_lock_class!().as_ptr(),
            );
            bindings::queue_work_on(bindings::ANY_CPU, self.as_ptr(), &raw mut (*item).work);
        }
        Ok(())
    }
}

/// A closure in a queue.
#[repr(C)]
struct Item<F> {
    work: bindings::work_struct,
    run: F,
}

/// Runs an item.
///
/// # Safety
///
/// `work` must be that of an `Item<F>` in a box, which is taken over.
unsafe extern "C" fn run<F: FnOnce()>(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract; the work is the first field. Nobody looks at it once its
    // function was called.
    let item = unsafe { Box::from_raw(work.cast::<Item<F>>()) }.into_inner();
    let _scope = NoFs::enter();
    (item.run)();
}
