// SPDX-License-Identifier: GPL-2.0

//! The superblock of a filesystem that was never mounted.

use super::state::{
    Device,
    SbState, //
};
use crate::{
    env::{
        num::div_or_zero,
        pr_err,
        units::Bytes,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::sb::{
        assemble::missing,
        flags,
        Compat,
        Features,
        Version, //
    },
};

/// The fewest journal buckets of a device. C: `BCH_JOURNAL_BUCKETS_MIN`.
const JOURNAL_BUCKETS_MIN: u64 = 8;
/// The most, and the most sectors of them all.
const JOURNAL_BUCKETS_MAX: u64 = 1 << 13;
const JOURNAL_SECTORS_MAX: u64 = 1 << 24;
/// One bucket in so many is for the journal.
const JOURNAL_SHIFT: u32 = 7;

impl SbState {
    /// Whether the filesystem was made, but never mounted.
    pub fn is_new(&self) -> bool {
        self.sb.flag(flags::INITIALIZED) == 0
    }

    /// Prepares for the first mount as a filesystem of `version`: chooses journal buckets where a
    /// device has none, and forgets what an earlier attempt has noted. Nothing is written.
    ///
    /// C: the start of `bch2_fs_initialize()`, `bch2_fs_journal_alloc()`.
    #[inline(never)]
    pub fn prepare_new(&mut self, version: Version) -> Result {
        // Tools give it the version of the kernel's module, which may be newer than themselves. As
        // long as there is nothing but the superblock, it can be another one; unless the tools were
        // so new that the superblock has what is not of this version.
        let is_older = self.sb.version() < version;
        if is_older || self.sb.features().has(Features::INCOMPAT_VERSION_FIELD) {
            let (name, is) = (self.name(), self.sb.version());
            pr_err!("{name}: was made as version {is}, and can not be set up as {version}");
            return Err(Error::NewVersion);
        }
        let online = self.online();
        if let Some((idx, _)) = missing(&self.sb, &online).next() {
            let name = self.name();
            pr_err!("{name}: device {idx} is missing, for the first mount all have to be there");
            return Err(Error::NewDeviceMissing);
        }
        for dev in self.devs.iter_mut().flatten() {
            dev.member.set_freespace_initialized(false);
            dev.member.set_btree_bitmap(0, 0);
            if dev.own.journal_buckets().is_empty() {
                let ranges = choose_journal(dev)?;
                dev.own.set_journal_buckets(&ranges)?;
            }
        }
        for idx in online.iter() {
            self.sb.update_member(idx, |m| {
                m.set_freespace_initialized(false);
                m.set_btree_bitmap(0, 0);
            });
        }
        let done = Compat::EXTENTS_ABOVE_BTREE_UPDATES_DONE;
        self.sb
            .add_compat(1 << done | 1 << Compat::BFORMAT_OVERFLOW_DONE);
        self.sb.set_version(version);
        Ok(())
    }

    /// Writes the superblock of a filesystem that has all that belongs to one, in the journal at
    /// least, which must be flushed.
    ///
    /// C: the end of `bch2_fs_initialize()`.
    pub fn mark_initialized(&self) -> Result {
        self.change_super(|sb| {
            sb.set_flag(flags::INITIALIZED, 1);
            sb.set_flag(flags::CLEAN, 0);
            Ok(true)
        })
    }
}

/// Ranges of buckets for the journal: the first ones that are free.
///
/// C: `bch2_dev_journal_alloc()`.
fn choose_journal(dev: &Device) -> Result<Vec<(u64, u64)>> {
    let (nr_buckets, size) = (
        dev.member.nbuckets(),
        u64::from(dev.member.bucket_sectors()),
    );
    let most = div_or_zero(JOURNAL_SECTORS_MAX, size).min(JOURNAL_BUCKETS_MAX);
    let wanted =
        (nr_buckets >> JOURNAL_SHIFT).clamp(JOURNAL_BUCKETS_MIN, most.max(JOURNAL_BUCKETS_MIN));
    let sb_sectors = Bytes(dev.own.layout.max_bytes()).sectors_floor().0;
    let first = u64::from(dev.member.first_bucket());
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    let mut left = wanted;
    for bucket in first..nr_buckets {
        if left == 0 {
            break;
        }
        let (start, end) = (
            bucket.saturating_mul(size),
            bucket.saturating_add(1).saturating_mul(size),
        );
        // In front of the first superblock nothing is put either.
        let of_super = |at: u64| start < at.saturating_add(sb_sectors) && (at < end || bucket == 0);
        if dev.own.layout.offsets().any(of_super) {
            continue;
        }
        left = left.saturating_sub(1);
        match ranges
            .last_mut()
            .filter(|(start, nr)| start.saturating_add(*nr) == bucket)
        {
            Some((_, nr)) => *nr = nr.saturating_add(1),
            None => ranges.push((bucket, 1))?,
        }
    }
    if left != 0 {
        let on = dev.bdev.name();
        pr_err!("{on}: no room for a journal of {wanted} buckets");
        return Err(Error::NewJournalNoRoom);
    }
    Ok(ranges)
}
