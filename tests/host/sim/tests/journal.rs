// SPDX-License-Identifier: GPL-2.0

//! Journals on two devices with every kind of damage: a golden image is marked as not shut down
//! cleanly, its journal replaced by entries made for the test. Without images
//! (`BCACHEFS_RS_IMAGES`) the tests only say so.

use sim::{
    error::{
        Error,
        Result, //
    },
    format::{
        csum::CsumType,
        jset::{
            RawJset,
            JSET_MAGIC, //
        },
        node::filesystem_magic,
        opts::Opts,
        sb::{
            RawSb,
            Superblock, //
        },
    },
    golden::{
        images,
        walk,
        Image,
        Manifest, //
    },
    init::Filesystem,
    journal,
    sb, //
};

/// Two devices, not shut down cleanly, whose journals are empty.
struct Template {
    name: &'static str,
    manifest: Manifest,
    devices: Vec<Vec<u8>>,
    /// By device: where each journal bucket starts and ends, in bytes.
    buckets: Vec<Vec<(usize, usize)>>,
    /// Bytes that entries are aligned to.
    block: usize,
    /// A good journal entry: the newest.
    entry: Vec<u8>,
}

/// One journal entry to be made.
#[derive(Clone, Copy)]
struct Entry {
    seq: u64,
    /// 0 for one that was not flushed.
    last_seq: u64,
    /// What is wrong with it.
    damage: Damage,
}

#[derive(Clone, Copy, PartialEq)]
enum Damage {
    None,
    /// A byte of the records is wrong.
    Records,
    /// Only the first block was written.
    Torn,
    /// Its header says that it goes beyond its bucket.
    Length,
}

const fn good(seq: u64, last_seq: u64) -> Entry {
    Entry {
        seq,
        last_seq,
        damage: Damage::None,
    }
}

const fn noflush(seq: u64) -> Entry {
    good(seq, 0)
}

const fn bad(seq: u64, last_seq: u64) -> Entry {
    Entry {
        damage: Damage::Records,
        ..good(seq, last_seq)
    }
}

const fn torn(seq: u64, last_seq: u64) -> Entry {
    Entry {
        damage: Damage::Torn,
        ..good(seq, last_seq)
    }
}

const fn long(seq: u64, last_seq: u64) -> Entry {
    Entry {
        damage: Damage::Length,
        ..good(seq, last_seq)
    }
}

/// What is on the devices: device, bucket, entries one after the other.
type Layout<'a> = &'a [(usize, usize, &'a [Entry])];

fn put(bytes: &mut [u8], at: usize, new: &[u8]) {
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// Makes the copies of the superblock say that the filesystem was not shut down cleanly.
fn mark_dirty(device: &mut [u8]) {
    let nr = usize::from(device[7 * 512 + 18]);
    for i in 0..nr {
        let at = 7 * 512 + 24 + i * 8;
        let sector = u64::from_le_bytes(device[at..at + 8].try_into().unwrap());
        let start = usize::try_from(sector).unwrap() * 512;
        let u64s = u32::from_le_bytes(device[start + 124..start + 128].try_into().unwrap());
        let sb = &mut device[start..start + 752 + u64s as usize * 8];
        sb[144] &= !2;
        let kind = RawSb::read(sb).unwrap().csum_type();
        let sum = kind.checksum(&sb[16..]).unwrap();
        put(sb, 0, &sum.to_le_bytes());
    }
}

impl Template {
    fn new(name: &'static str) -> Option<Self> {
        let Some(folder) = images::folder() else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return None;
        };
        let image = Image::named(&folder, name)?;
        let mut devices = image.unpack().unwrap();
        let mut buckets = Vec::new();
        let mut newest: (u64, Vec<u8>) = (0, Vec::new());
        let mut block = 0;
        for device in &mut devices {
            mark_dirty(device);
            let u64s = u32::from_le_bytes(device[4096 + 124..4096 + 128].try_into().unwrap());
            let end = 4096 + 752 + u64s as usize * 8;
            let sb = Superblock::decode(&device[4096..end], None).unwrap();
            block = sb.block_bytes() as usize;
            let magic = filesystem_magic(&sb.uuid().0) ^ JSET_MAGIC;
            let size = usize::from(sb.member(sb.dev_idx()).unwrap().bucket_sectors()) * 512;
            let places: Vec<(usize, usize)> = sb
                .journal_buckets()
                .iter()
                .map(|b| (b as usize * size, (b as usize + 1) * size))
                .collect();
            for &(start, end) in &places {
                for at in (start..end).step_by(512) {
                    let head = RawJset::read(&device[at..end]);
                    let head = head.filter(|j| j.magic() == magic && j.seq() > newest.0);
                    if let Some(j) = head.filter(|j| !j.is_no_flush()) {
                        newest = (j.seq(), device[at..at + j.total_bytes()].to_vec());
                    }
                }
                device[start..end].fill(0);
            }
            buckets.push(places);
        }
        Some(Self {
            name,
            manifest: image.manifest().unwrap(),
            devices,
            buckets,
            block,
            entry: newest.1,
        })
    }

    fn bytes_of(&self, e: &Entry) -> Vec<u8> {
        let mut bytes = self.entry.clone();
        put(&mut bytes, 24, &e.seq.to_le_bytes());
        put(&mut bytes, 48, &e.last_seq.to_le_bytes());
        let no_flush = 1 << 5;
        bytes[36] = bytes[36] & !no_flush | if e.last_seq == 0 { no_flush } else { 0 };
        let kind = CsumType(RawJset::read(&bytes).unwrap().csum_type());
        let sum = kind.checksum(&bytes[16..]).unwrap();
        put(&mut bytes, 0, &sum.to_le_bytes());
        match e.damage {
            Damage::None => (),
            Damage::Records => bytes[60] ^= 0x10,
            // What was there before is older or nothing.
            Damage::Torn => bytes[512..].fill(0),
            Damage::Length => put(&mut bytes, 40, &(1u32 << 24).to_le_bytes()),
        }
        bytes
    }

    fn contents(&self, layout: Layout<'_>) -> Vec<Vec<u8>> {
        let mut devices = self.devices.clone();
        for (dev, bucket, entries) in layout {
            let (mut at, end) = self.buckets[*dev][*bucket];
            for e in *entries {
                let bytes = self.bytes_of(e);
                assert!(at + bytes.len() <= end);
                put(&mut devices[*dev], at, &bytes);
                at += bytes.len().next_multiple_of(self.block);
            }
        }
        devices
    }

    /// The first and last entry that are used, and the highest seen.
    fn read(&self, layout: Layout<'_>, lenient: bool) -> Result<(u64, u64, u64)> {
        let devices = images::devices(self.name, self.contents(layout));
        let st = sb::open(devices, &Opts::new())?;
        let found = journal::read(&st, lenient)?;
        assert!(!found.clean);
        assert!(found.blacklist.contains(found.last_seq + 1));
        Ok((found.first_seq, found.last_seq, found.highest_seq))
    }
}

const NAMES: [&str; 2] = ["v113-repl2", "v139-repl2"];

fn each(test: impl Fn(&Template)) {
    for name in NAMES {
        if let Some(t) = Template::new(name) {
            test(&t);
        }
    }
}

#[test]
fn what_the_journal_holds_is_used() {
    type Want = Result<(u64, u64, u64)>;
    const CASES: &[(&str, Layout<'static>, Want)] = &[
        (
            "the same on both",
            &[
                (0, 0, &[good(901, 901), good(902, 901)]),
                (1, 0, &[good(901, 901), good(902, 901)]),
            ],
            Ok((901, 902, 902)),
        ),
        (
            "half on one, half on the other",
            &[
                (0, 0, &[good(901, 901), good(903, 901)]),
                (1, 5, &[good(902, 901), good(904, 902)]),
            ],
            Ok((902, 904, 904)),
        ),
        (
            "a bad copy on one, a good one on the other",
            &[
                (0, 0, &[bad(901, 901), good(902, 901)]),
                (1, 0, &[good(901, 901), bad(902, 901)]),
            ],
            Ok((901, 902, 902)),
        ),
        (
            "the newest is torn on one",
            &[
                (0, 0, &[good(901, 901), torn(902, 901)]),
                (1, 0, &[good(901, 901), good(902, 901)]),
            ],
            Ok((901, 902, 902)),
        ),
        (
            "the newest is torn on both",
            &[
                (0, 0, &[good(901, 901), torn(902, 901)]),
                (1, 0, &[good(901, 901), torn(902, 901)]),
            ],
            Ok((901, 901, 902)),
        ),
        (
            "several were in flight, on each device another one is whole",
            &[
                (
                    0,
                    0,
                    &[good(901, 901), noflush(902), torn(903, 901), good(905, 901)],
                ),
                (
                    1,
                    0,
                    &[good(901, 901), torn(902, 0), good(903, 901), bad(904, 901)],
                ),
            ],
            Err(Error::JournalChecksum),
        ),
        (
            "nothing behind the last flush counts",
            &[
                (0, 0, &[good(901, 900), noflush(902), noflush(903)]),
                (1, 0, &[good(900, 900), bad(904, 900), noflush(905)]),
            ],
            Ok((900, 901, 905)),
        ),
        (
            "the ring has wrapped, the newest bucket is being written over an older one",
            &[
                (0, 0, &[good(905, 902), good(906, 903), good(805, 805)]),
                (0, 1, &[good(901, 900)]),
                (0, 2, &[good(902, 901), good(903, 902), good(904, 902)]),
                (1, 3, &[good(700, 700)]),
            ],
            Ok((903, 906, 906)),
        ),
        (
            "empty buckets between",
            &[
                (0, 1, &[good(901, 901)]),
                (0, 7, &[good(902, 901)]),
                (1, 4, &[good(903, 901)]),
            ],
            Ok((901, 903, 903)),
        ),
        (
            "one entry is nowhere",
            &[
                (0, 0, &[good(901, 901), good(903, 901)]),
                (1, 0, &[good(901, 901), good(903, 901)]),
            ],
            Err(Error::JournalEntriesMissing),
        ),
        (
            "the oldest is nowhere",
            &[(0, 0, &[good(902, 901), good(903, 901)])],
            Err(Error::JournalEntriesMissing),
        ),
        (
            "one is bad on both",
            &[
                (0, 0, &[good(901, 901), bad(902, 901), good(903, 901)]),
                (1, 0, &[good(901, 901), bad(902, 901), good(903, 901)]),
            ],
            Err(Error::JournalChecksum),
        ),
        (
            "one is bad, but no longer needed",
            &[
                (0, 0, &[bad(901, 901), good(902, 902)]),
                (1, 0, &[bad(901, 901)]),
            ],
            Ok((902, 902, 902)),
        ),
        (
            "the length of one is absurd, and what follows is found",
            &[
                (0, 0, &[long(901, 901), good(902, 901)]),
                (1, 0, &[good(901, 901)]),
            ],
            Ok((901, 902, 902)),
        ),
        (
            "only entries that were not flushed",
            &[(0, 0, &[noflush(901)]), (1, 0, &[noflush(902)])],
            Err(Error::JournalEmpty),
        ),
        ("nothing at all", &[], Err(Error::JournalEmpty)),
        (
            "an entry that asks for more than itself",
            &[(0, 0, &[good(901, 901), good(902, 950)])],
            Ok((901, 901, 902)),
        ),
    ];
    each(|t| {
        for (what, layout, want) in CASES {
            assert_eq!(t.read(layout, false), *want, "{}: {what}", t.name);
        }
    });
}

#[test]
fn without_what_is_lost_if_asked() {
    each(|t| {
        let hole: Layout<'_> = &[
            (0, 0, &[good(901, 901), good(904, 901)]),
            (1, 0, &[bad(902, 0)]),
        ];
        assert_eq!(t.read(hole, true), Ok((901, 904, 904)));
        let mut opts = Opts::new();
        opts.parse_list("errors=continue").unwrap();
        for (opts, want) in [(Opts::new(), Err(Error::JournalChecksum)), (opts, Ok(()))] {
            let devices = images::devices(t.name, t.contents(hole));
            let started = Filesystem::start(devices, &opts);
            assert_eq!(started.map(|_| ()), want);
        }
    });
}

#[test]
fn the_filesystem_is_the_same_and_the_guilty_device_is_counted() {
    each(|t| {
        let layout: Layout<'_> = &[
            (0, 0, &[good(901, 901), bad(902, 901), good(903, 901)]),
            (1, 0, &[good(901, 901), good(902, 901), good(903, 901)]),
        ];
        let devices = images::devices(t.name, t.contents(layout));
        let fs = Filesystem::start(devices, &Opts::new()).unwrap();
        let differences = t.manifest.differences(&walk(&fs.view));
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        let errors: Vec<(u64, u64)> = fs.view.sb().devices().map(|d| d.errors.get()).collect();
        assert!(errors[0].1 > 0, "{errors:?}");
        assert_eq!((errors[0].0, errors[1]), (0, (0, 0)));
    });
}
