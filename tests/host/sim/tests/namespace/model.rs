// SPDX-License-Identifier: GPL-2.0

//! What directories and inodes should be, as plain maps.

use sim::{
    format::values::{
        dirent::FileType,
        inode::{
            Inode,
            InodeFlags, //
        },
        subvolume::SubvolState,
    },
    fs::{
        dirent,
        inode,
        symlink,
        xattr,
        SubvolInum, //
    },
    snapshots::View,
};
use std::collections::BTreeMap;

/// An inode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) dev: u32,
    pub(crate) flags: u32,
    pub(crate) mtime: u64,
    pub(crate) ctime: u64,
    /// Of a symbolic link.
    pub(crate) target: Vec<u8>,
    pub(crate) entries: BTreeMap<Vec<u8>, SubvolInum>,
    pub(crate) xattrs: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
}

impl Node {
    pub(crate) fn is_dir(&self) -> bool {
        self.mode >> 12 == 4
    }
}

/// All inodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model(pub(crate) BTreeMap<SubvolInum, Node>);

/// Roots of subvolumes that can be used, in order.
pub(crate) fn roots(view: &View) -> Vec<SubvolInum> {
    let is_live = |id: &u32| {
        let subvol = view.subvolume(*id);
        subvol.is_ok_and(|s| s.state == SubvolState::Live)
    };
    let all = (1..500).filter(is_live);
    all.map(|id| inode::subvolume_root(view, id).unwrap())
        .collect()
}

impl Model {
    /// All that can be reached, and the inodes `more` without a name.
    pub(crate) fn read(view: &View, more: &[SubvolInum]) -> Self {
        let mut all = roots(view);
        all.extend(more);
        Self::read_from(view, all)
    }

    /// All that can be reached from some inodes.
    pub(crate) fn read_from(view: &View, mut todo: Vec<SubvolInum>) -> Self {
        let mut model = Self::default();
        while let Some(at) = todo.pop() {
            if model.0.contains_key(&at) {
                continue;
            }
            let node = read_node(view, at);
            todo.extend(node.entries.values());
            model.0.insert(at, node);
        }
        model
    }

    /// How many names an inode has, as stat(2) says it.
    pub(crate) fn links(&self, at: SubvolInum) -> u32 {
        let entries = self.0.values().flat_map(|n| n.entries.values());
        let names = entries.filter(|e| **e == at).count() as u32;
        let node = &self.0[&at];
        if !node.is_dir() {
            return names;
        }
        let subdirs = node.entries.values();
        let subdirs = subdirs.filter(|e| e.subvol == at.subvol && self.0[e].is_dir());
        match names == 0 && at.inum != 4096 {
            true => 0,
            false => 2 + subdirs.count() as u32,
        }
    }

    /// Compares what inodes say of themselves with where they are.
    pub(crate) fn check(&self, view: &View) {
        for at in self.0.keys() {
            let inode = inode::find(view, *at).unwrap();
            assert_eq!(inode.links(), self.links(*at), "names of {at}\n{inode}");
            let place = (inode.dir, inode.dir_offset);
            if inode.links() == 0 || inode.is_subvol_root() || !inode.is_dir() && place == (0, 0) {
                continue;
            }
            let dir = SubvolInum {
                inum: inode.dir,
                ..*at
            };
            let mut there = None;
            dirent::readdir(view, dir, inode.dir_offset, |e| {
                there = there.or(Some((e.offset, e.target)));
                false
            })
            .unwrap();
            assert_eq!(there, Some((inode.dir_offset, *at)), "where {at} is");
        }
    }
}

fn read_node(view: &View, at: SubvolInum) -> Node {
    let inode = inode::find(view, at).unwrap_or_else(|e| panic!("{at}: {e}"));
    let mut node = plain(&inode);
    if node.is_dir() {
        dirent::readdir(view, at, 0, |e| {
            let old = node.entries.insert(e.name.to_vec(), e.target);
            assert_eq!(old, None, "{at} has \"{}\" twice", e.name.escape_ascii());
            let kind = FileType::of_mode(inode::find(view, e.target).unwrap().mode);
            assert_eq!(e.file_type, kind);
            true
        })
        .unwrap();
        for (name, target) in &node.entries {
            let found = dirent::lookup(view, at, &inode, name);
            assert_eq!(found, Ok(Some(*target)), "\"{}\"", name.escape_ascii());
        }
    }
    if inode.mode >> 12 == 10 {
        node.target = symlink::target(view, at, &inode).unwrap().to_vec();
    }
    xattr::list(view, at, |x| {
        let key = (x.xattr_type.0, x.name.to_vec());
        assert_eq!(node.xattrs.insert(key, x.value.to_vec()), None);
        Ok(())
    })
    .unwrap();
    for ((space, name), value) in &node.xattrs {
        let space = sim::format::values::xattr::XattrType(*space);
        let found = xattr::get_vec(view, at, &inode, space, name).unwrap();
        assert_eq!(found.unwrap().to_vec(), *value);
    }
    node
}

/// What an inode says by itself.
pub(crate) fn plain(inode: &Inode) -> Node {
    let derived = InodeFlags::UNLINKED.with(InodeFlags::HAS_CHILD_SNAPSHOT);
    Node {
        mode: inode.mode,
        uid: inode.uid,
        dev: inode.dev,
        flags: inode.flags.without(derived).0,
        mtime: inode.mtime,
        ctime: inode.ctime,
        ..Node::default()
    }
}
