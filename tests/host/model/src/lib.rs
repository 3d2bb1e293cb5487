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

    /// Atomic variables, and locks.
    pub mod sync {
        pub use loom::sync::{
            atomic,
            MutexGuard, //
        };

        /// A lock that sleeps. Loom has nobody panic with it held.
        #[derive(Debug)]
        pub struct Mutex<T>(loom::sync::Mutex<T>);

        impl<T> Mutex<T> {
            /// Not locked.
            pub fn try_new(value: T) -> crate::error::Result<Self> {
                Ok(Self(loom::sync::Mutex::new(value)))
            }

            /// Waits for it.
            pub fn lock(&self) -> MutexGuard<'_, T> {
                self.0
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
            }
        }
    }
}

/// What transactions answer.
pub mod btree {
    /// To who changes files.
    pub mod trans {
        /// Why a transaction was not committed.
        #[derive(Debug)]
        pub enum TransError {
            /// It starts over.
            Restart,
        }

        /// What a step of a transaction returns.
        pub type TransResult<T = ()> = Result<T, TransError>;
    }
}

pub mod snapshots;
