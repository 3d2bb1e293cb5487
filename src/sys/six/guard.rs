// SPDX-License-Identifier: GPL-2.0

//! Holding a SIX lock.

use super::{
    HasSix,
    Six, //
};
use crate::env::{
    seems_taken,
    Arc, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::{
        Deref,
        DerefMut, //
    },
    ptr::NonNull,
};

/// Reading. The reader must not ask for another lock before it lets go of this one.
///
/// # Invariants
///
/// It is counted as a reader of the lock.
#[must_use]
pub struct ReadGuard<'a, T> {
    six: &'a Six<T>,
    /// To be let go by who took it.
    not_send: PhantomData<*const ()>,
}

impl<'a, T> ReadGuard<'a, T> {
    /// For who was just counted as a reader.
    pub(super) fn new(six: &'a Six<T>) -> Self {
        // INVARIANT: By the function's contract.
        Self {
            six,
            not_send: PhantomData,
        }
    }

    /// The sequence number of what is seen, also when somebody waits to write.
    pub fn seq(&self) -> u32 {
        self.six.raw.state().seq_inside()
    }
}

impl<T> Deref for ReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: There is no writer as long as there is a reader, which this is by the type
        // invariant.
        unsafe { &*self.six.value.get() }
    }
}

impl<T> Drop for ReadGuard<'_, T> {
    fn drop(&mut self) {
        self.six.raw.leave_read();
    }
}

/// Reading, and nobody else can write: keeps its object alive.
///
/// # Invariants
///
/// `six` is the lock of `node`, and its intent is held. The object does not move or go as long as
/// there is a reference, nor can anybody have an exclusive one to it, so neither does its lock.
#[must_use]
pub struct IntentGuard<N: HasSix> {
    six: NonNull<Six<N::Body>>,
    node: Arc<N>,
}

impl<N: HasSix> IntentGuard<N> {
    /// Waits until nobody has intent. Only for who holds no other lock.
    pub fn lock(node: Arc<N>) -> Self {
        let six = node.six();
        six.raw.intent();
        let six = NonNull::from(six);
        // INVARIANT: It was just taken.
        Self { six, node }
    }

    /// Takes intent if it is free.
    pub fn try_lock(node: &Arc<N>) -> Option<Self> {
        Self::try_lock_owned(node.clone()).ok()
    }

    /// The same, with a reference that becomes the guard's, or is given back.
    pub fn try_lock_owned(node: Arc<N>) -> Result<Self, Arc<N>> {
        let six = node.six();
        if seems_taken() || !six.raw.try_intent() {
            return Err(node);
        }
        // INVARIANT: It was just taken.
        let six = NonNull::from(six);
        Ok(Self { six, node })
    }

    /// Lets go of it; the reference remains.
    pub fn unlock(self) -> Arc<N> {
        let this = ManuallyDrop::new(self);
        this.six().raw.leave_intent();
        // SAFETY: `this` is not used, nor dropped, after this.
        unsafe { core::ptr::read(&this.node) }
    }

    /// Takes intent if it is free and nobody has written since the sequence number was `seq`.
    pub fn try_relock(node: &Arc<N>, seq: u32) -> Option<Self> {
        let six = node.six();
        six.raw.try_intent_if(seq).then(|| Self {
            // INVARIANT: It was just taken.
            six: NonNull::from(six),
            node: node.clone(),
        })
    }

    /// The sequence number: changes only by [`write`](Self::write).
    pub fn seq(&self) -> u32 {
        self.six().seq()
    }

    /// The object.
    pub fn node(&self) -> &Arc<N> {
        &self.node
    }

    /// Keeps new readers out and waits for those inside to leave.
    pub fn write(&mut self) -> WriteGuard<'_, N> {
        self.six().raw.write();
        // INVARIANT: There are no readers now.
        WriteGuard(self)
    }

    fn six(&self) -> &Six<N::Body> {
        // SAFETY: By the type invariant the lock is there for as long as `self.node`.
        unsafe { self.six.as_ref() }
    }
}

impl<N: HasSix> Deref for IntentGuard<N> {
    type Target = N::Body;

    #[inline]
    fn deref(&self) -> &N::Body {
        // SAFETY: Only the holder of intent writes, through an exclusive reference to `self`.
        unsafe { &*self.six().value.get() }
    }
}

impl<N: HasSix> Drop for IntentGuard<N> {
    fn drop(&mut self) {
        self.six().raw.leave_intent();
    }
}

/// Writing: nobody else sees the value.
///
/// # Invariants
///
/// There are no readers and none get in.
#[must_use]
pub struct WriteGuard<'a, N: HasSix>(&'a mut IntentGuard<N>);

impl<N: HasSix> WriteGuard<'_, N> {
    /// What the lock is part of.
    pub fn node(&self) -> &Arc<N> {
        self.0.node()
    }
}

impl<N: HasSix> Deref for WriteGuard<'_, N> {
    type Target = N::Body;

    #[inline]
    fn deref(&self) -> &N::Body {
        self.0
    }
}

impl<N: HasSix> DerefMut for WriteGuard<'_, N> {
    #[inline]
    fn deref_mut(&mut self) -> &mut N::Body {
        // SAFETY: By the type invariant there are no readers, and intent is borrowed.
        unsafe { &mut *self.0.six().value.get() }
    }
}

impl<N: HasSix> Drop for WriteGuard<'_, N> {
    fn drop(&mut self) {
        self.0.six().raw.leave_write();
    }
}
