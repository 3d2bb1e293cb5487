// SPDX-License-Identifier: GPL-2.0

//! Pointers that do not fit their buckets: what is wrong is dropped, what can be right is kept, and
//! nothing else changes. The power may be lost meanwhile.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each case, 0 for every one;
//! `BCACHEFS_RS_SEED` which.

mod engine;

use engine::golden::{
    all,
    check_whole,
    contents,
    counted,
    cuts,
    left,
    overlaid,
    overwritten,
    root_of,
    start,
    REPAIR, //
};
use sim::{
    btree::{
        ptr::NodePtr,
        KeyBuf, //
    },
    check::keys_of_users,
    env::{
        units::{
            DevIdx,
            Sectors, //
        },
        Arc as EnvArc, //
    },
    error::{
        fsck::FsckError,
        Error, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            alloc::Alloc,
            bucket_index::alloc_pos,
            extent::{
                entries,
                entry_bytes,
                ptrs, //
            },
            extent_entry::{
                Entry,
                Ptr,
                StripePtr, //
            },
        },
    },
    init::{
        Access,
        Filesystem, //
    },
    sys::block::{
        Disk,
        Power,
        Replay, //
    },
};
use std::collections::BTreeSet;

/// A filesystem as it is before something is done to it.
struct Whole(EnvArc<Filesystem>);

/// The key of an extent with other entries in its value.
fn with_entries(key: &KeyBuf, mut change: impl FnMut(Entry) -> Vec<Entry>) -> KeyBuf {
    let old = key.key();
    let sizes = sim::format::values::extent_entry::EntrySizes::KNOWN;
    let head = old.v.len() - entry_bytes(&old).len();
    let mut value = old.v[..head].to_vec();
    for entry in entries(&old, &sizes) {
        for new in change(entry.unwrap()) {
            let (words, nr) = new.encode().unwrap();
            let words = &words[..usize::from(nr)];
            value.extend(words.iter().flat_map(|w| w.to_le_bytes()));
        }
    }
    KeyBuf::of(key.k, &value).unwrap()
}

/// With another first pointer.
fn with_ptr(key: &KeyBuf, change: impl Fn(Ptr) -> Ptr) -> KeyBuf {
    let mut is_first = true;
    with_entries(key, |entry| match entry {
        Entry::Ptr(ptr) if std::mem::take(&mut is_first) => vec![Entry::Ptr(change(ptr))],
        other => vec![other],
    })
}

fn generation(by: i8) -> impl Fn(Ptr) -> Ptr {
    move |ptr| Ptr {
        generation: ptr.generation.wrapping_add_signed(by),
        ..ptr
    }
}

impl Whole {
    fn of(name: &str) -> Option<Self> {
        let (fs, _) = start(contents(name)?, Access::Read, "", &Power::new());
        Some(Self(fs.unwrap()))
    }

    fn first_ptr(&self, key: &KeyBuf) -> Ptr {
        let sizes = self.0.view.btrees.entry_sizes();
        ptrs(&key.key(), sizes).next().unwrap().unwrap().ptr
    }

    fn bucket(&self, ptr: &Ptr) -> u64 {
        let dev = self.0.view.sb().dev(ptr.dev).unwrap();
        ptr.offset.0 / u64::from(dev.member.bucket_sectors())
    }

    /// Extents with pointers.
    fn extents(&self, btree: BtreeId) -> Vec<KeyBuf> {
        let mut all = all(&self.0, btree);
        all.retain(|k| matches!(k.k.key_type, KeyType::EXTENT | KeyType::REFLINK_V));
        all
    }

    /// An extent in whose bucket there are others, or none.
    fn extent(&self, btree: BtreeId, is_alone: bool) -> KeyBuf {
        let all = self.extents(btree);
        let place = |k: &KeyBuf| {
            let ptr = self.first_ptr(k);
            (ptr.dev, self.bucket(&ptr))
        };
        let is = |k: &&KeyBuf| {
            let same = all.iter().filter(|o| place(o) == place(k)).count();
            (same == 1) == is_alone
        };
        let found = all.iter().find(is);
        KeyBuf::copy_of(&found.unwrap_or(&all[0]).key()).unwrap()
    }

    /// The key of the bucket that a pointer leads to, with another generation.
    fn bucket_key(&self, ptr: &Ptr, by: i8) -> (BtreeId, KeyBuf) {
        let p = alloc_pos(ptr.dev, sim::env::units::BucketNr(self.bucket(ptr)));
        let found = self.0.view.btrees.lookup(BtreeId::ALLOC, p).unwrap();
        let state = Alloc::decode(&found.unwrap().key()).unwrap().unwrap();
        let state = Alloc {
            generation: state.generation.wrapping_add_signed(by),
            ..state
        };
        let k = Bkey {
            key_type: KeyType::ALLOC_V4,
            p,
            ..Bkey::default()
        };
        (BtreeId::ALLOC, KeyBuf::of(k, &state.encode()).unwrap())
    }

    fn node(&self) -> Ptr {
        root_of(&self.0, BtreeId::INODES).copies().next().unwrap()
    }
}

/// What is left of the extents that something was done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// All that was there.
    Same,
    /// Nothing: the data is lost.
    Nothing,
    /// One pointer less.
    Less,
}

/// What is put where, and what is found then, and left.
struct Case {
    what: &'static str,
    image: &'static str,
    damage: fn(&Whole) -> Vec<(BtreeId, KeyBuf)>,
    id: FsckError,
    left: Left,
}

const EXTENTS: BtreeId = BtreeId::EXTENTS;
const ONE: &str = "v113-dmgbase";

const CASES: &[Case] = &[
    Case {
        what: "a bucket is older than all pointers to it",
        image: ONE,
        damage: |w| {
            let ptr = w.first_ptr(&w.extent(EXTENTS, false));
            vec![w.bucket_key(&ptr, -1)]
        },
        id: FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
        left: Left::Same,
    },
    Case {
        what: "a bucket of nodes is newer than these",
        image: ONE,
        damage: |w| vec![w.bucket_key(&w.node(), 1)],
        id: FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
        left: Left::Same,
    },
    Case {
        what: "a bucket of nodes is older than these",
        image: ONE,
        damage: |w| vec![w.bucket_key(&w.node(), -1)],
        id: FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
        left: Left::Same,
    },
    Case {
        what: "one of several pointers is newer than the bucket",
        image: ONE,
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            vec![(EXTENTS, with_ptr(&key, generation(1)))]
        },
        id: FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
        left: Left::Nothing,
    },
    Case {
        what: "the only pointer to a bucket is older",
        image: ONE,
        damage: |w| {
            let key = w.extent(EXTENTS, true);
            vec![(EXTENTS, with_ptr(&key, generation(-1)))]
        },
        id: FsckError::STALE_DIRTY_PTR,
        left: Left::Nothing,
    },
    Case {
        what: "a pointer is far too old",
        image: ONE,
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            vec![(EXTENTS, with_ptr(&key, generation(-100)))]
        },
        id: FsckError::PTR_TOO_STALE,
        left: Left::Nothing,
    },
    Case {
        what: "a pointer to data leads to a node",
        image: ONE,
        damage: |w| {
            let (key, node) = (w.extent(EXTENTS, false), w.node());
            vec![(EXTENTS, with_ptr(&key, |_| node))]
        },
        id: FsckError::PTR_BUCKET_DATA_TYPE_MISMATCH,
        left: Left::Nothing,
    },
    Case {
        what: "a pointer to data leads to the superblock",
        image: ONE,
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            let there = |ptr| Ptr {
                offset: Sectors(8),
                generation: 0,
                ..ptr
            };
            vec![(EXTENTS, with_ptr(&key, there))]
        },
        id: FsckError::PTR_BUCKET_DATA_TYPE_MISMATCH,
        left: Left::Nothing,
    },
    Case {
        what: "a pointer leads to a device that does not exist",
        image: ONE,
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            let dev = DevIdx(7);
            vec![(EXTENTS, with_ptr(&key, |ptr| Ptr { dev, ..ptr }))]
        },
        id: FsckError::PTR_TO_INVALID_DEVICE,
        left: Left::Nothing,
    },
    Case {
        what: "there is a pointer to cached data that is newer than its bucket",
        image: "v113-threedev",
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            let others = w.extents(EXTENTS);
            let own = w.first_ptr(&key).dev;
            let mut others = others.iter().map(|k| w.first_ptr(k));
            let other = others.find(|p| p.dev != own).unwrap();
            let cached = Ptr {
                cached: true,
                generation: other.generation + 1,
                ..other
            };
            let with = |entry| match entry {
                Entry::Ptr(ptr) => vec![Entry::Ptr(cached), Entry::Ptr(ptr)],
                other => vec![other],
            };
            vec![(EXTENTS, with_entries(&key, with))]
        },
        id: FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN,
        left: Left::Same,
    },
    Case {
        what: "a pointer says that it is of a stripe that does not exist",
        image: ONE,
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            let stripe = StripePtr {
                idx: 99,
                block: 0,
                redundancy: 1,
            };
            let with = |entry| match entry {
                Entry::Ptr(ptr) => vec![Entry::Stripe(stripe), Entry::Ptr(ptr)],
                other => vec![other],
            };
            vec![(EXTENTS, with_entries(&key, with))]
        },
        id: FsckError::PTR_TO_MISSING_STRIPE,
        left: Left::Same,
    },
    Case {
        what: "one of two copies is of data that is gone",
        image: "v113-repl2",
        damage: |w| {
            let key = w.extent(EXTENTS, false);
            vec![(EXTENTS, with_ptr(&key, generation(-1)))]
        },
        id: FsckError::STALE_DIRTY_PTR,
        left: Left::Less,
    },
    Case {
        what: "a shared extent is of data that is gone",
        image: "v113-reflink",
        damage: |w| {
            let key = w.extent(BtreeId::REFLINK, false);
            vec![(BtreeId::REFLINK, with_ptr(&key, generation(-1)))]
        },
        id: FsckError::STALE_DIRTY_PTR,
        left: Left::Nothing,
    },
];

fn nr_ptrs(key: &KeyBuf) -> usize {
    let sizes = sim::format::values::extent_entry::EntrySizes::KNOWN;
    ptrs(&key.key(), &sizes).count()
}

type Keys = Vec<(BtreeId, KeyBuf)>;
type Places = Vec<(BtreeId, Bpos)>;

/// The devices with something wrong, what was there before, and where.
fn damaged(case: &Case) -> Option<(Vec<Disk>, Keys, Places)> {
    let whole = Whole::of(case.image)?;
    let keys = (case.damage)(&whole);
    let at = keys.iter().map(|(b, k)| (*b, k.k.p)).collect();
    let before = [EXTENTS, BtreeId::REFLINK].into_iter();
    let before = before.flat_map(|b| whole.extents(b).into_iter().map(move |k| (b, k)));
    let before = before.collect();
    drop(whole);
    Some((overlaid(contents(case.image)?, &keys), before, at))
}

/// What is there is what was there, but for what something was done to.
fn compare(
    case: &Case,
    what: &str,
    disks: Vec<Disk>,
    before: &[(BtreeId, KeyBuf)],
    at: &[(BtreeId, Bpos)],
) {
    let fs = check_whole(disks, what);
    for (btree, old) in before {
        let found = fs.view.btrees.lookup(*btree, old.k.p).unwrap();
        let new = found.map(|f| KeyBuf::copy_of(&f.key()).unwrap());
        let new = new.unwrap_or_else(|| panic!("{what}: {btree} {} is gone", old.k.p));
        let left = match at.contains(&(*btree, old.k.p)) {
            true => case.left,
            false => Left::Same,
        };
        match left {
            Left::Same => assert_eq!(
                (new.k.key_type, new.value()),
                (old.k.key_type, old.value()),
                "{what}: {btree} {}",
                old.k.p
            ),
            Left::Nothing => assert_eq!(new.k.key_type, KeyType::ERROR, "{what}"),
            Left::Less => assert_eq!(nr_ptrs(&new) + 1, nr_ptrs(old), "{what}"),
        }
    }
}

#[test]
fn pointers_that_do_not_fit_are_dropped() {
    for case in CASES {
        let (what, image) = (case.what, case.image);
        println!("{image}: {what}");
        let Some((disks, before, at)) = damaged(case) else {
            return;
        };
        let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
        let fs = fs.unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_ne!(counted(&fs, case.id), 0, "{what}: {} not found", case.id);
        drop(fs);
        compare(case, what, left(&media), &before, &at);
    }
}

/// Data and its buckets are of a later generation.
fn aged(whole: &Whole) -> Vec<(BtreeId, KeyBuf)> {
    let older = |entry| match entry {
        Entry::Ptr(ptr) => vec![Entry::Ptr(generation(3)(ptr))],
        other => vec![other],
    };
    let mut keys = Vec::new();
    let mut buckets = BTreeSet::new();
    for key in whole.extents(EXTENTS) {
        let ptr = whole.first_ptr(&key);
        if buckets.insert((ptr.dev.0, whole.bucket(&ptr))) {
            keys.push(whole.bucket_key(&ptr, 3));
        }
        keys.push((EXTENTS, with_entries(&key, older)));
    }
    keys
}

/// When nothing knows the generations of buckets any more, the pointers do.
#[test]
fn generations_that_are_lost_are_those_of_pointers() {
    for name in [ONE, "v113-threedev"] {
        let Some(whole) = Whole::of(name) else { return };
        let disks = overlaid(contents(name).unwrap(), &aged(&whole));
        let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
        drop(fs.unwrap());
        let (fs, _) = start(left(&media), Access::Read, "", &Power::new());
        let fs = fs.unwrap();
        let want = keys_of_users(&fs.view);
        let lost = [BtreeId::ALLOC, BtreeId::BUCKET_GENS].map(|b| root_of(&fs, b));
        drop(fs);
        let disks = overwritten(left(&media), lost.iter().flat_map(NodePtr::copies));
        let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
        let fs = fs.unwrap_or_else(|e| panic!("{name}: {e}"));
        let id = FsckError::PTR_GEN_NEWER_THAN_BUCKET_GEN;
        assert_ne!(counted(&fs, id), 0, "{name}");
        drop(fs);
        let fs = check_whole(left(&media), name);
        assert!(keys_of_users(&fs.view) == want, "{name}: other keys");
    }
}

/// Without leave the check ends, and nothing was written.
#[test]
fn who_may_not_repair_does_not() {
    for case in CASES {
        let Some((disks, ..)) = damaged(case) else {
            return;
        };
        for (opts, want) in [
            ("fsck,fix_errors=exit,errors=ro", Error::FsckErrorsNotFixed),
            ("fsck,fix_errors=no,errors=ro", Error::CheckPointers),
        ] {
            let (fs, media) = start(disks.clone(), Access::Write, opts, &Power::new());
            assert_eq!(fs.err(), Some(want), "{}: {opts}", case.what);
            assert!(
                media.iter().all(|m| m.changes_since(0) == 0),
                "{}",
                case.what
            );
        }
    }
}

#[test]
fn the_power_may_be_lost_meanwhile() {
    for case in CASES {
        let Some((disks, before, at)) = damaged(case) else {
            return;
        };
        let power = Power::new();
        let (fs, media) = start(disks, Access::Write, REPAIR, &power);
        drop(fs.unwrap());
        let last = power.now();
        let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
        for (nr, cut) in cuts(last, 4).enumerate() {
            let what = format!("{}: {cut:?} of {last}", case.what);
            let mut disks: Vec<_> = replays.iter_mut().map(|r| r.image(cut)).collect();
            // Who mounts it without fsck in between goes on with what the superblock requires, or
            // is refused.
            if nr % 2 == 1 {
                let (fs, media) = start(disks, Access::Write, "", &Power::new());
                drop(fs);
                disks = left(&media);
            }
            let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
            drop(fs.unwrap_or_else(|e| panic!("{what}: {e}")));
            compare(case, &what, left(&media), &before, &at);
        }
    }
}
