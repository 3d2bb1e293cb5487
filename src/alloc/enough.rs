// SPDX-License-Identifier: GPL-2.0

//! Whether everything that is stored can be read with the devices that are there.

use super::accounting::for_each_of_whole;
use crate::{
    btree::Btrees,
    env::pr_err,
    error::{
        Error,
        Result, //
    },
    format::{
        sb::{
            assemble::{
                check_entry,
                given_up, //
            },
            replicas::ReplicasEntry, //
        },
        values::accounting::Counted, //
    },
};

/// Checks what the accounting counts, by the option `degraded`. The superblocks of newer
/// filesystems do not say where user data is; the accounting of all does.
///
/// C: `accounting_read_key()`.
#[inline(never)]
pub fn check_enough(btrees: &Btrees) -> Result {
    let st = btrees.sb();
    let online = st.online();
    if all_members_are_there(btrees) {
        return Ok(());
    }
    let degraded = st.opts.degraded();
    let given_up = given_up(&st.sb, &online);
    let mut enough = Ok(());
    for_each_of_whole(btrees, |counted, counters| {
        let Counted::Replicas(replicas) = counted else {
            return;
        };
        if counters.iter().all(|c| *c == 0) || enough.is_err() {
            return;
        }
        let entry = ReplicasEntry {
            data_type: replicas.data_type,
            nr_required: replicas.nr_required,
            devs: replicas.dev_numbers(),
        };
        if let Err(e) = check_entry(entry, &online, &given_up, degraded) {
            pr_err!("{}: {e}", st.name());
            enough = Err(());
        }
    })?;
    enough.map_err(|()| Error::DevicesMissingData)
}

fn all_members_are_there(btrees: &Btrees) -> bool {
    let st = btrees.sb();
    let members = (0u8..=u8::MAX).zip(st.sb.members());
    let mut alive = members.filter(|(_, m)| m.is_alive());
    let online = st.online();
    alive.all(|(dev, _)| online.has(dev))
}
