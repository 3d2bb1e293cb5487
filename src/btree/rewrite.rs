// SPDX-License-Identifier: GPL-2.0

//! Writing nodes anew that have something in them that should not be on disk.

use super::{
    interior,
    trans::{
        Hooks,
        Writer, //
    },
    Btrees, //
};
use crate::{
    error::Result,
    journal::live::Watermark, //
};

/// Writes all nodes anew of which that was found to be necessary; returns how many.
///
/// C: `bch2_btree_node_rewrite()`, for nodes with `BTREE_NODE_need_rewrite`.
pub fn rewrite_nodes<H: Hooks>(btrees: &Btrees, writer: &Writer<H>) -> Result<usize> {
    let mut nr = 0usize;
    while let Some((btree, level, max)) = btrees.health.next_to_rewrite() {
        // It may be another one by now, which costs nothing but the write.
        if let Some(node) = btrees.find_node(btree, level, max)? {
            interior::split(btrees, writer, Watermark::Reclaim, node, 0)?;
            nr = nr.saturating_add(1);
        }
    }
    Ok(nr)
}
