//! Rules of style that a program can check, so that review is about ideas.
//!
//! Walks the tree outside build and data directories and names every file and line that breaks a rule.

use std::fs;
use std::path::{Path, PathBuf};

/// A file longer than this is no longer one idea.
const LINES_MAX: usize = 1_000;
/// Columns; rustfmt keeps code below, this keeps comments and strings below too.
const COLUMNS_MAX: usize = 140;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every file of the tree with one of these extensions, outside build and data directories.
fn files(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the tree can be read") {
            let path = entry.expect("an entry of the tree can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with("target") && name != ".git" && name != "data" {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)) {
                let text = fs::read_to_string(&path).expect("a source file is UTF-8");
                found.push((path.strip_prefix(root()).expect("below the root").to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "the walk found no {extensions:?}");
    found
}

fn check(what: &str, broken: Vec<String>) {
    assert!(broken.is_empty(), "{what}:\n{}", broken.join("\n"));
}

fn lines_that(extensions: &[&str], breaks: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut broken = Vec::new();
    for (path, text) in files(extensions) {
        for (number, line) in text.lines().enumerate() {
            if breaks(&path, line) {
                broken.push(format!("  {}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    broken
}

fn files_that(breaks: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let broken = files(&["rs"]).into_iter().filter(|(path, text)| breaks(path, text));
    broken.map(|(path, _)| format!("  {}", path.display())).collect()
}

/// This file spells out what it forbids.
fn is_this_file(path: &Path) -> bool {
    path.ends_with("tests/tests/tidy.rs")
}

#[test]
fn files_are_one_idea_long() {
    let long = files_that(|_, text| text.lines().count() > LINES_MAX);
    check("files over the limit of 1,000 lines; split them", long);
}

#[test]
fn lines_fit_the_page() {
    check("lines too wide", lines_that(&["rs"], |_, line| line.chars().count() > COLUMNS_MAX));
}

#[test]
fn no_loose_ends() {
    let words = ["TODO", "FIXME", "unimplemented!(", "todo!(", "#[ignore"];
    let broken = lines_that(&["rs", "md", "toml", "sh"], |path, line| {
        !is_this_file(path) && words.iter().any(|word| line.contains(word))
    });
    check("loose ends; finish them or write a test and a line in docs/PROTOCOL.md", broken);
}

#[test]
fn unsafe_stays_in_the_engine() {
    let broken = lines_that(&["rs"], |path, line| {
        let code = line.split("//").next().unwrap_or_default();
        !path.starts_with("engine")
            && !is_this_file(path)
            && ["unsafe {", "unsafe fn", "unsafe impl"].iter().any(|word| code.contains(word))
    });
    check("unsafe outside engine/", broken);
}

#[test]
fn only_the_engine_knows_the_ring() {
    let broken = lines_that(&["rs"], |path, line| {
        ["storage", "protocol", "broker"].iter().any(|krate| path.starts_with(krate))
            && ["io_uring::", "glommio::", "libc::"].iter().any(|word| line.contains(word))
    });
    check("the ring, glommio or libc outside engine/", broken);
}

#[test]
fn suppressions_are_expectations_with_reasons() {
    // What the test files of a crate share is dead in those that do not use it: no expectation fits them all.
    let shared = |path: &Path| path.ends_with("mod.rs") && path.iter().any(|part| part == "tests");
    let broken = lines_that(&["rs"], |path, line| {
        let excused = shared(path) && line.contains("allow(dead_code");
        !is_this_file(path) && !excused && (line.contains("#[allow(") || line.contains("#![allow("))
    });
    check("use #[expect(.., reason = \"..\")]", broken);
}

#[test]
fn every_source_file_opens_with_its_purpose() {
    check("files without a //! front page", files_that(|_, text| !text.starts_with("//!")));
}

#[test]
fn front_pages_hold_no_logic() {
    let broken = files_that(|path, text| {
        path.ends_with("mod.rs")
            && path.iter().any(|part| part == "src")
            && text.lines().any(|line| line.starts_with("fn ") || line.starts_with("impl"))
    });
    check("mod.rs is the front page of a folder; logic lives in named files", broken);
}

#[test]
fn names_are_concepts() {
    let vague = ["utils", "util", "common", "helpers", "types", "manager", "misc"];
    let broken = files_that(|path, _| {
        path.file_stem().is_some_and(|stem| vague.iter().any(|name| stem == *name))
    });
    check("name the concept", broken);
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 5] = [
        ("engine", &[]),
        ("storage", &["engine"]),
        ("protocol", &[]),
        ("bench", &["engine", "storage", "protocol"]),
        ("broker", &["engine", "storage", "protocol", "bench", "tuning"]),
    ];
    let crates = ["engine", "storage", "protocol", "broker", "bench", "tuning", "tests"];
    let mut broken = Vec::new();
    for (krate, may) in allowed {
        let path = root().join(krate).join("Cargo.toml");
        let manifest = fs::read_to_string(path).expect("each crate has a manifest");
        let normal = manifest.split("[dependencies]").nth(1).unwrap_or_default();
        let normal = normal.split("\n[").next().unwrap_or_default();
        for line in normal.lines() {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if crates.contains(&name) && !may.contains(&name) {
                broken.push(format!("  {krate} depends on {name}"));
            }
        }
    }
    check("dependencies against the grain", broken);
}

/// The simulated host and the bugs that tests plant stay out of the binary that is shipped.
#[test]
fn only_tests_turn_on_what_is_for_tests() {
    let broken = lines_that(&["toml"], |path, line| {
        let ours = ["engine", "storage", "broker"].iter().any(|krate| line.starts_with(krate));
        let on = ["\"sim\"", "\"planted\""].iter().any(|feature| line.contains(feature));
        !path.starts_with("tests") && on && (ours || line.starts_with("default = ["))
    });
    check("features for tests, turned on outside tests/", broken);
}

#[test]
fn documents_link_to_what_exists() {
    let mut broken = Vec::new();
    for (path, text) in files(&["md"]) {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let from = root().join(&path);
            if !from.parent().expect("a file has a folder").join(target).exists() {
                broken.push(format!("  {}: {link}", path.display()));
            }
        }
    }
    check("links to nowhere", broken);
}

#[test]
fn documents_name_files_that_exist() {
    let crates = ["engine/", "storage/", "protocol/", "broker/", "bench/", "tests/", "docs/"];
    let mut broken = Vec::new();
    for (path, text) in files(&["md"]) {
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = crates.iter().any(|krate| name.starts_with(krate))
                && !name.contains([' ', '*', '{', '<', '…'])
                && name.rsplit('/').next().is_some_and(|last| last.contains('.'));
            if is_path && !root().join(name).exists() {
                broken.push(format!("  {}: {name}", path.display()));
            }
        }
    }
    check("files that are not there", broken);
}
