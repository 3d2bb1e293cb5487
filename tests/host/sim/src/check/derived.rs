// SPDX-License-Identifier: GPL-2.0

//! Comparing what is derived with what should be.

use super::{
    plain::sectors_by_bucket,
    sectors::check_sectors,
    stored::{
        OwnedKey,
        Stored, //
    },
    world::World,
};
use crate::{
    alloc::trigger::{
        recount,
        BucketChange,
        Derived,
        Edit,
        Effects,
        Kind, //
    },
    env::units::{
        BucketNr,
        DevIdx, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        values::{
            accounting::Counted,
            alloc::Alloc,
            backpointer::Backpointer,
            bucket_index::alloc_pos,
            extent::ptrs,
            stripe::Stripe, //
        },
    },
    snapshots::View,
};
use std::{
    collections::{
        BTreeMap,
        BTreeSet, //
    },
    fmt::{
        self,
        Debug, //
    },
};

/// A difference between what is stored and what should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing is wrong: a btree, a field of buckets, a kind of counter.
    pub what: String,
    /// Where.
    pub at: String,
    /// What is stored.
    pub stored: String,
    /// What should be.
    pub want: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.what, self.at)?;
        write!(f, "stored {}, should be {}", self.stored, self.want)
    }
}

/// Everything that is wrong with what is derived in a filesystem. What can not be read is an error
/// of the test.
pub fn check_derived(view: &View) -> Vec<Finding> {
    let mut findings = Stored::read(view).expect("readable").check();
    findings.extend(check_sectors(view));
    findings
}

/// What should be derived.
#[derive(Default)]
struct Want {
    bits: BTreeSet<(BtreeId, Bpos)>,
    backpointers: BTreeMap<Bpos, Backpointer>,
    counters: BTreeMap<Bpos, Vec<i64>>,
    buckets: BTreeMap<(u8, u64), BucketChange>,
    gens: BTreeMap<(u8, u64), u8>,
    refcounts: BTreeMap<u64, i64>,
    blocks: BTreeMap<(u64, u8), i64>,
    child_flags: BTreeMap<Bpos, bool>,
    findings: Vec<Finding>,
}

impl Want {
    fn count(&mut self, pos: Bpos, by: &[i64]) {
        let sums = self.counters.entry(pos).or_default();
        sums.resize(sums.len().max(by.len()), 0);
        for (sum, by) in sums.iter_mut().zip(by) {
            *sum += by;
        }
    }

    /// Adds the effects of one key. What two keys derive in one place is a finding.
    fn add(&mut self, effects: &mut Effects) {
        for change in effects.keys() {
            let (btree, at) = (change.btree, change.start);
            let twice = match change.to {
                Derived::Absent => {
                    self.bits.remove(&(btree, at));
                    false
                }
                Derived::Set => !self.bits.insert((btree, at)),
                Derived::Backpointer(bp) => self.backpointers.insert(at, bp).is_some(),
            };
            if twice {
                self.find("derived twice", format!("{btree} {at}"), "", "");
            }
        }
        for change in effects.counters() {
            self.count(change.pos, change.by());
        }
        for edit in effects.edits() {
            match *edit {
                Edit::Refcount { end, by } => *self.refcounts.entry(end).or_default() += by,
                Edit::StripeBlock { idx, block, by } => {
                    *self.blocks.entry((idx, block)).or_default() += by;
                }
                Edit::InodeHasChild { at, has } => {
                    self.child_flags.insert(at, has);
                }
                Edit::BucketGen {
                    dev,
                    bucket,
                    generation,
                } => {
                    self.gens.insert((dev.0, bucket.0), generation);
                }
            }
        }
        effects.clear();
    }

    fn find(&mut self, what: &str, at: String, stored: impl Debug, want: impl Debug) {
        self.findings.push(Finding {
            what: what.to_owned(),
            at,
            stored: format!("{stored:?}"),
            want: format!("{want:?}"),
        });
    }

    /// Compares two maps key by key.
    fn compare<K: Ord + Clone, V: PartialEq + Debug>(
        &mut self,
        what: impl Fn(&K) -> String,
        at: impl Fn(&K) -> String,
        stored: &BTreeMap<K, V>,
        want: &BTreeMap<K, V>,
    ) {
        let keys: BTreeSet<&K> = stored.keys().chain(want.keys()).collect();
        for key in keys {
            let (stored, want) = (stored.get(key), want.get(key));
            if stored != want {
                self.find(&what(key), at(key), stored, want);
            }
        }
    }
}

/// What is compared of a bucket, by the names of the fields.
fn fields(a: &Alloc) -> [(&'static str, u64); 6] {
    [
        ("data_type", a.data_type.0.into()),
        ("dirty_sectors", a.dirty_sectors.into()),
        ("cached_sectors", a.cached_sectors.into()),
        ("stripe_sectors", a.stripe_sectors.into()),
        ("stripe", a.stripe.into()),
        ("stripe_redundancy", a.stripe_redundancy.into()),
    ]
}

impl Stored {
    /// Everything that is wrong with what is derived.
    pub fn check(&self) -> Vec<Finding> {
        let mut want = Want::default();
        let mut world = World::new(self);
        self.recount_keys(&mut world, &mut want);
        self.recount_buckets(&mut world, &mut want);
        for (id, what) in world.reports.borrow().iter() {
            want.find(id.name(), what.clone(), "", "");
        }
        self.compare_buckets(&world, &mut want);
        self.compare_plain(&mut want);
        self.compare_rest(&mut want);
        self.check_superblock(&mut want);
        want.findings
    }

    fn recount_keys(&self, world: &mut World<'_>, want: &mut Want) {
        let mut out = Effects::new();
        for ((btree, level, _), key) in &self.sources {
            recount(world, *btree, *level, key.key(), &mut out).expect("keys are valid");
            for change in out.buckets() {
                merge(&mut want.buckets, change);
            }
            want.add(&mut out);
        }
        for (dev, d) in &self.devs {
            for (bucket, data_type, sectors) in &d.metadata {
                let mut change = BucketChange::none(DevIdx(*dev), BucketNr(*bucket));
                change.pointer(Kind::Dirty, (*sectors).into(), DataType(*data_type));
                merge(&mut want.buckets, &change);
            }
        }
    }

    fn recount_buckets(&self, world: &mut World<'_>, want: &mut Want) {
        for (dev, d) in &self.devs {
            let (first, end) = (d.geometry.first_bucket, d.geometry.nr_buckets);
            for bucket in first..end {
                let start = Alloc::default().freespace_start(DevIdx(*dev), BucketNr(bucket));
                want.bits.insert((BtreeId::FREESPACE, start));
            }
            let free = Counted::DevDataType(DevIdx(*dev), DataType::FREE);
            let pos = free.encode(self.version).expect("known");
            want.count(pos, &[(end - first) as i64, 0, 0]);
        }
        let mut out = Effects::new();
        for ((dev, bucket), alloc) in &self.alloc {
            let key = OwnedKey {
                k: Bkey {
                    key_type: KeyType::ALLOC_V4,
                    p: alloc_pos(DevIdx(*dev), BucketNr(*bucket)),
                    ..Bkey::default()
                },
                v: alloc.encode().to_vec(),
            };
            recount(world, BtreeId::ALLOC, 0, key.key(), &mut out).expect("keys are valid");
            want.add(&mut out);
        }
    }

    fn compare_buckets(&self, world: &World<'_>, want: &mut Want) {
        let changes = std::mem::take(&mut want.buckets);
        let all: BTreeSet<_> = self.alloc.keys().chain(changes.keys()).copied().collect();
        for at in all {
            let stored = self.alloc.get(&at).copied().unwrap_or_default();
            let bare = Alloc {
                generation: stored.generation,
                oldest_gen: stored.oldest_gen,
                need_discard: stored.need_discard,
                ..Alloc::default()
            };
            let none = BucketChange::none(DevIdx(at.0), BucketNr(at.1));
            let change = changes.get(&at).unwrap_or(&none);
            let counted = match change.apply(world, &bare) {
                Ok(counted) => counted,
                Err(e) => {
                    want.find("bucket", format!("{at:?}"), stored, e);
                    continue;
                }
            };
            for ((name, stored), (_, counted)) in fields(&stored).into_iter().zip(fields(&counted))
            {
                if stored != counted {
                    let at = format!("{}:{}", at.0, at.1);
                    want.find(&format!("bucket {name}"), at, stored, counted);
                }
            }
        }
    }

    fn compare_plain(&self, want: &mut Want) {
        let plain = sectors_by_bucket(self);
        let all: BTreeSet<_> = self.alloc.keys().chain(plain.keys()).copied().collect();
        for at in all {
            let a = self.alloc.get(&at).copied().unwrap_or_default();
            let stored = [a.dirty_sectors, a.cached_sectors, a.stripe_sectors].map(u64::from);
            let plain = plain.get(&at).copied().unwrap_or_default();
            if stored != plain {
                let at = format!("{}:{}", at.0, at.1);
                want.find("bucket sectors (plain)", at, stored, plain);
            }
        }
    }

    fn compare_rest(&self, want: &mut Want) {
        let bits = std::mem::take(&mut want.bits);
        for (btree, at) in self.bits.symmetric_difference(&bits) {
            let (stored, wanted) = match self.bits.contains(&(*btree, *at)) {
                true => ("set", "absent"),
                false => ("absent", "set"),
            };
            want.find(&btree.to_string(), at.to_string(), stored, wanted);
        }
        let backpointers = std::mem::take(&mut want.backpointers);
        want.compare(
            |_| "backpointers".to_owned(),
            Bpos::to_string,
            &self.backpointers,
            &backpointers,
        );
        let mut counters = std::mem::take(&mut want.counters);
        counters.retain(|_, sums| sums.iter().any(|s| *s != 0));
        let counted = |pos: &Bpos| Counted::decode(*pos, self.version);
        want.compare(
            |_| "accounting".to_owned(),
            |pos| counted(pos).to_string(),
            &self.counters,
            &counters,
        );
        let mut gens = std::mem::take(&mut want.gens);
        gens.retain(|_, gen| *gen != 0);
        let at = |at: &(u8, u64)| format!("{}:{}", at.0, at.1);
        want.compare(|_| "bucket_gens".to_owned(), at, &self.gens, &gens);
        let refcounts = std::mem::take(&mut want.refcounts);
        let stored = self.indirect.iter().map(|(end, (_, n))| (*end, *n as i64));
        let at = u64::to_string;
        want.compare(
            |_| "refcount".to_owned(),
            at,
            &stored.filter(|(_, n)| *n != 0).collect(),
            &refcounts,
        );
        let mut blocks = std::mem::take(&mut want.blocks);
        blocks.retain(|_, n| *n != 0);
        let at = |at: &(u64, u8)| format!("{}:{}", at.0, at.1);
        want.compare(|_| "stripe block".to_owned(), at, &self.blocks(), &blocks);
        for (at, has) in std::mem::take(&mut want.child_flags) {
            want.find("has_child_snapshot", at.to_string(), !has, has);
        }
    }

    /// The superblock says of all that is counted on which devices it is, and of all nodes in which
    /// parts of a device they are.
    fn check_superblock(&self, want: &mut Want) {
        for pos in self.counters.keys() {
            if let Counted::Replicas(r) = Counted::decode(*pos, self.version) {
                // What is only cached can be lost.
                let is_cached = r.data_type == DataType::CACHED;
                if !is_cached && !self.replicas.contains(&r) {
                    want.find("superblock replicas", r.to_string(), "absent", "present");
                }
            }
        }
        for ((btree, level, p), key) in &self.sources {
            let nodes = ptrs(&key.key(), &self.sizes).filter(|_| *level != 0);
            for ptr in nodes.map(|p| p.expect("valid").ptr) {
                let Some(dev) = self.devs.get(&ptr.dev.0) else {
                    continue;
                };
                if !dev.regions.covers(ptr.offset, self.node_sectors) {
                    let at = format!("{btree} {level} {p}: {ptr}");
                    want.find("superblock btree bitmap", at, "clear", "set");
                }
            }
        }
    }

    /// Sectors of the blocks of stripes, those that are not 0.
    fn blocks(&self) -> BTreeMap<(u64, u8), i64> {
        let mut blocks = BTreeMap::new();
        for ((btree, level, p), key) in &self.sources {
            if (*btree, *level) != (BtreeId::STRIPES, 0) {
                continue;
            }
            let stripe = Stripe::decode(&key.v).expect("valid");
            for block in 0..stripe.nr_blocks {
                let sectors = stripe.block_sectors(block).unwrap_or(0);
                if sectors != 0 {
                    blocks.insert((p.offset, block), sectors.into());
                }
            }
        }
        blocks
    }
}

fn merge(all: &mut BTreeMap<(u8, u64), BucketChange>, change: &BucketChange) {
    all.entry((change.dev.0, change.bucket.0))
        .and_modify(|sum| sum.merge(change))
        .or_insert(*change);
}
