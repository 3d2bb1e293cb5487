// SPDX-License-Identifier: GPL-2.0

//! Telling the processor early what will be read.

/// Has the cache line with element `at` fetched, if there is one: it is needed soon, and something
/// else can be done until it is there.
///
/// C: `prefetch()`.
#[inline(always)]
pub fn prefetch<T>(elements: &[T], at: usize) {
    if let Some(element) = elements.get(at) {
        fetch(element);
    }
}

#[cfg(all(kernel, target_arch = "x86_64"))]
#[inline(always)]
fn fetch<T>(element: &T) {
    // SAFETY: A hint, which changes no register and no memory.
    unsafe {
        core::arch::asm!(
            "prefetcht0 [{}]",
            in(reg) element,
            options(nostack, preserves_flags, readonly)
        );
    }
}

#[cfg(all(kernel, target_arch = "aarch64"))]
#[inline(always)]
fn fetch<T>(element: &T) {
    // SAFETY: A hint, which changes no register and no memory.
    unsafe {
        core::arch::asm!(
            "prfm pldl1keep, [{}]",
            in(reg) element,
            options(nostack, preserves_flags, readonly)
        );
    }
}

#[cfg(not(all(kernel, any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[inline(always)]
fn fetch<T>(_element: &T) {}
