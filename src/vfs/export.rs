// SPDX-License-Identifier: GPL-2.0

//! Handles of files, for NFS servers and open_by_handle_at(2).

use super::{
    errno::reported,
    inode::load,
    Bcachefs, //
};
use crate::{
    env::Vec,
    error::errno::Errno,
    fs::handle::{
        self,
        Handle, //
    },
    sys::fs::{
        Exported,
        INode,
        INodeRef,
        Result,
        SuperBlock,
        HANDLE_BYTES, //
    },
};

const _: () = assert!(Handle::BYTES == HANDLE_BYTES);

/// The file that a client still has a handle of is gone.
fn stale(e: Errno) -> Errno {
    match e {
        Errno::ENOENT => Errno::ESTALE,
        e => e,
    }
}

impl Exported for Bcachefs {
    /// C: `FILEID_BCACHEFS_WITHOUT_PARENT`.
    const ALONE: u8 = 0xb1;
    /// C: `FILEID_BCACHEFS_WITH_PARENT`.
    const WITH_PARENT: u8 = 0xb2;

    fn handle(inode: &INode<Self>) -> [u8; HANDLE_BYTES] {
        Handle::of(inode.key(), &inode.data().inode()).encode()
    }

    fn by_handle(sb: &SuperBlock<Self>, bytes: &[u8; HANDLE_BYTES]) -> Result<INodeRef<Self>> {
        let wanted = Handle::decode(bytes);
        let inode = load(sb, wanted.at).map_err(stale)?;
        if Handle::of(inode.key(), &inode.data().inode()) != wanted {
            return Err(Errno::ESTALE);
        }
        Ok(inode)
    }

    fn parent(dir: &INode<Self>) -> Result<INodeRef<Self>> {
        let above = handle::parent(dir.key(), &dir.data().inode()).ok_or(Errno::ESTALE)?;
        load(dir.sb(), above).map_err(stale)
    }

    fn name(dir: &INode<Self>, inode: &INode<Self>) -> Result<Vec<u8>> {
        let view = &dir.sb().data().fs.view;
        handle::name_in(view, dir.key(), inode.key())
            .map_err(|e| reported("looking for a name in the directory", dir, e))
    }
}
