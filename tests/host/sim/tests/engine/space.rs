// SPDX-License-Identifier: GPL-2.0

//! Filesystems with the allocator that they have in the kernel.

use super::Stop;
use sim::{
    alloc::{
        space::{
            discard_buckets,
            Engine,
            Space,
            Writer, //
        },
        UsageBase, //
    },
    btree::{
        write_back,
        write_back_all,
        Btrees, //
    },
    check::check_derived,
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::{
        Class,
        Result as BchResult, //
    },
    format::opts::Opts,
    golden::images::{
        read_file,
        Image, //
    },
    journal::{
        self,
        live::{
            Journal,
            Start,
            Watermark, //
        },
    },
    sb,
    snapshots::View,
    sys::{
        block::{
            BlockDevice,
            Disk,
            Medium,
            Power, //
        },
        shrinker::Shrink, //
    },
};
use std::{
    collections::HashMap,
    path::Path,
    sync::{
        atomic::{
            AtomicBool,
            Ordering, //
        },
        Arc as StdArc,
        Mutex, //
    },
    time::Duration,
};

/// A filesystem that is written.
pub(crate) struct SpaceFs {
    pub(crate) view: View,
    pub(crate) writer: Writer,
    pub(crate) media: Vec<Medium>,
    pub(crate) power: Power,
}

/// What was read of a filesystem, and how the journal goes on.
pub(crate) struct Seen {
    pub(crate) view: View,
    pub(crate) start: Start,
    /// The newest journal entry.
    pub(crate) last_seq: u64,
}

/// Reads what is on the devices.
pub(crate) fn look(devices: Vec<BlockDevice>) -> BchResult<Seen> {
    let mut devs = EnvVec::new();
    for dev in devices {
        devs.push(dev)?;
    }
    let st = Arc::try_new(sb::open(devs, &Opts::default())?)?;
    let mut contents = journal::read(&st, false)?;
    let start = Start::after(&mut contents)?;
    let last_seq = contents.last_seq;
    Ok(Seen {
        view: View::new(Btrees::start(st, contents)?)?,
        start,
        last_seq,
    })
}

/// The contents of each device of an image, those in the tree first; `None` when there is no such
/// image.
pub(crate) fn disks(name: &str) -> Option<Vec<Disk>> {
    type Contents = Vec<StdArc<Vec<u8>>>;
    static UNPACKED: Mutex<Option<HashMap<String, Contents>>> = Mutex::new(None);
    let mut unpacked = UNPACKED.lock().unwrap();
    let unpacked = unpacked.get_or_insert_default();
    if !unpacked.contains_key(name) {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden");
        let file = |part: String| here.join(format!("{name}{part}.img.zst"));
        let parts = std::iter::once(String::new()).chain((0..8).map(|nr| format!(".{nr}")));
        let files = parts.map(file).filter(|path| path.is_file());
        let mut all: Contents = files.map(|p| StdArc::new(read_file(&p).unwrap())).collect();
        if all.is_empty() {
            let image = Image::named(&sim::golden::images::folder()?, name)?;
            let contents = image.unpack().unwrap();
            all = contents.into_iter().map(StdArc::new).collect();
        }
        unpacked.insert(name.to_owned(), all);
    }
    let disk = |bytes: &StdArc<Vec<u8>>| Disk::from_memory(bytes.clone());
    Some(unpacked.get(name)?.iter().map(disk).collect())
}

/// Devices with these contents.
pub(crate) fn devices(disks: Vec<Disk>) -> Vec<BlockDevice> {
    let disks = disks.into_iter().enumerate();
    let device = |(nr, disk)| BlockDevice::of_disk(&format!("sim{nr}"), disk);
    disks.map(device).collect()
}

/// Starts writing, as a mount does.
pub(crate) fn open(disks: Vec<Disk>) -> SpaceFs {
    start(devices(disks), &Power::new())
}

/// The same with a log of all that is done to the devices.
pub(crate) fn record(disks: Vec<Disk>) -> SpaceFs {
    let power = Power::new();
    let disks = disks.into_iter().enumerate();
    let device = |(nr, disk)| BlockDevice::recorded(&format!("sim{nr}"), disk, &power);
    start(disks.map(device).collect(), &power)
}

fn start(devices: Vec<BlockDevice>, power: &Power) -> SpaceFs {
    let media = devices.iter().map(|d| d.medium()).collect();
    let Seen { view, start, .. } = look(devices).unwrap();
    let st = view.btrees.sb().clone();
    st.mark_dirty(view.btrees.blacklist().ranges()).unwrap();
    let journal = Journal::start(st, &start).unwrap();
    journal.write_entry().unwrap();
    let space = Space::try_new(&view.btrees, journal.clone()).unwrap();
    SpaceFs {
        writer: Writer::try_new(journal, space).unwrap(),
        view,
        media,
        power: power.clone(),
    }
}

impl SpaceFs {
    pub(crate) fn engine(&self) -> Engine<'_> {
        Engine {
            btrees: &self.view.btrees,
            writer: &self.writer,
        }
    }

    /// Calls `f` while other threads write back what the journal holds, and discard.
    pub(crate) fn live<T>(&self, f: impl FnOnce(&Self) -> T) -> T {
        let (stop, discards) = (AtomicBool::new(false), AtomicBool::new(true));
        std::thread::scope(|s| {
            let (stopped, journal) = (&stop, &self.writer.journal);
            let discards = &discards;
            s.spawn(move || {
                // Who discards may wait for this thread.
                let goes_on =
                    || !stopped.load(Ordering::Relaxed) || discards.load(Ordering::Relaxed);
                while goes_on() {
                    journal.wait_for_reclaim(5, || stopped.load(Ordering::Relaxed));
                    if let Some(target) = journal.reclaim_target() {
                        // As a mount does.
                        if let Err(e) = write_back(&self.view.btrees, &self.writer, target) {
                            assert_eq!(e.class(), Class::NoSpace, "{e}");
                            journal.held_up(e);
                            std::thread::sleep(Duration::from_millis(2));
                        }
                    }
                }
            });
            s.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(Duration::from_millis(5));
                    if let Err(e) = discard_buckets(self.engine(), Watermark::Btree) {
                        assert_eq!(e.class(), Class::NoSpace, "{e}");
                    }
                }
                discards.store(false, Ordering::Relaxed);
            });
            let _stop = Stop(&stop);
            f(self)
        })
    }

    /// Drops nodes from memory, so that they are read again.
    pub(crate) fn drop_nodes(&self) {
        self.view.btrees.cache().scan(8);
    }

    pub(crate) fn shut_down(&self) {
        write_back_all(&self.view.btrees, &self.writer).unwrap();
        let journal = &self.writer.journal;
        let stopped = journal.stop().unwrap();
        assert!(stopped.is_empty);
        let records = journal.clean_records().unwrap();
        let positions = journal.positions().unwrap();
        let st = self.view.btrees.sb();
        st.mark_clean(stopped.seq, &records, &positions).unwrap();
    }

    /// What is on the devices now.
    pub(crate) fn contents(&self) -> Vec<Disk> {
        self.media.iter().map(Medium::contents).collect()
    }

    /// What a fresh look at the devices finds wrong.
    pub(crate) fn check(&self) {
        let seen = look(devices(self.contents())).unwrap();
        let findings = check_derived(&seen.view);
        assert!(findings.is_empty(), "{findings:#?}");
        // What statfs says without reading is what is stored.
        let stored = UsageBase::read(&seen.view.btrees).unwrap();
        assert_eq!(self.writer.hooks.usage_base(), stored);
    }
}
