//! See `fuzz_bodies::batches`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::batches::run(bytes));
