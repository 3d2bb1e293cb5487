// SPDX-License-Identifier: GPL-2.0

//! The map of every file of the golden images: it agrees with where seek finds data, and what is at
//! the places it names is what the file holds. Without images (`BCACHEFS_RS_IMAGES`) the tests only
//! say so.

use sim::{
    data::{
        fiemap::{
            map,
            MapFlags,
            Mapping, //
        },
        read_sync,
        seek,
        FileId,
        Seek, //
    },
    env::units::DevIdx,
    error::Class,
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts,
        values::inode::Inode, //
    },
    golden::{
        images,
        Image, //
    },
    init::Filesystem,
    snapshots::View,
};

/// Further than any file of the images reaches.
const FAR: u64 = 1 << 50;

fn has(m: &Mapping, flags: MapFlags) -> bool {
    m.flags.0 & flags.0 == flags.0
}

fn mapped(view: &View, file: FileId, from: u64, to: u64) -> Vec<Mapping> {
    let mut all = Vec::new();
    map(view, file, from, to, |m| {
        all.push(*m);
        Ok(true)
    })
    .unwrap();
    all
}

/// All regular files of all subvolumes.
fn files(view: &View) -> Vec<(FileId, u64)> {
    let mut found = Vec::new();
    for snapshot in (1..32).filter_map(|id| view.subvolume(id).ok().map(|s| s.snapshot)) {
        let mut iter = view.iter(BtreeId::INODES, Bpos::MIN, snapshot);
        while let Some(key) = iter.next().unwrap() {
            if let Ok(Some(inode)) = Inode::decode(&key) {
                let file = FileId {
                    inum: inode.inum,
                    snapshot,
                };
                if inode.mode & 0o170000 == 0o100000 {
                    found.push((file, inode.size));
                }
            }
        }
    }
    found
}

/// Where `map` says that there is data, as ranges that do not touch; within the file's size.
fn data_ranges(all: &[Mapping], size: u64) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for m in all.iter().filter(|m| !has(m, MapFlags::UNWRITTEN)) {
        let (start, end) = (m.logical, (m.logical + m.len).min(size));
        match ranges.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ if start < end => ranges.push((start, end)),
            _ => (),
        }
    }
    ranges
}

fn sought(view: &View, file: FileId, size: u64) -> Vec<(u64, u64)> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while let Some(start) = seek(view, file, size, at, Seek::Data).unwrap() {
        at = seek(view, file, size, start, Seek::Hole).unwrap().unwrap();
        ranges.push((start, at));
    }
    ranges
}

fn same_bytes(view: &View, file: FileId, m: &Mapping) -> bool {
    let len = m.len.min(1 << 16) as usize;
    let (mut by_file, mut by_device) = (vec![0; len], vec![0; len]);
    read_sync(view, file, m.logical, &mut by_file).unwrap();
    let dev = &view.sb().dev(DevIdx(0)).unwrap().bdev;
    dev.read(m.physical / 512, &mut by_device).unwrap();
    by_file == by_device
}

fn check(name: &str, view: &View, counts: &mut [usize; 3]) -> Result<(), String> {
    let plain = view.sb().sb.nr_devices() == 1 && !name.contains("encrypted");
    let nowhere = MapFlags::ENCODED.0 | MapFlags::INLINE.0 | MapFlags::DELALLOC.0;
    for (nr, (file, size)) in files(view).into_iter().enumerate() {
        let bad = |what: String| Err(format!("{name}: {file:?}: {what}"));
        let all = mapped(view, file, 0, FAR);
        let marked: Vec<_> = all.iter().map(|m| has(m, MapFlags::LAST)).collect();
        if marked.iter().rev().skip(1).any(|m| *m) && plain {
            return bad(format!("marked as the last: {all:x?}"));
        }
        if marked.last() == Some(&false) {
            return bad(format!("no last: {all:x?}"));
        }
        let by_seek = sought(view, file, size);
        if data_ranges(&all, size) != by_seek {
            return bad(format!("seek finds {by_seek:x?}, the map is {all:x?}"));
        }
        counts[0] += all.len();
        counts[1] += all.iter().filter(|m| has(m, MapFlags::SHARED)).count();
        let step = if all.len() > 20 { 7 } else { 1 };
        for m in all.iter().step_by(step).filter(|_| plain && nr % 16 < 8) {
            if m.flags.0 & (nowhere | MapFlags::UNWRITTEN.0) == 0 {
                counts[2] += 1;
                if !same_bytes(view, file, m) {
                    return bad(format!("other bytes are at {m:x?}"));
                }
            }
            // Asking for a part cuts it out.
            let (from, to) = (m.logical + 512, m.logical + m.len);
            let Some(part) = mapped(view, file, from, to).first().copied() else {
                if m.len > 512 {
                    return bad(format!("nothing from {from:x} to {to:x} of {m:x?}"));
                }
                continue;
            };
            let moved = m.flags.0 & nowhere == 0;
            let want = (from, m.len - 512, m.physical + u64::from(moved) * 512);
            if (part.logical, part.len, part.physical) != want {
                return bad(format!("{from:x} to {to:x} of {m:x?} is {part:x?}"));
            }
        }
    }
    Ok(())
}

#[test]
fn maps_of_golden_images() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let (mut failed, mut counts) = (Vec::new(), [0; 3]);
    for image in Image::all(&folder) {
        // Tens of thousands of small files, files too large for what is compared here, and what is
        // damaged on purpose.
        let is_large = ["-many", "-limits"]
            .iter()
            .any(|end| image.name.ends_with(end));
        if image.name.contains("-dmg-") || is_large {
            continue;
        }
        let devices = images::devices(&image.name, image.unpack().unwrap());
        match Filesystem::start(devices, &Opts::default()) {
            Ok(fs) => failed.extend(check(&image.name, &fs.view, &mut counts).err()),
            Err(e) if e.class() == Class::Unsupported => println!("{}: {e}", image.name),
            Err(e) => failed.push(format!("{}: {e}", image.name)),
        }
    }
    println!("mappings, shared ones, compared with the device: {counts:?}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(counts.iter().all(|&n| n > 0), "{counts:?}");
}
