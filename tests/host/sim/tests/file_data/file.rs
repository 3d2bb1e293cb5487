// SPDX-License-Identifier: GPL-2.0

//! A file, what should be in it, and random changes of both.

use super::engine::{
    space::{
        devices,
        look,
        SpaceFs, //
    },
    Random, //
};
use sim::{
    alloc::space::Engine,
    data::{
        read_sync,
        write::{
            allocate,
            punch,
            share,
            shift,
            truncate,
            write,
            Compression,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    error::Result as BchResult,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        values::{
            extent::is_unwritten,
            extent_entry::EntrySizes,
            inode::Inode, //
        },
    },
    snapshots::View, //
};

/// The first subvolume's.
pub(crate) const SUBVOL: u32 = 1;
pub(crate) const SECTOR: u64 = 512;

/// Regular files that the first subvolume has.
pub(crate) fn files(view: &View) -> Vec<Inode> {
    let snapshot = view.subvolume(SUBVOL).unwrap().snapshot;
    let mut found = Vec::new();
    let mut iter = view.iter(BtreeId::INODES, Bpos::MIN, snapshot);
    while let Some(key) = iter.next().unwrap() {
        let inode = Inode::decode(&key).unwrap();
        found.extend(inode.filter(|i| i.is_regular()));
    }
    found
}

/// A file, and what should be in it.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) id: FileId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) options: WriteOptions,
}

impl File {
    pub(crate) fn of(view: &View, inode: &Inode, snapshot: u32) -> Self {
        let id = FileId {
            inum: inode.inum,
            snapshot,
        };
        let mut bytes = vec![0; inode.size as usize];
        read_sync(view, id, 0, &mut bytes).unwrap();
        Self {
            id,
            bytes,
            options: WriteOptions::of(view.sb(), inode),
        }
    }

    /// From now on its data is written over where it is.
    pub(crate) fn set_nocow(&mut self) {
        self.options.nocow = true;
        self.options.csum = CsumType::NONE;
        self.options.compression = Compression::of_option(0);
    }

    pub(crate) fn resize(&mut self, len: u64) {
        self.bytes.resize(len as usize, 0);
    }

    pub(crate) fn check(&self, view: &View) {
        let pos = Bpos::new(0, self.id.inum, self.id.snapshot);
        let found = view.lookup(BtreeId::INODES, pos).unwrap().unwrap();
        let inode = Inode::decode(&found.key()).unwrap().unwrap();
        assert_eq!(inode.size, self.bytes.len() as u64, "size of {:?}", self.id);
        let mut found = vec![0; self.bytes.len()];
        read_sync(view, self.id, 0, &mut found).unwrap();
        let differs = self.bytes.iter().zip(&found).position(|(a, b)| a != b);
        assert_eq!(differs, None, "first wrong byte of {:?}", self.id);
    }
}

/// What is changed.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) engine: Engine<'a>,
    pub(crate) view: &'a View,
    /// Files have about so many blocks.
    pub(crate) blocks: u64,
}

impl Target<'_> {
    /// Does something random to one of the files, which is known to have happened then; gives what
    /// went wrong.
    pub(crate) fn change(&self, files: &mut [File], r: &mut Random) -> BchResult<usize> {
        let nr = r.below(files.len() as u64) as usize;
        if r.one_in(10) {
            return self.share(files, nr, r);
        }
        let (view, engine) = (self.view, self.engine);
        let file = &mut files[nr];
        let block = u64::from(view.sb().sb.block_bytes());
        let at = r.below(self.blocks) * block;
        let most = if r.one_in(8) { 300 } else { 12 };
        let len = (1 + r.below(most)) * block;
        let end = at + len;
        match r.below(12) {
            0 => {
                punch(engine, view, file.id, at / SECTOR, end / SECTOR)?;
                let size = file.bytes.len() as u64;
                file.bytes[at.min(size) as usize..end.min(size) as usize].fill(0);
            }
            1 => {
                let range = (at / SECTOR, end / SECTOR);
                allocate(engine, view, file.id, range, &file.options, end)?;
                file.resize(end.max(file.bytes.len() as u64));
            }
            2 => {
                truncate(engine, view, (file.id, SUBVOL), at)?;
                file.resize(at);
            }
            3 if at + len < file.bytes.len() as u64 => {
                let range = (at / SECTOR, len / SECTOR);
                shift(engine, view, (file.id, SUBVOL), range, false)?;
                file.bytes.drain(at as usize..end as usize);
            }
            4 if at < file.bytes.len() as u64
                && (file.bytes.len() as u64) < 2 * self.blocks * block =>
            {
                let range = (at / SECTOR, len / SECTOR);
                shift(engine, view, (file.id, SUBVOL), range, true)?;
                let hole = std::iter::repeat_n(0, len as usize);
                file.bytes.splice(at as usize..at as usize, hole);
            }
            5 => self.write_end(file, at, r)?,
            _ => {
                // A half of it random, or less, so that a part can be compressed.
                let random = r.below(2 * len);
                let repeats =
                    |i, r: &mut Random| (if i < random { r.next() } else { i / 300 }) as u8;
                let data: Vec<u8> = (0..len).map(|i| repeats(i, r)).collect();
                let mut done = Written::default();
                let what = (at / SECTOR, &data[..]);
                write(engine, view, file.id, &file.options, what, end, &mut done)?;
                assert_eq!(done.bytes as u64, len);
                file.resize(end.max(file.bytes.len() as u64));
                file.bytes[at as usize..end as usize].copy_from_slice(&data);
            }
        }
        Ok(nr)
    }

    /// Writes a part of a block, with which the file ends then, if it ended before.
    fn write_end(&self, file: &mut File, at: u64, r: &mut Random) -> BchResult {
        let block = u64::from(self.view.sb().sb.block_bytes());
        let most = if r.one_in(2) { block / 4 } else { block };
        let size = at + 1 + r.below(most);
        if size < file.bytes.len() as u64 {
            return Ok(());
        }
        let is_in = |i: u64| at + i < size;
        let byte = |i, r: &mut Random| if is_in(i) { r.next() as u8 } else { 0 };
        let data: Vec<u8> = (0..block).map(|i| byte(i, r)).collect();
        let (what, mut done) = ((at / SECTOR, &data[..]), Written::default());
        let (options, id) = (&file.options, file.id);
        write(self.engine, self.view, id, options, what, size, &mut done)?;
        assert_eq!(done.bytes as u64, block);
        file.resize(size);
        file.bytes[at as usize..].copy_from_slice(&data[..(size - at) as usize]);
        Ok(())
    }

    /// Has one file share data of another, or of itself.
    fn share(&self, files: &mut [File], to: usize, r: &mut Random) -> BchResult<usize> {
        let from = r.below(files.len() as u64) as usize;
        let block = u64::from(self.view.sb().sb.block_bytes());
        let [at, pos] = [0; 2].map(|_: u64| r.below(self.blocks) * block);
        let size = files[from].bytes.len() as u64 / block * block;
        let len = ((1 + r.below(60)) * block).min(size.saturating_sub(at));
        if len == 0 || from == to && at.abs_diff(pos) < len {
            return Ok(to);
        }
        let end = pos + len;
        let (source, target) = (files[from].id, files[to].id);
        let mut done = 0;
        share(
            self.engine,
            self.view,
            (source, at / SECTOR),
            (target, pos / SECTOR),
            len / SECTOR,
            end,
            &mut done,
        )?;
        assert_eq!(done, len / SECTOR);
        let data = files[from].bytes[at as usize..(at + len) as usize].to_vec();
        let file = &mut files[to];
        file.resize(end.max(file.bytes.len() as u64));
        file.bytes[pos as usize..end as usize].copy_from_slice(&data);
        Ok(to)
    }
}

/// The first regular files of a filesystem, made empty blocks at the end.
pub(crate) fn first_files(view: &View, engine: Engine<'_>, nr: usize) -> Vec<File> {
    let snapshot = view.subvolume(SUBVOL).unwrap().snapshot;
    let block = u64::from(view.sb().sb.block_bytes());
    let inodes = files(view);
    let mut found = Vec::new();
    for inode in inodes.iter().take(nr) {
        let mut file = File::of(view, inode, snapshot);
        // What is behind the end in the last block is the page cache's.
        let size = inode.size / block * block;
        truncate(engine, view, (file.id, SUBVOL), size).unwrap();
        file.resize(size);
        found.push(file);
    }
    assert!(!found.is_empty());
    found
}

/// No file has data behind its end.
pub(crate) fn check_ends(view: &View, files: &[File]) {
    for file in files {
        let snapshot = file.id.snapshot;
        let start = Bpos::new(file.id.inum, 0, 0);
        let end = Bpos::new(file.id.inum, u64::MAX, u32::MAX);
        let pos = Bpos::new(0, file.id.inum, snapshot);
        let found = view.lookup(BtreeId::INODES, pos).unwrap().unwrap();
        let size = Inode::decode(&found.key()).unwrap().unwrap().size;
        let mut iter = view.range(BtreeId::EXTENTS, start, end, snapshot);
        while let Some(key) = iter.next().unwrap() {
            let is_space =
                key.k.key_type == KeyType::RESERVATION || is_unwritten(&key, &EntrySizes::KNOWN);
            let is_inside = key.k.start_offset() * SECTOR < size;
            assert!(is_space || is_inside, "{} behind {size}", key.k);
        }
    }
}

/// Files hold what they should, as they are seen here, and in what is on the devices.
pub(crate) fn check_all(fs: &SpaceFs, files: &[File]) {
    fs.writer.journal.flush().unwrap();
    let seen = look(devices(fs.contents())).unwrap();
    for file in files {
        file.check(&fs.view);
        file.check(&seen.view);
    }
    check_ends(&fs.view, files);
}
