// SPDX-License-Identifier: GPL-2.0

//! One cached key.

use crate::{
    btree::{
        table::TableKey,
        KeyBuf, //
    },
    env::Arc,
    error::Result,
    format::{
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    journal::live::Journal,
    sys::six::{
        HasSix,
        IntentGuard,
        ReadGuard,
        Six, //
    },
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU64,
    Ordering, //
};

/// Which key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    hash: u64,
    pub(super) pos: Bpos,
    pub(super) btree: BtreeId,
}

impl Place {
    #[inline]
    pub(super) fn new(btree: BtreeId, pos: Bpos) -> Self {
        let mix = |h: u64, x: u64| (h ^ x).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let last = u64::from(pos.snapshot) << 8 | u64::from(btree.0);
        Self {
            hash: mix(mix(mix(0, pos.inode), pos.offset), last),
            pos,
            btree,
        }
    }
}

impl TableKey for Place {
    #[inline]
    fn hash(&self) -> u64 {
        self.hash
    }
}

/// A key, with the value that counts. As for nodes, who is going to change it holds the intent lock
/// from reading to commit, and the exclusive one for the time of a copy.
///
/// C: `struct bkey_cached`.
pub(in crate::btree) struct CachedKey {
    pub(super) place: Place,
    value: Six<KeyBuf>,
    /// It is not in the cache any more.
    gone: AtomicBool,
    /// It was wanted lately.
    used: AtomicBool,
    /// The journal entry it pins; 0 when its leaf has the same value. Like `newest`, changed only
    /// by the holder of intent.
    pin: AtomicU64,
    /// The journal entry with its value.
    newest: AtomicU64,
}

impl HasSix for CachedKey {
    type Body = KeyBuf;

    fn six(&self) -> &Six<KeyBuf> {
        &self.value
    }
}

impl CachedKey {
    /// A key as its leaf has it.
    #[inline(never)]
    pub(super) fn try_new(btree: BtreeId, value: KeyBuf) -> Result<Arc<Self>> {
        Arc::try_new(Self {
            place: Place::new(btree, value.k.p),
            value: Six::try_new(value)?,
            gone: AtomicBool::new(false),
            used: AtomicBool::new(true),
            pin: AtomicU64::new(0),
            newest: AtomicU64::new(0),
        })
    }

    #[inline]
    pub(super) fn is_of(&self, btree: BtreeId, pos: Bpos) -> bool {
        self.place.pos == pos && self.place.btree == btree
    }

    /// Waits until nobody changes it.
    #[inline]
    pub(in crate::btree) fn read(&self) -> ReadGuard<'_, KeyBuf> {
        self.value.read()
    }

    /// The value, unless somebody is changing it. For who holds the lock of a node.
    #[inline]
    pub(super) fn try_read(&self) -> Option<ReadGuard<'_, KeyBuf>> {
        self.value.try_read()
    }

    /// Whether it was dropped. Stays as it is while intent is held. Until a reader of its leaf lets
    /// that go, the leaf has the value that a dropped key had.
    #[inline]
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// For the holder of intent, who also takes it out of the cache.
    pub(super) fn set_gone(guard: &IntentGuard<Self>) {
        guard.node().gone.store(true, Ordering::Release);
    }

    #[inline]
    pub(super) fn touch(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was wanted since the last time this was asked.
    pub(super) fn take_used(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// The oldest journal entry it pins, and the one with its value; `None` when its leaf has the
    /// same value.
    #[inline]
    pub(super) fn changed_in(&self) -> Option<(u64, u64)> {
        match self.pin.load(Ordering::Relaxed) {
            0 => None,
            pin => Some((pin, self.newest.load(Ordering::Relaxed))),
        }
    }

    /// Whether its leaf may have an older value.
    #[inline]
    pub(super) fn is_changed(&self) -> bool {
        self.changed_in().is_some()
    }

    /// The value is of journal entry `seq`, which is kept: by a reservation, or as an older one is
    /// pinned. Says whether it pins `seq` now.
    ///
    /// While it pins an older one that stays: one pin for many changes.
    #[inline]
    pub(super) fn set_changed(guard: &IntentGuard<Self>, seq: u64, journal: &Journal) -> bool {
        let key = guard.node();
        key.newest.store(seq, Ordering::Relaxed);
        if key.pin.load(Ordering::Relaxed) != 0 {
            return false;
        }
        journal.pin(seq);
        key.pin.store(seq, Ordering::Relaxed);
        true
    }

    /// Pins the entry with its value, and not an older one any more.
    pub(super) fn move_pin(guard: &IntentGuard<Self>, journal: &Journal) -> Option<u64> {
        let key = guard.node();
        let (old, newest) = key.changed_in()?;
        journal.pin(newest);
        key.pin.store(newest, Ordering::Relaxed);
        journal.unpin(old);
        Some(newest)
    }

    /// Its leaf has what counts now, or nobody wants it. Says whether that is news.
    pub(super) fn set_clean(guard: &IntentGuard<Self>, journal: &Journal) -> bool {
        match guard.node().pin.swap(0, Ordering::Relaxed) {
            0 => false,
            pin => {
                journal.unpin(pin);
                true
            }
        }
    }
}

impl core::fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Place { btree, pos, .. } = self.place;
        write!(f, "cached key of btree {btree} at {pos}")
    }
}
