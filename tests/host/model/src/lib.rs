// SPDX-License-Identifier: GPL-2.0

//! What synchronises threads, on loom: the sources of the kernel, with atomic variables and wait
//! queues of which loom tries every order. The tests have to see to it that there are few.

#![deny(unsafe_code)]

pub use ::env::env;
pub use ::error::error;

/// The third `sys`: only what is checked here, and what that needs.
pub mod sys {
    #[allow(unsafe_code)] // the same as in the kernel
    #[path = "../../../../../src/sys/six/mod.rs"]
    pub mod six;
    #[path = "../../../../../src/sys/stop.rs"]
    pub mod stop;
    pub mod wait;

    /// What the owner of a thread tells it.
    pub mod task {
        use super::stop::Stop;

        /// There is work.
        pub fn wake(stop: &Stop) {
            stop.wake();
        }

        /// It is to end.
        pub fn request(stop: &Stop) {
            stop.request();
        }
    }

    /// Atomic variables.
    pub mod sync {
        pub use loom::sync::atomic;
    }
}
