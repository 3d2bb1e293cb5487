// SPDX-License-Identifier: GPL-2.0

//! Sectors of buckets once more, in as few words as possible and without the triggers: the sum of
//! what each pointer takes.

use super::stored::Stored;
use crate::format::{
    btree_id::BtreeId,
    key_type::KeyType,
    values::{
        extent::ptrs,
        stripe::Stripe, //
    },
};
use std::collections::BTreeMap;

/// Sectors of a bucket: dirty, cached, and of stripes.
pub(super) type Sectors = [u64; 3];

/// Sectors of every bucket that something points to.
pub(super) fn sectors_by_bucket(stored: &Stored) -> BTreeMap<(u8, u64), Sectors> {
    let mut sums: BTreeMap<_, Sectors> = BTreeMap::new();
    let mut add = |dev: u8, sector: u64, kind: usize, nr: u64| {
        let Some(d) = stored.devs.get(&dev) else {
            return;
        };
        let bucket = sector / d.geometry.bucket_sectors;
        sums.entry((dev, bucket)).or_default()[kind] += nr;
    };
    for (dev, d) in &stored.devs {
        for (bucket, _, nr) in &d.metadata {
            let sector = bucket * d.geometry.bucket_sectors;
            add(*dev, sector, 0, u64::from(*nr));
        }
    }
    for ((btree, level, _), key) in &stored.sources {
        let key = key.key();
        if *level == 0 && *btree == BtreeId::STRIPES {
            let stripe = Stripe::decode(key.v).unwrap();
            for parity in stripe.ptrs().skip(stripe.nr_data().into()) {
                add(parity.dev.0, parity.offset.0, 0, stripe.sectors.into());
            }
            continue;
        }
        if *level == 0 && ![KeyType::EXTENT, KeyType::REFLINK_V].contains(&key.k.key_type) {
            continue;
        }
        for p in ptrs(&key, &stored.sizes).map(Result::unwrap) {
            let live = u64::from(key.k.size);
            let nr = match (*level, p.crc.is_compressed()) {
                (0, false) => live,
                (0, true) => {
                    let part = live as f64 / f64::from(p.crc.uncompressed_size);
                    (part * f64::from(p.crc.compressed_size)).ceil() as u64
                }
                _ => stored.node_sectors,
            };
            let gen_now = |bucket| {
                let alloc = stored.alloc.get(&(p.ptr.dev.0, bucket));
                alloc.map_or(0, |a| a.generation)
            };
            let Some(d) = stored.devs.get(&p.ptr.dev.0) else {
                continue;
            };
            let bucket = p.ptr.offset.0 / d.geometry.bucket_sectors;
            if p.ptr.cached && gen_now(bucket) != p.ptr.generation {
                continue;
            }
            let kind = match p.stripe {
                Some(_) => 2,
                None => usize::from(p.ptr.cached),
            };
            add(p.ptr.dev.0, p.ptr.offset.0, kind, nr);
        }
    }
    sums
}
