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
    ($($id:ident $name:literal, $flags:expr, $kind:expr, $stored:expr, $default:expr;)*) => {
        /// An option's number; also its place in the table.
        ///
        /// C: `enum bch_opt_id`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum OptId {
            $(#[doc = concat!("`", $name, "`")] $id,)*
        }

        /// C: `bch2_opt_table`.
        static TABLE: &[&OptionInfo] = &[$(OptId::$id.info(),)*];

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
    BlockSize "block_size", FS | FORMAT | HUMAN | POW2 | SECTORS, Kind::Uint(512, 1 << 15), Stored::BlockSize, 4096;
    BtreeNodeSize "btree_node_size", FS | FORMAT | HUMAN | POW2 | SECTORS, Kind::Uint(512, 1 << 19), Stored::Sb(flags::BTREE_NODE_SIZE), 262144;
    Errors "errors", FS | FORMAT | MOUNT | RUNTIME, Kind::Choice(ERRORS), Stored::Sb(flags::ERROR_ACTION), 1;
    WriteErrorTimeout "write_error_timeout", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(1, 300), Stored::Sb(flags::WRITE_ERROR_TIMEOUT), 30;
    MetadataReplicas "metadata_replicas", FS | FORMAT | MOUNT_OLD | RUNTIME, Kind::Uint(1, 4), Stored::Sb(flags::META_REPLICAS_WANT), 1;
    DataReplicas "data_replicas", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Uint(1, 4), Stored::Sb(flags::DATA_REPLICAS_WANT), 1;
    EncodedExtentMax "encoded_extent_max", FS | FORMAT | HUMAN | POW2 | SECTORS | ILOG2, Kind::Uint(4096, 2 << 20), Stored::Sb(flags::ENCODED_EXTENT_MAX_BITS), 262144;
    MetadataChecksum "metadata_checksum", FS | FORMAT | MOUNT_OLD | RUNTIME, Kind::Choice(CSUMS), Stored::Sb(flags::META_CSUM_TYPE), 1;
    DataChecksum "data_checksum", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Choice(CSUMS), Stored::Sb(flags::DATA_CSUM_TYPE), 1;
    ChecksumErrRetryNr "checksum_err_retry_nr", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(0, 32), Stored::Sb(flags::CSUM_ERR_RETRY_NR), 3;
    Compression "compression", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Compression, Stored::Pair(flags::COMPRESSION_TYPE_LO, flags::COMPRESSION_TYPE_HI), 0;
    BackgroundCompression "background_compression", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Compression, Stored::Pair(flags::BACKGROUND_COMPRESSION_TYPE_LO, flags::BACKGROUND_COMPRESSION_TYPE_HI), 0;
    StrHash "str_hash", FS | FORMAT | MOUNT | RUNTIME, Kind::Choice(STR_HASHES), Stored::Sb(flags::STR_HASH_TYPE), 2;
    MetadataTarget "metadata_target", FS | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::METADATA_TARGET), 0;
    ForegroundTarget "foreground_target", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::FOREGROUND_TARGET), 0;
    BackgroundTarget "background_target", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::BACKGROUND_TARGET), 0;
    PromoteTarget "promote_target", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Target, Stored::Sb(flags::PROMOTE_TARGET), 0;
    ErasureCode "erasure_code", FS | INODE | FORMAT | MOUNT_OLD | RUNTIME, Kind::Bool, Stored::Sb(flags::ERASURE_CODE), 0;
    EcMaxDataBlocks "ec_max_data_blocks", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(0, 15), Stored::Sb(flags::EC_MAX_DATA_BLOCKS), 0;
    Casefold "casefold", FS | INODE | FORMAT, Kind::Bool, Stored::Sb(flags::CASEFOLD), 0;
    CasefoldDisabled "casefold_disabled", FS | MOUNT, Kind::Bool, Stored::No, 0;
    Inodes32bit "inodes_32bit", FS | INODE | FORMAT | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::INODE_32BIT), 0;
    ShardInodeNumbersBits "shard_inode_numbers_bits", FS | FORMAT, Kind::Uint(0, 16), Stored::Sb(flags::SHARD_INUMS_NBITS), 0;
    GcReservePercent "gc_reserve_percent", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(5, 20), Stored::Sb(flags::GC_RESERVE), 8;
    GcReserveBytes "gc_reserve_bytes", FS | FORMAT | MOUNT | RUNTIME | HUMAN | SECTORS, Kind::Uint(0, u64::MAX), Stored::Sb(flags::GC_RESERVE_BYTES), 0;
    RootReservePercent "root_reserve_percent", FS | FORMAT | MOUNT, Kind::Uint(0, 100), Stored::Sb(flags::ROOT_RESERVE), 0;
    WideMacs "wide_macs", FS | FORMAT | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::WIDE_MACS), 0;
    InlineData "inline_data", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    PromoteWholeExtents "promote_whole_extents", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::PROMOTE_WHOLE_EXTENTS), 1;
    Acl "acl", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::POSIX_ACL), 1;
    Usrquota "usrquota", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::USRQUOTA), 0;
    Grpquota "grpquota", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::GRPQUOTA), 0;
    Prjquota "prjquota", FS | FORMAT | MOUNT, Kind::Bool, Stored::Sb(flags::PRJQUOTA), 0;
    Degraded "degraded", FS | MOUNT, Kind::Choice(DEGRADED), Stored::Sb(flags::DEGRADED_ACTION), 0;
    MissingDevTimeout "missing_dev_timeout", FS | MOUNT | FORMAT | RUNTIME, Kind::Uint(0, 3600), Stored::Ext(flag::MISSING_DEV_TIMEOUT), 0;
    MountTrustsUdev "mount_trusts_udev", MOUNT, Kind::Bool, Stored::No, 1;
    NoSplitbrainCheck "no_splitbrain_check", FS | MOUNT, Kind::Bool, Stored::No, 0;
    NoVersionCheck "no_version_check", HIDDEN, Kind::Bool, Stored::No, 0;
    Verbose "verbose", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 0;
    JournalFlushDelay "journal_flush_delay", FS | MOUNT | RUNTIME, Kind::Uint(1, U32_MAX), Stored::Sb(flags::JOURNAL_FLUSH_DELAY), 1000;
    JournalFlushDisabled "journal_flush_disabled", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::JOURNAL_FLUSH_DISABLED), 0;
    MoveWritesFua "move_writes_fua", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::MOVE_WRITES_FUA), 0;
    JournalReclaimDelay "journal_reclaim_delay", FS | MOUNT | RUNTIME, Kind::Uint(0, U32_MAX), Stored::Sb(flags::JOURNAL_RECLAIM_DELAY), 100;
    WritebackTimeout "writeback_timeout", FS | MOUNT | RUNTIME, Kind::Uint(0, U16_MAX), Stored::Sb(flags::WRITEBACK_TIMEOUT), 0;
    MoveBytesInFlight "move_bytes_in_flight", HUMAN | FS | MOUNT | RUNTIME, Kind::Uint(1024, U32_MAX), Stored::No, 64 << 20;
    MoveIosInFlight "move_ios_in_flight", FS | MOUNT | RUNTIME, Kind::Uint(1, 1024), Stored::No, 64;
    Fsck "fsck", FS | MOUNT, Kind::Bool, Stored::No, 0;
    FsckMemoryUsagePercent "fsck_memory_usage_percent", FS | MOUNT, Kind::Uint(20, 70), Stored::No, 50;
    FixErrors "fix_errors", FS | MOUNT, Kind::FixErrors, Stored::No, 0;
    RatelimitErrors "ratelimit_errors", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    NoCommitValidate "no_commit_validate", FS | MOUNT, Kind::Bool, Stored::No, 0;
    Nochanges "nochanges", FS | MOUNT, Kind::Bool, Stored::No, 0;
    Norecovery "norecovery", FS | MOUNT, Kind::Bool, Stored::No, 0;
    JournalRewind "journal_rewind", FS | MOUNT, Kind::Uint(0, u64::MAX), Stored::No, 0;
    JournalRewindDiscardBufferPercent "journal_rewind_discard_buffer_percent", FS | MOUNT, Kind::Uint(0, 10), Stored::Ext(flag::DISCARD_BUFFER), 4;
    ScrubRecentJournalEntries "scrub_recent_journal_entries", FS | MOUNT, Kind::Choice(SCRUB), Stored::Sb(flags::SCRUB_JOURNAL), 0;
    ScrubJournalMaxRewindSecs "scrub_journal_max_rewind_secs", FS | MOUNT | FORMAT, Kind::Uint(0, 3600), Stored::Ext(flag::SCRUB_MAX_REWIND_SECS), 10;
    RecoveryPasses "recovery_passes", FS | MOUNT, Kind::Passes, Stored::No, 0;
    RecoveryPassesExclude "recovery_passes_exclude", FS | MOUNT, Kind::Passes, Stored::No, 0;
    RecoveryPassLast "recovery_pass_last", FS | MOUNT, Kind::Pass, Stored::No, 0;
    RecoveryPassesSkipScheduled "recovery_passes_skip_scheduled", FS | MOUNT, Kind::Bool, Stored::No, 0;
    RetainRecoveryInfo "retain_recovery_info", NONE, Kind::Bool, Stored::No, 0;
    ReadEntireJournal "read_entire_journal", NONE, Kind::Bool, Stored::No, 0;
    ReadJournalOnly "read_journal_only", NONE, Kind::Bool, Stored::No, 0;
    JournalTransactionNames "journal_transaction_names", FS | FORMAT | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::JOURNAL_TRANSACTION_NAMES), 1;
    AllocatorStuckTimeout "allocator_stuck_timeout", FS | FORMAT | MOUNT | RUNTIME, Kind::Uint(0, U16_MAX), Stored::Sb(flags::ALLOCATOR_STUCK_TIMEOUT), 30;
    Noexcl "noexcl", FS | MOUNT, Kind::Bool, Stored::No, 0;
    DirectIo "direct_io", FS | MOUNT, Kind::Bool, Stored::No, 1;
    Sb "sb", MOUNT, Kind::Uint(0, S64_MAX), Stored::No, 8;
    ReadOnly "read_only", FS | MOUNT | HIDDEN, Kind::Bool, Stored::No, 0;
    Nostart "nostart", NONE, Kind::Bool, Stored::No, 0;
    DangerouslyReconstructAlloc "dangerously_reconstruct_alloc", FS | MOUNT, Kind::Bool, Stored::No, 0;
    VersionUpgrade "version_upgrade", FS | MOUNT | RUNTIME, Kind::Choice(UPGRADE), Stored::Sb(flags::VERSION_UPGRADE), 0;
    Stdio "stdio", NONE, Kind::Uint(0, S64_MAX), Stored::No, 0;
    Project "project", INODE, Kind::Bool, Stored::No, 0;
    Nocow "nocow", FS | FORMAT | MOUNT | RUNTIME | INODE, Kind::Bool, Stored::Sb(flags::NOCOW), 0;
    NocowEnabled "nocow_enabled", FS | MOUNT, Kind::Bool, Stored::No, 1;
    CopygcEnabled "copygc_enabled", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    ReconcileEnabled "reconcile_enabled", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    ReconcileOnAcOnly "reconcile_on_ac_only", FS | MOUNT | RUNTIME, Kind::Bool, Stored::Sb(flags::REBALANCE_AC_ONLY), 0;
    AutoSnapshotDeletion "auto_snapshot_deletion", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    NoDataIo "no_data_io", MOUNT, Kind::Bool, Stored::No, 0;
    State "state", DEVICE | RUNTIME, Kind::Choice(MemberState::NAMES), Stored::Member, 0;
    Label "label", DEVICE | FORMAT | RUNTIME, Kind::Label, Stored::Member, 0;
    FailureDomain "failure_domain", DEVICE | FORMAT | RUNTIME, Kind::Text(32), Stored::No, 0;
    BucketSize "bucket_size", DEVICE | HUMAN | SECTORS, Kind::Uint(0, S64_MAX), Stored::Member, 0;
    Durability "durability", DEVICE | RUNTIME | ONE_BIAS, Kind::Uint(0, 2), Stored::Member, 1;
    DataAllowed "data_allowed", DEVICE | FORMAT, Kind::Bits(DataType::NAMES, 0b1_1100), Stored::Member, 0b1_1100;
    Discard "discard", MOUNT | FS | DEVICE | RUNTIME, Kind::Bool, Stored::Member, 1;
    Rotational "rotational", DEVICE | RUNTIME, Kind::Bool, Stored::Member, 0;
    BtreeNodePrefetch "btree_node_prefetch", FS | MOUNT | RUNTIME, Kind::Bool, Stored::No, 1;
    BtreeCacheShrinkerSeeks "btree_cache_shrinker_seeks", FS | MOUNT | RUNTIME, Kind::Uint(1, 100), Stored::Ext(flag::BTREE_CACHE_SHRINKER_SEEKS), 2;
    DevReadahead "dev_readahead", FS | MOUNT | RUNTIME | HUMAN | SECTORS, Kind::Uint(0, ((1 << 20) - 1) << 9), Stored::Ext(flag::DEV_READAHEAD), 2 << 20;
    EcStripeBufLimit "ec_stripe_buf_limit", FS | MOUNT | RUNTIME, Kind::Uint(1, 25), Stored::Ext(flag::EC_STRIPE_BUF_LIMIT), 5;
}
