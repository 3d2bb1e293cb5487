// SPDX-License-Identifier: GPL-2.0

//! Filesystems that the packaged tools have just made, of which there is nothing but superblocks.

use sim::{
    env::Vec as EnvVec,
    format::sb::{
        flags,
        Superblock, //
    },
    sys::block::{
        BlockDevice,
        Disk,
        Medium,
        Power, //
    },
};
use std::{
    fs,
    path::Path, //
};

/// What there is: name, and sectors of each device.
pub(crate) const MADE: &[(&str, &[u64])] = &[
    ("4m", &[4 << 11]),
    ("16m", &[16 << 11]),
    ("64m", &[64 << 11]),
    ("small", &[16 << 11]),
    ("three", &[64 << 11, 200 << 11, 33 << 11]),
    ("target", &[64 << 11, 64 << 11]),
];

/// Sectors of nodes and of blocks, in place of what they are.
pub(crate) type Sizes = Option<(u64, u16)>;

/// Where the size of blocks is; C: `struct bch_sb`.
const BLOCK_SIZE: usize = 120;

pub(crate) fn superblock(name: &str, idx: usize, sizes: Sizes) -> Superblock {
    let file = format!("../../golden/sb/new-{name}-{idx}.sb");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let mut bytes = fs::read(path).unwrap();
    if let Some((_, block)) = sizes {
        bytes[BLOCK_SIZE..][..2].copy_from_slice(&block.to_le_bytes());
    }
    let mut sb = Superblock::read(&bytes).unwrap();
    if let Some((node, _)) = sizes {
        sb.set_flag(flags::BTREE_NODE_SIZE, node);
    }
    sb.validate(Some(8)).unwrap();
    sb
}

/// A device with the copies of a superblock, and nothing else.
pub(crate) fn disk(mut sb: Superblock, sectors: u64) -> Disk {
    let mut disk = Disk::zeros(sectors);
    let offsets: Vec<u64> = sb.layout.offsets().collect();
    let kind = sim::format::csum::CsumType::CRC32C_NONZERO;
    for at in offsets {
        let mut bytes = sb.encode(at, kind).unwrap().to_vec();
        // The layout by itself, for who finds no superblock.
        disk.write(7, &bytes[752 - 512..752]).unwrap();
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        disk.write(at, &bytes).unwrap();
    }
    disk
}

/// The devices of one of them.
pub(crate) fn made(name: &str, block_and_node: Sizes) -> Vec<Disk> {
    let (_, sizes) = MADE.iter().find(|(n, _)| *n == name).unwrap();
    let devs = sizes.iter().enumerate();
    devs.map(|(idx, sectors)| disk(superblock(name, idx, block_and_node), *sectors))
        .collect()
}

/// Devices that log what is done to them.
pub(crate) fn devices(disks: Vec<Disk>, power: &Power) -> (EnvVec<BlockDevice>, Vec<Medium>) {
    let (mut devs, mut media) = (EnvVec::new(), Vec::new());
    for (i, disk) in disks.into_iter().enumerate() {
        let dev = BlockDevice::recorded(&format!("new{i}"), disk, power);
        media.push(dev.medium());
        devs.push(dev).unwrap();
    }
    (devs, media)
}
