// SPDX-License-Identifier: GPL-2.0

//! What limits allow, and when somebody is warned.

use super::{
    accounts::{
        Account,
        Counted, //
    },
    Kind,
};
use crate::env::Few;

/// What happened to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// More than the hard limit would be in use.
    Hard,
    /// More than the soft limit is in use.
    Soft,
    /// More than the soft limit was in use for too long.
    SoftTooLong,
    /// No more than the hard limit is in use any more.
    BelowHard,
    /// No more than the soft limit is in use any more.
    BelowSoft,
}

impl Event {
    const fn bit(self) -> u8 {
        match self {
            Event::Hard | Event::BelowHard => 1,
            Event::Soft | Event::BelowSoft => 2,
            Event::SoftTooLong => 4,
        }
    }
}

/// Something to tell to whoever listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Whose quota it is about.
    pub kind: Kind,
    /// The id.
    pub id: u32,
    what: Counted,
    event: Event,
}

impl Warning {
    /// The number for user space. C: `QUOTA_NL_IHARDWARN` and so on.
    pub const fn number(&self) -> u8 {
        match (self.what, self.event) {
            (Counted::Inodes, Event::Hard) => 1,
            (Counted::Inodes, Event::SoftTooLong) => 2,
            (Counted::Inodes, Event::Soft) => 3,
            (Counted::Space, Event::Hard) => 4,
            (Counted::Space, Event::SoftTooLong) => 5,
            (Counted::Space, Event::Soft) => 6,
            (Counted::Inodes, Event::BelowHard) => 7,
            (Counted::Inodes, Event::BelowSoft) => 8,
            (Counted::Space, Event::BelowHard) => 9,
            (Counted::Space, Event::BelowSoft) => 10,
        }
    }
}

/// What is to be told.
pub type Warnings = Few<Warning, 4>;

/// Whose account is looked at, when, and with what right.
pub(super) struct Look<'a> {
    pub(super) kind: Kind,
    pub(super) id: u32,
    /// Seconds since 1970.
    pub(super) now: u64,
    /// For how many seconds more than the soft limits may be in use: space, inodes.
    pub(super) grace: [u32; 2],
    /// Whether the caller may exceed limits.
    pub(super) may_exceed: &'a dyn Fn() -> bool,
    pub(super) warnings: &'a mut Warnings,
}

impl Look<'_> {
    fn tell(&mut self, given: &mut u8, what: Counted, event: Event) {
        if *given & event.bit() == 0 {
            *given |= event.bit();
            self.warn(what, event);
        }
    }

    fn tell_end(&mut self, given: &mut u8, what: Counted, event: Event) {
        if *given & event.bit() != 0 {
            *given &= !event.bit();
            self.warn(what, event);
        }
    }

    /// Who gets no memory for it is not warned.
    fn warn(&mut self, what: Counted, event: Event) {
        let (kind, id) = (self.kind, self.id);
        let _ = self.warnings.push(Warning {
            kind,
            id,
            what,
            event,
        });
    }

    /// Whether `by` more may be in use.
    ///
    /// C: `bch2_quota_check_limit()`.
    pub(super) fn allows(&mut self, account: &mut Account, what: Counted, by: u64) -> bool {
        let c = account.counter(what);
        let n = c.used.saturating_add(by);
        if by == 0 {
            return true;
        }
        if c.limit.hard != 0 && n > c.limit.hard && !(self.may_exceed)() {
            self.tell(c.given, what, Event::Hard);
            return false;
        }
        let is_over = c.limit.soft != 0 && n > c.limit.soft && *c.timer != 0;
        if is_over && self.now >= *c.timer && !(self.may_exceed)() {
            self.tell(c.given, what, Event::SoftTooLong);
            return false;
        }
        true
    }

    /// `by` more is in use.
    pub(super) fn add(&mut self, account: &mut Account, what: Counted, by: u64) {
        let c = account.counter(what);
        *c.used = c.used.saturating_add(by);
        if by != 0 && c.limit.soft != 0 && *c.used > c.limit.soft && *c.timer == 0 {
            let [space, inodes] = self.grace;
            let grace = match what {
                Counted::Space => space,
                Counted::Inodes => inodes,
            };
            *c.timer = self.now.saturating_add(grace.into()).max(1);
            self.tell(c.given, what, Event::Soft);
        }
    }

    /// `by` less is in use. The timer of a limit that is not exceeded any more is off: C leaves it
    /// running.
    pub(super) fn remove(&mut self, account: &mut Account, what: Counted, by: u64) {
        let c = account.counter(what);
        *c.used = c.used.saturating_sub(by);
        if *c.used <= c.limit.hard || c.limit.hard == 0 {
            self.tell_end(c.given, what, Event::BelowHard);
        }
        if *c.used <= c.limit.soft || c.limit.soft == 0 {
            *c.timer = 0;
            *c.given &= !Event::SoftTooLong.bit();
            self.tell_end(c.given, what, Event::BelowSoft);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::values::quota::{
        Limit,
        Quota, //
    };

    fn look<'a>(now: u64, may: &'a dyn Fn() -> bool, warnings: &'a mut Warnings) -> Look<'a> {
        Look {
            kind: Kind::User,
            id: 7,
            now,
            grace: [100, 50],
            may_exceed: may,
            warnings,
        }
    }

    fn numbers(warnings: &Warnings) -> std::vec::Vec<u8> {
        warnings.iter().map(Warning::number).collect()
    }

    #[test]
    fn soft_limits_hold_after_a_time_and_hard_ones_at_once() {
        let limits = Quota {
            space: Limit { hard: 20, soft: 10 },
            inodes: Limit { hard: 0, soft: 1 },
        };
        let mut a = Account {
            limits,
            ..Account::default()
        };
        let mut told = Warnings::new();
        let (no, yes) = (|| false, || true);
        let space = Counted::Space;
        assert!(look(1000, &no, &mut told).allows(&mut a, space, 10));
        look(1000, &no, &mut told).add(&mut a, space, 10);
        assert_eq!((a.timers, numbers(&told).len()), ([0, 0], 0));
        look(1000, &no, &mut told).add(&mut a, space, 1);
        assert_eq!((a.timers, numbers(&told)), ([1100, 0], [6].to_vec()));
        assert!(look(1099, &no, &mut told).allows(&mut a, space, 9));
        assert!(!look(1099, &no, &mut told).allows(&mut a, space, 10));
        assert!(!look(1099, &no, &mut told).allows(&mut a, space, 10));
        assert!(look(1099, &yes, &mut told).allows(&mut a, space, 10));
        assert!(!look(1100, &no, &mut told).allows(&mut a, space, 1));
        assert!(look(1100, &yes, &mut told).allows(&mut a, space, 1));
        assert!(look(1100, &no, &mut told).allows(&mut a, space, 0));
        assert_eq!(numbers(&told), [6, 4, 5]);
        look(1100, &no, &mut told).remove(&mut a, space, 1);
        assert_eq!((a.timers, a.sectors), ([0, 0], 10));
        assert_eq!(numbers(&told), [6, 4, 5, 9, 10]);
        look(2000, &no, &mut told).add(&mut a, Counted::Inodes, 2);
        assert_eq!((a.timers, a.inodes), ([0, 2050], 2));
        assert!(!look(2050, &no, &mut told).allows(&mut a, Counted::Inodes, 1));
        assert_eq!(numbers(&told), [6, 4, 5, 9, 10, 3, 2]);
    }
}
