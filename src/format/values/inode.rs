// SPDX-License-Identifier: GPL-2.0

//! Inodes: three encodings on disk, one structure here.

use super::{
    inode_fields::{
        for_each,
        read_v2,
        read_v3,
        write_v3,
        Reader,
        Writer,
        INODE_BYTES_MAX, //
    },
    kinds::StrHashType,
    raw::{
        self,
        bits,
        place, //
    },
};
use crate::{
    env::num::{
        low_u16,
        low_u32,
        low_u8, //
    },
    error::Invalid,
    format::{
        bkey::Key,
        key_type::KeyType, //
    },
};
use core::fmt;
use zerocopy::{
    little_endian::{
        U16,
        U32,
        U64, //
    },
    IntoBytes as _,
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// The root directory of a subvolume's own tree; lower numbers are not used.
/// C: `BCACHEFS_ROOT_INO`, `BLOCKDEV_INODE_MAX`.
pub const ROOT_INUM: u64 = 4096;

/// C: `struct bch_inode`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawInodeV1 {
    hash_seed: U64,
    flags: U32,
    mode: U16,
}

/// C: `struct bch_inode_v2`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawInodeV2 {
    journal_seq: U64,
    hash_seed: U64,
    flags: U64,
    mode: U16,
}

/// C: `struct bch_inode_v3`.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawInodeV3 {
    journal_seq: U64,
    hash_seed: U64,
    flags: U64,
    sectors: U64,
    size: U64,
    version: U64,
}

/// Words before the fields of an `inode_v3`. C: `INODEv3_FIELDS_START_CUR`.
pub(super) const FIELDS_START: u64 = 6;

const _: () = assert!(size_of::<RawInodeV1>() == 14);
const _: () = assert!(size_of::<RawInodeV2>() == 26);
const _: () = assert!(size_of::<RawInodeV3>() == 48);

/// Flags of an inode.
///
/// C: `enum bch_inode_flags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InodeFlags(pub u32);

macro_rules! inode_flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        impl InodeFlags {
            $($(#[$doc])* pub const $name: InodeFlags = InodeFlags(1 << $bit);)*
            const NAMES: &'static [(InodeFlags, &'static str)] =
                &[$((InodeFlags::$name, $text),)*];
        }
    };
}

inode_flags! {
    /// Writes are synchronous.
    SYNC = 0, "sync";
    /// The file can not be changed.
    IMMUTABLE = 1, "immutable";
    /// The file can only grow.
    APPEND = 2, "append";
    /// For backup programs: do not save.
    NODUMP = 3, "nodump";
    /// Reading does not change the access time.
    NOATIME = 4, "noatime";
    /// `size` may be wrong (no longer set).
    I_SIZE_DIRTY = 5, "i_size_dirty";
    /// `sectors` may be wrong (no longer set).
    I_SECTORS_DIRTY = 6, "i_sectors_dirty";
    /// No name refers to the inode; it is deleted once closed.
    UNLINKED = 7, "unlinked";
    /// `dir` and `dir_offset` may be wrong.
    BACKPTR_UNTRUSTED = 8, "backptr_untrusted";
    /// Versions of the inode in child snapshots exist (1.13).
    HAS_CHILD_SNAPSHOT = 9, "has_child_snapshot";
    /// Something below this directory compares names without case (1.28).
    HAS_CASE_INSENSITIVE = 10, "has_case_insensitive";
    /// The directory's hashes have 31 bits (1.30).
    DIRENT_OFFSET_31BIT = 11, "31bit_dirent_offset";
    /// Some option is set on this inode (1.39).
    HAS_INODE_OPTS = 12, "has_inode_opts";
    /// There is an access ACL (1.39).
    HAS_ACCESS_ACL = 13, "has_access_acl";
    /// There is a default ACL (1.39).
    HAS_DEFAULT_ACL = 14, "has_default_acl";
}

impl InodeFlags {
    /// Whether all bits of `flags` are set.
    #[inline]
    pub const fn has(self, flags: InodeFlags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These and `flags`.
    pub const fn with(self, flags: InodeFlags) -> Self {
        Self(self.0 | flags.0)
    }

    /// These without `flags`.
    pub const fn without(self, flags: InodeFlags) -> Self {
        Self(self.0 & !flags.0)
    }
}

impl fmt::Display for InodeFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for (flag, name) in Self::NAMES {
            if self.has(*flag) {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}

/// An inode, whichever way it was stored.
///
/// Options are stored plus one; 0 means that the option is not set on this inode: see [`option`].
/// Times are in the superblock's time units (normally nanoseconds) from its base, as two's
/// complement.
///
/// C: `struct bch_inode_unpacked`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inode {
    /// The inode number: the offset of the key's position.
    pub inum: u64,
    /// The snapshot: that of the key's position.
    pub snapshot: u32,
    /// Journal entry of the last change; 0 in v1.
    pub journal_seq: u64,
    /// Secret that the hashes of names in this directory depend on.
    pub hash_seed: u64,
    /// Flags.
    pub flags: InodeFlags,
    /// How names in this directory are hashed.
    pub str_hash: StrHashType,
    /// File type and permissions.
    pub mode: u16,
    /// Size in bytes.
    pub size: u64,
    /// Allocated sectors.
    pub sectors: u64,
    /// Change counter (0 before v3).
    pub version: u64,

    /// Access time.
    pub atime: u64,
    /// Change time.
    pub ctime: u64,
    /// Modification time.
    pub mtime: u64,
    /// Creation time.
    pub otime: u64,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Link count less the bias: see [`Inode::links`].
    pub nlink: u32,
    /// Generation, for NFS handles.
    pub generation: u32,
    /// Device number of a device file: major in bits 20 and up, minor below.
    pub dev: u32,
    /// Option.
    pub data_checksum: u8,
    /// Option.
    pub compression: u8,
    /// Option: quota project.
    pub project: u32,
    /// Option.
    pub background_compression: u8,
    /// Option.
    pub data_replicas: u8,
    /// Option.
    pub promote_target: u16,
    /// Option.
    pub foreground_target: u16,
    /// Option.
    pub background_target: u16,
    /// Option.
    pub erasure_code: u16,
    /// Which options were set here, not inherited: bits in the order of [`INODE_OPTIONS`].
    pub fields_set: u16,
    /// The directory that holds a name of this inode, if `dir_offset` is not 0.
    pub dir: u64,
    /// The position of that name in the directory.
    pub dir_offset: u64,
    /// The subvolume this inode is the root of, or 0.
    pub subvol: u32,
    /// For roots of subvolumes: the subvolume with the name of this one.
    pub parent_subvol: u32,
    /// Option.
    pub nocow: u8,
    /// For directories: how far below the root (1.17).
    pub depth: u32,
    /// Option (1.39).
    pub inodes_32bit: u8,
    /// Option (1.24).
    pub casefold: u8,
    /// Not used.
    pub unused_ec_max_data_blocks: u8,
}

/// The bit of the project in [`Inode::fields_set`].
pub const PROJECT_IS_SET: u16 = 1 << 2;

/// Names of the options an inode can have, in the order of the bits of [`Inode::fields_set`].
/// C: `BCH_INODE_OPTS()`.
pub const INODE_OPTIONS: [&str; 12] = [
    "data_checksum",
    "compression",
    "project",
    "background_compression",
    "data_replicas",
    "promote_target",
    "foreground_target",
    "background_target",
    "erasure_code",
    "nocow",
    "inodes_32bit",
    "casefold",
];

/// The word with flags, hash type and more of a key of type `inode`, `inode_v2` or `inode_v3`;
/// `Ok(None)` for other types. C: `bkey_inode_flags()`.
pub(super) fn flags_word(key: &Key<'_>) -> Result<Option<u64>, Invalid> {
    Ok(Some(match key.k.key_type {
        KeyType::INODE_V3 => raw::prefix::<RawInodeV3>(key.v)?.flags.get(),
        KeyType::INODE_V2 => raw::prefix::<RawInodeV2>(key.v)?.flags.get(),
        KeyType::INODE => raw::prefix::<RawInodeV1>(key.v)?.flags.get().into(),
        _ => return Ok(None),
    }))
}

/// The flags of a key of type `inode`, `inode_v2` or `inode_v3`; `Ok(None)` for other types.
pub fn inode_flags(key: &Key<'_>) -> Result<Option<InodeFlags>, Invalid> {
    Ok(flags_word(key)?.map(|word| InodeFlags(low_u32(bits(word, 0, 20)))))
}

/// The kind of hash a word of flags says.
pub(super) const fn str_hash_of(flags: u64) -> StrHashType {
    StrHashType(low_u8(bits(flags, 20, 24)))
}

/// The value of an option field: `None` when not set.
pub fn option(field: impl Into<u64>) -> Option<u64> {
    field.into().checked_sub(1)
}

/// File type bits of a mode. C: `S_IFMT`.
const MODE_TYPE: u16 = 0o170000;
const MODE_DIR: u16 = 0o040000;
const MODE_REGULAR: u16 = 0o100000;
const MODE_SYMLINK: u16 = 0o120000;

impl Inode {
    /// Decodes a key of type `inode`, `inode_v2` or `inode_v3`; `Ok(None)` for other types.
    pub fn decode(key: &Key<'_>) -> Result<Option<Self>, Invalid> {
        match Self::decode_lossy(key)? {
            Some((_, Some(bad))) => Err(bad),
            Some((inode, None)) => Ok(Some(inode)),
            None => Ok(None),
        }
    }

    /// As [`Inode::decode`], but fields that can not be read are zero; the finding is returned
    /// with the inode. C: `bch2_inode_unpack()`.
    pub fn decode_lossy(key: &Key<'_>) -> Result<Option<(Self, Option<Invalid>)>, Invalid> {
        let mut inode = Self {
            inum: key.k.p.offset,
            snapshot: key.k.p.snapshot,
            ..Self::default()
        };
        let read = match key.k.key_type {
            KeyType::INODE_V3 => inode.decode_v3(key.v)?,
            KeyType::INODE_V2 => inode.decode_v2(key.v)?,
            KeyType::INODE => inode.decode_v1(key.v)?,
            _ => return Ok(None),
        };
        Ok(Some((inode, read.err())))
    }

    fn decode_v3(&mut self, v: &[u8]) -> Result<Result<(), Invalid>, Invalid> {
        let (raw, fields) = raw::split::<RawInodeV3>(v)?;
        let flags = raw.flags.get();
        self.journal_seq = raw.journal_seq.get();
        self.hash_seed = raw.hash_seed.get();
        self.sectors = raw.sectors.get();
        self.size = raw.size.get();
        self.version = raw.version.get();
        self.mode = low_u16(bits(flags, 36, 52));
        self.set_flags(flags);
        Ok(read_v3(
            self,
            Reader::new(fields, bits(flags, 24, 31), false),
        ))
    }

    fn decode_v2(&mut self, v: &[u8]) -> Result<Result<(), Invalid>, Invalid> {
        let (raw, fields) = raw::split::<RawInodeV2>(v)?;
        let flags = raw.flags.get();
        self.journal_seq = raw.journal_seq.get();
        self.hash_seed = raw.hash_seed.get();
        self.mode = raw.mode.get();
        self.set_flags(flags);
        Ok(read_v2(
            self,
            Reader::new(fields, bits(flags, 24, 31), false),
        ))
    }

    fn decode_v1(&mut self, v: &[u8]) -> Result<Result<(), Invalid>, Invalid> {
        let (raw, fields) = raw::split::<RawInodeV1>(v)?;
        let flags = u64::from(raw.flags.get());
        self.hash_seed = raw.hash_seed.get();
        self.mode = raw.mode.get();
        self.set_flags(flags);
        let old_encoding = bits(flags, 31, 32) == 0;
        Ok(read_v2(
            self,
            Reader::new(fields, bits(flags, 24, 31), old_encoding),
        ))
    }

    fn set_flags(&mut self, flags: u64) {
        self.flags = InodeFlags(low_u32(bits(flags, 0, 20)));
        self.str_hash = str_hash_of(flags);
    }

    /// The value of an `inode_v3` key. C: `bch2_inode_pack()`; unlike it, this does not change
    /// [`InodeFlags::HAS_INODE_OPTS`]: see [`Inode::has_options`].
    pub fn encode(&self) -> EncodedInode {
        let mut writer = Writer::new(size_of::<RawInodeV3>());
        write_v3(self, &mut writer);
        let raw = RawInodeV3 {
            journal_seq: self.journal_seq.into(),
            hash_seed: self.hash_seed.into(),
            flags: (place(u64::from(self.flags.0), 0, 20)
                | place(u64::from(self.str_hash.0), 20, 24)
                | place(writer.nr_used, 24, 31)
                | place(FIELDS_START, 31, 36)
                | place(u64::from(self.mode), 36, 52))
            .into(),
            sectors: self.sectors.into(),
            size: self.size.into(),
            version: self.version.into(),
        };
        for (to, from) in writer.bytes.iter_mut().zip(raw.as_bytes()) {
            *to = *from;
        }
        EncodedInode {
            len: writer.used.next_multiple_of(8),
            bytes: writer.bytes,
        }
    }

    /// Whether some option is set on this inode.
    pub const fn has_options(&self) -> bool {
        self.data_checksum != 0
            || self.compression != 0
            || self.project != 0
            || self.background_compression != 0
            || self.data_replicas != 0
            || self.promote_target != 0
            || self.foreground_target != 0
            || self.background_target != 0
            || self.erasure_code != 0
            || self.nocow != 0
            || self.inodes_32bit != 0
            || self.casefold != 0
    }

    /// Whether this is a directory.
    pub const fn is_dir(&self) -> bool {
        self.mode & MODE_TYPE == MODE_DIR
    }

    /// Whether this is a regular file.
    pub const fn is_regular(&self) -> bool {
        self.mode & MODE_TYPE == MODE_REGULAR
    }

    /// Whether this is a symbolic link.
    pub const fn is_symlink(&self) -> bool {
        self.mode & MODE_TYPE == MODE_SYMLINK
    }

    /// The link count as user space sees it. C: `bch2_inode_nlink_get()`.
    pub const fn links(&self) -> u32 {
        if self.flags.has(InodeFlags::UNLINKED) {
            return 0;
        }
        let bias = if self.is_dir() { 2 } else { 1 };
        self.nlink.saturating_add(bias)
    }

    /// Whether the project that it counts for was set on it, not inherited.
    pub const fn has_own_project(&self) -> bool {
        self.fields_set & PROJECT_IS_SET != 0
    }

    /// The root of a subvolume.
    pub const fn is_subvol_root(&self) -> bool {
        self.subvol != 0
    }
}

impl fmt::Display for Inode {
    /// C: `bch2_inode_unpacked_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "mode={:o}", self.mode)?;
        writeln!(f, "flags={} ({:x})", self.flags, self.flags.0)?;
        writeln!(f, "journal_seq={}", self.journal_seq)?;
        writeln!(f, "hash_seed={:x}", self.hash_seed)?;
        writeln!(f, "hash_type={}", self.str_hash)?;
        writeln!(f, "size={}", self.size)?;
        writeln!(f, "sectors={}", self.sectors)?;
        write!(f, "version={}", self.version)?;
        for_each(self, |name, value| write!(f, "\n{name}={value}"))
    }
}

/// The value of an `inode_v3` key.
#[derive(Clone, Copy, Debug)]
pub struct EncodedInode {
    bytes: [u8; INODE_BYTES_MAX],
    len: usize,
}

impl EncodedInode {
    /// The bytes: a multiple of 8.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// What remains of a deleted inode, so that its number can be used again.
///
/// C: `struct bch_inode_generation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeGeneration {
    /// The next inode's generation.
    pub generation: u32,
}

impl InodeGeneration {
    /// Decodes the value of an `inode_generation` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: [U32; 2] = raw::prefix(v)?;
        let [generation, _] = raw;
        Ok(Self {
            generation: generation.get(),
        })
    }
}

impl fmt::Display for InodeGeneration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "generation: {}", self.generation)
    }
}

/// Where the next inode number is looked for (1.18).
///
/// C: `struct bch_inode_alloc_cursor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InodeAllocCursor {
    /// Bits of the inode number that tell the shard.
    pub bits: u8,
    /// Generation for inodes of this round.
    pub generation: u32,
    /// The next number to try.
    pub idx: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawInodeAllocCursor {
    bits: u8,
    pad: [u8; 3],
    generation: U32,
    idx: U64,
}

const _: () = assert!(size_of::<RawInodeAllocCursor>() == 16);

impl InodeAllocCursor {
    /// Decodes the value of an `inode_alloc_cursor` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawInodeAllocCursor = raw::prefix(v)?;
        Ok(Self {
            bits: raw.bits,
            generation: raw.generation.get(),
            idx: raw.idx.get(),
        })
    }
}

impl fmt::Display for InodeAllocCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "idx {} generation {}", self.idx, self.generation)
    }
}
