// SPDX-License-Identifier: GPL-2.0

//! An empty filesystem of 256 MiB that the packaged tools made, with buckets of 256 KiB, whose
//! superblock is changed to nodes and blocks of another size, and to have no btrees.

use sim::{
    format::{
        jset::JSET_MAGIC,
        node::filesystem_magic,
        sb::{
            flags,
            RawSb, //
        },
    },
    golden::images::read_file,
    sys::block::Disk,
};
use std::{
    path::Path,
    sync::{
        Arc,
        OnceLock, //
    },
};
use zerocopy::IntoBytes;

/// Bytes of a node and of a block, and the length of the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) node: u32,
    pub(crate) block: u32,
    /// Buckets of the journal, of 256 KiB; as many as there are, if that is less.
    pub(crate) journal: u64,
}

impl Sizes {
    pub(crate) fn new(node: u32, block: u32) -> Self {
        Self {
            node,
            block,
            journal: u64::MAX,
        }
    }
}

/// Where fields of the superblock are; C: `struct bch_sb`.
const MAGIC: usize = 24;
const BLOCK_SIZE: usize = 120;
const U64S: usize = 124;
const FLAGS: usize = 144;
const HEADER: usize = 752;
const CLEAN_SECTION: u32 = 6;
const MEMBERS_SECTION: u32 = 11;
const JOURNAL_SECTION: u32 = 9;
/// In the section of members: where in its journal bucket the first device stopped writing.
const JOURNAL_OFFSET: usize = 16 + 140;

/// The contents of a device.
pub(crate) fn empty(sizes: Sizes) -> Arc<Vec<u8>> {
    let mut bytes = unpack();
    for at in superblocks(&bytes) {
        change(&mut bytes[at..], sizes);
    }
    Arc::new(bytes)
}

/// The same, of which all share what they do not change.
pub(crate) fn empty_disk(sizes: Sizes) -> Disk {
    static BASE: OnceLock<(Arc<Vec<u8>>, Vec<usize>)> = OnceLock::new();
    let (base, superblocks) = BASE.get_or_init(|| {
        let bytes = unpack();
        let at = superblocks(&bytes);
        (Arc::new(bytes), at)
    });
    let mut disk = Disk::from_memory(base.clone());
    for at in superblocks {
        let mut sb = base[*at..][..64 << 10].to_vec();
        change(&mut sb, sizes);
        disk.write((at / 512) as u64, &sb).unwrap();
    }
    disk
}

fn unpack() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/engine.img.zst");
    let mut bytes = read_file(&path).unwrap();
    assert_eq!(size_of::<RawSb>(), HEADER);
    drop_journal(&mut bytes);
    bytes
}

/// Where there is a copy of the superblock, in bytes.
fn superblocks(bytes: &[u8]) -> Vec<usize> {
    let magic = &bytes[4096 + MAGIC..][..16];
    let places = (0..8 << 20).step_by(512).chain([bytes.len() - (1 << 20)]);
    // One is the layout alone.
    let found: Vec<_> = places
        .filter(|at| &bytes[at + MAGIC..][..16] == magic && *at != 3584)
        .collect();
    assert!(found.len() >= 2);
    found
}

/// Makes all buckets with a journal entry empty: they are not of the new block size.
fn drop_journal(bytes: &mut [u8]) {
    let head = RawSb::read(&bytes[4096..]).unwrap();
    let magic = filesystem_magic(&head.uuid().0) ^ JSET_MAGIC;
    for bucket in bytes.chunks_exact_mut(256 << 10).skip(1) {
        let mut blocks = bucket.chunks_exact(4096);
        if blocks.any(|b| b[16..24] == magic.to_le_bytes()) {
            bucket.fill(0);
        }
    }
}

fn change(sb: &mut [u8], sizes: Sizes) {
    let u64s = u32::from_le_bytes(sb[U64S..][..4].try_into().unwrap());
    let total = HEADER + 8 * u64s as usize;
    let sb = &mut sb[..total];
    let mut head = *RawSb::read(sb).unwrap();
    head.validate_csum(sb).unwrap();
    assert_eq!(head.node_sectors(), 512);
    let sectors = (sizes.block / 512) as u16;
    sb[BLOCK_SIZE..][..2].copy_from_slice(&sectors.to_le_bytes());
    let mut words: [zerocopy::little_endian::U64; 1] =
        [u64::from_le_bytes(sb[FLAGS..][..8].try_into().unwrap()).into()];
    flags::BTREE_NODE_SIZE.set(&mut words, u64::from(sizes.node / 512));
    sb[FLAGS..][..8].copy_from_slice(words.as_bytes());
    // The clean section has the roots: its records become empty ones.
    let mut at = HEADER;
    while at < total {
        let len = 8 * u32::from_le_bytes(sb[at..][..4].try_into().unwrap()) as usize;
        match u32::from_le_bytes(sb[at + 4..][..4].try_into().unwrap()) {
            CLEAN_SECTION => drop_roots(&mut sb[at + 24..at + len]),
            JOURNAL_SECTION => {
                let nr = u64::from_le_bytes(sb[at + 16..][..8].try_into().unwrap());
                let nr = nr.min(sizes.journal);
                sb[at + 16..][..8].copy_from_slice(&nr.to_le_bytes());
            }
            // At its end: it goes on with the next one.
            MEMBERS_SECTION => {
                sb[at + JOURNAL_OFFSET..][..4].copy_from_slice(&512u32.to_le_bytes())
            }
            _ => (),
        }
        at += len;
    }
    head = *RawSb::read(sb).unwrap();
    let sum = head.csum_type().checksum(&sb[16..]).unwrap();
    sb[..8].copy_from_slice(&sum.to_le_bytes());
}

/// Makes records of roots ones without keys.
fn drop_roots(records: &mut [u8]) {
    const ROOT: u8 = 1;
    let mut at = 0;
    while at + 8 <= records.len() {
        let u64s = usize::from(u16::from_le_bytes(records[at..][..2].try_into().unwrap()));
        let end = at + 8 + 8 * u64s;
        if records[at + 4] == ROOT {
            records[at..end].fill(0);
        }
        at = end;
    }
}
