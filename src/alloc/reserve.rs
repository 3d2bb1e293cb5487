// SPDX-License-Identifier: GPL-2.0

//! Reservations: space that writes which are not committed yet may still take. Who has one can not
//! fail for lack of space, and all of them together with what is in use are never more than there
//! is.

use crate::{
    env::pr_err,
    error::{
        Error,
        Result, //
    },
};

/// Sectors, copies counted, that may be used. It has to be given back, what was used or not.
///
/// C: `struct disk_reservation`.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Reserved {
    sectors: u64,
}

impl Reserved {
    /// Nothing: for writes that need no space.
    pub const fn nothing() -> Self {
        Self { sectors: 0 }
    }

    /// What is left of it.
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }
}

/// All reservations.
///
/// C: `sectors_available`, `online_reserved` of `struct bch_fs`.
#[derive(Debug, Default)]
pub struct Reservations {
    taken: u64,
    /// More was used than was reserved; this was reported.
    overran: bool,
}

impl Reservations {
    /// None.
    pub const fn new() -> Self {
        Self {
            taken: 0,
            overran: false,
        }
    }

    /// Sectors that are reserved.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Reserves `sectors`, when there are [`available`](super::Usage::available) ones.
    ///
    /// C: `bch2_disk_reservation_add()`.
    pub fn take(&mut self, available: u64, sectors: u64) -> Result<Reserved> {
        self.check(available, sectors)?;
        Ok(self.take_anyway(sectors))
    }

    /// Whether [`take`](Self::take) would succeed.
    pub fn check(&self, available: u64, sectors: u64) -> Result {
        match available.saturating_sub(self.taken) < sectors {
            true => Err(Error::DiskReservation),
            false => Ok(()),
        }
    }

    /// Reserves `sectors` whether they are there or not: for what frees space, or can not be
    /// refused any more. C: `BCH_DISK_RESERVATION_NOFAIL`.
    pub fn take_anyway(&mut self, sectors: u64) -> Reserved {
        self.taken = self.taken.saturating_add(sectors);
        Reserved { sectors }
    }

    /// A commit added `sectors` to what is in use, or took some away when negative: what
    /// [`Effects::sectors_added`](super::trigger::Effects::sectors_added) says. More than was
    /// reserved is an error of the one who reserved; it is reported once.
    ///
    /// C: `bch2_trans_account_disk_usage_change()`.
    pub fn used(&mut self, reserved: &mut Reserved, sectors: i64) {
        let Ok(sectors) = u64::try_from(sectors) else {
            return;
        };
        let from_it = sectors.min(reserved.sectors);
        reserved.sectors = reserved.sectors.saturating_sub(from_it);
        self.taken = self.taken.saturating_sub(from_it);
        let beyond = sectors.saturating_sub(from_it);
        if beyond != 0 && !self.overran {
            self.overran = true;
            pr_err!("{beyond} sectors more than were reserved are in use");
        }
    }

    /// Gives back what is left. C: `bch2_disk_reservation_put()`.
    pub fn give_back(&mut self, reserved: Reserved) {
        self.taken = self.taken.saturating_sub(reserved.sectors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_there_is() {
        let mut all = Reservations::new();
        let mut a = all.take(100, 60).unwrap();
        assert_eq!(all.take(100, 41), Err(Error::DiskReservation));
        let b = all.take(100, 40).unwrap();
        // 50 of it are in use now, so that fewer are available.
        all.used(&mut a, 50);
        assert_eq!((a.sectors(), all.taken()), (10, 50));
        assert_eq!(all.take(50, 1), Err(Error::DiskReservation));
        all.give_back(b);
        assert_eq!(all.take(50, 41), Err(Error::DiskReservation));
        let c = all.take(50, 40).unwrap();
        // What frees space, and what must not fail.
        all.used(&mut a, -10);
        let d = all.take_anyway(1000);
        all.used(&mut a, 30);
        assert_eq!((a.sectors(), all.taken()), (0, 1040));
        for reserved in [a, c, d, Reserved::nothing()] {
            all.give_back(reserved);
        }
        assert_eq!(all.taken(), 0);
    }
}
