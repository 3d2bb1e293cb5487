// SPDX-License-Identifier: GPL-2.0

//! Names compared without case, and quotas, in golden images. Without images
//! (`BCACHEFS_RS_IMAGES`) the tests only say so.

use sim::{
    env::Arc,
    error::{
        Error,
        Result, //
    },
    format::{
        opts::Opts,
        values::inode::Inode, //
    },
    fs::{
        dirent, inode,
        quota::{
            Kind,
            Quotas, //
        },
        SubvolInum,
    },
    golden::{
        images,
        Image,
        Manifest, //
    },
    init::Filesystem,
};
use std::collections::BTreeMap;

fn image(name: &str) -> Option<Image> {
    let image = images::folder().and_then(|folder| Image::named(&folder, name));
    if image.is_none() {
        println!("skipped: no image {name} (BCACHEFS_RS_IMAGES)");
    }
    image
}

fn start(image: &Image, options: &str) -> Result<Arc<Filesystem>> {
    let mut opts = Opts::default();
    opts.parse_list(options).unwrap();
    Filesystem::start(images::devices(&image.name, image.unpack().unwrap()), &opts)
}

struct Dir<'a> {
    fs: &'a Filesystem,
    at: SubvolInum,
    inode: Inode,
}

impl<'a> Dir<'a> {
    fn root(fs: &'a Filesystem) -> Self {
        let at = inode::root(&fs.view).unwrap();
        let inode = inode::find(&fs.view, at).unwrap();
        Self { fs, at, inode }
    }

    fn lookup(&self, name: impl AsRef<[u8]>) -> Result<Option<u64>> {
        let found = dirent::lookup(&self.fs.view, self.at, &self.inode, name.as_ref())?;
        Ok(found.map(|t| t.inum))
    }

    fn below(&self, name: &str) -> Dir<'a> {
        let view = &self.fs.view;
        let at = dirent::lookup(view, self.at, &self.inode, name.as_bytes());
        let at = at.unwrap().unwrap();
        let inode = inode::find(view, at).unwrap();
        Dir { at, inode, ..*self }
    }
}

#[test]
fn names_are_found_without_case() {
    let Some(image) = image("v139-casefold") else {
        return;
    };
    let fs = start(&image, "").unwrap();
    let root = Dir::root(&fs);
    let cf = root.below("cf");
    let same: &[(&str, &[&str])] = &[
        ("FILE2", &["file2", "FiLe2", "FILE\u{ad}2"]),
        ("mixedCase.TXT", &["MIXEDCASE.txt"]),
        ("Stra\u{df}e", &["STRASSE", "strasse", "STRA\u{1e9e}E"]),
        // As one character each, and as letter and accent.
        (
            "\u{c0}\u{c9}\u{ce}",
            &["\u{e0}\u{e9}\u{ee}", "A\u{300}e\u{301}I\u{302}"],
        ),
        // The end sigma is another letter, but not another name.
        (
            "\u{3a3}\u{38a}\u{3a3}\u{3a5}\u{3a6}\u{39f}\u{3a3}",
            &["\u{3c3}\u{3af}\u{3c3}\u{3c5}\u{3c6}\u{3bf}\u{3c2}"],
        ),
        ("\u{130}stanbul", &["i\u{307}STANBUL"]),
        ("\u{fb01}-ligature", &["FI-LIGATURE"]),
        ("SubDir", &["subdir", "SUBDIR"]),
    ];
    for (listed, others) in same {
        let wanted = cf.lookup(listed).unwrap();
        assert!(wanted.is_some(), "{listed}");
        for other in *others {
            assert_eq!(cf.lookup(other).unwrap(), wanted, "{listed}, {other}");
        }
    }
    // "i" is not what the capital with a dot folds to.
    for absent in ["istanbul", "file", "FILE22", "", "stra\u{df}", "\u{ad}"] {
        assert_eq!(cf.lookup(absent).unwrap(), None, "{absent}");
    }
    // No UTF-8, or too long when folded: no entry can have such a name.
    let expanding = "\u{390}".repeat(170);
    for impossible in [&b"FILE2\xff"[..], b"\xc3", expanding.as_bytes()] {
        assert_eq!(cf.lookup(impossible).unwrap(), None);
    }
    assert!(
        cf.below("SUBDIR").lookup("iNNER").unwrap().is_some(),
        "inherited"
    );
    // Elsewhere nothing has changed.
    let plain = root.below("plain");
    assert_ne!(plain.lookup("a").unwrap(), plain.lookup("A").unwrap());
    assert_eq!(root.lookup("CF").unwrap(), None);
}

#[test]
fn casefolding_in_use_can_not_be_turned_off() {
    if let Some(image) = image("v139-casefold") {
        let refused = start(&image, "casefold_disabled").err();
        assert_eq!(refused, Some(Error::CasefoldingInUse));
    }
    if let Some(image) = image("v139-tree") {
        assert!(start(&image, "casefold_disabled")
            .unwrap()
            .view
            .sb()
            .encoding
            .is_none());
    }
}

/// What the files of a manifest take: sectors and inodes, by owner.
fn taken(manifest: &Manifest, owner: &str) -> BTreeMap<u32, (u64, u64)> {
    let mut out = BTreeMap::<_, (u64, u64)>::new();
    for e in &manifest.entries {
        let number = |name: &str| e.fields[name].parse::<u64>().unwrap();
        let of = out.entry(number(owner) as u32).or_default();
        *of = (of.0 + number("blocks"), of.1 + 1);
    }
    out
}

fn counted(quotas: &Quotas, kind: Kind) -> BTreeMap<u32, (u64, u64)> {
    let mut out = BTreeMap::new();
    let mut from = 0;
    while let Some((id, a)) = quotas.next(kind, from) {
        assert!(out.insert(id, (a.sectors, a.inodes)).is_none());
        from = id + 1;
    }
    out
}

#[test]
fn quotas_count_what_is_there() {
    for name in ["v113-quota", "v139-quota"] {
        let Some(image) = image(name) else {
            return;
        };
        let manifest = image.manifest().unwrap();
        let fs = start(&image, "").unwrap();
        let quotas = fs.quotas().unwrap();
        for (kind, owner) in [(Kind::User, "uid"), (Kind::Group, "gid")] {
            assert_eq!(
                counted(quotas, kind),
                taken(&manifest, owner),
                "{name} {kind:?}"
            );
        }
        let all = counted(quotas, Kind::Project);
        let inodes = manifest.entries.len() as u64;
        assert!(all.len() == 1 && all[&0].1 == inodes, "{name}: {all:?}");
    }
}

/// The notes of the image say what C gave for some ids.
#[test]
fn quotas_are_what_c_shows() {
    let Some(image) = image("v113-quota") else {
        return;
    };
    let fs = start(&image, "").unwrap();
    let quotas = fs.quotas().unwrap();
    let json = image.json().unwrap();
    let mut notes = 0;
    for note in json.get("notes").unwrap().list() {
        let text = note.text();
        let numbers: Vec<u64> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect();
        let [kind, id, hard, soft, space, ihard, isoft, inodes] = numbers[..] else {
            panic!("{text}");
        };
        let account = quotas.get(Kind::from_number(kind).unwrap(), id as u32);
        let got = [
            account.limits.space.hard,
            account.limits.space.soft,
            account.sectors,
            account.limits.inodes.hard,
            account.limits.inodes.soft,
            account.inodes,
        ];
        assert_eq!(
            got,
            [hard * 2, soft * 2, space / 512, ihard, isoft, inodes],
            "{text}"
        );
        notes += 1;
    }
    assert_eq!(notes, 5);
    assert_eq!(quotas.grace(Kind::User).unwrap().seconds, [604_800; 2]);
}

#[test]
fn quotas_are_read_only_when_asked_for() {
    if let Some(image) = image("v113-tree") {
        let without = start(&image, "").unwrap();
        let nodes = |fs: &Filesystem| fs.view.btrees.cache().nr_reads();
        let with = start(&image, "usrquota,prjquota").unwrap();
        assert!(nodes(&without) < nodes(&with));
        assert_eq!(
            counted(without.quotas().unwrap(), Kind::User),
            BTreeMap::new()
        );
        let kinds = [Kind::User, Kind::Group, Kind::Project];
        let on = kinds.map(|k| with.quotas().unwrap().grace(k).is_some());
        assert_eq!(on, [true, false, true]);
        let manifest = image.manifest().unwrap();
        if !manifest
            .entries
            .iter()
            .all(|e| e.fields.contains_key("blocks"))
        {
            println!("the manifest does not say what files take");
            return;
        }
        assert_eq!(
            counted(with.quotas().unwrap(), Kind::User)
                .keys()
                .collect::<Vec<_>>(),
            taken(&manifest, "uid").keys().collect::<Vec<_>>()
        );
    }
}
