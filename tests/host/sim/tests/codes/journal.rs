// SPDX-License-Identifier: GPL-2.0

//! The journal, read and written.

use crate::{
    bytes_of,
    contents,
    disk_of,
    image,
    start,
    with_superblock, //
};
use sim::{
    btree::KeyBuf,
    env::{
        Arc,
        Vec as EnvVec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        csum::CsumType,
        jset::{
            EntryType,
            RawJset,
            JSET_HEADER_BYTES,
            JSET_MAGIC, //
        },
        key_type::KeyType,
        node::filesystem_magic,
        opts::Opts,
        sb::{
            flags,
            section::SectionType,
            Superblock, //
        },
    },
    init::Access,
    journal::{
        self,
        live::{
            Journal,
            Start,
            Watermark, //
        },
    },
    sb,
    sys::block::{
        BlockDevice,
        Disk, //
    },
};
use std::ops::Range;

/// A filesystem that was not shut down: its bytes, and where the newest entry is.
struct Crashed {
    bytes: Vec<u8>,
    newest: Range<usize>,
    /// The record with the first key in it.
    record: usize,
}

fn crashed() -> Crashed {
    let (fs, media) = start(Access::Write, image("engine-small").unwrap(), "").unwrap();
    for nr in 0..3 {
        let done = fs
            .read_write()
            .unwrap()
            .engine()
            .run(Watermark::Normal, |t| {
                let k = Bkey {
                    key_type: KeyType::COOKIE,
                    p: Bpos::new(1 << 40, nr, u32::MAX),
                    ..Bkey::default()
                };
                t.update(BtreeId::XATTRS, KeyBuf::of(k, &[7; 8])?)?;
                t.commit()
            });
        done.unwrap();
        fs.sync().unwrap();
    }
    let bytes = bytes_of(&contents(&media)[0]);
    let sb = Superblock::decode(&bytes[4096..], Some(8)).unwrap();
    let magic = filesystem_magic(&sb.uuid().0) ^ JSET_MAGIC;
    let mut newest = (0, 0..0);
    for at in (0..bytes.len()).step_by(512) {
        let head = RawJset::read(&bytes[at..]).filter(|h| h.magic() == magic);
        let Some(head) = head.filter(|h| h.covered(&bytes[at..]).is_some()) else {
            continue;
        };
        let has_key = first_key(&bytes[at..at + head.total_bytes()]).is_some();
        if head.seq() > newest.0 && has_key {
            newest = (head.seq(), at..at + head.total_bytes());
        }
    }
    let newest = newest.1;
    let record = first_key(&bytes[newest.clone()]).expect("a key") + newest.start;
    Crashed {
        bytes,
        newest,
        record,
    }
}

/// Where the first record with a key for XATTRS is in an entry.
fn first_key(entry: &[u8]) -> Option<usize> {
    let mut at = JSET_HEADER_BYTES;
    while let Some(head) = entry.get(at..at + 8) {
        let u64s = usize::from(u16::from_le_bytes([head[0], head[1]]));
        if head[2] == BtreeId::XATTRS.0 && head[4] == EntryType::BTREE_KEYS.0 && u64s != 0 {
            return Some(at);
        }
        at += 8 + u64s * 8;
    }
    None
}

impl Crashed {
    /// What a mount says when `at` in the newest entry became `to`, with a right checksum.
    fn mounted(&self, at: usize, to: &[u8]) -> Option<Error> {
        let mut bytes = self.bytes.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        let entry = &mut bytes[self.newest.clone()];
        let head = RawJset::read(entry).unwrap();
        let kind = CsumType(head.csum_type());
        let sum = kind.checksum(head.covered(entry).unwrap()).unwrap();
        entry[..8].copy_from_slice(&sum.to_le_bytes());
        start(Access::Write, vec![disk_of(bytes)], "").err()
    }
}

#[test]
fn entries() {
    let c = crashed();
    let (head, record) = (c.newest.start, c.record);
    let key = record + 8;
    assert_eq!(c.mounted(head, &[]), None);
    // Version 63.1023; a flag; and a record that is too long, of a btree that can not be, of
    // another kind; and a key without a header, and one that is an extent where there are none.
    for (at, to, want) in [
        (head + 32, &[0xff, 0xff][..], Error::JournalVersion),
        (
            head + 36,
            &[c.bytes[head + 36] | 1 << 4],
            Error::JournalBigEndian,
        ),
        (record, &[0xff, 0xff], Error::JournalBadEntry),
        (record + 2, &[250], Error::JournalBadRecord),
        (record + 4, &[15], Error::JournalRewindUnsupported),
        (key, &[1], Error::JournalBadKey),
        (key + 16, &[9], Error::JournalInvalidKey),
    ] {
        assert_eq!(c.mounted(at, to), Some(want), "{want:?}");
    }
}

#[test]
fn entries_that_can_not_be_read() {
    let c = crashed();
    let mut dev = BlockDevice::of_disk("failing", disk_of(c.bytes));
    dev.fail_from(c.newest.start as u64 & !4095);
    let mut devs = EnvVec::new();
    devs.push(dev).unwrap();
    let st = sb::open(devs, &Opts::default()).unwrap();
    let e = journal::read(&st, false).err();
    assert_eq!(e, Some(Error::JournalUnreadable));
}

/// A journal that goes on at `next_seq`, if given.
fn live(disks: Vec<Disk>, next_seq: Option<u64>) -> Result<Arc<Journal>> {
    let mut devs = EnvVec::new();
    for disk in disks {
        devs.push(BlockDevice::of_disk("live", disk))?;
    }
    let st = Arc::try_new(sb::open(devs, &Opts::default())?)?;
    let mut contents = journal::read(&st, false)?;
    let mut from = Start::after(&mut contents)?;
    if let Some(seq) = next_seq {
        (from.next_seq, from.kept) = (seq, seq..seq);
    }
    st.mark_dirty(contents.blacklist.ranges())?;
    Journal::start(st, &from)
}

#[test]
fn a_journal_that_takes_nothing() {
    let disks = || image("engine-small").unwrap();
    let room = |j: &Journal| j.reserve(8, Watermark::Normal).map(drop).err();
    let journal = live(disks(), None).unwrap();
    assert_eq!(room(&journal), None);
    journal.stop().unwrap();
    assert_eq!(room(&journal), Some(Error::JournalStopped));

    let journal = live(disks(), None).unwrap();
    let mut r = journal.reserve(8, Watermark::Normal).unwrap();
    r.add_entry(EntryType::BTREE_KEYS, BtreeId(250), 0, &[0; 5])
        .unwrap();
    drop(r);
    assert_eq!(journal.flush(), Err(Error::JournalWriteInvalid));
    assert_eq!(journal.halted(), Some(Error::JournalWriteInvalid));

    // The device may have all but the journal.
    let bytes = with_superblock(&bytes_of(&disks()[0]), |sb| {
        let members = sb.section_mut(SectionType::MEMBERS_V2).unwrap();
        // C: `BCH_MEMBER_DATA_ALLOWED`.
        let flags = &mut members[8 + 40..][..8];
        let mut word = u64::from_le_bytes(flags.try_into().unwrap());
        word = word & !(0x1f << 15) | 0x18 << 15;
        flags.copy_from_slice(&word.to_le_bytes());
    });
    let journal = live(vec![disk_of(bytes)], None).unwrap();
    assert_eq!(room(&journal), Some(Error::JournalNoDevice));

    // It says that it is encrypted, without a key.
    let bytes = with_superblock(&bytes_of(&disks()[0]), |sb| {
        sb.set_flag(flags::ENCRYPTION_TYPE, 1);
    });
    let journal = live(vec![disk_of(bytes)], None).unwrap();
    assert_eq!(room(&journal), None);
    assert_eq!(journal.flush(), Err(Error::JournalWriteCsum));

    // Entries until there is no number left.
    let journal = live(disks(), Some((u64::MAX >> 1) - 3)).unwrap();
    let mut last = None;
    for _ in 0..8 {
        last = room(&journal).or_else(|| journal.flush().err());
        if last.is_some() {
            break;
        }
    }
    assert_eq!(last, Some(Error::JournalSeqs));
}
