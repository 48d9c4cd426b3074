//! Files that fail, and operations given up half way.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use engine::file::{File, OpenOptions};
use engine::shard::{Launch, block_on};
use engine::{buffer, time};

fn run<F: Future + 'static>(future: F) -> F::Output {
    let launch = Launch { registered_bytes_per_shard: 4 << 20, ..Launch::default() };
    block_on(&launch, future).expect("the tests run where io_uring works")
}

async fn block_of(byte: u8, len: usize) -> buffer::Block {
    let mut block = buffer::alloc(len).await.expect("memory");
    block.fill(byte);
    block
}

#[test]
fn a_synced_write_without_space_is_an_error() {
    run(async {
        let full = PathBuf::from("/dev/full");
        let file = File::open(&full, OpenOptions::new().write()).await.expect("opened");
        let data = block_of(1, 8192).await.freeze(8192);
        let error = file.write_at_synced(0, data.clone()).await.expect_err("the device is full");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        let error = file.write_vectored_at(0, vec![data]).await.expect_err("the device is full");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    });
}

#[test]
fn a_short_synced_write_is_never_taken_for_a_whole_one() {
    const NAME: &str = "a_short_synced_write_is_never_taken_for_a_whole_one";
    if std::env::var_os("REVIEW_CHILD").is_none() {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--exact", NAME, "--nocapture"]).env("REVIEW_CHILD", NAME);
        assert!(command.status().expect("run").success());
        return;
    }
    // SAFETY: plain numbers; the limit is read during the call; this process exists for this test.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limit), 0);
    }
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let path = dir.path().join("data");
    run(async move {
        for direct in [false, true] {
            let mut options = OpenOptions::new().read().write().create().truncate();
            if direct {
                options = options.direct();
            }
            let file = File::open(&path, options).await.expect("opened");
            let data = block_of(1, 1 << 20).await.freeze(1 << 20);
            let result = file.write_at_synced(512 << 10, data.clone()).await;
            assert_eq!(result.expect_err("too long").raw_os_error(), Some(libc::EFBIG));
            assert_eq!(file.len().await.expect("length"), 1 << 20, "half of it was written");
            let result = file.write_at(512 << 10, data.clone()).await;
            assert_eq!(result.expect_err("too long").raw_os_error(), Some(libc::EFBIG));
            let pieces = (0..16).map(|i| data.slice(i << 16..(i + 1) << 16)).collect();
            let result = file.write_vectored_at(512 << 10, pieces).await;
            assert_eq!(result.expect_err("too long").raw_os_error(), Some(libc::EFBIG));
        }
    });
}

#[test]
fn a_direct_write_off_the_grid_is_an_error() {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let path = dir.path().join("data");
    run(async move {
        let options = OpenOptions::new().read().write().create().direct();
        let file = File::open(&path, options).await.expect("opened");
        let data = block_of(1, 8192).await.freeze(8192);
        for part in [data.slice(..100), data.slice(1..4097)] {
            let error = file.write_at_synced(0, part.clone()).await.expect_err("off the grid");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
            let error = file.write_at(0, part).await.expect_err("off the grid");
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        }
        let error = file.write_at_synced(100, data.clone()).await.expect_err("off the grid");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert_eq!(file.len().await.expect("length"), 0);
        file.write_at(0, data).await.expect("written");
        let (read, _) = file.read_at(1, block_of(0, 4096).await).await;
        assert_eq!(read.expect_err("off the grid").kind(), std::io::ErrorKind::InvalidInput);
        file.set_len(5000).await.expect("cut");
        let (read, block) = file.read_at(0, block_of(0, 16384).await).await;
        assert_eq!(read.expect("read"), 5000);
        assert!(block[..5000].iter().all(|byte| *byte == 1));
        let (read, _) = file.read_at(8192, block_of(0, 4096).await).await;
        assert_eq!(read.expect("nothing there"), 0);
    });
}

#[test]
fn reads_given_up_never_write_to_memory_that_was_given_back() {
    let dir = tempfile::tempdir_in(".").expect("a directory");
    let path = dir.path().join("data");
    run(async move {
        let options = OpenOptions::new().read().write().create().direct();
        let file = File::open(&path, options).await.expect("opened");
        file.write_at(0, block_of(0xaa, 1 << 20).await.freeze(1 << 20)).await.expect("written");
        for round in 0..200 {
            let len = 4096 << (round % 9);
            for _ in 0..3 {
                let block = buffer::alloc(len).await.expect("memory");
                let read = time::timeout(Duration::ZERO, file.read_len_at(0, block, len)).await;
                if let Ok((read, block)) = read {
                    assert_eq!(read.expect("read"), len);
                    assert!(block[..len].iter().all(|byte| *byte == 0xaa));
                }
            }
            let mine = block_of(0x55, len).await;
            time::sleep(Duration::from_micros(300)).await;
            assert!(mine.iter().all(|byte| *byte == 0x55), "round {round}");
        }
        drop(file);
        time::sleep(Duration::from_millis(50)).await;
        assert_eq!(buffer::usage().used, 0, "all memory came back");
        assert_eq!(engine::shard::stats().operations, 1, "only the eventfd is listened to");
    });
}
