// SPDX-License-Identifier: GPL-2.0

//! Names compared without case.

use crate::{
    env::pr_err,
    error::{
        Error,
        Result, //
    },
    format::{
        opts::OptId,
        values::{
            dirent::NAME_MAX,
            inode::{
                option,
                Inode, //
            },
        },
    },
    sb::SbState,
};

/// A name as it is hashed and compared.
pub(super) struct Folded {
    /// One byte longer than the longest name: [`Encoding::fold`] asks for it.
    ///
    /// [`Encoding::fold`]: crate::sys::unicode::Encoding::fold
    bytes: [u8; NAME_MAX + 1],
    len: usize,
}

impl Folded {
    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

/// Whether names in this directory are compared without case: by its own option, else by that of
/// the filesystem.
///
/// C: `bch2_inode_casefold()`.
pub fn folds_case(st: &SbState, dir: &Inode) -> bool {
    match option(dir.casefold) {
        Some(v) => v != 0,
        None => st.opts.is_on(OptId::Casefold),
    }
}

/// `name` without case. `None` when no entry can have such a name: those of directories that
/// compare without case are UTF-8, and not too long when folded either.
///
/// C: `bch2_casefold()`.
pub(super) fn fold(st: &SbState, name: &[u8]) -> Result<Option<Folded>> {
    let Some(encoding) = &st.encoding else {
        pr_err!(
            "{}: a name can not be looked up without case: turned off, or not in this kernel",
            st.name()
        );
        return Err(Error::CasefoldDirButDisabled);
    };
    let mut bytes = [0; NAME_MAX + 1];
    let len = encoding.fold(name, &mut bytes);
    Ok(len.map(|len| Folded { bytes, len }))
}
