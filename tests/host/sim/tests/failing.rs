// SPDX-License-Identifier: GPL-2.0

//! One of two devices fails while the filesystem is mounted: it is written no more, the superblock
//! says so, work goes on, and all is there without it.

mod engine;

use engine::{
    mounted::{
        contents,
        look,
        start, //
    },
    space::disks, //
};
use sim::{
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
    format::sb::members::MemberState,
    fs::{
        change::NewFile,
        inode, //
    },
    init::{
        Access,
        Filesystem,
        State, //
    },
    sys::block::{
        Disk,
        Kind, //
    },
};
use std::time::{
    Duration,
    Instant, //
};

const IMAGE: &str = "v113-repl2";
const BYTES: usize = 16 << 10;

/// Makes a file, writes it, and waits until that is safe.
fn make(fs: &Filesystem, nr: u8) -> FileId {
    let root = inode::root(&fs.view).unwrap();
    let new = NewFile {
        mode: 0o100_644,
        ..NewFile::default()
    };
    let name = format!("failing-{nr}");
    let changes = fs.changes().unwrap();
    let made = changes.create(root, Some(name.as_bytes()), &new).unwrap();
    let file = FileId {
        inum: made.inode.inum,
        snapshot: made.snapshot,
    };
    let options = WriteOptions::of(fs.view.sb(), &made.inode);
    let (data, mut done) = (vec![nr; BYTES], Written::default());
    let what = (0, &data[..]);
    let to = fs.read_write().unwrap().engine();
    write(to, &fs.view, file, &options, what, BYTES as u64, &mut done).unwrap();
    fs.sync().unwrap();
    file
}

fn state_of(fs: &Filesystem, dev: u8) -> MemberState {
    let state = |sb: &sim::format::sb::Superblock| sb.member(dev).unwrap().state();
    fs.view.sb().with_super(state)
}

fn check(disks: Vec<Disk>, options: &str, files: &[FileId]) {
    let (fs, media) = start(Access::Write, disks, options).unwrap();
    for (file, nr) in files.iter().zip(0..) {
        let mut found = vec![0; BYTES];
        read_sync(&fs.view, *file, 0, &mut found).unwrap();
        assert!(found.iter().all(|byte| *byte == nr), "file {nr}");
    }
    fs.go_read_only().unwrap();
    drop(fs);
    if options.is_empty() {
        let findings = check_derived(&look(&media).view);
        assert!(findings.is_empty(), "{findings:#?}");
    }
}

/// `kinds` of transfers fail on the second device after the first files; whether the device is
/// written no more then is looked at after each of the next ones.
fn fails(options: &str, kinds: &[Kind]) {
    let (fs, media) = start(Access::Write, disks(IMAGE).unwrap(), options).unwrap();
    let mut files: Vec<FileId> = (0..3).map(|nr| make(&fs, nr)).collect();
    kinds
        .iter()
        .for_each(|kind| media[1].fail_from_then_on(*kind, 0));
    let begin = Instant::now();
    while state_of(&fs, 1) == MemberState::RW {
        files.push(make(&fs, files.len() as u8));
        assert!(begin.elapsed() < Duration::from_secs(60), "{options}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // From now on nobody tries.
    let errors = || {
        let second = fs.view.sb().devices().nth(1).unwrap();
        second.errors.all()[1]
    };
    let before = errors();
    let nr = files.len();
    files.extend((nr..nr + 5).map(|nr| make(&fs, nr as u8)));
    assert_eq!(errors(), before);
    assert_eq!(fs.state().get(), State::ReadWrite);
    fs.go_read_only().unwrap();
    drop(fs);
    media[1].heal();
    let disks = contents(&media);
    check(disks[..1].to_vec(), "degraded", &files);
    check(disks, "", &files);
}

#[test]
fn what_can_not_be_made_safe_is_not_relied_on() {
    fails("", &[Kind::Write, Kind::Flush]);
    fails("", &[Kind::Flush]);
}

#[test]
fn writes_are_not_tried_for_ever() {
    fails("write_error_timeout=1", &[Kind::Write]);
}
