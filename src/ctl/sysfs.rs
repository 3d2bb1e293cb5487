// SPDX-License-Identifier: GPL-2.0

//! The directory of a mounted filesystem.

use super::{
    counter_files,
    device_files,
    fs_files,
    option_files,
    perf_test,
    triggers::TRIGGERS, //
};
use crate::{
    env::{
        num::low_u8,
        pr_err,
        pr_warn,
        units::DevIdx,
        Arc, //
    },
    error::{
        errno::Errno,
        Error,
        Result, //
    },
    format::{
        opts::{
            options,
            OptionInfo,
            DEVICE,
            FS,
            HIDDEN,
            RUNTIME, //
        },
        sb::{
            counters::counters,
            flags, //
        },
    },
    init::Filesystem,
    sb::SbState,
    sys::kobject::{
        Dir,
        Files,
        Mode,
        Registered,
        Root,
        Tree, //
    },
};
use core::fmt;

/// `/sys/fs/bcachefs`.
static ROOT: Root = Root::new();

/// `/sys/fs/bcachefs` exists as long as this.
pub type Registration = Registered;

/// The directory of a mounted filesystem; gone when this is dropped, which waits for its readers.
pub type Published = Tree<Shown>;

/// Makes `/sys/fs/bcachefs`.
pub fn register() -> Result<Registration, Errno> {
    ROOT.register("bcachefs")
}

/// A filesystem whose state is shown.
pub struct Shown {
    fs: Arc<Filesystem>,
    /// The number of its control device.
    minor: u32,
}

/// What a file is about. Packed into the number that [`Files::show`] gets.
#[derive(Clone, Copy)]
enum About {
    /// The whole filesystem: place in the table.
    Fs(u8),
    /// As [`About::Fs`], in `internal`.
    Internal(u8),
    /// An option: place in the table of all options.
    Option(u8),
    /// A counter: its number.
    Counter(u8),
    /// A device, place in the table.
    Device(DevIdx, u8),
    /// An option of a device.
    DeviceOption(DevIdx, u8),
    /// The number of the control device.
    Minor,
    /// Runs benchmarks.
    PerfTest,
    /// Has something done: place in the table.
    Trigger(u8),
    /// How long something takes: place in the table.
    Time(u8),
    /// Has the errors of a device be counted from now on.
    ErrorsReset(DevIdx),
}

impl About {
    fn to_id(self) -> u32 {
        let (kind, dev, nr) = match self {
            About::Fs(nr) => (0, 0, nr),
            About::Internal(nr) => (1, 0, nr),
            About::Option(nr) => (2, 0, nr),
            About::Counter(nr) => (3, 0, nr),
            About::Device(dev, nr) => (4, dev.0, nr),
            About::DeviceOption(dev, nr) => (5, dev.0, nr),
            About::Minor => (6, 0, 0),
            About::PerfTest => (7, 0, 0),
            About::Trigger(nr) => (8, 0, nr),
            About::Time(nr) => (9, 0, nr),
            About::ErrorsReset(dev) => (10, dev.0, 0),
        };
        u32::from_be_bytes([0, kind, dev, nr])
    }

    fn from_id(id: u32) -> Option<Self> {
        let [_, kind, dev, nr] = id.to_be_bytes();
        Some(match kind {
            0 => About::Fs(nr),
            1 => About::Internal(nr),
            2 => About::Option(nr),
            3 => About::Counter(nr),
            4 => About::Device(DevIdx(dev), nr),
            5 => About::DeviceOption(DevIdx(dev), nr),
            6 => About::Minor,
            7 => About::PerfTest,
            8 => About::Trigger(nr),
            9 => About::Time(nr),
            10 => About::ErrorsReset(DevIdx(dev)),
            _ => return None,
        })
    }
}

impl Files for Shown {
    fn show(&self, id: u32, to: &mut dyn fmt::Write) -> fmt::Result {
        let fs = &*self.fs;
        let st = fs.view.sb();
        match About::from_id(id).ok_or(fmt::Error)? {
            About::Fs(nr) => fs_files::TOP
                .get(usize::from(nr))
                .ok_or(fmt::Error)
                .and_then(|f| (f.show)(fs, to)),
            About::Internal(nr) => fs_files::INTERNAL
                .get(usize::from(nr))
                .ok_or(fmt::Error)
                .and_then(|f| (f.show)(fs, to)),
            About::Option(nr) => option_files::show(st, option(nr)?, to),
            About::Counter(nr) => counter_files::show(st, nr, to),
            About::Device(dev, nr) => {
                let dev = st.dev(dev).ok_or(fmt::Error)?;
                let file = device_files::FILES.get(usize::from(nr));
                (file.ok_or(fmt::Error)?.show)(fs, dev, to)
            }
            About::DeviceOption(dev, nr) => {
                let dev = st.dev(dev).ok_or(fmt::Error)?;
                option_files::show_device(st, dev, option(nr)?, to)
            }
            About::Time(nr) => {
                let (_, time) = st.times.all().nth(nr.into()).ok_or(fmt::Error)?;
                write!(to, "{time}")
            }
            About::Minor => writeln!(to, "{}", self.minor),
            About::PerfTest | About::Trigger(_) | About::ErrorsReset(_) => Err(fmt::Error),
        }
    }

    fn store(&self, id: u32, text: &str) -> Result<(), Errno> {
        match About::from_id(id) {
            Some(About::PerfTest) => perf_test::run(&self.fs, text),
            Some(About::Trigger(nr)) => {
                let trigger = TRIGGERS.get(usize::from(nr)).ok_or(Errno::EINVAL)?;
                (trigger.run)(&self.fs, text).map_err(Error::errno)
            }
            Some(About::Option(nr)) => {
                let option = option(nr).map_err(|_| Errno::EINVAL)?;
                option_files::store(&self.fs, option, text).map_err(Error::errno)
            }
            Some(About::DeviceOption(dev, nr)) => {
                let option = option(nr).map_err(|_| Errno::EINVAL)?;
                let dev = self.fs.view.sb().dev(dev).ok_or(Errno::ENODEV)?;
                let done = option_files::store_device(&self.fs, dev, option, text);
                done.map_err(Error::errno)
            }
            Some(About::ErrorsReset(dev)) => {
                let st = self.fs.view.sb();
                let dev = st.dev(dev).ok_or(Errno::ENODEV)?;
                let changes = self.fs.changes().map(drop);
                let done = changes.and_then(|()| st.reset_io_errors(dev));
                done.map_err(Error::errno)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

/// The option at this place of the table.
fn option(nr: u8) -> Result<&'static OptionInfo, fmt::Error> {
    options().nth(usize::from(nr)).ok_or(fmt::Error)
}

/// Shows a filesystem: makes its directory, with everything in it. `minor` is the number of its
/// control device. An error when the same filesystem is mounted already, by way of copies of its
/// devices.
///
/// C: `bch2_fs_online()`.
pub fn publish(fs: &Arc<Filesystem>, minor: u32) -> Result<Published> {
    let st = fs.view.sb();
    let made = make(fs, minor, st);
    made.map_err(|e| match e {
        Errno::EEXIST => {
            let uuid = st.sb.user_uuid();
            pr_err!(
                "{}: a filesystem with UUID {uuid} is mounted already",
                st.name()
            );
            Error::FilesystemUuidAlreadyOpen
        }
        e => {
            pr_err!(
                "{}: can not make the directory in sysfs: errno {}",
                st.name(),
                e.0
            );
            e.into()
        }
    })
}

#[inline(never)]
fn make(fs: &Arc<Filesystem>, minor: u32, st: &SbState) -> Result<Published, Errno> {
    let shown = || Shown {
        fs: fs.clone(),
        minor,
    };
    let mut tree = match Tree::try_new(&ROOT, format_args!("{}", st.sb.user_uuid()), shown()) {
        // Copies of a filesystem that has one device only can be told apart by that.
        Err(Errno::EEXIST) if st.sb.flag(flags::MULTI_DEVICE) == 0 => {
            Tree::try_new(&ROOT, format_args!("{}", st.name()), shown())?
        }
        tree => tree?,
    };
    let top = Published::TOP;
    for (nr, f) in (0..).zip(fs_files::TOP) {
        tree.file(top, f.name, Mode::Read, About::Fs(nr).to_id())?;
    }
    tree.file(top, "minor", Mode::Read, About::Minor.to_id())?;
    tree.file(top, "perf_test", Mode::Write, About::PerfTest.to_id())?;
    let internal = tree.dir(top, format_args!("internal"))?;
    for (nr, f) in (0..).zip(fs_files::INTERNAL) {
        tree.file(internal, f.name, Mode::Read, About::Internal(nr).to_id())?;
    }
    for (nr, t) in (0..).zip(TRIGGERS) {
        tree.file(internal, t.name, Mode::Write, About::Trigger(nr).to_id())?;
    }
    let opts = tree.dir(top, format_args!("options"))?;
    add_options(&mut tree, opts, |o, nr| {
        // Of a device and of the filesystem: only that of the device is in the superblock.
        (o.is(FS) && !o.is(DEVICE)).then_some(About::Option(nr))
    })?;
    let counts = tree.dir(top, format_args!("counters"))?;
    for c in counters() {
        tree.file(counts, c.name, Mode::Read, About::Counter(c.nr).to_id())?;
    }
    let times = tree.dir(top, format_args!("time_stats"))?;
    for (nr, (name, _)) in (0..).zip(st.times.all()) {
        tree.file(times, name, Mode::Read, About::Time(nr).to_id())?;
    }
    for dev in st.devices() {
        let dir = tree.dir(top, format_args!("dev-{}", dev.idx))?;
        for (nr, f) in (0..).zip(device_files::FILES) {
            tree.file(dir, f.name, Mode::Read, About::Device(dev.idx, nr).to_id())?;
        }
        let reset = About::ErrorsReset(dev.idx).to_id();
        tree.file(dir, "io_errors_reset", Mode::Write, reset)?;
        add_options(&mut tree, dir, |o, nr| {
            o.is(DEVICE).then_some(About::DeviceOption(dev.idx, nr))
        })?;
        if let Err(e) = tree.link_device(dir, &dev.bdev) {
            pr_warn!(
                "{}: can not link it with {} in sysfs: errno {}",
                dev.bdev.name(),
                st.name(),
                e.0
            );
        }
    }
    Ok(tree)
}

/// Adds the options for which `about` gives something.
///
/// C: `bch2_opts_create_sysfs_files()`.
fn add_options(
    tree: &mut Published,
    dir: Dir,
    about: impl Fn(&OptionInfo, u8) -> Option<About>,
) -> Result<(), Errno> {
    for (nr, o) in (0u64..).zip(options()).filter(|(_, o)| !o.is(HIDDEN)) {
        if let Some(about) = about(o, low_u8(nr)) {
            let mode = match o.is(RUNTIME) {
                true => Mode::ReadWrite,
                false => Mode::Read,
            };
            tree.file(dir, o.name, mode, about.to_id())?;
        }
    }
    Ok(())
}
