//! The simulated disk beside the kernel's file system: the same random operations through the same facade give
//! the same results, errors included, on both, as long as nothing fails. Takes a few seconds.
#![cfg(feature = "sim")]

mod sim_support;

use std::io;
use std::path::{Path, PathBuf};

use engine::buffer::{self, Slice};
use engine::file::{self, File, OpenOptions};
use engine::shard::{Launch, block_on};

const STEPS: usize = 250;
const NAMES: [&str; 10] = ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "none/a", "d/e/f/a"];

/// Numbers that both sides draw alike.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

fn told<T>(result: io::Result<T>, tell: impl FnOnce(T) -> String) -> String {
    match result {
        Ok(value) => tell(value),
        Err(error) => match error.raw_os_error() {
            Some(errno) => format!("errno {errno}"),
            None => format!("{:?}", error.kind()),
        },
    }
}

fn done(result: io::Result<()>) -> String {
    told(result, |()| "done".to_owned())
}

fn sum(bytes: &[u8]) -> String {
    let sum = bytes.iter().fold(0u32, |sum, byte| sum.rotate_left(3) ^ u32::from(*byte));
    format!("{} bytes, {sum:08x}", bytes.len())
}

/// What every step of a random life did.
async fn life(base: PathBuf, seed: u64) -> Vec<String> {
    let mut numbers = Numbers(seed);
    let mut files: Vec<File> = Vec::new();
    let mut log = Vec::new();
    file::create_dir_all(&base).await.expect("created");
    for _ in 0..STEPS {
        let n = &mut numbers;
        let path = |n: &mut Numbers| base.join(NAMES[n.below(NAMES.len() as u64) as usize]);
        let said = match n.below(14) {
            0 | 1 => {
                let (path, flags) = (path(n), n.below(32));
                open(&mut files, &path, flags).await
            }
            2 => {
                if !files.is_empty() {
                    files.swap_remove(n.below(files.len() as u64) as usize);
                }
                "closed".to_owned()
            }
            3 => {
                let (from, to) = (path(n), path(n));
                format!("rename {}", done(file::rename(from, to).await))
            }
            4 => format!("remove {}", done(file::remove_file(path(n)).await)),
            5 => format!("create_dir_all {}", done(file::create_dir_all(path(n)).await)),
            6 if n.below(4) == 0 => {
                format!("remove_dir_all {}", done(file::remove_dir_all(path(n)).await))
            }
            6 => format!("exists {}", told(file::exists(path(n)).await, |is| is.to_string())),
            7 => format!("read {}", told(file::read(path(n)).await, |bytes| sum(&bytes))),
            8 => format!("read_dir {}", told(file::read_dir(path(n)).await, listed)),
            9 => {
                let written = file::write_durably(path(n), vec![n.below(256) as u8; 3000]).await;
                format!("write_durably {}", done(written))
            }
            _ if files.is_empty() => continue,
            _ => {
                let i = n.below(files.len() as u64) as usize;
                use_file(&files[i], n).await
            }
        };
        log.push(said);
    }
    log.push(told(file::read_dir(&base).await, listed));
    log
}

async fn open(files: &mut Vec<File>, path: &Path, flags: u64) -> String {
    let mut options = OpenOptions::new();
    let is = |bit: u64| flags >> bit & 1 == 1;
    // Truncating through a handle that cannot write is left to each system.
    options = if is(0) || !is(1) { options.read() } else { options };
    options = if is(1) { options.write() } else { options };
    options = if is(2) { options.create() } else { options };
    options = if is(1) && is(3) { options.truncate() } else { options };
    options = if is(1) && is(2) && is(4) { options.create_new() } else { options };
    let opened = File::open(path, options).await;
    let said = told(opened, |file| {
        files.push(file);
        "done".to_owned()
    });
    format!("open {options:?} {said}")
}

fn listed(entries: Vec<file::DirEntry>) -> String {
    let tell = |e: &file::DirEntry| match e.is_dir {
        true => format!("{:?}/", e.name),
        false => format!("{:?} {}", e.name, e.len),
    };
    entries.iter().map(tell).collect::<Vec<_>>().join(", ")
}

async fn use_file(file: &File, n: &mut Numbers) -> String {
    let (position, len) = (n.below(20_000), 1 + n.below(9_000));
    match n.below(7) {
        0 | 1 => {
            let data = Slice::from_vec(vec![n.below(256) as u8; len as usize]);
            format!("write {position}+{len} {}", done(file.write_at(position, data).await))
        }
        2 => {
            let byte = n.below(256) as u8;
            let data = (0..3).map(|i| Slice::from_vec(vec![byte ^ i; len as usize / 3])).collect();
            format!("write 3 at {position} {}", done(file.write_vectored_at(position, data).await))
        }
        3 | 4 => {
            let block = buffer::alloc(len as usize).await.expect("fits");
            let (result, block) = file.read_len_at(position, block, len as usize).await;
            format!("read {position}+{len} {}", told(result, |read| sum(&block[..read])))
        }
        5 => format!("set_len {position} {}", done(file.set_len(position).await)),
        _ => {
            let allocated = done(file.allocate(position, len).await);
            let synced = done(file.sync_data().await);
            // How long a directory is differs between file systems; none can be allocated.
            let len = match &*allocated {
                "done" => told(file.len().await, |len| len.to_string()),
                _ => "untold".to_owned(),
            };
            format!("allocate {allocated}, sync {synced}, len {len}")
        }
    }
}

#[test]
fn a_random_life_goes_the_same_on_both() {
    for seed in 0..40 {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let launch = Launch { memory_bytes_per_shard: 8 << 20, ..Launch::default() };
        let base = directory.path().join("base");
        let real = block_on(&launch, life(base, seed)).expect("io_uring works here");
        let mut world = sim_support::world(seed);
        let simulated = sim_support::run(&mut world, life("/base".into(), seed));
        for (step, (real, simulated)) in real.iter().zip(&simulated).enumerate() {
            assert_eq!(simulated, real, "seed {seed}, step {step}");
        }
        assert_eq!(simulated.len(), real.len());
    }
}
