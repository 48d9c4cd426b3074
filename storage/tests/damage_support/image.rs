//! A data directory in memory: taken while its node runs, as a power cut would leave it, and written out as often as one
//! likes. Zeros take no room, neither here nor in the copies.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub const BLOCK: usize = 4096;

/// What recovery makes for itself and nobody reads.
const LEFT_OUT: [&str; 2] = ["lock", "checkpoints/reserve"];

#[derive(Clone, Default)]
pub struct Image {
    files: BTreeMap<PathBuf, FileImage>,
    dirs: Vec<PathBuf>,
}

#[derive(Clone)]
struct FileImage {
    len: u64,
    /// Bytes by position: runs of blocks that are not all zeros.
    runs: Vec<(u64, Vec<u8>)>,
}

impl Image {
    pub fn take(dir: &Path) -> Image {
        let mut image = Image::default();
        image.add(dir, Path::new(""));
        image
    }

    fn add(&mut self, root: &Path, below: &Path) {
        for entry in std::fs::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                self.dirs.push(path.clone());
                self.add(root, &path);
            } else if !LEFT_OUT.iter().any(|name| path == Path::new(name)) {
                let bytes = std::fs::read(root.join(&path)).unwrap();
                self.files.insert(path, FileImage::of(&bytes));
            }
        }
    }

    pub fn write(&self, dir: &Path) {
        for below in &self.dirs {
            std::fs::create_dir_all(dir.join(below)).unwrap();
        }
        for (path, image) in &self.files {
            write_sparse(&dir.join(path), image);
        }
    }

    /// All files, by their path below the directory.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    pub fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
    }

    /// A file's bytes.
    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        let image = &self.files[path];
        let mut bytes = vec![0; image.len as usize];
        for (position, run) in &image.runs {
            let at = *position as usize;
            bytes[at..at + run.len()].copy_from_slice(run);
        }
        bytes
    }

    pub fn set(&mut self, path: &Path, bytes: &[u8]) {
        self.files.insert(path.to_owned(), FileImage::of(bytes));
    }
}

#[expect(clippy::disallowed_types, reason = "tests look at the disk past the engine")]
fn write_sparse(path: &Path, image: &FileImage) {
    let file = std::fs::File::create(path).unwrap();
    file.set_len(image.len).unwrap();
    for (position, bytes) in &image.runs {
        file.write_all_at(bytes, *position).unwrap();
    }
}

/// Compared as a whole: a look at each byte takes seconds in a build without optimisation.
pub fn is_zeros(bytes: &[u8]) -> bool {
    const ZEROS: [u8; BLOCK] = [0; BLOCK];
    bytes.chunks(BLOCK).all(|block| *block == ZEROS[..block.len()])
}

impl FileImage {
    fn of(bytes: &[u8]) -> FileImage {
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for (number, block) in bytes.chunks(BLOCK).enumerate() {
            let position = (number * BLOCK) as u64;
            if is_zeros(block) {
                continue;
            }
            match runs.last_mut() {
                Some((at, run)) if *at + run.len() as u64 == position => run.extend(block),
                _ => runs.push((position, block.to_vec())),
            }
        }
        FileImage { len: bytes.len() as u64, runs }
    }
}
