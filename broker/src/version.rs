//! Which program this is.

/// `0.1.0 (rev 3fce3b5, release)`.
pub fn version() -> String {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!("{} (rev {}, {profile})", env!("CARGO_PKG_VERSION"), env!("GIT_REVISION"))
}
