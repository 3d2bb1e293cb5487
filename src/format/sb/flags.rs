// SPDX-License-Identifier: GPL-2.0

//! The bit fields of the superblock's flag words.

/// A bit field in one of several 64-bit words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitField {
    word: u8,
    first: u8,
    bits: u8,
}

impl BitField {
    /// Bits `first` to `end - 1` of word `word`; at least one bit, and within the word.
    // Inline, so that the assertion exists at compile time only.
    #[inline]
    pub const fn new(word: u8, first: u8, end: u8) -> Self {
        assert!(first < end && end <= 64, "not a range of bits");
        Self {
            word,
            first,
            #[allow(clippy::arithmetic_side_effects)]
            bits: end - first,
        }
    }

    /// The value of the field in `words`; 0 when there is no such word.
    pub fn get(self, words: &[zerocopy::little_endian::U64]) -> u64 {
        let word = words.get(usize::from(self.word)).map_or(0, |w| w.get());
        (word >> (self.first & 63)) & self.max()
    }

    /// Sets the field in `words`; bits of `v` that do not fit are lost. Nothing happens when there
    /// is no such word.
    pub fn set(self, words: &mut [zerocopy::little_endian::U64], v: u64) {
        if let Some(word) = words.get_mut(usize::from(self.word)) {
            let (first, max) = (self.first & 63, self.max());
            *word = ((word.get() & !(max << first)) | ((v & max) << first)).into();
        }
    }

    /// The largest value the field can have.
    pub const fn max(self) -> u64 {
        // `bits` is 1 to 64.
        u64::MAX >> (64u8.wrapping_sub(self.bits) & 63)
    }
}

macro_rules! sb_flags {
    ($($name:ident = $word:literal[$first:literal..$end:literal];)*) => {
        $(
            #[doc = concat!("C: `BCH_SB_", stringify!($name), "`")]
            pub const $name: BitField = BitField::new($word, $first, $end);
        )*
    };
}

// C: the `LE64_BITMASK(BCH_SB_*, struct bch_sb, ...)`.
sb_flags! {
    INITIALIZED = 0[0..1];
    CLEAN = 0[1..2];
    CSUM_TYPE = 0[2..8];
    ERROR_ACTION = 0[8..12];
    BTREE_NODE_SIZE = 0[12..28];
    GC_RESERVE = 0[28..33];
    ROOT_RESERVE = 0[33..40];
    META_CSUM_TYPE = 0[40..44];
    DATA_CSUM_TYPE = 0[44..48];
    META_REPLICAS_WANT = 0[48..52];
    DATA_REPLICAS_WANT = 0[52..56];
    POSIX_ACL = 0[56..57];
    USRQUOTA = 0[57..58];
    GRPQUOTA = 0[58..59];
    PRJQUOTA = 0[59..60];
    HAS_ERRORS = 0[60..61];
    HAS_TOPOLOGY_ERRORS = 0[61..62];
    BIG_ENDIAN = 0[62..63];
    PROMOTE_WHOLE_EXTENTS = 0[63..64];
    STR_HASH_TYPE = 1[0..4];
    COMPRESSION_TYPE_LO = 1[4..8];
    INODE_32BIT = 1[8..9];
    WIDE_MACS = 1[9..10];
    ENCRYPTION_TYPE = 1[10..14];
    ENCODED_EXTENT_MAX_BITS = 1[14..20];
    META_REPLICAS_REQ = 1[20..24];
    DATA_REPLICAS_REQ = 1[24..28];
    PROMOTE_TARGET = 1[28..40];
    FOREGROUND_TARGET = 1[40..52];
    BACKGROUND_TARGET = 1[52..64];
    BACKGROUND_COMPRESSION_TYPE_LO = 2[0..4];
    GC_RESERVE_BYTES = 2[4..64];
    ERASURE_CODE = 3[0..16];
    METADATA_TARGET = 3[16..28];
    SHARD_INUMS = 3[28..29];
    INODES_USE_KEY_CACHE = 3[29..30];
    JOURNAL_FLUSH_DELAY = 3[30..62];
    JOURNAL_FLUSH_DISABLED = 3[62..63];
    MULTI_DEVICE = 3[63..64];
    JOURNAL_RECLAIM_DELAY = 4[0..32];
    JOURNAL_TRANSACTION_NAMES = 4[32..33];
    NOCOW = 4[33..34];
    WRITE_BUFFER_SIZE = 4[34..54];
    VERSION_UPGRADE = 4[54..56];
    COMPRESSION_TYPE_HI = 4[56..60];
    BACKGROUND_COMPRESSION_TYPE_HI = 4[60..64];
    VERSION_UPGRADE_COMPLETE = 5[0..16];
    ALLOCATOR_STUCK_TIMEOUT = 5[16..32];
    VERSION_INCOMPAT = 5[32..48];
    VERSION_INCOMPAT_ALLOWED = 5[48..64];
    SHARD_INUMS_NBITS = 6[0..4];
    WRITE_ERROR_TIMEOUT = 6[4..14];
    CSUM_ERR_RETRY_NR = 6[14..20];
    DEGRADED_ACTION = 6[20..22];
    CASEFOLD = 6[22..23];
    REBALANCE_AC_ONLY = 6[23..24];
    WRITEBACK_TIMEOUT = 6[24..40];
    EXTENT_BP_SHIFT = 6[40..48];
    SCRUB_JOURNAL = 6[48..50];
    EC_MAX_DATA_BLOCKS = 6[50..58];
    MOVE_WRITES_FUA = 6[58..59];
    DIRENTS_SANITIZED = 6[59..60];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_cut_out() {
        let words = [0xf0u64.into(), (1u64 << 63).into()];
        assert_eq!(BitField::new(0, 4, 8).get(&words), 15);
        assert_eq!(BitField::new(0, 0, 64).get(&words), 0xf0);
        assert_eq!(BitField::new(1, 63, 64).get(&words), 1);
        assert_eq!(BitField::new(2, 0, 64).get(&words), 0);
        assert_eq!(BitField::new(0, 0, 64).max(), u64::MAX);
        assert_eq!(BitField::new(0, 3, 4).max(), 1);
    }

    #[test]
    fn fields_are_put_in() {
        let mut words = [u64::MAX.into(), 0u64.into()];
        BitField::new(0, 4, 8).set(&mut words, 0x12);
        assert_eq!(words[0].get(), !0xf0 | 0x20);
        BitField::new(1, 0, 64).set(&mut words, u64::MAX);
        BitField::new(1, 63, 64).set(&mut words, 0);
        assert_eq!(words[1].get(), u64::MAX >> 1);
        BitField::new(2, 0, 1).set(&mut words, 1);
    }
}
