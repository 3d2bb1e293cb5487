// SPDX-License-Identifier: GPL-2.0

//! Pointers to btree nodes.

use super::{
    extent::{
        ptrs,
        Ptrs, //
    },
    extent_entry::EntrySizes,
    raw,
};
use crate::{
    error::Invalid,
    format::{
        bkey::Key,
        bpos::{
            Bpos,
            RawBpos, //
        },
        key_type::KeyType, //
    },
};
use zerocopy::little_endian::{
    U16,
    U64, //
};
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// A `btree_ptr_v2` as bytes, without the pointers behind it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawBtreePtrV2 {
    mem_ptr: U64,
    seq: U64,
    sectors_written: U16,
    flags: U16,
    min_key: RawBpos,
}

/// Bytes before the pointers in a `btree_ptr_v2`.
pub const BTREE_PTR_V2_BYTES: usize = 40;

const _: () = assert!(size_of::<RawBtreePtrV2>() == BTREE_PTR_V2_BYTES);

/// A pointer to a btree node: what the node's header must say. The copies are
/// [`BtreePtr::ptrs`].
///
/// C: `struct bch_btree_ptr_v2`, and `struct bch_btree_ptr` where `v2` is `None`.
#[derive(Clone, Copy, Debug)]
pub struct BtreePtr<'a> {
    key: Key<'a>,
    /// What the second version adds.
    pub v2: Option<NodeIdentity>,
}

/// How a node's header can be told to be the one that was pointed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeIdentity {
    /// The node's sequence number: equals `seq` of its first bset.
    pub seq: u64,
    /// Sectors of the node that are written; 0 when unknown (before 0.14).
    pub sectors_written: u16,
    /// The lowest position the node may hold.
    pub min_key: Bpos,
    /// The node's range was changed without rewriting its header: [`NodeIdentity::min_key`]
    /// and the key's position count, not what the node says.
    pub range_updated: bool,
}

impl NodeIdentity {
    /// What stands before the pointers in a `btree_ptr_v2`.
    pub fn encode(&self) -> [u8; BTREE_PTR_V2_BYTES] {
        let raw = RawBtreePtrV2 {
            mem_ptr: 0.into(),
            seq: self.seq.into(),
            sectors_written: self.sectors_written.into(),
            flags: u16::from(self.range_updated).into(),
            min_key: self.min_key.into(),
        };
        zerocopy::transmute!(raw)
    }
}

impl<'a> BtreePtr<'a> {
    /// Decodes a `btree_ptr` or `btree_ptr_v2`; `Ok(None)` for keys of another type.
    pub fn decode(key: &Key<'a>) -> Result<Option<Self>, Invalid> {
        let v2 = match key.k.key_type {
            KeyType::BTREE_PTR => None,
            KeyType::BTREE_PTR_V2 => {
                let raw: RawBtreePtrV2 = raw::prefix(key.v)?;
                Some(NodeIdentity {
                    seq: raw.seq.get(),
                    sectors_written: raw.sectors_written.get(),
                    min_key: raw.min_key.into(),
                    range_updated: raw.flags.get() & 1 != 0,
                })
            }
            _ => return Ok(None),
        };
        Ok(Some(Self { key: *key, v2 }))
    }

    /// The highest position the node holds: the key's. C: `max_key`.
    pub const fn max_key(&self) -> Bpos {
        self.key.k.p
    }

    /// The node's copies. C: `bkey_for_each_ptr_decode()`.
    pub fn ptrs(&self, sizes: &EntrySizes) -> Ptrs<'a> {
        ptrs(&self.key, sizes)
    }
}

/// The sequence number in a pointer to a node, 0 when it has none. C: `btree_ptr_hash_val()` uses
/// it as the node's identity.
pub fn node_seq(key: &Key<'_>) -> u64 {
    match BtreePtr::decode(key) {
        Ok(Some(BtreePtr { v2: Some(id), .. })) => id.seq,
        _ => 0,
    }
}
