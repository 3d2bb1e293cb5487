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
        node::{
            Bset,
            BSET_MAGIC, //
        },
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
        });
    }
    found
}

fn read(fs: &Filesystem, extent: &Extent) -> Result<Vec<u8>, Error> {
    let mut buf = vec![0; extent.len];
    read_sync(&fs.view, extent.file, extent.pos, &mut buf).map(|_| buf)
}

/// Takes the checksum out of a key that starts with one of 32 bits, where a node holds it in its
/// first set. Says whether that was so.
fn forget_checksum(bytes: &mut [u8], value: &[u8]) -> bool {
    let uuid = u64::from_le_bytes(bytes[SB + 40..SB + 48].try_into().unwrap());
    let magic = (BSET_MAGIC ^ uuid).to_le_bytes();
    let word = u64::from_le_bytes(value[..8].try_into().unwrap());
    if word & 3 != 2 {
        return false;
    }
    // The kind of checksum is in bits 24 to 28, the checksum in the upper half.
    let word = word & 0xffff_ffff & !(15 << 24);
    let mut done = false;
    for node in (0..bytes.len() - 24).step_by(SECTOR) {
        if bytes[node + 16..node + 24] != magic {
            continue;
        }
        let Some(set) = Bset::first(&bytes[node..]) else {
            continue;
        };
        let (kind, covered) = (CsumType(set.head.csum_type()), set.covered.len());
        let start = set.covered.as_ptr() as usize - bytes.as_ptr() as usize;
        let here = &bytes[start..start + covered];
        let Some(at) = (0..covered - value.len()).find(|&at| &here[at..at + value.len()] == value)
        else {
            continue;
        };
        bytes[start + at..start + at + 8].copy_from_slice(&word.to_le_bytes());
        let sum = kind.checksum(&bytes[start..start + covered]).unwrap();
        bytes[node..node + 8].copy_from_slice(&sum.to_le_bytes());
        done = true;
    }
    done
}

#[test]
fn damage_without_a_checksum() {
    let mut kinds = Vec::new();
    let mut nr_images = 0;
    for name in NAMES {
        let Some(mut bytes) = contents(name) else {
            continue;
        };
        nr_images += 1;
        let fs = start(name, bytes.clone());
        let whole: Vec<_> = extents(&fs)
            .into_iter()
            .map(|e| (read(&fs, &e).unwrap(), e))
            .collect();
        let whole: Vec<_> = whole
            .into_iter()
            .filter(|(_, e)| forget_checksum(&mut bytes, &e.value))
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
        for seed in 1..6usize {
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
            assert!(read(&fs, &extent) == Err(Error::DataTooLarge), "{name}");
            nr += 1;
        }
    }
    assert!(nr != 0 || nr_images == 0);
}
