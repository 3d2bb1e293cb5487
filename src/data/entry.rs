// SPDX-License-Identifier: GPL-2.0

//! The value of an extent that is put together.

use crate::{
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::values::extent_entry::Entry, //
};

/// Appends an entry to the value of an extent. [`Error::Overflow`] when a number of it does not
/// fit.
pub(super) fn add(value: &mut Vec<u8>, entry: &Entry) -> Result {
    let (words, nr) = entry.encode().ok_or(Error::Overflow)?;
    let mut words = words.iter().take(nr.into());
    words.try_for_each(|word| value.extend_from_slice(&word.to_le_bytes()))
}
