// SPDX-License-Identifier: GPL-2.0

//! quotactl(2).

use super::{
    errno::errno,
    Bcachefs,
    Mount, //
};
use crate::{
    error::errno::Errno,
    format::sb::{
        flags,
        quota::QuotaTime, //
    },
    fs::quota::{
        Account,
        Grace,
        Kind, //
    },
    sys::fs::{
        QuotaAccount,
        QuotaChange,
        QuotaGrace,
        QuotaGraceChange,
        Quotas,
        Result, //
    },
};

/// Bytes in a sector.
const SECTOR: u64 = 512;

fn kind(nr: u32) -> Result<Kind> {
    Kind::from_number(nr.into()).ok_or(Errno::EINVAL)
}

fn shown(account: &Account) -> QuotaAccount {
    let bytes = |sectors: u64| sectors.saturating_mul(SECTOR);
    let limits = &account.limits;
    QuotaAccount {
        used: [bytes(account.sectors), account.inodes],
        hard: [bytes(limits.space.hard), limits.inodes.hard],
        soft: [bytes(limits.space.soft), limits.inodes.soft],
        timers: account.timers,
        warnings: account.warnings,
    }
}

/// The kinds that are asked for.
fn chosen(kinds: [bool; 3]) -> impl Iterator<Item = Kind> {
    let all = Kind::ALL.into_iter().zip(kinds);
    all.filter_map(|(kind, is)| is.then_some(kind))
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

    fn set_quota(mount: &Mount, nr: u32, id: u32, new: &QuotaChange) -> Result {
        let (kind, changes) = (kind(nr)?, mount.fs.changes().map_err(errno)?);
        let quotas = mount.fs.quotas().map_err(errno)?;
        let limits = changes.set_limits(kind, id, |limits| {
            let [space, inodes] = new.hard;
            limits.space.hard = space.map_or(limits.space.hard, |bytes| bytes / SECTOR);
            limits.inodes.hard = inodes.unwrap_or(limits.inodes.hard);
            let [space, inodes] = new.soft;
            limits.space.soft = space.map_or(limits.space.soft, |bytes| bytes / SECTOR);
            limits.inodes.soft = inodes.unwrap_or(limits.inodes.soft);
        });
        quotas
            .set(kind, id, limits.map_err(errno)?, new.timers, new.warnings)
            .map_err(errno)
    }

    fn set_quota_grace(mount: &Mount, nr: u32, new: &QuotaGraceChange) -> Result {
        let kind = kind(nr)?;
        mount.fs.read_write().map_err(errno)?;
        let quotas = mount.fs.quotas().map_err(errno)?;
        let old = quotas.grace(kind).ok_or(Errno::ESRCH)?;
        let st = mount.fs.view.sb();
        let numbers = [
            (QuotaTime::Seconds, new.seconds),
            (QuotaTime::Warnings, new.warnings),
        ];
        let set = st.change_super(|sb| {
            for (what, [space, inodes]) in numbers {
                for (of_inodes, v) in [(false, space), (true, inodes)] {
                    if let Some(v) = v {
                        sb.set_quota(kind.number(), of_inodes, what, v)?;
                    }
                }
            }
            Ok(true)
        });
        set.map_err(errno)?;
        let both = |[a, b]: [u32; 2], [x, y]: [Option<u32>; 2]| [x.unwrap_or(a), y.unwrap_or(b)];
        quotas.set_grace(
            kind,
            Grace {
                seconds: both(old.seconds, new.seconds),
                warnings: both(old.warnings, new.warnings),
            },
        );
        Ok(())
    }

    /// C: `bch2_quota_enable()`, `bch2_quota_disable()`.
    fn enforce_quotas(mount: &Mount, kinds: [bool; 3], on: bool) -> Result {
        mount.fs.read_write().map_err(errno)?;
        let quotas = mount.fs.quotas().map_err(errno)?;
        if on && chosen(kinds).any(|kind| quotas.grace(kind).is_none()) {
            return Err(Errno::EINVAL);
        }
        let st = mount.fs.view.sb();
        let set = st.change_super(|sb| {
            for kind in chosen(kinds) {
                let flag = match kind {
                    Kind::User => flags::USRQUOTA,
                    Kind::Group => flags::GRPQUOTA,
                    Kind::Project => flags::PRJQUOTA,
                };
                sb.set_flag(flag, u64::from(on));
            }
            Ok(true)
        });
        set.map_err(errno)
    }

    /// C: `bch2_quota_remove()`.
    fn remove_quotas(mount: &Mount, kinds: [bool; 3]) -> Result {
        let changes = mount.fs.changes().map_err(errno)?;
        let quotas = mount.fs.quotas().map_err(errno)?;
        for kind in chosen(kinds) {
            if quotas.grace(kind).is_some() {
                return Err(Errno::EINVAL);
            }
            changes.remove_limits(kind).map_err(errno)?;
        }
        Ok(())
    }
}
