// SPDX-License-Identifier: GPL-2.0

//! A key with other pointers.

use crate::{
    btree::KeyBuf,
    data::entry::add,
    env::{
        Few,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::values::{
        crc::Crc,
        extent::{
            entries,
            entry_bytes, //
        },
        extent_entry::{
            Entry,
            EntrySizes,
            Ptr, //
        },
    },
};

/// What the new pointers of a key are.
pub(super) struct Pointers<'a> {
    /// Where the copies are.
    pub(super) copies: &'a Few<Ptr, 4>,
    /// Their checksum and compression, if they have any.
    pub(super) crc: Option<Crc>,
}

/// `key` with `new` in the place of its pointer to `old`. Cached copies on the devices of the new
/// ones go: a key has one pointer to a device.
///
/// C: the middle of `bch2_data_update_index_update()`.
pub(super) fn replaced(
    key: &KeyBuf,
    sizes: &EntrySizes,
    old: &Ptr,
    new: &Pointers<'_>,
) -> Result<KeyBuf> {
    let read = key.key();
    let head = read.v.len().saturating_sub(entry_bytes(&read).len());
    let mut value = Vec::with_capacity(read.v.len())?;
    value.extend_from_slice(read.v.get(..head).unwrap_or(&[]))?;
    let mut is_first = true;
    let (mut crc, mut stripe) = (None, None);
    for entry in entries(&read, sizes) {
        let entry = entry.map_err(|_| Error::MovedExtentInvalid)?;
        // What has no checksum is in front of all that have one.
        if is_first && !matches!(entry, Entry::Flags(_)) {
            is_first = false;
            if new.crc.is_none() {
                add_all(&mut value, new)?;
            }
        }
        match entry {
            // It is of no use without a pointer behind it.
            Entry::Crc(..) => crc = Some(entry),
            Entry::Stripe(_) => stripe = Some(entry),
            Entry::Ptr(ptr) => {
                let own = stripe.take();
                let is_new = |p: &Ptr| p.dev == ptr.dev;
                if ptr == *old || ptr.cached && new.copies.iter().any(is_new) {
                    continue;
                }
                for entry in crc.take().into_iter().chain(own) {
                    add(&mut value, &entry)?;
                }
                add(&mut value, &entry)?;
            }
            _ => add(&mut value, &entry)?,
        }
    }
    if let Some(crc) = new.crc {
        let kind = crc.smallest_kind().ok_or(Error::MovedExtentTooLarge)?;
        add(&mut value, &Entry::Crc(kind, crc))?;
        add_all(&mut value, new)?;
    }
    KeyBuf::of(key.k, &value)
}

fn add_all(value: &mut Vec<u8>, new: &Pointers<'_>) -> Result {
    let mut all = new.copies.iter();
    all.try_for_each(|ptr| add(value, &Entry::Ptr(*ptr)))
}
