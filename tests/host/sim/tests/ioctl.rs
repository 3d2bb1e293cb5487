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
    golden::images,
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
const SUBVOLUME_LIST: u32 = number(READ | WRITE, 31, 24);
const SUBVOLUME_TO_PATH: u32 = number(READ | WRITE, 32, 16);
const SNAPSHOT_TREE: u32 = number(READ | WRITE, 33, 24);
const SNAPSHOT_TREE_V2: u32 = number(READ | WRITE, 35, 24);
const FSCK_OFFLINE: u32 = number(WRITE, 19, 24);

const BY_INDEX: u32 = 1 << 4;
const READ_DEV: u32 = 1 << 5;
/// Where the caller's memory is.
const START: usize = 0x1000;

fn start(name: &str) -> Option<Arc<Filesystem>> {
    let image = images::image(name)?;
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
    let result = control(on, cmd, arg, |request| request.answer(fs, 1));
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
    let Some(image) = images::image("v113-threedev") else {
        return;
    };
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
    let Some(image) = images::image("v113-empty") else {
        return;
    };
    let devs = images::devices("sim", image.unpack().unwrap());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    let mut memory = vec![0; 64];
    let mut create = |fs| ioctl(fs, true, SUBVOLUME_CREATE, &mut memory);
    assert_eq!(create(&fs), Err(Error::IoctlNotYet));
    fs.go_read_only().unwrap();
    assert_eq!(create(&fs), Err(Error::IoctlReadOnly));
}

/// All nodes of the snapshot tree `tree`, or of that of the subvolume 1, as the first version has
/// them or the second: the numbers of the head, then those of each node.
fn snapshot_tree(
    fs: &Filesystem,
    tree: u32,
    room: u32,
    second: bool,
) -> (Result<u32, Error>, Vec<u32>, Vec<Vec<u32>>) {
    let (cmd, each) = match second {
        true => (SNAPSHOT_TREE_V2, 48),
        false => (SNAPSHOT_TREE, 40),
    };
    let mut memory = vec![0xff; 24 + each * room as usize];
    put(&mut memory, 0, tree.to_ne_bytes());
    put(&mut memory, 12, room.to_ne_bytes());
    let last = if second { each as u32 } else { 0 };
    put(&mut memory, 20, last.to_ne_bytes());
    let result = ioctl(fs, true, cmd, &mut memory);
    let words =
        |bytes: &[u8]| -> Vec<u32> { (0..bytes.len() / 4).map(|i| u32_at(bytes, 4 * i)).collect() };
    let head = words(&memory[..24]);
    let nr = if result.is_ok() { head[3] as usize } else { 0 };
    let nodes = memory[24..].chunks(each).take(nr).map(words).collect();
    (result, head, nodes)
}

#[test]
fn subvolumes_and_the_trees_of_their_snapshots() {
    for (name, has_keys) in [("v113-snap", false), ("v139-snap", true)] {
        let Some(fs) = start(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        let (result, first, _) = snapshot_tree(&fs, 0, 100, false);
        assert_eq!((result, first[1]), (Ok(0), 1), "{name}");
        let mut nodes = Vec::new();
        for tree in 1..100 {
            let (result, head, some) = snapshot_tree(&fs, tree, 100, false);
            if result == Err(Error::SnapshotTreeNotFound) {
                continue;
            }
            assert_eq!(result, Ok(0), "{name}");
            let [_, _, root, nr, total, _] = head[..] else {
                panic!("{head:?}");
            };
            assert_eq!((nr, some.len()), (total, total as usize), "{name}");
            assert!(some.iter().any(|n| n[0] == root && n[1] == 0));
            for n in &some {
                let is_child = |p: &Vec<u32>| p[0] == n[1] && p[2..4].contains(&n[0]);
                assert!(n[1] == 0 || some.iter().any(is_child), "{name}: {n:?}");
            }

            let (result, head, later) = snapshot_tree(&fs, tree, 100, true);
            assert_eq!((result, head[5]), (Ok(0), 56), "{name}");
            assert!(later.iter().zip(&some).all(|(a, b)| a[..10] == b[..]));
            assert_eq!(later.iter().any(|n| n[10] != 0), has_keys, "{name}");

            if total > 1 {
                let (result, head, _) = snapshot_tree(&fs, tree, total - 1, true);
                assert_eq!(result, Err(Error::IoctlBufferTooSmall));
                assert_eq!((head[3], head[4]), (total - 1, total));
            }
            assert_eq!(snapshot_tree(&fs, tree, 0, false).0, Ok(0));
            nodes.extend(some);
        }
        let counted = accounting(&fs, 1 << 5, Version::NEWEST).1;
        let of_node = |id: u32| {
            let of = |c: &&(Counted, Vec<i64>)| matches!(c.0, Counted::Snapshot(of, _) if of == id);
            counted
                .iter()
                .filter(of)
                .map(|c| *c.1.last().unwrap())
                .sum()
        };
        assert!(counted.len() > 2 && nodes.len() > 2);
        assert!(
            nodes.iter().all(|n| i64::from(n[8]) == of_node(n[0])),
            "{name}"
        );
        let other = snapshot_tree(&fs, 99_999, 1, false).0;
        assert_eq!(other, Err(Error::SnapshotTreeNotFound));

        let path_of = |subvol: u32, room: u32| {
            let mut memory = vec![0; 600];
            put(&mut memory, 0, subvol.to_ne_bytes());
            put(&mut memory, 4, room.to_ne_bytes());
            put(&mut memory, 8, (START + 16).to_ne_bytes());
            let result = ioctl(&fs, false, SUBVOLUME_TO_PATH, &mut memory);
            let text = memory[16..].split(|b| *b == 0).next().unwrap();
            result.map(|_| String::from_utf8(text.to_vec()).unwrap())
        };
        let found = |id: &u32| path_of(*id, 500).unwrap();
        let all: Vec<u32> = nodes.iter().map(|n| n[4]).filter(|s| *s != 0).collect();
        println!("{name}: {:?}", all.iter().map(found).collect::<Vec<_>>());
        assert!(all.len() > 1 && all.contains(&1) && found(&1).is_empty());
        for id in all.iter().filter(|id| **id != 1) {
            let path = found(id);
            let exact = path.len() as u32 + 1;
            assert!(!path.is_empty() && !path.starts_with('/'), "{path}");
            assert_eq!(path_of(*id, exact), Ok(path));
            let short = path_of(*id, exact - 1);
            assert_eq!(short, Err(Error::IoctlBufferTooSmall));
        }
        assert_eq!(path_of(99_999, 500), Err(Error::SubvolumeNotFound));
        assert_eq!(path_of(1, 0), Err(Error::IoctlBadArg));
    }
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
                    SUBVOLUME_LIST,
                    SUBVOLUME_TO_PATH,
                    SNAPSHOT_TREE,
                    SNAPSHOT_TREE_V2,
                ]
                .get((random() % 14) as usize)
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
