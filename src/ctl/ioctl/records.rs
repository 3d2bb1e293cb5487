// SPDX-License-Identifier: GPL-2.0

//! Counters as the tools read them.

use crate::{
    alloc::Counter,
    env::Vec,
    error::Result,
    format::{
        bkey::{
            Bkey,
            RawBkey, //
        },
        key_type::KeyType,
        sb::version::Version,
        values::accounting::{
            Counted,
            Replicas,
            VERSION_REVERSED, //
        },
    },
};
use zerocopy::IntoBytes as _;

/// Whether the answer is as implementations before [`VERSION_REVERSED`] give it: what a counter
/// counts is in the order of that time, and superblocks and journal are part of the capacity.
#[derive(Clone, Copy)]
pub(super) struct AsOld(pub(super) bool);

impl AsOld {
    /// By the version of the filesystem.
    pub(super) fn by_version(version: Version) -> Self {
        Self(version < VERSION_REVERSED)
    }

    /// For who asks for `types`. Tools do not say which order they expect: those for 1.13 always
    /// take it to be that of 1.13; later ones decide by the module's parameter `version`. By that
    /// they also see that rebalance work is not counted any more, from 1.33 on, and do not ask for
    /// it, which 1.13 always does.
    pub(super) fn by_request(types: u32, version: Version) -> Self {
        let Self(old) = Self::by_version(version);
        Self(old && types & Counted::RebalanceWork.type_bit() != 0)
    }
}

/// Appends a counter, unless there is nothing of what it counts.
///
/// C: `struct bkey_i_accounting`.
pub(super) fn as_record(counter: &Counter, for_whom: AsOld, to: &mut Vec<u8>) -> Result {
    let order = match for_whom {
        AsOld(true) => Version::OLDEST,
        AsOld(false) => Version::NEWEST,
    };
    let values = counter.values();
    let Some(p) = counter.counted.encode(order) else {
        return Ok(());
    };
    if values.iter().all(|v| *v == 0) {
        return Ok(());
    }
    let key = Bkey {
        key_type: KeyType::ACCOUNTING,
        p,
        ..Bkey::default()
    };
    let words = u8::try_from(values.len()).unwrap_or(0);
    if let Some(head) = RawBkey::encode(&key, words) {
        to.extend_from_slice(head.as_bytes())?;
        for v in values {
            to.extend_from_slice(&v.to_ne_bytes())?;
        }
    }
    Ok(())
}

/// Appends the sectors that a set of devices holds.
///
/// C: `struct bch_replicas_usage`.
pub(super) fn as_replicas(r: &Replicas, sectors: u64, to: &mut Vec<u8>) -> Result {
    let devs = r.dev_numbers();
    let nr = u8::try_from(devs.len()).unwrap_or(0);
    to.extend_from_slice(&sectors.to_ne_bytes())?;
    to.extend_from_slice(&[r.data_type.0, nr, r.nr_required])?;
    to.extend_from_slice(devs)
}
