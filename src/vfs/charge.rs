// SPDX-License-Identifier: GPL-2.0

//! What inodes count for in quotas.
//!
//! Of each inode in memory it is known what was taken for it, and for whom. So what is given back
//! when it is changed or removed is what was taken, whatever happens at the same time. Space is
//! taken when data comes to the page cache, so that whoever writes learns that he may not.

use super::{
    errno::errno,
    file::file_id,
    write::engine,
    Bcachefs,
    Mount, //
};
use crate::{
    data::write::each_unallocated,
    env::num::{
        div_or_zero,
        low_u32,
        round_down_pow2,
        round_up_pow2, //
    },
    error,
    format::values::inode::Inode,
    fs::quota::{
        Amount,
        Ids,
        Limits,
        Quotas,
        Warnings, //
    },
    sys::{
        fs::{
            INode,
            Result,
            SuperBlock, //
        },
        reclaim::NoFs,
        sync::Mutex, //
    },
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

/// What an inode counts for. Nothing when quotas are off, or in a snapshot.
pub(super) struct Charge(Option<Mutex<Held>>);

#[derive(Clone, Copy, Default)]
struct Held {
    /// Whether anything was taken.
    is_there: bool,
    ids: Ids,
    /// Sectors that the inode has.
    sectors: u64,
    /// Sectors that it is going to have: of what is dirty, and of what is being written.
    reserved: u64,
    /// How many runs are being written.
    runs: u32,
}

impl Held {
    const fn amount(&self) -> Amount {
        Amount {
            sectors: self.sectors.saturating_add(self.reserved),
            inodes: 1,
        }
    }
}

impl Charge {
    /// Nothing counts.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Of an inode of this subvolume. Nothing was taken for it yet.
    fn new(mount: &Mount, subvol: u32) -> error::Result<Self> {
        let view = &mount.fs.view;
        let counts = match mount.fs.quotas() {
            Ok(quotas) => quotas.counts(view, subvol)?,
            Err(_) => false,
        };
        let held = counts.then(|| Mutex::try_new(Held::default()));
        Ok(Self(held.transpose()?))
    }

    /// Of an inode that is there.
    pub(super) fn of(mount: &Mount, subvol: u32, inode: &Inode) -> error::Result<Self> {
        let this = Self::new(mount, subvol)?;
        this.begin(Ids::of(inode), inode.sectors);
        Ok(this)
    }

    /// For this, it was taken.
    fn begin(&self, ids: Ids, sectors: u64) {
        if let Some(held) = &self.0 {
            *held.lock() = Held {
                is_there: true,
                ids,
                sectors,
                ..Held::default()
            };
        }
    }
}

fn warn(sb: &SuperBlock<Bcachefs>, warnings: &Warnings) {
    for w in warnings.iter() {
        let kind = low_u32(w.kind.number());
        sb.warn_of_quota(kind, w.id, w.number());
    }
}

/// Calls `f` with the quotas and what was taken for an inode, if it counts; then warns.
fn with<T>(
    inode: &INode<Bcachefs>,
    f: impl FnOnce(&Quotas, &mut Held, &mut Warnings) -> T,
) -> Option<T> {
    let held = inode.data().charge.0.as_ref()?;
    let sb = inode.sb();
    let quotas = sb.data().fs.quotas().ok()?;
    let mut warnings = Warnings::new();
    let done = {
        // Freeing memory could otherwise end in removing inodes, here.
        let _scope = NoFs::enter();
        let mut held = held.lock();
        match held.is_there {
            true => Some(f(quotas, &mut held, &mut warnings)),
            false => None,
        }
    };
    warn(sb, &warnings);
    done
}

/// Takes so many sectors that the inode is going to have.
fn take(inode: &INode<Bcachefs>, sectors: u64) -> error::Result {
    let taken = with(inode, |quotas, held, warnings| {
        let amount = Amount::sectors(sectors);
        quotas.take(held.ids, amount, Limits::Hold, warnings)?;
        held.reserved = held.reserved.saturating_add(sectors);
        Ok(())
    });
    taken.unwrap_or(Ok(()))
}

/// So many sectors have neither space nor anything in the page cache, of those in a range of bytes.
fn nr_new(inode: &INode<Bcachefs>, pos: u64, end: u64) -> error::Result<u64> {
    let _scope = NoFs::enter();
    let fs = &inode.sb().data().fs;
    let block = u64::from(fs.view.sb().sb.block_sectors()).max(1);
    let round_up = |sectors: u64| round_up_pow2(sectors, block).unwrap_or(sectors);
    let start = round_down_pow2(pos / SECTOR, block);
    let end = round_up(end.div_ceil(SECTOR));
    let (mut nr, dirty) = (0u64, &inode.data().dirty);
    let per = |sector: u64| div_or_zero(sector, block);
    each_unallocated(
        engine(fs)?,
        &fs.view,
        file_id(inode),
        (start, end),
        |from, to| {
            let waiting = dirty.count(per(from), per(to)).saturating_mul(block);
            nr = nr.saturating_add(to.saturating_sub(from).saturating_sub(waiting));
        },
    )?;
    Ok(nr)
}

/// Takes what writing the bytes from `pos` to `end` needs, or as many of them as limits allow;
/// where those end.
///
/// C: `bch2_quota_reservation_add()`.
pub(super) fn reserve(inode: &INode<Bcachefs>, pos: u64, end: u64) -> Result<u64> {
    if inode.data().charge.0.is_none() {
        return Ok(end);
    }
    let fs = &inode.sb().data().fs;
    let block = u64::from(fs.view.sb().sb.block_bytes()).max(1);
    let first = round_down_pow2(pos, block).saturating_add(block);
    let mut end = end;
    loop {
        let taken = nr_new(inode, pos, end).and_then(|nr| take(inode, nr));
        let half = pos.saturating_add(end.saturating_sub(pos) / 2);
        let half = round_down_pow2(half, block).max(first);
        match taken {
            Ok(()) => return Ok(end),
            Err(error::Error::QuotaExceeded) if half < end => end = half,
            Err(e) => return Err(errno(e)),
        }
    }
}

/// The same for all of them, or none.
pub(super) fn reserve_all(inode: &INode<Bcachefs>, pos: u64, end: u64) -> Result {
    match inode.data().charge.0 {
        Some(_) => nr_new(inode, pos, end)
            .and_then(|nr| take(inode, nr))
            .map_err(errno),
        None => Ok(()),
    }
}

/// A run of an inode is being written from now on.
pub(super) fn begin_run(inode: &INode<Bcachefs>) {
    let _ = with(inode, |_, held, _| held.runs = held.runs.saturating_add(1));
}

/// A run was written, or not.
pub(super) fn end_run(inode: &INode<Bcachefs>) {
    let _ = with(inode, |_, held, _| held.runs = held.runs.saturating_sub(1));
    release(inode);
}

/// What was taken for more than is going to be written is given back, if nothing is being written.
/// That was more when the same was written twice, or is not going to be written any more.
pub(super) fn release(inode: &INode<Bcachefs>) {
    let dirty = &inode.data().dirty;
    let _ = with(inode, |quotas, held, warnings| {
        if held.reserved == 0 || held.runs != 0 {
            return;
        }
        let block = u64::from(inode.sb().data().fs.view.sb().sb.block_sectors());
        let most = dirty.count(0, u64::MAX).saturating_mul(block);
        let spare = held.reserved.saturating_sub(most);
        held.reserved = held.reserved.saturating_sub(spare);
        quotas.give_back(held.ids, Amount::sectors(spare), warnings);
    });
}

/// An inode has so many sectors more.
///
/// C: `bch2_i_sectors_acct()`.
pub(super) fn changed(inode: &INode<Bcachefs>, by: i64) {
    let _ = with(inode, |quotas, held, warnings| {
        if by < 0 {
            let less = by.unsigned_abs().min(held.sectors);
            held.sectors = held.sectors.saturating_sub(less);
            return quotas.give_back(held.ids, Amount::sectors(less), warnings);
        }
        let more = by.unsigned_abs();
        let known = more.min(held.reserved);
        held.reserved = held.reserved.saturating_sub(known);
        held.sectors = held.sectors.saturating_add(known);
        let rest = more.saturating_sub(known);
        // It fails for lack of memory only, and the next mount counts again.
        let amount = Amount::sectors(rest);
        if quotas
            .take(held.ids, amount, Limits::Ignored, warnings)
            .is_ok()
        {
            held.sectors = held.sectors.saturating_add(rest);
        }
    });
}

/// Whether limits allow that what an inode has counts for others, as `change` says.
///
/// C: `bch2_fs_quota_transfer()`.
pub(super) fn may_move(inode: &INode<Bcachefs>, change: impl FnOnce(&mut Ids)) -> error::Result {
    let checked = with(inode, |quotas, held, warnings| {
        let mut new = held.ids;
        change(&mut new);
        quotas.check(held.ids, new, held.amount(), warnings)
    });
    checked.unwrap_or(Ok(()))
}

/// What an inode has counts for whom it says now.
pub(super) fn moved(inode: &INode<Bcachefs>) {
    let _ = with(inode, |quotas, held, warnings| {
        let new = Ids::of(&inode.data().inode());
        if new == held.ids {
            return;
        }
        let (old, amount) = (held.ids, held.amount());
        let moved = quotas.transfer(old, new, amount, Limits::Ignored, warnings);
        if moved.is_ok() {
            held.ids = new;
        }
    });
}

/// An inode was removed.
pub(super) fn removed(inode: &INode<Bcachefs>) {
    let _ = with(inode, |quotas, held, warnings| {
        quotas.give_back(held.ids, held.amount(), warnings);
        *held = Held::default();
    });
}

/// An inode that is going to be made, and was taken already.
pub(super) struct Paid<'a> {
    sb: &'a SuperBlock<Bcachefs>,
    /// Who pays, unless nothing counts.
    ids: Option<Ids>,
    charge: Charge,
}

impl<'a> Paid<'a> {
    /// An inode in a subvolume, whose owner and project are known.
    pub(super) fn for_new(
        sb: &'a SuperBlock<Bcachefs>,
        subvol: u32,
        ids: Ids,
    ) -> error::Result<Self> {
        let mount = sb.data();
        let charge = Charge::new(mount, subvol)?;
        let mut paid = Self {
            sb,
            ids: None,
            charge,
        };
        if paid.charge.0.is_some() {
            let mut warnings = Warnings::new();
            let quotas = mount.fs.quotas()?;
            let taken = quotas.take(ids, Amount::INODE, Limits::Hold, &mut warnings);
            warn(sb, &warnings);
            taken?;
            paid.ids = Some(ids);
        }
        Ok(paid)
    }

    /// An inode that does not count.
    pub(super) fn nothing(sb: &'a SuperBlock<Bcachefs>) -> Self {
        Self {
            sb,
            ids: None,
            charge: Charge::none(),
        }
    }

    /// It was made, and is `inode`.
    pub(super) fn made(mut self, inode: &Inode) -> Charge {
        let charge = core::mem::replace(&mut self.charge, Charge::none());
        if let (Some(ids), Ok(quotas)) = (self.ids.take(), self.sb.data().fs.quotas()) {
            let mut warnings = Warnings::new();
            let new = Ids::of(inode);
            let space = Amount::sectors(inode.sectors);
            // Who got no account for lack of memory is counted by the next mount.
            let owner =
                match quotas.transfer(ids, new, Amount::INODE, Limits::Ignored, &mut warnings) {
                    Ok(()) => new,
                    Err(_) => ids,
                };
            let sectors = match quotas.take(owner, space, Limits::Ignored, &mut warnings) {
                Ok(()) => inode.sectors,
                Err(_) => 0,
            };
            warn(self.sb, &warnings);
            charge.begin(owner, sectors);
        }
        charge
    }
}

impl Drop for Paid<'_> {
    /// It was not made.
    fn drop(&mut self) {
        if let (Some(ids), Ok(quotas)) = (self.ids, self.sb.data().fs.quotas()) {
            quotas.give_back(ids, Amount::INODE, &mut Warnings::new());
        }
    }
}
