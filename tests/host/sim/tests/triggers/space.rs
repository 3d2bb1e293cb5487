// SPDX-License-Identifier: GPL-2.0

//! Buckets: taking, discarding and invalidating them; pointers to btree nodes.

use super::Fs;
use sim::{
    alloc::foreground::NodeRegions,
    check::{
        Dev,
        OwnedKey,
        Stored, //
    },
    env::units::{
        DevIdx,
        Sectors, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::Version,
        values::{
            accounting::Counted,
            alloc::Alloc,
            extent_entry::Ptr,
            validate::DevGeometry, //
        },
    },
};

pub(crate) const DEVS: u8 = 4;
const NODE_SECTORS: u64 = 16;

/// Four small devices, one of them with larger buckets.
pub(crate) fn empty() -> Stored {
    let mut s = Stored {
        version: Version::new(1, 13),
        node_sectors: NODE_SECTORS,
        ..Stored::default()
    };
    for dev in 0..DEVS {
        let geometry = DevGeometry {
            first_bucket: 2,
            nr_buckets: 34,
            bucket_sectors: if dev == 3 { 96 } else { 64 },
        };
        let d = Dev {
            geometry,
            metadata: Vec::new(),
            groups: vec![u64::from(dev / 2)],
            takes_user_data: true,
            regions: NodeRegions {
                bits: u64::MAX,
                shift: 20,
                bucket_sectors: geometry.bucket_sectors,
            },
        };
        s.devs.insert(dev, d);
        for bucket in 2..34 {
            let start = Bpos::new(dev.into(), bucket, 0);
            s.bits.insert((BtreeId::FREESPACE, start));
        }
        let free = Counted::DevDataType(DevIdx(dev), DataType::FREE);
        let pos = free.encode(s.version).unwrap();
        s.counters.insert(pos, vec![32, 0, 0]);
    }
    for (id, parent) in [
        (u32::MAX, 0),
        (u32::MAX - 1, u32::MAX),
        (u32::MAX - 2, u32::MAX),
    ] {
        s.snapshot_parents.insert(id, parent);
    }
    s.snapshot_parents.insert(u32::MAX - 3, u32::MAX - 1);
    s
}

impl Fs {
    /// A bucket of `dev` in this state that is not being written to.
    pub(crate) fn bucket(&mut self, dev: u8, data_type: DataType) -> Option<u64> {
        let nr = self.s.devs[&dev].geometry.nr_buckets;
        let all: Vec<u64> = (2..nr)
            .filter(|b| {
                let state = self.s.alloc.get(&(dev, *b)).copied().unwrap_or_default();
                state.data_type == data_type && !self.s.open.contains(&(dev, *b))
            })
            .collect();
        self.rng.pick(&all)
    }

    /// Space for `sectors` on `dev`, behind what was written there last of this type.
    pub(crate) fn allocate(&mut self, dev: u8, sectors: u64, data_type: DataType) -> Option<Ptr> {
        let size = self.s.devs[&dev].geometry.bucket_sectors;
        let point = (dev, data_type.0);
        let goes_on = self.points.get(&point).copied();
        let (bucket, used) = match goes_on.filter(|(_, used)| used + sectors <= size) {
            Some(at) => at,
            None => {
                let next = self.bucket(dev, DataType::FREE)?;
                if let Some((last, _)) = goes_on {
                    self.s.open.remove(&(dev, last));
                }
                self.s.open.insert((dev, next));
                (next, 0)
            }
        };
        self.points.insert(point, (bucket, used + sectors));
        let generation = self.s.alloc.get(&(dev, bucket)).map_or(0, |a| a.generation);
        Some(Ptr {
            dev: DevIdx(dev),
            offset: Sectors(bucket * size + used),
            generation,
            cached: false,
            unwritten: false,
        })
    }
}

/// What waits for it is discarded, and can be used again.
pub(crate) fn discard(fs: &mut Fs) -> bool {
    let dev = fs.rng.below(DEVS.into()) as u8;
    let mut any = false;
    for _ in 0..4 {
        let Some(bucket) = fs.bucket(dev, DataType::NEED_DISCARD) else {
            break;
        };
        let old = fs.s.alloc[&(dev, bucket)];
        let new = Alloc {
            need_discard: false,
            ..old
        };
        fs.s.commit(Vec::new(), &[((dev, bucket), new)]).unwrap();
        any = true;
    }
    any
}

/// Cached data is dropped.
pub(crate) fn invalidate(fs: &mut Fs) -> bool {
    let dev = fs.rng.below(DEVS.into()) as u8;
    let Some(bucket) = fs.bucket(dev, DataType::CACHED) else {
        return false;
    };
    fs.s.invalidate((dev, bucket)).unwrap();
    true
}

/// A bucket is not written to any further, full or not. If everything in it was deleted meanwhile,
/// its generation is raised when it is next looked at.
pub(crate) fn close(fs: &mut Fs) -> bool {
    let all: Vec<_> = fs.points.keys().copied().collect();
    let Some(point) = fs.rng.pick(&all) else {
        return false;
    };
    let (bucket, _) = fs.points.remove(&point).unwrap();
    fs.s.open.remove(&(point.0, bucket))
}

/// A btree node is written to a new place, or is deleted.
pub(crate) fn node(fs: &mut Fs) -> bool {
    let pos = Bpos::new(fs.rng.below(6), u64::MAX, u32::MAX);
    let mut k = Bkey {
        key_type: KeyType::BTREE_PTR_V2,
        p: pos,
        ..Bkey::default()
    };
    let mut v = vec![0; 40];
    v[8] = fs.rng.below(256) as u8;
    for copy in 0..1 + fs.rng.below(2) as u8 {
        if let Some(ptr) = fs.allocate(copy * 2, NODE_SECTORS, DataType::BTREE) {
            v.extend(ptr.to_word().to_le_bytes());
        }
    }
    if v.len() == 40 || fs.rng.below(3) == 0 {
        k.key_type = KeyType::DELETED;
        v.clear();
    }
    let btree = [BtreeId::EXTENTS, BtreeId::INODES][fs.rng.below(2) as usize];
    let level = 1 + fs.rng.below(2) as u8;
    fs.commit(vec![(btree, level, OwnedKey { k, v })]);
    true
}

/// Nothing is left but buckets.
pub(crate) fn assert_empty(s: &Stored, seed: u64) {
    assert!(s.sources.is_empty(), "{:?}", s.sources);
    assert!(s.backpointers.is_empty(), "seed {seed}");
    for (btree, at) in &s.bits {
        let of_buckets = [BtreeId::FREESPACE, BtreeId::NEED_DISCARD];
        assert!(of_buckets.contains(btree), "seed {seed}: {btree} {at}");
    }
    for (pos, sums) in &s.counters {
        let counted = Counted::decode(*pos, s.version);
        assert!(
            matches!(counted, Counted::DevDataType(..)) && sums[1..] == [0, 0],
            "seed {seed}: {counted} {sums:?}"
        );
    }
}
