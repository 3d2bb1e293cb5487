// SPDX-License-Identifier: GPL-2.0

//! Writing the superblock.
//!
//! While a filesystem is read-write there is one superblock that changes, behind a lock; each
//! device gets it with what is its own. All devices get their first copy before any gets its
//! second, so that a crash leaves at least one whole copy on each.

use super::{
    read::is_whole,
    state::{
        Device,
        SbState, //
    }, //
};
use crate::{
    env::{
        num::{
            u64_of,
            usize_of_u32, //
        },
        pr_err,
        pr_warn,
        time::real_seconds,
        units::SECTOR_SHIFT,
        Box,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        data_type::DataType,
        sb::{
            assemble::{
                check_enough,
                Degraded,
                DevMask, //
            },
            counters::Counter,
            flags,
            layout::COPIES_MAX,
            Compat,
            Features,
            RawSb,
            Superblock, //
        },
    },
    sys::{
        block::Durability,
        sync::Mutex, //
    },
};

/// Bytes that are read to see whether a superblock is the one that was written.
const PEEK_BYTES: usize = 1024;

/// The superblock of a filesystem that is read-write.
pub(super) struct LiveSb(Mutex<Option<Box<Live>>>);

struct Live {
    sb: Superblock,
    /// It may be written. If not, it is as it was when the filesystem went read-only.
    is_active: bool,
    /// By slot: the sequence number of what this mount wrote to the device last.
    written: Vec<Option<u64>>,
    /// The one that this mount tried to write last: a device of which that failed has it or not.
    tried: u64,
}

impl LiveSb {
    pub(super) fn try_new() -> Result<Self> {
        Ok(Self(Mutex::try_new(None)?))
    }
}

/// A device and the superblock that it is to have.
struct Target<'a> {
    dev: &'a Device,
    sb: Superblock,
    failed: bool,
}

impl SbState {
    /// Starts to write the superblock, the first time as that of a filesystem that is not shut down
    /// cleanly, with the journal sequence numbers `void` being void: sorted ranges, the ends not
    /// included. Once that has ended, it may begin again.
    ///
    /// C: `bch2_fs_mark_dirty()`, and the times of `bch2_fs_start()`.
    pub fn mark_dirty(&self, void: &[(u64, u64)]) -> Result {
        self.mark_dirty_with(void, |_| Ok(()))
    }

    /// The same, with a change of the superblock that is written at once.
    pub fn mark_dirty_with(
        &self,
        void: &[(u64, u64)],
        change: impl FnOnce(&mut Superblock) -> Result,
    ) -> Result {
        let mut written = Vec::new();
        for _ in 0..self.sb.nr_devices() {
            written.push(None)?;
        }
        let fresh = Box::try_new(Live {
            sb: self.sb.try_clone()?,
            is_active: true,
            written,
            tried: 0,
        })?;
        let mut slot = self.live.0.lock();
        let live = slot.take().unwrap_or(fresh);
        let live = slot.insert(live);
        live.is_active = true;
        let now = real_seconds();
        for dev in self.devices() {
            live.sb.update_member(dev.idx.0, |m| m.set_last_mount(now));
        }
        live.sb.set_flag(flags::CLEAN, 0);
        if !live.sb.blacklist().ranges().eq(void.iter().copied()) {
            live.sb.set_blacklist(void)?;
        }
        live.sb.change_features(Features::ALWAYS, 0);
        let written = change(&mut live.sb).and_then(|()| self.write_super(live));
        live.is_active = written.is_ok();
        written
    }

    /// Writes the superblock of a filesystem that is shut down cleanly; it is not written after
    /// that. `journal_seq` is the last journal entry, `records` are for the clean section,
    /// `positions` say where in the journal writing stopped: device, bucket, sector in it.
    ///
    /// C: `bch2_fs_mark_clean()`.
    pub fn mark_clean(
        &self,
        journal_seq: u64,
        records: &[u8],
        positions: &[(u8, u32, u32)],
    ) -> Result {
        self.change_super(|sb| {
            sb.set_flag(flags::CLEAN, 1);
            sb.add_compat(1 << Compat::ALLOC_INFO | 1 << Compat::ALLOC_METADATA);
            sb.change_features(0, Features::UNTIL_CLEAN);
            sb.set_clean(journal_seq, records)?;
            for &(dev, bucket, offset) in positions {
                sb.update_member(dev, |m| m.set_last_journal_position(bucket, offset));
            }
            Ok(true)
        })?;
        self.end_super();
        Ok(())
    }

    /// Ends writing the superblock.
    pub fn end_super(&self) {
        if let Some(live) = &mut *self.live.0.lock() {
            live.is_active = false;
        }
    }

    /// Has the superblock say that data of a type is on the devices `devs`, each of which is enough
    /// to read it. To be called before the data is written.
    ///
    /// C: `bch2_mark_replicas()`.
    pub fn mark_replicas(&self, data_type: DataType, devs: &DevMask) -> Result {
        self.change_super(|sb| sb.add_replicas(data_type, devs))
    }

    /// Has the superblock say that features are used, by their bits: before anything is that only
    /// those can read who know them.
    ///
    /// C: `bch2_check_set_feature()`.
    pub fn use_features(&self, bits: u64) -> Result {
        let has = |sb: &Superblock| sb.features().0.first().is_some_and(|f| f & bits == bits);
        self.change_super(|sb| {
            let is_new = !has(sb);
            if is_new {
                sb.change_features(bits, 0);
            }
            Ok(is_new)
        })
    }

    /// Calls `f` with the superblock as it is on the devices now, or was when the filesystem went
    /// read-only.
    pub fn with_super<T>(&self, f: impl FnOnce(&Superblock) -> T) -> T {
        match &*self.live.0.lock() {
            Some(live) => f(&live.sb),
            None => f(&self.sb),
        }
    }

    /// Changes the superblock, and writes it if `change` says so. When it can not be written as it
    /// should be, writing ends: nothing can be relied on then.
    pub fn change_super(&self, change: impl FnOnce(&mut Superblock) -> Result<bool>) -> Result {
        let mut slot = self.live.0.lock();
        let live = (*slot)
            .as_mut()
            .filter(|live| live.is_active && self.state.may_write());
        let Some(live) = live else {
            // What ended it all says more.
            return Err(self.state.first_error().unwrap_or(Error::SbNotLive));
        };
        match change(&mut live.sb)? {
            true => match self.write_super(live) {
                Err(e @ (Error::SbWriteRaced | Error::SbWriteDropped | Error::SbWriteFailed)) => {
                    self.state.emergency(e);
                    Err(e)
                }
                done => done,
            },
            false => Ok(()),
        }
    }

    /// Writes all copies on all devices that are there.
    ///
    /// C: `bch2_write_super()`.
    #[inline(never)]
    fn write_super(&self, live: &mut Live) -> Result {
        live.sb.advance(real_seconds());
        self.count(Counter::WRITE_SUPER);
        let seq = live.sb.seq();
        for dev in self.devices() {
            live.sb.update_member(dev.idx.0, |m| m.set_seq(seq));
        }
        self.add_counts(&mut live.sb)?;
        live.sb.copy_members_to_v1()?;
        let mut targets = Vec::new();
        for dev in self.devices() {
            let sb = live.sb.for_device(&dev.own)?;
            if let Err(finding) = sb.validate(None) {
                if finding.error == Error::NoMemory {
                    return Err(Error::NoMemory);
                }
                let on = dev.bdev.name();
                pr_err!("{on}: superblock to be written: {finding}");
                return Err(Error::SbWriteInvalid);
            }
            targets.push(Target {
                dev,
                sb,
                failed: false,
            })?;
        }
        for t in targets.iter_mut() {
            let last = live
                .written
                .get(usize::from(t.dev.idx.0))
                .copied()
                .flatten();
            t.check_unchanged(last, live.tried)?;
        }
        live.tried = seq;
        self.write_copies(&mut targets)?;
        for t in targets.iter().filter(|t| !t.failed) {
            if let Some(slot) = live.written.get_mut(usize::from(t.dev.idx.0)) {
                *slot = Some(seq);
            }
        }
        self.check_written(&live.sb, &targets)
    }

    /// Adds what was counted since the mount.
    ///
    /// C: `bch2_sb_counters_from_cpu()`, `bch2_sb_members_from_cpu()`,
    /// `bch2_sb_errors_from_cpu()`.
    #[inline(never)]
    fn add_counts(&self, sb: &mut Superblock) -> Result {
        sb.set_counters(|nr| self.sb.counter(nr).saturating_add(self.counters.get(nr)))?;
        for dev in self.devices() {
            let errors = dev.all_errors();
            sb.update_member(dev.idx.0, |m| m.set_errors(errors));
        }
        if self.errors.since_mount() != 0 {
            let mut list = Vec::new();
            self.errors.for_each(|e| list.push(*e))?;
            sb.set_errors(&list)?;
        }
        Ok(())
    }

    fn write_copies(&self, targets: &mut [Target<'_>]) -> Result {
        let kind = self.plain_checksum();
        for copy in 0..COPIES_MAX {
            let mut any = false;
            for t in targets.iter_mut().filter(|t| !t.failed) {
                let Some(sector) = t.sb.layout.offsets().nth(copy) else {
                    continue;
                };
                any = true;
                let mut bytes = t.sb.encode(sector, kind)?;
                let block = usize_of_u32(t.dev.bdev.logical_block_bytes());
                let len = bytes.len().checked_next_multiple_of(block);
                bytes.resize(len.unwrap_or(bytes.len()), 0)?;
                // Each stands for itself: nothing is to be believed of a device that lost one.
                if let Err(e) = t.dev.bdev.write(sector, &bytes, Durability::Fua) {
                    t.dev.errors.count_write(e);
                    let on = t.dev.bdev.name();
                    pr_err!("{on}: superblock copy at sector {sector}: {e}");
                    t.failed = true;
                }
                if !t.failed {
                    t.dev.errors.write_done();
                }
                t.dev
                    .stats
                    .count_write(DataType::SB, u64_of(bytes.len() >> SECTOR_SHIFT));
            }
            if !any {
                break;
            }
        }
        Ok(())
    }

    /// Whether the devices that were written are enough to mount the filesystem.
    fn check_written(&self, sb: &Superblock, targets: &[Target<'_>]) -> Result {
        let mut mask = DevMask::default();
        for t in targets.iter().filter(|t| !t.failed) {
            mask.add(t.dev.idx.0);
        }
        let degraded = match self.opts.degraded() {
            Degraded::Very => Degraded::Very,
            _ => Degraded::Yes,
        };
        let enough = check_enough(sb, &mask, degraded);
        if let Err(why) = &enough {
            pr_err!(
                "{}: superblock written to too few devices: {why}",
                self.name()
            );
        }
        if enough.is_err() || mask == DevMask::default() {
            return Err(Error::SbWriteFailed);
        }
        Ok(())
    }
}

impl Target<'_> {
    /// Whether the device has what it had last, or what this mount wrote last: `written`. Up to
    /// `tried`, it may have been written in part.
    ///
    /// C: `read_back_super()`.
    #[inline(never)]
    fn check_unchanged(&mut self, written: Option<u64>, tried: u64) -> Result {
        let Some(sector) = self.sb.layout.offsets().next() else {
            return Ok(());
        };
        let on = self.dev.bdev.name();
        let mut bytes = Vec::from_elem(0u8, PEEK_BYTES)?;
        if let Err(e) = self.dev.bdev.read(sector, &mut bytes) {
            pr_warn!("{on}: can not read the superblock before it is written: {e}");
            return Ok(());
        }
        let found = RawSb::read(&bytes).filter(|f| f.uuid() == self.sb.uuid());
        let Some(found) = found.map(|f| f.seq()) else {
            // It may be damaged; then this makes it whole again. But not if we wrote it.
            return match written {
                None => Ok(()),
                Some(_) => Err(self.dropped(0)),
            };
        };
        let known = written.unwrap_or(self.dev.own.seq()).max(tried);
        // When the power was lost while it was written, it has the number, and nothing else.
        let is_torn = || written.is_none() && !is_whole(&self.dev.bdev, sector);
        if found > known && !is_torn() {
            pr_err!("{on}: superblock has seq {found}, not {known}: somebody else wrote it");
            return Err(Error::SbWriteRaced);
        }
        match written {
            Some(seq) if found < seq => Err(self.dropped(found)),
            _ => Ok(()),
        }
    }

    #[cold]
    fn dropped(&self, found: u64) -> Error {
        let on = self.dev.bdev.name();
        pr_err!("{on}: superblock has seq {found}: the last write of it was lost");
        Error::SbWriteDropped
    }
}
