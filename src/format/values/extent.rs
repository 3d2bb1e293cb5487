// SPDX-License-Identifier: GPL-2.0

//! Keys with pointers to data: `extent`, `reflink_v`, `btree_ptr`, `btree_ptr_v2`, `stripe`.

use super::{
    btree_ptr::BTREE_PTR_V2_BYTES,
    crc::Crc,
    extent_entry::{
        Entries,
        Entry,
        EntrySizes,
        Ptr,
        Reconcile,
        StripePtr,
        EXTENT_POISONED, //
    },
    reflink::REFLINK_V_BYTES,
    stripe::{
        Stripe,
        STRIPE_BYTES, //
    },
};
use crate::{
    error::Invalid,
    format::{
        bkey::Key,
        key_type::KeyType, //
    },
};

/// The most pointers a key can have. C: `BCH_BKEY_PTRS_MAX`.
pub const PTRS_MAX: usize = 16;

/// The bytes of a key's value that are extent entries; empty for keys without pointers.
/// Of a stripe, they are the pointers to its blocks.
///
/// C: `bch2_bkey_ptrs_c()`.
pub fn entry_bytes<'a>(key: &Key<'a>) -> &'a [u8] {
    let start = match key.k.key_type {
        KeyType::BTREE_PTR | KeyType::EXTENT => 0,
        KeyType::BTREE_PTR_V2 => BTREE_PTR_V2_BYTES,
        KeyType::REFLINK_V => REFLINK_V_BYTES,
        KeyType::STRIPE => return stripe_ptr_bytes(key.v),
        _ => return &[],
    };
    key.v.get(start..).unwrap_or(&[])
}

/// The pointers of a stripe: cut short where the value ends before.
fn stripe_ptr_bytes(v: &[u8]) -> &[u8] {
    let nr_blocks = Stripe::decode(v).map_or(0, |s| usize::from(s.nr_blocks));
    let ptrs = v.get(STRIPE_BYTES..).unwrap_or(&[]);
    ptrs.get(..nr_blocks.saturating_mul(8)).unwrap_or(ptrs)
}

/// The extent entries of a key's value. C: `bkey_extent_entry_for_each()`.
pub fn entries<'a>(key: &Key<'a>, sizes: &EntrySizes) -> Entries<'a> {
    Entries::new(entry_bytes(key), key.k.size, sizes)
}

/// A pointer with what applies to it.
///
/// C: `struct extent_ptr_decoded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodedPtr {
    /// Where the data is.
    pub ptr: Ptr,
    /// How it is checksummed and compressed.
    pub crc: Crc,
    /// The stripe its bucket is part of.
    pub stripe: Option<StripePtr>,
}

/// The pointers of a key, each with what applies to it. After an error there are no more.
///
/// C: `bkey_for_each_ptr_decode()`.
#[derive(Clone, Debug)]
pub struct Ptrs<'a> {
    entries: Entries<'a>,
    crc: Crc,
}

/// The pointers of a key, each with what applies to it.
pub fn ptrs<'a>(key: &Key<'a>, sizes: &EntrySizes) -> Ptrs<'a> {
    Ptrs {
        entries: entries(key, sizes),
        crc: Crc::none(key.k.size),
    }
}

impl Iterator for Ptrs<'_> {
    type Item = Result<DecodedPtr, Invalid>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut stripe = None;
        loop {
            match self.entries.next()? {
                Err(e) => return Some(Err(e)),
                Ok(Entry::Ptr(ptr)) => {
                    return Some(Ok(DecodedPtr {
                        ptr,
                        crc: self.crc,
                        stripe,
                    }))
                }
                Ok(Entry::Crc(_, crc)) => self.crc = crc,
                Ok(Entry::Stripe(s)) => stripe = Some(s),
                Ok(_) => (),
            }
        }
    }
}

/// Whether a key is of space that has its place, but no data: it reads as zeros.
/// C: `bkey_extent_is_unwritten()`.
pub fn is_unwritten(key: &Key<'_>, sizes: &EntrySizes) -> bool {
    ptrs(key, sizes).any(|p| p.is_ok_and(|p| p.ptr.unwritten))
}

/// Whether the data of a key is known to be bad. C: `bkey_extent_is_poisoned` via
/// `bch2_bkey_extent_flags()`.
pub fn is_poisoned(key: &Key<'_>, sizes: &EntrySizes) -> bool {
    matches!(
        entries(key, sizes).next(),
        Some(Ok(Entry::Flags(flags))) if flags & EXTENT_POISONED != 0
    )
}

/// The options for background work, if the key has them. C: `bch2_bkey_reconcile_opts()`.
pub fn reconcile(key: &Key<'_>, sizes: &EntrySizes) -> Option<Reconcile> {
    entries(key, sizes).find_map(|e| match e {
        Ok(Entry::Reconcile(r)) => Some(r),
        _ => None,
    })
}
