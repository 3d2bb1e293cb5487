// SPDX-License-Identifier: GPL-2.0

//! Attributes of files, and symbolic links.

use super::{
    errno::reported,
    xattr,
    Bcachefs, //
};
use crate::{
    env::Vec,
    format::values::inode::{
        option,
        InodeFlags, //
    },
    fs::{
        folds_case,
        stat::{
            user_flags,
            user_xflags, //
        },
        symlink, //
    },
    sys::fs::{
        AclEntry,
        AclKind,
        Attributes,
        FileFlags,
        INode,
        Result,
        Stat,
        XattrHandler,
        XattrList, //
    },
};

/// Flags that statx(2) shows, and how. C: `STATX_ATTR_IMMUTABLE` and so on.
const STATX_FLAGS: [(InodeFlags, u32); 3] = [
    (InodeFlags::IMMUTABLE, 0x10),
    (InodeFlags::APPEND, 0x20),
    (InodeFlags::NODUMP, 0x40),
];

/// Bytes in a sector, to which memory of direct reads should be aligned. Other memory works too.
const SECTOR: u32 = 512;

impl Attributes for Bcachefs {
    const XATTRS: &'static [Option<&'static XattrHandler<Self>>] = &xattr::HANDLERS;

    fn stat(inode: &INode<Self>, stat: &mut Stat<'_>) {
        let i = &inode.data().inode();
        let birth = inode.sb().data().times.timespec(i.otime);
        stat.set_birth_time(birth.sec, birth.nsec);
        stat.set_subvolume(u64::from(inode.key().subvol));
        let (mut on, mut known) = (0, 0);
        for (flag, attribute) in STATX_FLAGS {
            known |= attribute;
            if i.flags.has(flag) {
                on |= attribute;
            }
        }
        stat.set_attributes(on, known);
        let block = inode.sb().data().fs.view.sb().sb.block_bytes();
        stat.set_block_bytes(block);
        if i.is_dir() && inode.size() == 0 {
            stat.set_size(block.into());
        }
        if i.is_regular() {
            stat.set_direct_alignment(SECTOR, block);
        }
    }

    fn flags(inode: &INode<Self>) -> FileFlags {
        let i = &inode.data().inode();
        let project = option(i.project).and_then(|v| u32::try_from(v).ok());
        FileFlags {
            flags: user_flags(i, folds_case(inode.sb().data().fs.view.sb(), i)),
            xflags: user_xflags(i),
            project: project.unwrap_or(0),
        }
    }

    fn read_link(inode: &INode<Self>) -> Result<Vec<u8>> {
        let view = &inode.sb().data().fs.view;
        symlink::target(view, inode.key(), &inode.data().inode())
            .map_err(|e| reported("reading the link", inode, e))
    }

    fn get_xattr(
        inode: &INode<Self>,
        space: i32,
        name: &[u8],
        buf: Option<&mut [u8]>,
    ) -> Result<usize> {
        xattr::get(inode, space, name, buf)
    }

    fn list_xattr(inode: &INode<Self>, to: &mut XattrList<'_>) -> Result {
        xattr::list(inode, to)
    }

    fn get_acl(inode: &INode<Self>, kind: AclKind) -> Result<Option<Vec<AclEntry>>> {
        xattr::acl(inode, kind)
    }
}
