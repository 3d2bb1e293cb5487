// SPDX-License-Identifier: GPL-2.0

//! Trees of files that show something, without a kernel that would show them.

use super::block::BlockDevice;
use crate::error::errno::Errno;
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        MutexGuard,
        PoisonError, //
    }, //
};

type Result<T = ()> = core::result::Result<T, Errno>;

/// What the files of a tree show.
pub trait Files: Send + Sync + 'static {
    /// Writes the contents of file `id`.
    fn show(&self, id: u32, to: &mut dyn fmt::Write) -> fmt::Result;

    /// Takes what was written to file `id`.
    fn store(&self, id: u32, text: &str) -> Result;
}

/// What can be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everybody can read it.
    Read,
    /// Everybody can read it, the superuser can write it.
    ReadWrite,
    /// The superuser can write it.
    Write,
}

/// A directory that trees can be put into.
#[derive(Default)]
pub struct Root(Mutex<Vec<String>>);

impl Root {
    /// Not there yet.
    pub const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn names(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the directory.
    pub fn register(&'static self, _name: &str) -> Result<Registered> {
        Ok(Registered)
    }
}

/// A [`Root`] that exists.
pub struct Registered;

/// A directory of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dir(usize);

/// Directories and files.
pub struct Tree<T: Files> {
    root: &'static Root,
    dirs: Vec<String>,
    files: BTreeMap<String, (u32, Mode)>,
    links: Vec<(String, String)>,
    data: T,
}

impl<T: Files> Tree<T> {
    /// The directory of a tree itself.
    pub const TOP: Dir = Dir(0);

    /// A tree that is an empty directory in `root`, whose files will show `data`.
    pub fn try_new(root: &'static Root, name: fmt::Arguments<'_>, data: T) -> Result<Self> {
        let name = name.to_string();
        let mut names = root.names();
        if names.contains(&name) {
            return Err(Errno::EEXIST);
        }
        names.push(name.clone());
        Ok(Self {
            root,
            dirs: vec![name],
            files: BTreeMap::new(),
            links: Vec::new(),
            data,
        })
    }

    fn path(&self, dir: Dir, name: &str) -> String {
        match dir {
            Dir(0) => name.to_owned(),
            Dir(nr) => format!("{}/{name}", self.dirs[nr]),
        }
    }

    /// Adds a directory.
    pub fn dir(&mut self, parent: Dir, name: fmt::Arguments<'_>) -> Result<Dir> {
        let path = self.path(parent, &name.to_string());
        self.dirs.push(path);
        Ok(Dir(self.dirs.len() - 1))
    }

    /// Adds a file.
    pub fn file(&mut self, dir: Dir, name: &str, mode: Mode, id: u32) -> Result {
        let path = self.path(dir, name);
        match self.files.insert(path, (id, mode)) {
            None => Ok(()),
            Some(_) => Err(Errno::EEXIST),
        }
    }

    /// Links a directory and a block device to each other.
    pub fn link_device(&mut self, dir: Dir, dev: &BlockDevice) -> Result {
        let path = self.path(dir, "block");
        self.links.push((path, dev.name().to_owned()));
        Ok(())
    }

    /// The name of the tree.
    pub fn name(&self) -> &str {
        &self.dirs[0]
    }

    /// The files, with whether they are writable.
    pub fn files(&self) -> impl Iterator<Item = (&str, bool)> {
        let writable = |mode| mode != Mode::Read;
        self.files
            .iter()
            .map(move |(path, f)| (path.as_str(), writable(f.1)))
    }

    /// The links to devices, with the devices' names.
    pub fn links(&self) -> &[(String, String)] {
        &self.links
    }

    /// Writes to a file.
    pub fn write(&self, path: &str, text: &str) -> Result {
        match self.files.get(path) {
            Some((id, mode)) if *mode != Mode::Read => self.data.store(*id, text),
            _ => Err(Errno::EACCES),
        }
    }

    /// What a file shows.
    pub fn read(&self, path: &str) -> Option<String> {
        let mut text = String::new();
        let (id, _) = self.files.get(path)?;
        self.data.show(*id, &mut text).ok()?;
        Some(text)
    }
}

impl<T: Files> Drop for Tree<T> {
    fn drop(&mut self) {
        let mut names = self.root.names();
        names.retain(|n| *n != self.dirs[0]);
    }
}
