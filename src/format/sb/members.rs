// SPDX-License-Identifier: GPL-2.0

//! The members: the devices of the filesystem.

use super::{
    bits::Features,
    finding::{
        Finding,
        Place, //
    },
    flags::BitField,
    section::SectionType,
    superblock::Superblock,
    text::{
        Padded,
        Uuid, //
    },
};
use crate::{
    env::num::low_u8,
    error::Error,
    format::data_type::DataType, //
};
use zerocopy::{
    little_endian::{
        U16,
        U32,
        U64, //
    },
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Bytes of a member as first defined; never fewer. C: `BCH_MEMBER_V1_BYTES`.
pub const MEMBER_V1_BYTES: u16 = 56;
/// Bytes of a member that are known.
pub const MEMBER_BYTES: usize = 328;
/// The most buckets of a device. C: `BCH_MEMBER_NBUCKETS_MAX`.
pub const NBUCKETS_MAX: u64 = 0x7fff_ffff - 64;
/// The fewest usable buckets of a device: what version 1.13 asks for. Later versions of C ask for
/// 512, and so refuse small filesystems that 1.13 makes. C: `BCH_MIN_NR_NBUCKETS`.
pub const NBUCKETS_MIN: u64 = 64;
/// C: `BCH_MI_BTREE_BITMAP_SHIFT_MAX`.
pub const BITMAP_SHIFT_MAX: u8 = 58;
/// Bytes before the first member in a version 2 section.
pub(super) const V2_HEADER_BYTES: usize = 8;

/// The UUID of a slot whose device was removed but may still be named by old pointers.
/// C: `BCH_SB_MEMBER_DELETED_UUID`.
pub const DELETED_UUID: Uuid = Uuid([
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef,
]);

/// A member as bytes; shorter ones on disk end with zeroes here.
///
/// C: `struct bch_member`.
#[derive(
    Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, PartialEq, Eq,
)]
#[repr(C)]
pub(super) struct RawMember {
    uuid: [u8; 16],
    nbuckets: U64,
    first_bucket: U16,
    bucket_size: U16,
    pub(super) btree_bitmap_shift: u8,
    pad: [u8; 3],
    pub(super) last_mount: U64,
    pub(super) flags: U64,
    iops: [U32; 4],
    pub(super) errors: [U64; 3],
    pub(super) errors_at_reset: [U64; 3],
    pub(super) errors_reset_time: U64,
    pub(super) seq: U64,
    pub(super) btree_allocated_bitmap: U64,
    pub(super) last_journal_bucket: U32,
    pub(super) last_journal_bucket_offset: U32,
    device_name: [u8; 16],
    device_model: [u8; 64],
    flush_errors: U64,
    device_serial: [u8; 64],
    failure_domain: [u8; 32],
}

const _: () = assert!(size_of::<RawMember>() == MEMBER_BYTES);

/// Fields of a member's flags. C: `BCH_MEMBER_*`.
pub(super) mod flag {
    use super::BitField;

    pub(in crate::format::sb) const STATE: BitField = BitField::new(0, 0, 4);
    pub(in crate::format::sb) const DISCARD: BitField = BitField::new(0, 14, 15);
    pub(super) const DATA_ALLOWED: BitField = BitField::new(0, 15, 20);
    pub(super) const GROUP: BitField = BitField::new(0, 20, 28);
    pub(in crate::format::sb) const DURABILITY: BitField = BitField::new(0, 28, 30);
    pub(in crate::format::sb) const FREESPACE_INITIALIZED: BitField = BitField::new(0, 30, 31);
    pub(super) const RESIZE_ON_MOUNT: BitField = BitField::new(0, 31, 32);
    pub(in crate::format::sb) const ROTATIONAL: BitField = BitField::new(0, 32, 33);
}

/// What a device may be used for.
///
/// C: `enum bch_member_state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberState(pub u8);

impl MemberState {
    /// Used for reading and writing.
    pub const RW: Self = Self(0);
    /// Not written.
    pub const RO: Self = Self(1);
    /// Being emptied; in versions before 1.33, "failed".
    pub const EVACUATING: Self = Self(2);
    /// Not used.
    pub const SPARE: Self = Self(3);
    /// The names, by number.
    pub const NAMES: &'static [&'static str] = &["rw", "ro", "evacuating", "spare"];

    /// The name; "unknown" for another number.
    pub fn name(self) -> &'static str {
        let name = Self::NAMES.get(usize::from(self.0));
        name.copied().unwrap_or("unknown")
    }
}

/// A member slot.
///
/// C: `struct bch_member`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub(super) raw: RawMember,
}

impl Member {
    /// Decodes a member that takes `bytes`; what is missing at the end counts as zero.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut whole = [0; MEMBER_BYTES];
        for (dst, src) in whole.iter_mut().zip(bytes) {
            *dst = *src;
        }
        RawMember::read_from_bytes(&whole)
            .ok()
            .map(|raw| Self { raw })
    }

    fn flag(&self, field: BitField) -> u64 {
        field.get(&[self.raw.flags])
    }

    /// Identifies the device.
    pub const fn uuid(&self) -> Uuid {
        Uuid(self.raw.uuid)
    }

    /// Whether the slot is in use. C: `bch2_member_alive()`.
    pub fn is_alive(&self) -> bool {
        !self.uuid().is_zero() && self.uuid() != DELETED_UUID
    }

    /// Buckets of the device, those before the first usable one included.
    pub fn nbuckets(&self) -> u64 {
        self.raw.nbuckets.get()
    }

    /// The first bucket that may be used.
    pub fn first_bucket(&self) -> u16 {
        self.raw.first_bucket.get()
    }

    /// Sectors of a bucket.
    pub fn bucket_sectors(&self) -> u16 {
        self.raw.bucket_size.get()
    }

    /// Sectors of the device that the filesystem uses; saturates.
    pub fn sectors(&self) -> u64 {
        let bucket = u64::from(self.bucket_sectors());
        self.nbuckets().saturating_mul(bucket)
    }

    /// When it was last mounted, in seconds since 1970; 0 is never.
    pub fn last_mount(&self) -> u64 {
        self.raw.last_mount.get()
    }

    /// The sequence number of the last superblock written to this device, as far as the writer of
    /// this superblock knew.
    pub fn seq(&self) -> u64 {
        self.raw.seq.get()
    }

    /// What it may be used for.
    pub fn state(&self) -> MemberState {
        MemberState(low_u8(self.flag(flag::STATE)))
    }

    /// Bit n: data of type n may be put on it.
    pub fn data_allowed(&self) -> u64 {
        self.flag(flag::DATA_ALLOWED)
    }

    /// Whether data of a type may be put on it.
    pub fn allows(&self, data_type: DataType) -> bool {
        self.data_allowed() & 1u64.wrapping_shl(data_type.0.into()) != 0
    }

    /// The label: a node of the tree of [`Groups`](super::groups::Groups).
    pub fn group(&self) -> Option<u8> {
        low_u8(self.flag(flag::GROUP)).checked_sub(1)
    }

    /// How many replicas data on this device counts for.
    pub fn durability(&self) -> u8 {
        match low_u8(self.flag(flag::DURABILITY)) {
            0 => 1,
            biased => biased.saturating_sub(1),
        }
    }

    /// Whether unused space is to be discarded.
    pub fn discard(&self) -> bool {
        self.flag(flag::DISCARD) != 0
    }

    /// Whether the index of free space is complete for this device.
    pub fn freespace_initialized(&self) -> bool {
        self.flag(flag::FREESPACE_INITIALIZED) != 0
    }

    /// Whether the filesystem is to be grown to the device's size.
    pub fn resize_on_mount(&self) -> bool {
        self.flag(flag::RESIZE_ON_MOUNT) != 0
    }

    /// Whether seeks are slow.
    pub fn rotational(&self) -> bool {
        self.flag(flag::ROTATIONAL) != 0
    }

    /// Errors since the filesystem was made: reads, writes, checksums.
    pub fn errors(&self) -> [u64; 3] {
        self.raw.errors.map(|e| e.get())
    }

    /// What [`errors`](Self::errors) were when the administrator last reset them.
    pub fn errors_at_reset(&self) -> [u64; 3] {
        self.raw.errors_at_reset.map(|e| e.get())
    }

    /// When that was, in seconds since 1970.
    pub fn errors_reset_time(&self) -> u64 {
        self.raw.errors_reset_time.get()
    }

    /// Measured operations per second: sequential reads and writes, random reads and writes.
    pub fn iops(&self) -> [u32; 4] {
        self.raw.iops.map(|e| e.get())
    }

    /// log2 of the bytes that a bit of [`Member::btree_allocated_bitmap`] stands for.
    pub const fn btree_bitmap_shift(&self) -> u8 {
        self.raw.btree_bitmap_shift
    }

    /// Which parts of the device hold btree nodes.
    pub fn btree_allocated_bitmap(&self) -> u64 {
        self.raw.btree_allocated_bitmap.get()
    }

    /// Where journal writing stopped: index of the bucket and offset in it, in sectors.
    pub fn last_journal_position(&self) -> (u32, u32) {
        (
            self.raw.last_journal_bucket.get(),
            self.raw.last_journal_bucket_offset.get(),
        )
    }

    /// The block device's name when it was last mounted.
    pub const fn device_name(&self) -> Padded<'_> {
        Padded(&self.raw.device_name)
    }

    /// Its model.
    pub const fn device_model(&self) -> Padded<'_> {
        Padded(&self.raw.device_model)
    }

    /// Its serial number.
    pub const fn device_serial(&self) -> Padded<'_> {
        Padded(&self.raw.device_serial)
    }

    /// The failure domain the administrator put it in.
    pub const fn failure_domain(&self) -> Padded<'_> {
        Padded(&self.raw.failure_domain)
    }

    /// Flushes that did not keep their promise.
    pub fn flush_errors(&self) -> u64 {
        self.raw.flush_errors.get()
    }

    /// Checks the slot `idx`, if it is in use.
    ///
    /// C: `validate_member()`.
    fn validate(&self, idx: u64, sb: &Superblock, place: Place) -> Result<(), Finding> {
        let bad = |what| Finding::new(Error::SbMembers, place, what).item("device", idx);
        if !self.is_alive() {
            return Ok(());
        }
        let nbuckets = self.nbuckets();
        if nbuckets > NBUCKETS_MAX {
            return Err(bad("nbuckets").found(nbuckets).max(NBUCKETS_MAX));
        }
        let usable = nbuckets.saturating_sub(self.first_bucket().into());
        if usable < NBUCKETS_MIN {
            return Err(bad("buckets from first_bucket on")
                .found(usable)
                .min(NBUCKETS_MIN));
        }
        let bucket = self.bucket_sectors();
        if bucket < sb.block_sectors() {
            return Err(bad("bucket_size (sectors), against the block size")
                .found(bucket)
                .min(sb.block_sectors()));
        }
        if bucket < sb.node_sectors() {
            return Err(bad("bucket_size (sectors), against the btree node size")
                .found(bucket)
                .min(sb.node_sectors()));
        }
        if self.btree_bitmap_shift() >= BITMAP_SHIFT_MAX {
            return Err(bad("btree_bitmap_shift")
                .found(self.btree_bitmap_shift())
                .max(BITMAP_SHIFT_MAX.saturating_sub(1)));
        }
        if self.freespace_initialized() && sb.features().has(Features::NO_ALLOC_INFO) {
            return Err(bad(
                "freespace_initialized, though the filesystem has no alloc info",
            ));
        }
        Ok(())
    }
}

/// The member slots of a superblock, in order; slots that are not in use as well.
#[derive(Clone, Debug)]
pub struct Members<'a> {
    slots: &'a [u8],
    stride: usize,
    nr: u8,
    next: u8,
}

impl<'a> Members<'a> {
    /// From a version 1 section.
    pub(super) fn v1(body: &'a [u8], nr: u8) -> Self {
        Self {
            slots: body,
            stride: usize::from(MEMBER_V1_BYTES),
            nr,
            next: 0,
        }
    }

    /// From a version 2 section, which says how long a member is.
    pub(super) fn v2(body: &'a [u8], nr: u8) -> Self {
        Self {
            slots: body.get(V2_HEADER_BYTES..).unwrap_or(&[]),
            stride: v2_stride(body),
            nr,
            next: 0,
        }
    }

    /// The slot `idx`; `None` beyond the last.
    pub fn get(&self, idx: u8) -> Option<Member> {
        if idx >= self.nr || self.stride == 0 {
            return None;
        }
        let start = self.stride.checked_mul(idx.into())?;
        let end = start.checked_add(self.stride)?;
        Member::read(self.slots.get(start..end)?)
    }

    /// Checks that all slots are there, and what is in them.
    pub(super) fn validate(&self, sb: &Superblock, kind: SectionType) -> Result<(), Finding> {
        let place = Place::Section(kind);
        if self.stride < usize::from(MEMBER_V1_BYTES) {
            return Err(too_short(place, "bytes of a member")
                .found(self.stride)
                .min(MEMBER_V1_BYTES));
        }
        let need = self.stride.saturating_mul(self.nr.into());
        if self.slots.len() < need {
            return Err(too_short(place, "section too small for nr_devices: bytes")
                .found(self.slots.len())
                .min(need));
        }
        for (idx, member) in (0u64..).zip(self.clone()) {
            member.validate(idx, sb, place)?;
        }
        Ok(())
    }
}

fn too_short(place: Place, what: &'static str) -> Finding {
    Finding::new(Error::SbMembersSize, place, what)
}

pub(super) fn v2_stride(body: &[u8]) -> usize {
    U16::read_from_prefix(body).map_or(0, |(n, _)| n.get().into())
}

impl Iterator for Members<'_> {
    type Item = Member;

    fn next(&mut self) -> Option<Member> {
        let member = self.get(self.next)?;
        self.next = self.next.checked_add(1)?;
        Some(member)
    }
}
