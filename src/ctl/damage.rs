// SPDX-License-Identifier: GPL-2.0

//! The summary of what is damaged. The C implementation has no such file.

use crate::{
    format::btree_id::BtreeId,
    init::{
        Filesystem,
        State, //
    },
    sb::Lost,
};
use core::fmt::{
    self,
    Write, //
};

/// The state of the filesystem, what could not be used since the mount, and the state of each btree
/// with the first damage found in it.
pub(super) fn show(fs: &Filesystem, to: &mut dyn Write) -> fmt::Result {
    let st = fs.view.sb();
    let state = match fs.state().get() {
        State::Starting => "starting",
        State::ReadOnly => "read-only",
        State::ReadWrite => "read-write",
        State::EmergencyReadOnly => "emergency read-only",
    };
    write!(to, "{:<32}{state}", "state:")?;
    match fs.state().first_error() {
        Some(e) => writeln!(to, ": {e}")?,
        None => writeln!(to)?,
    }
    let found = st.errors.since_mount();
    writeln!(to, "{:<32}{found}", "inconsistencies since mount:")?;

    writeln!(to, "lost since mount:")?;
    for what in Lost::ALL {
        writeln!(to, "  {:<30}{}", what.text(), st.damage.get(*what))?;
    }

    writeln!(to, "btrees:")?;
    let (btrees, health) = (&fs.view.btrees, &fs.view.btrees.health);
    for id in (0..64).map(BtreeId) {
        if !btrees.exists(id) && !health.is_damaged(id) {
            continue;
        }
        let state = match (health.is_sick(id), health.is_damaged(id)) {
            (true, _) => "sick",
            (_, true) => "damaged",
            _ => "ok",
        };
        let checked = match health.is_checked(id) {
            true => ", checked",
            false => "",
        };
        match id.name() {
            Some(name) => write!(to, "  {name:<30}{state}{checked}")?,
            None => write!(to, "  btree {:<24}{state}{checked}", id.0)?,
        }
        match health.first(id) {
            Some((place, what)) => writeln!(to, ", first at {place}: {what}")?,
            None => writeln!(to)?,
        }
    }
    Ok(())
}
