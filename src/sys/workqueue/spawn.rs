// SPDX-License-Identifier: GPL-2.0

//! Closures as items of a work queue.

use super::{
    super::reclaim::NoFs,
    WorkQueue, //
};
use crate::{
    bindings,
    env::Box,
    error::{
        Error,
        Result, //
    },
    sys::wait::WaitQueue,
};
use core::{
    ffi::c_void,
    sync::atomic::{
        AtomicBool,
        Ordering, //
    },
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
            run: Some(f),
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

impl WorkQueue {
    /// Runs `f` in a task of the queue, on a stack of its own, and waits for it: for what needs
    /// more stack than the caller may have left. The caller must hold nothing that `f` waits for.
    ///
    /// On failure `f` has not run: there is no memory for it.
    pub fn call<R: Send, F: FnOnce() -> R + Send>(&self, f: F) -> Result<R> {
        let mut call = Call {
            f: Some(f),
            result: None,
            done: AtomicBool::new(false),
            waiter: WaitQueue::new(),
        };
        let at = Borrowed((&raw mut call).cast());
        // SAFETY: `call` is a `Call<F, R>`, and it is there until `done` was set, which is the last
        // that the task looks at; waking uses nothing but an address.
        self.spawn(move || unsafe { run_call::<F, R>(at) })?;
        call.waiter.wait(|| call.done.load(Ordering::Acquire));
        call.result.take().ok_or(Error::NoMemory)
    }
}

/// A closure whose caller waits.
struct Call<F, R> {
    f: Option<F>,
    result: Option<R>,
    done: AtomicBool,
    waiter: WaitQueue,
}

/// Where a [`Call`] is.
struct Borrowed(*mut c_void);

// SAFETY: What it points to is used by one task at a time, and may be sent to another: `call` asks
// for that.
unsafe impl Send for Borrowed {}

/// Runs a call.
///
/// # Safety
///
/// `at` must be a `Call<F, R>` that nobody uses until `done` was set, and that is there until then.
unsafe fn run_call<F: FnOnce() -> R, R>(at: Borrowed) {
    let call = at.0.cast::<Call<F, R>>();
    // SAFETY: By the function's contract. After `done` was set, the call may be gone: of the queue
    // only the address is taken, before.
    unsafe {
        if let Some(f) = (*call).f.take() {
            (*call).result = Some(f());
        }
        let waiter = &raw const (*call).waiter;
        (*call).done.store(true, Ordering::Release);
        WaitQueue::wake_all_at(waiter);
    }
}

/// A closure in a queue.
///
/// It is there until the closure has returned: the kernel takes an item at the same address, with
/// the same function, for the one that is running, and waits for that to end before it begins. Who
/// waits in the one for the other would do so for ever.
#[repr(C)]
struct Item<F> {
    work: bindings::work_struct,
    run: Option<F>,
}

/// Runs an item.
///
/// # Safety
///
/// `work` must be that of an `Item<F>` in a box, which is taken over.
unsafe extern "C" fn run<F: FnOnce()>(work: *mut bindings::work_struct) {
    // SAFETY: By the function's contract; the work is the first field. Nobody looks at it once its
    // function was called.
    let mut item = unsafe { Box::from_raw(work.cast::<Item<F>>()) };
    let _scope = NoFs::enter();
    if let Some(f) = item.run.take() {
        f();
    }
}
