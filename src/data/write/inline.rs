// SPDX-License-Identifier: GPL-2.0

//! Data of small files, which is kept with the keys.

use super::{
    bytes::{
        copy,
        Bytes, //
    },
    key,
    op::{
        Op,
        Written,
        SECTOR, //
    },
    update::put_extent, //
};
use crate::{
    env::num::{
        u64_of,
        usize_of,
        usize_of_u32, //
    },
    error::Result,
    format::{
        opts::OptId,
        sb::{
            counters::Counter,
            Features, //
        },
    },
};

/// The most bytes of a file's last block that are kept with the keys. A longer value would fill a
/// node with few of them.
///
/// C: in `bch2_write()`.
const INLINE_MAX: usize = 1024;

impl Op<'_> {
    /// Puts `len` bytes of `from`, whole blocks that go to sector `at`, into a key of their own, if
    /// the file ends so soon that this is worth it, and there are zeros behind its end: `None` if
    /// not. Needs no space, and has no checksum but that of the node.
    ///
    /// C: `bch2_write_data_inline()`.
    #[inline(never)]
    pub(super) fn put_inline(
        &self,
        from: &(impl Bytes + ?Sized),
        at: u64,
        len: usize,
    ) -> Result<Option<Written>> {
        let st = self.view.sb();
        let left = self.size.saturating_sub(at.saturating_mul(u64_of(SECTOR)));
        let used = usize_of(left).min(len);
        let most = INLINE_MAX.min(usize_of_u32(st.sb.block_bytes()) / 2);
        let fits = used > 0 && used <= most && from.together(0) >= len;
        if !fits || !st.opts.is_on(OptId::InlineData) {
            return Ok(None);
        }
        // The file may be longer than is known here, and this not its end.
        let all = copy(from, 0, len)?;
        let data = match all.split_at_checked(used) {
            Some((data, behind)) if behind.iter().all(|byte| *byte == 0) => data,
            _ => return Ok(None),
        };
        st.use_features(1 << Features::INLINE_DATA)?;
        let end = at.saturating_add(u64_of(len / SECTOR));
        let key = key::inline(self.file, at, end, data)?;
        let put = put_extent(self.engine, self.view, self.file, &key, self.size)?;
        let sectors = end.saturating_sub(at);
        st.counters.add(Counter::DATA_WRITE, sectors);
        self.engine.writer.journal.add_clock(1, sectors);
        Ok(Some(Written {
            seq: put.seq,
            sectors: put.sectors,
            bytes: len,
        }))
    }
}
