// SPDX-License-Identifier: GPL-2.0

//! What is to be compressed or moved in the background: the btree `rebalance_work` and its counter.

use super::{
    effects::Effects,
    lookups::Lookups,
    run::{
        Cx,
        Side, //
    },
};
use crate::{
    error::Result,
    format::{
        bkey::Key,
        btree_id::BtreeId,
        values::{
            accounting::Counted,
            extent::{
                entries,
                ptrs, //
            },
            extent_entry::{
                Entry,
                RebalanceV1, //
            },
            kinds::CompressionType, //
        },
    },
};

/// C: the last part of `bch2_trigger_extent()`.
pub(super) fn update<L: Lookups>(
    cx: &Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<(), L::Error> {
    let work = |key: Option<&Key<'_>>| key.map_or(Ok(0), |k| sectors(cx, k));
    let (before, after) = (work(old)?, work(new)?);
    let Some(key) = new.or(old) else {
        return Ok(());
    };
    if (before == 0) != (after == 0) {
        // The same number as `rebalance_work` had before 1.33.
        out.bit(BtreeId::RECONCILE_WORK, key.k.p, after != 0)?;
    }
    let by = Side::New
        .signed(after)
        .wrapping_sub(Side::New.signed(before));
    if by != 0 {
        out.count(cx.look.version(), &Counted::RebalanceWork, &[by])?;
    }
    Ok(())
}

/// Sectors of a key that are not compressed or not placed as its options ask for.
///
/// C: `bch2_bkey_sectors_need_rebalance()`.
fn sectors<L: Lookups>(cx: &Cx<'_, L>, key: &Key<'_>) -> Result<u64, L::Error> {
    let sizes = cx.look.entry_sizes();
    let wanted = entries(key, sizes).find_map(|e| match e {
        Ok(Entry::RebalanceV1(word)) => Some(RebalanceV1::from_word(word)),
        _ => None,
    });
    let Some(wanted) = wanted else {
        return Ok(0);
    };
    let mut to_compress = 0u64;
    let mut to_move = 0u64;
    let mut incompressible = wanted.compression == 0;
    let compression = compression_type(wanted.compression);
    let target = match wanted.target {
        0 => None,
        target => cx.look.target(target),
    };
    for p in ptrs(key, sizes) {
        let p = p.map_err(|e| cx.invalid(key, e))?;
        incompressible |= p.crc.compression == CompressionType::INCOMPRESSIBLE || p.ptr.unwritten;
        if p.ptr.cached {
            continue;
        }
        let size = u64::from(p.crc.compressed_size);
        if p.crc.compression != compression {
            to_compress = to_compress.wrapping_add(size);
        }
        if target.is_some_and(|devs| !devs.has(p.ptr.dev.0)) {
            to_move = to_move.wrapping_add(size);
        }
    }
    if incompressible {
        to_compress = 0;
    }
    Ok(to_compress.wrapping_add(to_move))
}

/// How data is stored that is compressed by this option. C: `bch2_compression_opt_to_type()`.
fn compression_type(option: u8) -> CompressionType {
    match option & 0xf {
        1 => CompressionType::LZ4,
        2 => CompressionType::GZIP,
        3 => CompressionType::ZSTD,
        _ => CompressionType::NONE,
    }
}
