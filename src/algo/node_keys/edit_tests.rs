// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    env::Vec,
    format::{
        bkey::Version,
        key_type::KeyType, //
    },
};
use std::{
    collections::BTreeMap,
    vec::Vec as StdVec, //
};

type Model = BTreeMap<Bpos, (Bkey, StdVec<u64>)>;

/// A node, what it should hold, and the sets that were written so far.
struct Node {
    keys: NodeKeys,
    model: Model,
    disk: StdVec<Vec<u8>>,
    /// Where searches have ended, some long ago.
    spots: [Option<Spot>; 4],
}

/// Changes of a node with many keys. The interpreter that looks for undefined behaviour is slow.
const CHANGES: usize = if cfg!(miri) { 300 } else { 2000 };
const MIN: Bpos = Bpos::new(1, 0, 0);
const MAX: Bpos = Bpos::new(40, u64::MAX, u32::MAX);

impl Node {
    fn new() -> Self {
        let mut b = Builder::new(MIN, Bpos::new(4, 1 << 16, 0));
        b.lay_out();
        let keys = b.finish().unwrap();
        Self {
            keys,
            model: Model::new(),
            disk: StdVec::new(),
            spots: [None; 4],
        }
    }

    /// One random change.
    fn change(&mut self, r: &mut u64) {
        let mut random = |n: u64| {
            *r = r
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (*r >> 33) % n
        };
        // Few positions, some of them not packable.
        let p = Bpos::new(1 + random(3) * random(12), random(40), random(2) as u32);
        let near = self.spots[random(4) as usize];
        let spot = self.keys.spot_from(near.as_ref(), &p);
        assert_eq!(spot.place, self.keys.spot_from(None, &p).place);
        self.spots[random(4) as usize] = Some(spot);
        if random(3) == 0 {
            self.keys.reserve(0, 1).unwrap();
            self.keys.delete(p).unwrap();
            self.model.remove(&p);
            return;
        }
        let k = Bkey {
            key_type: KeyType::SET,
            version: Version {
                hi: 0,
                lo: random(5),
            },
            size: random(9) as u32,
            p,
        };
        let value: StdVec<u64> = (0..random(6)).map(|_| random(1 << 30)).collect();
        self.keys.reserve(value.len(), 1).unwrap();
        self.keys.insert_near(near.as_ref(), &k, &value).unwrap();
        self.model.insert(p, (k, value));
    }

    fn write(&mut self) {
        let mut set = Vec::new();
        self.keys.pack_fresh(&mut set).unwrap();
        assert_eq!(set.len(), self.keys.fresh_u64s() * 8);
        self.disk.push(set);
        self.keys.written().unwrap();
        assert_eq!(self.keys.fresh_u64s(), 0);
    }

    fn check(&self) {
        same(&self.keys, &self.model);
        // What is on disk, with what is not written yet as one more set.
        let mut set = Vec::new();
        self.keys.pack_fresh(&mut set).unwrap();
        let mut sets: StdVec<&[u8]> = self.disk.iter().map(|s| &**s).collect();
        sets.push(&set);
        let read = NodeKeys::build(self.keys.format, &sets).unwrap();
        same(&read, &self.model);
        let mut all = Vec::new();
        self.keys.pack_all(&mut all).unwrap();
        assert_eq!(all.len(), self.keys.live_u64s() * 8);
        same(
            &NodeKeys::build(self.keys.format, &[&all]).unwrap(),
            &self.model,
        );
    }
}

fn same(keys: &NodeKeys, model: &Model) {
    let mut expected = model.values();
    for key in keys.iter() {
        let (k, value) = expected.next().unwrap();
        assert_eq!((key.k, key.v), (*k, value.as_bytes()));
    }
    assert!(expected.next().is_none());
    let all = (0..41).flat_map(|o| (0..9).map(move |i| Bpos::new(i, o, 1)));
    for p in all.step_by(if cfg!(miri) { 13 } else { 1 }) {
        let found = keys.key_at(keys.search(&p)).map(|placed| placed.key.k.p);
        assert_eq!(found, model.range(p..).next().map(|(p, _)| *p));
        let exact = keys.get(&p).map(|key| (key.k, key.v));
        assert_eq!(exact, model.get(&p).map(|(k, v)| (*k, v.as_bytes())));
    }
}

#[test]
fn edits_match_a_map_in_memory_and_on_disk() {
    for seed in 0..if cfg!(miri) { 1 } else { 300u64 } {
        let (mut node, mut r) = (Node::new(), seed);
        for step in 0..200 {
            node.change(&mut r);
            if r >> 60 == 0 {
                node.write();
            }
            if step % 20 == 0 {
                node.check();
            }
        }
        node.check();
    }
}

#[test]
fn a_split_keeps_every_key() {
    let (mut node, mut r) = (Node::new(), 5);
    assert_eq!(node.keys.split_pos(60), None);
    for _ in 0..CHANGES {
        node.change(&mut r);
    }
    let pivot = node.keys.split_pos(60).unwrap();
    let left = node.keys.copy_range(MIN, pivot).unwrap();
    let right = node.keys.copy_range(pivot.successor(), MAX).unwrap();
    let (mut low, mut high) = (node.model.clone(), Model::new());
    high.extend(low.split_off(&pivot.successor()));
    same(&left, &low);
    same(&right, &high);
    let share = left.live_u64s() * 100 / node.keys.live_u64s();
    // By words as they are packed before; the new nodes pack better.
    assert!((20..80).contains(&share), "{share}");
}

#[test]
fn a_few_keys_go_with_many_as_these_are_packed() {
    let (mut node, mut r) = (Node::new(), 7);
    for _ in 0..CHANGES {
        node.change(&mut r);
    }
    let pivot = *node.model.keys().nth(node.model.len() / 16).unwrap();
    let few = node.keys.copy_range(MIN, pivot).unwrap();
    let many = node.keys.copy_range(pivot.successor(), MAX).unwrap();
    assert_ne!(few.format, many.format);
    for packed_as in [&few, &many] {
        let mut keys = Builder::new(MIN, MAX);
        keys.lay_out_as(packed_as);
        keys.push_all(&few).unwrap();
        keys.push_all(&many).unwrap();
        let keys = keys.finish().unwrap();
        assert_eq!(keys.format, packed_as.format);
        same(&keys, &node.model);
    }
}

#[test]
fn overwriting_again_and_again_takes_no_memory() {
    let mut node = Node::new();
    for i in 0..if cfg!(miri) { 2_000 } else { 20_000u64 } {
        let k = Bkey {
            key_type: KeyType::SET,
            p: Bpos::new(2, i % 7, 0),
            ..Bkey::default()
        };
        let value = [i; 40];
        let value = &value[..(i % 40) as usize];
        node.keys.reserve(value.len(), 1).unwrap();
        node.keys.insert(&k, value).unwrap();
    }
    assert!(node.keys.bytes() < 32 << 10, "{}", node.keys.bytes());
}
