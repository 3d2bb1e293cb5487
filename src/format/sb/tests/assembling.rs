// SPDX-License-Identifier: GPL-2.0

//! Which devices are used together.

use super::{
    super::{
        assemble::*,
        section::SectionType, //
    },
    *,
};

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
