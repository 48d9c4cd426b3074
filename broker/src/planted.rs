//! A slow-down that the self-test of `heddle bench compare` plants, to show that the comparison finds it.
//!
//! Each produce request keeps its shard busy for as many nanoseconds as the variable `HEDDLE_PLANTED_SPIN_NS` says. Without the
//! feature `planted` there is nothing of it; the shipped binary is built without it, which `tests/tests/tidy.rs` checks.

/// Keeps the shard busy, if that was planted.
#[cfg(feature = "planted")]
pub fn slow_down() {
    use std::sync::LazyLock;
    use std::time::Duration;

    static SPIN: LazyLock<Option<Duration>> = LazyLock::new(|| {
        let text = std::env::var("HEDDLE_PLANTED_SPIN_NS").ok()?;
        let ns = text.parse().expect("HEDDLE_PLANTED_SPIN_NS is a number");
        tracing::warn!("every produce request is slowed down by {ns} ns, as was asked for");
        Some(Duration::from_nanos(ns))
    });
    if let Some(spin) = *SPIN {
        let until = engine::time::now() + spin;
        while engine::time::now() < until {
            std::hint::spin_loop();
        }
    }
}

/// Nothing is planted in a build without the feature.
#[cfg(not(feature = "planted"))]
#[inline(always)]
pub fn slow_down() {}
