// SPDX-License-Identifier: GPL-2.0

//! Keys as text, whatever their type and whatever their bytes.

use super::{
    accounting::{
        counters,
        Counted, //
    },
    alloc::{
        bucket_gens,
        Alloc, //
    },
    backpointer::Backpointer,
    btree_ptr::BtreePtr,
    damage::damage,
    dirent::Dirent,
    extent::entries,
    extent_entry::EntrySizes,
    inline_data::{
        inline_data,
        Shown, //
    },
    inode::{
        Inode,
        InodeAllocCursor,
        InodeGeneration, //
    },
    logged_op::{
        LoggedInsert,
        LoggedStripeUpdate,
        LoggedTruncate, //
    },
    plain::{
        cookie,
        lost_reason,
        lru_idx,
        Reservation, //
    },
    quota::Quota,
    reflink::{
        refcount,
        ReflinkPtr, //
    },
    snapshot::{
        Snapshot,
        SnapshotTree, //
    },
    stripe::Stripe,
    subvolume::Subvolume,
    xattr::Xattr,
};
use crate::{
    error::Invalid,
    format::{
        bkey::Key,
        key_type::KeyType,
        sb::Version, //
    },
};
use core::fmt;

/// A key to be shown: its header, then its value. Values that can not be decoded are shown as
/// what is wrong with them.
///
/// C: `bch2_bkey_val_to_text()`.
#[derive(Clone, Copy)]
pub struct KeyText<'a> {
    key: &'a Key<'a>,
    sizes: &'a EntrySizes,
    version: Version,
}

impl<'a> KeyText<'a> {
    /// `key` of a filesystem with these sizes of extent entries and this version.
    pub const fn new(key: &'a Key<'a>, sizes: &'a EntrySizes, version: Version) -> Self {
        Self {
            key,
            sizes,
            version,
        }
    }

    /// `key` of a filesystem nothing is known of.
    pub const fn of(key: &'a Key<'a>) -> Self {
        const SIZES: &EntrySizes = &EntrySizes::KNOWN;
        Self::new(key, SIZES, Version::NEWEST)
    }

    fn ptrs(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for entry in entries(self.key, self.sizes) {
            match entry {
                Ok(entry) => write!(f, "\n{entry}")?,
                Err(e) => write!(f, "\n({e})")?,
            }
        }
        Ok(())
    }

    fn btree_ptr(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match BtreePtr::decode(self.key) {
            Err(e) => return write!(f, "({e})"),
            Ok(Some(BtreePtr { v2: Some(id), .. })) => write!(
                f,
                "seq {:x} written {} min_key {}{}",
                id.seq,
                id.sectors_written,
                if id.range_updated { "R " } else { "" },
                id.min_key
            )?,
            Ok(_) => (),
        }
        self.ptrs(f)
    }

    fn damage(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut newline = "";
        for entry in damage(self.key.v) {
            write!(f, "{newline}{entry}")?;
            newline = "\n";
        }
        Ok(())
    }

    fn bucket_gens(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match bucket_gens(self.key.v) {
            Err(e) => write!(f, "({e})"),
            Ok(gens) => {
                let mut space = "";
                for generation in gens {
                    write!(f, "{space}{generation}")?;
                    space = " ";
                }
                Ok(())
            }
        }
    }

    fn accounting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", Counted::decode(self.key.k.p, self.version))?;
        counters(self.key.v).try_for_each(|n| write!(f, " {n}"))
    }

    fn shared_inline_data(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(f, refcount(self.key.v).map(|n| Labelled("refcount ", n)))?;
        write!(f, " {}", Shown(inline_data(self.key).unwrap_or(&[])))
    }

    fn value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.key.v;
        match self.key.k.key_type {
            KeyType::ERROR => write!(f, "{}", lost_reason(v)),
            KeyType::COOKIE => shown(f, cookie(v)),
            KeyType::LRU => shown(f, lru_idx(v).map(|n| Labelled("idx ", n))),
            KeyType::BTREE_PTR | KeyType::BTREE_PTR_V2 => self.btree_ptr(f),
            KeyType::EXTENT => self.ptrs(f),
            KeyType::REFLINK_V => {
                shown(f, refcount(v).map(|n| Labelled("refcount: ", n)))?;
                self.ptrs(f)
            }
            KeyType::RESERVATION => shown(f, Reservation::decode(v)),
            KeyType::REFLINK_P => shown(f, ReflinkPtr::decode(v)),
            KeyType::INLINE_DATA => write!(f, "{}", Shown(v)),
            KeyType::INDIRECT_INLINE_DATA => self.shared_inline_data(f),
            KeyType::INODE | KeyType::INODE_V2 | KeyType::INODE_V3 => {
                match Inode::decode_lossy(self.key) {
                    Ok(Some((inode, None))) => write!(f, "\n{inode}"),
                    Ok(Some((inode, Some(bad)))) => write!(f, "\n{inode}\n({bad})"),
                    Ok(None) => Ok(()),
                    Err(e) => write!(f, "({e})"),
                }
            }
            KeyType::INODE_GENERATION => shown(f, InodeGeneration::decode(v)),
            KeyType::INODE_ALLOC_CURSOR => shown(f, InodeAllocCursor::decode(v)),
            KeyType::DIRENT => shown(f, Dirent::decode(v)),
            KeyType::XATTR => shown(f, Xattr::decode(v)),
            KeyType::ALLOC | KeyType::ALLOC_V2 | KeyType::ALLOC_V3 | KeyType::ALLOC_V4 => {
                match Alloc::decode(self.key) {
                    Ok(Some(alloc)) => write!(f, "\n{alloc}"),
                    Ok(None) => Ok(()),
                    Err(e) => write!(f, "({e})"),
                }
            }
            KeyType::BUCKET_GENS => self.bucket_gens(f),
            KeyType::BACKPOINTER => shown(f, Backpointer::decode(v)),
            KeyType::STRIPE => shown(f, Stripe::decode(v)),
            KeyType::QUOTA => shown(f, Quota::decode(v)),
            KeyType::ACCOUNTING => self.accounting(f),
            KeyType::SUBVOLUME => shown(f, Subvolume::decode(v)),
            KeyType::SNAPSHOT => shown(f, Snapshot::decode(v)),
            KeyType::SNAPSHOT_TREE => shown(f, SnapshotTree::decode(v)),
            KeyType::LOGGED_OP_TRUNCATE => shown(f, LoggedTruncate::decode(v)),
            KeyType::LOGGED_OP_FINSERT => shown(f, LoggedInsert::decode(v)),
            KeyType::LOGGED_OP_STRIPE_UPDATE => shown(f, LoggedStripeUpdate::decode(v)),
            KeyType::DAMAGE => self.damage(f),
            _ => write!(f, "{} bytes", v.len()),
        }
    }
}

impl fmt::Display for KeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.key.k)?;
        if self.key.v.is_empty() {
            return Ok(());
        }
        f.write_str(": ")?;
        self.value(f)
    }
}

/// A number with what it is.
struct Labelled(&'static str, u64);

impl fmt::Display for Labelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

fn shown(f: &mut fmt::Formatter<'_>, decoded: Result<impl fmt::Display, Invalid>) -> fmt::Result {
    match decoded {
        Ok(value) => write!(f, "{value}"),
        Err(e) => write!(f, "({e})"),
    }
}
