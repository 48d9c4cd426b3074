//! A small disk of its own for a test: an ext4 file system in a file, mounted through a loop device.
//!
//! Needs root, `losetup`, `mount` and `mkfs.ext4`. Where they are missing a test says so and passes; with
//! `REQUIRE_CLIENTS=1` it fails instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::broker_process::scratch;

/// A mounted file system; unmounted and gone when dropped.
pub struct SmallDisk {
    mount: PathBuf,
    /// The RAM disk that holds the image, if it is one that runs out of memory.
    backing: Option<PathBuf>,
    _directory: tempfile::TempDir,
}

impl SmallDisk {
    /// Makes and mounts one of this size, or says why it cannot.
    ///
    /// # Panics
    /// When it cannot and `REQUIRE_CLIENTS=1`.
    pub fn mount(mebibytes: u64) -> Option<Self> {
        Self::mount_on(mebibytes, None)
    }

    /// The same, but writes fail once `real` mebibytes of the disk were written: the device lies about its size.
    pub fn that_fails_after(real: u64, mebibytes: u64) -> Option<Self> {
        Self::mount_on(mebibytes, Some(real))
    }

    /// Gives a disk that fails as many mebibytes as it needs.
    pub fn mend(&self, mebibytes: u64) {
        let backing = self.backing.as_ref().expect("only a disk that fails can be mended");
        let size = format!("remount,size={mebibytes}M");
        assert!(runs(Command::new("mount").args(["-o", &size]).arg(backing)), "no remount");
        // The file system saw errors: it is mounted anew, as after an exchange of the cable.
        assert!(runs(Command::new("umount").arg(&self.mount)), "the disk is still in use");
        let image = backing.join("image");
        assert!(runs(Command::new("mount").args(["-o", "loop"]).arg(image).arg(&self.mount)));
    }

    fn mount_on(mebibytes: u64, real: Option<u64>) -> Option<Self> {
        let directory = tempfile::tempdir_in(scratch()).expect("the build directory is writable");
        let mount = directory.path().join("mnt");
        let backing = real.map(|_| directory.path().join("backing"));
        for path in [Some(&mount), backing.as_ref()].into_iter().flatten() {
            std::fs::create_dir(path).expect("just made the directory above");
        }
        if let (Some(real), Some(path)) = (real, &backing) {
            let size = format!("size={real}M");
            // If it fails, making the file system below does not, but the caller then sees a disk without faults.
            let command = &mut Command::new("mount");
            runs(command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path));
        }
        let image = backing.as_deref().unwrap_or(directory.path()).join("image");
        let file = std::fs::File::create(&image).expect("writable");
        file.set_len(mebibytes << 20).expect("a sparse file costs nothing");
        let made = runs(Command::new("mkfs.ext4").arg("-qF").arg(&image))
            && runs(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(&mount));
        if !made {
            let text = "a loop device cannot be mounted here (it takes root)";
            assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "{text}");
            eprintln!("not tested: {text}");
            return None;
        }
        Some(Self { mount, backing, _directory: directory })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.mount
    }

    /// A file that takes all but `left` bytes of the free space, until it is removed.
    pub fn ballast(&self, left: u64) -> PathBuf {
        let path = self.mount.join("ballast");
        let free = free_bytes(&self.mount);
        let bytes = free.saturating_sub(left);
        let ok = runs(Command::new("fallocate").args(["-l", &bytes.to_string()]).arg(&path));
        assert!(ok, "{bytes} bytes could not be allocated");
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A broker that was just killed may hold files a moment longer.
        if !runs(Command::new("umount").arg(&self.mount)) {
            runs(Command::new("umount").arg("-l").arg(&self.mount));
        }
        if let Some(backing) = &self.backing {
            runs(Command::new("umount").arg("-l").arg(backing));
        }
    }
}

/// Bytes of a file system that are free for anyone.
fn free_bytes(path: &Path) -> u64 {
    let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(path).output();
    let text = String::from_utf8(output.expect("stat is on every machine").stdout).expect("digits");
    let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().expect("digits"));
    numbers.next().expect("two numbers") * numbers.next().expect("two numbers")
}

fn runs(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
