// SPDX-License-Identifier: GPL-2.0

//! Options from text, from superblocks, and as text.

mod page;

use super::{
    table::{
        lookup,
        options,
        Kind,
        MOUNT,
        MOUNT_OLD, //
    },
    *,
};
use crate::{
    error::Error,
    format::sb::{
        assemble::Degraded,
        tests::{
            at,
            with,
            V113,
            V139_EC, //
        },
        Superblock,
    },
};
use proptest::prelude::*;
use std::{
    format,
    string::String, //
};

fn parsed(key: &str, value: Option<&str>) -> Opts {
    let mut opts = Opts::new();
    opts.parse_one(key, value).unwrap();
    opts
}

fn value(id: OptId, text: &str) -> u64 {
    parsed(id.info().name, Some(text)).get(id)
}

fn refused(key: &str, value: Option<&str>, error: Error, text: &str) {
    let mut opts = Opts::new();
    let e = opts.parse_mount(key, value).expect_err(text);
    let said = format!("{e}");
    assert_eq!(e.error(), error, "{said}");
    assert!(said.contains(text), "no {text:?} in {said:?}");
    assert_eq!(opts, Opts::new(), "a refused option must change nothing");
}

#[test]
fn the_table_is_in_order_and_defaults_are_possible() {
    assert_eq!(options().count(), 94);
    for (i, o) in options().enumerate() {
        assert_eq!(o.id.index(), i);
        assert_eq!(lookup(o.name).unwrap().id, o.id);
        // A bucket size has no default, and a superblock sector no unit.
        assert!(parse::validate(o, o.default).is_ok(), "{}", o.name);
    }
}

#[test]
fn flags() {
    for (value, want) in [
        (None, 1),
        (Some("1"), 1),
        (Some("yes"), 1),
        (Some("true"), 1),
        (Some("0"), 0),
        (Some("no"), 0),
        (Some("false"), 0),
    ] {
        let opts = parsed("acl", value);
        assert!(opts.is_defined(OptId::Acl));
        assert_eq!(opts.get(OptId::Acl), want);
    }
    assert_eq!(parsed("noacl", None).get(OptId::Acl), 0);
    assert_eq!(parsed("norecovery", None).get(OptId::Norecovery), 1);
    assert_eq!(parsed("nonorecovery", None).get(OptId::Norecovery), 0);
    refused(
        "acl",
        Some("maybe"),
        Error::OptionValue,
        "option acl: \"maybe\" is not a choice; possible: 0, 1",
    );
    refused("noacl", Some("1"), Error::OptionUnknown, "noacl");
}

#[test]
fn numbers() {
    assert_eq!(value(OptId::WriteErrorTimeout, "300"), 300);
    refused(
        "write_error_timeout",
        Some("301"),
        Error::OptionValue,
        "\"301\" is too big; possible: 1 to 300",
    );
    refused(
        "write_error_timeout",
        Some("0"),
        Error::OptionValue,
        "too small",
    );
    for bad in ["", "x", "1x", "-1", "1k", "99999999999999999999"] {
        refused("write_error_timeout", Some(bad), Error::OptionValue, "is");
    }
    refused(
        "write_error_timeout",
        None,
        Error::OptionValue,
        "value is missing",
    );
}

#[test]
fn sizes() {
    for (text, want) in [
        ("1024", 1024),
        ("64k", 64 << 10),
        ("1M", 1 << 20),
        ("1.5M", 3 << 19),
        ("64 k", 64 << 10),
        ("2KiB", 2048),
        ("2000B", 2000),
    ] {
        assert_eq!(value(OptId::MoveBytesInFlight, text), want, "{text}");
    }
    for bad in ["1kk", "M", "1.M", "4 ", "1K", "20E", "-4k", "4k,"] {
        refused("move_bytes_in_flight", Some(bad), Error::OptionValue, "is");
    }
    refused(
        "gc_reserve_bytes",
        Some("1000"),
        Error::OptionValue,
        "not a multiple of 512",
    );
}

#[test]
fn choices() {
    assert_eq!(parsed("errors", Some("ro")).on_error(), OnError::ReadOnly);
    assert_eq!(Opts::new().on_error(), OnError::FixSafe);
    refused(
        "errors",
        Some("panik"),
        Error::OptionValue,
        "possible: continue, fix_safe, panic, ro",
    );
    assert_eq!(parsed("fix_errors", None).get(OptId::FixErrors), 1);
    assert_eq!(parsed("fix_errors", Some("ask")).get(OptId::FixErrors), 3);
    assert_eq!(value(OptId::RecoveryPassLast, "snapshots_read"), 7);
}

#[test]
fn degraded_has_many_spellings() {
    for (key, value, want) in [
        ("degraded", None, Degraded::Yes),
        ("degraded", Some("yes"), Degraded::Yes),
        ("degraded", Some("1"), Degraded::Yes),
        ("degraded", Some("true"), Degraded::Yes),
        ("degraded", Some("very"), Degraded::Very),
        ("degraded", Some("ask"), Degraded::No),
        ("degraded", Some("0"), Degraded::No),
        ("nodegraded", None, Degraded::No),
        ("very_degraded", None, Degraded::Very),
        ("very_degraded", Some("0"), Degraded::No),
    ] {
        assert_eq!(parsed(key, value).degraded(), want, "{key}={value:?}");
    }
}

#[test]
fn sets_of_passes() {
    let bit = |name| 1u64 << value(OptId::RecoveryPassLast, name);
    let set = value(OptId::RecoveryPasses, "check_root,check_nlinks");
    assert_eq!(set, bit("check_root") | bit("check_nlinks"));
    let rest = value(OptId::RecoveryPasses, "-check_root;check_nlinks");
    assert_eq!(rest & set, 0);
    assert_eq!(rest | set, (1 << 50) - 1);
    refused(
        "recovery_passes",
        Some("check_roots"),
        Error::OptionValue,
        "not a choice; possible: recovery_pass_empty",
    );
}

#[test]
fn options_of_the_filesystem_are_accepted_without_effect() {
    for (key, value) in [
        ("metadata_replicas", "2"),
        ("compression", "zstd:3"),
        ("background_compression", "lz4"),
        ("foreground_target", "ssd"),
        ("data_checksum", "xxhash"),
        ("metadata_replicas_required", "2"),
        ("shard_inode_numbers", "1"),
        ("inodes_use_key_cache", "0"),
    ] {
        let mut opts = Opts::new();
        let outcome = opts.parse_mount(key, Some(value)).unwrap();
        assert!(matches!(outcome, Outcome::Ignored(_)), "{key}");
        assert_eq!(opts, Opts::new());
    }
    // Their values must be possible all the same.
    for (key, value, text) in [
        ("compression", "zstd:16", "has no possible level"),
        ("compression", "none:1", "has no possible level"),
        ("compression", "lzma", "none, lz4, gzip, zstd"),
        ("data_replicas", "5", "possible: 1 to 4"),
        ("data_replicas_required", "5", "possible: 1 to 4"),
    ] {
        refused(key, Some(value), Error::OptionValue, text);
    }
}

#[test]
fn what_is_no_option_of_a_mount() {
    for key in ["block_size", "btree_node_size", "durability", "nostart"] {
        refused(key, Some("1"), Error::OptionNotForMount, key);
    }
    for key in ["bucket", "fs_size"] {
        refused(key, Some("1"), Error::OptionNotForMount, "bucket_size");
    }
    refused("nodurability", None, Error::OptionNotForMount, "durability");
    for key in ["discrad", "", "no", "nono", "a=b"] {
        refused(key, None, Error::OptionUnknown, "unknown option");
    }
    refused(
        "di\u{7}scrad",
        None,
        Error::OptionUnknown,
        "\"di\\u{7}scrad\"",
    );
}

#[test]
fn lists() {
    let mut opts = Opts::new();
    opts.parse_list(",verbose,errors=ro,,noacl").unwrap();
    assert!(opts.is_on(OptId::Verbose));
    assert!(!opts.is_on(OptId::Acl));
    assert_eq!(opts.on_error(), OnError::ReadOnly);
    assert!(opts.parse_list("verbose,nonsense").is_err());
    opts.parse_list("").unwrap();
}

#[test]
fn old_names() {
    assert!(parsed("quota", None).is_on(OptId::Usrquota));
    assert!(parsed("reconstruct_alloc", None).is_on(OptId::DangerouslyReconstructAlloc));
}

#[test]
fn sector_of_the_superblock() {
    assert_eq!(Opts::new().sb_sector(), None);
    assert_eq!(parsed("sb", Some("8")).sb_sector(), None);
    assert_eq!(parsed("sb", Some("2056")).sb_sector(), Some(2056));
}

#[test]
fn the_superblock_decides_what_the_mount_does_not() {
    let sb = Superblock::decode(V139_EC, None).unwrap();
    let mut opts = Opts::from_superblock(&sb);
    assert_eq!(opts.get(OptId::DataReplicas), 2);
    assert_eq!(opts.get(OptId::BlockSize), u64::from(sb.block_bytes()));
    assert_eq!(
        opts.get(OptId::BtreeNodeSize),
        u64::from(sb.node_sectors()) << 9
    );
    assert!(opts.is_on(OptId::ErasureCode));
    assert_eq!(opts.on_error(), OnError::FixSafe);
    opts.apply(&parsed("errors", Some("ro")));
    assert_eq!(opts.on_error(), OnError::ReadOnly);
    assert_eq!(opts.get(OptId::DataReplicas), 2);
}

#[test]
fn impossible_values_in_the_superblock_give_the_default() {
    let flags = u64::from_le_bytes(V113[at::FLAGS..at::FLAGS + 8].try_into().unwrap());
    let bad = flags | (0xf << 8);
    let sb = with(V113, at::FLAGS, &bad.to_le_bytes());
    let opts = Opts::from_superblock(&Superblock::decode(&sb, None).unwrap());
    assert!(!opts.is_defined(OptId::Errors));
    assert_eq!(opts.on_error(), OnError::FixSafe);
}

#[test]
fn shown_options() {
    let sb = Superblock::decode(V113, None).unwrap();
    let mut given = Opts::new();
    given
        .parse_list("errors=ro,noacl,verbose,degraded,read_only,move_bytes_in_flight=1M,fsck=0")
        .unwrap();
    let mut opts = Opts::from_superblock(&sb);
    opts.apply(&given);
    let mut text = String::new();
    opts.show(&given, Some(&sb), &mut text).unwrap();
    assert_eq!(
        text,
        ",errors=ro,noacl,degraded=yes,verbose,move_bytes_in_flight=1.00M"
    );
}

#[test]
fn shown_options_can_be_given_again() {
    for o in options().filter(|o| o.is(MOUNT)) {
        let (v, skip) = match o.kind {
            Kind::Bool => (1 - o.default, false),
            Kind::Uint(_, max) => (max.min(1 << 20), false),
            Kind::Choice(names) => (names.len() as u64 - 1, false),
            Kind::Passes => (0b1010, false),
            Kind::Pass | Kind::FixErrors => (1, false),
            _ => (0, true),
        };
        if skip {
            continue;
        }
        let mut given = Opts::new();
        given.set(o.id, v);
        let mut text = String::new();
        given.show(&given, None, &mut text).unwrap();
        if o.is(table::HIDDEN) || v == o.default || matches!(o.kind, Kind::Passes) {
            continue;
        }
        let mut again = Opts::new();
        again.parse_list(&text).unwrap();
        assert_eq!(again, given, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text(
        which in 0usize..94,
        text in "[-+a-z0-9.:,;_ kMGTB]{0,12}",
        key in "[a-z_=]{0,10}",
    ) {
        let mut opts = Opts::new();
        let option = options().nth(which).unwrap();
        match opts.parse_mount(option.name, Some(&text)) {
            Ok(Outcome::Set(id)) => {
                prop_assert_eq!(id, option.id);
                prop_assert!(parse::validate(option, opts.get(id)).is_ok());
            }
            Ok(Outcome::Ignored(_)) => prop_assert!(option.is(MOUNT_OLD)),
            Err(e) => {
                let said = format!("{e}");
                prop_assert!(said.contains(option.name));
            }
        }
        let _ = opts.parse_mount(&key, Some(&text)).map_err(|e| format!("{e}"));
        let _ = opts.parse_mount(&key, None).map_err(|e| format!("{e}"));
        let _ = parse::parse(option, Some(&text));
        let _ = parse::parse(option, None);
    }
}
