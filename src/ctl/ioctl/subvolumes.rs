// SPDX-License-Identifier: GPL-2.0

//! What is asked about subvolumes, and the trees of their snapshots.

use super::{
    answer::{
        Answer,
        Bytes, //
    },
    arg::Arg,
    request::{
        admin,
        sane, //
    },
};
use crate::{
    alloc::for_each_of_types,
    env::{
        num::{
            sat_u32,
            u64_of_bits,
            usize_of_u32, //
        },
        Vec,
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            accounting::Counted,
            snapshot::{
                Snapshot,
                SnapshotState,
                SnapshotTree, //
            },
            subvolume::Subvolume,
        },
    },
    fs::{
        handle::way_from,
        inode::{
            root,
            subvolume_root, //
        },
    },
    init::Filesystem,
    snapshots::View,
};

/// Bytes of an entry of a list, without the path. C: `struct bch_ioctl_subvol_dirent`.
const ENTRY_BYTES: usize = 32;
/// Bytes of what is said of a node, and of that what was said of it at first.
/// C: `struct bch_ioctl_snapshot_node_v2`, `struct bch_ioctl_snapshot_node`.
const NODE_BYTES: u32 = 56;
const FIRST_NODE_BYTES: u32 = 40;

/// A list of the subvolumes that have a name in a subvolume, as far as there is room for it.
///
/// C: `struct bch_ioctl_subvol_readdir`.
pub struct Listing {
    /// The subvolume to go on with.
    next: u32,
    room: u32,
    to: u64,
    entries: Vec<u8>,
}

impl Listing {
    pub(super) fn of(arg: &Arg) -> Result<Self> {
        sane(arg.is_zero(20, 4).then_some(()))?;
        Ok(Self {
            next: arg.u32(0),
            room: arg.u32(4),
            to: arg.u64(8),
            entries: Vec::new(),
        })
    }

    /// The first subvolume that is wanted.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// The subvolume `id` is not shown.
    pub fn skip(&mut self, id: u32) {
        self.next = id.saturating_add(1);
    }

    /// Adds the subvolume `id`, which is at `path` in the other one and was made at `time`, in
    /// seconds and nanoseconds. Whether there was room for it.
    pub fn add(
        &mut self,
        id: u32,
        subvol: &Subvolume,
        time: (i64, u32),
        path: &[u8],
    ) -> Result<bool> {
        let bytes = ENTRY_BYTES
            .saturating_add(path.len())
            .saturating_add(1)
            .next_multiple_of(8);
        if self.entries.len().saturating_add(bytes) > usize_of_u32(self.room) {
            return Ok(false);
        }
        let entry = Bytes::new()
            .u32(sat_u32(bytes))?
            .u32(id)?
            .u32(subvol.flags())?
            .u32(subvol.creation_parent)?
            .u64(u64_of_bits(time.0))?
            .u32(time.1)?
            .u32(0)?
            .put(path)?;
        self.entries.extend_from_slice(&entry.0)?;
        let padding = bytes.saturating_sub(entry.0.len());
        self.entries
            .extend_from_slice([0; 8].get(..padding).unwrap_or_default())?;
        self.skip(id);
        Ok(true)
    }

    /// What goes back to the caller.
    pub fn answer(self) -> Result<Answer> {
        let Bytes(head) = Bytes::new()
            .u32(self.next)?
            .u32(self.room)?
            .u64(self.to)?
            .u32(sat_u32(self.entries.len()))?
            .u32(0)?;
        Ok(Answer::with(head, self.entries))
    }
}

/// Which subvolume the path of is wanted, and how much of it there is room for.
///
/// C: `struct bch_ioctl_subvol_to_path`.
pub(super) struct PathOf {
    subvol: u32,
    room: u32,
    pub(super) to: usize,
}

impl PathOf {
    pub(super) fn of(arg: &Arg) -> Result<Self> {
        let room = arg.u32(4);
        sane((room != 0).then_some(()))?;
        Ok(Self {
            subvol: arg.u32(0),
            room,
            to: arg.address(8),
        })
    }

    /// The path, from the root of the filesystem, and a NUL; nothing when there is no room for it.
    ///
    /// C: `bch2_ioctl_subvolume_to_path()`.
    pub(super) fn answer(&self, view: &View) -> Result<Option<Bytes>> {
        let way = way_from(view, root(view)?, subvolume_root(view, self.subvol)?)?;
        let path = Bytes(way.path).put(&[0])?;
        Ok((path.0.len() <= usize_of_u32(self.room)).then_some(path))
    }
}

/// Which tree of snapshots is wanted, and how many of its nodes there is room for.
///
/// C: `struct bch_ioctl_snapshot_tree_query`, with `_v2`.
pub(super) struct TreeOf {
    /// 0: the one that the subvolume of the file is in.
    tree: u32,
    nr: u32,
    /// Bytes of what the caller takes a node to be, if it says so.
    node_bytes: Option<u32>,
}

/// A node, with what it holds: keys, their bytes, and sectors.
struct Node {
    id: u32,
    node: Snapshot,
    holds: [u64; 3],
}

impl TreeOf {
    pub(super) fn of(arg: &Arg, second: bool) -> Result<Self> {
        let last = arg.u32(20);
        // Of the first version, it is padding.
        sane(((last != 0) == second).then_some(()))?;
        let tree = arg.u32(0);
        if tree != 0 {
            admin()?;
        }
        Ok(Self {
            tree,
            nr: arg.u32(12),
            node_bytes: second.then_some(last),
        })
    }

    /// The tree that is meant, asked for by way of a file in `subvol`, and its number.
    fn find(&self, view: &View, subvol: u32) -> Result<(u32, SnapshotTree)> {
        let tree = match self.tree {
            0 => view.table.tree(view.subvolume(subvol)?.snapshot),
            tree => Some(tree),
        };
        // There is no tree 0.
        let tree = tree.unwrap_or(0);
        let at = Bpos::new(0, tree.into(), 0);
        let found = view.btrees.lookup(BtreeId::SNAPSHOT_TREES, at)?;
        let found = found.filter(|k| k.key().k.key_type == KeyType::SNAPSHOT_TREE);
        let found = found.and_then(|k| SnapshotTree::decode(k.key().v).ok());
        Ok((tree, found.ok_or(Error::SnapshotTreeNotFound)?))
    }

    /// All nodes and what they hold, and whether there was room for them.
    ///
    /// C: `__bch2_ioctl_snapshot_tree()`.
    pub(super) fn answer(&self, fs: &Filesystem, subvol: u32) -> Result<(Bytes, bool)> {
        let (tree, found) = self.find(&fs.view, subvol)?;
        let nodes = nodes(&fs.view, tree)?;
        let total = sat_u32(nodes.len());
        let nr = total.min(self.nr);
        let mut bytes = Bytes::new()
            .u32(self.tree)?
            .u32(found.master_subvol)?
            .u32(found.root_snapshot)?
            .u32(nr)?
            .u32(total)?
            .u32(self.node_bytes.map_or(0, |_| NODE_BYTES))?;
        let each = usize_of_u32(self.node_bytes.unwrap_or(FIRST_NODE_BYTES).min(NODE_BYTES));
        for node in nodes.iter().take(usize_of_u32(nr)) {
            let all = node.bytes()?.0;
            bytes = bytes.put(all.get(..each).unwrap_or(&all))?;
        }
        Ok((bytes, self.nr == 0 || self.nr >= total))
    }
}

impl Node {
    fn bytes(&self) -> Result<Bytes> {
        let [keys, key_bytes, sectors] = self.holds;
        let [left, right] = self.node.children;
        [
            self.id,
            self.node.parent,
            left,
            right,
            self.node.subvol,
            self.node.flags,
            0,
            0,
        ]
        .into_iter()
        .try_fold(Bytes::new(), Bytes::u32)?
        .u64(sectors)?
        .u64(keys)?
        .u64(key_bytes)
    }
}

/// The nodes of a tree.
fn nodes(view: &View, tree: u32) -> Result<Vec<Node>> {
    let btrees = &view.btrees;
    btrees.health.require(BtreeId::ACCOUNTING)?;
    let mut nodes: Vec<Node> = Vec::new();
    let mut iter = btrees.iter(BtreeId::SNAPSHOTS, 0, Bpos::MIN);
    while let Some(key) = iter.next()? {
        let (KeyType::SNAPSHOT, Ok(id)) = (key.k.key_type, u32::try_from(key.k.p.offset)) else {
            continue;
        };
        let wanted = |s: &Snapshot| s.tree == tree && s.state != SnapshotState::Deleted;
        if let Some(node) = Snapshot::decode(key.v).ok().filter(wanted) {
            let holds = [0; 3];
            nodes.push(Node { id, node, holds })?;
        }
    }
    drop(iter);
    for_each_of_types(btrees, Counted::Snapshot(0, 0).type_bit(), |counter| {
        let Counted::Snapshot(id, _) = counter.counted else {
            return Ok(());
        };
        let Ok(at) = nodes.binary_search_by_key(&id, |n| n.id) else {
            return Ok(());
        };
        // Before 1.39 there are sectors alone.
        let values = match *counter.values() {
            [sectors] => [0, 0, sectors],
            [keys, bytes, sectors, ..] => [keys, bytes, sectors],
            _ => [0; 3],
        };
        if let Some(node) = nodes.get_mut(at) {
            for (to, from) in node.holds.iter_mut().zip(values) {
                *to = to.saturating_add(u64_of_bits(from));
            }
        }
        Ok(())
    })?;
    Ok(nodes)
}
