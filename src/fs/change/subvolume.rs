// SPDX-License-Identifier: GPL-2.0

//! New subvolumes, and snapshots: their roots, and the names of these.

use super::{
    dirents::Dir,
    inode::{
        inherit,
        touch, //
    },
    xattr::put_acl,
    At,
    Changes,
    Created,
    NewFile, //
};
use crate::{
    alloc::space::Trans,
    btree::trans::{
        Committed,
        TransResult, //
    },
    data::{
        inode::{
            inode_get,
            inode_put, //
        },
        FileId, //
    },
    error::{
        Error,
        Result, //
    },
    format::values::{
        dirent::{
            FileType,
            Target, //
        },
        inode::Inode,
    },
    fs::{
        acl::Kind,
        SubvolInum, //
    },
    journal::live::Watermark,
    snapshots::{
        self,
        Closed,
        Made,
        New, //
    },
    sys::reclaim::NoFs, //
};
use core::convert::Infallible;

/// What a snapshot is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The subvolume with this root; [`Error::SnapshotOfNoRoot`] if it is none.
    Root(SubvolInum),
    /// The subvolume that the new name is in.
    Here,
}

/// A number for a new inode has to be looked for.
struct NoNumber;

/// What is staged: the root, the directory above it, and the subvolume.
type Staged = (Inode, Inode, Made);

impl Changes<'_> {
    /// Makes a subvolume, as `name` in the directory `dir`.
    ///
    /// C: `__bch2_create()` with `BCH_CREATE_SUBVOL`.
    pub fn create_subvolume(
        &self,
        dir: SubvolInum,
        name: &[u8],
        new: &NewFile<'_>,
    ) -> Result<Created> {
        let _scope = NoFs::enter();
        let closed = self.view.gate.close();
        loop {
            let made = self.run_closed(&closed, |t| {
                let at = self.at(dir)?;
                let Some(inum) = self.numbers.take(t)? else {
                    return Ok(Err(NoNumber));
                };
                let above = inode_get(t, self.view, at.file())?;
                let what = New {
                    inode: inum,
                    parent: dir.subvol,
                    source: None,
                    read_only: false,
                    now: new.now,
                };
                let made = snapshots::create(t, self.view, &what)?;
                let mut root = self.new_inode(made.snapshot(), inum, new);
                inherit(&mut root, &above);
                self.put_acls(t, &made, &root, new)?;
                self.put_root(t, (at, above), name, root, &made, new.now)
                    .map(Ok)
            })?;
            match made {
                Ok(created) => return Ok(created),
                Err(NoNumber) => self.numbers.search(&self.view.btrees)?,
            }
        }
    }

    /// Makes a snapshot of a subvolume, as `name` in the directory `dir`. Who is not `root` has to
    /// own the root of what he makes a snapshot of. What is in the page cache is not in it.
    ///
    /// C: `__bch2_create()` with `BCH_CREATE_SNAPSHOT`.
    pub fn snapshot(
        &self,
        dir: SubvolInum,
        name: &[u8],
        source: Source,
        read_only: bool,
        (uid, now): (u32, u64),
    ) -> Result<Created> {
        let _scope = NoFs::enter();
        let closed = self.view.gate.close();
        let made = self.run_closed(&closed, |t| {
            let at = self.at(dir)?;
            let from = match source {
                Source::Here => crate::fs::inode::subvolume_root(self.view, dir.subvol)?,
                Source::Root(id) => id,
            };
            let root = FileId {
                inum: from.inum,
                snapshot: self.view.subvolume(from.subvol)?.snapshot,
            };
            let mut root = inode_get(t, self.view, root)?;
            if root.subvol != from.subvol {
                return Err(Error::SnapshotOfNoRoot.into());
            }
            if uid != 0 && root.uid != uid {
                return Err(Error::SnapshotOfOthers.into());
            }
            let above = inode_get(t, self.view, at.file())?;
            let what = New {
                inode: from.inum,
                parent: dir.subvol,
                source: Some(from.subvol),
                read_only,
                now,
            };
            let made = snapshots::create(t, self.view, &what)?;
            root.snapshot = made.snapshot();
            self.put_root(t, (at, above), name, root, &made, now)
                .map(Ok)
        })?;
        made.map_err(|never: Infallible| match never {})
    }

    /// As `run`, while nobody else changes files. What `f` returns when nothing is to be made goes
    /// to the caller.
    fn run_closed<E>(
        &self,
        closed: &Closed<'_>,
        mut f: impl FnMut(&mut Trans<'_>) -> TransResult<Result<Staged, E>>,
    ) -> Result<Result<Created, E>> {
        self.view.reserve_made(closed)?;
        let (done, at) = self.engine.run(Watermark::Normal, |t| {
            let done = f(t)?;
            t.commit()?;
            Ok((done, t.committed()))
        })?;
        match done {
            Ok((inode, dir, made)) => {
                self.view.made(&made, closed)?;
                Ok(Ok(created(inode, dir, &made, at)))
            }
            Err(e) => Ok(Err(e)),
        }
    }

    /// Stages the access control lists of a new root.
    fn put_acls(
        &self,
        t: &mut Trans<'_>,
        made: &Made,
        root: &Inode,
        new: &NewFile<'_>,
    ) -> TransResult {
        let at = At {
            id: SubvolInum {
                subvol: made.id,
                inum: root.inum,
            },
            snapshot: made.snapshot(),
        };
        for (acl, kind) in [(new.default_acl, Kind::Default), (new.acl, Kind::Access)] {
            if acl.is_some() {
                put_acl(t, self, at, root, kind, acl)?;
            }
        }
        Ok(())
    }

    /// Stages the root of a subvolume that is being made, its name, and the directory `above` that
    /// the name is in.
    ///
    /// C: the rest of `bch2_create_trans()`.
    #[inline(never)]
    fn put_root(
        &self,
        t: &mut Trans<'_>,
        (at, mut above): (At, Inode),
        name: &[u8],
        mut root: Inode,
        made: &Made,
        now: u64,
    ) -> TransResult<Staged> {
        let offset = Dir::of(self, at, &above)?.free(t, name)?;
        // When the snapshot is one of what the name is in, the name is only in what goes on.
        let at = At {
            snapshot: made.next_of(at.snapshot),
            ..at
        };
        let (child, parent) = (made.id, at.id.subvol);
        let target = (Target::Subvol { child, parent }, FileType::SUBVOL);
        Dir::of(self, at, &above)?.put(t, offset, name, target)?;
        touch(&mut above, now);
        above.snapshot = at.snapshot;
        inode_put(t, &above)?;
        (root.subvol, root.parent_subvol) = (made.id, parent);
        (root.dir, root.dir_offset) = (above.inum, offset);
        inode_put(t, &root)?;
        Ok((root, above, *made))
    }
}

fn created(inode: Inode, dir: Inode, made: &Made, at: Committed) -> Created {
    Created {
        inode,
        id: SubvolInum {
            subvol: made.id,
            inum: inode.inum,
        },
        snapshot: made.snapshot(),
        dir,
        at,
    }
}
