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

/// Nodes that may be read besides the roots: a path to the root directory, and the leaves that
/// counters are scattered over before 1.15.
const BESIDES_ROOTS: u64 = 8;

fn each(mut check: impl FnMut(&str, &Filesystem)) {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return;
    };
    for image in Image::all(&folder)
        .into_iter()
        .filter(|i| !i.name.contains("-dmg-"))
    {
        let devices = images::devices(&image.name, image.unpack().unwrap());
        if let Ok(fs) = Filesystem::start(devices, &Opts::default()) {
            check(&image.name, &fs);
        }
    }
}

#[test]
fn starting_reads_roots_and_little_else() {
    each(|name, fs| {
        let reads = fs.view.btrees.cache().nr_reads();
        let roots = (0..29).filter(|id| {
            let mut nodes = fs.view.btrees.iter(BtreeId(*id), 0, Bpos::MIN);
            matches!(nodes.next(), Ok(Some(_)) | Err(_))
        });
        let roots = roots.count() as u64;
        println!("{name}: {reads} nodes read, {roots} btrees");
        assert!(reads <= roots + BESIDES_ROOTS, "{name}: {reads} nodes read");
    });
}
