// SPDX-License-Identifier: GPL-2.0

//! The cached keys of a filesystem.

use super::{
    key::{
        CachedKey,
        Place, //
    },
    queue::Queue,
    text::Counts,
};
use crate::{
    btree::{
        table::Table,
        KeyBuf, //
    },
    env::{
        num::usize_of,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    journal::live::Journal,
    sys::{
        memory,
        shrinker::Shrink,
        six::IntentGuard,
        sync::Mutex, //
    },
};
use core::sync::atomic::{
    AtomicUsize,
    Ordering, //
};

/// Shards, each with a lock of its own; a power of two.
const SHARDS: usize = 16;
/// The cache may take about this share of the machine's memory.
const MEMORY_SHARE: u64 = 64;
/// Bytes that one key takes, about.
const KEY_BYTES: u64 = 512;
/// Keys dropped at a time when there are too many.
const DROP: usize = 64;
/// As few keys are not worth the shrinker's time. C: `bch2_btree_key_cache_count()`.
const NOT_WORTH: usize = 128;

/// The keys of one shard.
struct Shard {
    keys: Table<Place, Arc<CachedKey>>,
    /// Where to go on looking for keys to drop.
    hand: usize,
}

/// The cached keys of a filesystem.
///
/// Locks: a shard's, and that of the queue, inside of all locks of nodes and keys, for moments.
/// Nothing is allocated under a shard's lock.
///
/// C: `struct btree_key_cache`.
pub struct KeyCache {
    shards: Vec<Mutex<Shard>>,
    /// Changed keys by the entry they pin. A key that pins another one, or none, by the time it is
    /// taken out does not count.
    changed: Mutex<Queue<Arc<CachedKey>>>,
    nr_keys: AtomicUsize,
    nr_changed: AtomicUsize,
    max_keys: usize,
    /// The shard to drop keys of next.
    hand: AtomicUsize,
    pub(super) counts: Counts,
}

/// What the cache has to say about a key of a leaf.
pub(in crate::btree) enum Newest {
    /// Nothing: the leaf is right.
    Stored,
    /// It was copied.
    Copied,
    /// It is being changed.
    Busy(Arc<CachedKey>),
}

/// Room in the queue, for as many keys as were asked for.
pub(in crate::btree) struct Room<'a> {
    cache: &'a KeyCache,
    left: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.left != 0 {
            self.cache.changed.lock().release(self.left);
        }
    }
}

impl KeyCache {
    /// An empty cache that takes at most its share of the machine's memory.
    pub(in crate::btree) fn try_new() -> Result<Self> {
        let bytes = memory::total_bytes().wrapping_div(MEMORY_SHARE);
        Self::with_limit(usize_of(bytes.wrapping_div(KEY_BYTES)))
    }

    fn with_limit(max_keys: usize) -> Result<Self> {
        let mut shards = Vec::with_capacity(SHARDS)?;
        for _ in 0..SHARDS {
            shards.push(Mutex::try_new(Shard {
                keys: Table::new(),
                hand: 0,
            })?)?;
        }
        Ok(Self {
            shards,
            changed: Mutex::try_new(Queue::new())?,
            nr_keys: AtomicUsize::new(0),
            nr_changed: AtomicUsize::new(0),
            max_keys,
            hand: AtomicUsize::new(0),
            counts: Counts::default(),
        })
    }

    /// Keys in the cache.
    pub fn nr_keys(&self) -> usize {
        self.nr_keys.load(Ordering::Relaxed)
    }

    /// How many of them were changed, and have to go to their leaf.
    pub fn nr_changed(&self) -> usize {
        self.nr_changed.load(Ordering::Relaxed)
    }

    /// Slots of the hash tables.
    pub(super) fn nr_slots(&self) -> usize {
        self.shards.iter().map(|s| s.lock().keys.capacity()).sum()
    }

    /// How many changed keys there may be without anybody doing something about it.
    fn quota(&self) -> usize {
        1024usize.saturating_add(self.nr_keys() / 2)
    }

    /// How many changed keys should go to their leaves: none until there are too many, and then
    /// some more than these, so that it is not one for each that comes.
    ///
    /// C: `bch2_nr_btree_keys_need_flush()`.
    pub(super) fn nr_to_flush(&self) -> usize {
        let (nr, quota) = (self.nr_changed(), self.quota());
        match nr > quota {
            true => nr.saturating_sub(quota).saturating_add(quota / 4),
            false => 0,
        }
    }

    /// Whether there are too many changed keys: [`flush_key_cache`] helps.
    ///
    /// [`flush_key_cache`]: crate::btree::flush_key_cache
    pub fn wants_flush(&self) -> bool {
        self.nr_changed() > self.quota()
    }

    /// Whether there are so many that who makes more has to bring some to their leaves.
    ///
    /// C: `bch2_btree_key_cache_must_wait()`.
    pub(in crate::btree) fn is_crowded(&self) -> bool {
        let nr = self.nr_keys();
        self.nr_changed() > 4096usize.saturating_add(nr / 2).saturating_add(nr / 4)
    }

    fn shard(&self, place: &Place) -> Option<&Mutex<Shard>> {
        use crate::btree::table::TableKey as _;
        self.shards.get(usize_of(place.hash() >> 60) & (SHARDS - 1))
    }

    /// The key at this place, if it is here.
    ///
    /// C: `bch2_btree_key_cache_find()`.
    #[inline]
    pub(super) fn find(&self, btree: BtreeId, pos: Bpos) -> Option<Arc<CachedKey>> {
        // What is on its way just now, nobody can be certain to see.
        if self.nr_keys() == 0 {
            return None;
        }
        let place = Place::new(btree, pos);
        let mut shard = self.shard(&place)?.lock();
        let key = shard.keys.get_mut(&place)?;
        key.touch();
        Some(key.clone())
    }

    /// Adds a key, which the caller has locked, unless there is one at its place: says whether it
    /// was added.
    #[inline(never)]
    pub(super) fn insert(&self, key: &IntentGuard<CachedKey>) -> Result<bool> {
        let (key, place) = (key.node(), key.node().place);
        let shard = self.shard(&place).ok_or(Error::NoMemory)?;
        loop {
            let capacity = {
                let mut shard = shard.lock();
                if shard.keys.get_mut(&place).is_some() {
                    return Ok(false);
                }
                if !shard.keys.is_full() {
                    self.nr_keys.fetch_add(1, Ordering::Relaxed);
                    drop(shard.keys.insert(place, key.clone()));
                    break;
                }
                shard.keys.capacity()
            };
            // Not under the lock: allocating may call the shrinker, which wants it.
            let room = Table::room(capacity)?;
            let old = shard.lock().keys.grow(room);
            drop(old);
        }
        if self.nr_keys() > self.max_keys {
            self.drop_some(DROP);
        }
        Ok(true)
    }

    /// Copies the value that counts of the key at `pos` in a leaf, which the caller has locked.
    ///
    /// With the lock, what the leaf has and the cache has not is right: a changed key leaves the
    /// cache only after its leaf was changed, which the lock prevents.
    #[inline]
    pub(in crate::btree) fn newest(
        &self,
        btree: BtreeId,
        pos: Bpos,
        to: &mut KeyBuf,
    ) -> Result<Newest> {
        let Some(key) = self.find(btree, pos) else {
            return Ok(Newest::Stored);
        };
        let is_free = match key.try_read() {
            Some(_) if key.is_gone() => return Ok(Newest::Stored),
            Some(value) => {
                to.set(&value.key())?;
                true
            }
            None => false,
        };
        Ok(match is_free {
            true => Newest::Copied,
            false => Newest::Busy(key),
        })
    }

    /// Makes room for `nr` keys to become changed.
    pub(in crate::btree) fn room(&self, nr: usize) -> Result<Room<'_>> {
        if nr != 0 {
            self.changed.lock().promise(nr)?;
        }
        Ok(Room {
            cache: self,
            left: nr,
        })
    }

    /// The value of a locked key is of journal entry `seq` now, which the caller has reserved. Says
    /// whether that makes one more changed key.
    pub(super) fn changed(
        &self,
        key: &IntentGuard<CachedKey>,
        seq: u64,
        journal: &Journal,
        room: &mut Room<'_>,
    ) -> bool {
        if !CachedKey::set_changed(key, seq, journal) {
            return false;
        }
        self.nr_changed.fetch_add(1, Ordering::Relaxed);
        room.left = room.left.saturating_sub(1);
        self.changed.lock().push(seq, key.node().clone());
        true
    }

    /// The leaf of a locked key has its value.
    pub(super) fn cleaned(&self, key: &IntentGuard<CachedKey>, journal: &Journal) {
        if CachedKey::set_clean(key, journal) {
            self.nr_changed.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Drops a locked key that is being deleted from its leaf, which the caller has locked, too.
    ///
    /// C: `bch2_btree_key_cache_drop()`.
    pub(super) fn forget(&self, key: &IntentGuard<CachedKey>, journal: &Journal) {
        self.cleaned(key, journal);
        CachedKey::set_gone(key);
        let place = key.node().place;
        let old = self
            .shard(&place)
            .and_then(|s| s.lock().keys.remove(&place));
        if old.is_some() {
            self.nr_keys.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many keys there are to be taken by [`take_changed`](Self::take_changed), at most.
    pub(super) fn nr_waiting(&self) -> usize {
        self.changed.lock().len()
    }

    /// Takes up to `max` changed keys that pin an entry up to `until`, the oldest first, each with
    /// that entry. Each has to be given back.
    pub(super) fn take_changed(
        &self,
        until: u64,
        max: usize,
        to: &mut Vec<(u64, Arc<CachedKey>)>,
    ) -> Result {
        to.reserve(max)?;
        let mut changed = self.changed.lock();
        while to.len() < max {
            let Some((seq, key)) = changed.pop(until) else {
                break;
            };
            match key.changed_in() {
                Some((pin, _)) if pin == seq => to.push((seq, key))?,
                _ => changed.release(1),
            }
        }
        Ok(())
    }

    /// Gives a key back that was taken: as one that pins `seq`, or as one that is of no interest
    /// any more.
    pub(super) fn give_back(&self, key: Arc<CachedKey>, seq: Option<u64>) {
        let mut changed = self.changed.lock();
        match seq {
            Some(seq) => changed.push(seq, key),
            None => changed.release(1),
        }
    }

    /// Tries to drop `nr` keys that were not used lately, and not changed; returns how many it did.
    #[inline(never)]
    fn drop_some(&self, nr: usize) -> usize {
        let mut freed = 0usize;
        // Twice round: the first round may only clear the marks of use.
        for _ in 0..SHARDS.saturating_mul(2) {
            if freed >= nr {
                break;
            }
            let at = self.hand.fetch_add(1, Ordering::Relaxed) & (SHARDS - 1);
            if let Some(mut shard) = self.shards.get(at).and_then(|s| s.try_lock()) {
                let left = nr.saturating_sub(freed);
                freed = freed.saturating_add(self.drop_of(&mut shard, left));
            }
        }
        self.nr_keys.fetch_sub(freed, Ordering::Relaxed);
        self.counts.freed(freed);
        freed
    }

    /// C: `bch2_btree_key_cache_scan()`.
    fn drop_of(&self, shard: &mut Shard, nr: usize) -> usize {
        let capacity = shard.keys.capacity();
        let mut freed = 0usize;
        // Most may have to stay.
        let looks = nr.saturating_mul(8).saturating_add(64);
        for _ in 0..capacity.min(looks) {
            if freed >= nr {
                break;
            }
            if shard.hand >= capacity {
                shard.hand = 0;
            }
            let may_go = shard
                .keys
                .peek_at(shard.hand)
                .is_some_and(|k| self.retire(k));
            if may_go {
                // The slot is looked at again: another element may have moved to it.
                drop(shard.keys.remove_at(shard.hand));
                freed = freed.saturating_add(1);
            } else {
                shard.hand = shard.hand.saturating_add(1);
            }
        }
        freed
    }

    /// Marks a key as dropped, unless it was changed, was wanted lately, or is in use.
    fn retire(&self, key: &Arc<CachedKey>) -> bool {
        if key.is_changed() {
            self.counts.skipped_changed();
            return false;
        }
        if key.take_used() {
            self.counts.skipped_used();
            return false;
        }
        match IntentGuard::try_lock(key) {
            // Now nobody can change it.
            Some(guard) if !key.is_changed() => {
                CachedKey::set_gone(&guard);
                true
            }
            _ => {
                self.counts.skipped_locked();
                false
            }
        }
    }
}

impl Shrink for KeyCache {
    fn count(&self) -> usize {
        self.nr_keys()
            .saturating_sub(self.nr_changed())
            .saturating_sub(NOT_WORTH)
    }

    fn scan(&self, nr: usize) -> usize {
        self.counts.requested(nr);
        self.drop_some(nr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::{
        bkey::Bkey,
        key_type::KeyType, //
    };

    fn key(nr: u64) -> Arc<CachedKey> {
        let k = Bkey {
            key_type: KeyType::SET,
            p: Bpos::new(nr % 7, nr, 0),
            ..Bkey::default()
        };
        CachedKey::try_new(BtreeId::ALLOC, KeyBuf::of(k, &nr.to_le_bytes()).unwrap()).unwrap()
    }

    fn add(cache: &KeyCache, nr: u64) -> bool {
        cache.insert(&IntentGuard::lock(key(nr))).unwrap()
    }

    #[test]
    fn finds_what_was_added_once() {
        let cache = KeyCache::with_limit(usize::MAX).unwrap();
        assert!((0..3000).all(|nr| add(&cache, nr)));
        assert!(!(0..3000).any(|nr| add(&cache, nr)));
        assert_eq!((cache.nr_keys(), cache.nr_changed()), (3000, 0));
        for nr in 0..3000 {
            let mut buf = KeyBuf::default();
            let newest = cache.newest(BtreeId::ALLOC, Bpos::new(nr % 7, nr, 0), &mut buf);
            assert!(matches!(newest, Ok(Newest::Copied)));
            assert_eq!(buf.value(), [nr]);
        }
        assert!(cache.find(BtreeId::INODES, Bpos::new(0, 0, 0)).is_none());
        assert!(cache.find(BtreeId::ALLOC, Bpos::new(0, 0, 1)).is_none());
    }

    #[test]
    fn keys_that_are_too_many_or_not_wanted_are_dropped() {
        let cache = KeyCache::with_limit(500).unwrap();
        assert!((0..3000).all(|nr| add(&cache, nr)));
        assert!(cache.nr_keys() <= 500 + DROP, "{}", cache.nr_keys());
        let before = cache.nr_keys();
        assert_eq!(cache.scan(10), 10);
        assert_eq!(cache.nr_keys(), before - 10);
        while cache.scan(100) != 0 {}
        assert_eq!(cache.nr_keys(), 0);
    }

    #[test]
    fn a_key_in_use_stays() {
        let cache = KeyCache::with_limit(usize::MAX).unwrap();
        let held = IntentGuard::lock(key(5));
        assert!(cache.insert(&held).unwrap() && add(&cache, 6));
        // A writer is inside, or was: it is locked either way.
        while cache.scan(100) != 0 {}
        assert_eq!((cache.nr_keys(), held.node().is_gone()), (1, false));
        drop(held);
        assert_eq!(cache.scan(1), 1);
        assert!(cache.find(BtreeId::ALLOC, Bpos::new(5, 5, 0)).is_none());
    }

    #[test]
    fn a_key_that_is_being_changed_is_waited_for() {
        let cache = KeyCache::with_limit(usize::MAX).unwrap();
        let mut held = IntentGuard::lock(key(5));
        assert!(cache.insert(&held).unwrap());
        let place = Bpos::new(5, 5, 0);
        let mut buf = KeyBuf::default();
        let mut newest = || cache.newest(BtreeId::ALLOC, place, &mut buf).unwrap();
        let writing = held.write();
        assert!(matches!(newest(), Newest::Busy(_)));
        drop(writing);
        assert!(matches!(newest(), Newest::Copied));
    }
}
