// SPDX-License-Identifier: GPL-2.0

//! Contents of files: random writes, holes, allocations and sizes against plain bytes, with the
//! allocator that there is in the kernel; and the independent recount of what follows from them.
//!
//! `BCACHEFS_RS_OPS` sets how many are made, `BCACHEFS_RS_SEED` which.

mod engine;

use engine::{
    setting,
    space::{
        devices,
        disks,
        look,
        open,
        SpaceFs, //
    },
    Random, //
};
use sim::{
    data::{
        read_sync,
        write::{
            allocate,
            punch,
            truncate,
            write,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        values::inode::Inode, //
    },
    snapshots::View, //
};

/// The first subvolume's.
const SUBVOL: u32 = 1;
const SECTOR: u64 = 512;

/// Regular files that the first subvolume has.
fn files(view: &View) -> Vec<Inode> {
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
struct File {
    id: FileId,
    bytes: Vec<u8>,
    options: WriteOptions,
}

impl File {
    fn of(fs: &SpaceFs, inode: &Inode, snapshot: u32) -> Self {
        let id = FileId {
            inum: inode.inum,
            snapshot,
        };
        let mut bytes = vec![0; inode.size as usize];
        read_sync(&fs.view, id, 0, &mut bytes).unwrap();
        Self {
            id,
            bytes,
            options: WriteOptions::of(fs.view.sb(), inode),
        }
    }

    fn resize(&mut self, len: u64) {
        self.bytes.resize(len as usize, 0);
    }

    fn check(&self, view: &View) {
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

/// Does something random to a file.
fn change(fs: &SpaceFs, file: &mut File, r: &mut Random, blocks: u64) {
    let engine = fs.engine();
    let block = u64::from(fs.view.sb().sb.block_bytes());
    let at = r.below(blocks) * block;
    let most = if r.one_in(8) { 300 } else { 12 };
    let len = (1 + r.below(most)) * block;
    let end = at + len;
    let sector = |byte: u64| byte / SECTOR;
    match r.below(12) {
        0 => {
            let (start, stop) = (sector(at), sector(end));
            punch(engine, &fs.view, file.id, start, stop).unwrap();
            let size = file.bytes.len() as u64;
            file.bytes[at.min(size) as usize..end.min(size) as usize].fill(0);
        }
        1 => {
            let copies = file.options.nr_replicas;
            let range = (sector(at), sector(end));
            let size = end - r.below(block);
            allocate(engine, &fs.view, file.id, range, copies, size).unwrap();
            let size = size.max(file.bytes.len() as u64);
            file.resize(size);
        }
        2 => {
            truncate(engine, &fs.view, (file.id, SUBVOL), at).unwrap();
            file.resize(at);
        }
        _ => {
            let mut data: Vec<u8> = (0..len).map(|_| r.next() as u8).collect();
            let size = file.bytes.len() as u64;
            let new_size = (end - r.below(block)).max(size);
            if size < end {
                file.resize(end);
            }
            file.bytes[at as usize..end as usize].copy_from_slice(&data);
            file.resize(new_size);
            let mut done = Written::default();
            let what = (sector(at), &mut data[..]);
            write(
                engine,
                &fs.view,
                file.id,
                &file.options,
                what,
                new_size,
                &mut done,
            )
            .unwrap();
            assert_eq!(done.bytes as u64, len);
            // What is behind the end of the file in its last block is what was written: the page
            // cache has zeros there.
            if new_size % block != 0 && new_size < end {
                truncate_block(fs, file, new_size, block);
            }
        }
    }
}

/// Has the rest of the last block be zeros, as the page cache does.
fn truncate_block(fs: &SpaceFs, file: &File, size: u64, block: u64) {
    let start = size / block * block;
    let mut data = vec![0; block as usize];
    data[..(size - start) as usize].copy_from_slice(&file.bytes[start as usize..]);
    let what = (start / SECTOR, &mut data[..]);
    let mut done = Written::default();
    write(
        fs.engine(),
        &fs.view,
        file.id,
        &file.options,
        what,
        size,
        &mut done,
    )
    .unwrap();
}

fn check_all(fs: &SpaceFs, files: &[File]) {
    fs.writer.journal.flush().unwrap();
    let seen = look(devices(fs.contents())).unwrap();
    for file in files {
        file.check(&fs.view);
        file.check(&seen.view);
    }
}

/// The first files of an image, changed by `change`.
fn random_ops(image: &str, csum: Option<CsumType>, seed: u64, nr: u64, blocks: u64) {
    println!("BCACHEFS_RS_SEED={seed}");
    let Some(disks) = disks(image) else {
        return;
    };
    let fs = open(disks);
    let mut r = Random(seed);
    let snapshot = fs.view.subvolume(SUBVOL).unwrap().snapshot;
    let inodes = files(&fs.view);
    let mut files: Vec<File> = inodes
        .iter()
        .take(3)
        .map(|i| File::of(&fs, i, snapshot))
        .collect();
    assert!(!files.is_empty());
    for file in &mut files {
        if let Some(csum) = csum {
            file.options.csum = csum;
        }
    }
    fs.live(|fs| {
        for at in 0..nr {
            let nr_files = files.len() as u64;
            let file = &mut files[r.below(nr_files) as usize];
            change(fs, file, &mut r, blocks);
            if at % 100 == 99 {
                check_all(fs, &files);
                fs.drop_nodes();
            }
        }
    });
    check_all(&fs, &files);
    assert_eq!(fs.writer.hooks.nr_reserved(), 0);
    fs.shut_down();
    fs.check();
    for file in &files {
        file.check(&look(devices(fs.contents())).unwrap().view);
    }
}

fn nr_ops() -> u64 {
    setting("BCACHEFS_RS_OPS", 300)
}

#[test]
fn files_hold_what_was_written() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    random_ops("engine-small", None, seed, nr_ops(), 200);
    random_ops("v113-tree", Some(CsumType::CRC64), seed + 1, nr_ops(), 200);
    random_ops("v113-tree", Some(CsumType::NONE), seed + 2, nr_ops(), 400);
    random_ops("v113-tree", Some(CsumType::XXHASH), seed + 3, nr_ops(), 100);
}

#[test]
fn with_several_copies() {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    random_ops("v113-repl2", None, seed, nr_ops(), 200);
    random_ops("engine-three", None, seed + 1, nr_ops(), 200);
}

/// Extents of all kinds are what is written over.
#[test]
fn reservations_are_replaced() {
    let fs = open(disks("v113-tree").unwrap());
    let snapshot = fs.view.subvolume(SUBVOL).unwrap().snapshot;
    let inode = files(&fs.view)[0];
    let mut file = File::of(&fs, &inode, snapshot);
    let block = u64::from(fs.view.sb().sb.block_sectors());
    let start = 1 << 20;
    allocate(
        fs.engine(),
        &fs.view,
        file.id,
        (start, start + 64 * block),
        1,
        u64::MAX,
    )
    .unwrap();
    file.resize((start + 64 * block) * SECTOR);
    let mut data = vec![7; (8 * block * SECTOR) as usize];
    let at = start + 16 * block;
    file.bytes[(at * SECTOR) as usize..][..data.len()].copy_from_slice(&data);
    let mut done = Written::default();
    let what = (at, &mut data[..]);
    write(
        fs.engine(),
        &fs.view,
        file.id,
        &file.options,
        what,
        0,
        &mut done,
    )
    .unwrap();
    assert_eq!(done.sectors, 0);
    let count = |kind| {
        let mut iter = fs.view.iter(
            BtreeId::EXTENTS,
            Bpos::new(file.id.inum, start, 0),
            snapshot,
        );
        let mut nr = 0;
        while let Some(key) = iter.next().unwrap() {
            nr += usize::from(key.k.p.inode == file.id.inum && key.k.key_type == kind);
        }
        nr
    };
    assert_eq!(
        (count(KeyType::RESERVATION), count(KeyType::EXTENT)),
        (2, 1)
    );
    check_all(&fs, &[file]);
    fs.shut_down();
    fs.check();
}
