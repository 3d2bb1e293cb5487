// SPDX-License-Identifier: GPL-2.0

//! Every golden image is started and compared with what the C implementation showed of it.
//! Some are in the tree (`tests/golden`); `BCACHEFS_RS_IMAGES` names a folder with others.

use sim::{
    error::{
        Class,
        Error, //
    },
    format::opts::Opts,
    golden::{
        images,
        walk,
        Image,
        Manifest,
        Tree, //
    },
    init::Filesystem,
};

fn started(image: &Image) -> Result<Tree, Error> {
    let devices = images::devices(&image.name, image.unpack().unwrap());
    let fs = Filesystem::start(devices, &Opts::default())?;
    Ok(walk(&fs.view))
}

fn all(damaged: bool) -> Vec<(Image, Manifest)> {
    let Some(folder) = images::folder() else {
        println!("skipped: no golden images (BCACHEFS_RS_IMAGES)");
        return Vec::new();
    };
    // The one in the tree that has files too large to be read whole is for the guest.
    let images = Image::all(&folder).into_iter();
    let with_manifest = images.filter(|i| !i.name.ends_with("-limits")).map(|i| {
        let manifest = i.manifest().unwrap();
        (i, manifest)
    });
    with_manifest
        .filter(|(_, m)| m.damage.is_some() == damaged)
        .collect()
}

/// Whether files can not be read because of something that is not supported yet.
fn is_unsupported(tree: &Tree) -> bool {
    let unsupported = |e: &Error| e.class() == Class::Unsupported;
    !tree.errors.is_empty() && tree.errors.iter().all(|(_, e)| unsupported(e))
}

#[test]
fn whole_images_are_as_in_c() {
    let mut failed = Vec::new();
    for (image, manifest) in all(false) {
        let tree = match started(&image) {
            Ok(tree) => tree,
            Err(e) if e.class() == Class::Unsupported => {
                println!("{}: skipped: {e}", image.name);
                continue;
            }
            Err(e) => {
                failed.push(format!("{}: {e}", image.name));
                continue;
            }
        };
        let lost = manifest.lost(&tree);
        let differences = manifest.differences(&tree);
        if is_unsupported(&tree) && lost.is_empty() {
            println!("{}: skipped: {}", image.name, tree.errors[0].1);
            continue;
        }
        for d in lost.into_iter().chain(differences) {
            failed.push(format!("{}: {d}", image.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// What must come of each kind of damage, whatever the version.
enum Want {
    /// Nothing of what files hold is affected.
    Same,
    /// So many lines of difference at most, and nothing that is wrong is given out as good.
    AtMost(usize),
    /// The mount is refused with one of these.
    Refused(&'static [Error]),
}

fn wanted(case: &str) -> Want {
    match case {
        "accounting"
        | "alloc-header"
        | "alloc-key-deleted"
        | "alloc-key-deleted-dirty"
        | "backpointer"
        | "dirent-type"
        | "freespace"
        | "journal-oldcopy"
        | "journal-swap"
        | "sb-primary-bit"
        | "sb-primary-zero" => Want::Same,
        // A name or an inode is gone, with what is below it.
        "dirent-deleted" => Want::AtMost(40),
        "data-csum" | "dirent-dangling" | "dirent-hash" | "extent-deleted" | "inode-deleted"
        | "inode-unpack" | "nlink" | "snapshot-deleted" | "journal-torn" => Want::AtMost(8),
        // A leaf of file data, or all names.
        "bset-badkey" | "node-seq" | "node-zero" => Want::AtMost(400),
        "node-csum" => Want::Refused(&[Error::NodeChecksum]),
        "sb-all" => Want::Refused(&[Error::SbChecksum]),
        "sb-version" => Want::Refused(&[Error::SbVersionTooNew]),
        _ => Want::AtMost(usize::MAX),
    }
}

#[test]
fn damage_is_contained() {
    let mut failed = Vec::new();
    for (image, manifest) in all(true) {
        let case = image.name.split_once("-dmg-").map_or("", |(_, c)| c);
        // Needed for replay in one version only.
        let want = match image.name.as_str() {
            "v113-dmg-journal-middle" => Want::Refused(&[Error::JournalChecksum]),
            "v139-dmg-journal-middle" => Want::Same,
            _ => wanted(case),
        };
        let outcome = started(&image).map(|tree| manifest.differences(&tree));
        let ok = match (&want, &outcome) {
            (Want::Same, Ok(differences)) => differences.is_empty(),
            (Want::AtMost(n), Ok(differences)) => differences.len() <= *n,
            (Want::Refused(errors), Err(e)) => errors.contains(e),
            _ => false,
        };
        if !ok {
            failed.push(format!("{}: {outcome:?}", image.name));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
