// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    algo::key_format::FormatBuilder,
    format::bkey::Bkey, //
};
use std::vec::Vec;

fn at(p: Bpos) -> Bkey {
    Bkey {
        p,
        ..Bkey::default()
    }
}

/// A format with a few bits in each field, at offsets of its own.
fn small_format(lo: Bpos, hi: Bpos) -> KeyFormat {
    let mut b = FormatBuilder::new();
    b.add_pos(lo);
    b.add_pos(hi);
    b.finish()
}

fn interesting(values: &[u64], max: u64) -> Vec<u64> {
    let mut out = std::vec![0, 1, max - 1, max];
    for v in values {
        out.extend([v.saturating_sub(1), *v, v.saturating_add(1).min(max)]);
    }
    out.sort();
    out.dedup();
    out
}

/// Of so many, one is looked at: the interpreter that looks for undefined behaviour is slow.
const STEP: usize = if cfg!(miri) { 17 } else { 1 };

/// All positions around the edges of what the formats hold, against each other.
#[test]
fn comparing_packed_is_comparing_positions() {
    for (lo, hi) in [
        (Bpos::new(5, 100, 7), Bpos::new(6, 101, 8)),
        (Bpos::new(0, 0, 0), Bpos::new(1, 300, 1)),
        (
            Bpos::new(4096, 1 << 40, u32::MAX - 1),
            Bpos::new(4097, 1 << 41, u32::MAX),
        ),
        (Bpos::MIN, Bpos::MAX),
        (Bpos::new(9, 9, 9), Bpos::new(9, 9, 9)),
    ] {
        let f = small_format(lo, hi);
        let top = |nr: usize| f.fields[nr].offset.saturating_add(f.fields[nr].mask);
        let low = |nr: usize| f.fields[nr].offset;
        let mut all = Vec::new();
        for i in interesting(&[lo.inode, hi.inode, low(0), top(0)], u64::MAX) {
            for o in interesting(&[lo.offset, hi.offset, low(1), top(1)], u64::MAX) {
                let s = [
                    u64::from(lo.snapshot),
                    u64::from(hi.snapshot),
                    low(2),
                    top(2),
                ];
                for s in interesting(&s, u64::from(u32::MAX)) {
                    all.push(Bpos::new(i, o, s as u32));
                }
            }
        }
        let packed: Vec<_> = all
            .iter()
            .filter_map(|p| f.pack(&at(*p), 0).map(|w| (*p, w)))
            .collect();
        assert!(packed.len() > 1 || lo == hi);
        for search in all.iter().step_by(STEP) {
            let key = f.search_key(*search);
            assert_eq!(key.is_exact(), f.pack(&at(*search), 0).is_some());
            for (p, w) in packed.iter().step_by(STEP) {
                let head = Head::of(w.words()[0]);
                assert_eq!(
                    f.compare(head, w.words(), &key),
                    p.cmp(search),
                    "{p} {search}"
                );
            }
            let unpacked = KeyFormat::UNPACKED.pack(&at(lo), 0).unwrap();
            let head = Head::of(unpacked.words()[0]);
            assert_eq!(f.compare(head, unpacked.words(), &key), lo.cmp(search));
        }
        for (p, w) in packed.iter().step_by(7 * STEP) {
            for (q, x) in packed.iter().step_by(5 * STEP) {
                assert_eq!(f.compare_packed(w.words(), x.words()), p.cmp(q));
            }
        }
    }
}

#[test]
fn sixteen_bits_anywhere() {
    let words = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX, 0];
    assert_eq!(sixteen_bits(&words, 0), 0x0123);
    assert_eq!(sixteen_bits(&words, 4), 0x1234);
    assert_eq!(sixteen_bits(&words, 56), 0xeffe);
    assert_eq!(sixteen_bits(&words, 64), 0xfedc);
    assert_eq!(sixteen_bits(&words, 184), 0xff00);
}
