// SPDX-License-Identifier: GPL-2.0

//! Bytes that are written, wherever they are.

use crate::{
    env::Vec,
    error::Result, //
};

/// Bytes in pieces, which nobody changes.
pub trait Bytes {
    /// `len` bytes from byte `skip` on, in order. Boundaries of pieces are between blocks.
    fn pieces(&self, skip: usize, len: usize) -> impl Iterator<Item = &[u8]>;

    /// How many bytes from byte `skip` on are one behind the other in the file, too: whole blocks.
    fn together(&self, skip: usize) -> usize {
        let _ = skip;
        usize::MAX
    }
}

impl Bytes for [u8] {
    fn pieces(&self, skip: usize, len: usize) -> impl Iterator<Item = &[u8]> {
        self.get(skip..skip.saturating_add(len)).into_iter()
    }
}

/// A copy of a range.
pub(super) fn copy(from: &(impl Bytes + ?Sized), skip: usize, len: usize) -> Result<Vec<u8>> {
    let mut to = Vec::with_capacity(len)?;
    for piece in from.pieces(skip, len) {
        to.extend_from_slice(piece)?;
    }
    Ok(to)
}
