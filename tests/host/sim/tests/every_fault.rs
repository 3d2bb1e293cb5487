// SPDX-License-Identifier: GPL-2.0

//! Each allocation fails, and each transfer, one at a time, in mounting, changing, syncing and
//! unmounting: there is an error with a name, nobody waits for ever, nothing is left behind, and
//! what was synced is there afterwards, in a filesystem in which everything agrees. And each lock
//! that is tried for is taken, which nobody notices.
//!
//! `BCACHEFS_RS_FAULTS` sets how many of each kind are tried, spread over all there are; 0: all.

mod engine;

use engine::{
    mounted::{
        contents,
        look, //
    },
    new::{
        devices,
        made, //
    },
    setting, //
};
use sim::{
    btree::KeyBuf,
    check::check_derived,
    data::{
        read_sync,
        write::{
            write,
            WriteOptions,
            Written, //
        },
        FileId, //
    },
    env::{
        busy,
        scarce,
        Arc, //
    },
    error::{
        Class,
        Error,
        Result as BchResult, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::Opts,
        values::xattr::XattrType, //
    },
    fs::{
        change::{
            Mode,
            NewFile,
            SetMode,
            Side, //
        },
        dirent,
        inode, //
    },
    init::{
        Access,
        Filesystem,
        State, //
    },
    journal::live::Watermark,
    sys::block::{
        Disk,
        Fault,
        Kind,
        Medium,
        Power, //
    },
};
use std::{
    sync::{
        atomic::{
            AtomicU64,
            Ordering, //
        },
        Mutex, //
    },
    time::{
        Duration,
        Instant, //
    },
};

const BTREE: BtreeId = BtreeId::XATTRS;
/// Keys that are there before, and keys of one change.
const OLD: u64 = 1500;
const NEW: u64 = 60;
/// What is written to files.
const DATA: [u8; 8192] = [7; 8192];
/// Longer than anything that waits.
const SECONDS: u64 = 60;

/// One at a time: memory is short for all threads.
static ALONE: Mutex<()> = Mutex::new(());

fn key(nr: u64, value: u64) -> KeyBuf {
    let k = Bkey {
        key_type: KeyType::COOKIE,
        p: Bpos::new(0, nr, u32::MAX),
        ..Bkey::default()
    };
    KeyBuf::of(k, &value.to_le_bytes()).unwrap()
}

fn set(fs: &Filesystem, keys: impl IntoIterator<Item = u64>, value: u64) -> BchResult {
    let engine = fs.read_write()?.engine();
    for nr in keys {
        engine.run(Watermark::Normal, |t| {
            let k = Bkey {
                key_type: KeyType::COOKIE,
                p: Bpos::new(0, nr, u32::MAX),
                ..Bkey::default()
            };
            t.update(BTREE, KeyBuf::of(k, &value.to_le_bytes())?)?;
            t.commit()
        })?;
    }
    Ok(())
}

fn value(fs: &Filesystem, nr: u64) -> Option<u64> {
    let at = key(nr, 0).k.p;
    let found = fs.view.lookup(BTREE, at).unwrap()?;
    Some(u64::from_le_bytes(found.key().v.try_into().unwrap()))
}

/// What is on the devices of a filesystem: after a shutdown, or, if `crashed`, with much in the
/// journal only.
fn base(name: &str, crashed: bool) -> Vec<Disk> {
    let (devs, media) = devices(made(name, Some((32, 1))), &Power::new());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    set(&fs, 0..OLD, 1).unwrap();
    fs.sync().unwrap();
    let unclean = contents(&media);
    fs.go_read_only().unwrap();
    drop(fs);
    match crashed {
        true => unclean,
        false => contents(&media),
    }
}

/// How far one attempt got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Got {
    mounted: bool,
    changed: bool,
    synced: bool,
    shut_down: bool,
}

/// Whether a transfer that fails may lead to this: what can not be read makes its btree damaged.
fn of_transfer(e: Error) -> bool {
    let named = matches!(e, Error::BtreeSick | Error::ReadWriteDamaged);
    named || e.class() == Class::Io
}

/// One attempt.
struct Attempt {
    got: Got,
    /// The first error.
    error: Option<Error>,
    /// Whether any transfer failed.
    hit: bool,
    left: Vec<Disk>,
}

/// Mounts, changes, syncs and unmounts, and says how far that went.
fn attempt(disks: Vec<Disk>, begin: impl FnOnce(&[Medium])) -> Attempt {
    let (devs, media) = devices(disks, &Power::new());
    let mut got = Got::default();
    begin(&media);
    let started = Filesystem::start_for(Access::Write, devs, &Opts::default());
    let mut first = None;
    let mut keep = |done: BchResult| done.err().map(|e| *first.get_or_insert(e)).is_none();
    match started {
        Err(e) => _ = keep(Err(e)),
        Ok(fs) => {
            got.mounted = true;
            got = used(got, &fs, &mut keep);
            drop(fs);
        }
    }
    scarce::fail_after_anywhere(None);
    let hit = media.iter().any(|m| m.nr_faults() != 0);
    media.iter().for_each(Medium::heal);
    for m in &media {
        assert_eq!(m.nr_users(), 1, "something holds {}", m.name());
    }
    Attempt {
        got,
        error: first,
        hit,
        left: contents(&media),
    }
}

/// Changes names, attributes and data; of that, `kept` is looked at afterwards.
fn change_files(fs: &Filesystem) -> BchResult {
    let (c, root) = (fs.changes()?, inode::root(&fs.view)?);
    let new = |mode| NewFile {
        mode,
        now: 1,
        ..NewFile::default()
    };
    let side = |name: &'static [u8]| Side { dir: root, name };
    c.create(root, Some(b"dir"), &new(0o040_755))?;
    let mut first = None;
    for name in [&b"gone"[..], b"kept"] {
        let made = c.create(root, Some(name), &new(0o100_644))?;
        first = first.or(Some(made.id));
        let file = FileId {
            inum: made.inode.inum,
            snapshot: made.snapshot,
        };
        let options = WriteOptions::of(fs.view.sb(), &made.inode);
        let (data, mut done) = (DATA, Written::default());
        let (engine, what) = (c.engine, (0, &data[..]));
        let size = DATA.len() as u64;
        write(engine, &fs.view, file, &options, what, size, &mut done)?;
        let at = (XattrType::USER, &b"name"[..]);
        c.set_xattr(made.id, at, Some(b"value"), SetMode::Any, 2)?;
        c.link(root, b"link", made.id, 3)?;
        c.rename(side(b"link"), side(b"other"), Mode::Free, None, 4)?;
        c.unlink(root, b"other", 5)?;
    }
    c.unlink(root, b"gone", 6)?;
    first.map_or(Ok(()), |id| c.remove(id))
}

/// What `kept` has, if it is there.
fn kept(fs: &Filesystem) -> Option<Vec<u8>> {
    let root = inode::root(&fs.view).unwrap();
    let node = inode::find(&fs.view, root).unwrap();
    let at = dirent::lookup(&fs.view, root, &node, b"kept").unwrap()?;
    let size = inode::find(&fs.view, at).unwrap().size;
    let mut found = vec![0; size as usize];
    read_sync(&fs.view, at.file(&fs.view).unwrap(), 0, &mut found).unwrap();
    Some(found)
}

fn used(mut got: Got, fs: &Arc<Filesystem>, keep: &mut impl FnMut(BchResult) -> bool) -> Got {
    // Some that are new and some that change, all over the place.
    let changed = set(fs, (0..NEW).map(|nr| nr * 50), 2);
    got.changed = keep(changed.and_then(|()| change_files(fs)));
    got.synced = keep(fs.sync()) && got.changed;
    let ended = fs.state().get() == State::EmergencyReadOnly;
    if ended {
        let e = fs.state().first_error();
        assert!(e.is_some());
        // Who comes later gets the same.
        assert_eq!(set(fs, [7], 3).err(), e);
    }
    let shut = keep(fs.go_read_only());
    got.shut_down = shut && !ended;
    assert!(fs.state().get() != State::ReadWrite);
    got
}

/// What is there afterwards is mounted, and in order.
fn check(disks: Vec<Disk>, got: Got, what: &str) {
    let (devs, media) = devices(disks, &Power::new());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default())
        .unwrap_or_else(|e| panic!("{what}: {e}"));
    for nr in 0..OLD.max(NEW * 50) {
        let (old, new) = (nr < OLD, nr % 50 == 0 && nr < NEW * 50);
        let found = value(&fs, nr);
        let before = old.then_some(1);
        let good = match new {
            true if got.synced => found == Some(2),
            true => found == Some(2) || found == before,
            false => found == before,
        };
        assert!(good, "{what}: key {nr}: {found:?}");
    }
    match kept(&fs) {
        None => assert!(!got.synced, "{what}: a file is gone"),
        Some(data) if got.synced => assert_eq!(data, DATA, "{what}"),
        Some(data) => assert!(DATA.starts_with(&data), "{what}: another file"),
    }
    set(&fs, OLD..OLD + 10, 4).unwrap();
    fs.go_read_only().unwrap();
    drop(fs);
    let findings = check_derived(&look(&media).view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
}

/// The moment that the last attempt began, in milliseconds since the start, for who looks whether
/// it hangs.
struct Watch {
    start: Instant,
    since: AtomicU64,
}

impl Watch {
    fn begin(&self) {
        let now = self.start.elapsed().as_millis() as u64;
        self.since.store(now, Ordering::Relaxed);
    }
}

/// Calls `one` with 0, 1, ... until it says that there was nothing left to fail; or with numbers
/// spread over all there are.
fn each(what: &str, mut one: impl FnMut(u64) -> bool) {
    let watch = Arc::try_new(Watch {
        start: Instant::now(),
        since: AtomicU64::new(0),
    })
    .unwrap();
    let (its, name) = (watch.clone(), what.to_owned());
    std::thread::spawn(move || loop {
        std::thread::sleep(Duration::from_secs(1));
        let since = its.since.load(Ordering::Relaxed);
        if since == u64::MAX {
            return;
        }
        if its.start.elapsed().as_millis() as u64 > since + SECONDS * 1000 {
            eprintln!("{name}: hangs");
            std::process::abort();
        }
    });
    let wanted = setting("BCACHEFS_RS_FAULTS", 60);
    // The first ones, and then further and further apart.
    let (mut at, mut nr) = (0, 0);
    loop {
        watch.begin();
        if !one(at) {
            break;
        }
        nr += 1;
        at += match wanted {
            0 => 1,
            _ => 1 + at * 6 / wanted,
        };
    }
    watch.since.store(u64::MAX, Ordering::Relaxed);
    println!("{what}: {nr} of {at}");
}

fn memory(name: &str, crashed: bool) {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let base = base(name, crashed);
    each(&format!("{name}: allocations"), |after| {
        let done = attempt(base.clone(), |_| {
            scarce::fail_after_anywhere(Some(after));
        });
        let (got, e, left) = (done.got, done.error, done.left);
        let what = format!("{name}: allocation {after}: {got:?}");
        if let Some(e) = e {
            assert_eq!(e, Error::NoMemory, "{what}");
        }
        check(left, got, &what);
        // The threads in the background may do more than in the run before.
        after < 20 || !(got.shut_down && e.is_none() && is_clean(after, &base))
    });
}

/// Whether an attempt needs fewer allocations than `after`.
fn is_clean(after: u64, base: &[Disk]) -> bool {
    let (devs, _media) = devices(base.to_vec(), &Power::new());
    scarce::fail_after_anywhere(Some(after));
    if let Ok(fs) = Filesystem::start_for(Access::Write, devs, &Opts::default()) {
        let _ = used(Got::default(), &fs, &mut |done| done.is_ok());
    }
    let pending = scarce::is_pending_anywhere();
    scarce::fail_after_anywhere(None);
    pending
}

fn transfers(name: &str, crashed: bool, kind: Kind, always: bool) {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let base = base(name, crashed);
    for dev in 0..base.len() {
        let mut well = 0;
        each(&format!("{name}: {kind:?} of device {dev}"), |after| {
            let done = attempt(base.clone(), |media| match always {
                true => media[dev].fail_from_then_on(kind, after),
                false => media[dev].inject(kind, after, Fault::Fail),
            });
            let (got, e, left) = (done.got, done.error, done.left);
            let what = format!("{name}: {kind:?} {after} of device {dev}: {got:?}, {e:?}");
            assert!(e.is_none_or(of_transfer), "{what}");
            check(left, got, &what);
            // The threads in the background may do more the next time.
            well = if done.hit { 0 } else { well + 1 };
            well < 4
        });
    }
}

/// Each lock of a node or of a cached key that is tried for, rather than waited for, is taken once:
/// who tries starts over, or passes on to something else, and all goes well.
fn locks(name: &str, crashed: bool) {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let base = base(name, crashed);
    let mut well = 0;
    each(&format!("{name}: locks"), |after| {
        let done = attempt(base.clone(), |_| busy::fail_after_anywhere(Some(after)));
        let hit = !busy::is_pending_anywhere();
        busy::fail_after_anywhere(None);
        let what = format!("{name}: lock {after}");
        all_well(done, &what);
        // The threads in the background may do more the next time.
        well = if hit { 0 } else { well + 1 };
        well < 4
    });
}

fn all_well(done: Attempt, what: &str) {
    let all = Got {
        mounted: true,
        changed: true,
        synced: true,
        shut_down: true,
    };
    assert_eq!((done.got, done.error), (all, None), "{what}");
    check(done.left, done.got, what);
}

#[test]
fn locks_that_are_taken() {
    locks("small", false);
    locks("small", true);
}

#[test]
fn locks_that_are_taken_often() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    for crashed in [false, true] {
        let base = base("small", crashed);
        for one_in in [100, 30, 10] {
            let before = busy::nr_tries();
            let done = attempt(base.clone(), |_| busy::fail_one_in(one_in));
            busy::fail_one_in(0);
            let what = format!("one lock in {one_in}");
            let tries = busy::nr_tries() - before;
            assert!(tries > 100, "{what}: {tries} locks");
            all_well(done, &what);
        }
    }
}

#[test]
fn memory_while_it_is_mounted_and_changed() {
    memory("small", false);
}

#[test]
fn memory_while_it_recovers() {
    memory("small", true);
}

#[test]
fn writes_that_fail() {
    transfers("small", true, Kind::Write, false);
    transfers("small", false, Kind::Write, true);
}

#[test]
fn reads_that_fail() {
    transfers("small", true, Kind::Read, false);
    transfers("small", false, Kind::Read, true);
}

#[test]
fn flushes_that_fail() {
    transfers("small", true, Kind::Flush, false);
    transfers("small", false, Kind::Flush, true);
}

#[test]
fn one_of_three_devices_fails() {
    for kind in [Kind::Write, Kind::Read, Kind::Flush] {
        transfers("three", true, kind, true);
    }
}

/// The moment when all has arrived that was submitted before an end: the last of it may be between
/// its look at the state and the device.
fn arrived(medium: &Medium) -> u64 {
    let power = medium.power();
    let mut now = power.now();
    for _ in 0..50 {
        std::thread::sleep(Duration::from_millis(50));
        if std::mem::replace(&mut now, power.now()) == now {
            return now;
        }
    }
    panic!("writes go on and on");
}

/// Eight threads change a filesystem whose device fails at some moment.
fn all_at_once(kind: Kind, after: u64) {
    let base = base("small", true);
    let (devs, media) = devices(base, &Power::new());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    media[0].fail_from_then_on(kind, after);
    let begin = Instant::now();
    let errors: Vec<Option<Error>> = std::thread::scope(|s| {
        let fs = &fs;
        let change = move |thread: u64| {
            let keys = (0..100_000).map(|nr| OLD + 1 + nr * 8 + thread);
            let sync = |at| if at % 50 == 0 { fs.sync() } else { Ok(()) };
            keys.enumerate()
                .try_for_each(|(at, nr)| set(fs, [nr], 5).and_then(|()| sync(at)))
                .err()
        };
        let all: Vec<_> = (0..8).map(|t| s.spawn(move || change(t))).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let what = format!("{kind:?} {after}: {errors:?}");
    assert_eq!(fs.state().get(), State::EmergencyReadOnly, "{what}");
    let first = fs.state().first_error();
    // Or that of its own transfer, when that failed as well.
    let known = |e: &Option<Error>| *e == first || e.is_some_and(of_transfer);
    assert!(errors.iter().all(known), "{what}, not {first:?}");
    assert!(first.is_some_and(of_transfer), "{what}");
    // Nobody submits anything after the end, and it is unmounted at once.
    let since = arrived(&media[0]);
    fs.go_read_only().unwrap();
    assert_eq!(media[0].changes_since(since), 0, "{what}");
    drop(fs);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "{what}: {took:?}");
    media[0].heal();
    let (devs, media) = devices(contents(&media), &Power::new());
    let fs = Filesystem::start_for(Access::Write, devs, &Opts::default()).unwrap();
    for nr in 0..OLD {
        assert_eq!(value(&fs, nr), Some(1), "{what}: key {nr}");
    }
    fs.go_read_only().unwrap();
    drop(fs);
    let findings = check_derived(&look(&media).view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
}

#[test]
fn all_who_write_come_back() {
    let _alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    for after in [0, 1, 3, 10, 40, 100] {
        all_at_once(Kind::Write, after);
        all_at_once(Kind::Flush, after / 4);
    }
}
