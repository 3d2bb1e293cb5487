// SPDX-License-Identifier: GPL-2.0

//! Subvolumes: directory trees with an inode number space of their own.

use super::raw;
use crate::error::Invalid;
use core::fmt;
use zerocopy::{
    little_endian::{
        U32,
        U64, //
    },
    IntoBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// The subvolume that is mounted by default. C: `BCACHEFS_ROOT_SUBVOL`.
pub const ROOT_SUBVOL: u32 = 1;
/// The highest subvolume id. C: `SUBVOL_POS_MAX`.
pub const SUBVOL_MAX: u64 = 0x7fff_ffff;

/// Where a subvolume is between creation and deletion.
///
/// C: `enum bch_subvolume_state` (1.39), and the flag `BCH_SUBVOLUME_UNLINKED_OBSOLETE` before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubvolState {
    /// In use.
    Live,
    /// No name refers to it, files may be open.
    Unlinked,
    /// Its snapshot may be deleted.
    Deleted,
    /// A number that is no state.
    Invalid(u32),
}

impl SubvolState {
    const LIVE: u32 = 0x4ad5_447e;
    const UNLINKED: u32 = 0x2d35_8e8f;
    const DELETED: u32 = 0x3c6b_2d4c;

    const fn from_raw(raw: u32) -> Self {
        match raw {
            Self::LIVE => Self::Live,
            Self::UNLINKED => Self::Unlinked,
            Self::DELETED => Self::Deleted,
            other => Self::Invalid(other),
        }
    }
}

impl fmt::Display for SubvolState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::Unlinked => f.write_str("unlinked"),
            Self::Deleted => f.write_str("deleted"),
            Self::Invalid(raw) => write!(f, "(invalid state {raw:#x})"),
        }
    }
}

/// A subvolume.
///
/// C: `struct bch_subvolume`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subvolume {
    /// Files in it can not be changed.
    pub read_only: bool,
    /// It was made as a snapshot of another.
    pub is_snapshot: bool,
    /// The snapshot node its keys are in.
    pub snapshot: u32,
    /// Its root directory's inode number.
    pub inode: u64,
    /// The subvolume it is a snapshot of, or 0.
    pub creation_parent: u32,
    /// The subvolume with the directory that holds it (1.5), or 0.
    pub fs_path_parent: u32,
    /// Creation time: the low 64 bits, in the superblock's time units.
    pub otime_lo: u64,
    /// Creation time: the high 64 bits.
    pub otime_hi: u64,
    /// The state, from whichever place this version keeps it in.
    pub state: SubvolState,
    /// The state field is set (1.39).
    pub has_state: bool,
    /// Reserved; zero.
    pub pad: u32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSubvolume {
    flags: U32,
    snapshot: U32,
    inode: U64,
    creation_parent: U32,
    fs_path_parent: U32,
    otime_lo: U64,
    otime_hi: U64,
    state: U32,
    pad: U32,
}

const _: () = assert!(size_of::<RawSubvolume>() == 48);

/// The least bytes a value has. C: `min_val_size`.
const SUBVOLUME_BYTES_MIN: usize = 16;
/// The bytes of a value without the fields of 1.39.
const SUBVOLUME_BYTES: usize = 40;

// C: `BCH_SUBVOLUME_RO`, `BCH_SUBVOLUME_SNAP`, `BCH_SUBVOLUME_UNLINKED`.
const READ_ONLY: u32 = 1 << 0;
const IS_SNAPSHOT: u32 = 1 << 1;
const UNLINKED: u32 = 1 << 2;

impl Subvolume {
    /// Decodes the value of a `subvolume` key. Fields behind its end are zero.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawSubvolume = raw::padded(v, SUBVOLUME_BYTES_MIN)?;
        let flags = raw.flags.get();
        let state = match (raw.state.get(), flags & UNLINKED) {
            (0, 0) => SubvolState::Live,
            (0, _) => SubvolState::Unlinked,
            (state, _) => SubvolState::from_raw(state),
        };
        Ok(Self {
            read_only: flags & READ_ONLY != 0,
            is_snapshot: flags & IS_SNAPSHOT != 0,
            snapshot: raw.snapshot.get(),
            inode: raw.inode.get(),
            creation_parent: raw.creation_parent.get(),
            fs_path_parent: raw.fs_path_parent.get(),
            otime_lo: raw.otime_lo.get(),
            otime_hi: raw.otime_hi.get(),
            state,
            has_state: raw.state.get() != 0,
            pad: raw.pad.get(),
        })
    }

    /// The flags, as they are before there is a field for the state (1.39).
    pub fn flags(&self) -> u32 {
        let flag = |on: bool, bit: u32| match on {
            true => bit,
            false => 0,
        };
        flag(self.read_only, READ_ONLY)
            | flag(self.is_snapshot, IS_SNAPSHOT)
            | flag(self.state != SubvolState::Live, UNLINKED)
    }

    /// The value of a `subvolume` key, as it is before there is a field for the state (1.39).
    pub fn encode(&self) -> [u8; SUBVOLUME_BYTES] {
        let raw = RawSubvolume {
            flags: self.flags().into(),
            snapshot: self.snapshot.into(),
            inode: self.inode.into(),
            creation_parent: self.creation_parent.into(),
            fs_path_parent: self.fs_path_parent.into(),
            otime_lo: self.otime_lo.into(),
            otime_hi: self.otime_hi.into(),
            state: 0u32.into(),
            pad: 0u32.into(),
        };
        let mut v = [0; SUBVOLUME_BYTES];
        for (to, from) in v.iter_mut().zip(raw.as_bytes()) {
            *to = *from;
        }
        v
    }
}

impl fmt::Display for Subvolume {
    /// C: `bch2_subvolume_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "root {} snapshot id {}", self.inode, self.snapshot)?;
        write!(
            f,
            " creation_parent {} fs_parent {} {}",
            self.creation_parent, self.fs_path_parent, self.state
        )?;
        if self.read_only {
            f.write_str(" ro")?;
        }
        if self.is_snapshot {
            f.write_str(" snapshot")?;
        }
        Ok(())
    }
}
