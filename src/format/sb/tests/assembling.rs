// SPDX-License-Identifier: GPL-2.0

//! Which devices are used together.

use super::{
    super::{
        assemble::*,
        members::MemberState,
        replicas::{
            ReplicasEntry,
            NO_DEVICE, //
        },
        section::SectionType, //
    },
    *,
};
use crate::format::data_type::DataType;

fn decode(bytes: &[u8]) -> Superblock {
    Superblock::decode(bytes, None).unwrap()
}

fn online(devs: &[u8]) -> DevMask {
    let mut mask = DevMask::default();
    for dev in devs {
        assert!(mask.add(*dev));
    }
    mask
}

#[test]
fn a_mask_has_its_slots_in_order() {
    for slots in [
        &[][..],
        &[0],
        &[255],
        &[0, 1, 63, 64, 127, 128, 191, 192, 255],
    ] {
        assert!(online(slots).iter().eq(slots.iter().copied()), "{slots:?}");
    }
}

#[test]
fn the_newest_is_believed() {
    let seq = RawSb::read(V113).unwrap().seq();
    let newer = decode(&with(V113, at::SEQ, &(seq + 1).to_le_bytes()));
    let old = decode(V113);
    assert_eq!(newest([&old, &newer, &old].into_iter()), Some(1));
    assert_eq!(newest(core::iter::empty()), None);
}

#[test]
fn devices_of_one_filesystem() {
    let fs = decode(V113);
    assert_eq!(check_member(&fs, &decode(V113), false), Ok(()));
}

#[test]
fn a_device_of_another_filesystem() {
    let stranger = check_member(&decode(V113), &decode(V139), false).unwrap_err();
    assert_eq!(stranger.error(), Error::DeviceNotMember);
    assert!(!stranger.can_leave_out());
    assert!(format!("{stranger}").contains("2171e980-cc14-4926-b4d0-bebe63a28f48"));
}

#[test]
fn a_device_that_was_removed() {
    let slot = body_at(V113, SectionType::MEMBERS_V2) + 8 + 144;
    let at_groups = body_at(V113, SectionType::REPLICAS_V0);
    // The slot is empty, and so are the replicas entries that name it.
    let mut sb = V113.to_vec();
    put(&mut sb, slot, &[0; 16]);
    put(&mut sb, at_groups, &[0]);
    seal(&mut sb);
    let stranger = check_member(&decode(&sb), &decode(V113), false).unwrap_err();
    assert_eq!(stranger, Stranger::Removed { dev: 1 });
    assert!(stranger.can_leave_out());
    assert_eq!(stranger.error(), Error::DeviceRemoved);
    // The slot was given to another device.
    let other = decode(&with(V113, slot, &[7; 16]));
    assert_eq!(
        check_member(&other, &decode(V113), false),
        Err(Stranger::Removed { dev: 1 })
    );
}

#[test]
fn split_brain() {
    let fs = decode(V113);
    let later = fs.write_time() + 1;
    let twin = decode(&with(V113, at::WRITE_TIME, &later.to_le_bytes()));
    let stranger = check_member(&fs, &twin, false).unwrap_err();
    assert_eq!(stranger.error(), Error::DeviceSplitBrain);
    assert!(format!("{stranger}").contains("no_splitbrain_check"));
    assert_eq!(check_member(&fs, &twin, true), Ok(()));

    let ahead = decode(&with(V113, at::SEQ, &(fs.seq() + 5).to_le_bytes()));
    assert!(matches!(
        check_member(&fs, &ahead, false),
        Err(Stranger::SplitSeq { .. })
    ));
}

#[test]
fn block_sizes_must_agree() {
    let small = decode(&with(V113, at::BLOCK_SIZE, &[1, 0]));
    let stranger = check_member(&decode(V113), &small, false).unwrap_err();
    assert_eq!(stranger.error(), Error::DeviceOtherBlockSize);
}

#[test]
fn the_device_must_be_large_enough() {
    let sb = decode(V113);
    let sectors = sb.member(1).unwrap().sectors();
    assert_eq!(check_device(&sb, 1, sectors, 512), Ok(()));
    let finding = check_device(&sb, 1, sectors - 1, 512).unwrap_err();
    assert_eq!(finding.error, Error::DeviceTooSmall);
    let said = format!("{finding}");
    assert!(said.contains("device 1") && said.contains("must be at most"));
    let finding = check_device(&sb, 1, sectors, 8192).unwrap_err();
    assert_eq!(finding.error, Error::DeviceBlockSize);
}

#[test]
fn missing_devices_are_refused_unless_asked_for() {
    let sb = decode(V113);
    assert_eq!(check_enough(&sb, &online(&[0, 1, 2]), Degraded::No), Ok(()));
    let some = online(&[0, 1]);
    let why = check_enough(&sb, &some, Degraded::No).unwrap_err();
    assert_eq!(why, NotEnough::Missing { dev: 2 });
    assert!(format!("{why}").contains("-o degraded"));
    assert_eq!(missing(&sb, &some).next().unwrap().0, 2);
    assert_eq!(missing(&sb, &online(&[0, 1, 2])).count(), 0);
}

/// Members 0 to 5; what is to be decided about the entry, for each value of `degraded`.
struct Case {
    entry: (DataType, u8, &'static [u8]),
    online: &'static [u8],
    given_up: &'static [u8],
    /// Works with: nothing, `degraded`, `very_degraded`.
    works: [bool; 3],
}

const fn case(
    entry: (DataType, u8, &'static [u8]),
    online: &'static [u8],
    given_up: &'static [u8],
    works: [bool; 3],
) -> Case {
    Case {
        entry,
        online,
        given_up,
        works,
    }
}

const ALL: [bool; 3] = [true, true, true];
const DEGRADED: [bool; 3] = [false, true, true];
const LOST: [bool; 3] = [false, false, true];

const CASES: &[Case] = &[
    // One copy, two copies.
    case((DataType::USER, 1, &[0]), &[0, 1], &[], ALL),
    case((DataType::USER, 1, &[2]), &[0, 1], &[], LOST),
    case((DataType::BTREE, 1, &[0, 2]), &[0, 1], &[], DEGRADED),
    case((DataType::BTREE, 1, &[2, 3]), &[0, 1], &[], LOST),
    case((DataType::JOURNAL, 1, &[0, 1]), &[0, 1], &[], ALL),
    // What is cached does not matter.
    case((DataType::CACHED, 1, &[2]), &[0, 1], &[], ALL),
    // Stripes of three blocks with one of parity, and of five with two.
    case((DataType::USER, 2, &[0, 1, 2]), &[0, 1, 2], &[], ALL),
    case((DataType::USER, 2, &[0, 1, 2]), &[0, 2], &[], DEGRADED),
    case((DataType::PARITY, 2, &[0, 1, 2]), &[0], &[], LOST),
    case(
        (DataType::USER, 3, &[0, 1, 2, 3, 4]),
        &[0, 2, 4],
        &[],
        DEGRADED,
    ),
    case((DataType::USER, 3, &[0, 1, 2, 3, 4]), &[2, 4], &[], LOST),
    // Devices that were removed.
    case((DataType::USER, 1, &[0, NO_DEVICE]), &[0], &[], ALL),
    case((DataType::USER, 1, &[1, NO_DEVICE]), &[0], &[], LOST),
    case((DataType::USER, 1, &[NO_DEVICE]), &[0], &[], ALL),
    case((DataType::USER, 2, &[0, 1, NO_DEVICE]), &[0, 1], &[], ALL),
    case((DataType::USER, 2, &[0, 1, NO_DEVICE]), &[0], &[], LOST),
    // Devices that were given up.
    case((DataType::USER, 1, &[0, 5]), &[0], &[5], ALL),
    case((DataType::USER, 1, &[5]), &[0], &[5], ALL),
    case((DataType::USER, 1, &[1, 5]), &[0], &[5], LOST),
    case((DataType::USER, 2, &[0, 5, 4]), &[0, 4], &[5], ALL),
];

#[test]
fn copies_that_are_there_and_that_are_not() {
    for c in CASES {
        let (data_type, nr_required, devs) = c.entry;
        let entry = ReplicasEntry {
            data_type,
            nr_required,
            devs,
        };
        let check = |how| check_entry(entry, &online(c.online), &online(c.given_up), how);
        let works = [Degraded::No, Degraded::Yes, Degraded::Very].map(|how| check(how).is_ok());
        assert_eq!(works, c.works, "{entry} with {:?}", c.online);
        if let Err(why) = check(Degraded::No) {
            let said = format!("{why}");
            let option = match c.works[1] {
                true => "-o degraded",
                false => "-o very_degraded",
            };
            assert!(said.contains(option), "{said}");
        }
    }
}

/// A superblock whose member 2 has this state.
fn with_state(sb: &[u8], state: u8) -> Vec<u8> {
    let stride = 144;
    let flags = body_at(sb, SectionType::MEMBERS_V2) + 8 + 2 * stride + 40;
    let mut sb = sb.to_vec();
    let low = sb[flags] & 0xf0 | state;
    put(&mut sb, flags, &[low]);
    seal(&mut sb);
    sb
}

#[test]
fn a_device_that_was_given_up_is_not_missed() {
    let without = online(&[0, 1]);
    let evacuating = MemberState::EVACUATING.0;
    let sb = decode(&with_state(V113, evacuating));
    assert_eq!(sb.member(2).unwrap().state(), MemberState::EVACUATING);
    assert_eq!(missing(&sb, &without).count(), 0);
    assert!(given_up(&sb, &without).has(2));
    // It is there, so it is not given up.
    assert!(!given_up(&sb, &online(&[0, 1, 2])).has(2));
    assert_eq!(check_enough(&sb, &without, Degraded::No), Ok(()));
    for state in [MemberState::RW, MemberState::RO] {
        let sb = decode(&with_state(V113, state.0));
        assert_eq!(missing(&sb, &without).count(), 1);
        assert!(!given_up(&sb, &without).has(2));
    }
}

#[test]
fn lost_data_needs_very_degraded() {
    let sb = decode(V113);
    // Everything is on one device only: find the ones that matter.
    for gone in 0..3 {
        let devs: Vec<u8> = (0..3).filter(|d| *d != gone).collect();
        let mask = online(&devs);
        let matters = sb
            .replicas()
            .any(|e| e.devs.iter().all(|d| *d == gone) && !e.devs.is_empty());
        let yes = check_enough(&sb, &mask, Degraded::Yes);
        assert_eq!(yes.is_err(), matters);
        if let Err(why) = yes {
            let said = format!("{why}");
            assert!(said.contains("very_degraded"), "{said}");
        }
        assert_eq!(check_enough(&sb, &mask, Degraded::Very), Ok(()));
    }
    assert!(check_enough(&sb, &online(&[]), Degraded::Yes).is_err());
}
