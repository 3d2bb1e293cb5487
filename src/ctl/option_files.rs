// SPDX-License-Identifier: GPL-2.0

//! Values of options.

use crate::{
    env::num::u64_of,
    error::Result,
    format::opts::{
        write_value,
        BadValue,
        Kind,
        OptId,
        OptionInfo, //
    },
    init::Filesystem,
    sb::{
        Device,
        SbState, //
    },
};
use core::fmt::{
    self,
    Write, //
};

/// The value in effect.
///
/// C: `sysfs_opt_show()`.
pub(super) fn show(st: &SbState, option: &OptionInfo, to: &mut dyn Write) -> fmt::Result {
    show_value(st, option, st.opts.get(option.id), to)
}

/// Changes an option of the filesystem, as `text` says.
///
/// C: `sysfs_opt_store()`.
pub(super) fn store(fs: &Filesystem, option: &OptionInfo, text: &str) -> Result {
    let changes = fs.changes()?;
    let st = fs.view.sb();
    let value = st.parse_option(option, text.trim());
    let value = value.map_err(BadValue::error)?;
    st.set_option(option, value)?;
    let compresses = st.opts.is_on(OptId::BackgroundCompression);
    let moves_data = match option.id {
        OptId::BackgroundTarget | OptId::BackgroundCompression => true,
        OptId::Compression => !compresses,
        _ => false,
    };
    match moves_data && value != 0 {
        true => changes.want_scan_of_all(),
        false => Ok(()),
    }
}

/// The value for one device.
pub(super) fn show_device(
    st: &SbState,
    dev: &Device,
    option: &OptionInfo,
    to: &mut dyn Write,
) -> fmt::Result {
    let m = &*dev.member;
    let v = match option.id {
        OptId::State => dev.state().0.into(),
        OptId::Label => match m.group() {
            Some(group) => u64::from(group).saturating_add(1),
            // The tools for 1.13 would take "none" for a label.
            None => return Ok(()),
        },
        OptId::FailureDomain => return writeln!(to, "{}", m.failure_domain()),
        OptId::BucketSize => u64::from(m.bucket_sectors()).saturating_mul(512),
        OptId::Durability => dev.durability().into(),
        OptId::DataAllowed => m.data_allowed(),
        OptId::Discard => dev.discard().into(),
        OptId::Rotational => {
            let now = st.with_super(|sb| sb.member(dev.idx.0));
            now.map_or(0, |m| m.rotational().into())
        }
        _ => return Err(fmt::Error),
    };
    show_value(st, option, v, to)
}

/// Changes an option of a device, as `text` says.
///
/// C: `sysfs_opt_store()`.
pub(super) fn store_device(
    fs: &Filesystem,
    dev: &Device,
    option: &OptionInfo,
    text: &str,
) -> Result {
    // Nothing is changed in a filesystem that can not be.
    fs.changes()?;
    let st = fs.view.sb();
    let value = st.parse_option(option, text.trim());
    st.set_device_option(dev, option.id, value.map_err(BadValue::error)?)
}

/// A choice is shown among the others, in brackets.
fn show_value(st: &SbState, option: &OptionInfo, v: u64, to: &mut dyn Write) -> fmt::Result {
    match option.kind {
        Kind::Choice(names) if v < u64_of(names.len()) => {
            for (i, name) in (0u64..).zip(names) {
                match i == v {
                    true => write!(to, "[{name}] ")?,
                    false => write!(to, "{name} ")?,
                }
            }
        }
        _ => write_value(Some(&st.sb), option, v, to)?,
    }
    writeln!(to)
}
