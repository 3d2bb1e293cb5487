// SPDX-License-Identifier: GPL-2.0

//! Where one stream of writes puts its data.

use super::{
    clock::DevClock,
    list::OpenList,
    open::OpenBuckets, //
};
use crate::{
    env::{
        units::DevIdx,
        Box, //
    },
    error::Result,
    format::{
        data_type::DataType,
        values::extent_entry::Ptr, //
    },
};

/// The open buckets that one stream of writes fills, one for each copy.
///
/// C: `struct write_point`.
pub struct WritePoint {
    /// What is written.
    pub data_type: DataType,
    pub(super) open: OpenList,
    pub(super) clock: Box<DevClock>,
    pub(super) sectors_free: u32,
}

impl WritePoint {
    /// A write point without buckets.
    pub fn try_new(data_type: DataType) -> Result<Self> {
        Ok(Self {
            data_type,
            open: OpenList::new(),
            clock: Box::try_new(DevClock::new())?,
            sectors_free: 0,
        })
    }

    /// Sectors that can be written next, to each of the buckets.
    pub const fn sectors_free(&self) -> u32 {
        self.sectors_free
    }

    /// How many copies are written.
    pub const fn nr_copies(&self) -> usize {
        self.open.len()
    }

    /// Gives `sectors` of each bucket out, and calls `visit` with the pointers to them. `None`, and
    /// nothing is given out, for more than [`WritePoint::sectors_free`].
    ///
    /// C: `bch2_alloc_sectors_append_ptrs()`.
    pub fn append(
        &mut self,
        table: &mut OpenBuckets,
        sectors: u32,
        mut visit: impl FnMut(Ptr) -> Result,
    ) -> Option<Result> {
        self.sectors_free = self.sectors_free.checked_sub(sectors)?;
        for at in self.open.iter() {
            let ptr = table.use_sectors(at, sectors)?;
            if let Err(e) = visit(ptr) {
                return Some(Err(e));
            }
        }
        Some(Ok(()))
    }

    /// One more reference to each bucket, to be given back when the keys are in a btree.
    ///
    /// C: `bch2_open_bucket_get()`.
    pub fn pins(&self, table: &mut OpenBuckets) -> OpenList {
        let mut pins = OpenList::new();
        for at in self.open.iter() {
            // Both lists have room for the same number.
            if let Err(back) = pins.push(table.pin(at)) {
                table.put(back);
            }
        }
        pins
    }

    /// Gives buckets back that are full. C: `bch2_alloc_sectors_done()`.
    pub fn done(&mut self, table: &mut OpenBuckets) {
        self.drop_if(table, |table, at| {
            table.get(at).is_none_or(|open| open.sectors_free == 0)
        });
    }

    /// Gives all buckets of `dev` back, or of all devices. C: `bch2_writepoint_stop()`.
    pub fn stop(&mut self, table: &mut OpenBuckets, dev: Option<DevIdx>) {
        self.drop_if(table, |table, at| {
            let of = table.get(at).map(|open| open.dev);
            dev.is_none() || of == dev
        });
    }

    fn drop_if(
        &mut self,
        table: &mut OpenBuckets,
        drops: impl Fn(&OpenBuckets, &super::OpenRef) -> bool,
    ) {
        loop {
            let found = self.open.iter().position(|at| drops(table, at));
            let Some(at) = found.and_then(|at| self.open.remove(at)) else {
                break;
            };
            table.put(at);
        }
        if self.open.is_empty() {
            self.sectors_free = 0;
        }
    }

    /// Puts all buckets aside, for other write points. C: a part of
    /// `try_decrease_writepoints()`.
    pub fn give_up(&mut self, table: &mut OpenBuckets) {
        while let Some(at) = self.open.pop() {
            table.park(at);
        }
        self.sectors_free = 0;
    }
}
