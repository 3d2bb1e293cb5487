// SPDX-License-Identifier: GPL-2.0

//! `Documentation/options.rst` is made from the table, and this is the test that it is up to date;
//! with `BCACHEFS_RS_BLESS` set, it writes it.

use super::super::{
    table::{
        options,
        Kind,
        OptionInfo,
        DEVICE,
        FORMAT,
        FS,
        HELP,
        HIDDEN,
        HUMAN,
        INODE,
        MOUNT,
        MOUNT_OLD,
        POW2,
        RUNTIME, //
    },
    write_value,
};
use std::{
    format,
    path::Path,
    string::{
        String,
        ToString, //
    },
    vec::Vec, //
};

const HEAD: &str = "\
.. SPDX-License-Identifier: GPL-2.0
.. Made from src/format/opts/table.rs; BCACHEFS_RS_BLESS=1 cargo test -p format page, in tests/host

================
bcachefs options
================

::

	mount -t bcachefs [-o OPTION[=VALUE],...] DEVICE[:DEVICE]... DIRECTORY

Names, values and defaults are those of the C module. An option of yes and no can be given as
``NAME``, ``noNAME``, ``NAME=1`` or ``NAME=0``. Sizes take a unit: ``4k``, ``1M``. The default
counts when neither the superblock nor the mount options say anything.

An option that can be given at mount and is stored in the superblock counts for that mount. One that
is wrong is refused with a message that names it; one that asks for what can not be done yet, too.
Options marked \"ignored\" are accepted at mount for the sake of old entries in fstab(5), and have no
effect there.

The values in effect are in ``/sys/fs/bcachefs/UUID/options/NAME``, those of a device in
``/sys/fs/bcachefs/UUID/dev-N/NAME``. Writing to the files of options that can be changed gives
``EROFS`` while the filesystem is read-only. Options of files and directories are extended
attributes ``bcachefs.NAME``; ``bcachefs_effective.NAME`` also shows what is inherited.
";

/// What is not an option of the table: the VFS has it, or it is another name.
const TAIL: &str = "
Other options
=============

``ro``
	Read-only. Needed as yet.

``acl``, ``noacl``, ``sync``, ``noatime`` and so on
	As with every filesystem, see mount(8).

``fs_name=``, ``context=`` and what security modules know
	Handled by the kernel before the filesystem sees them.
";

fn values(option: &OptionInfo) -> String {
    match option.kind {
        Kind::Bool => "yes or no".to_string(),
        Kind::Uint(min, max) => {
            let text = |v: u64| match option.is(HUMAN) && v != u64::MAX {
                true => shown(option, v),
                false => v.to_string(),
            };
            let power = if option.is(POW2) {
                ", a power of two"
            } else {
                ""
            };
            match max {
                max if max >= u64::MAX >> 1 => format!("a number from {}{power}", text(min)),
                max => format!("{} to {}{power}", text(min), text(max)),
            }
        }
        Kind::Choice(names) => names.join(", "),
        Kind::FixErrors => "exit, yes, no, ask; without a value: yes".to_string(),
        Kind::Bits(names, mask) => {
            let possible = names.iter().enumerate().filter(|(i, _)| mask >> i & 1 != 0);
            let names: Vec<_> = possible.map(|(_, n)| *n).collect();
            format!("any of {}", names.join(", "))
        }
        Kind::Passes => "names of recovery passes".to_string(),
        Kind::Pass => "the name of a recovery pass".to_string(),
        Kind::Compression => "none, lz4, gzip, zstd; with a level: gzip:9, zstd:15".to_string(),
        Kind::Target => "a device, a label, none".to_string(),
        Kind::Label => "a label".to_string(),
        Kind::Text(bytes) => format!("text of at most {bytes} bytes"),
    }
}

fn shown(option: &OptionInfo, value: u64) -> String {
    let mut text = String::new();
    write_value(None, option, value, &mut text).unwrap();
    text
}

fn places(option: &OptionInfo) -> String {
    let places = [
        (FORMAT, "format"),
        (MOUNT, "mount"),
        (MOUNT_OLD, "mount (ignored)"),
        (RUNTIME, "run time"),
        (INODE, "files and directories"),
    ];
    let places: Vec<_> = places
        .iter()
        .filter(|(flag, _)| option.is(*flag))
        .map(|p| p.1)
        .collect();
    match places.is_empty() {
        true => "shown only".to_string(),
        false => places.join(", "),
    }
}

fn section(page: &mut String, title: &str, of: impl Fn(&OptionInfo) -> bool) {
    page.push_str(&format!("\n{title}\n{}\n", "=".repeat(title.len())));
    for (option, help) in options().zip(HELP).filter(|(o, _)| of(o)) {
        page.push_str(&format!(
            "\n``{}``\n\t{}\n\n\t:Values: {}\n\t:Default: {}\n\t:Given at: {}\n",
            option.name,
            help.trim(),
            values(option),
            match shown(option, option.default) {
                text if text.is_empty() => "none".to_string(),
                text => text,
            },
            places(option),
        ));
    }
}

#[test]
fn page_is_up_to_date() {
    let mut page = HEAD.to_string();
    let of_fs = |o: &OptionInfo| !o.is(HIDDEN) && (o.is(FS) || o.is(MOUNT)) && !o.is(DEVICE);
    section(&mut page, "Options of the filesystem", of_fs);
    section(&mut page, "Options of a device", |o| o.is(DEVICE));
    page.push_str(TAIL);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../Documentation/options.rst");
    if std::env::var_os("BCACHEFS_RS_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        have == page,
        "{}: not as the table has it; BCACHEFS_RS_BLESS=1",
        path.display()
    );
}
