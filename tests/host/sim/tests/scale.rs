// SPDX-License-Identifier: GPL-2.0

//! What mounting costs must not depend on how much is in the filesystem.

use sim::{
    format::{
        bpos::Bpos,
        btree_id::BtreeId,
        opts::Opts, //
    },
    golden::{
        images,
        Image, //
    },
    init::Filesystem,
};
use std::path::Path;

/// Nodes that may be read besides the roots: a path to the root directory, and the leaves that
/// counters are scattered over before 1.15.
const BESIDES_ROOTS: u64 = 3;

/// How many btrees are not empty.
fn nr_btrees(fs: &Filesystem) -> u64 {
    let btrees = (0..29).filter(|id| {
        let mut keys = fs.view.btrees.iter(BtreeId(*id), 0, Bpos::MIN);
        matches!(keys.next(), Ok(Some(_)) | Err(_))
    });
    btrees.count() as u64
}

/// 2000 inodes with an extent each, in nodes of 32 KiB.
#[test]
fn counters_by_inode_are_not_read() {
    let image = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../golden/inums.img.zst");
    let bytes = images::read_file(&image).unwrap();
    let devices = images::devices("inums", vec![bytes]);
    let fs = Filesystem::start(devices, &Opts::default()).unwrap();
    assert_eq!(fs.usage().nr_inodes, 2002);
    let reads = fs.view.btrees.cache().nr_reads();
    let most = nr_btrees(&fs) + BESIDES_ROOTS;
    assert!(reads <= most, "{reads} nodes read, {most} would do");
}

#[test]
fn starting_reads_roots_and_little_else() {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    for image in Image::all(&folder) {
        // Those with something in more than one leaf; in every version.
        if !["-many", "-tree", "-snap"]
            .iter()
            .any(|n| image.name.ends_with(n))
        {
            continue;
        }
        let devices = images::devices(&image.name, image.unpack().unwrap());
        if let Ok(fs) = Filesystem::start(devices, &Opts::default()) {
            let reads = fs.view.btrees.cache().nr_reads();
            // Interior nodes too, and the subvolumes and snapshots.
            let most = nr_btrees(&fs) + 2 * BESIDES_ROOTS + 2;
            assert!(reads <= most, "{}: {reads} nodes read", image.name);
        }
    }
}
