// SPDX-License-Identifier: GPL-2.0

//! A golden image in memory: where its nodes and keys are on the disk, and ways to damage them.

use sim::{
    btree::ptr::NodePtr,
    env::Arc,
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        node::Bset,
        opts::Opts, //
    },
    golden::images,
    init::Filesystem,
};
use std::ops::Range;

/// A node on the disk, which is the first device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeAt {
    pub(crate) btree: BtreeId,
    pub(crate) level: u8,
    pub(crate) min: Bpos,
    pub(crate) max: Bpos,
    pub(crate) byte: usize,
    pub(crate) is_root: bool,
}

pub(crate) struct Disk {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) fs: Arc<Filesystem>,
    pub(crate) nodes: Vec<NodeAt>,
    block: usize,
    node_bytes: usize,
}

fn start(name: &str, bytes: Vec<u8>) -> sim::error::Result<Arc<Filesystem>> {
    Filesystem::start(images::devices(name, vec![bytes]), &Opts::default())
}

impl Disk {
    /// `None` when the image is not there.
    pub(crate) fn open(name: &str) -> Option<Self> {
        let image = images::image(name)?;
        let mut devs = image.unpack().expect(name);
        assert_eq!(devs.len(), 1, "{name}");
        let bytes = devs.remove(0);
        let fs = start(name, bytes.clone()).expect(name);
        let sb = &fs.view.sb().sb;
        Some(Self {
            name: name.to_owned(),
            block: sb.block_bytes() as usize,
            node_bytes: usize::from(sb.node_sectors()) * 512,
            nodes: nodes(&fs),
            bytes,
            fs,
        })
    }

    /// The filesystem with other contents.
    pub(crate) fn start(&self, bytes: Vec<u8>) -> sim::error::Result<Arc<Filesystem>> {
        start(&self.name, bytes)
    }

    /// The bytes of each set of keys of a node, checksum first.
    pub(crate) fn sets(&self, node: &NodeAt) -> Vec<Range<usize>> {
        let bytes = &self.bytes[node.byte..node.byte + self.node_bytes];
        let seq = Bset::first(bytes).expect("a node").head.seq();
        let (mut out, mut at) = (Vec::new(), 0);
        while at < bytes.len() {
            let rest = &bytes[at..];
            let set = match at {
                0 => Bset::first(rest),
                _ => Bset::later(rest).filter(|s| s.head.seq() == seq),
            };
            let Some(set) = set else { break };
            out.push(node.byte + at..node.byte + at + set.total_bytes());
            at += set.total_bytes().next_multiple_of(self.block);
        }
        out
    }

    /// The node of `btree` at `level` that covers `pos`.
    pub(crate) fn node_of(&self, btree: BtreeId, level: u8, pos: Bpos) -> NodeAt {
        let covers =
            |n: &&NodeAt| n.btree == btree && n.level == level && n.min <= pos && pos <= n.max;
        *self.nodes.iter().find(covers).expect("a node covers it")
    }

    /// Changes the value of a key on the disk, at every place where it stands in its node, and
    /// makes the checksums right again.
    pub(crate) fn change_value(
        &self,
        btree: BtreeId,
        key: &Key<'_>,
        change: impl Fn(&mut [u8]),
    ) -> Vec<u8> {
        self.change_value_at(btree, 0, key, change)
    }

    /// The same on any level.
    pub(crate) fn change_value_at(
        &self,
        btree: BtreeId,
        level: u8,
        key: &Key<'_>,
        change: impl Fn(&mut [u8]),
    ) -> Vec<u8> {
        let node = self.node_of(btree, level, key.k.p);
        let mut bytes = self.bytes.clone();
        let mut changed = 0;
        for (nr, set) in self.sets(&node).into_iter().enumerate() {
            let old = &self.bytes[set.clone()];
            let places: Vec<usize> = (0..=old.len().saturating_sub(key.v.len()))
                .filter(|at| old[*at..].starts_with(key.v))
                .collect();
            for at in &places {
                let at = set.start + at;
                change(&mut bytes[at..at + key.v.len()]);
                changed += 1;
            }
            fix_checksum(&mut bytes[set], nr == 0);
        }
        assert_ne!(changed, 0, "{}: no {} in {btree}", self.name, key.k);
        assert_ne!(bytes, self.bytes, "nothing was changed");
        bytes
    }
}

/// Makes the checksum of a set of keys right.
pub(crate) fn fix_checksum(set: &mut [u8], first: bool) {
    let head = match first {
        true => Bset::first(set),
        false => Bset::later(set),
    };
    let head = head.expect("a set of keys");
    let sum = CsumType(head.head.csum_type())
        .checksum(head.covered)
        .expect("a known kind");
    set[..8].copy_from_slice(&sum.to_le_bytes());
    set[8..16].fill(0);
}

/// All nodes of all btrees, on the first device.
fn nodes(fs: &Filesystem) -> Vec<NodeAt> {
    let btrees = &fs.view.btrees;
    let mut out = Vec::new();
    for btree in (0..64).map(BtreeId) {
        let Some(root) = btrees.root_node(btree) else {
            continue;
        };
        out.push(NodeAt {
            btree,
            level: root.level,
            min: root.min,
            max: root.max,
            byte: root.at.1 as usize * 512,
            is_root: true,
        });
        for level in (0..root.level).rev() {
            let mut iter = btrees.iter(btree, level + 1, Bpos::MIN);
            let mut min = Bpos::MIN;
            while let Some(key) = iter.next().expect("undamaged") {
                let ptr = NodePtr::decode(btree, level, &key, btrees.entry_sizes());
                let ptr = ptr.expect("undamaged");
                out.push(NodeAt {
                    btree,
                    level,
                    min,
                    max: ptr.max,
                    byte: ptr.copies().next().expect("a copy").offset.0 as usize * 512,
                    is_root: false,
                });
                min = ptr.max.successor();
            }
        }
    }
    out
}
