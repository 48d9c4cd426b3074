//! Real files: do bytes come back as they were written, through every way to write them?

mod common;

use std::path::PathBuf;

use common::{pattern, run};
use engine::buffer::{self, Filling, Slice};
use engine::file::{self, File, OpenOptions};
use engine::shard::{Launch, block_on};
use engine::{shard, time};

fn directory() -> tempfile::TempDir {
    // Not the system's temporary directory: that is often a tmpfs, without direct I/O.
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory")
}

async fn open(path: PathBuf) -> File {
    let options = OpenOptions::new().read().write().create().direct();
    File::open(&path, options).await.expect("opened")
}

async fn filled(len: usize, seed: u8) -> Slice {
    let mut block = buffer::alloc(len).await.expect("memory");
    block[..len].copy_from_slice(&pattern(len, seed));
    block.freeze(len)
}

async fn contents(file: &File, position: u64, len: usize) -> Vec<u8> {
    let (n, block) =
        file.read_len_at(position, buffer::alloc(len).await.expect("memory"), len).await;
    block[..n.expect("read")].to_vec()
}

#[test]
fn every_way_to_write_is_read_back() {
    let dir = directory();
    let path = dir.path().join("data");
    run(async move {
        let f = open(path).await;
        // Sizes inside and outside the registered region (4 MiB, from 16 KiB up).
        let mut position = 0;
        for (i, len) in [4096, 16384, 65536, 1 << 20, 3 << 20, 8 << 20].into_iter().enumerate() {
            let data = filled(len, i as u8).await;
            match i % 2 {
                0 => f.write_at(position, data).await.expect("written"),
                _ => f.write_at_synced(position, data).await.expect("written and synced"),
            }
            assert!(
                contents(&f, position, len).await == pattern(len, i as u8),
                "{len} bytes differ"
            );
            position += len as u64;
        }
        let slices = vec![filled(4096, 1).await, filled(8192, 2).await, filled(65536, 3).await];
        f.write_vectored_at(0, slices).await.expect("written");
        f.sync_data().await.expect("synced");
        f.sync_all().await.expect("synced");
        let expected = [pattern(4096, 1), pattern(8192, 2), pattern(65536, 3)].concat();
        assert!(contents(&f, 0, expected.len()).await == expected);
    });
}

#[test]
fn more_slices_than_one_call_takes_are_all_written() {
    let dir = directory();
    let path = dir.path().join("data");
    run(async move {
        let options = OpenOptions::new().read().write().create_new();
        let f = File::open(&path, options).await.expect("opened");
        let pieces: Vec<Vec<u8>> = (0..2500).map(|i| pattern(i % 7, i as u8)).collect();
        let expected = pieces.concat();
        let slices = pieces.into_iter().map(Slice::from_vec).collect();
        f.write_vectored_at(3, slices).await.expect("written");
        assert_eq!(f.len().await.expect("length"), 3 + expected.len() as u64);
        assert_eq!(file::read(&path).await.expect("read")[3..], expected);
    });
}

#[test]
fn reads_end_at_the_end() {
    let dir = directory();
    let path = dir.path().join("data");
    run(async move {
        let f = open(path).await;
        assert_eq!(contents(&f, 0, 4096).await, []);
        f.write_at(0, filled(12288, 1).await).await.expect("written");
        assert_eq!(contents(&f, 8192, 65536).await.len(), 4096);
        f.set_len(10_000).await.expect("cut");
        assert_eq!(contents(&f, 8192, 65536).await.len(), 10_000 - 8192);
        assert_eq!(contents(&f, 1 << 30, 4096).await, []);
    });
}

#[test]
fn a_filling_is_shared_while_it_fills() {
    let dir = directory();
    let path = dir.path().join("data");
    run(async move {
        let f = open(path).await;
        let mut filling = Filling::new(buffer::alloc(65536).await.expect("memory"));
        let head = filling.reserve(64);
        let first = filling.append(&pattern(4032, 1));
        let write = f.write_at(4096, {
            filling.append(&pattern(4096, 2));
            filling.filled(4096..8192)
        });
        filling.append(&pattern(1000, 3));
        write.await.expect("written");
        assert_eq!(*first, pattern(4032, 1));
        filling.fill(head, |to| to.fill(0xee));
        f.write_at(0, filling.filled(0..4096)).await.expect("written");
        let all = contents(&f, 0, 8192).await;
        assert_eq!(all[..64], [0xee; 64]);
        assert_eq!(all[64..4096], pattern(4032, 1));
        assert_eq!(all[4096..], pattern(4096, 2));
    });
}

#[test]
#[should_panic(expected = "a hole is filled before it is shared")]
fn an_open_hole_cannot_be_shared() {
    run(async {
        let mut filling = Filling::new(buffer::alloc(4096).await.expect("memory"));
        let _hole = filling.reserve(8);
        filling.append(b"more");
        drop(filling.filled(4..12));
    });
}

#[test]
fn allocation_reserves_without_moving_the_end() {
    let dir = directory();
    let path = dir.path().join("data");
    run(async move {
        let f = open(path.clone()).await;
        f.allocate(0, 1 << 20).await.expect("allocated");
        assert_eq!(f.len().await.expect("length"), 0);
        use std::os::unix::fs::MetadataExt;
        assert!(std::fs::metadata(&path).expect("metadata").blocks() * 512 >= 1 << 20);
        let too_much = f.allocate(0, 1 << 60).await.expect_err("no disk is that large");
        assert!(too_much.raw_os_error().is_some());
    });
}

#[test]
fn a_dropped_write_keeps_its_memory_until_the_kernel_is_done() {
    let dir = directory();
    let path = dir.path().join("data");
    run(async move {
        let f = open(path).await;
        let before = buffer::usage().used;
        for _ in 0..100 {
            let data = filled(1 << 20, 1).await;
            let write = time::timeout(std::time::Duration::ZERO, f.write_at(0, data));
            let _ = write.await;
        }
        let (n, block) = f.read_at(0, buffer::alloc(4096).await.expect("memory")).await;
        assert_eq!((n.expect("read"), block.len()), (4096, 4096));
        drop(block);
        for _ in 0..1000 {
            if buffer::usage().used == before {
                break;
            }
            time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(buffer::usage().used, before, "all memory came back");
        assert!(shard::stats().operations <= 2);
    });
}

#[test]
fn errors_carry_their_cause() {
    let dir = directory();
    let path = dir.path().to_owned();
    run(async move {
        let missing = File::open(&path.join("none"), OpenOptions::new().read()).await;
        assert_eq!(missing.err().expect("not there").kind(), std::io::ErrorKind::NotFound);
        let new = OpenOptions::new().write().create_new();
        let f = File::open(&path.join("new"), new).await.expect("created");
        let again = File::open(&path.join("new"), new).await.err().expect("there already");
        assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
        let (result, _) = f.read_at(0, buffer::alloc(4096).await.expect("memory")).await;
        assert_eq!(result.expect_err("not for reading").raw_os_error(), Some(libc::EBADF));
        f.close().await.expect("closed");
        let nul = File::open(&path.join("a\0b"), new).await.err().expect("no such name");
        assert_eq!(nul.kind(), std::io::ErrorKind::InvalidInput);
    });
}

#[test]
fn directories_and_whole_files() {
    let dir = directory();
    let root = dir.path().to_owned();
    run(async move {
        let deep = root.join("a/b/c");
        file::create_dir_all(&deep).await.expect("created");
        file::write_durably(deep.join("x"), b"one".to_vec()).await.expect("written");
        file::write_durably(deep.join("x"), b"two".to_vec()).await.expect("written again");
        assert_eq!(file::read(deep.join("x")).await.expect("read"), b"two");
        file::rename(deep.join("x"), deep.join("y")).await.expect("renamed");
        file::sync_dir(&deep).await.expect("synced");
        let entries = file::read_dir(&deep).await.expect("read");
        let named: Vec<_> = entries.iter().map(|e| (e.name.to_str(), e.is_dir, e.len)).collect();
        assert_eq!(named, [(Some("y"), false, 3)]);
        assert!(file::exists(deep.join("y")).await.expect("asked"));
        file::remove_file(deep.join("y")).await.expect("removed");
        assert!(!file::exists(deep.join("y")).await.expect("asked"));
        file::remove_dir_all(root.join("a")).await.expect("removed");
        let (free, total) = file::free_bytes(&root).await.expect("asked");
        assert!(free > 0 && free <= total);
        file::syncfs(&root).await.expect("synced");
        let system = file::file_system(&root).await.expect("asked");
        assert_ne!(system.kind, "unknown");
        let options = OpenOptions::new().write().create().direct();
        assert_eq!(File::open(&root.join("d"), options).await.is_ok(), system.supports_direct);
        // With a file to ask, nothing is created, so that a full disk can be asked as well.
        assert_eq!(file::file_system(&root).await.expect("asked"), system);
    });
}

#[test]
fn a_lock_is_held_once_and_names_its_holder() {
    let dir = directory();
    let path = dir.path().join("lock");
    run(async move {
        let lock = file::lock_exclusive(&path).await.expect("free");
        let error = file::lock_exclusive(&path).await.expect_err("held");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        let pid = format!("pid {}", std::process::id());
        assert!(error.to_string().contains(&pid), "{error} does not name {pid}");
        let told = engine::check::directory_locked(&path, &error);
        assert_eq!(told.code, "HDL-IO-030");
        drop(lock);
        drop(file::lock_exclusive(&path).await.expect("free again"));
    });
}

#[test]
fn without_registered_memory_everything_still_works() {
    let dir = directory();
    let path = dir.path().join("data");
    let launch = Launch { memory_bytes_per_shard: 8 << 20, ..Launch::default() };
    let work = async move {
        let f = open(path).await;
        f.write_at_synced(0, filled(65536, 1).await).await.expect("written");
        assert!(contents(&f, 0, 65536).await == pattern(65536, 1));
    };
    block_on(&launch, work).expect("io_uring works");
}

#[test]
fn a_refused_registration_degrades() {
    // A thread's own limit cannot be lowered without the whole process: a child does it.
    if std::env::var_os("HEDDLE_TEST_MEMLOCK").is_none() {
        let this = std::env::current_exe().expect("a test has a file");
        let args = ["a_refused_registration_degrades", "--exact", "--nocapture"];
        let child =
            std::process::Command::new(this).args(args).env("HEDDLE_TEST_MEMLOCK", "1").status();
        assert!(child.expect("started").success());
        return;
    }
    // CAP_IPC_LOCK overrides the limit, so root gives its powers up first.
    let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: numbers and a readable struct; this process exists for this test only.
    unsafe {
        libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit);
        if libc::geteuid() == 0 {
            assert_eq!(libc::setgid(65534), 0);
            assert_eq!(libc::setuid(65534), 0);
        }
    }
    let launch = Launch {
        memory_bytes_per_shard: 16 << 20,
        registered_bytes_per_shard: 8 << 20,
        ..Launch::default()
    };
    let done = block_on(&launch, async {
        let options = OpenOptions::new().read();
        let f = File::open(std::path::Path::new("/proc/self/exe"), options).await.expect("opened");
        let (n, block) = f.read_at(0, buffer::alloc(65536).await.expect("memory")).await;
        assert_eq!(n.expect("read"), 65536);
        assert_eq!(&block[1..4], b"ELF");
    });
    done.expect("memory that cannot be locked is no reason not to start");
}
