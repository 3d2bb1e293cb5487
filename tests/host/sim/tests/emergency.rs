// SPDX-License-Identifier: GPL-2.0

//! Each way in which writing ends at once, while eight threads change btrees, names and the data of
//! files: all of them come back with the error that ended it, nothing is written afterwards, it is
//! unmounted at once, and what was synced is there in a filesystem in which everything agrees.

mod engine;

use engine::{
    mounted::{
        contents,
        look,
        start, //
    },
    space::disks,
    Stop, //
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
    error::{
        Error,
        Result as BchResult, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        jset::EntryType,
        key_type::KeyType,
        values::alloc::Alloc, //
    },
    fs::{
        change::NewFile,
        inode, //
    },
    init::{
        Access,
        Filesystem,
        State, //
    },
    journal::live::{
        Reservation,
        Watermark, //
    },
    sys::block::{
        Durability,
        Kind,
        Medium, //
    },
};
use std::{
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        Ordering, //
    },
    time::{
        Duration,
        Instant, //
    },
};

const THREADS: u64 = 8;
/// Longer than anything that waits.
const SECONDS: u64 = 60;
const IMAGE: &str = "engine-small";

/// A way in which writing ends.
struct Case {
    what: &'static str,
    options: &'static str,
    end: fn(&Filesystem, &Medium),
    /// What it may have been, for whoever looks first.
    errors: &'static [Error],
}

const CASES: &[Case] = &[
    Case {
        what: "somebody asks for it",
        options: "",
        end: |fs, _| fs.end_writing(),
        errors: &[Error::EmergencyAsked],
    },
    Case {
        what: "no entry of the journal can be written",
        options: "",
        end: |_, medium| medium.fail_from_then_on(Kind::Write, 0),
        errors: &[Error::JournalWriteFailed, Error::SbWriteFailed, Error::Io],
    },
    Case {
        what: "nothing can be flushed",
        options: "",
        end: |_, medium| medium.fail_from_then_on(Kind::Flush, 0),
        errors: &[Error::JournalWriteFailed, Error::JournalFlushFailed],
    },
    Case {
        what: "an entry of the journal is not what readers want",
        options: "",
        end: |fs, _| {
            _ = fs.read_write().and_then(|rw| {
                let journal = rw.journal();
                let mut r = journal.reserve(Reservation::u64s_for(5), Watermark::Normal)?;
                r.add_entry(EntryType::BTREE_KEYS, BtreeId(250), 0, &[0; 5])
            })
        },
        errors: &[Error::JournalWriteInvalid],
    },
    Case {
        what: "an entry is to be kept that is gone",
        options: "",
        end: |fs, _| _ = fs.read_write().map(|rw| rw.journal().pin(1)),
        errors: &[Error::JournalPin],
    },
    Case {
        what: "the journal is stuck",
        options: "",
        end: |fs, _| _ = fs.read_write().map(|rw| rw.journal().stuck()),
        errors: &[Error::JournalStuck],
    },
    Case {
        what: "something is inconsistent",
        options: "errors=ro",
        end: inconsistent,
        errors: &[Error::Inconsistent],
    },
    Case {
        what: "somebody else writes the superblock",
        options: "",
        end: |fs, _| {
            assert_eq!(raced(fs), Err(Error::SbWriteRaced));
            assert_eq!(fs.state().get(), State::EmergencyReadOnly);
        },
        errors: &[Error::SbWriteRaced],
    },
];

/// Has a file point to a bucket that something else is in.
fn inconsistent(fs: &Filesystem, _: &Medium) {
    let st = fs.view.sb();
    let dev = st.devices().next().unwrap();
    let mut iter = fs.view.btrees.iter(BtreeId::ALLOC, 0, Bpos::MIN);
    let mut bucket = None;
    while let (None, Some(key)) = (bucket, iter.next().unwrap()) {
        let state = Alloc::decode(&key).unwrap().unwrap();
        bucket = (state.data_type == DataType::BTREE).then_some(key.k.p.offset);
    }
    drop(iter);
    let sector = bucket.expect("a node") * u64::from(dev.member.bucket_sectors());
    let Ok(rw) = fs.read_write() else { return };
    let _ = rw.engine().run(Watermark::Normal, |t| {
        let k = Bkey {
            key_type: KeyType::EXTENT,
            p: Bpos::new(1 << 30, 8, u32::MAX),
            size: 8,
            ..Bkey::default()
        };
        t.update(
            BtreeId::EXTENTS,
            KeyBuf::of(k, &(1 | sector << 4).to_le_bytes())?,
        )?;
        t.commit()
    });
}

fn raced(fs: &Filesystem) -> BchResult {
    let st = fs.view.sb();
    let dev = st.devices().next().unwrap();
    let mut head = vec![0; 4096];
    dev.bdev.read(8, &mut head)?;
    head[112] = head[112].wrapping_add(1);
    dev.bdev.write(8, &head, Durability::Cached)?;
    st.change_super(|_| Ok(true))
}

/// Changes keys, names and data until that fails.
fn change(fs: &Filesystem, thread: u64, done: &AtomicU64) -> Error {
    let one = |nr: u64| -> BchResult {
        let rw = fs.read_write()?;
        rw.engine().run(Watermark::Normal, |t| {
            let k = Bkey {
                key_type: KeyType::COOKIE,
                p: Bpos::new(1 << 40 | thread, nr % 500, u32::MAX),
                ..Bkey::default()
            };
            t.update(BtreeId::XATTRS, KeyBuf::of(k, &[7; 8])?)?;
            t.commit()
        })?;
        let c = fs.changes()?;
        let root = inode::root(&fs.view)?;
        let name = format!("{thread}-{}", nr % 20);
        let new = NewFile {
            mode: 0o100_644,
            now: nr,
            ..NewFile::default()
        };
        match c.create(root, Some(name.as_bytes()), &new) {
            Ok(made) => {
                let file = FileId {
                    inum: made.inode.inum,
                    snapshot: made.snapshot,
                };
                let options = WriteOptions::of(fs.view.sb(), &made.inode);
                let (data, mut written) = ([7; 4096], Written::default());
                let what = (0, &data[..]);
                let to = rw.engine();
                match write(to, &fs.view, file, &options, what, 4096, &mut written) {
                    // Which does not end it, but may be all that is heard of it here.
                    Ok(_) | Err(Error::DataWriteFailed) => (),
                    Err(e) => return Err(e),
                }
            }
            Err(Error::DirentExists) => {
                c.unlink(root, name.as_bytes(), nr)?;
            }
            Err(e) => return Err(e),
        }
        if nr % 50 == thread {
            fs.sync()?;
        }
        done.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    (0..).find_map(|nr| one(nr).err()).unwrap()
}

/// Ends it all when something takes too long.
fn watch(what: &'static str, stop: &AtomicBool) {
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        if begin.elapsed() > Duration::from_secs(SECONDS) {
            eprintln!("{what}: hangs");
            std::process::abort();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ends(case: &Case) {
    let what = case.what;
    let (fs, media) = start(Access::Write, disks(IMAGE).unwrap(), case.options).unwrap();
    // What has to be there.
    let c = fs.changes().unwrap();
    let root = inode::root(&fs.view).unwrap();
    let new = NewFile {
        mode: 0o100_644,
        ..NewFile::default()
    };
    let kept = c.create(root, Some(b"kept"), &new).unwrap();
    let file = FileId {
        inum: kept.inode.inum,
        snapshot: kept.snapshot,
    };
    let options = WriteOptions::of(fs.view.sb(), &kept.inode);
    let (data, mut written) = ([9; 4096], Written::default());
    let to = (0, &data[..]);
    let engine = fs.read_write().unwrap().engine();
    write(engine, &fs.view, file, &options, to, 4096, &mut written).unwrap();
    fs.sync().unwrap();

    let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let (errors, begin) = std::thread::scope(|s| {
        let (fs, done, stopped) = (&fs, &done, &stop);
        s.spawn(move || watch(what, stopped));
        let _stop = Stop(&stop);
        let all: Vec<_> = (0..THREADS)
            .map(|t| s.spawn(move || change(fs, t, done)))
            .collect();
        while done.load(Ordering::Relaxed) < 200 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let begin = Instant::now();
        (case.end)(fs, &media[0]);
        let errors: Vec<Error> = all.into_iter().map(|t| t.join().unwrap()).collect();
        (errors, begin)
    });
    assert_eq!(
        fs.state().get(),
        State::EmergencyReadOnly,
        "{what}: {errors:?}"
    );
    let first = fs.state().first_error().unwrap();
    assert!(case.errors.contains(&first), "{what}: {first:?}");
    for e in errors {
        assert!(e == first || case.errors.contains(&e), "{what}: {e:?}");
    }
    assert!(fs.changes().is_err(), "{what}");
    assert_eq!(fs.state().watchers.told().1, 1, "{what}: who watches");
    // What was in flight may still end; what begins now must not.
    let since = media[0].power().now();
    std::thread::sleep(Duration::from_millis(100));
    fs.go_read_only().unwrap();
    assert_eq!(
        media[0].changes_since(since),
        0,
        "{what}: written after the end"
    );
    drop(fs);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "{what}: {took:?}");
    assert_eq!(media[0].nr_users(), 1, "{what}: something holds the device");
    media[0].heal();

    let (fs, media) = start(Access::Write, contents(&media), "").unwrap();
    let mut found = [0; 4096];
    read_sync(&fs.view, file, 0, &mut found).unwrap();
    assert_eq!(found, [9; 4096], "{what}");
    fs.go_read_only().unwrap();
    drop(fs);
    let findings = check_derived(&look(&media).view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    println!("{what}: {first:?} after {} operations", done.into_inner());
}

#[test]
fn each_way_under_load() {
    for case in CASES {
        ends(case);
    }
}
