// SPDX-License-Identifier: GPL-2.0

//! Which buckets are emptied, in rounds.

use super::bucket::evacuate;
use crate::{
    alloc::space::{
        Engine,
        Fragmented, //
    },
    btree::flush_write_buffer,
    env::{
        pr_err,
        Vec, //
    },
    error::{
        Class,
        Error,
        Result, //
    },
    format::sb::counters::Counter,
    snapshots::View,
};

/// Buckets that are emptied in one round. C: at least as many.
const BUCKETS: usize = 16;
/// The most buckets that are kept in mind because nothing could be moved out of them.
const STUCK_MAX: usize = 256;
/// How many of 8 parts of a bucket may be in use when nobody waits for one: else much would be
/// moved for little.
const PARTS_MAX: u64 = 7;
/// The same when somebody does.
const PARTS_MAX_URGENT: u64 = 8;

/// What came of a round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Buckets that were empty afterwards.
    pub emptied: u64,
    /// Sectors that were moved.
    pub moved: u64,
    /// Why one could not be emptied, the last time.
    pub failed: Option<Error>,
}

impl Round {
    /// Whether it was of use.
    pub const fn is_fruitful(&self) -> bool {
        self.emptied != 0
    }
}

/// Moves data, for one filesystem; there is one.
///
/// C: `struct moving_context`, of copygc.
#[derive(Default)]
pub struct Mover {
    /// Buckets that nothing could be moved out of.
    stuck: Vec<Fragmented>,
}

impl Mover {
    /// Empties a few buckets, those with the least in them. If nobody waits for one, it is not
    /// `urgent`, and only what is worth it is moved.
    ///
    /// Fails when there is no place to move anything to, or writing has ended.
    ///
    /// C: `bch2_copygc()`.
    pub fn round(
        &mut self,
        engine: Engine<'_>,
        view: &View,
        urgent: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<Round> {
        let mut round = Round::default();
        let done = self.empty_some(engine, view, urgent, stop, &mut round);
        engine.end_moving();
        view.sb().count(Counter::COPYGC);
        match done {
            // That was enough for something.
            Err(e) if round.is_fruitful() && e.class() == Class::NoSpace => Ok(round),
            done => done.map(|()| round),
        }
    }

    fn empty_some(
        &mut self,
        engine: Engine<'_>,
        view: &View,
        urgent: bool,
        stop: &dyn Fn() -> bool,
        round: &mut Round,
    ) -> Result {
        // The list of buckets, and what points to them, are among the btrees that are behind. They
        // will do as they are, if no bucket is free for that.
        match flush_write_buffer(engine.btrees, engine.writer) {
            Err(e) if e.class() != Class::NoSpace => return Err(e),
            _ => (),
        }
        let parts = match urgent {
            true => PARTS_MAX_URGENT,
            false => PARTS_MAX,
        };
        let found = engine.fragmented_data(BUCKETS, parts, |b| !self.stuck.contains(b))?;
        for bucket in &found {
            if stop() {
                break;
            }
            // Another time, when what is written over there is done.
            let Some(_emptying) = engine.emptying(bucket) else {
                continue;
            };
            let put = match evacuate(engine, view, bucket, stop) {
                Ok(put) => put,
                Err(e) if is_of_all(engine, e) => return Err(e),
                Err(e) => {
                    let (name, dev) = (view.sb().name(), bucket.dev);
                    pr_err!("{name}: bucket {dev}:{}: {e}", bucket.bucket);
                    self.is_stuck(*bucket)?;
                    round.failed = Some(e);
                    continue;
                }
            };
            round.moved = round.moved.saturating_add(put.moved);
            match engine.data_left(bucket)? {
                0 => round.emptied = round.emptied.saturating_add(1),
                // What is left can not be moved, or it is not known what that is.
                left if left == bucket.sectors && !stop() => self.is_stuck(*bucket)?,
                _ => (),
            }
        }
        Ok(())
    }

    /// It is left alone as long as it stays as it is.
    fn is_stuck(&mut self, bucket: Fragmented) -> Result {
        if self.stuck.len() >= STUCK_MAX {
            self.stuck.remove(0);
        }
        self.stuck.push(bucket)
    }
}

/// Whether it would be the same with other buckets.
fn is_of_all(engine: Engine<'_>, e: Error) -> bool {
    let for_now = matches!(e.class(), Class::NoMemory | Class::NoSpace | Class::Again);
    for_now || engine.writer.journal.halted().is_some()
}
