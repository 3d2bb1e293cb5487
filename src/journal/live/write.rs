// SPDX-License-Identifier: GPL-2.0

//! Writing entries.

use super::{
    flush::IDLE_MS,
    shared::Shared,
    state::Place,
    word::buffer_of, //
};
use crate::{
    algo::crypt::Seal,
    env::{
        num::{
            u64_of,
            usize_of_u32, //
        },
        pr_err,
        time::{
            monotonic_ns,
            real_seconds, //
        },
        units::SECTOR_SHIFT,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        csum::Csum,
        data_type::DataType,
        jset::{
            set_csum,
            Entries,
            EntryType,
            Header,
            JsetWriter,
            RecordHeader,
            JSET_HEADER_BYTES,
            JSET_MAGIC,
            JSET_SEALED_AT, //
        },
        node::{
            filesystem_magic,
            CSUM_BYTES, //
        },
        nonce::Nonce,
        sb::{
            assemble::DevMask,
            counters::Counter, //
        },
    },
    sb::Device,
    sys::block::Durability,
};
use core::sync::atomic::Ordering;

impl Shared {
    /// A writer's thread: `buf` has room for an entry.
    pub(super) fn run_writer(&self, mut buf: Vec<u8>) {
        while !self.ending.load(Ordering::Acquire) {
            let mut next = None;
            self.work.idle_timeout_ms(IDLE_MS, || {
                next = self.state.lock().start_next(|seq| self.is_held(seq));
                next.is_some() || self.ending.load(Ordering::Acquire)
            });
            if let Some(seq) = next {
                if let Err(e) = self.write(seq, &mut buf) {
                    self.halt(e);
                }
                let can_discard = self.locked(|s| {
                    s.written(&self.conf, seq);
                    s.can_discard
                });
                match can_discard {
                    true => self.want_timer(0),
                    // One that was opened meanwhile may be due now.
                    false => self.close_in_time(),
                }
                self.work.wake_all();
            }
        }
    }

    /// Writes the entry `seq`, which nobody holds any more.
    ///
    /// C: `bch2_journal_write()`.
    fn write(&self, seq: u64, buf: &mut Vec<u8>) -> Result {
        // Writing may have ended because of what is not the journal's.
        self.halted().map_or(Ok(()), Err)?;
        let now = monotonic_ns();
        let (last_seq, used) = self.locked(|s| {
            let last_seq = s.pick_flush(&self.conf, seq, now);
            (last_seq, s.entry(seq).used)
        });
        let times = &self.st.times;
        let _timed = match last_seq {
            Some(_) => times.journal_flush_write.begin(),
            None => times.journal_noflush_write.begin(),
        };
        self.gather(seq, used, last_seq, buf)
            .inspect_err(|e| self.report(seq, *e))?;
        let place = self.find_place(seq, buf.len())?;
        self.st.count(Counter::JOURNAL_WRITE);
        // The next one can have its place now.
        self.work.wake_all();
        self.mark(&place)?;
        let how = match last_seq {
            None => Durability::Cached,
            Some(_) => {
                self.stop_failing()?;
                self.make_older_safe(seq, &place)?
            }
        };
        self.submit(seq, &place, buf, how)
    }

    #[cold]
    fn report(&self, seq: u64, e: Error) {
        let name = self.st.name();
        pr_err!("{name}: can not write journal entry {seq}: {e}");
    }

    /// Puts the entry together in `buf`: what reservations added, without what they did not use,
    /// the roots of all btrees, the time, the clocks; encrypted if need be, with its checksum, and
    /// zeros up to the end of the block.
    ///
    /// Entries are put together one after the other, so that a root that is set in one is in all
    /// that follow and in none before.
    ///
    /// C: `bch2_journal_write_prep()`.
    #[inline(never)]
    fn gather(&self, seq: u64, used: u32, last_seq: Option<u64>, buf: &mut Vec<u8>) -> Result {
        let max = self.conf.buffer_bytes();
        let mut w = JsetWriter::entry(buf, max)?;
        {
            let mut roots = self.roots.lock();
            let mut have = 0u64;
            self.for_each_record(seq, used, |head, words| {
                if head.kind == EntryType::BTREE_ROOT {
                    roots.set(head.btree, head.level, words.clone())?;
                    have |= 1 << (head.btree.0 & 63);
                }
                w.record(head.kind, head.btree, head.level, words)
            })?;
            roots.add_to(&mut w, have)?;
        }
        w.datetime(real_seconds())?;
        w.common(self.key_version.load(Ordering::Relaxed), self.clocks())?;
        let sb = &self.st.sb;
        let kind = self.st.metadata_checksum();
        let len = w.finish(Header {
            magic: filesystem_magic(&sb.uuid().0) ^ JSET_MAGIC,
            seq,
            last_seq,
            version: sb.version().0.into(),
            csum_type: kind,
        });
        check(buf.get(JSET_HEADER_BYTES..len).unwrap_or_default())?;
        let seal = Seal {
            key: self.st.key(),
            nonce: Nonce::journal(seq),
        };
        // Encrypting is the same as decrypting.
        seal.decrypt(
            kind,
            0,
            buf.get_mut(JSET_SEALED_AT..len).unwrap_or_default(),
        );
        let covered = buf.get(CSUM_BYTES..len).unwrap_or_default();
        let sum: Csum = seal
            .checksum(kind, core::iter::once(covered))
            .map_err(|_| Error::JournalWriteCsum)?;
        set_csum(buf, sum);
        let block = usize_of_u32(self.conf.block_sectors) << SECTOR_SHIFT;
        buf.resize(len.checked_next_multiple_of(block).unwrap_or(len), 0)
    }

    /// Calls `each` with the records that reservations added to entry `seq`: header and words.
    fn for_each_record(
        &self,
        seq: u64,
        used: u32,
        mut each: impl FnMut(RecordHeader, Words<'_>) -> Result,
    ) -> Result {
        let Some(buffer) = self.buffers.get(buffer_of(seq)) else {
            return Ok(());
        };
        let mut at = 0u32;
        while at < used {
            let head = RecordHeader::of_word(buffer.get(at));
            let start = at.saturating_add(1);
            at = start.saturating_add(head.u64s.into());
            if at > used {
                return Err(Error::JournalWriteOverrun);
            }
            if head.u64s != 0 {
                each(
                    head,
                    Words {
                        buffer,
                        at: start,
                        end: at,
                    },
                )?;
            }
        }
        Ok(())
    }

    /// Finds places for the entry, discarding buckets if there are none without.
    #[inline(never)]
    fn find_place(&self, seq: u64, bytes: usize) -> Result<Place> {
        let sectors = crate::env::num::sat_u32(bytes >> SECTOR_SHIFT);
        loop {
            let (place, can_discard, kept) = self.locked(|s| {
                let kept = s.entry(seq).sectors;
                let place = match sectors <= kept {
                    true => s.place(&self.conf, seq, sectors),
                    false => None,
                };
                (place, s.can_discard, kept)
            });
            match place {
                Some(place) => return Ok(place),
                None if can_discard && sectors <= kept => self.discard(),
                None => {
                    let name = self.st.name();
                    pr_err!("{name}: journal entry {seq}: {sectors} sectors, room for {kept}");
                    return Err(Error::JournalNoPlace);
                }
            }
        }
    }

    /// Has the superblock say that these devices have journal entries.
    fn mark(&self, place: &Place) -> Result {
        let mut mask = DevMask::default();
        for (dev, _) in place.iter() {
            mask.add(dev.0);
        }
        let mut marked = self.marking.lock();
        if !marked.contains(&mask) {
            self.st.mark_replicas(DataType::JOURNAL, &mask)?;
            marked.push(mask)?;
        }
        Ok(())
    }

    /// Makes what was written before the entry safe: older entries, which have to be written first,
    /// and whatever the entry refers to, on whatever device it is. Returns how the entry has to be
    /// written: where there is only one device, that does it.
    ///
    /// C: `journal_write_preflush()`.
    fn make_older_safe(&self, seq: u64, place: &Place) -> Result<Durability> {
        loop {
            let seen = self.changes();
            let (ondisk, halted) = self.locked(|s| (s.ondisk, s.halted));
            if let Some(e) = halted {
                return Err(e);
            }
            if ondisk.saturating_add(1) >= seq {
                break;
            }
            self.wait_for_change(seen);
        }
        let devices = || self.st.devices().filter(|d| d.is_writable());
        let (first, second) = (devices().next(), devices().nth(1));
        let is_only = |d: &Device| second.is_none() && place.iter().any(|(idx, _)| idx == d.idx);
        if first.is_some_and(is_only) {
            return Ok(Durability::All);
        }
        for dev in devices() {
            if let Err(e) = dev.bdev.flush() {
                dev.errors.count_write(e);
                let (name, on) = (self.st.name(), dev.bdev.name());
                pr_err!("{name}: {on}: flush for journal entry {seq}: {e}");
                if !self.stop_device(dev, true)? {
                    return Err(Error::JournalFlushFailed);
                }
            }
        }
        Ok(Durability::Fua)
    }

    /// Those to which nothing can be written are not tried for ever.
    fn stop_failing(&self) -> Result {
        for dev in self.st.devices() {
            let fails = self.st.fails_for_long(dev);
            if fails && !self.stop_device(dev, false)? {
                return Err(Error::DeviceWritesFail);
            }
        }
        Ok(())
    }

    /// Has nothing be written to a device any more, if the others are enough; whether they are.
    #[cold]
    fn stop_device(&self, dev: &Device, lost: bool) -> Result<bool> {
        let is_stopped = self.st.stop_device(dev, lost)?;
        if is_stopped {
            self.locked(|s| s.leave(&self.conf, dev.idx));
        }
        Ok(is_stopped)
    }

    /// Writes the copies. One is enough.
    ///
    /// C: `journal_write_submit()`, `journal_write_endio()`.
    fn submit(&self, seq: u64, place: &Place, bytes: &[u8], how: Durability) -> Result {
        if let Some(e) = self.halted() {
            return Err(e);
        }
        let mut written = DevMask::default();
        let mut failed = false;
        for (idx, sector) in place.iter() {
            if self.st.dev(idx).is_some_and(Device::is_stopped) {
                // Nobody would flush it.
                failed = true;
                continue;
            }
            let result = self.st.dev_or_gone(idx).and_then(|dev| {
                let done = dev.bdev.write(sector, bytes, how);
                done.inspect_err(|e| {
                    dev.errors.count_write(*e);
                    let (name, on) = (self.st.name(), dev.bdev.name());
                    pr_err!("{name}: {on}: journal entry {seq} at sector {sector}: {e}");
                })
            });
            match result {
                Ok(()) => {
                    written.add(idx.0);
                    if let Some(dev) = self.st.dev(idx) {
                        dev.errors.write_done();
                        let sectors = u64_of(bytes.len() >> SECTOR_SHIFT);
                        dev.stats.count_write(DataType::JOURNAL, sectors);
                    }
                }
                Err(_) => failed = true,
            }
        }
        if written == DevMask::default() {
            return Err(Error::JournalWriteFailed);
        }
        if failed {
            self.st.mark_replicas(DataType::JOURNAL, &written)?;
        }
        Ok(())
    }

    /// Discards buckets that are not needed any more, so that they can be used again.
    ///
    /// C: `bch2_journal_do_discards()`.
    pub(super) fn discard(&self) {
        let _one_at_a_time = self.discarding.lock();
        while let Some((idx, sector, sectors)) = self.locked(|s| s.to_discard()) {
            let dev = self.st.dev(idx);
            let wanted = dev.filter(|d| self.st.discards(d));
            if let Some(dev) = wanted.filter(|_| self.halted().is_none()) {
                // That it fails makes no difference: the bucket will be written over.
                let _ = dev.bdev.discard(sector, sectors.into());
            }
            self.locked(|s| s.discarded(&self.conf, idx));
        }
    }
}

/// The words of a record in a buffer.
#[derive(Clone)]
struct Words<'a> {
    buffer: &'a super::buffer::Buffer,
    at: u32,
    end: u32,
}

impl Iterator for Words<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.at >= self.end {
            return None;
        }
        let word = self.buffer.get(self.at);
        self.at = self.at.wrapping_add(1);
        Some(word)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize_of_u32(self.end.saturating_sub(self.at));
        (left, Some(left))
    }
}

impl ExactSizeIterator for Words<'_> {
    // The default asserts what is plain here.
    fn len(&self) -> usize {
        self.size_hint().0
    }
}

/// Whether records that are to be written are shaped as readers want them.
fn check(records: &[u8]) -> Result {
    for record in Entries::new(records) {
        let valid = record.and_then(|r| r.validate());
        if let Err(invalid) = valid {
            pr_err!("journal record to be written: {invalid}");
            return Err(Error::JournalWriteInvalid);
        }
    }
    Ok(())
}
