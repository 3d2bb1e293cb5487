// SPDX-License-Identifier: GPL-2.0

//! The error table. A code that names one particular failure is raised in exactly one place, so
//! that a message leads straight to the line; the generic codes at the top may be raised anywhere.

use super::{
    code::Class,
    errno::Errno, //
};

macro_rules! errors {
    ($($(#[$section:meta])* $name:ident, $class:ident, $errno:ident, $text:literal;)*) => {
        /// What failed. See the [module documentation](super) for how to use it.
        ///
        /// C: `enum bch_errcode`; names follow the private error codes there where one exists.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u16)]
        pub enum Error {
            $($(#[$section])* #[doc = $text] $name,)*
        }

        impl Error {
            /// All codes, in table order.
            pub const ALL: &'static [Error] = &[$(Error::$name,)*];

            /// The kind of failure.
            pub const fn class(self) -> Class {
                match self { $(Error::$name => Class::$class,)* }
            }

            /// The errno user space is shown.
            pub const fn errno(self) -> Errno {
                match self { $(Error::$name => Errno::$errno,)* }
            }

            /// The code's name, as printed in messages.
            pub const fn name(self) -> &'static str {
                match self { $(Error::$name => stringify!($name),)* }
            }

            /// One sentence saying what failed.
            pub const fn text(self) -> &'static str {
                match self { $(Error::$name => $text,)* }
            }
        }
    };
}

errors! {
    // Generic.
    NoMemory, NoMemory, ENOMEM, "out of memory";
    Io, Io, EIO, "the device reported an I/O error";
    Interrupted, Again, EINTR, "interrupted by a signal";
    Permission, InvalidArg, EACCES, "permission denied";
    NoEntry, NotFound, ENOENT, "no such object";
    Overflow, InvalidArg, EOVERFLOW, "a number does not fit";
    TextTooLong, InvalidArg, ERANGE, "the text does not fit the buffer";

    // Devices.
    DeviceNotFound, NotFound, ENOENT, "no such block device";
    DeviceBusy, Again, EBUSY, "the device is in use";
    DeviceReadOnly, ReadOnly, EROFS, "the device is read-only";
    DeviceGone, Io, EIO, "the device is gone";
    DeviceReadPastEnd, Io, EIO, "read past the end of the device";

    // Mount and options.
    ReadWriteUnsupported, ReadOnly, EROFS, "read-write mounts are not supported yet: mount with -o ro";

    // Btree.
    NodeChecksum, Checksum, EIO, "btree node checksum does not match";
}
