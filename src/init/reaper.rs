// SPDX-License-Identifier: GPL-2.0

//! Subvolumes without a name, and dead snapshots, are deleted in the background.

use super::rw::ReadWrite;
use crate::{
    alloc::space::{
        Engine,
        Space, //
    },
    env::{
        pr_err,
        Arc, //
    },
    error::{
        Class,
        Result, //
    },
    snapshots::{
        clean_up,
        View,
        Writing, //
    },
    sys::{
        sync::Mutex,
        task::{
            Stop,
            Thread, //
        },
    },
};

/// Milliseconds between looks.
const LOOK_MS: u64 = 500;
/// Milliseconds until it is tried again when it did not work.
const AGAIN_MS: u64 = 30_000;

/// The thread that does so; none while the filesystem is read-only.
pub(super) struct Reaper(Mutex<Option<Thread>>);

impl Reaper {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self(Mutex::try_new(None)?))
    }

    /// C: `bch2_delete_dead_snapshots_async()`.
    pub(super) fn start(&self, rw: &ReadWrite, view: &Arc<View>) -> Result {
        let (name, rw, seen) = (view.sb().name(), rw.handle(), view.clone());
        let thread = Thread::spawn(format_args!("bch-reap/{name}"), move |stop| {
            run(rw.engine(), &seen, stop);
        })?;
        let before = self.0.lock().replace(thread);
        drop(before);
        Ok(())
    }

    /// Waits until the thread has ended. What is not done then is done later.
    pub(super) fn stop(&self) {
        let thread = self.0.lock().take();
        drop(thread);
    }
}

/// What it takes to change snapshots.
pub(super) fn writing(engine: Engine<'_>) -> Writing<'_, Space> {
    Writing {
        btrees: engine.btrees,
        writer: engine.writer,
    }
}

fn run(engine: Engine<'_>, view: &View, stop: &Stop) {
    while !stop.requested() && engine.writer.journal.halted().is_none() {
        let w = writing(engine);
        let stop_now = || stop.requested();
        let ms = match clean_up(&w, view, &stop_now) {
            Ok(()) => LOOK_MS,
            Err(e) => {
                pr_err!("{}: deleting snapshots: {e}", view.sb().name());
                match e.class() {
                    Class::NoMemory | Class::NoSpace | Class::Again => AGAIN_MS,
                    // That will not change before the next mount.
                    _ => return,
                }
            }
        };
        stop.sleep_ms(ms);
    }
}
