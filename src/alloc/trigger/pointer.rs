// SPDX-License-Identifier: GPL-2.0

//! What one pointer to a bucket means.

use super::{
    bucket::Kind,
    effects::Effects,
    lookups::Lookups,
    run::{
        Cx,
        Side, //
    },
};
use crate::{
    env::{
        num::{
            div_or_zero,
            low_u32,
            rem_or_zero, //
        },
        units::BucketNr,
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        data_type::DataType,
        values::{
            alloc::GC_GEN_MAX,
            backpointer::{
                Backpointer,
                BACKPOINTER_SHIFT, //
            },
            crc::Crc,
            extent::DecodedPtr,
            extent_entry::Ptr,
            validate::DevGeometry, //
        },
    },
};

/// Whether a pointer is of the bucket as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    /// Yes.
    Yes,
    /// It is to cached data that was dropped: as if it were not there.
    Stale,
    /// It can not be; this was reported. It is not counted in the bucket.
    No,
}

/// The bucket that a pointer leads to, and how far into it. C: `PTR_BUCKET_POS_OFFSET()`.
pub fn bucket_of(ptr: &Ptr, dev: &DevGeometry) -> (BucketNr, u64) {
    (
        BucketNr(div_or_zero(ptr.offset.0, dev.bucket_sectors)),
        rem_or_zero(ptr.offset.0, dev.bucket_sectors),
    )
}

/// Sectors that `sectors` of a key take on a device. C: `ptr_disk_sectors()`.
pub(super) fn disk_sectors(sectors: u64, crc: &Crc) -> u64 {
    if !crc.is_compressed() || crc.uncompressed_size == 0 {
        return sectors;
    }
    let all = u64::from(crc.uncompressed_size);
    // A size of 32 bits and a compressed size of 13.
    let product = sectors.wrapping_mul(crc.compressed_size.into());
    div_or_zero(product.wrapping_add(all).wrapping_sub(1), all)
}

/// Checks the generation of `ptr`, in `key`. C: the first part of `bch2_bucket_ref_update()`.
pub(super) fn check<L: Lookups>(
    cx: &mut Cx<'_, L>,
    side: Side,
    key: &Key<'_>,
    ptr: &Ptr,
) -> Result<Fits, L::Error> {
    let Some(dev) = cx.look.device(ptr.dev) else {
        // Pointers to devices that were removed may stay.
        return match ptr.has_dev() {
            true => wrong(
                cx,
                side,
                key,
                ptr,
                FsckError::PTR_TO_INVALID_DEVICE,
                "no such device",
            ),
            false => Ok(Fits::No),
        };
    };
    let (bucket, _) = bucket_of(ptr, &dev);
    if bucket.0 >= dev.nr_buckets {
        let what = "beyond the end of the device";
        return wrong(cx, side, key, ptr, FsckError::PTR_AFTER_LAST_BUCKET, what);
    }
    let generation = cx.look.bucket_gen(ptr.dev, bucket)?;
    let age = generation.wrapping_sub(ptr.generation);
    let (id, what) = match age {
        0 => return Ok(Fits::Yes),
        // Of a future, counting in a circle.
        128.. => (
            FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
            "newer than the bucket's generation",
        ),
        _ if age > GC_GEN_MAX => (FsckError::PTR_TOO_STALE, "too old a generation"),
        _ if ptr.cached => return Ok(Fits::Stale),
        _ => (FsckError::STALE_DIRTY_PTR, "of data that is gone"),
    };
    wrong(cx, side, key, ptr, id, what)
}

#[cold]
fn wrong<L: Lookups>(
    cx: &Cx<'_, L>,
    side: Side,
    key: &Key<'_>,
    ptr: &Ptr,
    id: FsckError,
    what: &'static str,
) -> Result<Fits, L::Error> {
    cx.look.found(
        id,
        format_args!(
            "pointer {ptr}: {what}\n  while marking btree {} level {} {}",
            cx.btree, cx.level, key.k
        ),
    );
    match cx.strict(side) {
        true => Err(Error::TriggerPointer.into()),
        false => Ok(Fits::No),
    }
}

/// What a pointer of a key says is in its bucket. C: `bch2_bkey_ptr_data_type()`.
fn data_type(cx: &Cx<'_, impl Lookups>, p: &DecodedPtr) -> DataType {
    if cx.level != 0 {
        DataType::BTREE
    } else if p.stripe.is_some() {
        DataType::STRIPE
    } else {
        DataType::USER
    }
}

/// Counts a pointer in its bucket and sets or deletes its backpointer. Returns the sectors it
/// takes on its device, negative for an old key, and whether they count.
///
/// C: `bch2_trigger_pointer()`.
pub(super) fn update<L: Lookups>(
    cx: &mut Cx<'_, L>,
    side: Side,
    key: &Key<'_>,
    p: &DecodedPtr,
    out: &mut Effects,
) -> Result<(i64, Fits), L::Error> {
    let of_key = match cx.level {
        0 => u64::from(key.k.size),
        _ => cx.look.node_sectors(),
    };
    let on_disk = disk_sectors(of_key, &p.crc);
    let sectors = side.signed(on_disk);
    let fits = check(cx, side, key, &p.ptr)?;
    let Some(dev) = cx.look.device(p.ptr.dev) else {
        return Ok((sectors, fits));
    };
    if fits == Fits::Stale {
        return Ok((sectors, fits));
    }
    let (bucket, into) = bucket_of(&p.ptr, &dev);
    let data_type = data_type(cx, p);
    if fits == Fits::Yes && sectors != 0 {
        let kind = match (p.stripe.is_some(), p.ptr.cached) {
            (true, _) => Kind::Striped,
            (false, true) => Kind::Cached,
            (false, false) => Kind::Dirty,
        };
        out.bucket(p.ptr.dev, bucket, |b| b.pointer(kind, sectors, data_type))?;
    }
    if !p.ptr.cached {
        let at = Backpointer::position(p.ptr.dev, p.ptr.offset, p.crc.offset);
        let bp = backpointer(cx, key, p, into, on_disk, data_type);
        match side {
            Side::Old => out.delete_backpointer(at, bp)?,
            Side::New => out.set_backpointer(at, bp)?,
        }
    }
    Ok((sectors, fits))
}

/// C: `__bch2_extent_ptr_to_bp()`.
fn backpointer<L: Lookups>(
    cx: &Cx<'_, L>,
    key: &Key<'_>,
    p: &DecodedPtr,
    into: u64,
    on_disk: u64,
    data_type: DataType,
) -> Backpointer {
    let bp = Backpointer {
        btree: cx.btree,
        level: cx.level,
        data_type,
        bucket_gen: 0,
        flags: 0,
        bucket_len: low_u32(on_disk),
        pos: key.k.p,
    };
    let into = into.wrapping_shl(BACKPOINTER_SHIFT);
    bp.with_bucket_offset(into.wrapping_add(p.crc.offset.into()))
}
