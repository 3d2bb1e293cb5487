// SPDX-License-Identifier: GPL-2.0

//! Threads.

pub use super::stop::Stop;
use crate::{
    env::Arc,
    error::{
        Error,
        Result, //
    },
};
use std::{
    fmt,
    thread::{
        Builder,
        JoinHandle, //
    },
};

/// A processor: always the same one for a thread.
pub fn cpu() -> usize {
    thread_local! {
        static HERE: u8 = const { 0 };
    }
    HERE.with(|here| std::ptr::from_ref(here).addr() >> 12) % nr_cpus()
}

/// How many processors there are.
pub fn nr_cpus() -> usize {
    4
}

/// A thread. Dropping it tells it to stop, and waits until it has returned.
#[derive(Debug)]
pub struct Thread {
    stop: Arc<Stop>,
    /// `None` only while it is dropped.
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    /// Starts a thread. It runs `f`, which has to return soon after [`Stop::requested`] is true.
    pub fn spawn<F>(name: fmt::Arguments<'_>, f: F) -> Result<Self>
    where
        F: FnOnce(&Stop) + Send + 'static,
    {
        let stop = Arc::try_new(Stop::default())?;
        let its = stop.clone();
        let handle = Builder::new()
            .name(name.to_string())
            .spawn(move || f(&its))
            .map_err(|_| Error::NoMemory)?;
        Ok(Self {
            stop,
            handle: Some(handle),
        })
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
        let outcome = self.handle.take().map(JoinHandle::join);
        if let (Some(Err(panic)), false) = (outcome, std::thread::panicking()) {
            std::panic::resume_unwind(panic);
        }
    }
}
