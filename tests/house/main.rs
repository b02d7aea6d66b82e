//! The layout is the architecture: who may know whom, read off the `use` lines.

mod imports;

use std::collections::BTreeMap;
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

/// The names of the folders in one.
fn folders(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)).expect("a folder");
    let folders = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir());
    folders.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
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

fn project(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
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
    let rooms = ["config", "control", "monitor", "driver", "queue", "recording", "history"];
    for room in rooms {
        let others: Vec<String> = rooms.iter().filter(|r| **r != room).map(|other| format!("edge::{other}")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        never(&format!("edge/{room}"), &others);
        // Nor by the way of their parent.
        let others: Vec<String> =
            rooms.iter().filter(|r| **r != room).map(|other| format!("super::super::{other}")).collect();
        never(&format!("edge/{room}"), &others.iter().map(String::as_str).collect::<Vec<_>>());
    }
    // What clients share: every room may know it, and it knows none.
    never("edge/net", &rooms.map(|room| format!("edge::{room}")).each_ref().map(String::as_str));
    let known: Vec<String> = folders("edge");
    assert!(
        known.iter().all(|room| room == "net" || rooms.contains(&room.as_str())),
        "{known:?}: one of them has no rule"
    );
}

#[test]
fn the_rooms_of_the_core_know_those_before_them() {
    never("core/insight", &["core::simulation"]);
    never("core/policy", &["core::engine", "core::insight", "core::simulation"]);
    never("core/cluster", &["core::policy::decide", "core::engine", "core::insight", "core::simulation"]);
}

#[test]
fn only_the_history_speaks_to_its_file() {
    for room in
        ["core", "view", "console", "runtime", "cli", "edge/config", "edge/control", "edge/monitor", "edge/recording"]
    {
        never(room, &["rusqlite"]);
    }
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
fn only_the_door_to_libvirt_is_unsafe() {
    // The config has a key of that name: what counts is the keyword, which something follows.
    let forms = ["{", "fn ", "impl ", "extern ", "trait "].map(|rest| format!("unsafe {rest}"));
    let word = |line: &str| forms.iter().any(|form| line.contains(form.as_str()));
    let mut found = Vec::new();
    for path in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let text = fs::read_to_string(&path).expect("a source is UTF-8");
        if text.lines().map(|line| line.split("//").next().unwrap_or_default()).any(word) {
            found.push(path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("it is ours").to_owned());
        }
    }
    assert_eq!(found, [Path::new("src/edge/driver/libvirt/ffi.rs")]);
}

#[test]
fn no_room_is_entered_by_a_list() {
    // `use crate::{edge, …}` would escape the other tests.
    never("", &["crate::{"]);
}

#[test]
fn the_crates_map_and_the_docs_have_every_room() {
    let (map, docs) = (project("src/lib.rs"), project("docs/architecture.md"));
    for room in ["core", "edge"] {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room)).expect("a room") {
            let path = entry.expect("an entry").path();
            let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_dir()) else {
                continue;
            };
            assert!(map.contains(&format!("[`{room}::{name}`]")), "src/lib.rs has no {room}::{name}");
            assert!(docs.contains(&format!("    {name}/")), "docs/architecture.md has no {room}/{name}");
        }
    }
}

#[test]
fn the_readme_shows_the_first_config_as_it_is() {
    let (readme, first) = (project("README.md"), project("config/first.toml"));
    assert_eq!(readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()), Some(first.as_str()));
}

#[test]
fn every_picture_of_the_readme_is_there_and_is_drawn_by_the_example() {
    let (readme, shots) = (project("README.md"), project("examples/screenshots/shots.rs"));
    let drawn: Vec<&str> = shots.split("name: \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for name in readme.split("screenshots/").skip(1).filter_map(|rest| rest.split(".svg").next()) {
        assert!(drawn.contains(&name), "nothing draws {name}");
    }
    for name in drawn {
        assert!(project(&format!("screenshots/{name}.svg")).starts_with("<svg"), "{name}");
    }
}

#[test]
fn the_binary_only_dispatches() {
    assert!(project("src/main.rs").lines().count() < 100);
}

/// Whether a source has nothing but tests, or what serves tests.
fn is_test(path: &Path) -> bool {
    path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "testing.rs")
}

/// A source up to the module of its tests.
fn without_tests(text: &str) -> &str {
    let mut tails = text.match_indices("#[cfg(test)]\nmod ");
    let tail = tails.find(|(at, _)| text[*at..].lines().nth(1).is_some_and(|line| line.ends_with('{')));
    tail.map_or(text, |(at, _)| &text[..at])
}

/// All sources of the program but its tests.
fn program() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&root).into_iter().filter(|path| !is_test(path));
    files.map(|path| fs::read_to_string(&path).map(|text| (path, text)).expect("a source is UTF-8")).collect()
}

#[test]
fn a_file_tells_one_story() {
    let lines = program().into_iter().map(|(path, text)| (path, without_tests(&text).lines().count()));
    let long: Vec<String> =
        lines.filter(|(_, lines)| *lines > 600).map(|(path, n)| format!("{} has {n} lines", path.display())).collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_modules_import_each_other_in_a_circle() {
    let circles = imports::Crate::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).circles();
    let listed: Vec<String> = circles.iter().map(|circle| circle.join(", ")).collect();
    assert!(circles.is_empty(), "{} circles:\n{}", circles.len(), listed.join("\n"));
}

#[test]
fn one_name_means_one_thing() {
    let mut bearers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in program() {
        for name in without_tests(&text).lines().filter_map(defined_type) {
            bearers.entry(name.to_owned()).or_default().push(path.display().to_string());
        }
    }
    bearers.retain(|_, places| places.len() > 1);
    assert!(bearers.is_empty(), "types that share a name:\n{bearers:#?}");
}

/// The name of the type that a line begins to define.
fn defined_type(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = match line.strip_prefix("pub") {
        Some(rest) => rest.split_once(' ')?.1,
        None => line,
    };
    let (kind, rest) = line.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    ["struct", "enum", "trait", "union"].contains(&kind).then_some(&rest[..end])
}

#[test]
fn every_path_in_the_docs_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut missing = Vec::new();
    for name in ["docs/architecture.md", "docs/adding-a-monitor.md", "CONTRIBUTING.md", "README.md"] {
        let Ok(text) = fs::read_to_string(root.join(name)) else { continue };
        for path in text.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
            if !root.join(path).exists() && !root.join("src").join(path).exists() {
                missing.push(format!("{name}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Whether a word of the docs names a file or a folder of this project: `edge/config/`, `core/engine/gates.rs`.
fn is_path(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
    let ends = word.ends_with('/') || Path::new(word).extension().is_some();
    plain && ends && word.contains('/') && !word.starts_with(['/', '.'])
}
