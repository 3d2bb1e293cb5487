// SPDX-License-Identifier: GPL-2.0

//! All keys that something is derived from.

use crate::{
    alloc::trigger::has_triggers,
    btree::Btrees,
    env::pr_err,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX, //
        }, //
    },
};

/// Calls `each` with every key that something is derived from, but those of the alloc btree: keys
/// proper, pointers to nodes, and pointers to roots, which count as being at the level above.
///
/// Errors: [`Error::CheckUnusableKey`] for a key of which it is not known what is derived of it;
/// and those of reading nodes.
///
/// C: `bch2_gc_btrees()`.
#[inline(never)]
pub(super) fn for_each_source(
    btrees: &Btrees,
    mut each: impl FnMut(BtreeId, u8, Key<'_>) -> Result,
) -> Result {
    for btree in (0..BTREE_ID_NR_MAX).map(BtreeId) {
        // Without a root, the journal may have keys that are the first ones.
        let top = btrees.root_level(btree);
        if let Some((level, root)) = btrees.root_pointer(btree)? {
            each(btree, level, root.key())?;
        }
        for level in (0..=top).rev() {
            for_each_of_level(btrees, btree, level, &mut each)?;
        }
    }
    Ok(())
}

fn for_each_of_level(
    btrees: &Btrees,
    btree: BtreeId,
    level: u8,
    each: &mut impl FnMut(BtreeId, u8, Key<'_>) -> Result,
) -> Result {
    if !has_triggers(btree, level) || (btree, level) == (BtreeId::ALLOC, 0) {
        return Ok(());
    }
    let mut iter = btrees.iter(btree, level, Bpos::MIN);
    loop {
        let is_key = iter.advance()?.is_some();
        if iter.nr_unusable() != 0 {
            pr_err!("btree {btree} ({}): a key can not be used", iter.place());
            return Err(Error::CheckUnusableKey);
        }
        match iter.current().filter(|_| is_key) {
            Some(key) => each(btree, level, key)?,
            None => return Ok(()),
        }
    }
}
