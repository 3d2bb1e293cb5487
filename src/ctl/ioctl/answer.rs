// SPDX-License-Identifier: GPL-2.0

//! What a filesystem says to a request.

use super::{
    arg::DeviceName,
    records::{
        as_record,
        as_replicas,
        AsOld, //
    },
    request::{
        DevUsageHead,
        Request,
        What, //
    },
};
use crate::{
    alloc::{
        device_usage,
        for_each_of_types,
        Capacity, //
    },
    btree::flush_write_buffer,
    env::{
        num::{
            sat_u32,
            u64_of,
            u64_of_bits, //
        },
        units::DevIdx,
        Vec,
    },
    error::{
        Error,
        Result, //
    },
    format::{
        btree_id::BtreeId,
        data_type::DataType,
        opts::OptId,
        sb::{
            counters::counters,
            Superblock, //
        },
        values::accounting::{
            Counted,
            Replicas, //
        },
    },
    init::Filesystem,
    sb::{
        Device,
        SbState, //
    },
    sys::block::DevNr,
};

/// For how many copies [`What::FsUsage`] has the reserved sectors. C: `BCH_REPLICAS_MAX`.
const COPIES: usize = 4;
/// How many types of data the first version of [`What::DevUsage`] has.
const FIRST_TYPES: usize = 10;

/// What goes back to the caller.
pub struct Answer {
    /// What ioctl(2) returns.
    pub(super) value: Result<u32>,
    /// What is copied to where the caller wants it.
    pub(super) bytes: Vec<u8>,
    /// What goes to a place of its own, for some.
    pub(super) entries: Vec<u8>,
}

impl Answer {
    /// To a change that was made; ioctl(2) returns `value`.
    pub fn done(value: u32) -> Self {
        Self {
            value: Ok(value),
            bytes: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// With `entries`, and `bytes` in place of the argument.
    pub(super) fn with(bytes: Vec<u8>, entries: Vec<u8>) -> Self {
        Self {
            value: Ok(0),
            bytes,
            entries,
        }
    }
}

impl Request {
    /// What is said to a change that is not made here.
    fn refuse_change(&self, fs: &Filesystem) -> Result<Answer> {
        match fs.read_write() {
            Ok(_) => self.refuse(),
            Err(_) => Err(Error::IoctlReadOnly),
        }
    }

    /// Answers the request, which was made on a file of the subvolume `subvol`, or 0.
    // Out of line: the usage of a device is large, and the stack is small.
    #[inline(never)]
    pub fn answer(&self, fs: &Filesystem, subvol: u32) -> Result<Answer> {
        let st = fs.view.sb();
        let mut value = Ok(0);
        if matches!(
            self.what,
            What::FsUsage { .. }
                | What::DevUsage(..)
                | What::Accounting { .. }
                | What::SnapshotTree(..)
        ) {
            bring_counters(fs);
        }
        let bytes = match &self.what {
            What::Uuid => Bytes::new().put(&st.sb.user_uuid().0)?,
            What::FsUsage { room } => fs_usage(fs, *room)?,
            What::DevUsage(dev, head) => dev_usage(fs, find(st, dev)?, head)?,
            What::Superblock { dev, room, .. } => {
                let bytes = superblock(st, dev.as_ref())?.to_bytes()?;
                fits(u64_of(bytes.len()) <= *room)?;
                Bytes(bytes)
            }
            What::DeviceIndex(nr) => {
                value = Ok(by_number(st, *nr)?.0.into());
                Bytes::new()
            }
            What::Accounting { types, room } => accounting(fs, *types, *room)?,
            What::Counters { nr, at_mount } => counted(st, *nr, *at_mount)?,
            What::Change { dev, .. } => {
                dev.as_ref().map_or(Ok(()), |dev| find(st, dev).map(drop))?;
                return self.refuse_change(fs);
            }
            What::Subvolume(..) | What::Reinherit(_) => return self.refuse_change(fs),
            What::GoingDown { flush } => {
                if *flush {
                    // It goes down whether that works or not; what does not is reported there.
                    let _ = fs.sync();
                }
                fs.end_writing();
                Bytes::new()
            }
            What::SubvolumeToPath(of) => {
                let path = of.answer(&fs.view)?;
                fits(path.is_some())?;
                path.unwrap_or(Bytes::new())
            }
            What::SnapshotTree(of) => {
                let (bytes, all) = of.answer(fs, subvol)?;
                // How many there are is said in any case.
                value = fits(all).map(|()| 0);
                bytes
            }
            What::NotYet | What::SubvolumeList(..) => return self.refuse(),
        };
        let Bytes(bytes) = bytes;
        Ok(Answer {
            value,
            bytes,
            entries: Vec::new(),
        })
    }
}

/// Brings what was counted since the last time to the btree that answers are read from.
fn bring_counters(fs: &Filesystem) {
    if let Ok(rw) = fs.read_write() {
        let engine = rw.engine();
        // What can not be brought is counted later.
        let _ = flush_write_buffer(engine.btrees, engine.writer);
    }
}

/// An answer being put together, in the machine's order of bytes.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl Bytes {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn put(mut self, bytes: &[u8]) -> Result<Self> {
        self.0.extend_from_slice(bytes)?;
        Ok(self)
    }

    pub(super) fn u32(self, v: u32) -> Result<Self> {
        self.put(&v.to_ne_bytes())
    }

    pub(super) fn u64(self, v: u64) -> Result<Self> {
        self.put(&v.to_ne_bytes())
    }

    fn u64s(self, mut v: impl Iterator<Item = u64>) -> Result<Self> {
        v.try_fold(self, Self::u64)
    }
}

/// The answer has to fit.
fn fits(does: bool) -> Result {
    match does {
        true => Ok(()),
        false => Err(Error::IoctlBufferTooSmall),
    }
}

/// What was looked up by a device's slot.
fn indexed<T>(found: Option<T>) -> Result<T> {
    found.ok_or(Error::IoctlNoSuchIndex)
}

/// The device that is meant. It may be missing.
fn find(st: &SbState, dev: &DeviceName) -> Result<DevIdx> {
    match dev {
        DeviceName::Index(nr) => {
            let nr = u8::try_from(*nr).ok();
            indexed(nr.filter(|nr| st.sb.member(*nr).is_some())).map(DevIdx)
        }
        DeviceName::Path(name) => st
            .devices()
            .find(|d| d.bdev.name().as_bytes() == name.of_device())
            .map(|d| d.idx)
            .ok_or(Error::IoctlNoSuchName),
    }
}

/// C: `bch2_ioctl_disk_get_idx()`.
fn by_number(st: &SbState, nr: DevNr) -> Result<DevIdx> {
    st.devices()
        .find(|d| d.bdev.number() == nr)
        .map(|d| d.idx)
        .ok_or(Error::IoctlNoSuchNumber)
}

/// The superblock of a device, or that of the filesystem.
fn superblock<'a>(st: &'a SbState, dev: Option<&DeviceName>) -> Result<&'a Superblock> {
    match dev {
        Some(dev) => st
            .dev(find(st, dev)?)
            .map(|d| &d.own)
            .ok_or(Error::IoctlDeviceAbsent),
        None => Ok(&st.sb),
    }
}

/// Sectors that files and metadata can have in all. Tools of old versions expect superblocks and
/// journal to be counted.
fn capacity(fs: &Filesystem, for_whom: AsOld) -> u64 {
    match for_whom {
        AsOld(false) => fs.usage().capacity,
        AsOld(true) => {
            let st = fs.view.sb();
            Capacity::of(st, st.opts.get(OptId::GcReservePercent)).usable
        }
    }
}

/// C: `bch2_ioctl_fs_usage()`.
fn fs_usage(fs: &Filesystem, room: usize) -> Result<Bytes> {
    let btrees = &fs.view.btrees;
    btrees.health.require(BtreeId::ACCOUNTING)?;
    let mut reserved = [0; COPIES];
    let mut records = Vec::new();
    let replicas = Replicas::new(DataType::USER, 1, &[]).map(Counted::Replicas);
    let types = [Some(Counted::PersistentReserved(0)), replicas];
    let types = types.iter().flatten().fold(0, |all, c| all | c.type_bit());
    for_each_of_types(btrees, types, |counter| {
        let n = counter.values().first().copied().map_or(0, u64_of_bits);
        match counter.counted {
            Counted::PersistentReserved(copies) => {
                if let Some(to) = reserved.get_mut(usize::from(copies)) {
                    *to = n;
                }
                Ok(())
            }
            Counted::Replicas(r) if n != 0 => as_replicas(&r, n, &mut records),
            _ => Ok(()),
        }
    })?;
    fits(records.len() <= room)?;
    Bytes::new()
        .u64(capacity(fs, AsOld::by_version(fs.view.sb().sb.version())))?
        .u64(fs.usage().used)?
        // Reserved by writes that are under way.
        .u64(0)?
        .u64s(reserved.into_iter())?
        .u32(sat_u32(records.len()))?
        .u32(0)?
        .put(&records)
}

/// C: `bch2_ioctl_query_accounting()`.
fn accounting(fs: &Filesystem, types: u32, room: usize) -> Result<Bytes> {
    let btrees = &fs.view.btrees;
    btrees.health.require(BtreeId::ACCOUNTING)?;
    let for_whom = AsOld::by_request(types, fs.view.sb().sb.version());
    let mut records = Vec::new();
    for_each_of_types(btrees, types, |counter| {
        as_record(counter, for_whom, &mut records)
    })?;
    fits(records.len() <= room)?;
    let words = records.len() / 8;
    Bytes::new()
        .u64(capacity(fs, for_whom))?
        .u64(fs.usage().used)?
        .u64(0)?
        .u32(sat_u32(words))?
        .u32(types)?
        .put(&records)
}

/// C: `bch2_ioctl_dev_usage()`, `bch2_ioctl_dev_usage_v2()`.
fn dev_usage(fs: &Filesystem, idx: DevIdx, head: &DevUsageHead) -> Result<Bytes> {
    let st = fs.view.sb();
    let member = indexed(st.sb.member(idx.0))?;
    let state = st.dev(idx).map_or(member.state(), Device::state);
    let all = device_usage(&fs.view.btrees, idx)?;
    let first = u64::from(member.first_bucket());
    let bytes = Bytes::new()
        .u64(head.dev)?
        .u32(head.flags)?
        .put(&[state.0, head.nr_types.unwrap_or(0)])?
        .put(&[0; 6])?
        .u32(member.bucket_sectors().into())?
        .u64(member.nbuckets().saturating_sub(first))?;
    let (bytes, nr) = match head.nr_types {
        Some(nr) => (bytes, usize::from(nr)),
        // Buckets in stripes, which were not counted any more.
        None => (bytes.u64(0)?, FIRST_TYPES),
    };
    bytes.u64s(all.iter().take(nr).flatten().copied())
}

/// C: `bch2_ioctl_query_counters()`.
fn counted(st: &SbState, nr: u16, at_mount: bool) -> Result<Bytes> {
    let known = counters().map(|c| u16::from(c.nr)).max();
    let nr = known.map_or(0, |last| last.saturating_add(1)).min(nr);
    let value = |nr: u16| {
        let nr = u8::try_from(nr).unwrap_or(u8::MAX);
        let since = if at_mount { 0 } else { st.counters.get(nr) };
        st.sb.counter(nr).saturating_add(since)
    };
    Bytes::new()
        .put(&nr.to_ne_bytes())?
        .put(&u16::from(at_mount).to_ne_bytes())?
        .u32(0)?
        .u64s((0..nr).map(value))
}
