// SPDX-License-Identifier: GPL-2.0

//! Values of keys: an input is the number of a btree, a level, then unpacked keys.

use super::show;
use format::format::{
    bkey::{
        split_unpacked,
        Key, //
    },
    btree_id::BtreeId,
    key_type::KeyType,
    sb::Version,
    values::{
        accounting::Counted,
        alloc::Alloc,
        dirent::{
            dirent,
            Dirent, //
        },
        extent::entries,
        extent_entry::{
            Entries,
            EntrySizes, //
        },
        inode::Inode,
        reflink::ReflinkPtr,
        text,
        validate::{
            self,
            DevGeometry,
            Origin,
            ValidateCtx, //
        },
        xattr::Xattr,
    },
};

const OLD: Version = Version::new(1, 13);
const DEVS: &[Option<DevGeometry>] = &[Some(DevGeometry {
    first_bucket: 1,
    nr_buckets: 1000,
    bucket_sectors: 256,
})];

/// Contexts that make the validators look at different things.
fn contexts(btree: u8, level: u8) -> [ValidateCtx<'static>; 3] {
    let any = ValidateCtx::new(BtreeId(btree), level & 3);
    let old = ValidateCtx {
        version: OLD,
        has_key: false,
        ..any
    };
    let commit = ValidateCtx {
        origin: Origin::Commit,
        writing: true,
        node_sectors: 512,
        encoded_extent_max: 512,
        devs: DEVS,
        ..any
    };
    [any, old, commit]
}

/// Each key as what it says it is.
pub(crate) fn keys(data: &[u8]) {
    let [btree, level, rest @ ..] = data else {
        return;
    };
    let mut rest = rest;
    while let Some((key, after)) = split_unpacked(rest) {
        if let Err(bad) = validate::validate(BtreeId(*btree), *level & 3, &key) {
            show(&bad);
        }
        show(&text::KeyText::of(&key));
        rest = after;
    }
}

/// The value of the first key as every type there is.
pub(crate) fn any_type(data: &[u8]) {
    let [btree, level, rest @ ..] = data else {
        return;
    };
    let Some((mut key, _)) = split_unpacked(rest) else {
        return;
    };
    for n in 0..64 {
        key.k.key_type = KeyType(n);
        for ctx in contexts(*btree, *level) {
            if let Err(bad) = validate::validate_value(&key, &ctx) {
                show(&bad);
            }
        }
        show(&text::KeyText::of(&key));
        show(&text::KeyText::new(&key, &EntrySizes::KNOWN, OLD));
    }
}

/// What is decoded, encoded and decoded again is the same.
pub(crate) fn round_trip(data: &[u8]) {
    let [_, _, rest @ ..] = data else { return };
    let Some((mut key, _)) = split_unpacked(rest) else {
        return;
    };
    for n in 0..39 {
        key.k.key_type = KeyType(n);
        inode_again(&key);
        entries_again(&key);
        alloc_again(&key);
    }
    key.k.key_type = KeyType::DIRENT;
    dirent_again(&key);
    if let Ok(x) = Xattr::decode(key.v) {
        let mut out = [0xff; 2048];
        let len = x.encode(&mut out).unwrap();
        assert_eq!(Xattr::decode(&out[..len]), Ok(x));
    }
    if let Ok(p) = ReflinkPtr::decode(key.v) {
        assert_eq!(ReflinkPtr::decode(&p.encode().unwrap()), Ok(p));
    }
    for version in [OLD, Version::NEWEST] {
        let counted = Counted::decode(key.k.p, version);
        if let Some(p) = counted.encode(version) {
            assert_eq!(Counted::decode(p, version), counted);
        }
    }
}

fn inode_again(key: &Key<'_>) {
    let Ok(Some(inode)) = Inode::decode(key) else {
        return;
    };
    let encoded = inode.encode();
    let mut again = Key {
        v: encoded.as_bytes(),
        ..*key
    };
    again.k.key_type = KeyType::INODE_V3;
    assert_eq!(Inode::decode(&again), Ok(Some(inode)));
}

fn entries_again(key: &Key<'_>) {
    for entry in entries(key, &EntrySizes::KNOWN).map_while(Result::ok) {
        let Some((words, n)) = entry.encode() else {
            continue;
        };
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        let bytes = &bytes[..usize::from(n) * 8];
        let mut again = Entries::new(bytes, key.k.size, &EntrySizes::KNOWN);
        assert_eq!(again.next(), Some(Ok(entry)));
        assert_eq!(again.next(), None);
    }
}

fn alloc_again(key: &Key<'_>) {
    let Ok(Some(mut alloc)) = Alloc::decode(key) else {
        return;
    };
    let bytes = alloc.encode();
    let mut again = Key { v: &bytes, ..*key };
    again.k.key_type = KeyType::ALLOC_V4;
    (alloc.backpointers_start, alloc.nr_backpointers) = (8, 0);
    assert_eq!(Alloc::decode(&again), Ok(Some(alloc)));
}

fn dirent_again(key: &Key<'_>) {
    let Ok(Some(d)) = dirent(key) else { return };
    let mut out = [0xff; 1200];
    let Some(len) = d.encode(&mut out) else {
        return;
    };
    // Names that end in zeros are not told from padding; validators refuse them.
    let last = d.folded.filter(|f| !f.is_empty()).unwrap_or(d.name).last();
    if last.is_some_and(|b| *b != 0) {
        assert_eq!(Dirent::decode(&out[..len]), Ok(d));
    }
}
