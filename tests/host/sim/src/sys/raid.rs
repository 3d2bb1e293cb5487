// SPDX-License-Identifier: GPL-2.0

//! Lost blocks from parity, by plain arithmetic in GF(2^8) with the polynomial 0x11d and the
//! generator 2: P is the sum of the data blocks D0, D1, ..., and Q the sum of 2^i Di.

use crate::{
    env::Vec,
    error::{
        Error,
        Result, //
    },
};

/// The most blocks, parity included.
pub const MAX_BLOCKS: usize = 16;

/// The product of two elements.
pub fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        a = a << 1 ^ if a & 0x80 != 0 { 0x1d } else { 0 };
        b >>= 1;
    }
    product
}

/// 2 to the power of `n`.
pub fn power(n: usize) -> u8 {
    (0..n).fold(1, |a, _| multiply(a, 2))
}

/// The element that `a`, which is not 0, multiplies with to 1.
fn inverse(a: u8) -> u8 {
    // The multiplicative group has 255 elements.
    (0..254).fold(1, |product, _| multiply(product, a))
}

/// Blocks of one size: of data, then one of their sum (P), then one of their weighted sum (Q) when
/// any two are to be replaceable.
pub struct Blocks {
    bufs: Vec<Vec<u8>>,
    bytes: usize,
}

impl Blocks {
    /// No blocks yet, each to have `bytes` bytes: a multiple of 512.
    pub fn new(bytes: usize) -> Result<Self> {
        assert!(bytes != 0 && bytes % 512 == 0);
        Ok(Self {
            bufs: Vec::new(),
            bytes,
        })
    }

    /// Adds zeroed blocks until there are `nr`.
    pub fn grow(&mut self, nr: usize) -> Result {
        if nr > MAX_BLOCKS {
            return Err(Error::Overflow);
        }
        while self.bufs.len() < nr {
            self.bufs.push(Vec::from_elem(0, self.bytes)?)?;
        }
        Ok(())
    }

    /// The bytes of a block.
    pub fn get(&self, block: usize) -> Option<&[u8]> {
        self.bufs.get(block).map(|b| &**b)
    }

    /// The bytes of a block.
    pub fn get_mut(&mut self, block: usize) -> Option<&mut [u8]> {
        self.bufs.get_mut(block).map(|b| &mut **b)
    }

    /// Rebuilds data block `lost` from the other data blocks and P.
    pub fn rebuild_from_p(&mut self, nr_data: usize, lost: usize) -> Result {
        assert!(lost < nr_data && nr_data < self.bufs.len());
        for at in 0..self.bytes {
            let others = (0..=nr_data).filter(|i| *i != lost);
            self.bufs[lost][at] = others.fold(0, |sum, i| sum ^ self.bufs[i][at]);
        }
        Ok(())
    }

    /// Rebuilds two data blocks, `first` before `second`, from the others, P and Q.
    pub fn rebuild_two(&mut self, nr_data: usize, first: usize, second: usize) -> Result {
        assert!(first < second && second < nr_data && nr_data + 1 < self.bufs.len());
        for at in 0..self.bytes {
            let (mut p, mut q) = (self.bufs[nr_data][at], self.bufs[nr_data + 1][at]);
            for i in (0..nr_data).filter(|i| *i != first && *i != second) {
                p ^= self.bufs[i][at];
                q ^= multiply(power(i), self.bufs[i][at]);
            }
            // Two equations: a + b = p, 2^first a + 2^second b = q.
            let (x, y) = (power(first), power(second));
            let b = multiply(q ^ multiply(x, p), inverse(x ^ y));
            self.bufs[first][at] = p ^ b;
            self.bufs[second][at] = b;
        }
        Ok(())
    }

    /// Rebuilds data block `lost` from the other data blocks and Q. P is overwritten.
    pub fn rebuild_from_q(&mut self, nr_data: usize, lost: usize) -> Result {
        assert!(lost < nr_data && nr_data + 1 < self.bufs.len());
        for at in 0..self.bytes {
            let others = (0..nr_data).filter(|i| *i != lost);
            let q = others.fold(self.bufs[nr_data + 1][at], |q, i| {
                q ^ multiply(power(i), self.bufs[i][at])
            });
            self.bufs[lost][at] = multiply(q, inverse(power(lost)));
            let sum = (0..nr_data).fold(0, |sum, i| sum ^ self.bufs[i][at]);
            self.bufs[nr_data][at] = sum;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_that_of_the_kernel() {
        // Some entries of the tables that lib/raid/raid6 generates: gfexp, gfinv, gfmul.
        assert_eq!(
            [power(8), power(9), power(25), power(254)],
            [0x1d, 0x3a, 0x03, 0x8e]
        );
        assert_eq!([inverse(1), inverse(2), inverse(3)], [1, 0x8e, 0xf4]);
        assert_eq!(multiply(0x80, 2), 0x1d);
        assert_eq!(multiply(0x53, 0xca), multiply(0xca, 0x53));
        for a in 1..=255u8 {
            assert_eq!(multiply(a, inverse(a)), 1);
        }
    }

    /// Data blocks, P and Q as they are defined, independent of the functions above.
    fn stripe(nr_data: usize) -> Vec<Vec<u8>> {
        let mut seed = 77u32;
        let mut bufs = Vec::new();
        for _ in 0..nr_data + 2 {
            let mut buf = Vec::from_elem(0u8, 512).unwrap();
            for b in buf.iter_mut() {
                seed = seed.wrapping_mul(1664525).wrapping_add(1013904223);
                *b = (seed >> 24) as u8;
            }
            bufs.push(buf).unwrap();
        }
        for at in 0..512 {
            // By Horner's scheme: (...(D2 2 + D1) 2 + D0).
            let (mut p, mut q) = (0u8, 0u8);
            for i in (0..nr_data).rev() {
                let d = bufs[i][at];
                p ^= d;
                q = (q << 1) ^ if q & 0x80 != 0 { 0x1d } else { 0 } ^ d;
            }
            bufs[nr_data][at] = p;
            bufs[nr_data + 1][at] = q;
        }
        bufs
    }

    #[test]
    fn whatever_is_lost_comes_back() {
        for nr_data in 1..MAX_BLOCKS - 1 {
            let whole = stripe(nr_data);
            let without = |lost: &[usize]| {
                let mut blocks = Blocks::new(512).unwrap();
                blocks.grow(nr_data + 2).unwrap();
                for (i, b) in whole.iter().enumerate() {
                    let to = blocks.get_mut(i).unwrap();
                    to.copy_from_slice(b);
                    if lost.contains(&i) {
                        to.fill(0xa5);
                    }
                }
                blocks
            };
            for a in 0..nr_data {
                let mut b = without(&[a, nr_data + 1]);
                b.rebuild_from_p(nr_data, a).unwrap();
                assert_eq!(b.get(a).unwrap(), &whole[a][..]);
                let mut b = without(&[a, nr_data]);
                b.rebuild_from_q(nr_data, a).unwrap();
                assert_eq!(b.get(a).unwrap(), &whole[a][..]);
                assert_eq!(b.get(nr_data).unwrap(), &whole[nr_data][..]);
                for c in a + 1..nr_data {
                    let mut b = without(&[a, c]);
                    b.rebuild_two(nr_data, a, c).unwrap();
                    assert_eq!(b.get(a).unwrap(), &whole[a][..]);
                    assert_eq!(b.get(c).unwrap(), &whole[c][..]);
                }
            }
        }
    }
}
