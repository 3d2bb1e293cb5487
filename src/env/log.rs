// SPDX-License-Identifier: GPL-2.0

//! Messages to the kernel log (host: standard error).

/// How urgent a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed or is damaged.
    Err,
    /// Something is odd but was dealt with.
    Warning,
    /// For information.
    Info,
}

/// Prints an error to the log; arguments as for `format!`, no newline at the end.
#[macro_export]
macro_rules! pr_err {
    ($($arg:tt)*) => {
        $crate::env::log_line($crate::env::Level::Err, ::core::format_args!($($arg)*))
    };
}

/// Prints a warning to the log; arguments as for `format!`, no newline at the end.
#[macro_export]
macro_rules! pr_warn {
    ($($arg:tt)*) => {
        $crate::env::log_line($crate::env::Level::Warning, ::core::format_args!($($arg)*))
    };
}

/// Prints information to the log; arguments as for `format!`, no newline at the end.
#[macro_export]
macro_rules! pr_info {
    ($($arg:tt)*) => {
        $crate::env::log_line($crate::env::Level::Info, ::core::format_args!($($arg)*))
    };
}
