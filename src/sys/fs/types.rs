// SPDX-License-Identifier: GPL-2.0

//! Filesystem types.

use super::{
    context,
    inode::{
        self,
        Slot, //
    },
    sb,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::check, //
};
use core::{
    cell::UnsafeCell,
    marker::PhantomData,
    mem::MaybeUninit,
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};
use kernel::{
    str::CStrExt as _,
    ThisModule, //
};

/// A filesystem type, to be put into a `static` and registered once when the module is loaded.
pub struct FsType<T: FileSystem> {
    c: UnsafeCell<MaybeUninit<bindings::file_system_type>>,
    /// The slab cache that inodes are from; null while not registered.
    cache: AtomicPtr<bindings::kmem_cache>,
    filesystem: PhantomData<fn() -> T>,
}

// SAFETY: `c` is written by `register` before anyone else knows of it, then it is the kernel's,
// which has its own locks. The rest is `Sync` by itself.
unsafe impl<T: FileSystem> Sync for FsType<T> {}

impl<T: FileSystem> FsType<T> {
    /// A type that is not registered.
    #[allow(clippy::new_without_default)]
    pub const fn new() -> Self {
        Self {
            c: UnsafeCell::new(MaybeUninit::zeroed()),
            cache: AtomicPtr::new(ptr::null_mut()),
            filesystem: PhantomData,
        }
    }

    /// The slab cache of inodes; null while not registered.
    pub(super) fn inode_cache(&self) -> *mut bindings::kmem_cache {
        self.cache.load(Ordering::Relaxed)
    }
}

impl<T: Complete> FsType<T> {
    /// Makes the type known to mount(2). A second registration fails with `EBUSY`.
    pub fn register(&'static self, module: &'static ThisModule) -> Result<Registration<T>> {
        let cache = inode::create_cache::<T>()?;
        let unused = ptr::null_mut();
        if self
            .cache
            .compare_exchange(unused, cache, Ordering::AcqRel, Ordering::Relaxed)
            .is_err()
        {
            // SAFETY: The cache is new and empty.
            unsafe { bindings::kmem_cache_destroy(cache) };
            return Err(Errno::EBUSY);
        }
        // From here on dropping the value undoes what was done so far.
        let mut registration = Registration {
            fs: self,
            registered: false,
        };
        let c = self.c.get().cast::<bindings::file_system_type>();
        // SAFETY: Whoever stored the cache is the only one to come here, and the kernel does not
        // know the type yet. It is valid when zeroed.
        unsafe {
            (*c).name = T::NAME.as_char_ptr();
            (*c).owner = module.as_ptr();
            (*c).init_fs_context = Some(context::init_fs_context::<T>);
            (*c).kill_sb = Some(sb::kill_sb::<T>);
            (*c).fs_flags = FLAGS;
            check(bindings::register_filesystem(c))?;
        }
        registration.registered = true;
        Ok(registration)
    }
}

/// On devices; takes part in id-mapped mounts; times are finer when somebody looks.
const FLAGS: i32 =
    num::i32_of_bits(bindings::FS_REQUIRES_DEV | bindings::FS_ALLOW_IDMAP | bindings::FS_MGTIME);

/// A registered filesystem type; dropping it takes the type back.
///
/// There are no mounts when that happens: each holds a reference on the module.
pub struct Registration<T: FileSystem> {
    fs: &'static FsType<T>,
    registered: bool,
}

impl<T: FileSystem> Drop for Registration<T> {
    fn drop(&mut self) {
        let c = self.fs.c.get().cast::<bindings::file_system_type>();
        let cache = self.fs.cache.load(Ordering::Relaxed);
        // SAFETY: The type is registered if the flag says so. After that no inode is allocated any
        // more, and `rcu_barrier()` waits for those still to be freed, so the cache is empty.
        unsafe {
            if self.registered {
                bindings::unregister_filesystem(c);
            }
            bindings::rcu_barrier();
            bindings::kmem_cache_destroy(cache);
        }
        self.fs.cache.store(ptr::null_mut(), Ordering::Release);
    }
}

/// Bytes of an inode of `T` in memory.
pub(super) const fn slot_bytes<T: FileSystem>() -> usize {
    size_of::<Slot<T>>()
}
