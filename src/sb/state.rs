// SPDX-License-Identifier: GPL-2.0

//! The superblock, the options and the devices of a filesystem.

use super::{
    counters::Counters,
    damage::{
        Damage,
        Lost, //
    },
    device_options::DeviceOpts,
    device_stats::DeviceStats,
    error_counts::ErrorCounts,
    io_errors::IoErrors,
    message_limit::MessageLimit,
    mode::StateCell,
    options::LiveOpts,
    time_stats::TimeStats,
    write::LiveSb, //
};
use crate::{
    env::{
        crypt::Key,
        pr_err,
        units::DevIdx,
        Arc,
        Box,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        csum::CsumType,
        opts::{
            OnError,
            OptId, //
        },
        sb::{
            assemble::DevMask,
            flags,
            groups::Target,
            members::MemberState,
            Member,
            Superblock, //
        },
    },
    sys::{
        block::BlockDevice,
        halt,
        unicode::Encoding,
        workspace::Workspaces, //
    },
};
use core::{
    fmt,
    sync::atomic::{
        AtomicBool,
        AtomicU64,
        AtomicU8,
        Ordering, //
    },
};

/// A member device that is there.
///
/// C: `struct bch_dev`.
pub struct Device {
    /// The block device.
    pub bdev: BlockDevice,
    /// Its slot.
    pub idx: DevIdx,
    /// Its own superblock; of use only for what is not the same on all devices, as the journal
    /// buckets.
    pub own: Superblock,
    /// What the filesystem's superblock says about it.
    pub member: Box<Member>,
    /// What it did wrong since the mount.
    pub errors: IoErrors,
    /// What was read from it since the mount.
    pub stats: DeviceStats,
    /// What can be changed about it.
    pub(super) opts: DeviceOpts,
    /// The number of what it is used for now, if it was to be written at the mount and is not any
    /// more; else 0.
    pub(super) stopped: AtomicU8,
}

impl Device {
    /// Whether what other devices have as well is to be read from them: this one is being emptied,
    /// has failed, or is not in use. Its durability makes no difference to reading.
    ///
    /// C: `bch2_dev_bad_or_evacuating()`.
    pub fn is_last_resort(&self) -> bool {
        !matches!(self.state(), MemberState::RW | MemberState::RO)
    }

    /// What it is used for now.
    pub fn state(&self) -> MemberState {
        match self.stopped.load(Ordering::Acquire) {
            0 => self.member.state(),
            state => MemberState(state),
        }
    }

    /// Failed reads, failed writes and wrong checksums since the filesystem was made.
    pub fn all_errors(&self) -> [u64; 3] {
        let mut all = self.member.errors();
        for (all, new) in all.iter_mut().zip(self.errors.all()) {
            *all = all.saturating_add(new);
        }
        all
    }

    /// Whether it is written to while the filesystem is read-write.
    pub fn is_writable(&self) -> bool {
        self.state() == MemberState::RW
    }

    /// Whether it [was stopped](SbState::stop_device) since the mount.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire) != 0
    }

    pub(super) fn stop(&self, state: MemberState) {
        self.stopped.store(state.0, Ordering::Release);
    }
}

/// The superblock, the options and the devices of a filesystem.
///
/// C: the parts `disk_sb`, `opts`, `compress` and `devs` of `struct bch_fs`.
pub struct SbState {
    /// The filesystem's superblock as of the mount: the one written last before it.
    pub sb: Superblock,
    /// The options in effect: those of the mount, else those of the superblock, else defaults.
    pub opts: Box<LiveOpts>,
    /// The key of what is encrypted.
    pub(super) key: Option<Key>,
    /// What data is decompressed with.
    pub workspaces: Workspaces,
    /// The rules for comparing names without case, unless turned off or not in this kernel.
    pub encoding: Option<Encoding>,
    /// By slot.
    pub(super) devs: Vec<Option<Device>>,
    /// How often each kind of inconsistency was found.
    pub errors: ErrorCounts,
    /// What could not be used since the mount.
    pub damage: Damage,
    /// Events since the mount.
    pub counters: Arc<Counters>,
    /// How long things take.
    pub times: TimeStats,
    /// What it may do at the moment.
    pub state: StateCell,
    /// The superblock as it is on disk now, while the filesystem is read-write.
    pub(super) live: LiveSb,
    /// How many buckets were taken to be written.
    pub(super) buckets_taken: AtomicU64,
    /// Keeps messages about what reading files met to a few.
    pub messages: MessageLimit,
    /// A check is going on, which expects to find something.
    pub(super) checking: AtomicBool,
}

impl SbState {
    /// Counts an event: `counter` is one of the constants of
    /// [`Counter`](crate::format::sb::counters::Counter).
    #[inline]
    pub fn count(&self, counter: u8) {
        self.counters.add(counter, 1);
    }

    /// The device in slot `idx`, if it is there.
    pub fn dev(&self, idx: DevIdx) -> Option<&Device> {
        self.devs.get(usize::from(idx.0))?.as_ref()
    }

    /// The device in slot `idx`, which has to be there.
    pub fn dev_or_gone(&self, idx: DevIdx) -> Result<&Device> {
        self.dev(idx).ok_or(Error::DeviceGone)
    }

    /// A bucket was taken, and is going to be written: who has looked up what it held, and reads it
    /// only now, gets something else.
    pub fn bucket_taken(&self) {
        self.buckets_taken.fetch_add(1, Ordering::AcqRel);
    }

    /// How many were. As long as it is the same number, a place that was looked up holds what it
    /// did.
    pub fn buckets_taken(&self) -> u64 {
        self.buckets_taken.load(Ordering::Acquire)
    }

    /// The key of what is encrypted; `None` when the filesystem has none.
    ///
    /// C: `chacha20_key`, `chacha20_key_set` of `struct bch_fs`.
    pub fn key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    /// The kind of checksum for metadata that is written now.
    ///
    /// C: `bch2_meta_checksum_type()`.
    pub fn metadata_checksum(&self) -> CsumType {
        match self.sb.encryption_type() {
            0 => self.plain_checksum(),
            _ => CsumType::CHACHA20_POLY1305_128,
        }
    }

    /// The kind of checksum for metadata that is not encrypted in any filesystem.
    ///
    /// C: `bch2_csum_opt_to_type()`.
    pub(super) fn plain_checksum(&self) -> CsumType {
        match self.opts.get(OptId::MetadataChecksum) {
            0 => CsumType::NONE,
            2 => CsumType::CRC64_NONZERO,
            3 => CsumType::XXHASH,
            _ => CsumType::CRC32C_NONZERO,
        }
    }

    /// Where metadata is to be put.
    pub fn metadata_target(&self) -> Target {
        Target::decode(match self.opts.get(OptId::MetadataTarget) {
            0 => self.opts.get(OptId::ForegroundTarget),
            target => target,
        })
    }

    /// Whether `dev` is one of those that `target` names; without a target, all are.
    ///
    /// C: `bch2_dev_in_target()`.
    pub fn is_in_target(&self, target: Target, dev: &Device) -> bool {
        match target {
            Target::None => true,
            Target::Device(idx) => dev.idx.0 == idx,
            Target::Group(group) => dev
                .member
                .group()
                .is_some_and(|g| self.sb.groups().is_within(g.into(), group)),
        }
    }

    /// The devices that are there, by slot.
    pub fn devices(&self) -> impl Iterator<Item = &Device> {
        self.devs.iter().flatten()
    }

    /// The slots of the devices that are there.
    pub fn online(&self) -> DevMask {
        let mut mask = DevMask::default();
        for dev in self.devices() {
            mask.add(dev.idx.0);
        }
        mask
    }

    /// Says whether a check is going on, which decides by itself what happens about what is found.
    pub fn set_checking(&self, is: bool) {
        self.checking.store(is, Ordering::Release);
    }

    /// Whether a check is going on.
    pub fn is_checking(&self) -> bool {
        self.checking.load(Ordering::Acquire)
    }

    /// Something can not be used: counts it, and tells who watches the filesystem if it is
    /// metadata. Of file data, who reads it tells.
    pub fn lost(&self, what: Lost) {
        self.damage.count(what);
        if what.is_metadata() {
            self.state.watchers.metadata();
        }
    }

    /// Something was found inconsistent: says whether writing has to end because of it, as the
    /// option `errors` has it. With `errors=panic` it does not return.
    ///
    /// C: `bch2_inconsistent_error()`.
    #[cold]
    pub fn inconsistent(&self) -> bool {
        if self.is_checking() {
            return false;
        }
        self.state.watchers.metadata();
        match self.opts.on_error() {
            OnError::Continue => false,
            OnError::FixSafe | OnError::ReadOnly => true,
            OnError::Panic => {
                halt::panic_after_error();
                true
            }
        }
    }

    /// Whether one more message may be printed about damage that was met in a file or directory.
    /// Says how many were kept back before it.
    pub fn admit_message(&self) -> bool {
        let verdict = self.messages.ask();
        if verdict.kept_back != 0 {
            let (name, nr) = (self.name(), verdict.kept_back);
            pr_err!("{name}: {nr} more messages about damage were suppressed");
        }
        verdict.print
    }

    /// What to call the filesystem in messages.
    pub fn name(&self) -> Name<'_> {
        Name(self)
    }
}

/// A filesystem's name: that of its only device, or else its UUID.
pub struct Name<'a>(&'a SbState);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sb = &self.0.sb;
        let one = sb.nr_devices() == 1 && sb.flag(flags::MULTI_DEVICE) == 0;
        match self.0.devices().next().filter(|_| one) {
            Some(dev) => f.write_str(dev.bdev.name()),
            None => write!(f, "{}", sb.user_uuid()),
        }
    }
}
