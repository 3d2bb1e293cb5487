// SPDX-License-Identifier: GPL-2.0

//! Names whose hashes are the same, or next to each other: with CRC32C, whatever the directory.

use sim::{
    algo::str_hash::HashInfo,
    format::values::{
        inode::Inode,
        kinds::StrHashType, //
    },
};

/// Bits of the difference of two names of eight bytes.
const BITS: u32 = 64;

fn hash(name: u64) -> u64 {
    let inode = Inode {
        str_hash: StrHashType::CRC32C,
        hash_seed: 7,
        ..Inode::default()
    };
    HashInfo::of(&inode).unwrap().dirent(&name.to_le_bytes())
}

/// Differences of names that make `wanted` of difference in the hash, which is linear.
fn differences(wanted: u64) -> Vec<u64> {
    // Rows: (what it does to the hash, bits of the name), with one row for each leading bit.
    let mut rows: Vec<(u64, u64)> = Vec::new();
    let mut zero = Vec::new();
    for bit in 0..BITS {
        let name = 1u64 << bit;
        let mut row = (hash(name) ^ hash(0), name);
        for r in &rows {
            if row.0 & (1 << r.0.ilog2()) != 0 {
                row = (row.0 ^ r.0, row.1 ^ r.1);
            }
        }
        match row.0 {
            0 => zero.push(row.1),
            _ => rows.push(row),
        }
    }
    let mut one = (wanted, 0);
    loop {
        let row = rows.iter().find(|r| one.0 & (1 << r.0.ilog2()) != 0);
        match (one.0, row) {
            (0, _) => break,
            (_, Some(r)) => one = (one.0 ^ r.0, one.1 ^ r.1),
            (_, None) => panic!("no such name"),
        }
    }
    let combined = (0..1u64 << 14).map(|mask| {
        let of = zero.iter().enumerate().filter(|(i, _)| mask >> i & 1 != 0);
        of.fold(one.1, |all, (_, d)| all ^ d)
    });
    combined.collect()
}

/// `nr` names for each of four hashes in a row.
pub(crate) fn names(nr: usize) -> Vec<Vec<u8>> {
    let base = u64::from_le_bytes(*b"abcdefgh");
    let base = base ^ differences(hash(base) & 3)[0];
    let is_good = |name: &[u8; 8]| !name.contains(&0) && !name.contains(&b'/');
    let mut all = Vec::new();
    for step in 0..4 {
        let names = differences(step)
            .into_iter()
            .map(|d| (base ^ d).to_le_bytes());
        let good: Vec<_> = names.filter(is_good).take(nr).collect();
        assert_eq!(good.len(), nr);
        all.extend(good.iter().map(|name| name.to_vec()));
    }
    let hash_of = |name: &[u8]| hash(u64::from_le_bytes(name.try_into().unwrap()));
    let first = hash_of(&all[0]);
    for (i, name) in all.iter().enumerate() {
        assert_eq!(hash_of(name), first + (i / nr) as u64);
    }
    all
}
