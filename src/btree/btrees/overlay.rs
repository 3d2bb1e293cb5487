// SPDX-License-Identifier: GPL-2.0

//! Keys of the journal, and what repairs found out, laid over the btrees.

use super::Btrees;
use crate::{
    btree::KeyBuf,
    env::Arc,
    error::Result,
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId, //
    },
    journal::keys::{
        Amendments,
        JournalKeys, //
    },
    sys::sync::SpinLock,
};
use core::sync::atomic::{
    AtomicBool,
    Ordering, //
};

/// What is laid over the btrees.
///
/// C: `c->journal_keys`.
pub(super) struct Overlay {
    /// There is something.
    is_there: AtomicBool,
    keys: SpinLock<Option<Arc<JournalKeys>>>,
}

impl Overlay {
    pub(super) fn try_new(keys: JournalKeys) -> Result<Self> {
        let is_there = !keys.is_empty() || keys.has_deltas();
        let keys = is_there.then(|| Arc::try_new(keys)).transpose()?;
        Ok(Self {
            is_there: AtomicBool::new(is_there),
            keys: SpinLock::try_new(keys)?,
        })
    }

    #[inline]
    fn get(&self) -> Option<Arc<JournalKeys>> {
        match self.is_there.load(Ordering::Acquire) {
            true => self.keys.lock().clone(),
            false => None,
        }
    }

    /// Lays `keys` over the btrees instead.
    fn replace(&self, keys: JournalKeys) -> Result {
        let keys = Arc::try_new(keys)?;
        let old = self.keys.lock().replace(keys);
        self.is_there.store(true, Ordering::Release);
        drop(old);
        Ok(())
    }

    fn clear(&self) {
        self.is_there.store(false, Ordering::Release);
        // Freed without the lock, as it may be much.
        let keys = self.keys.lock().take();
        drop(keys);
    }
}

impl Btrees {
    /// Lays `amendments` over the btrees, in front of what is there already. Before anything is
    /// changed.
    pub fn amend(&self, amendments: Amendments) -> Result {
        if amendments.is_empty() {
            return Ok(());
        }
        let amended = match self.overlay() {
            Some(keys) => keys.amended(amendments),
            None => JournalKeys::new().amended(amendments),
        };
        self.overlay.replace(amended?)
    }

    /// The keys from the journal that are laid over the btrees, if there are any.
    pub fn overlay(&self) -> Option<Arc<JournalKeys>> {
        self.overlay.get()
    }

    /// What is laid over the key at exactly this place: a key or a deletion.
    #[inline]
    pub(in crate::btree) fn laid_over(
        &self,
        btree: BtreeId,
        level: u8,
        pos: Bpos,
    ) -> Result<Option<KeyBuf>> {
        match self.overlay() {
            None => Ok(None),
            Some(over) => copy(over.at(btree, level, pos)),
        }
    }

    /// The first key or deletion that is laid over a btree at or after `pos`, up to `end`.
    #[inline]
    pub(in crate::btree) fn laid_over_next(
        &self,
        btree: BtreeId,
        pos: Bpos,
        end: Bpos,
    ) -> Result<Option<KeyBuf>> {
        match self.overlay() {
            None => Ok(None),
            Some(over) => copy(over.next(btree, pos).filter(|k| k.k.p <= end)),
        }
    }

    /// Something was written to this place, whose node is locked: what was laid over it does not
    /// count any more.
    #[inline]
    pub(in crate::btree) fn note_written(&self, btree: BtreeId, level: u8, pos: Bpos) {
        if let Some(over) = self.overlay() {
            over.note_written(btree, level, pos);
        }
    }

    /// Takes the keys from the journal away: all of them are in the btrees.
    ///
    /// C: `bch2_journal_keys_put_initial()`.
    pub(in crate::btree) fn drop_overlay(&self) {
        self.overlay.clear();
    }
}

#[cold]
fn copy(key: Option<Key<'_>>) -> Result<Option<KeyBuf>> {
    key.map(|key| KeyBuf::copy_of(&key)).transpose()
}
