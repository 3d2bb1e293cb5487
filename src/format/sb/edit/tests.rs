// SPDX-License-Identifier: GPL-2.0

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
    sb.set_counters(|nr| old + u64::from(nr)).unwrap();
    assert_eq!((sb.counter(14), sb.counter(78)), (old + 14, old + 78));
    sb.validate(None).unwrap();
    // What was just made has none.
    sb.remove_section(SectionType::COUNTERS).unwrap();
    sb.set_counters(u64::from).unwrap();
    assert_eq!([0, 14, 135].map(|nr| sb.counter(nr)), [0, 14, 135]);
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
