//! Making worlds and looking at how their processes end.

use engine::buffer::{self, Slice};
use engine::file::{self, File, OpenOptions};
use engine::sim::{ProcessEnd, World, WorldConfig};
use std::path::Path;

/// A world with a disk of 16 MiB and 8 MiB of memory per shard.
pub fn world(seed: u64) -> World {
    World::new(WorldConfig {
        seed,
        disk_bytes: 16 << 20,
        memory_bytes_per_shard: 8 << 20,
        trace: false,
    })
}

/// The outputs of a process that ended well.
pub fn ended<T: std::fmt::Debug>(end: ProcessEnd<T>) -> Vec<T> {
    match end {
        ProcessEnd::Ended(values) => values,
        other => panic!("the process did not end: {other:?}"),
    }
}

/// Runs one future on one shard to its end.
#[allow(dead_code, reason = "not every test file runs a single future")]
pub fn run<Fut: Future + 'static>(world: &mut World, future: Fut) -> Fut::Output
where
    Fut::Output: std::fmt::Debug,
{
    let future = std::cell::Cell::new(Some(future));
    let end = world.run(1, |_| future.take().expect("one shard takes it once"));
    ended(end).pop().expect("one shard has one output")
}

/// Runs one future on one shard that does not get to its end.
#[allow(dead_code, reason = "not every test file crashes a single future")]
pub fn crashed<Fut: Future<Output = ()> + 'static>(
    world: &mut World,
    future: Fut,
) -> ProcessEnd<()> {
    let future = std::cell::Cell::new(Some(future));
    let end = world.run(1, |_| future.take().expect("one shard takes it once"));
    assert!(!matches!(end, ProcessEnd::Ended(_) | ProcessEnd::Panicked(_)), "{end:?}");
    end
}

/// A slice of a block, `len` times `byte`.
#[allow(dead_code, reason = "not every test file writes blocks")]
pub async fn bytes(byte: u8, len: usize) -> Slice {
    let mut block = buffer::alloc(len).await.expect("fits the budget");
    block[..len].fill(byte);
    block.freeze(len)
}

/// Opens for direct reading and writing, and creates if need be.
#[allow(dead_code, reason = "not every test file opens files")]
pub async fn open(path: &str) -> File {
    let options = OpenOptions::new().read().write().create().direct();
    File::open(Path::new(path), options).await.expect("opened")
}

/// A new file in a directory of its own, its name durable.
#[allow(dead_code, reason = "not every test file creates files")]
pub async fn create(path: &str) -> File {
    let directory = Path::new(path).parent().expect("an absolute path");
    file::create_dir_all(directory).await.expect("created");
    let file = open(path).await;
    file::syncfs("/").await.expect("synced");
    file
}
