// SPDX-License-Identifier: GPL-2.0

//! Values as the C implementation wrote them, and properties that hold for any bytes.

mod old_formats;

use super::{
    accounting::{
        counters,
        Counted, //
    },
    alloc::Alloc,
    backpointer::Backpointer,
    btree_ptr::BtreePtr,
    crc::{
        Crc,
        CrcKind, //
    },
    dirent::{
        Dirent,
        FileType,
        Target, //
    },
    extent::{
        entries,
        ptrs, //
    },
    extent_entry::{
        Entry,
        EntrySizes,
        Ptr,
        StripePtr, //
    },
    inode::{
        Inode,
        InodeFlags, //
    },
    kinds::{
        CompressionType,
        CsumType,
        DataType,
        StrHashType, //
    },
    reflink::ReflinkPtr,
    snapshot::{
        Snapshot,
        SnapshotState, //
    },
    stripe::Stripe,
    subvolume::{
        SubvolState,
        Subvolume, //
    },
    text::KeyText,
    validate::{
        validate_key,
        ValidateCtx, //
    },
    xattr::{
        Xattr,
        XattrType, //
    },
};
use crate::{
    env::units::{
        DevIdx,
        Sectors, //
    },
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
use proptest::prelude::*;
use std::{
    string::ToString,
    vec::Vec, //
};

fn hex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|c| digit(c[0]) << 4 | digit(c[1]))
        .collect()
}

fn key(key_type: KeyType, p: Bpos, size: u32, v: &[u8]) -> Key<'_> {
    Key {
        k: Bkey {
            key_type,
            p,
            size,
            ..Bkey::default()
        },
        v,
    }
}

const LEAF: u32 = u32::MAX;

#[test]
fn golden_extent() {
    let v = hex("3efe0045aea78cf50190010000000000");
    let k = key(KeyType::EXTENT, Bpos::new(4099, 88, LEAF), 88, &v);
    let all: Vec<_> = ptrs(&k, &EntrySizes::KNOWN).map(Result::unwrap).collect();
    assert_eq!(all.len(), 1);
    assert_eq!(
        all[0].ptr,
        Ptr {
            dev: DevIdx(0),
            offset: Sectors(6400),
            generation: 0,
            cached: false,
            unwritten: false,
        }
    );
    assert_eq!(
        all[0].crc,
        Crc {
            compressed_size: 16,
            uncompressed_size: 128,
            live_size: 88,
            csum_type: CsumType::CRC32C,
            compression: CompressionType::ZSTD,
            offset: 0,
            nonce: 0,
            csum_lo: 0xf58c_a7ae,
            csum_hi: 0,
        }
    );
    validate_key(&k, &ValidateCtx::new(BtreeId::EXTENTS, 0)).unwrap();
}

#[test]
fn golden_erasure_coded_extent() {
    let v = hex("fcf70f0000050000fe6e323d0000000010200200000000000110020000000100");
    let k = key(KeyType::EXTENT, Bpos::new(1 << 62, 16, LEAF), 16, &v);
    let p = ptrs(&k, &EntrySizes::KNOWN).next().unwrap().unwrap();
    assert_eq!((p.ptr.dev, p.ptr.offset), (DevIdx(1), Sectors(8448)));
    assert_eq!(
        p.stripe,
        Some(StripePtr {
            idx: 1,
            block: 0,
            redundancy: 1
        })
    );
    assert_eq!((p.crc.uncompressed_size, p.crc.csum_lo), (256, 0x3d32_6efe));
    // The entries, encoded again, are the same bytes.
    let mut again = Vec::new();
    for entry in entries(&k, &EntrySizes::KNOWN) {
        let (words, n) = entry.unwrap().encode().unwrap();
        for word in &words[..usize::from(n)] {
            again.extend(word.to_le_bytes());
        }
    }
    assert_eq!(again, v);
}

#[test]
fn golden_btree_ptr() {
    let v = hex(concat!(
        "0000000000000000b148c5ce49d5ccbc800000000000000071de3ad5feba2e4b",
        "291000000000000001a0020000000000"
    ));
    let k = key(KeyType::BTREE_PTR_V2, Bpos::MAX, 0, &v);
    let node = BtreePtr::decode(&k).unwrap().unwrap();
    let id = node.v2.unwrap();
    assert_eq!(id.seq, 0xbccc_d549_cec5_48b1);
    assert_eq!(id.sectors_written, 128);
    assert_eq!(id.min_key, Bpos::new(4137, 5_417_473_005_435_149_937, 0));
    assert!(!id.range_updated);
    let copies: Vec<_> = node.ptrs(&EntrySizes::KNOWN).map(Result::unwrap).collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0].ptr.offset, Sectors(10752));
    validate_key(&k, &ValidateCtx::new(BtreeId::DIRENTS, 1)).unwrap();
}

#[test]
fn golden_inodes() {
    let v = hex(concat!(
        "0a00000000000000e145445c983f225a00043016d31e0400",
        "000000000000000000000000000000000000000000000000",
        "1720ca3800cfa06a6d0e00cfa06a6d0e001720ca380000000600000000000000",
        "0000000000000002"
    ));
    let k = key(KeyType::INODE_V3, Bpos::new(0, 4096, LEAF), 0, &v);
    let root = Inode::decode(&k).unwrap().unwrap();
    assert_eq!((root.inum, root.snapshot), (4096, LEAF));
    assert_eq!(root.mode, 0o40755);
    assert_eq!(root.flags, InodeFlags::HAS_CASE_INSENSITIVE);
    assert_eq!(root.hash_seed, 0x5a22_3f98_5c44_45e1);
    assert_eq!(root.str_hash, StrHashType::SIPHASH);
    assert_eq!((root.atime, root.ctime), (59_548_161, 1_936_413_958));
    assert_eq!((root.nlink, root.links()), (3, 5));
    assert_eq!(root.subvol, 1);
    assert!(root.is_dir() && !root.has_options());
    assert_eq!(root.encode().as_bytes(), v);

    let v = hex(concat!(
        "0100000000000000b27ff2806d298bba00003015031c0400",
        "000000000000000000000000000000000000000000000000",
        "a714fd0400a714fd0400a714fd0400a714fd0400000000000000000000000000",
        "0000000140ff837b80d47ff5f1770000"
    ));
    let k = key(KeyType::INODE_V3, Bpos::new(0, 4097, LEAF), 0, &v);
    let dir = Inode::decode(&k).unwrap().unwrap();
    assert_eq!((dir.mode, dir.dir), (0o40700, 4096));
    assert_eq!(dir.dir_offset, 0x77f1_f57f_d480_7b83);
    assert_eq!(dir.encode().as_bytes(), v);
}

/// Inodes as versions before 0.23 wrote them: mode, flags, and fields in the order of that time.
#[test]
fn earlier_encodings_of_inodes() {
    let hash_seed = 7u64.to_le_bytes();
    let mode = 0o100600u16.to_le_bytes();
    let p = Bpos::new(0, 4097, LEAF);
    // Seven fields: four times of two integers each, size, sectors, owner.
    let varints = [
        &[2, 0, 4, 0, 6, 0, 8, 0][..], // times 1, 2, 3, 4
        &[0x05, 0x10],                 // size 1025 in two bytes
        &[16, 20],                     // sectors 8, owner 10
    ]
    .concat();
    let want = Inode {
        inum: 4097,
        snapshot: LEAF,
        hash_seed: 7,
        mode: 0o100600,
        flags: InodeFlags::NODUMP,
        str_hash: StrHashType::SIPHASH,
        atime: 1,
        ctime: 2,
        mtime: 3,
        otime: 4,
        size: 1025,
        sectors: 8,
        uid: 10,
        ..Inode::default()
    };
    let decoded = |ty, v: &[u8]| Inode::decode(&key(ty, p, 0, v)).unwrap().unwrap();
    let flags = 1u64 << 3 | 3 << 20 | 7 << 24;

    let seq = 9u64.to_le_bytes();
    let v2 = [&seq[..], &hash_seed, &flags.to_le_bytes(), &mode, &varints].concat();
    let with_seq = Inode {
        journal_seq: 9,
        ..want
    };
    assert_eq!(decoded(KeyType::INODE_V2, &v2), with_seq);

    let new = (flags as u32 | 1 << 31).to_le_bytes();
    let v1 = [&hash_seed[..], &new, &mode, &varints].concat();
    assert_eq!(decoded(KeyType::INODE, &v1), want);

    // Before varints: the highest bit of the first byte tells the length, high bytes first.
    let old_fields = [
        &[0x81, 0x82, 0x83, 0x84][..], // times in one byte each
        &[0x44, 0x01],                 // size 1025 in two bytes
        &[0x20, 0, 8],                 // sectors 8 in three
        &[0x10, 0, 0, 10],             // owner 10 in four
    ]
    .concat();
    let old = (flags as u32).to_le_bytes();
    let v1 = [&hash_seed[..], &old, &mode, &old_fields].concat();
    assert_eq!(decoded(KeyType::INODE, &v1), want);
    for cut in 14..v1.len() {
        let k = key(KeyType::INODE, p, 0, &v1[..cut]);
        let (inode, bad) = Inode::decode_lossy(&k).unwrap().unwrap();
        assert!(bad.is_some() && inode.uid == 0 && inode.hash_seed == 7);
    }
    // A first byte of zero has no length.
    let v1 = [&hash_seed[..], &old, &mode, &[0; 20]].concat();
    assert!(Inode::decode(&key(KeyType::INODE, p, 0, &v1)).is_err());
}

#[test]
fn golden_names() {
    let v = hex("0000008000000000046c6f73742b666f756e640000000000");
    let d = Dirent::decode(&v).unwrap();
    assert_eq!(
        d,
        Dirent {
            target: Target::Inode(1 << 31),
            file_type: FileType::DIR,
            name: b"lost+found",
            folded: None,
        }
    );
    let mut out = [0xff; 600];
    assert_eq!(d.encode(&mut out), Some(v.len()));
    assert_eq!(out[..v.len()], v);

    // A directory that compares names without case.
    let v = hex("0c00008000000000840000060006005375624469727375626469720000000000");
    let d = Dirent::decode(&v).unwrap();
    assert_eq!((d.name, d.lookup_name()), (&b"SubDir"[..], &b"subdir"[..]));
    assert_eq!(d.file_type, FileType::DIR);
    assert_eq!(d.encode(&mut out), Some(v.len()));
    assert_eq!(out[..v.len()], v);

    let v = hex("000503006f6e6469723a3b3c00000000");
    let x = Xattr::decode(&v).unwrap();
    assert_eq!(
        x,
        Xattr {
            xattr_type: XattrType::USER,
            name: b"ondir",
            value: b":;<",
        }
    );
    let mut out = [0xff; 64];
    let len = x.encode(&mut out).unwrap();
    assert_eq!(out[..len], v[..len]);
}

#[test]
fn golden_stripe() {
    let v = hex(concat!(
        "0001000501090500011002000000010001100200000002000110020000000300",
        "01100200000004000110020000000000fe6e323d6b12b4c109f22e37a413c5b4",
        "389d6d7f9800c800e000b80000000000"
    ));
    let s = Stripe::decode(&v).unwrap();
    assert_eq!((s.sectors, s.nr_blocks, s.nr_redundant), (256, 5, 1));
    assert_eq!(s.bytes(), 80);
    assert_eq!(s.ptrs().count(), 5);
    assert_eq!(s.csum(0, 0), Some(&[0xfe, 0x6e, 0x32, 0x3d][..]));
    assert_eq!(s.csum(0, 1), None);
    assert_eq!(s.csum(5, 0), None);
    assert_eq!(s.block_sectors(0), Some(152));
    assert_eq!(s.block_sectors(4), Some(0));
    assert_eq!(s.block_sectors(5), None);
    let k = key(KeyType::STRIPE, Bpos::new(0, 1, 0), 0, &v);
    assert_eq!(ptrs(&k, &EntrySizes::KNOWN).count(), 5);
    validate_key(&k, &ValidateCtx::new(BtreeId::STRIPES, 0)).unwrap();
}

#[test]
fn golden_trees() {
    let v = hex(concat!(
        "00000000f5ffffff01000080000000000000000001000000",
        "ed54816e0000000000000000000000007e44d54a00000000"
    ));
    let s = Subvolume::decode(&v).unwrap();
    assert_eq!((s.inode, s.snapshot), ((1 << 31) + 1, 0xffff_fff5));
    assert_eq!((s.fs_path_parent, s.state), (1, SubvolState::Live));
    // The same, as 1.13 wrote it.
    let old = Subvolume::decode(&v[..40]).unwrap();
    assert_eq!(
        Subvolume {
            has_state: true,
            ..old
        },
        s
    );

    let v = hex(concat!(
        "0400000000000000000000000000000000000000050000000000000000000000",
        "0000000000000000ed4595db00000000000000000000000025a2d47c00000000"
    ));
    let s = Snapshot::decode(&v).unwrap();
    assert_eq!((s.tree, s.state), (5, SnapshotState::Deleted));
    assert_eq!(
        Snapshot::decode(&v[..56]).unwrap().state,
        SnapshotState::Deleted
    );
}

#[test]
fn golden_space() {
    let v = hex(concat!(
        "0100000000000000230000000000010000010000000000000100000000000000",
        "0001000000000000000000000000000000000000000000000000000000000000"
    ));
    let k = key(KeyType::ALLOC_V4, Bpos::new(0, 1, 0), 0, &v);
    let a = Alloc::decode(&k).unwrap().unwrap();
    assert_eq!((a.data_type, a.dirty_sectors), (DataType::SB, 256));
    assert_eq!(a.io_time, [1, 256]);
    assert_eq!(a.encode()[..], v);
    validate_key(&k, &ValidateCtx::new(BtreeId::ALLOC, 0)).unwrap();

    let v = hex("000004600000000004000000ffffffff80000000000000000310000000000000");
    let bp = Backpointer::decode(&v).unwrap();
    assert_eq!((bp.btree, bp.level), (BtreeId::EXTENTS, 0));
    assert_eq!(bp.pos, Bpos::new(4099, 128, LEAF));
    assert_eq!((bp.bucket_len, bp.bucket_offset()), (4, 96));

    let pos = Bpos::new(144_961_816_324_276_224, 0, 0);
    let counted = Counted::decode(pos, Version::new(1, 39));
    assert_eq!(counted.to_string(), "replicas btree: 1/2 [0 1]");
    assert_eq!(counted.encode(Version::new(1, 39)), Some(pos));
    let v = hex("cc0100000000000000000000000000000000000000000000");
    assert_eq!(counters(&v).collect::<Vec<_>>(), [460, 0, 0]);
}

#[test]
fn unknown_entries_are_skipped_by_their_size() {
    let mut field = [0; 16];
    field[..9].copy_from_slice(&[1, 1, 2, 3, 1, 1, 1, 1, 1]);
    field[9] = 2;
    let sizes = EntrySizes::with_superblock(&field);
    let ptr = Ptr::from_word(1 | 100 << 4 | 3 << 48).to_word();
    let v: Vec<u8> = [1u64 << 9, u64::MAX, ptr]
        .into_iter()
        .flat_map(u64::to_le_bytes)
        .collect();
    let k = key(KeyType::EXTENT, Bpos::new(4096, 8, LEAF), 8, &v);
    let all: Vec<_> = entries(&k, &sizes).map(Result::unwrap).collect();
    assert_eq!(all[0], Entry::Unknown(9));
    assert_eq!(ptrs(&k, &sizes).count(), 1);
    // Without the size, it is an error, and there is nothing after it.
    let mut known = entries(&k, &EntrySizes::KNOWN);
    assert!(known.next().unwrap().is_err());
    assert!(known.next().is_none());
    // Cut off in the middle.
    let k = key(KeyType::EXTENT, Bpos::new(4096, 8, LEAF), 8, &v[..8]);
    assert!(entries(&k, &sizes).next().unwrap().is_err());
    // No bit set: no type.
    let k = key(KeyType::EXTENT, Bpos::new(4096, 8, LEAF), 8, &[0; 8]);
    assert!(entries(&k, &sizes).next().unwrap().is_err());
}

#[test]
fn an_entry_size_from_the_superblock_can_not_change_what_is_known() {
    let sizes = EntrySizes::with_superblock(&[9; 31]);
    assert_eq!(sizes, {
        let mut field = [9; 31];
        field[..9].copy_from_slice(&[1, 1, 2, 3, 1, 1, 1, 1, 1]);
        EntrySizes::with_superblock(&field)
    });
    assert_eq!(EntrySizes::with_superblock(&[]), EntrySizes::KNOWN);
}

fn some_inode() -> impl Strategy<Value = Inode> {
    (
        any::<[u64; 8]>(),
        any::<[u64; 4]>(),
        any::<[u32; 6]>(),
        any::<[u16; 5]>(),
        any::<[u8; 7]>(),
        any::<[u32; 3]>(),
    )
        .prop_map(|(a, t, w, h, b, s)| Inode {
            inum: a[0],
            snapshot: s[0],
            journal_seq: a[1],
            hash_seed: a[2],
            flags: InodeFlags(w[0] & 0xf_ffff),
            str_hash: StrHashType(b[0] & 3),
            mode: h[0],
            size: a[3],
            sectors: a[4],
            version: a[5],
            atime: t[0],
            ctime: t[1],
            mtime: t[2],
            otime: t[3],
            uid: w[1],
            gid: w[2],
            nlink: w[3],
            generation: w[4],
            dev: w[5],
            data_checksum: b[1],
            project: s[1],
            promote_target: h[1],
            erasure_code: h[2],
            fields_set: h[3],
            dir: a[6],
            dir_offset: a[7],
            subvol: s[2],
            nocow: b[2],
            casefold: b[3],
            unused_ec_max_data_blocks: b[4] & 1,
            ..Inode::default()
        })
}

proptest! {
    #[test]
    fn any_bytes_can_be_judged_and_shown(
        ty in 0u8..41,
        btree in 0u8..31,
        level in 0u8..5,
        p in any::<(u64, u64, u32)>(),
        size in any::<u32>(),
        words in prop::collection::vec(any::<u64>(), 0..32),
        cut in 0usize..8,
        version in 0u16..1100,
    ) {
        let v: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let v = &v[..v.len().saturating_sub(cut)];
        let k = key(KeyType(ty), Bpos::new(p.0, p.1, p.2), size, v);
        let version = Version(version);
        let ctx = ValidateCtx { version, ..ValidateCtx::new(BtreeId(btree), level) };
        let _ = super::validate::validate_value(&k, &ctx);
        let _ = validate_key(&k, &ctx);
        let _ = KeyText::new(&k, &EntrySizes::KNOWN, version).to_string();
    }

    #[test]
    fn inodes_survive(inode in some_inode()) {
        let encoded = inode.encode();
        prop_assert_eq!(encoded.as_bytes().len() % 8, 0);
        let p = Bpos::new(0, inode.inum, inode.snapshot);
        let k = key(KeyType::INODE_V3, p, 0, encoded.as_bytes());
        prop_assert_eq!(Inode::decode(&k).unwrap().unwrap(), inode);
    }

    #[test]
    fn names_survive(
        name in prop::collection::vec(1u8.., 1..=512),
        folded in prop::option::of(prop::collection::vec(1u8.., 1..=512)),
        target in any::<u64>(),
        file_type in 0u8..17,
    ) {
        let file_type = FileType(file_type);
        let target = match file_type {
            FileType::SUBVOL => Target::Subvol { child: target as u32, parent: (target >> 32) as u32 },
            _ => Target::Inode(target),
        };
        let d = Dirent { target, file_type, name: &name, folded: folded.as_deref() };
        let mut out = [0xff; 1200];
        let len = d.encode(&mut out).unwrap();
        prop_assert_eq!(len % 8, 0);
        prop_assert_eq!(Dirent::decode(&out[..len]).unwrap(), d);
        prop_assert_eq!(d.encode(&mut out[..len - 1]), None);
    }

    #[test]
    fn checksum_entries_survive(
        sizes in (1u32..=8192, 1u32..=8192),
        offset in 0u16..8192,
        nonce in 0u16..8192,
        csum in (0u8..8, any::<u64>(), any::<u64>()),
        compression in 0u8..6,
        live_size in any::<u32>(),
    ) {
        let crc = Crc {
            compressed_size: sizes.0,
            uncompressed_size: sizes.1,
            live_size,
            csum_type: CsumType(csum.0),
            compression: CompressionType(compression),
            offset,
            nonce,
            csum_lo: csum.1,
            csum_hi: csum.2,
        };
        for kind in [CrcKind::Crc32, CrcKind::Crc64, CrcKind::Crc128] {
            let Some(words) = crc.pack(kind) else { continue };
            let want = match kind {
                CrcKind::Crc32 => Crc { csum_lo: csum.1 & 0xffff_ffff, csum_hi: 0, ..crc },
                CrcKind::Crc64 => Crc { csum_hi: csum.2 & 0xffff, ..crc },
                CrcKind::Crc128 => crc,
            };
            prop_assert_eq!(Crc::unpack(kind, words, live_size), want);
        }
        prop_assert!(crc.smallest_kind().is_some());
    }

    #[test]
    fn pointers_survive(w in any::<u64>()) {
        let w = (w | 1) & !4;
        prop_assert_eq!(Ptr::from_word(w).to_word(), w);
    }

    #[test]
    fn reflink_pointers_survive(
        idx in 0u64..1 << 56,
        pads in any::<(u32, u32)>(),
        flags in any::<(bool, bool)>(),
    ) {
        let p = ReflinkPtr {
            idx,
            front_pad: pads.0,
            back_pad: pads.1,
            error: flags.0,
            may_update_options: flags.1,
        };
        prop_assert_eq!(ReflinkPtr::decode(&p.encode().unwrap()).unwrap(), p);
    }
}
