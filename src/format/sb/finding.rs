// SPDX-License-Identifier: GPL-2.0

//! What a validator of superblock contents reports.

use super::{
    section::SectionType,
    text::Uuid,
    version::Version, //
};
use crate::error::{
    Class,
    Error, //
};
use core::fmt;

/// Where in a superblock something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The fixed part.
    Header,
    /// The layout: where the copies are.
    Layout,
    /// A section of variable length.
    Section(SectionType),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header => f.write_str("superblock"),
            Place::Layout => f.write_str("superblock layout"),
            Place::Section(s) => write!(f, "superblock section {s}"),
        }
    }
}

/// A value in a [`Finding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Num(u64),
    /// Bits or a checksum.
    Hex(u64),
    /// A version of the format.
    Version(Version),
    /// A UUID.
    Uuid(Uuid),
}

impl From<u64> for Value {
    fn from(v: u64) -> Self {
        Value::Num(v)
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Value::Num(v.into())
    }
}

impl From<u16> for Value {
    fn from(v: u16) -> Self {
        Value::Num(v.into())
    }
}

impl From<u8> for Value {
    fn from(v: u8) -> Self {
        Value::Num(v.into())
    }
}

impl From<usize> for Value {
    fn from(v: usize) -> Self {
        Value::Num(crate::env::num::u64_of(v))
    }
}

impl From<Version> for Value {
    fn from(v: Version) -> Self {
        Value::Version(v)
    }
}

impl From<Uuid> for Value {
    fn from(v: Uuid) -> Self {
        Value::Uuid(v)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Num(v) => write!(f, "{v}"),
            Value::Hex(v) => write!(f, "{v:x}"),
            Value::Version(v) => write!(f, "{v}"),
            Value::Uuid(v) => write!(f, "{v}"),
        }
    }
}

/// What a value should have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// There is no more to say.
    None,
    /// At least this.
    Min(Value),
    /// At most this.
    Max(Value),
    /// Exactly this.
    Equal(Value),
}

/// One thing that is wrong in a superblock: what, where, the value found and the limit it breaks.
/// `Copy` and free of memory, so that a validator can make it anywhere; whoever reports it adds
/// the device and the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind of failure, as the caller will see it.
    pub error: Error,
    /// Where it is.
    pub place: Place,
    /// Which item there: its kind ("device") and number.
    pub item: Option<(&'static str, u64)>,
    /// What is wrong, with the field's name.
    pub what: &'static str,
    /// The value found.
    pub found: Option<Value>,
    /// What it should have been.
    pub limit: Limit,
}

impl Finding {
    /// A finding without numbers.
    pub const fn new(error: Error, place: Place, what: &'static str) -> Self {
        Self {
            error,
            place,
            item: None,
            what,
            found: None,
            limit: Limit::None,
        }
    }

    /// Says which item of the place it is about.
    pub const fn item(self, kind: &'static str, nr: u64) -> Self {
        Self {
            item: Some((kind, nr)),
            ..self
        }
    }

    /// Says what was found.
    pub fn found(self, v: impl Into<Value>) -> Self {
        Self {
            found: Some(v.into()),
            ..self
        }
    }

    /// Says what it must at least be.
    pub fn min(self, v: impl Into<Value>) -> Self {
        Self {
            limit: Limit::Min(v.into()),
            ..self
        }
    }

    /// Says what it may at most be.
    pub fn max(self, v: impl Into<Value>) -> Self {
        Self {
            limit: Limit::Max(v.into()),
            ..self
        }
    }

    /// Says what it must be.
    pub fn expected(self, v: impl Into<Value>) -> Self {
        Self {
            limit: Limit::Equal(v.into()),
            ..self
        }
    }
}

impl Finding {
    /// Whether the bytes are intact but beyond what this implementation knows: then an older copy
    /// must not be used instead.
    pub const fn is_unsupported(&self) -> bool {
        matches!(self.error.class(), Class::Unsupported)
    }

    /// Whether only the version number is to blame.
    pub fn is_too_new(&self) -> bool {
        self.error == Error::SbVersionTooNew
    }
}

impl From<Finding> for Error {
    fn from(f: Finding) -> Self {
        f.error
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some((kind, nr)) = self.item {
            write!(f, "{kind} {nr}: ")?;
        }
        f.write_str(self.what)?;
        if let Some(v) = self.found {
            write!(f, ": found {v}")?;
        }
        match self.limit {
            Limit::None => Ok(()),
            Limit::Min(v) => write!(f, ", must be at least {v}"),
            Limit::Max(v) => write!(f, ", must be at most {v}"),
            Limit::Equal(v) => write!(f, ", must be {v}"),
        }
    }
}
