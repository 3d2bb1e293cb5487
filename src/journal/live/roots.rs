// SPDX-License-Identifier: GPL-2.0

//! Where each btree starts, as the newest entry on its way to disk has it.

use crate::{
    env::{
        num::usize_of_u8,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX, //
        },
        jset::{
            EntryType,
            JsetWriter, //
        },
    },
};

/// The most words of a pointer to a node. C: `BKEY_BTREE_PTR_U64s_MAX`.
pub(super) const ROOT_U64S_MAX: usize = 16;

/// A root: its level, and the pointer to it as a whole key.
#[derive(Clone, Copy, Debug)]
struct Root {
    level: u8,
    len: usize,
    key: [u64; ROOT_U64S_MAX],
}

/// The roots of all btrees that have one.
#[derive(Debug)]
pub(super) struct RootTable {
    by_id: Vec<Option<Root>>,
}

impl RootTable {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            by_id: Vec::from_elem(None, usize_of_u8(BTREE_ID_NR_MAX))?,
        })
    }

    /// Sets the root of `btree`. A key that is too long is refused.
    pub(super) fn set(
        &mut self,
        btree: BtreeId,
        level: u8,
        key: impl ExactSizeIterator<Item = u64>,
    ) -> Result {
        let len = key.len();
        let slot = self.by_id.get_mut(usize::from(btree.0));
        let Some(slot) = slot.filter(|_| len <= ROOT_U64S_MAX) else {
            return Err(Error::Overflow);
        };
        let mut root = Root {
            level,
            len,
            key: [0; ROOT_U64S_MAX],
        };
        for (to, word) in root.key.iter_mut().zip(key) {
            *to = word;
        }
        *slot = Some(root);
        Ok(())
    }

    /// Forgets the roots of btrees that do not exist.
    pub(super) fn keep(&mut self, exists: impl Fn(BtreeId) -> bool) {
        for (id, root) in (0..BTREE_ID_NR_MAX).zip(self.by_id.iter_mut()) {
            root.take_if(|_| !exists(BtreeId(id)));
        }
    }

    /// Adds a record for each root, except of the btrees whose bits are in `without`.
    ///
    /// C: `bch2_btree_roots_to_journal_entries()`.
    pub(super) fn add_to(&self, w: &mut JsetWriter<'_>, without: u64) -> Result {
        for (id, root) in (0..BTREE_ID_NR_MAX).zip(self.by_id.iter()) {
            let Some(root) = root.as_ref().filter(|_| without & (1 << (id & 63)) == 0) else {
                continue;
            };
            let key = root.key.get(..root.len).unwrap_or_default();
            let words = key.iter().copied();
            w.record(EntryType::BTREE_ROOT, BtreeId(id), root.level, words)?;
        }
        Ok(())
    }
}
