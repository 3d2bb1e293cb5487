// SPDX-License-Identifier: GPL-2.0

//! How often a pass starts over.

use crate::error::{
    Error,
    Result, //
};

/// Rounds after which a repair that finds more and more is given up.
const MAX: u32 = 64;

/// The rounds of a pass: it starts over as long as it repairs something.
pub(super) struct Rounds {
    nr: u32,
    goes_on: bool,
}

impl Rounds {
    pub(super) const fn new() -> Self {
        Self {
            nr: 0,
            goes_on: true,
        }
    }

    /// Whether there is to be another round.
    pub(super) fn go_on(&mut self) -> Result<bool> {
        self.nr = self.nr.saturating_add(1);
        match self.nr > MAX {
            true => Err(endless()),
            false => Ok(core::mem::take(&mut self.goes_on)),
        }
    }

    /// So many things were repaired in this round.
    pub(super) fn fixed(&mut self, nr: usize) {
        self.goes_on = nr != 0;
    }
}

/// Times a file is gone through again before that is given up.
const FILE_MAX: u32 = 1 << 20;

/// How often a pass goes through one file again, after something of it was repaired.
#[derive(Default)]
pub(super) struct Again(u32);

impl Again {
    /// Once more.
    pub(super) fn go_on(&mut self) -> Result {
        self.0 = self.0.saturating_add(1);
        match self.0 > FILE_MAX {
            true => Err(endless()),
            false => Ok(()),
        }
    }
}

#[cold]
fn endless() -> Error {
    Error::RepairEndless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_end_with_nothing_to_do_or_after_too_many() {
        let mut rounds = Rounds::new();
        assert_eq!(rounds.go_on(), Ok(true));
        rounds.fixed(3);
        assert_eq!(rounds.go_on(), Ok(true));
        rounds.fixed(0);
        assert_eq!(rounds.go_on(), Ok(false));

        let mut rounds = Rounds::new();
        for _ in 0..MAX {
            assert_eq!(rounds.go_on(), Ok(true));
            rounds.fixed(1);
        }
        assert_eq!(rounds.go_on(), Err(Error::RepairEndless));
    }
}
