// SPDX-License-Identifier: GPL-2.0

//! Limits of quotas, in their btree.

use super::{
    Changes,
    Nodes, //
};
use crate::{
    btree::KeyBuf,
    error::Result,
    format::{
        bkey::Bkey,
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        values::quota::Quota, //
    },
    fs::quota::Kind,
};

/// Keys that are deleted in one transaction.
const BATCH: usize = 16;

impl Changes<'_> {
    /// Changes the limits of an id; what they are then. What can not be read counts as no limit.
    ///
    /// C: `bch2_set_quota_trans()`.
    pub fn set_limits(&self, kind: Kind, id: u32, mut f: impl FnMut(&mut Quota)) -> Result<Quota> {
        let (limits, _) = self.run(Nodes::FromFree, |t| {
            let pos = Bpos::new(kind.number(), id.into(), 0);
            let old = t.get(BtreeId::QUOTAS, pos)?;
            let old = old.filter(|k| k.k.key_type == KeyType::QUOTA);
            let mut limits = old
                .and_then(|k| Quota::decode(k.key().v).ok())
                .unwrap_or_default();
            f(&mut limits);
            let k = Bkey {
                key_type: KeyType::QUOTA,
                p: pos,
                ..Bkey::default()
            };
            t.update(BtreeId::QUOTAS, KeyBuf::of(k, &limits.encode())?)?;
            Ok(limits)
        })?;
        Ok(limits)
    }

    /// Removes all limits of a kind.
    ///
    /// C: `bch2_quota_remove()`.
    pub fn remove_limits(&self, kind: Kind) -> Result {
        let end = Bpos::new(kind.number(), u64::MAX, u32::MAX);
        let mut from = Some(Bpos::new(kind.number(), 0, 0));
        while let Some(start) = from {
            (from, _) = self.run(Nodes::FromReserve, |t| {
                let mut pos = start;
                for _ in 0..BATCH {
                    let Some(key) = t.next_header(BtreeId::QUOTAS, pos, end)? else {
                        return Ok(None);
                    };
                    let at = key.p;
                    t.delete(BtreeId::QUOTAS, at)?;
                    pos = at.next_offset();
                }
                Ok(Some(pos))
            })?;
        }
        Ok(())
    }
}
