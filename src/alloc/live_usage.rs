// SPDX-License-Identifier: GPL-2.0

//! The counters that decisions about space need, in memory, changed by every commit.

use super::{
    accounting::for_each_of_whole,
    foreground::DevSpace,
    usage::{
        adds_to,
        DeviceUsage,
        Sum,
        UsageBase, //
    },
};
use crate::{
    btree::Btrees,
    env::{
        num::{
            i64_of_bits,
            u64_of_bits,
            usize_of_u8, //
        },
        units::DevIdx,
        Vec,
    },
    error::Result,
    format::{
        btree_id::BtreeId,
        data_type::DataType,
        sb::Member,
        values::accounting::Counted, //
    },
};

/// By the number of the [`DataType`], what [`DeviceUsage`] has.
type PerDevice = [[i64; 3]; usize_of_u8(DataType::NR)];

/// The counters of the whole filesystem and of devices.
///
/// C: `usage` of `struct bch_fs` and of `struct bch_dev`.
#[derive(Debug, Default)]
pub struct LiveUsage {
    sums: [i64; Sum::NR],
    devs: Vec<PerDevice>,
}

/// What is below zero is damaged accounting.
fn unsigned(n: i64) -> u64 {
    u64_of_bits(n.max(0))
}

impl LiveUsage {
    /// Reads the accounting. Errors: those of [`UsageBase::read`].
    ///
    /// C: `bch2_accounting_read()`.
    pub fn read(btrees: &Btrees) -> Result<Self> {
        btrees.health.require(BtreeId::ACCOUNTING)?;
        let mut this = Self::default();
        let mut result = Ok(());
        for_each_of_whole(btrees, |counted, counters| {
            if result.is_ok() {
                result = this.reserve(&counted);
            }
            this.add(&counted, &counters);
        })?;
        result.map(|()| this)
    }

    /// Makes room for the counters of a device, so that adding to them can not fail.
    pub fn reserve(&mut self, counted: &Counted) -> Result {
        let Counted::DevDataType(dev, _) = counted else {
            return Ok(());
        };
        let nr = usize::from(dev.0).saturating_add(1);
        match nr.checked_sub(self.devs.len()) {
            Some(1..) => self.devs.resize(nr, PerDevice::default()),
            _ => Ok(()),
        }
    }

    /// Adds to counters: what a commit changes. Those of inodes, snapshots and the like are not
    /// kept, and neither are those of devices there is no [room](Self::reserve) for.
    ///
    /// C: `bch2_accounting_mem_mod_locked()`.
    pub fn add(&mut self, counted: &Counted, by: &[i64]) {
        if let Counted::DevDataType(dev, data_type) = counted {
            let dev = self.devs.get_mut(usize::from(dev.0));
            let sums = dev.and_then(|d| d.get_mut(usize::from(data_type.0)));
            for (sum, by) in sums.into_iter().flatten().zip(by) {
                *sum = sum.wrapping_add(*by);
            }
        } else if let (Some((to, times)), Some(by)) = (adds_to(counted), by.first()) {
            if let Some(sum) = self.sums.get_mut(to.index()) {
                *sum = sum.wrapping_add(by.wrapping_mul(i64_of_bits(times)));
            }
        }
    }

    fn sum(&self, of: Sum) -> u64 {
        unsigned(self.sums.get(of.index()).copied().unwrap_or(0))
    }

    /// What the space in use is used for; `bucket_sectors` tells how large buckets of a device are.
    pub fn base(&self, bucket_sectors: impl Fn(DevIdx) -> u16) -> UsageBase {
        let mut hidden = 0u64;
        for (dev, counters) in (0u8..=u8::MAX).map(DevIdx).zip(&self.devs) {
            for data_type in [DataType::SB, DataType::JOURNAL] {
                let [buckets, ..] = counters
                    .get(usize::from(data_type.0))
                    .copied()
                    .unwrap_or_default();
                let sectors = unsigned(buckets).saturating_mul(bucket_sectors(dev).into());
                hidden = hidden.saturating_add(sectors);
            }
        }
        UsageBase {
            hidden,
            btree: self.sum(Sum::Btree),
            data: self.sum(Sum::Data),
            cached: self.sum(Sum::Cached),
            reserved: self.sum(Sum::Reserved),
            nr_inodes: self.sum(Sum::NrInodes),
        }
    }

    /// What is on a device. C: `bch2_dev_usage_read()`.
    pub fn device(&self, dev: DevIdx) -> DeviceUsage {
        let counters = self.devs.get(usize::from(dev.0)).copied();
        counters.unwrap_or_default().map(|d| d.map(unsigned))
    }

    /// What can be taken of a device, of whose free buckets so many are open.
    pub fn dev_space(
        &self,
        dev: DevIdx,
        member: &Member,
        node_sectors: u16,
        open_unused: u64,
    ) -> DevSpace {
        let usage = self.device(dev);
        let buckets = |data_type: DataType| {
            let [buckets, ..] = usage
                .get(usize::from(data_type.0))
                .copied()
                .unwrap_or_default();
            buckets
        };
        DevSpace {
            nr_buckets: member.nbuckets(),
            bucket_sectors: member.bucket_sectors().into(),
            node_sectors: node_sectors.into(),
            free: buckets(DataType::FREE),
            cached: buckets(DataType::CACHED),
            need_discard: buckets(DataType::NEED_DISCARD),
            need_gc_gens: buckets(DataType::NEED_GC_GENS),
            open_unused,
            durability: member.durability(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::values::accounting::Replicas;

    #[test]
    fn sums() {
        let mut usage = LiveUsage::default();
        let replicas = |ty| Counted::Replicas(Replicas::new(ty, 1, &[0, 2]).unwrap());
        for (counted, by) in [
            (Counted::NrInodes, &[3i64][..]),
            (Counted::PersistentReserved(2), &[10]),
            (Counted::PersistentReserved(1), &[1]),
            (replicas(DataType::BTREE), &[512]),
            (replicas(DataType::USER), &[100]),
            (replicas(DataType::USER), &[-30]),
            (replicas(DataType::PARITY), &[7]),
            (replicas(DataType::CACHED), &[5]),
            (Counted::DevDataType(DevIdx(2), DataType::SB), &[2, 9, 9]),
            (Counted::DevDataType(DevIdx(2), DataType::FREE), &[-1, 0, 0]),
            (Counted::Inum(4), &[1, 1, 1]),
        ] {
            usage.reserve(&counted).unwrap();
            usage.add(&counted, by);
        }
        let want = UsageBase {
            hidden: 256,
            btree: 512,
            data: 77,
            cached: 5,
            reserved: 21,
            nr_inodes: 3,
        };
        assert_eq!(usage.base(|dev| [0, 0, 128][usize::from(dev.0)]), want);
        let dev = usage.device(DevIdx(2));
        assert_eq!(dev[1], [2, 9, 9]);
        // Less than nothing is nothing.
        assert_eq!(dev[0], [0; 3]);
        assert_eq!(usage.device(DevIdx(9)), DeviceUsage::default());
    }
}
