// SPDX-License-Identifier: GPL-2.0

//! Encodings that are not written any more but still read, byte for byte from the C structures,
//! each by the decoder and the validator that the key's type leads to.

use super::super::{
    alloc::Alloc,
    btree_ptr::{
        node_seq,
        BtreePtr, //
    },
    dirent::{
        Dirent,
        FileType,
        Target, //
    },
    extent_entry::EntrySizes,
    inode::{
        Inode,
        InodeFlags,
        InodeGeneration, //
    },
    kinds::{
        DataType,
        LostReason, //
    },
    plain::{
        cookie,
        lost_reason,
        lru_idx, //
    },
    quota::Quota,
    snapshot::{
        Snapshot,
        SnapshotState,
        SnapshotTree, //
    },
    subvolume::{
        SubvolState,
        Subvolume, //
    },
    text::KeyText,
    validate::{
        validate_key,
        ValidateCtx, //
    },
};
use crate::{
    env::units::Sectors,
    format::{
        bkey::{
            Bkey,
            Key, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        sb::Version, //
    },
};
use std::{
    string::ToString,
    vec::Vec, //
};

const LEAF: u32 = u32::MAX;

fn key(key_type: KeyType, p: Bpos, v: &[u8]) -> Key<'_> {
    let k = Bkey {
        key_type,
        p,
        ..Bkey::default()
    };
    Key { k, v }
}

/// Zero bytes up to the next whole word, as every value has.
fn padded(parts: &[&[u8]]) -> Vec<u8> {
    let mut v = parts.concat();
    v.resize(v.len().next_multiple_of(8), 0);
    v
}

/// The key is right at its place, and wrong without its last word; it can be shown.
fn only_whole(btree: BtreeId, level: u8, k: &Key<'_>) {
    let ctx = ValidateCtx::new(btree, level);
    validate_key(k, &ctx).unwrap();
    let text = KeyText::new(k, &EntrySizes::KNOWN, Version::new(1, 13)).to_string();
    assert!(text.contains(k.k.key_type.name().unwrap()), "{text}");
    let short = k.v.get(..k.v.len().saturating_sub(8)).unwrap();
    assert!(validate_key(&Key { v: short, ..*k }, &ctx).is_err());
}

#[test]
fn buckets() {
    let p = Bpos::new(0, 9, 0);
    let want = Alloc {
        generation: 7,
        io_time: [0x0201, 0x0403],
        data_type: DataType::USER,
        dirty_sectors: 0x0605,
        cached_sectors: 0x0807,
        oldest_gen: 6,
        stripe: 0x0c0b_0a09,
        stripe_redundancy: 1,
        ..Alloc::default()
    };
    // `struct bch_alloc`: which fields there are, generation, the fields in fixed sizes.
    let v1 = padded(&[
        &[0xff, 7],
        &[0x01, 0x02, 0x03, 0x04], // times
        &[4],                      // kind of data
        &[0x05, 0x06, 0x07, 0x08], // sectors
        &[6],                      // oldest generation
        &[0x09, 0x0a, 0x0b, 0x0c], // stripe
        &[1],
    ]);
    assert_eq!(v1.len(), 24);
    let k = key(KeyType::ALLOC, p, &v1);
    assert_eq!(Alloc::decode(&k), Ok(Some(want)));
    only_whole(BtreeId::ALLOC, 0, &k);
    // Fields left out are zero and take no room.
    let few = padded(&[&[0b0000_1100, 7], &[4], &[0x05, 0x06]]);
    let got = Alloc::decode(&key(KeyType::ALLOC, p, &few))
        .unwrap()
        .unwrap();
    assert_eq!((got.dirty_sectors, got.data_type), (0x0605, DataType::USER));
    assert_eq!((got.io_time, got.stripe, got.oldest_gen), ([0, 0], 0, 0));

    // `struct bch_alloc_v2`: number of fields, three bytes, integers of variable length.
    let fields = [
        &[0x05, 0x08][..],            // 0x201 in two bytes
        &[0x0d, 0x10],                // 0x403
        &[0x15, 0x18],                // 0x605
        &[0x1d, 0x20],                // 0x807
        &[0x2f, 0x41, 0x61, 0x81, 1], // the stripe in five
        &[2],
    ]
    .concat();
    let v2 = padded(&[&[6, 7, 6, 4], &fields]);
    let k = key(KeyType::ALLOC_V2, p, &v2);
    assert_eq!(Alloc::decode(&k), Ok(Some(want)));
    only_whole(BtreeId::ALLOC, 0, &k);

    // `struct bch_alloc_v3`: the same, after journal entry and flags.
    let v3 = padded(&[&[0x88; 8], &[3, 0, 0, 0], &[6, 7, 6, 4], &fields]);
    let k = key(KeyType::ALLOC_V3, p, &v3);
    let with_flags = Alloc {
        journal_seq_nonempty: 0x8888_8888_8888_8888,
        need_discard: true,
        need_inc_gen: true,
        ..want
    };
    assert_eq!(Alloc::decode(&k), Ok(Some(with_flags)));
    only_whole(BtreeId::ALLOC, 0, &k);

    // `struct bch_alloc_v4` as it first was: 48 bytes, with backpointers behind or without.
    let first = |flags: u32| {
        padded(&[
            &9u64.to_le_bytes(),
            &(1 | flags).to_le_bytes(), // discard
            &[7, 6, 4, 0],
            &1541u32.to_le_bytes(),
            &2055u32.to_le_bytes(),
            &513u64.to_le_bytes(),
            &1027u64.to_le_bytes(),
            &[0; 8],
        ])
    };
    let want = Alloc {
        journal_seq_nonempty: 9,
        need_discard: true,
        stripe: 0,
        stripe_redundancy: 0,
        ..want
    };
    let v4 = first(0);
    let k = key(KeyType::ALLOC_V4, p, &v4);
    assert_eq!(Alloc::decode(&k), Ok(Some(want)));
    only_whole(BtreeId::ALLOC, 0, &k);
    // A backpointer from word 6 on is none of the fields that came later.
    let v4 = [&first(6 << 2 | 1 << 8)[..], &[0xee; 32]].concat();
    let k = key(KeyType::ALLOC_V4, p, &v4);
    let with_one = Alloc {
        backpointers_start: 6,
        nr_backpointers: 1,
        ..want
    };
    assert_eq!(Alloc::decode(&k), Ok(Some(with_one)));
    validate_key(&k, &ValidateCtx::new(BtreeId::ALLOC, 0)).unwrap();
}

#[test]
fn pointers_to_nodes() {
    // `struct bch_btree_ptr`: only pointers, each a word. One to device 3, sector 0x1200,
    // generation 5: bit 0 says pointer, the offset is in bits 4 to 47.
    let word = 1u64 | 0x1200 << 4 | 3 << 48 | 5 << 56;
    let v = word.to_le_bytes();
    let k = key(KeyType::BTREE_PTR, Bpos::new(5, 6, LEAF), &v);
    let ptr = BtreePtr::decode(&k).unwrap().unwrap();
    assert_eq!((ptr.v2, ptr.max_key()), (None, k.k.p));
    assert_eq!(node_seq(&k), 0, "it does not say which node");
    let copies: Vec<_> = ptr.ptrs(&EntrySizes::KNOWN).map(Result::unwrap).collect();
    assert_eq!(copies.len(), 1);
    let copy = copies[0].ptr;
    assert_eq!(
        (copy.dev.0, copy.offset, copy.generation),
        (3, Sectors(0x1200), 5)
    );
    only_whole(BtreeId::DIRENTS, 1, &k);
    let not_a_leaf = ValidateCtx::new(BtreeId::DIRENTS, 0);
    assert!(validate_key(&k, &not_a_leaf).is_err());
}

#[test]
fn inodes() {
    let p = Bpos::new(0, 5000, LEAF);
    // `struct bch_inode_v2` without any field.
    let flags = 1u64 << 1 | 2 << 20;
    let v2 = padded(&[
        &[0; 8],
        &[1; 8],
        &flags.to_le_bytes(),
        &0o120777u16.to_le_bytes(),
    ]);
    let k = key(KeyType::INODE_V2, p, &v2);
    let link = Inode::decode(&k).unwrap().unwrap();
    assert_eq!((link.mode, link.links(), link.size), (0o120777, 1, 0));
    assert_eq!(link.flags, InodeFlags::IMMUTABLE);
    only_whole(BtreeId::INODES, 0, &k);

    // `struct bch_inode` without any field.
    let v1 = padded(&[
        &[1; 8],
        &(1u32 << 31 | 2 << 20).to_le_bytes(),
        &0o40755u16.to_le_bytes(),
    ]);
    let k = key(KeyType::INODE, p, &v1);
    let dir = Inode::decode(&k).unwrap().unwrap();
    assert_eq!((dir.mode, dir.links(), dir.journal_seq), (0o40755, 2, 0));
    assert_eq!(dir.hash_seed, 0x0101_0101_0101_0101);
    only_whole(BtreeId::INODES, 0, &k);

    // `struct bch_inode_generation`.
    let v = [&77u32.to_le_bytes()[..], &[0; 4]].concat();
    let k = key(KeyType::INODE_GENERATION, Bpos::new(0, 5000, 0), &v);
    assert_eq!(InodeGeneration::decode(&v).unwrap().generation, 77);
    assert_eq!(Inode::decode(&k), Ok(None), "there is no inode");
}

#[test]
fn entries_of_every_type() {
    for (number, file_type, name) in [
        (0, FileType::UNKNOWN, "unknown"),
        (1, FileType::FIFO, "fifo"),
        (2, FileType::CHAR_DEV, "chr"),
        (4, FileType::DIR, "dir"),
        (6, FileType::BLOCK_DEV, "blk"),
        (8, FileType::FILE, "reg"),
        (10, FileType::SYMLINK, "lnk"),
        (12, FileType::SOCKET, "sock"),
        (14, FileType::WHITEOUT, "whiteout"),
        (16, FileType::SUBVOL, "subvol"),
    ] {
        // `struct bch_dirent`: target, type, name.
        let v = padded(&[&[9, 0, 0, 0, 7, 0, 0, 0], &[number], b"name"]);
        let d = Dirent::decode(&v).unwrap();
        assert_eq!(
            (d.file_type, d.name, d.folded),
            (file_type, &b"name"[..], None)
        );
        assert_eq!(file_type.name(), Some(name));
        let want = match file_type {
            FileType::SUBVOL => Target::Subvol {
                child: 9,
                parent: 7,
            },
            _ => Target::Inode(7 << 32 | 9),
        };
        assert_eq!(d.target, want);
        assert_eq!((d.visible_in(7), d.visible_in(9)), (true, number != 16));
        only_whole(
            BtreeId::DIRENTS,
            0,
            &key(KeyType::DIRENT, Bpos::new(4096, 99, LEAF), &v),
        );
    }
    // The two bits above the type are not part of it.
    let v = padded(&[&[9; 8], &[0x60 | 8], b"n"]);
    assert_eq!(Dirent::decode(&v).unwrap().file_type, FileType::FILE);
}

#[test]
fn subvolumes_and_snapshots() {
    // `struct bch_subvolume` up to the inode: read-only, a snapshot.
    let v = padded(&[
        &3u32.to_le_bytes(),
        &66u32.to_le_bytes(),
        &4096u64.to_le_bytes(),
    ]);
    let s = Subvolume::decode(&v).unwrap();
    assert_eq!((s.read_only, s.is_snapshot), (true, true));
    assert_eq!(
        (s.snapshot, s.inode, s.state),
        (66, 4096, SubvolState::Live)
    );
    assert_eq!(
        (s.creation_parent, s.fs_path_parent, s.has_state),
        (0, 0, false)
    );
    only_whole(
        BtreeId::SUBVOLUMES,
        0,
        &key(KeyType::SUBVOLUME, Bpos::new(0, 2, 0), &v),
    );

    // `struct bch_snapshot` up to the tree: flags, parent, two children, subvolume, tree.
    for (flags, state) in [
        (0u32, SnapshotState::Live),
        (1, SnapshotState::WillDelete),
        (2, SnapshotState::Live),
        (4, SnapshotState::Deleted),
        (8, SnapshotState::NoKeys),
    ] {
        let words = [flags, 90, 50, 40, 0, 1];
        let v = words.map(u32::to_le_bytes).concat();
        let s = Snapshot::decode(&v).unwrap();
        assert_eq!(
            (s.parent, s.children, s.subvol, s.tree),
            (90, [50, 40], 0, 1)
        );
        assert_eq!((s.depth, s.skip, s.state), (0, [0; 3], state));
    }
    let leaf = [2u32, 0, 0, 0, 1, 1].map(u32::to_le_bytes).concat();
    let k = key(KeyType::SNAPSHOT, Bpos::new(0, u64::from(LEAF), 0), &leaf);
    only_whole(BtreeId::SNAPSHOTS, 0, &k);

    // `struct bch_snapshot_tree`.
    let v = [1u32, LEAF].map(u32::to_le_bytes).concat();
    let t = SnapshotTree::decode(&v).unwrap();
    assert_eq!((t.master_subvol, t.root_snapshot), (1, LEAF));
}

#[test]
fn quotas() {
    // `struct bch_quota`: for space and for inodes a hard and a soft limit.
    let v = [1u64, 2, 3, 4].map(u64::to_le_bytes).concat();
    let q = Quota::decode(&v).unwrap();
    assert_eq!((q.space.hard, q.space.soft), (1, 2));
    assert_eq!((q.inodes.hard, q.inodes.soft), (3, 4));
    only_whole(
        BtreeId::QUOTAS,
        0,
        &key(KeyType::QUOTA, Bpos::new(2, 1000, 0), &v),
    );
    let ctx = ValidateCtx::new(BtreeId::QUOTAS, 0);
    let fourth = key(KeyType::QUOTA, Bpos::new(3, 1000, 0), &v);
    assert!(validate_key(&fourth, &ctx).is_err());
}

#[test]
fn keys_without_much_of_a_value() {
    let word = 0x0102_0304_0506_0708u64.to_le_bytes();
    assert_eq!(cookie(&word), Ok(0x0102_0304_0506_0708));
    assert_eq!(lru_idx(&word), Ok(0x0102_0304_0506_0708));
    assert!(cookie(&word[..4]).is_err());
    // The reason came with 1.34; before, the value is empty.
    assert_eq!(lost_reason(&[]), LostReason::UNKNOWN);
    assert_eq!(
        lost_reason(&[2, 0, 0, 0, 0, 0, 0, 0]),
        LostReason::DOUBLE_ALLOCATION
    );

    let at = Bpos::new(4096, 8, LEAF);
    let set_at = Bpos::new(4096, 8, 0);
    for (key_type, btree, p, empty, with_word) in [
        (
            KeyType::SET,
            BtreeId::SUBVOLUME_CHILDREN,
            set_at,
            true,
            false,
        ),
        (KeyType::HASH_WHITEOUT, BtreeId::DIRENTS, at, true, false),
        (KeyType::HASH_WHITEOUT, BtreeId::XATTRS, at, true, false),
        (KeyType::WHITEOUT, BtreeId::DIRENTS, at, true, true),
        (KeyType::COOKIE, BtreeId::XATTRS, at, false, true),
    ] {
        let ctx = ValidateCtx::new(btree, 0);
        let check = |v| validate_key(&key(key_type, p, v), &ctx).is_ok();
        assert_eq!(
            (check(&[]), check(&word)),
            (empty, with_word),
            "{key_type} in {btree}"
        );
    }
    // What hides an ancestor's key stands where that ends, and has no size of its own.
    for (key_type, size) in [
        (KeyType::ERROR, 8),
        (KeyType::WHITEOUT, 0),
        (KeyType::EXTENT_WHITEOUT, 0),
    ] {
        let ctx = ValidateCtx::new(BtreeId::EXTENTS, 0);
        let k = key(key_type, at, &[]);
        let k = Key {
            k: Bkey { size, ..k.k },
            ..k
        };
        validate_key(&k, &ctx).unwrap();
    }
}
