// SPDX-License-Identifier: GPL-2.0

//! Names compared without case.
//!
//! The rules are Unicode's; for names of ASCII characters they are simple, and only those are
//! compared without case yet. Other names have to be given as they are listed.

use crate::{
    error::{
        Error,
        Result, //
    },
    format::values::{
        dirent::NAME_MAX,
        inode::{
            option,
            Inode, //
        },
    },
};

/// A name as it is hashed and compared.
pub(super) struct Folded {
    bytes: [u8; NAME_MAX],
    len: usize,
}

impl Folded {
    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Whether names in this directory are compared without case.
///
/// C: `bch2_inode_casefold()`.
pub(super) fn folds_case(dir: &Inode) -> bool {
    option(dir.casefold).is_some_and(|v| v != 0)
}

/// `name`, which has ASCII characters only, without case.
///
/// C: `bch2_casefold()`.
pub(super) fn fold(name: &[u8]) -> Result<Folded> {
    let mut bytes = [0; NAME_MAX];
    let Some(out) = bytes.get_mut(..name.len()) else {
        return Err(Error::NameTooLong);
    };
    for (to, from) in out.iter_mut().zip(name) {
        *to = from.to_ascii_lowercase();
    }
    Ok(Folded {
        bytes,
        len: name.len(),
    })
}
