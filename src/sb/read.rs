// SPDX-License-Identifier: GPL-2.0

//! The superblock of one device.

use crate::{
    env::{
        pr_err,
        pr_warn, //
    },
    error::Result,
    format::sb::{
        copies::{
            choose,
            ReadSectors,
            Refused, //
        },
        Superblock,
    },
    sys::block::BlockDevice,
};

struct Sectors<'a>(&'a BlockDevice);

impl ReadSectors for Sectors<'_> {
    fn nr_sectors(&self) -> u64 {
        self.0.nr_sectors()
    }

    fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()> {
        self.0.read(sector, buf)
    }
}

/// Whether there is a superblock at `sector` that can be used.
pub(super) fn is_whole(bdev: &BlockDevice, sector: u64) -> bool {
    choose(&Sectors(bdev), Some(sector)).is_ok()
}

/// Reads the superblock of `bdev`, from the best copy, or from `only` that sector. Says which
/// copies were not good.
///
/// C: `bch2_read_super()`.
#[inline(never)]
pub(super) fn read_super(bdev: &BlockDevice, only: Option<u64>) -> Result<Superblock> {
    let name = bdev.name();
    match choose(&Sectors(bdev), only) {
        Ok(chosen) => {
            for r in &chosen.rejected {
                pr_warn!("{name}: {r}");
            }
            if !chosen.rejected.is_empty() {
                pr_warn!(
                    "{name}: using the superblock copy at sector {} (seq {}) instead",
                    chosen.sector,
                    chosen.sb.seq()
                );
            }
            Ok(chosen.sb)
        }
        Err(Refused { error, rejected }) => {
            for r in &rejected {
                pr_err!("{name}: {r}");
            }
            pr_err!("{name}: no usable superblock: {error}");
            if error.is_corruption() {
                pr_err!(
                    "{name}: if this device had a bcachefs filesystem, bcachefs recover-super may \
                     find an older copy"
                );
            }
            Err(error)
        }
    }
}
