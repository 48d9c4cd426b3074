//! See `fuzz_bodies::responses`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::responses::run(bytes));
