// SPDX-License-Identifier: GPL-2.0

//! Character devices for ioctl(2): one for each of the things that are controlled, and one for all
//! of them together. See `nodes.c`.

use super::{
    check,
    check_ptr,
    failed, //
};
use crate::{
    bindings,
    env::{
        num,
        Arc, //
    },
    error::errno::Errno,
};
use core::{
    ffi::{
        c_uint,
        CStr, //
    },
    marker::PhantomData,
    ptr::NonNull,
};
use kernel::{
    str::CStrExt as _,
    types::Opaque, //
};

type Result<T = ()> = core::result::Result<T, Errno>;

/// What is controlled through devices.
pub trait Controlled: Send + Sync + Sized + 'static {
    /// An ioctl on the device of one. Returns what ioctl(2) returns.
    fn control(node: &Handle<Self>, cmd: u32, arg: usize) -> Result<u32>;

    /// An ioctl on the device that stands for all.
    fn control_all(cmd: u32, arg: usize) -> Result<u32>;
}

/// A device that an ioctl is made on.
///
/// # Invariants
///
/// A node that was added with the `ioctl` of this type and, while it can be entered, a `T`.
#[repr(transparent)]
pub struct Handle<T>(Opaque<bindings::bch_rs_node>, PhantomData<T>);

impl<T: Controlled> Handle<T> {
    /// Calls `f` with what the device controls; `None` when that is gone. It does not go before
    /// `f` returns, so `f` should not wait for the caller of the ioctl.
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> Option<R> {
        // SAFETY: A node by the type invariant.
        let data = unsafe { bindings::bch_rs_node_enter(self.0.get()) }.cast::<T>();
        if data.is_null() {
            return None;
        }
        // SAFETY: By the type invariant a `T`, which is there as long as the node is entered.
        let result = f(unsafe { &*data });
        // SAFETY: Entered above.
        unsafe { bindings::bch_rs_node_leave(self.0.get()) };
        Some(result)
    }
}

/// A device for one thing, there for as long as this.
///
/// # Invariants
///
/// A node with `data`.
pub struct Node<T: Controlled> {
    node: NonNull<bindings::bch_rs_node>,
    _data: Arc<T>,
}

// SAFETY: The functions of nodes may be called from any thread, and `T` is `Send` and `Sync`.
unsafe impl<T: Controlled> Send for Node<T> {}
// SAFETY: Only the number is read through a shared reference.
unsafe impl<T: Controlled> Sync for Node<T> {}

impl<T: Controlled> Node<T> {
    /// Makes the device. `ENODEV` when there is no [`Registration`], `EBUSY` when there are 255.
    pub fn try_new(data: &Arc<T>) -> Result<Self> {
        let data = data.clone();
        let what: *const T = &*data;
        // SAFETY: The data is there until the node is deleted, and the function is for its type.
        let node = unsafe { bindings::bch_rs_node_add(what.cast(), Some(ioctl::<T>)) };
        // INVARIANT: Just made.
        Ok(Self {
            node: NonNull::new(check_ptr(node)?).ok_or(Errno::ENOMEM)?,
            _data: data,
        })
    }

    /// The number in the device's name, which is its minor number.
    pub fn number(&self) -> u32 {
        // SAFETY: A node by the type invariant.
        unsafe { bindings::bch_rs_node_minor(self.node.as_ptr()) }
    }
}

impl<T: Controlled> Drop for Node<T> {
    fn drop(&mut self) {
        // SAFETY: A node by the type invariant, and not used after this.
        unsafe { bindings::bch_rs_node_del(self.node.as_ptr()) };
    }
}

/// The device for all is there as long as this. There must be no [`Node`] when it is dropped.
pub struct Registration(());

impl Registration {
    /// Makes the device for all, `/dev/NAME-ctl`; those of nodes are called `/dev/NAME0-ctl` and
    /// so on. `EBUSY` when there is one already.
    pub fn try_new<T: Controlled>(name: &'static CStr) -> Result<Self> {
        // SAFETY: The name is static.
        check(unsafe { bindings::bch_rs_nodes_register(name.as_char_ptr(), Some(ioctl::<T>)) })?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by the only constructor.
        unsafe { bindings::bch_rs_nodes_unregister() };
    }
}

/// `->unlocked_ioctl`, of a node or, when it is null, of the device for all.
///
/// # Safety
///
/// `node` must be null, or have what the invariants of [`Handle<T>`] say.
unsafe extern "C" fn ioctl<T: Controlled>(
    node: *mut bindings::bch_rs_node,
    cmd: c_uint,
    arg: usize,
) -> isize {
    // SAFETY: The layouts are the same. INVARIANT: By the function's contract.
    let result = match unsafe { node.cast::<Handle<T>>().as_ref() } {
        Some(node) => T::control(node, cmd, arg),
        None => T::control_all(cmd, arg),
    };
    match result {
        Ok(value) => num::isize_of_bits(num::usize_of_u32(value)),
        Err(e) => failed(e),
    }
}
