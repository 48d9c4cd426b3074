//! Small disks of their own for a test: ext4 or XFS in a file, mounted through a loop device, on the disk of this machine or on
//! another such disk.
//!
//! A disk on a disk is how a device is made that can be broken. When the file system below is shut down
//! ([`PowerSwitch`]), the device above it answers every write with an error; what it took before and did not flush is gone,
//! as from a drive's volatile cache. With one file system more in between the device goes on taking writes into memory, and
//! only its flushes fail.
//!
//! Needs root, `losetup`, `mount`, `mkfs.ext4` and `mkfs.xfs`. Where one is missing a test says so and passes; with
//! `REQUIRE_CLIENTS=1` it fails instead. Everything is unmounted and gone when a disk is dropped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::broker_process::scratch;
use crate::power_switch::PowerSwitch;

/// How long a file system may stay busy after the last process that used it has ended.
const BUSY_MAX: Duration = Duration::from_secs(20);

/// Mebibytes that a file system needs beside the image that lies on it.
const OVERHEAD_MEBIBYTES: u64 = 64;

/// A file system to put on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, as a distribution would make it, but with nothing left to be done in the background.
    Ext4,
    /// XFS.
    Xfs,
}

/// What a disk can be made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is a plain disk. Its power can be cut: what only the file system held in memory is gone.
    Plain,
    /// Its power can be cut, and with it go the writes that it took and did not flush.
    VolatileCache,
    /// Writes go on, flushes fail.
    Flushes,
    /// It lies about its size: writes fail once this many mebibytes were written.
    Full(u64),
}

/// A mounted file system; unmounted and gone when dropped.
pub struct Disk {
    /// From the lowest to the one that a test uses; each but the first lies on the one before.
    layers: Vec<Layer>,
    /// The RAM disk that holds the lowest image, if it is one that runs out of memory.
    backing: Option<PathBuf>,
    _directory: tempfile::TempDir,
}

struct Layer {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// Makes and mounts one of this size that can have this fault, or says why it cannot.
    ///
    /// # Panics
    /// When it cannot and `REQUIRE_CLIENTS=1`.
    pub fn mount(kind: FileSystem, mebibytes: u64, fault: Fault) -> Option<Self> {
        match Self::try_mount(kind, mebibytes, fault) {
            Ok(disk) => Some(disk),
            Err(cause) => {
                let text = format!("no {kind:?} disk on a loop device here: {cause}");
                assert!(std::env::var_os("REQUIRE_CLIENTS").is_none(), "{text}");
                eprintln!("not tested: {text}");
                None
            }
        }
    }

    fn try_mount(kind: FileSystem, mebibytes: u64, fault: Fault) -> Result<Self, String> {
        let directory = tempfile::Builder::new()
            .prefix("disk-")
            .tempdir_in(scratch())
            .expect("the build directory is writable");
        let root = directory.path().to_owned();
        let mut disk = Self { layers: Vec::new(), backing: None, _directory: directory };
        if let Fault::Full(real) = fault {
            let path = make_directory(root.join("backing"));
            let size = format!("size={real}M");
            run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path))?;
            disk.backing = Some(path);
        }
        let below = match fault {
            Fault::Plain | Fault::Full(_) => 0,
            Fault::VolatileCache => 1,
            Fault::Flushes => 2,
        };
        for level in 0..=below {
            let kind = if level == below { kind } else { FileSystem::Ext4 };
            let place = match disk.layers.last() {
                Some(lower) => lower.mount.clone(),
                None => disk.backing.clone().unwrap_or_else(|| root.clone()),
            };
            let layer = Layer {
                image: place.join("image"),
                mount: make_directory(root.join(format!("mnt{level}"))),
            };
            layer.format(kind, mebibytes + (below - level) * OVERHEAD_MEBIBYTES)?;
            layer.mount()?;
            disk.layers.push(layer);
        }
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.top().mount
    }

    /// The name of its block device, as in `/sys/block`.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn device(&self) -> String {
        let output = Command::new("findmnt").args(["-no", "SOURCE"]).arg(self.path()).output();
        let text = String::from_utf8(output.expect("findmnt comes with mount").stdout);
        let text = text.expect("a device's path is text");
        let name = text.trim().strip_prefix("/dev/").expect("a device below /dev");
        name.to_owned()
    }

    /// The switch that brings its fault about: takes its power, or makes its flushes fail, see [`Fault`].
    pub fn switch(&self) -> PowerSwitch {
        PowerSwitch::of(&self.layers.first().expect("a disk has a layer").mount)
    }

    /// Mounts it again after a fault, once nothing uses it any more: as after power has returned, or the cable was
    /// exchanged. One that ran full gets the room that it pretended to have.
    ///
    /// # Panics
    /// When it is still in use after a while, or cannot be mounted.
    pub fn mend(&self) {
        if let Some(backing) = &self.backing {
            run(Command::new("mount").args(["-o", "remount,size=4G"]).arg(backing)).expect("root");
        }
        for layer in self.layers.iter().rev() {
            layer.unmount().expect("nothing uses the disk any more");
        }
        for layer in &self.layers {
            layer.mount().expect("a file system survives a power cut");
        }
    }

    /// A file that takes all but `left` bytes of the free space, until it is removed. XFS keeps a little for itself, and
    /// others may take space at the same time: it takes as much as there is to take.
    ///
    /// # Panics
    /// When the file system has no `fallocate`.
    pub fn ballast(&self, left: u64) -> PathBuf {
        let path = self.path().join("ballast");
        let mut spared = left;
        loop {
            let free = free_bytes(self.path());
            let length = free.saturating_sub(spared).max(4_096).to_string();
            match run(Command::new("fallocate").args(["-l", &length]).arg(&path)) {
                Ok(()) => return path,
                Err(cause) => assert!(cause.contains("No space"), "{cause}"),
            }
            // What a failed attempt took is given back first.
            let _ = std::fs::remove_file(&path);
            spared += 128 << 10;
        }
    }

    fn top(&self) -> &Layer {
        self.layers.last().expect("a disk has a layer")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        for layer in self.layers.iter().rev() {
            if let Err(cause) = layer.unmount() {
                eprintln!("{} is unmounted when nothing uses it: {cause}", layer.mount.display());
                let _ = run(Command::new("umount").arg("-l").arg(&layer.mount));
            }
        }
        if let Some(backing) = &self.backing {
            let _ = run(Command::new("umount").arg("-l").arg(backing));
        }
    }
}

impl Layer {
    fn format(&self, kind: FileSystem, mebibytes: u64) -> Result<(), String> {
        let file = std::fs::File::create(&self.image).map_err(|error| error.to_string())?;
        file.set_len(mebibytes << 20).map_err(|error| error.to_string())?;
        let mut make = match kind {
            FileSystem::Ext4 => {
                let mut make = Command::new("mkfs.ext4");
                make.args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"]);
                make
            }
            FileSystem::Xfs => {
                let mut make = Command::new("mkfs.xfs");
                make.args(["-q", "-f", "-K"]);
                make
            }
        };
        run(make.arg(&self.image))
    }

    /// The loop device goes with the mount.
    fn mount(&self) -> Result<(), String> {
        let options = "loop,noatime";
        run(Command::new("mount").args(["-o", options]).arg(&self.image).arg(&self.mount))
    }

    /// A process that was just killed may hold its files a moment longer, until the kernel has taken its ring apart.
    fn unmount(&self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            match run(Command::new("umount").arg(&self.mount)) {
                Ok(()) => return Ok(()),
                Err(cause) if began.elapsed() > BUSY_MAX => return Err(cause),
                Err(cause) if cause.contains("not mounted") => return Ok(()),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

fn make_directory(path: PathBuf) -> PathBuf {
    std::fs::create_dir(&path).expect("the directory above was just made");
    path
}

/// Bytes of a file system that are free for anyone.
fn free_bytes(path: &Path) -> u64 {
    let output = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(path).output();
    let text = String::from_utf8(output.expect("stat is on every machine").stdout).expect("digits");
    let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().expect("digits"));
    numbers.next().expect("two numbers") * numbers.next().expect("two numbers")
}

fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}
