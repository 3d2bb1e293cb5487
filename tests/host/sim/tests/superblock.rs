// SPDX-License-Identifier: GPL-2.0

//! Superblocks and devices: those of the golden images (`BCACHEFS_RS_IMAGES`), and what is refused.

use sim::{
    env::Vec as EnvVec,
    error::{
        Error,
        Result, //
    },
    format::{
        opts::Opts,
        sb::{
            copies::choose,
            show::{
                to_text,
                Detail, //
            },
            RawSb,
        },
    },
    golden::{
        images,
        json::Json,
        unlock::Bytes,
        Image, //
    },
    sb::{
        open,
        SbState, //
    },
    sys::block::BlockDevice,
};
use std::sync::Arc;

fn images() -> Vec<Image> {
    match images::folder() {
        Some(folder) => Image::all(&folder),
        None => {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            Vec::new()
        }
    }
}

/// The contents of the devices of an image; `None` without images.
fn devices_of(name: &str) -> Option<Vec<Vec<u8>>> {
    let image = images().into_iter().find(|i| i.name == name)?;
    Some(image.unpack().unwrap())
}

fn opened(contents: Vec<Vec<u8>>, opts: &str) -> Result<SbState> {
    let mut o = Opts::new();
    o.parse_list(opts).unwrap();
    open(images::devices("disk", contents), &o)
}

fn refusal(contents: Vec<Vec<u8>>, opts: &str) -> Error {
    opened(contents, opts).err().expect("must be refused")
}

/// What `bcachefs show-super` said, as the manifest has it, is among what we say.
fn check_text(name: &str, device: &[u8], idx: usize, want: &Json) {
    let chosen = choose(&Bytes(device), None).unwrap_or_else(|r| {
        let why: Vec<String> = r.rejected.iter().map(|r| r.to_string()).collect();
        panic!("{name}.{idx}: {}: {why:?}", r.error)
    });
    assert!(chosen.rejected.is_empty(), "{name}.{idx}");
    assert_eq!(usize::from(chosen.sb.dev_idx()), idx);
    let mut text = String::new();
    to_text(&chosen.sb, Detail::Full, &mut text).unwrap();
    for (field, value) in want.members() {
        let line = format!("{:<44}{}\n", format!("{field}:"), value.text());
        assert!(text.contains(&line), "{name}.{idx}: no {line:?}\n{text}");
    }
}

#[test]
fn every_image_is_as_c_shows_it() {
    for image in images() {
        let json = image.json().unwrap();
        let Some(want) = json.get("superblock") else {
            continue;
        };
        let contents = image.unpack().unwrap();
        for (idx, device) in contents.iter().enumerate() {
            check_text(&image.name, device, idx, want);
        }
        let nr = contents.len();
        let state = opened(contents, "").unwrap();
        assert_eq!(state.devices().count(), nr, "{}", image.name);
        let encrypted = image.name.contains("encrypted");
        assert_eq!(state.key().is_some(), encrypted, "{}", image.name);
    }
}

#[test]
fn damaged_superblocks() {
    for (case, want) in [
        ("sb-primary-bit", None),
        ("sb-primary-zero", None),
        ("sb-all", Some(Error::SbChecksum)),
        ("sb-version", Some(Error::SbVersionTooNew)),
    ] {
        for version in ["v113", "v139"] {
            if let Some(contents) = devices_of(&format!("{version}-dmg-{case}")) {
                assert_eq!(opened(contents, "").err(), want, "{version} {case}");
            }
        }
    }
}

#[test]
fn one_device_of_three() {
    for version in ["v113", "v139"] {
        let Some(all) = devices_of(&format!("{version}-threedev")) else {
            return;
        };
        let without = |n: usize| {
            let mut some = all.clone();
            some.remove(n);
            some
        };
        for missing in 0..3 {
            assert_eq!(refusal(without(missing), ""), Error::DevicesMissing);
            let state = opened(without(missing), "very_degraded").unwrap();
            assert_eq!(state.devices().count(), 2);
            assert!(state.dev(sim::env::units::DevIdx(missing as u8)).is_none());
        }
        // The order in which they are given does not matter.
        let mut turned = all.clone();
        turned.rotate_left(1);
        let state = opened(turned, "").unwrap();
        let order: Vec<u8> = state.devices().map(|d| d.own.dev_idx()).collect();
        assert_eq!(order, [0, 1, 2]);

        let mut twice = all.clone();
        twice.push(all[1].clone());
        assert_eq!(refusal(twice, ""), Error::DeviceDuplicate);

        let mut short = all.clone();
        short[2].truncate(32 << 20);
        assert_eq!(refusal(short, ""), Error::DeviceTooSmall);

        let mut mixed = all.clone();
        mixed.extend(devices_of(&format!("{version}-empty")).unwrap());
        assert_eq!(refusal(mixed, ""), Error::DeviceNotMember);
    }
}

#[test]
fn two_replicas_survive_one_device() {
    for version in ["v113", "v139"] {
        if let Some(mut both) = devices_of(&format!("{version}-repl2")) {
            both.pop();
            assert_eq!(refusal(both.clone(), ""), Error::DevicesMissing);
            opened(both, "degraded").unwrap();
        }
    }
}

const ENCRYPTED: &[u8] = include_bytes!("../../../golden/sb/v113-encrypted.sb");
const THREEDEV_1: &[u8] = include_bytes!("../../../golden/sb/v113-threedev-1.sb");

/// A device with one copy of this superblock.
fn disk(sb: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128 << 20];
    bytes[4096..4096 + sb.len()].copy_from_slice(sb);
    bytes
}

#[test]
fn without_images() {
    assert_eq!(refusal(Vec::new(), ""), Error::DevicesNone);
    assert_eq!(refusal(vec![vec![0; 1 << 20]], ""), Error::SbMagic);
    assert_eq!(refusal(vec![Vec::new()], ""), Error::SbPastDevice);
    assert_eq!(refusal(vec![disk(ENCRYPTED)], ""), Error::KeyMissing);
    assert_eq!(refusal(vec![disk(THREEDEV_1)], ""), Error::DevicesMissing);
    let state = opened(vec![disk(THREEDEV_1)], "very_degraded,errors=ro").unwrap();
    let dev = state.dev(sim::env::units::DevIdx(1)).unwrap();
    assert_eq!(dev.member.bucket_sectors(), 512);
    assert!(dev.own.journal_buckets().count() > 0);
    assert_eq!(
        state.name().to_string(),
        RawSb::read(THREEDEV_1).unwrap().user_uuid().to_string()
    );
    // The copy that was asked for, and no other.
    assert_eq!(refusal(vec![disk(THREEDEV_1)], "sb=2056"), Error::SbMagic);
}

#[test]
fn a_device_is_not_read_past_its_end() {
    let mut bytes = disk(THREEDEV_1);
    bytes.truncate(4096 + 1024);
    let mut devs = EnvVec::new();
    devs.push(BlockDevice::from_memory("short", Arc::new(bytes)))
        .unwrap();
    let e = open(devs, &Opts::new()).err().unwrap();
    assert_eq!(e, Error::SbTruncated);
}
