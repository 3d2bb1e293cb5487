// SPDX-License-Identifier: GPL-2.0

//! Changing a superblock that is to be written.

use super::{
    assemble::DevMask,
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
    /// that returns.
    ///
    /// C: `bch2_sb_counters_from_cpu()`.
    pub fn set_counters(&mut self, value: impl Fn(u8) -> u64) {
        let body = self.section_mut(SectionType::COUNTERS).unwrap_or_default();
        for (nr, word) in (0..=u8::MAX).zip(body.chunks_exact_mut(8)) {
            for (to, from) in word.iter_mut().zip(value(nr).to_le_bytes()) {
                *to = from;
            }
        }
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
mod tests {
    use super::{
        super::tests::V113, //
        *,
    };

    fn sample() -> Superblock {
        Superblock::decode(V113, Some(8)).unwrap()
    }

    #[test]
    fn sections_are_put_in_and_taken_out() {
        let mut sb = sample();
        let before = sb.to_bytes().unwrap();
        let kinds = |sb: &Superblock| sb.sections().map(|s| s.kind).collect::<std::vec::Vec<_>>();
        let old = kinds(&sb);
        sb.replace_section(SectionType(77), b"123456789").unwrap();
        assert_eq!(
            sb.section(SectionType(77)).unwrap().body,
            b"123456789\0\0\0\0\0\0\0"
        );
        assert_eq!(sb.total_bytes(), u64_of(before.len() + 8 + 16));
        sb.replace_section(SectionType(77), b"").unwrap();
        assert_eq!(kinds(&sb).len(), old.len() + 1);
        sb.remove_section(SectionType(77)).unwrap();
        assert_eq!(sb.to_bytes().unwrap(), before);
        let first = old[0];
        let body = sb.section(first).unwrap().body.to_vec();
        sb.replace_section(first, &[]).unwrap();
        assert_eq!(kinds(&sb), old);
        sb.replace_section(first, &body).unwrap();
        assert_eq!(sb.to_bytes().unwrap(), before);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut sb = sample();
        let before = sb.to_bytes().unwrap();
        let max = usize::try_from(sb.layout.max_bytes()).unwrap();
        let e = sb.replace_section(SectionType(77), &std::vec![0; max]);
        assert_eq!(e, Err(Error::SbFull));
        assert_eq!(sb.to_bytes().unwrap(), before);
    }

    #[test]
    fn replicas_are_added_once() {
        let mut sb = sample();
        let mut devs = DevMask::default();
        devs.add(0);
        devs.add(2);
        let before = sb.replicas().count();
        assert_eq!(sb.add_replicas(DataType::JOURNAL, &devs), Ok(true));
        assert_eq!(sb.add_replicas(DataType::JOURNAL, &devs), Ok(false));
        assert_eq!(sb.replicas().count(), before + 1);
        let last = sb.replicas().last().unwrap();
        assert_eq!(
            (last.data_type, last.devs),
            (DataType::JOURNAL, &[0, 2][..])
        );
        sb.validate(None).unwrap();
    }

    #[test]
    fn counts_are_replaced() {
        let mut sb = sample();
        let entry = |id, nr| ErrorEntry {
            id: crate::error::fsck::FsckError::from_raw(id),
            nr,
            last: 70,
            first: 0,
        };
        sb.set_errors(&[entry(3, 1), entry(5, 100)]).unwrap();
        let found: std::vec::Vec<_> = sb.errors().collect();
        assert_eq!(found, [entry(3, 1), entry(5, 100)]);
        let old = sb.counter(14);
        sb.set_counters(|nr| old + u64::from(nr));
        assert_eq!((sb.counter(14), sb.counter(78)), (old + 14, old + 78));
        sb.validate(None).unwrap();
    }

    #[test]
    fn what_recovery_has_to_do_is_noted() {
        let mut sb = sample();
        let get = |sb: &Superblock| {
            let ext = sb.ext().unwrap();
            (ext.recovery_passes_required(), ext.btrees_lost_data())
        };
        let before = get(&sb);
        sb.change_recovery(|required, lost| {
            *required |= 1 << 40;
            *lost |= 1 << 4;
        })
        .unwrap();
        let ([a, b], lost) = before;
        assert_eq!(get(&sb), ([a | 1 << 40, b], lost | 1 << 4));
        sb.validate(None).unwrap();
        sb.remove_section(SectionType::EXT).unwrap();
        sb.change_recovery(|_, lost| *lost = 5).unwrap();
        assert_eq!(get(&sb), ([0, 0], 5));
    }

    #[test]
    fn the_clean_section_is_replaced() {
        let mut sb = sample();
        sb.set_clean(1234, &[0; 24]).unwrap();
        sb.validate(None).unwrap();
        let clean = sb.clean().unwrap();
        assert_eq!((clean.journal_seq(), clean.entries().count()), (1234, 3));
    }

    #[test]
    fn each_device_keeps_its_own() {
        let sb = sample();
        let mut all = sb.try_clone().unwrap();
        all.head.dev_idx = 0;
        all.remove_section(SectionType::JOURNAL_V2).unwrap();
        let its = all.for_device(&sb).unwrap();
        assert_eq!(its.dev_idx(), sb.dev_idx());
        assert_eq!(its.layout, sb.layout);
        assert!(its.journal_buckets().iter().eq(sb.journal_buckets().iter()));
        its.validate(None).unwrap();
    }

    #[test]
    fn a_copy_can_be_read_again() {
        let mut sb = sample();
        let seq = sb.seq();
        sb.advance(1234);
        sb.set_flag(flags::CLEAN, 0);
        sb.change_features(1 << 3, 0);
        sb.update_member(0, |m| {
            m.set_seq(seq + 1);
            m.set_last_mount(99);
            m.set_last_journal_position(3, 40);
            m.set_errors([1, 2, 3]);
        });
        sb.copy_members_to_v1().unwrap();
        for kind in [
            CsumType::NONE,
            CsumType::CRC32C_NONZERO,
            CsumType::CRC64_NONZERO,
            CsumType::XXHASH,
        ] {
            let bytes = sb.encode(64, kind).unwrap();
            let read = Superblock::decode(&bytes, Some(64)).unwrap();
            assert_eq!((read.seq(), read.write_time()), (seq + 1, 1234));
            assert!(!read.is_clean() && read.features().has(3));
            let m = read.member(0).unwrap();
            assert_eq!(m.seq(), seq + 1);
            assert_eq!((m.last_mount(), m.errors()), (99, [1, 2, 3]));
            assert_eq!(m.last_journal_position(), (3, 40));
            let v1 = read.section(SectionType::MEMBERS_V1).unwrap();
            assert_eq!(v1.body.get(32..40), Some(&99u64.to_le_bytes()[..]));
        }
    }
}
