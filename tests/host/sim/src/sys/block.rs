// SPDX-License-Identifier: GPL-2.0

//! Simulated block devices.

use crate::error::{
    Error,
    Result, //
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        atomic::{
            AtomicU32,
            Ordering, //
        },
        Arc,
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
            Backing::File(f) => f.read_exact_at(buf, at).map_err(|_| Error::Io),
            Backing::Memory(bytes) => {
                let at = at as usize;
                buf.copy_from_slice(&bytes[at..at + buf.len()]);
                Ok(())
            }
        }
    }
}
