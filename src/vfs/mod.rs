// SPDX-License-Identifier: GPL-2.0

//! Translation between the VFS and the filesystem: stub.

use crate::{
    env::Vec,
    error::errno::Errno,
    sys::{block::BlockDevice, fs::*, iomap::Readahead},
};
use core::ffi::CStr;
use kernel::ThisModule;

/// bcachefs as a filesystem type.
pub struct Fs;

static TYPE: FsType<Fs> = FsType::new();

/// The registered type.
pub type Registration = crate::sys::fs::Registration<Fs>;

/// Registers.
pub fn register(module: &'static ThisModule) -> Result<Registration> {
    TYPE.register(module)
}

impl FileSystem for Fs {
    type Options = ();
    type Data = ();
    type Key = (u32, u64);
    type INode = ();
    const NAME: &'static CStr = c"bcachefs";
    fn fs_type() -> &'static FsType<Self> {
        &TYPE
    }
    fn parse_option(_: &mut (), _: &str, _: Option<&str>, _: &MountLog<'_>) -> Result<bool> {
        Ok(false)
    }
    fn open(_: Vec<BlockDevice>, _: &(), _: bool, log: &MountLog<'_>) -> Result {
        log.error(format_args!("not supported yet"));
        Err(Errno::EOPNOTSUPP)
    }
    fn params(_: &()) -> SuperParams {
        SuperParams {
            magic: 0,
            block_bits: 12,
            max_bytes: 0,
            time_gran: 1,
            time_range: (0, 0),
            uuid: [0; 16],
            acl: true,
        }
    }
    fn root(sb: &SuperBlock<Self>) -> Result<INodeRef<Self>> {
        sb.inode((1, 4096), 4096, || Err(Errno::ENOENT))
    }
    fn share(_: &(), _: bool, _: &MountLog<'_>) -> Result {
        Err(Errno::EROFS)
    }
    fn reconfigure(_: &(), _: &(), _: bool, _: &MountLog<'_>) -> Result {
        Err(Errno::EROFS)
    }
    fn statfs(_: &()) -> Result<FsStat> {
        Err(Errno::EIO)
    }
    fn show_options(_: &(), _: &mut Seq<'_>) -> Result {
        Ok(())
    }
}

impl Directory for Fs {
    fn lookup(_: &INode<Self>, _: &[u8]) -> Result<Option<INodeRef<Self>>> {
        Ok(None)
    }
    fn readdir(_: &INode<Self>, _: &mut DirEmitter<'_>) -> Result {
        Ok(())
    }
}

static USER: XattrHandler<Fs> = XattrHandler::new(c"user.", 0);

impl Attributes for Fs {
    const XATTRS: &'static [Option<&'static XattrHandler<Self>>] = &[Some(&USER), None];
    fn stat(_: &INode<Self>, _: &mut Stat<'_>) {}
    fn flags(_: &INode<Self>) -> u32 {
        0
    }
    fn read_link(_: &INode<Self>) -> Result<Vec<u8>> {
        Err(Errno::EIO)
    }
    fn get_xattr(_: &INode<Self>, _: i32, _: &[u8], _: Option<&mut [u8]>) -> Result<usize> {
        Err(Errno::EIO)
    }
    fn list_xattr(_: &INode<Self>, _: &mut XattrList<'_>) -> Result {
        Ok(())
    }
    fn get_acl(_: &INode<Self>, _: AclKind) -> Result<Option<Vec<AclEntry>>> {
        Ok(None)
    }
}

impl FileData for Fs {
    const MAX_FOLIO_ORDER: u32 = 9;
    fn readahead(_: &INode<Self>, _: Readahead<'_>) {}
    fn read_folio(_: &INode<Self>, _: LockedFolio) {}
}
