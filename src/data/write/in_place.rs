// SPDX-License-Identifier: GPL-2.0

//! Writing over data where it is: what the option `nocow` asks for.
//!
//! The key is looked up, the buckets it points to are held, and it is looked up again: from then on
//! until they are let go nobody takes them or moves what is there. The file's users are kept apart
//! above, as with all writes, so nobody cuts or replaces the extent. Who makes a snapshot waits
//! until the data is there: nothing in it changes afterwards.
//!
//! Data is written over only where nobody else sees it, and where it is stored as it is: an extent
//! of the file's own snapshot, with no checksum. Everything else is written elsewhere. So is what
//! one of the devices could not write, as its copies differ then; and what
//! somebody else, or another part of the file, would have again after a
//! [loss of power](crate::snapshots::Unsettled).

use super::{
    op::{
        Op,
        Written,
        SECTOR, //
    },
    update::{
        latest,
        put_inode, //
    },
};
use crate::{
    alloc::space::{
        KeptPlace,
        Trans, //
    },
    btree::{
        trans::TransResult,
        KeyBuf, //
    },
    data::{
        entry::add,
        FileId, //
    },
    env::{
        num::{
            low_u32,
            u64_of,
            usize_of_u32, //
        },
        units::{
            DevIdx,
            Sectors, //
        },
        Few,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        sb::assemble::DevMask,
        values::{
            crc::Crc,
            extent::{
                entries,
                is_poisoned,
                is_unwritten,
                ptrs,
                DecodedPtr, //
            },
            extent_entry::{
                Entry,
                EntrySizes,
                Ptr, //
            },
        },
    },
    journal::live::Watermark,
    snapshots::View,
};

/// The most keys that one write makes written: an extent that was one is cut when parts of it are
/// written.
const KEYS_MAX: usize = 8;

/// Data that is written over where it is.
pub(super) struct Over {
    /// What points there.
    key: KeyBuf,
    /// The first sector of the file, and how many.
    at: u64,
    pub(super) sectors: u32,
}

impl Op<'_> {
    /// Where what is at sector `at` of the file can be written over, up to `len` bytes. `None` when
    /// it is to be written elsewhere. The place has to be [let go](Self::let_go).
    ///
    /// C: `bch2_nocow_write()`.
    #[inline(never)]
    pub(super) fn over(&self, at: u64, len: usize) -> Result<Option<(KeptPlace, Over)>> {
        let gate = &self.view.gate;
        if !self.options.nocow || !gate.try_begin_op() {
            return Ok(None);
        }
        let found = self.find_over(at, len);
        if !matches!(found, Ok(Some(_))) {
            gate.end_op();
        }
        found
    }

    /// What was to be written over is, or is not to be any more.
    pub(super) fn let_go(&self, place: &mut KeptPlace) {
        place.close(&self.engine.writer.hooks);
        self.view.gate.end_op();
    }

    fn find_over(&self, at: u64, len: usize) -> Result<Option<(KeptPlace, Over)>> {
        let Some((key, copies)) = self.writable_at(at)? else {
            return Ok(None);
        };
        let st = self.view.sb();
        let block = u64::from(st.sb.block_sectors()).max(1);
        let (wanted, has) = (u64_of(len / SECTOR), key.k.p.offset.saturating_sub(at));
        // A file's last extent can end within a block.
        if has < wanted && has & block.wrapping_sub(1) != 0 {
            return Ok(None);
        }
        let Some(mut place) = self.engine.place_over(copies)? else {
            return Ok(None);
        };
        // What was moved in between is elsewhere now.
        let is_same = self.writable_at(at).map(|found| {
            let same = |k: &KeyBuf| (k.k, k.value()) == (key.k, key.value());
            let is_settled = || self.view.unsettled.is_over(&self.engine.writer.journal);
            found.is_some_and(|(k, _)| same(&k)) && is_settled()
        });
        if is_same != Ok(true) {
            place.close(&self.engine.writer.hooks);
            return is_same.map(|_| None);
        }
        // No more than the size of a key.
        let sectors = low_u32(wanted.min(has));
        Ok(Some((place, Over { key, at, sectors })))
    }

    /// The extent at sector `at`, if it can be written over, and where its copies of that are.
    pub(super) fn writable_at(&self, at: u64) -> Result<Option<(KeyBuf, Few<Ptr, 4>)>> {
        let found = self.engine.run(Watermark::Normal, |t| {
            let file = latest(self.view, self.file)?;
            extent_at(t, self.view, file, at)
        })?;
        let Some(key) = found else {
            return Ok(None);
        };
        let copies = self.writable_copies(&key, at)?;
        Ok(copies.map(|copies| (key, copies)))
    }

    /// Where all copies of an extent have sector `at`, if all can be written over, and there are
    /// enough.
    ///
    /// C: `bch2_extent_is_writeable()`.
    fn writable_copies(&self, key: &KeyBuf, at: u64) -> Result<Option<Few<Ptr, 4>>> {
        let (read, sizes) = (key.key(), self.engine.btrees.entry_sizes());
        let into = at.saturating_sub(key.k.start_offset());
        let (mut copies, mut durability) = (Few::new(), 0u8);
        for p in ptrs(&read, sizes) {
            let dev = p.ok().filter(|p| is_plain(p, key)).and_then(|p| {
                let dev = self.view.sb().dev(p.ptr.dev)?;
                (dev.is_writable() && !dev.is_stopped()).then_some((p, dev))
            });
            let Some((p, dev)) = dev else {
                return Ok(None);
            };
            durability = durability.saturating_add(dev.durability());
            copies.push(Ptr {
                offset: Sectors(p.ptr.offset.0.saturating_add(into)),
                ..p.ptr
            })?;
        }
        let is_enough = durability >= self.options.nr_replicas && !is_poisoned(&read, sizes);
        Ok(is_enough.then_some(copies))
    }

    /// Writes the first of `data` over what is at sector `at`, while the caller waits; how many
    /// bytes. `None` when it is to be written elsewhere.
    #[inline(never)]
    pub(super) fn write_over(
        &self,
        at: u64,
        data: &[u8],
        done: &mut Written,
    ) -> Result<Option<usize>> {
        let Some((mut place, over)) = self.over(at, data.len())? else {
            return Ok(None);
        };
        let written = self.store_over(&place.copies, &over, data);
        self.let_go(&mut place);
        let written = written?;
        Ok(written.map(|written| {
            done.add(written);
            written.bytes
        }))
    }

    fn store_over(
        &self,
        copies: &Few<Ptr, 4>,
        over: &Over,
        data: &[u8],
    ) -> Result<Option<Written>> {
        let len = usize_of_u32(over.sectors).saturating_mul(SECTOR);
        let bad = self.store(copies, data.get(..len).ok_or(Error::Overflow)?)?;
        let settled = self.settle_over(copies, over, bad, &mut DevMask::default())?;
        Ok(settled.ok())
    }

    /// Takes note of what came of writing over data, as [`Self::settle`] does, and
    /// [puts](Self::put_over) it. The inner failure is that it is to be written elsewhere, and why
    /// if that is known: when one of the copies was not written, they differ.
    pub(super) fn settle_over(
        &self,
        copies: &Few<Ptr, 4>,
        over: &Over,
        bad: u32,
        avoid: &mut DevMask,
    ) -> Result<Result<Written, Option<Error>>> {
        let len = usize_of_u32(over.sectors).saturating_mul(SECTOR);
        match self.settle(copies, len, bad, avoid) {
            Ok(good) if good.iter().count() == copies.iter().count() => {
                Ok(self.put_over(over)?.ok_or(None))
            }
            Ok(_) => Ok(Err(None)),
            Err(e @ Error::DataWriteFailed) => Ok(Err(Some(e))),
            Err(e) => Err(e),
        }
    }

    /// The data is in its place: the inode is told, and keys of space that had no data yet. `None`
    /// when they have changed too much; then what was written is nobody's.
    ///
    /// Also when nothing but the time changes, there is an entry in the journal, for fsync(2): when
    /// that is on all devices, they were flushed before.
    ///
    /// C: `bch2_nocow_write_convert_unwritten()`.
    #[inline(never)]
    fn put_over(&self, over: &Over) -> Result<Option<Written>> {
        let end = over.at.saturating_add(over.sectors.into());
        let reached = end.saturating_mul(u64_of(SECTOR)).min(self.size);
        let seq = self.engine.run_in_reserve(|t| {
            let entered = self.view.gate.enter();
            let file = latest(self.view, self.file)?;
            if !make_written(t, self.view, over, end)? {
                return Ok(None);
            }
            put_inode(t, self.view, file, 0, reached)?;
            self.view.gate.check(entered)?;
            t.commit().map(Some)
        })?;
        Ok(seq.map(|seq| Written {
            seq,
            sectors: 0,
            bytes: usize_of_u32(over.sectors).saturating_mul(SECTOR),
        }))
    }
}

/// Whether what a pointer of `key` leads to is the data itself, and nothing else depends on it.
fn is_plain(p: &DecodedPtr, key: &KeyBuf) -> bool {
    !p.ptr.cached && p.stripe.is_none() && p.crc == Crc::none(key.k.size)
}

/// The extent of data that a file has at sector `at`, if it is of its own snapshot.
fn extent_at(t: &mut Trans<'_>, view: &View, file: FileId, at: u64) -> TransResult<Option<KeyBuf>> {
    let of = Bpos::new(file.inum, 0, file.snapshot);
    let found = t.next_extent(BtreeId::EXTENTS, of, at, &view.table)?;
    Ok(found.filter(|key| {
        let k = &key.k;
        k.key_type == KeyType::EXTENT && k.start_offset() <= at && k.p.snapshot == file.snapshot
    }))
}

/// Has the keys up to sector `end` say that there is data. `false` when one does not point to where
/// it was written.
fn make_written(t: &mut Trans<'_>, view: &View, over: &Over, end: u64) -> TransResult<bool> {
    let sizes = *t.btrees.entry_sizes();
    if !is_unwritten(&over.key.key(), &sizes) {
        return Ok(true);
    }
    let of = over.key.k.p;
    let (mut at, mut nr) = (over.at, 0usize);
    while at < end {
        let last = Bpos::new(of.inode, u64::MAX, of.snapshot);
        let found = t.next_of_snapshot(BtreeId::EXTENTS, at, last)?;
        let Some(key) = found.filter(|key| is_part(key, over, &sizes)) else {
            return Ok(false);
        };
        let (start, stop) = (key.k.start_offset(), key.k.p.offset);
        if start > at || nr == KEYS_MAX {
            return Ok(false);
        }
        let cut = [at, end].into_iter().find(|c| start < *c && *c < stop);
        if let Some(cut) = cut {
            t.split_extent(BtreeId::EXTENTS, &key, cut, &view.table)?;
            continue;
        }
        t.update(BtreeId::EXTENTS, written(&key, &sizes)?)?;
        (at, nr) = (stop, nr.saturating_add(1));
    }
    Ok(true)
}

/// Whether all pointers of a key lead to where the extent's copies were when they were written, and
/// the rest of it can be read.
///
/// C: `bch2_extents_match()`.
fn is_part(key: &KeyBuf, over: &Over, sizes: &EntrySizes) -> bool {
    let places = |of: &KeyBuf| -> Option<Few<(DevIdx, u8, u64), 4>> {
        let mut places = Few::new();
        for p in ptrs(&of.key(), sizes) {
            let p = p.ok().filter(|p| is_plain(p, of))?;
            let base = p.ptr.offset.0.wrapping_sub(of.k.start_offset());
            places.push((p.ptr.dev, p.ptr.generation, base)).ok()?;
        }
        Some(places)
    };
    let (now, then) = (places(key), places(&over.key));
    key.k.key_type == KeyType::EXTENT
        && entries(&key.key(), sizes).all(|entry| entry.is_ok())
        && now.is_some_and(|now| then.is_some_and(|then| now.iter().eq(then.iter())))
}

/// An extent with pointers that say that there is data.
fn written(key: &KeyBuf, sizes: &EntrySizes) -> Result<KeyBuf> {
    let mut value = Vec::with_capacity(key.key().v.len())?;
    for entry in entries(&key.key(), sizes).flatten() {
        let entry = match entry {
            Entry::Ptr(ptr) => Entry::Ptr(Ptr {
                unwritten: false,
                ..ptr
            }),
            other => other,
        };
        add(&mut value, &entry)?;
    }
    KeyBuf::of(key.k, &value)
}
