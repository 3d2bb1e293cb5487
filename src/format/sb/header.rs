// SPDX-License-Identifier: GPL-2.0

//! The fixed part of the superblock.

use super::{
    bits::{
        Compat,
        Features, //
    },
    finding::{
        Finding,
        Place,
        Value, //
    },
    flags::{
        self,
        BitField, //
    },
    layout::{
        RawLayout,
        MAGIC,
        MAGIC_BCACHE, //
    },
    text::{
        Padded,
        Uuid, //
    },
    version::Version,
};
use crate::{
    env::num::{
        low_u16,
        u64_of, //
    },
    error::Error,
    format::csum::CsumType, //
};
use zerocopy::{
    little_endian::{
        U16,
        U32,
        U64, //
    },
    FromBytes as _,
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Bytes of the fixed part.
pub const HEADER_BYTES: usize = 752;
/// Bytes of the stored checksum, which covers everything after it.
pub const CSUM_BYTES: usize = 16;
/// The most devices a filesystem can have; 255 stands for "no device".
/// C: `BCH_SB_MEMBERS_MAX`, `BCH_SB_MEMBER_INVALID`.
pub const DEVICES_MAX: u8 = 255;
/// The largest block, in sectors: 32 KiB.
pub const BLOCK_SECTORS_MAX: u16 = 64;
/// The largest btree node, in sectors: 512 KiB.
pub const NODE_SECTORS_MAX: u16 = 1024;
/// Nanoseconds of a second.
const NS_PER_SEC: u32 = 1_000_000_000;

/// The fixed part as bytes.
///
/// C: `struct bch_sb`.
#[derive(
    Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, PartialEq, Eq,
)]
#[repr(C)]
pub struct RawSb {
    pub(super) csum: [U64; 2],
    pub(super) version: U16,
    pub(super) version_min: U16,
    pad: [u8; 4],
    pub(super) magic: [u8; 16],
    uuid: [u8; 16],
    user_uuid: [u8; 16],
    pub(super) label: [u8; 32],
    pub(super) offset: U64,
    pub(super) seq: U64,
    block_size: U16,
    pub(super) dev_idx: u8,
    nr_devices: u8,
    pub(super) u64s: U32,
    time_base_lo: U64,
    time_base_hi: U32,
    time_precision: U32,
    pub(super) flags: [U64; 7],
    pub(super) write_time: U64,
    pub(super) features: [U64; 2],
    pub(super) compat: [U64; 2],
    /// Where the copies are.
    pub layout: RawLayout,
}

const _: () = assert!(size_of::<RawSb>() == HEADER_BYTES);
const _: () = assert!(core::mem::offset_of!(RawSb, flags) == 144);
const _: () = assert!(core::mem::offset_of!(RawSb, layout) == 240);

fn bad(error: Error, what: &'static str) -> Finding {
    Finding::new(error, Place::Header, what)
}

impl RawSb {
    /// The fixed part at the front of `bytes`. `None` when they are too short.
    pub fn read(bytes: &[u8]) -> Option<&Self> {
        Self::ref_from_prefix(bytes).ok().map(|(sb, _)| sb)
    }

    /// The low 64 bits of the stored checksum.
    pub fn csum(&self) -> u64 {
        self.csum[0].get()
    }

    /// The kind of the checksum.
    pub fn csum_type(&self) -> CsumType {
        CsumType(crate::env::num::low_u8(self.flag(flags::CSUM_TYPE)))
    }

    /// The version of the format.
    pub fn version(&self) -> Version {
        Version(self.version.get())
    }

    /// The oldest version anything on disk may have been written with.
    pub fn version_min(&self) -> Version {
        Version(self.version_min.get())
    }

    /// The newest version of which incompatible parts are in use; 0 when the field is not used.
    pub fn version_incompat(&self) -> Version {
        Version(low_u16(self.flag(flags::VERSION_INCOMPAT)))
    }

    /// The newest version of which incompatible parts may be used.
    pub fn version_incompat_allowed(&self) -> Version {
        Version(low_u16(self.flag(flags::VERSION_INCOMPAT_ALLOWED)))
    }

    /// The version that the last upgrade to has been finished.
    pub fn version_upgrade_complete(&self) -> Version {
        Version(low_u16(self.flag(flags::VERSION_UPGRADE_COMPLETE)))
    }

    /// The magic number.
    pub const fn magic(&self) -> Uuid {
        Uuid(self.magic)
    }

    /// Identifies the filesystem; never changes.
    pub const fn uuid(&self) -> Uuid {
        Uuid(self.uuid)
    }

    /// Identifies the filesystem to the user; can be changed.
    pub const fn user_uuid(&self) -> Uuid {
        Uuid(self.user_uuid)
    }

    /// The name the user gave.
    pub const fn label(&self) -> Padded<'_> {
        Padded(&self.label)
    }

    /// The sector this copy was written to.
    pub fn offset(&self) -> u64 {
        self.offset.get()
    }

    /// Counts the writes of the superblock: the highest is the newest.
    pub fn seq(&self) -> u64 {
        self.seq.get()
    }

    /// Bytes in a block; a power of two.
    pub fn block_bytes(&self) -> u32 {
        u32::from(self.block_size.get()) << 9
    }

    /// Sectors in a block.
    pub fn block_sectors(&self) -> u16 {
        self.block_size.get()
    }

    /// Sectors in a btree node.
    pub fn node_sectors(&self) -> u16 {
        low_u16(self.flag(flags::BTREE_NODE_SIZE))
    }

    /// Which device of the filesystem this is.
    pub const fn dev_idx(&self) -> u8 {
        self.dev_idx
    }

    /// Slots for devices; some can be empty.
    pub const fn nr_devices(&self) -> u8 {
        self.nr_devices
    }

    /// Bytes of the superblock, by its own account.
    pub fn total_bytes(&self) -> u64 {
        // 2^32 * 8 + 752 fits.
        (u64::from(self.u64s.get()) << 3).saturating_add(u64_of(HEADER_BYTES))
    }

    /// What the time of the filesystem starts from, in nanoseconds since 1970.
    pub fn time_base_lo(&self) -> u64 {
        self.time_base_lo.get()
    }

    /// High part of the time base, in units of 2^32 seconds; zero in practice.
    pub fn time_base_hi(&self) -> u32 {
        self.time_base_hi.get()
    }

    /// Nanoseconds of the unit in which times are stored; 1 to 10^9.
    pub fn time_precision(&self) -> u32 {
        self.time_precision.get()
    }

    /// When this superblock was written, in seconds since 1970.
    pub fn write_time(&self) -> u64 {
        self.write_time.get()
    }

    /// A bit field of the flags.
    pub fn flag(&self, field: BitField) -> u64 {
        field.get(&self.flags)
    }

    /// Whether the filesystem was shut down in order.
    pub fn is_clean(&self) -> bool {
        self.flag(flags::CLEAN) != 0
    }

    /// The kind of encryption; 0 is none. C: `BCH_SB_ENCRYPTION_TYPE`.
    pub fn encryption_type(&self) -> u8 {
        crate::env::num::low_u8(self.flag(flags::ENCRYPTION_TYPE))
    }

    /// The incompatible features in use.
    pub fn features(&self) -> Features {
        Features([self.features[0].get(), self.features[1].get()])
    }

    /// The compatible ones.
    pub fn compat(&self) -> Compat {
        Compat(self.compat[0].get())
    }

    /// log2 of the sectors that one unit of an extent's backpointer stands for.
    pub fn extent_bp_shift(&self) -> u8 {
        match crate::env::num::low_u8(self.flag(flags::EXTENT_BP_SHIFT)) {
            0 => 10,
            shift => shift,
        }
    }

    /// Checks what must hold before the rest may be read at all: this is a superblock, of a
    /// possible size, with a checksum that can be computed.
    ///
    /// C: the first half of `read_one_super()`.
    pub fn validate_start(&self) -> Result<(), Finding> {
        if self.magic() != MAGIC && self.magic() != MAGIC_BCACHE {
            return Err(bad(Error::SbMagic, "not a bcachefs superblock: magic")
                .found(self.magic())
                .expected(MAGIC));
        }
        let max = self.layout.max_bytes();
        if self.total_bytes() > max {
            return Err(bad(Error::SbTooBig, "bytes of the superblock")
                .found(self.total_bytes())
                .max(max));
        }
        let csum = self.csum_type();
        if csum.name().is_none() || csum.is_encryption() {
            return Err(bad(
                Error::SbCsumType,
                "checksum type of the superblock (known and without a key)",
            )
            .found(csum.0));
        }
        Ok(())
    }

    /// Checks that the version can be dealt with.
    ///
    /// C: `bch2_sb_compatible()`.
    pub fn validate_versions(&self) -> Result<(), Finding> {
        let (version, min) = (self.version(), self.version_min());
        if version < Version::EVER_OLDEST || min < Version::EVER_OLDEST {
            return Err(bad(Error::SbVersion, "not a version: version")
                .found(version.min(min))
                .min(Version::EVER_OLDEST));
        }
        if version.major() > Version::NEWEST.major() {
            return Err(bad(
                Error::SbVersionTooNew,
                "incompatible version, a newer implementation is needed: version",
            )
            .found(version)
            .max(Version::NEWEST));
        }
        if min > version {
            return Err(bad(Error::SbVersionOrder, "version_min is above version")
                .found(min)
                .max(version));
        }
        if version < Version::OLDEST || min < Version::OLDEST_DATA {
            return Err(bad(
                Error::SbVersionTooOld,
                "too old, upgrade it by mounting it with an older implementation: version",
            )
            .found(if version < Version::OLDEST {
                version
            } else {
                min
            })
            .min(if version < Version::OLDEST {
                Version::OLDEST
            } else {
                Version::OLDEST_DATA
            }));
        }
        Ok(())
    }

    /// Checks that nothing is in use that this implementation does not know.
    pub fn validate_known(&self) -> Result<(), Finding> {
        self.validate_versions()?;
        if let Some(bit) = self.features().first_unknown() {
            return Err(bad(
                Error::SbFeatures,
                "incompatible feature, a newer implementation is needed: feature bit",
            )
            .found(bit)
            .max(super::bits::FEATURES.len().saturating_sub(1)));
        }
        if self.version_incompat() > Version::NEWEST {
            return Err(bad(
                Error::SbVersionIncompat,
                "incompatible changes in use, a newer implementation is needed: version_incompat",
            )
            .found(self.version_incompat())
            .max(Version::NEWEST));
        }
        if self.flag(flags::BIG_ENDIAN) != 0 {
            return Err(bad(
                Error::SbBigEndian,
                "written by a big-endian machine, which is not supported",
            ));
        }
        Ok(())
    }

    /// Checks the fields of the fixed part. `sector` is where this copy was read from, when the
    /// copy came from a device.
    ///
    /// C: the first half of `bch2_sb_validate()`.
    pub fn validate(&self, sector: Option<u64>) -> Result<(), Finding> {
        if self.user_uuid().is_zero() || self.uuid().is_zero() {
            return Err(bad(Error::SbUuid, "uuid or user_uuid is all zeroes"));
        }
        if let Some(sector) = sector.filter(|s| *s != self.offset()) {
            return Err(
                bad(Error::SbOffset, "offset (the sector it was written to)")
                    .found(self.offset())
                    .expected(sector),
            );
        }
        if self.nr_devices == 0 {
            return Err(bad(Error::SbNrDevices, "nr_devices").found(0u8).min(1u8));
        }
        if self.dev_idx >= self.nr_devices {
            return Err(bad(Error::SbDevIdx, "dev_idx")
                .found(self.dev_idx)
                .max(self.nr_devices.saturating_sub(1)));
        }
        let precision = self.time_precision();
        if precision == 0 || precision > NS_PER_SEC {
            return Err(bad(Error::SbTimePrecision, "time_precision (1 to 10^9)")
                .found(precision)
                .max(NS_PER_SEC));
        }
        self.validate_sizes()?;
        self.layout.validate()
    }

    fn validate_sizes(&self) -> Result<(), Finding> {
        let block = self.block_sectors();
        if !block.is_power_of_two() || block > BLOCK_SECTORS_MAX {
            return Err(
                bad(Error::SbBlockSize, "block_size (sectors, a power of two)")
                    .found(block)
                    .max(BLOCK_SECTORS_MAX),
            );
        }
        let node = self.node_sectors();
        if !node.is_power_of_two() || node > NODE_SECTORS_MAX {
            return Err(bad(
                Error::SbNodeSize,
                "btree_node_size (sectors, a power of two)",
            )
            .found(node)
            .max(NODE_SECTORS_MAX));
        }
        if node < block {
            return Err(bad(Error::SbNodeBelowBlock, "btree_node_size (sectors)")
                .found(node)
                .min(block));
        }
        Ok(())
    }

    /// Checks the stored checksum against `bytes`, the whole superblock.
    pub fn validate_csum(&self, bytes: &[u8]) -> Result<(), Finding> {
        let covered = bytes.get(CSUM_BYTES..).unwrap_or(&[]);
        match self.csum_type().checksum(covered) {
            Some(v) if v == self.csum() => Ok(()),
            computed => Err(bad(Error::SbChecksum, "checksum")
                .found(Value::Hex(self.csum()))
                .expected(Value::Hex(computed.unwrap_or(0)))),
        }
    }
}
