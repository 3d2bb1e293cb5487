// SPDX-License-Identifier: GPL-2.0

//! Looking for nodes that no pointer leads to, in the space of devices.
//!
//! C: `btree_node_scan.c`.

use super::{
    found::FoundNode,
    health::Health,
    ptr::{
        NodePtr,
        COPIES_MAX, //
    },
    Btrees, //
};
use crate::{
    env::{
        num::{
            div_or_zero,
            round_up_pow2,
            u64_of,
            usize_of, //
        },
        pr_err,
        pr_info,
        time,
        units::{
            BucketNr,
            Sectors,
            SECTOR_SHIFT, //
        },
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX,
            BTREE_MAX_DEPTH, //
        },
        data_type::DataType,
        node::{
            filesystem_magic,
            Bset,
            RawNode,
            BSET_MAGIC, //
        },
        values::extent_entry::Ptr,
    },
    sb::Device,
    sys::caller, //
};

/// Bytes that are read to see whether a node begins there.
const PEEK_BYTES: usize = 4096;
/// How long nothing is said about how far it is. C: 30 seconds as well.
const SAY_NS: u64 = 30_000_000_000;

/// What a scan has to know of what is above the btrees.
pub struct ScanFor<'a> {
    /// Whether there may be nodes at these sectors of the device.
    pub may_be: &'a dyn Fn(&Device, Sectors) -> bool,
    /// The generation of a bucket.
    pub generation: &'a dyn Fn(&Device, BucketNr) -> u8,
    /// Whether nodes of this btree are wanted.
    pub wanted: &'a dyn Fn(BtreeId) -> bool,
}

impl Btrees {
    /// Reads where leaves may begin on `dev`, and adds those that are whole to `found`. It takes as
    /// much memory as there are nodes found.
    ///
    /// Errors: [`Error::ScanInterrupted`] when the caller has got a signal. What can not be read is
    /// told and left out.
    ///
    /// C: `read_btree_nodes_worker()`.
    #[inline(never)]
    pub fn scan(&self, dev: &Device, what: &ScanFor<'_>, found: &mut Vec<FoundNode>) -> Result {
        let health = Health::try_new()?;
        let member = &dev.member;
        let bucket_sectors = u64::from(member.bucket_sectors());
        let node_sectors = u64::from(self.sb().sb.node_sectors());
        let block_bytes = usize_of(self.sb().sb.block_bytes().into());
        let mut peek = Vec::from_elem(0u8, PEEK_BYTES.max(block_bytes))?;
        let mut said = time::monotonic_ns();
        for bucket in u64::from(member.first_bucket())..member.nbuckets() {
            if caller::is_interrupted() {
                return Err(Error::ScanInterrupted);
            }
            let now = time::monotonic_ns();
            if now.saturating_sub(said) > SAY_NS {
                said = now;
                let done = div_or_zero(bucket.saturating_mul(100), member.nbuckets());
                pr_info!("{}: looking for btree nodes: {done}% done", dev.bdev.name());
            }
            let start = bucket.saturating_mul(bucket_sectors);
            let mut within = 0u64;
            while within.saturating_add(node_sectors) <= bucket_sectors {
                let sector = start.saturating_add(within);
                within = within.saturating_add(node_sectors);
                if (what.may_be)(dev, Sectors(sector)) {
                    let place = (BucketNr(bucket), sector);
                    self.look_at(dev, &health, what, place, &mut peek, found)?;
                }
            }
        }
        Ok(())
    }

    /// C: `try_read_btree_node()`.
    fn look_at(
        &self,
        dev: &Device,
        health: &Health,
        what: &ScanFor<'_>,
        (bucket, sector): (BucketNr, u64),
        peek: &mut [u8],
        found: &mut Vec<FoundNode>,
    ) -> Result {
        if let Err(e) = dev.bdev.read(sector, peek) {
            pr_err!(
                "{}: looking for btree nodes at {sector}: {e}",
                dev.bdev.name()
            );
            return Ok(());
        }
        let magic = filesystem_magic(&self.sb().sb.uuid().0) ^ BSET_MAGIC;
        if RawNode::read(peek).is_none_or(|n| n.magic() != magic) {
            return Ok(());
        }
        let place = Ptr {
            dev: dev.idx,
            offset: Sectors(sector),
            generation: (what.generation)(dev, bucket),
            cached: false,
            unwritten: false,
        };
        match self.read_unknown(dev, health, what, place) {
            Ok(Some(node)) => found.push(node),
            Ok(None) => Ok(()),
            Err(e @ Error::NoMemory) => Err(e),
            // It was told.
            Err(_) => Ok(()),
        }
    }

    /// The leaf at `place`, whatever it is; `None` when it is not wanted.
    #[inline(never)]
    fn read_unknown(
        &self,
        dev: &Device,
        health: &Health,
        what: &ScanFor<'_>,
        place: Ptr,
    ) -> Result<Option<FoundNode>> {
        let reader = self.reader_for(health);
        let mut buf = Vec::from_elem(
            0u8,
            usize::from(self.sb().sb.node_sectors()) << SECTOR_SHIFT,
        )?;
        dev.bdev.read(place.offset.0, &mut buf)?;
        dev.stats
            .count_read(DataType::BTREE, u64_of(buf.len() >> SECTOR_SHIFT));
        let newest = newest_entry(&buf, self.sb().sb.block_bytes());
        let Some(head) = reader.open_header(&mut buf) else {
            return Ok(None);
        };
        let btree = u8::try_from(head.btree())
            .ok()
            .filter(|b| *b < BTREE_ID_NR_MAX);
        let btree = btree.map(BtreeId).filter(|b| (what.wanted)(*b));
        let Some(btree) = btree.filter(|_| head.level() < BTREE_MAX_DEPTH) else {
            return Ok(None);
        };
        if head.level() != 0 {
            // All above the leaves is made anew.
            return Ok(None);
        }
        let mut copies = [None; COPIES_MAX];
        if let Some(first) = copies.first_mut() {
            *first = Some(place);
        }
        let range = (head.min_key(), head.max_key());
        let ptr = NodePtr::of_new(btree, head.level(), head.keys().seq(), range, copies);
        let node = reader.read_copy(&ptr, dev, &place)?;
        Ok(FoundNode::of(&node, newest))
    }
}

/// The newest journal entry that a set of keys in a node says it has keys of.
fn newest_entry(node: &[u8], block_bytes: u32) -> u64 {
    let (mut at, mut newest, mut seq) = (0usize, 0u64, None);
    while let Some(rest) = node.get(at..).filter(|r| !r.is_empty()) {
        let set = match at {
            0 => Bset::first(rest),
            _ => Bset::later(rest),
        };
        let Some(set) = set.filter(|s| *seq.get_or_insert(s.head.seq()) == s.head.seq()) else {
            break;
        };
        newest = newest.max(set.head.journal_seq());
        let block = u64::from(block_bytes);
        let len = round_up_pow2(u64_of(set.total_bytes()), block).unwrap_or(block);
        at = at.saturating_add(usize_of(len.max(block)));
    }
    newest
}
