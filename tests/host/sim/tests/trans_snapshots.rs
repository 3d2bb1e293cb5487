// SPDX-License-Identifier: GPL-2.0

//! Extents of files that many snapshots see: random writes and deletions in the newest snapshots,
//! with new ones made in between, against what each snapshot saw sector by sector.
//!
//! `BCACHEFS_RS_TRANSACTIONS` sets how many are made, `BCACHEFS_RS_SEED` which.

mod engine;

use engine::{
    copy,
    image::{
        empty,
        Sizes, //
    },
    live,
    open,
    read,
    setting,
    Fs,
    Random, //
};
use sim::{
    btree::{
        trans::{
            run,
            Ancestry, //
        },
        Btrees,
        KeyBuf, //
    },
    env::restart_often,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::plain::Reservation, //
    },
    journal::live::Watermark,
    sys::block::BlockDevice, //
};
use std::collections::BTreeMap;

/// The root of the tree.
const ROOT: u32 = u32::MAX;

/// What a snapshot sees: by inode and sector, what a reservation says.
type Sight = BTreeMap<(u64, u64), u32>;

/// Snapshots, by parent; and what each of them sees.
struct Tree {
    parents: BTreeMap<u32, u32>,
    leaves: Vec<u32>,
    sights: BTreeMap<u32, Sight>,
    next: u32,
}

impl Ancestry for Tree {
    fn is_ancestor(&self, mut id: u32, ancestor: u32) -> bool {
        while id != ancestor {
            match self.parents.get(&id) {
                Some(parent) => id = *parent,
                None => return false,
            }
        }
        true
    }
}

impl Tree {
    fn new() -> Self {
        Self {
            parents: BTreeMap::new(),
            leaves: vec![ROOT],
            sights: BTreeMap::from([(ROOT, Sight::new())]),
            next: ROOT,
        }
    }

    /// Two new snapshots take the place of one.
    fn fork(&mut self, r: &mut Random) {
        let at = r.below(self.leaves.len() as u64) as usize;
        let parent = self.leaves.swap_remove(at);
        for _ in 0..2 {
            self.next -= 1 + r.below(3) as u32;
            let sight = self.sights[&parent].clone();
            self.parents.insert(self.next, parent);
            self.sights.insert(self.next, sight);
            self.leaves.push(self.next);
        }
    }

    /// What `id` sees, of all keys; what it sees twice is an error.
    fn look(&self, id: u32, keys: &[(Bkey, u32)]) -> Sight {
        let mut sight = Sight::new();
        for place in keys.chunk_by(|a, b| a.0.p.same_place(b.0.p)) {
            let nearest = place.iter().find(|k| self.is_ancestor(id, k.0.p.snapshot));
            let Some((k, says)) = nearest.filter(|k| k.0.key_type == KeyType::RESERVATION) else {
                continue;
            };
            for sector in k.start_offset()..k.p.offset {
                let before = sight.insert((k.p.inode, sector), *says);
                assert_eq!(
                    before, None,
                    "snapshot {id} sees {k}, and something else there"
                );
            }
        }
        sight
    }

    fn check(&self, btrees: &Btrees) {
        let mut keys = Vec::new();
        let mut iter = btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN);
        while let Some(key) = iter.next().unwrap() {
            let says = match key.k.key_type {
                KeyType::RESERVATION => Reservation::decode(key.v).unwrap().generation,
                _ => 0,
            };
            keys.push((key.k, says));
        }
        for (id, sight) in &self.sights {
            assert_eq!(&self.look(*id, &keys), sight, "snapshot {id}");
        }
    }
}

/// One random write or deletion.
fn change(fs: &Fs, tree: &mut Tree, r: &mut Random, sectors: u64) {
    let snapshot = tree.leaves[r.below(tree.leaves.len() as u64) as usize];
    let inode = 4096 + r.below(2);
    let start = r.below(sectors);
    let end = start + 1 + r.below(24);
    let says = (!r.one_in(3)).then(|| r.next() as u32);
    let k = Bkey {
        key_type: says.map_or(KeyType::DELETED, |_| KeyType::RESERVATION),
        p: Bpos::new(inode, end, snapshot),
        size: (end - start) as u32,
        ..Bkey::default()
    };
    let value = says.map(|generation| Reservation {
        generation,
        nr_replicas: 1,
    });
    let value = value.map_or(Vec::new(), |v| v.encode().to_vec());
    let done = run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
        t.update_extent_in(BtreeId::EXTENTS, KeyBuf::of(k, &value)?, tree)?;
        t.commit()
    });
    done.unwrap();
    let sight = tree.sights.get_mut(&snapshot).unwrap();
    for sector in start..end {
        match says {
            Some(says) => sight.insert((inode, sector), says),
            None => sight.remove(&(inode, sector)),
        };
    }
}

fn each_sees_its_own(seed: u64, node: u32, sectors: u64, restarts: u32) {
    println!("BCACHEFS_RS_SEED={seed}");
    restart_often(restarts);
    let dev = BlockDevice::from_memory("sim", empty(Sizes::new(node, 512)));
    let medium = dev.medium();
    medium.set_block_bytes(512);
    let fs = open(dev);
    let (mut tree, mut r) = (Tree::new(), Random(seed));
    let nr = setting("BCACHEFS_RS_TRANSACTIONS", 1_000);
    live(&fs, |fs| {
        for at in 0..nr {
            if at % (nr / 12).max(1) == 40 && tree.leaves.len() < 9 {
                tree.fork(&mut r);
            }
            change(fs, &mut tree, &mut r, sectors);
            if at % 50 == 0 {
                tree.check(&fs.btrees);
            }
        }
    });
    assert!(tree.leaves.len() > 4);
    tree.check(&fs.btrees);
    fs.writer.journal.flush().unwrap();
    tree.check(&read(copy(&medium)).unwrap().btrees);
}

#[test]
fn what_is_written_in_one_snapshot_is_not_seen_in_others() {
    let first = setting("BCACHEFS_RS_SEED", 1);
    for seed in first..first + setting("BCACHEFS_RS_ROUNDS", 4) {
        each_sees_its_own(seed, 4 << 10, 60, 0);
        each_sees_its_own(seed, 64 << 10, 400, 0);
        each_sees_its_own(seed, 4 << 10, 3000, 0);
    }
    each_sees_its_own(first, 4 << 10, 200, 12);
}
