// SPDX-License-Identifier: GPL-2.0

//! Attributes: statx(2), statfs(2), file flags.

use super::{
    inode::INode,
    sb::SuperBlock,
    Attributes,
    FileSystem, //
};
use crate::{
    bindings,
    env::num,
    sys::returned, //
};
use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    marker::PhantomData, //
};

/// The result of a statx(2) call, apart from what every inode has.
///
/// # Invariants
///
/// A `kstat` that is being filled in, for as long as `'a`.
pub struct Stat<'a> {
    stat: *mut bindings::kstat,
    /// What is asked for.
    wanted: u32,
    call: PhantomData<&'a mut bindings::kstat>,
}

impl Stat<'_> {
    fn raw(&mut self) -> &mut bindings::kstat {
        // SAFETY: By the type invariant.
        unsafe { &mut *self.stat }
    }

    /// When the file was made: seconds since 1970 and nanoseconds.
    pub fn set_birth_time(&mut self, seconds: i64, ns: u32) {
        let stat = self.raw();
        stat.btime.tv_sec = seconds;
        stat.btime.tv_nsec = isize::try_from(ns).unwrap_or(0);
        stat.result_mask |= bindings::STATX_BTIME;
    }

    /// The subvolume the file is in.
    pub fn set_subvolume(&mut self, id: u64) {
        let stat = self.raw();
        stat.subvol = id;
        stat.result_mask |= bindings::STATX_SUBVOL;
    }

    /// The size in bytes, where it is not that of the inode.
    pub fn set_size(&mut self, bytes: u64) {
        self.raw().size = num::i64_of_bits(bytes);
    }

    /// How many bytes are best read or written at a time.
    pub fn set_block_bytes(&mut self, bytes: u32) {
        self.raw().blksize = bytes;
    }

    /// What the address of the memory and the place in the file should be multiples of in direct
    /// reads and writes, in bytes. Only shown when asked for.
    pub fn set_direct_alignment(&mut self, memory: u32, offset: u32) {
        if self.wanted & bindings::STATX_DIOALIGN != 0 {
            let stat = self.raw();
            stat.dio_mem_align = memory;
            stat.dio_offset_align = offset;
            stat.result_mask |= bindings::STATX_DIOALIGN;
        }
    }

    /// Sets the attributes `on` (`STATX_ATTR_*`) out of the `known` ones.
    pub fn set_attributes(&mut self, on: u32, known: u32) {
        let stat = self.raw();
        stat.attributes |= u64::from(on);
        stat.attributes_mask |= u64::from(known);
    }
}

/// `->getattr`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn getattr<T: Attributes>(
    idmap: *mut bindings::mnt_idmap,
    path: *const bindings::path,
    stat: *mut bindings::kstat,
    request_mask: u32,
    _flags: c_uint,
) -> c_int {
    // SAFETY: The path is of a file of ours; `stat` is to be filled in.
    let inode = unsafe {
        let inode = (*(*path).dentry).d_inode;
        bindings::generic_fillattr(idmap, request_mask, inode, stat);
        INode::<T>::from_raw(inode)
    };
    // INVARIANT: The VFS passed it for this call.
    let mut stat = Stat {
        stat,
        wanted: request_mask,
        call: PhantomData,
    };
    T::stat(inode, &mut stat);
    0
}

/// Flags of a file, and its project.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileFlags {
    /// For `FS_IOC_GETFLAGS` (`FS_*_FL`).
    pub flags: u32,
    /// For `FS_IOC_FSGETXATTR` (`FS_XFLAG_*`).
    pub xflags: u32,
    /// The project that quota counts it for; 0 for none.
    pub project: u32,
}

/// `->fileattr_get`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn fileattr_get<T: Attributes>(
    dentry: *mut bindings::dentry,
    fa: *mut kernel::bindings::file_kattr,
) -> c_int {
    // SAFETY: The dentry is of a file of ours; `fa` is to be filled in.
    unsafe {
        let file = T::flags(INode::<T>::from_raw((*dentry).d_inode));
        let fa: *mut bindings::file_kattr = fa.cast();
        (*fa).flags = file.flags;
        (*fa).fsx_xflags = file.xflags;
        (*fa).fsx_projid = file.project;
    }
    0
}

/// The result of statfs(2). Space is counted in blocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsStat {
    /// Identifies the filesystem's kind.
    pub magic: u32,
    /// Bytes in a block.
    pub block_bytes: u32,
    /// All blocks.
    pub blocks: u64,
    /// Blocks not in use.
    pub free: u64,
    /// Blocks that users can still use.
    pub available: u64,
    /// How many inodes there are and could be.
    pub inodes: u64,
    /// How many more inodes there could be.
    pub free_inodes: u64,
    /// Identifies the filesystem.
    pub uuid: [u8; 16],
    /// The longest name, in bytes.
    pub name_max: u32,
}

/// `->statfs`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn statfs<T: FileSystem>(
    dentry: *mut bindings::dentry,
    st: *mut kernel::bindings::kstatfs,
) -> c_int {
    // SAFETY: The dentry is of a mount of ours.
    let sb = unsafe { SuperBlock::<T>::from_raw((*dentry).d_sb) };
    returned(T::statfs(sb.data()).map(|s| {
        // SAFETY: `st` is to be filled in.
        let st = unsafe { &mut *st.cast::<bindings::kstatfs>() };
        st.f_type = long(s.magic);
        st.f_bsize = long(s.block_bytes);
        st.f_frsize = long(s.block_bytes);
        st.f_blocks = s.blocks;
        st.f_bfree = s.free;
        st.f_bavail = s.available;
        st.f_files = s.inodes;
        st.f_ffree = s.free_inodes;
        st.f_namelen = long(s.name_max);
        // SAFETY: The id is 16 bytes long.
        unsafe { bindings::bch_rs_set_fsid(st, s.uuid.as_ptr()) };
    }))
}

fn long(v: u32) -> isize {
    num::isize_of_bits(num::usize_of_u32(v))
}
