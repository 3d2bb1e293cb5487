// SPDX-License-Identifier: GPL-2.0

//! Starting a journal, and ending it.

use super::{
    pins::Pins,
    ring::Ring,
    roots::ROOT_U64S_MAX,
    shared::{
        Shared,
        PINS, //
    },
    state::{
        Conf,
        State, //
    },
    word::BUFFERS,
};
use crate::{
    env::{
        num::{
            low_u32,
            low_u8,
            sat_u32,
            u64_of,
            usize_of, //
        },
        pr_info,
        time::monotonic_ns,
        Arc,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::{
            Key,
            RawBkey, //
        },
        btree_id::BtreeId,
        data_type::DataType,
        opts::OptId,
        sb::{
            flags,
            Features, //
        },
    },
    journal::{
        JournalContents,
        UsedBucket, //
    },
    sb::{
        Device,
        SbState, //
    },
    sys::task::Thread,
};
use core::{
    ops::{
        Deref,
        Range, //
    },
    sync::atomic::Ordering, //
};
use zerocopy::IntoBytes as _;

/// Bytes of a buffer: the largest entry. The C implementation starts with a quarter of it, and goes
/// up to 4 MiB when that is too small.
const BUFFER_BYTES: u32 = 256 << 10;
/// Roots that there is room for in each entry, beside those that there are at the start.
const MORE_ROOTS: u32 = 32;
/// Sequence numbers that are left out after a crash. A btree node may have been written before an
/// entry that what is in it came with; of those that were open or being written, there are fewer.
const SKIPPED: u64 = 2 * u64_of(BUFFERS);
/// Words for the time, the version of keys, and the clocks.
const COMMON_U64S: u32 = 2 + 2 + 3 + 3;

/// Where a btree starts.
#[derive(Debug)]
pub(super) struct StartRoot {
    pub(super) btree: BtreeId,
    pub(super) level: u8,
    key: Vec<u64>,
}

impl StartRoot {
    /// The pointer to the root node, as the words of a whole key.
    pub(super) fn key(&self) -> impl ExactSizeIterator<Item = u64> + '_ {
        self.key.iter().copied()
    }
}

/// What a journal goes on from.
#[derive(Debug)]
pub struct Start {
    /// The number of the first entry.
    pub next_seq: u64,
    /// The version of the newest key.
    pub key_version: u64,
    /// Sectors read and written over the life of the filesystem.
    pub clocks: [u64; 2],
    roots: Vec<StartRoot>,
    /// Entries whose keys may not have reached the btrees; none after a clean shutdown.
    pub kept: Range<u64>,
    /// The buckets that these are in.
    used: Vec<UsedBucket>,
}

impl Start {
    /// After what was read of the journal, or of the clean section: no number is used again that is
    /// there, or void. After a crash, some more become void; `contents` has them then.
    pub fn after(contents: &mut JournalContents) -> Result<Self> {
        let newest_used = contents.used.iter().map(|u| u.seq).max().unwrap_or(0);
        let newest = contents.last_seq.max(newest_used);
        // What is damaged has a number, too, but not any number.
        let damaged = contents
            .highest_seq
            .min(newest.saturating_add(u64_of(PINS)));
        let mut next_seq = newest.max(damaged).saturating_add(1);
        if !contents.clean {
            next_seq = next_seq.saturating_add(SKIPPED);
        }
        // The one without an end is what is about to become void.
        let voided = contents.blacklist.ranges().iter();
        for (start, end) in voided.filter(|r| r.1 != u64::MAX) {
            if (*start..*end).contains(&next_seq) {
                next_seq = *end;
            }
        }
        contents.blacklist.end_at(next_seq);
        let mut roots = Vec::new();
        for (btree, root) in contents.roots.iter() {
            if let Some(key) = root.key() {
                roots.push(StartRoot {
                    btree,
                    level: root.level,
                    key: words(&key)?,
                })?;
            }
        }
        let (mut kept, mut used) = (next_seq..next_seq, Vec::new());
        if !contents.clean {
            kept = contents.first_seq..contents.last_seq.saturating_add(1);
            used.extend_from_slice(&contents.used)?;
        }
        Ok(Self {
            next_seq,
            key_version: contents.key_version,
            clocks: contents.clocks,
            roots,
            kept,
            used,
        })
    }

    pub(super) fn roots(&self) -> impl Iterator<Item = &StartRoot> {
        self.roots.iter()
    }
}

/// A whole key as words.
fn words(key: &Key<'_>) -> Result<Vec<u64>> {
    let mut words = Vec::new();
    let value_u64s = u8::try_from(key.v.len() >> 3).map_err(|_| Error::Overflow)?;
    let header = RawBkey::encode(&key.k, value_u64s).ok_or(Error::Overflow)?;
    let header = header.as_bytes().chunks_exact(8);
    for bytes in header.chain(key.v.chunks_exact(8)) {
        words.push(bytes.try_into().map_or(0, u64::from_le_bytes))?;
    }
    Ok(words)
}

/// A journal that is written. Dropping it waits for writes under way, and writes nothing more.
pub struct Journal {
    shared: Arc<Shared>,
    threads: Vec<Thread>,
}

impl Deref for Journal {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.shared
    }
}

impl Journal {
    /// Starts the journal. Nothing is written before something is added. The superblock must say
    /// that the filesystem is not clean before that is the case.
    ///
    /// C: `bch2_fs_journal_start()`.
    pub fn start(st: Arc<SbState>, start: &Start) -> Result<Arc<Self>> {
        let conf = conf(&st, start);
        let now = monotonic_ns();
        // No fewer than half are free.
        let nr = usize_of(start.next_seq.saturating_sub(start.kept.start)).saturating_mul(2);
        let size = nr.checked_next_power_of_two().ok_or(Error::Overflow)?;
        let pins = Pins::resume(start.kept.clone(), start.next_seq, size.max(PINS))?;
        let mut state = State::new(
            start.next_seq,
            start.kept.clone(),
            pins,
            rings(&st, start)?,
            now,
        );
        state.update_space(&conf);
        let shared = Arc::try_new(Shared::new(st, conf, state, start)?)?;
        let mut this = Self {
            shared,
            // One that can not be noted here would never be told to end.
            threads: Vec::with_capacity(BUFFERS.saturating_add(1))?,
        };
        for nr in 0..BUFFERS {
            let (shared, buf) = (
                this.shared.clone(),
                Vec::with_capacity(conf.buffer_bytes())?,
            );
            let writer = Thread::spawn(
                format_args!("bch-jwrite{nr}/{}", this.shared.st.name()),
                move |_| shared.run_writer(buf),
            )?;
            this.threads.push(writer)?;
        }
        let shared = this.shared.clone();
        let timer = Thread::spawn(
            format_args!("bch-jtimer/{}", this.shared.st.name()),
            move |_| shared.run_timer(),
        )?;
        this.threads.push(timer)?;
        let (name, next) = (this.shared.st.name(), start.next_seq);
        pr_info!("{name}: the journal goes on at entry {next}");
        Arc::try_new(this)
    }

    /// Where writing stopped on each device: for the superblock.
    pub fn positions(&self) -> Result<Vec<(u8, u32, u32)>> {
        let mut all = Vec::with_capacity(self.st.devices().count())?;
        // There is room for all: nothing is allocated under the lock.
        self.locked(|s| -> Result {
            for ring in s.rings.iter() {
                let (bucket, offset) = ring.position();
                all.push((ring.dev.0, bucket, offset))?;
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// Records for the clean section: the version of keys, the clocks, and the roots.
    ///
    /// C: the end of `bch2_fs_mark_clean()`.
    pub fn clean_records(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut w = crate::format::jset::JsetWriter::records(&mut bytes);
        w.common(self.key_version.load(Ordering::Relaxed), self.clocks())?;
        self.roots.lock().add_to(&mut w, 0)?;
        // What is left of the room for roots to come is empty records.
        let room = crate::env::num::usize_of_u32(self.conf.reserved_u64s).saturating_mul(8);
        let len = bytes.len().max(room);
        bytes.resize(len, 0)?;
        Ok(bytes)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // Each wakes one writer.
        for _ in 0..BUFFERS {
            self.work.wake_all();
        }
        self.timer.wake_all();
        self.threads.clear();
    }
}

fn conf(st: &SbState, start: &Start) -> Conf {
    let sb = &st.sb;
    let roots = sat_u32(start.roots.len()).saturating_add(MORE_ROOTS);
    let root_u64s = sat_u32(ROOT_U64S_MAX).saturating_add(1);
    let ms = |id| st.opts.get(id).saturating_mul(1_000_000);
    let replicas = low_u8(st.opts.get(OptId::MetadataReplicas)).max(1);
    Conf {
        block_sectors: u32::from(sb.block_sectors()).max(1),
        buffer_sectors: BUFFER_BYTES >> crate::env::units::SECTOR_SHIFT,
        reserved_u64s: roots.saturating_mul(root_u64s).saturating_add(COMMON_U64S),
        replicas,
        replicas_needed: low_u8(sb.flag(flags::META_REPLICAS_REQ)).clamp(1, replicas),
        flush_delay_ns: ms(OptId::JournalFlushDelay),
        reclaim_delay_ns: ms(OptId::JournalReclaimDelay),
        stuck_ms: st
            .opts
            .get(OptId::AllocatorStuckTimeout)
            .saturating_mul(1000),
        may_skip_flush: sb.features().has(Features::JOURNAL_NO_FLUSH),
    }
}

/// The journal buckets of all devices that may take entries.
///
/// C: `bch2_dev_journal_init()`, `bch2_journal_pos_from_member_info_resume()`.
fn rings(st: &SbState, start: &Start) -> Result<Vec<Ring>> {
    let target = st.metadata_target();
    let mut rings = Vec::new();
    for dev in st.devices().filter(|d| takes_journal(d)) {
        let bucket_sectors = u64::from(dev.member.bucket_sectors());
        let mut starts = Vec::new();
        for bucket in dev.own.journal_buckets().iter() {
            starts.push(bucket.saturating_mul(bucket_sectors))?;
        }
        if starts.is_empty() {
            continue;
        }
        let at = dev.member.last_journal_position();
        let mut ring = Ring::new(dev.idx, low_u32(bucket_sectors), starts, at)?;
        if !start.kept.is_empty() {
            let used = start.used.iter().filter(|u| u.dev == dev.idx);
            ring.resume(used.map(|u| (u.bucket, u.seq, u.end)));
        }
        ring.durability = dev.durability();
        ring.preferred = st.is_in_target(target, dev);
        rings.push(ring)?;
    }
    Ok(rings)
}

fn takes_journal(dev: &Device) -> bool {
    dev.is_writable() && dev.member.allows(DataType::JOURNAL)
}
