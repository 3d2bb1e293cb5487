// SPDX-License-Identifier: GPL-2.0

//! crc32c by tables, 16 bytes at a time, for machines on which the kernel has no code of its own
//! for it: its fallback takes one byte at a time, five times as long.

/// The Castagnoli polynomial, lowest bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// Bytes per step.
const STEP: usize = 16;

/// `TABLES[n][b]` is the effect of byte `b`, followed by `n` zero bytes.
static TABLES: [[u32; 256]; STEP] = tables();

// Runs in the compiler, where a mistake is a build error.
#[allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing
)]
const fn tables() -> [[u32; 256]; STEP] {
    let mut t = [[0u32; 256]; STEP];
    let mut n = 0;
    while n < STEP {
        let mut byte = 0;
        while byte < 256 {
            let (mut crc, mut bits) = if n == 0 {
                (byte as u32, 8)
            } else {
                let before = t[n - 1][byte];
                (t[0][(before & 0xff) as usize] ^ (before >> 8), 0)
            };
            while bits > 0 {
                crc = (crc >> 1) ^ (POLYNOMIAL & 0u32.wrapping_sub(crc & 1));
                bits -= 1;
            }
            t[n][byte] = crc;
            byte += 1;
        }
        n += 1;
    }
    t
}

/// One look-up; the array's length makes it infallible.
#[inline(always)]
fn look(table: &[u32; 256], byte: u8) -> u32 {
    table.get(usize::from(byte)).copied().unwrap_or(0)
}

/// The effect of four bytes that `after` more bytes of the step follow.
#[inline(always)]
fn word<const AFTER: usize>(v: u32) -> u32 {
    let [a, b, c, d] = v.to_le_bytes();
    let [t0, t1, t2, t3, ..] = match TABLES.get(AFTER..) {
        Some([t0, t1, t2, t3, ..]) => [t0, t1, t2, t3],
        _ => return 0,
    };
    look(t3, a) ^ look(t2, b) ^ look(t1, c) ^ look(t0, d)
}

/// crc32c of `data` continued from `seed`, with no inversion at either end.
pub(super) fn crc32c(seed: u32, data: &[u8]) -> u32 {
    let mut crc = seed;
    let mut steps = data.chunks_exact(STEP);
    for step in &mut steps {
        let Ok(bytes) = <[u8; STEP]>::try_from(step) else {
            continue;
        };
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        crc = word::<12>(crc ^ u32::from_le_bytes([a, b, c, d]))
            ^ word::<8>(u32::from_le_bytes([e, f, g, h]))
            ^ word::<4>(u32::from_le_bytes([i, j, k, l]))
            ^ word::<0>(u32::from_le_bytes([m, n, o, p]));
    }
    for &byte in steps.remainder() {
        let [low, ..] = crc.to_le_bytes();
        crc = (crc >> 8) ^ TABLES.first().map_or(0, |t| look(t, low ^ byte));
    }
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_another_implementation() {
        let data: std::vec::Vec<u8> = (0..1000u32).map(|i| ((i * 7919) >> 3) as u8).collect();
        for len in [0, 1, 15, 16, 17, 31, 32, 33, 500, 983] {
            for start in 0..17 {
                let part = &data[start..start + len];
                for seed in [0, !0, 0x1234_5678] {
                    assert_eq!(crc32c(seed, part), super::super::crc32c(seed, part));
                }
            }
        }
    }

    #[test]
    fn check_value() {
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
    }
}
