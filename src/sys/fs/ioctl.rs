// SPDX-License-Identifier: GPL-2.0

//! ioctl(2) on open files and directories, beyond what the VFS answers itself.

use super::{
    hold::WriteAccess,
    inode::INode,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::num,
    error::errno::Errno,
    sys::{
        caller,
        failed, //
    },
};
use core::ffi::c_uint;
use kernel::ioctl::{
    _IOR,
    _IOW, //
};

/// Bytes in a label, its final NUL included. C: `FSLABEL_MAX`.
const LABEL_BYTES: usize = 256;

const GETVERSION: u32 = _IOR::<isize>(0x76, 1);
#[cfg(CONFIG_COMPAT)]
const GETVERSION_32: u32 = _IOR::<i32>(0x76, 1);
const GETFSLABEL: u32 = _IOR::<[u8; LABEL_BYTES]>(0x94, 49);
const SETFSLABEL: u32 = _IOW::<[u8; LABEL_BYTES]>(0x94, 50);

/// What ioctl(2) asks a filesystem for.
pub trait Controls: FileSystem {
    /// Puts the filesystem's label to the front of `to`, which is full of zeros.
    fn label(data: &Self::Data, to: &mut [u8]);

    /// Sets the label.
    fn set_label(data: &Self::Data, label: &[u8]) -> Result;

    /// Whether a command changes what is in the filesystem, by way of the file it is made on.
    fn is_change(cmd: u32) -> bool;

    /// A command of the filesystem's own, with its argument. `may_search` says whether whoever
    /// made it may search a directory. Returns what ioctl(2) returns.
    fn control(
        inode: &INode<Self>,
        cmd: u32,
        arg: usize,
        may_search: &dyn Fn(&INode<Self>) -> bool,
    ) -> Result<u32>;
}

/// `->unlocked_ioctl`.
///
/// # Safety
///
/// For the VFS to call.
pub(super) unsafe extern "C" fn ioctl<T: Controls>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: usize,
) -> isize {
    // SAFETY: An open file of ours.
    match unsafe { control::<T>(file, cmd, arg) } {
        Ok(value) => num::isize_of_bits(num::usize_of_u32(value)),
        Err(e) => failed(e),
    }
}

/// `->compat_ioctl`: for 32-bit programs.
///
/// # Safety
///
/// For the VFS to call.
#[cfg(CONFIG_COMPAT)]
pub(super) unsafe extern "C" fn compat_ioctl<T: Controls>(
    file: *mut bindings::file,
    cmd: c_uint,
    arg: usize,
) -> isize {
    // The commands that mean the same to both. Pointers have 32 bits.
    let cmd = match cmd {
        GETVERSION_32 => GETVERSION,
        GETFSLABEL | SETFSLABEL => cmd,
        _ => return failed(Errno::ENOTTY),
    };
    // SAFETY: The arguments are passed on.
    unsafe { ioctl::<T>(file, cmd, arg & 0xffff_ffff) }
}

/// # Safety
///
/// `file` must be an open file of `T`.
unsafe fn control<T: Controls>(file: *mut bindings::file, cmd: u32, arg: usize) -> Result<u32> {
    if cmd == SETFSLABEL && !caller::is_admin() {
        return Err(Errno::EPERM);
    }
    // SAFETY: By the function's contract.
    let (inode, _access) = unsafe {
        let access = match cmd == SETFSLABEL || T::is_change(cmd) {
            true => Some(WriteAccess::take(file)?),
            false => None,
        };
        (INode::<T>::from_raw((*file).f_inode), access)
    };
    match cmd {
        // An int, whatever the command's name says.
        GETVERSION => caller::write(arg, &inode.generation().to_ne_bytes())?,
        GETFSLABEL => {
            let mut padded = [0; LABEL_BYTES];
            let room = padded.get_mut(..LABEL_BYTES.wrapping_sub(1));
            T::label(inode.sb().data(), room.unwrap_or_default());
            caller::write(arg, &padded)?;
        }
        SETFSLABEL => {
            let mut given = [0; LABEL_BYTES];
            caller::read(arg, &mut given)?;
            let label = given.split(|b| *b == 0).next().unwrap_or_default();
            T::set_label(inode.sb().data(), label)?;
        }
        _ => {
            return T::control(inode, cmd, arg, &|dir| {
                // SAFETY: By the function's contract; the inode is valid by its type's invariant.
                unsafe { bindings::bch_rs_may_search(file.cast(), dir.as_ptr()) }
            });
        }
    }
    Ok(0)
}
