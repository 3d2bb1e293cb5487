// SPDX-License-Identifier: GPL-2.0

//! Subvolumes with files in them, and what should be in them.

use crate::{
    engine::Random,
    model::{
        plain,
        roots,
        Model, //
    },
    workload::Workload,
};
use sim::{
    data::{
        self,
        write::{
            self,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    error::Error,
    format::csum::CsumType,
    fs::{
        change::{
            NewFile,
            Source, //
        },
        inode::find,
        SubvolInum, //
    },
    init::Filesystem,
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

/// Bytes of the longest file.
const LONGEST: usize = 256 << 10;
/// More subvolumes than that are not made.
const SUBVOLS_MAX: usize = 12;

/// Directories and contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    model: Model,
    data: BTreeMap<SubvolInum, Vec<u8>>,
}

pub(crate) struct World {
    w: Workload<'static>,
    /// Contents of files that are not empty.
    data: BTreeMap<SubvolInum, Vec<u8>>,
    /// Subvolumes that can not be changed.
    read_only: BTreeSet<u32>,
    /// Data is written over where it is.
    pub(crate) nocow: bool,
}

fn names() -> &'static [Vec<u8>] {
    let all = (0..14).map(|i| format!("name{i}").into_bytes());
    Box::leak(all.collect::<Vec<_>>().into_boxed_slice())
}

fn file_id(fs: &Filesystem, at: SubvolInum) -> FileId {
    at.file(&fs.view).unwrap()
}

fn is_file(mode: u16) -> bool {
    mode >> 12 == 8
}

impl Seen {
    pub(crate) fn read(fs: &Filesystem, open: &[SubvolInum]) -> Self {
        let model = Model::read(&fs.view, open);
        let mut bytes = BTreeMap::new();
        for (at, node) in &model.0 {
            if !is_file(node.mode) {
                continue;
            }
            let inode = find(&fs.view, *at).unwrap();
            let mut buf = vec![0x5a; inode.size as usize];
            if buf.is_empty() {
                continue;
            }
            data::read_sync(&fs.view, file_id(fs, *at), 0, &mut buf).unwrap();
            bytes.insert(*at, buf);
        }
        model.check(&fs.view);
        Self { model, data: bytes }
    }

    /// Where two differ.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        let (a, b) = (&self.model.0, &other.model.0);
        for at in a.keys().chain(b.keys()) {
            if a.get(at) != b.get(at) {
                found.push(format!("{at}: {:?}, not {:?}", b.get(at), a.get(at)));
            }
        }
        for at in self.data.keys().chain(other.data.keys()) {
            let both = [&self.data, &other.data].map(|d| d.get(at).cloned().unwrap_or_default());
            if both[0] != both[1] {
                let place = both[0].iter().zip(&both[1]).position(|(a, b)| a != b);
                let len = [both[0].len(), both[1].len()];
                found.push(format!("{at}: contents, from {place:?} on, {len:?} bytes"));
            }
        }
        found
    }
}

impl World {
    pub(crate) fn new(fs: &Filesystem, seed: u64) -> Self {
        let seen = Seen::read(fs, &[]);
        let all = roots(&fs.view);
        let is_ro = |r: &&SubvolInum| fs.view.subvolume(r.subvol).unwrap().read_only;
        let (ro, rw): (Vec<_>, Vec<_>) = all.iter().partition(is_ro);
        Self {
            w: Workload {
                model: seen.model,
                r: Random(seed * 77 + 5),
                names: names(),
                open: Vec::new(),
                dirs: rw,
                roots_stay: false,
                now: 1 << 60,
            },
            data: seen.data,
            read_only: ro.iter().map(|r| r.subvol).collect(),
            nocow: false,
        }
    }

    /// Subvolumes keep their names from now on.
    #[allow(dead_code)] // not by all who have this file
    pub(crate) fn keep_roots(&mut self) {
        self.w.roots_stay = true;
    }

    pub(crate) fn named(&self) -> Seen {
        let mut seen = Seen {
            model: self.w.model.clone(),
            data: self.data.clone(),
        };
        for at in &self.w.open {
            seen.model.0.remove(at);
            seen.data.remove(at);
        }
        seen
    }

    /// What was open, and has no name, is gone.
    pub(crate) fn forget_open(&mut self) {
        for at in self.w.open.drain(..) {
            self.w.model.0.remove(&at);
            self.data.remove(&at);
        }
    }

    pub(crate) fn compare(&mut self, fs: &Filesystem) {
        let found = Seen::read(fs, &self.w.open);
        let should = Seen {
            model: self.w.model.clone(),
            data: self.data.clone(),
        };
        let wrong = should.differences(&found);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        let nr = all.len() as u64;
        (nr != 0).then(|| all[self.w.r.below(nr) as usize])
    }

    pub(crate) fn step(&mut self, fs: &Filesystem) {
        match self.w.r.below(24) {
            0..10 => {
                let c = fs.changes().unwrap();
                self.w.step(&c);
                // What is gone has no contents.
                let model = &self.w.model;
                self.data.retain(|at, _| model.0.contains_key(at));
            }
            10..17 => self.write(fs),
            17 => self.truncate(fs),
            18 => self.punch(fs),
            19 => self.create(fs),
            20..22 => self.snapshot(fs),
            22 => self.delete(fs),
            _ => self.refused(fs),
        }
    }

    /// A file that can be changed, also one without a name.
    fn file(&mut self) -> Option<SubvolInum> {
        let files = self.w.model.0.iter().filter(|(at, node)| {
            is_file(node.mode) && !self.read_only.contains(&at.subvol) //
        });
        let files: Vec<_> = files.map(|(at, _)| *at).collect();
        self.pick(&files)
    }

    fn write(&mut self, fs: &Filesystem) {
        let Some(at) = self.file() else {
            return;
        };
        let block = fs.view.sb().sb.block_bytes() as usize;
        let pos = self.w.r.below((LONGEST / block) as u64 / 2) as usize * block;
        let nr = 1 + self.w.r.below(6) as usize;
        let fill = self.w.r.below(255) as u8 + 1;
        let mut bytes: Vec<u8> = (0..nr * block).map(|i| fill ^ (i / 512) as u8).collect();
        let cut = self.w.r.below(block as u64) as usize;
        let size = pos + bytes.len() - cut;
        let had = self.data.entry(at).or_default();
        let kept = had.len().max(size);
        had.resize(had.len().max(pos + bytes.len()), 0);
        had[pos..pos + bytes.len()].copy_from_slice(&bytes);
        had.truncate(kept);
        let inode = find(&fs.view, at).unwrap();
        let mut options = WriteOptions::of(fs.view.sb(), &inode);
        if self.nocow {
            options.nocow = true;
            options.csum = CsumType::NONE;
        }
        let engine = fs.read_write().unwrap().engine();
        let mut done = Written::default();
        // Behind the new end there is nothing, as the page cache sees to it.
        let end = kept.saturating_sub(pos).min(bytes.len());
        bytes[end..].fill(0);
        let what = (pos as u64 / 512, &bytes[..]);
        let file = file_id(fs, at);
        write::write(
            engine,
            &fs.view,
            file,
            &options,
            what,
            size as u64,
            &mut done,
        )
        .unwrap();
    }

    fn truncate(&mut self, fs: &Filesystem) {
        let Some(at) = self.file() else {
            return;
        };
        let block = fs.view.sb().sb.block_bytes() as u64;
        let size = self.w.r.below(LONGEST as u64 / block) * block;
        let had = self.data.entry(at).or_default();
        let engine = fs.read_write().unwrap().engine();
        had.resize(size as usize, 0);
        if had.is_empty() {
            self.data.remove(&at);
        }
        let file = (file_id(fs, at), at.subvol);
        write::truncate(engine, &fs.view, file, size).unwrap();
    }

    fn punch(&mut self, fs: &Filesystem) {
        let Some(at) = self.file() else {
            return;
        };
        let block = fs.view.sb().sb.block_bytes() as usize;
        let start = self.w.r.below((LONGEST / block) as u64) as usize * block;
        let end = start + (1 + self.w.r.below(8) as usize) * block;
        if let Some(had) = self.data.get_mut(&at) {
            let len = had.len();
            had[start.min(len)..end.min(len)].fill(0);
        }
        let engine = fs.read_write().unwrap().engine();
        let (from, to) = (start as u64 / 512, end as u64 / 512);
        write::punch(engine, &fs.view, file_id(fs, at), from, to).unwrap();
    }

    /// A place for a new subvolume.
    fn place(&mut self) -> Option<(SubvolInum, Vec<u8>)> {
        let dirs = self.w.dirs.clone();
        let dir = self.pick(&dirs)?;
        let name = names()[self.w.r.below(14) as usize].clone();
        Some((dir, name))
    }

    fn nr_subvols(&self) -> usize {
        let all: BTreeSet<u32> = self.w.model.0.keys().map(|at| at.subvol).collect();
        all.len()
    }

    fn create(&mut self, fs: &Filesystem) {
        let Some((dir, name)) = self.place() else {
            return;
        };
        if self.nr_subvols() > SUBVOLS_MAX {
            return;
        }
        let now = self.w.now;
        let new = NewFile {
            mode: 0o040750,
            uid: 3,
            now,
            ..NewFile::default()
        };
        let made = fs.changes().unwrap().create_subvolume(dir, &name, &new);
        if self.w.model.0[&dir].entries.contains_key(&name) {
            assert_eq!(made.err(), Some(Error::DirentExists));
            return;
        }
        let made = made.unwrap();
        assert_eq!((made.inode.links(), made.inode.uid), (2, 3));
        self.w.model.0.insert(made.id, plain(&made.inode));
        self.w.dirs.push(made.id);
        self.named_in(dir, name, made.id);
    }

    fn named_in(&mut self, dir: SubvolInum, name: Vec<u8>, at: SubvolInum) {
        let node = self.w.model.0.get_mut(&dir).unwrap();
        node.entries.insert(name, at);
        (node.mtime, node.ctime) = (self.w.now, self.w.now);
    }

    fn snapshot(&mut self, fs: &Filesystem) {
        let Some((dir, name)) = self.place() else {
            return;
        };
        if self.nr_subvols() > SUBVOLS_MAX {
            return;
        }
        let here = self.w.r.one_in(3);
        let all = roots(&fs.view);
        let source = match here {
            true => dir.subvol,
            false => self.pick(&all).unwrap().subvol,
        };
        let root = sim::fs::inode::subvolume_root(&fs.view, source).unwrap();
        let from = match here {
            true => Source::Here,
            false => Source::Root(root),
        };
        let ro = self.w.r.one_in(3);
        let changes = fs.changes().unwrap();
        let made = changes.snapshot(dir, &name, from, ro, (0, self.w.now));
        if self.w.model.0[&dir].entries.contains_key(&name) {
            assert_eq!(made.err(), Some(Error::DirentExists));
            return;
        }
        let made = made.unwrap();
        let subvol = made.id.subvol;
        let there = |at: SubvolInum| SubvolInum { subvol, ..at };
        let model = &mut self.w.model;
        let nodes: Vec<_> = model
            .0
            .iter()
            .filter(|(at, _)| at.subvol == source)
            .collect();
        let mut copies = Vec::new();
        for (at, node) in nodes {
            if self.w.open.contains(at) {
                continue;
            }
            let mut node = node.clone();
            node.entries.retain(|_, to| to.subvol == source);
            node.entries.values_mut().for_each(|to| *to = there(*to));
            if node.is_dir() && !ro && self.w.dirs.contains(at) {
                self.w.dirs.push(there(*at));
            }
            copies.push((there(*at), node));
            if let Some(bytes) = self.data.get(at).cloned() {
                self.data.insert(there(*at), bytes);
            }
        }
        self.w.model.0.extend(copies);
        if ro {
            self.read_only.insert(subvol);
        } else if !self.w.dirs.contains(&made.id) {
            self.w.dirs.push(made.id);
        }
        self.named_in(dir, name, made.id);
    }

    /// Names of subvolumes: the directory, the name, and what it leads to.
    fn subvolumes(&self) -> Vec<(SubvolInum, Vec<u8>, SubvolInum)> {
        let all = self.w.model.0.iter().flat_map(|(dir, node)| {
            let others = node
                .entries
                .iter()
                .filter(|(_, to)| to.subvol != dir.subvol);
            others.map(|(name, to)| (*dir, name.clone(), *to))
        });
        all.collect()
    }

    fn delete(&mut self, fs: &Filesystem) {
        let all = self.subvolumes();
        let nr = all.len() as u64;
        if nr == 0 {
            return;
        }
        let (dir, name, at) = all[self.w.r.below(nr) as usize].clone();
        let changes = fs.changes().unwrap();
        let done = changes.unlink_subvolume(dir, &name, self.w.now);
        if self.read_only.contains(&dir.subvol) {
            assert_eq!(done.err(), Some(Error::SubvolumeReadOnly));
            return;
        }
        if all.iter().any(|(dir, ..)| dir.subvol == at.subvol) {
            assert_eq!(done.err(), Some(Error::SubvolumeNotEmpty));
            return;
        }
        done.unwrap();
        let node = self.w.model.0.get_mut(&dir).unwrap();
        node.entries.remove(&name);
        (node.mtime, node.ctime) = (self.w.now, self.w.now);
        self.w.lost_subvolume(at.subvol);
        self.data.retain(|a, _| a.subvol != at.subvol);
        self.read_only.remove(&at.subvol);
    }

    /// Some subvolumes and snapshots of them, some of which are in others.
    pub(crate) fn some_subvolumes(&mut self, fs: &Filesystem) {
        for _ in 0..60 {
            self.create(fs);
            self.snapshot(fs);
            self.write(fs);
        }
    }

    /// Deletes all subvolumes but those that can not be.
    pub(crate) fn delete_all(&mut self, fs: &Filesystem) {
        for _ in 0..2000 {
            self.delete(fs);
        }
        let left = self.subvolumes();
        let is_ro = |(dir, ..): &(SubvolInum, Vec<u8>, SubvolInum)| {
            self.read_only.contains(&dir.subvol) //
        };
        assert!(left.iter().all(|s| is_ro(s) || left.iter().any(is_ro)));
    }

    /// What can not be done.
    fn refused(&mut self, fs: &Filesystem) {
        let changes = fs.changes().unwrap();
        let all: Vec<_> = self.w.model.0.keys().copied().collect();
        let Some(at) = self.pick(&all) else {
            return;
        };
        let is_dir = self.w.model.0[&at].is_dir();
        let is_root = find(&fs.view, at).unwrap().is_subvol_root();
        let place = self.place();
        if let Some((dir, _)) = place.filter(|_| !is_root && is_dir) {
            let made = changes.snapshot(dir, b"no", Source::Root(at), false, (0, 0));
            assert_eq!(made.err(), Some(Error::SnapshotOfNoRoot));
        }
        if !is_dir {
            return;
        }
        let new = NewFile {
            mode: 0o100600,
            ..NewFile::default()
        };
        let done = changes.unlink_subvolume(at, b"no", 0);
        let is_ro = self.read_only.contains(&at.subvol);
        if is_ro {
            assert_eq!(done.err(), Some(Error::SubvolumeReadOnly));
            let done = changes.create(at, Some(b"no"), &new);
            assert_eq!(done.err(), Some(Error::SubvolumeReadOnly));
            let done = changes.create_subvolume(at, b"no", &new);
            assert_eq!(done.err(), Some(Error::SubvolumeReadOnly));
            return;
        }
        assert_eq!(done.err(), Some(Error::DirentNotFound));
        let node = self.w.model.0[&at].clone();
        if let Some((name, _)) = node.entries.iter().find(|(_, to)| to.subvol == at.subvol) {
            let done = changes.unlink_subvolume(at, name, 0);
            assert_eq!(done.err(), Some(Error::SubvolumeNone));
        }
    }
}
