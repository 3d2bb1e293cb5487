// SPDX-License-Identifier: GPL-2.0

//! Keys with pointers, to data or to nodes, and reservations.

use super::{
    effects::Effects,
    lookups::Lookups,
    pointer::{
        self,
        Fits, //
    },
    rebalance,
    run::{
        Cx,
        Side, //
    },
    stripe, //
};
use crate::{
    env::sort::sort_by,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        data_type::DataType,
        key_type::KeyType,
        values::{
            accounting::{
                Counted,
                Replicas, //
            },
            crc::Crc,
            extent::{
                entry_bytes,
                ptrs,
                PTRS_MAX, //
            },
            kinds::CompressionType,
            plain::Reservation, //
        },
    },
};

/// C: `bch2_trigger_extent()`.
pub(super) fn update<L: Lookups>(
    cx: &mut Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<(), L::Error> {
    if let (Some(old), Some(new)) = (old, new) {
        // Of pointers to nodes, what is told besides where they are changes with every write.
        if entry_bytes(old) == entry_bytes(new) && old.k.size == new.k.size {
            return Ok(());
        }
    }
    if let Some(key) = old {
        one(cx, Side::Old, key, out)?;
    }
    if let Some(key) = new {
        one(cx, Side::New, key, out)?;
    }
    rebalance::update(cx, old, new, out)
}

/// The devices of a key's pointers.
struct Devs {
    devs: [u8; PTRS_MAX],
    nr: usize,
}

impl Devs {
    fn add(&mut self, dev: u8) -> Result {
        let slot = self.devs.get_mut(self.nr).ok_or(Error::Overflow)?;
        *slot = dev;
        self.nr = self.nr.wrapping_add(1);
        Ok(())
    }

    fn replicas(&mut self, data_type: DataType, nr_required: u8) -> Result<Option<Counted>> {
        let Some(devs) = self.devs.get_mut(..self.nr).filter(|d| !d.is_empty()) else {
            return Ok(None);
        };
        sort_by(devs, |a, b| a.cmp(b));
        let replicas = Replicas::new(data_type, nr_required, devs).ok_or(Error::Overflow)?;
        Ok(Some(Counted::Replicas(replicas)))
    }
}

/// What the pointers of one key that follow each other with the same kind of compression are
/// counted as.
struct Compressed {
    kind: CompressionType,
    uncompressed: u64,
    compressed: u64,
}

impl Compressed {
    fn none() -> Self {
        Self {
            kind: CompressionType::NONE,
            uncompressed: 0,
            compressed: 0,
        }
    }

    fn add(&mut self, crc: &Crc) {
        self.kind = crc.compression;
        if self.kind != CompressionType::NONE {
            let sum = |a: u64, b: u32| a.wrapping_add(b.into());
            self.uncompressed = sum(self.uncompressed, crc.uncompressed_size);
            self.compressed = sum(self.compressed, crc.compressed_size);
        }
    }

    fn count<L: Lookups>(&self, cx: &Cx<'_, L>, side: Side, out: &mut Effects) -> Result {
        if self.kind == CompressionType::NONE {
            return Ok(());
        }
        let by = [1, self.uncompressed, self.compressed].map(|n| side.signed(n));
        out.count(cx.look.version(), &Counted::Compression(self.kind), &by)
    }
}

/// What one key counts. C: `__trigger_extent()`.
fn one<L: Lookups>(
    cx: &mut Cx<'_, L>,
    side: Side,
    key: &Key<'_>,
    out: &mut Effects,
) -> Result<(), L::Error> {
    let version = cx.look.version();
    let data_type = match cx.level {
        0 => DataType::USER,
        _ => DataType::BTREE,
    };
    let mut devs = Devs {
        devs: [0; PTRS_MAX],
        nr: 0,
    };
    let mut nr_required = 1;
    let mut sectors = 0i64;
    let mut compressed = Compressed::none();
    for p in ptrs(key, cx.look.entry_sizes()) {
        let p = p.map_err(|e| cx.invalid(key, e))?;
        let (on_disk, fits) = pointer::update(cx, side, key, &p, out)?;
        match p.stripe {
            _ if p.ptr.cached && fits == Fits::Stale => continue,
            _ if p.ptr.cached => {
                let dev = [p.ptr.dev.0];
                let cached = Replicas::new(DataType::CACHED, 1, &dev).ok_or(Error::Overflow)?;
                out.count(version, &Counted::Replicas(cached), &[on_disk])?;
            }
            None => {
                sectors = sectors.wrapping_add(on_disk);
                devs.add(p.ptr.dev.0)?;
            }
            Some(at) => {
                stripe::pointer(cx, key, &p, at, data_type, on_disk, out)?;
                // Other copies are not needed while the stripe is there.
                nr_required = 0;
            }
        }
        if compressed.kind != p.crc.compression {
            compressed.count(cx, side, out)?;
            compressed = Compressed::none();
        }
        compressed.add(&p.crc);
    }
    let replicas = devs.replicas(data_type, nr_required)?;
    if let Some(counted) = &replicas {
        out.count(version, counted, &[sectors])?;
        if cx.level == 0 && key.k.p.snapshot != 0 {
            let counted = Counted::Snapshot(key.k.p.snapshot, 0);
            out.count(version, &counted, &[sectors])?;
        }
    }
    compressed.count(cx, side, out)?;
    if cx.level != 0 {
        let counted = Counted::Btree(cx.btree.0.into());
        return Ok(out.count(version, &counted, &[sectors])?);
    }
    // All shared extents are counted as one inode.
    let by = [side.signed(1), side.signed(key.k.size.into()), sectors];
    Ok(out.count(version, &Counted::Inum(key.k.p.inode), &by)?)
}

/// C: `bch2_trigger_reservation()`.
pub(super) fn reservation<L: Lookups>(
    cx: &mut Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<(), L::Error> {
    for (side, key) in [(Side::Old, old), (Side::New, new)] {
        let Some(key) = key.filter(|k| k.k.key_type == KeyType::RESERVATION) else {
            continue;
        };
        let r = Reservation::decode(key.v).map_err(|e| cx.invalid(key, e))?;
        let counted = Counted::PersistentReserved(r.nr_replicas);
        let by = [side.signed(key.k.size.into())];
        out.count(cx.look.version(), &counted, &by)?;
    }
    Ok(())
}
