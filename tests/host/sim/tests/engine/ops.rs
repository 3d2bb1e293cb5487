// SPDX-License-Identifier: GPL-2.0

//! Random transactions.

use super::{
    history::Apply,
    model::{
        Model,
        BUFFERED,
        EXTENTS,
        POINTS, //
    },
    pool::Pool,
    Fs,
    Random, //
};
use sim::{
    btree::{
        trans::{
            run,
            Trans,
            TransResult, //
        },
        KeyBuf, //
    },
    error::Result as BchResult,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::plain::Reservation, //
    },
    journal::live::Watermark,
};

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Set(BtreeId, Bkey, Vec<u64>),
    Delete(BtreeId, Bpos),
    /// An extent, or with type deleted that there is none.
    Extent(BtreeId, Bkey, u32),
    Buffer(BtreeId, Bkey),
    Count(Bpos, u64),
}

/// A look at a btree in the middle of a transaction: from a position on, and what is found.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    btree: BtreeId,
    from: Bpos,
    until: Bpos,
    finds: Option<(Bkey, Vec<u64>)>,
}

/// A transaction: changes, each with what is seen after it.
pub(crate) type Steps = Vec<(Op, Option<Look>)>;

impl Apply for Steps {
    fn apply(&self, model: &mut Model) {
        self.iter().for_each(|(op, _)| apply(model, op));
    }
}

/// What random transactions are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// About so many positions in each btree.
    pub(crate) positions: u64,
    /// The longest value, in words.
    pub(crate) words: u64,
    /// Changes of a transaction at most.
    pub(crate) changes: u64,
    /// Which of several threads: each has positions of its own in the same nodes.
    pub(crate) thread: u64,
    /// Nobody else changes anything.
    pub(crate) alone: bool,
}

const THREADS: u64 = 8;

impl Kind {
    fn pos(&self, btree: BtreeId, r: &mut Random) -> Bpos {
        let (mut inode, offset) = (r.below(self.positions / 8 + 1), r.below(8));
        if inode % 64 == 5 {
            // Far away: other keys can be packed in few bits only if this one is not.
            inode |= inode << 40;
        }
        let offset = offset * THREADS + self.thread;
        match btree {
            BtreeId::SUBVOLUME_CHILDREN => Bpos::new(1 + inode, 1 + offset, 0),
            // The time of an LRU is in the inode's low bits.
            BtreeId::LRU => Bpos::new(1 + inode, offset, 0),
            BtreeId::LOGGED_OPS => Bpos::new(1 + inode, offset, 0),
            BtreeId::INODES => {
                let nr = (4096 + inode) % (1 << 57) * 64 + offset;
                Bpos::new(0, nr, u32::MAX)
            }
            _ => Bpos::new(4096 + inode, offset, u32::MAX),
        }
    }

    fn op(&self, r: &mut Random) -> Op {
        match r.below(10) {
            0..5 => {
                let btree = POINTS[r.below(POINTS.len() as u64) as usize];
                let p = self.pos(btree, r);
                if r.one_in(4) {
                    return Op::Delete(btree, p);
                }
                let (key_type, words) = match btree {
                    BtreeId::XATTRS => (KeyType::COOKIE, 1 + r.below(self.words)),
                    BtreeId::DIRENTS => (KeyType::HASH_WHITEOUT, 0),
                    // Long ones have memory of their own.
                    BtreeId::LOGGED_OPS => (KeyType::LOGGED_OP_TRUNCATE, 3 + r.below(16)),
                    BtreeId::INODES => (KeyType::INODE_GENERATION, 1 + r.below(self.words)),
                    _ => (KeyType::SET, 0),
                };
                let value = (0..words).map(|_| r.next()).collect();
                let k = Bkey {
                    key_type,
                    p,
                    ..Bkey::default()
                };
                Op::Set(btree, k, value)
            }
            5..7 => {
                let btree = EXTENTS[r.below(2) as usize];
                let size = 1 + r.below(40) as u32;
                let end = u64::from(size) + r.below(self.positions);
                let (key_type, snapshot) = match btree {
                    _ if r.one_in(3) => (KeyType::DELETED, None),
                    BtreeId::FREESPACE => (KeyType::SET, None),
                    _ => (KeyType::RESERVATION, None::<u32>),
                };
                let snapshot = snapshot.unwrap_or(match btree {
                    BtreeId::FREESPACE => 0,
                    _ => u32::MAX,
                });
                let k = Bkey {
                    key_type,
                    p: Bpos::new(4096 + self.thread, end, snapshot),
                    size,
                    ..Bkey::default()
                };
                Op::Extent(btree, k, r.next() as u32)
            }
            7..9 => {
                let btree = BUFFERED[r.below(2) as usize];
                let key_type = match r.one_in(3) {
                    true => KeyType::DELETED,
                    false => KeyType::SET,
                };
                let k = Bkey {
                    key_type,
                    p: self.pos(btree, r),
                    ..Bkey::default()
                };
                Op::Buffer(btree, k)
            }
            // A kind of counter that no version has.
            _ => {
                let nr = r.below(self.positions / 8 + 1) as u32;
                Op::Count(Bpos::new(0, 0, 200 + (nr << 8)), 1 + r.below(9))
            }
        }
    }

    /// A random transaction after what `model` has seen; it has seen that as well then.
    pub(crate) fn steps(&self, model: &mut Model, r: &mut Random) -> Steps {
        let nr = 1 + r.below(self.changes);
        (0..nr)
            .map(|_| {
                let op = self.op(r);
                apply(model, &op);
                let look = r.one_in(2).then(|| self.look(model, r));
                (op, look.flatten())
            })
            .collect()
    }

    /// A transaction that deletes keys that are there: nodes become small by many of them.
    pub(crate) fn deletions(&self, model: &mut Model, r: &mut Random) -> Steps {
        let nr = 1 + r.below(self.changes);
        let mut steps = Steps::new();
        for _ in 0..nr {
            let btree = POINTS.into_iter().chain(BUFFERED).nth(r.below(5) as usize);
            let btree = btree.unwrap();
            let from = self.pos(btree, r);
            let mut keys = model.keys.range((btree, from)..);
            let Some((&(btree, p), (k, _))) = keys.next() else {
                continue;
            };
            let op = match BUFFERED.contains(&btree) {
                true => Op::Buffer(
                    btree,
                    Bkey {
                        key_type: KeyType::DELETED,
                        ..*k
                    },
                ),
                false => Op::Delete(btree, p),
            };
            apply(model, &op);
            steps.push((op, None));
        }
        steps
    }

    fn look(&self, model: &Model, r: &mut Random) -> Option<Look> {
        let btree = POINTS[r.below(POINTS.len() as u64) as usize];
        let from = self.pos(btree, r);
        let until = match r.below(3) {
            0 => from,
            1 => Bpos::new(from.inode, u64::MAX, u32::MAX),
            _ => Bpos::new(from.inode + r.below(20), from.offset, u32::MAX),
        };
        // Others change what is beside in the meantime.
        let until = match self.alone {
            true => until,
            false => from,
        };
        if from > until {
            return None;
        }
        let next = model.keys.range((btree, from)..=(btree, until)).next();
        Some(Look {
            btree,
            from,
            until,
            finds: next.map(|(_, v)| v.clone()),
        })
    }
}

/// What `op` does.
pub(crate) fn apply(model: &mut Model, op: &Op) {
    match op {
        Op::Set(btree, k, v) => {
            model.keys.insert((*btree, k.p), (*k, v.clone()));
        }
        Op::Delete(btree, p) => {
            model.keys.remove(&(*btree, *p));
        }
        Op::Extent(btree, k, says) => {
            for sector in k.start_offset()..k.p.offset {
                let at = (*btree, k.p.inode, sector);
                match k.key_type {
                    KeyType::DELETED => model.sectors.remove(&at),
                    KeyType::SET => model.sectors.insert(at, 0),
                    _ => model.sectors.insert(at, *says),
                };
            }
        }
        Op::Buffer(btree, k) if k.key_type == KeyType::DELETED => {
            model.keys.remove(&(*btree, k.p));
        }
        Op::Buffer(btree, k) => {
            model.keys.insert((*btree, k.p), (*k, Vec::new()));
        }
        Op::Count(p, by) => *model.counters.entry(*p).or_default() += by,
    }
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn stage(t: &mut Trans<'_, Pool>, op: &Op) -> TransResult {
    match op {
        Op::Set(btree, k, v) => t.update(*btree, KeyBuf::of(*k, &bytes(v))?),
        Op::Delete(btree, p) => t.delete(*btree, *p),
        Op::Extent(btree, k, says) => {
            let value = Reservation {
                generation: *says,
                nr_replicas: 1,
            };
            let value = match k.key_type {
                KeyType::RESERVATION => value.encode().to_vec(),
                _ => Vec::new(),
            };
            t.update_extent(*btree, KeyBuf::of(*k, &value)?)
        }
        Op::Buffer(btree, k) => t.buffer(*btree, KeyBuf::of(*k, &[])?),
        Op::Count(p, by) => {
            let k = Bkey {
                key_type: KeyType::ACCOUNTING,
                p: *p,
                ..Bkey::default()
            };
            t.buffer(BtreeId::ACCOUNTING, KeyBuf::of(k, &by.to_le_bytes())?)
        }
    }
}

fn check(t: &mut Trans<'_, Pool>, look: &Look) -> TransResult {
    let found = match look.from == look.until {
        true => t.get(look.btree, look.from)?,
        false => t.next(look.btree, look.from, look.until)?,
    };
    let found = found.map(|k| (k.k, k.value().to_vec()));
    assert_eq!(found, look.finds, "{look:?}");
    Ok(())
}

impl Fs {
    /// Runs a transaction; the journal entry it is in.
    pub(crate) fn run(&self, steps: &Steps) -> BchResult<u64> {
        run(&self.btrees, &self.writer, Watermark::Normal, |t| {
            for (op, look) in steps {
                stage(t, op)?;
                look.as_ref().map_or(Ok(()), |look| check(t, look))?;
            }
            t.commit()
        })
    }

    /// Random transactions.
    pub(crate) fn churn(&self, kind: &Kind, model: &mut Model, r: &mut Random, nr: u64) {
        for _ in 0..nr {
            let steps = kind.steps(model, r);
            self.run(&steps).unwrap();
        }
    }
}
