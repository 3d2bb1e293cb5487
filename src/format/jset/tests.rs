// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::format::{
    bkey::Bkey,
    bpos::Bpos,
    key_type::KeyType, //
};
use std::vec::Vec;
use zerocopy::IntoBytes as _;

fn record(kind: EntryType, btree: u8, words: &[u64]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(words.len() as u16).to_le_bytes());
    out.extend_from_slice(&[btree, 0, kind.0, 0, 0, 0]);
    for w in words {
        out.extend_from_slice(&w.to_le_bytes());
    }
    out
}

fn key_words(n: u64) -> Vec<u64> {
    let k = Bkey {
        key_type: KeyType::SET,
        p: Bpos::new(1, n, 0),
        ..Bkey::default()
    };
    RawBkey::encode(&k, 0)
        .unwrap()
        .as_bytes()
        .chunks_exact(8)
        .map(|b| u64::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

fn only(bytes: &[u8]) -> Entry<'_> {
    let mut it = Entries::new(bytes);
    let e = it.next().unwrap().unwrap();
    assert!(it.next().is_none());
    e
}

#[test]
fn records_follow_each_other() {
    let mut bytes = record(EntryType::CLOCK, 0, &[1, 99]);
    bytes.extend(record(
        EntryType::LOG,
        0,
        &[u64::from_le_bytes(*b"hi there")],
    ));
    let all: Vec<_> = Entries::new(&bytes).map(Result::unwrap).collect();
    assert_eq!(std::format!("{}", all[0]), "clock: write=99");
    assert_eq!(std::format!("{}", all[1]), "log: hi there");
    for cut in 1..bytes.len() {
        let _ = Entries::new(&bytes[..cut]).collect::<Vec<_>>();
    }
}

#[test]
fn an_overrun_ends_the_walk() {
    let bytes = record(EntryType::CLOCK, 0, &[1, 99]);
    let mut it = Entries::new(&bytes[..16]);
    assert_eq!(
        it.next().unwrap().unwrap_err().id,
        FsckError::JOURNAL_ENTRY_PAST_JSET_END
    );
    assert!(it.next().is_none());
}

#[test]
fn keys_are_split() {
    let mut words = key_words(5);
    words.extend(key_words(6));
    let bytes = record(EntryType::BTREE_KEYS, 11, &words);
    let keys: Vec<_> = only(&bytes).keys().map(|k| k.unwrap().k.p.offset).collect();
    assert_eq!(keys, [5, 6]);
}

#[test]
fn a_bad_format_is_skipped_and_a_bad_length_ends() {
    let mut words = key_words(5);
    words[0] |= 0x7f00;
    words.extend(key_words(6));
    let bytes = record(EntryType::BTREE_KEYS, 11, &words);
    let mut keys = only(&bytes).keys();
    assert!(keys.next().unwrap().is_err());
    assert_eq!(keys.next().unwrap().unwrap().k.p.offset, 6);

    words[0] &= !0xff;
    let bytes = record(EntryType::BTREE_KEYS, 11, &words);
    let mut keys = only(&bytes).keys();
    assert!(keys.next().unwrap().is_err());
    assert!(keys.next().is_none());
}

#[test]
fn shapes_are_checked() {
    let bad = [
        record(EntryType::BLACKLIST, 0, &[]),
        record(EntryType::BLACKLIST_V2, 0, &[9, 8]),
        record(EntryType::USAGE, 0, &[]),
        record(EntryType::CLOCK, 0, &[2, 0]),
        record(EntryType::DEV_USAGE, 0, &[1 << 32, 0, 0]),
        record(EntryType::BTREE_ROOT, 0, &[]),
        record(EntryType::BTREE_KEYS, 63, &[]),
        record(EntryType::REWIND, 0, &[1]),
    ];
    for bytes in &bad {
        let e = only(bytes);
        assert!(e.validate().is_err(), "{e}");
    }
    let good = [
        record(EntryType::BLACKLIST_V2, 0, &[8, 8]),
        record(EntryType::BTREE_ROOT, 3, &key_words(1)),
        record(EntryType(99), 200, &[1, 2, 3]),
    ];
    for bytes in &good {
        assert!(only(bytes).validate().is_ok());
    }
}
