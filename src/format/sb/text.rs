// SPDX-License-Identifier: GPL-2.0

//! How numbers, names and times are written in the text form of superblocks and options.

use core::fmt;

/// Writes the names of the set bits of `v`, separated by commas. Bits without a name are shown by
/// number.
///
/// C: `prt_bitflags()`.
pub fn write_names(f: &mut dyn fmt::Write, names: &[&str], v: u64) -> fmt::Result {
    let mut first = true;
    for bit in (0..64u8).filter(|bit| v & (1 << bit) != 0) {
        if !first {
            f.write_char(',')?;
        }
        first = false;
        match names.get(usize::from(bit)) {
            Some(name) => f.write_str(name)?,
            None => write!(f, "(unknown bit {bit})")?,
        }
    }
    Ok(())
}

/// A number with a binary unit and up to three significant digits: `64.0k`, `256k`, `1.00M`.
///
/// C: `prt_human_readable_u64()`.
#[derive(Clone, Copy, Debug)]
pub struct Human(pub u64);

impl fmt::Display for Human {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut v, mut rest) = (self.0, 0u64);
        let mut units = "kMGTPE".chars();
        let mut unit = None;
        while v >= 1024 {
            let Some(u) = units.next() else { break };
            unit = Some(u);
            rest = v & 1023;
            v >>= 10;
        }
        let Some(mut unit) = unit else {
            return write!(f, "{v}");
        };
        let digits = |v| match v {
            0..=9 => (2usize, 100u64),
            10..=99 => (1, 10),
            _ => (0, 1),
        };
        let (mut width, scale) = digits(v);
        // At most 1023 * 100 + 512, and at most 1024 + 1: neither sum can overflow.
        let mut frac = rest.saturating_mul(scale).saturating_add(512) >> 10;
        if frac >= scale {
            frac = 0;
            v = v.saturating_add(1);
            if v >= 1024 {
                if let Some(u) = units.next() {
                    (v, unit) = (1, u);
                }
            }
            width = digits(v).0;
        }
        match width {
            0 => write!(f, "{v}{unit}"),
            _ => write!(f, "{v}.{frac:0width$}{unit}"),
        }
    }
}

/// A UUID as stored, in the usual form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid(pub [u8; 16]);

impl Uuid {
    /// Whether all bytes are zero.
    pub const fn is_zero(self) -> bool {
        u128::from_ne_bytes(self.0) == 0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// Text in a field of fixed size, up to the first zero byte.
#[derive(Clone, Copy, Debug)]
pub struct Padded<'a>(pub &'a [u8]);

impl<'a> Padded<'a> {
    /// The bytes of the text.
    pub fn bytes(&self) -> &'a [u8] {
        self.0.split(|b| *b == 0).next().unwrap_or(&[])
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }
}

impl fmt::Display for Padded<'_> {
    /// Bytes that are not printable ASCII are escaped: the text goes to the kernel log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bytes().escape_ascii())
    }
}

/// Seconds since 1970 as date and time, UTC.
///
/// C: `bch2_prt_datetime()`.
#[derive(Clone, Copy, Debug)]
pub struct DateTime(pub u64);

/// Seconds of a day.
const DAY: u64 = 86400;
/// Days of 400 years of the Gregorian calendar, after which it repeats.
const ERA: u64 = 146_097;

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.checked_rem(DAY).unwrap_or(0);
        let part = |div: u64, modulo: u64| {
            let v = secs.checked_div(div).unwrap_or(0);
            v.checked_rem(modulo).unwrap_or(0)
        };
        let days = self.0.checked_div(DAY).unwrap_or(0);
        let (year, month, day) = civil(days);
        write!(
            f,
            "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}",
            part(3600, 24),
            part(60, 60),
            part(1, 60)
        )
    }
}

/// Year, month and day of a day counted from 1970-01-01. Works on years that start in March, so
/// that the leap day is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    let div = |a: u64, b: u64| a.checked_div(b).unwrap_or(0);
    // 0000-03-01 is 719468 days before 1970-01-01.
    let z = days.saturating_add(719_468);
    let era = div(z, ERA);
    let day_of_era = z.saturating_sub(era.saturating_mul(ERA));
    let leap_days = div(day_of_era, 1460)
        .saturating_add(div(day_of_era, 146_096))
        .saturating_sub(div(day_of_era, 36524));
    let year_of_era = div(day_of_era.saturating_sub(leap_days), 365);
    let before_year = year_of_era
        .saturating_mul(365)
        .saturating_add(year_of_era >> 2)
        .saturating_sub(div(year_of_era, 100));
    let day_of_year = day_of_era.saturating_sub(before_year);
    let march_month = div(day_of_year.saturating_mul(5).saturating_add(2), 153);
    let before_month = div(march_month.saturating_mul(153).saturating_add(2), 5);
    let day = day_of_year.saturating_sub(before_month).saturating_add(1);
    let month = match march_month {
        0..=9 => march_month.saturating_add(3),
        _ => march_month.saturating_sub(9),
    };
    let year = era.saturating_mul(400).saturating_add(year_of_era);
    (year.saturating_add(u64::from(month <= 2)), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        format,
        string::String, //
    };

    #[test]
    fn human_numbers() {
        for (v, want) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1.00k"),
            (4096, "4.00k"),
            (131_072, "128k"),
            (1 << 20, "1.00M"),
            (1_048_575, "1.00M"),
            (1_536, "1.50k"),
            (67_108_864, "64.0M"),
            (u64::MAX, "16.0E"),
        ] {
            assert_eq!(format!("{}", Human(v)), want);
        }
    }

    #[test]
    fn dates() {
        for (v, want) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_795_387_000, "2026-11-22 22:36:40"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(format!("{}", DateTime(v)), want);
        }
        let _ = format!("{}", DateTime(u64::MAX));
    }

    #[test]
    fn names_of_bits() {
        let mut s = String::new();
        write_names(&mut s, &["a", "b"], 0b111).unwrap();
        assert_eq!(s, "a,b,(unknown bit 2)");
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(format!("{}", Padded(b"a\n\0b")), "a\\n");
    }
}
