// SPDX-License-Identifier: GPL-2.0

//! Data of regular files.

use super::{
    errno::reported,
    Bcachefs, //
};
use crate::{
    data::{
        self,
        read_async::Owner,
        FileId,
        Seek, //
    },
    init::Filesystem,
    snapshots::View,
    sys::{
        fs::{
            FileData,
            INode,
            LockedFolio,
            Result, //
        },
        iomap::Readahead,
    },
};

impl Owner for Filesystem {
    fn view(&self) -> &View {
        &self.view
    }
}

/// The keys of the inode's contents.
pub(super) fn file_id(inode: &INode<Bcachefs>) -> FileId {
    FileId {
        inum: inode.key().inum,
        snapshot: inode.data().snapshot,
    }
}

impl FileData for Bcachefs {
    /// 256 KiB. One byte written through mmap(2) will make a whole folio dirty.
    const MAX_FOLIO_ORDER: u32 = 6;

    fn readahead(inode: &INode<Self>, request: Readahead<'_>) {
        let mount = inode.sb().data();
        mount
            .reads
            .readahead(&mount.fs, file_id(inode), inode.size(), request);
    }

    fn read_folio(inode: &INode<Self>, folio: LockedFolio) {
        let mount = inode.sb().data();
        let file = file_id(inode);
        let mut reader = mount.reads.reader(&mount.fs, file, u64::MAX, false);
        folio.read(&mut reader);
    }

    fn seek(inode: &INode<Self>, pos: u64, hole: bool) -> Result<Option<u64>> {
        let what = if hole { Seek::Hole } else { Seek::Data };
        let view = &inode.sb().data().fs.view;
        data::seek(view, file_id(inode), inode.size(), pos, what)
            .map_err(|e| reported("seek", inode.ino(), e))
    }
}
