// SPDX-License-Identifier: GPL-2.0

//! Random operations, done to a filesystem and to a model of it.

use super::{
    engine::Random,
    model::{
        plain,
        Model,
        Node, //
    },
};
use sim::{
    error::{
        Error,
        Result, //
    },
    format::{
        sb::{
            Features,
            Superblock, //
        },
        values::{
            inode::InodeFlags,
            xattr::XattrType, //
        },
    },
    fs::{
        acl::{
            self,
            AclEntry,
            Kind,
            Tag,
            NO_ID, //
        },
        change::{
            Changes,
            Flags,
            Mode,
            NewFile,
            SetMode,
            Side, //
        },
        SubvolInum, //
    },
};

/// What goes on.
pub(crate) struct Workload<'a> {
    pub(crate) model: Model,
    pub(crate) r: Random,
    /// Names that are used.
    pub(crate) names: &'a [Vec<u8>],
    /// Files without a name that are still open.
    pub(crate) open: Vec<SubvolInum>,
    /// Where things can be made.
    pub(crate) dirs: Vec<SubvolInum>,
    /// Subvolumes keep their names. When one that has snapshots gets another, the fsck of 1.13
    /// misses the name that the root had in what they share; later ones know that it may be gone.
    pub(crate) roots_stay: bool,
    pub(crate) now: u64,
}

impl Workload<'_> {
    fn dir(&mut self) -> SubvolInum {
        let nr = self.r.below(self.dirs.len() as u64);
        self.dirs[nr as usize]
    }

    fn name(&mut self) -> Vec<u8> {
        let nr = self.r.below(self.names.len() as u64);
        self.names[nr as usize].clone()
    }

    /// Any inode that has a name.
    fn any(&mut self) -> SubvolInum {
        let dir = self.dir();
        let entries = self.model.0[&dir].entries.values();
        // Not what may be read-only.
        let entries: Vec<_> = entries.filter(|e| e.subvol == dir.subvol).collect();
        match entries.is_empty() {
            true => dir,
            false => *entries[self.r.below(entries.len() as u64) as usize],
        }
    }

    fn node(&mut self, at: SubvolInum) -> &mut Node {
        self.model.0.get_mut(&at).unwrap()
    }

    fn touch(&mut self, dir: SubvolInum) {
        let now = self.now;
        let node = self.node(dir);
        (node.mtime, node.ctime) = (now, now);
    }

    fn changed(&mut self, at: SubvolInum) {
        let now = self.now;
        self.node(at).ctime = now;
    }

    /// One random operation.
    pub(crate) fn step(&mut self, c: &Changes<'_>) {
        self.now += 1;
        match self.r.below(20) {
            0..=5 => self.create(c),
            6..=8 => self.unlink(c),
            9..=10 => self.link(c),
            11..=14 => self.rename(c),
            15 => self.tmpfile(c),
            16 => self.close(c),
            17 => self.attributes(c),
            _ => self.xattr(c),
        }
    }

    fn create(&mut self, c: &Changes<'_>) {
        let (dir, name) = (self.dir(), self.name());
        let kind = [4, 4, 8, 8, 10, 2, 1][self.r.below(7) as usize];
        let long = [1, 7, 100, 600, 1024, 1025, 2048, 4095][self.r.below(8) as usize];
        let target: Vec<u8> = (0..long).map(|i| b'a' + (i % 26) as u8).collect();
        let list = [
            AclEntry {
                tag: Tag::UserObj,
                perm: 6,
                id: NO_ID,
            },
            AclEntry {
                tag: Tag::User,
                perm: 4,
                id: 77,
            },
            AclEntry {
                tag: Tag::Other,
                perm: 1,
                id: NO_ID,
            },
        ];
        let with_acl = self.r.one_in(5);
        let new = NewFile {
            mode: kind << 12 | 0o640,
            uid: self.r.below(3) as u32,
            dev: if kind == 2 { 8 << 20 | 1 } else { 0 },
            now: self.now,
            acl: (with_acl && kind != 10).then_some(&list[..]),
            default_acl: (with_acl && kind == 4).then_some(&list[..2]),
            link: (kind == 10).then_some(&target[..]),
            ..NewFile::default()
        };
        let made = c.create(dir, Some(&name), &new);
        if self.model.0[&dir].entries.contains_key(&name) {
            assert_eq!(made.err(), Some(Error::DirentExists));
            return;
        }
        let made = made.unwrap();
        let mut node = plain(&made.inode);
        assert_eq!((node.mode, node.mtime), (new.mode, self.now));
        for (kind, list) in [(1, new.acl), (2, new.default_acl)] {
            if let Some(list) = list {
                let stored = acl::encode(list).unwrap().to_vec();
                node.xattrs.insert((kind, Vec::new()), stored);
            }
        }
        if kind == 10 {
            node.target = target;
            assert_eq!(made.inode.size, long);
            let has = |sb: &Superblock| sb.features().0[0] & 1 << Features::INLINE_DATA != 0;
            assert!(c.view.sb().with_super(has));
        }
        assert_eq!(self.model.0.insert(made.id, node), None, "{}", made.id);
        self.node(dir).entries.insert(name, made.id);
        self.touch(dir);
        if kind == 4 {
            self.dirs.push(made.id);
        }
    }

    fn unlink(&mut self, c: &Changes<'_>) {
        let (dir, name) = (self.dir(), self.name());
        let done = c.unlink(dir, &name, self.now);
        let Some(&target) = self.model.0[&dir].entries.get(&name) else {
            assert_eq!(done.err(), Some(Error::DirentNotFound));
            return;
        };
        if !self.model.0[&target].entries.is_empty() {
            assert_eq!(done.err(), Some(Error::DirNotEmpty));
            return;
        }
        let done = done.unwrap();
        self.node(dir).entries.remove(&name);
        self.touch(dir);
        if target.subvol != dir.subvol {
            self.lost_subvolume(target.subvol);
            return;
        }
        self.changed(target);
        self.lost_a_name(target);
        assert_eq!(done.inode.links(), self.model.links(target));
    }

    /// A subvolume lost its name.
    pub(crate) fn lost_subvolume(&mut self, subvol: u32) {
        let stays = |at: &SubvolInum| at.subvol != subvol;
        self.dirs.retain(stays);
        self.open.retain(stays);
        self.model.0.retain(|at, _| stays(at));
    }

    /// If it was the last one, the inode is open.
    fn lost_a_name(&mut self, at: SubvolInum) {
        self.dirs.retain(|d| *d != at);
        if self.model.links(at) == 0 {
            self.open.push(at);
        }
    }

    fn link(&mut self, c: &Changes<'_>) {
        let (dir, name) = (self.dir(), self.name());
        let from_open = self.r.one_in(3) && !self.open.is_empty();
        let target = match from_open {
            true => self.open[self.r.below(self.open.len() as u64) as usize],
            false => self.any(),
        };
        // The VFS gives directories no second name.
        if self.model.0[&target].is_dir() {
            return;
        }
        let done = c.link(dir, &name, target, self.now);
        if dir.subvol != target.subvol {
            assert_eq!(done.err(), Some(Error::LinkOtherSubvolume));
        } else if self.model.0[&dir].entries.contains_key(&name) {
            assert_eq!(done.err(), Some(Error::DirentExists));
        } else {
            done.unwrap();
            self.open.retain(|o| *o != target);
            self.node(dir).entries.insert(name, target);
            self.touch(dir);
            self.changed(target);
        }
    }

    /// Whether `dir` is `above` or somewhere in it.
    fn is_below(&self, dir: SubvolInum, above: SubvolInum) -> bool {
        let mut todo = vec![above];
        while let Some(at) = todo.pop() {
            if at == dir {
                return true;
            }
            todo.extend(self.model.0[&at].entries.values());
        }
        false
    }

    fn rename(&mut self, c: &Changes<'_>) {
        let (from, old) = (self.dir(), self.name());
        let to = if self.r.one_in(2) { from } else { self.dir() };
        let new = self.name();
        let source = self.model.0[&from].entries.get(&old).copied();
        let there = self.model.0[&to].entries.get(&new).copied();
        let mode = match there {
            None => Mode::Free,
            Some(_) if self.r.one_in(2) => Mode::Exchange,
            Some(_) => Mode::Replace,
        };
        // What the VFS does not let through: another name of the same, a place below itself.
        let Some(source) = source.filter(|s| Some(*s) != there) else {
            return;
        };
        let loops = |a: SubvolInum, dir| self.model.0[&a].is_dir() && self.is_below(dir, a);
        if loops(source, to) || there.is_some_and(|t| loops(t, from)) {
            return;
        }
        let is_root = source.subvol != from.subvol || there.is_some_and(|t| t.subvol != to.subvol);
        if self.roots_stay && is_root {
            return;
        }
        let whiteout = NewFile {
            mode: 0o020000,
            now: self.now,
            ..NewFile::default()
        };
        let with = (mode != Mode::Exchange && self.r.one_in(4)).then_some(&whiteout);
        let sides = [(from, &old), (to, &new)].map(|(dir, name)| Side { dir, name });
        let done = c.rename(sides[0], sides[1], mode, with, self.now);
        let others = [Some(source), there].into_iter().flatten();
        // Only whole subvolumes go to another one.
        let moves = [Some((source, from)), there.map(|t| (t, to))];
        let is_whole = |(of, dir): (SubvolInum, SubvolInum)| of.subvol != dir.subvol;
        if from.subvol != to.subvol && !moves.into_iter().flatten().all(is_whole) {
            assert_eq!(done.err(), Some(Error::RenameOtherSubvolume));
            return;
        }
        if others.clone().any(|o| o.subvol != from.subvol) && done.is_err() {
            assert_eq!(mode, Mode::Replace);
            return;
        }
        if let (Some(there), Mode::Replace) = (there, mode) {
            let (a, b) = (&self.model.0[&source], &self.model.0[&there]);
            if a.is_dir() != b.is_dir() {
                assert_eq!(done.err(), Some(Error::RenameOtherKind));
                return;
            }
            if !b.entries.is_empty() {
                assert_eq!(done.err(), Some(Error::DirNotEmpty));
                return;
            }
        }
        done.unwrap();
        self.node(from).entries.remove(&old);
        self.node(to).entries.insert(new, source);
        if let (Some(there), Mode::Exchange) = (there, mode) {
            self.node(from).entries.insert(old.clone(), there);
        }
        self.touch(from);
        self.touch(to);
        self.changed(source);
        if let Some(there) = there {
            self.changed(there);
            if mode == Mode::Replace {
                self.lost_a_name(there);
            }
        }
        if with.is_some() {
            let made = sim::fs::inode::find(c.view, from).unwrap();
            let at = sim::fs::dirent::lookup(c.view, from, &made, &old);
            let at = at.unwrap().unwrap();
            let inode = sim::fs::inode::find(c.view, at).unwrap();
            assert_eq!((inode.mode, inode.dev), (0o020000, 0));
            assert_eq!(self.model.0.insert(at, plain(&inode)), None);
            self.node(from).entries.insert(old, at);
        }
    }

    fn tmpfile(&mut self, c: &Changes<'_>) {
        let dir = self.dir();
        let new = NewFile {
            mode: 0o100600,
            now: self.now,
            ..NewFile::default()
        };
        let made = c.create(dir, None, &new).unwrap();
        assert_eq!(made.inode.links(), 0);
        self.model.0.insert(made.id, plain(&made.inode));
        self.open.push(made.id);
    }

    /// The last user of a file without a name is gone.
    fn close(&mut self, c: &Changes<'_>) {
        let Some(at) = self.open.pop() else {
            return;
        };
        c.remove(at).unwrap();
        self.model.0.remove(&at);
        assert_eq!(c.change(at, |_| Ok(())).err(), Some(Error::InodeNotFound));
    }

    fn attributes(&mut self, c: &Changes<'_>) {
        let (at, now, uid) = (self.any(), self.now, self.r.below(1000) as u32);
        let flags = Flags {
            on: InodeFlags([1, 2, 4, 8, 16, 0][self.r.below(6) as usize]),
            project: None,
        };
        let mut fails = false;
        let done = c.change(at, |inode| {
            fails = flags.set(inode, now).is_err();
            inode.uid = uid;
            Ok(())
        });
        let (inode, _) = done.unwrap();
        let node = self.node(at);
        node.uid = uid;
        if !fails {
            (node.flags, node.ctime) = (flags.on.0, now);
        }
        assert_eq!(inode.uid, uid);
    }

    fn xattr(&mut self, c: &Changes<'_>) {
        let at = self.any();
        let key = ([0, 3, 4][self.r.below(3) as usize], self.name());
        let len = [0, 1, 30, 500][self.r.below(4) as usize];
        let value: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        let there = self.model.0[&at].xattrs.contains_key(&key);
        let mode = match self.r.below(8) {
            0..2 => SetMode::Create,
            2..4 => SetMode::Replace,
            4 => SetMode::Never,
            _ => SetMode::Any,
        };
        let space = XattrType(key.0);
        if self.r.one_in(3) {
            let done: Result<_> = c.set_xattr(at, (space, &key.1), None, SetMode::Any, self.now);
            match there {
                false => assert_eq!(done.err(), Some(Error::XattrToRemoveMissing)),
                true => {
                    done.unwrap();
                    self.node(at).xattrs.remove(&key);
                    self.changed(at);
                }
            }
            return;
        }
        let done = c.set_xattr(at, (space, &key.1), Some(&value), mode, self.now);
        match (mode, there) {
            (SetMode::Create | SetMode::Never, true) => {
                assert_eq!(done.err(), Some(Error::XattrExists));
            }
            (SetMode::Replace | SetMode::Never, false) => {
                assert_eq!(done.err(), Some(Error::XattrToReplaceMissing));
            }
            _ => {
                done.unwrap();
                self.node(at).xattrs.insert(key, value);
                self.changed(at);
            }
        }
    }

    /// Access control lists come and go.
    pub(crate) fn lists(&mut self, c: &Changes<'_>) {
        let at = self.any();
        let list = [
            AclEntry {
                tag: Tag::UserObj,
                perm: 7,
                id: NO_ID,
            },
            AclEntry {
                tag: Tag::Group,
                perm: 4,
                id: 5,
            },
        ];
        let mode = self.model.0[&at].mode;
        for kind in [Kind::Access, Kind::Default] {
            for list in [Some(&list[..]), None] {
                let done = c.set_acl(at, kind, list, mode, self.now);
                let for_files = kind == Kind::Access || mode >> 12 == 4;
                match for_files || list.is_none() {
                    true => assert!(done.is_ok()),
                    false => assert_eq!(done.err(), Some(Error::AclNoDirectory)),
                }
            }
            let key = (kind.xattr_type().0, Vec::new());
            self.node(at).xattrs.remove(&key);
        }
        self.changed(at);
    }
}

impl Workload<'_> {
    /// Directories below the first one, hashed as the mount says.
    pub(crate) fn fresh_dirs(&mut self, c: &Changes<'_>, nr: u64) -> Vec<SubvolInum> {
        let above = self.dirs[0];
        let mut all = Vec::new();
        for i in 0..nr {
            let name = format!("fresh{i}").into_bytes();
            let new = NewFile {
                mode: 0o040755,
                now: self.now,
                ..NewFile::default()
            };
            let made = c.create(above, Some(&name), &new).unwrap();
            self.model.0.insert(made.id, plain(&made.inode));
            self.node(above).entries.insert(name, made.id);
            all.push(made.id);
        }
        self.touch(above);
        all
    }
}
