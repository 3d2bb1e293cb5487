// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::{
    algo::key_format::FormatBuilder,
    format::node::RawKeyFormat, //
};
use proptest::prelude::*;

fn key(p: Bpos, size: u32, version: Version) -> Bkey {
    Bkey {
        key_type: KeyType::EXTENT,
        version,
        size,
        p,
    }
}

fn any_bkey() -> impl Strategy<Value = Bkey> {
    let shifted = |bits: u32| (any::<u64>(), 0..bits).prop_map(|(v, s)| v >> s);
    (
        shifted(64),
        shifted(64),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        shifted(64),
    )
        .prop_map(|(inode, offset, snapshot, size, hi, lo)| {
            key(Bpos::new(inode, offset, snapshot), size, Version { hi, lo })
        })
}

/// The example in C's `bch2_bkey_pack_test()`.
#[test]
fn fields_without_offset() {
    let raw = RawKeyFormat {
        key_u64s: 3,
        nr_fields: 6,
        bits_per_field: [13, 64, 32, 0, 0, 0],
        ..RawKeyFormat::default()
    };
    let format = KeyFormat::decode(&raw).unwrap();
    let k = key(
        Bpos::new(4134, 1_250_629_070_527_416_633, 0),
        0,
        Version::default(),
    );
    let packed = format.pack(&k, 2).unwrap();
    assert_eq!(packed.words().len(), 3);
    assert_eq!(packed.words()[0] & 0xff, 5);
    assert_eq!(packed.words()[2] >> 51, 4134);
    assert_eq!(format.unpack(packed.words()), k);
    assert!(format
        .pack(&key(Bpos::new(1 << 13, 0, 0), 0, Version::default()), 0)
        .is_none());
    assert!(format
        .pack(&key(Bpos::MIN, 1, Version::default()), 0)
        .is_none());
}

#[test]
fn unpacked_headers_are_the_stored_ones() {
    use crate::format::bkey::RawBkey;
    use zerocopy::IntoBytes as _;
    let k = key(
        Bpos::new(1, 2, 3),
        4,
        Version {
            hi: 5,
            lo: 6 << 40 | 7,
        },
    );
    let raw = RawBkey::encode(&k, 9).unwrap();
    let packed = KeyFormat::UNPACKED.pack(&k, 9).unwrap();
    assert_eq!(packed.words().as_bytes(), raw.as_bytes());
    assert_eq!(KeyFormat::UNPACKED.unpack(packed.words()), k);
    assert!(KeyFormat::UNPACKED.pack(&k, 251).is_none());
}

#[test]
fn formats_that_lie_are_refused() {
    let good = KeyFormat::UNPACKED.encode();
    assert_eq!(KeyFormat::decode(&good).unwrap(), KeyFormat::UNPACKED);
    let refused = |change: &dyn Fn(&mut RawKeyFormat)| {
        let mut raw = good;
        change(&mut raw);
        KeyFormat::decode(&raw).is_err()
    };
    assert!(refused(&|f| f.nr_fields = 5));
    assert!(refused(&|f| f.key_u64s = 4));
    assert!(refused(&|f| f.key_u64s = 0));
    assert!(refused(&|f| f.bits_per_field[0] = 65));
    assert!(refused(&|f| f.bits_per_field[3] = 33));
    assert!(refused(&|f| f.field_offset[0] = 1.into()));
    assert!(refused(&|f| f.field_offset[2] = 1.into()));
    assert!(refused(&|f| {
        f.bits_per_field[2] = 4;
        f.field_offset[2] = (u64::from(u32::MAX) - 14).into();
    }));
    assert!(KeyFormat::decode(&RawKeyFormat::default()).is_err());
}

#[test]
fn an_empty_format_is_one_word() {
    let format = FormatBuilder::new().finish();
    assert_eq!(format.key_u64s(), 1);
    let k = key(Bpos::MIN, 0, Version::default());
    assert_eq!(format.unpack(format.pack(&k, 0).unwrap().words()), k);
}

proptest! {
    #[test]
    fn built_formats_hold_what_was_added(
        keys in proptest::collection::vec(any_bkey(), 1..8),
        value_u64s in 0..200u8,
    ) {
        let mut builder = FormatBuilder::new();
        keys.iter().for_each(|k| builder.add_key(k));
        let format = builder.finish();
        prop_assert_eq!(KeyFormat::decode(&format.encode()).unwrap(), format);
        for k in &keys {
            let packed = format.pack(k, value_u64s).unwrap();
            let at = format.search_key(k.p);
            prop_assert_eq!(format.pack_at(&at, k, value_u64s), Some(packed));
            prop_assert_eq!(format.unpack(packed.words()), *k);
            prop_assert_eq!(format.unpack_pos(packed.words()), k.p);
            let head = Head::of(packed.words()[0]);
            prop_assert_eq!(head.u64s(), format.key_u64s() + usize::from(value_u64s));
            prop_assert_eq!(head.key_type(), k.key_type);
            prop_assert!(!head.needs_whiteout());
        }
    }

    #[test]
    fn any_stored_format_is_refused_or_exact(
        bits in proptest::array::uniform6(0..70u8),
        offsets in proptest::array::uniform6(any::<u64>()),
        zero_offsets in any::<bool>(),
        k in any_bkey(),
    ) {
        let total: u32 = bits.iter().map(|b| u32::from(*b)).sum::<u32>() + 24;
        let raw = RawKeyFormat {
            key_u64s: total.div_ceil(64) as u8,
            nr_fields: 6,
            bits_per_field: bits,
            field_offset: offsets.map(|o| if zero_offsets { 0 } else { o >> 8 }.into()),
        };
        if let Ok(format) = KeyFormat::decode(&raw) {
            let packed = format.pack(&k, 0);
            prop_assert_eq!(&format.pack_at(&format.search_key(k.p), &k, 0), &packed);
            if let Some(packed) = packed {
                prop_assert_eq!(format.unpack(packed.words()), k);
            }
            // Too short a buffer is no trouble.
            format.unpack(&[]);
        }
    }
}
