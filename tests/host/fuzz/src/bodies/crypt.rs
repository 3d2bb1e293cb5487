// SPDX-License-Identifier: GPL-2.0

//! Encryption: the key in the superblock, encrypted sets of keys.

use algo::algo::crypt::{
    open_key,
    Seal, //
};
use env::env::crypt::{
    ChaCha20,
    Key, //
};
use format::format::{
    csum::CsumType,
    node::{
        Bset,
        RawNode, //
    },
    nonce::Nonce,
    sb::crypt::{
        Crypt,
        SEALED_BYTES, //
    },
};

const MAGIC: u64 = 0x1234_5678_9abc_def0;
const KIND: CsumType = CsumType::CHACHA20_POLY1305_128;

fn key() -> Key {
    let mut key = Key::zeroed().unwrap();
    key.bytes_mut().fill(0x42);
    key
}

/// A key is only taken for one when the magic number is in front of it. The section is the input as
/// it is, and then with its key encrypted, when it must come out again.
pub(crate) fn section(data: &[u8]) {
    let Some(crypt) = Crypt::read(data) else {
        return;
    };
    let text = format!("{crypt:?} {:?}", crypt.scrypt());
    assert!(!text.contains("key:"));
    let mut sealed = [0; SEALED_BYTES];
    crypt.sealed_key(&mut sealed);
    assert_eq!(Crypt::split_key(&sealed), crypt.plain_key());
    assert_eq!(crypt.plain_key().is_some(), data[16..24] == *b"bch**key");

    let user = key();
    let mut plain = sealed;
    ChaCha20::new(user.bytes(), &Nonce::sealed_key(MAGIC).to_bytes()).apply(&mut plain);
    let opened = open_key(&crypt, MAGIC, &user).unwrap();
    assert_eq!(
        opened.as_ref().map(|k| &k.bytes()[..]),
        Crypt::split_key(&plain)
    );

    sealed[..8].copy_from_slice(b"bch**key");
    let inner = sealed;
    ChaCha20::new(user.bytes(), &Nonce::sealed_key(MAGIC).to_bytes()).apply(&mut sealed);
    let mut bytes = data.to_vec();
    bytes[16..56].copy_from_slice(&sealed);
    let opened = open_key(&Crypt::read(&bytes).unwrap(), MAGIC, &user).unwrap();
    assert_eq!(opened.unwrap().bytes()[..], inner[8..]);
}

/// Decrypting a set of keys changes nothing that says where it is, and doing it again brings back
/// what was there. The first byte says whether the set begins a node.
pub(crate) fn set(data: &[u8]) {
    let Some((first, bytes)) = data.split_first() else {
        return;
    };
    let first = first & 1 != 0;
    let find = |bytes: &[u8]| {
        let set = if first {
            Bset::first(bytes)
        } else {
            Bset::later(bytes)
        };
        set.map(|set| (set.head, set.csum, set.total_bytes()))
    };
    let key = key();
    let found = find(bytes);
    let head = found.map(|(head, ..)| head).unwrap_or_default();
    let seal = Seal {
        key: Some(&key),
        nonce: Nonce::node(&head, 0),
    };
    let mut open = bytes.to_vec();
    seal.open_set(KIND, &mut open, first);
    assert_eq!(find(&open), found);
    let end = found.map_or(0, |(.., end)| end);
    assert_eq!(open[end..], bytes[end..]);
    if first {
        let magic = |b: &[u8]| RawNode::read(b).map(|n| n.magic());
        assert_eq!(magic(&open), magic(bytes));
    }
    let sum = seal.checksum(KIND, core::iter::once(bytes)).unwrap();
    let again = seal.checksum(KIND, bytes.chunks(33)).unwrap();
    assert!(sum.matches(again));
    seal.open_set(KIND, &mut open, first);
    assert_eq!(open, bytes);
}
