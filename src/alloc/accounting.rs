// SPDX-License-Identifier: GPL-2.0

//! The accounting btree: counters by what they count. The position is not a place but a small
//! structure that says what is counted; keys in the journal are differences.

use crate::{
    btree::Btrees,
    env::units::DevIdx,
    error::Result,
    format::{
        bkey::{
            Key,
            Version, //
        },
        bpos::Bpos,
        btree_id::BtreeId,
        data_type::DataType,
        key_type::KeyType,
        sb::replicas::ReplicasEntry,
        values::accounting::{
            self,
            Counted,
            Replicas,
            COUNTERS_MAX,
            VERSION_REVERSED, //
        },
    },
    journal::keys::delta_is_applied,
};

/// What counters are of whole filesystems and devices: the types below this.
const TYPES_OF_WHOLE: u64 = 4;

/// Copies that space is reserved for are counted up to here. C: `BCH_REPLICAS_MAX`.
const COPIES_MAX: u8 = 4;

/// Counters of one key; those it does not have are 0.
type Counters = [i64; COUNTERS_MAX];

fn add(sum: &mut Counters, delta: &[u8]) {
    for (to, from) in sum.iter_mut().zip(accounting::counters(delta)) {
        *to = to.wrapping_add(from);
    }
}

/// Calls `visit` with the counters that are of the whole filesystem, of a set of devices or of a
/// device, differences from the journal added. Those of snapshots, btrees and inodes are left out:
/// there can be as many as there are inodes, and a mount must not take longer for them.
///
/// C: `bch2_accounting_read()`.
pub fn for_each_of_whole(btrees: &Btrees, mut visit: impl FnMut(Counted, Counters)) -> Result {
    let version = btrees.sb().sb.version();
    if version >= VERSION_REVERSED {
        // A position starts with the type.
        let last = Bpos::new((TYPES_OF_WHOLE << 56) - 1, u64::MAX, u32::MAX);
        return for_each_within(btrees, Bpos::MIN, last, &mut |pos, counters| {
            visit(Counted::decode(pos, version), counters);
        });
    }
    // The types are not neighbours, but it is known what there can be.
    let mut result = Ok(());
    for_each_possible(btrees, |counted| {
        if let (Ok(()), Some(pos)) = (result, counted.encode(version)) {
            result = for_each_within(btrees, pos, pos, &mut |_, counters| {
                visit(counted, counters);
            });
        }
    });
    result
}

/// Calls `visit` with every counter that the filesystem or its devices can have, by what the
/// superblock says of replicas: before [`VERSION_REVERSED`] it lists all.
fn for_each_possible(btrees: &Btrees, mut visit: impl FnMut(Counted)) {
    let sb = &btrees.sb().sb;
    visit(Counted::NrInodes);
    (1..=COPIES_MAX).for_each(|copies| visit(Counted::PersistentReserved(copies)));
    sb.replicas().filter_map(replicas).for_each(&mut visit);
    for dev in 0..sb.nr_devices() {
        for data in (0..DataType::NR).map(DataType) {
            visit(Counted::DevDataType(DevIdx(dev), data));
        }
    }
}

fn replicas(entry: ReplicasEntry<'_>) -> Option<Counted> {
    Replicas::new(entry.data_type, entry.nr_required, entry.devs).map(Counted::Replicas)
}

/// The value at one position, being put together.
struct Sum {
    pos: Bpos,
    version: Version,
    counters: Counters,
}

/// Calls `visit` with the position and the value of every counter from `first` to `last`.
fn for_each_within(
    btrees: &Btrees,
    first: Bpos,
    last: Bpos,
    visit: &mut impl FnMut(Bpos, Counters),
) -> Result {
    let mut deltas = btrees.overlay().deltas(first, last).peekable();
    let mut iter = btrees.iter(BtreeId::ACCOUNTING, 0, first);
    loop {
        let stored = loop {
            match iter.next()?.filter(|k| k.k.p <= last) {
                Some(k) if k.k.key_type != KeyType::ACCOUNTING => continue,
                other => break other,
            }
        };
        let upto = stored.map(|k| k.k.p);
        // Counters that only the journal has.
        while let Some(d) = deltas.next_if(|d| upto.is_none_or(|p| d.k.p < p)) {
            let mut sum = Sum::start(&d);
            while let Some(more) = deltas.next_if(|m| m.k.p == d.k.p) {
                sum.apply(&more);
            }
            visit(sum.pos, sum.counters);
        }
        let Some(key) = stored else {
            return Ok(());
        };
        let mut sum = Sum::start(&key);
        while let Some(d) = deltas.next_if(|d| d.k.p == sum.pos) {
            sum.apply(&d);
        }
        visit(sum.pos, sum.counters);
    }
}

impl Sum {
    fn start(key: &Key<'_>) -> Self {
        let mut counters = [0; COUNTERS_MAX];
        add(&mut counters, key.v);
        Self {
            pos: key.k.p,
            version: key.k.version,
            counters,
        }
    }

    /// Adds a difference unless it is part of the value already.
    fn apply(&mut self, delta: &Key<'_>) {
        if !delta_is_applied(delta.k.version, self.version) {
            add(&mut self.counters, delta.v);
            self.version = delta.k.version;
        }
    }
}
