// SPDX-License-Identifier: GPL-2.0

//! Values of options as text.

use super::{
    store::sb_value,
    table::{
        Kind,
        OptionInfo,
        COMPRESSIONS,
        FIX_ERRORS,
        HUMAN, //
    },
};
use crate::{
    env::num::{
        u64_of,
        usize_of, //
    },
    format::sb::{
        groups::Target,
        passes::passes,
        text::{
            write_names,
            Human, //
        },
        Superblock,
    },
};
use core::fmt;

/// Writes a value. With the superblock, targets are shown by name.
///
/// C: `bch2_opt_to_text()`.
pub fn write_value(
    sb: Option<&Superblock>,
    option: &OptionInfo,
    v: u64,
    f: &mut dyn fmt::Write,
) -> fmt::Result {
    match option.kind {
        Kind::Bool | Kind::Uint(..) => match option.is(HUMAN) {
            true => write!(f, "{}", Human(v)),
            false => write!(f, "{v}"),
        },
        Kind::Choice(names) => name_at(names, v, f),
        Kind::FixErrors => name_at(FIX_ERRORS, v, f),
        Kind::Pass => match passes().nth(usize_of(v)) {
            Some(pass) => f.write_str(pass.name),
            None => write!(f, "(invalid option {v})"),
        },
        Kind::Passes => {
            let mut comma = "";
            for (bit, pass) in (0..64u8).zip(passes()) {
                if v & (1 << bit) != 0 {
                    write!(f, "{comma}{}", pass.name)?;
                    comma = ",";
                }
            }
            Ok(())
        }
        Kind::Bits(names, _) => write_names(f, names, v),
        Kind::Compression => {
            name_at(COMPRESSIONS, v & 15, f)?;
            match v >> 4 {
                0 => Ok(()),
                level => write!(f, ":{level}"),
            }
        }
        Kind::Target => write_target(sb, v, f),
        Kind::Label => match v.checked_sub(1) {
            None => f.write_str("none"),
            Some(group) => write_label(sb, group, f),
        },
        Kind::Text(_) => Ok(()),
    }
}

fn name_at(names: &[&str], v: u64, f: &mut dyn fmt::Write) -> fmt::Result {
    match names.get(usize_of(v)) {
        Some(name) => f.write_str(name),
        None => write!(f, "(invalid option {v})"),
    }
}

/// C: `bch2_target_to_text_sb()`.
fn write_target(sb: Option<&Superblock>, v: u64, f: &mut dyn fmt::Write) -> fmt::Result {
    match Target::decode(v) {
        Target::None => f.write_str("none"),
        Target::Device(dev) => match sb.and_then(|sb| sb.member(dev)) {
            Some(m) => write!(f, "Device {} ({dev})", m.uuid()),
            None => write!(f, "device {dev}"),
        },
        Target::Group(group) => write_label(sb, group, f),
    }
}

fn write_label(sb: Option<&Superblock>, group: u64, f: &mut dyn fmt::Write) -> fmt::Result {
    match (sb, u8::try_from(group)) {
        (Some(sb), Ok(group)) => write!(f, "{}", sb.groups().path(group)),
        _ => write!(f, "label {group}"),
    }
}

/// Writes what the superblock has; a choice in brackets among the others.
pub fn write_sb_value(sb: &Superblock, option: &OptionInfo, f: &mut dyn fmt::Write) -> fmt::Result {
    let v = sb_value(sb, option).unwrap_or(0);
    match option.kind {
        Kind::Choice(names) if v < u64_of(names.len()) => {
            for (i, name) in (0u64..).zip(names) {
                let space = if i == 0 { "" } else { " " };
                match i == v {
                    true => write!(f, "{space}[{name}]")?,
                    false => write!(f, "{space}{name}")?,
                }
            }
            Ok(())
        }
        _ => write_value(Some(sb), option, v, f),
    }
}
