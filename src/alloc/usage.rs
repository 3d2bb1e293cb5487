// SPDX-License-Identifier: GPL-2.0

//! Capacity and use of the whole filesystem, and of a device.

use super::accounting::{
    for_each_of_types,
    for_each_of_whole, //
};
use crate::{
    btree::Btrees,
    env::{
        num::{
            div_or_zero,
            i64_of_bits,
            u64_of_bits,
            usize_of_u8, //
        },
        units::DevIdx,
    },
    error::Result,
    format::{
        btree_id::BtreeId,
        data_type::DataType,
        sb::members::MemberState,
        values::accounting::Counted, //
    },
    sb::{
        Device,
        SbState, //
    },
};

/// Nodes kept in reserve for changes of the btrees. C: `BTREE_NODE_RESERVE`.
const NODE_RESERVE: u64 = 28;
/// Reservations are taken larger by one part in 64. C: `RESERVE_FACTOR`.
const RESERVE_SHIFT: u32 = 6;

/// How many sectors more are in use when a counter grows by `by`: of data, of nodes, or reserved in
/// files. C: the sums in `bch2_trans_account_disk_usage_change()`.
pub(super) fn sectors_added(counted: &Counted, by: i64) -> i64 {
    match adds_to(counted) {
        Some((Sum::Btree | Sum::Data | Sum::Reserved, times)) => {
            by.wrapping_mul(i64_of_bits(times))
        }
        _ => 0,
    }
}

/// How much space there is, in sectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Sectors that can be used, without what is kept in reserve.
    pub usable: u64,
    /// Sectors kept in reserve, for moving data and for the btrees.
    pub reserved: u64,
}

/// How much space is used, in sectors.
///
/// C: `struct bch_fs_usage_short`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sectors that files and metadata can have in all.
    pub capacity: u64,
    /// Sectors in use or reserved for files.
    pub used: u64,
    /// The rest.
    pub free: u64,
    /// Inodes in use.
    pub nr_inodes: u64,
}

/// The sums of [`UsageBase`] that counters of the whole filesystem are added up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    Btree,
    Data,
    Cached,
    Reserved,
    NrInodes,
}

impl Sum {
    /// How many there are.
    pub(super) const NR: usize = 5;

    /// Its place among them.
    pub(super) const fn index(self) -> usize {
        match self {
            Sum::Btree => 0,
            Sum::Data => 1,
            Sum::Cached => 2,
            Sum::Reserved => 3,
            Sum::NrInodes => 4,
        }
    }
}

/// The sum that a counter is added to, and how many times.
pub(super) fn adds_to(counted: &Counted) -> Option<(Sum, u64)> {
    match counted {
        Counted::NrInodes => Some((Sum::NrInodes, 1)),
        Counted::PersistentReserved(copies) => Some((Sum::Reserved, (*copies).into())),
        Counted::Replicas(r) => match r.data_type {
            DataType::BTREE => Some((Sum::Btree, 1)),
            DataType::USER | DataType::PARITY => Some((Sum::Data, 1)),
            DataType::CACHED => Some((Sum::Cached, 1)),
            _ => None,
        },
        _ => None,
    }
}

fn div_round_up(a: u64, b: u64) -> u64 {
    div_or_zero(a.saturating_add(b).saturating_sub(1), b)
}

impl Capacity {
    /// Adds up the devices that can be written to. `gc_percent` of it is kept for moving data.
    ///
    /// C: `bch2_recalc_capacity()`.
    pub fn of(st: &SbState, gc_percent: u64) -> Self {
        let node_sectors = u64::from(st.sb.node_sectors());
        let (mut capacity, mut reserved) = (0u64, 0u64);
        for (member, idx) in st.sb.members().zip(0..) {
            let is_stopped = st.dev(DevIdx(idx)).is_some_and(Device::is_stopped);
            if !member.is_alive() || member.state() != MemberState::RW || is_stopped {
                continue;
            }
            let bucket = u64::from(member.bucket_sectors());
            let nodes_per_bucket = div_or_zero(bucket, node_sectors).max(1);
            let buckets = div_round_up(NODE_RESERVE, nodes_per_bucket)
                .saturating_mul(2)
                .saturating_add(member.nbuckets() >> 6)
                .saturating_add(3);
            let usable = member
                .nbuckets()
                .saturating_sub(u64::from(member.first_bucket()));
            capacity = capacity.saturating_add(usable.saturating_mul(bucket));
            reserved = reserved.saturating_add(buckets.saturating_mul(bucket).saturating_mul(2));
        }
        let gc = div_or_zero(capacity.saturating_mul(gc_percent), 100);
        let reserved = reserved.max(gc).min(capacity);
        Self {
            usable: capacity.saturating_sub(reserved),
            reserved,
        }
    }
}

/// What the space in use is used for, in sectors.
///
/// C: `struct bch_fs_usage_base`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageBase {
    /// Superblocks and journal.
    pub hidden: u64,
    /// Btree nodes.
    pub btree: u64,
    /// File data, with what allows to restore it.
    pub data: u64,
    /// Copies that can be thrown away.
    pub cached: u64,
    /// Reserved for files.
    pub reserved: u64,
    /// Inodes in use.
    pub nr_inodes: u64,
}

impl UsageBase {
    /// Adds the accounting up. [`Error::BtreeSick`](crate::error::Error::BtreeSick) when part of it
    /// is missing: that would count as free space.
    pub fn read(btrees: &Btrees) -> Result<Self> {
        btrees.health.require(BtreeId::ACCOUNTING)?;
        let st = btrees.sb();
        let mut all = Self::default();
        for_each_of_whole(btrees, |counted, [a, ..]| {
            // What is below zero is damaged accounting.
            let a = u64_of_bits(a.max(0));
            if let Counted::DevDataType(dev, DataType::SB | DataType::JOURNAL) = counted {
                let bucket = st.sb.member(dev.0).map_or(0, |m| m.bucket_sectors());
                let sectors = a.saturating_mul(u64::from(bucket));
                all.hidden = all.hidden.saturating_add(sectors);
            }
            let Some((to, times)) = adds_to(&counted) else {
                return;
            };
            let to = match to {
                Sum::Btree => &mut all.btree,
                Sum::Data => &mut all.data,
                Sum::Cached => &mut all.cached,
                Sum::Reserved => &mut all.reserved,
                Sum::NrInodes => &mut all.nr_inodes,
            };
            *to = to.saturating_add(a.saturating_mul(times));
        })?;
        Ok(all)
    }
}

impl Usage {
    /// Reads the accounting. Errors: those of [`UsageBase::read`].
    ///
    /// C: `bch2_fs_usage_read_short()`.
    pub fn read(btrees: &Btrees, gc_percent: u64) -> Result<Self> {
        let base = UsageBase::read(btrees)?;
        Ok(Self::of(&base, &Capacity::of(btrees.sb(), gc_percent)))
    }

    /// From the sums.
    pub fn of(base: &UsageBase, capacity: &Capacity) -> Self {
        let capacity = capacity.usable.saturating_sub(base.hidden);
        let extra = div_round_up(base.reserved, 1 << RESERVE_SHIFT);
        let reserved = base.reserved.saturating_add(extra);
        let data = base.btree.saturating_add(base.data);
        let used = data.saturating_add(reserved).min(capacity);
        Self {
            capacity,
            used,
            free: capacity.saturating_sub(used),
            nr_inodes: base.nr_inodes,
        }
    }

    /// Sectors that new files can take, with the part that reservations are taken larger by left
    /// out. C: `avail_factor()`.
    pub fn available(&self) -> u64 {
        div_or_zero(
            self.free.saturating_mul(1 << RESERVE_SHIFT),
            (1 << RESERVE_SHIFT) + 1,
        )
    }
}

/// Of a device, by the number of the [`DataType`]: buckets, sectors in them that are in use, and
/// sectors that can not be used because of others in the bucket.
///
/// C: `struct bch_dev_usage`.
pub type DeviceUsage = [[u64; 3]; usize_of_u8(DataType::NR)];

/// Reads what the accounting has of a device. Errors: those of [`UsageBase::read`].
///
/// C: `bch2_dev_usage_read()`.
pub fn device_usage(btrees: &Btrees, of: DevIdx) -> Result<DeviceUsage> {
    btrees.health.require(BtreeId::ACCOUNTING)?;
    let mut all = DeviceUsage::default();
    let of_devices = Counted::DevDataType(of, DataType::FREE).type_bit();
    for_each_of_types(btrees, of_devices, |counter| {
        if let Counted::DevDataType(dev, data) = counter.counted {
            if let Some(to) = all.get_mut(usize::from(data.0)).filter(|_| dev == of) {
                for (to, from) in to.iter_mut().zip(counter.values()) {
                    *to = u64_of_bits(*from);
                }
            }
        }
        Ok(())
    })?;
    Ok(all)
}
