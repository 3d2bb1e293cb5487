// SPDX-License-Identifier: GPL-2.0

//! Numbers with a unit, so that bytes, sectors and buckets can not be mixed up.

use core::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident($repr:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

unit!(
    /// A count or position of 512-byte sectors.
    Sectors(u64)
);
unit!(
    /// A count or position of bytes.
    Bytes(u64)
);
unit!(
    /// A bucket's number on its device, from 0.
    BucketNr(u64)
);
unit!(
    /// A member device's slot in the filesystem, 0 to 254 (C: `dev_idx`).
    DevIdx(u8)
);
unit!(
    /// A journal sequence number.
    JournalSeq(u64)
);

/// log2 of the bytes in a sector.
pub const SECTOR_SHIFT: u32 = 9;
/// Bytes in a sector.
pub const SECTOR_BYTES: u64 = 1 << SECTOR_SHIFT;

impl Sectors {
    /// The same amount in bytes; `None` beyond 2^64.
    #[inline]
    pub const fn checked_bytes(self) -> Option<Bytes> {
        match self.0.checked_mul(SECTOR_BYTES) {
            Some(b) => Some(Bytes(b)),
            None => None,
        }
    }
}

impl Bytes {
    /// Whole sectors in this amount, rounded down.
    #[inline]
    pub const fn sectors_floor(self) -> Sectors {
        Sectors(self.0 >> SECTOR_SHIFT)
    }
}
