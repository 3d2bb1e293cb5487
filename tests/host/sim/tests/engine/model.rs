// SPDX-License-Identifier: GPL-2.0

//! What the btrees should hold.

use sim::{
    btree::Btrees,
    format::{
        bkey::{
            Bkey,
            Version, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::plain::Reservation, //
    },
    journal::keys::delta_is_applied,
};
use std::collections::BTreeMap;

/// Btrees of keys that no other key refers to.
pub(crate) const POINTS: [BtreeId; 5] = [
    BtreeId::XATTRS,
    BtreeId::DIRENTS,
    BtreeId::SUBVOLUME_CHILDREN,
    // These two are in the key cache.
    BtreeId::LOGGED_OPS,
    BtreeId::INODES,
];
/// Extents: some are joined with those beside, some are not.
pub(crate) const EXTENTS: [BtreeId; 2] = [BtreeId::FREESPACE, BtreeId::EXTENTS];
/// Btrees that are only changed through the write buffer, but for the counters.
pub(crate) const BUFFERED: [BtreeId; 2] = [BtreeId::LRU, BtreeId::DELETED_INODES];

/// A key and the words of its value.
pub(crate) type Entry = (Bkey, Vec<u64>);

/// Plain maps of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) keys: BTreeMap<(BtreeId, Bpos), Entry>,
    /// By btree, inode and sector: what an extent there says.
    pub(crate) sectors: BTreeMap<(BtreeId, u64, u64), u32>,
    pub(crate) counters: BTreeMap<Bpos, u64>,
}

impl Model {
    /// What is in one or the other; counters are added.
    pub(crate) fn join(&mut self, other: Model) {
        self.keys.extend(other.keys);
        self.sectors.extend(other.sectors);
        for (at, nr) in other.counters {
            *self.counters.entry(at).or_default() += nr;
        }
    }

    /// Whether the btrees hold just that. Buffered keys have to be there.
    pub(crate) fn check(&self, btrees: &Btrees) {
        self.compare(&read(btrees));
    }

    /// Whether this was found.
    pub(crate) fn compare(&self, found: &Model) {
        same(&found.keys, &self.keys);
        same(&found.sectors, &self.sectors);
        let counters = self.counters.iter().filter(|(_, nr)| **nr != 0);
        let counters = counters.map(|(p, nr)| (*p, *nr)).collect();
        same(&found.counters, &counters);
    }
}

fn same<K: Ord + std::fmt::Debug, V: Eq + std::fmt::Debug>(
    found: &BTreeMap<K, V>,
    want: &BTreeMap<K, V>,
) {
    if found == want {
        return;
    }
    let missing: Vec<_> = want.keys().filter(|k| !found.contains_key(k)).collect();
    let more: Vec<_> = found.keys().filter(|k| !want.contains_key(k)).collect();
    let other: Vec<_> = want
        .iter()
        .filter(|(k, v)| found.get(k).is_some_and(|f| f != *v))
        .map(|(k, v)| (k, v, found.get(k)))
        .collect();
    let first = |n: usize| n.min(4);
    panic!(
        "of {} keys {} are missing {:?}, {} too many {:?}, {} are others {:?}",
        want.len(),
        missing.len(),
        &missing[..first(missing.len())],
        more.len(),
        &more[..first(more.len())],
        other.len(),
        &other[..first(other.len())]
    );
}

/// What the btrees hold.
pub(crate) fn read(btrees: &Btrees) -> Model {
    let points: Vec<_> = POINTS.into_iter().chain(BUFFERED).collect();
    let mut model = read_of(btrees, &points, &EXTENTS);
    model.counters = counters(btrees);
    model
}

/// What these btrees hold, of single keys and of extents.
pub(crate) fn read_of(btrees: &Btrees, points: &[BtreeId], extents: &[BtreeId]) -> Model {
    let mut model = Model::default();
    for btree in points.iter().copied() {
        let mut iter = btrees.iter(btree, 0, Bpos::MIN);
        let mut last = None;
        while let Some(key) = iter.next().unwrap() {
            assert!(last < Some(key.k.p), "{btree}: {} after {last:?}", key.k.p);
            last = Some(key.k.p);
            let words = key.v.chunks_exact(8);
            let words = words.map(|w| u64::from_le_bytes(w.try_into().unwrap()));
            model
                .keys
                .insert((btree, key.k.p), (key.k, words.collect()));
        }
    }
    for btree in extents.iter().copied() {
        let mut iter = btrees.iter(btree, 0, Bpos::MIN);
        let mut last = (0, 0);
        while let Some(key) = iter.next().unwrap() {
            let (k, start) = (key.k, key.k.start_offset());
            assert!(last <= (k.p.inode, start) && k.size > 0, "{btree}: {k}");
            last = (k.p.inode, k.p.offset);
            let says = match k.key_type {
                KeyType::RESERVATION => Reservation::decode(key.v).unwrap().generation,
                _ => 0,
            };
            for sector in start..k.p.offset {
                model.sectors.insert((btree, k.p.inode, sector), says);
            }
        }
    }
    model
}

/// The counters, with what the journal has to add to them.
fn counters(btrees: &Btrees) -> BTreeMap<Bpos, u64> {
    let value = |v: &[u8]| u64::from_le_bytes(v[..8].try_into().unwrap());
    let mut found = BTreeMap::<Bpos, (u64, Version)>::new();
    let mut iter = btrees.iter(BtreeId::ACCOUNTING, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        found.insert(key.k.p, (value(key.v), key.k.version));
    }
    let overlay = btrees.overlay();
    for key in overlay.iter().flat_map(|o| o.deltas(Bpos::MIN, Bpos::MAX)) {
        let (nr, version) = found.entry(key.k.p).or_default();
        if !delta_is_applied(key.k.version, *version) {
            *nr = nr.wrapping_add(value(key.v));
        }
    }
    let all = found.into_iter().map(|(p, (nr, _))| (p, nr));
    all.filter(|(_, nr)| *nr != 0).collect()
}
