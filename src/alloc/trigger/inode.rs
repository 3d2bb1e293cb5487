// SPDX-License-Identifier: GPL-2.0

//! Inodes: how many there are, which are to be deleted, and the flag that tells of inodes of the
//! same number in snapshots below.

use super::{
    effects::{
        Edit,
        Effects, //
    },
    lookups::Lookups,
    run::{
        Amend,
        Cx, //
    },
};
use crate::{
    error::Result,
    format::{
        bkey::Key,
        btree_id::BtreeId,
        values::{
            accounting::Counted,
            inode::{
                inode_flags,
                InodeFlags, //
            },
        },
    },
};

/// Whether an inode is listed in `deleted_inodes`. C: `bkey_is_unlinked_inode()`.
fn is_unlinked(flags: Option<InodeFlags>) -> bool {
    flags.is_some_and(|f| {
        f.has(InodeFlags::UNLINKED) && !f.has(InodeFlags::HAS_CHILD_SNAPSHOT) //
    })
}

/// C: `bch2_trigger_inode()`.
pub(super) fn update<L: Lookups>(
    cx: &mut Cx<'_, L>,
    old: Option<&Key<'_>>,
    new: Option<&Key<'_>>,
    out: &mut Effects,
) -> Result<Amend, L::Error> {
    let Some(pos) = new.or(old).map(|k| k.k.p) else {
        return Ok(Amend::Keep);
    };
    let flags = |key: Option<&Key<'_>>| match key {
        Some(key) => inode_flags(key).map_err(|e| cx.invalid(key, e)),
        None => Ok(None),
    };
    let (was, mut is) = (flags(old)?, flags(new)?);
    let mut amend = Amend::Keep;
    if let (None, Some(flags)) = (was, is) {
        // What it was copied from had others below; this one need not.
        if flags.has(InodeFlags::HAS_CHILD_SNAPSHOT) && !cx.look.has_child_inode(pos)? {
            is = Some(flags.without(InodeFlags::HAS_CHILD_SNAPSHOT));
            amend = Amend::InodeHasChild(false);
        }
    }
    if is_unlinked(was) != is_unlinked(is) {
        out.bit(BtreeId::DELETED_INODES, pos, is_unlinked(is))?;
    }
    let comes = match (was, is) {
        (None, Some(flags)) => Some(flags),
        (Some(_), None) => None,
        _ => return Ok(amend),
    };
    let by = if comes.is_some() { 1 } else { -1 };
    out.count(cx.look.version(), &Counted::NrInodes, &[by])?;
    if let Some((at, parent)) = cx.look.parent_inode(pos)? {
        let has = comes.is_some() || cx.look.has_child_inode(at)?;
        if has != parent.has(InodeFlags::HAS_CHILD_SNAPSHOT) {
            out.edit(Edit::InodeHasChild { at, has })?;
        }
    }
    Ok(amend)
}
