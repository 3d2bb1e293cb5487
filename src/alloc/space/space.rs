// SPDX-License-Identifier: GPL-2.0

//! The space of a filesystem that is written.

use super::{
    copygc::CopyGc,
    data::DataPlaces,
    derive::derive,
    freeing::Freeing,
    held::Held,
    metadata::Metadata,
    nodes::{
        alloc_nodes,
        NodePlaces, //
    },
};
use crate::{
    alloc::{
        foreground::{
            DevSpace,
            OpenBuckets,
            OPEN_BUCKETS, //
        },
        live_usage::LiveUsage,
        reserve::{
            Reservations,
            Reserved, //
        },
        Capacity,
        Usage,
        UsageBase, //
    },
    btree::{
        interior::NodePlace,
        trans::{
            self,
            Hooks,
            TransResult, //
        },
        Btrees,
        KeyBuf, //
    },
    env::{
        num::{
            low_u32,
            u64_of, //
        },
        units::{
            BucketNr,
            DevIdx, //
        },
        Arc,
        Vec, //
    },
    error::Result,
    format::{
        bkey::Key,
        btree_id::BtreeId,
        data_type::DataType,
        opts::OptId,
        values::{
            accounting::{
                counters,
                Counted,
                COUNTERS_MAX, //
            },
            in_place::set_journal_seq, //
        },
    },
    journal::live::{
        Journal,
        Watermark, //
    },
    sb::{
        Device,
        SbState, //
    },
    sys::sync::{
        Mutex,
        SpinLock, //
    },
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// The space of a filesystem that is written: who has what, and what there is.
///
/// C: the parts of `struct bch_fs` for allocation.
pub struct Space {
    pub(super) st: Arc<SbState>,
    pub(super) journal: Arc<Journal>,
    /// What space is used for, as of the last commit.
    pub(super) usage: SpinLock<LiveUsage>,
    pub(super) open: SpinLock<OpenBuckets>,
    pub(super) nodes: Mutex<NodePlaces>,
    pub(super) data: DataPlaces,
    /// It stays as it is as long as the devices do.
    capacity: Capacity,
    /// Space that writes which are not committed yet may still take.
    reserved: SpinLock<Reservations>,
    /// Held by who empties buckets of nodes. When there was nothing to be gained by it: how many
    /// buckets had become free by then.
    pub(super) evacuating: Mutex<Option<u64>>,
    /// Held by who looks for the oldest pointers: one at a time is enough.
    pub(super) renewing: Mutex<()>,
    /// Buckets that are being made free, and who waits for more.
    pub(super) freeing: Freeing,
    /// Who moves data, and who waits for that.
    pub(super) copygc: CopyGc,
    /// Buckets that are never taken.
    pub(super) metadata: Metadata,
    /// Buckets that are not taken as long as it is not certain what they hold.
    held: SpinLock<Option<Arc<Held>>>,
}

/// Transactions of a filesystem.
pub type Trans<'a> = trans::Trans<'a, Space>;
/// What transactions of a filesystem need besides its btrees.
pub type Writer = trans::Writer<Space>;

/// All that is needed to change a filesystem.
#[derive(Clone, Copy)]
pub struct Engine<'a> {
    /// The btrees.
    pub btrees: &'a Btrees,
    /// Where changes go.
    pub writer: &'a Writer,
}

impl Engine<'_> {
    /// Runs a transaction that frees space, or whose space was reserved before.
    pub fn run_in_reserve<T>(
        &self,
        mut f: impl FnMut(&mut Trans<'_>) -> TransResult<T>,
    ) -> Result<T> {
        self.run(Watermark::Normal, |t| {
            t.use_reserve();
            f(t)
        })
    }

    /// Runs a transaction; see [`trans::run`].
    pub fn run<T>(
        &self,
        watermark: Watermark,
        f: impl FnMut(&mut Trans<'_>) -> TransResult<T>,
    ) -> Result<T> {
        trans::run(self.btrees, self.writer, watermark, f)
    }
}

impl Space {
    /// The space of the filesystem whose btrees these are.
    pub fn try_new(btrees: &Btrees, journal: Arc<Journal>) -> Result<Self> {
        let mut usage = LiveUsage::read(btrees)?;
        // For devices that nothing is counted of yet.
        let last = btrees.sb().sb.nr_devices().saturating_sub(1);
        usage.reserve(&Counted::DevDataType(DevIdx(last), DataType::FREE))?;
        Ok(Self {
            st: btrees.sb().clone(),
            journal,
            usage: SpinLock::try_new(usage)?,
            open: SpinLock::try_new(OpenBuckets::new(OPEN_BUCKETS)?)?,
            nodes: Mutex::try_new(NodePlaces::try_new(btrees.sb())?)?,
            data: DataPlaces::try_new()?,
            capacity: Capacity::of(btrees.sb(), btrees.sb().opts.get(OptId::GcReservePercent)),
            reserved: SpinLock::try_new(Reservations::new())?,
            evacuating: Mutex::try_new(None)?,
            renewing: Mutex::try_new(())?,
            freeing: Freeing::try_new()?,
            copygc: CopyGc::try_new()?,
            metadata: Metadata::of(btrees.sb())?,
            held: SpinLock::try_new(None)?,
        })
    }

    /// Has these buckets not be taken, whatever the btrees say, until this is called with `None`.
    pub fn hold(&self, held: Option<Arc<Held>>) {
        let old = core::mem::replace(&mut *self.held.lock(), held);
        drop(old);
    }

    /// Whether a bucket must not be taken, though the btrees may say that it is free.
    pub(super) fn must_not_take(&self, dev: DevIdx, bucket: BucketNr) -> bool {
        let held = || {
            let held = self.held.lock();
            held.as_ref().is_some_and(|h| h.has(dev, bucket))
        };
        self.metadata.has(dev, bucket) || held()
    }

    /// The index of free space was lost: it is made anew, of all devices.
    pub fn lose_freespace(&self) {
        let mut nodes = self.nodes.lock();
        self.st.devices().for_each(|d| nodes.lose_freespace(d.idx));
    }

    /// What a device has; `None` when it can not be written to.
    pub(super) fn dev_space(&self, dev: DevIdx, open_unused: u64) -> Option<DevSpace> {
        let found = self.st.dev(dev).filter(|d| d.is_writable())?;
        let member = &found.member;
        let node_sectors = self.st.sb.node_sectors();
        let usage = self.usage.lock();
        Some(DevSpace {
            durability: found.durability(),
            ..usage.dev_space(dev, member, node_sectors, open_unused)
        })
    }

    /// What the space in use is used for, as of the last commit.
    pub fn usage_base(&self) -> UsageBase {
        let bucket = |dev| self.st.dev(dev).map(|d| d.member.bucket_sectors());
        let absent = |dev: DevIdx| self.st.sb.member(dev.0).map(|m| m.bucket_sectors());
        let usage = self.usage.lock();
        usage.base(|dev| bucket(dev).or_else(|| absent(dev)).unwrap_or(0))
    }

    /// Reserves `sectors`, copies counted, for data that is going to be written;
    /// [`Error::DiskReservation`](crate::error::Error::DiskReservation) when there are not as many.
    /// They are to be [given back](Self::give_back) when the data is in use.
    ///
    /// C: `bch2_disk_reservation_get()`.
    pub fn reserve(&self, sectors: u64) -> Result<Reserved> {
        // Looked at under the lock: whoever gives back has his data counted before.
        let mut reserved = self.reserved.lock();
        let available = self.usage().available();
        reserved.take(available, sectors)
    }

    /// As [`reserve`](Self::reserve), whether they are there or not: for what must not fail.
    ///
    /// C: `BCH_DISK_RESERVATION_NOFAIL`.
    pub fn reserve_anyway(&self, sectors: u64) -> Reserved {
        self.reserved.lock().take_anyway(sectors)
    }

    /// Gives a reservation back.
    ///
    /// C: `bch2_disk_reservation_put()`.
    pub fn give_back(&self, reserved: Reserved) {
        self.reserved.lock().give_back(reserved);
    }

    /// Sectors that are reserved.
    pub fn nr_reserved(&self) -> u64 {
        self.reserved.lock().taken()
    }

    /// Space in use, as of the last commit.
    fn usage(&self) -> Usage {
        Usage::of(&self.usage_base(), &self.capacity())
    }

    /// The same with what is reserved for data that is not written yet.
    pub fn usage_to_come(&self) -> Usage {
        let mut base = self.usage_base();
        base.reserved = base.reserved.saturating_add(self.nr_reserved());
        Usage::of(&base, &self.capacity())
    }

    /// Of the devices that are written still.
    fn capacity(&self) -> Capacity {
        match self.st.devices().any(Device::is_stopped) {
            true => Capacity::of(&self.st, self.st.opts.get(OptId::GcReservePercent)),
            false => self.capacity,
        }
    }

    /// Whether there is space for `nr` more nodes, without what is kept in reserve.
    ///
    /// C: `bch2_disk_reservation_get()` in `bch2_btree_update_start()`.
    pub(super) fn check_room_for_nodes(&self, nr: usize) -> Result {
        let copies = self.st.opts.get(OptId::MetadataReplicas);
        let each = u64::from(self.st.sb.node_sectors()).saturating_mul(copies);
        let sectors = each.saturating_mul(u64_of(nr));
        let reserved = self.reserved.lock();
        reserved.check(self.usage().available(), sectors)
    }

    /// Whether the index of free space of a device is not complete.
    pub(super) fn lacks_freespace(&self, dev: DevIdx) -> bool {
        self.nodes.lock().lacks_freespace(dev)
    }

    /// It is complete now.
    pub(super) fn has_freespace(&self, dev: DevIdx) {
        self.nodes.lock().has_freespace(dev);
    }

    /// Buckets of a device that wait to be discarded.
    pub(super) fn nr_to_discard(&self, dev: DevIdx) -> u64 {
        let usage = self.usage.lock().device(dev);
        let of = usage.get(usize::from(DataType::NEED_DISCARD.0)).copied();
        let [buckets, ..] = of.unwrap_or_default();
        buckets
    }
}

impl Hooks for Space {
    fn derive(t: &mut Trans<'_>) -> TransResult {
        derive(t)
    }

    fn stamp(&self, _: BtreeId, key: &mut KeyBuf, seq: u64) {
        let kind = key.k.key_type;
        // Only keys of types that have the field are staged to be stamped.
        let _ = set_journal_seq(kind, key.value_mut(), seq);
    }

    fn counted(&self, delta: &Key<'_>) {
        let counted = Counted::decode(delta.k.p, self.st.sb.version());
        let mut by = [0; COUNTERS_MAX];
        for (to, from) in by.iter_mut().zip(counters(delta.v)) {
            *to = from;
        }
        self.usage.lock().add(&counted, &by);
    }

    fn alloc_nodes(
        &self,
        btrees: &Btrees,
        writer: &Writer,
        watermark: Watermark,
        nr: usize,
        places: &mut Vec<NodePlace>,
    ) -> Result {
        let engine = Engine { btrees, writer };
        alloc_nodes(self, engine, watermark, nr, places)
    }

    fn encoded_max(&self) -> u32 {
        low_u32(self.st.opts.get(OptId::EncodedExtentMax) / SECTOR)
    }

    fn is_same_bucket(&self, dev: DevIdx, a: u64, b: u64) -> bool {
        let size = self.st.sb.member(dev.0).map(|m| m.bucket_sectors());
        let Some(size) = size.map(u64::from) else {
            return false;
        };
        a.checked_div(size)
            .is_some_and(|nr| b.checked_div(size) == Some(nr))
    }

    fn place_done(&self, place: NodePlace, used: bool) {
        let mut nodes = self.nodes.lock();
        if used || !nodes.keep(place) {
            nodes.give_back(&self.open, place);
        }
    }
}
