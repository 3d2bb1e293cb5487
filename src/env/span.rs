// SPDX-License-Identifier: GPL-2.0

//! Memory that a device reads.

use super::Vec;
use crate::error::Result;
use core::sync::atomic::{
    AtomicU8,
    Ordering, //
};

/// Contiguous memory that a device reads.
#[derive(Clone, Copy)]
pub enum Span<'a> {
    /// Nobody changes it.
    Still(&'a [u8]),
    /// A process has it, and may change it at any time: what is read twice can differ.
    Shared(&'a [AtomicU8]),
}

impl<'a> Span<'a> {
    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match self {
            Span::Still(bytes) => bytes.len(),
            Span::Shared(bytes) => bytes.len(),
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where it begins.
    pub fn as_ptr(&self) -> *const u8 {
        match self {
            Span::Still(bytes) => bytes.as_ptr(),
            Span::Shared(bytes) => bytes.as_ptr().cast(),
        }
    }

    /// Its bytes, if nobody changes them.
    pub fn still(self) -> Option<&'a [u8]> {
        match self {
            Span::Still(bytes) => Some(bytes),
            Span::Shared(_) => None,
        }
    }

    /// At most `len` bytes from byte `skip` on: none where it has ended.
    pub fn part(self, skip: usize, len: usize) -> Self {
        fn of<T>(bytes: &[T], skip: usize, len: usize) -> &[T] {
            let behind = bytes.get(skip..).unwrap_or_default();
            behind.get(..len).unwrap_or(behind)
        }
        match self {
            Span::Still(bytes) => Span::Still(of(bytes, skip, len)),
            Span::Shared(bytes) => Span::Shared(of(bytes, skip, len)),
        }
    }

    /// Appends a copy to `to`.
    pub fn copy_to(self, to: &mut Vec<u8>) -> Result {
        match self {
            Span::Still(bytes) => to.extend_from_slice(bytes),
            Span::Shared(bytes) => bytes
                .iter()
                .try_for_each(|byte| to.push(byte.load(Ordering::Relaxed))),
        }
    }
}

/// `len` bytes of `spans` from byte `skip` on.
pub fn part_of<'a>(
    spans: impl Iterator<Item = Span<'a>>,
    skip: usize,
    len: usize,
) -> impl Iterator<Item = Span<'a>> {
    let (mut skip, mut left) = (skip, len);
    spans.filter_map(move |span| {
        let part = span.part(skip, left);
        skip = skip.saturating_sub(span.len());
        left = left.saturating_sub(part.len());
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_spans() {
        let (still, shared) = ([1u8, 2, 3], [4u8, 5].map(AtomicU8::new));
        let all = || {
            [
                Span::Still(&still),
                Span::Shared(&shared),
                Span::Still(&[6]),
            ]
            .into_iter()
        };
        for skip in 0..8usize {
            for len in 0..8usize {
                let (mut got, mut from) = (Vec::new(), skip);
                for span in part_of(all(), skip, len) {
                    assert!(!span.is_empty());
                    span.copy_to(&mut got).unwrap();
                    from += span.len();
                }
                let want: &[u8] = &[1, 2, 3, 4, 5, 6];
                let want = &want[skip.min(6)..(skip + len).min(6)];
                assert_eq!(&*got, want);
                assert_eq!(from, skip + want.len());
            }
        }
    }
}
