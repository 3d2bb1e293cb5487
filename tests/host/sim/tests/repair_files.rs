// SPDX-License-Identifier: GPL-2.0

//! Files and directories that contradict each other, made by changing keys one by one: after a
//! repair nothing is wrong with them, and everything that is left can be reached. Also when the
//! power is lost meanwhile, at any write.
//!
//! `BCACHEFS_RS_CUTS` sets how many moments are looked at for each case, 0 for every one;
//! `BCACHEFS_RS_SEED` which.

mod engine;

use engine::{
    golden::{
        all,
        check_whole,
        contents,
        counted,
        cuts,
        left,
        start,
        REPAIR, //
    },
    setting,
    Random, //
};
use sim::{
    alloc::space::Engine,
    btree::KeyBuf,
    data::inode::inode_key,
    env::Arc as EnvArc,
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
            dirent::{
                dirent,
                Dirent,
                FileType,
                Target, //
            },
            inode::{
                Inode,
                InodeFlags, //
            },
            subvolume::Subvolume,
        },
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::{
        Disk,
        Power,
        Replay, //
    },
};

const ROOT: u64 = 4096;

/// A filesystem that is going to be damaged.
struct Victim {
    fs: EnvArc<Filesystem>,
}

impl Victim {
    fn engine(&self) -> Engine<'_> {
        self.fs.read_write().unwrap().engine()
    }

    fn all(&self, btree: BtreeId) -> Vec<KeyBuf> {
        all(&self.fs, btree)
    }

    fn inodes(&self) -> Vec<Inode> {
        let all = self.all(BtreeId::INODES);
        let decoded = all.iter().filter_map(|k| Inode::decode(&k.key()).unwrap());
        decoded.collect()
    }

    /// The versions of an inode.
    fn versions(&self, inum: u64) -> usize {
        self.inodes().iter().filter(|i| i.inum == inum).count()
    }

    /// The first regular file with a name and extents, if possible several; of one version.
    fn file(&self) -> Inode {
        let extents = self.all(BtreeId::EXTENTS);
        let nr = |i: &Inode| extents.iter().filter(|k| k.k.p.inode == i.inum).count();
        let is = |i: &Inode| i.is_regular() && i.dir != 0 && self.versions(i.inum) == 1;
        let all: Vec<_> = self.inodes().into_iter().filter(is).collect();
        let several = all.iter().find(|i| nr(i) > 1);
        *several.or(all.iter().find(|i| nr(i) > 0)).unwrap()
    }

    /// The first regular file that snapshots have versions of.
    fn shared(&self) -> Inode {
        let has = InodeFlags::HAS_CHILD_SNAPSHOT;
        let is = |i: &Inode| i.is_regular() && i.dir != 0 && i.flags.has(has);
        self.inodes().into_iter().find(is).unwrap()
    }

    fn dir(&self) -> Inode {
        let entries = self.all(BtreeId::DIRENTS);
        let has = |i: &Inode| entries.iter().any(|k| k.k.p.inode == i.inum);
        let mut all = self.inodes().into_iter();
        let is = |i: &Inode| i.is_dir() && i.dir == ROOT && i.subvol == 0 && has(i);
        all.find(is).unwrap()
    }

    fn put(&self, btree: BtreeId, key: &KeyBuf) {
        self.engine()
            .run(Watermark::Normal, |t| {
                t.update(btree, KeyBuf::copy_of(&key.key())?)?;
                t.commit()
            })
            .unwrap();
    }

    /// Puts an extent where there is one already.
    fn put_beside(&self, key: &KeyBuf) {
        let st = self.fs.view.sb();
        st.set_checking(true);
        self.put(BtreeId::EXTENTS, key);
        st.set_checking(false);
    }

    fn put_inode(&self, inode: &Inode) {
        self.put(BtreeId::INODES, &inode_key(inode).unwrap());
    }

    fn delete(&self, btree: BtreeId, pos: Bpos) {
        self.put(btree, &KeyBuf::deletion(pos));
    }

    /// Nobody is to delete an inode before it is looked at.
    fn unlist(&self, inode: &Inode) {
        let gone = KeyBuf::deletion(Bpos::new(0, inode.inum, inode.snapshot));
        self.engine()
            .run(Watermark::Normal, |t| {
                t.buffer(BtreeId::DELETED_INODES, KeyBuf::copy_of(&gone.key())?)?;
                t.commit()
            })
            .unwrap();
    }

    fn put_entry(&self, at: Bpos, name: &[u8], inum: u64, file_type: FileType) {
        self.put_name(at, name, Target::Inode(inum), file_type);
    }

    fn put_name(&self, at: Bpos, name: &[u8], target: Target, file_type: FileType) {
        let d = Dirent {
            target,
            file_type,
            name,
            folded: None,
        };
        let mut value = vec![0; 1024];
        let len = d.encode(&mut value).unwrap();
        let k = Bkey {
            key_type: KeyType::DIRENT,
            p: at,
            ..Bkey::default()
        };
        self.put(BtreeId::DIRENTS, &KeyBuf::of(k, &value[..len]).unwrap());
    }

    fn entry_of(&self, inode: &Inode) -> (KeyBuf, Vec<u8>) {
        let pos = Bpos::new(inode.dir, inode.dir_offset, inode.snapshot);
        let found = self.fs.view.btrees.lookup(BtreeId::DIRENTS, pos).unwrap();
        let key = KeyBuf::copy_of(&found.unwrap().key()).unwrap();
        let name = dirent(&key.key()).unwrap().unwrap().name.to_vec();
        (key, name)
    }

    /// A subvolume: the root directory, the key, and the entry that leads to it.
    fn subvolume(&self) -> (Inode, KeyBuf, KeyBuf) {
        let leads_to = |k: &KeyBuf| match dirent(&k.key()).unwrap().map(|d| d.target) {
            Some(Target::Subvol { child, .. }) => Some(child),
            _ => None,
        };
        let mut entries = self.all(BtreeId::DIRENTS).into_iter();
        let entry = entries.find(|k| leads_to(k).is_some()).unwrap();
        let id = leads_to(&entry).unwrap();
        let mut all = self.all(BtreeId::SUBVOLUMES).into_iter();
        let key = all.find(|k| k.k.p.offset == u64::from(id)).unwrap();
        let root = self.inodes().into_iter().find(|i| i.subvol == id).unwrap();
        (root, key, entry)
    }

    fn extents_of(&self, inode: &Inode) -> Vec<KeyBuf> {
        let all = self.all(BtreeId::EXTENTS).into_iter();
        all.filter(|k| k.k.p.inode == inode.inum).collect()
    }
}

/// What is done to a filesystem, and what is found then.
type Case = (&'static str, fn(&Victim), FsckError);

const CASES: &[Case] = &[
    (
        "an inode is gone, its name and its extents are there",
        |v| {
            let i = v.file();
            v.delete(BtreeId::INODES, Bpos::new(0, i.inum, i.snapshot));
        },
        FsckError::KEY_IN_MISSING_INODE,
    ),
    (
        "a directory's name is gone",
        |v| {
            let (key, _) = v.entry_of(&v.dir());
            v.delete(BtreeId::DIRENTS, key.k.p);
        },
        FsckError::INODE_UNREACHABLE,
    ),
    (
        "a file's name is gone, and the inode says nothing of one",
        |v| {
            let i = v.file();
            v.delete(BtreeId::DIRENTS, v.entry_of(&i).0.k.p);
            v.put_inode(&Inode {
                dir: 0,
                dir_offset: 0,
                ..i
            });
        },
        FsckError::INODE_UNREACHABLE,
    ),
    (
        "a file's name is gone, and the one in lost+found that it should get is taken",
        |v| {
            let i = v.file();
            v.delete(BtreeId::DIRENTS, v.entry_of(&i).0.k.p);
            let all = v.inodes();
            let named = |o: &&Inode| o.dir == ROOT && v.entry_of(o).1 == b"lost+found";
            let lost = all.iter().find(named).unwrap();
            let mut others = all.iter();
            let other = others.find(|o| o.is_regular() && o.inum != i.inum && o.nlink == 0);
            let name = i.inum.to_string();
            let info = sim::algo::str_hash::HashInfo::of(lost).unwrap();
            let at = Bpos::new(lost.inum, info.dirent(name.as_bytes()), i.snapshot);
            let other = other.unwrap();
            v.put_entry(at, name.as_bytes(), other.inum, FileType::FILE);
            v.put_inode(&Inode { nlink: 1, ..*other });
        },
        FsckError::INODE_UNREACHABLE,
    ),
    (
        "a directory that is not empty is to be deleted",
        |v| {
            let i = v.dir();
            let (key, _) = v.entry_of(&i);
            v.delete(BtreeId::DIRENTS, key.k.p);
            v.put_inode(&Inode {
                dir: 0,
                dir_offset: 0,
                nlink: 0,
                flags: i.flags.with(InodeFlags::UNLINKED),
                ..i
            });
            v.unlist(&i);
        },
        FsckError::INODE_DIR_UNLINKED_BUT_NOT_EMPTY,
    ),
    (
        "an inode is to be deleted, and has a name",
        |v| {
            let i = v.file();
            let flags = i.flags.with(InodeFlags::UNLINKED);
            let nlink = 0;
            v.put_inode(&Inode { flags, nlink, ..i });
            v.unlist(&i);
        },
        FsckError::INODE_UNLINKED_BUT_HAS_DIRENT,
    ),
    (
        "a flag tells of snapshots that are not there",
        |v| {
            let i = v.file();
            let flags = i.flags.with(InodeFlags::HAS_CHILD_SNAPSHOT);
            v.put_inode(&Inode { flags, ..i });
        },
        FsckError::INODE_HAS_CHILD_SNAPSHOTS_WRONG,
    ),
    (
        "a name says that a file is a directory",
        |v| {
            let i = v.file();
            let (key, name) = v.entry_of(&i);
            v.put_entry(key.k.p, &name, i.inum, FileType::DIR);
        },
        FsckError::DIRENT_D_TYPE_WRONG,
    ),
    (
        "a file says that it is somewhere else",
        |v| {
            let i = v.file();
            let dir_offset = i.dir_offset ^ 0xff;
            v.put_inode(&Inode { dir_offset, ..i });
        },
        FsckError::INODE_POINTS_TO_MISSING_DIRENT,
    ),
    (
        "a name is not where it is looked for",
        |v| {
            let i = v.file();
            let (key, _) = v.entry_of(&i);
            v.put_entry(key.k.p, b"other", i.inum, FileType::FILE);
        },
        FsckError::HASH_TABLE_KEY_WRONG_OFFSET,
    ),
    (
        "a name is there twice, of two files",
        |v| {
            let i = v.file();
            let (key, name) = v.entry_of(&i);
            let mut others = v.inodes().into_iter();
            let other = others
                .find(|o| o.is_regular() && o.inum != i.inum && o.dir == i.dir && o.nlink == 0);
            let next = Bpos::new(i.dir, key.k.p.offset + 1, key.k.p.snapshot);
            v.put_entry(next, &name, other.unwrap().inum, FileType::FILE);
        },
        FsckError::HASH_TABLE_KEY_DUPLICATE,
    ),
    (
        "the longest name is there twice",
        |v| {
            let i = v.file();
            let all = v.inodes();
            let dir = all.iter().find(|d| d.inum == i.dir).unwrap();
            let name = [b'n'; 512];
            let hash = sim::algo::str_hash::HashInfo::of(dir)
                .unwrap()
                .dirent(&name);
            let (key, _) = v.entry_of(&i);
            v.delete(BtreeId::DIRENTS, key.k.p);
            let at = |offset| Bpos { offset, ..key.k.p };
            v.put_entry(at(hash), &name, i.inum, FileType::FILE);
            v.put_inode(&Inode {
                dir_offset: hash,
                ..i
            });
            let mut others = all.iter();
            let is = |o: &&Inode| o.is_regular() && o.inum != i.inum && o.nlink == 0;
            let other = others.find(is).unwrap();
            v.put_entry(at(hash + 1), &name, other.inum, FileType::FILE);
        },
        FsckError::HASH_TABLE_KEY_DUPLICATE,
    ),
    (
        "a directory has two names",
        |v| {
            let i = v.dir();
            let (key, _) = v.entry_of(&i);
            let next = Bpos::new(ROOT, key.k.p.offset ^ 0xf0, key.k.p.snapshot);
            v.put_entry(next, b"second", i.inum, FileType::DIR);
        },
        FsckError::INODE_DIR_MULTIPLE_LINKS,
    ),
    (
        "two directories are in each other",
        |v| {
            let all = v.inodes().into_iter();
            let is = |i: &Inode| i.is_dir() && i.dir == ROOT && i.subvol == 0;
            let dirs: Vec<_> = all.filter(is).map(|i| (v.entry_of(&i), i)).collect();
            let mut dirs = dirs.iter().filter(|d| d.0 .1 != b"lost+found");
            let (a, b) = (dirs.next().unwrap(), dirs.next().unwrap());
            for (((key, name), inode), (_, parent)) in [(a, b), (b, a)] {
                v.delete(BtreeId::DIRENTS, key.k.p);
                let at = Bpos::new(parent.inum, key.k.p.offset, key.k.p.snapshot);
                v.put_entry(at, name, inode.inum, FileType::DIR);
                v.put_inode(&Inode {
                    dir: parent.inum,
                    nlink: inode.nlink + 1,
                    ..*inode
                });
            }
        },
        FsckError::DIR_LOOP,
    ),
    (
        "a directory counts too many directories in it",
        |v| {
            let i = v.dir();
            v.put_inode(&Inode {
                nlink: i.nlink + 3,
                ..i
            });
        },
        FsckError::INODE_DIR_WRONG_NLINK,
    ),
    (
        "a file counts names that it has not",
        |v| {
            let i = v.file();
            v.put_inode(&Inode {
                nlink: i.nlink + 2,
                ..i
            });
        },
        FsckError::INODE_WRONG_NLINK,
    ),
    (
        "a file counts too many sectors",
        |v| {
            let i = v.file();
            v.put_inode(&Inode {
                sectors: i.sectors + 8,
                ..i
            });
        },
        FsckError::INODE_I_SECTORS_WRONG,
    ),
    (
        "a file ends before its extents do",
        |v| {
            let i = v.file();
            let size = v.extents_of(&i).last().unwrap().k.start_offset() * 512;
            v.put_inode(&Inode { size, ..i });
        },
        FsckError::EXTENT_PAST_END_OF_INODE,
    ),
    (
        "two extents overlap",
        |v| {
            let i = v.file();
            let extents = v.extents_of(&i);
            let last = extents.last().unwrap();
            // Without pointers: nothing is on disk that two could have.
            let half = last.k.size / 2;
            let p = Bpos {
                offset: last.k.p.offset - u64::from(half),
                ..last.k.p
            };
            let k = Bkey {
                key_type: KeyType::RESERVATION,
                size: last.k.size - half,
                p,
                ..last.k
            };
            let value = [0, 0, 0, 0, 1, 0, 0, 0];
            v.put(BtreeId::EXTENTS, &KeyBuf::of(k, &value).unwrap());
        },
        FsckError::EXTENT_OVERLAPPING,
    ),
    (
        "an extent is there twice, once shorter",
        |v| {
            let i = v.file();
            let mut key = KeyBuf::copy_of(&v.extents_of(&i)[0].key()).unwrap();
            let start = key.k.start_offset();
            key.k.size /= 2;
            key.k.p.offset = start + u64::from(key.k.size);
            v.put_beside(&key);
        },
        FsckError::EXTENT_OVERLAPPING,
    ),
    (
        "an attribute has no inode",
        |v| {
            let xattrs = v.all(BtreeId::XATTRS);
            let with = xattrs.iter().find(|k| k.k.p.inode != ROOT).unwrap();
            let p = Bpos::new(1 << 40, with.k.p.offset, u32::MAX);
            let moved = KeyBuf::of(Bkey { p, ..with.k }, with.key().v).unwrap();
            v.put(BtreeId::XATTRS, &moved);
        },
        FsckError::KEY_IN_MISSING_INODE,
    ),
    (
        "an attribute is not where its name is looked for",
        |v| {
            let xattrs = v.all(BtreeId::XATTRS);
            let with = xattrs
                .iter()
                .find(|k| k.k.key_type == KeyType::XATTR)
                .unwrap();
            v.delete(BtreeId::XATTRS, with.k.p);
            let p = Bpos::new(with.k.p.inode, with.k.p.offset ^ 0xff00, with.k.p.snapshot);
            let moved = KeyBuf::of(Bkey { p, ..with.k }, with.key().v).unwrap();
            v.put(BtreeId::XATTRS, &moved);
        },
        FsckError::HASH_TABLE_KEY_WRONG_OFFSET,
    ),
    (
        "the root directory is gone",
        |v| {
            let all = v.inodes();
            let root = all.iter().find(|i| i.inum == ROOT).unwrap();
            v.delete(BtreeId::INODES, Bpos::new(0, ROOT, root.snapshot));
        },
        FsckError::ROOT_DIR_MISSING,
    ),
];

/// What is done to one with snapshots.
const WITH_SNAPSHOTS: &[Case] = &[
    (
        "a name that several snapshots see is gone",
        |v| {
            let i = v.shared();
            let pos = Bpos::new(i.dir, i.dir_offset, i.snapshot);
            v.delete(BtreeId::DIRENTS, pos);
        },
        FsckError::INODE_UNREACHABLE,
    ),
    (
        "a flag does not tell of versions in snapshots",
        |v| {
            let i = v.shared();
            let flags = i.flags.without(InodeFlags::HAS_CHILD_SNAPSHOT);
            v.put_inode(&Inode { flags, ..i });
        },
        FsckError::INODE_HAS_CHILD_SNAPSHOTS_WRONG,
    ),
    (
        "versions of an inode have other hashes",
        |v| {
            let i = v.shared();
            let mut all = v.inodes().into_iter();
            let other = all.find(|o| o.inum == i.inum && o.snapshot != i.snapshot);
            let other = other.unwrap();
            let hash_seed = other.hash_seed ^ 1;
            v.put_inode(&Inode { hash_seed, ..other });
        },
        FsckError::INODE_SNAPSHOT_MISMATCH,
    ),
    (
        "a key is of no snapshot",
        |v| {
            let i = v.file();
            let mut key = KeyBuf::copy_of(&v.extents_of(&i)[0].key()).unwrap();
            key.k.p.snapshot = 77;
            v.put(BtreeId::EXTENTS, &key);
        },
        FsckError::BKEY_IN_MISSING_SNAPSHOT,
    ),
    (
        "an inode is of no snapshot, nor is its name",
        |v| {
            let i = v.file();
            let (key, name) = v.entry_of(&i);
            // They have to get there without anybody looking for their snapshot.
            let st = v.fs.view.sb();
            st.set_checking(true);
            v.put_inode(&Inode { snapshot: 77, ..i });
            v.put_entry(key.k.p.with_snapshot(77), &name, i.inum, FileType::FILE);
            st.set_checking(false);
        },
        FsckError::BKEY_IN_MISSING_SNAPSHOT,
    ),
    (
        "the root of a subvolume says that it is somewhere else",
        |v| {
            let mut all = v.inodes().into_iter();
            let i = all.find(|i| i.subvol > 1 && i.dir != 0).unwrap();
            let dir_offset = i.dir_offset ^ 0xff;
            v.put_inode(&Inode { dir_offset, ..i });
        },
        FsckError::INODE_POINTS_TO_MISSING_DIRENT,
    ),
    (
        "a subvolume is in itself",
        |v| {
            let (root, key, entry) = v.subvolume();
            let s = Subvolume::decode(key.key().v).unwrap();
            let name = dirent(&entry.key()).unwrap().unwrap().name.to_vec();
            let (child, parent) = (root.subvol, root.subvol);
            let info = sim::algo::str_hash::HashInfo::of(&root).unwrap();
            let at = Bpos::new(root.inum, info.dirent(&name), s.snapshot);
            v.delete(BtreeId::DIRENTS, entry.k.p);
            v.put_name(
                at,
                &name,
                Target::Subvol { child, parent },
                FileType::SUBVOL,
            );
            v.put_inode(&Inode {
                dir: root.inum,
                dir_offset: at.offset,
                parent_subvol: parent,
                snapshot: s.snapshot,
                ..root
            });
            let s = Subvolume {
                fs_path_parent: parent,
                ..s
            };
            v.put(
                BtreeId::SUBVOLUMES,
                &KeyBuf::of(key.k, &s.encode()).unwrap(),
            );
        },
        FsckError::SUBVOL_LOOP,
    ),
    (
        "a subvolume has no name, and says that it is in one that is not there",
        |v| {
            let (root, key, entry) = v.subvolume();
            let s = Subvolume::decode(key.key().v).unwrap();
            v.delete(BtreeId::DIRENTS, entry.k.p);
            for i in v.inodes().iter().filter(|i| i.subvol == root.subvol) {
                v.put_inode(&Inode {
                    dir: 0,
                    dir_offset: 0,
                    parent_subvol: 0,
                    ..*i
                });
            }
            let s = Subvolume {
                fs_path_parent: 4711,
                ..s
            };
            v.put(
                BtreeId::SUBVOLUMES,
                &KeyBuf::of(key.k, &s.encode()).unwrap(),
            );
        },
        FsckError::INODE_UNREACHABLE,
    ),
    (
        "an inode is the root of a subvolume that is not there",
        |v| {
            let mut all = v.inodes().into_iter();
            let i = all.find(|i| i.is_dir() && i.subvol == 0).unwrap();
            v.put_inode(&Inode { subvol: 4711, ..i });
        },
        FsckError::INODE_BI_SUBVOL_MISSING,
    ),
];

/// The filesystem of `name`, with one thing wrong.
fn damaged(name: &str, case: &Case) -> Option<Vec<Disk>> {
    let (fs, media) = start(contents(name)?, Access::Write, "", &Power::new());
    let victim = Victim { fs: fs.unwrap() };
    (case.1)(&victim);
    drop(victim);
    Some(left(&media))
}

const IMAGES: [&str; 2] = ["v113-dmgbase", "v113-snap"];

#[test]
fn what_contradicts_itself_is_made_right() {
    let only = std::env::var("BCACHEFS_RS_CASE").unwrap_or_default();
    for name in IMAGES {
        let cases = match name {
            "v113-snap" => WITH_SNAPSHOTS,
            _ => CASES,
        };
        for case in cases.iter().filter(|c| c.0.contains(&only)) {
            let what = format!("{name}: {}", case.0);
            println!("{what}");
            let Some(disks) = damaged(name, case) else {
                return;
            };
            let (fs, media) = start(disks, Access::Write, REPAIR, &Power::new());
            let fs = fs.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_ne!(counted(&fs, case.2), 0, "{what}: {} not found", case.2);
            drop(fs);
            check_whole(left(&media), &what);
            println!("{what}: repaired");
        }
    }
}

/// Which of two files some space belongs to, nothing tells but the data: the check ends there.
#[test]
fn space_of_two_files_is_told() {
    let case: Case = (
        "two files have the same space",
        |v| {
            let i = v.file();
            let key = KeyBuf::copy_of(&v.extents_of(&i)[0].key()).unwrap();
            let is = |o: &Inode| o.is_regular() && o.inum != i.inum && o.dir != 0;
            let other = v.inodes().into_iter().find(is).unwrap();
            let p = Bpos::new(other.inum, 1 << 40, other.snapshot);
            v.put_beside(&KeyBuf::of(Bkey { p, ..key.k }, key.key().v).unwrap());
        },
        FsckError::EXTENT_OVERLAPPING,
    );
    let Some(disks) = damaged(IMAGES[0], &case) else {
        return;
    };
    let (fs, _) = start(disks, Access::Write, REPAIR, &Power::new());
    assert_eq!(fs.err(), Some(Error::CheckSameSpace));
}

/// Without leave nothing is repaired, and nothing gets worse.
#[test]
fn nothing_is_repaired_that_is_not_to_be() {
    for case in CASES {
        let Some(disks) = damaged(IMAGES[0], case) else {
            return;
        };
        let opts = "fsck,fix_errors=no,errors=ro";
        let (fs, media) = start(disks, Access::Write, opts, &Power::new());
        // Without a root directory there is no going on.
        if let Ok(fs) = fs {
            assert_ne!(fs.view.sb().errors.since_mount(), 0, "{}", case.0);
            drop(fs);
        }
        let (fs, media) = start(left(&media), Access::Write, REPAIR, &Power::new());
        drop(fs.unwrap_or_else(|e| panic!("{}: {e}", case.0)));
        check_whole(left(&media), case.0);
    }
}

#[test]
fn the_power_may_be_lost_meanwhile() {
    for case in CASES {
        let Some(disks) = damaged(IMAGES[0], case) else {
            return;
        };
        let power = Power::new();
        let (fs, media) = start(disks, Access::Write, REPAIR, &power);
        drop(fs.unwrap());
        let last = power.now();
        let mut replays: Vec<_> = media.iter().map(|m| Replay::new(m).unwrap()).collect();
        for cut in cuts(last, 6) {
            let what = format!("{}: {cut:?} of {last}", case.0);
            let left_over: Vec<_> = replays.iter_mut().map(|r| r.image(cut)).collect();
            let (fs, media) = start(left_over, Access::Write, REPAIR, &Power::new());
            drop(fs.unwrap_or_else(|e| panic!("{what}: {e}")));
            check_whole(left(&media), &what);
        }
    }
}

/// Damages something; says what.
fn damage(v: &Victim, r: &mut Random) -> String {
    let btrees = [
        BtreeId::EXTENTS,
        BtreeId::INODES,
        BtreeId::DIRENTS,
        BtreeId::XATTRS,
    ];
    let one = |r: &mut Random, btree| {
        let all = v.all(btree);
        let at = r.below(all.len() as u64);
        all.into_iter().nth(at as usize)
    };
    let staged = |btree, key: KeyBuf| {
        let done = v.engine().run(Watermark::Normal, |t| {
            t.update(btree, KeyBuf::copy_of(&key.key())?)?;
            t.commit()
        });
        format!("{btree} {}: {done:?}", key.k)
    };
    match r.below(3) {
        0 => {
            let btree = btrees[r.below(4) as usize];
            match one(r, btree) {
                Some(key) => staged(btree, KeyBuf::deletion(key.k.p)),
                None => String::new(),
            }
        }
        // A name or an attribute is somewhere else.
        1 => {
            let btree = btrees[2 + r.below(2) as usize];
            let Some(key) = one(r, btree) else {
                return String::new();
            };
            let mut p = key.k.p;
            match r.below(2) {
                0 => p.offset ^= 1 << r.below(60),
                _ => p.inode = one(r, BtreeId::INODES).unwrap().k.p.offset,
            }
            staged(btree, KeyBuf::of(Bkey { p, ..key.k }, key.key().v).unwrap())
        }
        _ => {
            let all = v.inodes();
            let nr = all.len() as u64;
            let mut inode = all[r.below(nr) as usize];
            let other = all[r.below(nr) as usize];
            match r.below(8) {
                0 => inode.nlink = r.below(4) as u32,
                1 => inode.dir = other.inum,
                2 => inode.dir_offset = other.dir_offset,
                3 => inode.size = other.size,
                4 => inode.sectors += 8,
                5 => inode.mode = other.mode,
                6 => inode.hash_seed ^= 1,
                _ => inode.subvol = r.below(4) as u32,
            }
            staged(BtreeId::INODES, inode_key(&inode).unwrap())
        }
    }
}

/// Whatever contradicts itself: a repair comes to its end, and leaves nothing to be repaired.
#[test]
fn random_damage_is_made_right() {
    let (rounds, seed) = (
        setting("BCACHEFS_RS_ROUNDS", 12),
        setting("BCACHEFS_RS_SEED", 1),
    );
    for name in ["v113-dmgbase", "v113-snap", "v113-reflink"] {
        for round in 0..rounds {
            let Some(disks) = contents(name) else { return };
            let mut r = Random(seed << 32 | round);
            let opts = "errors=continue";
            let (fs, media) = start(disks, Access::Write, opts, &Power::new());
            let victim = Victim { fs: fs.unwrap() };
            let nr = 1 + r.below(8);
            let done: Vec<_> = (0..nr).map(|_| damage(&victim, &mut r)).collect();
            drop(victim);
            let what = format!("{name} round {round} seed {seed}: {done:#?}");
            let (fs, media) = start(left(&media), Access::Write, REPAIR, &Power::new());
            drop(fs.unwrap_or_else(|e| panic!("{what}: {e}")));
            check_whole(left(&media), &what);
        }
    }
}
