//! The layout is the architecture: who may know whom, read off the `use` lines.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The lines of a folder's sources that name one of these, comments aside.
fn naming(folder: &str, forbidden: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder);
    let mut found = Vec::new();
    for path in sources(&root) {
        let text = fs::read_to_string(&path).expect("a source is UTF-8");
        for (n, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = forbidden.iter().find(|word| code.contains(**word)) {
                found.push(format!("{}:{}: {word}", path.display(), n + 1));
            }
        }
    }
    found
}

#[track_caller]
fn never(folder: &str, forbidden: &[&str]) {
    let found = naming(folder, forbidden);
    assert!(found.is_empty(), "{folder} may not know:\n{}", found.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let rooms = ["crate::edge", "crate::runtime", "crate::view", "crate::console", "crate::cli"];
    never("core", &rooms);
    let world = [
        "tokio",
        "std::fs",
        "std::net",
        "std::io",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant::",
    ];
    never("core", &world);
    never("core", &["rand::", "Utc::now", "Local::now", "getrandom", "static mut", "thread_local"]);
}

#[test]
fn each_edge_knows_the_core_and_no_other_edge() {
    never("edge", &["crate::runtime", "crate::view", "crate::console", "crate::cli"]);
    never("edge/config", &["edge::monitor", "edge::driver"]);
    never("edge/monitor", &["edge::config", "edge::driver"]);
}

#[test]
fn the_view_knows_the_core_alone() {
    never("view", &["crate::edge", "crate::runtime", "crate::console", "crate::cli", "tokio"]);
}

#[test]
fn the_console_knows_the_view_and_no_engine() {
    never("console", &["crate::edge", "crate::runtime", "crate::cli", "engine::Engine", "core::simulation"]);
}

#[test]
fn the_runtime_knows_no_screen() {
    never("runtime", &["crate::console", "crate::cli", "ratatui", "crossterm"]);
}

#[test]
fn only_ratatui_and_crossterm_rooms_draw() {
    for room in ["core", "edge", "view"] {
        never(room, &["ratatui", "crossterm"]);
    }
}

#[test]
fn the_binary_only_dispatches() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).expect("src/main.rs");
    assert!(main.lines().count() < 100);
}

#[test]
fn a_file_tells_one_story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let long: Vec<String> = sources(&root)
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|path| {
            let text = fs::read_to_string(&path).ok()?;
            let code = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
            (code > 400).then(|| format!("{} has {code} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}
