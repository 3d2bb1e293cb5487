// SPDX-License-Identifier: GPL-2.0

//! Accounts, by id.

use crate::{
    env::Vec,
    error::{
        Error,
        Result, //
    },
    format::values::quota::{
        Limit,
        Quota, //
    },
};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// Sectors.
    Space,
    /// Inodes.
    Inodes,
}

/// The numbers of one user, group or project. Pairs are of space and of inodes.
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
    /// When the time is over that a soft limit may be exceeded, in seconds since 1970; 0 when it is
    /// not exceeded.
    pub timers: [u64; 2],
    /// Warnings, as an administrator has set them.
    pub warnings: [u32; 2],
    /// Which warnings were given and are still true: bits.
    pub(super) given: [u8; 2],
}

/// One of the numbers of an account, and what goes with it.
pub(super) struct Counter<'a> {
    pub(super) used: &'a mut u64,
    pub(super) limit: Limit,
    pub(super) timer: &'a mut u64,
    pub(super) given: &'a mut u8,
}

impl Account {
    pub(super) fn counter(&mut self, what: Counted) -> Counter<'_> {
        let ([space_timer, inodes_timer], [space_given, inodes_given]) =
            (&mut self.timers, &mut self.given);
        match what {
            Counted::Space => Counter {
                used: &mut self.sectors,
                limit: self.limits.space,
                timer: space_timer,
                given: space_given,
            },
            Counted::Inodes => Counter {
                used: &mut self.inodes,
                limit: self.limits.inodes,
                timer: inodes_timer,
                given: inodes_given,
            },
        }
    }
}

/// How many ids are collected before they are merged into the others.
const BATCH: usize = 512;

/// Accounts, by id. An id is in one of the lists, once.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    /// Sorted.
    sorted: Vec<(u32, Account)>,
    /// Sorted, and few: those that came since these lists were merged.
    new: Vec<(u32, Account)>,
}

fn place(list: &[(u32, Account)], id: u32) -> core::result::Result<usize, usize> {
    list.binary_search_by(|(i, _)| i.cmp(&id))
}

impl Accounts {
    /// The account of `id`, which is made if there is none.
    pub(super) fn of(&mut self, id: u32) -> Result<&mut Account> {
        if self.new.len() >= BATCH {
            self.merge()?;
        }
        let (list, at) = match place(&self.sorted, id) {
            Ok(at) => (&mut self.sorted, at),
            Err(_) => {
                let at = match place(&self.new, id) {
                    Ok(at) => at,
                    Err(at) => {
                        self.new.insert(at, (id, Account::default()))?;
                        at
                    }
                };
                (&mut self.new, at)
            }
        };
        match list.get_mut(at) {
            Some((_, account)) => Ok(account),
            None => Err(Error::Overflow),
        }
    }

    /// The account of `id`, if there is one.
    pub(super) fn get(&self, id: u32) -> Option<&Account> {
        let in_list = |list: &'_ Vec<(u32, Account)>| place(list, id).ok();
        let found = match in_list(&self.sorted) {
            Some(at) => self.sorted.get(at),
            None => self.new.get(in_list(&self.new)?),
        };
        found.map(|(_, account)| account)
    }

    /// The first account that is not empty, of the ids from `from` on.
    pub(super) fn next(&self, from: u32) -> Option<(u32, Account)> {
        let first = |list: &Vec<(u32, Account)>| {
            let at = list.partition_point(|(id, _)| *id < from);
            let rest = list.get(at..).unwrap_or_default();
            rest.iter().find(|(_, a)| *a != Account::default()).copied()
        };
        match (first(&self.sorted), first(&self.new)) {
            (Some(a), Some(b)) => Some(if a.0 < b.0 { a } else { b }),
            (a, b) => a.or(b),
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(u32, Account)> {
        self.sorted.iter().chain(self.new.iter())
    }

    /// How many there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.sorted.len().saturating_add(self.new.len())
    }

    /// Empties `new`.
    fn merge(&mut self) -> Result {
        let room = self.sorted.len().saturating_add(self.new.len());
        let mut all: Vec<(u32, Account)> = Vec::with_capacity(room)?;
        let mut old = self.sorted.iter().peekable();
        for new in self.new.iter() {
            while let Some(before) = old.next_if(|o| o.0 < new.0) {
                all.push(*before)?;
            }
            all.push(*new)?;
        }
        for rest in old {
            all.push(*rest)?;
        }
        self.sorted = all;
        self.new.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn accounts_are_as_in_a_map() {
        let mut accounts = Accounts::default();
        let mut model = BTreeMap::<u32, u64>::new();
        let mut seed = 1u64;
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
            let id = (seed >> 33) as u32 % 3000;
            accounts.of(id).unwrap().inodes += 1;
            *model.entry(id).or_default() += 1;
        }
        assert_eq!(accounts.len(), model.len());
        let got: BTreeMap<_, _> = accounts.iter().map(|(i, a)| (*i, a.inodes)).collect();
        assert_eq!(got, model);
        let mut from = 0;
        let mut walked = BTreeMap::new();
        while let Some((id, account)) = accounts.next(from) {
            walked.insert(id, account.inodes);
            assert_eq!(accounts.get(id).unwrap().inodes, account.inodes);
            from = id + 1;
        }
        assert_eq!(walked, model);
        assert!((0..3000).all(|id| accounts.get(id).is_some() == model.contains_key(&id)));
    }
}
