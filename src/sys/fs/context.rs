// SPDX-License-Identifier: GPL-2.0

//! Mount requests: from fsopen(2) or mount(2) to a superblock.

use super::{
    sb::{
        self,
        Mounted, //
    },
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::{
        num,
        sort,
        Box,
        Vec, //
    },
    error::errno::Errno,
    sys::{
        block::DevNr,
        check_ptr,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        CStr, //
    },
    fmt::{
        self,
        Write, //
    },
    marker::PhantomData, //
};
use kernel::str::CStrExt as _;

/// Where messages about a mount request go: to the caller's `fscontext` file descriptor, or to the
/// kernel log if it has none.
pub struct MountLog<'a> {
    fc: *mut bindings::fs_context,
    request: PhantomData<&'a bindings::fs_context>,
}

impl MountLog<'_> {
    /// Says why the request fails.
    pub fn error(&self, args: fmt::Arguments<'_>) {
        self.line(b'e', args);
    }

    /// Says what is odd about the request.
    pub fn warn(&self, args: fmt::Arguments<'_>) {
        self.line(b'w', args);
    }

    fn line(&self, level: u8, args: fmt::Arguments<'_>) {
        let mut line = Line::default();
        // Fails when there is no room: the message is cut short then.
        let _ = line.write_fmt(args);
        // SAFETY: The context is valid, the text ends with a NUL: the last byte is never written.
        unsafe { bindings::bch_rs_fc_log(self.fc, level, line.text.as_ptr()) };
    }
}

/// A message being put together.
struct Line {
    text: [u8; 256],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            text: [0; 256],
            len: 0,
        }
    }
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for b in s.bytes() {
            match self.text.get_mut(self.len) {
                Some(to) if self.len < 255 => *to = b,
                _ => return Err(fmt::Error),
            }
            self.len = self.len.wrapping_add(1);
        }
        Ok(())
    }
}

/// A mount request.
///
/// # Invariants
///
/// A context made by [`init_fs_context`] for `T`, whose `fs_private` are the options.
pub(super) struct Request<'a, T: FileSystem> {
    fc: *mut bindings::fs_context,
    options: PhantomData<&'a T::Options>,
}

impl<T: FileSystem> Request<'_, T> {
    /// Where messages go.
    pub(super) fn log(&self) -> MountLog<'_> {
        MountLog {
            fc: self.fc,
            request: PhantomData,
        }
    }

    /// The options given.
    pub(super) fn options(&self) -> &T::Options {
        // SAFETY: By the type invariant.
        unsafe { &*(*self.fc).fs_private.cast() }
    }

    /// Whether a read-only mount is asked for.
    pub(super) fn read_only(&self) -> bool {
        // SAFETY: The context is valid.
        unsafe { num::usize_of_u32((*self.fc).sb_flags) & bindings::SB_RDONLY != 0 }
    }

    /// What is to be mounted, as given: paths with colons between them.
    fn source(&self) -> &CStr {
        // SAFETY: The source is null or a string, and does not change while we mount.
        unsafe {
            match (*self.fc).source {
                source if source.is_null() => c"",
                source => CStr::from_char_ptr(source),
            }
        }
    }

    /// The path that was given for `dev`.
    pub(super) fn path_of(&self, dev: DevNr) -> &str {
        let source = self.source();
        let is_it = |path: &&[u8]| self.find(path).is_ok_and(|d| d == dev);
        let path = match DevNr::lookup(source) {
            Ok(_) => source.to_bytes(),
            Err(_) => paths(source).find(is_it).unwrap_or_default(),
        };
        core::str::from_utf8(path).unwrap_or("a device")
    }

    /// The devices to mount, sorted.
    fn devices(&self) -> Result<Vec<DevNr>> {
        let source = self.source();
        if source.is_empty() {
            self.log()
                .error(format_args!("no device to mount was given"));
            return Err(Errno::EINVAL);
        }
        let mut devs = Vec::new();
        // A path with a colon in it may be one device.
        if let Ok(dev) = DevNr::lookup(source) {
            devs.push(dev).map_err(|_| Errno::ENOMEM)?;
            return Ok(devs);
        }
        for path in paths(source) {
            let dev = self.find(path).inspect_err(|e| self.explain(path, *e))?;
            if !devs.contains(&dev) {
                devs.push(dev).map_err(|_| Errno::ENOMEM)?;
            }
        }
        sort::sort_by(&mut devs, |a, b| a.cmp(b));
        Ok(devs)
    }

    fn find(&self, path: &[u8]) -> Result<DevNr> {
        let mut text = Vec::with_capacity(path.len().wrapping_add(1)).map_err(|_| Errno::ENOMEM)?;
        text.extend_from_slice(path).map_err(|_| Errno::ENOMEM)?;
        text.push(0).map_err(|_| Errno::ENOMEM)?;
        DevNr::lookup(CStr::from_bytes_with_nul(&text).map_err(|_| Errno::EINVAL)?)
    }

    /// Says what is wrong with a path.
    fn explain(&self, path: &[u8], e: Errno) {
        let path = core::str::from_utf8(path).unwrap_or("?");
        let log = self.log();
        match e {
            Errno::ENOENT => log.error(format_args!("{path} does not exist")),
            Errno::ENOTBLK => log.error(format_args!("{path} is not a block device")),
            e => log.error(format_args!("{path}: can not look it up: errno {}", e.0)),
        }
    }
}

/// The single paths of a source.
fn paths(source: &CStr) -> impl Iterator<Item = &[u8]> {
    source.to_bytes().split(|&b| b == b':')
}

/// The table of operations on mount requests.
struct Tables<T>(PhantomData<T>);

impl<T: Complete> Tables<T> {
    const OPS: bindings::fs_context_operations = bindings::fs_context_operations {
        free: Some(free::<T>),
        dup: None,
        parse_param: Some(parse_param::<T>),
        parse_monolithic: None,
        get_tree: Some(get_tree::<T>),
        reconfigure: Some(reconfigure::<T>),
    };
}

/// The request of a C pointer.
///
/// # Safety
///
/// `fc` must be a context made by [`init_fs_context`] for `T`, for `'a`.
unsafe fn request<'a, T: FileSystem, C>(fc: *mut C) -> Request<'a, T> {
    // INVARIANT: By the function's contract.
    Request {
        fc: fc.cast(),
        options: PhantomData,
    }
}

/// `->init_fs_context`.
///
/// # Safety
///
/// For the VFS to call, with a new context for a filesystem of type `T`.
pub(super) unsafe extern "C" fn init_fs_context<T: Complete>(
    fc: *mut kernel::bindings::fs_context,
) -> c_int {
    let Ok(options) = Box::try_new(T::Options::default()) else {
        return returned(Err(Errno::ENOMEM));
    };
    let fc: *mut bindings::fs_context = fc.cast();
    // SAFETY: The context is new and ours.
    unsafe {
        (*fc).ops = &Tables::<T>::OPS;
        (*fc).fs_private = options.into_raw().cast();
    }
    0
}

/// `->free`.
///
/// # Safety
///
/// For the VFS to call, once.
unsafe extern "C" fn free<T: FileSystem>(fc: *mut bindings::fs_context) {
    // SAFETY: Called for contexts that were initialised, at the end of their life.
    unsafe {
        let options = (*fc).fs_private;
        if !options.is_null() {
            drop(Box::<T::Options>::from_raw(options.cast()));
        }
        (*fc).fs_private = core::ptr::null_mut();
    }
}

/// "There is no parameter of that name", which the VFS turns into a message. C: `ENOPARAM`.
const NO_PARAM: Errno = Errno(519);

/// `->parse_param`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn parse_param<T: FileSystem>(
    fc: *mut bindings::fs_context,
    param: *mut bindings::fs_parameter,
) -> c_int {
    // SAFETY: The context is one of ours, not used by anyone else during the call.
    returned(unsafe { take_param::<T>(fc, param) })
}

/// Takes one mount option.
///
/// # Safety
///
/// As [`parse_param`].
unsafe fn take_param<T: FileSystem>(
    fc: *mut bindings::fs_context,
    param: *mut bindings::fs_parameter,
) -> Result {
    let mut value: *const kernel::ffi::c_char = core::ptr::null();
    // SAFETY: The VFS passes a parameter with a key, which lives during the call.
    let (key, options) = unsafe {
        crate::sys::check(bindings::bch_rs_param_text(param, &mut value))?;
        (
            CStr::from_char_ptr((*param).key),
            &mut *(*fc).fs_private.cast::<T::Options>(),
        )
    };
    if key == c"source" {
        // The VFS keeps the first one. Each member device may come as a parameter of its own.
        // SAFETY: The context and the parameter are valid.
        return match unsafe { bindings::bch_rs_add_source(fc, value) } {
            0 => Ok(()),
            1 => Err(NO_PARAM),
            e => crate::sys::check(e),
        };
    }
    let key = key.to_str().map_err(|_| Errno::EINVAL)?;
    let value = if value.is_null() {
        None
    } else {
        // SAFETY: Such a parameter is a string, which lives during the call.
        let value = unsafe { CStr::from_char_ptr(value) };
        Some(value.to_str().map_err(|_| Errno::EINVAL)?)
    };
    let log = MountLog {
        fc,
        request: PhantomData,
    };
    if T::parse_option(options, key, value, &log)? {
        Ok(())
    } else {
        Err(NO_PARAM)
    }
}

/// `->get_tree`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_tree<T: Complete>(fc: *mut bindings::fs_context) -> c_int {
    // SAFETY: The context is one of ours.
    returned(unsafe { mount::<T>(fc) })
}

/// Finds or makes the superblock, and sets the context's root.
///
/// # Safety
///
/// `fc` must be a context of ours.
unsafe fn mount<T: Complete>(fc: *mut bindings::fs_context) -> Result {
    // SAFETY: By the function's contract.
    let request: Request<'_, T> = unsafe {
        let request: Request<'_, T> = request(fc);
        if T::forces_read_only(request.options()) {
            (*fc).sb_flags |= num::sat_u32(bindings::SB_RDONLY);
        }
        request
    };
    let proposed = Mounted::<T>::try_new(request.devices()?)?;
    // SAFETY: The context is ours during the call. `sget_fc()` moves `s_fs_info` to a superblock
    // that it makes, and leaves it where it is otherwise.
    let sb = unsafe {
        (*fc).s_fs_info = proposed.into_raw().cast();
        let sb = bindings::sget_fc(
            fc.cast(),
            Some(has_devices::<T>),
            Some(bindings::set_anon_super_fc),
        );
        let left = (*fc).s_fs_info;
        if !left.is_null() {
            drop(Box::<Mounted<T>>::from_raw(left.cast()));
            (*fc).s_fs_info = core::ptr::null_mut();
        }
        check_ptr(sb)?
    };
    // SAFETY: The superblock is locked and has a reference that we own.
    unsafe {
        let result = if (*sb).s_root.is_null() {
            sb::fill(sb, &request)
        } else {
            share(sb, &request)
        };
        if let Err(e) = result {
            bindings::deactivate_locked_super(sb);
            return Err(e);
        }
        (*fc).root = bindings::dget((*sb).s_root);
    }
    Ok(())
}

/// A second mount of a superblock.
///
/// # Safety
///
/// `sb` must be a complete superblock of `T`.
unsafe fn share<T: Complete>(sb: *mut bindings::super_block, request: &Request<'_, T>) -> Result {
    // SAFETY: The superblock is complete.
    let (is_ro, data) = unsafe {
        (
            (*sb).s_flags & bindings::SB_RDONLY != 0,
            sb::SuperBlock::<T>::from_raw(sb).data(),
        )
    };
    if is_ro == request.read_only() {
        return Ok(());
    }
    T::share(data, request.read_only(), &request.log())
}

/// Whether a superblock has all devices of a request.
///
/// # Safety
///
/// For `sget_fc()` to call, with superblocks and contexts of `T`.
unsafe extern "C" fn has_devices<T: FileSystem>(
    sb: *mut bindings::super_block,
    fc: *mut kernel::bindings::fs_context,
) -> c_int {
    let fc: *mut bindings::fs_context = fc.cast();
    // SAFETY: A superblock of ours has such a structure from before it is in the list until after
    // it is out of it; the devices never change. `mount()` has set the context's.
    let (have, want) = unsafe {
        (
            &*(*sb).s_fs_info.cast::<Mounted<T>>(),
            &*(*fc).s_fs_info.cast::<Mounted<T>>(),
        )
    };
    c_int::from(have.covers(want))
}

/// `->reconfigure`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn reconfigure<T: FileSystem>(fc: *mut bindings::fs_context) -> c_int {
    // SAFETY: The context is one of ours, and has the root of a mounted filesystem of `T`.
    returned(unsafe {
        let request: Request<'_, T> = request(fc);
        let sb = (*(*fc).root).d_sb;
        let read_only = if num::usize_of_u32((*fc).sb_flags_mask) & bindings::SB_RDONLY != 0 {
            request.read_only()
        } else {
            (*sb).s_flags & bindings::SB_RDONLY != 0
        };
        T::reconfigure(
            sb::SuperBlock::<T>::from_raw(sb).data(),
            request.options(),
            read_only,
            &request.log(),
        )
    })
}
