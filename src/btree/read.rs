// SPDX-License-Identifier: GPL-2.0

//! Reading a node: from sectors on a device to a [`Node`], with everything checked on the way.

use super::{
    fsck_ids::fsck_id,
    health::{
        Health,
        Place,
        What, //
    },
    node::{
        Node,
        Parts, //
    },
    ptr::NodePtr, //
};
use crate::{
    algo::{
        crypt::{
            Seal,
            Unusable, //
        },
        key_format::KeyFormat,
        node_keys::NodeKeys,
        raw_set::{
            check_set,
            RawKeys, //
        },
    },
    env::{
        num::{
            low_u16,
            round_up_pow2,
            sat_u32,
            u64_of,
            usize_of, //
        },
        pr_err,
        pr_info,
        units::SECTOR_SHIFT,
        Arc,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Invalid,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        csum::CsumType,
        data_type::DataType,
        key_type::KeyType,
        node::{
            filesystem_magic,
            Bset,
            RawBset,
            RawNode,
            BSET_MAGIC, //
        },
        nonce::Nonce,
        sb::counters::Counter,
        values::{
            extent_entry::Ptr,
            validate::Origin, //
        },
    },
    journal::{
        Blacklist,
        KeyCheck, //
    },
    sb::{
        Device,
        Lost,
        SbState, //
    },
};
use core::ops::Range;

/// Unusable keys of one node that are reported one by one.
const KEYS_REPORTED: usize = 16;

/// What reading a node needs besides the pointer.
pub(super) struct Reader<'a> {
    pub(super) st: &'a SbState,
    pub(super) blacklist: &'a Blacklist,
    pub(super) check: &'a KeyCheck,
    pub(super) health: &'a Health,
    /// What is left of a damaged node is better than nothing.
    pub(super) salvage: bool,
}

/// One copy of a node, for messages.
struct Copy<'a> {
    ptr: &'a NodePtr,
    dev: &'a Device,
    sector: u64,
}

impl core::fmt::Display for Copy<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "{}: btree node at sector {} ({})",
            self.dev.bdev.name(),
            self.sector,
            self.ptr
        )
    }
}

/// The sets of keys of one node, as they are found.
struct Sets {
    /// Where their keys are.
    keys: Vec<Range<usize>>,
    /// Bytes of the node gone through.
    done: usize,
}

impl Reader<'_> {
    /// Reads a node from the first copy that is right, those on devices to be emptied last. Says
    /// what is wrong with the others, and counts what their devices did.
    ///
    /// C: `bch2_btree_node_read()`, `btree_node_read_work()`.
    #[inline(never)]
    pub(super) fn read(&self, ptr: &NodePtr) -> Result<Arc<Node>> {
        let _timed = self.st.times.btree_node_read.begin();
        let mut last: Option<Error> = None;
        for last_resort in [false, true] {
            let here = |copy: Ptr| Some((copy, self.st.dev(copy.dev)?));
            let copies = ptr.copies().filter_map(here);
            for (copy, dev) in copies.filter(|(_, dev)| dev.is_last_resort() == last_resort) {
                match self.read_copy(ptr, dev, &copy) {
                    Ok(node) => {
                        if last.is_some() {
                            let idx = copy.dev;
                            self.health.wants_rewrite(ptr.btree, ptr.level, ptr.max);
                            pr_info!("btree node ({ptr}): the copy on device {idx} is good");
                        }
                        return Ok(node);
                    }
                    Err(e @ Error::NoMemory) => return Err(e),
                    Err(e) => {
                        self.bad_copy(dev, e);
                        // A copy that could not be looked at may be good: the node is not lost.
                        last = last.filter(|l| !l.is_corruption()).or(Some(e));
                    }
                }
            }
        }
        for copy in ptr.copies().filter(|c| self.st.dev(c.dev).is_none()) {
            let (dev, sector) = (copy.dev, copy.offset.0);
            pr_err!("btree node ({ptr}): device {dev}, sector {sector}, is missing");
        }
        self.st.lost(Lost::Node);
        self.st.errors.count(FsckError::BTREE_NODE_READ_ERROR);
        Err(last.unwrap_or(Error::NodeNoDevice))
    }

    #[cold]
    #[inline(never)]
    fn bad_copy(&self, dev: &Device, e: Error) {
        dev.errors.count(e);
        self.st.lost(Lost::NodeCopy);
        if let Some(id) = fsck_id(e) {
            self.st.errors.count(id);
        }
    }

    fn node_bytes(&self) -> usize {
        usize::from(self.st.sb.node_sectors()) << SECTOR_SHIFT
    }

    #[inline(never)]
    pub(super) fn read_copy(&self, ptr: &NodePtr, dev: &Device, copy: &Ptr) -> Result<Arc<Node>> {
        let at = Copy {
            ptr,
            dev,
            sector: copy.offset.0,
        };
        let written = ptr
            .sectors_written()
            .map_or(usize::MAX, |s| usize::from(s) << SECTOR_SHIFT);
        if written != usize::MAX && written > self.node_bytes() {
            pr_err!("{at}: {written} bytes written, more than a node has");
            return Err(Error::NodeTooBig);
        }
        let len = written.min(self.node_bytes());
        let mut buf: Vec<u8> = Vec::from_elem(0, len)?;
        if let Err(e) = dev.bdev.read(at.sector, &mut buf) {
            pr_err!("{at}: {e}");
            return Err(e);
        }
        let sectors = u64_of(buf.len() >> SECTOR_SHIFT);
        dev.stats.count_read(DataType::BTREE, sectors);
        self.st.count(Counter::BTREE_NODE_READ);
        self.decode(&at, &mut buf)
    }

    /// C: `bch2_btree_node_read_done()`.
    #[inline(never)]
    fn decode(&self, at: &Copy<'_>, buf: &mut [u8]) -> Result<Arc<Node>> {
        let _timed = self.st.times.btree_node_read_done.begin();
        let (head, range) = self.check_header(at, buf)?;
        let format = match KeyFormat::decode(head.format()) {
            Ok(format) => format,
            Err(invalid) => {
                pr_err!("{at}: {invalid}");
                return Err(Error::NodeFormat);
            }
        };
        let bounds = match at.ptr.range_updated() {
            // Keys may lie outside: the range was cut without writing the node again.
            true => (Bpos::MIN, Bpos::MAX),
            false => range,
        };
        let sets = self.collect_sets(at, buf, &head, &format, bounds)?;
        let mut slices = Vec::with_capacity(sets.keys.len())?;
        for range in sets.keys {
            slices.push(buf.get(range).unwrap_or_default())?;
        }
        let mut keys = NodeKeys::build(format, &slices)?;
        keys.hide_outside(range.0, range.1);
        let parts = Parts {
            seq: head.keys().seq(),
            replaced: head.seq_low(),
            range,
            invalid: self.find_invalid(at, &keys)?,
            keys,
            written: low_u16(u64_of(sets.done >> SECTOR_SHIFT)),
        };
        Node::new(at.ptr, (at.dev.idx, at.sector), parts)
    }

    /// Whether this is the node the pointer asks for; its header and range. Its first set of keys
    /// is checked and decrypted with it.
    #[inline(never)]
    fn check_header(&self, at: &Copy<'_>, buf: &mut [u8]) -> Result<(RawNode, (Bpos, Bpos))> {
        let magic = filesystem_magic(&self.st.sb.uuid().0) ^ BSET_MAGIC;
        let head = RawNode::read(buf).filter(|n| n.magic() == magic);
        let Some(head) = head else {
            let found = RawNode::read(buf).map_or(0, |n| n.magic());
            pr_err!("{at}: wrong magic number {found:x}, expected {magic:x}");
            return Err(Error::NodeMagic);
        };
        let seq = head.keys().seq();
        let expected = at.ptr.id.map_or(seq, |id| id.seq);
        if seq != expected || seq == 0 {
            pr_err!("{at}: not the node that was written here: seq {seq:x}, expected {expected:x}");
            return Err(Error::NodeSeq);
        }
        refuse_big_endian(at, head.keys())?;
        // The first set's checksum covers the header, check it before more is believed.
        self.open_set(at, 0, buf)?;
        let head = RawNode::read(buf).unwrap_or(head);
        if head.btree() != u64::from(at.ptr.btree.0) {
            pr_err!("{at}: belongs to btree number {}", head.btree());
            return Err(Error::NodeWrongBtree);
        }
        if head.level() != at.ptr.level {
            pr_err!("{at}: is of level {}", head.level());
            return Err(Error::NodeLevel);
        }
        let range = match at.ptr.id {
            Some(id) if id.range_updated => (id.min_key, at.ptr.max),
            _ => (head.min_key(), head.max_key()),
        };
        let min = at.ptr.min().unwrap_or(range.0);
        if range.0 != min || range.1 != at.ptr.max || range.0 > range.1 {
            pr_err!("{at}: covers {} - {}", range.0, range.1);
            return Err(Error::NodeRange);
        }
        Ok((head, range))
    }

    /// Checks the set of keys at the start of `bytes`, `offset` bytes into the node, against its
    /// checksum, and decrypts it.
    fn open_set(&self, at: &Copy<'_>, offset: usize, bytes: &mut [u8]) -> Result {
        let sector = offset >> SECTOR_SHIFT;
        let set = set_at(offset, bytes);
        let Some(set) = set else {
            pr_err!("{at}: set of keys at sector {sector} goes beyond the end of the node");
            return Err(Error::NodeTruncated);
        };
        let kind = CsumType(set.head.csum_type());
        let seal = Seal {
            key: self.st.key(),
            nonce: Nonce::node(&set.head, sat_u32(offset)),
        };
        let computed = match seal.checksum(kind, core::iter::once(set.covered)) {
            Ok(computed) => computed,
            Err(Unusable::NoKey) => {
                pr_err!("{at}: set of keys at sector {sector} is encrypted, and there is no key");
                return Err(Error::NodeNoKey);
            }
            Err(Unusable::Kind) => {
                pr_err!("{at}: set of keys at sector {sector} has an unknown checksum type {kind}");
                return Err(Error::NodeChecksumKind);
            }
        };
        let stored = set.csum.into();
        if !computed.matches(stored) {
            pr_err!(
                "{at}: set of keys at sector {sector} does not match its checksum ({kind}): \
                 {stored} stored, {computed} computed"
            );
            if !self.salvage || kind.is_encryption() {
                return Err(Error::NodeChecksum);
            }
            // Keys that can not be right are left out later.
            self.wants_rewrite(at);
        }
        seal.open_set(kind, bytes, offset == 0);
        Ok(())
    }

    /// Finds, checks and decrypts all sets of a node, of which [`check_header`](Self::check_header)
    /// has done the first.
    #[inline(never)]
    fn collect_sets(
        &self,
        at: &Copy<'_>,
        buf: &mut [u8],
        head: &RawNode,
        format: &KeyFormat,
        bounds: (Bpos, Bpos),
    ) -> Result<Sets> {
        let mut sets = Sets {
            keys: Vec::new(),
            done: 0,
        };
        let block = u64::from(self.st.sb.block_bytes());
        while let Some(rest) = buf.get_mut(sets.done..).filter(|r| !r.is_empty()) {
            if sets.done != 0 {
                match Bset::peek_later(rest) {
                    Some(peek) if peek.seq() == head.keys().seq() => (),
                    _ => break,
                }
                if self.salvage && set_at(sets.done, rest).is_none() {
                    break;
                }
                self.open_set(at, sets.done, rest)?;
            }
            let Some(set) = set_at(sets.done, rest) else {
                break;
            };
            self.check_set_header(at, sets.done, &set)?;
            if self.is_void(at, sets.done, &set)? {
                pr_info!(
                    "{at}: leaving out keys at sector {}: written for journal entry {}, which \
                     never was",
                    sets.done >> SECTOR_SHIFT,
                    set.head.journal_seq()
                );
            } else {
                let start = sets.done.saturating_add(set.total_bytes());
                let start = start.saturating_sub(set.keys.len());
                let kept = self.keys_of_set(at, format, &set, (sets.done, bounds))?;
                for keys in kept {
                    let (from, to) = (keys.start, keys.end);
                    let keys = start.saturating_add(from)..start.saturating_add(to);
                    sets.keys.push(keys)?;
                }
            }
            let len = round_up_pow2(u64_of(set.total_bytes()), block).unwrap_or(block);
            sets.done = sets.done.saturating_add(usize_of(len.max(block)));
        }
        if at.ptr.sectors_written().is_some() && sets.done < buf.len() {
            pr_err!(
                "{at}: {} sectors written, but only {} hold keys",
                buf.len() >> SECTOR_SHIFT,
                sets.done >> SECTOR_SHIFT
            );
            if !self.salvage {
                return Err(Error::NodeIncomplete);
            }
            self.wants_rewrite(at);
        }
        Ok(sets)
    }

    /// Where the keys of a set are, which starts at `offset` in its node: all of them, or those
    /// that can be found.
    #[inline(never)]
    fn keys_of_set(
        &self,
        at: &Copy<'_>,
        format: &KeyFormat,
        set: &Bset<'_>,
        (offset, bounds): (usize, (Bpos, Bpos)),
    ) -> Result<Vec<Range<usize>>> {
        let (mut kept, mut from, mut min) = (Vec::new(), 0usize, bounds.0);
        loop {
            let rest = set.keys.get(from..).unwrap_or_default();
            let checked = check_set(format, rest, min, bounds.1, |key| {
                self.check_deletion(at, &key.k);
                if self.salvage {
                    // One that can not be right may be longer than it should.
                    let (btree, level) = (at.ptr.btree, at.ptr.level);
                    self.check.check(btree, level, Origin::BtreeNode, &key)?;
                    min = key.k.p.successor();
                }
                Ok(())
            });
            let Err(bad) = checked else {
                kept.push(from..set.keys.len())?;
                return Ok(kept);
            };
            pr_err!(
                "{at}: set of keys at sector {}, word {}: {}",
                offset >> SECTOR_SHIFT,
                bad.at.saturating_add(from >> 3),
                bad.invalid
            );
            self.st.errors.count(bad.invalid.id);
            if !self.salvage {
                return Err(Error::NodeKeys);
            }
            self.wants_rewrite(at);
            let end = from.saturating_add(bad.at << 3);
            kept.push(from..end)?;
            let behind = end.saturating_add(8);
            match self.next_good_key(at, format, (set.keys, behind), (min, bounds.1)) {
                Some(next) => from = next,
                None => return Ok(kept),
            }
        }
    }

    /// Where the next key is in the keys of a set, from byte `from` on, that can be right.
    ///
    /// C: the label `got_good_key` of `validate_bset_keys()`.
    fn next_good_key(
        &self,
        at: &Copy<'_>,
        format: &KeyFormat,
        (keys, from): (&[u8], usize),
        (min, max): (Bpos, Bpos),
    ) -> Option<usize> {
        let is_good = |from: &usize| {
            let rest = keys.get(*from..).unwrap_or_default();
            let Some(Ok(raw)) = RawKeys::new(format, rest).next() else {
                return false;
            };
            let key = raw.key(format);
            let (btree, level) = (at.ptr.btree, at.ptr.level);
            let checked = self.check.check(btree, level, Origin::BtreeNode, &key);
            (min..=max).contains(&key.k.p) && key.k.key_type != KeyType::DELETED && checked.is_ok()
        };
        (from..keys.len()).step_by(8).find(is_good)
    }

    /// Checks and decrypts the first set of keys of whatever node there is, and says what it is.
    /// `None` when it does not match its checksum.
    pub(super) fn open_header(&self, buf: &mut [u8]) -> Option<RawNode> {
        let set = Bset::first(buf)?;
        let kind = CsumType(set.head.csum_type());
        let seal = Seal {
            key: self.st.key(),
            nonce: Nonce::node(&set.head, 0),
        };
        let computed = seal.checksum(kind, core::iter::once(set.covered)).ok()?;
        if !computed.matches(set.csum.into()) {
            return None;
        }
        seal.open_set(kind, buf, true);
        RawNode::read(buf)
    }

    /// C: `validate_bset()`.
    fn check_set_header(&self, at: &Copy<'_>, offset: usize, set: &Bset<'_>) -> Result {
        let sector = u64_of(offset >> SECTOR_SHIFT);
        let version = set.head.version();
        if !crate::journal::version_is_readable(version.into()) || set.head.has_separate_whiteouts()
        {
            pr_err!(
                "{at}: set of keys at sector {sector} has unsupported version {}.{}",
                version >> 10,
                version & 0x3ff
            );
            return Err(Error::NodeVersion);
        }
        refuse_big_endian(at, &set.head)?;
        let place = u64::from(set.head.offset_sectors());
        if place != 0 && place != sector {
            pr_err!("{at}: set of keys at sector {sector} was meant for sector {place}");
            return Err(Error::NodeBsetPlace);
        }
        Ok(())
    }

    /// Whether a set was written for a journal entry that never reached the disk.
    fn is_void(&self, at: &Copy<'_>, offset: usize, set: &Bset<'_>) -> Result<bool> {
        let seq = set.head.journal_seq();
        if !self.blacklist.contains(seq) {
            return Ok(false);
        }
        self.health.found_void(seq)?;
        if offset == 0 {
            pr_err!("{at}: written for journal entry {seq}, which never was");
            return Err(Error::NodeVoid);
        }
        self.wants_rewrite(at);
        Ok(true)
    }

    /// The positions of keys that can not be right; each is reported.
    #[inline(never)]
    fn find_invalid(&self, at: &Copy<'_>, keys: &NodeKeys) -> Result<Vec<Bpos>> {
        let mut invalid = Vec::new();
        let mut place = keys.start();
        while let Some(placed) = keys.key_at(place) {
            let (btree, level) = (at.ptr.btree, at.ptr.level);
            let checked = self
                .check
                .check(btree, level, Origin::BtreeNode, &placed.key);
            if let Err(e) = checked {
                if invalid.len() < KEYS_REPORTED {
                    pr_err!("{at}: key {} can not be used: {e}", placed.key.k);
                }
                self.bad_key(at, placed.key.k.p, e);
                invalid.push(placed.key.k.p)?;
            }
            place = placed.next;
        }
        if let Some(more) = invalid.len().checked_sub(KEYS_REPORTED).filter(|n| *n > 0) {
            pr_err!("{at}: {more} more keys can not be used");
        }
        Ok(invalid)
    }

    /// Reports a deletion that covers a range. It does what it should all the same; but others do
    /// not read a node that has one.
    ///
    /// C: `__bch2_bkey_validate()`.
    #[inline]
    fn check_deletion(&self, at: &Copy<'_>, k: &Bkey) {
        if k.key_type == KeyType::DELETED && k.size != 0 && at.ptr.level == 0 {
            self.odd_deletion(at, k);
        }
    }

    #[cold]
    #[inline(never)]
    fn odd_deletion(&self, at: &Copy<'_>, k: &Bkey) {
        let id = FsckError::BKEY_SIZE_NONZERO;
        pr_err!("{at}: {id}: key {k}: a deletion has a size");
        self.st.errors.count(id);
        self.wants_rewrite(at);
    }

    fn wants_rewrite(&self, at: &Copy<'_>) {
        let ptr = at.ptr;
        self.health.wants_rewrite(ptr.btree, ptr.level, ptr.max);
    }

    #[cold]
    #[inline(never)]
    fn bad_key(&self, at: &Copy<'_>, pos: Bpos, invalid: Invalid) {
        self.st.lost(Lost::Key);
        self.st.errors.count(invalid.id);
        let place = Place {
            pos,
            at: Some((at.dev.idx, at.sector)),
            ..at.ptr.place()
        };
        self.health.found(place, What::Key(invalid));
    }
}

/// The set of keys at the start of `bytes`, `offset` bytes into its node.
fn set_at(offset: usize, bytes: &[u8]) -> Option<Bset<'_>> {
    match offset {
        0 => Bset::first(bytes),
        _ => Bset::later(bytes),
    }
}

fn refuse_big_endian(at: &Copy<'_>, set: &RawBset) -> Result {
    if !set.is_big_endian() {
        return Ok(());
    }
    pr_err!("{at}: written by a big-endian machine");
    Err(Error::NodeBigEndian)
}
