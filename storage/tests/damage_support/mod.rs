//! What the damage tests share: directories made by the real store and kept in memory (`image`, `template`), and a look
//! at everything a damaged one serves (`examine`).
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod examine;
pub mod faults;
pub mod image;
pub mod template;

use std::path::PathBuf;

/// xorshift64*: enough for choosing, and the same on every machine.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The dice of one fault: neighbours in number are strangers in what they roll.
    pub fn of(seed: u64, number: u64) -> Dice {
        let mut dice = Dice(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        dice.below(2);
        dice
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit.max(1)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// A directory for copies: in memory where that takes direct I/O, since thousands of them are made and each start syncs.
/// What is tested here is what recovery makes of bytes, not the disk.
pub fn directory() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let build = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let place = if takes_direct_io(&memory) { memory } else { build };
    tempfile::Builder::new().prefix("heddle-damage-").tempdir_in(place).expect("a directory")
}

fn takes_direct_io(dir: &std::path::Path) -> bool {
    let Ok(probe) = tempfile::tempdir_in(dir) else { return false };
    let path = probe.path().join("probe");
    if std::fs::write(&path, [0; 4096]).is_err() {
        return false;
    }
    crate::store_support::run(async move {
        let options = engine::file::OpenOptions::new().read().write().direct();
        engine::file::File::open(&path, options).await.is_ok()
    })
}
