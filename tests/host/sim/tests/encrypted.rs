// SPDX-License-Identifier: GPL-2.0

//! Encrypted filesystems: the golden images without, with the wrong and with the right key, with an
//! encrypted journal, and damaged; one image of the tree, and those of `BCACHEFS_RS_IMAGES`.

use sim::{
    env::Arc,
    error::{
        errno::Errno,
        Class,
        Error, //
    },
    format::{
        btree_id::BtreeId,
        csum::CsumType,
        jset::{
            RawJset,
            JSET_MAGIC, //
        },
        node::{
            filesystem_magic,
            Bset,
            BSET_MAGIC, //
        },
        opts::Opts,
        sb::{
            section::SectionType,
            RawSb, //
        },
        values::extent::ptrs,
    },
    golden::{
        images,
        unlock,
        walk,
        Image,
        Tree, //
    },
    init::Filesystem,
    sys::keyring,
};
use std::path::Path;

/// Where the superblock is on a device, in bytes.
const SB: usize = 4096;

/// The image in the tree: two devices with everything on both.
fn mirrored() -> Image {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden");
    Image::named(&golden, "v113-encrypted-repl2").unwrap()
}

fn encrypted() -> Vec<Image> {
    let others = images::folder().map_or(Vec::new(), |folder| Image::all(&folder));
    let others = others
        .into_iter()
        .filter(|i| i.name.contains("-encrypted") && i.name != mirrored().name);
    others.chain([mirrored()]).collect()
}

fn start(name: &str, devices: Vec<Vec<u8>>) -> Result<Arc<Filesystem>, Error> {
    Filesystem::start(images::devices(name, devices), &Opts::default())
}

fn refusal(image: &Image, devices: &[Vec<u8>]) -> Error {
    let started = start(&image.name, devices.to_vec());
    started.err().expect("must be refused")
}

/// Which files can not be read, apart from those that are compressed.
fn unreadable(tree: &Tree) -> Vec<(String, Error)> {
    let errors = tree.errors.iter();
    errors
        .filter(|(_, e)| e.class() != Class::Unsupported)
        .map(|(path, e)| (String::from_utf8_lossy(path).into_owned(), *e))
        .collect()
}

#[test]
fn the_key_has_to_be_there_and_right() {
    for image in encrypted() {
        let devices = image.unpack_locked().unwrap();
        let sb = unlock::superblock(&devices[0]).unwrap();
        let name = unlock::description(&sb);
        let right = unlock::derive(&sb, &image.passphrase().unwrap().unwrap()).unwrap();
        let wrong = unlock::derive(&sb, "battery staple").unwrap();

        keyring::clear();
        let missing = refusal(&image, &devices);
        assert_eq!(missing, Error::KeyMissing);
        assert_eq!(missing.errno(), Errno::ENOKEY);
        keyring::add("bcachefs:another", Ok(&right));
        assert_eq!(refusal(&image, &devices), Error::KeyMissing);
        for (key, error, errno) in [
            (Ok(&wrong[..]), Error::KeyWrong, Errno::EINVAL),
            (Ok(&right[..31]), Error::KeySize, Errno::EINVAL),
            (Ok(&[7; 33]), Error::KeySize, Errno::EINVAL),
            (
                Err(Errno::EKEYEXPIRED),
                Error::KeyExpired,
                Errno::EKEYEXPIRED,
            ),
            (
                Err(Errno::EKEYREVOKED),
                Error::KeyRevoked,
                Errno::EKEYREVOKED,
            ),
            (Err(Errno::EACCES), Error::KeyRefused, Errno::EACCES),
        ] {
            keyring::add(&name, key);
            let error_found = refusal(&image, &devices);
            assert_eq!(
                (error_found, error_found.errno()),
                (error, errno),
                "{}",
                image.name
            );
        }
        keyring::add(&name, Ok(&right));
        start(&image.name, devices).unwrap();
    }
}

/// Makes the checksum of the first superblock right.
fn seal_superblock(device: &mut [u8]) {
    let sb = unlock::superblock(device).unwrap();
    let end = SB
        + 752
        + device[SB + 124..SB + 128]
            .iter()
            .rev()
            .fold(0, |n, b| n << 8 | *b as usize)
            * 8;
    let kind = RawSb::read(&device[SB..]).unwrap().csum_type();
    let sum = kind.checksum(&device[SB + 16..end]).unwrap();
    device[SB..SB + 8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(unlock::superblock(device).unwrap().seq(), sb.seq());
}

/// A superblock that says it was not shut down cleanly makes us read the journal, whose newest
/// entry has all that the clean section has.
#[test]
fn the_journal_is_decrypted() {
    for image in encrypted() {
        let devices = image.unpack().unwrap();
        let clean = start(&image.name, devices.clone()).unwrap();
        let mut unclean = devices.clone();
        for device in &mut unclean {
            // C: BCH_SB_CLEAN.
            device[SB + 144] &= !2;
            seal_superblock(device);
            assert!(!unlock::superblock(device).unwrap().is_clean());
        }
        let dirty = start(&image.name, unclean.clone()).unwrap();
        assert_eq!(walk(&clean.view).entries, walk(&dirty.view).entries);

        // Each journal entry is authenticated: with a changed byte in each, none is left.
        let magic = filesystem_magic(&clean.view.sb().sb.uuid().0) ^ JSET_MAGIC;
        let mut nr = 0;
        for block in unclean.iter_mut().flat_map(|d| d.chunks_exact_mut(512)) {
            if let Some(head) = RawJset::read(block).filter(|j| j.magic() == magic) {
                assert!(CsumType(head.csum_type()).is_encryption());
                block[50] ^= 1;
                nr += 1;
            }
        }
        assert!(nr > 0, "{}", image.name);
        assert_eq!(refusal(&image, &unclean), Error::JournalEmpty);
    }
}

/// Where the btree nodes are on a device.
fn nodes(device: &[u8]) -> Vec<usize> {
    let sb = unlock::superblock(device).unwrap();
    let magic = filesystem_magic(&sb.uuid().0) ^ BSET_MAGIC;
    let found = (0..device.len())
        .step_by(512)
        .filter(|at| device[at + 16..at + 24] == magic.to_le_bytes());
    found.collect()
}

/// A set of keys is not used when a bit of it, of its code, or of what the nonce is made from is
/// wrong.
#[test]
fn changed_metadata_is_refused() {
    for image in encrypted() {
        let devices = image.unpack().unwrap();
        // In the code, the flags, the range, the journal sequence number.
        for at in [0, 9, 15, 24, 40, 144] {
            let mut changed = devices.clone();
            for device in &mut changed {
                for node in nodes(device) {
                    let set = Bset::first(&device[node..]).unwrap();
                    let kind = CsumType(set.head.csum_type());
                    assert_eq!(kind, CsumType::CHACHA20_POLY1305_128);
                    device[node + at] ^= 0x10;
                }
            }
            let error = refusal(&image, &changed);
            assert_eq!(error, Error::NodeChecksum, "{}: byte {at}", image.name);
        }
        // A key of each set but the first.
        let mut changed = devices.clone();
        let block = unlock::superblock(&devices[0]).unwrap().block_bytes() as usize;
        for device in &mut changed {
            for node in nodes(device) {
                for key in later_keys(device, node, block) {
                    device[key] ^= 0x10;
                }
            }
        }
        assert_ne!(changed, devices);
        assert_eq!(refusal(&image, &changed), Error::NodeChecksum);
        // An unknown section in the place of the key's: no key, and metadata that needs one.
        let mut changed = devices.clone();
        for device in &mut changed {
            let section = find_section(device, SectionType::CRYPT);
            device[section + 4] = 200;
            seal_superblock(device);
        }
        assert_eq!(refusal(&image, &changed), Error::NodeNoKey);
    }
}

/// With everything on two devices, the other one is used, whatever is wrong on the first.
#[test]
fn changes_are_read_around() {
    let image = mirrored();
    let devices = image.unpack().unwrap();
    let manifest = image.manifest().unwrap();
    let is_same = |devices: Vec<Vec<u8>>| {
        let fs = start(&image.name, devices).unwrap();
        assert_eq!(manifest.differences(&walk(&fs.view)), Vec::<String>::new());
        fs
    };
    let fs = is_same(devices.clone());
    let data = data_sectors(&fs);
    assert!(data.iter().any(|d| d.0 == 0) && data.iter().any(|d| d.0 == 1));
    for n in [0, 1] {
        let mut changed = devices.clone();
        for node in nodes(&devices[n]) {
            changed[n][node + 24] ^= 1;
        }
        for (_, sector) in data.iter().filter(|(dev, _)| *dev == n) {
            changed[n][sector * 512] ^= 1;
        }
        is_same(changed);
    }
    // Nothing helps when it is wrong on both.
    let mut changed = devices;
    for (dev, sector) in data {
        changed[dev][sector * 512] ^= 1;
    }
    let bad = unreadable(&walk(&start(&image.name, changed).unwrap().view));
    assert!(bad.len() >= 4 && bad.iter().all(|(_, e)| *e == Error::DataChecksum));
}

/// The first byte of keys of each set but the first.
fn later_keys(device: &[u8], node: usize, block: usize) -> Vec<usize> {
    let first = Bset::first(&device[node..]).unwrap();
    let mut at = node + first.total_bytes().next_multiple_of(block);
    let mut found = Vec::new();
    while let Some(set) = Bset::later(&device[at..]).filter(|s| s.head.seq() == first.head.seq()) {
        if !set.keys.is_empty() {
            found.push(at + set.total_bytes() - set.keys.len());
        }
        at += set.total_bytes().next_multiple_of(block);
    }
    found
}

/// Where a section of the first superblock starts.
fn find_section(device: &[u8], kind: SectionType) -> usize {
    let mut at = SB + 752;
    loop {
        let word = |at: usize| u32::from_le_bytes(device[at..at + 4].try_into().unwrap());
        if word(at + 4) == kind.0 {
            return at;
        }
        at += word(at) as usize * 8;
    }
}

/// Extents whose first sector was changed: an error for each file that has one, everything else as
/// it was.
#[test]
fn changed_data_is_refused() {
    for image in encrypted() {
        let devices = image.unpack().unwrap();
        let manifest = image.manifest().unwrap();
        let fs = start(&image.name, devices.clone()).unwrap();
        let before = walk(&fs.view);
        assert_eq!(unreadable(&before), []);
        let data = data_sectors(&fs);
        assert!(!data.is_empty(), "{}: no extent", image.name);
        for bit in [0, 511 * 8 + 7] {
            let mut changed = devices.clone();
            for (dev, sector) in &data {
                changed[*dev][sector * 512 + bit / 8] ^= 1 << (bit % 8);
            }
            let tree = walk(&start(&image.name, changed).unwrap().view);
            let bad = unreadable(&tree);
            assert!(!bad.is_empty(), "{}", image.name);
            assert!(
                bad.iter().all(|(_, e)| *e == Error::DataChecksum),
                "{bad:?}"
            );
            // Each is a difference three times: an error, its errno, no contents.
            let differences = manifest.differences(&tree).len();
            assert_eq!(
                differences,
                manifest.differences(&before).len() + 3 * bad.len()
            );
        }
    }
}

/// Device and sector of all data that is encrypted and not compressed.
fn data_sectors(fs: &Filesystem) -> Vec<(usize, usize)> {
    let btrees = &fs.view.btrees;
    let mut found = Vec::new();
    let mut keys = btrees.iter(BtreeId::EXTENTS, 0, Default::default());
    while let Ok(Some(key)) = keys.next() {
        for ptr in ptrs(&key, btrees.entry_sizes()).flatten() {
            if ptr.crc.csum_type.is_encryption() && !ptr.crc.is_compressed() {
                found.push((ptr.ptr.dev.0.into(), ptr.ptr.offset.0 as usize));
            }
        }
    }
    // Parts of one extent have its data in common.
    found.sort();
    found.dedup();
    found
}
