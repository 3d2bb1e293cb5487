// SPDX-License-Identifier: GPL-2.0

//! What is in a filesystem, and comparing it with what should be.

use super::{
    json::Json,
    tree::Tree, //
};
use std::collections::BTreeMap;

/// One file: its path's bytes, and its other properties by name, as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entry {
    /// The path from the root, `.` for the root itself.
    pub path: Vec<u8>,
    /// Type, mode, owner and so on.
    pub fields: BTreeMap<String, String>,
}

/// What the C implementation showed of an image.
#[derive(Debug, Default)]
pub struct Manifest {
    /// All files.
    pub entries: Vec<Entry>,
    /// What was on stable storage when the machine was killed; only for unclean images.
    pub must_exist: Vec<Entry>,
    /// Block counts, as C gave them: blocks, free, available, inodes, free inodes.
    pub statvfs: Option<[u64; 5]>,
    /// What was damaged.
    pub damage: Option<String>,
}

/// What is not compared: for information only.
const IGNORED: &[&str] = &["blocks", "atime"];

/// The text a property is compared as.
fn field_text(name: &str, value: &Json) -> String {
    match name {
        "target" => escape(value.bytes()),
        "xattrs" => {
            let list = value.members().map(|(n, v)| format!("{n}={}", v.text()));
            list.collect::<Vec<_>>().join(" ")
        }
        _ => value.text(),
    }
}

/// Bytes as printable text.
pub fn escape(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

impl Entry {
    fn from_json(json: &Json) -> Self {
        let mut e = Entry::default();
        for (name, value) in json.members() {
            match name.as_str() {
                "path" => e.path = value.bytes().to_vec(),
                n if n.ends_with("_b64") => (),
                n => {
                    e.fields.insert(name.clone(), field_text(n, value));
                }
            }
        }
        e
    }

    /// Sets a property.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.fields.insert(name.to_owned(), value.to_string());
    }

    fn is_dir(&self) -> bool {
        self.fields.get("type").is_some_and(|t| t == "dir")
    }
}

impl Manifest {
    /// Takes the interesting parts.
    pub fn from_json(json: &Json) -> Self {
        let entries = |name| {
            let list = json.get(name).map_or(&[][..], Json::list);
            list.iter().map(Entry::from_json).collect()
        };
        let statvfs = json.get("statvfs").map(|s| {
            ["blocks", "bfree", "bavail", "files", "ffree"]
                .map(|n| s.get(n).and_then(Json::number).unwrap_or(0))
        });
        Self {
            entries: entries("entries"),
            must_exist: entries("must_exist"),
            statvfs,
            damage: None,
        }
    }

    /// Says how `tree` differs from this manifest, one line per difference.
    pub fn differences(&self, tree: &Tree) -> Vec<String> {
        let mut out = compare(&self.entries, tree, true);
        let known: std::collections::BTreeSet<_> = self.entries.iter().map(|e| &e.path).collect();
        for have in &tree.entries {
            if !known.contains(&have.path) {
                out.push(format!("{}: should not exist", escape(&have.path)));
            }
        }
        for (path, e) in &tree.errors {
            out.push(format!("{}: {e}", escape(path)));
        }
        out
    }

    /// As [`Manifest::differences`], but only for what was on stable storage.
    pub fn lost(&self, tree: &Tree) -> Vec<String> {
        compare(&self.must_exist, tree, false)
    }
}

fn compare(want: &[Entry], tree: &Tree, all_fields: bool) -> Vec<String> {
    let have: BTreeMap<_, _> = tree.entries.iter().map(|e| (&e.path, e)).collect();
    let mut out = Vec::new();
    for want in want {
        let path = escape(&want.path);
        let Some(have) = have.get(&want.path) else {
            out.push(format!("{path}: missing"));
            continue;
        };
        let mut names: Vec<_> = want.fields.keys().collect();
        if all_fields {
            names.extend(have.fields.keys());
        }
        names.sort();
        names.dedup();
        for name in names {
            if IGNORED.contains(&name.as_str()) || (name == "size" && want.is_dir()) {
                continue;
            }
            let (w, h) = (want.fields.get(name), have.fields.get(name));
            if w != h {
                let show = |v: Option<&String>| v.map_or("nothing".to_owned(), String::clone);
                out.push(format!("{path}: {name} is {}, not {}", show(h), show(w)));
            }
        }
    }
    out
}
