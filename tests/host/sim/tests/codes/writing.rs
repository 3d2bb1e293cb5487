// SPDX-License-Identifier: GPL-2.0

//! Keys that are changed, and what is derived from them.

use crate::{
    disk::Disk as Golden,
    overlay::{
        Overlay,
        Written,
        LEAF,
        ROOT, //
    },
    start,
};
use sim::{
    algo::str_hash::HashInfo,
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    check::{
        check_alloc_info,
        check_allocations,
        Report, //
    },
    data::{
        write::{
            resume_operations,
            share,
            shift,
            write,
            WriteOptions,
            Written as Done, //
        },
        FileId,
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        values::{
            inode::Inode,
            xattr::XattrType, //
        },
    },
    fs::{
        change::{
            Changes,
            NewFile,
            Numbers,
            SetMode, //
        },
        inode,
        SubvolInum, //
    },
    init::Access,
    journal::live::Watermark, //
};

const EMPTY: &str = "v113-empty";
const FILE: u64 = 5000;
/// The first sector of a bucket that is free.
const BUCKET: u64 = 100;

fn key(key_type: KeyType, p: Bpos, size: u32, v: &[u8]) -> KeyBuf {
    let k = Bkey {
        key_type,
        p,
        size,
        ..Bkey::default()
    };
    KeyBuf::of(k, v).unwrap()
}

fn extent_at(offset: u64) -> Bpos {
    Bpos::new(FILE, offset, LEAF)
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

fn bucket_sectors(w: &Written) -> u64 {
    let dev = w.view.sb().devices().next().unwrap();
    dev.member.bucket_sectors().into()
}

/// An extent of a block in a bucket.
fn data(w: &Written, more: &[u64]) -> KeyBuf {
    let ptr = 1 | (BUCKET * bucket_sectors(w)) << 4;
    let all = [more, &[ptr]].concat();
    key(KeyType::EXTENT, extent_at(8), 8, &words(&all))
}

/// Stages `new` and commits it.
fn committed(w: &Written, btree: BtreeId, new: &KeyBuf) -> Option<Error> {
    let done = w.engine().run(Watermark::Normal, |t| {
        t.update(btree, KeyBuf::copy_of(&new.key())?)?;
        t.commit()
    });
    done.err()
}

#[test]
fn keys_that_triggers_need() {
    let bucket = Bpos::new(0, BUCKET, 0);
    let over = Overlay::with(BtreeId::ALLOC, KeyType::ALLOC_V4, bucket, 0, &[0; 8]);
    let w = over.write(EMPTY);
    let e = committed(&w, BtreeId::EXTENTS, &data(&w, &[]));
    assert_eq!(e, Some(Error::AllocKeyInvalid));

    let at = Bpos::new(0, 7, 0);
    let w = Overlay::with(BtreeId::STRIPES, KeyType::STRIPE, at, 0, &[]).write(EMPTY);
    let new = data(&w, &[1 << 4 | 1 << 13 | 7 << 17]);
    let e = committed(&w, BtreeId::EXTENTS, &new);
    assert_eq!(e, Some(Error::StripeUnreadable));

    // What is there already can not be decoded.
    let over = Overlay::with(BtreeId::EXTENTS, KeyType::EXTENT, extent_at(8), 8, &[0; 8]);
    let e = committed(
        &over.write(EMPTY),
        BtreeId::EXTENTS,
        &KeyBuf::deletion(extent_at(8)),
    );
    assert_eq!(e, Some(Error::TriggerKeyInvalid));
}

fn file_in(snapshot: u32) -> KeyBuf {
    let inode = Inode {
        mode: 0o100_644,
        ..Inode::default()
    };
    let at = Bpos::new(0, FILE, snapshot);
    key(KeyType::INODE_V3, at, 0, inode.encode().as_bytes())
}

#[test]
fn snapshots_above() {
    let w = Overlay::default().write(EMPTY);
    let e = committed(&w, BtreeId::INODES, &file_in(77));
    assert_eq!(e, Some(Error::SnapshotUnreadable));

    // Flags, parent, two children, subvolume, tree.
    let snapshot = [&[0; 4][..], &LEAF.to_le_bytes(), &[0; 16]].concat();
    let child = |short: &[u8]| {
        let at = Bpos::new(0, 77, 0);
        let mut over = Overlay::with(BtreeId::SNAPSHOTS, KeyType::SNAPSHOT, at, 0, &snapshot);
        let at = Bpos::new(0, FILE, LEAF);
        over.add(BtreeId::INODES, KeyType::INODE_V3, at, 0, short);
        over.write(EMPTY)
    };
    let e = committed(&child(&[0; 8]), BtreeId::INODES, &file_in(77));
    assert_eq!(e, Some(Error::InodeAboveUnreadable));
}

#[test]
fn references_that_can_not_be_counted() {
    let at = Bpos::new(0, 72, 0);
    let many = words(&[u64::MAX, 7]);
    let kind = KeyType::INDIRECT_INLINE_DATA;
    let w = Overlay::with(BtreeId::REFLINK, kind, at, 8, &many).write(EMPTY);
    let new = key(KeyType::REFLINK_P, extent_at(8), 8, &words(&[64, 0]));
    let e = committed(&w, BtreeId::EXTENTS, &new);
    assert_eq!(e, Some(Error::EditedKeyInvalid));
}

#[test]
fn extents_that_are_overwritten() {
    let put = |w: &Written, new: &KeyBuf| {
        let done = w.engine().run(Watermark::Normal, |t| {
            t.update_extent(BtreeId::EXTENTS, KeyBuf::copy_of(&new.key())?)?;
            t.commit()
        });
        done.err()
    };
    let space = |offset, snapshot, size| {
        let at = Bpos::new(FILE, offset, snapshot);
        key(KeyType::RESERVATION, at, size, &[0; 8])
    };
    let over = Overlay::with(
        BtreeId::EXTENTS,
        KeyType::RESERVATION,
        extent_at(24),
        24,
        &[0; 8],
    );
    let e = put(&over.write(EMPTY), &space(16, 77, 8));
    assert_eq!(e, Some(Error::ExtentOtherSnapshot));
    let over = Overlay::with(
        BtreeId::EXTENTS,
        KeyType::EXTENT,
        extent_at(24),
        24,
        &[0; 8],
    );
    let e = put(&over.write(EMPTY), &space(16, LEAF, 8));
    assert_eq!(e, Some(Error::ExtentCut));
}

#[test]
fn more_than_a_node_takes() {
    let w = Overlay::default().write(EMPTY);
    let done: Result<_> = w.engine().run(Watermark::Normal, |t| -> TransResult<_> {
        for nr in 0..1000 {
            let at = Bpos::new(FILE, nr, LEAF);
            t.update(BtreeId::XATTRS, key(KeyType::COOKIE, at, 0, &[7; 1800]))?;
        }
        t.commit()
    });
    assert_eq!(done.err(), Some(Error::TransTooBig));
}

/// A file that is there.
fn with_file() -> Overlay {
    let file = file_in(LEAF);
    Overlay::with(
        BtreeId::INODES,
        KeyType::INODE_V3,
        file.k.p,
        0,
        &words(file.value()),
    )
}

const ID: FileId = FileId {
    inum: FILE,
    snapshot: LEAF,
};

fn written(w: &Written, csum: Option<CsumType>, len: usize) -> Option<Error> {
    let mut options = WriteOptions::of(w.view.sb(), &Inode::default());
    options.csum = csum.unwrap_or(options.csum);
    let data = vec![7; len];
    let (what, mut done) = ((0, &data[..]), Done::default());
    write(
        w.engine(),
        &w.view,
        ID,
        &options,
        what,
        len as u64,
        &mut done,
    )
    .err()
}

#[test]
fn data_that_can_not_be_written() {
    let w = with_file().write(EMPTY);
    assert_eq!(written(&w, None, 100), Some(Error::DataWriteUnaligned));
    let sealed = Some(CsumType::CHACHA20_POLY1305_80);
    assert_eq!(written(&w, sealed, 4096), Some(Error::DataCanNotSeal));
    // No bucket that is free can be looked at.
    let mut over = with_file();
    for bucket in 0..1024 {
        let at = Bpos::new(0, bucket, 0);
        over.add(BtreeId::ALLOC, KeyType::ALLOC_V4, at, 0, &[0; 8]);
    }
    let e = written(&over.write(EMPTY), None, 4096);
    assert_eq!(e, Some(Error::FreeBucketUnreadable));
}

fn shared(over: &Overlay) -> Option<Error> {
    let (w, mut done) = (over.write(EMPTY), 0);
    let (from, to) = ((ID, 0), (ID, 64));
    share(w.engine(), &w.view, from, to, 8, 72 * 512, &mut done).err()
}

#[test]
fn data_that_can_not_be_shared() {
    let mut over = with_file();
    over.add(BtreeId::EXTENTS, KeyType::ERROR, extent_at(8), 8, &[]);
    assert_eq!(shared(&over), Some(Error::ReflinkLost));
    let mut over = with_file();
    over.add(
        BtreeId::EXTENTS,
        KeyType::INLINE_DATA,
        extent_at(8),
        8,
        &[7; 64],
    );
    let at = Bpos::new(0, (1 << 56) - 1, 0);
    over.add(
        BtreeId::REFLINK,
        KeyType::INDIRECT_INLINE_DATA,
        at,
        8,
        &[0; 16],
    );
    assert_eq!(shared(&over), Some(Error::ReflinkFull));
}

#[test]
fn data_that_can_not_be_moved() {
    let mut over = with_file();
    let (kind, at) = (KeyType::EXTENT, extent_at(24));
    over.add(BtreeId::EXTENTS, kind, at, 24, &[0; 8]);
    let w = over.write(EMPTY);
    let e = shift(w.engine(), &w.view, (ID, 1), (16, 8), true).err();
    assert_eq!(e, Some(Error::DataCutToMove));
}

/// What is in the way of a name or an attribute can not be decoded.
#[test]
fn names_that_are_changed() {
    let (space, name) = (XattrType::USER, &b"name"[..]);
    let root = SubvolInum {
        subvol: 1,
        inum: ROOT,
    };
    let view = Overlay::default().read(EMPTY).unwrap();
    let hashes = HashInfo::of(&inode::find(&view, root).unwrap()).unwrap();
    let mut over = Overlay::default();
    let at = Bpos::new(ROOT, hashes.dirent(name), LEAF);
    over.add(BtreeId::DIRENTS, KeyType::DIRENT, at, 0, &[]);
    let at = Bpos::new(ROOT, hashes.xattr(space, name), LEAF);
    over.add(BtreeId::XATTRS, KeyType::XATTR, at, 0, &[]);
    let w = over.write(EMPTY);
    let numbers = Numbers::try_new(false, true).unwrap();
    let changes = Changes {
        view: &w.view,
        engine: w.engine(),
        numbers: &numbers,
    };
    let new = NewFile {
        mode: 0o100_644,
        ..NewFile::default()
    };
    let e = changes.create(root, Some(name), &new).err();
    assert_eq!(e, Some(Error::DirentToChangeInvalid));
    let at = (space, name);
    let e = changes
        .set_xattr(root, at, Some(b"value"), SetMode::Any, 1)
        .err();
    assert_eq!(e, Some(Error::XattrToChangeInvalid));
}

#[test]
fn operations_that_were_not_finished() {
    for (kind, v, want) in [
        (KeyType::LOGGED_OP_TRUNCATE, 8, Error::LoggedOpInvalid),
        (KeyType::LOGGED_OP_FINSERT, 8, Error::LoggedOpInvalid),
    ] {
        let at = Bpos::new(0, 7, 0);
        let w = Overlay::with(BtreeId::LOGGED_OPS, kind, at, 0, &vec![0; v]).write(EMPTY);
        let e = resume_operations(w.engine(), &w.view).err();
        assert_eq!(e, Some(want));
    }
}

#[test]
fn checks_that_can_not_go_on() {
    let bucket = Bpos::new(0, BUCKET, 0);
    let over = Overlay::with(BtreeId::ALLOC, KeyType::ALLOC_V4, bucket, 0, &[0; 8]);
    let w = over.write(EMPTY);
    let e = check_allocations(w.engine(), &mut Report::new(true)).err();
    assert_eq!(e, Some(Error::CheckUnusableBucket));
    let mut over = over;
    over.add(BtreeId::NEED_DISCARD, KeyType::SET, bucket, 0, &[]);
    let w = over.write(EMPTY);
    let e = check_alloc_info(w.engine(), &mut Report::new(true)).err();
    assert_eq!(e, Some(Error::CheckUnusableIndex));
    // In no bucket.
    let ptr = 1 | (1 << 40) << 4;
    let over = Overlay::with(
        BtreeId::EXTENTS,
        KeyType::EXTENT,
        extent_at(8),
        8,
        &words(&[ptr]),
    );
    let w = over.write(EMPTY);
    let e = check_allocations(w.engine(), &mut Report::new(true)).err();
    assert_eq!(e, Some(Error::CheckPointers));
}

/// Damaged on the disk: what it said is not known.
#[test]
fn a_key_that_can_not_be_used() {
    let Some(golden) = Golden::open("v113-dmgbase") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut damaged = None;
    let mut iter = golden.fs.view.btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        if key.k.key_type == KeyType::EXTENT {
            let bytes = golden.change_value(BtreeId::EXTENTS, &key, |v| v[..8].fill(0));
            damaged = Some((key.k.p, crate::disk_of(bytes)));
            break;
        }
    }
    let (at, disk) = damaged.unwrap();
    let (fs, _) = start(Access::Write, vec![disk], "").unwrap();
    let engine = fs.read_write().unwrap().engine();
    let done = engine.run(Watermark::Normal, |t| t.get(BtreeId::EXTENTS, at));
    assert_eq!(done.err(), Some(Error::KeyUnusable));
    let e = check_allocations(engine, &mut Report::new(true)).err();
    assert_eq!(e, Some(Error::CheckUnusableKey));
}
