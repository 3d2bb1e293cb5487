// SPDX-License-Identifier: GPL-2.0

//! Counters: what is counted is in the key's position, taken as 20 bytes.

use super::kinds::{
    CompressionType,
    DataType, //
};
use crate::{
    env::units::DevIdx,
    format::{
        bpos::{
            Bpos,
            RawBpos, //
        },
        btree_id::BtreeId,
        sb::Version, //
    },
};
use core::fmt;
use zerocopy::{
    FromBytes as _,
    IntoBytes as _, //
};

/// The most counters one key has. C: `BCH_ACCOUNTING_MAX_COUNTERS`.
pub const COUNTERS_MAX: usize = 3;

/// Types of counters known; numbers are below this. C: `BCH_DISK_ACCOUNTING_TYPE_NR`.
pub const ACCOUNTING_TYPES: u8 = 11;

/// The version from which positions are stored in reverse, so that types sort together.
/// C: `bcachefs_metadata_version_disk_accounting_big_endian`.
pub const VERSION_REVERSED: Version = Version::new(1, 15);

/// Devices that together hold data.
///
/// C: `struct bch_replicas_entry_v1` in a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// What they hold.
    pub data_type: DataType,
    /// How many devices there are, of [`Replicas::devs`] at most 16.
    pub nr_devs: u8,
    /// How many devices are needed to read the data.
    pub nr_required: u8,
    devs: [u8; 16],
}

impl Replicas {
    /// The entry for these devices, in ascending order; `None` for more than 16.
    pub fn new(data_type: DataType, nr_required: u8, devs: &[u8]) -> Option<Self> {
        if devs.len() > 16 {
            return None;
        }
        let mut own = [0; 16];
        for (to, from) in own.iter_mut().zip(devs) {
            *to = *from;
        }
        Some(Self {
            data_type,
            nr_devs: u8::try_from(devs.len()).ok()?,
            nr_required,
            devs: own,
        })
    }

    /// The numbers of the devices.
    pub fn dev_numbers(&self) -> &[u8] {
        self.devs
            .get(..usize::from(self.nr_devs))
            .unwrap_or(&self.devs)
    }

    /// The devices.
    pub fn devs(&self) -> impl Iterator<Item = DevIdx> + '_ {
        self.dev_numbers().iter().copied().map(DevIdx)
    }
}

impl fmt::Display for Replicas {
    /// C: `bch2_replicas_entry_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}/{} [",
            self.data_type, self.nr_required, self.nr_devs
        )?;
        let mut space = "";
        for dev in self.devs() {
            write!(f, "{space}{dev}")?;
            space = " ";
        }
        f.write_str("]")
    }
}

/// What a counter counts.
///
/// C: `struct disk_accounting_pos`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// Inodes of the filesystem.
    NrInodes,
    /// Sectors reserved for this many copies.
    PersistentReserved(u8),
    /// Sectors held by devices together.
    Replicas(Replicas),
    /// Buckets, live sectors and fragmentation of a device, by what is there.
    DevDataType(DevIdx, DataType),
    /// Extents, uncompressed sectors and compressed sectors, by how they are compressed.
    Compression(CompressionType),
    /// Keys, their bytes and sectors on disk, of a snapshot in a btree (before 1.39: sectors of a
    /// snapshot; the btree is 0).
    Snapshot(u32, u32),
    /// Sectors, nodes and inner nodes of a btree (before 1.31: sectors).
    Btree(u32),
    /// Sectors to be moved in the background (before 1.33).
    RebalanceWork,
    /// Extents, their sizes, and sectors on disk of an inode number.
    Inum(u64),
    /// Sectors of background work of a kind (1.33).
    ReconcileWork(u8),
    /// Sectors on a device that is being emptied.
    DevLeaving(u32),
    /// A type of a newer version: its number.
    Unknown(u8),
}

/// Names of the counter types. C: `disk_accounting_type_strs`.
pub const ACCOUNTING_NAMES: [&str; 11] = [
    "nr_inodes",
    "persistent_reserved",
    "replicas",
    "dev_data_type",
    "compression",
    "snapshot",
    "btree",
    "rebalance_work",
    "inum",
    "reconcile_work",
    "dev_leaving",
];

/// Names of the kinds of background work. C: `BCH_RECONCILE_ACCOUNTING()`.
pub const RECONCILE_WORK_NAMES: [&str; 8] = [
    "replicas",
    "checksum",
    "erasure_code",
    "compression",
    "target",
    "high_priority",
    "pending",
    "stripes",
];

/// The 20 bytes of a position, as the filesystem's `version` stores them.
/// C: `bpos_to_disk_accounting_pos()`.
pub(super) fn position_bytes(pos: Bpos, version: Version) -> [u8; 20] {
    let mut bytes = [0; 20];
    for (to, from) in bytes.iter_mut().zip(RawBpos::from(pos).as_bytes()) {
        *to = *from;
    }
    if version >= VERSION_REVERSED {
        bytes.reverse();
    }
    bytes
}

impl Counted {
    /// What the counter at `pos` counts, in a filesystem of `version`.
    pub fn decode(pos: Bpos, version: Version) -> Self {
        let bytes = position_bytes(pos, version);
        let [ty, a, b, c, d, e, f, g, h, ..] = bytes;
        let word = u32::from_le_bytes([a, b, c, d]);
        match ty {
            0 => Counted::NrInodes,
            1 => Counted::PersistentReserved(a),
            2 => {
                let devs = bytes.last_chunk().copied().unwrap_or([0; 16]);
                Counted::Replicas(Replicas {
                    data_type: DataType(a),
                    nr_devs: b,
                    nr_required: c,
                    devs,
                })
            }
            3 => Counted::DevDataType(DevIdx(a), DataType(b)),
            4 => Counted::Compression(CompressionType(a)),
            5 => Counted::Snapshot(word, u32::from_le_bytes([e, f, g, h])),
            6 => Counted::Btree(word),
            7 => Counted::RebalanceWork,
            8 => Counted::Inum(u64::from_le_bytes([a, b, c, d, e, f, g, h])),
            9 => Counted::ReconcileWork(a),
            10 => Counted::DevLeaving(word),
            ty => Counted::Unknown(ty),
        }
    }

    /// Where the counter is in a filesystem of `version`; `None` for unknown types.
    /// C: `disk_accounting_pos_to_bpos()`.
    pub fn encode(&self, version: Version) -> Option<Bpos> {
        let mut bytes = [0u8; 20];
        {
            let mut at = bytes.iter_mut();
            let mut put = |from: &[u8]| {
                for (from, to) in from.iter().zip(at.by_ref()) {
                    *to = *from;
                }
            };
            match *self {
                Counted::NrInodes => put(&[0]),
                Counted::PersistentReserved(nr) => put(&[1, nr]),
                Counted::Replicas(r) => {
                    put(&[2, r.data_type.0, r.nr_devs, r.nr_required]);
                    put(&r.devs);
                }
                Counted::DevDataType(dev, ty) => put(&[3, dev.0, ty.0]),
                Counted::Compression(ty) => put(&[4, ty.0]),
                Counted::Snapshot(id, btree) => {
                    put(&[5]);
                    put(&id.to_le_bytes());
                    put(&btree.to_le_bytes());
                }
                Counted::Btree(id) => {
                    put(&[6]);
                    put(&id.to_le_bytes());
                }
                Counted::RebalanceWork => put(&[7]),
                Counted::Inum(inum) => {
                    put(&[8]);
                    put(&inum.to_le_bytes());
                }
                Counted::ReconcileWork(kind) => put(&[9, kind]),
                Counted::DevLeaving(dev) => {
                    put(&[10]);
                    put(&dev.to_le_bytes());
                }
                Counted::Unknown(_) => return None,
            }
        }
        if version >= VERSION_REVERSED {
            bytes.reverse();
        }
        RawBpos::read_from_bytes(&bytes).ok().map(Bpos::from)
    }

    /// How many counters the key has, before 1.31.
    pub const fn nr_counters(&self) -> usize {
        match self {
            Counted::DevDataType(..) | Counted::Compression(_) | Counted::Inum(_) => 3,
            _ => 1,
        }
    }

    /// Bytes of the position that are used, the type's number among them; all for unknown types.
    pub(super) fn bytes_used(&self) -> usize {
        match self {
            Counted::NrInodes | Counted::RebalanceWork => 1,
            Counted::PersistentReserved(_)
            | Counted::Compression(_)
            | Counted::ReconcileWork(_) => 2,
            Counted::Replicas(r) => 4usize.saturating_add(r.nr_devs.into()),
            Counted::DevDataType(..) => 3,
            Counted::Btree(_) => 5,
            Counted::Snapshot(..) => 9,
            // C does not look behind these.
            Counted::Inum(_) | Counted::DevLeaving(_) | Counted::Unknown(_) => 20,
        }
    }

    /// The type's number.
    pub const fn ty(&self) -> u8 {
        match self {
            Counted::NrInodes => 0,
            Counted::PersistentReserved(_) => 1,
            Counted::Replicas(_) => 2,
            Counted::DevDataType(..) => 3,
            Counted::Compression(_) => 4,
            Counted::Snapshot(..) => 5,
            Counted::Btree(_) => 6,
            Counted::RebalanceWork => 7,
            Counted::Inum(_) => 8,
            Counted::ReconcileWork(_) => 9,
            Counted::DevLeaving(_) => 10,
            Counted::Unknown(ty) => *ty,
        }
    }

    /// The bit of the type in a mask of types; none for types from 32 on.
    pub fn type_bit(&self) -> u32 {
        1u32.checked_shl(self.ty().into()).unwrap_or(0)
    }
}

impl fmt::Display for Counted {
    /// C: `bch2_accounting_key_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ACCOUNTING_NAMES.get(usize::from(self.ty())) {
            Some(name) => write!(f, "{name} ")?,
            None => return write!(f, "unknown type {}", self.ty()),
        }
        match self {
            Counted::NrInodes | Counted::RebalanceWork | Counted::Unknown(_) => Ok(()),
            Counted::PersistentReserved(nr) => write!(f, "replicas={nr}"),
            Counted::Replicas(r) => write!(f, "{r}"),
            Counted::DevDataType(dev, ty) => write!(f, "dev={dev} data_type={ty}"),
            Counted::Compression(ty) => write!(f, "{ty}"),
            Counted::Snapshot(id, btree) => write!(f, "id={id} btree={}", btree_of(*btree)),
            Counted::Btree(id) => write!(f, "btree={}", btree_of(*id)),
            Counted::Inum(inum) => write!(f, "inum={inum}"),
            Counted::ReconcileWork(kind) => match RECONCILE_WORK_NAMES.get(usize::from(*kind)) {
                Some(name) => f.write_str(name),
                None => write!(f, "(unknown work {kind})"),
            },
            Counted::DevLeaving(dev) => write!(f, "dev={dev}"),
        }
    }
}

fn btree_of(id: u32) -> BtreeId {
    BtreeId(u8::try_from(id).unwrap_or(u8::MAX))
}

/// The counters in the value of an `accounting` key; in the journal, what is to be added to them.
///
/// C: `struct bch_accounting`.
pub fn counters(v: &[u8]) -> impl Iterator<Item = i64> + '_ {
    v.chunks_exact(8)
        .filter_map(|chunk| chunk.try_into().ok().map(i64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Version = Version::new(1, 13);
    const NEW: Version = Version::new(1, 39);

    #[test]
    fn golden_in_both_orders() {
        // Type first in memory, least significant byte of the snapshot field first.
        let dev = Counted::DevDataType(DevIdx(7), DataType::USER);
        let pos = dev.encode(OLD).unwrap();
        assert_eq!(pos, Bpos::new(0, 0, 0x04_07_03));
        let pos = dev.encode(NEW).unwrap();
        assert_eq!(pos, Bpos::new(0x03_07_04 << 40, 0, 0));
    }

    #[test]
    fn round_trip() {
        let replicas = Replicas::new(DataType::USER, 1, &[1, 2, 255]).unwrap();
        for counted in [
            Counted::NrInodes,
            Counted::PersistentReserved(2),
            Counted::Replicas(replicas),
            Counted::DevDataType(DevIdx(3), DataType::PARITY),
            Counted::Compression(CompressionType::ZSTD),
            Counted::Snapshot(0x8000_0001, 4),
            Counted::Btree(0x0102_0304),
            Counted::RebalanceWork,
            Counted::Inum(u64::MAX - 5),
            Counted::ReconcileWork(7),
            Counted::DevLeaving(200),
        ] {
            for version in [OLD, NEW] {
                let pos = counted.encode(version).unwrap();
                assert_eq!(Counted::decode(pos, version), counted);
            }
        }
    }
}
