// SPDX-License-Identifier: GPL-2.0

//! Superblocks made by the C implementation, whole and damaged.

use super::{
    header::HEADER_BYTES,
    show::{
        to_text,
        Detail, //
    },
    *,
};
use crate::error::Error;
use std::{
    format,
    string::String,
    vec::Vec, //
};

mod assembling;
mod copying;
mod damage;
mod random;

pub(crate) const V113: &[u8] = include_bytes!("../../../tests/golden/sb/v113-threedev-1.sb");
pub(crate) const V139: &[u8] = include_bytes!("../../../tests/golden/sb/v139-threedev-2.sb");
pub(crate) const V139_EC: &[u8] = include_bytes!("../../../tests/golden/sb/v139-ec-0.sb");
pub(crate) const ENCRYPTED: &[u8] = include_bytes!("../../../tests/golden/sb/v113-encrypted.sb");

/// Offsets of fields in the fixed part.
pub(crate) mod at {
    pub(crate) const VERSION: usize = 16;
    pub(crate) const VERSION_MIN: usize = 18;
    pub(crate) const MAGIC: usize = 24;
    pub(crate) const UUID: usize = 40;
    pub(crate) const LABEL: usize = 72;
    pub(crate) const OFFSET: usize = 104;
    pub(crate) const SEQ: usize = 112;
    pub(crate) const BLOCK_SIZE: usize = 120;
    pub(crate) const DEV_IDX: usize = 122;
    pub(crate) const NR_DEVICES: usize = 123;
    pub(crate) const U64S: usize = 124;
    pub(crate) const TIME_PRECISION: usize = 140;
    pub(crate) const FLAGS: usize = 144;
    pub(crate) const WRITE_TIME: usize = 200;
    pub(crate) const FEATURES: usize = 208;
    pub(crate) const LAYOUT: usize = 240;
}

/// Writes `new` at `at`.
pub(crate) fn put(sb: &mut [u8], at: usize, new: &[u8]) {
    sb[at..at + new.len()].copy_from_slice(new);
}

/// Makes the checksum right.
pub(crate) fn seal(sb: &mut [u8]) {
    let head = RawSb::read(sb).unwrap();
    if let Some(csum) = head.csum_type().checksum(&sb[16..]) {
        put(sb, 0, &csum.to_le_bytes());
    }
}

/// A sealed copy with `new` at `at`.
pub(crate) fn with(sb: &[u8], at: usize, new: &[u8]) -> Vec<u8> {
    let mut sb = sb.to_vec();
    put(&mut sb, at, new);
    seal(&mut sb);
    sb
}

/// Where the body of a section starts.
pub(crate) fn body_at(sb: &[u8], kind: section::SectionType) -> usize {
    let mut at = HEADER_BYTES;
    loop {
        let word = |at: usize| u32::from_le_bytes(sb[at..at + 4].try_into().unwrap());
        if word(at + 4) == kind.0 {
            return at + 8;
        }
        at += 8 * word(at) as usize;
    }
}

fn shown(sb: &Superblock) -> String {
    let mut s = String::new();
    to_text(sb, Detail::Full, &mut s).unwrap();
    s
}

#[test]
fn golden_superblocks_are_valid() {
    for bytes in [V113, V139, V139_EC, ENCRYPTED] {
        Superblock::decode(bytes, Some(8)).unwrap();
    }
}

#[test]
fn fixed_part() {
    let sb = Superblock::decode(V113, Some(8)).unwrap();
    assert_eq!(sb.version(), Version::new(1, 13));
    assert_eq!(sb.version_min(), Version::new(1, 13));
    assert_eq!((sb.dev_idx(), sb.nr_devices()), (1, 3));
    assert_eq!(sb.block_bytes(), 4096);
    assert!(sb.is_clean());
    assert_eq!(
        format!("{}", sb.user_uuid()),
        "4dd86cf3-a628-4cea-a3f4-8c22b7f7d9cf"
    );
    let offsets: Vec<u64> = sb.layout.offsets().collect();
    assert_eq!(offsets, [8, 2056, 260_096]);
    assert!(!sb.is_encrypted());
}

#[test]
fn members_and_labels() {
    let sb = Superblock::decode(V113, None).unwrap();
    assert_eq!(sb.nr_members(), 3);
    let sizes: Vec<u16> = sb.members().map(|m| m.bucket_sectors()).collect();
    assert_eq!(sizes, [256, 512, 1024]);
    let labels: Vec<String> = sb
        .members()
        .map(|m| format!("{}", sb.groups().path(m.group().unwrap())))
        .collect();
    assert_eq!(labels, ["a.1", "a.2", "b.1"]);
    assert!(sb.members().all(|m| m.durability() == 1));
    assert_eq!(sb.members().get(3), None);
    let sb = Superblock::decode(V139, None).unwrap();
    assert_eq!(sb.dev_idx(), 2);
    assert_eq!(sb.nr_members(), 3);
}

#[test]
fn clean_section_has_the_roots() {
    for bytes in [V113, V139, V139_EC] {
        let sb = Superblock::decode(bytes, None).unwrap();
        let clean = sb.clean().unwrap();
        assert_ne!(clean.journal_seq(), 0);
        assert!(clean.entries().all(|e| e.is_ok()));
        assert!(clean.entries().count() > 10);
    }
}

#[test]
fn journal_buckets_can_be_counted_and_reached() {
    let sb = Superblock::decode(V139_EC, None).unwrap();
    let buckets = sb.journal_buckets();
    let all: Vec<u64> = buckets.iter().collect();
    assert_eq!(buckets.count(), all.len() as u64);
    assert!(!all.is_empty());
    for (n, bucket) in all.iter().enumerate() {
        assert_eq!(buckets.get(n as u64), Some(*bucket));
    }
    assert_eq!(buckets.get(all.len() as u64), None);
    assert_eq!(&*buckets.to_vec().unwrap(), &all[..]);
}

#[test]
fn encrypted_is_recognised() {
    let sb = Superblock::decode(ENCRYPTED, None).unwrap();
    assert!(sb.is_encrypted());
    let crypt = sb.crypt().unwrap();
    assert!(crypt.needs_passphrase());
    assert!(!format!("{crypt:?}").contains("key:"));
}

#[test]
fn sizes_of_extent_entries() {
    let sb = Superblock::decode(V139, None).unwrap();
    let sizes = sb.extent_type_u64s();
    assert_eq!(sizes.get(3), Some(3));
    assert_eq!(sizes.get(9), None);
    let old = Superblock::decode(V113, None).unwrap();
    assert_eq!(old.extent_type_u64s(), sizes);
    // An entry of a kind that only the superblock knows.
    let at = body_at(V139, section::SectionType::EXTENT_TYPE_U64S);
    let sb = Superblock::decode(&with(V139, at + 9, &[7]), None).unwrap();
    assert_eq!(sb.extent_type_u64s().get(9), Some(7));
}

#[test]
fn text_has_the_lines_of_show_super() {
    let text = shown(&Superblock::decode(V139_EC, None).unwrap());
    for want in [
        "External UUID:                              e372623b-5474-4887-92aa-723cd9f20132\n",
        "Internal UUID:                              dc359704-c8d7-4849-91ed-e31e7ed8ac94\n",
        "Incompatible features allowed:              per_dev_fragmentation_lru (1.39)\n",
        "Incompatible features in use:               no_sb_user_data_replicas (1.36)\n",
        "Clean:                                      1\n",
        "Features:                                   ec,new_siphash,inline_data,",
        "Devices:                                    5\n",
        "  data_replicas:                            2\n",
        "  erasure_code:                             1\n",
        "  errors:                                   continue [fix_safe] panic ro\n",
        "layout:\nType:                    0\n",
        "members_v2 (size 1656):\n",
        "  State:                                    rw\n",
        "clean (size 4960):\n",
        "ext (size 120):\n",
        "downgrade (size 64):\n",
    ] {
        assert!(text.contains(want), "no {want:?} in\n{text}");
    }
}

#[test]
fn text_of_an_old_superblock() {
    let text = shown(&Superblock::decode(V113, None).unwrap());
    for want in [
        "Version:                                    inode_has_child_snapshots (1.13)\n",
        "Label:                                    a.2\n",
        "[parent 0 name a]",
        "counters (size 640):\n",
        "journal_v2 (size ",
    ] {
        assert!(text.contains(want), "no {want:?} in\n{text}");
    }
}
