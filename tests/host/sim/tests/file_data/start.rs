// SPDX-License-Identifier: GPL-2.0

//! Writes that nobody waits for; and what is written piece by piece becomes few extents.

use super::{
    check_all,
    engine::{
        space::{
            disks,
            open,
            SpaceFs, //
        },
        Random, //
    },
    file::{
        first_files,
        File,
        SECTOR, //
    },
};
use sim::{
    alloc::space::{
        Engine,
        Space, //
    },
    data::{
        write::{
            run,
            start,
            write,
            Bytes,
            Compression,
            Source,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    env::{
        span::Span,
        Arc as EnvArc, //
    },
    error::{
        Error,
        Result as BchResult, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        values::{
            extent::ptrs,
            extent_entry::EntrySizes,
            kinds::CompressionType, //
        },
    },
    snapshots::View,
    sys::{
        block::Kind,
        workqueue::WorkQueue, //
    },
};
use std::sync::{
    atomic::AtomicU8,
    Arc,
    Mutex, //
};

/// What was told: of each part, and that there will be no more.
#[derive(Default)]
struct Told {
    written: Written,
    results: Vec<BchResult>,
    is_over: bool,
}

/// Data, in pieces of one block, each of which has a place in the file.
struct Data {
    fs: Arc<SpaceFs>,
    id: FileId,
    options: WriteOptions,
    bytes: Vec<u8>,
    /// The same, if a process can change it.
    shared: Option<Vec<AtomicU8>>,
    blocks: Vec<u64>,
    size: u64,
    told: Arc<Mutex<Told>>,
}

impl Bytes for Data {
    fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>> {
        let block = self.fs.view.sb().sb.block_bytes() as usize;
        let range = skip..skip + len;
        let shared = self.shared.as_ref().map(|all| &all[range.clone()]);
        let still = match shared {
            Some(_) => &[][..],
            None => &self.bytes[range],
        };
        let shared = shared.unwrap_or_default().chunks(block);
        let still = still.chunks(block);
        still.map(Span::Still).chain(shared.map(Span::Shared))
    }

    fn together(&self, skip: usize) -> usize {
        let block = self.fs.view.sb().sb.block_bytes() as usize;
        let from = &self.blocks[skip / block..];
        let nr = from.iter().zip(from[0]..).take_while(|(a, b)| *a == b);
        nr.count() * block - skip % block
    }
}

impl Source for Data {
    fn engine(&self) -> BchResult<Engine<'_>> {
        Ok(self.fs.engine())
    }

    fn space(&self) -> Option<&Space> {
        Some(&self.fs.writer.hooks)
    }

    fn view(&self) -> &View {
        &self.fs.view
    }

    fn file(&self) -> FileId {
        self.id
    }

    fn sector_at(&self, skip: usize) -> u64 {
        let block = u64::from(self.fs.view.sb().sb.block_bytes());
        let pos = self.blocks[skip / block as usize] * block + skip as u64 % block;
        pos / SECTOR
    }

    fn options(&self) -> &WriteOptions {
        &self.options
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn is_waited_for(&self) -> bool {
        true
    }

    fn part_ended(&self, written: Written, result: BchResult) {
        let mut told = self.told.lock().unwrap();
        told.written.add(written);
        told.results.push(result);
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        self.told.lock().unwrap().is_over = true;
    }
}

/// What a process can change has no checksum: that is told, and nothing is written.
#[test]
fn what_can_change_gets_no_checksum() {
    let fs = Arc::new(open(disks("v113-tree").unwrap()));
    let files = first_files(&fs.view, fs.engine(), 1);
    let block = fs.view.sb().sb.block_bytes() as usize;
    for csum in [CsumType::CRC32C, CsumType::CRC64, CsumType::XXHASH] {
        let told = Arc::new(Mutex::new(Told::default()));
        let bytes = vec![1; 3 * block];
        let source = EnvArc::try_new(Data {
            fs: fs.clone(),
            id: files[0].id,
            options: WriteOptions {
                csum,
                ..files[0].options
            },
            shared: Some(shared(&bytes)),
            bytes,
            blocks: vec![0, 1, 2],
            size: 0,
            told: told.clone(),
        })
        .unwrap();
        fs.live(|_| run(&source, 3 * block));
        drop(source);
        let told = told.lock().unwrap();
        assert!(told.is_over);
        assert_eq!(told.results, [Err(Error::DataWriteShared)]);
        assert_eq!(told.written, Written::default());
    }
    check_all(&fs, &files);
    fs.shut_down();
    fs.check();
}

/// The same bytes in memory that others can change.
fn shared(bytes: &[u8]) -> Vec<AtomicU8> {
    bytes.iter().copied().map(AtomicU8::new).collect()
}

/// Writes random bytes at block `at`, and has the file know; what is told goes to the result.
fn begin(
    fs: &Arc<SpaceFs>,
    file: &mut File,
    (at, nr): (u64, u64),
    queue: Option<&WorkQueue>,
    r: &mut Random,
) -> Arc<Mutex<Told>> {
    begin_at(fs, file, (at..at + nr).collect(), queue, r)
}

/// The same with these blocks, in order.
fn begin_at(
    fs: &Arc<SpaceFs>,
    file: &mut File,
    blocks: Vec<u64>,
    queue: Option<&WorkQueue>,
    r: &mut Random,
) -> Arc<Mutex<Told>> {
    let block = u64::from(fs.view.sb().sb.block_bytes());
    let len = blocks.len() * block as usize;
    let bytes: Vec<u8> = (0..len).map(|_| r.next() as u8).collect();
    let end = (blocks.last().unwrap() + 1) * block;
    file.resize(end.max(file.bytes.len() as u64));
    for (at, from) in blocks.iter().zip(bytes.chunks(block as usize)) {
        file.bytes[(at * block) as usize..][..block as usize].copy_from_slice(from);
    }
    let told = Arc::new(Mutex::new(Told::default()));
    let is_shared = file.options.csum == CsumType::NONE && r.one_in(2);
    let source = EnvArc::try_new(Data {
        fs: fs.clone(),
        id: file.id,
        options: file.options,
        shared: is_shared.then(|| shared(&bytes)),
        bytes,
        blocks,
        size: end,
        told: told.clone(),
    })
    .unwrap();
    match queue {
        Some(queue) => start(&source, len, queue),
        None => run(&source, len),
    }
    told
}

fn write_without_waiting(image: &str, csum: CsumType) {
    let fs = Arc::new(open(disks(image).unwrap()));
    let mut r = Random(7);
    let mut files = first_files(&fs.view, fs.engine(), 2);
    for file in &mut files {
        file.options.csum = csum;
    }
    fs.live(|_| {
        for round in 0..4 {
            let queue = WorkQueue::try_new(c"writes").unwrap();
            let mut all = Vec::new();
            for at in 0..12 {
                let file = &mut files[at as usize % 2];
                // None covers another one of the same round.
                let where_to = (at * 40 + round, 1 + r.below(40));
                let queue = (!r.one_in(4)).then_some(&queue);
                all.push((begin(&fs, file, where_to, queue, &mut r), where_to.1));
            }
            // Waits for all of them.
            drop(queue);
            for (told, nr) in all {
                let told = told.lock().unwrap();
                assert!(told.is_over);
                assert!(told.results.iter().all(Result::is_ok), "{:?}", told.results);
                let block = u64::from(fs.view.sb().sb.block_bytes());
                assert_eq!(told.written.bytes as u64, nr * block);
            }
            check_all(&fs, &files);
            fs.drop_nodes();
        }
    });
    fs.shut_down();
    fs.check();
}

#[test]
fn what_nobody_waits_for_is_there_in_the_end() {
    write_without_waiting("v113-tree", CsumType::CRC32C);
    write_without_waiting("engine-small", CsumType::NONE);
    write_without_waiting("v113-repl2", CsumType::XXHASH);
}

/// Blocks here and there that are written together, encoded in different ways, in a filesystem that
/// is used otherwise; and where devices fail.
#[test]
fn what_is_scattered_is_written_together() {
    for (nr, image) in ["v113-tree", "engine-small", "v113-repl2"]
        .into_iter()
        .enumerate()
    {
        let fs = Arc::new(open(disks(image).unwrap()));
        let mut r = Random(11 + nr as u64);
        let mut files = first_files(&fs.view, fs.engine(), 1);
        let mut end = 0;
        for round in 0..30 {
            let file = &mut files[0];
            file.options.csum = [CsumType::CRC32C, CsumType::NONE, CsumType::CRC64][round % 3];
            file.options.compression = Compression::of_option((round % 5 == 0).into());
            // More than there are devices: then it is as many as there are.
            file.options.nr_replicas = match image {
                "v113-repl2" => 2,
                _ => 1 + (round % 4) as u8,
            };
            let most = 1 + r.below(40);
            let mut blocks: Vec<u64> = (0..most).map(|_| r.below(300)).collect();
            blocks.sort_unstable();
            blocks.dedup();
            let nr_blocks = blocks.len() as u64;
            end = end.max(blocks.last().unwrap() + 1);
            let fails = image == "v113-repl2" && r.one_in(3);
            if fails {
                fs.media[1].fail_from_then_on(Kind::Write, 0);
            }
            let queue = WorkQueue::try_new(c"writes").unwrap();
            let waits = r.one_in(2) || fails;
            let queue = (!waits).then_some(queue);
            let told = match fails {
                true => begin_at(&fs, file, blocks, None, &mut r),
                false => fs.live(|_| {
                    let told = begin_at(&fs, file, blocks, queue.as_ref(), &mut r);
                    // Waits for all of it.
                    drop(queue);
                    told
                }),
            };
            let told = told.lock().unwrap();
            assert!(told.is_over);
            assert!(told.results.iter().all(Result::is_ok), "{:?}", told.results);
            let block = u64::from(fs.view.sb().sb.block_bytes());
            assert_eq!(told.written.bytes as u64, nr_blocks * block);
            for medium in &fs.media {
                medium.heal();
            }
            check_all(&fs, &files);
        }
        fs.shut_down();
        fs.check();
    }
}

/// One device fails: what is on the others is found. All fail: that is told, and nothing changes.
#[test]
fn devices_that_fail_meanwhile() {
    let fs = Arc::new(open(disks("v113-repl2").unwrap()));
    let mut r = Random(3);
    let mut files = first_files(&fs.view, fs.engine(), 1);
    fs.media[0].fail_from_then_on(Kind::Write, 0);
    let queue = WorkQueue::try_new(c"writes").unwrap();
    let told = begin(&fs, &mut files[0], (3, 100), Some(&queue), &mut r);
    drop(queue);
    assert!(told.lock().unwrap().results.iter().all(Result::is_ok));
    assert!(fs.media[0].nr_faults() > 0);
    fs.media[0].heal();
    check_all(&fs, &files);

    for medium in &fs.media {
        medium.fail_from_then_on(Kind::Write, 0);
    }
    let mut copy = files[0].clone();
    let told = begin(&fs, &mut copy, (3, 10), None, &mut r);
    let told = told.lock().unwrap();
    assert!(told.is_over);
    assert!(
        told.results.contains(&Err(Error::DataWriteFailed)),
        "{:?}",
        told.results
    );
    assert_eq!(told.written, Written::default());
    for medium in &fs.media {
        medium.heal();
    }
    files[0].check(&fs.view);
}

/// What can be compressed takes less space, and what can not is marked.
#[test]
fn what_is_compressed_takes_less() {
    let fs = Arc::new(open(disks("v113-tree").unwrap()));
    let file = &mut first_files(&fs.view, fs.engine(), 1)[0];
    let block = u64::from(fs.view.sb().sb.block_bytes());
    for option in 1..=3 {
        file.options.compression = Compression::of_option(option);
        for is_random in [false, true] {
            let start = (file.bytes.len() as u64).next_multiple_of(block);
            let len = 300 * block;
            let mut r = Random(option);
            let byte = |i| {
                if is_random {
                    r.next() as u8
                } else {
                    (i / 50) as u8
                }
            };
            let bytes: Vec<u8> = (0..len).map(byte).collect();
            file.resize(start + len);
            file.bytes[start as usize..].copy_from_slice(&bytes);
            let told = Arc::new(Mutex::new(Told::default()));
            let source = EnvArc::try_new(Data {
                fs: fs.clone(),
                id: file.id,
                options: file.options,
                shared: None,
                bytes,
                blocks: (start / block..(start + len) / block).collect(),
                size: start + len,
                told: told.clone(),
            })
            .unwrap();
            fs.live(|_| run(&source, len as usize));
            assert_eq!(told.lock().unwrap().written.bytes as u64, len);
            let (stored, marked) = stored(&fs, file, start / SECTOR);
            println!(
                "option {option}, random {is_random}: {stored} of {} sectors",
                len / SECTOR
            );
            match is_random {
                true => assert_eq!((stored, marked), (len / SECTOR, true)),
                false => assert!(stored < len / SECTOR / 3 && !marked, "{stored}"),
            }
        }
    }
    check_all(&fs, std::slice::from_ref(file));
    fs.shut_down();
    fs.check();
}

/// How many sectors the data of a file takes on devices from a sector on, and whether there is some
/// that was found incompressible.
fn stored(fs: &SpaceFs, file: &File, from: u64) -> (u64, bool) {
    let pos = Bpos::new(file.id.inum, from + 1, 0);
    let mut iter = fs.view.iter(BtreeId::EXTENTS, pos, file.id.snapshot);
    let (mut nr, mut marked) = (0, false);
    while let Some(key) = iter.next().unwrap() {
        if key.k.p.inode == file.id.inum && key.k.key_type == KeyType::EXTENT {
            let ptr = ptrs(&key, &EntrySizes::KNOWN).next().unwrap().unwrap();
            nr += u64::from(ptr.crc.compressed_size);
            marked |= ptr.crc.compression == CompressionType::INCOMPRESSIBLE;
        }
    }
    (nr, marked)
}

/// How many extents of data a file has that end behind a sector.
fn nr_extents(fs: &SpaceFs, file: &File, from: u64) -> usize {
    let pos = Bpos::new(file.id.inum, from + 1, 0);
    let mut iter = fs.view.iter(BtreeId::EXTENTS, pos, file.id.snapshot);
    let mut nr = 0;
    while let Some(key) = iter.next().unwrap() {
        nr += usize::from(key.k.p.inode == file.id.inum && key.k.key_type == KeyType::EXTENT);
    }
    nr
}

/// Blocks that are appended one by one become extents as large as a checksum may be for, or a
/// bucket is; unless their checksums can not be put together.
#[test]
fn what_is_appended_is_merged() {
    let fs = open(disks("v113-tree").unwrap());
    let file = &mut first_files(&fs.view, fs.engine(), 1)[0];
    let block = u64::from(fs.view.sb().sb.block_bytes());
    let bucket = fs
        .view
        .sb()
        .devices()
        .next()
        .unwrap()
        .member
        .bucket_sectors();
    let bucket = u64::from(bucket) * SECTOR;
    let encoded = u64::from(file.options.encoded_max) * SECTOR;
    let nr = 64;
    let mut r = Random(5);
    let kinds = [
        CsumType::NONE,
        CsumType::CRC32C,
        CsumType::CRC64,
        CsumType::XXHASH,
    ];
    for (kind, backwards) in kinds.into_iter().flat_map(|k| [(k, false), (k, true)]) {
        file.options.csum = kind;
        let start = (file.bytes.len() as u64).next_multiple_of(block);
        file.resize(start + nr * block);
        for at in 0..nr {
            let at = start + if backwards { nr - 1 - at } else { at } * block;
            let data: Vec<u8> = (0..block).map(|_| r.next() as u8).collect();
            file.bytes[at as usize..][..block as usize].copy_from_slice(&data);
            let (what, mut done) = ((at / SECTOR, &data[..]), Written::default());
            let size = start + nr * block;
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
        let buckets = (nr * block).div_ceil(bucket) + 1;
        let most = match kind {
            // What is written backwards is not in order on the device.
            _ if backwards => nr,
            CsumType::NONE => buckets,
            CsumType::XXHASH => nr,
            _ => buckets + (nr * block).div_ceil(encoded),
        };
        let found = nr_extents(&fs, file, start / SECTOR) as u64;
        println!("{kind:?}, backwards {backwards}: {found} extents of {nr} blocks");
        assert!(found <= most, "{kind:?}: {found} extents");
        assert!(most < nr || found == nr);
    }
    check_all(&fs, std::slice::from_ref(file));
    fs.shut_down();
    fs.check();
}
