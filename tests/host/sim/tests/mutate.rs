// SPDX-License-Identifier: GPL-2.0

//! Random damage: bytes of an image are changed, then it is started and everything in it is read.
//! Whatever comes of it, nothing may panic, and it has to end.
//!
//! `BCACHEFS_RS_SEED` repeats one run, `BCACHEFS_RS_ROUNDS` sets how many are made per image.

use sim::{
    format::{
        csum::CsumType,
        opts::Opts, //
    },
    golden::{
        images,
        walk,
        Image, //
    },
    init::Filesystem,
};
use std::time::{
    Duration,
    Instant, //
};

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Where the metadata is: blocks that hold anything, those with a btree node's or a journal
/// entry's magic number first.
fn interesting(bytes: &[u8], uuid: &[u8]) -> Vec<usize> {
    const BLOCK: usize = 512;
    let own = u64::from_le_bytes(uuid.try_into().unwrap());
    let magics = [
        sim::format::node::BSET_MAGIC ^ own,
        sim::format::jset::JSET_MAGIC ^ own,
    ];
    let mut found = Vec::new();
    for (nr, block) in bytes.chunks_exact(BLOCK).enumerate() {
        let word = u64::from_le_bytes(block[16..24].try_into().unwrap());
        if magics.contains(&word) {
            // The keys behind a header, too.
            found.extend((0..16).map(|i| (nr + i) * BLOCK));
        }
    }
    found.retain(|at| at + BLOCK <= bytes.len() && bytes[*at..at + BLOCK].iter().any(|b| *b != 0));
    found
}

/// Makes the checksum of the set of keys that a changed byte is in right again, so that the damage
/// gets past it. Only the first set of a node, whose header is easy to find.
fn fix_node_csum(bytes: &mut [u8], node: usize) {
    let Some(set) = sim::format::node::Bset::first(&bytes[node..]) else {
        return;
    };
    let kind = CsumType(set.head.csum_type());
    if let Some(sum) = kind.checksum(set.covered) {
        bytes[node..node + 8].copy_from_slice(&sum.to_le_bytes());
    }
}

fn mutate(bytes: &mut [u8], places: &[usize], magic: u64, rng: &mut Rng) {
    for _ in 0..1 + rng.below(12) {
        let at = places[rng.below(places.len())] + rng.below(512);
        match rng.below(4) {
            0 => bytes[at] ^= 1 << rng.below(8),
            1 => bytes[at] = rng.next() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][rng.below(6)],
            _ => {
                let len = rng.below(16).min(bytes.len() - at);
                bytes[at..at + len].fill(rng.next() as u8);
            }
        }
        // The node this may be in starts at one of the blocks before.
        let node = (0..64)
            .filter_map(|i| (at & !511).checked_sub(i * 512))
            .find(|n| bytes[n + 16..n + 24] == magic.to_le_bytes());
        if let Some(node) = node.filter(|_| rng.below(8) != 0) {
            fix_node_csum(bytes, node);
        }
    }
}

#[test]
fn nothing_panics_and_everything_ends() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let rounds = std::env::var("BCACHEFS_RS_ROUNDS").map_or(12, |r| r.parse().unwrap());
    let one = std::env::var("BCACHEFS_RS_SEED").map(|s| s.parse::<u64>().unwrap());
    for name in [
        "v113-dmgbase",
        "v113-unclean-dirty",
        "v139-snap",
        "v139-dmgbase",
    ] {
        let Some(image) = Image::named(&folder, name) else {
            continue;
        };
        let whole = image.unpack().unwrap();
        let uuid = whole[0][4096 + 40..4096 + 48].to_vec();
        let places = interesting(&whole[0], &uuid);
        let magic =
            sim::format::node::BSET_MAGIC ^ u64::from_le_bytes(uuid.as_slice().try_into().unwrap());
        let seeds = match one {
            Ok(seed) => seed..seed + 1,
            Err(_) => 1..1 + rounds,
        };
        for seed in seeds {
            println!("{name}: BCACHEFS_RS_SEED={seed}");
            let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut damaged = whole.clone();
            mutate(&mut damaged[0], &places, magic, &mut rng);
            let start = Instant::now();
            let opts = Opts::default();
            if let Ok(fs) = Filesystem::start(images::devices(name, damaged), &opts) {
                walk(&fs.view);
                for id in (0..29).map(sim::format::btree_id::BtreeId) {
                    let mut keys = fs.view.btrees.iter(id, 0, Default::default());
                    while let Ok(Some(_)) = keys.next() {}
                }
            }
            let took = start.elapsed();
            assert!(took < Duration::from_secs(60), "seed {seed} took {took:?}");
        }
    }
}
