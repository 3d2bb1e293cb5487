// SPDX-License-Identifier: GPL-2.0

//! The list of targets. A new validator gets its line here and its body in `bodies/`.

use crate::{
    bodies::*,
    Target, //
};

macro_rules! targets {
    ($($file:ident :: $name:ident,)*) => {
        /// All targets. Names are `FILE-FUNCTION` of the body.
        pub const TARGETS: &[Target] = &[$(Target {
            name: concat!(stringify!($file), "-", stringify!($name)),
            run: $file::$name,
        },)*];
    };
}

targets! {
    bkey::unpacked,
    bkey::positions,
    compress::gzip,
    compress::lz4,
    compress::zstd,
    crypt::section,
    crypt::set,
    jset::header,
    jset::entries,
    keys::first_set,
    node::first_set,
    node::later_set,
    sb::copies,
    sb::decode,
    sb::options,
    values::any_type,
    values::keys,
    values::round_trip,
}
