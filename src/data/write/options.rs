// SPDX-License-Identifier: GPL-2.0

//! How a file's data is written.

use super::Compression;
use crate::{
    env::num::{
        low_u32,
        low_u8, //
    },
    format::{
        csum::CsumType,
        opts::OptId,
        sb::groups::Target,
        values::inode::{
            option,
            Inode, //
        },
    },
    sb::SbState,
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// How a file's data is written: what the inode says, or else the filesystem.
///
/// C: the part of `struct bch_io_opts` that writing looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// How many copies there are to be.
    pub nr_replicas: u8,
    /// The checksum of each extent.
    pub csum: CsumType,
    /// Which devices are to have the copies, if possible.
    pub target: Target,
    /// How it is compressed.
    pub compression: Compression,
    /// The most sectors that have one checksum.
    pub encoded_max: u32,
    /// Data is written over where it is, if nobody else sees it.
    pub nocow: bool,
}

impl WriteOptions {
    /// Those of the file with this inode. What is written over where it is can be neither
    /// checksummed nor compressed. C does not encrypt it either; here, what is on an encrypted
    /// filesystem is encrypted, and so never written over.
    ///
    /// C: `bch2_inode_opts_get()`, `bch2_data_checksum_type()`.
    pub fn of(st: &SbState, inode: &Inode) -> Self {
        let or_default = |own: u64, id| option(own).unwrap_or_else(|| st.opts.get(id));
        let csum = or_default(inode.data_checksum.into(), OptId::DataChecksum);
        let target = or_default(inode.foreground_target.into(), OptId::ForegroundTarget);
        let compression = or_default(inode.compression.into(), OptId::Compression);
        let nocow = st.sb.encryption_type() == 0
            && st.opts.is_on(OptId::NocowEnabled)
            && or_default(inode.nocow.into(), OptId::Nocow) != 0;
        let block = u32::from(st.sb.block_sectors()).max(1);
        let encoded = low_u32(st.opts.get(OptId::EncodedExtentMax) / SECTOR);
        Self {
            nr_replicas: Self::nr_replicas_of(st, inode.data_replicas),
            csum: match st.sb.encryption_type() {
                0 if nocow => CsumType::NONE,
                0 => plain(csum),
                _ if st.opts.is_on(OptId::WideMacs) => CsumType::CHACHA20_POLY1305_128,
                _ => CsumType::CHACHA20_POLY1305_80,
            },
            target: Target::decode(target),
            compression: Compression::of_option(match nocow {
                true => 0,
                false => compression,
            }),
            encoded_max: encoded.max(block),
            nocow,
        }
    }
}

impl WriteOptions {
    /// Whether one copy is stored, and nothing but the device looks at the data.
    pub fn is_as_it_is(&self) -> bool {
        *self == self.as_it_is() && self.nr_replicas == 1
    }

    /// The same, with data that is stored as it is.
    pub fn as_it_is(self) -> Self {
        Self {
            csum: CsumType::NONE,
            compression: Compression::of_option(0),
            ..self
        }
    }

    /// How many copies there are to be with this field of the inode.
    pub fn nr_replicas_of(st: &SbState, own: u8) -> u8 {
        let all = || st.opts.get(OptId::DataReplicas);
        low_u8(option(own).unwrap_or_else(all)).max(1)
    }
}

/// C: `bch2_csum_opt_to_type()` for data.
const fn plain(option: u64) -> CsumType {
    match option {
        0 => CsumType::NONE,
        2 => CsumType::CRC64,
        3 => CsumType::XXHASH,
        _ => CsumType::CRC32C,
    }
}
