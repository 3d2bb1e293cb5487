// SPDX-License-Identifier: GPL-2.0

//! Superblocks, options, and what a mount is refused with.

use crate::{
    bytes_of,
    contents,
    disk_of,
    engine::new::made,
    image,
    start,
    with_superblock, //
};
use sim::{
    check::Plan,
    env::Vec as EnvVec,
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts,
        sb::section::SectionType, //
    },
    init::{
        Access,
        Filesystem, //
    },
    journal::live::Watermark,
    sys::block::{
        BlockDevice,
        Disk, //
    },
};

/// Mounts for reading what can only be read.
fn read_only(disks: Vec<Disk>, options: &str) -> Result<()> {
    let (mut devs, mut opts) = (EnvVec::new(), Opts::default());
    for disk in disks {
        devs.push(BlockDevice::read_only("read-only", disk))?;
    }
    opts.parse_list(options)?;
    Filesystem::start(devs, &opts).map(|_| ())
}

#[test]
fn devices_that_are_not_open_for_writing() {
    let e = read_only(made("16m", None), "").err();
    assert_eq!(e, Some(Error::NewNeedsWriting));
    let e = read_only(image("engine-small").unwrap(), "fsck").err();
    assert_eq!(e, Some(Error::CheckNeedsWriting));
}

#[test]
fn no_room_for_a_journal() {
    // Only the last buckets may be used, and in these there is a superblock.
    let mut sb = crate::engine::new::superblock("small", 0, None);
    let members = sb.section_mut(SectionType::MEMBERS_V2).unwrap();
    let nr = u64::from_le_bytes(members[24..32].try_into().unwrap());
    let first = u16::try_from(nr - 64).unwrap();
    members[32..34].copy_from_slice(&first.to_le_bytes());
    let disk = crate::engine::new::disk(sb, 16 << 11);
    let e = start(Access::Write, vec![disk], "").err();
    assert_eq!(e, Some(Error::NewJournalNoRoom));
}

#[test]
fn passes_that_are_not_there() {
    let mount = |options: &str| start(Access::Write, image("engine-small").unwrap(), options).err();
    let e = mount("recovery_pass_last=check_topology");
    assert_eq!(e, Some(Error::RecoveryPassLast));
    let e = mount("recovery_passes=fs_upgrade_for_subvolumes");
    assert_eq!(e, Some(Error::PassUnsupported));
    assert_eq!(mount("recovery_passes=check_inodes"), None);
}

#[test]
fn superblocks_that_are_not_written() {
    let (fs, media) = start(Access::Write, image("engine-small").unwrap(), "").unwrap();
    let st = fs.view.sb();
    let e = st.change_super(|sb| {
        sb.replace_section(SectionType::EXT, &[0; 8])?;
        Ok(true)
    });
    assert_eq!(e, Err(Error::SbWriteInvalid));
    drop((fs, media));

    let (fs, media) = start(Access::Write, image("engine-small").unwrap(), "").unwrap();
    let bit = Plan::bit(sim::check::pass::CHECK_ALLOCATIONS);
    let st = fs.view.sb();
    let asked = st.change_super(|sb| {
        sb.change_recovery(|required, _| *required |= bit)?;
        Ok(true)
    });
    assert_eq!(asked, Ok(()));
    fs.go_read_only().unwrap();
    let e = st.change_super(|_| Ok(true));
    assert_eq!(e, Err(Error::SbNotLive));
    let disks = contents(&media);
    drop(fs);
    // What is asked for is done by a mount, and not by a remount.
    let (fs, _) = start(Access::Read, disks, "").unwrap();
    assert_eq!(fs.go_read_write(), Err(Error::RemountNeedsCheck));
}

#[test]
fn what_is_only_read() {
    let disks = || image("engine-small").unwrap();
    let (fs, _) = start(Access::Read, disks(), "nochanges").unwrap();
    assert_eq!(fs.changes().err(), Some(Error::ReadOnly));
    assert_eq!(fs.go_read_write(), Err(Error::RemountForced));
    let bytes = with_superblock(&bytes_of(&disks()[0]), |sb| {
        sb.remove_section(SectionType::CLEAN).unwrap();
    });
    let e = start(Access::Read, vec![disk_of(bytes)], "").err();
    assert_eq!(e, Some(Error::CleanSectionMissing));
}

#[test]
fn a_journal_with_a_hole() {
    let Some(disks) = image("v113-dmg-journal-middle") else {
        return;
    };
    let (fs, _) = start(Access::Read, disks, "errors=continue").unwrap();
    assert_eq!(fs.go_read_write(), Err(Error::RemountUnsupported));
}

#[test]
fn a_first_subvolume_without_its_directory() {
    let Some(disk) = crate::disk::Disk::open("v113-dmgbase") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let at = Bpos::new(0, 1, 0);
    let found = disk.fs.view.btrees.lookup(BtreeId::SUBVOLUMES, at).unwrap();
    let found = found.expect("the first subvolume");
    let bytes = disk.change_value(BtreeId::SUBVOLUMES, &found.key(), |v| {
        v[8..16].copy_from_slice(&99_999u64.to_le_bytes());
    });
    assert_eq!(disk.start(bytes).err(), Some(Error::RootInodeMissing));
}

/// As when the journal entries that had its key are lost.
#[test]
fn no_first_subvolume() {
    let Some(disks) = image("engine-small") else {
        return;
    };
    let (fs, media) = start(Access::Write, disks, "").unwrap();
    let deleted = fs
        .read_write()
        .unwrap()
        .engine()
        .run(Watermark::Normal, |t| {
            t.delete(BtreeId::SUBVOLUMES, Bpos::new(0, 1, 0))?;
            t.commit()
        });
    deleted.unwrap();
    fs.go_read_only().unwrap();
    let e = start(Access::Read, contents(&media), "").err();
    assert_eq!(e, Some(Error::RootInodeMissing));
}
