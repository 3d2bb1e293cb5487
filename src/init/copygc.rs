// SPDX-License-Identifier: GPL-2.0

//! Data is moved in the background, so that there are free buckets.

use super::rw::ReadWrite;
use crate::{
    alloc::space::{
        Copying,
        Engine, //
    },
    data::mover::Mover,
    env::{
        pr_err,
        Arc, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::opts::OptId,
    snapshots::View,
    sys::{
        sync::Mutex,
        task::{
            Stop,
            Thread, //
        },
    },
};

/// Milliseconds between looks whether it is worth it, when nobody waits for a bucket.
const LOOK_MS: u64 = 1000;
/// Milliseconds until the next look after there was nothing to be gained.
const AGAIN_MS: u64 = 10_000;

/// Milliseconds until it is tried again when there was no memory.
const SOON_MS: u64 = 50;

/// The thread that does so; none while the filesystem is read-only.
pub(super) struct CopyGc(Mutex<Option<Thread>>);

impl CopyGc {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self(Mutex::try_new(None)?))
    }

    /// C: `bch2_copygc_start()`.
    pub(super) fn start(&self, rw: &ReadWrite, view: &Arc<View>) -> Result {
        let (name, rw, seen) = (view.sb().name(), rw.handle(), view.clone());
        let thread = Thread::spawn(format_args!("bch-copygc/{name}"), move |stop| {
            run(rw.engine(), &seen, stop);
        })?;
        let before = self.0.lock().replace(thread);
        drop(before);
        Ok(())
    }

    /// Waits until the thread has ended: with the extent it is at, not with the bucket.
    ///
    /// C: `bch2_copygc_stop()`.
    pub(super) fn stop(&self, rw: Option<&ReadWrite>) {
        let thread = self.0.lock().take();
        if let Some(thread) = &thread {
            thread.ask_to_stop();
            if let Some(rw) = rw {
                rw.engine().writer.hooks.want_copygc();
            }
        }
        drop(thread);
    }
}

/// Moves data while the option `copygc_enabled` says yes.
///
/// C: `bch2_copygc_thread()`.
fn run(engine: Engine<'_>, view: &View, stop: &Stop) {
    let is_over = || stop.requested() || engine.writer.journal.halted().is_some();
    let is_on = || view.sb().opts.is_on(OptId::CopygcEnabled);
    while !is_over() {
        match is_on() {
            true => run_while_on(engine, view, stop, &|| is_over() || !is_on()),
            false => stop.sleep_ms(LOOK_MS),
        }
    }
}

fn run_while_on(engine: Engine<'_>, view: &View, stop: &Stop, ends: &dyn Fn() -> bool) {
    let space = &engine.writer.hooks;
    let copying = Copying::begin(space);
    let mut mover = Mover::default();
    let mut ms = LOOK_MS;
    while !ends() {
        let urgent = copying.wait(ms);
        ms = LOOK_MS;
        if ends() || !urgent && space.copygc_wait() != 0 {
            continue;
        }
        let round = || mover.round(engine, view, urgent, ends);
        let done = copying.round(round, |r| match r {
            Ok(round) => round.is_fruitful(),
            // It can be otherwise the next time.
            Err(e) => is_for_now(*e),
        });
        match done {
            Ok(round) if round.is_fruitful() => ms = 0,
            Ok(_) => ms = AGAIN_MS,
            Err(e) => {
                let is_news = e.class() != Class::NoSpace;
                if is_news && !ends() && view.sb().admit_message() {
                    pr_err!("{}: moving data: {e}", view.sb().name());
                }
                ms = AGAIN_MS;
                if is_for_now(e) {
                    stop.sleep_ms(SOON_MS);
                }
            }
        }
    }
}

const fn is_for_now(e: Error) -> bool {
    matches!(e.class(), Class::NoMemory | Class::Again)
}
