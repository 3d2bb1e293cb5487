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
        btree_id::{
            BtreeId,
            BTREE_ID_NR_MAX, //
        },
        data_type::DataType,
        key_type::KeyType,
        sb::replicas::ReplicasEntry,
        values::{
            accounting::{
                self,
                Counted,
                Replicas,
                ACCOUNTING_TYPES,
                COUNTERS_MAX,
                VERSION_REVERSED, //
            },
            kinds::CompressionType,
        },
    },
    journal::keys::{
        delta_is_applied,
        JournalKeys, //
    },
};

/// What counters are of whole filesystems and devices: the types below this.
const TYPES_OF_WHOLE: u8 = 4;

/// The type of the counters of inode numbers.
const TYPE_INUM: u8 = 8;

/// Copies that space is reserved for are counted up to here. C: `BCH_REPLICAS_MAX`.
const COPIES_MAX: u8 = 4;

/// Counters of one key; those it does not have are 0.
type Counters = [i64; COUNTERS_MAX];

/// A key of the accounting, differences from the journal added.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// What is counted.
    pub counted: Counted,
    nr: usize,
    counters: Counters,
}

impl Counter {
    /// The counters that the key has.
    pub fn values(&self) -> &[i64] {
        self.counters.get(..self.nr).unwrap_or(&self.counters)
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
        let (_, last) = positions(TYPES_OF_WHOLE.wrapping_sub(1));
        return for_each_within(btrees, Bpos::MIN, last, &mut |sum| {
            visit(Counted::decode(sum.pos, version), sum.counters);
        });
    }
    for_each_possible(btrees, 0..TYPES_OF_WHOLE, &mut |counter| {
        visit(counter.counted, counter.counters);
    })
}

/// Calls `visit` with the counters of the types of which the bit is set in `types`, differences
/// from the journal added. There can be as many as there are snapshots. Those of inode numbers are
/// left out, as the C implementation does.
///
/// C: `bch2_fs_accounting_read()`.
pub fn for_each_of_types(
    btrees: &Btrees,
    types: u32,
    mut visit: impl FnMut(&Counter) -> Result,
) -> Result {
    let version = btrees.sb().sb.version();
    let mut result = Ok(());
    let mut visit = |counter: &Counter| {
        if result.is_ok() {
            result = visit(counter);
        }
    };
    let wanted = (0..ACCOUNTING_TYPES)
        .filter(|ty| *ty != TYPE_INUM && types & 1u32.wrapping_shl((*ty).into()) != 0);
    if version >= VERSION_REVERSED {
        for ty in wanted {
            let (first, last) = positions(ty);
            for_each_within(btrees, first, last, &mut |sum| {
                visit(&sum.counter(Counted::decode(sum.pos, version)));
            })?;
        }
    } else {
        for_each_possible(btrees, wanted, &mut visit)?;
    }
    result
}

/// The first and the last position that counters of a type can have, from [`VERSION_REVERSED`] on.
fn positions(ty: u8) -> (Bpos, Bpos) {
    let first = u64::from(ty).wrapping_shl(56);
    let last = first | (1u64 << 56).wrapping_sub(1);
    (
        Bpos::new(first, 0, 0),
        Bpos::new(last, u64::MAX, u32::MAX), //
    )
}

/// Looks up every counter of `types` that there can be, for versions before [`VERSION_REVERSED`]:
/// the positions of a type are not neighbours there, but what there can be is known.
fn for_each_possible(
    btrees: &Btrees,
    types: impl Iterator<Item = u8>,
    visit: &mut impl FnMut(&Counter),
) -> Result {
    let st = btrees.sb();
    let version = st.sb.version();
    let mut look_up = |counted: Counted| match counted.encode(version) {
        Some(pos) => for_each_within(btrees, pos, pos, &mut |sum| visit(&sum.counter(counted))),
        None => Ok(()),
    };
    for ty in types {
        match ty {
            0 => look_up(Counted::NrInodes)?,
            1 => (1..=COPIES_MAX).try_for_each(|n| look_up(Counted::PersistentReserved(n)))?,
            // The superblock of these versions lists all replicas.
            2 => st
                .sb
                .replicas()
                .filter_map(replicas)
                .try_for_each(&mut look_up)?,
            3 => {
                for dev in (0..st.sb.nr_devices()).map(DevIdx) {
                    (0..DataType::NR)
                        .try_for_each(|data| look_up(Counted::DevDataType(dev, DataType(data))))?;
                }
            }
            4 => (0..CompressionType::NR)
                .try_for_each(|nr| look_up(Counted::Compression(CompressionType(nr))))?,
            5 => {
                let mut snapshots = btrees.iter(BtreeId::SNAPSHOTS, 0, Bpos::MIN);
                while let Some(key) = snapshots.next()? {
                    if let Ok(id) = u32::try_from(key.k.p.offset) {
                        look_up(Counted::Snapshot(id, 0))?;
                    }
                }
            }
            6 => (0..u32::from(BTREE_ID_NR_MAX)).try_for_each(|id| look_up(Counted::Btree(id)))?,
            7 => look_up(Counted::RebalanceWork)?,
            // What came later.
            _ => {}
        }
    }
    Ok(())
}

fn replicas(entry: ReplicasEntry<'_>) -> Option<Counted> {
    Replicas::new(entry.data_type, entry.nr_required, entry.devs).map(Counted::Replicas)
}

/// The value at one position, being put together.
struct Sum {
    pos: Bpos,
    version: Version,
    nr: usize,
    counters: Counters,
}

/// Calls `visit` with every counter from `first` to `last`.
fn for_each_within(
    btrees: &Btrees,
    first: Bpos,
    last: Bpos,
    visit: &mut impl FnMut(&Sum),
) -> Result {
    let overlay = btrees.overlay();
    let nothing = JournalKeys::new();
    let overlay = overlay.as_deref().unwrap_or(&nothing);
    let mut deltas = overlay.deltas(first, last).peekable();
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
            visit(&sum);
        }
        let Some(key) = stored else {
            return Ok(());
        };
        let mut sum = Sum::start(&key);
        while let Some(d) = deltas.next_if(|d| d.k.p == sum.pos) {
            sum.apply(&d);
        }
        visit(&sum);
    }
}

impl Sum {
    fn start(key: &Key<'_>) -> Self {
        let mut sum = Self {
            pos: key.k.p,
            version: key.k.version,
            nr: 0,
            counters: [0; COUNTERS_MAX],
        };
        sum.add(key.v);
        sum
    }

    fn add(&mut self, delta: &[u8]) {
        let mut nr = 0usize;
        for (to, from) in self.counters.iter_mut().zip(accounting::counters(delta)) {
            *to = to.wrapping_add(from);
            nr = nr.wrapping_add(1);
        }
        self.nr = self.nr.max(nr);
    }

    fn counter(&self, counted: Counted) -> Counter {
        Counter {
            counted,
            nr: self.nr,
            counters: self.counters,
        }
    }

    /// Adds a difference unless it is part of the value already.
    fn apply(&mut self, delta: &Key<'_>) {
        if !delta_is_applied(delta.k.version, self.version) {
            self.add(delta.v);
            self.version = delta.k.version;
        }
    }
}
