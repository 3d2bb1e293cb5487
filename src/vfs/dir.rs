// SPDX-License-Identifier: GPL-2.0

//! Directories: lookup and readdir.

use super::{
    errno::reported,
    inode::load,
    Bcachefs, //
};
use crate::{
    error::errno::Errno,
    format::values::dirent::NAME_MAX,
    fs::{
        cookie::{
            Cookies,
            COOKIE_END, //
        },
        dirent, //
    },
    sys::fs::{
        DirEmitter,
        Directory,
        INode,
        INodeRef,
        Result, //
    },
};

const _: () = assert!(COOKIE_END == DirEmitter::NARROW_END);

impl Directory for Bcachefs {
    fn lookup(dir: &INode<Self>, name: &[u8]) -> Result<Option<INodeRef<Self>>> {
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        let view = &dir.sb().data().fs.view;
        match dirent::lookup(view, dir.key(), &dir.data().inode(), name) {
            Ok(None) => Ok(None),
            Ok(Some(target)) => load(dir.sb(), target)
                .inspect_err(|e| {
                    if *e == Errno::ENOENT {
                        dirent::report_dangling(view, dir.key(), name, target);
                    }
                })
                .map(Some),
            Err(e) => Err(reported("lookup in the directory", dir, e)),
        }
    }

    fn readdir(dir: &INode<Self>, to: &mut DirEmitter<'_>) -> Result {
        let view = &dir.sb().data().fs.view;
        let next = dirent::readdir(view, dir.key(), to.pos(), |entry| {
            to.emit(
                entry.offset,
                entry.name,
                entry.target.inum,
                entry.file_type.0,
            )
        })
        .map_err(|e| reported("reading the directory", dir, e))?;
        to.advance(next);
        Ok(())
    }

    fn narrow(dir: &INode<Self>, pos: u64) -> u32 {
        Cookies::of(&dir.data().inode()).narrow(pos)
    }

    fn widen(dir: &INode<Self>, cookie: u32) -> u64 {
        Cookies::of(&dir.data().inode()).widen(cookie)
    }
}
