// SPDX-License-Identifier: GPL-2.0

//! The options, one row each.

use crate::format::{
    data_type::DataType,
    sb::{
        ext::flag,
        flags::{
            self,
            BitField, //
        },
        members::MemberState,
    },
};

/// What kind of value an option has.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A number from the first to the second, both included.
    Uint(u64, u64),
    /// One of these; the value is the position.
    Choice(&'static [&'static str]),
    /// A set of these, of which only those in the mask are possible.
    Bits(&'static [&'static str], u64),
    /// A set of recovery passes, by position in the order in which they run.
    Passes,
    /// One recovery pass, by position.
    Pass,
    /// A compression type in the low four bits, its level in the next four.
    Compression,
    /// A device or a label; see [`Target`](crate::format::sb::groups::Target).
    Target,
    /// How to repair: a choice whose value can be left out.
    FixErrors,
    /// A label, as stored in a member.
    Label,
    /// Text of at most this many bytes, stored in a member.
    Text(u8),
}

/// Where the superblock has an option.
#[derive(Clone, Copy, Debug)]
pub enum Stored {
    /// Nowhere.
    No,
    /// In the block size field.
    BlockSize,
    /// In the flags.
    Sb(BitField),
    /// In the flags: the low four bits, and the high ones.
    Pair(BitField, BitField),
    /// In the flags of the `ext` section.
    Ext(BitField),
    /// With each device.
    Member,
}

/// An option.
///
/// C: `struct bch_option`.
#[derive(Clone, Copy, Debug)]
pub struct OptionInfo {
    /// Which one.
    pub id: OptId,
    /// The name, as in mount options, sysfs and `bcachefs format`.
    pub name: &'static str,
    /// What may be done with it: the constants below.
    pub flags: u16,
    /// Its values.
    pub kind: Kind,
    /// Where the superblock has it.
    pub stored: Stored,
    /// The value without one.
    pub default: u64,
}

/// An option of no kind; internal.
pub const NONE: u16 = 0;
/// Option of a filesystem.
pub const FS: u16 = 1;
/// Option of a device.
pub const DEVICE: u16 = 1 << 1;
/// Option of an inode.
pub const INODE: u16 = 1 << 2;
/// Can be given when the filesystem is made.
pub const FORMAT: u16 = 1 << 3;
/// Can be given at mount.
pub const MOUNT: u16 = 1 << 4;
/// Can be changed at run time.
pub const RUNTIME: u16 = 1 << 5;
/// A size, which can be given with a unit.
pub const HUMAN: u16 = 1 << 6;
/// A power of two.
pub const POW2: u16 = 1 << 7;
/// The superblock has it in sectors, the option is in bytes.
pub const SECTORS: u16 = 1 << 8;
/// The superblock has its logarithm.
pub const ILOG2: u16 = 1 << 9;
/// The superblock has it plus one; 0 stands for the default.
pub const ONE_BIAS: u16 = 1 << 10;
/// Not shown.
pub const HIDDEN: u16 = 1 << 11;
/// Accepted at mount, where it has no effect any more.
pub const MOUNT_OLD: u16 = 1 << 12;

const U16_MAX: u64 = 0xffff;
const U32_MAX: u64 = 0xffff_ffff;
const S64_MAX: u64 = u64::MAX >> 1;

/// C: `BCH_ERROR_ACTIONS()`.
pub const ERRORS: &[&str] = &["continue", "fix_safe", "panic", "ro"];
/// C: `BCH_CSUM_OPTS()`.
pub const CSUMS: &[&str] = &["none", "crc32c", "crc64", "xxhash"];
/// C: `BCH_STR_HASH_OPTS()`.
pub const STR_HASHES: &[&str] = &["crc32c", "crc64", "siphash"];
/// C: `BCH_COMPRESSION_OPTS()`.
pub const COMPRESSIONS: &[&str] = &["none", "lz4", "gzip", "zstd"];
/// C: `BCH_DEGRADED_ACTIONS()`.
pub const DEGRADED: &[&str] = &["ask", "yes", "very", "no"];
/// C: `BCH_SCRUB_JOURNAL_OPTS()`.
pub const SCRUB: &[&str] = &["unclean", "no", "always"];
/// C: `BCH_VERSION_UPGRADE_OPTS()`.
pub const UPGRADE: &[&str] = &["compatible", "incompatible", "none"];
/// C: `BCH_FIX_ERRORS_OPTS()`.
pub const FIX_ERRORS: &[&str] = &["exit", "yes", "no", "ask"];

macro_rules! opt_table {
    ($(#[doc = $help:literal] $id:ident $name:literal, $flags:expr, $kind:expr, $stored:expr, $default:expr;)*) => {
        /// An option's number; also its place in the table.
        ///
        /// C: `enum bch_opt_id`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum OptId {
            $(#[doc = concat!("`", $name, "`:", $help)] $id,)*
        }
        /// C: `bch2_opt_table`.
        static TABLE: &[&OptionInfo] = &[$(OptId::$id.info(),)*];

        /// What each option is for, in the order of the table.
        #[cfg(test)]
        pub(crate) const HELP: &[&str] = &[$($help,)*];

        impl OptId {
            /// The option's row.
            pub const fn info(self) -> &'static OptionInfo {
                match self {
                    $(OptId::$id => {
                        const ROW: OptionInfo = OptionInfo {
                            id: OptId::$id,
                            name: $name,
                            flags: $flags,
                            kind: $kind,
                            stored: $stored,
                            default: $default,
                        };
                        &ROW
                    })*
                }
            }

            /// The place in the table.
            pub const fn index(self) -> usize {
                #[allow(clippy::as_conversions)]
                {
                    self as usize
                }
            }
        }
    };
}

/// How many options there are.
pub const NR_OPTS: usize = TABLE.len();

/// All options, in the order of C's table.
pub fn options() -> impl Iterator<Item = &'static OptionInfo> + Clone {
    TABLE.iter().copied()
}

/// The option with this name. C: `bch2_opt_lookup()`.
pub fn lookup(name: &str) -> Option<&'static OptionInfo> {
    options().find(|o| o.name == name)
}

impl OptionInfo {
    /// Whether all these flags are set.
    pub const fn is(&self, flags: u16) -> bool {
        self.flags & flags == flags
    }

    /// Whether the superblock has it.
    pub const fn is_in_superblock(&self) -> bool {
        !matches!(self.stored, Stored::No | Stored::Member)
    }
}

// C: `BCH_OPTS()`.
opt_table! {
    /// The unit of reads and writes of data, in bytes.
    BlockSize "block_size", FS | FORMAT | HUMAN | POW2 | SECTORS, Kind::Uint(512, 1 << 15), Stored::BlockSize, 4096;
    /// The size of a btree node, in bytes.
    BtreeNodeSize "btree_node_size", FS | FORMAT | HUMAN | POW2 | SECTORS, Kind::Uint(512, 1 << 19), Stored::Sb(flags::BTREE_NODE_SIZE), 262144;
    /// About an inconsistency: go on, repair what is safe, or go read-only ("panic" too).
    Errors "errors", FS | FORMAT | MOUNT | RUNTIME, Kind::Choice(ERRORS), Stored::Sb(flags::ERROR_ACTION), 1;
    /// Seconds of failing writes after which a device is set read-only.
    WriteErrorTimeout "write_error_timeout", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(1, 300), Stored::Sb(flags::WRITE_ERROR_TIMEOUT), 30;
    /// Copies of metadata.
    MetadataReplicas "metadata_replicas", FS | FORMAT | MOUNT_OLD | RUNTIME, Kind::Uint(1, 4), Stored::Sb(flags::META_REPLICAS_WANT), 1;
    /// Copies of data.
    DataReplicas "data_replicas", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Uint(1, 4), Stored::Sb(flags::DATA_REPLICAS_WANT), 1;
    /// The longest extent that is checksummed or compressed as a whole, in bytes.
    EncodedExtentMax "encoded_extent_max", FS | FORMAT | HUMAN | POW2 | SECTORS | ILOG2, Kind::Uint(4096, 2 << 20), Stored::Sb(flags::ENCODED_EXTENT_MAX_BITS), 262144;
    /// How metadata is checksummed.
    MetadataChecksum "metadata_checksum", FS | FORMAT | MOUNT_OLD | RUNTIME, Kind::Choice(CSUMS), Stored::Sb(flags::META_CSUM_TYPE), 1;
    /// How data is checksummed.
    DataChecksum "data_checksum", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Choice(CSUMS), Stored::Sb(flags::DATA_CSUM_TYPE), 1;
    /// How often data that does not match its checksum is read again.
    ChecksumErrRetryNr "checksum_err_retry_nr", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(0, 32), Stored::Sb(flags::CSUM_ERR_RETRY_NR), 3;
    /// How data is compressed when it is written; TYPE or TYPE:LEVEL.
    Compression "compression", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Compression, Stored::Pair(flags::COMPRESSION_TYPE_LO, flags::COMPRESSION_TYPE_HI), 0;
    /// How data is compressed later, in the background; TYPE or TYPE:LEVEL.
    BackgroundCompression "background_compression", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Compression, Stored::Pair(flags::BACKGROUND_COMPRESSION_TYPE_LO, flags::BACKGROUND_COMPRESSION_TYPE_HI), 0;
    /// The hash of names in directories and of extended attributes.
    StrHash "str_hash", FS | FORMAT | MOUNT | RUNTIME, Kind::Choice(STR_HASHES), Stored::Sb(flags::STR_HASH_TYPE), 2;
    /// Device or label where metadata goes first.
    MetadataTarget "metadata_target", FS | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::METADATA_TARGET), 0;
    /// Device or label where data is written first.
    ForegroundTarget "foreground_target", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::FOREGROUND_TARGET), 0;
    /// Device or label where data is moved to in the background.
    BackgroundTarget "background_target", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::BACKGROUND_TARGET), 0;
    /// Device or label where data that was read is cached.
    PromoteTarget "promote_target", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::PROMOTE_TARGET), 0;
    /// Erasure code data, instead of replicating it.
    ErasureCode "erasure_code", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Bool, Stored::Sb(flags::ERASURE_CODE), 0;
    /// The most data blocks of a stripe; 0: as many as there are devices.
    EcMaxDataBlocks "ec_max_data_blocks", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(0, 15), Stored::Sb(flags::EC_MAX_DATA_BLOCKS), 0;
    /// New directories ignore the case of names.
    Casefold "casefold", FS | INODE | FORMAT, Kind::Bool, Stored::Sb(flags::CASEFOLD), 0;
    /// Directories that ignore case are treated as if they did not.
    CasefoldDisabled "casefold_disabled", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// New inode numbers have 32 bits.
    Inodes32bit "inodes_32bit", FS | INODE | FORMAT | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::INODE_32BIT), 0;
    /// Bits of new inode numbers that are the number of the processor.
    ShardInodeNumbersBits "shard_inode_numbers_bits", FS | FORMAT, Kind::Uint(0, 16), Stored::Sb(flags::SHARD_INUMS_NBITS), 0;
    /// Percent of the space that is kept free for moving data.
    GcReservePercent "gc_reserve_percent", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(5, 20), Stored::Sb(flags::GC_RESERVE), 8;
    /// The same in bytes; 0: the percentage counts.
    GcReserveBytes "gc_reserve_bytes", FS | FORMAT | MOUNT | RUNTIME | HUMAN | SECTORS, Kind::Uint(0, u64::MAX), Stored::Sb(flags::GC_RESERVE_BYTES), 0;
    /// Percent of the space that only the administrator can use.
    RootReservePercent "root_reserve_percent", FS | FORMAT | MOUNT, Kind::Uint(0, 100), Stored::Sb(flags::ROOT_RESERVE), 0;
    /// Authentication codes of 128 bits instead of 80 for encrypted data.
    WideMacs "wide_macs", FS | FORMAT | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::WIDE_MACS), 0;
    /// Small files are kept in the extents btree itself.
    InlineData "inline_data", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    /// What is cached is cached as whole extents.
    PromoteWholeExtents "promote_whole_extents", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::PROMOTE_WHOLE_EXTENTS), 1;
    /// Access control lists are in effect.
    Acl "acl", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::POSIX_ACL), 1;
    /// Quotas of users are counted.
    Usrquota "usrquota", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::USRQUOTA), 0;
    /// Quotas of groups are counted.
    Grpquota "grpquota", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::GRPQUOTA), 0;
    /// Quotas of projects are counted.
    Prjquota "prjquota", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::PRJQUOTA), 0;
    /// Mount with devices missing: when no data is lost, even when some is ("very"), never.
    Degraded "degraded", FS | MOUNT, Kind::Choice(DEGRADED), Stored::Sb(flags::DEGRADED_ACTION), 0;
    /// Seconds to wait for a device that was there and is missing.
    MissingDevTimeout "missing_dev_timeout", FS | MOUNT | FORMAT | RUNTIME, Kind::Uint(0, 3600), Stored::Ext(flag::MISSING_DEV_TIMEOUT), 0;
    /// Of the mount helper: believe what udev says of devices.
    MountTrustsUdev "mount_trusts_udev", MOUNT, Kind::Bool, Stored::No, 1;
    /// Mount devices that were written to without each other.
    NoSplitbrainCheck "no_splitbrain_check", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// Internal.
    NoVersionCheck "no_version_check", HIDDEN, Kind::Bool, Stored::No, 0;
    /// More messages about mounting and recovery.
    Verbose "verbose", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 0;
    /// Milliseconds until journal entries are written without anybody asking.
    JournalFlushDelay "journal_flush_delay", FS | MOUNT | RUNTIME, Kind::Uint(1, U32_MAX), Stored::Sb(flags::JOURNAL_FLUSH_DELAY), 1000;
    /// fsync does not wait for the journal: what it was told is safe can be lost.
    JournalFlushDisabled "journal_flush_disabled", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::JOURNAL_FLUSH_DISABLED), 0;
    /// Writes of moved data bypass the cache of the device.
    MoveWritesFua "move_writes_fua", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::MOVE_WRITES_FUA), 0;
    /// Milliseconds between two rounds of freeing journal space.
    JournalReclaimDelay "journal_reclaim_delay", FS | MOUNT | RUNTIME, Kind::Uint(0, U32_MAX), Stored::Sb(flags::JOURNAL_RECLAIM_DELAY), 100;
    /// Seconds after which changed pages are written; 0: as the machine has it set.
    WritebackTimeout "writeback_timeout", FS | MOUNT | RUNTIME, Kind::Uint(0, U16_MAX), Stored::Sb(flags::WRITEBACK_TIMEOUT), 0;
    /// The most bytes that are being moved at a time.
    MoveBytesInFlight "move_bytes_in_flight", HUMAN | FS | MOUNT | RUNTIME, Kind::Uint(1024, U32_MAX), Stored::No, 64 << 20;
    /// The most reads and writes for moving data at a time.
    MoveIosInFlight "move_ios_in_flight", FS | MOUNT | RUNTIME, Kind::Uint(1, 1024), Stored::No, 64;
    /// Check all, and repair as fix_errors says, while mounting.
    Fsck "fsck", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// The most memory for checking, in percent.
    FsckMemoryUsagePercent "fsck_memory_usage_percent", FS | MOUNT, Kind::Uint(20, 70), Stored::No, 50;
    /// What to do about errors that checking finds.
    FixErrors "fix_errors", FS | MOUNT, Kind::FixErrors, Stored::No, 0;
    /// The same message about different objects is printed only so often.
    RatelimitErrors "ratelimit_errors", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    /// Keys are not checked before they are written.
    NoCommitValidate "no_commit_validate", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// Nothing is written to the devices, not even by recovery.
    Nochanges "nochanges", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// The journal is not replayed; read-only.
    Norecovery "norecovery", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// Start from this journal entry and forget what came after.
    JournalRewind "journal_rewind", FS | MOUNT, Kind::Uint(0, u64::MAX), Stored::No, 0;
    /// Percent of the space that is not discarded, for journal_rewind.
    JournalRewindDiscardBufferPercent "journal_rewind_discard_buffer_percent", FS | MOUNT, Kind::Uint(0, 10), Stored::Ext(flag::DISCARD_BUFFER), 4;
    /// When recent journal entries are read and checked before mounting.
    ScrubRecentJournalEntries "scrub_recent_journal_entries", FS | MOUNT, Kind::Choice(SCRUB), Stored::Sb(flags::SCRUB_JOURNAL), 0;
    /// The most seconds that this check may go back.
    ScrubJournalMaxRewindSecs "scrub_journal_max_rewind_secs", FS | MOUNT | FORMAT, Kind::Uint(0, 3600), Stored::Ext(flag::SCRUB_MAX_REWIND_SECS), 10;
    /// Recovery passes to run beside those that are needed.
    RecoveryPasses "recovery_passes", FS | MOUNT, Kind::Passes, Stored::No, 0;
    /// Recovery passes not to run.
    RecoveryPassesExclude "recovery_passes_exclude", FS | MOUNT, Kind::Passes, Stored::No, 0;
    /// The last recovery pass to run.
    RecoveryPassLast "recovery_pass_last", FS | MOUNT, Kind::Pass, Stored::No, 0;
    /// Passes that were put off until the next mount are put off again.
    RecoveryPassesSkipScheduled "recovery_passes_skip_scheduled", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// Internal.
    RetainRecoveryInfo "retain_recovery_info", NONE, Kind::Bool, Stored::No, 0;
    /// Internal.
    ReadEntireJournal "read_entire_journal", NONE, Kind::Bool, Stored::No, 0;
    /// Internal.
    ReadJournalOnly "read_journal_only", NONE, Kind::Bool, Stored::No, 0;
    /// The journal has the names of the functions that changed something.
    JournalTransactionNames "journal_transaction_names", FS | FORMAT | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::JOURNAL_TRANSACTION_NAMES), 1;
    /// Seconds of waiting for free space until it is reported.
    AllocatorStuckTimeout "allocator_stuck_timeout", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(0, U16_MAX), Stored::Sb(flags::ALLOCATOR_STUCK_TIMEOUT), 30;
    /// Devices are not claimed exclusively.
    Noexcl "noexcl", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// Files can be read and written past the page cache.
    DirectIo "direct_io", FS | MOUNT, Kind::Bool, Stored::No, 1;
    /// Where the superblock is, in sectors of 512 bytes.
    Sb "sb", MOUNT, Kind::Uint(0, S64_MAX), Stored::No, 8;
    /// Internal; use "ro".
    ReadOnly "read_only", FS | MOUNT | HIDDEN, Kind::Bool, Stored::No, 0;
    /// Internal.
    Nostart "nostart", NONE, Kind::Bool, Stored::No, 0;
    /// Forget which space is in use and find out anew.
    DangerouslyReconstructAlloc "dangerously_reconstruct_alloc", FS | MOUNT, Kind::Bool, Stored::No, 0;
    /// Which changes of the on-disk format mounting may make.
    VersionUpgrade "version_upgrade", FS | MOUNT | RUNTIME, Kind::Choice(UPGRADE), Stored::Sb(flags::VERSION_UPGRADE), 0;
    /// Internal.
    Stdio "stdio", NONE, Kind::Uint(0, S64_MAX), Stored::No, 0;
    /// Internal.
    Project "project", INODE, Kind::Bool, Stored::No, 0;
    /// Data is written over where it is, without checksums and compression, if nobody shares it.
    Nocow "nocow", FS | FORMAT | MOUNT | RUNTIME | INODE, Kind::Bool, Stored::Sb(flags::NOCOW), 0;
    /// Whether "nocow" of files and directories has effect.
    NocowEnabled "nocow_enabled", FS | MOUNT, Kind::Bool, Stored::No, 1;
    /// Space that is in pieces is brought together in the background.
    CopygcEnabled "copygc_enabled", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    /// Data is moved and rewritten in the background, as the options ask.
    ReconcileEnabled "reconcile_enabled", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    /// Only while the machine is not running on its battery.
    ReconcileOnAcOnly "reconcile_on_ac_only", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::REBALANCE_AC_ONLY), 0;
    /// Snapshots that were deleted are cleaned up in the background.
    AutoSnapshotDeletion "auto_snapshot_deletion", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    /// No data is read or written, for measuring everything else.
    NoDataIo "no_data_io", MOUNT, Kind::Bool, Stored::No, 0;
    /// Whether the device is written to, only read, not used, or a spare.
    State "state", DEVICE | RUNTIME, Kind::Choice(MemberState::NAMES), Stored::Member, 0;
    /// The name that targets use, with dots between the parts of a path.
    Label "label", DEVICE | FORMAT | RUNTIME, Kind::Label, Stored::Member, 0;
    /// Copies go to devices with different ones.
    FailureDomain "failure_domain", DEVICE | FORMAT | RUNTIME, Kind::Text(32), Stored::No, 0;
    /// The unit in which space of the device is allocated, in bytes.
    BucketSize "bucket_size", DEVICE | HUMAN | SECTORS, Kind::Uint(0, S64_MAX), Stored::Member, 0;
    /// How many copies one on this device counts for.
    Durability "durability", DEVICE | RUNTIME | ONE_BIAS, Kind::Uint(0, 2), Stored::Member, 1;
    /// What the device may hold.
    DataAllowed "data_allowed", DEVICE | FORMAT, Kind::Bits(DataType::NAMES, 0b1_1100), Stored::Member, 0b1_1100;
    /// Space that has become free is discarded. When not given, as each device's superblock says.
    Discard "discard", MOUNT | FS | DEVICE | RUNTIME, Kind::Bool, Stored::Member, 1;
    /// The device is a disk that turns.
    Rotational "rotational", DEVICE | RUNTIME, Kind::Bool, Stored::Member, 0;
    /// Walking a btree reads nodes ahead.
    BtreeNodePrefetch "btree_node_prefetch", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    /// How dear btree nodes in memory are, compared with other caches.
    BtreeCacheShrinkerSeeks "btree_cache_shrinker_seeks", FS | MOUNT | RUNTIME, Kind::Uint(1, 100), Stored::Ext(flag::BTREE_CACHE_SHRINKER_SEEKS), 2;
    /// Bytes to read ahead for each device.
    DevReadahead "dev_readahead", FS | MOUNT | RUNTIME | HUMAN | SECTORS, Kind::Uint(0, ((1 << 20) - 1) << 9), Stored::Ext(flag::DEV_READAHEAD), 2 << 20;
    /// The most memory for stripes being made, in percent.
    EcStripeBufLimit "ec_stripe_buf_limit", FS | MOUNT | RUNTIME, Kind::Uint(1, 25), Stored::Ext(flag::EC_STRIPE_BUF_LIMIT), 5;
}
