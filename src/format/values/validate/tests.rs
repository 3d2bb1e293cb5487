// SPDX-License-Identifier: GPL-2.0

//! One case on each side of every limit. Pointers are in `tests/ptrs.rs`.

mod ptrs;

use super::{
    super::{
        alloc::Alloc,
        dirent::{
            Dirent,
            FileType,
            Target, //
        },
        inode::{
            Inode,
            InodeFlags, //
        },
        kinds::{
            DataType,
            StrHashType, //
        },
        xattr::{
            Xattr,
            XattrType, //
        },
    },
    validate_key,
    DevGeometry,
    Origin,
    ValidateCtx, //
};
use crate::{
    error::fsck::FsckError as E,
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
    vec,
    vec::Vec, //
};

const LEAF: u32 = u32::MAX;
const OLD: Version = Version::new(1, 13);

/// What is found in a key, if anything.
fn found_in(ty: KeyType, p: Bpos, size: u32, v: &[u8], ctx: &ValidateCtx<'_>) -> Option<E> {
    let k = Bkey {
        key_type: ty,
        p,
        size,
        ..Bkey::default()
    };
    validate_key(&Key { k, v }, ctx).err().map(|e| e.id)
}

fn leaf(btree: BtreeId) -> ValidateCtx<'static> {
    ValidateCtx::new(btree, 0)
}

fn commit(btree: BtreeId) -> ValidateCtx<'static> {
    ValidateCtx {
        origin: Origin::Commit,
        ..leaf(btree)
    }
}

#[test]
fn headers() {
    let inode = |p, size| found_in(KeyType::WHITEOUT, p, size, &[], &leaf(BtreeId::INODES));
    assert_eq!(inode(Bpos::new(0, 1, 1), 0), None);
    assert_eq!(inode(Bpos::new(0, 1, 0), 0), Some(E::BKEY_SNAPSHOT_ZERO));
    assert_eq!(inode(Bpos::new(0, 1, 1), 1), Some(E::BKEY_SIZE_NONZERO));
    assert_eq!(inode(Bpos::MAX, 0), Some(E::BKEY_AT_POS_MAX));

    let set = |btree, p, size| found_in(KeyType::SET, p, size, &[], &leaf(btree));
    assert_eq!(set(BtreeId::FREESPACE, Bpos::new(0, 5, 0), 5), None);
    assert_eq!(
        set(BtreeId::FREESPACE, Bpos::new(0, 5, 0), 6),
        Some(E::BKEY_EXTENT_SIZE_GREATER_THAN_OFFSET)
    );
    assert_eq!(
        set(BtreeId::FREESPACE, Bpos::new(0, 5, 0), 0),
        Some(E::BKEY_EXTENT_SIZE_ZERO)
    );
    assert_eq!(
        set(BtreeId::LRU, Bpos::new(0, 5, 1), 0),
        Some(E::BKEY_SNAPSHOT_NONZERO)
    );
    assert_eq!(set(BtreeId::DELETED_INODES, Bpos::new(0, 5, 1), 0), None);
    // Nothing is known of what a newer version's btree may hold.
    assert_eq!(set(BtreeId(60), Bpos::MAX, 9), None);
}

#[test]
fn types_by_btree() {
    let p = Bpos::new(1, 8, LEAF);
    let bad = Some(E::BKEY_INVALID_TYPE_FOR_BTREE);
    let found = |ty, v: &[u8], ctx: &ValidateCtx<'_>| found_in(ty, p, 0, v, ctx);
    let dirents = leaf(BtreeId::DIRENTS);
    assert_eq!(found(KeyType::HASH_WHITEOUT, &[], &dirents), None);
    assert_eq!(found(KeyType::QUOTA, &[0; 32], &dirents), bad);
    // Found on disk these pass, to be written they do not.
    assert_eq!(found(KeyType::SET, &[], &dirents), None);
    assert_eq!(found(KeyType::SET, &[], &commit(BtreeId::DIRENTS)), bad);
    assert_eq!(found(KeyType(100), &[], &commit(BtreeId::DIRENTS)), None);

    let inner = ValidateCtx::new(BtreeId::DIRENTS, 1);
    assert_eq!(found(KeyType::HASH_WHITEOUT, &[], &inner), bad);
    assert_eq!(found(KeyType::SET, &[], &inner), bad);
    assert_eq!(found(KeyType::DELETED, &[], &inner), None);
    assert_eq!(
        found(KeyType::BTREE_PTR_V2, &[0; 39], &inner),
        Some(E::BKEY_VAL_SIZE_TOO_SMALL)
    );
    assert_eq!(
        found(KeyType::HASH_WHITEOUT, &[0; 8], &dirents),
        Some(E::BKEY_VAL_SIZE_NONZERO)
    );
}

fn in_inode(inode: Inode, version: Version) -> Option<E> {
    let ctx = ValidateCtx {
        version,
        ..leaf(BtreeId::INODES)
    };
    let p = Bpos::new(0, inode.inum, LEAF);
    found_in(KeyType::INODE_V3, p, 0, inode.encode().as_bytes(), &ctx)
}

#[test]
fn inodes() {
    let inode = Inode {
        inum: 4096,
        mode: 0o100644,
        ..Inode::default()
    };
    assert_eq!(in_inode(inode, OLD), None);
    let low = Inode {
        inum: 4095,
        ..inode
    };
    assert_eq!(in_inode(low, OLD), Some(E::INODE_POS_BLOCKDEV_RANGE));
    let hash = Inode {
        str_hash: StrHashType(4),
        ..inode
    };
    assert_eq!(in_inode(hash, OLD), Some(E::INODE_STR_HASH_INVALID));

    for (bad, id) in [
        (
            Inode {
                flags: InodeFlags::UNLINKED,
                nlink: 1,
                ..inode
            },
            E::INODE_UNLINKED_BUT_NLINK_NONZERO,
        ),
        (
            Inode { subvol: 1, ..inode },
            E::INODE_SUBVOL_ROOT_BUT_NOT_DIR,
        ),
        (
            Inode {
                data_checksum: 5,
                ..inode
            },
            E::INODE_CHECKSUM_TYPE_INVALID,
        ),
        (
            Inode {
                compression: 5,
                ..inode
            },
            E::INODE_COMPRESSION_TYPE_INVALID,
        ),
    ] {
        assert_eq!(in_inode(bad, OLD), Some(id));
        // Not dropped for this any more.
        assert_eq!(in_inode(bad, Version::NEWEST), None);
    }
}

#[test]
fn inode_fields() {
    let inode = Inode {
        inum: 4096,
        uid: 1,
        ..Inode::default()
    };
    let v = inode.encode().as_bytes().to_vec();
    let found = |v: &[u8], version| {
        let ctx = ValidateCtx {
            version,
            ..leaf(BtreeId::INODES)
        };
        found_in(KeyType::INODE_V3, Bpos::new(0, 4096, LEAF), 0, v, &ctx)
    };
    let with = |byte: usize, value| {
        let mut v = v.clone();
        v[byte] = value;
        v
    };
    // The number of fields is 127.
    let many = with(19, v[19] | 0x7f);
    assert_eq!(found(&many, OLD), Some(E::INODE_UNPACK_ERROR));
    assert_eq!(found(&many, Version::NEWEST), None);
    // The fields start at word 5, or behind the end.
    for start in [5u8, 31] {
        let mut v = v.clone();
        v[19] = v[19] & 0x7f | (start & 1) << 7;
        v[20] = v[20] & 0xf0 | start >> 1;
        assert_eq!(
            found(&v, Version::NEWEST),
            Some(E::INODE_V3_FIELDS_START_BAD)
        );
    }
}

#[test]
fn names() {
    let dirent = |name: &[u8], target, ctx: &ValidateCtx<'_>| {
        let d = Dirent {
            target: Target::Inode(target),
            file_type: FileType::FILE,
            name,
            folded: None,
        };
        let mut out = [0; 600];
        let len = d.encode(&mut out).unwrap();
        let p = Bpos::new(4096, 2, LEAF);
        found_in(KeyType::DIRENT, p, 0, &out[..len], ctx)
    };
    let ctx = leaf(BtreeId::DIRENTS);
    for (name, want) in [
        (&b"a"[..], None),
        (&[b'x'; 512], None),
        (b"...", None),
        (b"", Some(E::DIRENT_EMPTY_NAME)),
        (b".", Some(E::DIRENT_NAME_DOT_OR_DOTDOT)),
        (b"..", Some(E::DIRENT_NAME_DOT_OR_DOTDOT)),
        (b"a/b", Some(E::DIRENT_NAME_HAS_SLASH)),
        (b"a\0b", Some(E::DIRENT_NAME_EMBEDDED_NUL)),
    ] {
        assert_eq!(dirent(name, 5000, &ctx), want);
    }
    assert_eq!(dirent(b"a", 4096, &ctx), Some(E::DIRENT_TO_ITSELF));

    // Longer than can be made now: an older one may be.
    let mut long = vec![0; 9];
    long[8] = 8;
    long.extend([b'x'; 513]);
    long.resize(528, 0);
    let p = Bpos::new(4096, 2, LEAF);
    let found = |ctx| found_in(KeyType::DIRENT, p, 0, &long, ctx);
    assert_eq!(found(&ctx), None);
    assert_eq!(
        found(&commit(BtreeId::DIRENTS)),
        Some(E::DIRENT_NAME_TOO_LONG)
    );
    // Two names that end beyond the value.
    let mut folded = vec![0; 24];
    folded[8] = 0x88;
    folded[11] = 1;
    folded[13] = 2;
    folded[15] = b'A';
    folded[16] = b'a';
    let found = |v: &[u8]| found_in(KeyType::DIRENT, p, 0, v, &ctx);
    assert_eq!(found(&folded), Some(E::DIRENT_VAL_TOO_BIG));
    folded[13] = 1;
    assert_eq!(found(&folded), None);
}

#[test]
fn attributes() {
    let x = Xattr {
        xattr_type: XattrType::USER,
        name: b"name",
        value: &[1; 8],
    };
    let found = |x: Xattr<'_>, more: usize| {
        let mut out = [0; 64];
        let len = x.encode(&mut out).unwrap();
        let p = Bpos::new(4096, 2, LEAF);
        found_in(
            KeyType::XATTR,
            p,
            0,
            &out[..len + more],
            &leaf(BtreeId::XATTRS),
        )
    };
    assert_eq!(found(x, 0), None);
    assert_eq!(found(x, 8), None);
    assert_eq!(found(x, 16), Some(E::XATTR_VAL_SIZE_TOO_BIG));
    let other = Xattr {
        xattr_type: XattrType(5),
        ..x
    };
    assert_eq!(found(other, 0), Some(E::XATTR_INVALID_TYPE));
    let nul = Xattr { name: b"a\0", ..x };
    assert_eq!(found(nul, 0), Some(E::XATTR_NAME_INVALID_CHARS));
    let p = Bpos::new(4096, 2, LEAF);
    assert_eq!(
        found_in(
            KeyType::XATTR,
            p,
            0,
            &[0, 4, 1, 0, 1, 2, 3, 4],
            &leaf(BtreeId::XATTRS)
        ),
        Some(E::XATTR_VAL_SIZE_TOO_SMALL)
    );
}

#[test]
fn buckets() {
    let found = |a: Alloc, version| {
        let ctx = ValidateCtx {
            version,
            ..leaf(BtreeId::ALLOC)
        };
        found_in(KeyType::ALLOC_V4, Bpos::new(0, 1, 0), 0, &a.encode(), &ctx)
    };
    let user = Alloc {
        data_type: DataType::USER,
        dirty_sectors: 8,
        ..Alloc::default()
    };
    assert_eq!(found(user, Version::NEWEST), None);
    let empty = Alloc {
        dirty_sectors: 0,
        ..user
    };
    assert_eq!(found(empty, OLD), Some(E::ALLOC_KEY_DATA_TYPE_BAD));
    let late = Alloc {
        io_time: [0, 1 << 48],
        ..user
    };
    assert_eq!(found(late, OLD), Some(E::ALLOC_KEY_IO_TIME_BAD));
    // 1.13 tells by the flag, later versions by the type itself.
    let discard = Alloc {
        data_type: DataType::NEED_DISCARD,
        need_discard: true,
        ..Alloc::default()
    };
    assert_eq!(found(discard, OLD), None);
    assert_eq!(found(discard, Version::NEWEST), None);
    let free = Alloc {
        data_type: DataType::FREE,
        ..discard
    };
    assert_eq!(found(free, Version::NEWEST), None);
    let cached = Alloc {
        data_type: DataType::CACHED,
        cached_sectors: 8,
        ..Alloc::default()
    };
    assert_eq!(found(cached, OLD), None);
    let old_gen = Alloc {
        generation: 96,
        data_type: DataType::FREE,
        ..Alloc::default()
    };
    assert_eq!(found(old_gen, OLD), Some(E::ALLOC_KEY_DATA_TYPE_BAD));
}

#[test]
fn trees() {
    let found = |words: &[u32], id: u64, ctx: &ValidateCtx<'_>| {
        let mut v: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        v.resize(64, 0);
        found_in(KeyType::SNAPSHOT, Bpos::new(0, id, 0), 0, &v, ctx)
    };
    let ctx = leaf(BtreeId::SNAPSHOTS);
    // flags parent left right subvol tree depth skip*3
    assert_eq!(found(&[0, 11, 9, 8, 0, 1, 1, 11, 11, 12], 10, &ctx), None);
    for (words, want) in [
        (&[0, 10][..], E::SNAPSHOT_PARENT_BAD),
        (&[0, 11, 8, 9], E::SNAPSHOT_CHILDREN_NOT_NORMALIZED),
        (&[0, 11, 9, 9], E::SNAPSHOT_CHILD_DUPLICATE),
        (&[0, 11, 10, 0], E::SNAPSHOT_CHILD_BAD),
        (
            &[0, 11, 0, 0, 0, 0, 0, 12, 11, 12],
            E::SNAPSHOT_SKIPLIST_NOT_NORMALIZED,
        ),
        (
            &[0, 11, 0, 0, 0, 0, 0, 10, 11, 12],
            E::SNAPSHOT_SKIPLIST_BAD,
        ),
    ] {
        assert_eq!(found(words, 10, &ctx), Some(want));
    }
    assert_eq!(found(&[], 0, &ctx), Some(E::SNAPSHOT_POS_BAD));
    assert_eq!(found(&[], 1 << 32, &ctx), Some(E::SNAPSHOT_POS_BAD));
    let mut words = [0; 15];
    words[14] = 5;
    assert_eq!(found(&words, 10, &ctx), None);
    assert_eq!(
        found(&words, 10, &commit(BtreeId::SNAPSHOTS)),
        Some(E::SNAPSHOT_STATE_BAD)
    );

    let subvol = |snapshot: u32, inode: u64, id: u64| {
        let mut v = vec![0; 4];
        v.extend(snapshot.to_le_bytes());
        v.extend(inode.to_le_bytes());
        let ctx = leaf(BtreeId::SUBVOLUMES);
        found_in(KeyType::SUBVOLUME, Bpos::new(0, id, 0), 0, &v, &ctx)
    };
    assert_eq!(subvol(1, 4096, 1), None);
    assert_eq!(subvol(1, 4096, 0x7fff_ffff), None);
    assert_eq!(subvol(1, 4096, 0x8000_0000), Some(E::SUBVOL_POS_BAD));
    assert_eq!(subvol(0, 4096, 1), Some(E::SUBVOL_SNAPSHOT_BAD));
    assert_eq!(subvol(1, 0, 1), Some(E::SUBVOL_INODE_BAD));
}

#[test]
fn counters() {
    // Replicas: type, data type, devices, required, then the devices.
    let found = |position: &[u8], nr: usize| {
        let mut bytes = [0; 20];
        bytes[..position.len()].copy_from_slice(position);
        let p = Bpos::new(
            u64::from_le_bytes(bytes[12..].try_into().unwrap()),
            u64::from_le_bytes(bytes[4..12].try_into().unwrap()),
            u32::from_le_bytes(bytes[..4].try_into().unwrap()),
        );
        let ctx = ValidateCtx {
            version: OLD,
            ..leaf(BtreeId::ACCOUNTING)
        };
        found_in(KeyType::ACCOUNTING, p, 0, &vec![0; nr * 8], &ctx)
    };
    assert_eq!(found(&[2, 4, 2, 1, 0, 1], 1), None);
    assert_eq!(found(&[2, 4, 3, 1, 0, 255, 255], 3), None);
    for (position, want) in [
        (&[2, 4, 0, 0][..], E::ACCOUNTING_KEY_REPLICAS_NR_DEVS_0),
        (
            &[2, 4, 2, 2, 0, 1],
            E::ACCOUNTING_KEY_REPLICAS_NR_REQUIRED_BAD,
        ),
        (
            &[2, 4, 2, 1, 1, 1],
            E::ACCOUNTING_KEY_REPLICAS_DEVS_UNSORTED,
        ),
        (&[2, 4, 2, 1, 0, 1, 1], E::ACCOUNTING_KEY_JUNK_AT_END),
        (&[0, 1], E::ACCOUNTING_KEY_JUNK_AT_END),
    ] {
        assert_eq!(found(position, 1), Some(want));
    }
    assert_eq!(found(&[0], 4), Some(E::ACCOUNTING_KEY_NR_COUNTERS_WRONG));
    assert_eq!(found(&[0], 0), Some(E::BKEY_VAL_SIZE_TOO_SMALL));
    assert_eq!(found(&[99, 1, 2], 9), None);
}
