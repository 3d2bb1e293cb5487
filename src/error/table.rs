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

    // Journal.
    JournalKeyLost, Journal, EUCLEAN, "a journal key is not where it was found";
    JournalVersion, Unsupported, EOPNOTSUPP, "a journal entry has an unsupported version";
    JournalBigEndian, Unsupported, EOPNOTSUPP, "the journal was written by a big-endian machine";
    JournalRewindUnsupported, Unsupported, EOPNOTSUPP, "a journal rewind is in progress";
    JournalEmpty, Journal, EUCLEAN, "the journal has no usable entry";
    JournalEntriesMissing, Journal, EUCLEAN, "journal entries that are needed are missing";
    JournalChecksum, Checksum, EUCLEAN, "a journal entry that is needed does not match its checksum";
    JournalBadEntry, Journal, EUCLEAN, "the records of a journal entry overrun it";
    JournalBadRecord, Journal, EUCLEAN, "a record of a journal entry is malformed";
    JournalBadBtree, Journal, EUCLEAN, "a journal entry names a btree that can not exist";
    JournalBadKey, Journal, EUCLEAN, "a key in the journal is malformed";
    JournalInvalidKey, Key, EUCLEAN, "a key in the journal can not be right";
    CleanSectionMissing, Superblock, EUCLEAN, "the superblock has no clean section";

    // Btree.
    NodeMagic, Topology, EIO, "a btree node has the wrong magic number";
    NodeSeq, Topology, EIO, "a btree node is not the one its pointer asks for";
    NodeWrongBtree, Topology, EIO, "a btree node belongs to another btree";
    NodeLevel, Topology, EIO, "a btree node has the wrong level";
    NodeRange, Topology, EIO, "a btree node does not cover the range its pointer says";
    NodeGap, Topology, EIO, "no btree node covers a position";
    NodeChildKind, Topology, EIO, "an interior btree node holds a key that is no node pointer";
    NodeFormat, Topology, EIO, "a btree node's key format can not be right";
    NodeChecksum, Checksum, EIO, "btree node checksum does not match";
    NodeChecksumKind, Unsupported, EOPNOTSUPP, "a btree node has an unknown kind of checksum";
    NodeEncrypted, Unsupported, EOPNOTSUPP, "a btree node is encrypted";
    NodeVersion, Unsupported, EOPNOTSUPP, "a btree node has an unsupported version";
    NodeBigEndian, Unsupported, EOPNOTSUPP, "a btree node was written by a big-endian machine";
    NodeTruncated, Topology, EIO, "a btree node ends before all its keys were found";
    NodeBsetPlace, Topology, EIO, "a set of keys is at the wrong place of its btree node";
    NodeVoid, Journal, EIO, "a btree node was written for a journal entry that never was";
    NodeKeys, Key, EIO, "the keys of a btree node can not be told from each other";
    NodeTooBig, NoMemory, ENOMEM, "a btree node is larger than the filesystem's node size";
    NodeNoDevice, Io, EIO, "no device holds a readable copy of a btree node";
    RootUnreadable, Topology, EIO, "the root of a btree is recorded but can not be read";
    RootLevel, Topology, EIO, "a btree is deeper than possible";
    BtreeSick, Topology, EIO, "the btree is damaged; it has to be repaired before this operation";

    // File data.
    DataNoDevice, Io, EIO, "no device holds a readable copy of an extent";
    DataLost, Io, EIO, "the data is recorded as lost";
    DataPoisoned, Checksum, EIO, "the data is recorded as bad";
    DataKeyInvalid, Key, EIO, "an extent's value is malformed";
    DataExtentInvalid, Key, EIO, "an extent is larger than the data it points to";
    DataChecksum, Checksum, EIO, "data does not match its checksum";
    DataChecksumKind, Unsupported, EOPNOTSUPP, "data has an unknown kind of checksum";
    DataCompressed, Unsupported, EOPNOTSUPP, "the data is compressed";
    DataEncrypted, Unsupported, EOPNOTSUPP, "the data is encrypted";
    IndirectMissing, Coherency, EIO, "a reflink pointer leads to no extent";
}
