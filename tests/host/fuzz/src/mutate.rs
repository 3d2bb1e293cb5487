// SPDX-License-Identifier: GPL-2.0

//! Inputs for the bounded run: valid inputs with a few changes, and noise. Everything follows from
//! the seed.

/// A small generator of random numbers (splitmix64).
pub struct Rng(u64);

impl Rng {
    /// A generator whose numbers follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        (self.draw() % n as u64) as usize
    }
}

/// Numbers on which arithmetic tends to go wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    7,
    8,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    u64::MAX,
];
const LEN_MAX: usize = 64 << 10;

/// The next input: mostly one of `corpus` with one to eight changes, otherwise noise.
pub fn input(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut v = match corpus.len() {
        n if n > 0 && rng.below(8) != 0 => corpus[rng.below(n)].clone(),
        _ => noise(rng),
    };
    for _ in 0..=rng.below(8) {
        change(rng, &mut v, corpus);
    }
    v.truncate(LEN_MAX);
    v
}

/// Up to 512 bytes, often in words with small values, as lengths and types are.
fn noise(rng: &mut Rng) -> Vec<u8> {
    let words = rng.below(65);
    let small = rng.below(2) == 0;
    (0..words)
        .flat_map(|_| {
            let w = rng.draw();
            (if small { w & 0x1f1f_0103_0f0f_030f } else { w }).to_le_bytes()
        })
        .collect()
}

fn change(rng: &mut Rng, v: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = rng.below(v.len());
    let Some(byte) = v.get_mut(at) else {
        v.extend(noise(rng));
        return;
    };
    match rng.below(10) {
        0 | 1 => *byte ^= 1 << rng.below(8),
        2 => *byte = rng.draw() as u8,
        3 => *byte = byte.wrapping_add(1),
        4 | 5 => {
            // An aligned little-endian field of 1, 2, 4 or 8 bytes becomes an edge value.
            let size = 1 << rng.below(4);
            let edge = EDGES[rng.below(EDGES.len())].to_le_bytes();
            let at = at & !(size - 1);
            for (to, from) in v[at..].iter_mut().zip(&edge[..size]) {
                *to = *from;
            }
        }
        6 => v.truncate(at),
        7 => {
            let end = at + rng.below(v.len() - at + 1);
            v.drain(at..end);
        }
        8 => {
            let len = rng.below((v.len() - at).min(256) + 1);
            let copy = v[at..at + len].to_vec();
            let to = rng.below(v.len());
            v.splice(to..to, copy);
        }
        _ => {
            if let Some(other) = corpus.get(rng.below(corpus.len())) {
                let from = rng.below(other.len());
                v.truncate(at);
                v.extend_from_slice(&other[from..]);
            }
        }
    }
}
