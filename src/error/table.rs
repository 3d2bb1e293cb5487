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
    ReadOnly, ReadOnly, EROFS, "the filesystem is read-only";
    Overflow, InvalidArg, EOVERFLOW, "a number does not fit";

    // Devices.
    DeviceNotFound, NotFound, ENOENT, "no such block device";
    DeviceBusy, Again, EBUSY, "the device is in use";
    DeviceReadOnly, ReadOnly, EROFS, "the device is read-only";
    DeviceNotWritable, ReadOnly, EROFS, "the device can not be opened for writing";
    DeviceGone, Io, EIO, "the device is gone";
    DeviceOptionFixed, Unsupported, EOPNOTSUPP, "this option of a device can not be changed while it is in use";
    DeviceReadPastEnd, Io, EIO, "read past the end of the device";
    DeviceWritePastEnd, Io, EIO, "write past the end of the device";
    DeviceWriteUnaligned, InvalidArg, EINVAL, "a write that is not of whole blocks of the device";
    DeviceDiscardRange, InvalidArg, EINVAL, "a discard past the end of the device, or not of whole blocks";
    DeviceNoDiscard, Unsupported, EOPNOTSUPP, "the device can not discard";

    // Mount and options.
    ReadWriteUnsupported, ReadOnly, EROFS, "only filesystems of version 1.13 can be mounted read-write yet: mount with -o ro";
    ReadWriteNodeSize, ReadOnly, EROFS, "btree nodes of less than four blocks can not be written: mount with -o ro";
    ReadWriteNew, ReadOnly, EROFS, "the filesystem was never mounted, and may not be written to be set up: mount it once without nochanges, norecovery or read_only";
    NewVersion, Unsupported, EOPNOTSUPP, "the filesystem was never mounted, and can not be set up as it was made: make it with the tools for version 1.13";
    NewNeedsWriting, ReadOnly, EROFS, "the filesystem was never mounted, and its devices are not open for writing";
    CheckNeedsWriting, ReadOnly, EROFS, "the filesystem is to be checked, and its devices are not open for writing";
    NewDeviceMissing, NotFound, ENXIO, "the filesystem was never mounted, and for the first mount all devices have to be there";
    NewJournalNoRoom, NoSpace, ENOSPC, "a device has no room for a journal";
    ReadWriteNeedsFsck, ReadOnly, EROFS, "the superblock asks for a check before the next change that is not supported yet: mount with -o ro, or run bcachefs fsck";
    ReadWriteDamaged, ReadOnly, EROFS, "a btree is damaged: mount with -o ro, or with -o fsck,fix_errors=yes, or run bcachefs fsck";
    PassUnsupported, Unsupported, EOPNOTSUPP, "a recovery pass that was asked for is not supported yet: run bcachefs fsck";
    RecoveryPassLast, InvalidArg, EINVAL, "the option recovery_pass_last ends recovery before the filesystem can be written: mount with -o ro";
    FsckErrorsNotFixed, Coherency, EUCLEAN, "something was found inconsistent that may not be repaired: mount with -o fsck,fix_errors=yes, or run bcachefs fsck";
    RemountNeedsCheck, ReadOnly, EROFS, "the superblock asks for a check before the next change: unmount the filesystem, and mount it read-write or run bcachefs fsck";
    RemountUnsupported, ReadOnly, EROFS, "parts of the journal were missing at mount: the filesystem can not be made writable before it is mounted again";
    RemountForced, ReadOnly, EROFS, "an option of the mount forbids to write: the filesystem can not be made writable before it is mounted again";
    RemountShared, ReadOnly, EROFS, "the filesystem is mounted read-only already: make that mount writable";

    ChardevInit, NoSpace, ENOSPC, "the filesystem's control device can not be made";
    FilesystemUuidAlreadyOpen, InvalidArg, EINVAL, "a filesystem with the same UUID is mounted";

    // Superblock, written.
    SbFull, NoSpace, ENOSPC, "the superblock has no room for more";
    SbWriteInvalid, Superblock, EROFS, "a superblock that was to be written can not be right";
    SbWriteDropped, Io, EROFS, "a device did not keep the superblock it was given";
    SbWriteRaced, ReadOnly, EROFS, "somebody else wrote the superblock of a mounted filesystem";
    SbWriteFailed, Io, EROFS, "the superblock could not be written to enough devices";
    SbNotLive, ReadOnly, EROFS, "the superblock is not to be written: the filesystem is read-only";

    // Superblock: one copy.
    SbTruncated, Superblock, EUCLEAN, "the superblock could not be read whole";
    SbMagic, Superblock, EINVAL, "no bcachefs superblock";
    SbTooBig, Superblock, EUCLEAN, "the superblock is larger than its layout allows";
    SbCsumType, Superblock, EUCLEAN, "the superblock has an impossible kind of checksum";
    SbChecksum, Checksum, EUCLEAN, "superblock checksum does not match";
    SbVersion, Superblock, EUCLEAN, "the superblock's version can not be right";
    SbVersionTooNew, Unsupported, EOPNOTSUPP, "the filesystem has a version that is too new";
    SbVersionTooOld, Unsupported, EOPNOTSUPP, "the filesystem has a version that is too old";
    SbVersionOrder, Superblock, EUCLEAN, "the superblock's oldest version is above its version";
    SbFeatures, Unsupported, EOPNOTSUPP, "the filesystem has an unknown incompatible feature";
    SbVersionIncompat, Unsupported, EOPNOTSUPP, "the filesystem has incompatible changes that are not known";
    SbBigEndian, Unsupported, EOPNOTSUPP, "the filesystem was written by a big-endian machine";
    SbUuid, Superblock, EUCLEAN, "the superblock has no UUID";
    SbOffset, Superblock, EUCLEAN, "the superblock was written to another place";
    SbNrDevices, Superblock, EUCLEAN, "the superblock has an impossible number of devices";
    SbDevIdx, Superblock, EUCLEAN, "the superblock's device number can not be right";
    SbTimePrecision, Superblock, EUCLEAN, "the superblock's time precision can not be right";
    SbBlockSize, Superblock, EUCLEAN, "the superblock's block size can not be right";
    SbNodeSize, Superblock, EUCLEAN, "the superblock's btree node size can not be right";
    SbNodeBelowBlock, Superblock, EUCLEAN, "the btree node size is below the block size";
    SbLayout, Superblock, EUCLEAN, "the superblock layout can not be right";
    SbSectionSize, Superblock, EUCLEAN, "a superblock section has an impossible size";
    SbMembersMissing, Superblock, EUCLEAN, "the superblock lists no devices";
    SbMembersSize, Superblock, EUCLEAN, "the superblock's device list is too short";
    SbMembers, Superblock, EUCLEAN, "a device in the superblock can not be right";
    SbJournal, Superblock, EUCLEAN, "the superblock's journal buckets can not be right";
    SbCrypt, Superblock, EUCLEAN, "the superblock's encryption section can not be right";
    SbReplicas, Superblock, EUCLEAN, "a replicas entry in the superblock can not be right";
    SbReplicasSize, Superblock, EUCLEAN, "the superblock's replicas entries overrun their section";
    SbQuota, Superblock, EUCLEAN, "the superblock's quota section can not be right";
    SbDiskGroups, Superblock, EUCLEAN, "the superblock's labels can not be right";
    SbClean, Superblock, EUCLEAN, "the superblock's clean section can not be right";
    SbBlacklist, Superblock, EUCLEAN, "the superblock's journal blacklist can not be right";
    SbErrors, Superblock, EUCLEAN, "the superblock's error counts can not be right";
    SbExt, Superblock, EUCLEAN, "the superblock's ext section can not be right";
    SbDowngrade, Superblock, EUCLEAN, "the superblock's downgrade section can not be right";
    SbExtentTypes, Superblock, EUCLEAN, "the superblock disagrees about the size of extent entries";

    // Superblock: the copies of a device, the devices of a filesystem.
    SbNoCopies, Superblock, EUCLEAN, "no superblock location could be found";
    SbPastDevice, Superblock, EUCLEAN, "the superblock copy would be past the end of the device";
    DeviceTooSmall, Superblock, EUCLEAN, "the device is smaller than the filesystem on it";
    DeviceBlockSize, Unsupported, EINVAL, "the device's blocks are larger than the filesystem's";
    DeviceNotMember, InvalidArg, EINVAL, "the device is not a member of the filesystem";
    DeviceRemoved, InvalidArg, EINVAL, "the device has been removed from the filesystem";
    DeviceDuplicate, InvalidArg, EINVAL, "two devices claim the same place in the filesystem";
    DeviceOtherBlockSize, Superblock, EUCLEAN, "the devices disagree about the block size";
    DeviceSplitBrain, Superblock, EUCLEAN, "the devices were written separately (split brain)";
    DevicesMissing, Io, ENXIO, "devices are missing";
    DevicesMissingData, Io, ENXIO, "devices with user data are missing";
    DevicesNone, InvalidArg, EINVAL, "no device to mount";
    KeyMissing, NotFound, ENOKEY, "the filesystem is encrypted and its key is in no keyring: run bcachefs unlock";
    KeyExpired, InvalidArg, EKEYEXPIRED, "the filesystem is encrypted and its key in the keyring has expired";
    KeyRevoked, InvalidArg, EKEYREVOKED, "the filesystem is encrypted and its key in the keyring was revoked";
    KeyRefused, InvalidArg, EACCES, "the filesystem is encrypted and its key can not be had from the keyring";
    KeySize, InvalidArg, EINVAL, "the key in the keyring has the wrong size for an encrypted filesystem";
    KeyWrong, InvalidArg, EINVAL, "the key in the keyring is not that of the filesystem";

    // Options.
    CasefoldingInUse, Unsupported, EOPNOTSUPP, "casefolding is in use and can not be disabled";
    OptionUnknown, InvalidArg, EINVAL, "unknown option";
    OptionNotForMount, InvalidArg, EINVAL, "not an option for mounting";
    OptionUnsupported, Unsupported, EOPNOTSUPP, "an option asks for what is not supported yet";
    OptionValue, InvalidArg, EINVAL, "invalid value for an option";
    LabelTooLong, InvalidArg, EINVAL, "the label of a filesystem has 31 bytes at most";
    OptionTooSmall, InvalidArg, ERANGE, "the value is below those that the option can have";
    OptionTooBig, InvalidArg, ERANGE, "the value is above those that the option can have";
    TriggerNumber, InvalidArg, EINVAL, "the trigger takes a number";
    OptionNotPossible, InvalidArg, EINVAL, "the option can not have that value";

    // Journal.
    JournalKeyLost, Journal, EUCLEAN, "a journal key is not where it was found";
    JournalVersion, Unsupported, EOPNOTSUPP, "a journal entry has an unsupported version";
    JournalBigEndian, Unsupported, EOPNOTSUPP, "the journal was written by a big-endian machine";
    JournalRewindUnsupported, Unsupported, EOPNOTSUPP, "a journal rewind is in progress";
    JournalEmpty, Journal, EUCLEAN, "the journal has no usable entry";
    JournalEntriesMissing, Journal, EUCLEAN, "journal entries that are needed are missing";
    JournalUnreadable, Io, EIO, "newer journal entries than those found may be where the device can not be read";
    JournalChecksum, Checksum, EUCLEAN, "a journal entry that is needed does not match its checksum";
    JournalBadEntry, Journal, EUCLEAN, "the records of a journal entry overrun it";
    JournalBadRecord, Journal, EUCLEAN, "a record of a journal entry is malformed";
    JournalBadBtree, Journal, EUCLEAN, "a journal entry names a btree that can not exist";
    JournalBadKey, Journal, EUCLEAN, "a key in the journal is malformed";
    JournalInvalidKey, Key, EUCLEAN, "a key in the journal can not be right";
    JournalFull, NoSpace, ENOSPC, "the journal has no room until what it holds is written back";
    JournalRetry, Again, EAGAIN, "the journal's buffers are all being written";
    JournalTooBig, InvalidArg, EINVAL, "an update is larger than a journal entry can be";
    JournalOverrun, InvalidArg, EINVAL, "an update is larger than what was reserved in the journal";
    JournalStuck, NoSpace, EROFS, "the journal is full and nothing can be written back";
    JournalStopped, Shutdown, EROFS, "the journal is stopped";
    EmergencyAsked, Shutdown, EROFS, "somebody asked for it, by an ioctl or in sysfs";
    JournalNoDevice, ReadOnly, EROFS, "too few devices can take the journal";
    JournalPin, Journal, EROFS, "a journal entry was to be kept that is gone already";
    JournalNoPlace, NoSpace, EROFS, "there is no place for a journal entry that room was kept for";
    JournalWriteFailed, Io, EROFS, "a journal entry could not be written to any device";
    JournalFlushFailed, Io, EROFS, "a device could not put what it has on stable storage";
    DeviceWritesFail, Io, EROFS, "a device that is needed could not be written for as long as write_error_timeout allows";
    JournalWriteInvalid, Journal, EROFS, "a journal entry that was to be written can not be right";
    JournalWriteOverrun, Journal, EROFS, "the records of a journal entry that was to be written overrun it";
    JournalWriteCsum, Journal, EROFS, "a journal entry can not be written for lack of the filesystem's key";
    JournalSeqs, Journal, EROFS, "the journal has no sequence number left";
    CleanSectionMissing, Superblock, EUCLEAN, "the superblock has no clean section";

    // Btree.
    BtreeSick, Topology, EIO, "a btree that is needed whole is damaged";
    BtreeNoLevel, Coherency, EIO, "a btree has no node of the level that is to be changed";
    BtreeTooDeep, NoSpace, ENOSPC, "a btree can not have more levels";
    BtreeNodeTooSmall, NoSpace, EROFS, "btree nodes are too small for the keys of a transaction";
    BtreeUpdateTooBig, NoSpace, EROFS, "an update does not fit nodes that were just made for it";
    NodeFull, NoSpace, EROFS, "the keys of a btree node are more than it can hold";
    NodeNotSealed, InvalidArg, EROFS, "a btree node can not be encrypted: there is no key";
    NodeWriteNoDevice, Io, EROFS, "no device of a btree node is there to write it to";
    NodeNoIdentity, Unsupported, EOPNOTSUPP, "a btree node with a pointer of the first version can not be replaced";
    NodeNoPlace, NoSpace, ENOSPC, "there is no place for a new btree node";
    BtreeKeyCacheCoherency, Coherency, EIO, "a key that was changed in the key cache is not in its btree node";
    KeyUnusable, Key, EIO, "a key that is to be changed was found damaged";
    TransKeyInvalid, Key, EINVAL, "a key that is to be written can not be right";
    TransTooBig, InvalidArg, EINVAL, "a transaction changes more of one btree node than fits it";
    ExtentOtherSnapshot, Unsupported, EOPNOTSUPP, "overwriting extents of other snapshots is not supported yet";
    ExtentCut, Key, EIO, "an extent that is partly overwritten is damaged";
    BackpointerInvalid, Key, EIO, "the backpointer of a btree node can not be read";
    AllocKeyInvalid, Key, EIO, "the state of a bucket that is to change can not be read";
    FreeBucketUnreadable, Key, EIO, "the state of a bucket that may be free can not be read";
    StripeUnreadable, Key, EIO, "a stripe that data belongs to can not be read";
    EditedKeyMissing, Coherency, EIO, "a key that another one refers to does not exist";
    EditedKeyInvalid, Key, EIO, "a key that another one refers to can not be changed as it has to be";
    SnapshotUnreadable, Coherency, EIO, "a node of the snapshot trees is missing";
    InodeAboveUnreadable, Key, EIO, "an inode of a snapshot above can not be read";
    BucketFull, NoSpace, ENOSPC, "a bucket that was taken for a btree node has no room for it";
    TooManyCopies, InvalidArg, EINVAL, "more copies of a btree node than a pointer can have";
    NodeMagic, Topology, EIO, "a btree node has the wrong magic number";
    NodeSeq, Topology, EIO, "a btree node is not the one its pointer asks for";
    NodeWrongBtree, Topology, EIO, "a btree node belongs to another btree";
    NodeLevel, Topology, EIO, "a btree node has the wrong level";
    NodeRange, Topology, EIO, "a btree node does not cover the range its pointer says";
    NodeGap, Topology, EIO, "no btree node covers a position";
    NodeNoChild, Topology, EIO, "an interior btree node ends before the range it covers";
    NodeChildKind, Topology, EIO, "an interior btree node holds a key that is no node pointer";
    NodeFormat, Topology, EIO, "a btree node's key format can not be right";
    NodeChecksum, Checksum, EIO, "btree node checksum does not match";
    NodeChecksumKind, Unsupported, EOPNOTSUPP, "a btree node has an unknown kind of checksum";
    NodeNoKey, Topology, EIO, "a btree node is encrypted, but the filesystem has no key";
    NodeVersion, Unsupported, EOPNOTSUPP, "a btree node has an unsupported version";
    NodeBigEndian, Unsupported, EOPNOTSUPP, "a btree node was written by a big-endian machine";
    NodeTruncated, Topology, EIO, "a set of keys goes beyond the end of its btree node";
    NodeIncomplete, Topology, EIO, "a btree node holds less than was written to it";
    NodeBsetPlace, Topology, EIO, "a set of keys is at the wrong place of its btree node";
    NodeVoid, Journal, EIO, "a btree node was written for a journal entry that never was";
    KeyTooLong, InvalidArg, EINVAL, "a key with its value is longer than a key can be";
    NodeKeys, Key, EIO, "the keys of a btree node can not be told from each other";
    NodeTooBig, Topology, EIO, "a pointer says that a btree node is longer than nodes are";
    NodeNoDevice, Io, EIO, "no device holds a readable copy of a btree node";
    NodeOtherRange, Topology, EIO, "a btree node in memory does not cover the range its pointer says";
    NodeChildInvalid, Topology, EIO, "a pointer to a btree node can not be right";
    RootRange, Topology, EIO, "the root of a btree does not cover every position";
    RootUnreadable, Topology, EIO, "the root of a btree is recorded but can not be read";
    RootLevel, Topology, EIO, "a btree is deeper than possible";
    SubvolumeNotFound, NotFound, ENOENT, "no such subvolume";
    SubvolumeInvalid, Key, EIO, "a subvolume's key can not be right";
    SubvolumeLost, Key, EIO, "a subvolume's key could not be used";
    SubvolumeMissing, Coherency, EIO, "a subvolume that is to change has no key, or one that can not be right";
    SubvolumeDeleted, ReadOnly, EROFS, "the subvolume is being deleted";
    SubvolumeUnlinked, NotFound, ENOENT, "a new subvolume in one that is being deleted";
    SubvolumesExhausted, NoSpace, ENOSPC, "all numbers of subvolumes are taken";
    SnapshotMissing, Coherency, EIO, "a node of the snapshot trees that is to change has no key, or one that can not be right";
    SnapshotTreeNotFound, NotFound, ENOENT, "no such tree of snapshots";
    SnapshotTreeBroken, Coherency, EUCLEAN, "nodes of the snapshot trees or subvolumes contradict each other: run bcachefs fsck";
    SnapshotsUnclear, Coherency, EUCLEAN, "a node of the snapshot trees can not be read: nothing is deleted of any";
    SnapshotHasChildren, Coherency, EINVAL, "the snapshot of a subvolume has others below it";
    SnapshotsExhausted, NoSpace, ENOSPC, "all numbers of snapshots are taken";
    SnapshotTreesExhausted, NoSpace, ENOSPC, "all numbers of snapshot trees are taken";
    SubvolumeSnapshotMissing, Coherency, EIO, "a subvolume's snapshot, or one it comes from, does not exist";
    RootInodeMissing, Coherency, EUCLEAN, "the root directory does not exist";

    // File data.
    DataNoDevice, Io, EIO, "no device holds a readable copy of an extent";
    DataLost, Io, EIO, "the data is recorded as lost";
    DataPoisoned, Checksum, EIO, "the data is recorded as bad";
    DataKeyInvalid, Key, EIO, "an extent's value is malformed";
    DataExtentInvalid, Key, EIO, "an extent is larger than the data it points to";
    DataChecksum, Checksum, EIO, "data does not match its checksum";
    DataChecksumKind, Unsupported, EOPNOTSUPP, "data has an unknown kind of checksum";
    DataCompressionKind, Unsupported, EOPNOTSUPP, "data is compressed in an unknown way";
    DataTooLarge, Key, EIO, "a compressed extent is larger than the filesystem allows";
    DataDecompress, Checksum, EIO, "data can not be decompressed";
    DataNoKey, Key, EIO, "the data is encrypted, but the filesystem has no key";
    DataBlockSize, Unsupported, EOPNOTSUPP, "files can not be written in blocks that are larger than a page";
    DataWriteUnaligned, InvalidArg, EINVAL, "data that is to be written is not of whole blocks";
    DataWriteFailed, Io, EIO, "no device could write a copy of the data";
    DataCanNotSeal, Unsupported, EOPNOTSUPP, "there is no checksum, or no key, of the kind that data is to have";
    DataWriteShared, InvalidArg, EINVAL, "data that others can change meanwhile can not have a checksum";
    DataExtentEntry, InvalidArg, EINVAL, "an extent is larger than its checksum can be for";
    CopygcStuck, NoSpace, ENOSPC, "no bucket is free, and none can be made free by moving what is in others";
    MovedExtentInvalid, Key, EIO, "an extent that is to be moved has a value that can not be right";
    MovedExtentTooLarge, InvalidArg, EINVAL, "what is left of an extent that is to be moved does not fit any checksum entry";
    MovedCanNotSeal, Unsupported, EOPNOTSUPP, "data that is to be moved has a checksum that can not be made";
    MovedNoRoom, NoSpace, ENOSPC, "a bucket that was taken for data that is moved has no room for any";
    MovedWriteFailed, Io, EIO, "data that was moved could not be written to its new place";
    DataMoved, Again, EAGAIN, "data was moved while it was read";
    DataPlaceFull, NoSpace, ENOSPC, "a bucket that was taken for data has no room for it";
    DataCut, Key, EIO, "an extent can not be written in parts";
    DataCutToMove, Key, EIO, "an extent that is to be moved within a file can not be cut";
    ReflinkFull, NoSpace, ENOSPC, "there is no room for more shared data";
    ReflinkLost, Io, EIO, "data that is to be shared is lost";
    LoggedOpInvalid, Key, EUCLEAN, "what the journal of operations says can not be read";
    StripeMissing, Coherency, EIO, "an extent's stripe does not exist";
    StripeInvalid, Key, EIO, "a stripe's key can not be right";
    StripeMismatch, Coherency, EIO, "an extent is not where its stripe says";
    StripeTooShort, Coherency, EIO, "an extent goes beyond its stripe";
    StripeChecksumKind, Unsupported, EOPNOTSUPP, "a stripe has an unknown kind of checksum";
    StripeStale, Coherency, EIO, "a bucket of a stripe was used again for something else";
    StripeChecksum, Checksum, EIO, "a block does not match its checksum in the stripe";
    StripeTooFewBlocks, Io, EIO, "too many blocks of a stripe are missing or bad";
    StripeRebuiltChecksum, Checksum, EIO, "a block rebuilt from its stripe does not match its checksum";
    IndirectMissing, Coherency, EIO, "a reflink pointer leads to no extent";

    // Space.
    DiskReservation, NoSpace, ENOSPC, "there is not enough space on the devices";
    FreelistEmpty, NoSpace, ENOSPC, "no bucket is free for this kind of write";
    OpenBucketsEmpty, NoSpace, ENOSPC, "too many buckets are being written to";
    InsufficientDevices, ReadOnly, EROFS, "there are not enough devices that can be written";

    // Buckets, and what is derived.
    BucketRefUpdate, Coherency, EIO, "a new pointer does not fit what its bucket holds";
    TriggerPointer, Coherency, EIO, "a new pointer does not fit the bucket it leads to";
    TriggerBucket, Coherency, EIO, "a bucket that is changed does not exist";
    TriggerStripePointer, Coherency, EIO, "a pointer does not fit its stripe";
    TriggerReflinkPointer, Coherency, EIO, "a reflink pointer that is changed leads to no extent";
    TriggerKeyInvalid, Key, EIO, "a key that is changed can not be decoded";
    MarkStripe, Coherency, EIO, "a bucket can not become, or is not, part of a stripe";
    MetadataBucketInconsistency, Coherency, EIO, "a bucket of superblocks or the journal holds something else";

    Inconsistent, Shutdown, EROFS, "something was found inconsistent, and the option errors says that writing ends then: run fsck";

    // The check.
    CheckUnusableKey, Key, EUCLEAN, "what space is used for can not be counted, because a key is damaged: run bcachefs fsck";
    CheckUnusableBucket, Key, EUCLEAN, "the state of a bucket is damaged: run bcachefs fsck";
    CheckUnusableIndex, Key, EUCLEAN, "a bucket that is in an index has a damaged key: run bcachefs fsck";
    CheckPointers, Coherency, EUCLEAN, "what space is used for can not be counted, because pointers do not fit their buckets: run bcachefs fsck";
    CheckSameSpace, Coherency, EUCLEAN, "two keys have pointers to the same space: run bcachefs fsck";
    CheckTopology, Topology, EUCLEAN, "a btree has lost nodes that can not be made of others: run bcachefs fsck";
    CheckMustRepair, Coherency, EUCLEAN, "a btree can not be used as it is, and may not be repaired: mount with -o fsck,fix_errors=yes, or run bcachefs fsck";
    CheckHashFull, NoSpace, ENOSPC, "no place is left for a name at its hash";
    CheckLostFound, Coherency, EUCLEAN, "the directory lost+found can not be used";
    CheckReattach, Coherency, EUCLEAN, "lost+found has an entry already of the name that was to be given to an inode";
    CheckLoopParent, Coherency, EUCLEAN, "a directory that is above itself has no parent";
    ScanInterrupted, Again, EINTR, "interrupted by a signal while btree nodes were looked for";
    FoundNodeIdentity, Topology, EIO, "a btree node that was found has no number of its own";
    SurveyNode, Topology, EIO, "a btree node does not cover what the pointer to it says";
    SurveyRoot, Topology, EIO, "there is no pointer to the root of a btree";
    SurveyRootRange, Topology, EIO, "what is left of the root of a btree does not cover all of it";
    RepairEndless, Coherency, EUCLEAN, "repairs do not come to an end: run bcachefs fsck";

    // Files and directories.
    InodeNotFound, NotFound, ENOENT, "no such inode";
    NameNotFound, NotFound, ENOENT, "the directory has no name of the inode";
    InodeInvalid, Key, EIO, "an inode's key can not be right";
    InodeLost, Key, EIO, "an inode's key could not be used";
    DirentInvalid, Key, EIO, "a directory entry that may be the one wanted can not be read";
    StrHashUnknown, Unsupported, EOPNOTSUPP, "names are hashed in an unknown way";
    CasefoldDirButDisabled, Unsupported, EOPNOTSUPP, "the directory compares names without case, which is turned off or not in this kernel";
    XattrNotFound, NotFound, ENODATA, "no such attribute";
    XattrInvalid, Key, EIO, "an attribute that may be the one wanted can not be read";
    XattrBufferTooSmall, InvalidArg, ERANGE, "the attribute does not fit the buffer";
    XattrToChangeInvalid, Key, EIO, "an attribute that is in the way of a change can not be read";
    XattrTooLong, InvalidArg, ERANGE, "the attribute is too long";
    XattrExists, InvalidArg, EEXIST, "the attribute exists";
    XattrToReplaceMissing, NotFound, ENODATA, "there is no attribute to replace";
    XattrToRemoveMissing, NotFound, ENODATA, "there is no attribute to remove";
    InodeOptionUnknown, InvalidArg, EINVAL, "files have no such option";
    InodeOptionUnsupported, Unsupported, EOPNOTSUPP, "files have no such option in this version of the format";
    AclTagUnknown, InvalidArg, EINVAL, "an access control list has an entry of an unknown kind";
    AclNoDirectory, InvalidArg, EACCES, "only directories have a list for new files";
    AclInvalid, Key, EINVAL, "an access control list can not be right";
    QuotaExceeded, NoSpace, EDQUOT, "a quota allows no more";
    QuotaInvalid, Key, EIO, "the limits of a quota can not be right";
    SubvolumeReadOnly, ReadOnly, EROFS, "the subvolume is read-only";
    SnapshotOfNoRoot, InvalidArg, EINVAL, "a snapshot of what is no root of a subvolume";
    SnapshotOfOthers, InvalidArg, EPERM, "a snapshot of a subvolume whose root somebody else owns";
    SubvolumeNotEmpty, InvalidArg, ENOTEMPTY, "other subvolumes are in the directories of the subvolume";
    SubvolumeNone, NotFound, ENOENT, "what is to be deleted is no subvolume";
    NameTooLong, InvalidArg, ENAMETOOLONG, "the name is too long";
    DirentNotFound, NotFound, ENOENT, "the directory has no entry of that name";
    DirentExists, InvalidArg, EEXIST, "the directory has an entry of that name";
    DirentToChangeInvalid, Key, EIO, "a directory entry that is in the way of a change can not be read";
    DirNotEmpty, InvalidArg, ENOTEMPTY, "the directory is not empty";
    StrHashFull, NoSpace, ENOSPC, "there is no place for a name of that hash";
    CasefoldWriteUnsupported, Unsupported, EOPNOTSUPP, "changing directories that compare names without case is not supported yet";
    InodesExhausted, NoSpace, ENOSPC, "all inode numbers are taken";
    TooManyLinks, InvalidArg, EMLINK, "the inode has as many names as it can have";
    TooManySubdirs, InvalidArg, EMLINK, "the directory holds as many directories as it can";
    LinksUnderflow, Coherency, EIO, "a name is to go of an inode that has none";
    SubdirsUnderflow, Coherency, EIO, "a directory is to go from one that counts none";
    FlagsNotForKind, InvalidArg, EINVAL, "flags that only files and directories can have";
    ProjectTooLarge, InvalidArg, EINVAL, "the number of the project is too large";
    SymlinkTooLong, InvalidArg, ENAMETOOLONG, "the target of a symbolic link is empty or too long";
    LinkOtherSubvolume, InvalidArg, EXDEV, "a name for an inode of another subvolume";
    LinkOtherOptions, InvalidArg, EXDEV, "a name in a directory with other options than the inode has";
    RenameOtherSubvolume, InvalidArg, EXDEV, "a new name in another subvolume";
    RenameOtherOptions, InvalidArg, EXDEV, "a new place for a directory, where other options are inherited";
    RenameOtherKind, InvalidArg, ENOTDIR, "a directory in place of something else, or the other way round";
    RenameOverSubvolume, Unsupported, EOPNOTSUPP, "replacing a subvolume is not supported yet";
    RenameTargetGone, NotFound, ENOENT, "what is to be replaced does not exist";
    RenameTargetThere, InvalidArg, EEXIST, "the new name exists";
    SymlinkInvalid, Key, EIO, "a symbolic link's target can not be right";

    // ioctl.
    IoctlUnknown, Unsupported, ENOTTY, "no such ioctl";
    IoctlSubvolume, InvalidArg, EINVAL, "the subvolume could not be made, or deleted";
    IoctlNotYet, Unsupported, EOPNOTSUPP, "the ioctl is not supported yet";
    IoctlMemory, InvalidArg, EFAULT, "the memory that an ioctl's argument points to is not there";
    IoctlNonAdmin, InvalidArg, EPERM, "the ioctl needs CAP_SYS_ADMIN";
    IoctlBadArg, InvalidArg, EINVAL, "an ioctl's argument has flags or values that are not known";
    IoctlNoSuchIndex, InvalidArg, EINVAL, "the filesystem has no device of this number";
    IoctlNoSuchName, NotFound, ENOENT, "the filesystem has no device of this name";
    IoctlNoSuchNumber, NotFound, ENOENT, "no device of the filesystem has this number";
    IoctlDeviceAbsent, NotFound, ENXIO, "the device is missing";
    IoctlBufferTooSmall, InvalidArg, ERANGE, "the buffer given to an ioctl is too small";
    IoctlReadOnly, ReadOnly, EROFS, "the filesystem is mounted read-only";
    IoctlUnmounted, NotFound, ENODEV, "the filesystem is not mounted any more";
}
