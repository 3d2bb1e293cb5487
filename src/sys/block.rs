// SPDX-License-Identifier: GPL-2.0

//! Block devices, claimed for a mounted filesystem: opening, their properties, reading.
//! `block/write.rs` has all that changes what is on them, `block/flight.rs` writes that nobody
//! waits for.

mod flight;
mod write;

pub use flight::{
    plugged,
    Cargo,
    Flight,
    Landing,
    FLIGHT_MAX, //
};
pub use write::Durability;

use super::{
    check_ptr,
    sync::Once, //
};
use crate::{
    bindings,
    env::{
        num,
        Vec, //
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
    pr_err,
};
use core::{
    ffi::CStr,
    fmt,
    ptr::NonNull, //
};
use kernel::str::CStrExt as _;

/// Bytes in a sector, the unit of positions on a device.
const SECTOR_BYTES: usize = 512;
/// The longest name of a device, with its final NUL.
const NAME_BYTES: usize = 32;

/// The number of a block device (C: `dev_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DevNr(u32);

impl fmt::Display for DevNr {
    /// As major:minor.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0 >> 20, self.0 & 0xf_ffff)
    }
}

impl DevNr {
    /// The number as programs pass it: of 64 bits, as in `struct stat`. `None` for zero.
    ///
    /// C: `huge_decode_dev()`.
    pub fn from_user(nr: u64) -> Option<Self> {
        let nr = num::low_u32(nr);
        let major = (nr & 0xf_ff00) >> 8;
        let minor = (nr & 0xff) | ((nr >> 12) & 0xf_ff00);
        match (major << 20) | minor {
            0 => None,
            nr => Some(Self(nr)),
        }
    }

    /// The device that the path `path` names, as seen by the calling process.
    pub fn lookup(path: &CStr) -> Result<Self, Errno> {
        let mut dev = 0;
        // SAFETY: `path` is a string, `dev` a place for a number.
        super::check(unsafe { bindings::lookup_bdev(path.as_char_ptr(), &mut dev) })?;
        Ok(Self(dev))
    }
}

/// A block device that is open and claimed for a superblock. The kernel tells that superblock when
/// the device is frozen, synced or removed.
///
/// # Invariants
///
/// `file` is what `fs_bdev_file_open_by_dev()` returned for `sb`, and `bdev` is its device. So is
/// what `writer` is set to, open for writing. The superblock outlives the value: [`super::fs`]
/// drops a mount's data before it.
pub struct BlockDevice {
    file: NonNull<bindings::file>,
    bdev: NonNull<bindings::block_device>,
    sb: NonNull<bindings::super_block>,
    number: DevNr,
    /// Opened for writing from the start.
    writable: bool,
    /// Opened for writing later.
    writer: Once<Writer>,
    name: [u8; NAME_BYTES],
    name_len: usize,
}

/// A device that is open once more.
struct Writer(NonNull<bindings::file>);

// SAFETY: An open block device may be used and closed from any thread.
unsafe impl Send for BlockDevice {}
// SAFETY: Transfers may run at the same time, the block layer orders what has to be.
unsafe impl Sync for BlockDevice {}

impl BlockDevice {
    /// Opens and claims a device; `writable` says whether it will be written to.
    ///
    /// # Safety
    ///
    /// `sb` must be a superblock that outlives the result.
    pub(super) unsafe fn open(
        dev: DevNr,
        writable: bool,
        sb: NonNull<bindings::super_block>,
    ) -> Result<Self, Errno> {
        // SAFETY: `sb` is a superblock by the function's contract.
        let file = unsafe { bindings::bch_rs_bdev_open(dev.0, writable, sb.as_ptr()) };
        let file = NonNull::new(check_ptr(file)?).ok_or(Errno::ENXIO)?;
        // SAFETY: `file` is an open block device, and such files always have a device.
        let bdev = unsafe { NonNull::new_unchecked(bindings::file_bdev(file.as_ptr())) };
        let mut name = [0; NAME_BYTES];
        // SAFETY: `name` is a buffer of that many bytes.
        let name_len =
            unsafe { bindings::bch_rs_bdev_name(bdev.as_ptr(), name.as_mut_ptr(), name.len()) };
        // INVARIANT: Just opened for `sb`.
        Ok(Self {
            file,
            bdev,
            sb,
            number: dev,
            writable,
            writer: Once::new(None),
            name,
            name_len,
        })
    }

    /// The kernel's name of the device, as in `/proc/partitions`.
    pub fn name(&self) -> &str {
        let name = self.name.get(..self.name_len).unwrap_or_default();
        core::str::from_utf8(name).unwrap_or("?")
    }

    /// Its number.
    pub fn number(&self) -> DevNr {
        self.number
    }

    /// The C object.
    pub(super) fn as_bdev(&self) -> NonNull<bindings::block_device> {
        self.bdev
    }

    /// Size in sectors of 512 bytes.
    pub fn nr_sectors(&self) -> u64 {
        // SAFETY: The device is open by the type invariant.
        unsafe { bindings::bdev_nr_sectors(self.bdev.as_ptr()) }
    }

    /// The smallest unit the device transfers, in bytes.
    pub fn logical_block_bytes(&self) -> u32 {
        // SAFETY: The device is open by the type invariant.
        unsafe { bindings::bdev_logical_block_size(self.bdev.as_ptr()) }
    }

    /// What must be zero in the address and the length of memory that the device is to transfer to.
    pub fn memory_mask(&self) -> u32 {
        // SAFETY: The device is open by the type invariant.
        let dma = unsafe { bindings::bdev_dma_alignment(self.bdev.as_ptr()) };
        dma | self.logical_block_bytes().wrapping_sub(1)
    }

    /// Reads `buf` full from `sector` on and waits for it. The length has to be a multiple of 512;
    /// neither it nor the sector needs to be one of the device's blocks.
    pub fn read(&self, sector: u64, buf: &mut [u8]) -> Result {
        let nr = num::u64_of(buf.len() / SECTOR_BYTES);
        if buf.len() % SECTOR_BYTES != 0 {
            return Err(Error::Overflow);
        }
        match sector.checked_add(nr) {
            Some(end) if end <= self.nr_sectors() => {}
            _ => return Err(Error::DeviceReadPastEnd),
        }
        if buf.is_empty() {
            return Ok(());
        }
        let block = num::usize_of_u32(self.logical_block_bytes()) / SECTOR_BYTES;
        let mask = num::u64_of(block.wrapping_sub(1));
        // SAFETY: The device is open; only the address is looked at.
        let reached =
            unsafe { bindings::bch_rs_bdev_reaches(self.bdev.as_ptr(), buf.as_ptr().cast()) };
        if reached && (sector | nr) & mask == 0 {
            return self.transfer(sector, buf);
        }
        let (start, end) = (
            sector & !mask,
            sector.wrapping_add(nr).wrapping_add(mask) & !mask,
        );
        let len = num::usize_of(end.wrapping_sub(start)).wrapping_mul(SECTOR_BYTES);
        let mut bounce = Vec::from_elem(0u8, len)?;
        self.transfer(start, &mut bounce)?;
        let skip = num::usize_of(sector & mask).wrapping_mul(SECTOR_BYTES);
        let data = bounce.get(skip..).unwrap_or_default();
        for (to, from) in buf.iter_mut().zip(data) {
            *to = *from;
        }
        Ok(())
    }

    /// Reads whole blocks of the device.
    fn transfer(&self, sector: u64, buf: &mut [u8]) -> Result {
        // SAFETY: The device is open; the kernel writes at most `buf.len()` bytes to `buf`, memory
        // of a kind that it can transfer to, and is done with it when the call returns.
        let ret = unsafe {
            bindings::bch_rs_bdev_read(
                self.bdev.as_ptr(),
                sector,
                buf.as_mut_ptr().cast(),
                buf.len(),
            )
        };
        if let Err(e) = super::check(ret) {
            pr_err!(
                "{}: reading {} bytes at sector {} failed: errno {}",
                self.name(),
                buf.len(),
                sector,
                e.0
            );
            return Err(Error::from(e));
        }
        Ok(())
    }

    /// The C object; valid as long as `self`.
    pub(super) fn as_ptr(&self) -> *mut bindings::block_device {
        self.bdev.as_ptr()
    }
}

impl Drop for BlockDevice {
    fn drop(&mut self) {
        let files = [Some(self.file), self.writer.get().map(|w| w.0)];
        for file in files.into_iter().flatten() {
            // SAFETY: By the type invariant the file was opened for `sb`, which still exists.
            unsafe { bindings::fs_bdev_file_release(file.as_ptr(), self.sb.as_ptr()) };
        }
    }
}
