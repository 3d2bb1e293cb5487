// SPDX-License-Identifier: GPL-2.0

//! Keys of every type that older versions wrote, laid over an empty filesystem as the journal's
//! are, and then found the way a user's operation finds them.

use sim::{
    algo::str_hash::HashInfo,
    btree::{
        ptr::NodePtr,
        Btrees, //
    },
    data::read_sync,
    env::{
        units::DevIdx,
        Arc, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::{
            Bkey,
            Key,
            RawBkey, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts,
        values::{
            dirent::{
                Dirent,
                FileType,
                Target, //
            },
            inode::Inode,
            xattr::XattrType, //
        },
    },
    fs::{
        dirent,
        inode,
        options::InodeOption,
        xattr,
        SubvolInum, //
    },
    golden::images,
    journal,
    sb::{
        self,
        SbState, //
    },
    snapshots::View,
};
use std::{
    collections::BTreeMap,
    path::Path, //
};
use zerocopy::IntoBytes as _;

const LEAF: u32 = u32::MAX;
const ROOT: u64 = 4096;

/// An empty filesystem, opened.
fn empty() -> Arc<SbState> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden");
    let contents = images::read_file(&golden.join("v113-empty.img.zst")).unwrap();
    let devices = images::devices("empty", vec![contents]);
    Arc::try_new(sb::open(devices, &Opts::default()).unwrap()).unwrap()
}

/// Keys to lay over a filesystem.
#[derive(Default)]
struct Overlay(Vec<(BtreeId, Vec<u8>)>);

impl Overlay {
    fn add(&mut self, btree: BtreeId, key_type: KeyType, p: Bpos, v: &[u8]) {
        self.sized(btree, key_type, p, 0, v);
    }

    fn sized(&mut self, btree: BtreeId, key_type: KeyType, p: Bpos, size: u32, v: &[u8]) {
        let k = Bkey {
            key_type,
            p,
            size,
            ..Bkey::default()
        };
        let mut v = v.to_vec();
        v.resize(v.len().next_multiple_of(8), 0);
        let words = u8::try_from(v.len() / 8).unwrap();
        let mut bytes = RawBkey::encode(&k, words).unwrap().as_bytes().to_vec();
        bytes.extend(v);
        self.0.push((btree, bytes));
    }

    /// An entry of the root directory, `after` positions after where its name's hash says.
    fn entry(
        &mut self,
        root: &Inode,
        name: &[u8],
        file_type: FileType,
        target: Target,
        after: u64,
    ) {
        let d = Dirent {
            target,
            file_type,
            name,
            folded: None,
        };
        let mut v = [0; 64];
        let len = d.encode(&mut v).unwrap();
        let at = Bpos::new(ROOT, hash(root, name) + after, LEAF);
        self.add(BtreeId::DIRENTS, KeyType::DIRENT, at, &v[..len]);
    }

    /// The empty filesystem with these keys.
    fn start(&self) -> View {
        let st = empty();
        let mut journal = journal::read(&st, false).unwrap();
        for (btree, bytes) in &self.0 {
            let mut buffer = sim::env::Vec::new();
            buffer.extend_from_slice(bytes).unwrap();
            journal.keys.add_buffer(1, buffer).unwrap();
            journal.keys.push(*btree, 0, 0).unwrap();
        }
        journal.keys.finish().unwrap();
        View::new(Btrees::start(st, journal).unwrap()).unwrap()
    }
}

fn root_inode() -> Inode {
    let view = Overlay::default().start();
    inode::find(&view, inode::root(&view).unwrap()).unwrap()
}

fn hash(root: &Inode, name: &[u8]) -> u64 {
    HashInfo::of(root).unwrap().dirent(name)
}

fn file(inum: u64) -> SubvolInum {
    SubvolInum { subvol: 1, inum }
}

fn inode_at(inum: u64) -> Bpos {
    Bpos::new(0, inum, LEAF)
}

#[test]
fn inodes_of_all_versions_are_found() {
    let mut keys = Overlay::default();
    let mode = 0o100640u16.to_le_bytes();
    // Four times, size 1025, sectors 8, owner 10: in the first encoding and in that of varints.
    let old = [&[0x81, 0x82, 0x83, 0x84, 0x44, 0x01, 0x88, 0x8a][..]].concat();
    let new = [&[2, 0, 4, 0, 6, 0, 8, 0, 0x05, 0x10, 16, 20][..]].concat();
    let flags = 3u32 << 20 | 7 << 24;
    let v1 =
        |flags: u32, fields: &[u8]| [&[1; 8], &flags.to_le_bytes()[..], &mode, fields].concat();
    keys.add(
        BtreeId::INODES,
        KeyType::INODE,
        inode_at(5000),
        &v1(flags, &old),
    );
    keys.add(
        BtreeId::INODES,
        KeyType::INODE,
        inode_at(5001),
        &v1(flags | 1 << 31, &new),
    );
    let v2 = [
        &[9; 8][..],
        &[1; 8],
        &u64::from(flags).to_le_bytes(),
        &mode,
        &new,
    ]
    .concat();
    keys.add(BtreeId::INODES, KeyType::INODE_V2, inode_at(5002), &v2);
    let v3 = Inode {
        mode: 0o100640,
        size: 1025,
        sectors: 8,
        uid: 10,
        ..Inode::default()
    };
    keys.add(
        BtreeId::INODES,
        KeyType::INODE_V3,
        inode_at(5003),
        v3.encode().as_bytes(),
    );
    // What is left of an inode, what hides one, and one that can not be read.
    let generation = [&7u32.to_le_bytes()[..], &[0; 4]].concat();
    keys.add(
        BtreeId::INODES,
        KeyType::INODE_GENERATION,
        inode_at(5004),
        &generation,
    );
    keys.add(BtreeId::INODES, KeyType::WHITEOUT, inode_at(5005), &[]);
    keys.add(BtreeId::INODES, KeyType::DELETED, inode_at(5006), &[]);
    keys.add(
        BtreeId::INODES,
        KeyType::INODE,
        inode_at(5007),
        &v1(flags, &[0; 10]),
    );

    let view = keys.start();
    for inum in 5000..=5003 {
        let found = inode::find(&view, file(inum)).unwrap();
        let got = (found.inum, found.mode, found.size, found.sectors, found.uid);
        assert_eq!(got, (inum, 0o100640, 1025, 8, 10));
    }
    for inum in 5004..=5006 {
        assert_eq!(
            inode::find(&view, file(inum)),
            Err(Error::InodeNotFound),
            "{inum}"
        );
    }
    assert_eq!(inode::find(&view, file(5007)), Err(Error::InodeInvalid));
}

#[test]
fn entries_of_all_kinds_are_found_and_listed() {
    let root = root_inode();
    let mut keys = Overlay::default();
    let kinds = [0, 1, 2, 4, 6, 8, 10, 12, 14].map(FileType);
    for kind in kinds {
        let name = format!("kind-{}", kind.0);
        let target = Target::Inode(6000 + u64::from(kind.0));
        keys.entry(&root, name.as_bytes(), kind, target, 0);
    }
    // The root of a subvolume, here the one that is mounted: seen where its entry says only.
    let seen = Target::Subvol {
        child: 1,
        parent: 1,
    };
    let hidden = Target::Subvol {
        child: 1,
        parent: 2,
    };
    let lost = Target::Subvol {
        child: 99,
        parent: 1,
    };
    keys.entry(&root, b"seen", FileType::SUBVOL, seen, 0);
    keys.entry(&root, b"hidden", FileType::SUBVOL, hidden, 0);
    keys.entry(&root, b"lost", FileType::SUBVOL, lost, 0);

    let view = keys.start();
    let top = inode::root(&view).unwrap();
    let find = |name: &str| dirent::lookup(&view, top, &root, name.as_bytes());
    for kind in kinds {
        let found = find(&format!("kind-{}", kind.0)).unwrap().unwrap();
        assert_eq!(found, file(6000 + u64::from(kind.0)));
    }
    assert_eq!(find("seen"), Ok(Some(file(ROOT))));
    assert_eq!(find("hidden"), Ok(None));
    assert_eq!(find("lost"), Err(Error::SubvolumeNotFound));

    let mut listed = BTreeMap::new();
    dirent::readdir(&view, top, 0, |e| {
        let name = String::from_utf8(e.name.to_vec()).unwrap();
        listed
            .insert(name, (e.target.inum, e.file_type.0))
            .is_none()
    })
    .unwrap();
    for kind in kinds {
        let shown = listed[&format!("kind-{}", kind.0)];
        assert_eq!(shown, (6000 + u64::from(kind.0), kind.0));
    }
    assert_eq!(
        listed["seen"],
        (ROOT, FileType::DIR.0),
        "a directory to everyone else"
    );
    assert!(!listed.contains_key("hidden") && !listed.contains_key("lost"));
}

/// Names with the same hash stand one after the other; where one was removed from among them, a
/// `hash_whiteout` holds its place.
#[test]
fn names_are_found_behind_removed_ones() {
    let root = root_inode();
    let find = |first: Option<KeyType>, second: KeyType| {
        let mut keys = Overlay::default();
        let at = |after| Bpos::new(ROOT, hash(&root, b"name") + after, LEAF);
        if let Some(first) = first {
            keys.add(BtreeId::DIRENTS, first, at(0), &[]);
        }
        keys.add(BtreeId::DIRENTS, second, at(1), &[]);
        keys.entry(&root, b"name", FileType::FILE, Target::Inode(6000), 2);
        let view = keys.start();
        dirent::lookup(&view, inode::root(&view).unwrap(), &root, b"name").unwrap()
    };
    let removed = KeyType::HASH_WHITEOUT;
    assert_eq!(find(Some(removed), removed), Some(file(6000)));
    // A hole ends the search: nothing was ever behind it.
    for hole in [KeyType::DELETED, KeyType::WHITEOUT] {
        assert_eq!(find(Some(removed), hole), None, "{hole}");
        assert_eq!(find(Some(hole), removed), None, "{hole}");
    }
    assert_eq!(find(None, removed), None);
}

#[test]
fn attributes_are_found_behind_removed_ones() {
    let mut keys = Overlay::default();
    let v3 = Inode {
        mode: 0o100640,
        hash_seed: 77,
        str_hash: root_inode().str_hash,
        ..Inode::default()
    };
    keys.add(
        BtreeId::INODES,
        KeyType::INODE_V3,
        inode_at(5000),
        v3.encode().as_bytes(),
    );
    let at = HashInfo::of(&v3).unwrap().xattr(XattrType::USER, b"a");
    let pos = |after| Bpos::new(5000, at + after, LEAF);
    keys.add(BtreeId::XATTRS, KeyType::HASH_WHITEOUT, pos(0), &[]);
    // `struct bch_xattr`: type, length of the name, of the value.
    let v = [&[XattrType::USER.0, 1, 2, 0][..], b"a", b"vv"].concat();
    keys.add(BtreeId::XATTRS, KeyType::XATTR, pos(1), &v);
    let view = keys.start();
    let found = xattr::get_vec(&view, file(5000), &v3, XattrType::USER, b"a").unwrap();
    assert_eq!(found.as_deref(), Some(&b"vv"[..]));
    let other = xattr::get_vec(&view, file(5000), &v3, XattrType::TRUSTED, b"a").unwrap();
    assert_eq!(other, None);
}

#[test]
fn extents_without_data_of_their_own() {
    let mut keys = Overlay::default();
    let end = |sector| Bpos::new(5000, sector, LEAF);
    // Sectors 0 to 8 are set aside, 8 to 16 a hole, 16 to 24 lost, 24 to 32 in the key.
    keys.sized(
        BtreeId::EXTENTS,
        KeyType::RESERVATION,
        end(8),
        8,
        &[0, 0, 0, 0, 1],
    );
    keys.add(BtreeId::EXTENTS, KeyType::WHITEOUT, end(12), &[]);
    keys.add(BtreeId::EXTENTS, KeyType::EXTENT_WHITEOUT, end(16), &[]);
    keys.sized(BtreeId::EXTENTS, KeyType::ERROR, end(24), 8, &[]);
    keys.sized(BtreeId::EXTENTS, KeyType::INLINE_DATA, end(32), 8, &[7; 16]);
    let view = keys.start();
    let read = |sector: u64| -> Result<Vec<u8>> {
        let mut buf = vec![0xee; 4096];
        read_sync(&view, file(5000).file(&view)?, sector * 512, &mut buf)?;
        Ok(buf)
    };
    assert_eq!(read(0), Ok(vec![0; 4096]));
    assert_eq!(read(8), Ok(vec![0; 4096]));
    assert_eq!(read(16), Err(Error::DataLost));
    let mut inline = vec![0; 4096];
    inline[..16].fill(7);
    assert_eq!(read(24), Ok(inline));
    assert_eq!(read(32), Ok(vec![0; 4096]));
}

/// A snapshot and its subvolume in the shortest form there was, and a file that only the other
/// side has.
#[test]
fn first_snapshots_and_subvolumes() {
    let mut keys = Overlay::default();
    let id = |n: u32| Bpos::new(0, n.into(), 0);
    let (a, b) = (LEAF - 1, LEAF - 2);
    let snapshot = |words: [u32; 6]| words.map(u32::to_le_bytes).concat();
    // The root becomes an interior node: flags, parent, children, subvolume, tree.
    let tree = {
        let view = Overlay::default().start();
        view.table.tree(LEAF).unwrap()
    };
    keys.add(
        BtreeId::SNAPSHOTS,
        KeyType::SNAPSHOT,
        id(LEAF),
        &snapshot([0, 0, a, b, 0, tree]),
    );
    keys.add(
        BtreeId::SNAPSHOTS,
        KeyType::SNAPSHOT,
        id(a),
        &snapshot([2, LEAF, 0, 0, 1, tree]),
    );
    keys.add(
        BtreeId::SNAPSHOTS,
        KeyType::SNAPSHOT,
        id(b),
        &snapshot([2, LEAF, 0, 0, 2, tree]),
    );
    // Flags, snapshot, root directory.
    let subvol = |flags: u32, snapshot: u32| {
        [
            &flags.to_le_bytes()[..],
            &snapshot.to_le_bytes(),
            &ROOT.to_le_bytes(),
        ]
        .concat()
    };
    keys.add(
        BtreeId::SUBVOLUMES,
        KeyType::SUBVOLUME,
        id(1),
        &subvol(0, a),
    );
    keys.add(
        BtreeId::SUBVOLUMES,
        KeyType::SUBVOLUME,
        id(2),
        &subvol(3, b),
    );
    let inode = |size| {
        let i = Inode {
            mode: 0o100640,
            size,
            ..Inode::default()
        };
        i.encode().as_bytes().to_vec()
    };
    let at = |inum, snapshot| Bpos::new(0, inum, snapshot);
    // Of both, changed in one, gone in one, new in one.
    keys.add(
        BtreeId::INODES,
        KeyType::INODE_V3,
        at(5000, LEAF),
        &inode(1),
    );
    keys.add(
        BtreeId::INODES,
        KeyType::INODE_V3,
        at(5001, LEAF),
        &inode(1),
    );
    keys.add(BtreeId::INODES, KeyType::INODE_V3, at(5001, a), &inode(2));
    keys.add(
        BtreeId::INODES,
        KeyType::INODE_V3,
        at(5002, LEAF),
        &inode(1),
    );
    keys.add(BtreeId::INODES, KeyType::WHITEOUT, at(5002, a), &[]);
    keys.add(BtreeId::INODES, KeyType::INODE_V3, at(5003, b), &inode(3));

    let view = keys.start();
    let s = view.subvolume(2).unwrap();
    assert_eq!((s.read_only, s.is_snapshot, s.snapshot), (true, true, b));
    let size = |subvol, inum| {
        let found = inode::find(&view, SubvolInum { subvol, inum });
        found.map(|i| i.size).ok()
    };
    let seen = [1, 2].map(|subvol| [5000, 5001, 5002, 5003].map(|inum| size(subvol, inum)));
    assert_eq!(seen[0], [Some(1), Some(2), None, None]);
    assert_eq!(seen[1], [Some(1), Some(1), Some(1), Some(3)]);
    assert!(size(1, ROOT).is_some() && size(2, ROOT).is_some());
}

/// Pointers of the first version say neither which node is meant nor where it begins.
#[test]
fn nodes_are_read_by_pointers_of_the_first_version() {
    let st = empty();
    let journal = journal::read(&st, false).unwrap();
    let roots: Vec<_> = journal
        .roots
        .iter()
        .map(|(id, root)| {
            let key = root.key().unwrap();
            // Without the 40 bytes in front of the pointers.
            (id, root.level, key.k, key.v[40..].to_vec())
        })
        .collect();
    assert!(roots.len() > 5, "{}", roots.len());
    let btrees = Btrees::start(st, journal).unwrap();
    for (id, level, k, v) in &roots {
        let k = Bkey {
            key_type: KeyType::BTREE_PTR,
            ..*k
        };
        let ptr = NodePtr::decode(*id, *level, &Key { k, v }, btrees.entry_sizes()).unwrap();
        assert!(ptr.id.is_none());
        let node = btrees.read_node(&ptr).unwrap();
        assert_eq!((node.min, node.max), (Bpos::MIN, Bpos::MAX), "{id}");
    }
    // A node of another btree is still told apart.
    let (_, level, k, v) = &roots[0];
    let k = Bkey {
        key_type: KeyType::BTREE_PTR,
        ..*k
    };
    let wrong = NodePtr::decode(roots[1].0, *level, &Key { k, v }, btrees.entry_sizes()).unwrap();
    assert_eq!(btrees.read_node(&wrong).err(), Some(Error::NodeWrongBtree));
}

/// Options of an inode as attributes show them.
#[test]
fn options_as_text() {
    let Some(image) = images::image("v139-threedev") else {
        return;
    };
    let devices = images::devices(&image.name, image.unpack().unwrap());
    let st = sb::open(devices, &Opts::default()).unwrap();
    let text = |name, value| {
        let option = InodeOption {
            name,
            value,
            is_own: true,
        };
        let mut text = String::new();
        option.write(&st, &mut text).unwrap();
        text
    };
    assert_eq!(text("compression", 3 | 7 << 4), "zstd:7");
    assert_eq!(text("compression", 1), "lz4");
    assert_eq!(text("data_checksum", 3), "xxhash");
    assert_eq!(text("data_replicas", 2), "2");
    assert_eq!(text("nocow", 1), "1");
    assert_eq!(text("project", 70_000), "70000");
    assert_eq!(text("promote_target", 0), "none");
    // A device; one that is none; a label and one below it.
    let dev = st.dev(DevIdx(1)).unwrap().bdev.name();
    assert_eq!(text("foreground_target", 1 + 1), format!("/dev/{dev}"));
    assert_eq!(text("foreground_target", 1 + 9), "invalid device 9");
    let labels: Vec<_> = (0..8)
        .map(|n| text("background_target", 1 + 256 + n))
        .collect();
    assert!(labels.iter().any(|l| l.contains('.')), "{labels:?}");
}
