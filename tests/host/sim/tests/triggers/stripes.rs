// SPDX-License-Identifier: GPL-2.0

//! Stripes over buckets that are full of data, and extents that use them.

use super::{
    extents::value,
    Fs, //
};
use sim::{
    check::OwnedKey,
    env::units::{
        DevIdx,
        Sectors, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        values::{
            extent::entries,
            extent_entry::{
                Entry,
                Ptr,
                StripePtr, //
            },
            stripe::Stripe, //
        },
    },
};

const BLOCK: u64 = 64;

fn block(fs: &Fs, dev: u8, bucket: u64) -> Ptr {
    let generation = fs.s.alloc.get(&(dev, bucket)).map_or(0, |a| a.generation);
    Ptr {
        dev: DevIdx(dev),
        offset: Sectors(bucket * BLOCK),
        generation,
        cached: false,
        unwritten: false,
    }
}

/// Two buckets of data and one of parity, on devices whose buckets are of one size.
pub(crate) fn make(fs: &mut Fs) -> bool {
    let Some(a) = fs.bucket(0, DataType::USER) else {
        return false;
    };
    let Some(b) = fs.bucket(1, DataType::USER) else {
        return false;
    };
    let Some(p) = fs.bucket(2, DataType::FREE) else {
        return false;
    };
    let mut v = vec![BLOCK as u8, 0, 0, 3, 1, 0, 0, 0];
    for ptr in [block(fs, 0, a), block(fs, 1, b), block(fs, 2, p)] {
        v.extend(ptr.to_word().to_le_bytes());
    }
    v.extend([0; 8]);
    let next = fs.s.sources.keys().filter(|at| at.0 == BtreeId::STRIPES);
    let idx = next.map(|at| at.2.offset + 1).max().unwrap_or(1);
    let k = Bkey {
        key_type: KeyType::STRIPE,
        p: Bpos::new(0, idx, 0),
        ..Bkey::default()
    };
    fs.commit(vec![(BtreeId::STRIPES, 0, OwnedKey { k, v })]);
    true
}

/// The stripe and the block that a pointer is in.
fn within(fs: &Fs, ptr: &Ptr) -> Option<StripePtr> {
    for (at, key) in &fs.s.sources {
        if (at.0, at.1) != (BtreeId::STRIPES, 0) {
            continue;
        }
        let stripe = Stripe::decode(&key.v).unwrap();
        for (block, own) in (0..2).zip(stripe.ptrs()) {
            let same = own.dev == ptr.dev && own.offset.0 / BLOCK == ptr.offset.0 / BLOCK;
            if same && own.generation == ptr.generation {
                return Some(StripePtr {
                    idx: at.2.offset,
                    block,
                    redundancy: 1,
                });
            }
        }
    }
    None
}

/// An extent comes to rely on a stripe.
pub(crate) fn use_one(fs: &mut Fs) -> bool {
    let types = [KeyType::EXTENT, KeyType::REFLINK_V];
    let all = fs.s.sources.iter();
    let all = all.filter(|(at, key)| at.1 == 0 && types.contains(&key.k.key_type));
    for (at, key) in all {
        let head = if at.0 == BtreeId::REFLINK { 8 } else { 0 };
        let mut new = Vec::new();
        let mut found = false;
        let mut striped = false;
        for entry in entries(&key.key(), &fs.s.sizes).map(Result::unwrap) {
            if let Entry::Ptr(ptr) = &entry {
                let stripe = within(fs, ptr).filter(|_| !striped && !ptr.cached);
                if let Some(stripe) = stripe {
                    found = true;
                    new.push(Entry::Stripe(stripe));
                }
            }
            striped = matches!(entry, Entry::Stripe(_));
            new.push(entry);
        }
        if found {
            let mut key = key.clone();
            key.v.truncate(head);
            key.v.extend(value(&new));
            let btree = at.0;
            fs.commit(vec![(btree, 0, key)]);
            return true;
        }
    }
    false
}

/// A stripe that nothing is in any more is deleted.
pub(crate) fn delete(fs: &mut Fs) -> bool {
    for (at, key) in &fs.s.sources {
        if (at.0, at.1) != (BtreeId::STRIPES, 0) {
            continue;
        }
        let stripe = Stripe::decode(&key.v).unwrap();
        if (0..2).all(|b| stripe.block_sectors(b) == Some(0)) {
            let gone = OwnedKey::from(sim::alloc::trigger::deleted(at.2));
            fs.commit(vec![(BtreeId::STRIPES, 0, gone)]);
            return true;
        }
    }
    false
}
