// SPDX-License-Identifier: GPL-2.0

//! ioctl(2) on open files and directories, beyond what the VFS answers itself.

use super::{
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
    /// The filesystem's label: up to 255 bytes.
    fn label(data: &Self::Data) -> &[u8];

    /// Why a change that everybody may ask for is not made.
    fn refuse_change(data: &Self::Data) -> Errno;

    /// A command of the filesystem's own, with its argument. Returns what ioctl(2) returns.
    fn control(inode: &INode<Self>, cmd: u32, arg: usize) -> Result<u32>;
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
    let inode = unsafe { INode::<T>::from_raw((*file).f_inode) };
    match control(inode, cmd, arg) {
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

fn control<T: Controls>(inode: &INode<T>, cmd: u32, arg: usize) -> Result<u32> {
    match cmd {
        // An int, whatever the command's name says.
        GETVERSION => caller::write(arg, &inode.generation().to_ne_bytes())?,
        GETFSLABEL => {
            let label = T::label(inode.sb().data());
            let mut padded = [0; LABEL_BYTES];
            let room = padded.iter_mut().take(LABEL_BYTES.wrapping_sub(1));
            for (to, from) in room.zip(label) {
                *to = *from;
            }
            caller::write(arg, &padded)?;
        }
        SETFSLABEL if caller::is_admin() => return Err(T::refuse_change(inode.sb().data())),
        SETFSLABEL => return Err(Errno::EPERM),
        _ => return T::control(inode, cmd, arg),
    }
    Ok(0)
}
