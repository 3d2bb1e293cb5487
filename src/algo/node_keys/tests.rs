// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    algo::{
        key_format::FormatBuilder,
        raw_set::{
            check_set,
            RawKeys, //
        },
    },
    error::Error,
    format::{
        bkey::{
            Bkey,
            Version, //
        },
        key_type::KeyType,
    },
};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    vec::Vec as StdVec, //
};

/// A small deterministic generator, so that a failing seed says it all.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 8) % n
    }
}

fn bytes_of(words: &[u64]) -> StdVec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

/// A key as stored: packed when it fits, else not.
fn store(format: &KeyFormat, k: &Bkey, value: &[u64]) -> StdVec<u8> {
    let n = value.len() as u8;
    let header = format
        .pack(k, n)
        .or_else(|| KeyFormat::UNPACKED.pack(k, n))
        .unwrap();
    let mut out = bytes_of(header.words());
    out.extend(bytes_of(value));
    out
}

/// What a shape of random keys looks like.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inodes: u64,
    offsets: u64,
    snapshots: u64,
    base: Bpos,
    /// One key in so many is not packed; 0 for none.
    unpacked: u64,
    value_u64s: u64,
    whole_range: bool,
}

impl Shape {
    fn key(&self, r: &mut Random) -> Bkey {
        let b = self.base;
        let mut p = Bpos::new(
            b.inode.wrapping_add(r.below(self.inodes)),
            b.offset.wrapping_add(r.below(self.offsets)),
            b.snapshot.wrapping_sub(r.below(self.snapshots) as u32),
        );
        if self.unpacked > 0 && r.below(self.unpacked) == 0 {
            p.offset = r.next();
        }
        Bkey {
            key_type: KeyType(1 + r.below(30) as u8),
            version: Version::default(),
            size: 0,
            p,
        }
    }
}

type Model = BTreeMap<Bpos, (Bkey, StdVec<u64>)>;

/// Fills a node of `nr_sets` sets with about `nr` keys each; the model is what must be seen.
fn build(shape: Shape, nr: usize, nr_sets: usize, seed: u64) -> (NodeKeys, Model, Bpos, Bpos) {
    let mut r = Random(seed | 1);
    let mut builder = FormatBuilder::new();
    for _ in 0..nr / 2 + 2 {
        let mut k = Shape {
            unpacked: 0,
            ..shape
        }
        .key(&mut r);
        k.size = 0;
        builder.add_key(&k);
    }
    let format = builder.finish();
    let mut model = Model::new();
    let mut sets = StdVec::new();
    for _ in 0..nr_sets {
        let mut set = Model::new();
        for _ in 0..nr {
            let mut k = shape.key(&mut r);
            if r.below(5) == 0 {
                k.key_type = KeyType::DELETED;
            }
            let value = (0..r.below(shape.value_u64s + 1)).map(|_| r.next());
            set.insert(k.p, (k, value.collect()));
        }
        let mut bytes = StdVec::new();
        for (k, v) in set.values() {
            bytes.extend(store(&format, k, v));
        }
        sets.push(bytes);
        model.extend(set);
    }
    model.retain(|_, (k, _)| k.key_type != KeyType::DELETED);
    let (min, max) = match (shape.whole_range, model.keys().next(), model.keys().last()) {
        (false, Some(a), Some(b)) => (*a, *b),
        _ => (Bpos::MIN, Bpos::MAX),
    };
    let refs: StdVec<&[u8]> = sets.iter().map(|s| s.as_slice()).collect();
    for set in &refs {
        check_set(&format, set, Bpos::MIN, Bpos::MAX, |_| Ok(())).unwrap();
    }
    let node = NodeKeys::build(format, &refs).unwrap();
    (node, model, min, max)
}

fn check_node(node: &NodeKeys, model: &Model, min: Bpos, max: Bpos, r: &mut Random) {
    let seen: StdVec<_> = node.iter().collect();
    assert_eq!(seen.len(), model.len());
    for (key, (k, v)) in seen.iter().zip(model.values()) {
        assert_eq!(key.k, *k);
        assert_eq!(key.v, bytes_of(v));
    }
    let mut searched: StdVec<Bpos> = StdVec::new();
    for p in model.keys() {
        searched.extend([*p, p.successor(), p.predecessor()]);
    }
    for _ in 0..64 {
        searched.push(Bpos::new(
            r.next() >> (r.next() & 63),
            r.next(),
            r.next() as u32,
        ));
    }
    searched.extend([min, max]);
    for p in searched {
        // A node is searched only for positions in its range.
        let p = p.clamp(min, max);
        let found = node.search(&p);
        let want = model.range(p..).next();
        assert_eq!(node.pos_at(found), want.map(|w| *w.0), "search for {p:?}");
        assert_eq!(node.cursor(&p).next().map(|k| k.k.p), want.map(|w| *w.0));
        if want.is_none() {
            assert_eq!(found, node.end());
        }
    }
}

fn shapes() -> StdVec<Shape> {
    let base = Shape {
        inodes: 4,
        offsets: 5000,
        snapshots: 3,
        base: Bpos::new(4096, 0, u32::MAX),
        unpacked: 0,
        value_u64s: 4,
        whole_range: false,
    };
    std::vec![
        base,
        Shape {
            unpacked: 7,
            ..base
        },
        Shape {
            unpacked: 7,
            whole_range: true,
            ..base
        },
        // Long positions: every field wide.
        Shape {
            inodes: u64::MAX,
            offsets: u64::MAX,
            snapshots: 1 << 32,
            base: Bpos::MIN,
            ..base
        },
        // No bits at all in the inode, few elsewhere.
        Shape {
            inodes: 1,
            offsets: 40,
            snapshots: 1,
            ..base
        },
        // Keys longer than a block of the search tree.
        Shape {
            value_u64s: 240,
            ..base
        },
        // Long common prefixes.
        Shape {
            inodes: 1,
            offsets: 1 << 40,
            base: Bpos::new(1 << 60, 7 << 50, 9),
            ..base
        },
        Shape {
            snapshots: 1 << 20,
            offsets: 2,
            ..base
        },
    ]
}

#[test]
fn nodes_of_all_shapes_and_sizes() {
    for (i, shape) in shapes().into_iter().enumerate() {
        for nr in [0, 1, 2, 3, 7, 30, 100, 700] {
            if cfg!(miri) && nr > 7 {
                break;
            }
            for sets in [1, 2, 5] {
                let seed = (i as u64 + 1) << 32 | (nr as u64) << 8 | sets as u64;
                let (node, model, min, max) =
                    build(shape, nr, sets, seed.wrapping_mul(0x9e37_79b9));
                check_node(&node, &model, min, max, &mut Random(seed));
            }
        }
    }
}

/// Every subset of a few positions, every position searched for: nothing is left to chance.
#[test]
fn exhaustive_small_sets() {
    for nr in 0..if cfg!(miri) { 2 } else { 7u32 } {
        for spread in [1u64, 3, 1 << 20] {
            let mut builder = FormatBuilder::new();
            for i in 0..8 {
                builder.add_pos(Bpos::new(1, 5 + i * spread, 1));
            }
            let format = builder.finish();
            for chosen in 0..1u32 << nr {
                let mut set = StdVec::new();
                let mut all = StdVec::new();
                for i in (0..nr).filter(|i| chosen & (1 << i) != 0) {
                    let k = Bkey {
                        key_type: KeyType::EXTENT,
                        p: Bpos::new(1, 5 + u64::from(i) * spread, 1),
                        ..Bkey::default()
                    };
                    // Twenty words each, so that there are several blocks.
                    set.extend(store(&format, &k, &[u64::from(i); 20]));
                    all.push(k.p);
                }
                let node = NodeKeys::build(format, &[&set]).unwrap();
                for i in 0..10 {
                    for nudge in [-1i64, 0, 1] {
                        let o = (4 + i * spread).saturating_add_signed(nudge);
                        for p in [Bpos::new(0, o, 1), Bpos::new(1, o, 1), Bpos::new(2, o, 1)] {
                            let want = all.iter().find(|k| **k >= p).copied();
                            assert_eq!(node.pos_at(node.search(&p)), want);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn the_newest_set_wins_and_deleted_keys_go() {
    let format = KeyFormat::UNPACKED;
    let key = |offset, key_type| Bkey {
        key_type,
        p: Bpos::new(1, offset, 0),
        ..Bkey::default()
    };
    let set = |keys: &[(u64, KeyType, u64)]| {
        let stored = keys
            .iter()
            .map(|(o, t, v)| store(&format, &key(*o, *t), &[*v]));
        stored.collect::<StdVec<_>>().concat()
    };
    let old = set(&[
        (1, KeyType::SET, 1),
        (2, KeyType::SET, 1),
        (3, KeyType::SET, 1),
    ]);
    let mid = set(&[
        (1, KeyType::DELETED, 2),
        (2, KeyType::SET, 2),
        (4, KeyType::DELETED, 2),
    ]);
    let new = set(&[(1, KeyType::SET, 3), (3, KeyType::WHITEOUT, 3)]);
    let node = NodeKeys::build(format, &[&old, &mid, &new]).unwrap();
    let seen: StdVec<_> = node
        .iter()
        .map(|k| (k.k.p.offset, k.k.key_type, k.v[0]))
        .collect();
    assert_eq!(
        seen,
        [
            (1, KeyType::SET, 3),
            (2, KeyType::SET, 2),
            (3, KeyType::WHITEOUT, 3)
        ]
    );
}

#[test]
fn a_value_that_no_key_can_have() {
    let k = Bkey::default();
    for (u64s, is_well) in [(0, true), (250, true), (251, false), (256, false)] {
        let packed = pack(&KeyFormat::UNPACKED, &k, u64s).map(|_| ());
        let want = if is_well {
            Ok(())
        } else {
            Err(Error::KeyTooLong)
        };
        assert_eq!(packed, want, "{u64s}");
    }
}

#[test]
fn checks_name_what_is_wrong() {
    use crate::error::fsck::FsckError;
    let format = KeyFormat::UNPACKED;
    let k = |o| Bkey {
        p: Bpos::new(1, o, 0),
        key_type: KeyType::SET,
        ..Bkey::default()
    };
    let good = [store(&format, &k(1), &[]), store(&format, &k(2), &[7])].concat();
    let id = |bytes: &[u8]| {
        let r = check_set(
            &format,
            bytes,
            Bpos::new(1, 1, 0),
            Bpos::new(1, 2, 0),
            |_| Ok(()),
        );
        r.map_err(|b| (b.at, b.invalid.id))
    };
    assert_eq!(id(&good), Ok(2));
    for cut in [41, 48, 80] {
        let cut_off = &good[..cut];
        assert_eq!(id(cut_off).is_err(), cut >= 48, "{cut}");
    }
    let mut bad = good.clone();
    bad[40] = 0;
    assert_eq!(id(&bad), Err((5, FsckError::BTREE_NODE_BKEY_BAD_U64S)));
    bad[40] = 7;
    assert_eq!(id(&bad), Err((5, FsckError::BTREE_NODE_BKEY_PAST_BSET_END)));
    bad[40] = 6;
    bad[41] = 2;
    assert_eq!(id(&bad), Err((5, FsckError::BTREE_NODE_BKEY_BAD_FORMAT)));
    let swapped = [store(&format, &k(2), &[]), store(&format, &k(1), &[])].concat();
    assert_eq!(
        id(&swapped),
        Err((5, FsckError::BTREE_NODE_BKEY_OUT_OF_ORDER))
    );
    let low = store(&format, &k(0), &[]);
    assert_eq!(
        id(&low),
        Err((0, FsckError::BKEY_BEFORE_START_OF_BTREE_NODE))
    );
    let high = store(&format, &k(3), &[]);
    assert_eq!(id(&high), Err((0, FsckError::BKEY_AFTER_END_OF_BTREE_NODE)));
}

/// At most this many keys in a node made at random: a search of each costs Miri seconds.
const KEYS: usize = if cfg!(miri) { 24 } else { 200 };

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn random_nodes(seed: u64, shape in 0..8usize, nr in 0..KEYS, sets in 1..6usize) {
        let (node, model, min, max) = build(shapes()[shape], nr, sets, seed);
        check_node(&node, &model, min, max, &mut Random(seed | 1));
    }

    /// Bytes that were never keys: no panic, no endless loop, whatever is found is in order.
    #[test]
    fn garbage_never_panics(
        bytes in proptest::collection::vec(any::<u8>(), 0..10 * KEYS),
        small in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if small {
            // Lengths that make sense more often.
            bytes.iter_mut().step_by(8).for_each(|b| *b &= 7);
            bytes.iter_mut().skip(1).step_by(8).for_each(|b| *b &= 1);
        }
        let mut builder = FormatBuilder::new();
        builder.add_pos(Bpos::MIN);
        builder.add_pos(Bpos::new(200, 60000, 3));
        let format = builder.finish();
        let _ = check_set(&format, &bytes, Bpos::MIN, Bpos::MAX, |_| Ok(()));
        let _ = RawKeys::new(&format, &bytes).count();
        let sets = [&bytes[..bytes.len() / 2], &bytes[..], &bytes[8.min(bytes.len())..]];
        let node = NodeKeys::build(format, &sets).unwrap();
        let all: StdVec<_> = node.iter().map(|k| k.k.p).collect();
        prop_assert!(all.windows(2).all(|w| w[0] < w[1]));
        for p in all {
            prop_assert_eq!(node.pos_at(node.search(&p)), Some(p));
        }
    }
}
