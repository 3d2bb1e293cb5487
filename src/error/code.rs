// SPDX-License-Identifier: GPL-2.0

//! Error classes, and what an [`Error`] can tell about itself.

use super::{
    errno::Errno,
    table::Error, //
};
use core::fmt;

/// Result of everything in this module; see [`Error`].
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

/// Kinds of failure, for callers that decide by kind and not by code.
///
/// C: the parent classes of `BCH_ERRCODES()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A transaction has to start over; never leaves the `btree` layer.
    Restart,
    /// The resource is busy, the same call may succeed later.
    Again,
    /// The device failed a transfer, or is gone.
    Io,
    /// Data or metadata does not match its checksum.
    Checksum,
    /// Superblock contents that can not be right.
    Superblock,
    /// Journal contents that can not be right.
    Journal,
    /// A btree node does not match the pointer or the parent that led to it.
    Topology,
    /// Two places that record the same fact disagree.
    Coherency,
    /// A key whose contents can not be right.
    Key,
    /// No space for what was asked, on the device or in a quota.
    NoSpace,
    /// A memory allocation failed.
    NoMemory,
    /// A write was asked of something that is read-only.
    ReadOnly,
    /// Valid, but this implementation can not do it.
    Unsupported,
    /// The caller's argument is not acceptable.
    InvalidArg,
    /// What was looked for does not exist.
    NotFound,
    /// What was to be made exists already.
    Exists,
    /// The filesystem is going down or has gone emergency read-only.
    Shutdown,
}

impl Class {
    /// Whether errors of this class say that what is on disk is damaged.
    pub const fn is_corruption(self) -> bool {
        matches!(
            self,
            Class::Checksum
                | Class::Superblock
                | Class::Journal
                | Class::Topology
                | Class::Coherency
                | Class::Key
        )
    }
}

impl Error {
    /// Whether this error says that what is on disk is damaged.
    pub const fn is_corruption(self) -> bool {
        self.class().is_corruption()
    }

    /// Whether the object that was looked for does not exist.
    pub const fn is_not_found(self) -> bool {
        matches!(self.class(), Class::NotFound)
    }

    /// The number for user space, as a positive Linux errno. Meant for the VFS boundary only.
    pub const fn to_errno(self) -> i32 {
        self.errno().0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())?;
        f.write_str(" (")?;
        f.write_str(self.name())?;
        f.write_str(")")
    }
}

impl From<Errno> for Error {
    /// Wraps a failure that the kernel reported where no more exact code exists.
    fn from(e: Errno) -> Self {
        match e {
            Errno::ENOMEM => Error::NoMemory,
            Errno::ENODEV | Errno::ENXIO => Error::DeviceGone,
            Errno::EACCES | Errno::EPERM => Error::Permission,
            Errno::EBUSY => Error::DeviceBusy,
            Errno::EROFS => Error::DeviceReadOnly,
            Errno::ENOENT => Error::DeviceNotFound,
            Errno::EINTR => Error::Interrupted,
            _ => Error::Io,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_unique_name_and_an_errno() {
        for (i, a) in Error::ALL.iter().enumerate() {
            assert!(!a.text().is_empty());
            assert!((1..134).contains(&a.to_errno()), "{a:?}");
            for b in &Error::ALL[i + 1..] {
                assert_ne!(a.name(), b.name());
            }
        }
    }

    #[test]
    fn what_the_kernel_reports() {
        for (errno, code) in [
            (Errno::ENOMEM, Error::NoMemory),
            (Errno::ENODEV, Error::DeviceGone),
            (Errno::ENXIO, Error::DeviceGone),
            (Errno::EACCES, Error::Permission),
            (Errno::EPERM, Error::Permission),
            (Errno::EBUSY, Error::DeviceBusy),
            (Errno::EROFS, Error::DeviceReadOnly),
            (Errno::ENOENT, Error::DeviceNotFound),
            (Errno::EINTR, Error::Interrupted),
            (Errno::EIO, Error::Io),
        ] {
            assert_eq!(Error::from(errno), code);
        }
    }

    #[test]
    fn classes_decide_corruption() {
        assert!(Error::NodeChecksum.is_corruption());
        assert!(!Error::NoMemory.is_corruption());
        assert!(Error::NoEntry.is_not_found());
    }

    #[test]
    fn text_names_the_code() {
        assert!(std::format!("{}", Error::NoMemory).contains("NoMemory"));
    }
}
