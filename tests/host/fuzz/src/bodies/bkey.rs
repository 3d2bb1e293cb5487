// SPDX-License-Identifier: GPL-2.0

//! Key headers and positions.

use super::show;
use format::format::{
    bkey::split_unpacked,
    bpos::{
        Bpos,
        RawBpos, //
    },
};

/// Splits unpacked keys off the front until one is refused; each one makes progress.
pub(crate) fn unpacked(data: &[u8]) {
    let mut rest = data;
    while let Some((key, after)) = split_unpacked(rest) {
        assert!(after.len() < rest.len());
        show(&key.k);
        key.k.start_pos();
        rest = after;
    }
}

/// Neighbours of any position are in order.
pub(crate) fn positions(data: &[u8]) {
    for c in data.chunks_exact(20) {
        let mut raw = RawBpos::default();
        zerocopy::IntoBytes::as_mut_bytes(&mut raw).copy_from_slice(c);
        let p = Bpos::from(raw);
        show(&p);
        assert!(p == Bpos::MAX || p.successor() > p);
        assert!(p == Bpos::MIN || p.predecessor() < p);
        assert!(p == Bpos::MAX || p.successor().predecessor() == p);
    }
}
