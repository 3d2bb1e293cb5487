// SPDX-License-Identifier: GPL-2.0

//! How an attempt ends.

use crate::error::Error;

/// Why an attempt did not come to its end.
///
/// C: the class `BCH_ERR_transaction_restart`, and all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TransError {
    /// What was read is no longer protected: all has to be done again. Only
    /// [`run`](super::run) handles it.
    Restart,
    /// A failure that another attempt would meet as well.
    Failed(Error),
}

/// What a step of an attempt returns.
pub type TransResult<T = ()> = Result<T, TransError>;

impl From<Error> for TransError {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}
