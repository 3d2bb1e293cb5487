// SPDX-License-Identifier: GPL-2.0

//! quotactl(2).

use super::{
    sb::SuperBlock,
    Complete,
    FileSystem,
    Result, //
};
use crate::{
    bindings,
    env::num,
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

/// The numbers of one user, group or project. Pairs are of space, in bytes, and of inodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaAccount {
    /// In use.
    pub used: [u64; 2],
    /// Can not be exceeded; 0 for none.
    pub hard: [u64; 2],
    /// Can be exceeded for some time; 0 for none.
    pub soft: [u64; 2],
    /// When that time is over, in seconds since 1970; 0 when it is not exceeded.
    pub timers: [u64; 2],
    /// Warnings.
    pub warnings: [u32; 2],
}

/// What is to be set of a [`QuotaAccount`].
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaChange {
    /// As there.
    pub hard: [Option<u64>; 2],
    /// As there.
    pub soft: [Option<u64>; 2],
    /// As there.
    pub timers: [Option<u64>; 2],
    /// As there.
    pub warnings: [Option<u32>; 2],
}

/// How long soft limits can be exceeded: space, inodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaGrace {
    /// Seconds.
    pub seconds: [u32; 2],
    /// Warnings.
    pub warnings: [u32; 2],
}

/// What is to be set of a [`QuotaGrace`].
#[derive(Clone, Copy, Debug, Default)]
pub struct QuotaGraceChange {
    /// Seconds.
    pub seconds: [Option<u32>; 2],
    /// Warnings.
    pub warnings: [Option<u32>; 2],
}

/// Quotas. `kind` is 0 for users, 1 for groups, 2 for projects. What changes something fails with
/// `EROFS` while nothing can be changed.
pub trait Quotas: FileSystem {
    /// Grace times, if quotas of this kind are turned on.
    fn quota_grace(data: &Self::Data, kind: u32) -> Result<Option<QuotaGrace>>;

    /// The numbers of `id`.
    fn quota(data: &Self::Data, kind: u32, id: u32) -> Result<QuotaAccount>;

    /// The first id from `from` on that has or may have anything.
    fn next_quota(data: &Self::Data, kind: u32, from: u32) -> Result<Option<(u32, QuotaAccount)>>;

    /// Changes the numbers of `id`.
    fn set_quota(data: &Self::Data, kind: u32, id: u32, new: &QuotaChange) -> Result;

    /// Changes grace times; `ESRCH` when quotas of this kind are not turned on.
    fn set_quota_grace(data: &Self::Data, kind: u32, new: &QuotaGraceChange) -> Result;

    /// Has limits of these kinds hold, or not, from the next mount on.
    fn enforce_quotas(data: &Self::Data, kinds: [bool; 3], on: bool) -> Result;

    /// Forgets all limits of these kinds.
    fn remove_quotas(data: &Self::Data, kinds: [bool; 3]) -> Result;
}

impl<T: FileSystem> SuperBlock<T> {
    /// Tells who listens for it what became of a quota. C: `QUOTA_NL_IHARDWARN` and so on.
    pub fn warn_of_quota(&self, kind: u32, id: u32, what: u8) {
        // SAFETY: The superblock is valid by the type invariant.
        unsafe { bindings::bch_rs_quota_warn(self.as_ptr(), kind, id, what) };
    }
}

/// The table of operations.
struct Tables<T>(PhantomData<T>);

impl<T: Quotas> Tables<T> {
    const OPS: bindings::quotactl_ops = bindings::quotactl_ops {
        get_state: Some(get_state::<T>),
        get_dqblk: Some(get_dqblk::<T>),
        get_nextdqblk: Some(get_nextdqblk::<T>),
        quota_enable: Some(quota_enable::<T>),
        quota_disable: Some(quota_disable::<T>),
        rm_xquota: Some(rm_xquota::<T>),
        set_info: Some(set_info::<T>),
        set_dqblk: Some(set_dqblk::<T>),
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
    [to.d_spc_timer, to.d_ino_timer] = account.timers.map(num::i64_of_bits);
    [to.d_spc_warns, to.d_ino_warns] = account.warnings.map(num::i32_of_bits);
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

/// Flags of kinds that are set in `flags`.
const fn kinds_of(flags: c_uint, of: [c_uint; 3]) -> [bool; 3] {
    let [user, group, project] = of;
    [flags & user != 0, flags & group != 0, flags & project != 0]
}

/// Enforcement of each kind.
const ENFORCED: [c_uint; 3] = [
    bindings::FS_QUOTA_UDQ_ENFD,
    bindings::FS_QUOTA_GDQ_ENFD,
    bindings::FS_QUOTA_PDQ_ENFD,
];

/// Limits of each kind.
const LIMITS: [c_uint; 3] = [
    bindings::FS_USER_QUOTA,
    bindings::FS_GROUP_QUOTA,
    bindings::FS_PROJ_QUOTA,
];

/// Counting, which can not be turned on while the filesystem is mounted.
const COUNTED: c_uint =
    bindings::FS_QUOTA_UDQ_ACCT | bindings::FS_QUOTA_GDQ_ACCT | bindings::FS_QUOTA_PDQ_ACCT;

/// `->quota_enable`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn quota_enable<T: Quotas>(
    sb: *mut bindings::super_block,
    flags: c_uint,
) -> c_int {
    // SAFETY: The superblock is of a mount of ours.
    let data = unsafe { SuperBlock::<T>::from_raw(sb).data() };
    returned(match flags & COUNTED {
        0 => T::enforce_quotas(data, kinds_of(flags, ENFORCED), true),
        _ => Err(Errno::EINVAL),
    })
}

/// `->quota_disable`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn quota_disable<T: Quotas>(
    sb: *mut bindings::super_block,
    flags: c_uint,
) -> c_int {
    // SAFETY: The superblock is of a mount of ours.
    let data = unsafe { SuperBlock::<T>::from_raw(sb).data() };
    returned(T::enforce_quotas(data, kinds_of(flags, ENFORCED), false))
}

/// `->rm_xquota`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn rm_xquota<T: Quotas>(sb: *mut bindings::super_block, flags: c_uint) -> c_int {
    // SAFETY: The superblock is of a mount of ours.
    let data = unsafe { SuperBlock::<T>::from_raw(sb).data() };
    returned(T::remove_quotas(data, kinds_of(flags, LIMITS)))
}

/// `->set_info`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn set_info<T: Quotas>(
    sb: *mut bindings::super_block,
    kind: c_int,
    info: *mut bindings::qc_info,
) -> c_int {
    // SAFETY: The superblock is of a mount of ours, and the numbers are there during the call.
    let (data, info) = unsafe { (SuperBlock::<T>::from_raw(sb).data(), &*info) };
    let mask = num::u32_of_bits(info.i_fieldmask);
    let known = bindings::QC_SPC_TIMER
        | bindings::QC_INO_TIMER
        | bindings::QC_SPC_WARNS
        | bindings::QC_INO_WARNS;
    let given = |bit, v| (mask & bit != 0).then_some(v);
    let new = QuotaGraceChange {
        seconds: [
            given(bindings::QC_SPC_TIMER, info.i_spc_timelimit),
            given(bindings::QC_INO_TIMER, info.i_ino_timelimit),
        ],
        warnings: [
            given(bindings::QC_SPC_WARNS, info.i_spc_warnlimit),
            given(bindings::QC_INO_WARNS, info.i_ino_warnlimit),
        ],
    };
    returned(match mask & !known {
        0 => T::set_quota_grace(data, num::u32_of_bits(kind), &new),
        _ => Err(Errno::EINVAL),
    })
}

/// `->set_dqblk`.
///
/// # Safety
///
/// For the VFS to call.
unsafe extern "C" fn set_dqblk<T: Quotas>(
    sb: *mut bindings::super_block,
    id: bindings::kqid,
    given: *mut bindings::qc_dqblk,
) -> c_int {
    let (kind, id) = split(id);
    // SAFETY: The superblock is of a mount of ours, and the numbers are there during the call.
    let (data, d) = unsafe { (SuperBlock::<T>::from_raw(sb).data(), &*given) };
    let mask = num::u32_of_bits(d.d_fieldmask);
    let has = |bit: u32| mask & bit != 0;
    let limit = |bit, v| has(bit).then_some(v);
    let new = QuotaChange {
        hard: [
            limit(bindings::QC_SPC_HARD, d.d_spc_hardlimit),
            limit(bindings::QC_INO_HARD, d.d_ino_hardlimit),
        ],
        soft: [
            limit(bindings::QC_SPC_SOFT, d.d_spc_softlimit),
            limit(bindings::QC_INO_SOFT, d.d_ino_softlimit),
        ],
        timers: [
            limit(bindings::QC_SPC_TIMER, num::u64_of_bits(d.d_spc_timer)),
            limit(bindings::QC_INO_TIMER, num::u64_of_bits(d.d_ino_timer)),
        ],
        warnings: [
            has(bindings::QC_SPC_WARNS).then_some(num::u32_of_bits(d.d_spc_warns)),
            has(bindings::QC_INO_WARNS).then_some(num::u32_of_bits(d.d_ino_warns)),
        ],
    };
    returned(T::set_quota(data, kind, id, &new))
}
