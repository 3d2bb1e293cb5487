// SPDX-License-Identifier: GPL-2.0

//! What a filesystem shows of itself: every file can be read, says what the superblock says, and is
//! in Documentation/sysfs.rst, which has no others.

use sim::{
    ctl::{
        publish,
        Published, //
    },
    env::Arc,
    error::Error,
    format::opts::Opts,
    golden::images,
    init::Filesystem,
};
use std::{
    collections::BTreeSet,
    path::Path, //
};

fn start(name: &str) -> Option<Arc<Filesystem>> {
    let image = images::image(name)?;
    let devs = images::devices(name, image.unpack().expect(name));
    Some(Filesystem::start(devs, &Opts::default()).expect(name))
}

fn shown(fs: &Arc<Filesystem>) -> Published {
    publish(fs, 7).expect("publish")
}

/// The files that the document lists: those in double backquotes in the first column of tables, and
/// the words of literal blocks after a line that ends in `DIR/``::`.
fn documented() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../Documentation/sysfs.rst");
    let text = std::fs::read_to_string(path).expect("Documentation/sysfs.rst");
    let mut found = BTreeSet::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        if let Some(dir) = &block {
            if line.starts_with('\t') {
                found.extend(line.split_whitespace().map(|w| format!("{dir}{w}")));
                continue;
            }
            if !line.is_empty() {
                block = None;
            }
        }
        if let Some(head) = line.strip_suffix("/``::") {
            let dir = head.rsplit("``").next().unwrap_or_default();
            block = Some(format!("{dir}/"));
        } else if let Some(rest) = line.strip_prefix("``") {
            if let Some((name, _)) = rest.split_once("``  ") {
                found.insert(name.to_owned());
            }
        }
    }
    found
}

#[test]
fn the_document_lists_all_files() {
    let Some(fs) = start("v139-empty") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let tree = shown(&fs);
    let mut have: BTreeSet<String> = tree
        .files()
        .map(|(path, _)| path.replace("dev-0/", "dev-N/"))
        .collect();
    have.insert("dev-N/block".to_owned());
    let doc = documented();
    let missing: Vec<_> = have.difference(&doc).collect();
    let extra: Vec<_> = doc.difference(&have).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    assert!(extra.is_empty(), "documented, but not there: {extra:?}");
}

/// What can only be written.
fn is_trigger(path: &str) -> bool {
    let is_reset = path.ends_with("/io_errors_reset");
    path == "perf_test" || path.starts_with("internal/trigger_") || is_reset
}

#[test]
fn contents_are_those_of_the_superblock() {
    for name in ["v113-empty", "v139-empty", "v113-threedev", "v139-threedev"] {
        let Some(fs) = start(name) else {
            println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
            return;
        };
        let sb = &fs.view.sb().sb;
        let tree = shown(&fs);
        assert_eq!(tree.name(), sb.user_uuid().to_string());
        for (path, writable) in tree.files().filter(|(path, _)| !is_trigger(path)) {
            let text = tree.read(path).expect(path);
            assert!(text.is_empty() || text.ends_with('\n'), "{path}: {text:?}");
            assert!(
                !text.is_empty()
                    || ["errors", "internal/disk_groups", "dev-0/label"].contains(&path),
                "{path} is empty"
            );
            assert!(text.len() < 4096, "{path}: {} bytes", text.len());
            let in_options = path.starts_with("options/") || path.starts_with("dev-");
            assert!(!writable || in_options, "{path} is writable");
        }
        let read = |path: &str| tree.read(path).expect(path);
        assert_eq!(read("internal/internal_uuid"), format!("{}\n", sb.uuid()));
        assert_eq!(read("options/errors"), "continue [fix_safe] panic ro \n");
        assert_eq!(read("minor"), "7\n");
        assert_eq!(read("internal/flags"), "started,btree_running\n");
        let damage = read("internal/damage");
        assert!(damage.starts_with("state:                          read-only\n"));
        assert!(damage.contains("\ninconsistencies since mount:    0\n"));
        assert!(!damage.contains("sick"), "{damage}");
        assert!(
            damage.contains("\n  inodes                        ok\n"),
            "{damage}"
        );
        for (nr, m) in sb.members().enumerate() {
            let dev = |file: &str| read(&format!("dev-{nr}/{file}"));
            assert_eq!(dev("uuid"), format!("{}\n", m.uuid()));
            assert_eq!(dev("nbuckets"), format!("{}\n", m.nbuckets()));
            assert_eq!(dev("first_bucket"), format!("{}\n", m.first_bucket()));
            assert_eq!(dev("durability"), "1\n");
            assert_eq!(dev("state"), "[rw] ro evacuating spare \n");
            assert!(dev("has_data").contains("btree"), "{}", dev("has_data"));
            assert!(dev("io_errors").contains("\n  checksum: 0\n"));
            assert!(dev("io_done").contains("    \"btree\": "));
        }
        assert_eq!(tree.links().len(), sb.nr_members());
        // Nodes were read to get here.
        let nodes = read("counters/btree_node_read");
        let since = nodes.lines().next().and_then(|l| l.rsplit(' ').next());
        assert_ne!(since, Some("0"), "{nodes}");
    }
}

#[test]
fn a_copy_is_refused_while_mounted() {
    let (Some(one), Some(copy)) = (start("v139-repl2"), start("v139-repl2")) else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let tree = shown(&one);
    let second = publish(&copy, 8).map(|t| t.name().to_owned());
    assert_eq!(second, Err(Error::FilesystemUuidAlreadyOpen));
    drop(tree);
    assert!(publish(&copy, 8).is_ok());
}

#[test]
fn a_copy_of_one_device_is_named_by_it() {
    let (Some(one), Some(copy)) = (start("v113-quota"), start("v113-quota")) else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let (one, copy) = (shown(&one), shown(&copy));
    assert_ne!(one.name(), copy.name());
    assert_eq!(copy.name(), "v113-quota.0");
}

#[test]
fn emergency_is_shown() {
    let Some(fs) = start("v113-nocow") else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    let tree = shown(&fs);
    fs.state().emergency(Error::NodeMagic);
    let flags = tree.read("internal/flags").expect("flags");
    assert_eq!(flags, "started,btree_running,emergency_ro\n");
    let damage = tree.read("internal/damage").expect("damage");
    let first = damage.lines().next().unwrap_or_default();
    assert!(
        first.contains("emergency read-only: ") && first.contains("NodeMagic"),
        "{first}"
    );
}
