// SPDX-License-Identifier: GPL-2.0

//! Nodes of the snapshot trees. A node's parent has a higher number than the node.

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

/// What is to become of a snapshot node.
///
/// C: `enum bch_snapshot_state` (1.39), and the obsolete flags before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotState {
    /// In use.
    Live,
    /// A leaf that no subvolume refers to: its keys are to be deleted.
    WillDelete,
    /// An inner node without keys of its own, to be taken out at a mount.
    NoKeys,
    /// Gone; the key stays, to tell deleted from missing.
    Deleted,
    /// A number that is no state.
    Invalid(u32),
}

impl SnapshotState {
    const LIVE: u32 = 0x757c_47a2;
    const WILL_DELETE: u32 = 0x3316_a8d2;
    const NO_KEYS: u32 = 0x372b_5a01;
    const DELETED: u32 = 0x7cd4_a225;

    const fn from_raw(raw: u32) -> Self {
        match raw {
            Self::LIVE => Self::Live,
            Self::WILL_DELETE => Self::WillDelete,
            Self::NO_KEYS => Self::NoKeys,
            Self::DELETED => Self::Deleted,
            other => Self::Invalid(other),
        }
    }

    /// C: `bch2_snapshot_state_from_flags()`.
    const fn from_flags(flags: u32) -> Self {
        if flags & (1 << 2) != 0 {
            Self::Deleted
        } else if flags & (1 << 3) != 0 {
            Self::NoKeys
        } else if flags & 1 != 0 {
            Self::WillDelete
        } else {
            Self::Live
        }
    }
}

impl fmt::Display for SnapshotState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Live => f.write_str("live"),
            Self::WillDelete => f.write_str("will_delete"),
            Self::NoKeys => f.write_str("no_keys"),
            Self::Deleted => f.write_str("deleted"),
            Self::Invalid(raw) => write!(f, "(invalid state {raw:#x})"),
        }
    }
}

/// A snapshot node.
///
/// C: `struct bch_snapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The flags as stored (obsolete since 1.39).
    pub flags: u32,
    /// The parent, or 0.
    pub parent: u32,
    /// The children, the higher first; 0 for none.
    pub children: [u32; 2],
    /// The subvolume of a leaf, or 0.
    pub subvol: u32,
    /// The tree it belongs to.
    pub tree: u32,
    /// Distance from the tree's root (1.1).
    pub depth: u32,
    /// Three ancestors, ascending (1.1).
    pub skip: [u32; 3],
    /// Creation time: the low 64 bits, in the superblock's time units.
    pub btime_lo: u64,
    /// Creation time: the high 64 bits.
    pub btime_hi: u64,
    /// The state, from whichever place this version keeps it in.
    pub state: SnapshotState,
    /// The state field is set (1.39).
    pub has_state: bool,
    /// Reserved; zero.
    pub pad: u32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawSnapshot {
    flags: U32,
    parent: U32,
    children: [U32; 2],
    subvol: U32,
    tree: U32,
    depth: U32,
    skip: [U32; 3],
    btime_lo: U64,
    btime_hi: U64,
    state: U32,
    pad: U32,
}

const _: () = assert!(size_of::<RawSnapshot>() == 64);

/// The least bytes a value has. C: `min_val_size`.
const SNAPSHOT_BYTES_MIN: usize = 24;
/// The bytes of a value without the fields of 1.39.
const SNAPSHOT_BYTES: usize = 56;

impl Snapshot {
    /// The flag of a node whose keys are to be deleted. C: `BCH_SNAPSHOT_DELETED`.
    pub const WILL_DELETE: u32 = 1 << 0;
    /// The flag of a node that a subvolume refers to. C: `BCH_SNAPSHOT_SUBVOL`.
    pub const IS_SUBVOL: u32 = 1 << 1;

    /// Decodes the value of a `snapshot` key. Fields behind its end are zero.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: RawSnapshot = raw::padded(v, SNAPSHOT_BYTES_MIN)?;
        let flags = raw.flags.get();
        Ok(Self {
            flags,
            parent: raw.parent.get(),
            children: raw.children.map(U32::get),
            subvol: raw.subvol.get(),
            tree: raw.tree.get(),
            depth: raw.depth.get(),
            skip: raw.skip.map(U32::get),
            btime_lo: raw.btime_lo.get(),
            btime_hi: raw.btime_hi.get(),
            state: match raw.state.get() {
                0 => SnapshotState::from_flags(flags),
                state => SnapshotState::from_raw(state),
            },
            has_state: raw.state.get() != 0,
            pad: raw.pad.get(),
        })
    }

    /// The value of a `snapshot` key, as it is before there is a field for the state (1.39).
    pub fn encode(&self) -> [u8; SNAPSHOT_BYTES] {
        let raw = RawSnapshot {
            flags: self.flags.into(),
            parent: self.parent.into(),
            children: self.children.map(U32::new),
            subvol: self.subvol.into(),
            tree: self.tree.into(),
            depth: self.depth.into(),
            skip: self.skip.map(U32::new),
            btime_lo: self.btime_lo.into(),
            btime_hi: self.btime_hi.into(),
            state: 0u32.into(),
            pad: 0u32.into(),
        };
        let mut v = [0; SNAPSHOT_BYTES];
        for (to, from) in v.iter_mut().zip(raw.as_bytes()) {
            *to = *from;
        }
        v
    }
}

impl fmt::Display for Snapshot {
    /// C: `bch2_snapshot_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [left, right] = self.children;
        let [a, b, c] = self.skip;
        write!(
            f,
            "parent {} children {left} {right} subvol {} tree {} depth {} skiplist {a} {b} {c} {}",
            self.parent, self.subvol, self.tree, self.depth, self.state
        )?;
        if !self.has_state {
            write!(f, " (flags {:#x})", self.flags)?;
        }
        Ok(())
    }
}

/// A tree of snapshot nodes.
///
/// C: `struct bch_snapshot_tree`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotTree {
    /// The subvolume the others were made from, or 0 when it was deleted.
    pub master_subvol: u32,
    /// The root node.
    pub root_snapshot: u32,
}

impl SnapshotTree {
    /// Decodes the value of a `snapshot_tree` key.
    pub fn decode(v: &[u8]) -> Result<Self, Invalid> {
        let raw: [U32; 2] = raw::prefix(v)?;
        let [master_subvol, root_snapshot] = raw.map(U32::get);
        Ok(Self {
            master_subvol,
            root_snapshot,
        })
    }

    /// The value of a `snapshot_tree` key.
    pub fn encode(&self) -> [u8; 8] {
        let raw = [self.master_subvol, self.root_snapshot].map(U32::new);
        zerocopy::transmute!(raw)
    }
}

impl fmt::Display for SnapshotTree {
    /// C: `bch2_snapshot_tree_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "subvol {} root snapshot {}",
            self.master_subvol, self.root_snapshot
        )
    }
}
