// SPDX-License-Identifier: GPL-2.0

//! Random damage: bytes of an image are changed, then it is started and everything in it is read.
//! Whatever comes of it, nothing may panic, and it has to end. So when it is written to; then a
//! device must not be written any more after an error has ended writing.
//!
//! `BCACHEFS_RS_SEED` repeats one run, `BCACHEFS_RS_ROUNDS` sets how many are made per image, and
//! `BCACHEFS_RS_KINDS` which images are taken: a list of names, with or without the version.

use sim::{
    btree::KeyBuf,
    error::Error,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        opts::Opts, //
    },
    golden::{
        images,
        walk,
        Image, //
    },
    init::{
        Access,
        Filesystem,
        State, //
    },
    journal::live::Watermark,
};
use std::{
    sync::{
        Arc,
        Mutex, //
    },
    time::{
        Duration,
        Instant, //
    },
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

/// Starts each image with its damage, by `f`, which says what came of it.
fn each(rounds: u64, f: impl Fn(&str, Vec<Vec<u8>>) -> String) {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let rounds = std::env::var("BCACHEFS_RS_ROUNDS").map_or(rounds, |r| r.parse().unwrap());
    let one = std::env::var("BCACHEFS_RS_SEED").map(|s| s.parse::<u64>().unwrap());
    let mut outcomes = std::collections::BTreeMap::<String, u64>::new();
    let watch = Watch::start();
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
            watch.begin(format!("{name}: BCACHEFS_RS_SEED={seed}"));
            *outcomes.entry(f(name, damaged)).or_default() += 1;
        }
    }
    watch.end();
    println!("outcomes: {outcomes:?}");
}

/// Ends it all when something takes too long.
struct Watch(Arc<Mutex<Option<(Instant, String)>>>);

impl Watch {
    fn start() -> Self {
        let now = Arc::new(Mutex::new(Some((Instant::now(), String::new()))));
        let its = now.clone();
        std::thread::spawn(move || loop {
            let now = its.lock().unwrap().clone();
            let Some((since, what)) = now else {
                return;
            };
            if since.elapsed() > Duration::from_secs(60) {
                eprintln!("{what}: hangs");
                std::process::abort();
            }
            std::thread::sleep(Duration::from_millis(500));
        });
        Self(now)
    }

    fn begin(&self, what: String) {
        *self.0.lock().unwrap() = Some((Instant::now(), what));
    }

    fn end(&self) {
        *self.0.lock().unwrap() = None;
    }
}

/// Reads all files and all keys.
fn read_all(fs: &Filesystem) -> &'static str {
    let tree = walk(&fs.view);
    for id in (0..29).map(BtreeId) {
        let mut keys = fs.view.btrees.iter(id, 0, Default::default());
        while let Ok(Some(_)) = keys.next() {}
    }
    match tree.errors.is_empty() {
        true => "clean",
        false => "errors",
    }
}

#[test]
fn nothing_panics_and_everything_ends() {
    each(4, |name, damaged| {
        match Filesystem::start(images::devices(name, damaged), &Opts::default()) {
            Ok(fs) => read_all(&fs).to_owned(),
            Err(e) => format!("{e:?}"),
        }
    });
}

/// Changes btrees in many places, as far as that goes: the first error.
fn change(fs: &Filesystem, rng: &mut Rng) -> Result<(), Error> {
    let engine = fs.read_write()?.engine();
    let pos = |nr| Bpos::new(0, nr, u32::MAX);
    for _ in 0..400 {
        let nr = rng.next();
        engine.run(Watermark::Normal, |t| {
            let k = Bkey {
                key_type: KeyType::COOKIE,
                p: pos(nr),
                ..Bkey::default()
            };
            t.update(BtreeId::XATTRS, KeyBuf::of(k, &[1; 8])?)?;
            t.commit()
        })?;
    }
    fs.sync()?;
    let mut at = pos(0);
    for _ in 0..300 {
        let found = engine.run(Watermark::Normal, |t| {
            let found = t.next(BtreeId::XATTRS, at, pos(u64::MAX))?;
            if let Some(found) = &found {
                t.delete(BtreeId::XATTRS, found.k.p)?;
                t.commit()?;
            }
            Ok(found.map(|f| f.k.p.successor()))
        })?;
        match found {
            Some(next) => at = next,
            None => break,
        }
    }
    fs.sync()
}

fn written(name: &str, damaged: Vec<Vec<u8>>) -> String {
    if !name.starts_with("v113") {
        return "read only".to_owned();
    }
    let mut opts = Opts::default();
    opts.parse_list("allocator_stuck_timeout=2").unwrap();
    let devs = images::devices(name, damaged);
    let media: Vec<_> = devs.iter().map(|d| d.medium()).collect();
    let fs = match Filesystem::start_for(Access::Write, devs, &opts) {
        Ok(fs) => fs,
        Err(e) => return format!("refused: {e:?}"),
    };
    let done = change(&fs, &mut Rng(7));
    let ended = fs.state().get() == State::EmergencyReadOnly;
    let moments: Vec<_> = media.iter().map(|m| m.power().now()).collect();
    read_all(&fs);
    if ended {
        let e = fs.state().first_error();
        assert_eq!(change(&fs, &mut Rng(8)).err(), e, "{name}");
    }
    let shut = fs.go_read_only();
    if ended {
        for (m, since) in media.iter().zip(moments) {
            assert_eq!(m.changes_since(since), 0, "{name}: written after the end");
        }
    }
    drop(fs);
    match (ended, done, shut) {
        (true, Err(e), _) => format!("ended: {e:?}"),
        (_, Err(e), _) => format!("error: {e:?}"),
        (_, _, Err(e)) => format!("not shut down: {e:?}"),
        _ => "written".to_owned(),
    }
}

#[test]
fn nothing_panics_when_it_is_written() {
    each(3, written);
}
