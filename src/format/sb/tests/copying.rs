// SPDX-License-Identifier: GPL-2.0

//! Which copy of a device is used.

use super::{
    super::copies::{
        choose,
        reason,
        ReadSectors,
        Refused,
        Rejected,
        Why, //
    },
    *,
};
use crate::error::Result;
use std::vec;

/// A device in memory with the copies of a superblock, and sectors that can not be read.
struct Disk {
    bytes: Vec<u8>,
    bad: Option<u64>,
}

const COPIES: [u64; 3] = [8, 2056, 260_096];

impl ReadSectors for Disk {
    fn nr_sectors(&self) -> u64 {
        self.bytes.len() as u64 / 512
    }

    fn read(&self, sector: u64, buf: &mut [u8]) -> Result<()> {
        let at = sector as usize * 512;
        if self.bad == Some(sector) {
            return Err(Error::Io);
        }
        assert_eq!(buf.len() % 512, 0);
        let from = self.bytes.get(at..at + buf.len());
        buf.copy_from_slice(from.ok_or(Error::DeviceReadPastEnd)?);
        Ok(())
    }
}

impl Disk {
    fn new() -> Self {
        let mut disk = Self {
            bytes: vec![0; 262_144 * 512],
            bad: None,
        };
        for sector in COPIES {
            disk.write(sector, V113);
        }
        disk.bytes[3584..4096].copy_from_slice(&V113[at::LAYOUT..at::LAYOUT + 512]);
        disk
    }

    /// Writes a copy that says where it is.
    fn write(&mut self, sector: u64, sb: &[u8]) {
        let sb = with(sb, at::OFFSET, &sector.to_le_bytes());
        put(&mut self.bytes, sector as usize * 512, &sb);
    }

    fn zero(&mut self, sector: u64) {
        let at = sector as usize * 512;
        self.bytes[at..at + 512].fill(0);
    }
}

fn refusal(disk: &Disk) -> Refused {
    choose(disk, None).expect_err("must be refused")
}

#[test]
fn the_primary_when_all_is_well() {
    let chosen = choose(&Disk::new(), None).unwrap();
    assert_eq!(chosen.sector, 8);
    assert!(chosen.rejected.is_empty());
}

#[test]
fn a_backup_when_the_primary_is_zeroed() {
    let mut disk = Disk::new();
    disk.zero(8);
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 2056);
    let said = format!("{}", chosen.rejected[0]);
    assert!(said.starts_with("primary superblock at sector 8: superblock: not a bcachefs"));
}

#[test]
fn a_backup_when_the_primary_has_a_bad_checksum() {
    let mut disk = Disk::new();
    disk.bytes[4096 + at::LABEL] ^= 1;
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 2056);
    assert_eq!(chosen.rejected[0].why.error(), Some(Error::SbChecksum));
}

#[test]
fn the_last_copy_when_the_others_can_not_be_read() {
    let mut disk = Disk::new();
    disk.zero(8);
    disk.bad = Some(2056);
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 260_096);
    assert_eq!(chosen.rejected[1].why, Why::Io(Error::Io));
}

#[test]
fn the_newest_when_a_crash_left_two_ages() {
    let seq = RawSb::read(V113).unwrap().seq() + 1;
    let newer = with(V113, at::SEQ, &seq.to_le_bytes());
    let mut disk = Disk::new();
    disk.write(2056, &newer);
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 2056);
    assert_eq!(chosen.rejected.len(), 2);
    let said = format!("{}", chosen.rejected[0]);
    assert!(said.contains("outdated: seq"), "{said}");
}

#[test]
fn never_an_older_one_when_the_newest_is_intact_but_wrong() {
    let seq = RawSb::read(V113).unwrap().seq() + 1;
    let mut newer = with(V113, at::SEQ, &seq.to_le_bytes());
    put(&mut newer, at::TIME_PRECISION, &[0; 4]);
    let mut disk = Disk::new();
    disk.write(8, &newer);
    assert_eq!(refusal(&disk).error, Error::SbTimePrecision);
    // Nor when it is from a newer implementation.
    put(&mut newer, at::VERSION, &Version::new(2, 1).0.to_le_bytes());
    disk.write(8, &newer);
    assert_eq!(refusal(&disk).error, Error::SbVersionTooNew);
}

#[test]
fn another_of_the_same_age_when_one_says_a_wrong_place() {
    let mut disk = Disk::new();
    put(&mut disk.bytes, 4096, V139);
    put(&mut disk.bytes, 4096, &with(V113, at::OFFSET, &[77]));
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 2056);
    assert_eq!(chosen.rejected[0].why.error(), Some(Error::SbOffset));
}

#[test]
fn all_bad_is_refused_with_every_reason() {
    let mut disk = Disk::new();
    for sector in COPIES {
        disk.bytes[sector as usize * 512 + at::LABEL] ^= 1;
    }
    let refused = refusal(&disk);
    assert_eq!(refused.error, Error::SbChecksum);
    assert_eq!(refused.rejected.len(), 3);
}

#[test]
fn a_device_without_a_filesystem() {
    let cases = [
        (0, Error::SbPastDevice),
        (8, Error::SbPastDevice),
        (9, Error::SbTruncated),
        (4096, Error::SbMagic),
    ];
    for (sectors, error) in cases {
        let disk = Disk {
            bytes: vec![0; sectors * 512],
            bad: None,
        };
        assert_eq!(refusal(&disk).error, error, "{sectors}");
    }
}

#[test]
fn the_copies_are_found_without_the_layout_sector() {
    let mut disk = Disk::new();
    disk.zero(7);
    disk.zero(8);
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 2056);
    // And by the layout in a damaged primary.
    let mut disk = Disk::new();
    disk.zero(7);
    disk.zero(2056);
    disk.bytes[4096 + at::LABEL] ^= 1;
    assert_eq!(choose(&disk, None).unwrap().sector, 260_096);
}

#[test]
fn a_layout_that_points_past_the_device() {
    let far = with(V113, at::LAYOUT + 40, &(1u64 << 40).to_le_bytes());
    let mut disk = Disk::new();
    disk.write(8, &far);
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 8);
    assert_eq!(chosen.rejected[0].why, Why::PastDevice(262_144));
}

#[test]
fn a_foreign_copy_is_not_used() {
    let mut disk = Disk::new();
    disk.write(2056, V139);
    let chosen = choose(&disk, None).unwrap();
    assert_eq!(chosen.sector, 8);
    assert_eq!(chosen.rejected[0].why, Why::Foreign);
}

#[test]
fn a_given_copy_and_no_other() {
    let mut disk = Disk::new();
    assert_eq!(choose(&disk, Some(260_096)).unwrap().sector, 260_096);
    disk.zero(260_096);
    let refused = choose(&disk, Some(260_096)).expect_err("must be refused");
    assert_eq!(refused.error, Error::SbMagic);
    assert_eq!(refused.rejected.len(), 1);
}

#[test]
fn a_reason_is_found_for_any_list() {
    let rejected = |why| Rejected { sector: 8, why };
    assert_eq!(reason(&[]), Error::SbNoCopies);
    assert_eq!(reason(&[rejected(Why::Foreign)]), Error::SbNoCopies);
    let all = [
        rejected(Why::Older { seq: 1, newest: 2 }),
        rejected(Why::PastDevice(7)),
        rejected(Why::Foreign),
    ];
    assert_eq!(reason(&all), Error::SbPastDevice);
}
