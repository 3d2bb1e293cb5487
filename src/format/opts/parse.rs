// SPDX-License-Identifier: GPL-2.0

//! Values of options from text.

use super::{
    error::BadValue,
    table::{
        Kind,
        OptionInfo,
        COMPRESSIONS,
        FIX_ERRORS,
        HUMAN,
        POW2,
        SECTORS, //
    },
};
use crate::{
    env::num::u64_of,
    format::sb::passes::passes, //
};

/// The value of `option` that `text` says; `None` is no text at all.
///
/// C: `bch2_opt_parse()`.
pub fn parse(option: &OptionInfo, text: Option<&str>) -> Result<u64, BadValue> {
    let value = match (option.kind, text) {
        (Kind::FixErrors, None) => 1,
        (Kind::Bool, None) => 1,
        (_, None) => return Err(BadValue::Missing),
        (Kind::Bool, Some(t)) => parse_bool(t)?,
        (Kind::Uint(..), Some(t)) => parse_uint(option, t)?,
        (Kind::Choice(names), Some(t)) => choice(names.iter().copied(), t)?,
        (Kind::FixErrors, Some(t)) => choice(FIX_ERRORS.iter().copied(), t)?,
        (Kind::Pass, Some(t)) => choice(passes().map(|p| p.name), t)?,
        (Kind::Passes, Some(t)) => bits(passes().map(|p| p.name), u64::MAX, t)?,
        (Kind::Bits(names, mask), Some(t)) => bits(names.iter().copied(), mask, t)?,
        (Kind::Compression, Some(t)) => compression(t)?,
        // Resolved once the filesystem is known.
        (Kind::Target | Kind::Label, Some(_)) => 0,
        (Kind::Text(max), Some(t)) if t.len() > max.into() => return Err(BadValue::TooLong),
        (Kind::Text(_), Some(_)) => 0,
    };
    validate(option, value)?;
    Ok(value)
}

/// Checks a value, whether from text or from the superblock.
///
/// C: `bch2_opt_validate()`.
pub fn validate(option: &OptionInfo, v: u64) -> Result<(), BadValue> {
    let (min, max) = match option.kind {
        Kind::Bool => (0, 1),
        Kind::Uint(min, max) => (min, max),
        Kind::Choice(names) => (0, u64_of(names.len()).saturating_sub(1)),
        Kind::FixErrors => (0, u64_of(FIX_ERRORS.len()).saturating_sub(1)),
        _ => (0, u64::MAX),
    };
    if v < min {
        return Err(BadValue::TooSmall);
    }
    if v > max {
        return Err(BadValue::TooBig);
    }
    if option.is(SECTORS) && v & 511 != 0 {
        return Err(BadValue::NotSectors);
    }
    if option.is(POW2) && !v.is_power_of_two() {
        return Err(BadValue::NotPow2);
    }
    if matches!(option.kind, Kind::Compression) {
        let (kind, level) = (v & 15, v >> 4);
        if kind >= u64_of(COMPRESSIONS.len()) {
            return Err(BadValue::NotChoice);
        }
        if level > 15 || (kind == 0 && level != 0) {
            return Err(BadValue::Level);
        }
    }
    Ok(())
}

/// C: `bch2_bool_names`.
fn parse_bool(text: &str) -> Result<u64, BadValue> {
    match text {
        "0" | "false" | "no" => Ok(0),
        "1" | "true" | "yes" => Ok(1),
        _ => Err(BadValue::NotChoice),
    }
}

fn parse_uint(option: &OptionInfo, text: &str) -> Result<u64, BadValue> {
    match option.is(HUMAN) {
        true => size(text),
        // As kstrtou64(): a sign in front and a newline at the end are no mistakes.
        false => {
            let digits = text.strip_prefix('+').unwrap_or(text);
            let digits = digits.strip_suffix('\n').unwrap_or(digits);
            match number(digits)? {
                (v, "") => Ok(v),
                _ => Err(BadValue::NotNumber),
            }
        }
    }
}

/// A decimal number and what follows it.
fn number(text: &str) -> Result<(u64, &str), BadValue> {
    let mut rest = text;
    let mut v = 0u64;
    let mut any = false;
    while let Some((digit, after)) = split_digit(rest) {
        v = v
            .checked_mul(10)
            .and_then(|v| v.checked_add(digit))
            .ok_or(BadValue::TooBig)?;
        rest = after;
        any = true;
    }
    match any {
        true => Ok((v, rest)),
        false => Err(BadValue::NotNumber),
    }
}

fn split_digit(text: &str) -> Option<(u64, &str)> {
    let mut chars = text.chars();
    let digit = chars.next()?.to_digit(10)?;
    Some((digit.into(), chars.as_str()))
}

/// Units of sizes: the suffix, its base and power. Longer suffixes come before those they start
/// with, except that a single letter always is a power of 1024, as in C: "1MiB" is not a size.
const UNITS: &[(&str, u64, u32)] = &[
    ("k", 1024, 1),
    ("M", 1024, 2),
    ("G", 1024, 3),
    ("T", 1024, 4),
    ("P", 1024, 5),
    ("E", 1024, 6),
    ("B", 1024, 0),
    ("KiB", 1024, 1),
];

/// A size with a unit: "4k", "1.5M", "512".
///
/// C: `bch2_strtou64_h()`.
fn size(text: &str) -> Result<u64, BadValue> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, mut rest) = number(text)?;
    let (mut part, mut scale) = (0, 1u64);
    if let Some(after) = rest.strip_prefix('.') {
        let (v, end) = number(after)?;
        let digits = after.len().saturating_sub(end.len());
        let digits = u32::try_from(digits).map_err(|_| BadValue::TooBig)?;
        scale = 10u64.checked_pow(digits).ok_or(BadValue::TooBig)?;
        (part, rest) = (v, end);
    }
    let rest = rest.strip_suffix('\n').unwrap_or(rest);
    let unit_text = rest.strip_prefix(' ').unwrap_or(rest);
    let unit = match unit_text {
        "" => 1,
        _ => {
            let unit = UNITS.iter().find(|(name, ..)| *name == unit_text);
            let (_, base, power) = unit.ok_or(BadValue::NotNumber)?;
            base.checked_pow(*power).ok_or(BadValue::TooBig)?
        }
    };
    let part = part.checked_mul(unit).ok_or(BadValue::TooBig)?;
    let part = part.checked_div(scale).unwrap_or(0);
    whole
        .checked_mul(unit)
        .and_then(|v| v.checked_add(part))
        .ok_or(BadValue::TooBig)
}

fn choice<'a>(mut names: impl Iterator<Item = &'a str>, text: &str) -> Result<u64, BadValue> {
    match names.position(|name| name == text) {
        Some(at) => Ok(u64_of(at)),
        None => Err(BadValue::NotChoice),
    }
}

/// A set of names, or with "-" in front, all but those.
///
/// C: `bch2_read_flag_list_mask()`.
fn bits<'a>(
    names: impl Iterator<Item = &'a str> + Clone,
    mask: u64,
    text: &str,
) -> Result<u64, BadValue> {
    let text = text.trim();
    let (invert, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut set = 0u64;
    for name in text.split([',', ';']) {
        let bit = choice(names.clone(), name)?;
        let bit = u32::try_from(bit).ok().and_then(|b| 1u64.checked_shl(b));
        set |= bit.filter(|b| b & mask != 0).ok_or(BadValue::NotChoice)?;
    }
    match invert {
        false => Ok(set),
        true => {
            let all = names.fold(0u64, |all, _| (all << 1) | 1);
            Ok(!set & all & mask)
        }
    }
}

/// "zstd", "zstd:15".
///
/// C: `bch2_opt_compression_parse()`.
fn compression(text: &str) -> Result<u64, BadValue> {
    let (name, level) = match text.split_once(':') {
        Some((name, level)) => (name, Some(level)),
        None => (text, None),
    };
    let kind = choice(COMPRESSIONS.iter().copied(), name)?;
    let level = match level {
        None => 0,
        Some(text) => match number(text) {
            Ok((v, "")) if v <= 15 && (v == 0 || kind != 0) => v,
            _ => return Err(BadValue::Level),
        },
    };
    Ok(kind | (level << 4))
}
