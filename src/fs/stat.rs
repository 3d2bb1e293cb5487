// SPDX-License-Identifier: GPL-2.0

//! What `stat`, `FS_IOC_GETFLAGS` and `statfs` show.

use crate::{
    algo::time::{
        TimeUnits,
        Timespec, //
    },
    alloc::Usage,
    format::values::{
        dirent::NAME_MAX,
        inode::{
            Inode,
            InodeFlags, //
        },
    },
};

/// What is known about a file without reading it.
///
/// C: `struct kstat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number; the same one in several subvolumes names different files.
    pub inum: u64,
    /// Type and permissions.
    pub mode: u16,
    /// Names that refer to it.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device file.
    pub rdev: DevNumber,
    /// Size in bytes.
    pub size: u64,
    /// Space taken, in sectors of 512 bytes.
    pub sectors: u64,
    /// Access time.
    pub atime: Timespec,
    /// Modification time.
    pub mtime: Timespec,
    /// Change time.
    pub ctime: Timespec,
    /// Creation time.
    pub btime: Timespec,
}

/// A device number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DevNumber {
    /// The kind of device: 12 bits.
    pub major: u32,
    /// Which one: 20 bits.
    pub minor: u32,
}

impl DevNumber {
    const fn decode(raw: u32) -> Self {
        Self {
            major: raw >> 20,
            minor: raw & 0xf_ffff,
        }
    }
}

impl Attr {
    /// What `inode` says; `units` are the filesystem's.
    ///
    /// C: `bch2_inode_update_after_write()`, `bch2_getattr()`.
    pub fn of(inode: &Inode, units: &TimeUnits) -> Self {
        Self {
            inum: inode.inum,
            mode: inode.mode,
            links: inode.links(),
            uid: inode.uid,
            gid: inode.gid,
            rdev: DevNumber::decode(inode.dev),
            size: inode.size,
            sectors: inode.sectors,
            atime: units.timespec(inode.atime),
            mtime: units.timespec(inode.mtime),
            ctime: units.timespec(inode.ctime),
            btime: units.timespec(inode.otime),
        }
    }
}

/// Flags of a file as `FS_IOC_GETFLAGS` numbers them.
const FLAG_NUMBERS: [(InodeFlags, u32); 5] = [
    (InodeFlags::SYNC, 0x8),
    (InodeFlags::IMMUTABLE, 0x10),
    (InodeFlags::APPEND, 0x20),
    (InodeFlags::NODUMP, 0x40),
    (InodeFlags::NOATIME, 0x80),
];
/// Says that names in a directory are compared without case. C: `FS_CASEFOLD_FL`.
pub const FLAG_CASEFOLD: u32 = 0x4000_0000;

/// The flags of an inode that user space knows, numbered its way; `folds_case` is one that may come
/// from the filesystem.
///
/// C: `bch_flags_to_uflags`, `bch2_fileattr_get()`.
pub fn user_flags(inode: &Inode, folds_case: bool) -> u32 {
    let mut out = 0;
    for (flag, number) in FLAG_NUMBERS {
        if inode.flags.has(flag) {
            out |= number;
        }
    }
    if folds_case {
        out |= FLAG_CASEFOLD;
    }
    out
}

/// Flags from how user space numbers them; `None` when there are others that can not be set.
///
/// C: `bch2_ioc_setflags()`.
pub fn flags_of_user(flags: u32) -> Option<InodeFlags> {
    // That is an option, which this does not change.
    reverse(flags & !FLAG_CASEFOLD, &FLAG_NUMBERS)
}

fn reverse(flags: u32, numbers: &[(InodeFlags, u32)]) -> Option<InodeFlags> {
    let (mut left, mut out) = (flags, InodeFlags::default());
    for (flag, number) in numbers {
        if flags & number != 0 {
            (left, out) = (left & !number, out.with(*flag));
        }
    }
    (left == 0).then_some(out)
}

/// The same flags as `FS_IOC_FSGETXATTR` numbers them.
const XFLAG_NUMBERS: [(InodeFlags, u32); 5] = [
    (InodeFlags::IMMUTABLE, 0x8),
    (InodeFlags::APPEND, 0x10),
    (InodeFlags::SYNC, 0x20),
    (InodeFlags::NOATIME, 0x40),
    (InodeFlags::NODUMP, 0x80),
];
/// C: `FS_XFLAG_PROJINHERIT`.
const XFLAG_PROJINHERIT: u32 = 0x200;
/// Shown by the VFS. C: `FS_XFLAG_HASATTR`.
const XFLAG_HAS_ATTR: u32 = 0x8000_0000;
/// The bit of the project in [`Inode::fields_set`].
const PROJECT_IS_SET: u16 = 1 << 2;

/// The flags of an inode as `FS_IOC_FSGETXATTR` shows them. A project that was set, not inherited,
/// is shown as one that is inherited; case is not shown here.
///
/// C: `bch2_fileattr_get()`.
pub fn user_xflags(inode: &Inode) -> u32 {
    let mut out = 0;
    for (flag, number) in XFLAG_NUMBERS {
        if inode.flags.has(flag) {
            out |= number;
        }
    }
    if inode.fields_set & PROJECT_IS_SET != 0 {
        out |= XFLAG_PROJINHERIT;
    }
    out
}

/// Flags from how `FS_IOC_FSSETXATTR` numbers them, as [`flags_of_user`], and whether the project
/// is to be one that was set here.
///
/// C: `bch2_ioc_fssetxattr()`.
pub fn flags_of_user_x(flags: u32) -> (Option<InodeFlags>, bool) {
    let on = reverse(
        flags & !(XFLAG_PROJINHERIT | XFLAG_HAS_ATTR),
        &XFLAG_NUMBERS,
    );
    (on, flags & XFLAG_PROJINHERIT != 0)
}

/// What `statfs` shows.
///
/// C: `struct kstatfs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Bytes in a block, the unit of the three counts that follow.
    pub block_bytes: u64,
    /// Blocks in all.
    pub blocks: u64,
    /// Blocks that are free.
    pub free: u64,
    /// Blocks that new files can take.
    pub available: u64,
    /// Inodes in use and free.
    pub files: u64,
    /// A guess at how many inodes could be made.
    pub files_free: u64,
    /// Longest name, in bytes.
    pub name_max: usize,
}

impl StatFs {
    /// What `usage` says, in a filesystem with blocks of `block_sectors`.
    ///
    /// C: `bch2_statfs()`.
    pub fn of(usage: &Usage, block_sectors: u16) -> Self {
        let block_sectors = u64::from(block_sectors).max(1);
        let blocks = |sectors: u64| sectors.checked_div(block_sectors).unwrap_or(0);
        // An inode takes about 256 bytes.
        let files_free = usage.free.saturating_mul(2);
        Self {
            block_bytes: block_sectors.saturating_mul(512),
            blocks: blocks(usage.capacity),
            free: blocks(usage.free),
            available: blocks(usage.available()),
            files: usage.nr_inodes.saturating_add(files_free),
            files_free,
            name_max: NAME_MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::values::inode::INODE_OPTIONS;

    #[test]
    fn attributes() {
        let inode = Inode {
            dev: (8 << 20) | 17,
            mode: 0o060640,
            mtime: 1_000_000_001,
            flags: InodeFlags(InodeFlags::APPEND.0 | InodeFlags::UNLINKED.0),
            ..Inode::default()
        };
        let a = Attr::of(&inode, &TimeUnits::new(0, 1));
        assert_eq!((a.rdev.major, a.rdev.minor), (8, 17));
        assert_eq!((a.mtime.sec, a.mtime.nsec), (1, 1));
        assert_eq!(a.links, 0);
        assert_eq!(user_flags(&inode, false), 0x20);
        assert_eq!(user_xflags(&inode), 0x10);
        let project = Inode {
            fields_set: PROJECT_IS_SET,
            casefold: 2,
            ..Inode::default()
        };
        assert_eq!(
            flags_of_user(0x20 | FLAG_CASEFOLD),
            Some(InodeFlags::APPEND)
        );
        assert_eq!(flags_of_user(0x1), None);
        let on = InodeFlags::SYNC.with(InodeFlags::NODUMP);
        assert_eq!(flags_of_user_x(0x2a0), (Some(on), true));
        assert_eq!(flags_of_user_x(0x1), (None, false));
        assert_eq!(INODE_OPTIONS[2], "project");
        assert_eq!(user_flags(&project, true), FLAG_CASEFOLD);
        assert_eq!(user_xflags(&project), 0x200);
    }
}
