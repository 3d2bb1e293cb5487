// SPDX-License-Identifier: GPL-2.0

//! One case on each side of every limit.

use super::{
    super::{
        alloc::Alloc,
        crc::Crc,
        dirent::{
            Dirent,
            FileType,
            Target, //
        },
        extent_entry::{
            Entry,
            Ptr,
            Reconcile,
            StripePtr,
            DEV_NONE,
            EXTENT_POISONED, //
        },
        inode::{
            Inode,
            InodeFlags, //
        },
        kinds::{
            CompressionType,
            CsumType,
            DataType, //
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
    env::units::{
        DevIdx,
        Sectors, //
    },
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

fn bytes(entries: &[Entry]) -> Vec<u8> {
    let mut v = Vec::new();
    for entry in entries {
        let (words, n) = entry.encode().unwrap();
        for word in &words[..usize::from(n)] {
            v.extend(word.to_le_bytes());
        }
    }
    v
}

fn ptr(dev: u8) -> Ptr {
    Ptr {
        dev: DevIdx(dev),
        offset: Sectors(1024),
        generation: 0,
        cached: false,
        unwritten: false,
    }
}

fn crc() -> Crc {
    Crc {
        csum_type: CsumType::CRC32C,
        ..Crc::none(8)
    }
}

fn crc_entry(crc: Crc) -> Entry {
    Entry::Crc(crc.smallest_kind().unwrap(), crc)
}

const STRIPE: Entry = Entry::Stripe(StripePtr {
    idx: 1,
    block: 0,
    redundancy: 1,
});

fn in_extent(entries: &[Entry], ctx: &ValidateCtx<'_>) -> Option<E> {
    let p = Bpos::new(4096, 8, LEAF);
    found_in(KeyType::EXTENT, p, 8, &bytes(entries), ctx)
}

#[test]
fn entries_of_an_extent() {
    let found = |entries: &[Entry]| in_extent(entries, &leaf(BtreeId::EXTENTS));
    let (p0, p1) = (Entry::Ptr(ptr(0)), Entry::Ptr(ptr(1)));
    let c = crc_entry(crc());
    let unwritten = |dev| {
        Entry::Ptr(Ptr {
            unwritten: true,
            ..ptr(dev)
        })
    };
    let flags = Entry::Flags(EXTENT_POISONED);
    for (entries, want) in [
        (vec![p0, p1], None),
        (vec![c, p0, c, p1], None),
        (vec![flags, p0], None),
        (vec![STRIPE, p0, STRIPE, p1], None),
        (vec![unwritten(0)], None),
        (vec![], Some(E::EXTENT_PTRS_NO_PTRS)),
        (vec![p0, p0], Some(E::PTR_TO_DUPLICATE_DEVICE)),
        (
            vec![p0, unwritten(1)],
            Some(E::EXTENT_PTRS_WRITTEN_AND_UNWRITTEN),
        ),
        (vec![c, c, p0], Some(E::PTR_CRC_REDUNDANT)),
        (vec![p0, c], Some(E::EXTENT_PTRS_REDUNDANT_CRC)),
        (vec![STRIPE, STRIPE, p0], Some(E::PTR_STRIPE_REDUNDANT)),
        (vec![p0, STRIPE], Some(E::EXTENT_PTRS_REDUNDANT_STRIPE)),
        (vec![p0, flags], Some(E::EXTENT_FLAGS_NOT_AT_START)),
        (
            vec![Entry::Ptr(ptr(DEV_NONE.0))],
            Some(E::EXTENT_PTRS_ALL_INVALID),
        ),
        (vec![Entry::Ptr(ptr(DEV_NONE.0)), p0], None),
        (
            vec![
                STRIPE,
                Entry::Ptr(Ptr {
                    cached: true,
                    ..ptr(0)
                }),
            ],
            Some(E::PTR_CACHED_AND_ERASURE_CODED),
        ),
    ] {
        assert_eq!(found(&entries), want, "{entries:?}");
    }
    let many: Vec<_> = (0..=16).map(|dev| Entry::Ptr(ptr(dev))).collect();
    assert_eq!(found(&many[..16]), None);
    assert_eq!(found(&many), Some(E::EXTENT_PTRS_TOO_MANY_PTRS));
    let mut cut = bytes(&[p0]);
    cut.extend([0; 8]);
    let p = Bpos::new(4096, 8, LEAF);
    assert_eq!(
        found_in(KeyType::EXTENT, p, 8, &cut, &leaf(BtreeId::EXTENTS)),
        Some(E::EXTENT_PTRS_INVALID_ENTRY)
    );
}

#[test]
fn checksum_entries() {
    let ctx = ValidateCtx {
        encoded_extent_max: 128,
        ..leaf(BtreeId::EXTENTS)
    };
    let found = |crc: Crc, ctx| in_extent(&[crc_entry(crc), Entry::Ptr(ptr(0))], ctx);
    let both = |n| Crc {
        compressed_size: n,
        uncompressed_size: n,
        ..crc()
    };
    assert_eq!(found(both(8), &ctx), None);
    assert_eq!(
        found(both(7), &ctx),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_TOO_SMALL)
    );
    let shifted = |offset| Crc { offset, ..both(16) };
    assert_eq!(found(shifted(8), &ctx), None);
    assert_eq!(
        found(shifted(9), &ctx),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_TOO_SMALL)
    );
    let small = Crc {
        compressed_size: 4,
        ..both(8)
    };
    assert_eq!(
        found(small, &ctx),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_MISMATCH)
    );
    let compressed = Crc {
        compression: CompressionType::LZ4,
        ..small
    };
    assert_eq!(found(compressed, &ctx), None);
    let unknown = Crc {
        compression: CompressionType(6),
        ..small
    };
    assert_eq!(
        found(unknown, &ctx),
        Some(E::PTR_CRC_COMPRESSION_TYPE_UNKNOWN)
    );
    let unknown = Crc {
        csum_type: CsumType(8),
        ..crc()
    };
    assert_eq!(found(unknown, &ctx), Some(E::PTR_CRC_CSUM_TYPE_UNKNOWN));
    // Too large is only what is to be written.
    assert_eq!(found(both(129), &ctx), None);
    let writing = ValidateCtx {
        writing: true,
        ..ctx
    };
    assert_eq!(found(both(128), &writing), None);
    assert_eq!(
        found(both(129), &writing),
        Some(E::PTR_CRC_UNCOMPRESSED_SIZE_TOO_BIG)
    );

    let secret = |nonce, offset| {
        crc_entry(Crc {
            csum_type: CsumType::CHACHA20_POLY1305_80,
            nonce,
            offset,
            ..both(16)
        })
    };
    let two = |a, b| [a, Entry::Ptr(ptr(0)), b, Entry::Ptr(ptr(1))];
    assert_eq!(in_extent(&two(secret(4, 4), secret(8, 0)), &ctx), None);
    assert_eq!(
        in_extent(&two(secret(4, 4), secret(8, 1)), &ctx),
        Some(E::PTR_CRC_NONCE_MISMATCH)
    );
    let keyless = ValidateCtx {
        has_key: false,
        ..ctx
    };
    assert_eq!(
        in_extent(&two(secret(4, 4), secret(8, 0)), &keyless),
        Some(E::PTR_CRC_CSUM_TYPE_UNKNOWN)
    );
}

#[test]
fn places_of_pointers() {
    let devs = [Some(DevGeometry {
        first_bucket: 1,
        nr_buckets: 10,
        bucket_sectors: 1024,
    })];
    let ctx = ValidateCtx {
        devs: &devs,
        ..leaf(BtreeId::EXTENTS)
    };
    let at = |sector| {
        let p = Ptr {
            offset: Sectors(sector),
            ..ptr(0)
        };
        in_extent(&[Entry::Ptr(p)], &ctx)
    };
    assert_eq!(at(1023), Some(E::PTR_BEFORE_FIRST_BUCKET));
    assert_eq!(at(1024), None);
    assert_eq!(at(2048 - 8), None);
    assert_eq!(at(2048 - 7), Some(E::PTR_SPANS_MULTIPLE_BUCKETS));
    assert_eq!(at(10 * 1024 - 8), None);
    assert_eq!(at(10 * 1024), Some(E::PTR_AFTER_LAST_BUCKET));
    // A device that is not there is not judged, nor one that makes no sense.
    assert_eq!(in_extent(&[Entry::Ptr(ptr(1))], &ctx), None);
    let devs = [Some(DevGeometry {
        first_bucket: 0,
        nr_buckets: 1,
        bucket_sectors: 0,
    })];
    let ctx = ValidateCtx { devs: &devs, ..ctx };
    assert!(in_extent(&[Entry::Ptr(ptr(0))], &ctx).is_some());
}

#[test]
fn reconcile_entries() {
    let word = |replicas: u64, need: u64, hipri: u64, pending: u64| {
        let w = 1 << 7 | hipri << 15 | pending << 16 | need << 17 | replicas << 28;
        let entries = [Entry::Reconcile(Reconcile(w)), Entry::Ptr(ptr(0))];
        in_extent(&entries, &leaf(BtreeId::EXTENTS))
    };
    assert_eq!(word(1, 0, 0, 0), None);
    assert_eq!(word(1, 1, 1, 1), None);
    assert_eq!(word(0, 0, 0, 0), Some(E::EXTENT_RECONCILE_BAD_REPLICAS));
    assert_eq!(word(1, 0, 0, 1), Some(E::EXTENT_RECONCILE_BAD_PENDING));
    assert_eq!(word(1, 2, 1, 0), Some(E::EXTENT_RECONCILE_BAD_HIPRI));
}

#[test]
fn node_pointers() {
    let found = |min_key: u8, entries: &[Entry], ctx: &ValidateCtx<'_>| {
        let mut v = vec![0; 40];
        v[24] = min_key; // low byte of the lowest position's offset
        v.extend(bytes(entries));
        let p = Bpos::new(0, 5, 0);
        found_in(KeyType::BTREE_PTR_V2, p, 0, &v, ctx)
    };
    let inner = ValidateCtx::new(BtreeId::ALLOC, 1);
    let p = Entry::Ptr(ptr(0));
    assert_eq!(found(4, &[p], &inner), None);
    assert_eq!(found(5, &[p], &inner), Some(E::BTREE_PTR_V2_MIN_KEY_BAD));
    assert_eq!(
        found(0, &[crc_entry(crc()), p], &inner),
        Some(E::BTREE_PTR_HAS_NON_PTR)
    );
    let many: Vec<_> = (0..15).map(|dev| Entry::Ptr(ptr(dev))).collect();
    assert_eq!(found(0, &many[..10], &inner), None);
    assert_eq!(found(0, &many, &inner), Some(E::BTREE_PTR_V2_VAL_TOO_BIG));
    // A node all of whose devices are gone is still known by its pointer.
    assert_eq!(found(0, &[Entry::Ptr(ptr(DEV_NONE.0))], &inner), None);
    let writing = ValidateCtx {
        writing: true,
        ..inner
    };
    assert_eq!(found(0, &[p], &writing), Some(E::BTREE_PTR_V2_WRITTEN_0));
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
        str_hash: super::super::kinds::StrHashType(4),
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
