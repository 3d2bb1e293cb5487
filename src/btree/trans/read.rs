// SPDX-License-Identifier: GPL-2.0

//! Reading inside of a transaction: what is read stays as it is until the commit, and staged
//! updates are seen.

use super::{
    attempt::Seen,
    Hooks,
    Trans,
    TransResult, //
};
use crate::{
    algo::node_keys::Spot,
    btree::{
        key_cache::Locked,
        KeyBuf, //
    },
    error::{
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
        key_type::KeyType, //
    },
};

impl<H: Hooks> Trans<'_, H> {
    /// The key at exactly `pos`.
    ///
    /// C: `bch2_bkey_get_iter()`.
    pub fn get(&mut self, btree: BtreeId, pos: Bpos) -> TransResult<Option<KeyBuf>> {
        self.get_level(btree, 0, pos)
    }

    /// As [`get`](Self::get), of a level.
    pub(in crate::btree) fn get_level(
        &mut self,
        btree: BtreeId,
        level: u8,
        pos: Bpos,
    ) -> TransResult<Option<KeyBuf>> {
        let at = self.lock_key(btree, level, pos)?;
        if let Some(update) = self.staged.get(btree, level, pos) {
            let key = KeyBuf::copy_of(&update.key.key())?;
            return Ok((!key.is_deleted()).then_some(key));
        }
        self.stored(at, level, pos)
    }

    /// The key at exactly `pos` as of the last commit, without what is staged: what an update there
    /// replaces.
    pub fn old(&mut self, btree: BtreeId, level: u8, pos: Bpos) -> TransResult<Option<KeyBuf>> {
        let at = self.lock_key(btree, level, pos)?;
        self.stored(at, level, pos)
    }

    /// The key at exactly `pos`, which is locked, in the cache, or in its node or laid over that,
    /// without what is staged.
    fn stored(&mut self, at: Locked, level: u8, pos: Bpos) -> TransResult<Option<KeyBuf>> {
        let node = match at {
            Locked::Node(node) => node,
            Locked::Cached(at) => {
                let key = self.cached.get(at).map(|k| KeyBuf::copy_of(&k.key()));
                return Ok(key.transpose()?);
            }
        };
        let Some(body) = self.nodes.get(node) else {
            return Ok(None);
        };
        if let Some(over) = self.btrees.laid_over(body.node().btree, level, pos)? {
            return Ok((!over.is_deleted()).then_some(over));
        }
        let near = self.seen.as_ref().filter(|s| s.node == node);
        let spot = body.keys().spot_from(near.map(|s| &s.spot), &pos);
        let found = pos;
        self.seen = Some(Seen { node, spot, found });
        match body.get(&spot) {
            None => Ok(None),
            Some((_, true)) => unusable(),
            Some((key, false)) => Ok(Some(KeyBuf::copy_of(&key)?)),
        }
    }

    /// The first key at or after `pos`, up to `until`. All leaves gone over stay locked.
    ///
    /// C: `bch2_btree_iter_peek_max()`.
    pub fn next(&mut self, btree: BtreeId, pos: Bpos, until: Bpos) -> TransResult<Option<KeyBuf>> {
        self.next_with(btree, pos, until, KeyBuf::copy_of)
    }

    /// The header of the first key at or after `pos`, up to `until`; as [`next`](Self::next), for
    /// those who do not need the value.
    pub fn next_header(
        &mut self,
        btree: BtreeId,
        pos: Bpos,
        until: Bpos,
    ) -> TransResult<Option<Bkey>> {
        self.next_with(btree, pos, until, |key| Ok(key.k))
    }

    /// What `take` takes of the first key at or after `pos`, up to `until`.
    #[inline(always)]
    fn next_with<T>(
        &mut self,
        btree: BtreeId,
        mut pos: Bpos,
        until: Bpos,
        take: impl Fn(&Key<'_>) -> Result<T>,
    ) -> TransResult<Option<T>> {
        while pos <= until {
            let at = self.lock(btree, 0, pos)?;
            let Some(node) = self.nodes.get(at) else {
                break;
            };
            let end = node.node().max.min(until);
            let near = self.seen.as_ref().filter(|s| s.node == at);
            let spot = node.keys().spot_from(near.map(|s| &s.spot), &pos);
            let slot = node.key_from(&spot).filter(|(key, _)| key.k.p <= end);
            let over = self.btrees.laid_over_next(btree, pos, end)?;
            let over = over.as_ref().map(KeyBuf::key);
            let staged = self.staged.next(btree, pos);
            let staged = staged.map(|u| u.key.key()).filter(|k| k.k.p <= end);
            // What was staged hides what is laid over the btree.
            let over = over.filter(|o| staged.is_none_or(|s| o.k.p < s.k.p));
            match (slot, over.or(staged)) {
                (slot, Some(key)) if slot.is_none_or(|(s, _)| s.k.p >= key.k.p) => {
                    if key.k.key_type != KeyType::DELETED {
                        return Ok(Some(take(&key)?));
                    }
                    pos = key.k.p.successor();
                }
                (Some((_, true)), _) => return unusable(),
                (Some((key, false)), _) => {
                    let found = key.k.p;
                    let node = at;
                    self.seen = Some(Seen { node, spot, found });
                    if !btree.uses_key_cache() {
                        return Ok(Some(take(&key)?));
                    }
                    return self.next_newest(btree, found, node, &spot, take);
                }
                (None, _) if end == Bpos::MAX => break,
                (None, _) => pos = end.successor(),
            }
            if pos == Bpos::MIN {
                break;
            }
        }
        Ok(None)
    }

    /// What `take` takes of the key at `pos`, which `spot` of a locked leaf leads to: of the cached
    /// one, if there is one.
    #[inline(never)]
    fn next_newest<T>(
        &mut self,
        btree: BtreeId,
        pos: Bpos,
        node: usize,
        spot: &Spot,
        take: impl Fn(&Key<'_>) -> Result<T>,
    ) -> TransResult<Option<T>> {
        let cached = self.lock_newest(btree, pos)?;
        if let Some(key) = cached.and_then(|at| self.cached.get(at)) {
            return Ok(Some(take(&key.key())?));
        }
        let stored = self.nodes.get(node).and_then(|n| n.key_from(spot));
        Ok(stored.map(|(key, _)| take(&key)).transpose()?)
    }
}

/// The key there is damaged; what it said is not known.
#[cold]
fn unusable<T>() -> TransResult<T> {
    Err(Error::KeyUnusable.into())
}
