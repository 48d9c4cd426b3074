//! Where results are kept: a directory, or a name for one below `.heddle/runs`.

use std::path::{Path, PathBuf};

/// The directory of named results.
pub const RUNS: &str = ".heddle/runs";

/// The directory that a result is written to: `text` itself if it is a path, as `./base` and `/tmp/base` are, or
/// `.heddle/runs/base` for the name `base`.
pub fn to_write(text: &str) -> PathBuf {
    if text.contains('/') || text.starts_with('.') {
        text.into()
    } else {
        Path::new(RUNS).join(text)
    }
}

/// The place that a result is read from: as it is written, unless something of this very name is here.
pub fn to_read(text: &str) -> PathBuf {
    let here = Path::new(text);
    if here.exists() { here.to_owned() } else { to_write(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_below_one_directory_and_paths_are_paths() {
        let check = |text: &str, expected: &str| assert_eq!(to_write(text), Path::new(expected));
        check("base", ".heddle/runs/base");
        check("./base", "./base");
        check("/tmp/base", "/tmp/base");
        check("runs/base", "runs/base");
        check(".", ".");
        assert_eq!(to_read("src"), Path::new("src"), "it is here");
        assert_eq!(to_read("no-such-name"), Path::new(".heddle/runs/no-such-name"));
    }
}
