// SPDX-License-Identifier: GPL-2.0

//! The whole superblock as text, in the form `bcachefs show-super` has.

use super::{
    section::SectionType,
    superblock::Superblock,
    text::{
        DateTime,
        Human, //
    },
};
use crate::format::opts::{
    table::options,
    text::write_sb_value, //
};
use core::fmt;

/// What to write besides the fixed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing else.
    Summary,
    /// The layout and all sections.
    Full,
}

/// What all superblocks have, then the options, then what `detail` says.
///
/// C: `bch2_sb_to_text()`.
pub fn to_text(sb: &Superblock, detail: Detail, f: &mut dyn fmt::Write) -> fmt::Result {
    let mut row = |name: &str, v: &dyn fmt::Display| writeln!(f, "{name:<44}{v}");
    row("External UUID:", &sb.user_uuid())?;
    row("Internal UUID:", &sb.uuid())?;
    row("Magic number:", &sb.magic())?;
    row("Device index:", &sb.dev_idx())?;
    match sb.label().is_empty() {
        true => row("Label:", &"(none)")?,
        false => row("Label:", &sb.label())?,
    }
    row("Version:", &sb.version())?;
    row(
        "Incompatible features allowed:",
        &sb.version_incompat_allowed(),
    )?;
    row("Incompatible features in use:", &sb.version_incompat())?;
    row("Version upgrade complete:", &sb.version_upgrade_complete())?;
    row("Oldest version on disk:", &sb.version_min())?;
    match sb.time_base_lo() {
        0 => row("Created:", &"(not set)")?,
        ns => row(
            "Created:",
            &DateTime(ns.checked_div(1_000_000_000).unwrap_or(0)),
        )?,
    }
    row("Sequence number:", &sb.seq())?;
    row("Time of last write:", &DateTime(sb.write_time()))?;
    row(
        "Superblock size:",
        &format_args!(
            "{}/{}",
            Human(sb.total_bytes()),
            Human(sb.layout.max_bytes())
        ),
    )?;
    row("Clean:", &u8::from(sb.is_clean()))?;
    row("Devices:", &sb.nr_members())?;
    row("Sections:", &SectionNames(sb))?;
    row("Features:", &sb.features())?;
    row("Compat features:", &sb.compat())?;

    f.write_str("\nOptions:\n")?;
    for opt in options().filter(|o| o.is_in_superblock()) {
        let name = opt.name;
        write!(f, "  {name}:{:1$}", "", 41usize.saturating_sub(name.len()))?;
        write_sb_value(sb, opt, f)?;
        f.write_str("\n")?;
    }
    if detail == Detail::Full {
        write!(f, "\nlayout:\n{}", sb.layout)?;
        for section in sb.sections() {
            f.write_str("\n")?;
            section.to_text(sb, f)?;
        }
    }
    Ok(())
}

struct SectionNames<'a>(&'a Superblock);

impl fmt::Display for SectionNames<'_> {
    /// Each kind once, by number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        for nr in 0u32..32 {
            let kind = SectionType(nr);
            if self.0.section(kind).is_some() {
                write!(f, "{comma}{kind}")?;
                comma = ",";
            }
        }
        Ok(())
    }
}
