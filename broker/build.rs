//! Tells the binary which revision it was built from, where git can say so.

use std::path::Path;
use std::process::Command;

fn main() {
    let revision = git(&["rev-parse", "--short=9", "HEAD"]);
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let revision = match (revision, changed) {
        (Some(revision), Some(changed)) if !changed.is_empty() => format!("{revision}+changes"),
        (Some(revision), _) => revision,
        (None, _) => "unknown".to_owned(),
    };
    println!("cargo::rustc-env=GIT_REVISION={revision}");
    // A commit moves HEAD's log; an unpacked source archive has none and is always "unknown".
    for name in ["logs/HEAD", "HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-changed=build.rs");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
