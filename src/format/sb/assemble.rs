// SPDX-License-Identifier: GPL-2.0

//! Which devices belong together, and whether those that are there are enough.

use super::{
    finding::{
        Finding,
        Place, //
    },
    members::{
        Member,
        MemberState, //
    },
    replicas::{
        ReplicasEntry,
        NO_DEVICE, //
    },
    superblock::Superblock,
    text::{
        DateTime,
        Uuid, //
    },
    version::Version,
};
use crate::{
    env::num::low_u8,
    error::Error,
    format::data_type::DataType, //
};
use core::fmt;

/// A set of device slots.
///
/// C: `struct bch_devs_mask`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DevMask([u64; 4]);

impl DevMask {
    /// Whether `dev` is in the set.
    pub fn has(&self, dev: u8) -> bool {
        let word = self.0.get(usize::from(dev >> 6)).copied().unwrap_or(0);
        word & (1 << (dev & 63)) != 0
    }

    /// The slots in the set, in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        let words = [0u8, 64, 128, 192].into_iter().zip(self.0);
        words.flat_map(|(first, word)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.checked_sub(1)?;
                Some(first | low_u8(bit.into()))
            })
        })
    }

    /// Adds `dev`; says whether it is new.
    pub fn add(&mut self, dev: u8) -> bool {
        let new = !self.has(dev);
        if let Some(word) = self.0.get_mut(usize::from(dev >> 6)) {
            *word |= 1 << (dev & 63);
        }
        new
    }

    /// Takes `dev` out.
    pub fn remove(&mut self, dev: u8) {
        if let Some(word) = self.0.get_mut(usize::from(dev >> 6)) {
            *word &= !(1 << (dev & 63));
        }
    }
}

/// The superblock to go by: the one written last. C: `sb_cmp()`.
pub fn newest<'a>(sbs: impl Iterator<Item = &'a Superblock>) -> Option<usize> {
    let mut best: Option<(usize, (u64, u64))> = None;
    for (i, sb) in sbs.enumerate() {
        let age = (sb.seq(), sb.write_time());
        if best.is_none_or(|(_, b)| age > b) {
            best = Some((i, age));
        }
    }
    best.map(|(i, _)| i)
}

/// Why a device can not be used with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stranger {
    /// It belongs to another filesystem.
    OtherFs {
        /// The UUID of that one.
        uuid: Uuid,
        /// The UUID of this one.
        want: Uuid,
    },
    /// Its slot is empty now, or was given to another device.
    Removed {
        /// The slot it says it has.
        dev: u8,
    },
    /// It disagrees about the block size.
    BlockSize {
        /// Its block size in bytes.
        bytes: u32,
        /// The other devices' block size in bytes.
        want: u32,
    },
    /// It was written at the same count of writes as the others, but at another time.
    SplitTime {
        /// When it was written.
        time: u64,
        /// When the newest superblock was written.
        newest: u64,
    },
    /// It was written more often than the others know of.
    SplitSeq {
        /// How often it was written.
        seq: u64,
        /// How often the newest superblock says it was written.
        known: u64,
    },
}

impl Stranger {
    /// Whether the mount can go on without the device.
    pub const fn can_leave_out(&self) -> bool {
        matches!(
            self,
            Stranger::Removed { .. } | Stranger::SplitTime { .. } | Stranger::SplitSeq { .. }
        )
    }

    /// The code for the caller.
    pub const fn error(&self) -> Error {
        match self {
            Stranger::OtherFs { .. } => Error::DeviceNotMember,
            Stranger::Removed { .. } => Error::DeviceRemoved,
            Stranger::BlockSize { .. } => Error::DeviceOtherBlockSize,
            Stranger::SplitTime { .. } | Stranger::SplitSeq { .. } => Error::DeviceSplitBrain,
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stranger::OtherFs { uuid, want } => {
                write!(f, "belongs to filesystem {uuid}, not to {want}")
            }
            Stranger::Removed { dev } => {
                write!(f, "has been removed: device {dev} is unused or another one")
            }
            Stranger::BlockSize { bytes, want } => {
                write!(f, "has block size {bytes}, the other devices have {want}")
            }
            Stranger::SplitTime { time, newest } => write!(
                f,
                "split brain: written at {}, while the superblock with the same seq was written \
                 at {}; if you know that its contents are good, mount with -o no_splitbrain_check",
                DateTime(*time),
                DateTime(*newest)
            ),
            Stranger::SplitSeq { seq, known } => write!(
                f,
                "split brain: has seq {seq}, but the others know of {known}; if you know that its \
                 contents are good, mount with -o no_splitbrain_check"
            ),
        }
    }
}

/// Checks that the device of `sb` belongs to the filesystem of `fs`, the newest superblock.
///
/// C: `bch2_dev_in_fs()`.
#[inline(never)]
pub fn check_member(fs: &Superblock, sb: &Superblock, split_ok: bool) -> Result<(), Stranger> {
    if fs.uuid() != sb.uuid() {
        return Err(Stranger::OtherFs {
            uuid: sb.uuid(),
            want: fs.uuid(),
        });
    }
    let dev = sb.dev_idx();
    let slot = fs.member(dev).ok_or(Stranger::Removed { dev })?;
    if sb.member(dev).map(|m| m.uuid()) != Some(slot.uuid()) {
        return Err(Stranger::Removed { dev });
    }
    if fs.block_sectors() != sb.block_sectors() {
        return Err(Stranger::BlockSize {
            bytes: sb.block_bytes(),
            want: fs.block_bytes(),
        });
    }
    if split_ok || fs.version() < Version::MEMBER_SEQ || sb.version() < Version::MEMBER_SEQ {
        return Ok(());
    }
    if fs.seq() == sb.seq() && fs.write_time() != sb.write_time() {
        return Err(Stranger::SplitTime {
            time: sb.write_time(),
            newest: fs.write_time(),
        });
    }
    let (seq, known) = (sb.seq(), slot.seq());
    if known != 0 && known < seq {
        return Err(Stranger::SplitSeq { seq, known });
    }
    Ok(())
}

/// Checks what the filesystem's superblock says about device `dev` against the device: its size
/// in sectors, and the smallest unit it can transfer.
///
/// C: `bch2_dev_attach_bdev()`.
#[inline(never)]
pub fn check_device(
    fs: &Superblock,
    dev: u8,
    nr_sectors: u64,
    logical_bytes: u32,
) -> Result<(), Finding> {
    if fs.block_bytes() < logical_bytes {
        return Err(Finding::new(
            Error::DeviceBlockSize,
            Place::Header,
            "block size in bytes, against the device's own",
        )
        .item("device", dev.into())
        .found(fs.block_bytes())
        .min(logical_bytes));
    }
    match fs.member(dev) {
        Some(m) if m.sectors() > nr_sectors => Err(Finding::new(
            Error::DeviceTooSmall,
            Place::Header,
            "sectors of the filesystem on the device (nbuckets * bucket_size), against its size",
        )
        .item("device", dev.into())
        .found(m.sectors())
        .max(nr_sectors)),
        _ => Ok(()),
    }
}

/// What to do when devices are missing. C: `enum bch_degraded_actions`; there is nobody to ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Degraded {
    /// Refuse.
    #[default]
    No,
    /// Go on when everything still has a copy.
    Yes,
    /// Go on even when something has no copy left.
    Very,
}

/// Why the devices that are there are not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEnough<'a> {
    /// A member is missing, and that was not allowed.
    Missing {
        /// Its slot.
        dev: u8,
    },
    /// This replicas entry lacks devices.
    Replicas {
        /// What is stored on which devices.
        entry: ReplicasEntry<'a>,
        /// How many of them are there.
        online: usize,
        /// Whether it can not be read at all now.
        lost: bool,
    },
}

impl fmt::Display for NotEnough<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotEnough::Missing { dev } => write!(
                f,
                "device {dev} is missing: attach it, or mount with -o degraded to go on without it"
            ),
            NotEnough::Replicas {
                entry,
                online,
                lost,
            } => {
                write!(f, "only {online} of the devices of {entry} are there: ")?;
                f.write_str(match lost {
                    true => {
                        "some of it can not be read; mount with -o very_degraded to get at the rest"
                    }
                    false => "mount with -o degraded to go on with fewer copies",
                })
            }
        }
    }
}

/// The members that are not in `online`, and that matter: a device that was emptied, or given up,
/// does not.
///
/// C: `bch2_fs_may_start()` without `degraded`; of Linux 6.12 for versions that know "failed"
/// devices.
pub fn missing<'a>(
    fs: &'a Superblock,
    online: &'a DevMask,
) -> impl Iterator<Item = (u8, Member)> + 'a {
    (0u8..=u8::MAX).zip(fs.members()).filter(|(dev, m)| {
        let is_empty = || fs.replicas().data_on(*dev) == 0;
        let unused = match m.state() {
            MemberState::EVACUATING => fs.version() < Version::EVACUATING || is_empty(),
            MemberState::SPARE => is_empty(),
            _ => false,
        };
        m.is_alive() && !online.has(*dev) && !unused
    })
}

/// The members that are given up: neither there nor expected back.
///
/// C: `BCH_MEMBER_STATE_failed` in Linux 6.12.
pub fn given_up(fs: &Superblock, online: &DevMask) -> DevMask {
    let mut mask = DevMask::default();
    if fs.version() < Version::EVACUATING {
        for (dev, m) in (0u8..=u8::MAX).zip(fs.members()) {
            if m.state() == MemberState::EVACUATING && !online.has(dev) {
                mask.add(dev);
            }
        }
    }
    mask
}

/// Checks whether what `entry` stands for can be read with the devices `online`, `given_up` not
/// being expected back.
///
/// C: `bch2_can_read_replicas_with_devs()`, `bch2_have_enough_devs()`.
pub fn check_entry<'a>(
    entry: ReplicasEntry<'a>,
    online: &DevMask,
    given_up: &DevMask,
    degraded: Degraded,
) -> Result<(), NotEnough<'a>> {
    // What is cached is somewhere else as well.
    if entry.data_type == DataType::CACHED || degraded == Degraded::Very {
        return Ok(());
    }
    let there = entry.devs.iter().filter(|d| online.has(**d)).count();
    let is_gone = |d: &&u8| **d == NO_DEVICE || given_up.has(**d);
    let gone = entry.devs.iter().filter(is_gone).count();
    // What is left of data that is known to be lost.
    if gone == entry.devs.len() {
        return Ok(());
    }
    let lost = there < usize::from(entry.nr_required);
    let is_degraded = there.saturating_add(gone) < entry.devs.len();
    if lost || (is_degraded && degraded == Degraded::No) {
        return Err(NotEnough::Replicas {
            entry,
            online: there,
            lost,
        });
    }
    Ok(())
}

/// Checks whether the filesystem can be read with the devices `online`, as far as the superblock
/// knows. Of newer filesystems it only knows where metadata is; the accounting knows the rest.
///
/// C: `bch2_fs_may_start()`, `bch2_can_read_fs_with_devs()`.
pub fn check_enough<'a>(
    fs: &'a Superblock,
    online: &DevMask,
    degraded: Degraded,
) -> Result<(), NotEnough<'a>> {
    if degraded == Degraded::No {
        if let Some((dev, _)) = missing(fs, online).next() {
            return Err(NotEnough::Missing { dev });
        }
    }
    let given_up = given_up(fs, online);
    fs.replicas()
        .filter(|entry| !is_obsolete(fs, entry.data_type))
        .try_for_each(|entry| check_entry(entry, online, &given_up, degraded))
}

/// Newer versions keep no list of the replicas of user data; an old list means nothing then.
/// C: `replicas_entry_obsolete()`.
fn is_obsolete(fs: &Superblock, data_type: DataType) -> bool {
    data_type > DataType::BTREE && fs.version_incompat() >= Version::NO_SB_USER_DATA_REPLICAS
}
