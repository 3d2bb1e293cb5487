// SPDX-License-Identifier: GPL-2.0

//! Checksums and hashes of the host build. Same interface as `kernel_hash.rs`.

/// crc32c (Castagnoli) of `data` continued from `seed`, with no inversion at either end.
pub fn crc32c(seed: u32, data: &[u8]) -> u32 {
    !::crc32c::crc32c_append(!seed, data)
}

/// crc64 (ECMA-182, most significant bit first) of `data` continued from `seed`, no inversion.
pub fn crc64(seed: u64, data: &[u8]) -> u64 {
    const CRC: ::crc::Crc<u64> = ::crc::Crc::<u64>::new(&::crc::CRC_64_ECMA_182);
    let mut d = CRC.digest_with_initial(seed);
    d.update(data);
    d.finalize()
}

/// A running 64-bit xxHash.
pub struct Xxh64(::xxhash_rust::xxh64::Xxh64);

impl Xxh64 {
    /// Starts a hash.
    pub fn new(seed: u64) -> Self {
        Self(::xxhash_rust::xxh64::Xxh64::new(seed))
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The hash of all bytes added.
    pub fn digest(&self) -> u64 {
        self.0.digest()
    }
}

/// SipHash-2-4 of `data` with the key `k0`, `k1`.
pub fn siphash24(k0: u64, k1: u64, data: &[u8]) -> u64 {
    use ::core::hash::Hasher;
    let mut h = ::siphasher::sip::SipHasher24::new_with_keys(k0, k1);
    h.write(data);
    h.finish()
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    use ::sha2::Digest;
    ::sha2::Sha256::digest(data).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_values() {
        // CRC catalogue check values over "123456789".
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(crc64(0, b"123456789"), 0x6c40_df5f_0b49_7347);
        let mut x = Xxh64::new(0);
        x.update(b"");
        assert_eq!(x.digest(), 0xef46_db37_51d8_e999);
        assert_eq!(sha256(b"")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }

    #[test]
    fn crcs_chain() {
        let (a, b) = b"split anywhere".split_at(5);
        assert_eq!(crc32c(crc32c(7, a), b), crc32c(7, b"split anywhere"));
        assert_eq!(crc64(crc64(7, a), b), crc64(7, b"split anywhere"));
    }
}
