// SPDX-License-Identifier: GPL-2.0

//! Golden images that are started, damaged and repaired, and what is on their devices then.

use super::{
    new::devices,
    setting, //
};
use sim::{
    alloc::space::{
        Space,
        Writer, //
    },
    btree::{
        ptr::NodePtr,
        replay,
        Btrees,
        KeyBuf, //
    },
    check::check_derived,
    env::Arc as EnvArc,
    error::{
        fsck::FsckError,
        Result, //
    },
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts, //
    },
    golden::images,
    init::{
        Access,
        Filesystem, //
    },
    journal::{
        self,
        keys::Amendments,
        live::{
            Journal,
            Start, //
        },
    },
    sb,
    sys::block::{
        BlockDevice,
        Disk,
        Durability,
        Medium,
        Power,
        PowerCut, //
    },
};
use std::sync::Arc;

/// What is on devices.
pub(crate) use super::mounted::contents as left;

/// What it takes to repair everything.
pub(crate) const REPAIR: &str = "fsck,fix_errors=yes";

/// The devices of an image; `None` when it is not there: few are in the tree.
pub(crate) fn contents(name: &str) -> Option<Vec<Disk>> {
    let image = images::image(name)?;
    let disk = |c: Vec<u8>| Disk::from_memory(Arc::new(c));
    Some(image.unpack().unwrap().into_iter().map(disk).collect())
}

/// Starts a filesystem; its devices, to look at later.
pub(crate) fn start(
    disks: Vec<Disk>,
    access: Access,
    opts: &str,
    power: &Power,
) -> (Result<EnvArc<Filesystem>>, Vec<Medium>) {
    let (devs, media) = devices(disks, power);
    let mut parsed = Opts::new();
    parsed.parse_list(opts).unwrap();
    (Filesystem::start_for(access, devs, &parsed), media)
}

/// The same devices without some copies of nodes.
pub(crate) fn overwritten(
    disks: Vec<Disk>,
    copies: impl Iterator<Item = sim::format::values::extent_entry::Ptr>,
) -> Vec<Disk> {
    let device = |d| BlockDevice::recorded("sim", d, &Power::new());
    let devs: Vec<_> = disks.into_iter().map(device).collect();
    for copy in copies {
        let dev = &devs[usize::from(copy.dev.0)];
        dev.write(copy.offset.0, &[0; 4096], Durability::Fua)
            .unwrap();
    }
    devs.iter().map(|d| d.medium().contents()).collect()
}

/// The pointer to the root of a btree.
pub(crate) fn root_of(fs: &Filesystem, btree: BtreeId) -> NodePtr {
    let btrees = &fs.view.btrees;
    let (above, root) = btrees.root_pointer(btree).unwrap().unwrap();
    NodePtr::decode(btree, above - 1, &root.key(), btrees.entry_sizes()).unwrap()
}

/// Nothing is wrong any more, by a check that counts everything anew, and by one that repairs.
pub(crate) fn check_whole(disks: Vec<Disk>, what: &str) -> EnvArc<Filesystem> {
    let (fs, media) = start(disks, Access::Read, "", &Power::new());
    let fs = fs.unwrap();
    let findings = check_derived(&fs.view);
    assert!(findings.is_empty(), "{what}: {findings:#?}");
    let ext = fs.view.sb().sb.ext().unwrap();
    assert_eq!(ext.recovery_passes_required(), [0; 2], "{what}");
    assert_eq!(ext.btrees_lost_data(), 0, "{what}");
    let opts = "fsck,fix_errors=exit";
    let (again, _) = start(left(&media), Access::Write, opts, &Power::new());
    let again = again.unwrap_or_else(|e| panic!("{what}: again: {e}"));
    assert_eq!(again.view.sb().errors.since_mount(), 0, "{what}: again");
    fs
}

/// The same devices with `keys` in their btrees, put there as the replay of a journal does: nothing
/// follows from them.
pub(crate) fn overlaid(disks: Vec<Disk>, keys: &[(BtreeId, KeyBuf)]) -> Vec<Disk> {
    let (devs, media) = devices(disks, &Power::new());
    let st = EnvArc::try_new(sb::open(devs, &Opts::default()).unwrap()).unwrap();
    let mut contents = journal::read(&st, false).unwrap();
    let from = Start::after(&mut contents).unwrap();
    let btrees = Btrees::start(st.clone(), contents).unwrap();
    let mut amendments = Amendments::default();
    for (btree, key) in keys {
        amendments.add(*btree, 0, &key.key()).unwrap();
    }
    btrees.amend(amendments).unwrap();
    st.mark_dirty(btrees.blacklist().ranges()).unwrap();
    let journal = Journal::start(st, &from).unwrap();
    let space = Space::try_new(&btrees, journal.clone()).unwrap();
    let writer = Writer::try_new(journal.clone(), space).unwrap();
    assert_eq!(replay(&btrees, &writer).unwrap(), keys.len());
    journal.write_entry().unwrap();
    journal.flush().unwrap();
    left(&media)
}

/// All keys of a btree.
pub(crate) fn all(fs: &Filesystem, btree: BtreeId) -> Vec<KeyBuf> {
    let mut all = Vec::new();
    let mut iter = fs.view.btrees.iter(btree, 0, Bpos::MIN);
    while let Some(key) = iter.next().unwrap() {
        all.push(KeyBuf::copy_of(&key).unwrap());
    }
    all
}

/// How often something was found of a kind since the filesystem was made.
pub(crate) fn counted(fs: &Filesystem, id: FsckError) -> u64 {
    let mut nr = 0;
    let done: std::result::Result<(), ()> = fs.view.sb().errors.for_each(|found| {
        if found.id == id {
            nr = found.nr;
        }
        Ok(())
    });
    done.unwrap();
    nr
}

/// Moments to lose the power at, until `end`: so many as `BCACHEFS_RS_CUTS` says, or else
/// `default`, spread evenly; every one for 0. `BCACHEFS_RS_SEED` says what is lost then.
pub(crate) fn cuts(end: u64, default: u64) -> impl Iterator<Item = PowerCut> {
    let seed = setting("BCACHEFS_RS_SEED", 1);
    let nr = match setting("BCACHEFS_RS_CUTS", default) {
        0 => end,
        nr => nr,
    };
    (0..nr).map(move |i| PowerCut {
        at: end * (i * 2 + 1) / (nr * 2),
        seed: seed << 32 | i,
    })
}
