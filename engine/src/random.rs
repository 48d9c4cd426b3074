//! Randomness: a fast generator per thread, and the kernel's for identifiers and secrets.

use std::cell::Cell;

thread_local! {
    /// State of the generator of [`u64`]; zero until first use.
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// A random number of statistical quality (wyrand), seeded once per thread from the kernel. Not for
/// secrets: use [`fill`] there. Works on every thread.
pub fn u64() -> u64 {
    #[cfg(feature = "sim")]
    if let Some(number) = crate::sim::random() {
        return number;
    }
    STATE.with(|state| {
        let mut s = state.get();
        if s == 0 {
            let mut seed = [0; 8];
            fill(&mut seed);
            s = u64::from_ne_bytes(seed) | 1;
        }
        s = s.wrapping_add(0xa076_1d64_78bd_642f);
        state.set(s);
        let wide = u128::from(s) * u128::from(s ^ 0xe703_7ed1_a0b4_28db);
        (wide >> 64) as u64 ^ wide as u64
    })
}

/// Fills `bytes` from the kernel's generator; fit for secrets. Works on every thread.
pub fn fill(bytes: &mut [u8]) {
    #[cfg(feature = "sim")]
    if crate::sim::is_here() {
        for part in bytes.chunks_mut(8) {
            let number = u64().to_le_bytes();
            part.copy_from_slice(&number[..part.len()]);
        }
        return;
    }
    let mut done = 0;
    while done < bytes.len() {
        let rest = &mut bytes[done..];
        // SAFETY: `rest` is writable for its whole length and outlives the call.
        let n = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(n) {
            Ok(n) => done += n,
            Err(_) => {
                let error = std::io::Error::last_os_error();
                let interrupted = error.kind() == std::io::ErrorKind::Interrupted;
                assert!(interrupted, "getrandom without flags fails by interruption only: {error}");
            }
        }
    }
}

/// A random UUID (version 4), unique for all practical purposes. Works on every thread.
pub fn uuid() -> [u8; 16] {
    let mut id = [0; 16];
    fill(&mut id);
    id[6] = (id[6] & 0x0f) | 0x40;
    id[8] = (id[8] & 0x3f) | 0x80;
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_differ_and_spread() {
        let mut bits = [0u32; 64];
        for _ in 0..4096 {
            let n = u64();
            bits.iter_mut().enumerate().for_each(|(i, b)| *b += (n >> i & 1) as u32);
        }
        assert!(bits.iter().all(|b| (1700..2400).contains(b)), "{bits:?}");
    }

    #[test]
    fn uuids_carry_their_version() {
        let (a, b) = (uuid(), uuid());
        assert_ne!(a, b);
        assert_eq!((a[6] >> 4, a[8] >> 6), (4, 2));
    }
}
