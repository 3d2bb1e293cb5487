// SPDX-License-Identifier: GPL-2.0

//! Times on disk: a number of units, counted from a base; both are in the superblock.

use crate::env::num::i64_of_bits;

/// Nanoseconds in a second.
const NSEC_PER_SEC: u32 = 1_000_000_000;

/// A point in time.
///
/// C: `struct timespec64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timespec {
    /// Seconds since 1970, negative before.
    pub sec: i64,
    /// Nanoseconds after that: 0 to 999,999,999.
    pub nsec: u32,
}

/// How times are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeUnits {
    base: i64,
    nsec_per_unit: u32,
}

impl TimeUnits {
    /// Times counted in units of `precision` nanoseconds from `base_lo`, which itself is a number
    /// of units since 1970. A precision that is not 1 to 1,000,000,000 (only bytes that were not
    /// validated have one) counts as a nanosecond.
    ///
    /// C: `time_base_lo` and `time_precision` of `struct bch_sb`.
    pub const fn new(base_lo: u64, precision: u32) -> Self {
        let nsec_per_unit = match precision {
            1..=NSEC_PER_SEC => precision,
            _ => 1,
        };
        Self {
            base: i64_of_bits(base_lo),
            nsec_per_unit,
        }
    }

    /// The nanoseconds in a unit: what times are rounded to.
    pub const fn granularity_ns(&self) -> u32 {
        self.nsec_per_unit
    }

    /// The time stored as `raw`, which is two's complement.
    ///
    /// C: `bch2_time_to_timespec()`.
    pub fn timespec(&self, raw: u64) -> Timespec {
        let units = i128::from(i64_of_bits(raw).wrapping_add(self.base));
        // As in C, the units of a second are a whole number.
        let per_sec = NSEC_PER_SEC.checked_div(self.nsec_per_unit).unwrap_or(1);
        let per_sec = i128::from(per_sec.max(1));
        let sec = units.checked_div_euclid(per_sec).unwrap_or(0);
        let rest = units.checked_rem_euclid(per_sec).unwrap_or(0);
        let nsec = rest.saturating_mul(i128::from(self.nsec_per_unit));
        Timespec {
            sec: i64::try_from(sec).unwrap_or(i64::MAX),
            nsec: u32::try_from(nsec).unwrap_or(0).min(NSEC_PER_SEC - 1),
        }
    }

    /// What `t` is stored as, rounded down.
    ///
    /// C: `timespec_to_bch2_time()`.
    pub fn raw(&self, t: Timespec) -> u64 {
        let per_sec = NSEC_PER_SEC.checked_div(self.nsec_per_unit).unwrap_or(1);
        let part = t.nsec.checked_div(self.nsec_per_unit).unwrap_or(0);
        let units = t
            .sec
            .wrapping_mul(i64::from(per_sec))
            .wrapping_add(i64::from(part))
            .wrapping_sub(self.base);
        crate::env::num::u64_of_bits(units)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_from_1970() {
        let u = TimeUnits::new(0, 1);
        assert_eq!(u.timespec(0), Timespec { sec: 0, nsec: 0 });
        let t = Timespec {
            sec: 1_700_000_000,
            nsec: 123_456_789,
        };
        assert_eq!(u.raw(t), 1_700_000_000_123_456_789);
        assert_eq!(u.timespec(u.raw(t)), t);
        let before = Timespec {
            sec: -2,
            nsec: 999_999_999,
        };
        assert_eq!(u.raw(before) as i64, -1_000_000_001);
        assert_eq!(u.timespec(u.raw(before)), before);
    }

    #[test]
    fn base_and_coarse_units() {
        let u = TimeUnits::new(5000, 1_000_000);
        assert_eq!(
            u.timespec(1),
            Timespec {
                sec: 5,
                nsec: 1_000_000
            }
        );
        assert_eq!(
            u.raw(Timespec {
                sec: 5,
                nsec: 1_999_999
            }),
            1
        );
        assert_eq!(TimeUnits::new(0, 1_000_000_000).timespec(7).sec, 7);
    }

    #[test]
    fn nonsense_does_not_trap() {
        for precision in [0, 3, u32::MAX] {
            for base in [0, u64::MAX, 1 << 63] {
                let u = TimeUnits::new(base, precision);
                for raw in [0, 1, u64::MAX, 1 << 63, (1 << 63) - 1] {
                    assert!(u.timespec(raw).nsec < NSEC_PER_SEC);
                }
                u.raw(Timespec {
                    sec: i64::MIN,
                    nsec: 7,
                });
            }
        }
    }
}
