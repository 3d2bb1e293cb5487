// SPDX-License-Identifier: GPL-2.0

//! New files and directories.

use super::{
    dirents::Dir,
    inode::{
        add_subdirs,
        inherit,
        links_parent,
        touch, //
    },
    symlink,
    xattr::put_acl,
    At,
    Changes, //
    Nodes,
};
use crate::{
    alloc::space::Trans,
    btree::trans::{
        Committed,
        TransResult, //
    },
    data::inode::{
        inode_get,
        inode_put, //
    },
    env::random_u64,
    error::Result,
    format::{
        sb::Features,
        values::{
            dirent::{
                FileType,
                Target, //
            },
            inode::{
                Inode,
                InodeFlags, //
            },
        },
    },
    fs::{
        acl::{
            AclEntry,
            Kind, //
        },
        first::str_hash,
        SubvolInum, //
    },
};

/// What a new file is to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewFile<'a> {
    /// Kind and permissions.
    pub mode: u16,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// The device that a special file stands for, as stored.
    pub dev: u32,
    /// The time, in the filesystem's units.
    pub now: u64,
    /// Who may do what.
    pub acl: Option<&'a [AclEntry]>,
    /// What new files in a new directory get.
    pub default_acl: Option<&'a [AclEntry]>,
    /// Where a symbolic link leads.
    pub link: Option<&'a [u8]>,
}

/// A file that was made.
#[derive(Clone, Copy, Debug)]
pub struct Created {
    /// Its inode.
    pub inode: Inode,
    /// What identifies it.
    pub id: SubvolInum,
    /// The snapshot it is in.
    pub snapshot: u32,
    /// The directory's inode.
    pub dir: Inode,
    /// When that was.
    pub at: Committed,
}

impl Changes<'_> {
    /// Makes a file, as `name` in the directory `dir`; without a name it is one that is gone when
    /// it is closed, unless it gets a name before.
    ///
    /// C: `__bch2_create()`.
    pub fn create(
        &self,
        dir: SubvolInum,
        name: Option<&[u8]>,
        new: &NewFile<'_>,
    ) -> Result<Created> {
        if new.link.is_some() {
            self.view.sb().use_features(1 << Features::INLINE_DATA)?;
        }
        loop {
            let (made, committed) = self.run(Nodes::FromFree, |t| {
                let at = self.at(dir)?;
                let Some(inum) = self.numbers.take(t)? else {
                    return Ok(None);
                };
                let mut inode = inode_get(t, self.view, at.file())?;
                let new = self.make(t, inum, (at, &mut inode), name, new)?;
                if name.is_some() {
                    inode_put(t, &inode)?;
                }
                Ok(Some((new, inode)))
            })?;
            match made {
                Some((inode, above)) => {
                    return Ok(Created {
                        inode,
                        id: SubvolInum {
                            inum: inode.inum,
                            ..dir
                        },
                        snapshot: inode.snapshot,
                        dir: above,
                        at: committed,
                    })
                }
                None => self.numbers.search(&self.view.btrees)?,
            }
        }
    }

    /// Stages all of a new file, which gets the number `inum`, but the directory's inode.
    ///
    /// C: `bch2_create_trans()`.
    #[inline(never)]
    pub(super) fn make(
        &self,
        t: &mut Trans<'_>,
        inum: u64,
        (at, dir): (At, &mut Inode),
        name: Option<&[u8]>,
        new: &NewFile<'_>,
    ) -> TransResult<Inode> {
        let mut inode = self.new_inode(at.snapshot, inum, new);
        inherit(&mut inode, dir);
        let file = At {
            id: SubvolInum { inum, ..at.id },
            ..at
        };
        if let Some(name) = name {
            let entries = Dir::of(self, at, dir)?;
            let offset = entries.free(t, name)?;
            let target = (Target::Inode(inum), FileType::of_mode(inode.mode));
            entries.put(t, offset, name, target)?;
            (inode.dir, inode.dir_offset) = (dir.inum, offset);
            if links_parent(&inode) {
                add_subdirs(dir, 1)?;
            }
            touch(dir, new.now);
        } else {
            inode.flags = inode.flags.with(InodeFlags::UNLINKED);
        }
        for (acl, kind) in [(new.default_acl, Kind::Default), (new.acl, Kind::Access)] {
            if acl.is_some() {
                put_acl(t, self, file, &inode, kind, acl)?;
            }
        }
        if let Some(to) = new.link {
            symlink::put(t, self.view, &mut inode, to)?;
        }
        inode_put(t, &inode)?;
        Ok(inode)
    }

    /// C: `bch2_inode_init()`.
    pub(super) fn new_inode(&self, snapshot: u32, inum: u64, new: &NewFile<'_>) -> Inode {
        Inode {
            inum,
            snapshot,
            mode: new.mode,
            uid: new.uid,
            gid: new.gid,
            dev: new.dev,
            generation: self.numbers.generation(),
            hash_seed: random_u64(),
            str_hash: str_hash(self.view.sb()),
            atime: new.now,
            ctime: new.now,
            mtime: new.now,
            otime: new.now,
            ..Inode::default()
        }
    }
}
