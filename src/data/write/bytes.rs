// SPDX-License-Identifier: GPL-2.0

//! Bytes that are written, wherever they are.

use crate::{
    env::{
        span::{
            part_of,
            Span, //
        },
        Vec, //
    },
    error::Result, //
};

/// Bytes in pieces.
pub trait Bytes {
    /// `len` bytes from byte `skip` on, in order. Boundaries of spans are between blocks.
    fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>>;

    /// How many bytes from byte `skip` on are one behind the other in the file, too: whole blocks.
    fn together(&self, skip: usize) -> usize {
        let _ = skip;
        usize::MAX
    }
}

impl Bytes for [u8] {
    fn spans(&self, skip: usize, len: usize) -> impl Iterator<Item = Span<'_>> {
        part_of(core::iter::once(Span::Still(self)), skip, len)
    }
}

/// A copy of a range.
pub(super) fn copy(from: &(impl Bytes + ?Sized), skip: usize, len: usize) -> Result<Vec<u8>> {
    let mut to = Vec::with_capacity(len)?;
    for span in from.spans(skip, len) {
        span.copy_to(&mut to)?;
    }
    Ok(to)
}
