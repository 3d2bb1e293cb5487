// SPDX-License-Identifier: GPL-2.0

//! Keys of snapshots, their trees, and subvolumes in transactions.

use crate::{
    btree::{
        trans::{
            run,
            Hooks,
            Trans,
            TransResult,
            Writer, //
        },
        Btrees,
        KeyBuf, //
    },
    env::pr_err,
    error::{
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            snapshot::{
                Snapshot,
                SnapshotTree, //
            },
            subvolume::Subvolume,
        },
    },
    journal::live::Watermark,
};

/// What it takes to change snapshots and subvolumes.
pub struct Writing<'a, H> {
    /// The btrees.
    pub btrees: &'a Btrees,
    /// Where changes go.
    pub writer: &'a Writer<H>,
}

impl<H: Hooks> Writing<'_, H> {
    /// Runs a transaction that frees space, in the end.
    pub fn run<T>(&self, mut f: impl FnMut(&mut Trans<'_, H>) -> TransResult<T>) -> Result<T> {
        run(self.btrees, self.writer, Watermark::Normal, |t| {
            t.use_reserve();
            f(t)
        })
    }
}

fn at(id: u32) -> Bpos {
    Bpos::new(0, id.into(), 0)
}

/// The key of an id in one of the btrees, decoded. It has to be there.
fn get<T, H: Hooks>(
    t: &mut Trans<'_, H>,
    (btree, key_type, id): (BtreeId, KeyType, u32),
    decode: impl FnOnce(Key<'_>) -> Result<T, Invalid>,
    none: Error,
) -> TransResult<T> {
    let key = t.get(btree, at(id))?;
    let Some(key) = key.filter(|k| k.k.key_type == key_type) else {
        pr_err!(
            "{}: btree {btree}: {id} does not exist",
            t.btrees.sb().name()
        );
        return Err(none.into());
    };
    Ok(decode(key.key()).map_err(|e| {
        pr_err!("{}: btree {btree}: {id}: {e}", t.btrees.sb().name());
        t.btrees.sb().errors.count(e.id);
        none
    })?)
}

fn put<H: Hooks>(
    t: &mut Trans<'_, H>,
    (btree, key_type, id): (BtreeId, KeyType, u32),
    value: &[u8],
) -> TransResult {
    let k = Bkey {
        key_type,
        p: at(id),
        ..Bkey::default()
    };
    t.update(btree, KeyBuf::of(k, value)?)
}

/// The snapshot node `id`, which has to be there.
///
/// C: `bch2_snapshot_lookup()`.
pub(super) fn snapshot<H: Hooks>(t: &mut Trans<'_, H>, id: u32) -> TransResult<Snapshot> {
    let what = (BtreeId::SNAPSHOTS, KeyType::SNAPSHOT, id);
    get(t, what, |k| Snapshot::decode(k.v), Error::SnapshotMissing)
}

/// Stages a snapshot node.
pub fn put_snapshot<H: Hooks>(t: &mut Trans<'_, H>, id: u32, s: &Snapshot) -> TransResult {
    let what = (BtreeId::SNAPSHOTS, KeyType::SNAPSHOT, id);
    put(t, what, &s.encode())
}

/// The tree `id` of snapshots, if there is one.
///
/// C: `bch2_snapshot_tree_lookup()`.
pub(super) fn tree<H: Hooks>(t: &mut Trans<'_, H>, id: u32) -> TransResult<Option<SnapshotTree>> {
    let key = t.get(BtreeId::SNAPSHOT_TREES, at(id))?;
    let key = key.filter(|k| k.k.key_type == KeyType::SNAPSHOT_TREE);
    Ok(key.and_then(|k| SnapshotTree::decode(k.key().v).ok()))
}

/// Stages a tree of snapshots.
pub fn put_tree<H: Hooks>(t: &mut Trans<'_, H>, id: u32, tree: &SnapshotTree) -> TransResult {
    let what = (BtreeId::SNAPSHOT_TREES, KeyType::SNAPSHOT_TREE, id);
    put(t, what, &tree.encode())
}

/// The subvolume `id`, which has to be there.
///
/// C: `bch2_subvolume_get()`.
pub(super) fn subvolume<H: Hooks>(t: &mut Trans<'_, H>, id: u32) -> TransResult<Subvolume> {
    let what = (BtreeId::SUBVOLUMES, KeyType::SUBVOLUME, id);
    get(t, what, |k| Subvolume::decode(k.v), Error::SubvolumeMissing)
}

/// Stages a subvolume.
///
/// C: `bch2_trans_update()`, without `bch2_subvolume_trigger()`.
pub fn put_subvolume<H: Hooks>(t: &mut Trans<'_, H>, id: u32, s: &Subvolume) -> TransResult {
    let what = (BtreeId::SUBVOLUMES, KeyType::SUBVOLUME, id);
    put(t, what, &s.encode())
}

/// Whether there is a key for `id` in one of the btrees.
pub(super) fn is_taken<H: Hooks>(
    t: &mut Trans<'_, H>,
    btree: BtreeId,
    id: u32,
) -> TransResult<bool> {
    Ok(t.get(btree, at(id))?.is_some())
}

/// Deletes the key of `id` in one of the btrees.
pub fn delete<H: Hooks>(t: &mut Trans<'_, H>, btree: BtreeId, id: u32) -> TransResult {
    t.delete(btree, at(id))
}

/// Notes that the name of the subvolume `child` is in a directory of `parent`, or no more.
///
/// C: `subvolume_children_mod()`.
pub fn set_child<H: Hooks>(t: &mut Trans<'_, H>, parent: u32, child: u32, is: bool) -> TransResult {
    if parent == 0 {
        return Ok(());
    }
    let p = Bpos::new(parent.into(), child.into(), 0);
    if !is {
        return t.delete(BtreeId::SUBVOLUME_CHILDREN, p);
    }
    let k = Bkey {
        key_type: KeyType::SET,
        p,
        ..Bkey::default()
    };
    t.update(BtreeId::SUBVOLUME_CHILDREN, KeyBuf::of(k, &[])?)
}

/// Notes that the name of the subvolume `child` is in a directory of `parent` now.
///
/// C: what `bch2_subvolume_trigger()` does for a new `fs_path_parent`.
pub fn move_subvolume<H: Hooks>(t: &mut Trans<'_, H>, child: u32, parent: u32) -> TransResult {
    let s = subvolume(t, child)?;
    if s.fs_path_parent != parent {
        set_child(t, s.fs_path_parent, child, false)?;
    }
    set_child(t, parent, child, true)?;
    let fs_path_parent = parent;
    put_subvolume(
        t,
        child,
        &Subvolume {
            fs_path_parent,
            ..s
        },
    )
}

/// Whether names of other subvolumes are in directories of `parent`.
///
/// C: `bch2_subvol_has_children()`.
pub(super) fn has_children<H: Hooks>(t: &mut Trans<'_, H>, parent: u32) -> TransResult<bool> {
    let (first, last) = (
        Bpos::new(parent.into(), 0, 0),
        Bpos::new(parent.into(), u64::MAX, u32::MAX),
    );
    Ok(t.next_header(BtreeId::SUBVOLUME_CHILDREN, first, last)?
        .is_some())
}
