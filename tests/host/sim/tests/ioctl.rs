// SPDX-License-Identifier: GPL-2.0

//! The ioctls of the tools: what they answer, and that no argument does harm.

use sim::{
    ctl::ioctl::{
        control,
        On, //
    },
    env::Arc,
    error::{
        errno::Errno,
        Error, //
    },
    format::{
        bkey::split_unpacked,
        key_type::KeyType,
        opts::Opts,
        sb::Version,
        values::accounting::{
            counters,
            Counted, //
        },
    },
    golden::{
        images,
        Image, //
    },
    init::{
        Access,
        Filesystem, //
    },
    sys::caller,
};

const READ: u32 = 2;
const WRITE: u32 = 1;

const fn number(direction: u32, nr: u32, bytes: u32) -> u32 {
    (direction << 30) | (bytes << 16) | (0xbc << 8) | nr
}

const QUERY_UUID: u32 = number(READ, 1, 16);
const FS_USAGE: u32 = number(READ | WRITE, 11, 64);
const DEV_USAGE: u32 = number(READ | WRITE, 11, 280);
const READ_SUPER: u32 = number(WRITE, 12, 32);
const DISK_GET_IDX: u32 = number(WRITE, 13, 8);
const DEV_USAGE_V2: u32 = number(READ | WRITE, 18, 32);
const QUERY_ACCOUNTING: u32 = number(WRITE, 21, 32);
const QUERY_COUNTERS: u32 = number(WRITE, 21, 8);
const DISK_REMOVE_V2: u32 = number(WRITE, 24, 32);
const SUBVOLUME_CREATE: u32 = number(WRITE, 16, 32);
const FSCK_OFFLINE: u32 = number(WRITE, 19, 24);

const BY_INDEX: u32 = 1 << 4;
const READ_DEV: u32 = 1 << 5;
/// Where the caller's memory is.
const START: usize = 0x1000;

fn start(name: &str) -> Option<Arc<Filesystem>> {
    let folder = images::folder()?;
    let image = Image::named(&folder, name).expect(name);
    let devs = images::devices(name, image.unpack().expect(name));
    Some(Filesystem::start(devs, &Opts::default()).expect(name))
}

/// Makes an ioctl; `memory` is all that the caller has, with the argument at its start.
fn ioctl(fs: &Filesystem, admin: bool, cmd: u32, memory: &mut Vec<u8>) -> Result<u32, Error> {
    at(On::File, fs, admin, cmd, memory, START)
}

fn at(
    on: On,
    fs: &Filesystem,
    admin: bool,
    cmd: u32,
    memory: &mut Vec<u8>,
    arg: usize,
) -> Result<u32, Error> {
    caller::with(|c| {
        c.admin = admin;
        c.start = START;
        std::mem::swap(&mut c.memory, memory);
    });
    let result = control(on, cmd, arg, |request| request.answer(fs));
    caller::with(|c| std::mem::swap(&mut c.memory, memory));
    result
}

fn put<const N: usize>(memory: &mut [u8], at: usize, bytes: [u8; N]) {
    memory[at..at + N].copy_from_slice(&bytes);
}

fn u32_at(memory: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(memory[at..at + 4].try_into().unwrap())
}

fn u64_at(memory: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(memory[at..at + 8].try_into().unwrap())
}

/// Asks for the counters of `types`: the head, and each counter with its values.
fn accounting(fs: &Filesystem, types: u32, order: Version) -> (Vec<u64>, Vec<(Counted, Vec<i64>)>) {
    let mut memory = vec![0; 1 << 16];
    put(&mut memory, 24, 8000u32.to_ne_bytes());
    put(&mut memory, 28, types.to_ne_bytes());
    assert_eq!(ioctl(fs, true, QUERY_ACCOUNTING, &mut memory), Ok(0));
    let end = 32 + 8 * u32_at(&memory, 24) as usize;
    let mut rest = &memory[32..end];
    let mut found = Vec::new();
    while let Some((key, next)) = split_unpacked(rest) {
        assert_eq!(key.k.key_type, KeyType::ACCOUNTING);
        let counted = Counted::decode(key.k.p, order);
        found.push((counted, counters(key.v).collect()));
        rest = next;
    }
    assert!(rest.is_empty());
    ((0..3).map(|i| u64_at(&memory, 8 * i)).collect(), found)
}

/// The sum of the first counter of all sets of devices.
fn sectors(found: &[(Counted, Vec<i64>)]) -> i64 {
    let of_sets = found
        .iter()
        .filter(|(c, _)| matches!(c, Counted::Replicas(_)));
    of_sets.map(|(_, v)| v[0]).sum()
}

#[test]
fn counters_are_in_the_order_that_the_asker_expects() {
    let (old, new) = (Version::OLDEST, Version::NEWEST);
    for name in ["v113-repl2", "v139-repl2"] {
        let Some(fs) = start(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        let is_old = fs.view.sb().sb.version() == old;
        // Rebalance work and everything around it, as the tools for 1.13 ask; then without it.
        let (head, with) = accounting(&fs, 0xd6, if is_old { old } else { new });
        let (later, without) = accounting(&fs, 0x56, new);
        assert!(!with.is_empty());
        assert!(with.iter().all(|(c, _)| c.type_bit() & 0xd6 != 0), "{name}");
        assert_eq!(sectors(&with), sectors(&without), "{name}");
        assert_ne!(sectors(&with), 0, "{name}");
        let usage = fs.usage();
        assert_eq!(later, [usage.capacity, usage.used, 0], "{name}");
        assert_eq!(head[0] > later[0], is_old, "{name}");
    }
}

#[test]
fn devices_are_found_by_slot_name_and_number() {
    let Some(fs) = start("v139-threedev") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let st = fs.view.sb();
    for dev in st.devices() {
        let mut memory = vec![0; 1024];
        let by_slot = |memory: &mut Vec<u8>, flags: u32| {
            put(memory, 0, u64::from(dev.idx.0).to_ne_bytes());
            put(memory, 8, flags.to_ne_bytes());
            put(memory, 12, [0, 12]);
        };
        by_slot(&mut memory, BY_INDEX);
        assert_eq!(ioctl(&fs, false, DEV_USAGE_V2, &mut memory), Ok(0));
        assert_eq!(u32_at(&memory, 20), u32::from(dev.member.bucket_sectors()));
        let usable = dev.member.nbuckets() - u64::from(dev.member.first_bucket());
        assert_eq!(u64_at(&memory, 24), usable);
        let all: u64 = (0..12).map(|ty| u64_at(&memory, 32 + 24 * ty)).sum();
        assert_eq!(all, usable, "buckets of all types");
        let second = memory[32..32 + 240].to_vec();

        put(&mut memory, 12, [0; 8]);
        assert_eq!(ioctl(&fs, false, DEV_USAGE, &mut memory), Ok(0));
        assert_eq!(memory[40..280], second);

        let path = format!("/dev/{}\0", dev.bdev.name());
        memory[512..512 + path.len()].copy_from_slice(path.as_bytes());
        by_slot(&mut memory, 0);
        put(&mut memory, 0, (START + 512).to_ne_bytes());
        assert_eq!(ioctl(&fs, false, DEV_USAGE_V2, &mut memory), Ok(0));
        assert_eq!(memory[32..32 + 240], second);

        put(&mut memory, 0, u64::from(dev.bdev.number().0).to_ne_bytes());
        assert_eq!(
            ioctl(&fs, true, DISK_GET_IDX, &mut memory),
            Ok(dev.idx.0.into())
        );

        let own = dev.own.to_bytes().unwrap();
        let mut memory = vec![0; 1 << 17];
        put(&mut memory, 0, (BY_INDEX | READ_DEV).to_ne_bytes());
        put(&mut memory, 8, u64::from(dev.idx.0).to_ne_bytes());
        put(&mut memory, 24, (START + 64).to_ne_bytes());
        put(&mut memory, 16, (own.len() as u64 - 1).to_ne_bytes());
        let short = ioctl(&fs, true, READ_SUPER, &mut memory);
        assert_eq!(short, Err(Error::IoctlBufferTooSmall));
        put(&mut memory, 16, (own.len() as u64).to_ne_bytes());
        assert_eq!(ioctl(&fs, true, READ_SUPER, &mut memory), Ok(0));
        assert_eq!(&memory[64..64 + own.len()], &*own);
    }
    let mut memory = vec![0; 64];
    put(&mut memory, 0, 3u64.to_ne_bytes());
    put(&mut memory, 8, BY_INDEX.to_ne_bytes());
    let beyond = ioctl(&fs, false, DEV_USAGE_V2, &mut memory);
    assert_eq!(beyond, Err(Error::IoctlNoSuchIndex));
    put(&mut memory, 0, u64::from(u32::MAX).to_ne_bytes());
    let nobodys = ioctl(&fs, true, DISK_GET_IDX, &mut memory);
    assert_eq!(nobodys, Err(Error::IoctlNoSuchNumber));
}

#[test]
fn usage_adds_up() {
    let Some(fs) = start("v113-repl2") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut memory = vec![0; 4096];
    assert_eq!(
        ioctl(&fs, false, FS_USAGE, &mut memory),
        Err(Error::IoctlBufferTooSmall)
    );
    put(&mut memory, 56, 2048u32.to_ne_bytes());
    assert_eq!(ioctl(&fs, false, FS_USAGE, &mut memory), Ok(0));
    assert_eq!(u64_at(&memory, 8), fs.usage().used);
    let mut records = &memory[64..64 + u32_at(&memory, 56) as usize];
    let mut sum = 0;
    while !records.is_empty() {
        sum += u64_at(records, 0) as i64;
        records = &records[11 + usize::from(records[9])..];
    }
    let (_, counted) = accounting(&fs, 0xd6, Version::OLDEST);
    assert_eq!(sum, sectors(&counted));

    assert_eq!(ioctl(&fs, false, QUERY_UUID, &mut memory), Ok(0));
    assert_eq!(memory[..16], fs.view.sb().sb.user_uuid().0);

    memory.fill(0);
    put(&mut memory, 0, 200u16.to_ne_bytes());
    assert_eq!(ioctl(&fs, false, QUERY_COUNTERS, &mut memory), Ok(0));
    assert!(u32_at(&memory, 0) < 200);
    assert!(u64_at(&memory, 8 + 14 * 8) > fs.view.sb().sb.counter(14));
}

#[test]
fn arguments_that_make_no_sense() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let image = Image::named(&folder, "v113-threedev").unwrap();
    let mut contents = image.unpack().unwrap();
    contents.remove(1);
    let mut opts = Opts::default();
    opts.parse_list("very_degraded").unwrap();
    let fs = Filesystem::start(images::devices("sim", contents), &opts).unwrap();

    let mut short = vec![0; 8];
    assert_eq!(
        ioctl(&fs, true, QUERY_UUID, &mut short),
        Err(Error::IoctlMemory)
    );
    let none = ioctl(&fs, true, DISK_GET_IDX, &mut short);
    assert_eq!(none, Err(Error::IoctlBadArg));

    let mut memory = vec![0; 256];
    put(&mut memory, 0, READ_DEV.to_ne_bytes());
    put(&mut memory, 8, (START + 128).to_ne_bytes());
    put(&mut memory, 128, *b"/dev/other\0");
    let by_name = ioctl(&fs, true, READ_SUPER, &mut memory);
    assert_eq!(by_name, Err(Error::IoctlNoSuchName));
    put(&mut memory, 0, (BY_INDEX | READ_DEV).to_ne_bytes());
    put(&mut memory, 8, 1u64.to_ne_bytes());
    let absent = ioctl(&fs, true, READ_SUPER, &mut memory);
    assert_eq!(absent, Err(Error::IoctlDeviceAbsent));
}

#[test]
fn changes_are_refused_with_a_reason() {
    let Some(fs) = start("v139-empty") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let mut memory = vec![0; 256];
    put(&mut memory, 0, BY_INDEX.to_ne_bytes());
    put(&mut memory, 16, (START + 128).to_ne_bytes());
    put(&mut memory, 24, 100u32.to_ne_bytes());
    let mut ask = |admin| ioctl(&fs, admin, DISK_REMOVE_V2, &mut memory);
    assert_eq!(ask(false), Err(Error::IoctlNonAdmin));
    assert_eq!(ask(true), Err(Error::IoctlReadOnly));
    let text = Error::IoctlReadOnly.text().as_bytes();
    assert_eq!(&memory[128..128 + text.len()], text);
    put(&mut memory, 8, 9u64.to_ne_bytes());
    let other = ioctl(&fs, true, DISK_REMOVE_V2, &mut memory);
    assert_eq!(other, Err(Error::IoctlNoSuchIndex));

    let mut memory = vec![0; 64];
    let mut offline = |on| at(on, &fs, true, FSCK_OFFLINE, &mut memory, START);
    assert_eq!(offline(On::All), Err(Error::IoctlNotYet));
    assert_eq!(offline(On::Device), Err(Error::IoctlUnknown));
}

/// Of a filesystem that is written, nobody is told that it is read-only.
#[test]
fn changes_that_are_not_supported_yet() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let image = Image::named(&folder, "v113-empty").unwrap();
    let devs = images::devices("sim", image.unpack().unwrap());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    let mut memory = vec![0; 64];
    let mut create = |fs| ioctl(fs, true, SUBVOLUME_CREATE, &mut memory);
    assert_eq!(create(&fs), Err(Error::IoctlNotYet));
    fs.go_read_only().unwrap();
    assert_eq!(create(&fs), Err(Error::IoctlReadOnly));
}

/// What an errno may be for any argument.
const ERRNOS: &[Errno] = &[
    Errno::ENOTTY,
    Errno::EOPNOTSUPP,
    Errno::EFAULT,
    Errno::EPERM,
    Errno::EINVAL,
    Errno::ENOENT,
    Errno::ERANGE,
    Errno::EROFS,
];

#[test]
fn no_argument_does_harm() {
    for name in ["v113-threedev", "v139-snap"] {
        let Some(fs) = start(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        let mut seed = 0x243f_6a88_85a3_08d3u64;
        let mut random = move || {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed
        };
        let sizes = [0, 8, 16, 24, 32, 40, 48, 64, 72, 112, 280];
        let mut answered = 0;
        for _ in 0..60_000 {
            let cmd = number(
                (random() % 4) as u32,
                [1, 11, 12, 13, 18, 21][(random() % 6) as usize] + (random() % 3) as u32 * 4,
                sizes[(random() % 11) as usize],
            );
            let cmd = match random() % 3 {
                0 => cmd,
                _ => *[
                    QUERY_UUID,
                    FS_USAGE,
                    DEV_USAGE,
                    READ_SUPER,
                    DISK_GET_IDX,
                    DEV_USAGE_V2,
                    QUERY_ACCOUNTING,
                    QUERY_COUNTERS,
                    DISK_REMOVE_V2,
                    FSCK_OFFLINE,
                ]
                .get((random() % 10) as usize)
                .unwrap(),
            };
            // Mostly small numbers, sometimes addresses, sometimes anything.
            let mut memory = Vec::new();
            for _ in 0..random() % 120 {
                let word = match random() % 6 {
                    0 => random(),
                    1 => START as u64 + random() % 700,
                    2 => random() % 64,
                    3 => (random() % 64) << 32,
                    _ => 0,
                };
                memory.extend_from_slice(&word.to_ne_bytes());
            }
            let arg = match random() % 8 {
                0 => 0,
                1 => usize::MAX - (random() % 64) as usize,
                2 => START + (random() % 64) as usize,
                _ => START,
            };
            let (admin, on) = (random() % 4 != 0, [On::File, On::Device, On::All]);
            let on = on[(random() % 5).saturating_sub(2) as usize];
            match at(on, &fs, admin, cmd, &mut memory, arg) {
                Ok(value) => {
                    assert!(value < 3 && (admin || cmd != READ_SUPER));
                    answered += 1;
                }
                Err(e) => assert!(ERRNOS.contains(&e.errno()), "{cmd:x}: {e}"),
            }
        }
        assert!(answered > 500, "{name}: {answered} answered");
    }
}
