// SPDX-License-Identifier: GPL-2.0

//! What one device did since the mount: how much was read and written.

use crate::format::data_type::DataType;
use core::sync::atomic::{
    AtomicU64,
    Ordering, //
};

/// Kinds of data that are told apart.
const KINDS: usize = DataType::NAMES.len();

/// Counts of one device.
#[derive(Debug)]
pub struct DeviceStats {
    read_sectors: [AtomicU64; KINDS],
    written_sectors: [AtomicU64; KINDS],
}

impl DeviceStats {
    /// Nothing happened yet.
    pub const fn new() -> Self {
        Self {
            read_sectors: [const { AtomicU64::new(0) }; KINDS],
            written_sectors: [const { AtomicU64::new(0) }; KINDS],
        }
    }

    /// Counts a read of data of this kind.
    pub fn count_read(&self, kind: DataType, sectors: u64) {
        if let Some(n) = self.read_sectors.get(usize::from(kind.0)) {
            n.fetch_add(sectors, Ordering::Relaxed);
        }
    }

    /// Counts a write of data of this kind.
    pub fn count_write(&self, kind: DataType, sectors: u64) {
        if let Some(n) = self.written_sectors.get(usize::from(kind.0)) {
            n.fetch_add(sectors, Ordering::Relaxed);
        }
    }

    /// Sectors of data of this kind that were written.
    pub fn written_sectors(&self, kind: DataType) -> u64 {
        self.written_sectors
            .get(usize::from(kind.0))
            .map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// Sectors of data of this kind that were read.
    pub fn read_sectors(&self, kind: DataType) -> u64 {
        self.read_sectors
            .get(usize::from(kind.0))
            .map_or(0, |n| n.load(Ordering::Relaxed))
    }
}

impl Default for DeviceStats {
    fn default() -> Self {
        Self::new()
    }
}
