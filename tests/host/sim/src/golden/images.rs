// SPDX-License-Identifier: GPL-2.0

//! Finding and unpacking golden images.

use super::{
    from_base64,
    json::Json,
    manifest::Manifest, //
};
use crate::sys::block::BlockDevice;
use std::{
    io::Read,
    path::{
        Path,
        PathBuf, //
    },
    sync::Arc,
};

/// One image: a filesystem on one or more devices.
#[derive(Debug)]
pub struct Image {
    /// Its name, without endings.
    pub name: String,
    folder: PathBuf,
    manifest: PathBuf,
}

/// The folder with the images: `BCACHEFS_RS_IMAGES`, `shared/images` beside the checkout, or else
/// those in the tree.
pub fn folder() -> Option<PathBuf> {
    let given = std::env::var_os("BCACHEFS_RS_IMAGES").filter(|path| !path.is_empty());
    let given = given.map(PathBuf::from);
    let from_here = |path| Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let beside = || from_here("../../../../shared/images");
    let folders = [given.unwrap_or_else(beside), from_here("../../golden")];
    folders.into_iter().find(|p| p.is_dir())
}

/// The image with this name; says so when it is not there, as only a few are in the tree.
pub fn image(name: &str) -> Option<Image> {
    let found = folder().and_then(|folder| Image::named(&folder, name));
    if found.is_none() {
        println!("skipped: no image {name} (BCACHEFS_RS_IMAGES)");
    }
    found
}

/// The contents of a file, unpacked if its name says that it is packed.
pub fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let packed = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    if path.extension().is_none_or(|e| e != "zst") {
        return Ok(packed);
    }
    unpacked(&packed).map_err(|e| format!("{}: {e}", path.display()))
}

/// Unpacks into memory that is zero already and leaves what is zero untouched: most of an image is
/// and so never takes a page.
fn unpacked(packed: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut unpack = zstd::Decoder::new(packed)?;
    let size = zstd::zstd_safe::get_frame_content_size(packed)
        .ok()
        .flatten();
    let mut out = vec![0; size.unwrap_or(0) as usize];
    let mut piece = vec![0; 64 << 10];
    let mut at = 0;
    loop {
        let n = unpack.read(&mut piece)?;
        let piece = &piece[..n];
        match out.get_mut(at..at + n) {
            _ if n == 0 => return Ok(out),
            Some(_) if piece.iter().all(|b| *b == 0) => {}
            Some(place) => place.copy_from_slice(piece),
            // Several frames, or one that does not tell its size.
            None => {
                out.truncate(at);
                out.extend_from_slice(piece);
            }
        }
        at += n;
    }
}

impl Image {
    /// All images in `folder`, by name.
    pub fn all(folder: &Path) -> Vec<Image> {
        let mut found = Vec::new();
        for file in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let stem = name.strip_suffix(".zst").unwrap_or(&name);
            if let Some(stem) = stem.strip_suffix(".manifest.json") {
                found.push(Image {
                    name: stem.to_owned(),
                    folder: folder.to_owned(),
                    manifest: file.path(),
                });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// The image with this name.
    pub fn named(folder: &Path, name: &str) -> Option<Image> {
        Self::all(folder).into_iter().find(|i| i.name == name)
    }

    /// What the filesystem holds; for a damaged image, what its base holds.
    pub fn manifest(&self) -> Result<Manifest, String> {
        let json = self.json()?;
        match json.get("base") {
            Some(base) => {
                let base = self.base(base)?;
                let mut manifest = base.manifest()?;
                manifest.damage = json.get("damage").map(Json::text);
                Ok(manifest)
            }
            None => Ok(Manifest::from_json(&json)),
        }
    }

    fn base(&self, name: &Json) -> Result<Image, String> {
        Self::named(&self.folder, &name.text()).ok_or_else(|| format!("no base {}", name.text()))
    }

    /// The manifest as it is.
    pub fn json(&self) -> Result<Json, String> {
        Json::parse(&read_file(&self.manifest)?)
    }

    /// The bytes of each device. If the filesystem is encrypted, its key is put into the thread's
    /// keyring.
    pub fn unpack(&self) -> Result<Vec<Vec<u8>>, String> {
        let devices = self.unpack_locked()?;
        if let (Some(passphrase), Some(first)) = (self.passphrase()?, devices.first()) {
            super::unlock::unlock(first, &passphrase)?;
        }
        Ok(devices)
    }

    /// What protects the filesystem's key, if it is encrypted.
    pub fn passphrase(&self) -> Result<Option<String>, String> {
        let json = self.json()?;
        match json.get("base") {
            Some(base) => self.base(base)?.passphrase(),
            None => Ok(json.get("passphrase").map(Json::text)),
        }
    }

    /// The bytes of each device.
    pub fn unpack_locked(&self) -> Result<Vec<Vec<u8>>, String> {
        let json = self.json()?;
        if let Some(base) = json.get("base") {
            let mut devices = self.base(base)?.unpack_locked()?;
            for patch in json.get("patches").map_or(&[][..], Json::list) {
                apply(devices.first_mut().ok_or("no device")?, patch)?;
            }
            return Ok(devices);
        }
        let files = self.files();
        if files.is_empty() {
            return Err(format!("no image file of {}", self.name));
        }
        files.iter().map(|path| read_file(path)).collect()
    }

    /// The packed image of each device: `NAME.img.zst`, or `NAME.0.img.zst` and so on.
    fn files(&self) -> Vec<PathBuf> {
        let file = |suffix: &str| self.folder.join(format!("{}{suffix}.img.zst", self.name));
        let numbered = (0..16).map(|i| file(&format!(".{i}")));
        let all = std::iter::once(file("")).chain(numbered);
        all.filter(|p| p.is_file()).collect()
    }
}

fn apply(device: &mut [u8], patch: &Json) -> Result<(), String> {
    let at = patch.get("offset").and_then(Json::number).ok_or("offset")? as usize;
    let data = match (patch.get("data"), patch.get("zero")) {
        (Some(data), _) => from_base64(&data.text()),
        (None, Some(zero)) => vec![0; zero.number().ok_or("zero")? as usize],
        _ => return Err("patch without data".to_owned()),
    };
    let place = device
        .get_mut(at..at + data.len())
        .ok_or("patch beyond the end")?;
    place.copy_from_slice(&data);
    Ok(())
}

/// Block devices with these contents.
pub fn devices(name: &str, contents: Vec<Vec<u8>>) -> crate::env::Vec<BlockDevice> {
    let mut out = crate::env::Vec::new();
    for (i, bytes) in contents.into_iter().enumerate() {
        let device = BlockDevice::from_memory(&format!("{name}.{i}"), Arc::new(bytes));
        out.push(device).expect("memory");
    }
    out
}
