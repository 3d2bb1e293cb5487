// SPDX-License-Identifier: GPL-2.0

//! Extended attributes.

use super::raw;
use crate::{
    env::num::u64_of,
    error::{
        fsck::FsckError,
        Invalid, //
    },
};
use core::fmt;
use zerocopy::little_endian::U16;
use zerocopy_derive::{
    FromBytes,
    Immutable,
    IntoBytes,
    KnownLayout,
    Unaligned, //
};

/// The namespace of an extended attribute.
///
/// C: `KEY_TYPE_XATTR_INDEX_USER` and its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct XattrType(pub u8);

impl XattrType {
    /// `user.`
    pub const USER: Self = Self(0);
    /// The access ACL; it has no name.
    pub const ACL_ACCESS: Self = Self(1);
    /// The default ACL; it has no name.
    pub const ACL_DEFAULT: Self = Self(2);
    /// `trusted.`
    pub const TRUSTED: Self = Self(3);
    /// `security.`
    pub const SECURITY: Self = Self(4);

    /// What user space puts before the name (for ACLs: the whole name); `None` for a number that
    /// is no namespace.
    pub const fn prefix(self) -> Option<&'static str> {
        Some(match self {
            Self::USER => "user.",
            Self::ACL_ACCESS => "system.posix_acl_access",
            Self::ACL_DEFAULT => "system.posix_acl_default",
            Self::TRUSTED => "trusted.",
            Self::SECURITY => "security.",
            _ => return None,
        })
    }
}

/// An extended attribute.
///
/// C: `struct bch_xattr`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xattr<'a> {
    /// The namespace.
    pub xattr_type: XattrType,
    /// The name without its prefix.
    pub name: &'a [u8],
    /// The contents.
    pub value: &'a [u8],
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawXattr {
    xattr_type: u8,
    name_len: u8,
    value_len: U16,
}

const _: () = assert!(size_of::<RawXattr>() == 4);

/// The least bytes a value has. C: `min_val_size`.
pub(super) const XATTR_BYTES_MIN: usize = 8;

impl<'a> Xattr<'a> {
    /// Decodes the value of an `xattr` key.
    pub fn decode(v: &'a [u8]) -> Result<Self, Invalid> {
        raw::at_least(v, XATTR_BYTES_MIN)?;
        let (raw, rest) = raw::split::<RawXattr>(v)?;
        let value_len = usize::from(raw.value_len.get());
        let split = rest
            .split_at_checked(usize::from(raw.name_len))
            .and_then(|(name, rest)| Some((name, rest.get(..value_len)?)));
        let Some((name, value)) = split else {
            return Err(Invalid::with(
                FsckError::XATTR_VAL_SIZE_TOO_SMALL,
                "value too small for name and contents, bytes",
                u64_of(rest.len()),
                u64::from(raw.name_len).saturating_add(u64_of(value_len)),
            ));
        };
        Ok(Self {
            xattr_type: XattrType(raw.xattr_type),
            name,
            value,
        })
    }

    /// Words the value needs for a name and contents of these lengths. C: `xattr_val_u64s()`.
    pub const fn u64s_for(name_len: usize, value_len: usize) -> usize {
        size_of::<RawXattr>()
            .saturating_add(name_len)
            .saturating_add(value_len)
            .div_ceil(8)
    }

    /// The value of an `xattr` key, at the front of `out`: how many bytes it has, a multiple of
    /// 8. `None` when name or contents are too long or `out` is too short.
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let name_len = u8::try_from(self.name.len()).ok()?;
        let value_len = u16::try_from(self.value.len()).ok()?;
        let len = Self::u64s_for(self.name.len(), self.value.len()).checked_mul(8)?;
        let out = out.get_mut(..len.max(XATTR_BYTES_MIN))?;
        let bytes = [self.xattr_type.0, name_len]
            .into_iter()
            .chain(value_len.to_le_bytes())
            .chain(self.name.iter().copied())
            .chain(self.value.iter().copied())
            .chain(core::iter::repeat(0));
        let mut n = 0usize;
        for (to, from) in out.iter_mut().zip(bytes) {
            *to = from;
            n = n.wrapping_add(1);
        }
        Some(n)
    }
}

impl fmt::Display for Xattr<'_> {
    /// C: `bch2_xattr_to_text()`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.xattr_type.prefix() {
            Some(prefix) => f.write_str(prefix)?,
            None => write!(f, "(unknown type {})", self.xattr_type.0)?,
        }
        write!(
            f,
            "{}:{}",
            self.name.escape_ascii(),
            self.value.escape_ascii()
        )
    }
}
