// SPDX-License-Identifier: GPL-2.0

//! Inodes: link counts, flags, options.

use crate::{
    error::{
        Error,
        Result, //
    },
    format::values::inode::{
        Inode,
        InodeFlags,
        PROJECT_IS_SET, //
    },
};

/// Gives an inode one name more.
///
/// C: `bch2_inode_nlink_inc()`.
pub(super) fn add_link(inode: &mut Inode) -> Result {
    if inode.flags.has(InodeFlags::UNLINKED) {
        inode.flags = inode.flags.without(InodeFlags::UNLINKED);
        return Ok(());
    }
    inode.nlink = inode.nlink.checked_add(1).ok_or(Error::TooManyLinks)?;
    Ok(())
}

/// Takes one of its names from an inode.
///
/// C: `bch2_inode_nlink_dec()`.
pub(super) fn remove_link(inode: &mut Inode) -> Result {
    if inode.flags.has(InodeFlags::UNLINKED) {
        return Err(Error::LinksUnderflow);
    }
    match inode.nlink.checked_sub(1) {
        Some(fewer) => inode.nlink = fewer,
        None => inode.flags = inode.flags.with(InodeFlags::UNLINKED),
    }
    Ok(())
}

/// Whether it counts as a name of the directory it is in: by its entry `..`. Those of roots of
/// subvolumes do not.
///
/// C: `is_subdir_for_nlink()`.
pub(super) fn links_parent(inode: &Inode) -> bool {
    inode.is_dir() && !inode.is_subvol_root()
}

/// Adds `by` to the names of a directory.
pub(super) fn add_subdirs(dir: &mut Inode, by: i32) -> Result {
    dir.nlink = dir.nlink.checked_add_signed(by).ok_or(match by < 0 {
        true => Error::SubdirsUnderflow,
        false => Error::TooManySubdirs,
    })?;
    Ok(())
}

/// It was changed at `now`.
pub(super) fn touch(dir: &mut Inode, now: u64) {
    (dir.mtime, dir.ctime) = (now, now);
}

macro_rules! options {
    ($($name:ident),*) => {
        /// Options that are not set on `inode` itself become those of `dir`. Says whether that
        /// changed any.
        ///
        /// C: `bch2_reinherit_attrs()`.
        pub(super) fn inherit(inode: &mut Inode, dir: &Inode) -> bool {
            let mut own = inode.fields_set;
            let before = *inode;
            $(
                if own & 1 == 0 {
                    inode.$name = dir.$name;
                }
                own >>= 1;
            )*
            let _ = own;
            *inode != before
        }

        #[cfg(test)]
        const NAMES: &[&str] = &[$(stringify!($name),)*];
    };
}

options! {
    data_checksum, compression, project, background_compression, data_replicas, promote_target,
    foreground_target, background_target, erasure_code, nocow, inodes_32bit, casefold
}

/// Flags as `FS_IOC_SETFLAGS` and `FS_IOC_FSSETXATTR` set them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Those that are to be on.
    pub on: InodeFlags,
    /// The project, and whether it counts as set here; `None` to leave both.
    pub project: Option<(u32, bool)>,
}

impl Flags {
    /// All that can be set so.
    pub const ALL: InodeFlags = InodeFlags::SYNC
        .with(InodeFlags::IMMUTABLE)
        .with(InodeFlags::APPEND)
        .with(InodeFlags::NODUMP)
        .with(InodeFlags::NOATIME);

    /// Sets them. Links and special files can only have some.
    ///
    /// C: `bch2_inode_flags_set()`, `fssetxattr_inode_update_fn()`.
    pub fn set(&self, inode: &mut Inode, now: u64) -> Result {
        let plain = InodeFlags::NODUMP.with(InodeFlags::NOATIME);
        if !inode.is_regular() && !inode.is_dir() && self.on.without(plain).0 != 0 {
            return Err(Error::FlagsNotForKind);
        }
        if let Some((project, is_set)) = self.project {
            // One that was never set stays that way: names of it may come and go.
            if project != 0 || inode.project != 0 {
                inode.project = project.checked_add(1).ok_or(Error::ProjectTooLarge)?;
            }
            inode.fields_set &= !PROJECT_IS_SET;
            if is_set {
                inode.fields_set |= PROJECT_IS_SET;
            }
        }
        inode.flags = inode.flags.without(Self::ALL).with(self.on);
        inode.ctime = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::values::inode::INODE_OPTIONS;

    #[test]
    fn link_counts() {
        let mut inode = Inode {
            mode: 0o100644,
            ..Inode::default()
        };
        assert_eq!(inode.links(), 1);
        add_link(&mut inode).unwrap();
        assert_eq!(inode.links(), 2);
        for left in [1, 0] {
            remove_link(&mut inode).unwrap();
            assert_eq!(inode.links(), left);
        }
        assert_eq!(remove_link(&mut inode), Err(Error::LinksUnderflow));
        add_link(&mut inode).unwrap();
        assert_eq!((inode.links(), inode.nlink), (1, 0));
        inode.nlink = u32::MAX;
        assert_eq!(add_link(&mut inode), Err(Error::TooManyLinks));
        assert_eq!(add_subdirs(&mut inode, 1), Err(Error::TooManySubdirs));
        inode.nlink = 0;
        assert_eq!(add_subdirs(&mut inode, -1), Err(Error::SubdirsUnderflow));
    }

    #[test]
    fn options_are_handed_down() {
        // The bits of `fields_set` are in this order.
        assert_eq!(NAMES, INODE_OPTIONS);
        let dir = Inode {
            compression: 3,
            nocow: 2,
            ..Inode::default()
        };
        let mut inode = Inode {
            fields_set: 1 << 9,
            ..Inode::default()
        };
        assert!(inherit(&mut inode, &dir));
        assert_eq!((inode.compression, inode.nocow), (3, 0));
        assert!(!inherit(&mut inode, &dir));
    }

    #[test]
    fn flags_that_user_space_sets() {
        let set_with = |mode, on, project| {
            let mut inode = Inode {
                mode,
                flags: InodeFlags::UNLINKED.with(InodeFlags::SYNC),
                ..Inode::default()
            };
            let project = Some((project, true));
            Flags { on, project }.set(&mut inode, 5).map(|()| inode)
        };
        let set = |mode, on| set_with(mode, on, 7);
        let inode = set(0o100644, InodeFlags::APPEND).unwrap();
        assert_eq!(inode.flags, InodeFlags::UNLINKED.with(InodeFlags::APPEND));
        assert_eq!((inode.project, inode.fields_set, inode.ctime), (8, 4, 5));
        let last = set_with(0o100644, InodeFlags::APPEND, u32::MAX);
        assert_eq!(last, Err(Error::ProjectTooLarge));
        let link = 0o120777;
        assert_eq!(set(link, InodeFlags::APPEND), Err(Error::FlagsNotForKind));
        assert!(set(link, InodeFlags::NOATIME).is_ok());
    }
}
