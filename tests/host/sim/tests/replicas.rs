// SPDX-License-Identifier: GPL-2.0

//! Filesystems on several devices, some of which are missing or hold noise: golden images against
//! what the C implementation showed of them. Without images (`BCACHEFS_RS_IMAGES`) the tests only
//! say so.

use sim::{
    env::Arc,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts,
        values::extent, //
    },
    golden::{
        images,
        walk,
        Image,
        Manifest, //
    },
    init::Filesystem,
    sys::block::BlockDevice,
};

/// What a device holds; shared, as it is large.
type Contents = std::sync::Arc<Vec<u8>>;

/// An image of several devices.
struct Several {
    name: &'static str,
    manifest: Manifest,
    devices: Vec<Contents>,
}

impl Several {
    fn named(name: &'static str) -> Option<Self> {
        let Some(folder) = images::folder() else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return None;
        };
        let image = Image::named(&folder, name)?;
        Some(Self {
            name,
            manifest: image.manifest().unwrap(),
            devices: image
                .unpack()
                .unwrap()
                .into_iter()
                .map(Contents::new)
                .collect(),
        })
    }

    fn open(&self, devices: Vec<Contents>) -> sim::env::Vec<BlockDevice> {
        let mut out = sim::env::Vec::new();
        for (i, bytes) in devices.into_iter().enumerate() {
            let name = format!("{}.{i}", self.name);
            out.push(BlockDevice::from_memory(&name, bytes)).unwrap();
        }
        out
    }

    fn start(&self, devices: Vec<Contents>, opts: &str) -> Result<Arc<Filesystem>> {
        let mut o = Opts::new();
        o.parse_list(opts).unwrap();
        Filesystem::start(self.open(devices), &o)
    }

    /// The devices but those numbered `gone`.
    fn without(&self, gone: &[usize]) -> Vec<Contents> {
        let devices = self.devices.iter().enumerate();
        let left = devices.filter(|(i, _)| !gone.contains(i));
        left.map(|(_, d)| d.clone()).collect()
    }

    /// What differs from the manifest; nothing.
    fn check(&self, fs: &Filesystem, what: &str) {
        let tree = walk(&fs.view);
        let errors = tree.errors.iter();
        let errors = errors.map(|(p, e)| format!("{}: {e}", String::from_utf8_lossy(p)));
        let mut wrong: Vec<String> = errors.collect();
        wrong.extend(self.manifest.differences(&tree));
        wrong.truncate(10);
        assert!(
            wrong.is_empty(),
            "{} {what}: {}",
            self.name,
            wrong.join("\n")
        );
    }
}

/// Overwrites everything that holds anything, but the superblocks.
fn noise(device: &mut [u8]) {
    let layout = &device[7 * 512..8 * 512];
    let bytes = 512usize << layout[17];
    let copies: Vec<usize> = (0..usize::from(layout[18]))
        .map(|i| {
            let at = 24 + i * 8;
            u64::from_le_bytes(layout[at..at + 8].try_into().unwrap()) as usize * 512
        })
        .collect();
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    for (nr, sector) in device.chunks_exact_mut(512).enumerate().skip(8) {
        let at = nr * 512;
        let is_super = copies.iter().any(|c| (*c..*c + bytes).contains(&at));
        if is_super || *sector == [0; 512] {
            continue;
        }
        for word in sector.chunks_exact_mut(8) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            word.copy_from_slice(&seed.to_le_bytes());
        }
    }
}

/// Reads failed and checksums wrong, of all devices together.
fn errors(fs: &Filesystem) -> (u64, u64) {
    let all = fs.view.sb().devices().map(|d| d.errors.get());
    all.fold((0, 0), |sum, e| (sum.0 + e.0, sum.1 + e.1))
}

/// The stripes that extents are part of, each extent as pointers and the blocks of its stripe.
fn striped(fs: &Filesystem) -> Vec<(usize, u64)> {
    let btrees = &fs.view.btrees;
    let mut found = Vec::new();
    let mut iter = btrees.iter(BtreeId::EXTENTS, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        let ptrs = || extent::ptrs(&key, btrees.entry_sizes()).map(|p| p.unwrap());
        if let Some(stripe) = ptrs().find_map(|p| p.stripe) {
            found.push((ptrs().count(), stripe.idx));
        }
    }
    found
}

#[test]
fn the_erasure_coded_image_is_erasure_coded() {
    if let Some(image) = Several::named("v139-ec") {
        let fs = image.start(image.devices.clone(), "").unwrap();
        let striped = striped(&fs);
        println!("{striped:?}");
        assert!(striped.iter().filter(|(ptrs, _)| *ptrs == 1).count() > 10);
    }
}

impl Several {
    /// Files that could be read, but not as they are. None.
    fn wrong(&self, fs: &Filesystem) -> (usize, Vec<String>) {
        let tree = walk(&fs.view);
        let mut nr = 0;
        let mut wrong = Vec::new();
        for e in &tree.entries {
            let Some(found) = e.fields.get("sha256") else {
                continue;
            };
            nr += 1;
            let want = self.manifest.entries.iter().find(|w| w.path == e.path);
            if want.and_then(|w| w.fields.get("sha256")) != Some(found) {
                wrong.push(String::from_utf8_lossy(&e.path).into_owned());
            }
        }
        (nr, wrong)
    }
}

/// Mounts without the devices `gone`. What is given out has to be right; with `degraded`, all.
fn as_far_as_possible(image: &Several, gone: &[usize]) {
    let what = format!("{} without {gone:?}", image.name);
    let refused = image.start(image.without(gone), "").err();
    assert_eq!(refused, Some(Error::DevicesMissing), "{what}");
    match image.start(image.without(gone), "degraded") {
        Ok(fs) => image.check(&fs, &what),
        Err(e) => assert!(
            matches!(e, Error::DevicesMissing | Error::DevicesMissingData),
            "{what}: {e}"
        ),
    }
    match image.start(image.without(gone), "very_degraded") {
        Ok(fs) => {
            let (nr, wrong) = image.wrong(&fs);
            println!("{what}: {nr} files can be read");
            assert!(wrong.is_empty(), "{what}: {}", wrong.join(", "));
        }
        Err(e) => println!("{what}: not even with very_degraded: {e}"),
    }
}

#[test]
fn more_missing_than_there_are_copies_for() {
    for name in ["v113-threedev", "v139-threedev"] {
        if let Some(image) = Several::named(name) {
            (0..3).for_each(|gone| as_far_as_possible(&image, &[gone]));
        }
    }
    if let Some(image) = Several::named("v139-ec") {
        for first in 0..5 {
            (first + 1..5).for_each(|second| as_far_as_possible(&image, &[first, second]));
        }
    }
}

const ENOUGH_WITHOUT_ONE: [&str; 3] = ["v113-repl2", "v139-repl2", "v139-ec"];

#[test]
fn without_one_device() {
    for name in ENOUGH_WITHOUT_ONE {
        let Some(image) = Several::named(name) else {
            continue;
        };
        for gone in 0..image.devices.len() {
            let refused = image.start(image.without(&[gone]), "").err();
            assert_eq!(
                refused,
                Some(Error::DevicesMissing),
                "{name} without {gone}"
            );
            let fs = image.start(image.without(&[gone]), "degraded").unwrap();
            image.check(&fs, &format!("without device {gone}"));
            assert_eq!(errors(&fs), (0, 0));
        }
    }
}

#[test]
fn one_device_that_fails() {
    for name in ENOUGH_WITHOUT_ONE {
        let Some(image) = Several::named(name) else {
            continue;
        };
        // Only what is after the superblocks: otherwise the device would be refused.
        for bad in 0..image.devices.len().min(2) {
            let mut devices = image.open(image.devices.clone());
            devices[bad].fail_from(3 << 20);
            let fs = Filesystem::start(devices, &Opts::new()).unwrap();
            image.check(&fs, &format!("with device {bad} failing"));
            for dev in fs.view.sb().devices() {
                let (read, checksum) = dev.errors.get();
                let guilty = usize::from(dev.idx.0) == bad;
                assert_eq!((read != 0, checksum), (guilty, 0), "{name}: {}", dev.idx);
            }
        }
    }
}

#[test]
fn one_device_of_noise() {
    for name in ENOUGH_WITHOUT_ONE {
        let Some(image) = Several::named(name) else {
            continue;
        };
        for bad in 0..image.devices.len() {
            let mut devices = image.devices.clone();
            noise(Contents::make_mut(&mut devices[bad]));
            let fs = image.start(devices, "").unwrap();
            image.check(&fs, &format!("with noise on device {bad}"));
            let (read, checksum) = errors(&fs);
            assert_eq!(read, 0);
            for dev in fs.view.sb().devices() {
                let guilty = usize::from(dev.idx.0) == bad;
                assert!(guilty || dev.errors.get() == (0, 0), "{name}: {}", dev.idx);
            }
            println!("{name}: noise on device {bad}: {checksum} checksums counted");
        }
    }
}
