// SPDX-License-Identifier: GPL-2.0

//! Small enumerations that occur in values: checksum, compression, hash and data types. A number
//! that is not known is kept; its name is `None`.

pub use crate::format::{
    csum::CsumType,
    data_type::DataType, //
};
use core::fmt;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident, $($const:ident = $nr:literal, $text:literal;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u8);

        impl $name {
            $(#[doc = concat!("`", $text, "`")] pub const $const: $name = $name($nr);)*

            /// How many are known; known numbers are below this.
            pub const NR: u8 = 0 $(+ { let _ = $nr; 1 })*;

            /// The name, `None` for a number this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($nr => Some($text),)*
                    _ => None,
                }
            }

            /// Whether this version knows the number.
            pub const fn is_known(self) -> bool {
                self.0 < Self::NR
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "(unknown {})", self.0),
                }
            }
        }
    };
}

kinds! {
    /// How an extent's data is compressed, as stored on disk.
    ///
    /// C: `enum bch_compression_type`.
    CompressionType,
    NONE = 0, "none";
    LZ4_OLD = 1, "lz4_old";
    GZIP = 2, "gzip";
    LZ4 = 3, "lz4";
    ZSTD = 4, "zstd";
    INCOMPRESSIBLE = 5, "incompressible";
}

kinds! {
    /// How names are hashed.
    ///
    /// C: `enum bch_str_hash_type`.
    StrHashType,
    CRC32C = 0, "crc32c";
    CRC64 = 1, "crc64";
    SIPHASH_OLD = 2, "siphash_old";
    SIPHASH = 3, "siphash";
}

kinds! {
    /// Why an extent became an error key, when its value says so.
    ///
    /// C: `enum bch_key_type_errors`.
    LostReason,
    UNKNOWN = 0, "unknown";
    DEVICE_REMOVED = 1, "device_removed";
    DOUBLE_ALLOCATION = 2, "double_allocation";
    NO_VALID_POINTERS_REPAIR = 3, "no_valid_pointers_repair";
    DECOMPRESS_EXCEEDED_MAX_ENCODED_EXTENT = 4, "decompress_exceeded_max_encoded_extent";
    DECOMPRESS_LZ4_OLD = 5, "decompress_lz4_old";
    DECOMPRESS_LZ4 = 6, "decompress_lz4";
    DECOMPRESS_GZIP = 7, "decompress_gzip";
    DECOMPRESS_GZIP_SIZE_MISMATCH = 8, "decompress_gzip_size_mismatch";
    DECOMPRESS_ZSTD_SRC_LEN_BAD = 9, "decompress_zstd_src_len_bad";
    DECOMPRESS_ZSTD_SIZE_MISMATCH = 10, "decompress_zstd_size_mismatch";
    DECOMPRESS_ZSTD_CORRUPTION_DETECTED = 11, "decompress_zstd_corruption_detected";
    DECOMPRESS_ZSTD_CHECKSUM_WRONG = 12, "decompress_zstd_checksum_wrong";
    DECOMPRESS_ZSTD_PREFIX_UNKNOWN = 13, "decompress_zstd_prefix_unknown";
    DECOMPRESS_ZSTD_SRC_SIZE_WRONG = 14, "decompress_zstd_src_size_wrong";
    DECOMPRESS_ZSTD_DST_SIZE_TOO_SMALL = 15, "decompress_zstd_dst_size_too_small";
    DECOMPRESS_ZSTD_MEMORY_ALLOCATION = 16, "decompress_zstd_memory_allocation";
    DECOMPRESS_ZSTD_UNKNOWN = 17, "decompress_zstd_unknown";
    DECOMPRESS_UNKNOWN = 18, "decompress_unknown";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers_are_dense() {
        assert_eq!(CompressionType::NR, 6);
        assert_eq!(LostReason::NR, 19);
        assert!(StrHashType::SIPHASH.is_known() && !StrHashType(4).is_known());
        assert_eq!(StrHashType(4).name(), None);
    }
}
