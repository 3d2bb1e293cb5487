// SPDX-License-Identifier: GPL-2.0

//! Options that ask for what can not be done yet.

use crate::{
    env::pr_err,
    error::{
        Error,
        Result, //
    },
    format::opts::{
        OptId,
        Opts, //
    },
};

/// Options and what they ask for. Ignoring one of these would be taken for having done it.
const UNSUPPORTED: [(OptId, &str); 3] = [
    (OptId::JournalRewind, "going back in the journal"),
    (OptId::NoDataIo, "made-up file contents"),
    (
        OptId::MissingDevTimeout,
        "waiting for a device that is missing",
    ),
];

/// Options that ask for what changes the filesystem.
const CHANGING: [OptId; 3] = [
    OptId::Fsck,
    OptId::RecoveryPasses,
    OptId::DangerouslyReconstructAlloc,
];

/// Refuses options that ask for what can not be done yet. The others have an effect, or none on
/// a filesystem that is only read.
pub(super) fn check(opts: &Opts) -> Result {
    let changing = CHANGING.iter().filter(|_| opts.forces_read_only());
    let changing = changing.map(|id| (*id, "checking without changing anything"));
    let mut all = UNSUPPORTED.iter().copied().chain(changing);
    let is_asked = |id: OptId| opts.get(id) != id.info().default;
    let Some((id, what)) = all.find(|(id, _)| is_asked(*id)) else {
        return Ok(());
    };
    pr_err!("option {}: {what} is not supported yet", id.info().name);
    Err(Error::OptionUnsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(list: &str) -> Result {
        let mut opts = Opts::new();
        opts.parse_list(list).unwrap();
        check(&opts)
    }

    #[test]
    fn what_can_not_be_done_is_refused() {
        for list in ["journal_rewind=77", "no_data_io", "missing_dev_timeout=60"] {
            assert_eq!(checked(list), Err(Error::OptionUnsupported), "{list}");
        }
        for list in [
            "",
            "fsck",
            "nofsck",
            "recovery_passes=check_allocations",
            "reconstruct_alloc",
            "fsck=0",
            "fix_errors=yes",
            "norecovery",
            "nochanges",
            "journal_rewind=0",
            "write_error_timeout=5,missing_dev_timeout=0",
            "degraded=ask,mount_trusts_udev=0",
            "recovery_passes_exclude=check_inodes",
            "recovery_pass_last=snapshots_read",
            "noexcl,verbose,very_degraded,no_splitbrain_check,errors=ro",
        ] {
            assert_eq!(checked(list), Ok(()), "{list}");
        }
    }
}
