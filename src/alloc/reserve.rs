// SPDX-License-Identifier: GPL-2.0

//! Reservations: space that writes which are not committed yet may still take. Who has one can not
//! fail for lack of space, and all of them together with what is in use are never more than there
//! is. A reservation is given back when what it was for is in use: for a moment that counts twice,
//! and never not at all.

use crate::error::{
    Error,
    Result, //
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

    /// How much it is.
    pub const fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Splits `sectors` off, or all of it when it is less.
    pub fn split(&mut self, sectors: u64) -> Self {
        let sectors = sectors.min(self.sectors);
        self.sectors = self.sectors.saturating_sub(sectors);
        Self { sectors }
    }

    /// Adds what another one has.
    pub fn add(&mut self, other: Self) {
        self.sectors = self.sectors.saturating_add(other.sectors);
    }
}

/// All reservations.
///
/// C: `sectors_available`, `online_reserved` of `struct bch_fs`.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    taken: u64,
}

impl Reservations {
    /// None.
    pub(super) const fn new() -> Self {
        Self { taken: 0 }
    }

    /// Sectors that are reserved.
    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// Reserves `sectors`, when there are [`available`](super::Usage::available) ones.
    ///
    /// C: `bch2_disk_reservation_add()`.
    pub(super) fn take(&mut self, available: u64, sectors: u64) -> Result<Reserved> {
        self.check(available, sectors)?;
        Ok(self.take_anyway(sectors))
    }

    /// Whether [`take`](Self::take) would succeed.
    pub(super) fn check(&self, available: u64, sectors: u64) -> Result {
        match available.saturating_sub(self.taken) < sectors {
            true => Err(Error::DiskReservation),
            false => Ok(()),
        }
    }

    /// Reserves `sectors` whether they are there or not: for what frees space, or can not be
    /// refused any more. C: `BCH_DISK_RESERVATION_NOFAIL`.
    pub(super) fn take_anyway(&mut self, sectors: u64) -> Reserved {
        self.taken = self.taken.saturating_add(sectors);
        Reserved { sectors }
    }

    /// Gives a reservation back. C: `bch2_disk_reservation_put()`.
    pub(super) fn give_back(&mut self, reserved: Reserved) {
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
        all.give_back(a.split(50));
        assert_eq!((a.sectors(), all.taken()), (10, 50));
        assert_eq!(all.take(50, 1), Err(Error::DiskReservation));
        all.give_back(b);
        let c = all.take(50, 40).unwrap();
        a.add(c);
        assert_eq!((a.sectors(), all.taken()), (50, 50));
        let d = all.take_anyway(1000);
        for reserved in [a, d, Reserved::nothing()] {
            all.give_back(reserved);
        }
        assert_eq!(all.taken(), 0);
    }
}
