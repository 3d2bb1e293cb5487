// SPDX-License-Identifier: GPL-2.0

//! Inodes, names, extended attributes, and ranges of files that point to no device.

use super::{
    super::{
        damage::{
            damage as damage_entries,
            DAMAGE_ENTRY_BYTES, //
        },
        dirent::{
            Dirent,
            FileType,
            Target,
            NAME_MAX, //
        },
        inode::{
            flags_word,
            str_hash_of,
            Inode,
            InodeFlags,
            FIELDS_START,
            ROOT_INUM, //
        },
        plain::{
            Reservation,
            REPLICAS_MAX, //
        },
        quota::QUOTA_TYPES,
        raw::bits,
        reflink::ReflinkPtr,
        xattr::Xattr,
    },
    context::ValidateCtx,
};
use crate::{
    env::num::{
        rem_or_zero,
        u64_of, //
    },
    error::{
        fsck::FsckError,
        Invalid, //
    },
    format::{
        bkey::Key,
        sb::Version, //
    },
};

/// Fields of an inode that 1.13 knows: the parser of that version reads no more.
const FIELDS_1_13: u64 = 24;
/// Checksum options: none, crc32c, crc64, xxhash. C: `BCH_CSUM_OPT_NR`.
const CSUM_OPTS: u8 = 4;
/// Compression options: none, lz4, gzip, zstd. C: `BCH_COMPRESSION_OPT_NR`.
const COMPRESSION_OPTS: u8 = 4;

/// C: `bch2_inode_v3_validate()`.
pub(super) fn inode_v3(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let fields_start = bits(flags_word(key)?.unwrap_or(0), 31, 36);
    let u64s = u64_of(key.v.len()).wrapping_shr(3);
    if !(FIELDS_START..=u64s).contains(&fields_start) {
        return Err(Invalid::with(
            FsckError::INODE_V3_FIELDS_START_BAD,
            "invalid fields_start",
            fields_start,
            u64s,
        ));
    }
    inode(key, ctx)
}

/// C: `bch2_inode_validate()`, `bch2_inode_v2_validate()` and `__bch2_inode_validate()`.
pub(super) fn inode(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let Some(flags) = flags_word(key)? else {
        return Ok(());
    };
    let str_hash = str_hash_of(flags);
    if !str_hash.is_known() {
        return Err(Invalid::with(
            FsckError::INODE_STR_HASH_INVALID,
            "invalid str hash type",
            str_hash.0.into(),
            4,
        ));
    }
    inode_generation(key, ctx)?;
    if key.k.p.offset < ROOT_INUM {
        return Err(Invalid::with(
            FsckError::INODE_POS_BLOCKDEV_RANGE,
            "fs inode in blockdev range",
            key.k.p.offset,
            ROOT_INUM,
        ));
    }
    // Later versions leave these to fsck, which does not drop the inode.
    if ctx.version < Version::new(1, 14) {
        inode_fields_1_13(key)?;
    }
    Ok(())
}

/// Checks that were made up to 1.13. C: `__bch2_inode_validate()` of that time.
#[inline(never)]
fn inode_fields_1_13(key: &Key<'_>) -> Result<(), Invalid> {
    let Some((inode, bad_field)) = Inode::decode_lossy(key)? else {
        return Ok(());
    };
    if let Some(bad) = bad_field.filter(|bad| bad.found < FIELDS_1_13) {
        return Err(bad);
    }
    if inode.data_checksum > CSUM_OPTS {
        return Err(Invalid::with(
            FsckError::INODE_CHECKSUM_TYPE_INVALID,
            "invalid data checksum type",
            inode.data_checksum.into(),
            CSUM_OPTS.into(),
        ));
    }
    if let Some(option) = inode.compression.checked_sub(1) {
        let (ty, level) = (option & 0xf, option >> 4);
        if ty >= COMPRESSION_OPTS || (ty == 0 && level != 0) {
            return Err(Invalid::with(
                FsckError::INODE_COMPRESSION_TYPE_INVALID,
                "invalid compression opt",
                option.into(),
                COMPRESSION_OPTS.into(),
            ));
        }
    }
    if inode.flags.has(InodeFlags::UNLINKED) && inode.nlink != 0 {
        return Err(Invalid::with(
            FsckError::INODE_UNLINKED_BUT_NLINK_NONZERO,
            "flagged as unlinked but link count != 0",
            inode.nlink.into(),
            0,
        ));
    }
    if inode.is_subvol_root() && !inode.is_dir() {
        return Err(Invalid::new(
            FsckError::INODE_SUBVOL_ROOT_BUT_NOT_DIR,
            "subvolume root but not a directory",
        ));
    }
    Ok(())
}

/// C: `bch2_inode_generation_validate()`.
pub(super) fn inode_generation(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if key.k.p.inode != 0 {
        return Err(Invalid::with(
            FsckError::INODE_POS_INODE_NONZERO,
            "nonzero k.p.inode",
            key.k.p.inode,
            0,
        ));
    }
    Ok(())
}

/// C: `bch2_inode_alloc_cursor_validate()`.
pub(super) fn inode_alloc_cursor(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if key.k.p.inode != 1 {
        return Err(Invalid::with(
            FsckError::INODE_ALLOC_CURSOR_INODE_BAD,
            "k.p.inode bad",
            key.k.p.inode,
            1,
        ));
    }
    Ok(())
}

/// C: `bch2_dirent_validate()`.
pub(super) fn dirent(key: &Key<'_>, ctx: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let d = Dirent::decode(key.v)?;
    let bad = |id, what| Err(Invalid::new(id, what));
    if d.name.is_empty() {
        return bad(FsckError::DIRENT_EMPTY_NAME, "empty name");
    }
    if ctx.committing() && d.name.len() > NAME_MAX {
        return Err(Invalid::with(
            FsckError::DIRENT_NAME_TOO_LONG,
            "dirent name too big",
            u64_of(d.name.len()),
            u64_of(NAME_MAX),
        ));
    }
    if d.name.contains(&0) {
        return bad(
            FsckError::DIRENT_NAME_EMBEDDED_NUL,
            "dirent has stray data after name's NUL",
        );
    }
    if d.name == b"." || d.name == b".." {
        return bad(FsckError::DIRENT_NAME_DOT_OR_DOTDOT, "invalid name");
    }
    if d.name.contains(&b'/') {
        return bad(FsckError::DIRENT_NAME_HAS_SLASH, "name with /");
    }
    if d.file_type != FileType::SUBVOL && d.target == Target::Inode(key.k.p.inode) {
        return bad(
            FsckError::DIRENT_TO_ITSELF,
            "dirent points to own directory",
        );
    }
    let folded = d.folded.unwrap_or(&[]);
    if ctx.committing() && folded.len() > NAME_MAX {
        return Err(Invalid::with(
            FsckError::DIRENT_CF_NAME_TOO_BIG,
            "dirent w/ cf name too big",
            u64_of(folded.len()),
            u64_of(NAME_MAX),
        ));
    }
    if folded.contains(&0) {
        return bad(
            FsckError::DIRENT_STRAY_DATA_AFTER_CF_NAME,
            "dirent has stray data after cf name's NUL",
        );
    }
    Ok(())
}

/// C: `bch2_xattr_validate()`.
pub(super) fn xattr(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let x = Xattr::decode(key.v)?;
    // Up to four bytes more than needed have always been let pass.
    let max = Xattr::u64s_for(x.name.len(), x.value.len().saturating_add(4));
    let u64s = key.v.len() >> 3;
    if u64s > max {
        return Err(Invalid::with(
            FsckError::XATTR_VAL_SIZE_TOO_BIG,
            "value too big",
            u64_of(u64s),
            u64_of(max),
        ));
    }
    if x.xattr_type.prefix().is_none() {
        return Err(Invalid::with(
            FsckError::XATTR_INVALID_TYPE,
            "invalid type",
            x.xattr_type.0.into(),
            4,
        ));
    }
    if x.name.contains(&0) {
        return Err(Invalid::new(
            FsckError::XATTR_NAME_INVALID_CHARS,
            "xattr name has invalid characters",
        ));
    }
    Ok(())
}

/// C: `bch2_reservation_validate()`.
pub(super) fn reservation(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let nr = Reservation::decode(key.v)?.nr_replicas;
    if nr == 0 || nr > REPLICAS_MAX {
        return Err(Invalid::with(
            FsckError::RESERVATION_KEY_NR_REPLICAS_INVALID,
            "invalid nr_replicas",
            nr.into(),
            REPLICAS_MAX.into(),
        ));
    }
    Ok(())
}

/// C: `bch2_reflink_p_validate()`.
pub(super) fn reflink_p(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let p = ReflinkPtr::decode(key.v)?;
    if p.idx < p.front_pad.into() {
        return Err(Invalid::with(
            FsckError::REFLINK_P_FRONT_PAD_BAD,
            "idx < front_pad",
            p.idx,
            p.front_pad.into(),
        ));
    }
    Ok(())
}

/// C: `bch2_quota_validate()`.
pub(super) fn quota(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    if key.k.p.inode >= QUOTA_TYPES {
        return Err(Invalid::with(
            FsckError::QUOTA_TYPE_INVALID,
            "invalid quota type",
            key.k.p.inode,
            QUOTA_TYPES,
        ));
    }
    Ok(())
}

/// C: `bch2_damage_validate()`.
pub(super) fn damage(key: &Key<'_>, _: &ValidateCtx<'_>) -> Result<(), Invalid> {
    let rest = rem_or_zero(u64_of(key.v.len()), u64_of(DAMAGE_ENTRY_BYTES));
    if rest != 0 {
        return Err(Invalid::with(
            FsckError::DAMAGE_ENTRIES_BAD,
            "value not a multiple of entry size",
            rest,
            0,
        ));
    }
    let mut previous = 0;
    for entry in damage_entries(key.v) {
        let id = u64::from(entry.id.raw());
        if id <= previous {
            return Err(Invalid::with(
                FsckError::DAMAGE_ENTRIES_BAD,
                "entries not in ascending order",
                id,
                previous,
            ));
        }
        previous = id;
        if entry.first > entry.last {
            return Err(Invalid::with(
                FsckError::DAMAGE_ENTRIES_BAD,
                "first occurrence after last",
                entry.first,
                entry.last,
            ));
        }
    }
    Ok(())
}
