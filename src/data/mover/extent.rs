// SPDX-License-Identifier: GPL-2.0

//! An extent with a copy in the bucket that is emptied, and where its new copies are to be.

use crate::{
    alloc::space::{
        DataAt,
        Engine,
        Fragmented, //
    },
    btree::KeyBuf,
    env::Few,
    error::Result,
    format::{
        btree_id::BtreeId,
        opts::OptId,
        sb::{
            assemble::DevMask,
            groups::Target, //
        },
        values::{
            extent::{
                entries,
                ptrs,
                DecodedPtr, //
            },
            extent_entry::{
                Entry,
                RebalanceV1, //
            },
        },
    },
    sb::SbState,
};

/// The most copies that are tried.
const COPIES: usize = 4;

/// An extent with a copy in the bucket that is emptied.
pub(super) struct Extent {
    pub(super) btree: BtreeId,
    pub(super) key: KeyBuf,
    /// The copy.
    pub(super) old: DecodedPtr,
    pub(super) wish: Wish,
}

/// Where new copies are to be. What has the same wishes is written together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// Devices that have other copies.
    pub(super) avoid: DevMask,
    pub(super) nr_replicas: u8,
    pub(super) target: Target,
}

impl Extent {
    /// The extent that is at a place of the bucket; `None` when none is any more.
    ///
    /// C: `bch2_backpointer_get_key()`, and the part of `bch2_data_update_init()` that counts
    /// copies: there are to be as many as before.
    pub(super) fn at(engine: Engine<'_>, of: &Fragmented, place: &DataAt) -> Result<Option<Self>> {
        let found = engine.btrees.lookup(place.at.btree, place.at.pos)?;
        let key = found.map(|f| KeyBuf::copy_of(&f.key())).transpose()?;
        let Some(key) = key else {
            return Ok(None);
        };
        let st = &engine.btrees.sb();
        let sizes = engine.btrees.entry_sizes();
        let mut old = None;
        let mut avoid = DevMask::default();
        for ptr in ptrs(&key.key(), sizes) {
            let Ok(p) = ptr else {
                return Ok(None);
            };
            let here = p.ptr.dev == of.dev && p.ptr.generation == of.generation;
            if here && p.ptr.offset == place.sector && !p.ptr.cached && p.stripe.is_none() {
                old = Some(p);
            } else if !p.ptr.cached {
                avoid.add(p.ptr.dev.0);
            }
        }
        let Some(old) = old else {
            return Ok(None);
        };
        let durability = st.dev(of.dev).map_or(1, |d| d.durability());
        let wish = Wish {
            avoid,
            nr_replicas: durability.max(1),
            target: target(st, &key, engine),
        };
        Ok(Some(Self {
            btree: place.at.btree,
            key,
            old,
            wish,
        }))
    }

    /// The copies that can be read, the one in the bucket first.
    pub(super) fn sources(&self, engine: Engine<'_>) -> Result<Few<DecodedPtr, COPIES>> {
        let mut found = Few::new();
        found.push(self.old)?;
        let key = self.key.key();
        for p in ptrs(&key, engine.btrees.entry_sizes()).flatten() {
            let is_other = p.ptr != self.old.ptr && !p.ptr.cached;
            if is_other && found.iter().count() < COPIES {
                found.push(p)?;
            }
        }
        Ok(found)
    }
}

/// Where the options say that data is in the end, those of the extent first.
fn target(st: &SbState, key: &KeyBuf, engine: Engine<'_>) -> Target {
    let own = entries(&key.key(), engine.btrees.entry_sizes()).find_map(|e| match e {
        Ok(Entry::RebalanceV1(word)) => Some(RebalanceV1::from_word(word).target),
        _ => None,
    });
    let own = own.filter(|t| *t != 0).map(u64::from);
    Target::decode(own.unwrap_or_else(|| st.opts.get(OptId::BackgroundTarget)))
}
