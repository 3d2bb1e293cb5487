// SPDX-License-Identifier: GPL-2.0

//! crc64 by tables, 8 bytes at a time, for kernels configured without crc64.

/// The polynomial of ECMA-182, highest bit first.
const POLYNOMIAL: u64 = 0x42f0_e1eb_a9ea_3693;
/// Bytes per step.
const STEP: usize = 8;

/// `TABLES[n][b]` is the effect of byte `b`, followed by `n` zero bytes.
static TABLES: [[u64; 256]; STEP] = tables();

// Runs in the compiler, where a mistake is a build error.
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing
)]
const fn tables() -> [[u64; 256]; STEP] {
    let mut t = [[0u64; 256]; STEP];
    let mut n = 0;
    while n < STEP {
        let mut byte = 0;
        while byte < 256 {
            t[n][byte] = if n == 0 {
                let mut crc = (byte as u64) << 56;
                let mut bits = 8;
                while bits > 0 {
                    crc = (crc << 1) ^ (POLYNOMIAL & 0u64.wrapping_sub(crc >> 63));
                    bits -= 1;
                }
                crc
            } else {
                let before = t[n - 1][byte];
                (before << 8) ^ t[0][(before >> 56) as usize]
            };
            byte += 1;
        }
        n += 1;
    }
    t
}

/// One look-up; the arrays' lengths make it infallible.
#[inline(always)]
fn look<const AFTER: usize>(byte: u8) -> u64 {
    let table = TABLES.get(AFTER);
    table
        .and_then(|t| t.get(usize::from(byte)))
        .copied()
        .unwrap_or(0)
}

/// crc64 of `data` continued from `seed`, with no inversion at either end.
pub(super) fn crc64(seed: u64, data: &[u8]) -> u64 {
    let mut crc = seed;
    let mut steps = data.chunks_exact(STEP);
    for step in &mut steps {
        let Ok(bytes) = <[u8; STEP]>::try_from(step) else {
            continue;
        };
        let [a, b, c, d, e, f, g, h] = (crc ^ u64::from_be_bytes(bytes)).to_be_bytes();
        crc = look::<7>(a)
            ^ look::<6>(b)
            ^ look::<5>(c)
            ^ look::<4>(d)
            ^ look::<3>(e)
            ^ look::<2>(f)
            ^ look::<1>(g)
            ^ look::<0>(h);
    }
    for &byte in steps.remainder() {
        let [high, ..] = crc.to_be_bytes();
        crc = (crc << 8) ^ look::<0>(high ^ byte);
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_another_implementation() {
        let data: std::vec::Vec<u8> = (0..300u32).map(|i| ((i * 7919) >> 3) as u8).collect();
        for len in [0, 1, 7, 8, 9, 15, 16, 17, 250] {
            for start in 0..9 {
                let part = &data[start..start + len];
                for seed in [0, !0, 0x1234_5678_9abc_def0] {
                    assert_eq!(crc64(seed, part), super::super::crc64(seed, part));
                }
            }
        }
    }

    #[test]
    fn check_value() {
        assert_eq!(crc64(0, b"123456789"), 0x6c40_df5f_0b49_7347);
    }
}
