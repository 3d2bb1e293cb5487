// SPDX-License-Identifier: GPL-2.0

//! What an administrator sets: options of the filesystem at run time and of files, the label, and
//! quotas. Each is there after the next mount.

mod engine;

use engine::{
    mounted::{
        contents,
        mount,
        ROOT, //
    },
    new::made,
    space::disks, //
};
use sim::{
    ctl::publish,
    data::write::WriteOptions,
    env::Arc,
    error::{
        errno::Errno,
        Error, //
    },
    format::{
        btree_id::BtreeId,
        csum::CsumType,
        key_type::KeyType,
        opts::{
            options,
            Kind as OptionKind,
            OptId,
            OptionInfo,
            DEVICE,
            FS,
            RUNTIME, //
        },
        sb::{
            groups::Target,
            quota::QuotaTime, //
        },
        values::{
            inode::Inode,
            kinds::CompressionType,
            quota::Limit,
            subvolume::ROOT_SUBVOL, //
        },
    },
    fs::{
        change::NewFile,
        inode::find,
        options::{
            self as inode_options,
            OptionNr, //
        },
        quota::{
            Amount,
            Ids,
            Kind,
            Limits,
            Quotas,
            Warning,
            Warnings, //
        },
        SubvolInum, //
    },
    init::Filesystem,
    sys::{
        block::{
            Disk,
            Medium,
            Power, //
        },
        caller, //
    },
};
use std::collections::BTreeMap;

/// A filesystem that is mounted.
struct Mounted {
    fs: Arc<Filesystem>,
    media: Vec<Medium>,
}

fn start(disks: Vec<Disk>, list: &str) -> Mounted {
    let (fs, media) = mount(disks, &Power::new(), list);
    Mounted { fs, media }
}

impl Mounted {
    /// Unmounts it, and mounts it again.
    fn again(self, list: &str) -> Self {
        self.fs.go_read_only().unwrap();
        drop(self.fs);
        start(contents(&self.media), list)
    }

    fn create(&self, dir: SubvolInum, name: &str, new: NewFile<'_>) -> (SubvolInum, Inode) {
        let changes = self.fs.changes().unwrap();
        let made = changes.create(dir, Some(name.as_bytes()), &new).unwrap();
        (made.id, made.inode)
    }

    fn set(&self, id: SubvolInum, name: &str, text: Option<&str>) -> Result<Inode, Error> {
        let st = self.fs.view.sb();
        let option = OptionNr::of(name, st.sb.version())?;
        let info = option.info().unwrap();
        let value = match text {
            Some(text) => Some(st.parse_option(info, text).map_err(|why| why.error())?),
            None => None,
        };
        let changes = self.fs.changes()?;
        changes
            .set_option(id, option, value)
            .map(|(inode, _)| inode)
    }

    /// Options as user space sees them: name, value, and whether it is set here.
    fn shown(&self, id: SubvolInum) -> BTreeMap<String, (String, bool)> {
        let inode = find(&self.fs.view, id).unwrap();
        inode_options::options(&inode)
            .map(|o| {
                let mut text = String::new();
                o.write(self.fs.view.sb(), &mut text).unwrap();
                (o.name.to_owned(), (text, o.is_own))
            })
            .collect()
    }

    fn quotas(&self) -> &Quotas {
        self.fs.quotas().unwrap()
    }
}

/// A value that an option can have, other than `is`, as text.
fn other_value(o: &OptionInfo, is: u64) -> String {
    match o.kind {
        OptionKind::Bool => (1 - is).to_string(),
        OptionKind::Uint(min, max) => match o.name {
            // With a unit.
            "gc_reserve_bytes" | "dev_readahead" | "move_bytes_in_flight" => "1M".to_owned(),
            _ if max > is => (is + 1).to_string(),
            _ => min.to_string(),
        },
        OptionKind::Choice(names) => names[(is as usize + 1) % names.len()].to_owned(),
        OptionKind::Compression => "zstd:3".to_owned(),
        OptionKind::Target => "/dev/new0".to_owned(),
        _ => panic!("no value for {}", o.name),
    }
}

/// Options whose value is not in the superblock of 1.13.
const NOT_STORED: &[&str] = &[
    "write_error_timeout",
    "checksum_err_retry_nr",
    "ec_max_data_blocks",
    "missing_dev_timeout",
    "inline_data",
    "verbose",
    "move_writes_fua",
    "writeback_timeout",
    "move_bytes_in_flight",
    "move_ios_in_flight",
    "ratelimit_errors",
    "copygc_enabled",
    "reconcile_enabled",
    "reconcile_on_ac_only",
    "auto_snapshot_deletion",
    "btree_node_prefetch",
    "btree_cache_shrinker_seeks",
    "dev_readahead",
    "ec_stripe_buf_limit",
];

#[test]
fn options_change_at_run_time() {
    let m = start(made("target", None), "");
    let changeable: Vec<_> = options()
        .filter(|o| o.is(FS) && o.is(RUNTIME) && !o.is(DEVICE))
        .collect();
    assert!(changeable.len() > 30);
    let values = |m: &Mounted| -> Vec<u64> {
        let opts = &m.fs.view.sb().opts;
        changeable.iter().map(|o| opts.get(o.id)).collect()
    };
    let first = values(&m);
    {
        let tree = publish(&m.fs, 3).unwrap();
        for o in &changeable {
            let path = format!("options/{}", o.name);
            let before = tree.read(&path).unwrap();
            tree.write(
                &path,
                &format!("{}\n", other_value(o, m.fs.view.sb().opts.get(o.id))),
            )
            .unwrap_or_else(|e| panic!("{path}: {e:?}"));
            assert_ne!(tree.read(&path).unwrap(), before, "{path}");
        }
        let write = |name: &str, text: &str| tree.write(&format!("options/{name}"), text);
        assert_eq!(write("data_replicas", "0"), Err(Errno::ERANGE));
        assert_eq!(write("data_replicas", "9"), Err(Errno::ERANGE));
        assert_eq!(write("compression", "best"), Err(Errno::EINVAL));
        assert_eq!(write("foreground_target", "nowhere"), Err(Errno::EINVAL));
        assert_eq!(write("foreground_target", "none"), Ok(()));
        assert_eq!(write("foreground_target", "new1"), Ok(()));
        assert_eq!(write("acl", "0"), Err(Errno::EACCES));
    }
    let set = values(&m);
    // What is in the superblock is there at the next mount.
    let m = m.again("");
    for (nr, is) in values(&m).into_iter().enumerate() {
        let name = changeable[nr].name;
        match NOT_STORED.contains(&name) {
            true => assert_eq!(is, first[nr], "{name}"),
            false => assert_eq!(is, set[nr], "{name}"),
        }
    }
    m.fs.go_read_only().unwrap();
    let tree = publish(&m.fs, 3).unwrap();
    let refused = tree.write("options/compression", "lz4");
    assert_eq!(refused, Err(Errno::EROFS));
}

#[test]
fn triggers_do_what_they_say() {
    let m = start(disks("v113-empty").unwrap(), "");
    let tree = publish(&m.fs, 3).unwrap();
    let number = |file: &str, what: &str| -> u64 {
        let text = tree.read(file).unwrap();
        let line = text.lines().find(|l| l.starts_with(what)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    let journal = |what| number("internal/journal_debug", what);
    let new = NewFile {
        mode: 0o100644,
        ..NewFile::default()
    };
    let before = number("internal/alloc_debug", "inodes:");
    for i in 0..50 {
        m.create(ROOT, &format!("f{i}"), new);
    }
    assert_eq!(number("internal/alloc_debug", "inodes:"), before + 50);
    assert!(journal("flushed_seq_ondisk:") < journal("seq:"));
    let newest = journal("seq:");
    tree.write("internal/trigger_journal_writes", "1").unwrap();
    assert!(journal("flushed_seq_ondisk:") >= newest);
    assert!(journal("last_seq:") <= newest);
    tree.write("internal/trigger_journal_flush", "1").unwrap();
    assert!(
        journal("last_seq:") > newest,
        "what was held is written back"
    );
    tree.write("internal/trigger_discards", "1").unwrap();
    for file in ["btree_node_read", "journal_flush_seq"] {
        let text = tree.read(&format!("time_stats/{file}")).unwrap();
        assert!(
            !text.starts_with("count:                   0\n"),
            "{file}: {text}"
        );
        assert!(text.contains("\n  mean: "), "{file}: {text}");
    }
    for file in ["btree_write_buffer_flush", "journal_commit", "gc"] {
        let file = format!("internal/trigger_{file}");
        tree.write(&file, "1").unwrap();
    }
    // More than roots, which stay.
    tree.write("perf_test", "rand_insert 20000 1").unwrap();
    tree.write("internal/trigger_journal_flush", "1").unwrap();
    let nodes = m.fs.view.btrees.cache().nr_nodes();
    tree.write("internal/trigger_btree_cache_shrink", "0\n")
        .unwrap();
    assert_eq!(m.fs.view.btrees.cache().nr_nodes(), nodes);
    // The first round finds all of them in use.
    for _ in 0..3 {
        tree.write("internal/trigger_btree_cache_shrink", "1000\n")
            .unwrap();
    }
    assert!(m.fs.view.btrees.cache().nr_nodes() < nodes, "of {nodes}");
    let keys = m.fs.view.btrees.key_cache().nr_keys();
    for _ in 0..3 {
        tree.write("internal/trigger_btree_key_cache_shrink", "1000")
            .unwrap();
    }
    assert!(m.fs.view.btrees.key_cache().nr_keys() < keys, "of {keys}");
    let no_number = Error::TriggerNumber;
    for text in ["", "-1", "many"] {
        let refused = tree.write("internal/trigger_btree_cache_shrink", text);
        assert_eq!(refused, Err(no_number.errno()), "{text}");
    }
    let table = tree.read("dev-0/alloc_debug").unwrap();
    let sum: u64 = table
        .lines()
        .skip(1)
        .filter(|l| !l.starts_with("capacity"))
        .map(|l| l.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum();
    assert_eq!(sum, number("dev-0/alloc_debug", "capacity"), "{table}");
    m.fs.go_read_only().unwrap();
    for file in [
        "trigger_btree_write_buffer_flush",
        "trigger_delete_dead_snapshots",
        "trigger_gc",
        "trigger_journal_commit",
        "trigger_journal_flush",
        "trigger_journal_writes",
        "trigger_discards",
        "trigger_invalidates",
    ] {
        let refused = tree.write(&format!("internal/{file}"), "1");
        assert_eq!(refused, Err(Errno::EROFS), "{file}");
    }
}

#[test]
fn the_label_is_set() {
    let m = start(disks("v113-empty").unwrap(), "");
    let st = m.fs.view.sb();
    let set = |label: &[u8]| st.change_super(|sb| sb.set_label(label).map(|()| true));
    assert_eq!(set(&[b'x'; 32]), Err(Error::LabelTooLong));
    set(&[b'x'; 31]).unwrap();
    set(b"a label").unwrap();
    let label = |m: &Mounted| {
        let st = m.fs.view.sb();
        st.with_super(|sb| String::from_utf8(sb.label().bytes().to_vec()).unwrap())
    };
    assert_eq!(label(&m), "a label");
    let m = m.again("");
    assert_eq!(label(&m), "a label");
    assert_eq!(m.fs.view.sb().sb.label().bytes(), b"a label");
}

#[test]
fn options_of_files_are_set_inherited_and_kept() {
    let m = start(made("target", None), "");
    let dir_mode = NewFile {
        mode: 0o040755,
        ..NewFile::default()
    };
    let file_mode = NewFile {
        mode: 0o100644,
        ..NewFile::default()
    };
    let (dir, _) = m.create(ROOT, "dir", dir_mode);
    let (old, _) = m.create(dir, "old", file_mode);
    for (name, text) in [
        ("compression", "zstd:7"),
        ("background_compression", "gzip"),
        ("data_replicas", "2"),
        ("data_checksum", "xxhash"),
        ("foreground_target", "/dev/new1"),
        ("background_target", "new0"),
        ("promote_target", "none"),
        ("nocow", "0"),
        ("erasure_code", "0"),
        ("project", "1"),
    ] {
        m.set(dir, name, Some(text)).unwrap();
    }
    let own = m.shown(dir);
    assert_eq!(own.len(), 10);
    assert!(own.values().all(|(_, is_own)| *is_own), "{own:?}");
    assert_eq!(own["compression"].0, "zstd:7");
    assert_eq!(own["foreground_target"].0, "/dev/new1");
    assert_eq!(own["background_target"].0, "/dev/new0");

    // New files inherit; old ones do when they are told to.
    let (new, _) = m.create(dir, "new", file_mode);
    let inherited = |m: &Mounted, id| {
        let shown = m.shown(id);
        assert!(shown.values().all(|(_, is_own)| !*is_own), "{shown:?}");
        shown
            .into_iter()
            .map(|(n, (t, _))| (n, t))
            .collect::<BTreeMap<_, _>>()
    };
    let of_dir: BTreeMap<_, _> = own
        .iter()
        .map(|(n, (t, _))| (n.clone(), t.clone()))
        .collect();
    assert_eq!(inherited(&m, new), of_dir);
    assert_eq!(m.shown(old), BTreeMap::new());
    let changes = m.fs.changes().unwrap();
    assert!(changes.reinherit(dir, old).unwrap().is_some());
    assert!(changes.reinherit(dir, old).unwrap().is_none());
    assert_eq!(inherited(&m, old), of_dir);

    // Data is written so.
    let of = WriteOptions::of(m.fs.view.sb(), &find(&m.fs.view, new).unwrap());
    assert_eq!((of.nr_replicas, of.csum), (2, CsumType::XXHASH));
    assert_eq!(of.compression.kind, CompressionType::ZSTD);
    assert_eq!((of.compression.level, of.target), (7, Target::Device(1)));

    // One that is set hides what is above, until it is removed.
    m.set(new, "compression", Some("lz4")).unwrap();
    assert!(changes.reinherit(dir, new).unwrap().is_none());
    assert_eq!(m.shown(new)["compression"], ("lz4".to_owned(), true));
    m.set(dir, "compression", Some("gzip")).unwrap();
    m.set(new, "compression", None).unwrap();
    assert_eq!(m.shown(new)["compression"], ("gzip".to_owned(), false));
    m.set(dir, "compression", None).unwrap();
    assert!(!m.shown(dir).contains_key("compression"));

    for (name, text, e) in [
        ("compression", "none:3", Error::OptionNotPossible),
        ("data_replicas", "0", Error::OptionTooSmall),
        ("data_replicas", "5", Error::OptionTooBig),
        ("background_target", "nowhere", Error::OptionNotPossible),
        ("casefold", "1", Error::InodeOptionUnsupported),
        ("metadata_target", "none", Error::InodeOptionUnknown),
    ] {
        assert_eq!(m.set(dir, name, Some(text)), Err(e), "{name}={text}");
    }
    let before = m.shown(new);
    let m = m.again("");
    assert_eq!(m.shown(new), before);
    // Who moves data in the background is told of those that ask for it.
    let mut scans =
        m.fs.view
            .btrees
            .iter(BtreeId::RECONCILE_WORK, 0, Default::default());
    let mut found = Vec::new();
    while let Some(key) = scans.next().unwrap() {
        assert_eq!(key.k.key_type, KeyType::COOKIE);
        assert_ne!(key.v, [0; 8]);
        found.push(key.k.p.inode);
    }
    assert_eq!(found, [dir.inum]);
}

#[test]
fn labels_are_found_by_their_paths() {
    let m = start(
        disks("engine-three").unwrap_or_else(|| made("three", None)),
        "",
    );
    let groups = m.fs.view.sb().sb.groups();
    for (nr, group) in (0u8..).zip(groups.iter()).filter(|(_, g)| !g.is_deleted()) {
        let path = groups.path(nr).to_string();
        assert_eq!(groups.find(&path), Some(nr.into()), "{path}");
        assert_eq!(
            group.label().bytes(),
            path.rsplit('.').next().unwrap().as_bytes()
        );
    }
    assert_eq!(groups.find("no.such"), None);
    for target in [
        Target::None,
        Target::Device(0),
        Target::Device(7),
        Target::Group(0),
    ] {
        assert_eq!(Target::decode(target.encode()), target);
    }
}

const ALICE: Ids = Ids {
    user: 1000,
    group: 100,
    project: 7,
};
const BOB: Ids = Ids {
    user: 1001,
    ..ALICE
};
const QUOTAS: &str = "usrquota,grpquota,prjquota";

/// Space and inodes of a user, of a group and of a project.
fn used(quotas: &Quotas, ids: Ids) -> [(u64, u64); 3] {
    let of = |kind, id| {
        let account = quotas.get(kind, id);
        (account.sectors, account.inodes)
    };
    [
        of(Kind::User, ids.user),
        of(Kind::Group, ids.group),
        of(Kind::Project, ids.project),
    ]
}

#[test]
fn limits_hold_and_are_kept() {
    let m = start(disks("v113-empty").unwrap(), QUOTAS);
    let (quotas, changes) = (m.quotas(), m.fs.changes().unwrap());
    let mut told = Warnings::new();
    let hard = |hard| Limit { hard, soft: 0 };
    let limits = changes
        .set_limits(Kind::User, 1000, |l| {
            l.space = hard(100);
            l.inodes = hard(2);
        })
        .unwrap();
    let none = ([None; 2], [None; 2]);
    quotas
        .set(Kind::User, 1000, limits, none.0, none.1)
        .unwrap();
    let mut take = |ids, sectors, inodes, how| {
        let amount = Amount { sectors, inodes };
        quotas.take(ids, amount, how, &mut told)
    };
    assert_eq!(take(ALICE, 60, 1, Limits::Hold), Ok(()));
    assert_eq!(used(quotas, ALICE), [(60, 1); 3]);
    let refused = Err(Error::QuotaExceeded);
    assert_eq!(take(ALICE, 41, 0, Limits::Hold), refused);
    assert_eq!(take(ALICE, 0, 2, Limits::Hold), refused);
    assert_eq!(used(quotas, ALICE), [(60, 1); 3], "all or nothing");
    assert_eq!(take(ALICE, 40, 1, Limits::Hold), Ok(()));
    assert_eq!(take(ALICE, 1, 0, Limits::Ignored), Ok(()));
    caller::with(|c| c.exceeds_quotas = true);
    assert_eq!(take(ALICE, 1, 0, Limits::Hold), Ok(()));
    caller::with(|c| c.exceeds_quotas = false);
    assert_eq!(take(BOB, 1000, 5, Limits::Hold), Ok(()));
    // The group and the project are the same: they have nothing more.
    let amount = Amount {
        sectors: 50,
        inodes: 1,
    };
    let mut told = Warnings::new();
    let moved = quotas.check(BOB, ALICE, amount, &mut told);
    assert_eq!(moved, refused);
    let moved = quotas.transfer(BOB, ALICE, amount, Limits::Hold, &mut told);
    assert_eq!(moved, refused);
    quotas
        .transfer(ALICE, BOB, amount, Limits::Hold, &mut told)
        .unwrap();
    assert_eq!(used(quotas, ALICE)[0], (52, 1));
    assert_eq!(used(quotas, BOB), [(1050, 6), (1102, 7), (1102, 7)]);
    quotas.give_back(
        BOB,
        Amount {
            sectors: 1050,
            inodes: 6,
        },
        &mut told,
    );
    assert_eq!(used(quotas, BOB), [(0, 0), (52, 1), (52, 1)]);
    let numbers: Vec<u8> = told.iter().map(Warning::number).collect();
    assert_eq!(numbers, [9, 7], "of the space and the inodes of ALICE");

    changes
        .set_limits(Kind::Group, 5, |l| l.inodes.soft = 3)
        .unwrap();
    let st = m.fs.view.sb();
    st.change_super(|sb| {
        sb.set_quota(Kind::Group.number(), true, QuotaTime::Seconds, 99)?;
        sb.set_quota(Kind::Project.number(), false, QuotaTime::Warnings, 3)?;
        Ok(true)
    })
    .unwrap();
    let m = m.again(QUOTAS);
    let quotas = m.quotas();
    assert_eq!(quotas.get(Kind::User, 1000).limits, limits);
    assert_eq!(
        quotas.get(Kind::Group, 5).limits.inodes,
        Limit { hard: 0, soft: 3 }
    );
    let week = 7 * 24 * 60 * 60;
    assert_eq!(quotas.grace(Kind::Group).unwrap().seconds, [week, 99]);
    assert_eq!(quotas.grace(Kind::User).unwrap().seconds, [week; 2]);
    assert_eq!(quotas.grace(Kind::Project).unwrap().warnings, [3, 0]);
    let changes = m.fs.changes().unwrap();
    changes.remove_limits(Kind::User).unwrap();
    let m = m.again(QUOTAS);
    assert_eq!(m.quotas().get(Kind::User, 1000), Default::default());
    assert_eq!(m.quotas().get(Kind::Group, 5).limits.inodes.soft, 3);
}

#[test]
fn what_is_there_is_counted_anew() {
    let m = start(disks("v113-empty").unwrap(), QUOTAS);
    assert!(m.quotas().counts(&m.fs.view, ROOT_SUBVOL).unwrap());
    let before = m.quotas().get(Kind::User, 0).inodes;
    let new = NewFile {
        mode: 0o100644,
        uid: 1000,
        gid: 100,
        ..NewFile::default()
    };
    for i in 0..700u32 {
        let uid = 1000 + i % 600;
        m.create(ROOT, &format!("f{i}"), NewFile { uid, ..new });
    }
    let link = NewFile {
        mode: 0o120777,
        link: Some(&[b'x'; 600]),
        ..new
    };
    let (_, inode) = m.create(ROOT, "link", link);
    m.quotas().read_again(&m.fs.view).unwrap();
    let check = |m: &Mounted| {
        let quotas = m.quotas();
        assert_eq!(quotas.get(Kind::User, 0).inodes, before);
        let account = quotas.get(Kind::User, 1000);
        assert_eq!((account.sectors, account.inodes), (inode.sectors, 3));
        assert_eq!(quotas.get(Kind::User, 1599).inodes, 1);
        assert_eq!(quotas.get(Kind::Group, 100).inodes, 701);
        let mut from = 1;
        let mut nr = 0;
        while let Some((id, _)) = quotas.next(Kind::User, from) {
            (from, nr) = (id + 1, nr + 1);
        }
        assert_eq!(nr, 600);
    };
    check(&m);
    let m = m.again(QUOTAS);
    check(&m);
    let m = m.again("");
    assert!(!m.quotas().is_on());
    assert!(!m.quotas().counts(&m.fs.view, ROOT_SUBVOL).unwrap());
    assert_eq!(m.quotas().get(Kind::Group, 100), Default::default());
    assert_eq!(m.fs.view.sb().opts.get(OptId::Usrquota), 0);
}

#[test]
fn a_device_is_discarded_as_it_or_the_mount_says() {
    let discards = |m: &Mounted| {
        let st = m.fs.view.sb();
        let mut devs = st.devices();
        let (dev, none) = (devs.next().unwrap(), devs.next());
        assert!(none.is_none());
        (dev.member.discard(), st.discards(dev))
    };
    let m = start(disks("v113-empty").unwrap(), "");
    let (own, now) = discards(&m);
    assert_eq!(now, own);
    for (list, chosen) in [("discard", true), ("nodiscard", false)] {
        let m = start(disks("v113-empty").unwrap(), list);
        assert_eq!(discards(&m).1, chosen, "{list}");
    }
    let st = m.fs.view.sb();
    st.set_option(OptId::Discard.info(), u64::from(!own))
        .unwrap();
    assert_eq!(discards(&m).1, !own);
}

/// Those of each device, in the superblock as well; and errors are counted from a time on.
#[test]
fn options_of_devices_change_at_run_time() {
    let m = start(disks("v113-threedev").unwrap(), "");
    {
        let tree = publish(&m.fs, 3).unwrap();
        let st = m.fs.view.sb();
        let dev = st.devices().next().unwrap();
        let discards = dev.discard();
        let opposite = if discards { "0" } else { "1\n" };
        assert_eq!(tree.write("dev-0/durability", "2\n"), Ok(()));
        assert_eq!(tree.write("dev-0/discard", opposite), Ok(()));
        assert_eq!(tree.write("dev-2/rotational", "1"), Ok(()));
        assert_eq!((dev.durability(), dev.discard()), (2, !discards));
        assert_eq!(tree.read("dev-0/durability").unwrap(), "2\n");
        assert_eq!(tree.read("dev-1/durability").unwrap(), "1\n");
        assert_eq!(tree.read("dev-2/rotational").unwrap(), "1\n");
        assert_eq!(tree.write("dev-0/durability", "3"), Err(Errno::ERANGE));
        assert_eq!(tree.write("dev-0/durability", "x"), Err(Errno::EINVAL));
        assert_eq!(tree.write("dev-0/state", "ro"), Err(Errno::EOPNOTSUPP));
        let refused = st.set_device_option(dev, OptId::Label, 0);
        assert_eq!(refused, Err(Error::DeviceOptionFixed));

        for _ in 0..3 {
            dev.errors.count_write(Error::Io);
        }
        dev.errors.count(Error::Io);
        let counts = || {
            let text = tree.read("dev-0/io_errors").unwrap();
            let number = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse().ok());
            text.lines().filter_map(number).collect::<Vec<u64>>()
        };
        let before = counts();
        // Reads, writes, checksums: in all, and since the reset.
        assert_eq!((before[1], before[4]), (3, 3), "{before:?}");
        assert_eq!(tree.write("dev-0/io_errors_reset", "1"), Ok(()));
        let after = counts();
        assert_eq!(after[..3], before[..3]);
        assert_eq!(after[3..], [0, 0, 0]);
        assert_eq!(tree.read("dev-0/io_errors_reset"), None);
    }
    let m = m.again("");
    let tree = publish(&m.fs, 3).unwrap();
    let dev = m.fs.view.sb().devices().next().unwrap();
    assert_eq!((dev.durability(), dev.member.durability()), (2, 2));
    assert_eq!(dev.discard(), dev.member.discard());
    assert_eq!(
        (dev.all_errors(), dev.member.errors_at_reset()),
        ([1, 3, 0], [1, 3, 0])
    );
    assert_eq!(tree.read("dev-2/rotational").unwrap(), "1\n");
    m.fs.go_read_only().unwrap();
    assert_eq!(tree.write("dev-0/durability", "1"), Err(Errno::EROFS));
    assert_eq!(tree.write("dev-0/io_errors_reset", "1"), Err(Errno::EROFS));
}
