//! See `fuzz_bodies::requests`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::requests::run(bytes));
