// SPDX-License-Identifier: GPL-2.0

//! Inodes: a C `struct inode` with a filesystem's own part behind it.

use super::{
    change::Time,
    dir,
    file,
    link,
    queued::Queued,
    sb::SuperBlock,
    types::slot_bytes,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno, //
};
use core::{
    ffi::{
        c_int,
        c_void, //
    },
    mem::MaybeUninit,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    str::CStrExt as _,
    types::Opaque, //
};

/// The memory of an inode, from allocation to freeing.
///
/// # Invariants
///
/// - `key` is initialised before the inode can be found in the kernel's table, and never changes.
/// - `data` is initialised if `ready` says so; that is before the inode loses its "new" state, and
///   until it is freed.
#[repr(C)]
pub(super) struct Slot<T: FileSystem> {
    inode: Opaque<bindings::inode>,
    key: MaybeUninit<T::Key>,
    data: MaybeUninit<T::INode>,
    queued: Queued,
    ready: bool,
}

impl<T: FileSystem> Slot<T> {
    /// Whether the inode was completed.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Sets the key of an inode that is in no table.
    pub(super) fn set_key(&mut self, key: T::Key) {
        self.key.write(key);
    }
}

/// An inode that is complete.
///
/// # Invariants
///
/// The slot is ready, and someone holds a reference as long as a Rust reference exists.
#[repr(transparent)]
pub struct INode<T: FileSystem>(Slot<T>);

// SAFETY: The C inode has its own locks; the rest is never changed while shared.
unsafe impl<T: FileSystem> Sync for INode<T> {}

impl<T: FileSystem> INode<T> {
    /// The inode of a C pointer.
    ///
    /// # Safety
    ///
    /// `inode` must be a complete inode of a filesystem of type `T`, referenced for `'a`.
    pub(super) unsafe fn from_raw<'a>(inode: *mut bindings::inode) -> &'a Self {
        // SAFETY: Inodes of `T` are the first part of a slot. INVARIANT: By the contract.
        unsafe { &*inode.cast::<Self>() }
    }

    /// The C object.
    pub(super) fn as_ptr(&self) -> *mut bindings::inode {
        self.0.inode.get()
    }

    /// Writes past the page cache that go on.
    pub(super) fn queued(&self) -> &Queued {
        &self.0.queued
    }

    /// What identifies the inode within its mount.
    pub fn key(&self) -> T::Key {
        // SAFETY: By the type invariants of both types.
        unsafe { self.0.key.assume_init() }
    }

    /// The filesystem's part.
    pub fn data(&self) -> &T::INode {
        // SAFETY: By the type invariants of both types.
        unsafe { self.0.data.assume_init_ref() }
    }

    /// The superblock the inode belongs to.
    pub fn sb(&self) -> &SuperBlock<T> {
        // SAFETY: An inode's superblock is never null, lives longer than the inode, and is of the
        // same filesystem type.
        unsafe { SuperBlock::from_raw((*self.as_ptr()).i_sb) }
    }

    /// The number shown to user space.
    pub fn ino(&self) -> u64 {
        // SAFETY: Set once before the inode was complete.
        unsafe { (*self.as_ptr()).i_ino }
    }

    /// Type and permissions (`S_IF*` and the low 12 bits).
    pub fn mode(&self) -> u16 {
        // SAFETY: Reading a number that C code may change: either value will do.
        unsafe { (&raw const (*self.as_ptr()).i_mode).read_volatile() }
    }

    /// Distinguishes inodes that had the same number one after the other.
    pub fn generation(&self) -> u32 {
        // SAFETY: Set once before the inode was complete.
        unsafe { (*self.as_ptr()).i_generation }
    }

    /// Last access, last change of the contents, and last change of the inode.
    pub fn times(&self) -> [Time; 3] {
        let inode = self.as_ptr();
        // SAFETY: The inode is valid by the type invariant.
        unsafe {
            [
                time_of(bindings::inode_get_atime(inode)),
                time_of(bindings::inode_get_mtime(inode)),
                time_of(bindings::inode_get_ctime(inode)),
            ]
        }
    }

    /// The time of a change that begins now. It is shown with the change, if that comes about.
    pub fn change_time(&self) -> Time {
        // SAFETY: As above; racing changes of times leave one or the other.
        time_of(unsafe { bindings::bch_rs_change_time(self.as_ptr()) })
    }

    /// Shows the VFS what was changed. Calls for one inode must not run at the same time.
    pub fn show(&self, shown: &Shown) {
        let inode = self.as_ptr();
        // SAFETY: The inode is valid; C code, too, writes these without a lock that readers take.
        unsafe {
            bindings::set_nlink(inode, shown.nlink);
            bindings::i_uid_write(inode, shown.uid);
            bindings::i_gid_write(inode, shown.gid);
            (&raw mut (*inode).i_mode).write_volatile(shown.mode);
            bindings::inode_set_flags(inode, shown.flags.bits(), InodeBits::ALL);
            let set = |time: Option<Time>, old, set| {
                if let Some(time) = time.filter(|t| *t != time_of(old)) {
                    set_time(inode, time, set);
                }
            };
            let [atime, mtime, ctime] = shown.times;
            set(
                atime,
                bindings::inode_get_atime(inode),
                bindings::inode_set_atime,
            );
            set(
                mtime,
                bindings::inode_get_mtime(inode),
                bindings::inode_set_mtime,
            );
            set(
                ctime,
                bindings::inode_get_ctime(inode),
                bindings::inode_set_ctime,
            );
        }
    }

    /// The file's size in bytes.
    pub fn size(&self) -> u64 {
        // SAFETY: The inode is valid by the type invariant.
        num::u64_of_bits(unsafe { bindings::i_size_read(self.as_ptr()) })
    }
}

/// A counted reference on an inode.
///
/// # Invariants
///
/// Owns one count of a complete inode.
pub struct INodeRef<T: FileSystem>(NonNull<INode<T>>);

// SAFETY: An inode may be used and put by any thread.
unsafe impl<T: FileSystem> Send for INodeRef<T> {}

impl<T: FileSystem> INodeRef<T> {
    /// Gives the reference to C.
    pub(super) fn into_raw(self) -> *mut bindings::inode {
        let ptr = self.as_ptr();
        core::mem::forget(self);
        ptr
    }
}

impl<T: FileSystem> Deref for INodeRef<T> {
    type Target = INode<T>;

    fn deref(&self) -> &INode<T> {
        // SAFETY: By the type invariant.
        unsafe { self.0.as_ref() }
    }
}

impl<T: FileSystem> Drop for INodeRef<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a count, given up here.
        unsafe { bindings::iput(self.as_ptr()) };
    }
}

/// What the VFS has to know of an inode.
#[derive(Clone, Copy, Debug, Default)]
pub struct INodeParams {
    /// The number shown to user space.
    pub ino: u64,
    /// Type and permissions (`S_IF*` and the low 12 bits).
    pub mode: u16,
    /// How many names the inode has.
    pub nlink: u32,
    /// The owner's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Space used, in sectors of 512 bytes.
    pub sectors: u64,
    /// Last access: seconds since 1970 and nanoseconds.
    pub atime: (i64, u32),
    /// Last change of the contents.
    pub mtime: (i64, u32),
    /// Last change of the inode.
    pub ctime: (i64, u32),
    /// The device that a special file stands for (kernel's `dev_t`).
    pub rdev: u32,
    /// Distinguishes inodes that had the same number one after the other.
    pub generation: u32,
    /// Flags.
    pub flags: InodeBits,
}

/// Flags of an inode that the VFS acts on.
#[derive(Clone, Copy, Debug, Default)]
pub struct InodeBits {
    /// May not be changed at all.
    pub immutable: bool,
    /// May only be appended to.
    pub append: bool,
    /// Does not record accesses.
    pub noatime: bool,
    /// Writes are synchronous.
    pub sync: bool,
    /// Names in the directory are compared without case.
    pub casefold: bool,
}

impl InodeBits {
    /// C: the bits of all of them.
    const ALL: u32 = bindings::S_IMMUTABLE
        | bindings::S_APPEND
        | bindings::S_NOATIME
        | bindings::S_SYNC
        | bindings::S_CASEFOLD;

    /// As C has them.
    fn bits(self) -> u32 {
        let mut bits = 0;
        for (bit, on) in [
            (bindings::S_IMMUTABLE, self.immutable),
            (bindings::S_APPEND, self.append),
            (bindings::S_NOATIME, self.noatime),
            (bindings::S_SYNC, self.sync),
            (bindings::S_CASEFOLD, self.casefold),
        ] {
            if on {
                bits |= bit;
            }
        }
        bits
    }
}

/// What of an inode may change, apart from its contents.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Type and permissions.
    pub mode: u16,
    /// How many names the inode has.
    pub nlink: u32,
    /// The owner's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
    /// Flags.
    pub flags: InodeBits,
    /// Times as in [`INode::times`]; `None` for those that the VFS may know better.
    pub times: [Option<Time>; 3],
}

fn time_of(time: bindings::timespec64) -> Time {
    (time.tv_sec, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// An inode in the kernel's table that is not complete: whoever else looks for it waits. Dropping
/// it makes the others fail.
///
/// # Invariants
///
/// Owns one count of an inode that is new and locked, whose slot is not ready.
pub(super) struct NewINode<T: FileSystem>(NonNull<Slot<T>>);

/// What [`SuperBlock::inode`] finds.
pub(super) enum Found<T: FileSystem> {
    /// The inode was in memory.
    Cached(INodeRef<T>),
    /// It has to be filled in.
    New(NewINode<T>),
}

impl<T: Complete> SuperBlock<T> {
    /// The inode with `key`: the one in memory, or else one made of what `load` returns.
    pub fn inode(
        &self,
        key: T::Key,
        hash: u64,
        load: impl FnOnce() -> Result<(INodeParams, T::INode)>,
    ) -> Result<INodeRef<T>> {
        match self.find_inode(key, hash)? {
            Found::Cached(inode) => Ok(inode),
            Found::New(new) => {
                let (params, data) = load()?;
                Ok(new.init(&params, data))
            }
        }
    }

    fn find_inode(&self, key: T::Key, hash: u64) -> Result<Found<T>> {
        // SAFETY: The superblock is live. The callbacks get the key's address for the duration of
        // the call only, and inodes of this superblock only.
        let inode = unsafe {
            bindings::iget5_locked(
                self.as_ptr(),
                hash,
                Some(has_key::<T>),
                Some(set_key::<T>),
                (&raw const key).cast_mut().cast(),
            )
        };
        let inode = NonNull::new(inode).ok_or(Errno::ENOMEM)?;
        // SAFETY: We own a count on the inode.
        let state = unsafe { bindings::inode_state_read_once(inode.as_ptr()) };
        if state & bindings::inode_state_flags_enum_I_NEW != 0 {
            // INVARIANT: `iget5_locked()` returned it new, with a count.
            Ok(Found::New(NewINode(inode.cast())))
        } else {
            // INVARIANT: `iget5_locked()` waits until inodes of others are complete.
            Ok(Found::Cached(INodeRef(inode.cast())))
        }
    }
}

impl<T: Complete> NewINode<T> {
    /// The inode of a slot.
    ///
    /// # Safety
    ///
    /// As the type's invariants say; the count is taken over.
    pub(super) unsafe fn from_slot(slot: NonNull<Slot<T>>) -> Self {
        // INVARIANT: By the function's contract.
        Self(slot)
    }

    /// Completes the inode.
    pub(super) fn init(self, params: &INodeParams, data: T::INode) -> INodeRef<T> {
        let slot = self.0.as_ptr();
        core::mem::forget(self);
        // SAFETY: By the type invariant the inode is new: nobody else touches it, and it is in the
        // state that the inode cache hands out.
        unsafe {
            (*slot).data.write(data);
            (*slot).ready = true;
            let inode = (*slot).inode.get();
            (*inode).i_ino = params.ino;
            (*inode).i_mode = params.mode;
            (*inode).i_generation = params.generation;
            (*inode).i_blocks = params.sectors;
            bindings::set_nlink(inode, params.nlink);
            bindings::i_uid_write(inode, params.uid);
            bindings::i_gid_write(inode, params.gid);
            bindings::i_size_write(inode, num::i64_of_bits(params.size));
            set_time(inode, params.atime, bindings::inode_set_atime);
            set_time(inode, params.mtime, bindings::inode_set_mtime);
            set_time(inode, params.ctime, bindings::inode_set_ctime);
            (*inode).i_flags |= params.flags.bits();
            match u32::from(params.mode) & bindings::S_IFMT {
                bindings::S_IFDIR => dir::set_operations::<T>(inode),
                bindings::S_IFREG => file::set_operations::<T>(inode),
                bindings::S_IFLNK => link::set_operations::<T>(inode),
                _ => {
                    bindings::init_special_inode(inode, params.mode, params.rdev);
                    link::set_special_operations::<T>(inode);
                }
            }
            T::entered(INode::from_raw(inode));
            bindings::unlock_new_inode(inode);
            // INVARIANT: Complete now; the count is the one `self` had.
            INodeRef(NonNull::new_unchecked(slot).cast())
        }
    }
}

impl<T: FileSystem> Drop for NewINode<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the inode is new and locked; this unlocks and puts it.
        unsafe { bindings::iget_failed(self.0.as_ptr().cast()) };
    }
}

/// Sets one of the times of an inode by `set`.
///
/// # Safety
///
/// `inode` must be valid and ours.
unsafe fn set_time<R>(
    inode: *mut bindings::inode,
    time: (i64, u32),
    set: unsafe extern "C" fn(*mut bindings::inode, bindings::time64_t, isize) -> R,
) {
    let ns = isize::try_from(time.1).unwrap_or(0);
    // SAFETY: By the function's contract.
    unsafe { set(inode, time.0, ns) };
}

/// Whether an inode in the kernel's table has the key at `key`.
///
/// # Safety
///
/// For `iget5_locked()` to call, with an inode of `T` and the address of a key.
pub(super) unsafe extern "C" fn has_key<T: FileSystem>(
    inode: *mut bindings::inode,
    key: *mut c_void,
) -> c_int {
    // SAFETY: By the invariant of `Slot` the key of an inode in the table is initialised, and is
    // only freed after a grace period; we are in one.
    let (have, want) = unsafe {
        (
            (*inode.cast::<Slot<T>>()).key.assume_init(),
            *key.cast::<T::Key>(),
        )
    };
    c_int::from(have == want)
}

/// Sets the key of an inode that is about to enter the table.
///
/// # Safety
///
/// As [`has_key`].
unsafe extern "C" fn set_key<T: FileSystem>(
    inode: *mut bindings::inode,
    key: *mut c_void,
) -> c_int {
    // SAFETY: By the function's contract; nobody else knows the inode yet.
    unsafe { (*inode.cast::<Slot<T>>()).key.write(*key.cast::<T::Key>()) };
    0
}

/// Makes the slab cache for the inodes of `T`.
pub(super) fn create_cache<T: FileSystem>() -> Result<*mut bindings::kmem_cache> {
    // SAFETY: The arguments describe the slots; the constructor fits them.
    let cache = unsafe {
        bindings::bch_rs_inode_cache_create(
            T::NAME.as_char_ptr(),
            num::sat_u32(slot_bytes::<T>()),
            num::sat_u32(align_of::<Slot<T>>()),
            Some(construct),
        )
    };
    if cache.is_null() {
        Err(Errno::ENOMEM)
    } else {
        Ok(cache)
    }
}

/// The constructor of the slab cache.
///
/// # Safety
///
/// For the slab allocator to call.
unsafe extern "C" fn construct(slot: *mut c_void) {
    // SAFETY: The memory of a slot, at the front of which is an inode.
    unsafe { bindings::inode_init_once(slot.cast()) };
}

/// `->alloc_inode`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn alloc_inode<T: FileSystem>(
    sb: *mut bindings::super_block,
) -> *mut bindings::inode {
    // SAFETY: A mounted filesystem's type is registered and has a cache, the superblock is live.
    unsafe {
        let slot: *mut Slot<T> =
            bindings::bch_rs_inode_alloc(T::fs_type().inode_cache(), sb).cast();
        if slot.is_null() {
            return core::ptr::null_mut();
        }
        (*slot).ready = false;
        (&raw mut (*slot).queued).write(Queued::new());
        slot.cast()
    }
}

/// `->free_inode`: after a grace period, in a context that must not sleep.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn free_inode<T: FileSystem>(inode: *mut bindings::inode) {
    let slot: *mut Slot<T> = inode.cast();
    // SAFETY: The VFS is done with the inode, which came from `alloc_inode()`. The cache is still
    // there: its destruction waits for callbacks like this.
    unsafe {
        if (*slot).ready {
            (*slot).data.assume_init_drop();
        }
        bindings::kmem_cache_free(T::fs_type().inode_cache(), slot.cast());
    }
}
