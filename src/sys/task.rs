// SPDX-License-Identifier: GPL-2.0

//! Threads of the kernel, and processors.

pub use super::stop::Stop;
use super::{
    check_ptr,
    reclaim::NoFs, //
};
use crate::{
    bindings,
    env::{
        num,
        Arc,
        Box, //
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
};
use core::{
    ffi::{
        c_int,
        c_void, //
    },
    fmt,
    ptr::NonNull, //
};
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    str::{
        CStrExt as _,
        CString, //
    },
};

/// The processor that this runs on; the next moment it may be another one.
pub fn cpu() -> usize {
    num::usize_of_u32(CpuId::current().as_u32())
}

/// How many processors there may be.
pub fn nr_cpus() -> usize {
    num::usize_of_u32(nr_cpu_ids())
}

/// A thread. Dropping it tells it to stop, and waits until it has returned; it must not be dropped
/// by the thread itself.
///
/// # Invariants
///
/// `task` is a kernel thread of which we hold a reference, and that nobody else stops. `job` came
/// from `Box::<Job<F>>::into_raw()` and belongs to the thread once that runs; `discard` is
/// `discard::<F>` with the same `F`.
pub struct Thread {
    task: NonNull<bindings::task_struct>,
    stop: Arc<Stop>,
    job: *mut c_void,
    discard: unsafe fn(*mut c_void),
}

// SAFETY: A thread may be woken and stopped from any other one.
unsafe impl Send for Thread {}
// SAFETY: Through a shared reference it is only woken, which is atomic.
unsafe impl Sync for Thread {}

/// What a thread runs.
struct Job<F> {
    run: F,
    stop: Arc<Stop>,
}

impl Thread {
    /// Starts a thread that `ps` shows as `name`. It runs `f`, which has to return soon after
    /// [`Stop::requested`] is true. It allocates without asking filesystems for memory.
    pub fn spawn<F>(name: fmt::Arguments<'_>, f: F) -> Result<Self>
    where
        F: FnOnce(&Stop) + Send + 'static,
    {
        let name = CString::try_from_fmt(name).map_err(|_| Error::NoMemory)?;
        let stop = Arc::try_new(Stop::default())?;
        let job = Job {
            run: f,
            stop: stop.clone(),
        };
        let job = Box::try_new(job)?.into_raw().cast::<c_void>();
        // SAFETY: `run::<F>` takes a job of `F`; the name is a string, which is copied.
        let task =
            unsafe { bindings::bch_rs_thread_start(Some(run::<F>), job, name.as_char_ptr()) };
        match check_ptr(task).and_then(|t| NonNull::new(t).ok_or(Errno::ENOMEM)) {
            // INVARIANT: Just started, with a job of `F`.
            Ok(task) => Ok(Self {
                task,
                stop,
                job,
                discard: discard::<F>,
            }),
            Err(e) => {
                // SAFETY: A job of `F`, and there is no thread that it could belong to.
                unsafe { discard::<F>(job) };
                Err(Error::from(e))
            }
        }
    }

    /// Ends the sleep that the thread is in, or the next one.
    pub fn wake(&self) {
        self.stop.wake();
    }

    /// Tells the thread to stop, without waiting for it.
    pub fn ask_to_stop(&self) {
        self.stop.request();
    }

    /// Tells the thread to stop and waits until it has returned.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.stop.request();
        // SAFETY: By the type invariant we have a reference, which goes with this.
        let never_ran = unsafe { bindings::bch_rs_thread_stop(self.task.as_ptr()) };
        if never_ran {
            // SAFETY: By the type invariant the job is one of this function's type; the thread did
            // not take it over and has ended.
            unsafe { (self.discard)(self.job) };
        }
    }
}

/// The thread.
///
/// # Safety
///
/// `job` must be from `Box::<Job<F>>::into_raw()`, and is taken over.
unsafe extern "C" fn run<F: FnOnce(&Stop)>(job: *mut c_void) -> c_int {
    // SAFETY: By the function's contract.
    let job = unsafe { Box::from_raw(job.cast::<Job<F>>()) }.into_inner();
    let _scope = NoFs::enter();
    (job.run)(&job.stop);
    0
}

/// Frees a job that was not run.
///
/// # Safety
///
/// As [`run`].
unsafe fn discard<F>(job: *mut c_void) {
    // SAFETY: By the function's contract.
    drop(unsafe { Box::from_raw(job.cast::<Job<F>>()) });
}
