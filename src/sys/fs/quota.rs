// SPDX-License-Identifier: GPL-2.0

//! quotactl(2). Nothing can be changed yet.

use super::{
    sb::SuperBlock,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    error::errno::Errno,
    sys::returned, //
};
use core::{
    ffi::{
        c_int,
        c_uint, //
    },
    marker::PhantomData, //
};

/// The numbers of one user, group or project: space in bytes, and inodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaAccount {
    /// In use.
    pub used: [u64; 2],
    /// Can not be exceeded; 0 for none.
    pub hard: [u64; 2],
    /// Can be exceeded for some time; 0 for none.
    pub soft: [u64; 2],
}

/// How long soft limits can be exceeded: space, inodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaGrace {
    /// Seconds.
    pub seconds: [u32; 2],
    /// Warnings.
    pub warnings: [u32; 2],
}

/// Quotas. `kind` is 0 for users, 1 for groups, 2 for projects.
pub trait Quotas: FileSystem {
    /// Grace times, if quotas of this kind are turned on.
    fn quota_grace(data: &Self::Data, kind: u32) -> Result<Option<QuotaGrace>>;

    /// The numbers of `id`.
    fn quota(data: &Self::Data, kind: u32, id: u32) -> Result<QuotaAccount>;

    /// The first id from `from` on that has or may have anything.
    fn next_quota(data: &Self::Data, kind: u32, from: u32) -> Result<Option<(u32, QuotaAccount)>>;
}

/// The table of operations.
struct Tables<T>(PhantomData<T>);

impl<T: Quotas> Tables<T> {
    const OPS: bindings::quotactl_ops = bindings::quotactl_ops {
        get_state: Some(get_state::<T>),
        get_dqblk: Some(get_dqblk::<T>),
        get_nextdqblk: Some(get_nextdqblk::<T>),
        quota_enable: Some(refuse_flags),
        quota_disable: Some(refuse_flags),
        rm_xquota: Some(refuse_flags),
        set_info: Some(refuse_info),
        set_dqblk: Some(refuse_dqblk),
        ..pin_init::zeroed()
    };
}

/// How many kinds there are. C: `MAXQUOTAS`.
const KINDS: u32 = 3;

/// Gives a superblock the operations.
///
/// # Safety
///
/// `sb` must be a new superblock of `T`.
pub(super) unsafe fn set_operations<T: Complete>(sb: *mut bindings::super_block) {
    // SAFETY: By the function's contract; the table is a constant.
    unsafe {
        (*sb).s_qcop = &Tables::<T>::OPS;
        (*sb).s_quota_types = (1 << KINDS) - 1;
    }
}

/// `->get_state`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_state<T: Quotas>(
    sb: *mut bindings::super_block,
    state: *mut bindings::qc_state,
) -> c_int {
    // SAFETY: The superblock is of a mount of ours, the state is to be filled in.
    let (data, state) = unsafe {
        state.write_bytes(0, 1);
        (SuperBlock::<T>::from_raw(sb).data(), &mut *state)
    };
    for (kind, s) in (0..KINDS).zip(&mut state.s_state) {
        s.flags = bindings::QCI_SYSFILE;
        match T::quota_grace(data, kind) {
            Ok(None) => (),
            Ok(Some(grace)) => {
                s.flags |= bindings::QCI_ACCT_ENABLED;
                [s.spc_timelimit, s.ino_timelimit] = grace.seconds;
                [s.spc_warnlimit, s.ino_warnlimit] = grace.warnings;
            }
            Err(e) => return returned(Err(e)),
        }
    }
    0
}

/// The kind and the id of a C id.
fn split(id: bindings::kqid) -> (u32, u32) {
    // SAFETY: The members of the union have the same layout, one number.
    (id.type_, unsafe { id.__bindgen_anon_1.uid.val })
}

/// Fills in the numbers.
fn fill(to: &mut bindings::qc_dqblk, account: &QuotaAccount) {
    [to.d_space, to.d_ino_count] = account.used;
    [to.d_spc_hardlimit, to.d_ino_hardlimit] = account.hard;
    [to.d_spc_softlimit, to.d_ino_softlimit] = account.soft;
}

/// `->get_dqblk`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_dqblk<T: Quotas>(
    sb: *mut bindings::super_block,
    id: bindings::kqid,
    to: *mut bindings::qc_dqblk,
) -> c_int {
    let (kind, id) = split(id);
    // SAFETY: The superblock is of a mount of ours, the numbers are to be filled in.
    let (data, to) = unsafe {
        to.write_bytes(0, 1);
        (SuperBlock::<T>::from_raw(sb).data(), &mut *to)
    };
    returned(T::quota(data, kind, id).map(|account| fill(to, &account)))
}

/// `->get_nextdqblk`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn get_nextdqblk<T: Quotas>(
    sb: *mut bindings::super_block,
    id: *mut bindings::kqid,
    to: *mut bindings::qc_dqblk,
) -> c_int {
    // SAFETY: The superblock is of a mount of ours, the id is that to begin with and becomes the
    // one found, the numbers are to be filled in.
    let (data, id, to) = unsafe {
        to.write_bytes(0, 1);
        (SuperBlock::<T>::from_raw(sb).data(), &mut *id, &mut *to)
    };
    let (kind, from) = split(*id);
    returned(match T::next_quota(data, kind, from) {
        Ok(Some((found, account))) => {
            id.__bindgen_anon_1.uid = bindings::kuid_t { val: found };
            fill(to, &account);
            Ok(())
        }
        Ok(None) => Err(Errno::ENOENT),
        Err(e) => Err(e),
    })
}

/// `->quota_enable`, `->quota_disable`, `->rm_xquota`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn refuse_flags(_: *mut bindings::super_block, _: c_uint) -> c_int {
    returned(Err(Errno::EROFS))
}

/// `->set_info`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn refuse_info(
    _: *mut bindings::super_block,
    _: c_int,
    _: *mut bindings::qc_info,
) -> c_int {
    returned(Err(Errno::EROFS))
}

/// `->set_dqblk`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn refuse_dqblk(
    _: *mut bindings::super_block,
    _: bindings::kqid,
    _: *mut bindings::qc_dqblk,
) -> c_int {
    returned(Err(Errno::EROFS))
}
