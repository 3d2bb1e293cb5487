// SPDX-License-Identifier: GPL-2.0

//! Keys that are read.

use crate::overlay::{
    Overlay,
    LEAF,
    ROOT, //
};
use sim::{
    algo::str_hash::HashInfo,
    data::{
        read_sync,
        FileId, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::{
            inode::Inode,
            xattr::XattrType, //
        }, //
    },
    fs::{
        dirent,
        inode,
        quota::Quotas,
        xattr,
        SubvolInum, //
    },
    snapshots::View, //
};

const EMPTY: &str = "v113-empty";
const ROOT_DIR: SubvolInum = SubvolInum {
    subvol: 1,
    inum: ROOT,
};
/// The file that has the extents.
const FILE: u64 = 5000;

fn root(view: &View) -> Inode {
    inode::find(view, ROOT_DIR).unwrap()
}

fn hashes() -> HashInfo {
    HashInfo::of(&root(&Overlay::default().read(EMPTY).unwrap())).unwrap()
}

/// A key, and what comes of reading it.
fn refused<T>(overlay: &Overlay, want: Error, read: impl FnOnce(&View) -> Result<T>) {
    let view = overlay.read(EMPTY).unwrap();
    assert_eq!(read(&view).err(), Some(want));
}

#[test]
fn names_and_attributes() {
    let (space, name) = (XattrType::USER, b"name");
    let at = Bpos::new(ROOT, hashes().xattr(space, name), LEAF);
    let over = Overlay::with(BtreeId::XATTRS, KeyType::XATTR, at, 0, &[]);
    refused(&over, Error::XattrInvalid, |v| {
        xattr::get(v, ROOT_DIR, &root(v), space, name, &mut [])
    });
    let at = Bpos::new(ROOT, hashes().dirent(name), LEAF);
    let over = Overlay::with(BtreeId::DIRENTS, KeyType::DIRENT, at, 0, &[]);
    refused(&over, Error::DirentInvalid, |v| {
        dirent::lookup(v, ROOT_DIR, &root(v), name)
    });
    let at = Bpos::new(0, FILE, LEAF);
    let over = Overlay::with(BtreeId::INODES, KeyType::ERROR, at, 0, &[]);
    refused(&over, Error::InodeLost, |v| {
        inode::find(
            v,
            SubvolInum {
                subvol: 1,
                inum: FILE,
            },
        )
    });
    let at = Bpos::new(0, 7, 0);
    let over = Overlay::with(BtreeId::SUBVOLUMES, KeyType::ERROR, at, 0, &[]);
    refused(&over, Error::SubvolumeLost, |v| v.subvolume(7).map(|_| ()));
    let mut over = Overlay::with(BtreeId::QUOTAS, KeyType::QUOTA, Bpos::new(0, 7, 0), 0, &[]);
    over.options = "usrquota";
    refused(&over, Error::QuotaInvalid, |v| Quotas::read(v).map(|_| ()));
}

#[test]
fn a_journal_key_without_bytes() {
    let at = Bpos::new(ROOT, 7, LEAF);
    let mut over = Overlay::with(BtreeId::XATTRS, KeyType::COOKIE, at, 0, &[0; 8]);
    over.is_cut = true;
    // Found when they are sorted, at the latest when one is looked at.
    let e = over.read(EMPTY).and_then(|v| {
        v.btrees.lookup(BtreeId::XATTRS, at)?;
        Ok(())
    });
    assert_eq!(e.err(), Some(Error::JournalKeyLost));
}

/// Words of an extent's value; C: `bch_extent_entry`.
fn crc32(csum_type: u64, sectors: u64) -> u64 {
    2 | (sectors - 1) << 2 | (sectors - 1) << 9 | csum_type << 24 | 0x1234_5678 << 32
}

fn ptr(sector: u64, generation: u64) -> u64 {
    1 | sector << 4 | generation << 56
}

fn stripe_ptr(block: u64, idx: u64) -> u64 {
    1 << 4 | block << 5 | 1 << 13 | idx << 17
}

fn extent(words: &[u64]) -> Overlay {
    let v: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    let at = Bpos::new(FILE, 8, LEAF);
    Overlay::with(BtreeId::EXTENTS, KeyType::EXTENT, at, 8, &v)
}

fn data(view: &View) -> Result<()> {
    let file = FileId {
        inum: FILE,
        snapshot: LEAF,
    };
    read_sync(view, file, 0, &mut [0; 4096]).map(|_| ())
}

#[test]
fn data_that_can_not_be_read() {
    refused(
        &extent(&[crc32(15, 8), ptr(4096, 0)]),
        Error::DataChecksumKind,
        data,
    );
    refused(
        &extent(&[crc32(3, 8), ptr(4096, 0)]),
        Error::DataNoKey,
        data,
    );
    let at = Bpos::new(FILE, 8, LEAF);
    let short = Overlay::with(BtreeId::EXTENTS, KeyType::REFLINK_P, at, 8, &[]);
    refused(&short, Error::DataKeyInvalid, data);
    let nowhere = Overlay::with(BtreeId::EXTENTS, KeyType::REFLINK_P, at, 8, &[9; 16]);
    refused(&nowhere, Error::IndirectMissing, data);
}

/// The data does not match its checksum, so that its stripe is asked.
#[test]
fn data_with_a_stripe() {
    let words = [crc32(5, 8), stripe_ptr(0, 7), ptr(4100, 0)];
    refused(&extent(&words), Error::StripeMissing, data);
    // It ends in the middle of the extent.
    let mut stripe = vec![8, 0, 0, 3, 1, 3, 0, 0];
    for block in 0..3 {
        stripe.extend(ptr(4096 + 256 * block, 0).to_le_bytes());
    }
    stripe.extend([0; 24]);
    let mut over = extent(&words);
    let at = Bpos::new(0, 7, 0);
    over.add(BtreeId::STRIPES, KeyType::STRIPE, at, 0, &stripe);
    refused(&over, Error::StripeTooShort, data);
    // Another generation of the bucket.
    stripe[8 + 7] ^= 1;
    let mut over = extent(&words);
    over.add(BtreeId::STRIPES, KeyType::STRIPE, at, 0, &stripe);
    refused(&over, Error::StripeMismatch, data);
}
