// SPDX-License-Identifier: GPL-2.0

//! Random damage: bytes of an image are changed, then it is started and everything in it is read.
//! Whatever comes of it, nothing may panic, and it has to end.
//!
//! `BCACHEFS_RS_SEED` repeats one run, `BCACHEFS_RS_ROUNDS` sets how many are made per image, and
//! `BCACHEFS_RS_KINDS` which images are taken: a list of names, with or without the version.

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

/// Images with something in them that others do not have: several devices, snapshots, a log that
/// was not replayed, data that is compressed, encrypted or shared.
const KINDS: &[&str] = &[
    "dmgbase",
    "unclean-dirty",
    "snap",
    "snapdel",
    "repl2",
    "threedev",
    "ec",
    "comp-bg",
    "comp-zstd",
    "encrypted",
    "reflink",
];

/// The images of [`KINDS`], or of those asked for.
fn chosen(folder: &std::path::Path) -> Vec<Image> {
    let asked = std::env::var("BCACHEFS_RS_KINDS").ok();
    let kinds: Vec<&str> = match &asked {
        Some(list) => list.split(',').collect(),
        None => KINDS.to_vec(),
    };
    let wanted = |i: &Image| {
        let unversioned = i.name.split_once('-').map_or("", |(_, rest)| rest);
        kinds.contains(&unversioned) || kinds.contains(&i.name.as_str())
    };
    Image::all(folder).into_iter().filter(wanted).collect()
}

/// One device, and what of it is worth damaging.
struct Device {
    places: Vec<usize>,
    /// What the first word of a btree node is.
    magic: u64,
}

impl Device {
    fn of(bytes: &[u8]) -> Self {
        let uuid = &bytes[4096 + 40..4096 + 48];
        let own = u64::from_le_bytes(uuid.try_into().unwrap());
        Self {
            places: interesting(bytes, uuid),
            magic: sim::format::node::BSET_MAGIC ^ own,
        }
    }
}

/// Changes some of the devices, at least one.
fn mutate_devices(devices: &mut [Vec<u8>], about: &[Device], rng: &mut Rng) {
    let first = rng.below(devices.len());
    for (nr, (bytes, device)) in devices.iter_mut().zip(about).enumerate() {
        if !device.places.is_empty() && (nr == first || rng.below(2) == 0) {
            mutate(bytes, &device.places, device.magic, rng);
        }
    }
}

#[test]
fn nothing_panics_and_everything_ends() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let rounds = std::env::var("BCACHEFS_RS_ROUNDS").map_or(4, |r| r.parse().unwrap());
    let one = std::env::var("BCACHEFS_RS_SEED").map(|s| s.parse::<u64>().unwrap());
    let mut outcomes = std::collections::BTreeMap::<String, u64>::new();
    for image in chosen(&folder) {
        let name = &image.name;
        let whole = image.unpack().unwrap();
        let about: Vec<_> = whole.iter().map(|d| Device::of(d)).collect();
        let seeds = match one {
            Ok(seed) => seed..seed + 1,
            Err(_) => 1..1 + rounds,
        };
        for seed in seeds {
            println!("{name}: BCACHEFS_RS_SEED={seed}");
            let mut rng = Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let mut damaged = whole.clone();
            mutate_devices(&mut damaged, &about, &mut rng);
            let start = Instant::now();
            let opts = Opts::default();
            let outcome = match Filesystem::start(images::devices(name, damaged), &opts) {
                Ok(fs) => {
                    let tree = walk(&fs.view);
                    for id in (0..29).map(sim::format::btree_id::BtreeId) {
                        let mut keys = fs.view.btrees.iter(id, 0, Default::default());
                        while let Ok(Some(_)) = keys.next() {}
                    }
                    match tree.errors.is_empty() {
                        true => "clean".to_owned(),
                        false => "errors".to_owned(),
                    }
                }
                Err(e) => format!("{e:?}"),
            };
            *outcomes.entry(outcome).or_default() += 1;
            let took = start.elapsed();
            assert!(
                took < Duration::from_secs(60),
                "{name}: seed {seed} took {took:?}"
            );
        }
    }
    println!("outcomes: {outcomes:?}");
}
