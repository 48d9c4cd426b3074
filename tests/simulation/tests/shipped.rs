//! The shipped binary has neither the simulated host nor the planted bugs. Method: `cargo tree` names the features of
//! everything that the package `broker` is built from.

use std::process::Command;

#[test]
fn the_broker_is_built_without_the_simulation() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["tree", "-p", "broker", "-e", "normal,build", "-f", "{p} [{f}]", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be asked");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    let ours: Vec<&str> = tree
        .lines()
        .filter(|line| ["engine v", "storage v", "broker v"].iter().any(|name| line.contains(name)))
        .collect();
    assert!(ours.len() >= 3, "the broker is built from engine and storage:\n{tree}");
    for line in &ours {
        let features = line.rsplit_once('[').map_or("", |(_, features)| features);
        let mut names = features.trim_end_matches(|c| "] (*)".contains(c)).split(',');
        assert!(!names.any(|name| ["sim", "planted"].contains(&name)), "{line}");
    }
}
