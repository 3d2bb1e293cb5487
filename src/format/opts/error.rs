// SPDX-License-Identifier: GPL-2.0

//! What is wrong with an option.

use super::table::{
    Kind,
    OptionInfo, //
};
use crate::{
    error::Error,
    format::sb::passes::passes, //
};
use core::fmt;

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadValue {
    /// There is none.
    Missing,
    /// It is no number.
    NotNumber,
    /// It is below the range.
    TooSmall,
    /// It is above the range.
    TooBig,
    /// It is not a multiple of 512.
    NotSectors,
    /// It is not a power of two.
    NotPow2,
    /// It is none of the choices.
    NotChoice,
    /// The level of compression is not 0 to 15, or there is nothing to have a level.
    Level,
    /// It is too long.
    TooLong,
}

impl BadValue {
    /// The code for who changes an option of what is mounted.
    ///
    /// C: what `bch2_opt_validate()` returns.
    pub const fn error(self) -> Error {
        match self {
            BadValue::TooSmall => Error::OptionTooSmall,
            BadValue::TooBig => Error::OptionTooBig,
            _ => Error::OptionNotPossible,
        }
    }
}

/// Why an option is refused. The text borrows the caller's strings.
#[derive(Clone, Copy, Debug)]
pub enum OptError<'a> {
    /// There is no such option.
    Unknown {
        /// The name given.
        name: &'a str,
    },
    /// The option exists, but not for mounting.
    NotForMount {
        /// The option.
        option: &'static OptionInfo,
    },
    /// The value is not possible.
    Value {
        /// The option.
        option: &'static OptionInfo,
        /// The value given.
        value: Option<&'a str>,
        /// What is wrong with it.
        why: BadValue,
    },
}

impl OptError<'_> {
    /// The code for the caller.
    pub const fn error(&self) -> Error {
        match self {
            OptError::Unknown { .. } => Error::OptionUnknown,
            OptError::NotForMount { .. } => Error::OptionNotForMount,
            OptError::Value { .. } => Error::OptionValue,
        }
    }
}

impl From<OptError<'_>> for Error {
    fn from(e: OptError<'_>) -> Self {
        e.error()
    }
}

impl fmt::Display for OptError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptError::Unknown { name } => {
                write!(f, "unknown option \"{}\"", name.escape_debug())
            }
            OptError::NotForMount { option } => write!(
                f,
                "option {}: can not be given at mount; set it when the filesystem is made, or with \
                 bcachefs set-fs-option",
                option.name
            ),
            OptError::Value { option, value, why } => {
                write!(f, "option {}: ", option.name)?;
                match value {
                    Some(v) => write!(f, "\"{}\" ", v.escape_debug())?,
                    None => f.write_str("value ")?,
                }
                write_why(f, *why)?;
                write!(f, "; possible: {}", Possible(option))
            }
        }
    }
}

fn write_why(f: &mut fmt::Formatter<'_>, why: BadValue) -> fmt::Result {
    f.write_str(match why {
        BadValue::Missing => "is missing",
        BadValue::NotNumber => "is not a number",
        BadValue::TooSmall => "is too small",
        BadValue::TooBig => "is too big",
        BadValue::NotSectors => "is not a multiple of 512",
        BadValue::NotPow2 => "is not a power of two",
        BadValue::NotChoice => "is not a choice",
        BadValue::Level => "has no possible level",
        BadValue::TooLong => "is too long",
    })
}

/// The values an option can have, for a person to read.
struct Possible(&'static OptionInfo);

impl fmt::Display for Possible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind {
            Kind::Bool => f.write_str("0, 1, no, yes, false, true"),
            Kind::Uint(min, max) => {
                write!(f, "{min} to {max}")?;
                let pow2 = self.0.is(super::table::POW2);
                f.write_str(if pow2 { ", a power of two" } else { "" })
            }
            Kind::Choice(names) | Kind::Bits(names, _) => list(f, names.iter().copied()),
            Kind::FixErrors => list(f, super::table::FIX_ERRORS.iter().copied()),
            Kind::Pass | Kind::Passes => list(f, passes().map(|p| p.name)),
            Kind::Compression => {
                list(f, super::table::COMPRESSIONS.iter().copied())?;
                f.write_str(", and a level: zstd:1 to zstd:15")
            }
            Kind::Target => f.write_str("none, a device, a label"),
            Kind::Label => f.write_str("a label"),
            Kind::Text(max) => write!(f, "up to {max} bytes"),
        }
    }
}

fn list<'a>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    for (i, name) in names.enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        write!(f, "{comma}{name}")?;
    }
    Ok(())
}
