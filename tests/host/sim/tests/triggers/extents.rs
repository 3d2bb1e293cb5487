// SPDX-License-Identifier: GPL-2.0

//! Extents of files: written over each other, cut, shared, deleted.

use super::{
    space::DEVS,
    Fs, //
};
use sim::{
    check::{
        OwnedKey,
        Update, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        values::{
            crc::{
                Crc,
                CrcKind, //
            },
            extent::entries,
            extent_entry::{
                Entry,
                RebalanceV1, //
            },
            kinds::{
                CompressionType,
                CsumType, //
            },
            plain::Reservation,
            reflink::ReflinkPtr, //
        },
    },
};
use std::collections::BTreeMap;

const SIZE: u64 = 200;

/// The value that consists of these entries.
pub(crate) fn value(entries: &[Entry]) -> Vec<u8> {
    let mut v = Vec::new();
    for entry in entries {
        let (words, nr) = entry.encode().unwrap();
        for word in &words[..usize::from(nr)] {
            v.extend(word.to_le_bytes());
        }
    }
    v
}

/// `key` without what is outside of `start..end`.
fn cut(fs: &Fs, key: &OwnedKey, start: u64, end: u64) -> OwnedKey {
    let front = start - key.k.start_offset();
    let mut new = key.clone();
    new.k.p.offset = end;
    new.k.size = (end - start) as u32;
    match key.k.key_type {
        KeyType::EXTENT => {
            let mut has_crc = false;
            let all = entries(&key.key(), &fs.s.sizes).map(|e| match e.unwrap() {
                Entry::Ptr(mut p) if !has_crc => {
                    p.offset.0 += front;
                    Entry::Ptr(p)
                }
                Entry::Crc(kind, mut crc) => {
                    has_crc = true;
                    crc.offset += front as u16;
                    crc.live_size = new.k.size;
                    Entry::Crc(kind, crc)
                }
                other => other,
            });
            new.v = value(&all.collect::<Vec<_>>());
        }
        KeyType::REFLINK_P => {
            let mut p = ReflinkPtr::decode(&key.v).unwrap();
            p.idx += front;
            new.v = p.encode().unwrap().to_vec();
        }
        _ => {}
    }
    new
}

/// Updates that make room for `start..end` of a file and put `key` there, if there is one.
fn over(fs: &Fs, at: Bpos, size: u32, key: Option<(KeyType, Vec<u8>)>) -> Vec<Update> {
    let (start, end) = (at.offset - u64::from(size), at.offset);
    let mut new = BTreeMap::<Bpos, OwnedKey>::new();
    for ((btree, level, p), old) in &fs.s.sources {
        let same_file = p.inode == at.inode && p.snapshot == at.snapshot;
        if (*btree, *level) != (BtreeId::EXTENTS, 0) || !same_file {
            continue;
        }
        let (old_start, old_end) = (old.k.start_offset(), p.offset);
        if old_end <= start || old_start >= end {
            continue;
        }
        let gone = OwnedKey::from(sim::alloc::trigger::deleted(*p));
        new.entry(*p).or_insert(gone);
        if old_start < start {
            let left = cut(fs, old, old_start, start);
            new.insert(left.k.p, left);
        }
        if old_end > end {
            let right = cut(fs, old, end, old_end);
            new.insert(right.k.p, right);
        }
    }
    if let Some((key_type, v)) = key {
        let k = Bkey {
            key_type,
            size,
            p: at,
            ..Bkey::default()
        };
        new.insert(at, OwnedKey { k, v });
    }
    let all = new.into_values().map(|key| (BtreeId::EXTENTS, 0, key));
    all.collect()
}

/// A range of some file in some snapshot: where it ends, and its size.
fn range(fs: &mut Fs) -> (Bpos, u32) {
    let size = 1 + fs.rng.below(32);
    let end = size + fs.rng.below(SIZE - size);
    let inode = 4096 + fs.rng.below(3);
    let snapshot = u32::MAX - fs.rng.below(3) as u32;
    (Bpos::new(inode, end, snapshot), size as u32)
}

/// Entries of an extent of `size` with new space.
fn new_entries(fs: &mut Fs, size: u32) -> Option<Vec<Entry>> {
    let kind = fs.rng.below(4);
    let mut out = Vec::new();
    let mut on_disk = u64::from(size);
    if kind >= 2 {
        let compressed = kind == 3 && size > 1;
        if compressed {
            on_disk = 1 + fs.rng.below(u64::from(size) - 1);
        }
        let crc = Crc {
            compressed_size: on_disk as u32,
            uncompressed_size: size,
            live_size: size,
            csum_type: CsumType::CRC32C,
            compression: match (compressed, fs.rng.below(3)) {
                (true, 0) => CompressionType::LZ4,
                (true, _) => CompressionType::ZSTD,
                (false, 0) => CompressionType::INCOMPRESSIBLE,
                (false, _) => CompressionType::NONE,
            },
            csum_lo: fs.rng.below(1 << 32),
            ..Crc::default()
        };
        out.push(Entry::Crc(CrcKind::Crc32, crc));
    }
    let first = fs.rng.below(DEVS.into()) as u8;
    for copy in 0..1 + fs.rng.below(2) as u8 {
        let dev = (first + copy) % DEVS;
        out.push(Entry::Ptr(fs.allocate(dev, on_disk, DataType::USER)?));
    }
    // What counts as compressed is not taken back when it is cached and dropped; nor in C.
    if kind < 2 && fs.rng.below(2) == 0 {
        let mut ptr = fs.allocate((first + 2) % DEVS, on_disk, DataType::USER)?;
        ptr.cached = true;
        out.push(Entry::Ptr(ptr));
    }
    if fs.rng.below(3) == 0 {
        let work = RebalanceV1 {
            compression: fs.rng.below(4) as u8,
            target: fs.rng.pick(&[0, 1, 2, 257, 258]).unwrap(),
        };
        out.push(Entry::RebalanceV1(work.to_word()));
    }
    Some(out)
}

pub(crate) fn write(fs: &mut Fs) -> bool {
    let (at, size) = range(fs);
    let Some(entries) = new_entries(fs, size) else {
        return false;
    };
    let updates = over(fs, at, size, Some((KeyType::EXTENT, value(&entries))));
    fs.commit(updates);
    true
}

pub(crate) fn punch(fs: &mut Fs) -> bool {
    let (at, size) = range(fs);
    let updates = over(fs, at, size, None);
    let any = !updates.is_empty();
    fs.commit(updates);
    any
}

pub(crate) fn reserve(fs: &mut Fs) -> bool {
    let (at, size) = range(fs);
    let reservation = Reservation {
        generation: 0,
        nr_replicas: 1 + fs.rng.below(2) as u8,
    };
    let v = reservation.encode().to_vec();
    let updates = over(fs, at, size, Some((KeyType::RESERVATION, v)));
    fs.commit(updates);
    true
}

fn pointer(idx: u64) -> Vec<u8> {
    // What a new pointer says of its pads does not count.
    let p = ReflinkPtr {
        idx,
        front_pad: 3,
        back_pad: 4,
        error: false,
        may_update_options: false,
    };
    p.encode().unwrap().to_vec()
}

/// An extent of a file becomes a shared one.
pub(crate) fn share(fs: &mut Fs) -> bool {
    let all = fs.s.sources.values().filter(|key| {
        key.k.key_type == KeyType::EXTENT //
    });
    let all: Vec<Bpos> = all.map(|key| key.k.p).collect();
    let Some(at) = fs.rng.pick(&all) else {
        return false;
    };
    let key = fs.s.sources[&(BtreeId::EXTENTS, 0, at)].clone();
    let start = fs.s.indirect.keys().last().copied().unwrap_or(0);
    let end = start + u64::from(key.k.size);
    let mut shared = OwnedKey {
        k: Bkey {
            key_type: KeyType::REFLINK_V,
            p: Bpos::new(0, end, 0),
            ..key.k
        },
        v: vec![0; 8],
    };
    shared.v.extend(&key.v);
    let mut updates = over(
        fs,
        at,
        key.k.size,
        Some((KeyType::REFLINK_P, pointer(start))),
    );
    updates.push((BtreeId::REFLINK, 0, shared));
    fs.commit(updates);
    true
}

/// A file gets what is shared, or a part of it, or several of them.
pub(crate) fn clone(fs: &mut Fs) -> bool {
    let (at, size) = range(fs);
    let all: Vec<u64> = fs.s.indirect.values().map(|(start, _)| *start).collect();
    let Some(start) = fs.rng.pick(&all) else {
        return false;
    };
    let idx = start + fs.rng.below(4);
    let mut upto = idx;
    while upto < idx + u64::from(size) {
        match fs.s.indirect.range(upto + 1..).next() {
            Some((end, (start, _))) if *start <= upto => upto = *end,
            _ => return false,
        }
    }
    let updates = over(fs, at, size, Some((KeyType::REFLINK_P, pointer(idx))));
    fs.commit(updates);
    true
}

/// Every key is deleted, in some order.
pub(crate) fn delete_all(fs: &mut Fs) {
    loop {
        // Shared extents go with the last pointer, stripes can go when nothing is in them.
        let mut all: Vec<_> = fs.s.sources.keys().copied().collect();
        let last = [BtreeId::REFLINK, BtreeId::STRIPES];
        if all.iter().any(|at| !last.contains(&at.0) || at.1 != 0) {
            all.retain(|at| !last.contains(&at.0) || at.1 != 0);
        }
        let Some((btree, level, p)) = fs.rng.pick(&all) else {
            return;
        };
        assert_ne!((btree, level), (BtreeId::REFLINK, 0), "left over");
        let gone = OwnedKey::from(sim::alloc::trigger::deleted(p));
        fs.commit(vec![(btree, level, gone)]);
    }
}
