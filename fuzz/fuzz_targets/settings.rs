//! See `fuzz_bodies::settings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz_bodies::settings::run(bytes));
