// SPDX-License-Identifier: GPL-2.0

//! quotactl(2).

use super::{
    errno::errno,
    Bcachefs,
    Mount, //
};
use crate::{
    error::errno::Errno,
    fs::quota::{
        Account,
        Kind, //
    },
    sys::fs::{
        QuotaAccount,
        QuotaGrace,
        Quotas,
        Result, //
    },
};

fn kind(nr: u32) -> Result<Kind> {
    Kind::from_number(nr.into()).ok_or(Errno::EINVAL)
}

fn shown(account: &Account) -> QuotaAccount {
    let bytes = |sectors: u64| sectors.saturating_mul(512);
    let Account {
        sectors,
        inodes,
        limits,
    } = *account;
    QuotaAccount {
        used: [bytes(sectors), inodes],
        hard: [bytes(limits.space.hard), limits.inodes.hard],
        soft: [bytes(limits.space.soft), limits.inodes.soft],
    }
}

/// C: `bch2_quotactl_operations`.
impl Quotas for Bcachefs {
    fn quota_grace(mount: &Mount, nr: u32) -> Result<Option<QuotaGrace>> {
        let grace = mount.fs.quotas().map_err(errno)?.grace(kind(nr)?);
        Ok(grace.map(|g| QuotaGrace {
            seconds: g.seconds,
            warnings: g.warnings,
        }))
    }

    fn quota(mount: &Mount, nr: u32, id: u32) -> Result<QuotaAccount> {
        let account = mount.fs.quotas().map_err(errno)?.get(kind(nr)?, id);
        Ok(shown(&account))
    }

    fn next_quota(mount: &Mount, nr: u32, from: u32) -> Result<Option<(u32, QuotaAccount)>> {
        let next = mount.fs.quotas().map_err(errno)?.next(kind(nr)?, from);
        Ok(next.map(|(id, account)| (id, shown(&account))))
    }
}
