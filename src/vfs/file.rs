// SPDX-License-Identifier: GPL-2.0

//! Data of regular files.

use super::{
    errno::reported,
    Bcachefs, //
};
use crate::{
    data::{
        self,
        fiemap,
        read_async::{
            self,
            Owner, //
        },
        FileId,
        Seek, //
    },
    init::Filesystem,
    snapshots::View,
    sys::{
        block::BlockDevice,
        fs::{
            DirectRead,
            FileData,
            INode,
            LockedFolio,
            MapList,
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
        snapshot: inode.sb().data().fs.view.latest(inode.data().snapshot),
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

    fn direct_device(inode: &INode<Self>) -> Option<&BlockDevice> {
        let mount = inode.sb().data();
        Some(&mount.fs.view.sb().dev(mount.direct?)?.bdev)
    }

    fn is_encoded_at(inode: &INode<Self>, pos: u64) -> bool {
        read_async::is_encoded_at(&inode.sb().data().fs, file_id(inode), pos)
    }

    fn read_direct(inode: &INode<Self>, request: DirectRead<'_>) {
        let mount = inode.sb().data();
        mount.reads.direct(&mount.fs, file_id(inode), request);
    }

    fn map(inode: &INode<Self>, from: u64, to: u64, list: &mut MapList<'_>) -> Result {
        let view = &inode.sb().data().fs.view;
        let mut refused = Ok(());
        let walked = fiemap::map(view, file_id(inode), from, to, |m| {
            match list.add(m.logical, m.physical, m.len, m.flags.0) {
                Ok(more) => Ok(more),
                Err(e) => {
                    refused = Err(e);
                    Ok(false)
                }
            }
        });
        walked.map_err(|e| reported("mapping the data", inode, e))?;
        refused
    }

    fn seek(inode: &INode<Self>, pos: u64, hole: bool) -> Result<Option<u64>> {
        let what = if hole { Seek::Hole } else { Seek::Data };
        let view = &inode.sb().data().fs.view;
        data::seek(view, file_id(inode), inode.size(), pos, what)
            .map_err(|e| reported("seek", inode, e))
    }
}
