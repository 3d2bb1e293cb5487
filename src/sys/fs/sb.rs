// SPDX-License-Identifier: GPL-2.0

//! Superblocks: one per mounted filesystem.

use super::{
    attr,
    context::Request,
    inode,
    life,
    seq,
    subvolume,
    Complete,
    FileSystem,
    OpenError,
    Result, //
};
use crate::{
    bindings,
    env::{
        num,
        Box,
        Vec, //
    },
    error::errno::Errno,
    sys::{
        block::{
            BlockDevice,
            DevNr, //
        },
        check,
        returned,
        unicode::Encoding, //
    },
};
use core::{
    cell::UnsafeCell,
    ffi::c_int,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::types::Opaque;

/// A mounted filesystem as the VFS sees it.
///
/// # Invariants
///
/// A live superblock of the filesystem type `T`, whose `s_fs_info` is a [`Mounted<T>`] with data.
#[repr(transparent)]
pub struct SuperBlock<T: FileSystem>(Opaque<bindings::super_block>, core::marker::PhantomData<T>);

/// What `s_fs_info` points to.
pub(super) struct Mounted<T: FileSystem> {
    /// The devices, sorted.
    devs: Vec<DevNr>,
    /// The filesystem; a box from before the root inode is made until all inodes
    /// are evicted, null otherwise.
    data: UnsafeCell<*mut T::Data>,
}

/// What the VFS has to know of a mount.
#[derive(Clone, Copy, Debug)]
pub struct SuperParams {
    /// Identifies the filesystem's kind for statfs(2).
    pub magic: u32,
    /// Base 2 logarithm of the block size in bytes.
    pub block_bits: u8,
    /// The longest file, in bytes.
    pub max_bytes: u64,
    /// The resolution of file times, in nanoseconds.
    pub time_gran: u32,
    /// The first and last second that file times can have.
    pub time_range: (i64, i64),
    /// Identifies the filesystem.
    pub uuid: [u8; 16],
    /// Whether access control lists count.
    pub acl: bool,
    /// How many bytes of a file to read ahead at most; 0 for the kernel's default.
    pub readahead_bytes: u64,
    /// Nothing can be changed, whatever the mount request says.
    pub read_only: bool,
}

impl<T: FileSystem> Mounted<T> {
    /// For a mount of `devs`, which must be sorted, that has not been started.
    pub(super) fn try_new(devs: Vec<DevNr>) -> Result<Box<Self>> {
        let data = UnsafeCell::new(ptr::null_mut());
        Box::try_new(Self { devs, data }).map_err(|_| Errno::ENOMEM)
    }

    /// Drops the filesystem, which closes its devices.
    ///
    /// # Safety
    ///
    /// Nobody may be using the filesystem.
    unsafe fn close(&self) {
        // SAFETY: By the function's contract there is no reference to the data.
        unsafe {
            let data = self.data.get().replace(ptr::null_mut());
            if !data.is_null() {
                drop(Box::from_raw(data));
            }
        }
    }

    /// Whether all devices of `other` are among ours.
    pub(super) fn covers(&self, other: &Self) -> bool {
        other
            .devs
            .iter()
            .all(|d| self.devs.binary_search(d).is_ok())
    }
}

impl<T: FileSystem> SuperBlock<T> {
    /// The superblock of a C pointer.
    ///
    /// # Safety
    ///
    /// `sb` must have what the type's invariants say, for `'a`.
    pub(super) unsafe fn from_raw<'a>(sb: *mut bindings::super_block) -> &'a Self {
        // SAFETY: The layouts are the same. INVARIANT: By the function's contract.
        unsafe { &*sb.cast() }
    }

    /// The C object.
    pub(super) fn as_ptr(&self) -> *mut bindings::super_block {
        self.0.get()
    }

    /// The filesystem.
    pub fn data(&self) -> &T::Data {
        // SAFETY: By the type invariant `s_fs_info` is such a structure, with data.
        unsafe {
            let mounted = (*self.as_ptr()).s_fs_info.cast::<Mounted<T>>();
            &**(*mounted).data.get()
        }
    }
}

/// Starts the filesystem on a superblock that `sget_fc()` has just made.
///
/// # Safety
///
/// `sb` must be new and locked, with a [`Mounted<T>`] as `s_fs_info`.
pub(super) unsafe fn fill<T: Complete>(
    sb: *mut bindings::super_block,
    request: &Request<'_, T>,
) -> Result {
    let log = request.log();
    // SAFETY: By the function's contract.
    let mounted = unsafe { &*(*sb).s_fs_info.cast::<Mounted<T>>() };
    let open = |writable| {
        let devs = open_devices(&mounted.devs, sb, request, writable);
        let devs = devs.map_err(OpenError::Failed)?;
        T::open(devs, request.options(), request.read_only(), &log)
    };
    let opened = match open(!request.read_only()) {
        Err(OpenError::NeedsWriting) => open(true),
        other => other,
    };
    let data = opened.map_err(|e| match e {
        OpenError::Failed(e) => e,
        OpenError::NeedsWriting => Errno::EROFS,
    })?;
    let data = Box::try_new(data).map_err(|_| Errno::ENOMEM)?;
    let params = T::params(&data);
    let (encoding, in_use) = T::encoding(&data);
    let encoding = encoding.map(Encoding::as_ptr);
    // SAFETY: Nobody else uses the data before there is a root.
    unsafe { *mounted.data.get() = data.into_raw() };
    // SAFETY: The superblock is new and ours. The tables are constants. The data, with the encoding
    // in it, is dropped when all dentries are gone.
    unsafe {
        if let Some(encoding) = encoding {
            bindings::bch_rs_set_encoding(sb, encoding, in_use);
        }
        let bits = u32::from(params.block_bits);
        (*sb).s_blocksize_bits = params.block_bits;
        (*sb).s_blocksize = 1usize.wrapping_shl(bits);
        (*sb).s_magic = num::usize_of_u32(params.magic);
        (*sb).s_maxbytes = num::i64_of_bits(params.max_bytes);
        (*sb).s_time_gran = params.time_gran;
        (*sb).s_time_min = params.time_range.0;
        (*sb).s_time_max = params.time_range.1;
        (*sb).s_op = &Tables::<T>::SUPER;
        (*sb).s_xattr = super::xattr::table::<T>();
        (*sb).s_export_op = super::export::table::<T>().cast();
        super::quota::set_operations::<T>(sb);
        // That a file has nothing which writing takes away is remembered, until that changes.
        (*sb).s_flags |= bindings::SB_NOSEC;
        if params.read_only {
            (*sb).s_flags |= bindings::SB_RDONLY;
        }
        if params.acl {
            (*sb).s_flags |= bindings::SB_POSIXACL;
        }
        bindings::super_set_uuid(sb, params.uuid.as_ptr(), 16);
        bindings::super_set_sysfs_name_uuid(sb);
        check(bindings::super_setup_bdi(sb))?;
        bindings::bch_rs_set_readahead(sb, params.readahead_bytes);
    }
    // SAFETY: All that the type's invariants ask for was set just now.
    let root = T::root(unsafe { SuperBlock::from_raw(sb) })?;
    // SAFETY: Takes over the count of the inode, also when it fails.
    let root = unsafe { bindings::d_make_root(root.into_raw()) };
    if root.is_null() {
        return Err(Errno::ENOMEM);
    }
    // SAFETY: As above; the mount is complete with these. `put_super()` ends what is attached.
    unsafe {
        (*sb).s_root = root;
        (*sb).s_flags |= bindings::SB_ACTIVE;
        T::watchers(SuperBlock::<T>::from_raw(sb).data()).attach(sb);
    }
    Ok(())
}

fn open_devices<T: FileSystem>(
    devs: &[DevNr],
    sb: *mut bindings::super_block,
    request: &Request<'_, T>,
    writable: bool,
) -> Result<Vec<BlockDevice>> {
    let sb = NonNull::new(sb).ok_or(Errno::EINVAL)?;
    let mut open = Vec::new();
    for &dev in devs {
        // SAFETY: The mount's data, which gets the devices, is dropped before the superblock.
        match unsafe { BlockDevice::open(dev, writable, sb) } {
            Ok(dev) => open.push(dev).map_err(|_| Errno::ENOMEM)?,
            Err(e) => {
                let (log, path) = (request.log(), request.path_of(dev));
                match e {
                    Errno::EBUSY => log.error(format_args!("{path} is in use")),
                    e => log.error(format_args!("{path}: can not open it: errno {}", e.0)),
                }
                return Err(e);
            }
        }
    }
    Ok(open)
}

/// The operation table of superblocks of `T`.
struct Tables<T>(core::marker::PhantomData<T>);

impl<T: Complete> Tables<T> {
    const SUPER: bindings::super_operations = bindings::super_operations {
        alloc_inode: Some(inode::alloc_inode::<T>),
        free_inode: Some(inode::free_inode::<T>),
        write_inode: Some(life::write_inode::<T>),
        evict_inode: Some(life::evict_inode::<T>),
        drop_inode: Some(subvolume::drop_inode::<T>),
        put_super: Some(put_super::<T>),
        sync_fs: Some(sync_fs::<T>),
        freeze_fs: Some(freeze_fs::<T>),
        unfreeze_fs: Some(unfreeze_fs::<T>),
        statfs: Some(attr::statfs::<T>),
        show_options: Some(seq::show_options::<T>),
        ..pin_init::zeroed()
    };
}

/// `->sync_fs`.
///
/// # Safety
///
/// For the VFS to call, with a superblock of `T` that was filled.
unsafe extern "C" fn sync_fs<T: FileSystem>(sb: *mut bindings::super_block, wait: c_int) -> c_int {
    // What is only to be started goes by itself.
    if wait == 0 {
        return 0;
    }
    // SAFETY: By the function's contract; the data is there as long as the VFS may call this.
    returned(T::sync(unsafe { SuperBlock::<T>::from_raw(sb).data() }))
}

/// `->freeze_fs`.
///
/// # Safety
///
/// For the VFS to call, with a superblock of `T` that was filled.
unsafe extern "C" fn freeze_fs<T: FileSystem>(sb: *mut bindings::super_block) -> c_int {
    // SAFETY: By the function's contract; the data is there as long as the VFS may call this.
    returned(T::freeze(unsafe { SuperBlock::<T>::from_raw(sb).data() }))
}

/// `->unfreeze_fs`.
///
/// # Safety
///
/// For the VFS to call, with a superblock of `T` that was filled.
unsafe extern "C" fn unfreeze_fs<T: FileSystem>(sb: *mut bindings::super_block) -> c_int {
    // SAFETY: By the function's contract; the data is there as long as the VFS may call this.
    returned(T::thaw(unsafe { SuperBlock::<T>::from_raw(sb).data() }))
}

/// `->put_super`: all inodes are evicted.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn put_super<T: FileSystem>(sb: *mut bindings::super_block) {
    // SAFETY: The superblock was filled, and there are no users any more; new ones wait for it to
    // be gone. Closes the devices, so that whoever waits can have them.
    unsafe {
        T::watchers(SuperBlock::<T>::from_raw(sb).data()).detach();
        (*(*sb).s_fs_info.cast::<Mounted<T>>()).close();
    }
}

/// `->kill_sb`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn kill_sb<T: FileSystem>(sb: *mut bindings::super_block) {
    // SAFETY: `s_fs_info` has been a box from before the superblock could be found. After
    // `kill_anon_super()` nobody compares with it any more; it was not used otherwise since
    // `put_super()`, if it ever was.
    unsafe {
        bindings::kill_anon_super(sb);
        let mounted = Box::<Mounted<T>>::from_raw((*sb).s_fs_info.cast());
        (*sb).s_fs_info = ptr::null_mut();
        mounted.close();
    }
}
