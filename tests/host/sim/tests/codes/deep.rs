// SPDX-License-Identifier: GPL-2.0

//! A btree that has as many levels as a btree can have.

use crate::engine::{
    copy,
    image::{
        empty,
        Sizes, //
    },
    live_until_error,
    open,
    read,
    walk_all,
    Fs, //
};
use sim::{
    btree::{
        trans::run,
        write_back,
        KeyBuf, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType, //
    },
    journal::live::Watermark,
    sys::block::BlockDevice, //
};

/// Bytes of a value: few of them fit a node.
const VALUE: usize = 1500;

fn put(fs: &Fs, nr: u64, bytes: usize) -> Result<u64> {
    run(&fs.btrees, &fs.writer, Watermark::Normal, |t| {
        let k = Bkey {
            key_type: KeyType::COOKIE,
            p: Bpos::new(nr, 0, u32::MAX),
            ..Bkey::default()
        };
        t.update(BtreeId::XATTRS, KeyBuf::of(k, &vec![7; bytes])?)?;
        t.commit()
    })
}

#[test]
fn levels_have_an_end() {
    let dev = BlockDevice::from_memory("deep", empty(Sizes::new(4 << 10, 512)));
    let medium = dev.medium();
    medium.set_block_bytes(512);
    let fs = open(dev);
    let put = |nr| put(&fs, nr, VALUE);
    let ((nr, e), _) = live_until_error(&fs, |_| {
        (0..1_000_000)
            .find_map(|nr| put(nr).err().map(|e| (nr, e)))
            .expect("an end")
    });
    assert_eq!(e, Error::BtreeTooDeep, "after {nr} keys");
    // What was there is there, and can still be changed where no node has to be split.
    let root = fs.btrees.root_node(BtreeId::XATTRS).unwrap();
    assert_eq!(root.level, 3);
    assert_eq!(put(nr), Err(Error::BtreeTooDeep));
    fs.writer.journal.flush().unwrap();
    let found = read(copy(&medium)).unwrap();
    for nr in [0, nr / 2, nr - 1] {
        let at = Bpos::new(nr, 0, u32::MAX);
        let key = found.btrees.lookup(BtreeId::XATTRS, at).unwrap();
        assert!(key.is_some(), "key {nr}");
    }
    assert!(found
        .btrees
        .lookup(BtreeId::XATTRS, Bpos::new(nr, 0, u32::MAX))
        .unwrap()
        .is_none());
}

/// In nodes of four blocks, what follows from a large key may not fit nodes that were just made,
/// and they are made once more; until there are too many levels. Each node has room for a few keys
/// of the space btree only: now and then one change of a place follows from the other until they
/// are too many for a transaction. What was flushed is there in either case.
#[test]
fn the_smallest_nodes_and_large_keys() {
    let dev = BlockDevice::from_memory("deep", empty(Sizes::new(2 << 10, 512)));
    let medium = dev.medium();
    medium.set_block_bytes(512);
    let fs = open(dev);
    let (nr, e) = (0..10_000)
        .find_map(|nr| {
            let newest = fs.writer.journal.newest();
            let done = write_back(&fs.btrees, &fs.writer, newest);
            let done = done.and_then(|()| put(&fs, nr, 560));
            let done = done.and_then(|_| fs.writer.journal.flush());
            done.err().map(|e| (nr, e))
        })
        .expect("an end");
    let ends = [Error::BtreeTooDeep, Error::TransTooBig];
    assert!(ends.contains(&e), "{e:?} after {nr} keys");
    assert!(nr > 1000, "{e:?} after {nr} keys");
    let found = read(copy(&medium)).unwrap();
    for nr in 0..nr {
        let at = Bpos::new(nr, 0, u32::MAX);
        assert!(found.btrees.lookup(BtreeId::XATTRS, at).unwrap().is_some());
    }
    walk_all(&found.btrees);
}
