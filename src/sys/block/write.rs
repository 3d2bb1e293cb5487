// SPDX-License-Identifier: GPL-2.0

//! What changes a device: writes, flushes, discards.

use super::{
    BlockDevice,
    Writer,
    SECTOR_BYTES, //
};
use crate::{
    bindings,
    env::{
        num,
        span::Span,
        Vec, //
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
    pr_err,
    sys::{
        check,
        check_ptr, //
    },
};
use core::{
    fmt,
    ptr::NonNull, //
};

/// When the data of a write is safe from a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the next [`flush`](BlockDevice::flush) that is started when the write has returned.
    Cached,
    /// When the write returns. Says nothing of the writes before it. C: `REQ_FUA`.
    Fua,
    /// When the write returns; and so is that of all writes that had returned before, as after a
    /// [`flush`](BlockDevice::flush). C: `REQ_PREFLUSH | REQ_FUA`.
    All,
}

impl BlockDevice {
    /// Whether it was opened for writing.
    pub fn is_writable(&self) -> bool {
        self.writable || self.writer.get().is_some()
    }

    /// Opens it for writing, too, if it is not.
    pub fn make_writable(&self) -> Result {
        if self.is_writable() {
            return Ok(());
        }
        let open = || {
            // SAFETY: The superblock outlives the value, by the type invariant.
            let file = unsafe { bindings::bch_rs_bdev_open(self.number.0, true, self.sb.as_ptr()) };
            NonNull::new(check_ptr(file)?).ok_or(Errno::ENXIO)
        };
        let file = open().map_err(|e| {
            pr_err!(
                "{}: can not be opened for writing: errno {}",
                self.name(),
                e.0
            );
            match e {
                Errno::EROFS | Errno::EACCES | Errno::EPERM => Error::DeviceNotWritable,
                e => Error::from(e),
            }
        })?;
        if !self.writer.set(Writer(file)) {
            // SAFETY: It was opened for this superblock just now, and nobody else has it.
            unsafe { bindings::fs_bdev_file_release(file.as_ptr(), self.sb.as_ptr()) };
        }
        Ok(())
    }

    /// Whether the device can be told that sectors are not used any more.
    pub fn supports_discard(&self) -> bool {
        // SAFETY: The device is open by the type invariant.
        unsafe { bindings::bdev_max_discard_sectors(self.as_ptr()) != 0 }
    }

    /// Writes `buf` at `sector` and waits for it. Both have to be of whole blocks of the device
    /// ([`Error::DeviceWriteUnaligned`]); where `buf` is in memory does not matter.
    ///
    /// After an error any part of the range may have its old or its new contents.
    pub fn write(&self, sector: u64, buf: &[u8], how: Durability) -> Result {
        self.check_write(sector, buf.len())?;
        if buf.is_empty() {
            return Ok(());
        }
        if self.vecs_of(Span::Still(buf)).is_some() {
            return self.transfer_out(sector, buf, how);
        }
        let mut bounce = Vec::with_capacity(buf.len())?;
        bounce.extend_from_slice(buf)?;
        self.transfer_out(sector, &bounce, how)
    }

    /// Waits until all writes that have returned are on stable media.
    pub fn flush(&self) -> Result {
        self.check_writable()?;
        // SAFETY: The device is open by the type invariant.
        let ret = unsafe { bindings::blkdev_issue_flush(self.as_ptr()) };
        check(ret).map_err(|e| self.failed(format_args!("a flush"), e))
    }

    /// Tells the device that the contents of `nr_sectors` sectors from `sector` on are not needed
    /// any more. What is read there afterwards is undefined.
    pub fn discard(&self, sector: u64, nr_sectors: u64) -> Result {
        self.check_writable()?;
        if !self.supports_discard() {
            return Err(Error::DeviceNoDiscard);
        }
        if (sector | nr_sectors) & self.block_mask() != 0 || !self.has_sectors(sector, nr_sectors) {
            return Err(Error::DeviceDiscardRange);
        }
        if nr_sectors == 0 {
            return Ok(());
        }
        // SAFETY: The device is open by the type invariant.
        let ret = unsafe { bindings::bch_rs_bdev_discard(self.as_ptr(), sector, nr_sectors) };
        check(ret).map_err(|e| {
            self.failed(
                format_args!("discarding {nr_sectors} sectors from {sector} on"),
                e,
            )
        })
    }

    fn transfer_out(&self, sector: u64, buf: &[u8], how: Durability) -> Result {
        // SAFETY: The device is open; the kernel reads `buf.len()` bytes of `buf`, memory of a kind
        // that it can transfer from, and is done with it when the call returns.
        let ret = unsafe {
            bindings::bch_rs_bdev_write(
                self.as_ptr(),
                sector,
                buf.as_ptr().cast(),
                buf.len(),
                how != Durability::Cached,
                how == Durability::All,
            )
        };
        check(ret).map_err(|e| {
            self.failed(
                format_args!("writing {} bytes at sector {sector}", buf.len()),
                e,
            )
        })
    }

    /// Whether so many bytes can be written at `sector`.
    pub(super) fn check_write(&self, sector: u64, bytes: usize) -> Result {
        self.check_writable()?;
        let nr = num::u64_of(bytes / SECTOR_BYTES);
        if bytes % SECTOR_BYTES != 0 || (sector | nr) & self.block_mask() != 0 {
            return Err(Error::DeviceWriteUnaligned);
        }
        match self.has_sectors(sector, nr) {
            true => Ok(()),
            false => Err(Error::DeviceWritePastEnd),
        }
    }

    /// How many vectors of a bio this memory takes; `None` if the device can not have it.
    pub(super) fn vecs_of(&self, buf: Span<'_>) -> Option<u32> {
        let at = buf.as_ptr().cast();
        // SAFETY: The device is open; only the address is looked at.
        match unsafe { bindings::bch_rs_bdev_vecs(self.as_ptr(), at, buf.len()) } {
            0 => None,
            nr => Some(nr),
        }
    }

    fn check_writable(&self) -> Result {
        if self.is_writable() {
            Ok(())
        } else {
            Err(Error::DeviceReadOnly)
        }
    }

    /// The bits of a sector number that say where in a block it is.
    fn block_mask(&self) -> u64 {
        let block = num::usize_of_u32(self.logical_block_bytes()) / SECTOR_BYTES;
        num::u64_of(block.wrapping_sub(1))
    }

    fn has_sectors(&self, sector: u64, nr: u64) -> bool {
        sector
            .checked_add(nr)
            .is_some_and(|end| end <= self.nr_sectors())
    }

    /// Reports a failure.
    fn failed(&self, what: fmt::Arguments<'_>, e: Errno) -> Error {
        pr_err!("{}: {what} failed: errno {}", self.name(), e.0);
        Error::from(e)
    }
}
