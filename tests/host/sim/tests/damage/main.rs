// SPDX-License-Identifier: GPL-2.0

//! One thing at a time is damaged in a golden image, and then exactly what needs it is lost: a node
//! costs what is in its range, a key costs itself. The rest is as it was, and what was found is in
//! the counts.

mod disk;
mod needs;

use disk::{
    Disk,
    NodeAt, //
};
use needs::{
    files,
    gone,
    lost,
    File,
    Loss,
    Losses, //
};
use sim::{
    error::{
        fsck::FsckError,
        Error, //
    },
    format::{
        bkey::Key,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    golden::{
        manifest::Entry,
        walk,
        Tree, //
    },
    init::Filesystem,
    sb::Lost,
};
use std::collections::BTreeMap;

/// What became of the files of `whole`; panics when one is something else than it was.
fn losses(whole: &Tree, tree: &Tree) -> Losses {
    let have: BTreeMap<_, _> = tree.entries.iter().map(|e| (&e.path, e)).collect();
    assert!(have.len() <= whole.entries.len(), "files from nowhere");
    let mut out = Losses::new();
    // A file without attributes looks the same when they can not be listed.
    for (path, _) in &tree.errors {
        let same = |e: &&Entry| e.path == *path && have.get(path) == Some(e);
        let alike = whole.entries.iter().find(same);
        if alike.is_some_and(|e| e.fields.get("type").is_none_or(|t| t != "dir")) {
            out.insert((path.clone(), Loss::Xattrs));
        }
    }
    for e in &whole.entries {
        let Some(now) = have.get(&e.path) else {
            out.insert((e.path.clone(), Loss::Gone));
            continue;
        };
        for field in different(e, now) {
            let loss = match field {
                "sha256" | "target" | "read_error" => Loss::Data,
                "xattrs" => Loss::Xattrs,
                other => panic!("{}: {other} changed", String::from_utf8_lossy(&e.path)),
            };
            out.insert((e.path.clone(), loss));
        }
        // What can not be read must not look like something that can.
        let (old, new) = (e.fields.get("sha256"), now.fields.get("sha256"));
        assert!(new.is_none() || old == new, "other contents given out");
    }
    out
}

fn different<'a>(a: &'a Entry, b: &'a Entry) -> impl Iterator<Item = &'a str> {
    let names = a.fields.keys().chain(b.fields.keys());
    names
        .map(|n| &**n)
        .filter(|n| a.fields.get(*n) != b.fields.get(*n))
}

/// An undamaged filesystem and what is in it.
struct Base {
    disk: Disk,
    whole: Tree,
    files: Vec<File>,
}

impl Base {
    fn open(name: &str) -> Option<Self> {
        let disk = Disk::open(name)?;
        let whole = walk(&disk.fs.view);
        assert!(whole.errors.is_empty());
        let files = files(&disk.fs);
        Some(Self { disk, whole, files })
    }

    /// Starts the filesystem with `bytes`, and checks what is lost. `None`: it must not mount.
    fn check(&self, what: &str, bytes: Vec<u8>, want: Option<&Losses>) -> Option<Started> {
        let what = format!("{}: {what}", self.disk.name);
        let fs = match (self.disk.start(bytes), want) {
            (Err(e), None) => {
                assert!(e.is_corruption(), "{what}: {e}");
                return None;
            }
            (Err(e), Some(_)) => panic!("{what}: does not mount: {e}"),
            (Ok(_), None) => panic!("{what}: mounts"),
            (Ok(fs), Some(_)) => fs,
        };
        let tree = walk(&fs.view);
        let (got, mut want) = (losses(&self.whole, &tree), want.expect("mounts").clone());
        want.retain(|(path, loss)| *loss != Loss::Xattrs || self.shows_xattrs(path));
        let show = |l: &(Vec<u8>, Loss)| format!("{} {:?}", String::from_utf8_lossy(&l.0), l.1);
        let more: Vec<_> = got.difference(&want).map(show).take(9).collect();
        let less: Vec<_> = want.difference(&got).map(show).take(9).collect();
        assert!(more.is_empty(), "{what}: lost as well: {more:?}");
        assert!(less.is_empty(), "{what}: not lost: {less:?}");
        for (path, e) in &tree.errors {
            assert_eq!(e.to_errno(), 5, "{what}: {path:?}: {e}");
        }
        Some(Started(fs))
    }

    /// Whether one can tell that its attributes can not be listed: of a directory without any, the
    /// walk does not say what it was that failed.
    fn shows_xattrs(&self, path: &[u8]) -> bool {
        let e = self.whole.entries.iter().find(|e| e.path == path);
        e.is_some_and(|e| {
            e.fields.contains_key("xattrs") || e.fields.get("type").is_none_or(|t| t != "dir")
        })
    }

    fn file(&self, path: &str) -> &File {
        let found = self.files.iter().find(|f| f.path == path.as_bytes());
        found.unwrap_or_else(|| panic!("{}: no {path}", self.disk.name))
    }
}

struct Started(sim::env::Arc<Filesystem>);

impl Started {
    fn counted(&self, id: FsckError) -> u64 {
        let mut n = 0;
        let counted = self.0.view.sb().errors.for_each(|e| {
            if e.id == id {
                n = e.nr;
            }
            Ok::<(), ()>(())
        });
        counted.map_or(0, |()| n)
    }

    fn lost(&self, what: Lost) -> u64 {
        self.0.view.sb().damage.get(what)
    }
}

/// The checksum of a set of keys is wrong.
fn node_checksum(base: &Base, node: &NodeAt, set: usize) {
    let sets = base.disk.sets(node);
    let Some(set_bytes) = sets.get(set) else {
        return;
    };
    let mut bytes = base.disk.bytes.clone();
    bytes[set_bytes.start] ^= 0x10;
    let want = lost(&base.disk.fs, &base.files, node.btree, node.min, node.max);
    let what = format!(
        "set {set} of the node of {} level {}",
        node.btree, node.level
    );
    let Some(started) = base.check(&what, bytes, want.as_ref()) else {
        return;
    };
    let health = &started.0.view.btrees.health;
    // A node that nobody asked for is not known to be bad.
    let met = started.lost(Lost::Node) != 0;
    let needed = node.is_root || want.is_some_and(|l| !l.is_empty());
    assert!(met || !needed, "{what}: not counted");
    if met {
        assert!(health.is_sick(node.btree), "{what}: not sick");
        let (place, _) = health.first(node.btree).expect("the first damage");
        assert_eq!(place.level, node.level, "{what}");
        assert_eq!(
            place.at.map(|at| at.1 as usize * 512),
            Some(node.byte),
            "{what}"
        );
        assert_eq!(started.lost(Lost::Node), 1, "{what}");
        assert_eq!(started.counted(FsckError::BSET_BAD_CSUM), 1, "{what}");
        let others = health.sick().filter(|b| *b != node.btree).count();
        assert_eq!(others, 0, "{what}: others are sick too");
    }
    let told = started.0.view.sb().state.watchers.told();
    assert_eq!((told.0 != 0, told.1), (met, 0), "{what}: who watches");
    let refused = health.require(node.btree).is_err();
    assert_eq!(refused, met, "{what}");
}

#[test]
fn a_node_costs_its_range() {
    for name in ["v113-dmgbase", "v139-dmgbase"] {
        let Some(base) = Base::open(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        for node in &base.disk.nodes {
            for set in 0..base.disk.sets(node).len().min(3) {
                node_checksum(&base, node, set);
            }
        }
    }
}

#[test]
fn a_node_of_each_level_costs_its_range() {
    let Some(base) = Base::open("v113-many") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut levels = 0;
    for btree in [BtreeId::INODES, BtreeId::DIRENTS, BtreeId::EXTENTS] {
        let of = base.disk.nodes.iter().filter(|n| n.btree == btree);
        let mut by_level = BTreeMap::<u8, Vec<&NodeAt>>::new();
        for n in of {
            by_level.entry(n.level).or_default().push(n);
        }
        levels = levels.max(by_level.len());
        for nodes in by_level.values() {
            // One that is neither the first nor the last, where there are as many.
            node_checksum(&base, nodes[nodes.len() / 2], 0);
        }
    }
    assert!(levels > 1, "no btree with two levels");
}

/// The key of a file in a btree for which `choose` is true.
fn key_of(
    fs: &Filesystem,
    btree: BtreeId,
    from: Bpos,
    choose: impl Fn(&Key<'_>) -> bool,
    with: &mut dyn FnMut(&Key<'_>),
) {
    let mut iter = fs.view.btrees.iter(btree, 0, from);
    while let Some(key) = iter.next().expect("undamaged") {
        if choose(&key) {
            return with(&key);
        }
    }
    panic!("no such key in {btree}");
}

/// A kind of key to damage.
struct Case {
    what: &'static str,
    btree: BtreeId,
    kind: KeyType,
    /// What to change in the value.
    change: fn(&mut [u8]),
    id: FsckError,
    lost: Option<Lost>,
    loss: Loss,
    /// Found when the node is read; otherwise when the key is used.
    when_read: bool,
}

/// Each makes the value one that can not be right; the checksum of the node is.
const KEYS: &[Case] = &[
    Case {
        what: "a dirent's name has a slash",
        btree: BtreeId::DIRENTS,
        kind: KeyType::DIRENT,
        change: |v| v[9] = b'/',
        id: FsckError::DIRENT_NAME_HAS_SLASH,
        lost: Some(Lost::Dirent),
        loss: Loss::Gone,
        when_read: true,
    },
    Case {
        what: "an inode's fields do not end",
        btree: BtreeId::INODES,
        kind: KeyType::INODE_V3,
        change: |v| {
            v[19] = 0x7f;
            v[48..].fill(0xff);
        },
        id: FsckError::INODE_UNPACK_ERROR,
        lost: Some(Lost::Inode),
        loss: Loss::Gone,
        when_read: false,
    },
    Case {
        what: "an inode hashes names in an unknown way",
        btree: BtreeId::INODES,
        kind: KeyType::INODE_V3,
        change: |v| v[18] |= 0xf0,
        id: FsckError::INODE_STR_HASH_INVALID,
        lost: Some(Lost::Inode),
        loss: Loss::Gone,
        when_read: true,
    },
    Case {
        what: "an attribute has an unknown namespace",
        btree: BtreeId::XATTRS,
        kind: KeyType::XATTR,
        change: |v| v[0] = 0x77,
        id: FsckError::XATTR_INVALID_TYPE,
        lost: Some(Lost::Xattr),
        loss: Loss::Xattrs,
        when_read: true,
    },
    Case {
        what: "an extent has an entry of no kind",
        btree: BtreeId::EXTENTS,
        kind: KeyType::EXTENT,
        change: |v| v[..8].fill(0),
        id: FsckError::EXTENT_PTRS_INVALID_ENTRY,
        lost: None,
        loss: Loss::Data,
        when_read: true,
    },
];

fn one_key(base: &Base, case: &Case) {
    let fs = &base.disk.fs;
    let kinds = [case.kind];
    // A file whose key of this kind is its own, and no parent of others if that can be.
    let name = |key: &Key<'_>| -> Option<&File> {
        let inum = match case.btree {
            BtreeId::INODES => key.k.p.offset,
            BtreeId::DIRENTS => {
                let target = u64::from_le_bytes(key.v[..8].try_into().ok()?);
                let child = base.files.iter().find(|f| f.at.inum == target)?;
                let parent = child.path.rsplitn(2, |b| *b == b'/').nth(1).unwrap_or(b".");
                let dir = base.files.iter().find(|f| f.path == parent)?;
                // Not one of several names of the same inode.
                let same = base.files.iter().filter(|f| f.at.inum == target).count();
                return (dir.at.inum == key.k.p.inode && same == 1).then_some(child);
            }
            _ => key.k.p.inode,
        };
        let mut all = base.files.iter().filter(|f| f.at.inum == inum);
        let first = all.next().filter(|f| f.path != b".")?;
        all.next().is_none().then_some(first)
    };
    let fits = |key: &Key<'_>| {
        kinds.contains(&key.k.key_type)
            && name(key).is_some_and(|f| {
                // Data beyond the end is nobody's.
                case.btree != BtreeId::EXTENTS || key.k.start_offset() * 512 < f.inode.size
            })
    };
    key_of(fs, case.btree, Bpos::MIN, fits, &mut |key| {
        let file = name(key).expect("a file");
        let mut want = Losses::new();
        match case.loss {
            Loss::Gone => gone(&base.files, &file.path, true, &mut want),
            loss => {
                want.insert((file.path.clone(), loss));
            }
        }
        let bytes = base.disk.change_value(case.btree, key, case.change);
        let started = base.check(case.what, bytes, Some(&want)).expect("mounts");
        let health = &started.0.view.btrees.health;
        assert!(!health.is_sick(case.btree), "{}: sick", case.what);
        assert!(health.is_damaged(case.btree), "{}", case.what);
        let (place, what) = health.first(case.btree).expect("the first damage");
        assert_eq!(place.pos, key.k.p, "{}: {what}", case.what);
        let counted = started.counted(case.id);
        if case.when_read {
            assert_eq!(
                (started.lost(Lost::Key), counted),
                (1, 1),
                "{}: {what}",
                case.what
            );
        }
        assert_ne!(counted, 0, "{}: {what}", case.what);
        if let Some(lost) = case.lost {
            assert_ne!(started.lost(lost), 0, "{}", case.what);
        }
    });
}

#[test]
fn a_key_costs_itself() {
    for name in ["v113-dmgbase", "v139-dmgbase"] {
        let Some(base) = Base::open(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        for case in KEYS {
            one_key(&base, case);
        }
    }
}

/// Of a file of several extents, only what one of them holds can not be read.
#[test]
fn an_extent_costs_its_range() {
    let Some(base) = Base::open("v113-tree") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let fs = &base.disk.fs;
    let sole = |inum: u64| {
        let mut all = base.files.iter().filter(|f| f.at.inum == inum);
        all.next().filter(|_| all.next().is_none())
    };
    let inside = |key: &Key<'_>| {
        key.k.key_type == KeyType::EXTENT
            && key.k.start_offset() > 8
            && sole(key.k.p.inode).is_some_and(|f| f.inode.size > key.k.p.offset * 512 + 4096)
    };
    key_of(fs, BtreeId::EXTENTS, Bpos::MIN, inside, &mut |key| {
        let file = sole(key.k.p.inode).expect("a file");
        let bytes = base
            .disk
            .change_value(BtreeId::EXTENTS, key, |v| v[..8].fill(0));
        let damaged = base.disk.start(bytes).expect("mounts");
        let (from, to) = (key.k.start_offset(), key.k.p.offset);
        let sectors = file.inode.size.div_ceil(512);
        for sector in 0..sectors.min(to + 64) {
            let read = |fs: &Filesystem| {
                let (mut buf, id) = ([0u8; 512], file.at.file(&fs.view).expect("a file"));
                sim::data::read_sync(&fs.view, id, sector * 512, &mut buf).map(|_| buf)
            };
            match (from..to).contains(&sector) {
                true => assert_eq!(read(&damaged), Err(Error::DataLost), "sector {sector}"),
                false => assert_eq!(read(&damaged), read(fs), "sector {sector}"),
            }
        }
    });
}

/// Files of a subvolume, and of those that were made from it.
fn of_subvolumes(base: &Base, subvols: &[u32]) -> Losses {
    let mut want = Losses::new();
    for f in base.files.iter().filter(|f| subvols.contains(&f.at.subvol)) {
        gone(&base.files, &f.path, true, &mut want);
    }
    want
}

#[test]
fn a_subvolume_costs_its_files() {
    for name in ["v113-snap", "v139-snap"] {
        let Some(base) = Base::open(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        let fs = &base.disk.fs;
        let mut all: Vec<u32> = base.files.iter().map(|f| f.at.subvol).collect();
        all.sort_unstable();
        all.dedup();
        assert!(all.len() > 3, "{name}: {all:?}");
        for id in all {
            let pos = Bpos::new(0, id.into(), 0);
            let at = |key: &Key<'_>| key.k.p == pos;
            key_of(fs, BtreeId::SUBVOLUMES, pos, at, &mut |key| {
                // The inode it starts with: none.
                let bytes = base
                    .disk
                    .change_value(BtreeId::SUBVOLUMES, key, |v| v[8..16].fill(0));
                let want = of_subvolumes(&base, &[id]);
                let what = format!("subvolume {id} without a root");
                // Of the first one, nothing can be reached.
                let want = (id != 1).then_some(&want);
                if let Some(started) = base.check(&what, bytes, want) {
                    assert_eq!(started.lost(Lost::Subvolume), 1, "{what}");
                    assert_eq!(started.counted(FsckError::SUBVOL_INODE_BAD), 1, "{what}");
                }
            });
        }
    }
}

#[test]
fn a_snapshot_costs_what_comes_from_it() {
    for name in ["v113-snap", "v139-snap"] {
        let Some(base) = Base::open(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        let (fs, table) = (&base.disk.fs, &base.disk.fs.view.table);
        let mut subvols: Vec<(u32, u32)> = base
            .files
            .iter()
            .map(|f| (f.at.subvol, f.at.file(&fs.view).expect("a file").snapshot))
            .collect();
        subvols.sort_unstable();
        subvols.dedup();
        let mut nodes = Vec::new();
        let mut iter = fs.view.btrees.iter(BtreeId::SNAPSHOTS, 0, Bpos::MIN);
        while let Some(key) = iter.next().expect("undamaged") {
            nodes.push(key.k.p);
        }
        for pos in nodes {
            let node = u32::try_from(pos.offset).expect("a snapshot");
            let from = subvols.iter().filter(|s| table.is_ancestor(s.1, node));
            let hit: Vec<u32> = from.map(|s| s.0).collect();
            let at = |key: &Key<'_>| key.k.p == pos;
            key_of(fs, BtreeId::SNAPSHOTS, pos, at, &mut |key| {
                // Its parent is below it, which can not be.
                let bytes = base.disk.change_value(BtreeId::SNAPSHOTS, key, |v| {
                    v[4..8].copy_from_slice(&1u32.to_le_bytes());
                });
                let want = of_subvolumes(&base, &hit);
                let what = format!("snapshot {node}, which subvolumes {hit:?} come from");
                let want = (!hit.contains(&1)).then_some(&want);
                if let Some(started) = base.check(&what, bytes, want) {
                    assert_eq!(started.lost(Lost::Snapshot), 1, "{what}");
                    assert_eq!(started.counted(FsckError::SNAPSHOT_PARENT_BAD), 1, "{what}");
                }
            });
        }
    }
}

/// Space in use is not guessed from what is left of the accounting.
#[test]
fn a_sick_accounting_btree_is_not_believed() {
    let Some(base) = Base::open("v113-dmgbase") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let node = base.disk.node_of(BtreeId::ACCOUNTING, 0, Bpos::MIN);
    let mut bytes = base.disk.bytes.clone();
    bytes[base.disk.sets(&node)[0].start] ^= 1;
    let started = base
        .check("accounting", bytes, Some(&Losses::new()))
        .expect("mounts");
    let read = sim::alloc::UsageBase::read(&started.0.view.btrees);
    assert_eq!(read, Err(Error::BtreeSick));
    assert_eq!(base.file(".").at.subvol, 1);
}
