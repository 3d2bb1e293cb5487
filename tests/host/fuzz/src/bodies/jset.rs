// SPDX-License-Identifier: GPL-2.0

//! Journal entries.

use super::show;
use format::format::jset::{
    Entries,
    RawJset, //
};

/// The header, and the ranges it gives.
pub(crate) fn header(data: &[u8]) {
    let Some(h) = RawJset::read(data) else { return };
    let covered = h.covered(data);
    let records = h.records(data);
    assert!(covered.is_none_or(|c| c.len() <= data.len()));
    if let Some(r) = records {
        entries(r);
    }
}

/// Records and their keys.
pub(crate) fn entries(data: &[u8]) {
    for e in Entries::new(data) {
        match e {
            Ok(e) => {
                if let Err(bad) = e.validate() {
                    show(&bad);
                }
                show(&e);
                e.blacklist();
                for k in e.keys() {
                    match k {
                        Ok(k) => show(&k.k),
                        Err(bad) => show(&bad),
                    }
                }
            }
            Err(bad) => show(&bad),
        }
    }
}
