// SPDX-License-Identifier: GPL-2.0

//! Quotas: what users, groups and projects have, and may have.
//!
//! Limits are keys of a btree; what is in use is not on disk, it is counted when the filesystem is
//! mounted. That takes as long as reading all inodes, and is done only if quotas are asked for.

use super::{
    inode::find,
    SubvolInum, //
};
use crate::{
    env::{
        pr_err,
        sort::sort_by,
        Vec, //
    },
    error::{
        Error,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        key_type::KeyType,
        opts::OptId,
        values::{
            inode::Inode,
            quota::Quota,
            snapshot::SnapshotTree, //
        },
    },
    snapshots::View,
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

    const fn number(self) -> u64 {
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

    /// Who an inode counts for. C: `bch_qid()`.
    fn id_of(self, inode: &Inode) -> u32 {
        match self {
            Kind::User => inode.uid,
            Kind::Group => inode.gid,
            Kind::Project => inode.project.saturating_sub(1),
        }
    }
}

/// The numbers of one user, group or project.
///
/// C: `struct bch_memquota`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Space in use, in sectors.
    pub sectors: u64,
    /// Inodes in use.
    pub inodes: u64,
    /// What it may have: sectors and inodes.
    pub limits: Quota,
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

/// How many ids are collected before they are merged into the others.
const BATCH: usize = 512;

/// Accounts, by id.
#[derive(Debug, Default)]
struct Accounts {
    /// Sorted, each id once.
    sorted: Vec<(u32, Account)>,
    /// Ids that are not in `sorted`, in any order, some more than once.
    new: Vec<(u32, Account)>,
}

impl Accounts {
    /// Changes the account of `id`.
    fn update(&mut self, id: u32, change: impl FnOnce(&mut Account)) -> Result {
        let at = self.sorted.binary_search_by(|(i, _)| i.cmp(&id));
        if let Some((_, account)) = at.ok().and_then(|at| self.sorted.get_mut(at)) {
            change(account);
            return Ok(());
        }
        let mut account = Account::default();
        change(&mut account);
        self.new.push((id, account))?;
        match self.new.len() < BATCH {
            true => Ok(()),
            false => self.merge(),
        }
    }

    /// Empties `new`.
    fn merge(&mut self) -> Result {
        sort_by(&mut self.new, |a, b| a.0.cmp(&b.0));
        let room = self.sorted.len().saturating_add(self.new.len());
        let mut all: Vec<(u32, Account)> = Vec::with_capacity(room)?;
        let mut old = self.sorted.iter().peekable();
        for &(id, account) in self.new.iter() {
            while let Some(before) = old.next_if(|o| o.0 < id) {
                all.push(*before)?;
            }
            match all.last_mut().filter(|last| last.0 == id) {
                Some((_, same)) => same.add(&account),
                None => all.push((id, account))?,
            }
        }
        for rest in old {
            all.push(*rest)?;
        }
        self.sorted = all;
        self.new.clear();
        Ok(())
    }
}

impl Account {
    /// Adds what `other`, of the same id, has. Limits are known before anything is counted.
    fn add(&mut self, other: &Self) {
        self.sectors = self.sectors.saturating_add(other.sectors);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }
}

/// The quotas of a filesystem.
///
/// C: `quotas` of `struct bch_fs`.
#[derive(Debug, Default)]
pub struct Quotas {
    /// By number of the kind; `None` when it is not turned on.
    kinds: [Option<(Grace, Accounts)>; 3],
}

impl Quotas {
    /// Reads the limits and counts what is in use, for the kinds that are turned on. Reads nothing
    /// when there are none.
    ///
    /// C: `bch2_fs_quota_read()`.
    #[inline(never)]
    pub fn read(view: &View) -> Result<Self> {
        let st = view.sb();
        let mut quotas = Self::default();
        for (kind, slot) in Kind::ALL.into_iter().zip(&mut quotas.kinds) {
            if st.opts.is_on(kind.option()) {
                let stored = st.sb.quota().and_then(|q| q.limits(kind.number()));
                let grace = stored.map_or(Grace::default(), |[seconds, warnings]| Grace {
                    seconds,
                    warnings,
                });
                *slot = Some((grace, Accounts::default()));
            }
        }
        if quotas.kinds.iter().all(Option::is_none) {
            return Ok(quotas);
        }
        quotas.read_limits(view)?;
        quotas.merge()?;
        quotas.count(view)?;
        quotas.merge()?;
        Ok(quotas)
    }

    fn merge(&mut self) -> Result {
        for (_, accounts) in self.kinds.iter_mut().flatten() {
            accounts.merge()?;
        }
        Ok(())
    }

    /// C: `__bch2_quota_set()`.
    fn read_limits(&mut self, view: &View) -> Result {
        let mut keys = view.btrees.iter(BtreeId::QUOTAS, 0, Bpos::MIN);
        while let Some(key) = keys.next()? {
            let kind = Kind::from_number(key.k.p.inode);
            let slot = Kind::ALL.into_iter().zip(&mut self.kinds);
            let slot = slot
                .filter(|(k, _)| Some(*k) == kind)
                .find_map(|(_, s)| s.as_mut());
            let (Some((_, accounts)), Ok(id)) = (slot, u32::try_from(key.k.p.offset)) else {
                continue;
            };
            if key.k.key_type != KeyType::QUOTA {
                continue;
            }
            match Quota::decode(key.v) {
                Ok(limits) => accounts.update(id, |a| a.limits = limits)?,
                Err(invalid) => {
                    pr_err!("limits at {}: {invalid}", key.k.p);
                    return Err(Error::QuotaInvalid);
                }
            }
        }
        Ok(())
    }

    /// Counts what is in use: each inode as the main subvolume of its snapshot tree has it. Inodes
    /// that only snapshots have do not count.
    ///
    /// C: `bch2_fs_quota_read_inode()`.
    fn count(&mut self, view: &View) -> Result {
        let mut keys = view.btrees.iter(BtreeId::INODES, 0, Bpos::MIN);
        let mut tree = None;
        let mut last = None;
        while let Some(k) = keys.advance()? {
            if last == Some(k.p.offset) {
                continue;
            }
            last = Some(k.p.offset);
            let Some(id) = view.table.tree(k.p.snapshot) else {
                continue;
            };
            let main = match tree {
                Some((i, main)) if i == id => main,
                _ => main_subvolume(view, id)?,
            };
            tree = Some((id, main));
            if main == 0 {
                continue;
            }
            let at = SubvolInum {
                subvol: main,
                inum: k.p.offset,
            };
            match find(view, at) {
                Ok(inode) => self.add(&inode)?,
                Err(e) if e.is_not_found() => (),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn add(&mut self, inode: &Inode) -> Result {
        for (kind, slot) in Kind::ALL.into_iter().zip(&mut self.kinds) {
            if let Some((_, accounts)) = slot {
                accounts.update(kind.id_of(inode), |a| {
                    a.sectors = a.sectors.saturating_add(inode.sectors);
                    a.inodes = a.inodes.saturating_add(1);
                })?;
            }
        }
        Ok(())
    }

    fn kind(&self, kind: Kind) -> Option<&(Grace, Accounts)> {
        let mut slots = Kind::ALL.into_iter().zip(&self.kinds);
        slots.find(|(k, _)| *k == kind)?.1.as_ref()
    }

    /// The grace times of a kind; `None` when it is not turned on.
    pub fn grace(&self, kind: Kind) -> Option<Grace> {
        self.kind(kind).map(|(grace, _)| *grace)
    }

    /// The account of `id`: empty when nothing is known of it.
    ///
    /// C: `bch2_get_quota()`.
    pub fn get(&self, kind: Kind, id: u32) -> Account {
        match self.next(kind, id) {
            Some((found, account)) if found == id => account,
            _ => Account::default(),
        }
    }

    /// The first account that is not empty, of the ids from `from` on.
    ///
    /// C: `bch2_get_next_quota()`.
    pub fn next(&self, kind: Kind, from: u32) -> Option<(u32, Account)> {
        let (_, accounts) = self.kind(kind)?;
        let at = accounts.sorted.partition_point(|(id, _)| *id < from);
        let rest = accounts.sorted.get(at..).unwrap_or_default();
        rest.iter().find(|(_, a)| *a != Account::default()).copied()
    }
}

/// The main subvolume of snapshot tree `id`; 0 when there is none.
#[inline(never)]
fn main_subvolume(view: &View, id: u32) -> Result<u32> {
    let pos = Bpos::new(0, u64::from(id), 0);
    let Some(found) = view.lookup(BtreeId::SNAPSHOT_TREES, pos)? else {
        return Ok(0);
    };
    let key = found.key();
    if key.k.key_type != KeyType::SNAPSHOT_TREE {
        return Ok(0);
    }
    match SnapshotTree::decode(key.v) {
        Ok(tree) => Ok(tree.master_subvol),
        Err(invalid) => {
            pr_err!("snapshot tree {id}: {invalid}");
            Ok(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn accounts_are_merged() {
        let mut accounts = Accounts::default();
        let mut model = BTreeMap::<u32, u64>::new();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            let id = (seed >> 33) as u32 % 3000;
            accounts.update(id, |a| a.inodes += 1).unwrap();
            *model.entry(id).or_default() += 1;
        }
        accounts.merge().unwrap();
        let got: BTreeMap<_, _> = accounts
            .sorted
            .iter()
            .map(|(i, a)| (*i, a.inodes))
            .collect();
        assert_eq!(got, model);
        assert_eq!(got.len(), accounts.sorted.len());
        assert!(accounts.sorted.windows(2).all(|w| w[0].0 < w[1].0));
    }

    #[test]
    fn accounts_are_found() {
        let mut quotas = Quotas::default();
        let mut accounts = Accounts::default();
        for id in [7, 0, 1000] {
            accounts.update(id, |a| a.inodes = u64::from(id)).unwrap();
        }
        accounts.merge().unwrap();
        quotas.kinds[1] = Some((Grace::default(), accounts));
        let next = |from| quotas.next(Kind::Group, from).map(|(id, a)| (id, a.inodes));
        assert_eq!(next(0), Some((7, 7)), "an empty account is passed over");
        assert_eq!(next(8), Some((1000, 1000)));
        assert_eq!(next(1001), None);
        assert_eq!(quotas.get(Kind::Group, 7).inodes, 7);
        assert_eq!(quotas.get(Kind::Group, 8), Account::default());
        assert_eq!(quotas.next(Kind::User, 0), None);
        assert_eq!(quotas.grace(Kind::User), None);
        assert_eq!(quotas.grace(Kind::Group).unwrap().seconds, [604_800; 2]);
    }
}
