//! Files on the ring, and whole-file and directory calls.
//!
//! With `direct`, positions and lengths must be multiples of [`crate::buffer::ALIGN`] and memory must come
//! from [`crate::buffer`]. What has an operation in the ring uses it; the rest runs in the blocking pool.

mod directory;
mod give_back;
mod handle;
mod lock;
mod options;
mod sync_failure;
mod whole;

pub use directory::{
    DirEntry, FileSystem, create_dir_all, exists, file_system, free_bytes, read_dir,
    remove_dir_all, remove_large_file, sync_dir, syncfs,
};
pub use handle::File;
pub use lock::{Lock, lock_exclusive};
pub use options::OpenOptions;
pub use whole::{read, remove_file, rename, write_durably};
