// SPDX-License-Identifier: GPL-2.0

//! Compressed extents of the golden images (`BCACHEFS_RS_IMAGES`), damaged in ways that checksums
//! do not reveal.

use sim::{
    data::{
        read_sync,
        FileId, //
    },
    error::Error,
    format::{
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        node::Bset,
        opts::Opts,
        values::{
            extent,
            kinds::CompressionType, //
        },
    },
    golden::{
        images,
        Image, //
    },
    init::Filesystem,
};

const SECTOR: usize = 512;
/// Where the superblock is, and in it the second word of flags.
const SB: usize = 4096;
const FLAGS: usize = SB + 152;

const NAMES: [&str; 8] = [
    "v113-comp-bg",
    "v113-comp-gzip",
    "v113-comp-lz4",
    "v113-comp-zstd",
    "v139-comp-bg",
    "v139-comp-gzip",
    "v139-comp-lz4",
    "v139-comp-zstd",
];

/// A compressed extent.
struct Extent {
    file: FileId,
    /// The first byte of the file, and how many there are.
    pos: u64,
    len: usize,
    /// The key's value.
    value: Vec<u8>,
    /// Where the data is on the device, and how long.
    at: usize,
    stored: usize,
    kind: CompressionType,
    /// Sectors after decompression.
    sectors: u32,
}

/// The image's contents, if it is there.
fn contents(name: &str) -> Option<Vec<u8>> {
    let image = images::folder().and_then(|folder| Image::named(&folder, name));
    if image.is_none() {
        println!("{name}: skipped: no such image (BCACHEFS_RS_IMAGES)");
    }
    Some(image?.unpack().unwrap().remove(0))
}

fn start(name: &str, bytes: Vec<u8>) -> sim::env::Arc<Filesystem> {
    Filesystem::start(images::devices(name, vec![bytes]), &Opts::default()).unwrap()
}

/// The compressed extents that a file has directly, of which there is one copy.
fn extents(fs: &Filesystem) -> Vec<Extent> {
    let mut keys = fs.view.btrees.iter(BtreeId::EXTENTS, 0, Default::default());
    let mut found = Vec::new();
    while let Some(key) = keys.next().unwrap() {
        if key.k.key_type != KeyType::EXTENT {
            continue;
        }
        let mut ptrs = extent::ptrs(&key, fs.view.btrees.entry_sizes());
        let (Some(Ok(p)), None) = (ptrs.next(), ptrs.next()) else {
            continue;
        };
        if !p.crc.is_compressed() {
            continue;
        }
        found.push(Extent {
            file: FileId {
                inum: key.k.p.inode,
                snapshot: key.k.p.snapshot,
            },
            pos: key.k.start_offset() * SECTOR as u64,
            len: key.k.size as usize * SECTOR,
            value: key.v.to_vec(),
            at: p.ptr.offset.0 as usize * SECTOR,
            stored: p.crc.compressed_size as usize * SECTOR,
            kind: p.crc.compression,
            sectors: p.crc.uncompressed_size,
        });
    }
    found
}

fn read(fs: &Filesystem, extent: &Extent) -> Result<Vec<u8>, Error> {
    let mut buf = vec![0; extent.len];
    read_sync(&fs.view, extent.file, extent.pos, &mut buf).map(|_| buf)
}

/// The set of keys that byte `at` is in: where it starts, and how many bytes its checksum covers.
fn set_around(bytes: &[u8], at: usize) -> Option<(usize, usize, CsumType)> {
    const NODE_BYTES: usize = 256 << 10;
    let block = at / SECTOR * SECTOR;
    let mut starts = (block.saturating_sub(NODE_BYTES)..block + SECTOR)
        .step_by(SECTOR)
        .rev();
    starts.find_map(|start| {
        let here = &bytes[start..];
        let sets = [Bset::later(here), Bset::first(here)];
        sets.into_iter().flatten().find_map(|set| {
            let kind = CsumType(set.head.csum_type());
            let is_in = start + 16 + set.covered.len() > at;
            // Zeros pass for a set without a checksum.
            let good = is_in
                && kind != CsumType::NONE
                && kind.checksum(set.covered) == Some(set.csum.lo.get());
            good.then_some((start, set.covered.len(), kind))
        })
    })
}

/// Takes the checksums of 32 bits out of these keys, wherever a node has them. Says for each
/// whether that was so.
fn forget_checksums(bytes: &mut [u8], keys: &[&Extent]) -> Vec<bool> {
    let mut done = vec![false; keys.len()];
    let word = |value: &[u8]| u64::from_le_bytes(value[..8].try_into().unwrap());
    for at in (0..bytes.len() - 64).step_by(8) {
        let here = word(&bytes[at..]);
        let nr = keys
            .iter()
            .position(|k| word(&k.value) == here && here & 3 == 2);
        let Some(nr) = nr.filter(|nr| bytes[at..].starts_with(&keys[*nr].value)) else {
            continue;
        };
        let Some((start, covered, kind)) = set_around(bytes, at) else {
            continue;
        };
        // The kind of checksum is in bits 24 to 28, the checksum in the upper half.
        let plain = here & 0xffff_ffff & !(15 << 24);
        bytes[at..at + 8].copy_from_slice(&plain.to_le_bytes());
        let sum = kind
            .checksum(&bytes[start + 16..start + 16 + covered])
            .unwrap();
        bytes[start..start + 8].copy_from_slice(&sum.to_le_bytes());
        done[nr] = true;
    }
    done
}

#[test]
fn damage_without_a_checksum() {
    let mut kinds = Vec::new();
    let mut nr_images = 0;
    for name in ["v113-comp-gzip", "v113-comp-lz4", "v139-comp-zstd"] {
        let Some(mut bytes) = contents(name) else {
            continue;
        };
        nr_images += 1;
        let fs = start(name, bytes.clone());
        let whole: Vec<_> = extents(&fs)
            .into_iter()
            .map(|e| (read(&fs, &e).unwrap(), e))
            .collect();
        let keys: Vec<_> = whole.iter().map(|(_, e)| e).collect();
        let mut done = forget_checksums(&mut bytes, &keys).into_iter();
        let whole: Vec<_> = whole
            .into_iter()
            .filter(|_| done.next() == Some(true))
            .collect();
        let fs = start(name, bytes.clone());
        for (data, extent) in &whole {
            assert_eq!(
                read(&fs, extent).as_ref(),
                Ok(data),
                "{name}: nothing was damaged"
            );
        }
        // Cut off: there is less than there should be, whatever the kind.
        let mut damaged = bytes.clone();
        for (_, e) in &whole {
            damaged[e.at + 100..e.at + e.stored].fill(0);
        }
        let fs = start(name, damaged);
        for (data, extent) in &whole {
            match read(&fs, extent) {
                Err(e) => assert_eq!(e, Error::DataDecompress, "{name}"),
                // All of it fits in what was kept.
                Ok(found) => assert_eq!(&found, data, "{name}"),
            }
        }
        // A byte that is wrong here and there: an error, or as much data as there should be.
        for seed in 1..4usize {
            let mut damaged = bytes.clone();
            for (i, (_, e)) in whole.iter().enumerate() {
                let at = (seed * 7919 + i * 131) % e.stored;
                damaged[e.at + at] ^= (seed * 37) as u8 | 1;
            }
            let fs = start(name, damaged);
            for (_, extent) in &whole {
                if let Err(e) = read(&fs, extent) {
                    assert_eq!(e, Error::DataDecompress, "{name}");
                    kinds.push(extent.kind);
                }
            }
        }
        println!("{name}: {} extents", whole.len());
    }
    for kind in [
        CompressionType::LZ4,
        CompressionType::GZIP,
        CompressionType::ZSTD,
    ] {
        assert!(
            nr_images == 0 || kinds.contains(&kind),
            "no image with {kind}"
        );
    }
}

#[test]
fn larger_than_allowed() {
    let (mut nr, mut nr_images) = (0, 0);
    for name in NAMES {
        let Some(mut bytes) = contents(name) else {
            continue;
        };
        nr_images += 1;
        // encoded_extent_max becomes 4 KiB; its place has log2 of that in sectors.
        let flags = u64::from_le_bytes(bytes[FLAGS..FLAGS + 8].try_into().unwrap());
        let flags = flags & !(0x3f << 14) | 3 << 14;
        bytes[FLAGS..FLAGS + 8].copy_from_slice(&flags.to_le_bytes());
        let u64s = u32::from_le_bytes(bytes[SB + 124..SB + 128].try_into().unwrap()) as usize;
        let kind = CsumType((bytes[SB + 144] >> 2) & 0x3f);
        let sum = kind.checksum(&bytes[SB + 16..SB + 752 + u64s * 8]).unwrap();
        bytes[SB..SB + 8].copy_from_slice(&sum.to_le_bytes());
        let fs = start(name, bytes);
        let all = extents(&fs);
        println!("{name}: {} extents", all.len());
        for extent in all {
            let too_large = read(&fs, &extent) == Err(Error::DataTooLarge);
            assert_eq!(too_large, extent.sectors > 8, "{name}");
            nr += usize::from(too_large);
        }
    }
    assert!(nr != 0 || nr_images == 0);
}
