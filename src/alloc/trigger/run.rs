// SPDX-License-Identifier: GPL-2.0

//! Which trigger a key is for.

use super::{
    bucket_key,
    effects::Effects,
    extent,
    inode,
    lookups::Lookups,
    reflink,
    stripe, //
};
use crate::{
    env::num::i64_of_bits,
    error::{
        Error,
        Invalid, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            alloc::Alloc,
            reflink::refcount, //
        },
    },
};

/// How the new key itself has to be changed before it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Amend {
    /// Not at all.
    Keep,
    /// It is to be a deletion: nothing refers to it any more.
    Delete,
    /// Its value is to be this state of a bucket, as an `alloc_v4`.
    Alloc(Alloc),
    /// The references it holds beyond its range, in sectors before and behind.
    ReflinkPads(u32, u32),
    /// Whether it has inodes below it: the flag of an inode.
    InodeHasChild(bool),
}

/// What triggers are run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An update is about to be committed: what does not fit is an error if it is new.
    Commit,
    /// Keys that are there are counted: what does not fit is reported and left out.
    Recount,
}

/// Which of the two keys of an update one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// The key that is replaced or deleted.
    Old,
    /// The key that comes.
    New,
}

impl Side {
    /// A number for what a key of this side counts.
    pub(super) fn signed(self, n: u64) -> i64 {
        let n = i64_of_bits(n);
        match self {
            Side::Old => n.wrapping_neg(),
            Side::New => n,
        }
    }
}

/// What all triggers get.
pub(super) struct Cx<'a, L: Lookups> {
    pub(super) look: &'a mut L,
    pub(super) purpose: Purpose,
    pub(super) btree: BtreeId,
    pub(super) level: u8,
}

impl<L: Lookups> Cx<'_, L> {
    /// Whether what does not fit is an error, for a key of this side.
    pub(super) fn strict(&self, side: Side) -> bool {
        side == Side::New && self.purpose == Purpose::Commit
    }

    /// A key can not be decoded. Keys are validated before they are committed and when they are
    /// read, so this does not happen unless memory was damaged.
    #[cold]
    pub(super) fn invalid(&self, key: &Key<'_>, invalid: Invalid) -> L::Error {
        self.look.found(
            invalid.id,
            format_args!(
                "btree {} level {} {}: {invalid}",
                self.btree, self.level, key.k
            ),
        );
        Error::TriggerKeyInvalid.into()
    }
}

/// That there is no key at `pos`.
pub const fn deleted(pos: Bpos) -> Key<'static> {
    Key {
        k: Bkey {
            key_type: KeyType::DELETED,
            version: crate::format::bkey::Version { hi: 0, lo: 0 },
            size: 0,
            p: pos,
        },
        v: &[],
    }
}

/// Adds what follows from the update of a key to `out`. Both keys are at the same position; where
/// there was or will be none, one is [`deleted`]. At levels above 0, and for roots (which count as
/// being at the level above their own), they are pointers to nodes.
///
/// On an error nothing of `out` is of use any more.
///
/// C: `bch2_key_trigger(.., BTREE_TRIGGER_transactional)`.
pub fn trigger<L: Lookups>(
    cx: &mut L,
    btree: BtreeId,
    level: u8,
    old: Key<'_>,
    new: Key<'_>,
    out: &mut Effects,
) -> Result<Amend, L::Error> {
    let mut cx = Cx {
        look: cx,
        purpose: Purpose::Commit,
        btree,
        level,
    };
    dispatch(&mut cx, &old, &new, out)
}

/// Adds what there has to be because `key` is there to `out`, for the check of what is derived.
///
/// Buckets are counted from nothing: apply their changes to the generations they have. What is
/// derived of keys of the alloc btree is counted from buckets that are free.
///
/// C: `bch2_key_trigger(.., BTREE_TRIGGER_gc|BTREE_TRIGGER_insert)`.
pub fn recount<L: Lookups>(
    cx: &mut L,
    btree: BtreeId,
    level: u8,
    key: Key<'_>,
    out: &mut Effects,
) -> Result<(), L::Error> {
    let mut cx = Cx {
        look: cx,
        purpose: Purpose::Recount,
        btree,
        level,
    };
    let old = deleted(key.k.p);
    match dispatch(&mut cx, &old, &key, out)? {
        Amend::Keep | Amend::Delete | Amend::Alloc(_) | Amend::ReflinkPads(..) => {}
        Amend::InodeHasChild(has) => out.edit(super::Edit::InodeHasChild { at: key.k.p, has })?,
    }
    Ok(())
}

/// The key, if it is of one of these types.
fn of<'k, 'v>(key: &'k Key<'v>, types: &[KeyType]) -> Option<&'k Key<'v>> {
    types.contains(&key.k.key_type).then_some(key)
}

const ALLOCS: &[KeyType] = &[
    KeyType::ALLOC_V4,
    KeyType::ALLOC_V3,
    KeyType::ALLOC_V2,
    KeyType::ALLOC,
];
const INODES: &[KeyType] = &[KeyType::INODE_V3, KeyType::INODE_V2, KeyType::INODE];
const POINTERS: &[KeyType] = &[
    KeyType::EXTENT,
    KeyType::REFLINK_V,
    KeyType::BTREE_PTR_V2,
    KeyType::BTREE_PTR,
];
const INDIRECT: &[KeyType] = &[KeyType::REFLINK_V, KeyType::INDIRECT_INLINE_DATA];
const RESERVATIONS: &[KeyType] = &[KeyType::RESERVATION];
const STRIPES: &[KeyType] = &[KeyType::STRIPE];
const REFERENCES: &[KeyType] = &[KeyType::REFLINK_P];
/// All types of keys that something follows from.
const TRIGGERED: u64 = bits(ALLOCS)
    | bits(INODES)
    | bits(POINTERS)
    | bits(INDIRECT)
    | bits(RESERVATIONS)
    | bits(STRIPES)
    | bits(REFERENCES);

const fn bits(mut types: &[KeyType]) -> u64 {
    let mut bits = 0;
    while let [first, rest @ ..] = types {
        bits |= first.bit();
        types = rest;
    }
    bits
}

/// Whether something can follow from updates of keys of a level of a btree. If not, [`trigger`]
/// need not be called for them, nor the keys before be looked up for it.
///
/// C: `btree_node_type_has_triggers()`.
#[inline]
pub fn has_triggers(btree: BtreeId, level: u8) -> bool {
    level != 0 || btree.leaf_types() & TRIGGERED != 0
}

fn dispatch<L: Lookups>(
    cx: &mut Cx<'_, L>,
    old: &Key<'_>,
    new: &Key<'_>,
    out: &mut Effects,
) -> Result<Amend, L::Error> {
    let both = |types| match (of(old, types), of(new, types)) {
        (None, None) => None,
        both => Some(both),
    };
    if cx.level == 0 && cx.btree == BtreeId::ALLOC {
        return match both(ALLOCS) {
            Some((old, new)) => bucket_key::update(cx, old, new, out),
            None => Ok(Amend::Keep),
        };
    }
    if let Some((old, new)) = both(INODES) {
        return inode::update(cx, old, new, out);
    }
    let mut amend = Amend::Keep;
    let mut new = *new;
    if cx.purpose == Purpose::Commit && is_unreferenced(cx, &new)? {
        amend = Amend::Delete;
        new = deleted(new.k.p);
    }
    let both = |types| match (of(old, types), of(&new, types)) {
        (None, None) => None,
        both => Some(both),
    };
    if let Some((old, new)) = both(POINTERS) {
        extent::update(cx, old, new, out)?;
    }
    if let Some((old, new)) = both(RESERVATIONS) {
        extent::reservation(cx, old, new, out)?;
    }
    if let Some((old, new)) = both(STRIPES) {
        stripe::update(cx, old, new, out)?;
    }
    if let Some((old, new)) = both(REFERENCES) {
        amend = reflink::update(cx, old, new, out)?;
    }
    Ok(amend)
}

/// Whether a shared extent has no pointer to it. C: `check_indirect_extent_deleting()`.
fn is_unreferenced<L: Lookups>(cx: &Cx<'_, L>, key: &Key<'_>) -> Result<bool, L::Error> {
    match of(key, INDIRECT).map(|k| refcount(k.v)) {
        None => Ok(false),
        Some(Ok(refcount)) => Ok(refcount == 0),
        Some(Err(e)) => Err(cx.invalid(key, e)),
    }
}
