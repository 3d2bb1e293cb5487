// SPDX-License-Identifier: GPL-2.0

//! Positions in a btree.

use core::fmt;
use zerocopy::little_endian::{
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

/// A position: keys sort by inode, then offset, then snapshot. For extents, the position is where
/// the extent *ends*, in sectors.
///
/// C: `struct bpos`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bpos {
    /// Inode number, device index, or whatever the btree sorts by first.
    pub inode: u64,
    /// Offset within the inode: sectors for extents, hash for dirents and xattrs.
    pub offset: u64,
    /// Snapshot id, or a low-order part of the position in btrees without snapshots.
    pub snapshot: u32,
}

impl Bpos {
    /// The lowest position. C: `POS_MIN`.
    pub const MIN: Self = Self::new(0, 0, 0);
    /// The highest position. C: `SPOS_MAX`.
    pub const MAX: Self = Self::new(u64::MAX, u64::MAX, u32::MAX);

    /// A position. C: `SPOS()`.
    #[inline]
    pub const fn new(inode: u64, offset: u64, snapshot: u32) -> Self {
        Self {
            inode,
            offset,
            snapshot,
        }
    }

    /// The same place in another snapshot.
    #[inline]
    pub const fn with_snapshot(self, snapshot: u32) -> Self {
        Self { snapshot, ..self }
    }

    /// The next position counting the snapshot; [`Bpos::MAX`] stays. C: `bpos_successor()`.
    #[inline]
    pub const fn successor(self) -> Self {
        match self.snapshot.checked_add(1) {
            Some(s) => self.with_snapshot(s),
            None => self.next_offset(),
        }
    }

    /// The lowest position with a higher offset (or inode); [`Bpos::MAX`] stays.
    /// C: `bpos_nosnap_successor()`.
    #[inline]
    pub const fn next_offset(self) -> Self {
        match (self.offset.checked_add(1), self.inode.checked_add(1)) {
            (Some(offset), _) => Self::new(self.inode, offset, 0),
            (None, Some(inode)) => Self::new(inode, 0, 0),
            (None, None) => Self::MAX,
        }
    }

    /// The previous position counting the snapshot; [`Bpos::MIN`] stays.
    /// C: `bpos_predecessor()`.
    #[inline]
    pub const fn predecessor(self) -> Self {
        let borrow_snapshot = match self.snapshot.checked_sub(1) {
            Some(s) => return self.with_snapshot(s),
            None => u32::MAX,
        };
        match (self.offset.checked_sub(1), self.inode.checked_sub(1)) {
            (Some(offset), _) => Self::new(self.inode, offset, borrow_snapshot),
            (None, Some(inode)) => Self::new(inode, u64::MAX, borrow_snapshot),
            (None, None) => Self::MIN,
        }
    }

    /// Whether both are the same place, whatever the snapshot. C: `bkey_eq()`.
    #[inline]
    pub const fn same_place(self, other: Self) -> bool {
        self.inode == other.inode && self.offset == other.offset
    }
}

impl fmt::Display for Bpos {
    /// C: `bch2_bpos_to_text()`: `inode:offset:snapshot`, the largest snapshot as `U32_MAX`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => return f.write_str("POS_MIN"),
            Self::MAX => return f.write_str("SPOS_MAX"),
            _ => (),
        }
        match self.inode {
            u64::MAX => f.write_str("U64_MAX:")?,
            i => write!(f, "{i}:")?,
        }
        match self.offset {
            u64::MAX => f.write_str("U64_MAX:")?,
            o => write!(f, "{o}:")?,
        }
        match self.snapshot {
            u32::MAX => f.write_str("U32_MAX"),
            s => write!(f, "{s}"),
        }
    }
}

/// [`Bpos`] as bytes, written by a little-endian machine.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct RawBpos {
    snapshot: U32,
    offset: U64,
    inode: U64,
}

const _: () = assert!(size_of::<RawBpos>() == 20);

impl From<RawBpos> for Bpos {
    #[inline]
    fn from(raw: RawBpos) -> Self {
        Self::new(raw.inode.get(), raw.offset.get(), raw.snapshot.get())
    }
}

impl From<Bpos> for RawBpos {
    #[inline]
    fn from(p: Bpos) -> Self {
        Self {
            snapshot: p.snapshot.into(),
            offset: p.offset.into(),
            inode: p.inode.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_inode_offset_snapshot() {
        assert!(Bpos::new(1, 9, 9) < Bpos::new(2, 0, 0));
        assert!(Bpos::new(1, 1, 9) < Bpos::new(1, 2, 0));
        assert!(Bpos::new(1, 1, 1) < Bpos::new(1, 1, 2));
    }

    #[test]
    fn neighbours_carry_and_stop_at_the_ends() {
        let edge = Bpos::new(4, u64::MAX, u32::MAX);
        assert_eq!(edge.successor(), Bpos::new(5, 0, 0));
        assert_eq!(edge.successor().predecessor(), edge);
        assert_eq!(Bpos::MAX.successor(), Bpos::MAX);
        assert_eq!(Bpos::MIN.predecessor(), Bpos::MIN);
        assert_eq!(Bpos::new(1, 2, 3).next_offset(), Bpos::new(1, 3, 0));
    }

    #[test]
    fn raw_round_trip() {
        let p = Bpos::new(0x0102, 0x0304, 0x0506);
        assert_eq!(Bpos::from(RawBpos::from(p)), p);
    }
}
