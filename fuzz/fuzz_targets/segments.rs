//! See `fuzz_bodies::segments`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::segments::run(bytes));
