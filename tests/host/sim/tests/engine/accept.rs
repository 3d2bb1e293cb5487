// SPDX-License-Identifier: GPL-2.0

//! Random transactions on a filesystem that a check accepts afterwards: names that were deleted and
//! values without a name in directories and files that there are, quotas, and space that is
//! reserved in files, far behind their ends, with what that means for the inode.

use super::{
    history::Apply,
    model::{
        read_of,
        Entry,
        Model, //
    },
    space::SpaceFs,
    Random, //
};
use sim::{
    alloc::space::Trans,
    btree::{
        trans::TransResult,
        Btrees,
        KeyBuf, //
    },
    error::{
        Class,
        Result as BchResult, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::Inode,
            plain::Reservation, //
        },
    },
    journal::live::Watermark,
};

/// Btrees of the single keys that are changed.
const POINTS: [BtreeId; 3] = [BtreeId::XATTRS, BtreeId::DIRENTS, BtreeId::QUOTAS];
/// In a file: from this sector on, space is reserved.
const FAR: u64 = 1 << 20;
/// The snapshot of all files.
const SNAPSHOT: u32 = u32::MAX;
/// Where an inode says how many sectors a file has, in its value. C: `bch_inode_v3.bi_sectors`.
const INODE_SECTORS: std::ops::Range<usize> = 24..32;
/// The most threads; each has keys and a file of its own.
pub(crate) const THREADS: u64 = 4;

/// What there is that transactions can be about.
#[derive(Clone, Debug)]
pub(crate) struct Base {
    dirs: Vec<u64>,
    files: Vec<u64>,
    /// What the btrees held at first.
    pub(crate) model: Model,
}

impl Base {
    pub(crate) fn of(btrees: &Btrees) -> Self {
        let (mut dirs, mut files) = (Vec::new(), Vec::new());
        let mut iter = btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
        while let Some(key) = iter.next().unwrap() {
            let inode = Inode::decode(&key).unwrap();
            let is_v3 = key.k.key_type == KeyType::INODE_V3 && key.k.p.snapshot == SNAPSHOT;
            match inode.filter(|_| is_v3) {
                Some(i) if i.mode & 0o170_000 == 0o100_000 => files.push(i.inum),
                Some(i) if i.mode & 0o170_000 == 0o040_000 => dirs.push(i.inum),
                _ => (),
            }
        }
        assert!(!dirs.is_empty());
        Self {
            dirs,
            files,
            model: read(btrees),
        }
    }
}

/// What the btrees hold that transactions change, but for the number of sectors in inodes.
pub(crate) fn read(btrees: &Btrees) -> Model {
    read_of(btrees, &POINTS, &[BtreeId::EXTENTS])
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Set(BtreeId, Bkey, Vec<u64>),
    Delete(BtreeId, Bpos),
    /// Sectors of a file are reserved, with what the reservation says, or are a hole; and by how
    /// much that changes their number.
    Sectors {
        inum: u64,
        start: u64,
        end: u64,
        says: Option<u32>,
        by: i64,
    },
}

/// A transaction.
pub(crate) type Changes = Vec<Change>;

impl Apply for Changes {
    fn apply(&self, model: &mut Model) {
        for change in self {
            apply(model, change);
        }
    }
}

fn apply(model: &mut Model, change: &Change) {
    match change {
        Change::Set(btree, k, v) => {
            let entry: Entry = (*k, v.clone());
            model.keys.insert((*btree, k.p), entry);
        }
        Change::Delete(btree, p) => {
            model.keys.remove(&(*btree, *p));
        }
        Change::Sectors {
            inum,
            start,
            end,
            says,
            ..
        } => {
            for sector in *start..*end {
                let at = (BtreeId::EXTENTS, *inum, sector);
                match says {
                    Some(says) => model.sectors.insert(at, *says),
                    None => model.sectors.remove(&at),
                };
            }
        }
    }
}

/// What a transaction changed in a model, the last change last.
#[derive(Default)]
struct Before {
    keys: Vec<((BtreeId, Bpos), Option<Entry>)>,
    sectors: Vec<((BtreeId, u64, u64), Option<u32>)>,
}

impl Before {
    fn note(&mut self, model: &Model, change: &Change) {
        match change {
            Change::Set(btree, Bkey { p, .. }, _) | Change::Delete(btree, p) => {
                let at = (*btree, *p);
                self.keys.push((at, model.keys.get(&at).cloned()));
            }
            Change::Sectors {
                inum, start, end, ..
            } => {
                let all = (*start..*end).map(|sector| (BtreeId::EXTENTS, *inum, sector));
                let old = all.map(|at| (at, model.sectors.get(&at).copied()));
                self.sectors.extend(old);
            }
        }
    }

    fn restore(self, model: &mut Model) {
        for (at, old) in self.keys.into_iter().rev() {
            match old {
                Some(entry) => model.keys.insert(at, entry),
                None => model.keys.remove(&at),
            };
        }
        for (at, old) in self.sectors.into_iter().rev() {
            match old {
                Some(says) => model.sectors.insert(at, says),
                None => model.sectors.remove(&at),
            };
        }
    }
}

/// What random transactions are about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    pub(crate) base: &'a Base,
    /// About so many positions in each btree.
    pub(crate) positions: u64,
    /// Changes of a transaction at most.
    pub(crate) changes: u64,
    /// Which of several threads.
    pub(crate) thread: u64,
    /// Of so many changes one deletes.
    pub(crate) deletes: u64,
}

impl Kind<'_> {
    /// A random transaction after what `model` has seen; it has seen that as well then.
    pub(crate) fn changes(&self, model: &mut Model, r: &mut Random) -> Changes {
        self.changes_and_before(model, r).0
    }

    /// The same, with what `model` was.
    fn changes_and_before(&self, model: &mut Model, r: &mut Random) -> (Changes, Before) {
        let mut before = Before::default();
        let nr = 1 + r.below(self.changes);
        let changes = (0..nr).map(|_| {
            let change = self.change(model, r);
            before.note(model, &change);
            apply(model, &change);
            change
        });
        let changes = changes.collect();
        (changes, before)
    }

    fn change(&self, model: &Model, r: &mut Random) -> Change {
        let file = self.base.files.get(self.thread as usize);
        match file {
            Some(inum) if r.one_in(4) => self.sectors(*inum, model, r),
            _ => self.point(r),
        }
    }

    fn point(&self, r: &mut Random) -> Change {
        let btree = POINTS[r.below(3) as usize];
        let mut offset = r.below(self.positions) * THREADS + self.thread;
        if offset % 64 == 5 {
            // Far away: other keys can be packed in few bits only if this one is not.
            offset |= (offset & 0xff) << 40;
        }
        let dir = self.base.dirs[r.below(self.base.dirs.len() as u64) as usize];
        let (p, key_type, words) = match btree {
            BtreeId::QUOTAS => (Bpos::new(r.below(3), offset, 0), KeyType::QUOTA, 4),
            BtreeId::XATTRS => {
                let p = Bpos::new(dir, offset, SNAPSHOT);
                (p, KeyType::COOKIE, 1 + r.below(8))
            }
            _ => (Bpos::new(dir, offset, SNAPSHOT), KeyType::HASH_WHITEOUT, 0),
        };
        if r.one_in(self.deletes) {
            return Change::Delete(btree, p);
        }
        let k = Bkey {
            key_type,
            p,
            ..Bkey::default()
        };
        Change::Set(btree, k, (0..words).map(|_| r.next()).collect())
    }

    fn sectors(&self, inum: u64, model: &Model, r: &mut Random) -> Change {
        let start = FAR + r.below(self.positions) * 4;
        let end = start + 1 + r.below(40);
        let says = (!r.one_in(self.deletes)).then(|| r.next() as u32);
        sectors(model, inum, (start, end), says)
    }

    /// Transactions that take back all that there is more in `model` than at first.
    pub(crate) fn undo(&self, model: &Model) -> Vec<Changes> {
        let mut all = Vec::new();
        for at in model.keys.keys() {
            if !self.base.model.keys.contains_key(at) {
                all.push(Change::Delete(at.0, at.1));
            }
        }
        let mut sectors = model.sectors.keys().peekable();
        while let Some((btree, inum, start)) = sectors.next() {
            if self
                .base
                .model
                .sectors
                .contains_key(&(*btree, *inum, *start))
            {
                continue;
            }
            let mut end = start + 1;
            while sectors.next_if(|at| at.1 == *inum && at.2 == end).is_some() {
                end += 1;
            }
            all.push(self::sectors(model, *inum, (*start, end), None));
        }
        all.chunks(self.changes as usize)
            .map(<[_]>::to_vec)
            .collect()
    }
}

fn sectors(model: &Model, inum: u64, (start, end): (u64, u64), says: Option<u32>) -> Change {
    let at = |sector| (BtreeId::EXTENTS, inum, sector);
    let before = model.sectors.range(at(start)..at(end)).count() as i64;
    let after = says.map_or(0, |_| (end - start) as i64);
    Change::Sectors {
        inum,
        start,
        end,
        says,
        by: after - before,
    }
}

fn stage(t: &mut Trans<'_>, change: &Change) -> TransResult {
    match change {
        Change::Set(btree, k, v) => {
            let value: Vec<u8> = v.iter().flat_map(|w| w.to_le_bytes()).collect();
            t.update(*btree, KeyBuf::of(*k, &value)?)
        }
        Change::Delete(btree, p) => t.delete(*btree, *p),
        Change::Sectors {
            inum,
            start,
            end,
            says,
            by,
        } => {
            let k = Bkey {
                key_type: says.map_or(KeyType::DELETED, |_| KeyType::RESERVATION),
                p: Bpos::new(*inum, *end, SNAPSHOT),
                size: (end - start) as u32,
                ..Bkey::default()
            };
            let value = says.map(|generation| Reservation {
                generation,
                nr_replicas: 1,
            });
            let value = value.map_or(Vec::new(), |v| v.encode().to_vec());
            t.update_extent(BtreeId::EXTENTS, KeyBuf::of(k, &value)?)?;
            let pos = Bpos::new(0, *inum, SNAPSHOT);
            let inode = t.get(BtreeId::INODES, pos)?.expect("an inode");
            let mut value: Vec<u8> = inode.key().v.to_vec();
            let old = u64::from_le_bytes(value[INODE_SECTORS].try_into().unwrap());
            let new = old.checked_add_signed(*by).expect("sectors");
            value[INODE_SECTORS].copy_from_slice(&new.to_le_bytes());
            t.update(BtreeId::INODES, KeyBuf::of(inode.k, &value)?)
        }
    }
}

impl SpaceFs {
    /// Runs a transaction; the journal entry it is in.
    pub(crate) fn try_run(&self, changes: &Changes) -> BchResult<u64> {
        self.try_run_as(Watermark::Normal, changes)
    }

    /// The same with another watermark.
    pub(crate) fn try_run_as(&self, watermark: Watermark, changes: &Changes) -> BchResult<u64> {
        self.engine().run(watermark, |t| {
            for change in changes {
                stage(t, change)?;
            }
            t.commit()
        })
    }

    /// Runs a transaction that takes something back, which may use what is kept in reserve.
    pub(crate) fn take_back(&self, changes: &Changes) -> BchResult<u64> {
        self.engine().run_in_reserve(|t| {
            for change in changes {
                stage(t, change)?;
            }
            t.commit()
        })
    }

    /// Runs random transactions while there is space for them; says how many there were.
    pub(crate) fn fill(&self, kind: &Kind<'_>, model: &mut Model, r: &mut Random, nr: u64) -> u64 {
        for done in 0..nr {
            let (changes, before) = kind.changes_and_before(model, r);
            if let Err(e) = self.try_run(&changes) {
                assert_eq!(e.class(), Class::NoSpace, "{e}");
                before.restore(model);
                return done;
            }
        }
        nr
    }
}
