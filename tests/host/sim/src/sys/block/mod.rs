// SPDX-License-Identifier: GPL-2.0

//! Simulated block devices.
//!
//! | file        | holds                                                                    |
//! |-------------|--------------------------------------------------------------------------|
//! | `air.rs`    | flights that are under way                                               |
//! | `disk.rs`   | [`Disk`]: contents, in memory or of a file with changes in memory         |
//! | `faults.rs` | [`Faults`](faults::Faults): transfers that fail or go wrong               |
//! | `flight.rs` | [`Flight`]: writes whose end a task is told of                            |
//! | `log.rs`    | [`Power`], and what was done to a device, in the order of time            |
//! | `medium.rs` | [`Medium`]: a device as a test sees it                                    |
//! | `power.rs`  | [`Replay`]: what a loss of power would have left                          |
//! | `random.rs` | numbers from a seed                                                      |
//!
//! A device has a volatile cache: what was written is read at once, and is lost with the power
//! unless it was flushed or written through.

mod air;
mod disk;
mod faults;
mod flight;
mod log;
mod medium;
mod power;
mod random;

pub use disk::Disk;
pub use faults::{
    Fault,
    Kind, //
};
pub use flight::{
    plugged,
    Cargo,
    Flight,
    Landing,
    FLIGHT_MAX, //
};
pub use log::{
    Durability,
    Power, //
};
pub use medium::Medium;
pub use power::{
    PowerCut,
    Replay, //
};

use crate::error::{
    Error,
    Result, //
};
use medium::Inner;
use std::{
    fs::File,
    path::Path,
    sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Arc,
    },
};

/// Bytes in a sector.
pub const SECTOR: usize = 512;

/// The number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DevNr(pub u32);

impl DevNr {
    /// The number as programs pass it.
    pub fn from_user(nr: u64) -> Option<Self> {
        Some(Self(nr as u32)).filter(|nr| nr.0 != 0)
    }

    fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A block device.
#[derive(Debug)]
pub struct BlockDevice {
    number: DevNr,
    inner: Arc<Inner>,
}

impl BlockDevice {
    fn new(inner: Inner) -> Self {
        Self {
            number: DevNr::new(),
            inner: Arc::new(inner),
        }
    }

    /// A device whose contents are the file at `path`; it can not be written.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        let name = path
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let mut inner = Inner::new(&name, Disk::from_file(File::open(path)?)?, None);
        inner.writable = false;
        Ok(Self::new(inner))
    }

    /// A device whose contents are `bytes` at first.
    pub fn from_memory(name: &str, bytes: Arc<Vec<u8>>) -> Self {
        Self::new(Inner::new(name, Disk::from_memory(bytes), None))
    }

    /// A device with these contents at first.
    pub fn of_disk(name: &str, disk: Disk) -> Self {
        Self::new(Inner::new(name, disk, None))
    }

    /// The same, not opened for writing.
    pub fn read_only(name: &str, disk: Disk) -> Self {
        let mut inner = Inner::new(name, disk, None);
        inner.writable = false;
        Self::new(inner)
    }

    /// A device that keeps a log of what is done to it, by the clock of `power`, for
    /// [`Replay`] to find out what a loss of power would have left.
    pub fn recorded(name: &str, disk: Disk, power: &Power) -> Self {
        Self::new(Inner::new(name, disk, Some(power)))
    }

    /// The device seen from the other side, also when the filesystem has it.
    pub fn medium(&self) -> Medium {
        Medium(self.inner.clone())
    }

    /// Makes all reads at or behind byte `at` fail, as if the medium was damaged there.
    pub fn fail_from(&mut self, at: u64) {
        self.inner.faults().damaged_from = at;
    }

    /// The name to print in messages.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its number.
    pub fn number(&self) -> DevNr {
        self.number
    }

    /// Size in sectors of 512 bytes.
    pub fn nr_sectors(&self) -> u64 {
        self.inner.nr_sectors
    }

    /// The smallest unit of transfer, in bytes.
    pub fn logical_block_bytes(&self) -> u32 {
        self.inner.block_bytes.load(Ordering::Relaxed)
    }

    /// Whether it was opened for writing.
    pub fn is_writable(&self) -> bool {
        self.inner.writable
    }

    /// Opens it for writing, too.
    pub fn make_writable(&self) -> Result<()> {
        match self.inner.writable {
            true => Ok(()),
            false => Err(Error::DeviceNotWritable),
        }
    }

    /// Whether the device can be told that sectors are not used any more.
    pub fn supports_discard(&self) -> bool {
        true
    }

    /// Reads `buf.len()` bytes, a multiple of 512, from `sector` on.
    pub fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()> {
        if buf.len() % SECTOR != 0 {
            return Err(Error::Overflow);
        }
        if !self.has_sectors(sector, (buf.len() / SECTOR) as u64) {
            return Err(Error::DeviceReadPastEnd);
        }
        self.inner.read(sector, buf)
    }

    /// Writes `buf` at `sector`; both have to be of whole blocks of the device.
    ///
    /// After an error any part of the range may have its old or its new contents.
    pub fn write(&self, sector: u64, buf: &[u8], how: Durability) -> Result<()> {
        self.check_writable()?;
        let nr = (buf.len() / SECTOR) as u64;
        if buf.len() % SECTOR != 0 || (sector | nr) & self.block_mask() != 0 {
            return Err(Error::DeviceWriteUnaligned);
        }
        if !self.has_sectors(sector, nr) {
            return Err(Error::DeviceWritePastEnd);
        }
        if buf.is_empty() {
            return Ok(());
        }
        match how {
            Durability::All => {
                self.inner.flush()?;
                self.inner.write(sector, buf, Durability::Fua)
            }
            how => self.inner.write(sector, buf, how),
        }
    }

    /// Waits until all writes that have returned are on stable media.
    pub fn flush(&self) -> Result<()> {
        self.check_writable()?;
        self.inner.flush()
    }

    /// Tells the device that the contents of `nr_sectors` sectors from `sector` on are not needed
    /// any more. What is read there afterwards is undefined: here it is what nobody wrote.
    pub fn discard(&self, sector: u64, nr_sectors: u64) -> Result<()> {
        self.check_writable()?;
        if (sector | nr_sectors) & self.block_mask() != 0 || !self.has_sectors(sector, nr_sectors) {
            return Err(Error::DeviceDiscardRange);
        }
        if nr_sectors == 0 {
            return Ok(());
        }
        self.inner.discard(sector, nr_sectors)
    }

    fn check_writable(&self) -> Result<()> {
        if self.inner.writable {
            Ok(())
        } else {
            Err(Error::DeviceReadOnly)
        }
    }

    /// The bits of a sector number that say where in a block it is.
    fn block_mask(&self) -> u64 {
        u64::from(self.logical_block_bytes()) / SECTOR as u64 - 1
    }

    fn has_sectors(&self, sector: u64, nr: u64) -> bool {
        sector
            .checked_add(nr)
            .is_some_and(|end| end <= self.nr_sectors())
    }
}
