// SPDX-License-Identifier: GPL-2.0

//! Capacity and use of the whole filesystem.

use super::accounting::for_each_of_whole;
use crate::{
    btree::Btrees,
    env::num::{
        div_or_zero,
        u64_of_bits, //
    },
    error::Result,
    format::{
        data_type::DataType,
        sb::members::MemberState,
        values::accounting::Counted, //
    },
    sb::SbState, //
};

/// Nodes kept in reserve for changes of the btrees. C: `BTREE_NODE_RESERVE`.
const NODE_RESERVE: u64 = 28;
/// Reservations are taken larger by one part in 64. C: `RESERVE_FACTOR`.
const RESERVE_SHIFT: u32 = 6;

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

/// Whether sectors of this kind count as used.
fn holds_files(data: DataType) -> bool {
    matches!(data, DataType::BTREE | DataType::USER | DataType::PARITY)
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
        for member in st
            .sb
            .members()
            .filter(|m| m.is_alive() && m.state() == MemberState::RW)
        {
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

impl Usage {
    /// Reads the accounting.
    ///
    /// C: `bch2_fs_usage_read_short()`.
    pub fn read(btrees: &Btrees, gc_percent: u64) -> Result<Self> {
        let st = btrees.sb();
        let (mut hidden, mut data, mut reserved, mut nr_inodes) = (0u64, 0u64, 0u64, 0u64);
        for_each_of_whole(btrees, |counted, [a, ..]| {
            // What is below zero is damaged accounting.
            let a = u64_of_bits(a.max(0));
            match counted {
                Counted::NrInodes => nr_inodes = nr_inodes.saturating_add(a),
                Counted::PersistentReserved(copies) => {
                    reserved = reserved.saturating_add(a.saturating_mul(u64::from(copies)));
                }
                Counted::Replicas(r) if holds_files(r.data_type) => data = data.saturating_add(a),
                Counted::DevDataType(dev, DataType::SB | DataType::JOURNAL) => {
                    let bucket = st.sb.member(dev.0).map_or(0, |m| m.bucket_sectors());
                    hidden = hidden.saturating_add(a.saturating_mul(u64::from(bucket)));
                }
                _ => (),
            }
        })?;
        let capacity = Capacity::of(st, gc_percent).usable.saturating_sub(hidden);
        let reserved = reserved.saturating_add(div_round_up(reserved, 1 << RESERVE_SHIFT));
        let used = data.saturating_add(reserved).min(capacity);
        Ok(Self {
            capacity,
            used,
            free: capacity.saturating_sub(used),
            nr_inodes,
        })
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
