// SPDX-License-Identifier: GPL-2.0

//! Section `replicas`, and the entries of either section.

use super::{
    finding::{
        Finding,
        Place, //
    },
    section::SectionType,
    superblock::{
        no_memory,
        Superblock, //
    },
};
use crate::{
    env::{
        sort::sort_by,
        Vec, //
    },
    error::Error,
    format::data_type::DataType, //
};
use core::fmt;

/// Stands for a device that is gone for good. C: `BCH_SB_MEMBER_INVALID`.
pub const NO_DEVICE: u8 = 255;

/// Something is stored on this set of devices.
///
/// C: `struct bch_replicas_entry_v1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicasEntry<'a> {
    /// What is stored.
    pub data_type: DataType,
    /// How many of the devices are needed to read it: 1, or the data blocks of a stripe.
    pub nr_required: u8,
    /// The devices; [`NO_DEVICE`] stands for one that is gone for good.
    pub devs: &'a [u8],
}

impl fmt::Display for ReplicasEntry<'_> {
    /// C: `bch2_replicas_entry_to_text()`: "btree: 1/2 [0 1]".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (required, nr) = (self.nr_required, self.devs.len());
        write!(f, "{}: {required}/{nr} [", self.data_type)?;
        for (i, dev) in self.devs.iter().enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{dev}")?;
        }
        f.write_str("]")
    }
}

/// The entries, in the order stored; ends at the first that is not complete.
#[derive(Clone, Copy, Debug)]
pub struct Replicas<'a> {
    rest: &'a [u8],
    is_v0: bool,
}

impl<'a> Replicas<'a> {
    /// From section `replicas_v0`, where one device is always enough.
    pub(super) const fn v0(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            is_v0: true,
        }
    }

    /// From section `replicas`.
    pub(super) const fn v1(body: &'a [u8]) -> Self {
        Self {
            rest: body,
            is_v0: false,
        }
    }

    /// Bit n: data of type n is on device `dev`. C: `bch2_sb_dev_has_data()`.
    pub fn data_on(self, dev: u8) -> u64 {
        self.filter(|e| e.devs.contains(&dev))
            .filter_map(|e| 1u64.checked_shl(e.data_type.0.into()))
            .fold(0, |all, bit| all | bit)
    }

    fn split(&mut self) -> Result<Option<ReplicasEntry<'a>>, Finding> {
        let rest = core::mem::take(&mut self.rest);
        // What is left of the last word is zero, and no entry has data type 0.
        let (data_type, nr_devs) = match rest {
            [0, ..] | [] => return Ok(None),
            [t, nr, ..] => (DataType(*t), usize::from(*nr)),
            [_] => return Err(self.cut_short()),
        };
        let mut body = rest.get(2..).unwrap_or(&[]);
        let mut nr_required = 1;
        if !self.is_v0 {
            let (first, after) = body.split_first().ok_or_else(|| self.cut_short())?;
            (nr_required, body) = (*first, after);
        }
        let (devs, after) = body
            .split_at_checked(nr_devs)
            .ok_or_else(|| self.cut_short())?;
        self.rest = after;
        Ok(Some(ReplicasEntry {
            data_type,
            nr_required,
            devs,
        }))
    }

    fn place(&self) -> Place {
        Place::Section(match self.is_v0 {
            true => SectionType::REPLICAS_V0,
            false => SectionType::REPLICAS,
        })
    }

    fn cut_short(&self) -> Finding {
        Finding::new(
            Error::SbReplicasSize,
            self.place(),
            "entry extends past the end of the section",
        )
    }

    pub(super) fn validate(mut self, sb: &Superblock) -> Result<(), Finding> {
        let place = self.place();
        let bad = |what, i| Finding::new(Error::SbReplicas, place, what).item("entry", i);
        let mut sorted = Vec::new();
        let mut i = 0u64;
        while let Some(e) = self.split()? {
            if e.devs.is_empty() {
                return Err(bad("no devices", i));
            }
            if e.nr_required > 1 && usize::from(e.nr_required) >= e.devs.len() {
                return Err(bad("nr_required", i)
                    .found(e.nr_required)
                    .max(e.devs.len().saturating_sub(1)));
            }
            let missing = |d: &&u8| **d != NO_DEVICE && sb.member(**d).is_none();
            if let Some(dev) = e.devs.iter().find(missing) {
                return Err(bad("device that is not a member", i).found(*dev));
            }
            sorted.push((e, i)).map_err(no_memory)?;
            i = i.wrapping_add(1);
        }
        sort_by(&mut sorted, |a, b| a.cmp(b));
        for pair in sorted.windows(2) {
            if let [(a, _), (b, i)] = pair {
                if a == b {
                    return Err(bad("the same entry twice", *i));
                }
            }
        }
        Ok(())
    }

    pub(super) fn to_text(self, f: &mut dyn fmt::Write) -> fmt::Result {
        for (i, e) in self.enumerate() {
            let space = if i == 0 { "" } else { " " };
            write!(f, "{space}{e}")?;
        }
        f.write_str("\n")
    }
}

impl<'a> Iterator for Replicas<'a> {
    type Item = ReplicasEntry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.split().ok().flatten()
    }
}

/// C: `bch2_sb_replicas_validate()`.
pub(super) fn validate(sb: &Superblock, body: &[u8]) -> Result<(), Finding> {
    Replicas::v1(body).validate(sb)
}

/// C: `bch2_sb_replicas_to_text()`.
pub(super) fn to_text(_: &Superblock, body: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    Replicas::v1(body).to_text(f)
}
