// SPDX-License-Identifier: GPL-2.0

//! Transfers that go wrong.

/// What is asked of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A read.
    Read,
    /// A write.
    Write,
    /// A flush.
    Flush,
    /// A discard.
    Discard,
}

/// How it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails, and nothing was done.
    Fail,
    /// A write fails in the middle.
    FailHalf,
    /// A write goes to another sector, and seems to have worked.
    Misdirect(u64),
    /// A write seems to have worked, but nothing was done. A flush: did not wait.
    Lose,
}

/// When something goes wrong.
#[derive(Clone, Copy, Debug)]
struct Rule {
    kind: Kind,
    /// How many of that kind go well before.
    left: u64,
    /// And all that come after it.
    always: bool,
    fault: Fault,
}

/// What is going to go wrong with a device.
#[derive(Debug)]
pub(super) struct Faults {
    rules: Vec<Rule>,
    /// How many transfers went wrong.
    pub(super) given: u64,
    /// Reads at or behind this byte fail.
    pub(super) damaged_from: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            given: 0,
            damaged_from: u64::MAX,
        }
    }
}

impl Faults {
    pub(super) fn add(&mut self, kind: Kind, after: u64, always: bool, fault: Fault) {
        self.rules.push(Rule {
            kind,
            left: after,
            always,
            fault,
        });
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Counts one of `kind`: what goes wrong with it, by the first rule that says so.
    pub(super) fn next(&mut self, kind: Kind) -> Option<Fault> {
        let mut fault = None;
        self.rules.retain_mut(|rule| {
            if rule.kind != kind {
                return true;
            }
            if rule.left > 0 {
                rule.left -= 1;
                return true;
            }
            fault = fault.or(Some(rule.fault));
            rule.always
        });
        self.given += u64::from(fault.is_some());
        fault
    }
}
