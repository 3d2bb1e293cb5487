// SPDX-License-Identifier: GPL-2.0

//! Cached keys in transactions.
//!
//! A key of one of these btrees is protected by the lock of its cached key, if there is one, and by
//! that of its leaf if there is none. A cached key is made only by who has locked the leaf; so who
//! has, and finds none, knows that nobody else can change the key.

use super::{
    CachedKey,
    Room, //
};
use crate::{
    btree::{
        trans::{
            add_to_journal,
            Before,
            Hooks,
            Staged,
            Trans,
            TransError,
            TransResult,
            Writer, //
        },
        Btrees,
        KeyBuf, //
    },
    env::Arc,
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        sb::counters::Counter, //
    },
    journal::live::{
        Reservation,
        Watermark, //
    },
    sys::six::IntentGuard,
};

/// Where a transaction has a key locked.
#[derive(Clone, Copy, Debug)]
pub(in crate::btree) enum Locked {
    /// In the cache: its index among the cached keys that are held.
    Cached(usize),
    /// In this node of those that are held, if anywhere.
    Node(usize),
}

impl<H: Hooks> Trans<'_, H> {
    /// Locks the key at exactly `pos` for intent.
    pub(in crate::btree) fn lock_key(
        &mut self,
        btree: BtreeId,
        level: u8,
        pos: Bpos,
    ) -> TransResult<Locked> {
        match level == 0 && btree.uses_key_cache() {
            true => self.lock_cached(btree, pos),
            false => Ok(Locked::Node(self.lock(btree, level, pos)?)),
        }
    }

    /// C: `bch2_btree_path_traverse_cached()`.
    fn lock_cached(&mut self, btree: BtreeId, pos: Bpos) -> TransResult<Locked> {
        self.step()?;
        if let Some(at) = self.cached_at(btree, pos) {
            return Ok(Locked::Cached(at));
        }
        loop {
            if let Some(key) = self.btrees.key_cache().find(btree, pos) {
                match self.lock_found(key)? {
                    Some(at) => return Ok(Locked::Cached(at)),
                    None => continue,
                }
            }
            let others = self.nodes.len();
            let node = self.lock(btree, 0, pos)?;
            if let Some(key) = self.fill(node, btree, pos)? {
                // The cached key protects it from here on.
                self.let_go(others);
                let at = self.cached.len();
                self.cached.push(key)?;
                return Ok(Locked::Cached(at));
            }
            // Somebody may have been faster; or else there is no such key.
            if self.btrees.key_cache().find(btree, pos).is_none() {
                return Ok(Locked::Node(node));
            }
            self.let_go(others);
        }
    }

    /// Where a cached key is among those that are held.
    pub(in crate::btree) fn cached_at(&self, btree: BtreeId, pos: Bpos) -> Option<usize> {
        self.cached.iter().position(|k| k.node().is_of(btree, pos))
    }

    /// Locks a cached key; `None` when it is not in the cache any more.
    pub(super) fn lock_found(&mut self, key: Arc<CachedKey>) -> TransResult<Option<usize>> {
        let guard = match IntentGuard::try_lock_owned(key) {
            Ok(guard) => guard,
            Err(key) if self.holds_nothing() => IntentGuard::lock(key),
            Err(key) => {
                self.before = Before::KeyUnlocked(key);
                return Err(TransError::Restart);
            }
        };
        if guard.node().is_gone() {
            return Ok(None);
        }
        let at = self.cached.len();
        self.cached.push(guard)?;
        Ok(Some(at))
    }

    /// Adds the key at `pos` of a locked leaf to the cache, as one that is locked. `None` when the
    /// leaf has no such key that can be used, or the cache has it already.
    ///
    /// C: `btree_key_cache_fill()`.
    #[inline(never)]
    fn fill(
        &self,
        node: usize,
        btree: BtreeId,
        pos: Bpos,
    ) -> TransResult<Option<IntentGuard<CachedKey>>> {
        if self.btrees.laid_over(btree, 0, pos)?.is_some() {
            // What the leaf has is older. Until replay, or this transaction, has changed that, the
            // key is one of the leaf.
            return Ok(None);
        }
        let stored = match self
            .nodes
            .get(node)
            .and_then(|n| n.get(&n.keys().spot(&pos)))
        {
            Some((key, false)) => KeyBuf::copy_of(&key)?,
            // What is damaged can be overwritten, but not read.
            Some((_, true)) | None => return Ok(None),
        };
        // Nobody else can have it: this does not wait.
        let key = IntentGuard::lock(CachedKey::try_new(btree, stored)?);
        if !self.btrees.key_cache().insert(&key)? {
            return Ok(None);
        }
        self.btrees.sb().count(Counter::BTREE_KEY_CACHE_FILL);
        Ok(Some(key))
    }

    /// The cached key that makes what a leaf has at `pos`, which is locked, an older value: its
    /// index among those that are held. `None` when there is no such key.
    pub(in crate::btree) fn lock_newest(
        &mut self,
        btree: BtreeId,
        pos: Bpos,
    ) -> TransResult<Option<usize>> {
        if !btree.uses_key_cache() {
            return Ok(None);
        }
        let mut at = self.cached_at(btree, pos);
        while at.is_none() {
            let Some(key) = self.btrees.key_cache().find(btree, pos) else {
                return Ok(None);
            };
            at = self.lock_found(key)?;
        }
        Ok(at)
    }

    /// Notes which of the staged updates are of keys that are held in the cache, and checks that
    /// more of these may be changed.
    ///
    /// C: `btree_key_can_insert_cached()`.
    pub(in crate::btree) fn assign_cached(&mut self) -> TransResult {
        if self.cached.is_empty() {
            return Ok(());
        }
        let cached = &self.cached;
        for u in self.staged.iter_mut().filter(|u| u.level == 0) {
            let (btree, pos) = (u.btree, u.key.k.p);
            u.cached = match btree.uses_key_cache() {
                true => cached.iter().position(|k| k.node().is_of(btree, pos)),
                false => None,
            };
        }
        let is_urgent = self.watermark.rank() >= Watermark::Reclaim.rank();
        let is_crowded = !is_urgent && self.btrees.key_cache().is_crowded();
        if is_crowded && !core::mem::take(&mut self.has_flushed) && self.nr_to_change() != 0 {
            self.before = Before::KeysFlushed;
            return Err(TransError::Restart);
        }
        Ok(())
    }

    /// How many cached keys become changed ones by what is staged.
    pub(in crate::btree) fn nr_to_change(&self) -> usize {
        if self.cached.is_empty() {
            return 0;
        }
        let held = self.staged.iter().filter(|u| u.stays_in_cache());
        let held = held.filter_map(|u| self.cached.get(u.cached?));
        held.filter(|k| !k.node().is_changed()).count()
    }
}

/// Puts the updates of cached keys into the journal and the cache. Those that are deleted leave the
/// cache; that they leave their nodes is the caller's part, who has locked those for writing.
///
/// C: `bch2_btree_insert_key_cached()`.
pub(in crate::btree) fn put_changed<H: Hooks>(
    btrees: &Btrees,
    writer: &Writer<H>,
    staged: &mut Staged,
    held: &mut [IntentGuard<CachedKey>],
    room: &mut Room<'_>,
    res: &mut Reservation<'_>,
) -> Result {
    if held.is_empty() {
        return Ok(());
    }
    let (cache, journal) = (btrees.key_cache(), &writer.journal);
    let mut is_more = false;
    for u in staged.iter_mut() {
        let Some(key) = u.cached.and_then(|at| held.get_mut(at)) else {
            continue;
        };
        if u.key.is_deleted() {
            cache.forget(key, journal);
            continue;
        }
        add_to_journal(res, u.btree, u.level, &u.key)?;
        // What was there goes with the update: freed when nobody waits for it.
        core::mem::swap(&mut *key.write(), &mut u.key);
        is_more |= cache.changed(key, res.seq(), journal, room);
    }
    if is_more && cache.wants_flush() {
        journal.want_reclaim();
    }
    Ok(())
}
