// SPDX-License-Identifier: GPL-2.0

//! Buckets of each device by what they hold, as of the last commit.

use crate::{
    alloc::accounting::for_each_of_whole,
    btree::Btrees,
    env::{
        num::u64_of_bits,
        units::DevIdx,
        Vec, //
    },
    error::Result,
    format::{
        bkey::Key,
        data_type::DataType,
        sb::version::Version,
        values::accounting::{
            counters,
            Counted, //
        }, //
    },
    sys::sync::SpinLock,
};

/// Kinds of data that are counted.
const KINDS: usize = DataType::NAMES.len();

/// Numbers of buckets, by device and by what they hold.
///
/// C: the part of `struct bch_accounting_mem` that `bch2_dev_usage_read()` reads.
pub struct Counts {
    version: Version,
    by_dev: SpinLock<Vec<[i64; KINDS]>>,
}

impl Counts {
    /// What the accounting says.
    pub fn read(btrees: &Btrees) -> Result<Self> {
        let sb = &btrees.sb().sb;
        let mut by_dev = Vec::from_elem([0; KINDS], sb.nr_devices().into())?;
        for_each_of_whole(btrees, |counted, [buckets, ..]| {
            if let Counted::DevDataType(dev, kind) = counted {
                add(&mut by_dev, dev, kind, buckets);
            }
        })?;
        Ok(Self {
            version: sb.version(),
            by_dev: SpinLock::try_new(by_dev)?,
        })
    }

    /// Adds the differences of an accounting key.
    pub fn apply(&self, delta: &Key<'_>) {
        if let Counted::DevDataType(dev, kind) = Counted::decode(delta.k.p, self.version) {
            let buckets = counters(delta.v).next().unwrap_or(0);
            add(&mut self.by_dev.lock(), dev, kind, buckets);
        }
    }

    /// Buckets of a device that hold data of a kind.
    pub fn buckets(&self, dev: DevIdx, kind: DataType) -> u64 {
        let by_dev = self.by_dev.lock();
        let own = by_dev.get(usize::from(dev.0));
        let n = own.and_then(|own| own.get(usize::from(kind.0)));
        u64_of_bits(n.copied().unwrap_or(0).max(0))
    }
}

fn add(by_dev: &mut [[i64; KINDS]], dev: DevIdx, kind: DataType, by: i64) {
    let own = by_dev.get_mut(usize::from(dev.0));
    if let Some(n) = own.and_then(|own| own.get_mut(usize::from(kind.0))) {
        *n = n.wrapping_add(by);
    }
}
