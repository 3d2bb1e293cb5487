// SPDX-License-Identifier: GPL-2.0

//! Coverage-guided fuzzing of the target named by `FUZZ_TARGET`; see `scripts/fuzz`.

#![no_main]

use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static RUN: OnceLock<fn(&[u8])> = OnceLock::new();
    RUN.get_or_init(|| {
        let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        fuzz::find(&name).expect("no such target").run
    })(data);
});
