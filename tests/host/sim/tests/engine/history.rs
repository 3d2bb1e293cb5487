// SPDX-License-Identifier: GPL-2.0

//! What a thread did, and what of it has to be there after a loss of power.

use super::model::Model;

/// Transactions as a [`Model`] sees them.
pub(crate) trait Apply {
    /// Does to `model` what the transaction does.
    fn apply(&self, model: &mut Model);
}

/// What one thread did.
pub(crate) struct History<T> {
    /// The journal entry of each transaction, and what it was.
    done: Vec<(u64, T)>,
    /// When how many were acknowledged.
    safe: Vec<(u64, usize)>,
    /// What there was after each tenth.
    states: Vec<Model>,
}

const STATES: usize = 10;

impl<T> Default for History<T> {
    fn default() -> Self {
        Self {
            done: Vec::new(),
            safe: Vec::new(),
            states: Vec::new(),
        }
    }
}

impl<T: Apply> History<T> {
    /// A transaction was done, in journal entry `seq`, or in none, if it changed nothing.
    pub(crate) fn done(&mut self, seq: u64, what: T) {
        let last = self.done.last().map_or(0, |(last, _)| *last);
        assert!(seq == 0 || seq >= last, "entry {seq} after {last}");
        self.done.push((seq.max(last), what));
    }

    /// All so far was acknowledged at the moment `now`.
    pub(crate) fn acknowledged(&mut self, now: u64) {
        self.safe.push((now, self.done.len()));
    }

    /// How many are certain to be there at a moment.
    pub(crate) fn certain(&self, at: u64) -> usize {
        let before = self.safe.iter().take_while(|(clock, _)| *clock <= at);
        before.last().map_or(0, |(_, nr)| *nr)
    }

    /// How many are in journal entries up to `seq`.
    pub(crate) fn up_to(&self, seq: u64) -> usize {
        self.done.partition_point(|(s, _)| *s <= seq)
    }

    /// For [`History::state`], once all is done: what there was from `first` on.
    pub(crate) fn keep_states(&mut self, first: Model) {
        let mut model = first;
        for (nr, (_, what)) in self.done.iter().enumerate() {
            if nr % STATES == 0 {
                self.states.push(model.clone());
            }
            what.apply(&mut model);
        }
        self.states.push(model);
    }

    /// What there is after the first `nr`.
    pub(crate) fn state(&self, nr: usize) -> Model {
        let from = nr / STATES;
        let mut model = self.states[from.min(self.states.len() - 1)].clone();
        if from < self.states.len() - 1 || nr % STATES == 0 {
            let rest = &self.done[from * STATES..nr];
            rest.iter().for_each(|(_, what)| what.apply(&mut model));
        }
        model
    }
}
