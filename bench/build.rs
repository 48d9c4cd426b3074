//! Tells the crate which revision it was built from and how: a result must say so long after the tree has moved on.

use std::path::Path;
use std::process::Command;

fn main() {
    let revision = output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_default();
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    let changed = changed.is_some_and(|text| !text.is_empty());
    println!("cargo::rustc-env=BENCH_REVISION={revision}{}", if changed { "+" } else { "" });
    println!("cargo::rustc-env=BENCH_BUILD={}", build());
    // A commit moves HEAD's log; an unpacked archive of the source has none.
    for name in ["logs/HEAD", "HEAD"] {
        if let Some(path) = output("git", &["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    // An edit since then is the `+`.
    for source in ["build.rs", "src", "../engine/src", "../storage/src"] {
        println!("cargo::rerun-if-changed={source}");
    }
}

/// Compiler, target, profile and flags.
fn build() -> String {
    let of = |name: &str| std::env::var(name).unwrap_or_default();
    let mut parts = vec![
        output(&of("RUSTC"), &["--version"]).unwrap_or_default(),
        of("TARGET"),
        format!("{} (optimisation {})", of("PROFILE"), of("OPT_LEVEL")),
    ];
    let flags = of("CARGO_ENCODED_RUSTFLAGS").replace('\u{1f}', " ");
    parts.extend((!flags.is_empty()).then_some(flags));
    parts.join(", ")
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
