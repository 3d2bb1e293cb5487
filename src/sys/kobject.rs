// SPDX-License-Identifier: GPL-2.0

//! Directories and files in sysfs.
//!
//! A [`Tree`] owns its directories, their files, and what the files show. Dropping it removes the
//! directories first. That waits for everybody who is just reading a file, and whoever still has
//! one open gets `ENODEV` from then on. Only then is the rest freed. The kernel's own objects, to
//! which others may hold references longer, have nothing of this module in them: see `kobject.c`.

use super::{
    block::BlockDevice,
    check,
    check_ptr, //
};
use crate::{
    bindings,
    env::{
        num,
        Arc,
        Vec, //
    },
    error::errno::Errno,
};
use core::{
    ffi::c_void,
    fmt::{
        self,
        Write, //
    },
    ptr::{
        self,
        NonNull, //
    },
    sync::atomic::{
        AtomicPtr,
        Ordering, //
    },
};
use kernel::{
    ffi::c_char,
    page::PAGE_SIZE, //
};

type Result<T = ()> = core::result::Result<T, Errno>;

/// The longest name of a file or a directory, in bytes.
const NAME_MAX: usize = 63;

/// What the files of a tree show.
pub trait Files: Send + Sync + 'static {
    /// Writes the contents of file `id`. What is beyond a page is cut off. May sleep; must not wait
    /// for a lock that is held while the tree is dropped.
    fn show(&self, id: u32, to: &mut dyn fmt::Write) -> fmt::Result;

    /// Takes what was written to file `id`. As [`show`](Self::show), may sleep.
    fn store(&self, id: u32, text: &str) -> Result;
}

/// What can be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everybody can read it.
    Read,
    /// Everybody can read it, the superuser can write it.
    ReadWrite,
    /// The superuser can write it.
    Write,
}

impl Mode {
    const fn bits(self) -> u16 {
        match self {
            Mode::Read => 0o444,
            Mode::ReadWrite => 0o644,
            Mode::Write => 0o200,
        }
    }
}

/// Text in memory of a fixed size. What does not fit is dropped.
struct Text<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = self.buf.get_mut(self.len..).unwrap_or_default();
        let n = room.len().min(s.len());
        for (to, from) in room.iter_mut().zip(s.bytes()) {
            *to = from;
        }
        self.len = self.len.wrapping_add(n);
        Ok(())
    }
}

/// A name, with a NUL at the end.
struct Name([u8; NAME_MAX + 1]);

impl Name {
    fn new(args: fmt::Arguments<'_>) -> Result<Self> {
        let mut name = Self([0; NAME_MAX + 1]);
        let mut text = Text {
            buf: name.0.get_mut(..NAME_MAX).unwrap_or_default(),
            len: 0,
        };
        text.write_fmt(args).map_err(|_| Errno::EINVAL)?;
        // It must not have been cut off.
        if text.len == 0 || text.len == NAME_MAX {
            return Err(Errno::EINVAL);
        }
        Ok(name)
    }

    fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}

/// A directory in `/sys/fs` that trees can be put into, for a `static`.
///
/// # Invariants
///
/// Null, or a directory that exists.
pub struct Root(AtomicPtr<bindings::kobject>);

impl Root {
    /// Not there yet.
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Makes the directory, which is there for as long as the result. Trees in it must not outlast
    /// that; the module is there for as long as something is mounted.
    pub fn register(&'static self, name: &str) -> Result<Registered> {
        let name = Name::new(format_args!("{name}"))?;
        // SAFETY: `name` is a string.
        let dir = unsafe { bindings::bch_rs_dir_add(ptr::null_mut(), name.as_ptr()) };
        // INVARIANT: Just made.
        self.0.store(check_ptr(dir)?, Ordering::Release);
        Ok(Registered(self))
    }
}

impl Default for Root {
    fn default() -> Self {
        Self::new()
    }
}

/// A [`Root`] that exists.
pub struct Registered(&'static Root);

impl Drop for Registered {
    fn drop(&mut self) {
        let dir = self.0 .0.swap(ptr::null_mut(), Ordering::AcqRel);
        if !dir.is_null() {
            // SAFETY: By the invariant of `Root` the directory exists; it is not used any more.
            unsafe { bindings::bch_rs_dir_del(dir) };
        }
    }
}

/// A directory of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dir(usize);

/// Directories and files, there for as long as this.
///
/// # Invariants
///
/// All pointers are to objects that exist and are ours; the files have a pointer to the value of
/// `data`.
pub struct Tree<T: Files> {
    /// Parents before children.
    dirs: Vec<NonNull<bindings::kobject>>,
    files: Vec<NonNull<bindings::bch_rs_file>>,
    links: Vec<(Dir, NonNull<bindings::block_device>)>,
    data: Arc<T>,
}

// SAFETY: The kernel's functions for all of these may be called from any thread, and `T` is `Send`
// and `Sync`.
unsafe impl<T: Files> Send for Tree<T> {}
// SAFETY: Nothing is done through a shared reference.
unsafe impl<T: Files> Sync for Tree<T> {}

impl<T: Files> Tree<T> {
    /// The directory of a tree itself.
    pub const TOP: Dir = Dir(0);

    /// A tree that is an empty directory in `root`, whose files will show `data`. `EEXIST` when
    /// there is something of this name.
    pub fn try_new(root: &'static Root, name: fmt::Arguments<'_>, data: T) -> Result<Self> {
        let mut this = Self {
            dirs: Vec::new(),
            files: Vec::new(),
            links: Vec::new(),
            data: Arc::try_new(data).map_err(|_| Errno::ENOMEM)?,
        };
        let parent = NonNull::new(root.0.load(Ordering::Acquire)).ok_or(Errno::ENOENT)?;
        this.add_dir(parent, name)?;
        Ok(this)
    }

    fn add_dir(
        &mut self,
        parent: NonNull<bindings::kobject>,
        name: fmt::Arguments<'_>,
    ) -> Result<Dir> {
        let name = Name::new(name)?;
        self.dirs.reserve(1).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: The parent exists by the invariants of `Root` and of the type.
        let dir = unsafe { bindings::bch_rs_dir_add(parent.as_ptr(), name.as_ptr()) };
        let dir = NonNull::new(check_ptr(dir)?).ok_or(Errno::ENOMEM)?;
        let nr = self.dirs.len();
        // INVARIANT: Just made. There is room for it.
        self.dirs.push(dir).map_err(|_| Errno::ENOMEM)?;
        Ok(Dir(nr))
    }

    fn get(&self, dir: Dir) -> Result<NonNull<bindings::kobject>> {
        self.dirs.get(dir.0).copied().ok_or(Errno::ENOENT)
    }

    /// Adds a directory.
    pub fn dir(&mut self, parent: Dir, name: fmt::Arguments<'_>) -> Result<Dir> {
        self.add_dir(self.get(parent)?, name)
    }

    /// Adds a file.
    pub fn file(&mut self, dir: Dir, name: &str, mode: Mode, id: u32) -> Result {
        let (dir, name) = (self.get(dir)?, Name::new(format_args!("{name}"))?);
        self.files.reserve(1).map_err(|_| Errno::ENOMEM)?;
        let data: *const T = &*self.data;
        // SAFETY: The directory exists by the type invariant, and both functions fit `data`,
        // which is freed after the directory is gone.
        let file = unsafe {
            bindings::bch_rs_file_add(
                dir.as_ptr(),
                name.as_ptr(),
                mode.bits(),
                Some(show::<T>),
                Some(store::<T>),
                data.cast(),
                id,
            )
        };
        let file = NonNull::new(check_ptr(file)?).ok_or(Errno::ENOMEM)?;
        // INVARIANT: Just made. There is room for it.
        self.files.push(file).map_err(|_| Errno::ENOMEM)
    }

    /// Links a directory and a block device to each other: `block` in the directory, `bcachefs` in
    /// the device's.
    pub fn link_device(&mut self, dir: Dir, dev: &BlockDevice) -> Result {
        let (kobj, bdev) = (self.get(dir)?, dev.as_bdev());
        self.links.reserve(1).map_err(|_| Errno::ENOMEM)?;
        // SAFETY: The directory exists by the type invariant, and `dev` is an open device.
        check(unsafe { bindings::bch_rs_bdev_link(kobj.as_ptr(), bdev.as_ptr()) })?;
        // INVARIANT: Linked just now, which keeps the device's object. There is room for it.
        self.links.push((dir, bdev)).map_err(|_| Errno::ENOMEM)
    }
}

impl<T: Files> Drop for Tree<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant all of these exist. After the directories are gone, nobody
        // uses the files, nor the data.
        unsafe {
            for (dir, bdev) in &self.links {
                if let Ok(dir) = self.get(*dir) {
                    bindings::bch_rs_bdev_unlink(dir.as_ptr(), bdev.as_ptr());
                }
            }
            for dir in self.dirs.iter().rev() {
                bindings::bch_rs_dir_del(dir.as_ptr());
            }
            for file in &self.files {
                bindings::bch_rs_file_free(file.as_ptr());
            }
        }
    }
}

/// Fills a page with what a file shows.
///
/// # Safety
///
/// `data` must point to a `T` and `buf` to a page, as they do for sysfs.
unsafe extern "C" fn show<T: Files>(data: *const c_void, id: u32, buf: *mut c_char) -> isize {
    // SAFETY: By the function's contract. The page is ours during the call.
    let (data, buf) = unsafe {
        (
            &*data.cast::<T>(),
            core::slice::from_raw_parts_mut(buf.cast::<u8>(), PAGE_SIZE),
        )
    };
    let mut text = Text { buf, len: 0 };
    match data.show(id, &mut text) {
        // The length of a whole page would say that the file was not shown right.
        Ok(()) => num::isize_of_bits(text.len.min(PAGE_SIZE.wrapping_sub(1))),
        Err(fmt::Error) => isize::try_from(Errno::EIO.0).map_or(-1, isize::wrapping_neg),
    }
}

/// Calls [`Files::store`].
///
/// # Safety
///
/// `data` must be a `T`, and `buf` a string of `count` bytes that nobody changes during the call.
unsafe extern "C" fn store<T: Files>(
    data: *const c_void,
    id: u32,
    buf: *const c_char,
    count: usize,
) -> isize {
    // SAFETY: By the function's contract.
    let (data, text) = unsafe {
        (
            &*data.cast::<T>(),
            core::slice::from_raw_parts(buf.cast::<u8>(), count),
        )
    };
    let stored = core::str::from_utf8(text).map_err(|_| Errno::EINVAL);
    match stored.and_then(|text| data.store(id, text)) {
        Ok(()) => num::isize_of_bits(count),
        Err(e) => super::failed(e),
    }
}
