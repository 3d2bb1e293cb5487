// SPDX-License-Identifier: GPL-2.0

//! Stripes, and pointers to data in their blocks.

use super::{
    bucket::{
        Kind,
        StripeRef, //
    },
    effects::{
        Edit,
        Effects, //
    },
    lookups::Lookups,
    pointer::{
        bucket_of,
        check,
        Fits, //
    },
    run::{
        Cx,
        Purpose,
        Side, //
    },
};
use crate::{
    env::{
        num::{
            sat_u32,
            usize_of, //
        },
        sort::sort_by, //
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
            accounting::{
                Counted,
                Replicas, //
            },
            extent::{
                DecodedPtr,
                PTRS_MAX, //
            },
            extent_entry::{
                Ptr,
                StripePtr,
                DEV_NONE, //
            },
            stripe::Stripe, //
        },
    },
};

/// The devices of a stripe. C: `stripe_to_replicas()`.
fn replicas(stripe: &Stripe<'_>, data_type: DataType) -> Option<Counted> {
    let mut devs = [0u8; PTRS_MAX];
    let mut nr = 0usize;
    for ptr in stripe.ptrs() {
        *devs.get_mut(nr)? = ptr.dev.0;
        nr = nr.wrapping_add(1);
    }
    let devs = devs.get_mut(..nr)?;
    sort_by(devs, |a, b| a.cmp(b));
    Replicas::new(data_type, stripe.nr_data(), devs).map(Counted::Replicas)
}

/// Whether data at `ptr` is within the block `own`. C: `__bch2_ptr_matches_stripe()`.
fn is_within(own: &Ptr, ptr: &Ptr, sectors: u16) -> bool {
    (own.dev == ptr.dev || own.dev == DEV_NONE || ptr.dev == DEV_NONE)
        && own.generation == ptr.generation
        && ptr.offset >= own.offset
        && ptr.offset.0.wrapping_sub(own.offset.0) < sectors.into()
}

/// Whether `ptr` is in the block of `stripe` that is said to be its own.
///
/// C: `bch2_ptr_matches_stripe()`.
pub fn is_in_stripe(stripe: &Stripe<'_>, at: &StripePtr, ptr: &Ptr) -> bool {
    let own = stripe.ptrs().nth(usize::from(at.block));
    at.block < stripe.nr_data() && own.is_some_and(|own| is_within(&own, ptr, stripe.sectors))
}

/// A pointer of `key` to `sectors` in a block of a stripe.
///
/// C: `bch2_trigger_stripe_ptr()`.
pub(super) fn pointer<L: Lookups>(
    cx: &mut Cx<'_, L>,
    key: &Key<'_>,
    p: &DecodedPtr,
    at: StripePtr,
    data_type: DataType,
    sectors: i64,
    out: &mut Effects,
) -> Result<(), L::Error> {
    let found = cx.look.with_stripe(at.idx, |stripe| {
        let matches = is_in_stripe(stripe, &at, &p.ptr);
        matches.then(|| replicas(stripe, data_type)).flatten()
    })?;
    let Some(counted) = found.flatten() else {
        let id = match found {
            None => FsckError::PTR_TO_MISSING_STRIPE,
            Some(_) => FsckError::PTR_TO_INCORRECT_STRIPE,
        };
        cx.look.found(
            id,
            format_args!(
                "stripe {} block {} of pointer {}, while marking btree {} {}",
                at.idx, at.block, p.ptr, cx.btree, key.k
            ),
        );
        // The old key of an update as well: the stripe's own count would be wrong from then on.
        return match cx.purpose {
            Purpose::Commit => Err(Error::TriggerStripePointer.into()),
            Purpose::Recount => Ok(()),
        };
    };
    out.edit(Edit::StripeBlock {
        idx: at.idx,
        block: at.block,
        by: sectors,
    })?;
    Ok(out.count(cx.look.version(), &counted, &[sectors])?)
}

/// A key with the stripe it holds.
type Decoded<'k, 'v> = Option<(&'k Key<'v>, Stripe<'v>)>;

fn decode<'k, 'v, L: Lookups>(
    cx: &Cx<'_, L>,
    key: Option<&'k Key<'v>>,
) -> Result<Decoded<'k, 'v>, L::Error> {
    let Some(key) = key else {
        return Ok(None);
    };
    match Stripe::decode(key.v) {
        Ok(stripe) => Ok(Some((key, stripe))),
        Err(e) => Err(cx.invalid(key, e)),
    }
}

/// A stripe comes, goes, or gets other blocks.
///
/// C: `bch2_trigger_stripe()`.
pub(super) fn update<L: Lookups>(
    cx: &mut Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<(), L::Error> {
    let old = decode(cx, old)?;
    let new = decode(cx, new)?;
    if let (Some((_, old)), Some((_, new))) = (&old, &new) {
        if old.nr_redundant == new.nr_redundant && old.ptrs().eq(new.ptrs()) {
            return Ok(());
        }
    }
    for (side, stripe, other) in [(Side::Old, &old, &new), (Side::New, &new, &old)] {
        let Some((key, stripe)) = stripe else {
            continue;
        };
        let parity = u64::from(stripe.sectors).wrapping_mul(stripe.nr_redundant.into());
        let counted = replicas(stripe, DataType::PARITY).ok_or(Error::Overflow)?;
        out.count(cx.look.version(), &counted, &[side.signed(parity)])?;
        for (i, ptr) in (0u8..).zip(stripe.ptrs()) {
            let stays = other
                .as_ref()
                .is_some_and(|(_, o)| o.ptrs().nth(i.into()) == Some(ptr));
            if !stays {
                block(cx, side, key, stripe, i, &ptr, out)?;
            }
        }
    }
    Ok(())
}

/// C: `mark_stripe_bucket()`.
fn block<L: Lookups>(
    cx: &mut Cx<'_, L>,
    side: Side,
    key: &Key<'_>,
    stripe: &Stripe<'_>,
    nr: u8,
    ptr: &Ptr,
    out: &mut Effects,
) -> Result<(), L::Error> {
    let fits = check(cx, side, key, ptr)?;
    let Some(dev) = cx.look.device(ptr.dev) else {
        return Ok(());
    };
    let (bucket, _) = bucket_of(ptr, &dev);
    let is_parity = nr >= stripe.nr_data();
    let own = StripeRef {
        idx: sat_u32(usize_of(key.k.p.offset)),
        redundancy: stripe.nr_redundant,
        data_type: match is_parity {
            true => DataType::PARITY,
            false => DataType::STRIPE,
        },
    };
    out.bucket(ptr.dev, bucket, |b| {
        match side {
            Side::Old => b.leave(own),
            Side::New => b.join(own),
        }
        if is_parity && fits == Fits::Yes {
            let sectors = side.signed(stripe.sectors.into());
            b.pointer(Kind::Dirty, sectors, DataType::PARITY);
        }
    })?;
    Ok(())
}
