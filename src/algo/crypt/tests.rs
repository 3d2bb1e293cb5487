// SPDX-License-Identifier: GPL-2.0

use super::*;
use std::vec::Vec;

const KINDS: [CsumType; 2] = [
    CsumType::CHACHA20_POLY1305_80,
    CsumType::CHACHA20_POLY1305_128,
];

fn key(byte: u8) -> Key {
    let mut key = Key::zeroed().unwrap();
    key.bytes_mut().fill(byte);
    key
}

fn seal(key: &Key) -> Seal<'_> {
    Seal {
        key: Some(key),
        nonce: Nonce::journal(7),
    }
}

#[test]
fn kinds_without_a_key_need_none() {
    let no_key = Seal {
        key: None,
        nonce: Nonce::default(),
    };
    let sum = |kind| no_key.checksum(kind, [&b"1234"[..], b"56789"].into_iter());
    let crc = CsumType::CRC32C.checksum(b"123456789").unwrap();
    assert_eq!(sum(CsumType::CRC32C), Ok(Csum { lo: crc, hi: 0 }));
    assert_eq!(sum(CsumType::NONE), Ok(Csum::default()));
    assert_eq!(sum(KINDS[0]), Err(Unusable::NoKey));
    assert_eq!(sum(CsumType(8)), Err(Unusable::Kind));
    let mut data = *b"as it is";
    no_key.decrypt(KINDS[0], 0, &mut data);
    seal(&key(1)).decrypt(CsumType::CRC32C, 0, &mut data);
    assert_eq!(data, *b"as it is");
}

/// The code depends on each bit of the data, on the key, and on each word of the nonce.
#[test]
fn codes_tell_changes() {
    let (one, other) = (key(1), key(2));
    let data = [0x5a; 200];
    for kind in KINDS {
        let good = seal(&one).checksum(kind, [&data[..]].into_iter()).unwrap();
        let (a, b) = data.split_at(33);
        let pieces = seal(&one).checksum(kind, [a, b].into_iter()).unwrap();
        assert_eq!(pieces, good);
        let step = if cfg!(miri) { 97 } else { 1 };
        for bit in (0..data.len() * 8).step_by(step) {
            let mut bad = data;
            bad[bit / 8] ^= 1 << (bit % 8);
            let sum = seal(&one).checksum(kind, [&bad[..]].into_iter()).unwrap();
            assert!(!sum.matches(good));
        }
        let sum = |seal: Seal<'_>| seal.checksum(kind, [&data[..]].into_iter()).unwrap();
        assert!(!sum(seal(&other)).matches(good));
        for nonce in [Nonce::journal(8), Nonce::journal(7).skip(64)] {
            let other = Seal {
                nonce,
                ..seal(&one)
            };
            assert!(!sum(other).matches(good));
        }
    }
}

/// RFC 8439, A.4, test vector 1: the key of the code for a key and nonce of zeros. Here the nonce
/// has the top bit of its last word flipped back.
#[test]
fn the_key_of_a_code_is_the_start_of_its_stream() {
    let zero = Key::zeroed().unwrap();
    let stream_key = {
        let mut own = [0; 32];
        ChaCha20::new(&[0; 32], &[0; 16]).apply(&mut own);
        own
    };
    assert_eq!(stream_key[..4], [0x76, 0xb8, 0xe0, 0xad]);
    let mut mac = Poly1305::new(&stream_key);
    mac.update(b"message");
    let want = Csum::of_mac(mac.finish(), KINDS[1]);
    let seal = Seal {
        key: Some(&zero),
        nonce: Nonce::default().for_mac(),
    };
    let sum = seal.checksum(KINDS[1], [&b"message"[..]].into_iter());
    assert_eq!(sum, Ok(want));
}

#[test]
fn the_middle_is_decrypted_alone() {
    let key = key(3);
    let plain: Vec<u8> = (0..512u32).map(|i| (i * 5) as u8).collect();
    let mut data = plain.clone();
    seal(&key).decrypt(KINDS[0], 0, &mut data);
    assert_ne!(data, plain);
    for at in [192, 193, 255, 256] {
        let mut data = data.clone();
        seal(&key).decrypt(KINDS[0], at as u64, &mut data[at..300]);
        assert_eq!(data[at..300], plain[at..300]);
        assert_ne!(data[300..310], plain[300..310]);
        assert_ne!(data[at - 10..at], plain[at - 10..at]);
    }
}

/// What the first set of a node leaves as it is: checksum, magic number, and the set's header.
#[test]
fn sets_of_keys() {
    let key = key(4);
    let mut node = std::vec![0u8; 1024];
    node[NODE_HEADER_BYTES - 2] = 20;
    let plain = node.clone();
    seal(&key).open_set(KINDS[1], &mut node, true);
    for (i, (a, b)) in node.chunks(8).zip(plain.chunks(8)).enumerate() {
        let at = i * 8;
        let sealed = NODE_SEALED.contains(&at)
            || (NODE_HEADER_BYTES..NODE_HEADER_BYTES + 20 * 8).contains(&at);
        assert_eq!(a != b, sealed, "byte {at}");
    }
    // The header takes two blocks of the stream, the keys begin with the third.
    let mut stream = std::vec![0u8; 512];
    seal(&key).decrypt(KINDS[1], 0, &mut stream);
    assert_eq!(node[NODE_SEALED], stream[..112]);
    assert_eq!(node[NODE_HEADER_BYTES..][..160], stream[128..288]);

    let mut later = std::vec![0u8; 512];
    later[ENTRY_HEADER_BYTES - 2] = 3;
    seal(&key).open_set(KINDS[1], &mut later, false);
    assert_eq!(later[ENTRY_HEADER_BYTES..][..24], stream[..24]);
    assert_eq!(later[64..], [0; 448]);
    // Keys that go beyond the node are left alone.
    let mut short = std::vec![0u8; 64];
    short[ENTRY_HEADER_BYTES - 2] = 4;
    let before = short.clone();
    seal(&key).open_set(KINDS[1], &mut short, false);
    assert_eq!(short, before);
}

#[test]
fn the_key_of_the_filesystem() {
    let (user, magic) = (key(5), 0x0123_4567_89ab_cdef);
    let mut sealed = [0u8; SEALED_BYTES];
    sealed[..8].copy_from_slice(b"bch**key");
    sealed[8..].fill(9);
    ChaCha20::new(user.bytes(), &Nonce::sealed_key(magic).to_bytes()).apply(&mut sealed);
    let mut section = [0u8; 56];
    section[16..].copy_from_slice(&sealed);
    let crypt = Crypt::read(&section).unwrap();
    assert!(crypt.needs_passphrase() && crypt.plain_key().is_none());
    let opened = open_key(&crypt, magic, &user).unwrap().unwrap();
    assert_eq!(opened.bytes(), &[9; 32]);
    assert!(open_key(&crypt, magic, &key(6)).unwrap().is_none());
    assert!(open_key(&crypt, magic + 1, &user).unwrap().is_none());
    // A key that is not encrypted is there as it is.
    section[16..24].copy_from_slice(b"bch**key");
    assert!(Crypt::read(&section).unwrap().plain_key().is_some());
}
