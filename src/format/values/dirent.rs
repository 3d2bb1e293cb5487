// SPDX-License-Identifier: GPL-2.0

//! Directory entries.

use super::raw;
use crate::{
    env::num::u64_of,
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::bkey::Key,
};
use core::fmt;
use zerocopy::little_endian::{
    U16,
    U32,
    U64, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// The longest name, in bytes. C: `BCH_NAME_MAX`.
pub const NAME_MAX: usize = 512;

/// What a directory entry refers to, as told without reading the inode: bits 12 to 15 of the
/// mode, or [`FileType::SUBVOL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileType(pub u8);

impl FileType {
    /// Not known.
    pub const UNKNOWN: Self = Self(0);
    /// Named pipe.
    pub const FIFO: Self = Self(1);
    /// Character device.
    pub const CHAR_DEV: Self = Self(2);
    /// Directory.
    pub const DIR: Self = Self(4);
    /// Block device.
    pub const BLOCK_DEV: Self = Self(6);
    /// Regular file.
    pub const FILE: Self = Self(8);
    /// Symbolic link.
    pub const SYMLINK: Self = Self(10);
    /// Socket.
    pub const SOCKET: Self = Self(12);
    /// Whiteout of an overlay.
    pub const WHITEOUT: Self = Self(14);
    /// Root of a subvolume. C: `DT_SUBVOL`.
    pub const SUBVOL: Self = Self(16);

    /// The type of a file of `mode`. C: `mode_to_type()`.
    pub const fn of_mode(mode: u16) -> Self {
        let [_, high] = mode.to_le_bytes();
        Self(high >> 4)
    }

    /// The name, `None` for a number that is no type. C: `bch2_d_types`.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::UNKNOWN => "unknown",
            Self::FIFO => "fifo",
            Self::CHAR_DEV => "chr",
            Self::DIR => "dir",
            Self::BLOCK_DEV => "blk",
            Self::FILE => "reg",
            Self::SYMLINK => "lnk",
            Self::SOCKET => "sock",
            Self::WHITEOUT => "whiteout",
            Self::SUBVOL => "subvol",
            _ => return None,
        })
    }
}

/// What a directory entry refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An inode of the directory's own subvolume.
    Inode(u64),
    /// The root of a subvolume.
    Subvol {
        /// The subvolume.
        child: u32,
        /// The subvolume the entry is visible in: copies of the entry in snapshots are not.
        parent: u32,
    },
}

/// A directory entry.
///
/// C: `struct bch_dirent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirent<'a> {
    /// What it refers to.
    pub target: Target,
    /// The kind of what it refers to.
    pub file_type: FileType,
    /// The name as it was given: bytes, of no particular encoding.
    pub name: &'a [u8],
    /// The name with case folded, in a directory that compares names so (1.24).
    pub folded: Option<&'a [u8]>,
}

/// C: `struct bch_dirent` up to the names.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawDirent {
    target: U64,
    type_and_flags: u8,
}

/// C: `d_cf_name_block` up to the names. What is packed in C is only its place behind the type,
/// so there is a byte of padding after its first one.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawFoldedNames {
    pad: [u8; 2],
    name_len: U16,
    folded_len: U16,
}

const _: () = assert!(size_of::<RawDirent>() == 9);
const _: () = assert!(size_of::<RawFoldedNames>() == 6);

const TYPE_MASK: u8 = 0x1f;
const FOLDED: u8 = 0x80;

/// The least bytes a value has. C: `min_val_size`.
pub(super) const DIRENT_BYTES_MIN: usize = 16;

impl<'a> Dirent<'a> {
    /// Decodes the value of a `dirent` key.
    pub fn decode(v: &'a [u8]) -> Result<Self, Invalid> {
        raw::at_least(v, DIRENT_BYTES_MIN)?;
        let (raw, names) = raw::split::<RawDirent>(v)?;
        let file_type = FileType(raw.type_and_flags & TYPE_MASK);
        let target = raw.target.get();
        let target = match file_type {
            FileType::SUBVOL => {
                let [child, parent] = halves(target);
                Target::Subvol { child, parent }
            }
            _ => Target::Inode(target),
        };
        let (name, folded) = if raw.type_and_flags & FOLDED == 0 {
            (without_padding(names), None)
        } else {
            let (lens, names) = raw::split::<RawFoldedNames>(names)?;
            let names = without_padding(names);
            let name_len = usize::from(lens.name_len.get());
            let folded_len = usize::from(lens.folded_len.get());
            let split = names
                .split_at_checked(name_len)
                .and_then(|(name, rest)| Some((name, rest.get(..folded_len)?)));
            let Some((name, folded)) = split else {
                return Err(Invalid::with(
                    FsckError::DIRENT_VAL_TOO_BIG,
                    "dirent names exceed the value, bytes",
                    u64_of(name_len.saturating_add(folded_len)),
                    u64_of(names.len()),
                ));
            };
            (name, Some(folded))
        };
        Ok(Self {
            target,
            file_type,
            name,
            folded,
        })
    }

    /// The name that is hashed and compared. C: `bch2_dirent_get_lookup_name()`.
    pub const fn lookup_name(&self) -> &'a [u8] {
        match self.folded {
            Some(folded) => folded,
            None => self.name,
        }
    }

    /// Whether the entry is to be seen in subvolume `subvol`. C: `dirent_is_visible()`.
    pub const fn visible_in(&self, subvol: u32) -> bool {
        match self.target {
            Target::Subvol { parent, .. } => parent == subvol,
            Target::Inode(_) => true,
        }
    }

    /// The value of a `dirent` key, at the front of `out`: how many bytes it has, a multiple of
    /// 8. `None` when the names are too long or `out` is too short, or when target and file type
    /// contradict each other. C: `bch2_dirent_init_name()`.
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let target = match (self.target, self.file_type) {
            (Target::Subvol { child, parent }, FileType::SUBVOL) => {
                u64::from(child) | u64::from(parent).wrapping_shl(32)
            }
            (Target::Inode(inum), t) if t != FileType::SUBVOL && t.0 <= TYPE_MASK => inum,
            _ => return None,
        };
        let folded_len = self.folded.map_or(0, <[u8]>::len);
        if self.name.len() > NAME_MAX || folded_len > NAME_MAX {
            return None;
        }
        let [len_lo, len_hi] = u16::try_from(self.name.len()).ok()?.to_le_bytes();
        let [cf_lo, cf_hi] = u16::try_from(folded_len).ok()?.to_le_bytes();
        let lens = [0, 0, len_lo, len_hi, cf_lo, cf_hi];
        let (flags, lens): (u8, &[u8]) = match self.folded {
            Some(_) => (FOLDED, &lens),
            None => (0, &[]),
        };
        let len = size_of::<RawDirent>()
            .checked_add(lens.len())?
            .checked_add(self.name.len())?
            .checked_add(folded_len)?
            .max(DIRENT_BYTES_MIN)
            .checked_next_multiple_of(8)?;
        let out = out.get_mut(..len)?;
        let bytes = target
            .to_le_bytes()
            .into_iter()
            .chain([self.file_type.0 | flags])
            .chain(lens.iter().copied())
            .chain(self.name.iter().copied())
            .chain(self.folded.unwrap_or(&[]).iter().copied())
            .chain(core::iter::repeat(0));
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = from;
        }
        Some(len)
    }
}

/// The low and the high 32 bits of what is stored as one number.
fn halves(v: u64) -> [u32; 2] {
    let raw: [U32; 2] = zerocopy::transmute!(v.to_le_bytes());
    raw.map(U32::get)
}

/// Names without the zero bytes that fill the last word of the value: at most 8 of them.
/// C: `bch2_dirent_name_bytes()`.
fn without_padding(names: &[u8]) -> &[u8] {
    let zeros = names.iter().rev().take(8).take_while(|&&b| b == 0).count();
    names
        .get(..names.len().saturating_sub(zeros))
        .unwrap_or(names)
}

/// Decodes a key's value as [`Dirent::decode`] does; `Ok(None)` when it is not a `dirent`.
pub fn dirent<'a>(key: &Key<'a>) -> Result<Option<Dirent<'a>>, Invalid> {
    match key.k.key_type {
        crate::format::key_type::KeyType::DIRENT => Dirent::decode(key.v).map(Some),
        _ => Ok(None),
    }
}

impl fmt::Display for Dirent<'_> {
    /// C: `bch2_dirent_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.escape_ascii())?;
        if let Some(folded) = self.folded {
            write!(f, " (casefold {})", folded.escape_ascii())?;
        }
        match self.target {
            Target::Inode(inum) => write!(f, " -> {inum}")?,
            Target::Subvol { child, parent } => write!(f, " -> {parent} -> {child}")?,
        }
        match self.file_type.name() {
            Some(name) => write!(f, " type {name}"),
            None => write!(f, " type (bad d_type {})", self.file_type.0),
        }
    }
}
