// SPDX-License-Identifier: GPL-2.0

//! Section `disk_groups`: the tree of device labels.

use super::{
    finding::{
        Finding,
        Place, //
    },
    flags::BitField,
    section::SectionType,
    superblock::{
        no_memory,
        Superblock, //
    },
    text::Padded,
};
use crate::{
    env::{
        num::{
            u64_of,
            usize_of, //
        },
        sort::sort_by,
        Vec, //
    },
    error::Error, //
};
use core::fmt;
use zerocopy::{
    little_endian::U64,
    FromBytes as _, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// Bytes of a group.
const GROUP_BYTES: usize = 48;
/// The longest path that is followed; the tree may have loops.
const DEPTH_MAX: usize = 32;

const DELETED: BitField = BitField::new(0, 0, 1);
const PARENT: BitField = BitField::new(0, 6, 24);

/// A label.
///
/// C: `struct bch_disk_group`.
#[derive(
    Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned, PartialEq, Eq,
)]
#[repr(C)]
pub struct RawGroup {
    label: [u8; 32],
    flags: [U64; 2],
}

const _: () = assert!(size_of::<RawGroup>() == GROUP_BYTES);

impl RawGroup {
    /// The last part of the label's path.
    pub const fn label(&self) -> Padded<'_> {
        Padded(&self.label)
    }

    /// Whether the slot is not in use.
    pub fn is_deleted(&self) -> bool {
        DELETED.get(&self.flags) != 0
    }

    /// The group above, if there is one.
    pub fn parent(&self) -> Option<u64> {
        PARENT.get(&self.flags).checked_sub(1)
    }

    /// What identifies a label: two that compare equal here are the same.
    fn identity(&self) -> (u64, &[u8]) {
        (
            PARENT.get(&self.flags),
            self.label.split(|b| *b == 0).next().unwrap_or(&[]),
        )
    }
}

/// The labels of a superblock.
#[derive(Clone, Copy, Debug)]
pub struct Groups<'a> {
    body: &'a [u8],
}

impl<'a> Groups<'a> {
    pub(super) const fn new(body: &'a [u8]) -> Self {
        Self { body }
    }

    /// The labels in order; deleted ones as well.
    pub fn iter(self) -> impl Iterator<Item = RawGroup> + 'a {
        self.body
            .chunks_exact(GROUP_BYTES)
            .filter_map(|c| RawGroup::read_from_bytes(c).ok())
    }

    /// The label in slot `nr`.
    pub fn get(self, nr: u64) -> Option<RawGroup> {
        self.iter().nth(usize_of(nr))
    }

    /// Whether the label `nr` is `above`, or below it.
    pub fn is_within(self, nr: u64, above: u64) -> bool {
        let mut at = Some(nr);
        for _ in 0..DEPTH_MAX {
            match at {
                Some(nr) if nr == above => return true,
                Some(nr) => at = self.get(nr).and_then(|g| g.parent()),
                None => break,
            }
        }
        false
    }

    /// How many slots there are.
    pub fn count(self) -> u64 {
        u64_of(self.iter().count())
    }

    /// The label with this full name.
    ///
    /// C: `bch2_disk_path_find()`.
    pub fn find(self, path: &str) -> Option<u64> {
        let mut above = None;
        for part in path.as_bytes().split(|b| *b == b'.') {
            let is_it =
                |g: &RawGroup| !g.is_deleted() && g.parent() == above && g.label().bytes() == part;
            above = (0..)
                .zip(self.iter())
                .find(|(_, g)| is_it(g))
                .map(|(nr, _)| nr);
            above?;
        }
        above
    }

    /// The label in slot `nr` with all those above it, for printing.
    pub fn path(self, nr: u8) -> GroupPath<'a> {
        GroupPath {
            groups: self,
            nr: nr.into(),
        }
    }
}

/// A label's full name: "ssd.fast".
#[derive(Clone, Copy, Debug)]
pub struct GroupPath<'a> {
    groups: Groups<'a>,
    nr: u64,
}

impl GroupPath<'_> {
    /// Group numbers from `nr` up to the root, and how many; `None` when the path is not valid.
    fn steps(&self) -> Option<([u64; DEPTH_MAX], usize)> {
        let mut path = [0; DEPTH_MAX];
        let mut next = Some(self.nr);
        let mut len = 0usize;
        while let Some(nr) = next {
            let group = self.groups.get(nr).filter(|g| !g.is_deleted())?;
            *path.get_mut(len)? = nr;
            len = len.checked_add(1)?;
            next = group.parent();
        }
        Some((path, len))
    }
}

impl fmt::Display for GroupPath<'_> {
    /// C: `bch2_disk_path_to_text_sb()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((path, len)) = self.steps() else {
            return write!(f, "invalid label {}", self.nr);
        };
        for (i, nr) in path.iter().take(len).rev().enumerate() {
            let dot = if i == 0 { "" } else { "." };
            if let Some(group) = self.groups.get(*nr) {
                write!(f, "{dot}{}", group.label())?;
            }
        }
        Ok(())
    }
}

/// C: `bch2_sb_disk_groups_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    let place = Place::Section(SectionType::DISK_GROUPS);
    let bad = |what| Finding::new(Error::SbDiskGroups, place, what);
    let groups = Groups::new(body);
    let nr = groups.count();

    for (i, m) in (0u64..).zip(sb.members()) {
        let Some(g) = m.group().filter(|_| m.is_alive()) else {
            continue;
        };
        match groups.get(g.into()) {
            Some(group) if !group.is_deleted() => (),
            Some(_) => {
                return Err(bad("label of the device is deleted")
                    .item("device", i)
                    .found(g))
            }
            None => {
                return Err(bad("label of the device does not exist")
                    .item("device", i)
                    .found(g)
                    .max(nr.saturating_sub(1)))
            }
        }
    }

    let mut sorted = Vec::with_capacity(usize_of(nr)).map_err(no_memory)?;
    for (i, g) in (0u64..).zip(groups.iter()).filter(|(_, g)| !g.is_deleted()) {
        if g.label().is_empty() {
            return Err(bad("empty label").item("label", i));
        }
        if let Some(parent) = g.parent().filter(|p| *p >= nr) {
            return Err(bad("parent of the label does not exist")
                .item("label", i)
                .found(parent)
                .max(nr.saturating_sub(1)));
        }
        sorted.push((g, i)).map_err(no_memory)?;
    }
    sort_by(&mut sorted, |a, b| {
        a.0.identity().cmp(&b.0.identity()).then(a.1.cmp(&b.1))
    });
    for pair in sorted.windows(2) {
        if let [(a, _), (b, i)] = pair {
            if a.identity() == b.identity() {
                return Err(bad("the same label twice under one parent").item("label", *i));
            }
        }
    }
    Ok(())
}

/// C: `bch2_sb_disk_groups_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    for (i, g) in Groups::new(body).iter().enumerate() {
        let space = if i == 0 { "" } else { " " };
        match g.is_deleted() {
            true => write!(f, "{space}[deleted]")?,
            false => {
                let parent = PARENT.get(&g.flags);
                write!(f, "{space}[parent {parent} name {}]", g.label())?;
            }
        }
    }
    f.write_str("\n")
}

/// A target of an option: a device, or the devices below a label.
///
/// C: `struct target`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// No preference.
    None,
    /// One device.
    Device(u8),
    /// A label.
    Group(u64),
}

impl Target {
    /// C: `dev_to_target()`, `group_to_target()`.
    pub fn encode(self) -> u64 {
        match self {
            Target::None => 0,
            Target::Device(dev) => u64::from(dev).saturating_add(1),
            Target::Group(group) => group.saturating_add(257),
        }
    }

    /// C: `target_decode()`.
    pub fn decode(v: u64) -> Self {
        match v.checked_sub(1) {
            None => Target::None,
            Some(dev) => match u8::try_from(dev) {
                Ok(dev) => Target::Device(dev),
                Err(_) => Target::Group(dev.saturating_sub(256)),
            },
        }
    }
}
