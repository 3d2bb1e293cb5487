// SPDX-License-Identifier: GPL-2.0

//! Directories: lookup and readdir.

use super::{
    attr,
    change,
    inode::INode,
    ioctl,
    names,
    xattr,
    Complete,
    Directory, //
};
use crate::{
    bindings,
    env::{
        num,
        Box, //
    },
    error::errno::Errno,
    sys::{
        err_ptr,
        returned, //
    },
};
use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    marker::PhantomData,
    slice, //
};

/// Where the entries of a directory go.
///
/// # Invariants
///
/// The context of a readdir(3) call that lasts as long as `'a`.
pub struct DirEmitter<'a> {
    ctx: *mut bindings::dir_context,
    /// For callers that have 31 bits for positions.
    narrow: Option<Narrow<'a>>,
    call: PhantomData<&'a mut ()>,
}

/// Translates positions.
struct Narrow<'a> {
    /// The position that is gone on from.
    pos: u64,
    /// The short form of a position.
    short: &'a dyn Fn(u64) -> u32,
    resume: &'a mut Resume,
    /// An entry was refused.
    full: bool,
}

/// Where an open directory is read on, if the caller goes on where it was: short positions are not
/// exact.
#[derive(Default)]
struct Resume {
    /// The short position of the entry emitted last, and the position behind it.
    after: Option<(u32, u64)>,
}

impl DirEmitter<'_> {
    /// The short form of the position behind all entries.
    pub const NARROW_END: u32 = 0x7fff_ffff;

    /// The first position that is wanted, at least 2.
    pub fn pos(&self) -> u64 {
        match &self.narrow {
            Some(narrow) => narrow.pos,
            // SAFETY: By the type invariant.
            None => num::u64_of_bits(unsafe { (*self.ctx).pos }),
        }
    }

    /// Emits an entry with position `pos`. Returns `false` if there is no room for it: it comes
    /// first the next time. `kind` is a `DT_*` number.
    pub fn emit(&mut self, pos: u64, name: &[u8], ino: u64, kind: u8) -> bool {
        let Ok(len) = c_int::try_from(name.len()) else {
            return true;
        };
        let short = self.narrow.as_ref().map(|narrow| (narrow.short)(pos));
        let (shown, ino) = match short {
            // 0 would be no entry at all.
            Some(short) => (short.into(), u64::from(num::low_u32(ino).max(1))),
            None => (pos, ino),
        };
        // SAFETY: By the type invariant; the name is readable for its length.
        let taken = unsafe {
            (*self.ctx).pos = num::i64_of_bits(shown);
            bindings::dir_emit(self.ctx, name.as_ptr(), len, ino, c_uint::from(kind))
        };
        let next = pos.saturating_add(1);
        match (&mut self.narrow, short) {
            (Some(narrow), _) if !taken => narrow.full = true,
            (Some(narrow), Some(short)) => {
                narrow.pos = next;
                narrow.resume.after = Some((short, next));
            }
            // What follows may not be readable, and the entry must not come again then.
            // SAFETY: By the type invariant.
            _ if taken => unsafe { (*self.ctx).pos = num::i64_of_bits(next) },
            _ => (),
        }
        taken
    }

    /// Makes `pos` the position to go on from: after the last entry emitted, or at the end.
    pub fn advance(&mut self, pos: u64) {
        let shown = match &mut self.narrow {
            Some(narrow) if narrow.full => {
                narrow.pos = pos;
                (narrow.short)(pos).into()
            }
            Some(_) => u64::from(Self::NARROW_END),
            None => pos,
        };
        // SAFETY: By the type invariant.
        unsafe { (*self.ctx).pos = num::i64_of_bits(shown) };
    }
}

/// The operation tables of directories.
struct Tables<T>(PhantomData<T>);

impl<T: Complete> Tables<T> {
    const INODE: bindings::inode_operations = bindings::inode_operations {
        lookup: Some(lookup::<T>),
        create: Some(names::create::<T>),
        link: Some(names::link::<T>),
        unlink: Some(names::unlink::<T>),
        symlink: Some(names::symlink::<T>),
        mkdir: Some(names::mkdir::<T>),
        rmdir: Some(names::unlink::<T>),
        mknod: Some(names::mknod::<T>),
        rename: Some(names::rename::<T>),
        tmpfile: Some(names::tmpfile::<T>),
        setattr: Some(change::setattr::<T>),
        set_acl: Some(change::set_acl::<T>),
        fileattr_set: Some(change::fileattr_set::<T>),
        getattr: Some(attr::getattr::<T>),
        listxattr: Some(xattr::listxattr::<T>),
        get_inode_acl: Some(super::acl::get_inode_acl::<T>),
        fileattr_get: Some(attr::fileattr_get::<T>),
        ..pin_init::zeroed()
    };

    const FILE: bindings::file_operations = bindings::file_operations {
        open: Some(open),
        release: Some(release),
        llseek: Some(llseek),
        read: Some(bindings::generic_read_dir),
        unlocked_ioctl: Some(ioctl::ioctl::<T>),
        #[cfg(CONFIG_COMPAT)]
        compat_ioctl: Some(ioctl::compat_ioctl::<T>),
        iterate_shared: Some(iterate::<T>),
        fsync: Some(names::fsync::<T>),
        setlease: Some(bindings::generic_setlease),
        ..pin_init::zeroed()
    };
}

/// Makes `inode` a directory.
///
/// # Safety
///
/// `inode` must be a new inode of `T`.
pub(super) unsafe fn set_operations<T: Complete>(inode: *mut bindings::inode) {
    // SAFETY: By the function's contract.
    unsafe {
        (*inode).i_op = &Tables::<T>::INODE;
        (*inode).__bindgen_anon_3.i_fop = &Tables::<T>::FILE;
    }
}

/// `->lookup`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn lookup<T: Directory>(
    dir: *mut bindings::inode,
    dentry: *mut bindings::dentry,
    _flags: c_uint,
) -> *mut bindings::dentry {
    // SAFETY: `dir` is a directory of ours. The name does not change while the directory is
    // locked, which it is. `d_splice_alias()` takes over the inode's count, and takes a null inode
    // or an errno just as well.
    unsafe {
        let mut len = 0;
        let name = bindings::bch_rs_dentry_name(dentry, &mut len);
        let inode = match T::lookup(INode::from_raw(dir), slice::from_raw_parts(name, len)) {
            Ok(Some(inode)) => inode.into_raw(),
            // A name that does not exist is not remembered where others can stand for it: creating
            // one of those would leave it behind.
            Ok(None) if (*dir).i_flags & bindings::S_CASEFOLD != 0 => return core::ptr::null_mut(),
            Ok(None) => core::ptr::null_mut(),
            Err(e) => err_ptr(e),
        };
        bindings::d_splice_alias(inode, dentry)
    }
}

/// `->open`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn open(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    match Box::try_new(Resume::default()) {
        // SAFETY: The VFS passes a file that is being opened.
        Ok(resume) => unsafe { (*file).private_data = resume.into_raw().cast() },
        Err(_) => return Errno::ENOMEM.0.wrapping_neg(),
    }
    0
}

/// `->release`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn release(_inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
    // SAFETY: From `open()`, and not used any more.
    unsafe { drop(Box::<Resume>::from_raw((*file).private_data.cast())) };
    0
}

/// `->llseek`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn llseek(
    file: *mut bindings::file,
    offset: bindings::loff_t,
    whence: c_int,
) -> bindings::loff_t {
    // SAFETY: An open directory of ours, whose `private_data` is from `open()`; the VFS holds the
    // lock of its position.
    unsafe {
        (*(*file).private_data.cast::<Resume>()).after = None;
        let end = match bindings::bch_rs_dir_is_narrow(file) {
            true => i64::from(DirEmitter::NARROW_END),
            false => i64::MAX,
        };
        bindings::generic_file_llseek_size(file, offset, whence, end, end)
    }
}

/// `->iterate_shared`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn iterate<T: Directory>(
    file: *mut bindings::file,
    ctx: *mut bindings::dir_context,
) -> c_int {
    // SAFETY: `file` is an open directory of ours, whose `private_data` is from `open()`; the VFS
    // holds the lock of its position.
    let (dir, above, resume, is_narrow) = unsafe {
        (
            INode::<T>::from_raw(bindings::file_inode(file)),
            bindings::d_parent_ino((*file).__bindgen_anon_1.f_path.dentry),
            &mut *(*file).private_data.cast::<Resume>(),
            bindings::bch_rs_dir_is_narrow(file),
        )
    };
    // SAFETY: The VFS passes a context.
    let pos = num::u64_of_bits(unsafe { (*ctx).pos });
    let short = |pos| T::narrow(dir, pos);
    let narrow = is_narrow.then(|| {
        let cookie = u32::try_from(pos).unwrap_or(DirEmitter::NARROW_END);
        let after = resume.after.filter(|&(last, _)| last == cookie);
        Narrow {
            pos: after.map_or_else(|| T::widen(dir, cookie), |(_, next)| next),
            short: &short,
            resume,
            full: false,
        }
    });
    // INVARIANT: The VFS passed the context for this call.
    let mut to = DirEmitter {
        ctx,
        narrow,
        call: PhantomData,
    };
    for (at, name, ino) in [(0, &b"."[..], dir.ino()), (1, b"..", num::u64_of(above))] {
        if to.pos() == at {
            if !to.emit(at, name, ino, DT_DIR) {
                return 0;
            }
        }
    }
    returned(T::readdir(dir, &mut to))
}

/// C: the constant of that name.
const DT_DIR: u8 = 4;
