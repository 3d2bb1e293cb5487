// SPDX-License-Identifier: GPL-2.0

//! Simulated block devices.

use crate::error::{
    Error,
    Result, //
};
use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Arc, Mutex, MutexGuard, PoisonError,
    },
};

const SECTOR: u64 = 512;

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

/// When the data of a write is safe from a loss of power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After the next flush.
    Cached,
    /// When the write returns.
    Fua,
}

#[derive(Debug)]
enum Backing {
    File(File),
    Memory(Arc<Vec<u8>>),
}

/// A block device whose contents are a file or bytes in memory.
#[derive(Debug)]
pub struct BlockDevice {
    name: String,
    number: DevNr,
    bytes: u64,
    backing: Backing,
    /// Reads at or behind this byte fail.
    fails_from: u64,
    /// What was written, by sector.
    written: Mutex<BTreeMap<u64, [u8; SECTOR as usize]>>,
}

impl BlockDevice {
    /// A device whose contents are the file at `path`.
    pub fn from_file(path: &Path) -> std::io::Result<Self> {
        let file = File::open(path)?;
        Ok(Self {
            name: path
                .file_name()
                .map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
            number: DevNr::new(),
            bytes: file.metadata()?.len(),
            backing: Backing::File(file),
            fails_from: u64::MAX,
            written: Mutex::default(),
        })
    }

    /// A device whose contents are `bytes`.
    pub fn from_memory(name: &str, bytes: Arc<Vec<u8>>) -> Self {
        Self {
            name: name.to_owned(),
            number: DevNr::new(),
            bytes: bytes.len() as u64,
            backing: Backing::Memory(bytes),
            fails_from: u64::MAX,
            written: Mutex::default(),
        }
    }

    /// Makes all reads at or behind byte `at` fail, as if the medium was damaged there.
    pub fn fail_from(&mut self, at: u64) {
        self.fails_from = at;
    }

    /// The name to print in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    pub fn number(&self) -> DevNr {
        self.number
    }

    /// Size in sectors of 512 bytes.
    pub fn nr_sectors(&self) -> u64 {
        self.bytes / SECTOR
    }

    /// The smallest unit of transfer, in bytes.
    pub fn logical_block_bytes(&self) -> u32 {
        512
    }

    /// Reads `buf.len()` bytes, a multiple of 512, from `sector` on.
    pub fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()> {
        assert_eq!(buf.len() as u64 % SECTOR, 0, "unaligned read");
        let end = sector
            .checked_mul(SECTOR)
            .and_then(|at| at.checked_add(buf.len() as u64));
        match end {
            Some(end) if end <= self.nr_sectors() * SECTOR => (),
            _ => return Err(Error::DeviceReadPastEnd),
        }
        let at = sector * SECTOR;
        if at + buf.len() as u64 > self.fails_from {
            return Err(Error::Io);
        }
        match &self.backing {
            Backing::File(f) => f.read_exact_at(buf, at).map_err(|_| Error::Io)?,
            Backing::Memory(bytes) => {
                let at = at as usize;
                buf.copy_from_slice(&bytes[at..at + buf.len()]);
            }
        }
        let written = self.written();
        for (sector, to) in (sector..).zip(buf.chunks_mut(SECTOR as usize)) {
            if let Some(from) = written.get(&sector) {
                to.copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// Whether it can be written.
    pub fn is_writable(&self) -> bool {
        matches!(self.backing, Backing::Memory(_))
    }

    /// Whether the device can be told that sectors are not used any more.
    pub fn supports_discard(&self) -> bool {
        true
    }

    /// Writes `buf`, a multiple of 512 bytes, at `sector`.
    pub fn write(&self, sector: u64, buf: &[u8], _how: Durability) -> Result<()> {
        if !self.is_writable() {
            return Err(Error::DeviceReadOnly);
        }
        if buf.len() as u64 % SECTOR != 0 {
            return Err(Error::DeviceWriteUnaligned);
        }
        match sector.checked_add(buf.len() as u64 / SECTOR) {
            Some(end) if end <= self.nr_sectors() => (),
            _ => return Err(Error::DeviceWritePastEnd),
        }
        let mut written = self.written();
        for (sector, from) in (sector..).zip(buf.chunks_exact(SECTOR as usize)) {
            let mut data = [0; SECTOR as usize];
            data.copy_from_slice(from);
            written.insert(sector, data);
        }
        Ok(())
    }

    /// Waits until all writes that have returned are on stable media.
    pub fn flush(&self) -> Result<()> {
        if !self.is_writable() {
            return Err(Error::DeviceReadOnly);
        }
        Ok(())
    }

    /// Tells the device that the contents of `nr_sectors` sectors from `sector` on are not needed
    /// any more.
    pub fn discard(&self, sector: u64, nr_sectors: u64) -> Result<()> {
        if !self.is_writable() {
            return Err(Error::DeviceReadOnly);
        }
        match sector.checked_add(nr_sectors) {
            Some(end) if end <= self.nr_sectors() => Ok(()),
            _ => Err(Error::DeviceDiscardRange),
        }
    }

    fn written(&self) -> MutexGuard<'_, BTreeMap<u64, [u8; SECTOR as usize]>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
