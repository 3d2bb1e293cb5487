// SPDX-License-Identifier: GPL-2.0

//! Whether keys of this filesystem can be right.

use crate::{
    env::Vec,
    error::{
        Invalid,
        Result, //
    },
    format::{
        bkey::Key,
        btree_id::BtreeId,
        sb::version::Version,
        values::{
            extent_entry::EntrySizes,
            validate::{
                validate_key,
                DevGeometry,
                Origin,
                ValidateCtx, //
            }, //
        },
    },
    sb::SbState,
};

/// What has to be known of a filesystem to judge its keys.
#[derive(Debug)]
pub struct KeyCheck {
    version: Version,
    sizes: EntrySizes,
    node_sectors: u32,
    has_key: bool,
    devs: Vec<Option<DevGeometry>>,
}

impl KeyCheck {
    /// For the filesystem with this superblock.
    pub fn new(st: &SbState) -> Result<Self> {
        let mut devs = Vec::new();
        for idx in 0..st.sb.nr_devices() {
            devs.push(st.sb.member(idx).map(|m| DevGeometry {
                first_bucket: u64::from(m.first_bucket()),
                nr_buckets: m.nbuckets(),
                bucket_sectors: u64::from(m.bucket_sectors()),
            }))?;
        }
        Ok(Self {
            version: st.sb.version(),
            sizes: EntrySizes::with_superblock(st.sb.extent_type_u64s().all()),
            node_sectors: u32::from(st.sb.node_sectors()),
            has_key: st.key().is_some(),
            devs,
        })
    }

    /// How long each kind of extent entry is.
    pub fn entry_sizes(&self) -> &EntrySizes {
        &self.sizes
    }

    /// Checks a key found at `level` of `btree`.
    ///
    /// C: `bch2_bkey_validate()`.
    #[inline(never)]
    pub fn check(
        &self,
        btree: BtreeId,
        level: u8,
        origin: Origin,
        key: &Key<'_>,
    ) -> Result<(), Invalid> {
        let ctx = ValidateCtx {
            origin,
            version: self.version,
            sizes: &self.sizes,
            node_sectors: self.node_sectors,
            devs: &self.devs,
            has_key: self.has_key,
            ..ValidateCtx::new(btree, level)
        };
        validate_key(key, &ctx)
    }
}
