// SPDX-License-Identifier: GPL-2.0

//! Quotas: what users, groups and projects have, and may have.
//!
//! | file          | holds                                                               |
//! |---------------|---------------------------------------------------------------------|
//! | `accounts.rs` | accounts, by id                                                       |
//! | `count.rs`    | what is in use, counted when the filesystem is mounted                |
//! | `limit.rs`    | what limits allow, and when somebody is warned                        |
//!
//! Limits are keys of a btree; what is in use is not on disk, it is counted when the filesystem is
//! mounted. That takes as long as reading all inodes, and is done only if quotas are asked for.

mod accounts;
mod count;
mod limit;

use self::{
    accounts::{
        Accounts,
        Counted, //
    },
    limit::Look,
};
use crate::{
    env::time::real_seconds,
    error::{
        Error,
        Result, //
    },
    format::{
        opts::OptId,
        values::{
            inode::Inode,
            quota::Quota, //
        },
    },
    snapshots::View,
    sys::{
        caller::may_exceed_quotas,
        reclaim::NoFs,
        sync::Mutex, //
    },
};

pub use self::{
    accounts::Account,
    limit::{
        Warning,
        Warnings, //
    },
};

/// Whose quota.
///
/// C: `enum quota_types`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user's.
    User,
    /// A group's.
    Group,
    /// A project's.
    Project,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 3] = [Kind::User, Kind::Group, Kind::Project];

    /// The kind with this number, on disk and for user space.
    pub fn from_number(nr: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.number() == nr)
    }

    /// Its number, on disk and for user space.
    pub const fn number(self) -> u64 {
        match self {
            Kind::User => 0,
            Kind::Group => 1,
            Kind::Project => 2,
        }
    }

    /// The option that turns it on.
    const fn option(self) -> OptId {
        match self {
            Kind::User => OptId::Usrquota,
            Kind::Group => OptId::Grpquota,
            Kind::Project => OptId::Prjquota,
        }
    }
}

/// Grace times and the like of one kind.
///
/// C: the limits in `struct bch_memquota_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// For how many seconds more than the soft limit can be in use: space, inodes.
    pub seconds: [u32; 2],
    /// How many warnings there are before that: space, inodes.
    pub warnings: [u32; 2],
}

impl Default for Grace {
    /// Seven days. C: `bch2_sb_get_or_create_quota()`.
    fn default() -> Self {
        Self {
            seconds: [7 * 24 * 60 * 60; 2],
            warnings: [0; 2],
        }
    }
}

/// Whom something counts for: a user, a group, a project.
///
/// C: `struct bch_qid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// The user.
    pub user: u32,
    /// The group.
    pub group: u32,
    /// The project.
    pub project: u32,
}

impl Ids {
    /// Whom an inode counts for. C: `bch_qid()`.
    pub fn of(inode: &Inode) -> Self {
        Self {
            user: inode.uid,
            group: inode.gid,
            project: inode.project.saturating_sub(1),
        }
    }

    const fn get(&self, kind: Kind) -> u32 {
        match kind {
            Kind::User => self.user,
            Kind::Group => self.group,
            Kind::Project => self.project,
        }
    }
}

/// How much counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Sectors.
    pub sectors: u64,
    /// Inodes.
    pub inodes: u64,
}

impl Amount {
    /// One inode.
    pub const INODE: Self = Self {
        sectors: 0,
        inodes: 1,
    };

    /// Only space.
    pub const fn sectors(sectors: u64) -> Self {
        Self { sectors, inodes: 0 }
    }

    fn each(&self) -> [(Counted, u64); 2] {
        [
            (Counted::Space, self.sectors),
            (Counted::Inodes, self.inodes),
        ]
    }
}

/// Whether limits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// They do, unless the caller may exceed them.
    Hold,
    /// It is so already.
    Ignored,
}

/// The quotas of one kind: grace times, and accounts.
type OfKind = (Grace, Accounts);

/// By number of the kind; `None` when it is not turned on.
type Kinds = [Option<OfKind>; 3];

/// The quotas of a filesystem.
///
/// C: `quotas` of `struct bch_fs`.
pub struct Quotas {
    /// Which kinds are turned on, as long as the filesystem is mounted.
    on: [bool; 3],
    kinds: Mutex<Kinds>,
}

impl Quotas {
    /// Reads the limits and counts what is in use, for the kinds that are turned on. Reads nothing
    /// when there are none.
    ///
    /// C: `bch2_fs_quota_read()`.
    #[inline(never)]
    pub fn read(view: &View) -> Result<Self> {
        let opts = &view.sb().opts;
        let on = Kind::ALL.map(|kind| opts.is_on(kind.option()));
        Ok(Self {
            on,
            kinds: Mutex::try_new(count::read(view, on)?)?,
        })
    }

    /// Counts again, when nobody is changing anything. What is known of times stays.
    #[inline(never)]
    pub fn read_again(&self, view: &View) -> Result {
        if !self.is_on() {
            return Ok(());
        }
        let mut new = count::read(view, self.on)?;
        let _scope = NoFs::enter();
        let mut kinds = self.kinds.lock();
        for (new, old) in new.iter_mut().zip(kinds.iter()) {
            let (Some((_, new)), Some((_, old))) = (new, old) else {
                continue;
            };
            for (id, old) in old
                .iter()
                .filter(|(_, a)| a.timers != [0; 2] || a.given != [0; 2])
            {
                let account = new.of(*id)?;
                (account.timers, account.given) = (old.timers, old.given);
                account.warnings = old.warnings;
            }
        }
        *kinds = new;
        Ok(())
    }

    /// Whether anything is counted.
    pub fn is_on(&self) -> bool {
        self.on != [false; 3]
    }

    /// Whether an inode of this subvolume counts: in snapshots they do not.
    ///
    /// C: the start of `bch2_fs_quota_read_inode()`.
    pub fn counts(&self, view: &View, subvol: u32) -> Result<bool> {
        if !self.is_on() {
            return Ok(false);
        }
        let snapshot = view.subvolume(subvol)?.snapshot;
        match view.table.tree(snapshot) {
            Some(tree) => Ok(count::main_subvolume(view, tree)? == subvol),
            None => Ok(false),
        }
    }

    /// The grace times of a kind; `None` when it is not turned on.
    pub fn grace(&self, kind: Kind) -> Option<Grace> {
        self.with(kind, |(grace, _)| *grace)
    }

    /// The account of `id`: empty when nothing is known of it.
    ///
    /// C: `bch2_get_quota()`.
    pub fn get(&self, kind: Kind, id: u32) -> Account {
        let found = self.with(kind, |(_, accounts)| accounts.get(id).copied());
        found.flatten().unwrap_or_default()
    }

    /// The first account that is not empty, of the ids from `from` on.
    ///
    /// C: `bch2_get_next_quota()`.
    pub fn next(&self, kind: Kind, from: u32) -> Option<(u32, Account)> {
        self.with(kind, |(_, accounts)| accounts.next(from))?
    }

    fn with<T>(&self, kind: Kind, f: impl FnOnce(&mut OfKind) -> T) -> Option<T> {
        let _scope = NoFs::enter();
        let mut kinds = self.kinds.lock();
        let mut slots = Kind::ALL.into_iter().zip(kinds.iter_mut());
        slots.find(|(k, _)| *k == kind)?.1.as_mut().map(f)
    }

    /// Changes the grace times of a kind.
    pub fn set_grace(&self, kind: Kind, grace: Grace) {
        let _ = self.with(kind, |of| of.0 = grace);
    }

    /// Changes limits of an account, and what else an administrator sets of it.
    ///
    /// C: `__bch2_quota_set()`.
    pub fn set(
        &self,
        kind: Kind,
        id: u32,
        limits: Quota,
        timers: [Option<u64>; 2],
        warnings: [Option<u32>; 2],
    ) -> Result {
        let set = |(_, accounts): &mut OfKind| -> Result {
            let account = accounts.of(id)?;
            account.limits = limits;
            for (to, new) in account.timers.iter_mut().zip(timers) {
                *to = new.unwrap_or(*to);
            }
            for (to, new) in account.warnings.iter_mut().zip(warnings) {
                *to = new.unwrap_or(*to);
            }
            Ok(())
        };
        self.with(kind, set).unwrap_or(Ok(()))
    }

    /// Takes `amount` for `ids`: all of it, or nothing. [`Error::QuotaExceeded`] when limits do not
    /// allow it.
    ///
    /// C: `bch2_quota_acct()`.
    pub fn take(&self, ids: Ids, amount: Amount, limits: Limits, to: &mut Warnings) -> Result {
        self.move_to(None, ids, amount, limits, to)
    }

    /// Gives back what was taken.
    pub fn give_back(&self, ids: Ids, amount: Amount, to: &mut Warnings) {
        let _scope = NoFs::enter();
        let mut kinds = self.kinds.lock();
        for (kind, slot) in Kind::ALL.into_iter().zip(kinds.iter_mut()) {
            remove(slot, kind, ids.get(kind), amount, to);
        }
    }

    /// Takes `amount` for `new`, where that is not who has it already: `old`, of whom it is taken.
    ///
    /// C: `bch2_quota_transfer()`.
    pub fn transfer(
        &self,
        old: Ids,
        new: Ids,
        amount: Amount,
        limits: Limits,
        to: &mut Warnings,
    ) -> Result {
        self.move_to(Some(old), new, amount, limits, to)
    }

    /// Whether `new` may have `amount` that `old` has.
    pub fn check(&self, old: Ids, new: Ids, amount: Amount, to: &mut Warnings) -> Result {
        let _scope = NoFs::enter();
        let mut kinds = self.kinds.lock();
        check(&mut kinds, Some(old), new, amount, to)
    }

    fn move_to(
        &self,
        old: Option<Ids>,
        new: Ids,
        amount: Amount,
        limits: Limits,
        to: &mut Warnings,
    ) -> Result {
        // Freeing memory could otherwise end in removing inodes, here.
        let _scope = NoFs::enter();
        let mut kinds = self.kinds.lock();
        // What is not there is made first: nothing fails behind that.
        for (kind, slot) in Kind::ALL.into_iter().zip(kinds.iter_mut()) {
            if let Some((_, accounts)) = slot {
                accounts.of(new.get(kind))?;
            }
        }
        if limits == Limits::Hold {
            check(&mut kinds, old, new, amount, to)?;
        }
        for (kind, slot) in Kind::ALL.into_iter().zip(kinds.iter_mut()) {
            let (from, id) = (old.map(|ids| ids.get(kind)), new.get(kind));
            if from == Some(id) {
                continue;
            }
            if let Some((grace, accounts)) = slot {
                let account = accounts.of(id)?;
                let mut look = look(kind, id, grace, to);
                for (what, by) in amount.each() {
                    look.add(account, what, by);
                }
            }
            if let Some(from) = from {
                remove(slot, kind, from, amount, to);
            }
        }
        Ok(())
    }
}

fn look<'a>(kind: Kind, id: u32, grace: &Grace, warnings: &'a mut Warnings) -> Look<'a> {
    Look {
        kind,
        id,
        now: real_seconds(),
        grace: grace.seconds,
        may_exceed: &may_exceed_quotas,
        warnings,
    }
}

/// Whether limits allow `amount` for `new`, where that is not `old`.
fn check(
    kinds: &mut Kinds,
    old: Option<Ids>,
    new: Ids,
    amount: Amount,
    to: &mut Warnings,
) -> Result {
    for (kind, slot) in Kind::ALL.into_iter().zip(kinds.iter_mut()) {
        let id = new.get(kind);
        let Some((grace, accounts)) = slot else {
            continue;
        };
        if old.map(|ids| ids.get(kind)) == Some(id) {
            continue;
        }
        let account = accounts.of(id)?;
        let mut look = look(kind, id, grace, to);
        for (what, by) in amount.each() {
            if !look.allows(account, what, by) {
                return Err(Error::QuotaExceeded);
            }
        }
    }
    Ok(())
}

fn remove(slot: &mut Option<OfKind>, kind: Kind, id: u32, amount: Amount, to: &mut Warnings) {
    let Some((grace, accounts)) = slot else {
        return;
    };
    // Who has something has an account.
    if let Ok(account) = accounts.of(id) {
        let mut look = look(kind, id, grace, to);
        for (what, by) in amount.each() {
            look.remove(account, what, by);
        }
    }
}
