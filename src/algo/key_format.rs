// SPDX-License-Identifier: GPL-2.0

//! How a node packs its keys' headers.
//!
//! A packed header is one little-endian integer of `key_u64s` words. Its lowest 24 bits say how
//! long the key is, how it is packed and what kind of value it has; the fields follow each other
//! downwards from the highest bit, in the order inode, offset, snapshot, size, version. So
//! positions compare like the integers they are packed into. An unpacked header is laid out the
//! same way with full-width fields.

use crate::{
    env::num::{
        low_u8,
        usize_of_u32, //
    },
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Bkey,
        bpos::Bpos,
        node::{
            RawKeyFormat,
            NR_KEY_FIELDS, //
        },
    },
};

/// Most words a header can take, packed or not. C: `BKEY_U64s`.
pub const MAX_KEY_U64S: usize = 5;
/// Bits at the low end of a header that are not fields. C: `KEY_PACKED_BITS_START`.
const HEADER_BITS: u32 = 24;
/// Widths of the fields in an unpacked header.
const UNPACKED_BITS: [u32; NR_KEY_FIELDS] = [64, 64, 32, 32, 32, 64];

pub(super) const INODE: usize = 0;
pub(super) const OFFSET: usize = 1;
pub(super) const SNAPSHOT: usize = 2;
pub(super) const SIZE: usize = 3;
pub(super) const VERSION_HI: usize = 4;
pub(super) const VERSION_LO: usize = 5;

/// Where one field is in the packed header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// What to add to the packed value.
    pub(super) offset: u64,
    /// The largest packed value: as many ones as the field has bits.
    pub(super) mask: u64,
    /// Distance of the field's highest bit from the header's highest bit.
    pub(super) from_top: u32,
    /// Bits to shift a left-aligned value right by; meaningless when there are no bits.
    pub(super) align: u32,
}

impl Field {
    const fn new(from_top: u32, bits: u32, offset: u64) -> Self {
        Self {
            offset,
            mask: ones(bits),
            from_top,
            align: 64u32.wrapping_sub(bits) & 63,
        }
    }
}

/// A checked, decoded key format.
///
/// C: `struct bkey_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFormat {
    pub(super) fields: [Field; NR_KEY_FIELDS],
    /// Which bits of the highest three words are part of the position, highest word first.
    pub(super) pos_mask: [u64; 3],
    /// Bits of the position; they are the highest ones of the header. 0 to 160.
    pub(super) pos_bits: u32,
    pub(super) key_u64s: u8,
    /// It is that of unpacked headers.
    pub(super) is_unpacked: bool,
}

/// As many ones as `bits` says, at most 64.
const fn ones(bits: u32) -> u64 {
    match u64::MAX.checked_shl(bits) {
        Some(high) => !high,
        None => u64::MAX,
    }
}

impl KeyFormat {
    /// The format of an unpacked header. C: `bch2_bkey_format_current`.
    pub const UNPACKED: Self = Self::lay_out(UNPACKED_BITS, [0; NR_KEY_FIELDS], 5);

    const fn lay_out(
        bits: [u32; NR_KEY_FIELDS],
        offsets: [u64; NR_KEY_FIELDS],
        key_u64s: u8,
    ) -> Self {
        let [b0, b1, b2, b3, b4, b5] = bits;
        let [o0, o1, o2, o3, o4, o5] = offsets;
        let inode = Field::new(0, b0, o0);
        let offset = Field::new(b0, b1, o1);
        let snapshot = Field::new(offset.from_top.wrapping_add(b1), b2, o2);
        let pos_bits = snapshot.from_top.wrapping_add(b2);
        let size = Field::new(pos_bits, b3, o3);
        let version_hi = Field::new(size.from_top.wrapping_add(b3), b4, o4);
        let version_lo = Field::new(version_hi.from_top.wrapping_add(b4), b5, o5);
        let unpacked = matches!(bits, [64, 64, 32, 32, 32, 64]);
        Self {
            fields: [inode, offset, snapshot, size, version_hi, version_lo],
            pos_mask: [
                !ones(64u32.saturating_sub(pos_bits)),
                !ones(128u32.saturating_sub(pos_bits)),
                !ones(192u32.saturating_sub(pos_bits)),
            ],
            pos_bits,
            key_u64s,
            // Fields of their full width have no offset.
            is_unpacked: unpacked && key_u64s == 5,
        }
    }

    /// Decodes and checks a stored format. What passes can not represent a field beyond its
    /// unpacked width, so that packed keys compare like unpacked ones, and its headers have at
    /// most [`MAX_KEY_U64S`] words.
    ///
    /// C: `bch2_bkey_format_invalid()`.
    pub fn decode(raw: &RawKeyFormat) -> Result<Self, Invalid> {
        let bad = |what, found: u32, limit| {
            Err(Invalid::with(
                FsckError::BTREE_NODE_BAD_FORMAT,
                what,
                u64::from(found),
                limit,
            ))
        };
        if usize::from(raw.nr_fields) != NR_KEY_FIELDS {
            return bad("key format's number of fields", raw.nr_fields.into(), 6);
        }
        let mut total = HEADER_BITS;
        let mut offsets = [0; NR_KEY_FIELDS];
        let bits = raw.bits_per_field.map(u32::from);
        for (nr, (&bits, &full)) in bits.iter().zip(&UNPACKED_BITS).enumerate() {
            let stored = raw.field_offset.get(nr).map_or(0, |o| o.get());
            if bits > full {
                return bad("bits of a key format's field", bits, u64::from(full));
            }
            let largest = stored.checked_add(ones(bits));
            if largest.is_none_or(|l| l > ones(full)) {
                return bad("key format's field beyond its width", bits, stored);
            }
            if let Some(offset) = offsets.get_mut(nr) {
                *offset = stored;
            }
            total = total.saturating_add(bits);
        }
        let want = total.div_ceil(64);
        if u32::from(raw.key_u64s) != want {
            return bad("key format's words", raw.key_u64s.into(), u64::from(want));
        }
        Ok(Self::lay_out(bits, offsets, raw.key_u64s))
    }

    /// The format as stored.
    pub fn encode(&self) -> RawKeyFormat {
        let mut raw = RawKeyFormat {
            key_u64s: self.key_u64s,
            nr_fields: 6,
            ..RawKeyFormat::default()
        };
        let stored = raw.bits_per_field.iter_mut().zip(&mut raw.field_offset);
        for (f, (bits, offset)) in self.fields.iter().zip(stored) {
            *bits = low_u8(u64::from(f.mask.count_ones()));
            *offset = f.offset.into();
        }
        raw
    }

    /// Words of 8 bytes in a packed header: 1 to [`MAX_KEY_U64S`].
    #[inline]
    pub fn key_u64s(&self) -> usize {
        usize::from(self.key_u64s)
    }

    /// Bits of a packed header that are the position: 0 to 160.
    #[inline]
    pub fn pos_bits(&self) -> u32 {
        self.pos_bits
    }
}

/// Collects what a format must be able to hold.
///
/// C: `struct bkey_format_state`.
#[derive(Clone, Copy, Debug)]
pub struct FormatBuilder {
    min: [u64; NR_KEY_FIELDS],
    max: [u64; NR_KEY_FIELDS],
}

impl Default for FormatBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl FormatBuilder {
    /// Nothing to hold yet, but a size of 0.
    pub const fn new() -> Self {
        let mut min = [u64::MAX; NR_KEY_FIELDS];
        let [_, _, _, size, _, _] = &mut min;
        *size = 0;
        Self {
            min,
            max: [0; NR_KEY_FIELDS],
        }
    }

    #[inline]
    fn add(&mut self, values: &[u64]) {
        let known = self.min.iter_mut().zip(&mut self.max);
        for (v, (min, max)) in values.iter().zip(known) {
            *min = (*min).min(*v);
            *max = (*max).max(*v);
        }
    }

    /// The format must hold this position.
    pub fn add_pos(&mut self, p: Bpos) {
        self.add(&[p.inode, p.offset, u64::from(p.snapshot)]);
    }

    /// The format must hold this key.
    #[inline]
    pub fn add_key(&mut self, k: &Bkey) {
        self.add(&super::pack::field_values(k));
    }

    /// The smallest format that holds everything added, with fields rounded up to bytes where
    /// that costs nothing.
    ///
    /// C: `bch2_bkey_format_done()`.
    pub fn finish(&self) -> KeyFormat {
        let mut bits = [0u32; NR_KEY_FIELDS];
        let mut offsets = [0; NR_KEY_FIELDS];
        for ((b, o), (min, max)) in bits
            .iter_mut()
            .zip(&mut offsets)
            .zip(self.min.iter().zip(&self.max))
        {
            *o = (*min).min(*max);
            *b = 64u32.saturating_sub(max.wrapping_sub(*o).leading_zeros());
        }
        if let Some(size) = bits.get_mut(SIZE).filter(|b| **b > 0) {
            // Room for extents to be merged.
            *size = size.saturating_add(4).min(32);
        }
        let used = bits.iter().sum::<u32>().saturating_add(HEADER_BITS);
        let key_u64s = used.div_ceil(64);
        let mut spare = key_u64s.saturating_mul(64).saturating_sub(used);
        for ((b, o), &full) in bits.iter_mut().zip(&mut offsets).zip(&UNPACKED_BITS) {
            let more = b.next_multiple_of(8).saturating_sub(*b);
            if more <= spare {
                *b = b.saturating_add(more);
                spare = spare.saturating_sub(more);
            }
            *b = (*b).min(full);
            // A field of its full width needs no offset; any other must not reach beyond that.
            *o = (*o).min(ones(full).saturating_sub(ones(*b)));
        }
        KeyFormat::lay_out(bits, offsets, low_u8(u64::from(key_u64s)))
    }
}

/// The `n`th word of a header counted from the highest, 0 beyond it.
#[inline]
pub(super) fn nth_word(words: &[u64; 8], n: u32) -> u64 {
    words.get(usize_of_u32(n & 7)).copied().unwrap_or(0)
}
