// SPDX-License-Identifier: GPL-2.0

//! Pointers to shared extents. Each holds a reference to every shared extent it touches, also to
//! what it touched when it was made and is not in its range any more: the pads.

use super::{
    effects::{
        Edit,
        Effects, //
    },
    lookups::Lookups,
    run::{
        Amend,
        Cx,
        Purpose,
        Side, //
    },
};
use crate::{
    env::num::{
        sat_u32,
        usize_of, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        key_type::KeyType,
        values::reflink::ReflinkPtr, //
    },
};

/// A new pointer gets the pads it needs; those that are in it do not count.
///
/// C: `bch2_trigger_reflink_p()`.
pub(super) fn update<L: Lookups>(
    cx: &mut Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<Amend, L::Error> {
    let mut amend = Amend::Keep;
    for (side, key) in [(Side::Old, old), (Side::New, new)] {
        let Some(key) = key.filter(|k| k.k.key_type == KeyType::REFLINK_P) else {
            continue;
        };
        let mut p = ReflinkPtr::decode(key.v).map_err(|e| cx.invalid(key, e))?;
        let fresh = cx.strict(side);
        if fresh {
            (p.front_pad, p.back_pad) = (0, 0);
        }
        let pads = touch(cx, side, key, &p, out)?;
        if fresh {
            amend = Amend::ReflinkPads(pads.0, pads.1);
        }
    }
    Ok(amend)
}

/// References the shared extents of a pointer. Returns how far they go beyond its range, before and
/// behind. C: `__trigger_reflink_p()`.
fn touch<L: Lookups>(
    cx: &mut Cx<'_, L>,
    side: Side,
    key: &Key<'_>,
    p: &ReflinkPtr,
    out: &mut Effects,
) -> Result<(u32, u32), L::Error> {
    let range_end = p.idx.saturating_add(key.k.size.into());
    let end = range_end.saturating_add(p.back_pad.into());
    let mut idx = p.idx.saturating_sub(p.front_pad.into());
    let (mut front, mut back) = (p.front_pad, p.back_pad);
    while idx < end {
        let found = cx.look.indirect(idx)?;
        let Some(shared) = found.filter(|s| s.start <= idx) else {
            let next = found.map_or(end, |s| s.start.min(end));
            missing(cx, key, idx, next)?;
            idx = next;
            continue;
        };
        front = front.max(saturate(p.idx.saturating_sub(shared.start)));
        back = back.max(saturate(shared.end.saturating_sub(range_end)));
        out.edit(Edit::Refcount {
            end: shared.end,
            by: side.signed(1),
        })?;
        if shared.end <= idx {
            break;
        }
        idx = shared.end;
    }
    Ok((front, back))
}

fn saturate(v: u64) -> u32 {
    sat_u32(usize_of(v))
}

#[cold]
fn missing<L: Lookups>(cx: &Cx<'_, L>, key: &Key<'_>, from: u64, to: u64) -> Result<(), L::Error> {
    cx.look.found(
        FsckError::REFLINK_P_TO_MISSING_REFLINK_V,
        format_args!(
            "pointer to missing shared extent, range {from}-{to}, while marking btree {} {}",
            cx.btree, key.k
        ),
    );
    match cx.purpose {
        Purpose::Commit => Err(Error::TriggerReflinkPointer.into()),
        Purpose::Recount => Ok(()),
    }
}
