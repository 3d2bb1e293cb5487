// SPDX-License-Identifier: GPL-2.0

//! Random trees with random keys: whoever stays sees what he saw.

use super::*;
use std::collections::BTreeMap;

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

type Tree = BTreeMap<u32, Snapshot>;

fn node(parent: u32, depth: u32, skip: [u32; 3]) -> Snapshot {
    Snapshot {
        flags: Snapshot::IS_SUBVOL,
        parent,
        children: [0; 2],
        subvol: 1,
        tree: 7,
        depth,
        skip,
        btime_lo: 0,
        btime_hi: 0,
        state: SnapshotState::Live,
        has_state: false,
        pad: 0,
    }
}

/// As snapshots are made, and subvolumes deleted, in any order.
fn tree(r: &mut Random) -> Tree {
    let mut all = Tree::from([(u32::MAX, node(0, 0, [0; 3]))]);
    let mut lowest = u32::MAX;
    for _ in 0..r.below(12) {
        let leaves: std::vec::Vec<u32> = all
            .iter()
            .filter(|(_, s)| s.children == [0; 2])
            .map(|(id, _)| *id)
            .collect();
        let above = leaves[r.below(leaves.len() as u64) as usize];
        let mut s = all[&above];
        let skip = skip_from(above, &s);
        s.children = [lowest - 1, lowest - 2];
        s.flags = 0;
        all.insert(above, s);
        for id in s.children {
            all.insert(id, node(above, s.depth + 1, skip));
        }
        lowest -= 2;
    }
    for s in all.values_mut() {
        if s.children == [0; 2] && r.below(2) == 0 {
            s.flags = Snapshot::WILL_DELETE;
            s.state = SnapshotState::WillDelete;
        }
    }
    all
}

fn is_ancestor(all: &Tree, mut id: u32, above: u32) -> bool {
    while id < above {
        match all.get(&id) {
            Some(s) if s.parent > id => id = s.parent,
            _ => return false,
        }
    }
    id == above
}

fn seen(all: &Tree, keys: &[(u32, KeyType, u32)], id: u32) -> Option<u32> {
    let mine = keys.iter().find(|k| is_ancestor(all, id, k.0));
    mine.filter(|k| !k.1.is_extent_whiteout()).map(|k| k.2)
}

/// What a tree has to be to be accepted by the check of the C implementation.
fn check(all: &Tree) {
    for (id, s) in all {
        assert!(s.children[0] > s.children[1] || s.children == [0; 2]);
        for c in s.children.into_iter().filter(|c| *c != 0) {
            assert_eq!(all[&c].parent, *id);
        }
        let parent = all.get(&s.parent);
        assert_eq!(parent.is_none(), s.parent == 0);
        assert_eq!(s.depth, parent.map_or(0, |p| p.depth + 1));
        assert!(s.skip.is_sorted());
        for skip in s.skip {
            assert_eq!(skip == 0, s.parent == 0);
            assert!(skip == 0 || is_ancestor(all, s.parent, skip), "{id}: {s}");
        }
    }
}

fn apply(all: &mut Tree, root: &mut u32, changes: &[Change]) {
    for change in changes {
        match change.to {
            Some(s) => _ = all.insert(change.id, s),
            None => _ = all.remove(&change.id),
        }
        if let Some((tree, to)) = change.root_of {
            assert_eq!(tree, 7);
            *root = to;
        }
    }
}

#[test]
fn who_stays_sees_the_same() {
    let r = &mut Random(0x1234_5678_9abc);
    for _ in 0..3000 {
        let mut all = tree(r);
        check(&all);
        let mut dead = Dead::of(all.iter().map(|(id, s)| (*id, *s, false))).unwrap();
        let live: std::vec::Vec<u32> = all
            .iter()
            .filter(|(_, s)| s.children == [0; 2] && s.flags & Snapshot::IS_SUBVOL != 0)
            .map(|(id, _)| *id)
            .collect();
        let before = all.clone();
        for _ in 0..8 {
            let mut keys = Vec::new();
            for (nr, id) in before.keys().enumerate() {
                let key_type = match r.below(4) {
                    0 => KeyType::DIRENT,
                    1 => KeyType::WHITEOUT,
                    _ => continue,
                };
                keys.push((*id, key_type, nr as u32)).unwrap();
            }
            let types: std::vec::Vec<_> = keys.iter().map(|k| (k.0, k.1)).collect();
            let acts = dead.settle(&types, |id, above| is_ancestor(&before, id, above));
            let mut after = Vec::new();
            for (key, act) in keys.iter().zip(acts.unwrap().iter()) {
                match act {
                    Act::Keep => after.push(*key).unwrap(),
                    Act::Delete => (),
                    Act::MoveTo(id) => after.push((*id, key.1, key.2)).unwrap(),
                }
            }
            sort::sort_by(&mut after, |a, b| a.0.cmp(&b.0));
            assert!(after.windows(2).all(|k| k[0].0 != k[1].0), "twice");
            assert!(after.iter().all(|k| !dead.concerns(k.0)));
            for id in &live {
                assert_eq!(seen(&before, &keys, *id), seen(&before, &after, *id));
            }
            // In parts, one key after the other, the highest first.
            let mut parts: std::vec::Vec<_> = keys.iter().copied().collect();
            loop {
                let types: std::vec::Vec<_> = parts.iter().map(|k| (k.0, k.1)).collect();
                let acts = dead.settle(&types, |id, above| is_ancestor(&before, id, above));
                let acts = acts.unwrap();
                let Some(at) = acts.iter().rposition(|act| *act != Act::Keep) else {
                    break;
                };
                let key = parts.remove(at);
                if let Act::MoveTo(id) = acts[at] {
                    parts.push((id, key.1, key.2));
                    parts.sort_by_key(|k| k.0);
                }
                for id in &live {
                    assert_eq!(seen(&before, &keys, *id), seen(&before, &parts, *id));
                }
            }
            // Whiteouts that have only hidden others go, too.
            let needed = |k: &&(u32, KeyType, u32)| !k.1.is_extent_whiteout() || parts.contains(k);
            assert!(parts.iter().eq(after.iter().filter(needed)));
        }
        let (nr, mut root) = (dead.nr(), u32::MAX);
        let changes = dead.renumber(|id, above| is_ancestor(&before, id, above));
        apply(&mut all, &mut root, &changes.unwrap());
        for step in dead.take_out().unwrap().iter() {
            apply(&mut all, &mut root, step);
        }
        check(&all);
        assert_eq!(all.len() + nr, before.len());
        assert_eq!(root, all.keys().copied().next_back().unwrap_or(0));
        // As many as are left, and no node more than it takes.
        assert_eq!(all.len(), (2 * live.len()).saturating_sub(1));
        for (i, a) in live.iter().enumerate() {
            assert!(all.contains_key(a));
            for b in &live[i + 1..] {
                let common = |all: &Tree| {
                    let mut id = *a;
                    while !is_ancestor(all, *b, id) {
                        id = all[&id].parent;
                    }
                    id
                };
                assert_eq!(common(&before), common(&all));
            }
        }
        let again = Dead::of(all.iter().map(|(id, s)| (*id, *s, false))).unwrap();
        assert_eq!(again.nr(), 0);
    }
}
