// SPDX-License-Identifier: GPL-2.0

//! The journal entries on a device, found by nothing but their magic number and checksum.

use sim::{
    format::{
        csum::CsumType,
        jset::JSET_MAGIC,
        node::filesystem_magic, //
    },
    sb::SbState,
};
use std::collections::BTreeMap;

/// Where fields of an entry are; C: `struct jset`.
const MAGIC: usize = 16;
const SEQ: usize = 24;
const FLAGS: usize = 36;
const U64S: usize = 40;
const HEADER: usize = 56;

fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let mut all = [0; 8];
    all[..len].copy_from_slice(&bytes[at..at + len]);
    u64::from_le_bytes(all)
}

/// All whole entries on all devices, by their numbers.
///
/// # Panics
///
/// When two that are not the same have one number.
pub(crate) fn entries(st: &SbState) -> BTreeMap<u64, Vec<u8>> {
    let magic = filesystem_magic(&st.sb.uuid().0) ^ JSET_MAGIC;
    let block = st.sb.block_bytes() as usize;
    let mut found = BTreeMap::new();
    for dev in st.devices() {
        let sectors = u64::from(dev.member.bucket_sectors());
        let mut bucket = vec![0; sectors as usize * 512];
        for nr in dev.own.journal_buckets().iter() {
            dev.bdev.read(nr * sectors, &mut bucket).unwrap();
            let mut at = 0;
            while at + HEADER <= bucket.len() {
                let entry = &bucket[at..];
                at += block;
                if number(entry, MAGIC, 8) != magic {
                    continue;
                }
                let len = HEADER + 8 * number(entry, U64S, 4) as usize;
                let Some(entry) = entry.get(..len) else {
                    continue;
                };
                let kind = CsumType(entry[FLAGS] & 15);
                let sum = kind.checksum(&entry[16..]).unwrap();
                if (sum, 0) != (number(entry, 0, 8), number(entry, 8, 8)) {
                    continue;
                }
                at += len.next_multiple_of(block) - block;
                let seq = number(entry, SEQ, 8);
                let other = found.insert(seq, entry.to_vec());
                let is_same = other.is_none_or(|other| other == entry);
                assert!(is_same, "two journal entries have the number {seq}");
            }
        }
    }
    found
}
