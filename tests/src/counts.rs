//! How often a suite does what it does: what fits the ordinary test run, or what the environment asks for.

/// The number in this variable of the environment, or `ordinary`.
///
/// # Panics
/// When the variable holds something else than a positive number.
pub fn count(variable: &str, ordinary: usize) -> usize {
    let Ok(text) = std::env::var(variable) else { return ordinary };
    let number = text.parse().ok().filter(|number| *number > 0);
    number.unwrap_or_else(|| panic!("{variable}={text}: it must be a number above 0"))
}
