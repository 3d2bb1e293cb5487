// SPDX-License-Identifier: GPL-2.0

//! The variable-length fields of inodes: their order on disk, and how they are read and written.

use super::{
    inode::Inode,
    varint, //
};
use crate::{
    env::num::usize_of_u32,
    error::{
        fsck::FsckError,
        Invalid, //
    },
};

/// Bytes of the longest inode: the fixed part and each field at its longest.
pub(super) const INODE_BYTES_MAX: usize = 48 + 28 * 10;

/// Calls a macro with the fields of `inode_v3` in the order they are stored; `wide` ones are two
/// integers, of which the second must be zero. C: `BCH_INODE_FIELDS_v3()`.
macro_rules! fields_v3 {
    ($with:ident) => {
        $with! {
            atime wide, ctime wide, mtime wide, otime wide,
            uid, gid, nlink, generation, dev,
            data_checksum, compression, project, background_compression, data_replicas,
            promote_target, foreground_target, background_target, erasure_code,
            fields_set, dir, dir_offset, subvol, parent_subvol,
            nocow, depth, inodes_32bit, casefold, unused_ec_max_data_blocks
        }
    };
}

/// As [`fields_v3`], for `inode` and `inode_v2`. C: `BCH_INODE_FIELDS_v2()`.
macro_rules! fields_v2 {
    ($with:ident) => {
        $with! {
            atime wide, ctime wide, mtime wide, otime wide,
            size, sectors,
            uid, gid, nlink, generation, dev,
            data_checksum, compression, project, background_compression, data_replicas,
            promote_target, foreground_target, background_target, erasure_code,
            fields_set, dir, dir_offset, subvol, parent_subvol
        }
    };
}

macro_rules! is_wide {
    () => {
        false
    };
    (wide) => {
        true
    };
}

/// Reads fields one after the other.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    nr_fields: u64,
    nr_read: u64,
    old_encoding: bool,
}

impl<'a> Reader<'a> {
    /// Reads up to `nr_fields` fields from `bytes`. `old_encoding` is that of inodes before
    /// `new_varint`.
    pub(super) const fn new(bytes: &'a [u8], nr_fields: u64, old_encoding: bool) -> Self {
        Self {
            bytes,
            nr_fields,
            nr_read: 0,
            old_encoding,
        }
    }

    /// The next field; `None` behind the last. A field that ends beyond the value or does not
    /// fit its type is an error.
    fn field<T: TryFrom<u64>>(&mut self, wide: bool) -> Result<Option<T>, Invalid> {
        if self.nr_read >= self.nr_fields {
            return Ok(None);
        }
        let value = if self.old_encoding {
            self.old_integer()
        } else {
            self.integer(wide)
        };
        let Some(value) = value.and_then(|v| T::try_from(v).ok()) else {
            return Err(Invalid::with(
                FsckError::INODE_UNPACK_ERROR,
                "invalid variable length fields: field of",
                self.nr_read,
                self.nr_fields,
            ));
        };
        self.nr_read = self.nr_read.wrapping_add(1);
        Ok(Some(value))
    }

    fn integer(&mut self, wide: bool) -> Option<u64> {
        let (value, mut rest) = varint::decode(self.bytes)?;
        if wide {
            let (high, after) = varint::decode(rest)?;
            if high != 0 {
                return None;
            }
            rest = after;
        }
        self.bytes = rest;
        Some(value)
    }

    /// The encoding before varints: the highest set bit of the first byte tells how many bytes
    /// there are, most significant first. C: `inode_decode_field()`.
    fn old_integer(&mut self) -> Option<u64> {
        const BYTES: [usize; 8] = [1, 2, 3, 4, 6, 8, 10, 13];
        let first = *self.bytes.first()?;
        let len = *BYTES.get(usize_of_u32(first.leading_zeros()))?;
        let (own, rest) = self.bytes.split_at_checked(len)?;
        let tag = 0x80u8.wrapping_shr(first.leading_zeros());
        let mut value = 0u128;
        for (i, &byte) in own.iter().enumerate() {
            let byte = if i == 0 { byte ^ tag } else { byte };
            value = value.wrapping_shl(8) | u128::from(byte);
        }
        self.bytes = rest;
        u64::try_from(value).ok()
    }
}

macro_rules! read_fields {
    ($inode:ident, $reader:ident; $($name:ident $($wide:ident)?),*) => {
        $(match $reader.field(is_wide!($($wide)?))? {
            Some(value) => $inode.$name = value,
            None => return Ok(()),
        })*
    };
}

/// Reads the fields of an `inode_v3`. On error, the fields before the bad one are set.
pub(super) fn read_v3(inode: &mut Inode, mut reader: Reader<'_>) -> Result<(), Invalid> {
    macro_rules! with {
        ($($fields:tt)*) => { read_fields!(inode, reader; $($fields)*) };
    }
    fields_v3!(with);
    Ok(())
}

/// Reads the fields of an `inode` or `inode_v2`. On error, the fields before the bad one are set.
pub(super) fn read_v2(inode: &mut Inode, mut reader: Reader<'_>) -> Result<(), Invalid> {
    macro_rules! with {
        ($($fields:tt)*) => { read_fields!(inode, reader; $($fields)*) };
    }
    fields_v2!(with);
    Ok(())
}

/// Writes fields one after the other behind the fixed part of an inode.
pub(super) struct Writer {
    /// The bytes written, from the start of the value.
    pub(super) bytes: [u8; INODE_BYTES_MAX],
    at: usize,
    /// Bytes up to the last field that is not zero.
    pub(super) used: usize,
    nr: u64,
    /// Fields up to the last that is not zero.
    pub(super) nr_used: u64,
}

impl Writer {
    /// Starts at byte `at`.
    pub(super) const fn new(at: usize) -> Self {
        Self {
            bytes: [0; INODE_BYTES_MAX],
            at,
            used: at,
            nr: 0,
            nr_used: 0,
        }
    }

    fn field(&mut self, value: u64, wide: bool) {
        let (encoded, len) = varint::encode(value);
        let own = encoded.iter().take(len);
        let zero = usize::from(wide);
        for (to, from) in self.bytes.iter_mut().skip(self.at).zip(own) {
            *to = *from;
        }
        // The second integer of a wide field is a zero byte, which is there already.
        self.at = self.at.saturating_add(len).saturating_add(zero);
        self.nr = self.nr.wrapping_add(1);
        if value != 0 {
            self.used = self.at.min(INODE_BYTES_MAX);
            self.nr_used = self.nr;
        }
    }
}

/// Writes the fields of an `inode_v3`.
pub(super) fn write_v3(inode: &Inode, writer: &mut Writer) {
    macro_rules! with {
        ($($name:ident $($wide:ident)?),*) => {
            $(writer.field(u64::from(inode.$name), is_wide!($($wide)?));)*
        };
    }
    fields_v3!(with);
}

/// Calls `each` with the name and value of every field. C: the list in
/// `__bch2_inode_unpacked_to_text()`.
pub(super) fn for_each<E>(
    inode: &Inode,
    mut each: impl FnMut(&'static str, u64) -> Result<(), E>,
) -> Result<(), E> {
    macro_rules! with {
        ($($name:ident $($wide:ident)?),*) => {
            $(each(stringify!($name), u64::from(inode.$name))?;)*
        };
    }
    fields_v3!(with);
    Ok(())
}
