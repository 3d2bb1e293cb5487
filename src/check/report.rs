// SPDX-License-Identifier: GPL-2.0

//! What is found inconsistent: one report for each, and what is to be done about it.

use crate::{
    env::{
        pr_err,
        Vec, //
    },
    error::{
        fsck::FsckError,
        Error,
        Result, //
    },
    format::opts::{
        OnError,
        OptId, //
    },
    sb::SbState,
};
use core::fmt;

/// Reports of one kind that are printed. C: `FSCK_ERR_RATELIMIT_NR`.
const PRINTED: u64 = 10;

/// The value of the option `fix_errors`. C: `enum fsck_err_opts`.
mod fix {
    /// End at the first one.
    pub(super) const EXIT: u64 = 0;
    /// Repair.
    pub(super) const YES: u64 = 1;
}

/// What is to be done about something that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Repair it.
    Repair,
    /// Leave it.
    Leave,
}

/// Whether the options say that whatever is found is to be repaired, with `fsck`.
pub fn repairs_all(st: &SbState) -> bool {
    st.opts.get(OptId::FixErrors) == fix::YES
}

/// What was found, and the rules for it.
///
/// C: the state of `__bch2_fsck_err()` in `struct bch_fs`.
pub struct Report {
    fsck: bool,
    /// What was found of each kind.
    kinds: Vec<(FsckError, u64)>,
    /// Findings that are repaired.
    pub repaired: u64,
    /// Findings that are left. C: `BCH_FS_errors_not_fixed`.
    pub left: u64,
}

impl Report {
    /// Nothing was found. `fsck` is the option of this name.
    pub const fn new(fsck: bool) -> Self {
        Self {
            fsck,
            kinds: Vec::new(),
            repaired: 0,
            left: 0,
        }
    }

    /// Something that can be repaired was found: prints `what`, counts it, and says what is to be
    /// done. What may be repaired without asking is, unless `errors=ro` or `errors=panic`; about
    /// the rest the options `fsck` and `fix_errors` decide, and without `fsck` the option `errors`.
    /// Nobody can be asked: `fix_errors=ask` is `no`.
    ///
    /// Errors: [`Error::FsckErrorsNotFixed`] when the check is to end with it.
    ///
    /// C: `__bch2_fsck_err()`.
    pub fn found(
        &mut self,
        st: &SbState,
        id: FsckError,
        what: fmt::Arguments<'_>,
    ) -> Result<Outcome> {
        if st.sb.ext().is_some_and(|ext| ext.is_silent(id)) {
            self.repaired = self.repaired.saturating_add(1);
            return Ok(Outcome::Repair);
        }
        st.errors.count(id);
        let on_error = st.opts.on_error();
        let lenient = matches!(on_error, OnError::Continue | OnError::FixSafe);
        let repair = Some(Outcome::Repair);
        let (outcome, doing) = if id.autofix() && lenient {
            (repair, "fixing")
        } else if !self.fsck {
            match on_error {
                OnError::Continue => (repair, "fixing"),
                _ => (None, "shutting down"),
            }
        } else {
            match st.opts.get(OptId::FixErrors) {
                fix::EXIT => (None, "exiting"),
                fix::YES => (repair, "fixing"),
                _ => (Some(Outcome::Leave), "not fixing"),
            }
        };
        let nr = self.count(id);
        let limited = st.opts.is_on(OptId::RatelimitErrors) && outcome.is_some();
        if !limited || nr <= PRINTED {
            let name = st.name();
            pr_err!("{name}: {id}: {what}, {doing}");
            if limited && nr == PRINTED {
                pr_err!("{name}: {id}: ratelimiting new instances of previous error");
            }
        }
        let counter = match outcome {
            Some(Outcome::Repair) => &mut self.repaired,
            _ => &mut self.left,
        };
        *counter = counter.saturating_add(1);
        outcome.ok_or(Error::FsckErrorsNotFixed)
    }

    /// How many there were of a kind, with this one.
    fn count(&mut self, id: FsckError) -> u64 {
        if let Some((_, nr)) = self.kinds.iter_mut().find(|(k, _)| *k == id) {
            *nr = nr.saturating_add(1);
            return *nr;
        }
        // Without memory it is the first one again.
        let _ = self.kinds.push((id, 1));
        1
    }

    /// Whether nothing is left that was found wrong.
    pub const fn is_clean(&self) -> bool {
        self.left == 0
    }
}
