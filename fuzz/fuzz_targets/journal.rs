//! See `fuzz_bodies::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::journal::run(bytes));
