// SPDX-License-Identifier: GPL-2.0

//! The rules by which names are compared without case.

use super::state::SbState;
use crate::{
    env::{
        pr_err,
        pr_warn, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        opts::{
            OptId,
            Opts, //
        },
        sb::{
            bits::Features,
            Superblock, //
        },
    },
    sys::unicode::Encoding,
};

/// The rules for the filesystem of `sb`: `None` when they are turned off by `opts`, or when the
/// kernel has none.
///
/// C: `cf_encoding` in `bch2_fs_init()`, the option in `bch2_opt_hook_pre_set()`. C refuses to
/// mount where the kernel has none and the filesystem uses them; here only the directories that
/// need them can not be searched.
pub(super) fn load(sb: &Superblock, opts: &Opts) -> Result<Option<Encoding>> {
    let in_use = sb.features().has(Features::CASEFOLDING);
    if opts.is_on(OptId::CasefoldDisabled) {
        if in_use {
            pr_err!(
                "filesystem {} has directories that compare names without case: option casefold_disabled is not possible",
                sb.user_uuid()
            );
            return Err(Error::CasefoldingInUse);
        }
        return Ok(None);
    }
    let encoding = Encoding::load()?;
    if in_use && encoding.is_none() {
        pr_warn!(
            "filesystem {} has directories that compare names without case, which needs CONFIG_UNICODE: names in them can not be looked up",
            sb.user_uuid()
        );
    }
    Ok(encoding)
}

impl SbState {
    /// Whether there are directories in which names are compared without case.
    pub fn has_casefolding(&self) -> bool {
        self.sb.features().has(Features::CASEFOLDING) || self.opts.is_on(OptId::Casefold)
    }
}
