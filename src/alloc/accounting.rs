// SPDX-License-Identifier: GPL-2.0

//! The accounting btree: counters by what they count. The position is not a place but a small
//! structure that says what is counted; keys in the journal are differences.

use crate::{
    btree::Btrees,
    error::Result,
    format::{
        bkey::{
            Key,
            Version, //
        },
        bpos::{
            Bpos,
            RawBpos, //
        },
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::version::Version as FormatVersion, //
    },
    journal::keys::delta_is_applied,
};
use zerocopy::IntoBytes as _;

/// Counters in a value. C: `BCH_ACCOUNTING_MAX_COUNTERS`.
const COUNTERS_MAX: usize = 3;

/// From this version on, the bytes of a position are in the opposite order, so that keys of one
/// kind are neighbours. C: `bcachefs_metadata_version_disk_accounting_big_endian`.
const BIG_ENDIAN_SINCE: FormatVersion = FormatVersion::new(1, 15);

/// What a counter counts, as far as anything here wants to know.
///
/// C: `struct disk_accounting_pos`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountingKey {
    /// Inodes.
    NrInodes,
    /// Sectors reserved for data, in so many copies each.
    PersistentReserved {
        /// Copies of each sector.
        copies: u8,
    },
    /// Sectors of data that a set of devices holds.
    Replicas {
        /// What the sectors hold.
        data: DataType,
    },
    /// Buckets, live sectors, and unused sectors in used buckets, of one device.
    Device {
        /// The device.
        dev: u8,
        /// What the buckets hold.
        data: DataType,
    },
    /// Something else.
    Other(u8),
}

impl AccountingKey {
    /// What the key at `pos` counts, in a filesystem of this version.
    pub fn decode(pos: Bpos, version: FormatVersion) -> Self {
        let raw = RawBpos::from(pos);
        let bytes = raw.as_bytes();
        let byte = |n: usize| {
            let n = match version >= BIG_ENDIAN_SINCE {
                true => bytes.len().wrapping_sub(1).wrapping_sub(n),
                false => n,
            };
            bytes.get(n).copied().unwrap_or(0)
        };
        match byte(0) {
            0 => Self::NrInodes,
            1 => Self::PersistentReserved { copies: byte(1) },
            2 => Self::Replicas {
                data: DataType(byte(1)),
            },
            3 => Self::Device {
                dev: byte(1),
                data: DataType(byte(2)),
            },
            other => Self::Other(other),
        }
    }
}

/// The counters of a value; those it does not have are 0.
fn counters(v: &[u8]) -> [i64; COUNTERS_MAX] {
    let mut out = [0; COUNTERS_MAX];
    for (to, from) in out.iter_mut().zip(v.chunks_exact(8)) {
        if let Ok(bytes) = from.try_into() {
            *to = i64::from_le_bytes(bytes);
        }
    }
    out
}

fn add(sum: &mut [i64; COUNTERS_MAX], delta: &[u8]) {
    for (to, from) in sum.iter_mut().zip(counters(delta)) {
        *to = to.wrapping_add(from);
    }
}

/// The value at one position, being put together.
struct Sum {
    pos: Bpos,
    version: Version,
    counters: [i64; COUNTERS_MAX],
}

/// Calls `visit` with every counter's position and values, differences from the journal added.
///
/// C: `bch2_accounting_read()`.
pub fn for_each_counter(btrees: &Btrees, mut visit: impl FnMut(Bpos, [i64; 3])) -> Result {
    let mut deltas = btrees.overlay().deltas().peekable();
    let mut iter = btrees.iter(BtreeId::ACCOUNTING, 0, Bpos::MIN);
    loop {
        let stored = loop {
            match iter.next()? {
                Some(k) if k.k.key_type != KeyType::ACCOUNTING => continue,
                other => break other,
            }
        };
        let upto = stored.map(|k| k.k.p);
        // Counters that only the journal has.
        while let Some(d) = deltas.next_if(|d| upto.is_none_or(|p| d.k.p < p)) {
            let mut sum = Sum::start(&d);
            while let Some(more) = deltas.next_if(|m| m.k.p == d.k.p) {
                sum.apply(&more);
            }
            visit(sum.pos, sum.counters);
        }
        let Some(key) = stored else {
            return Ok(());
        };
        let mut sum = Sum::start(&key);
        while let Some(d) = deltas.next_if(|d| d.k.p == sum.pos) {
            sum.apply(&d);
        }
        visit(sum.pos, sum.counters);
    }
}

impl Sum {
    fn start(key: &Key<'_>) -> Self {
        Self {
            pos: key.k.p,
            version: key.k.version,
            counters: counters(key.v),
        }
    }

    /// Adds a difference unless it is part of the value already.
    fn apply(&mut self, delta: &Key<'_>) {
        if !delta_is_applied(delta.k.version, self.version) {
            add(&mut self.counters, delta.v);
            self.version = delta.k.version;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_both_versions() {
        let old = Bpos::new(0, 0, 0x03_02_03);
        let want = AccountingKey::Device {
            dev: 2,
            data: DataType::BTREE,
        };
        assert_eq!(AccountingKey::decode(old, FormatVersion::new(1, 13)), want);
        let new = Bpos::new(0x0302_0300_0000_0000, 0, 0);
        assert_eq!(AccountingKey::decode(new, FormatVersion::new(1, 39)), want);
    }
}
