// SPDX-License-Identifier: GPL-2.0

//! Keys at the hash of a name, or the first free place behind it. Where a key is deleted over which
//! others were put behind, a `hash_whiteout` remains, so that these are found.

use super::At;
use crate::{
    alloc::space::Trans,
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    error::Error,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    fs::probe::Probed,
    snapshots::{
        delete_visible,
        lookup_visible,
        update_visible,
        Table, //
    },
};

/// The keys of one inode in a btree that is a table of hashes.
#[derive(Clone, Copy)]
pub(super) struct Hashed<'a> {
    pub(super) table: &'a Table,
    pub(super) btree: BtreeId,
    /// The type of keys that are not whiteouts.
    pub(super) key_type: KeyType,
    pub(super) at: At,
}

/// What is known of a name.
pub(super) enum Slot {
    /// Its key.
    Taken(KeyBuf),
    /// There is none; it could be put at this offset.
    Free(u64),
}

impl Hashed<'_> {
    fn pos(&self, offset: u64) -> Bpos {
        Bpos::new(self.at.id.inum, offset, self.at.snapshot)
    }

    /// Looks for a key from offset `hash` on. What the snapshot sees there stays as it is until the
    /// commit, also that there is nothing.
    ///
    /// C: `bch2_hash_lookup()`, `bch2_hash_hole()`.
    pub(super) fn find(
        &self,
        t: &mut Trans<'_>,
        hash: u64,
        mut check: impl FnMut(&Key<'_>) -> TransResult<Probed<()>>,
    ) -> TransResult<Slot> {
        let (mut offset, mut free) = (hash, None);
        loop {
            let key = lookup_visible(t, self.table, self.btree, self.pos(offset))?;
            let Some(key) = key else {
                return Ok(Slot::Free(free.unwrap_or(offset)));
            };
            if key.k.key_type == KeyType::HASH_WHITEOUT {
                free = free.or(Some(offset));
            } else if key.k.key_type != self.key_type {
                return Ok(Slot::Free(free.unwrap_or(offset)));
            } else {
                match check(&key.key())? {
                    Probed::Found(()) => return Ok(Slot::Taken(key)),
                    Probed::Other => (),
                    Probed::Hole => return Ok(Slot::Free(free.unwrap_or(offset))),
                }
            }
            offset = offset.checked_add(1).ok_or(Error::StrHashFull)?;
        }
    }

    /// Whether a key behind `offset` is only found because of that at it. `hash_of` says where a
    /// key is looked for first.
    ///
    /// C: `bch2_hash_needs_whiteout()`.
    pub(super) fn leads_on(
        &self,
        t: &mut Trans<'_>,
        offset: u64,
        hash_of: impl Fn(&Key<'_>) -> TransResult<u64>,
    ) -> TransResult<bool> {
        let mut next = offset;
        while let Some(at) = next.checked_add(1) {
            next = at;
            let key = lookup_visible(t, self.table, self.btree, self.pos(at))?;
            match key {
                Some(key) if key.k.key_type == self.key_type => {
                    if hash_of(&key.key())? <= offset {
                        return Ok(true);
                    }
                }
                Some(key) if key.k.key_type == KeyType::HASH_WHITEOUT => (),
                _ => break,
            }
        }
        Ok(false)
    }

    /// Stages a key at `offset`.
    pub(super) fn put(&self, t: &mut Trans<'_>, offset: u64, value: &[u8]) -> TransResult {
        let k = Bkey {
            key_type: self.key_type,
            p: self.pos(offset),
            ..Bkey::default()
        };
        update_visible(t, self.table, self.btree, KeyBuf::of(k, value)?)
    }

    /// Has the snapshot see no key at `offset`; `leads_on` when others are found because of it.
    ///
    /// C: `bch2_hash_delete_at()`.
    pub(super) fn delete(&self, t: &mut Trans<'_>, offset: u64, leads_on: bool) -> TransResult {
        let pos = self.pos(offset);
        if !leads_on {
            return delete_visible(t, self.table, self.btree, pos);
        }
        let mut whiteout = KeyBuf::deletion(pos);
        whiteout.k.key_type = KeyType::HASH_WHITEOUT;
        update_visible(t, self.table, self.btree, whiteout)
    }
}
