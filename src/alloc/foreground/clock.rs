// SPDX-License-Identifier: GPL-2.0

//! Devices take turns by how much space they have, so that all become full at the same time.

use crate::{
    env::{
        num::div_or_zero,
        units::DevIdx, //
    },
    format::sb::assemble::DevMask,
};

/// When each device is next: a bucket of a device takes its clock on by the inverse of the space it
/// has. It is 2 KiB, so that it belongs in memory of its own.
///
/// C: `struct dev_stripe_state`.
#[derive(Debug)]
pub struct DevClock {
    next: [u64; 256],
}

impl Default for DevClock {
    fn default() -> Self {
        Self::new()
    }
}

impl DevClock {
    /// All devices are next.
    pub const fn new() -> Self {
        Self { next: [0; 256] }
    }

    /// The device of `devs` that is next; the lowest number if several are.
    /// C: the order of `bch2_dev_alloc_list()`.
    pub fn next_of(&self, devs: &DevMask) -> Option<DevIdx> {
        let next = |dev: &u8| self.next.get(usize::from(*dev)).copied();
        devs.iter().min_by_key(next).map(DevIdx)
    }

    /// A bucket was taken of `dev`, which has so many that writes of users could take.
    ///
    /// C: `bch2_dev_stripe_increment()`.
    pub fn advance(&mut self, dev: DevIdx, available: u64) {
        let Some(own) = self.next.get_mut(usize::from(dev.0)) else {
            return;
        };
        let one = 1u64 << 48;
        let step = match available {
            0 => one,
            n => div_or_zero(one, n),
        };
        // Clocks are kept small, and what happened long ago counts less.
        let back = *own / 4;
        *own = own.saturating_add(step);
        if back != 0 {
            for next in &mut self.next {
                *next = next.saturating_sub(back);
            }
        }
    }
}
