// SPDX-License-Identifier: GPL-2.0

//! Changing a superblock that is to be written.

use super::{
    assemble::DevMask,
    counters::counters,
    errors::ErrorEntry,
    ext::LOST_WORD,
    flags::{
        self,
        BitField, //
    },
    header::HEADER_BYTES,
    layout::MAGIC,
    members::{
        v2_stride,
        Member,
        MemberState,
        MEMBER_V1_BYTES,
        V2_HEADER_BYTES, //
    },
    replicas::ReplicasEntry,
    section::{
        SectionType,
        Sections,
        SECTION_HEADER_BYTES, //
    },
    superblock::{
        boxed,
        Superblock, //
    },
    version::Version,
};
use crate::{
    env::{
        num::{
            sat_u32,
            u64_of, //
        },
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        csum::CsumType,
        data_type::DataType, //
    },
};
use core::ops::Range;
use zerocopy::IntoBytes as _;

impl Superblock {
    /// Sets a bit field of the flags.
    pub fn set_flag(&mut self, field: BitField, v: u64) {
        field.set(&mut self.head.flags, v);
    }

    /// Sets the label: up to 31 bytes.
    ///
    /// C: `bch2_ioc_setlabel()`.
    pub fn set_label(&mut self, label: &[u8]) -> Result {
        if label.len() >= self.head.label.len() {
            return Err(Error::LabelTooLong);
        }
        self.head.label = [0; 32];
        for (to, from) in self.head.label.iter_mut().zip(label) {
            *to = *from;
        }
        Ok(())
    }

    /// Makes it one of `version`, of a filesystem that has nothing yet that depends on it.
    ///
    /// C: `bch2_sb_maybe_downgrade()`, `bch2_sb_upgrade()`.
    pub fn set_version(&mut self, version: Version) {
        self.head.version = version.0.into();
        self.head.version_min = version.0.into();
        self.set_flag(flags::VERSION_UPGRADE_COMPLETE, version.0.into());
        self.set_flag(flags::VERSION_INCOMPAT, 0);
        self.set_flag(flags::VERSION_INCOMPAT_ALLOWED, 0);
    }

    /// Sets and clears bits of the first word of features.
    pub fn change_features(&mut self, set: u64, clear: u64) {
        let [first, _] = &mut self.head.features;
        *first = ((first.get() | set) & !clear).into();
    }

    /// Sets bits of the first word of compatible features.
    pub fn add_compat(&mut self, bits: u64) {
        let [first, _] = &mut self.head.compat;
        *first = (first.get() | bits).into();
    }

    /// Makes it the next superblock after this one, written at `seconds` since 1970.
    ///
    /// C: the start of `bch2_write_super()`.
    pub fn advance(&mut self, seconds: u64) {
        self.head.magic = MAGIC.0;
        self.head.layout.magic = MAGIC.0;
        self.head.seq = self.head.seq.get().wrapping_add(1).into();
        self.head.write_time = seconds.into();
    }

    /// Makes these ranges of journal sequence numbers void, in place of those there were; sorted,
    /// the ends not included.
    ///
    /// C: `bch2_journal_seq_blacklist_add()`.
    pub fn set_blacklist(&mut self, ranges: &[(u64, u64)]) -> Result {
        let mut body = Vec::new();
        for n in ranges.iter().flat_map(|(start, end)| [start, end]) {
            body.extend_from_slice(&n.to_le_bytes())?;
        }
        self.replace_section(SectionType::JOURNAL_SEQ_BLACKLIST, &body)
    }

    /// The bytes of the first section of a kind, its header included.
    fn range_of(&self, kind: SectionType) -> Option<Range<usize>> {
        let mut at = 0usize;
        for section in Sections::new(&self.sections) {
            let end = at.saturating_add(section.total_bytes());
            if section.kind == kind {
                return Some(at..end);
            }
            at = end;
        }
        None
    }

    /// Puts `body` in place of what the section of this kind holds, zeros behind it up to a
    /// multiple of 8 bytes. A section that is not there comes last.
    ///
    /// C: `bch2_sb_field_resize()`.
    pub fn replace_section(&mut self, kind: SectionType, body: &[u8]) -> Result {
        let padded = body.len().next_multiple_of(8);
        let bytes = padded.saturating_add(SECTION_HEADER_BYTES);
        let old = self.range_of(kind);
        let old = old.unwrap_or(self.sections.len()..self.sections.len());
        let before = self.sections.get(..old.start).unwrap_or_default();
        let after = self.sections.get(old.end..).unwrap_or_default();
        let len = before.len().saturating_add(after.len());
        let mut new = Vec::with_capacity(len.saturating_add(bytes))?;
        new.extend_from_slice(before)?;
        new.extend_from_slice(&sat_u32(bytes >> 3).to_le_bytes())?;
        new.extend_from_slice(&kind.0.to_le_bytes())?;
        new.extend_from_slice(body)?;
        new.resize(new.len().saturating_add(padded.wrapping_sub(body.len())), 0)?;
        new.extend_from_slice(after)?;
        self.set_sections(new)
    }

    /// Takes the section of this kind out, if there is one.
    pub fn remove_section(&mut self, kind: SectionType) -> Result {
        let Some(old) = self.range_of(kind) else {
            return Ok(());
        };
        let mut new = Vec::with_capacity(self.sections.len())?;
        new.extend_from_slice(self.sections.get(..old.start).unwrap_or_default())?;
        new.extend_from_slice(self.sections.get(old.end..).unwrap_or_default())?;
        self.set_sections(new)
    }

    fn set_sections(&mut self, sections: Vec<u8>) -> Result {
        let bytes = HEADER_BYTES.saturating_add(sections.len());
        if u64_of(bytes) > self.head.layout.max_bytes() {
            return Err(Error::SbFull);
        }
        self.head.u64s = sat_u32(sections.len() >> 3).into();
        self.sections = sections;
        Ok(())
    }

    /// The contents of the first section of a kind, to be changed where they are.
    pub fn section_mut(&mut self, kind: SectionType) -> Option<&mut [u8]> {
        let range = self.range_of(kind)?;
        let start = range.start.saturating_add(SECTION_HEADER_BYTES);
        self.sections.get_mut(start..range.end)
    }

    /// Changes the member in slot `idx`, as far as its slot is long. Only of a superblock with a
    /// section `members_v2`.
    pub fn update_member(&mut self, idx: u8, change: impl FnOnce(&mut Member)) {
        let Some(body) = self.section_mut(SectionType::MEMBERS_V2) else {
            return;
        };
        let stride = v2_stride(body);
        let start = stride
            .saturating_mul(idx.into())
            .saturating_add(V2_HEADER_BYTES);
        let Some(slot) = body.get_mut(start..start.saturating_add(stride)) else {
            return;
        };
        if let Some(mut member) = Member::read(slot) {
            change(&mut member);
            for (to, from) in slot.iter_mut().zip(member.raw.as_bytes()) {
                *to = *from;
            }
        }
    }

    /// Copies what version 1 of the members has from version 2.
    ///
    /// C: `bch2_sb_members_cpy_v2_v1()`.
    pub fn copy_members_to_v1(&mut self) -> Result {
        let mut v1 = Vec::new();
        for member in self.members() {
            let bytes = member.raw.as_bytes();
            v1.extend_from_slice(bytes.get(..usize::from(MEMBER_V1_BYTES)).unwrap_or(bytes))?;
        }
        self.replace_section(SectionType::MEMBERS_V1, &v1)
    }

    /// Notes that data of a type is on a set of devices, each of which is enough to read it. Says
    /// whether that was not known.
    ///
    /// C: `bch2_mark_replicas()`, `bch2_cpu_replicas_to_sb_replicas()`.
    pub fn add_replicas(&mut self, data_type: DataType, devs: &DevMask) -> Result<bool> {
        let same = |e: &ReplicasEntry<'_>| {
            let mut mask = DevMask::default();
            e.devs.iter().all(|d| mask.add(*d)) && mask == *devs
        };
        let known =
            |e: ReplicasEntry<'_>| e.data_type == data_type && e.nr_required <= 1 && same(&e);
        if self.replicas().any(known) {
            return Ok(false);
        }
        let kind = match self.section(SectionType::REPLICAS) {
            Some(_) => SectionType::REPLICAS,
            None => SectionType::REPLICAS_V0,
        };
        let mut body = Vec::new();
        let mut add = |e: ReplicasEntry<'_>| -> Result {
            let nr = u8::try_from(e.devs.len()).map_err(|_| Error::Overflow)?;
            body.extend_from_slice(&[e.data_type.0, nr])?;
            if kind == SectionType::REPLICAS {
                body.push(e.nr_required)?;
            }
            body.extend_from_slice(e.devs)
        };
        for entry in self.replicas() {
            add(entry)?;
        }
        let mut list = Vec::new();
        for dev in devs.iter() {
            list.push(dev)?;
        }
        add(ReplicasEntry {
            data_type,
            nr_required: 1,
            devs: &list,
        })?;
        self.replace_section(kind, &body)?;
        Ok(true)
    }

    /// Changes what is noted for recovery: passes that are required, by number on disk, and btrees
    /// that have lost data, by number.
    ///
    /// C: `recovery_passes_required`, `btrees_lost_data` of `struct bch_sb_field_ext`.
    pub fn change_recovery(&mut self, change: impl FnOnce(&mut u64, &mut u64)) -> Result {
        let old = self.section(SectionType::EXT).map(|s| s.body);
        let mut body = Vec::new();
        body.extend_from_slice(old.unwrap_or_default())?;
        let least = LOST_WORD.saturating_add(1).saturating_mul(8);
        body.resize(body.len().max(least), 0)?;
        let word = |body: &[u8], at: usize| {
            let bytes = body.chunks_exact(8).nth(at);
            let bytes = bytes.and_then(|b| b.first_chunk::<8>());
            bytes.map_or(0, |b| u64::from_le_bytes(*b))
        };
        let (mut required, mut lost) = (word(&body, 0), word(&body, LOST_WORD));
        change(&mut required, &mut lost);
        for (at, new) in [(0, required), (LOST_WORD, lost)] {
            let to = body.chunks_exact_mut(8).nth(at);
            for (to, from) in to.into_iter().flatten().zip(new.to_le_bytes()) {
                *to = from;
            }
        }
        self.replace_section(SectionType::EXT, &body)
    }

    /// Puts the counts of inconsistencies, ascending by id, in place of those it has.
    ///
    /// C: `bch2_sb_errors_from_cpu()`.
    pub fn set_errors(&mut self, entries: &[ErrorEntry]) -> Result {
        let mut body = Vec::with_capacity(entries.len().saturating_mul(16))?;
        for e in entries {
            let nr = e.nr.min(u64::MAX >> 16);
            let word = u64::from(e.id.raw()) | nr << 16;
            body.extend_from_slice(&word.to_le_bytes())?;
            body.extend_from_slice(&e.last.to_le_bytes())?;
        }
        self.replace_section(SectionType::ERRORS, &body)?;
        // What a newer version counted is among them.
        self.remove_section(SectionType::ERRORS_V2)
    }

    /// Calls `value` for the number of each counter that there is, and sets the counter to what
    /// that returns. Those that this version knows and that are not there come in, if there is room
    /// for them.
    ///
    /// C: `bch2_sb_counters_from_cpu()`.
    pub fn set_counters(&mut self, value: impl Fn(u8) -> u64) -> Result {
        let nr = counters()
            .map(|c| usize::from(c.nr).saturating_add(1))
            .max();
        let wanted = nr.unwrap_or(0).saturating_mul(8);
        let old = self.body(SectionType::COUNTERS).unwrap_or_default();
        if old.len() < wanted {
            let mut body = Vec::with_capacity(wanted)?;
            body.extend_from_slice(old)?;
            body.resize(wanted, 0)?;
            match self.replace_section(SectionType::COUNTERS, &body) {
                Ok(()) | Err(Error::SbFull) => (),
                Err(e) => return Err(e),
            }
        }
        let body = self.section_mut(SectionType::COUNTERS).unwrap_or_default();
        for (nr, word) in (0..=u8::MAX).zip(body.chunks_exact_mut(8)) {
            for (to, from) in word.iter_mut().zip(value(nr).to_le_bytes()) {
                *to = from;
            }
        }
        Ok(())
    }

    /// Makes the section `clean`: the number of the last journal entry, and records.
    ///
    /// C: `bch2_fs_mark_clean()`.
    pub fn set_clean(&mut self, journal_seq: u64, records: &[u8]) -> Result {
        let mut body = Vec::with_capacity(records.len().saturating_add(16))?;
        body.extend_from_slice(&[0; 8])?;
        body.extend_from_slice(&journal_seq.to_le_bytes())?;
        body.extend_from_slice(records)?;
        self.replace_section(SectionType::CLEAN, &body)
    }

    /// Sets which buckets of its device are for the journal: ranges of a first one, and how many.
    ///
    /// C: `bch2_journal_buckets_to_sb()`.
    pub fn set_journal_buckets(&mut self, ranges: &[(u64, u64)]) -> Result {
        let mut body = Vec::with_capacity(ranges.len().saturating_mul(16))?;
        for (start, nr) in ranges {
            body.extend_from_slice(&start.to_le_bytes())?;
            body.extend_from_slice(&nr.to_le_bytes())?;
        }
        self.replace_section(SectionType::JOURNAL_V2, &body)?;
        self.remove_section(SectionType::JOURNAL)
    }

    /// This superblock as the device of `own` is to have it: with what `own` has for its device
    /// alone.
    ///
    /// C: `bch2_sb_from_fs()`.
    pub fn for_device(&self, own: &Superblock) -> Result<Self> {
        let mut sections = Vec::with_capacity(self.sections.len())?;
        let shared = self.sections().filter(|s| !s.kind.is_single_device());
        for s in shared.chain(own.sections().filter(|s| s.kind.is_single_device())) {
            sections.extend_from_slice(&sat_u32(s.total_bytes() >> 3).to_le_bytes())?;
            sections.extend_from_slice(&s.kind.0.to_le_bytes())?;
            sections.extend_from_slice(s.body)?;
        }
        let mut sb = Self {
            head: boxed(&self.head)?,
            sections: Vec::new(),
        };
        sb.head.dev_idx = own.head.dev_idx;
        sb.head.layout = own.head.layout;
        sb.head.layout.magic = MAGIC.0;
        sb.set_sections(sections)?;
        Ok(sb)
    }

    /// The bytes of the copy at `sector`, with a checksum of this kind, which must need no key.
    ///
    /// C: `write_one_super()`.
    pub fn encode(&mut self, sector: u64, kind: CsumType) -> Result<Vec<u8>> {
        self.head.offset = sector.into();
        self.set_flag(flags::CSUM_TYPE, kind.0.into());
        let mut bytes = self.to_bytes()?;
        let covered = bytes.get(super::header::CSUM_BYTES..).unwrap_or_default();
        let sum = [kind.checksum(covered).unwrap_or(0), 0].map(u64::to_le_bytes);
        for (to, from) in bytes.iter_mut().zip(sum.as_flattened()) {
            *to = *from;
        }
        Ok(bytes)
    }
}

impl Member {
    /// Notes that the superblock `seq` is being written to it.
    pub fn set_seq(&mut self, seq: u64) {
        self.raw.seq = seq.into();
    }

    /// Notes when it was mounted, in seconds since 1970.
    pub fn set_last_mount(&mut self, seconds: u64) {
        self.raw.last_mount = seconds.into();
    }

    /// Says whether the index of free space is complete for it.
    pub fn set_freespace_initialized(&mut self, is: bool) {
        self.set_member_flag(super::members::flag::FREESPACE_INITIALIZED, is.into());
    }

    /// Sets which parts of it hold btree nodes, of `1 << shift` bytes each.
    pub fn set_btree_bitmap(&mut self, bits: u64, shift: u8) {
        self.raw.btree_allocated_bitmap = bits.into();
        self.raw.btree_bitmap_shift = shift;
    }

    /// Sets what the device may be used for.
    pub fn set_state(&mut self, state: MemberState) {
        self.set_member_flag(super::members::flag::STATE, state.0.into());
    }

    /// Sets the counts of failed reads, failed writes and wrong checksums.
    pub fn set_errors(&mut self, errors: [u64; 3]) {
        self.raw.errors = errors.map(Into::into);
    }

    /// Has errors be counted from these on, at `seconds` since 1970.
    pub fn reset_errors(&mut self, errors: [u64; 3], seconds: u64) {
        self.raw.errors_at_reset = errors.map(Into::into);
        self.raw.errors_reset_time = seconds.into();
    }

    fn set_member_flag(&mut self, field: BitField, v: u64) {
        field.set(core::slice::from_mut(&mut self.raw.flags), v);
    }

    /// Says whether space that has become free is discarded.
    pub fn set_discard(&mut self, is: bool) {
        self.set_member_flag(super::members::flag::DISCARD, is.into());
    }

    /// Sets how many copies one on it counts for: 0 to 2.
    pub fn set_durability(&mut self, nr: u8) {
        // 0 on disk is the default.
        self.set_member_flag(
            super::members::flag::DURABILITY,
            u64::from(nr).saturating_add(1),
        );
    }

    /// Says whether seeks are slow.
    pub fn set_rotational(&mut self, is: bool) {
        self.set_member_flag(super::members::flag::ROTATIONAL, is.into());
    }

    /// Notes where journal writing stopped; see [`Member::last_journal_position`].
    pub fn set_last_journal_position(&mut self, bucket: u32, offset: u32) {
        self.raw.last_journal_bucket = bucket.into();
        self.raw.last_journal_bucket_offset = offset.into();
    }
}

#[cfg(test)]
mod tests;
