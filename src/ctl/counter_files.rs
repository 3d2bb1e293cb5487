// SPDX-License-Identifier: GPL-2.0

//! Counters.

use crate::{
    format::sb::{
        counters::counters,
        text::Human, //
    },
    sb::SbState, //
};
use core::fmt::{
    self,
    Write, //
};

/// What the counter `nr` counted since the mount, and since the filesystem was made.
///
/// C: `bch2_fs_counters_to_text()`.
pub(super) fn show(st: &SbState, nr: u8, to: &mut dyn Write) -> fmt::Result {
    let counter = counters().find(|c| c.nr == nr).ok_or(fmt::Error)?;
    let since_mount = st.counters.get(nr);
    let all = st.sb.counter(nr).saturating_add(since_mount);
    for (what, n) in [
        ("since mount:", since_mount),
        ("since filesystem creation:", all),
    ] {
        match counter.is_sectors() {
            true => writeln!(to, "{what:<32}{}", Human(n.saturating_mul(512)))?,
            false => writeln!(to, "{what:<32}{n}")?,
        }
    }
    Ok(())
}
