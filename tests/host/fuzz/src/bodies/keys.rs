// SPDX-License-Identifier: GPL-2.0

//! Packed keys of btree nodes.

use super::show;
use algo::algo::{
    key_format::KeyFormat,
    node_keys::NodeKeys,
    raw_set::check_set, //
};
use format::format::{
    bpos::Bpos,
    node::{
        Bset,
        RawNode, //
    },
};

/// The first set of a node: what passes the check comes out in order, and can be found.
pub(crate) fn first_set(data: &[u8]) {
    let (Some(node), Some(set)) = (RawNode::read(data), Bset::first(data)) else {
        return;
    };
    let format = match KeyFormat::decode(node.format()) {
        Ok(f) => f,
        Err(bad) => return show(&bad),
    };
    let (min, max) = (node.min_key(), node.max_key());
    let mut positions = Vec::new();
    let checked = check_set(&format, set.keys, min, max, |k| {
        positions.push(k.k.p);
        Ok(())
    });
    if checked.is_err() {
        return;
    }
    let keys = NodeKeys::build(format, &[set.keys]).unwrap();
    let mut at = keys.start();
    let mut last = None;
    while let Some(placed) = keys.key_at(at) {
        assert_ne!(placed.next, at);
        assert!(last.is_none_or(|l| l < placed.key.k.p));
        last = Some(placed.key.k.p);
        show(&placed.key.k);
        at = placed.next;
    }
    // Whatever is asked for, the answer is the first key that is not before it.
    let probes = positions
        .iter()
        .flat_map(|p| [*p, p.predecessor(), p.successor()])
        .chain([Bpos::MIN, Bpos::MAX, min, max]);
    for p in probes.take(300) {
        let place = keys.search(&p);
        assert!(keys.pos_at(place).is_none_or(|found| found >= p));
    }
}
