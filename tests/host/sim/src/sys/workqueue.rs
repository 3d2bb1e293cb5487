// SPDX-License-Identifier: GPL-2.0

//! Work queues.

use super::task::{
    Stop,
    Thread, //
};
use crate::{
    env::Arc,
    error::Result, //
};
use std::{
    collections::VecDeque,
    ffi::CStr,
    fmt,
    sync::{
        Mutex,
        MutexGuard,
        PoisonError, //
    },
};

/// How many items of a queue run at the same time.
const WORKERS: usize = 3;

type Item = Box<dyn FnOnce() + Send>;

/// A work queue. Dropping it waits until the last item has returned.
pub struct WorkQueue {
    shared: Arc<Shared>,
    workers: Vec<Thread>,
}

#[derive(Default)]
struct Shared(Mutex<VecDeque<Item>>);

impl Shared {
    fn items(&self) -> MutexGuard<'_, VecDeque<Item>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a thread of the queue does.
    fn work(&self, stop: &Stop) {
        loop {
            let item = self.items().pop_front();
            match item {
                Some(run) => run(),
                None if stop.requested() => return,
                None => stop.sleep(),
            }
        }
    }
}

impl WorkQueue {
    /// Runs `f`. In the kernel it gets a stack of its own; here stacks are large.
    pub fn call<R: Send, F: FnOnce() -> R + Send>(&self, f: F) -> Result<R> {
        Ok(f())
    }
}

impl WorkQueue {
    /// Makes a queue with threads of its own.
    pub fn try_new(name: &'static CStr) -> Result<Self> {
        let shared = Arc::try_new(Shared::default())?;
        let mut workers = Vec::new();
        for i in 0..WORKERS {
            let its = shared.clone();
            let name = name.to_string_lossy();
            workers.push(Thread::spawn(format_args!("{name}/{i}"), move |stop| {
                its.work(stop);
            })?);
        }
        Ok(Self { shared, workers })
    }

    /// Runs `f` in a thread of the queue, soon. Items may run at the same time, in any order.
    pub fn spawn<F>(&self, f: F) -> Result
    where
        F: FnOnce() + Send + 'static,
    {
        self.shared.items().push_back(Box::new(f));
        for worker in &self.workers {
            worker.wake();
        }
        Ok(())
    }
}

impl fmt::Debug for WorkQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkQueue({} items)", self.shared.items().len())
    }
}
