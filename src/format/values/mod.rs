// SPDX-License-Identifier: GPL-2.0

//! The values of keys: what follows a key's header, by key type.
//!
//! `decode` makes a structure of the bytes and fails with an
//! [`Invalid`](crate::error::Invalid) only where it could not return anything meaningful; whether
//! the contents make sense is for the validators to say. Nothing here panics or reads out of
//! bounds, whatever the bytes.
//!
//! | file              | holds                                                            |
//! |-------------------|------------------------------------------------------------------|
//! | `extent.rs`       | [`ptrs`](extent::ptrs): the pointers of any key that has some      |
//! | `extent_entry.rs` | [`Entry`](extent_entry::Entry), [`Ptr`](extent_entry::Ptr): what an extent consists of |
//! | `crc.rs`          | [`Crc`](crc::Crc): checksum and compression of pointers            |
//! | `btree_ptr.rs`    | [`BtreePtr`](btree_ptr::BtreePtr): pointers to nodes               |
//! | `reflink.rs`      | [`ReflinkPtr`](reflink::ReflinkPtr), reference counts of shared data |
//! | `inline_data.rs`  | data kept in the key                                             |
//! | `inode.rs`        | [`Inode`](inode::Inode), in all three encodings                    |
//! | `inode_fields.rs` | the variable-length fields of inodes                             |
//! | `dirent.rs`       | [`Dirent`](dirent::Dirent): directory entries                      |
//! | `xattr.rs`        | [`Xattr`](xattr::Xattr): extended attributes                       |
//! | `subvolume.rs`    | [`Subvolume`](subvolume::Subvolume)                                |
//! | `snapshot.rs`     | [`Snapshot`](snapshot::Snapshot), [`SnapshotTree`](snapshot::SnapshotTree) |
//! | `alloc.rs`        | [`Alloc`](alloc::Alloc): the state of a bucket, bucket generations |
//! | `backpointer.rs`  | [`Backpointer`](backpointer::Backpointer)                          |
//! | `stripe.rs`       | [`Stripe`](stripe::Stripe): erasure-coded stripes                  |
//! | `accounting.rs`   | [`Counted`](accounting::Counted): what a counter counts            |
//! | `quota.rs`        | [`Quota`](quota::Quota): limits                                    |
//! | `logged_op.rs`    | operations to be finished after a crash                          |
//! | `bucket_index.rs` | where a bucket is in the indices of buckets                      |
//! | `in_place.rs`     | changing a field of a value where it is                          |
//! | `damage.rs`       | [`damage`](damage::damage): errors that damaged an inode           |
//! | `plain.rs`        | values of a word or less: reservation, cookie, error             |
//! | `kinds.rs`        | checksum, compression, hash and data types                       |
//! | `validate/`       | [`validate_key`]: whether a key can be right, by itself            |
//! | `text.rs`         | [`KeyText`](text::KeyText): any key as text                       |
//! | `varint.rs`       | variable-length integers                                         |
//! | `raw.rs`          | taking structures and bit fields out of bytes                    |

pub mod accounting;
pub mod alloc;
pub mod backpointer;
pub mod btree_ptr;
pub mod bucket_index;
pub mod crc;
pub mod damage;
pub mod dirent;
pub mod extent;
pub mod extent_entry;
pub mod in_place;
pub mod inline_data;
pub mod inode;
mod inode_fields;
pub mod kinds;
pub mod logged_op;
pub mod plain;
pub mod quota;
mod raw;
pub mod reflink;
pub mod snapshot;
pub mod stripe;
pub mod subvolume;
#[cfg(test)]
mod tests;
pub mod text;
pub mod validate;
pub mod varint;
pub mod xattr;

pub use validate::{
    validate,
    validate_key,
    ValidateCtx, //
};
