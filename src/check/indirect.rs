// SPDX-License-Identifier: GPL-2.0

//! Shared extents: the pass `check_indirect_extents`, and pointers to those that are missing, which
//! are looked for before anything is counted.

use super::{
    files::Files,
    Outcome,
    Report, //
};
use crate::{
    btree::{
        Btrees,
        KeyBuf, //
    },
    env::{
        num::{
            sat_u32,
            usize_of, //
        },
        pr_warn,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        opts::OptId,
        values::{
            extent::{
                ptrs,
                DecodedPtr, //
            },
            kinds::CompressionType,
            reflink::ReflinkPtr, //
        },
    },
    journal::keys::Amendments,
};

/// Whether shared extents are larger than what is compressed at once: told, and nothing else.
///
/// C: `bch2_check_indirect_extents()`, `check_extent_overbig()`.
#[inline(never)]
pub fn check_indirect_extents(files: &mut Files<'_>) -> Result {
    let btrees = files.engine.btrees;
    let max = files.st().opts.get(OptId::EncodedExtentMax) >> 9;
    let mut keys = btrees.iter(BtreeId::REFLINK, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        let mut all = ptrs(&key, btrees.entry_sizes()).map_while(|p| p.ok());
        let is_overbig = |p: &DecodedPtr| {
            let plain = (CsumType::NONE, CompressionType::NONE);
            let is_encoded = (p.crc.csum_type, p.crc.compression) != plain;
            is_encoded && u64::from(p.crc.uncompressed_size) > max
        };
        if all.any(|p| is_overbig(&p)) && btrees.sb().admit_message() {
            pr_warn!(
                "{}: shared extent {} is larger than expected",
                btrees.sb().name(),
                key.k
            );
        }
    }
    Ok(())
}

/// Finds pointers to shared extents that are missing, and lays over them that the data is lost, or
/// a smaller pointer when only what is around its range is missing. Nothing is counted of these.
///
/// C: the end of `gc_trigger_reflink_p_segment()`.
#[inline(never)]
pub(super) fn check_shared_pointers(btrees: &Btrees, report: &mut Report) -> Result {
    // Where there is something, in order.
    let mut shared: Vec<(u64, u64)> = Vec::new();
    let mut keys = btrees.iter(BtreeId::REFLINK, 0, Bpos::MIN);
    while let Some(k) = keys.advance()? {
        if matches!(
            k.key_type,
            KeyType::REFLINK_V | KeyType::INDIRECT_INLINE_DATA
        ) {
            let (start, end) = (k.start_offset(), k.p.offset);
            // Most are next to each other: one range of many takes no more memory.
            match shared.last_mut().filter(|last| last.1 == start) {
                Some(last) => last.1 = end,
                None => shared.push((start, end))?,
            }
        }
    }
    let mut amendments = Amendments::default();
    let mut keys = btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        let Some(p) = pointer(&key) else { continue };
        let Some(gap) = first_gap(&shared, &p, key.k.size.into()) else {
            continue;
        };
        let id = FsckError::REFLINK_P_TO_MISSING_REFLINK_V;
        if report.found(
            btrees.sb(),
            id,
            format_args!(
                "extent {}: pointer to missing indirect extent, range {}-{}",
                key.k, gap.0, gap.1
            ),
        )? == Outcome::Repair
        {
            let new = without(&shared, &key.k, p)?;
            amendments.add(BtreeId::EXTENTS, 0, &new.key())?;
        }
    }
    drop(keys);
    btrees.amend(amendments)
}

fn pointer(key: &Key<'_>) -> Option<ReflinkPtr> {
    match key.k.key_type {
        KeyType::REFLINK_P => ReflinkPtr::decode(key.v).ok(),
        _ => None,
    }
}

/// The first part of what a pointer leads to, with what is around it, that is missing.
fn first_gap(shared: &[(u64, u64)], p: &ReflinkPtr, size: u64) -> Option<(u64, u64)> {
    let end = p.idx.saturating_add(size).saturating_add(p.back_pad.into());
    let mut at = p.idx.saturating_sub(p.front_pad.into());
    let first = shared.partition_point(|(_, e)| *e <= at);
    for (start, stop) in shared.get(first..).unwrap_or_default() {
        if at >= end || *start > at {
            break;
        }
        at = *stop;
    }
    let next = shared.partition_point(|(_, e)| *e <= at);
    let next = shared.get(next).map_or(end, |(start, _)| (*start).min(end));
    (at < end).then_some((at, next))
}

/// What the key with header `k` and value `p` is without the parts that are missing.
fn without(shared: &[(u64, u64)], k: &Bkey, mut p: ReflinkPtr) -> Result<KeyBuf> {
    let size = u64::from(k.size);
    while let Some((from, to)) = first_gap(shared, &p, size) {
        let end = p.idx.saturating_add(size);
        if to <= p.idx && u64::from(p.front_pad) > p.idx.saturating_sub(to) {
            p.front_pad = sat_u32(usize_of(p.idx.saturating_sub(to)));
        } else if from >= end && u64::from(p.back_pad) > from.saturating_sub(end) {
            p.back_pad = sat_u32(usize_of(from.saturating_sub(end)));
        } else {
            let k = Bkey {
                key_type: KeyType::ERROR,
                ..*k
            };
            return KeyBuf::of(k, &[]);
        }
    }
    KeyBuf::of(*k, &p.encode().ok_or(Error::Overflow)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_and_pads_cut() {
        let shared = [(8, 16), (16, 32), (40, 48)];
        let p = |idx, front_pad, back_pad| ReflinkPtr {
            idx,
            front_pad,
            back_pad,
            ..ReflinkPtr::decode(&[0; 16]).unwrap()
        };
        assert_eq!(first_gap(&shared, &p(8, 0, 0), 24), None);
        assert_eq!(first_gap(&shared, &p(12, 4, 4), 12), None);
        assert_eq!(first_gap(&shared, &p(12, 8, 0), 4), Some((4, 8)));
        assert_eq!(first_gap(&shared, &p(24, 0, 8), 8), Some((32, 40)));
        assert_eq!(first_gap(&shared, &p(32, 0, 0), 4), Some((32, 36)));
        assert_eq!(first_gap(&shared, &p(50, 0, 0), 4), Some((50, 54)));
        let k = Bkey {
            key_type: KeyType::REFLINK_P,
            size: 4,
            ..Bkey::default()
        };
        let cut = |p| without(&shared, &k, p).unwrap();
        assert_eq!(cut(p(33, 0, 0)).k.key_type, KeyType::ERROR);
        let kept = cut(p(12, 8, 0));
        assert_eq!(ReflinkPtr::decode(kept.key().v).unwrap(), p(12, 4, 0));
        let k = Bkey { size: 8, ..k };
        let kept = without(&shared, &k, p(24, 0, 8)).unwrap();
        assert_eq!(ReflinkPtr::decode(kept.key().v).unwrap(), p(24, 0, 0));
    }
}
