// SPDX-License-Identifier: GPL-2.0

//! Subvolumes that go: first their name, and when nothing of them is in use any more, they
//! themselves. What they have written goes later, see [`dead`](super::dead).

use super::{
    keys::{
        delete,
        has_children,
        put_snapshot,
        put_subvolume,
        put_tree,
        set_child,
        snapshot,
        subvolume,
        tree,
        Writing, //
    },
    lookup_visible, View,
};
use crate::{
    btree::{
        trans::{
            Hooks,
            Trans,
            TransResult, //
        },
        KeyBuf, //
    },
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::Inode,
            snapshot::Snapshot,
            subvolume::{
                SubvolState,
                Subvolume, //
            },
        },
    },
    sys::sync::atomic::Ordering,
};

/// Subvolumes, and versions of roots, that are changed in one transaction.
const BATCH: usize = 32;

/// Stages that the subvolume `id` has no name any more. [`Error::SubvolumeNotEmpty`] when others
/// are in its directories.
///
/// C: `bch2_subvolume_unlink()`.
pub fn unlink<H: Hooks>(t: &mut Trans<'_, H>, id: u32) -> TransResult {
    if has_children(t, id)? {
        return Err(Error::SubvolumeNotEmpty.into());
    }
    let mut s = subvolume(t, id)?;
    s.state = SubvolState::Unlinked;
    // It is in no directory any more, and does not keep the one it was in from going.
    set_child(t, s.fs_path_parent, id, false)?;
    s.fs_path_parent = 0;
    put_subvolume(t, id, &s)
}

impl View {
    /// The subvolume `id` has no name any more: the transaction with [`unlink`] was committed.
    pub fn unlinked(&self, id: u32) {
        self.subvols.unlink(id);
    }
}

/// Deletes subvolumes that have no name, and of which no inode is in use; how many. Ends early when
/// `stop` says so, to be called again later.
///
/// C: `bch2_subvolume_wait_for_pagecache_and_delete()`.
pub fn delete_unused<H: Hooks>(
    w: &Writing<'_, H>,
    view: &View,
    stop: &dyn Fn() -> bool,
) -> Result<u64> {
    let mut nr = 0u64;
    while let Some(id) = view.subvols.unused().filter(|_| !stop()) {
        delete_subvolume(w, view, id)?;
        nr = nr.saturating_add(1);
    }
    Ok(nr)
}

/// C: `bch2_subvolume_delete()`.
fn delete_subvolume<H: Hooks>(w: &Writing<'_, H>, view: &View, id: u32) -> Result {
    let trees = view.gate.hold_trees();
    let subvol = view.subvolume(id)?;
    reparent(w, id)?;
    hand_over_roots(w, view, id, &subvol)?;
    // Nobody may begin to write to it while it goes.
    let closed = view.gate.close_held(trees);
    w.run(|t| {
        stage(t, view, id)?;
        t.commit()
    })?;
    view.table.end(subvol.snapshot);
    view.subvols.end(id);
    view.has_dead.store(true, Ordering::Release);
    drop(closed);
    Ok(())
}

/// C: `__bch2_subvolume_delete()`, `bch2_snapshot_node_set_deleted()`.
#[inline(never)]
fn stage<H: Hooks>(t: &mut Trans<'_, H>, view: &View, id: u32) -> TransResult {
    let s = subvolume(t, id)?;
    let mut node = snapshot(t, s.snapshot)?;
    replace_master(t, view, node.tree, id)?;
    node.flags = node.flags & !Snapshot::IS_SUBVOL | Snapshot::WILL_DELETE;
    node.subvol = 0;
    put_snapshot(t, s.snapshot, &node)?;
    set_child(t, s.fs_path_parent, id, false)?;
    delete(t, BtreeId::SUBVOLUMES, id)
}

/// If the subvolume `id` is the one of a tree that the others were made from, another one has to be
/// that.
///
/// C: `bch2_snapshot_tree_master_subvol()`, which is called by fsck.
fn replace_master<H: Hooks>(
    t: &mut Trans<'_, H>,
    view: &View,
    tree_id: u32,
    id: u32,
) -> TransResult {
    let Some(mut of) = tree(t, tree_id)?.filter(|tree| tree.master_subvol == id) else {
        return Ok(());
    };
    let is_other = |(other, s): &(u32, Subvolume)| {
        *other != id && view.table.tree(s.snapshot) == Some(tree_id) //
    };
    let others = || view.subvols.iter().filter(is_other);
    let next = others().find(|(_, s)| is_live(s)).or(others().next());
    let Some((next, _)) = next else {
        // The tree goes, too.
        return Ok(());
    };
    let mut master = subvolume(t, next)?;
    master.is_snapshot = false;
    put_subvolume(t, next, &master)?;
    of.master_subvol = next;
    put_tree(t, tree_id, &of)
}

/// Versions of the root in snapshots above say that they are the root of the subvolume. No other
/// one sees them, as each has a version of its own; but as long as others are below, they stay, and
/// are to be of one of these.
fn hand_over_roots<H: Hooks>(w: &Writing<'_, H>, view: &View, id: u32, s: &Subvolume) -> Result {
    let mut next = Some(Bpos::new(0, s.inode, 0));
    while let Some(from) = next {
        next = w.run(|t| {
            let next = hand_over_some(t, view, (id, s), from)?;
            t.commit()?;
            Ok(next)
        })?;
    }
    Ok(())
}

/// Stages some of that, from `from` on; says where to go on.
#[inline(never)]
fn hand_over_some<H: Hooks>(
    t: &mut Trans<'_, H>,
    view: &View,
    (id, s): (u32, &Subvolume),
    mut from: Bpos,
) -> TransResult<Option<Bpos>> {
    let until = Bpos::new(0, s.inode, u32::MAX);
    let (mut above, mut next) = (Vec::new(), None);
    while let Some(key) = t.next(BtreeId::INODES, from, until)? {
        let p = key.k.p;
        if above.len() == BATCH {
            next = Some(p);
            break;
        }
        let inode = Inode::decode(&key.key()).ok().flatten();
        if let Some(inode) = inode.filter(|i| i.subvol == id && p.snapshot != s.snapshot) {
            above.push((p.snapshot, inode))?;
        }
        if p.snapshot == u32::MAX {
            break;
        }
        from = p.successor();
    }
    for (snapshot, inode) in above.iter() {
        let is_below = |(other, o): &(u32, Subvolume)| {
            *other != id && o.inode == s.inode && view.table.is_ancestor(o.snapshot, *snapshot)
        };
        let mut others = view.subvols.iter().filter(is_below);
        let Some((_, other)) = others.find(|o| is_live(&o.1)).or_else(|| others.next()) else {
            continue;
        };
        let at = Bpos::new(0, other.inode, other.snapshot);
        let root = lookup_visible(t, &view.table, BtreeId::INODES, at)?;
        let root = root.and_then(|k| Inode::decode(&k.key()).ok().flatten());
        let Some(root) = root.filter(|root| root.subvol != id) else {
            continue;
        };
        let inode = Inode {
            subvol: root.subvol,
            parent_subvol: root.parent_subvol,
            dir: root.dir,
            dir_offset: root.dir_offset,
            ..*inode
        };
        let k = Bkey {
            key_type: KeyType::INODE_V3,
            p: Bpos::new(0, inode.inum, *snapshot),
            ..Bkey::default()
        };
        t.update(BtreeId::INODES, KeyBuf::of(k, inode.encode().as_bytes())?)?;
    }
    Ok(next)
}

fn is_live(s: &Subvolume) -> bool {
    s.state == SubvolState::Live
}

/// Subvolumes that were made as snapshots of `id` count as made of what that was made of.
///
/// C: `bch2_subvolumes_reparent()`.
fn reparent<H: Hooks>(w: &Writing<'_, H>, id: u32) -> Result {
    let mut found = Vec::new();
    let mut iter = w.btrees.iter(BtreeId::SUBVOLUMES, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        if key.k.key_type != KeyType::SUBVOLUME {
            continue;
        }
        let is_of = Subvolume::decode(key.v).is_ok_and(|s| s.creation_parent == id);
        if let (true, Ok(other)) = (is_of, u32::try_from(key.k.p.offset)) {
            found.push(other)?;
        }
    }
    drop(iter);
    for batch in found.chunks(BATCH) {
        w.run(|t| {
            let above = subvolume(t, id)?.creation_parent;
            for other in batch {
                let mut s = subvolume(t, *other)?;
                s.creation_parent = above;
                put_subvolume(t, *other, &s)?;
            }
            t.commit()
        })?;
    }
    Ok(())
}
