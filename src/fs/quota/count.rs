// SPDX-License-Identifier: GPL-2.0

//! What is in use and what the limits are, from the btrees.

use super::{
    accounts::Accounts,
    Grace,
    Ids,
    Kind,
    Kinds, //
};
use crate::{
    env::pr_err,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::Inode,
            quota::Quota,
            snapshot::SnapshotTree, //
        },
    },
    fs::{
        inode::find,
        SubvolInum, //
    },
    snapshots::View,
};

/// Reads all for the kinds that are on; nothing when there are none.
#[inline(never)]
pub(super) fn read(view: &View, on: [bool; 3]) -> Result<Kinds> {
    let mut kinds: Kinds = [None, None, None];
    for ((kind, slot), _) in Kind::ALL
        .into_iter()
        .zip(&mut kinds)
        .zip(on)
        .filter(|(_, on)| *on)
    {
        let stored = view.sb().with_super(|sb| {
            let limits = sb.quota()?;
            limits.limits(kind.number())
        });
        let grace = stored.map_or(Grace::default(), |[seconds, warnings]| Grace {
            seconds,
            warnings,
        });
        *slot = Some((grace, Accounts::default()));
    }
    if kinds.iter().any(Option::is_some) {
        read_limits(&mut kinds, view)?;
        count(&mut kinds, view)?;
    }
    Ok(kinds)
}

/// C: `__bch2_quota_set()`.
fn read_limits(kinds: &mut Kinds, view: &View) -> Result {
    let mut keys = view.btrees.iter(BtreeId::QUOTAS, 0, Bpos::MIN);
    while let Some(key) = keys.next()? {
        let kind = Kind::from_number(key.k.p.inode);
        let slot = Kind::ALL.into_iter().zip(kinds.iter_mut());
        let slot = slot
            .filter(|(k, _)| Some(*k) == kind)
            .find_map(|(_, s)| s.as_mut());
        let (Some((_, accounts)), Ok(id)) = (slot, u32::try_from(key.k.p.offset)) else {
            continue;
        };
        if key.k.key_type != KeyType::QUOTA {
            continue;
        }
        match Quota::decode(key.v) {
            Ok(limits) => accounts.of(id)?.limits = limits,
            Err(invalid) => {
                pr_err!("limits at {}: {invalid}", key.k.p);
                return Err(Error::QuotaInvalid);
            }
        }
    }
    Ok(())
}

/// Counts what is in use: each inode as the main subvolume of its snapshot tree has it. Inodes
/// that only snapshots have do not count.
///
/// C: `bch2_fs_quota_read_inode()`.
fn count(kinds: &mut Kinds, view: &View) -> Result {
    let mut keys = view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
    let mut tree = None;
    let mut last = None;
    while let Some(k) = keys.advance()? {
        if last == Some(k.p.offset) {
            continue;
        }
        last = Some(k.p.offset);
        let Some(id) = view.table.tree(k.p.snapshot) else {
            continue;
        };
        let main = match tree {
            Some((i, main)) if i == id => main,
            _ => main_subvolume(view, id)?,
        };
        tree = Some((id, main));
        if main == 0 {
            continue;
        }
        let at = SubvolInum {
            subvol: main,
            inum: k.p.offset,
        };
        match find(view, at) {
            Ok(inode) => add(kinds, &inode)?,
            Err(e) if e.is_not_found() => (),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn add(kinds: &mut Kinds, inode: &Inode) -> Result {
    let ids = Ids::of(inode);
    for (kind, slot) in Kind::ALL.into_iter().zip(kinds.iter_mut()) {
        if let Some((_, accounts)) = slot {
            let account = accounts.of(ids.get(kind))?;
            account.sectors = account.sectors.saturating_add(inode.sectors);
            account.inodes = account.inodes.saturating_add(1);
        }
    }
    Ok(())
}

/// The main subvolume of snapshot tree `id`; 0 when there is none.
#[inline(never)]
pub(super) fn main_subvolume(view: &View, id: u32) -> Result<u32> {
    let pos = Bpos::new(0, u64::from(id), 0);
    let Some(found) = view.lookup(BtreeId::SNAPSHOT_TREES, pos)? else {
        return Ok(0);
    };
    let key = found.key();
    if key.k.key_type != KeyType::SNAPSHOT_TREE {
        return Ok(0);
    }
    match SnapshotTree::decode(key.v) {
        Ok(tree) => Ok(tree.master_subvol),
        Err(invalid) => {
            pr_err!("snapshot tree {id}: {invalid}");
            Ok(0)
        }
    }
}
