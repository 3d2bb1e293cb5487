// SPDX-License-Identifier: GPL-2.0

//! The bytes of what is written of a node.

use super::node::{
    Body,
    Node, //
};
use crate::{
    algo::crypt::Seal,
    env::{
        num::{
            low_u16,
            round_up_pow2,
            u64_of,
            usize_of, //
        },
        units::SECTOR_SHIFT,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        node::{
            filesystem_magic,
            NodeHeader,
            RawBset,
            RawCsum,
            RawNode,
            RawNodeEntry,
            BSET_MAGIC,
            CSUM_BYTES,
            ENTRY_HEADER_BYTES,
            NODE_HEADER_BYTES, //
        },
        nonce::Nonce,
    },
    sb::SbState,
};
use zerocopy::IntoBytes as _;

/// One set of keys as it goes to the disk.
pub(super) struct Image {
    /// Whole blocks.
    pub(super) bytes: Vec<u8>,
    /// Where in the node it goes, in sectors.
    pub(super) offset: u16,
}

impl Image {
    /// Sectors of the node that are in use once this is written.
    pub(super) fn end(&self) -> u16 {
        self.offset.saturating_add(self.sectors())
    }

    fn sectors(&self) -> u16 {
        low_u16(u64_of(self.bytes.len() >> SECTOR_SHIFT))
    }
}

/// Encodes what of a node is not on disk; the whole, when it was never written.
///
/// C: `__bch2_btree_node_write()`.
#[inline(never)]
pub(super) fn encode(st: &SbState, node: &Node, body: &Body) -> Result<Image> {
    let (first, kind) = (body.written == 0, st.metadata_checksum());
    let (header, keys) = match first {
        true => (NODE_HEADER_BYTES, body.keys.live_u64s()),
        false => (ENTRY_HEADER_BYTES, body.keys.fresh_u64s()),
    };
    let block = u64::from(st.sb.block_bytes());
    // All at once, with what fills the last block.
    let most = header.saturating_add(keys.saturating_mul(8));
    let most = round_up_pow2(u64_of(most), block).unwrap_or(0);
    let mut bytes = Vec::with_capacity(usize_of(most))?;
    bytes.resize(header, 0)?;
    if first {
        body.keys.pack_all(&mut bytes)?;
    } else {
        body.keys.pack_fresh(&mut bytes)?;
    }
    let end = bytes.len();
    let u64s = u16::try_from(end.saturating_sub(header) >> 3).ok();
    let whole = usize_of(round_up_pow2(u64_of(end), block).unwrap_or(u64::MAX));
    let room = usize::from(st.sb.node_sectors().saturating_sub(body.written)) << SECTOR_SHIFT;
    let u64s = u64s.filter(|_| whole <= room).ok_or(Error::NodeFull)?;

    let set = RawBset::new(
        node.seq,
        body.journal_seq,
        kind,
        body.written,
        st.sb.version().0,
    );
    let set = set.with_u64s(u64s);
    if first {
        let header = NodeHeader {
            magic: filesystem_magic(&st.sb.uuid().0) ^ BSET_MAGIC,
            btree: node.btree,
            level: node.level,
            replaced: node.replaced,
            min: node.min,
            max: node.max,
            format: body.keys.format().encode(),
        };
        put(&mut bytes, RawNode::new(&header, set).as_bytes());
    } else {
        put(&mut bytes, RawNodeEntry::new(set).as_bytes());
    }

    let seal = Seal {
        key: st.key(),
        nonce: Nonce::node(&set, u32::from(body.written) << SECTOR_SHIFT),
    };
    seal.open_set(kind, &mut bytes, first);
    let covered = bytes.get(CSUM_BYTES..end).unwrap_or_default();
    let csum = seal.checksum(kind, core::iter::once(covered));
    let csum = RawCsum::from(csum.map_err(|_| Error::NodeNotSealed)?);
    put(&mut bytes, csum.as_bytes());
    bytes.resize(whole, 0)?;
    Ok(Image {
        bytes,
        offset: body.written,
    })
}

/// Puts `from` at the start of `to`.
fn put(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
