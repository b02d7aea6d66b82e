//! Who imports whom: circles between modules, found in the sources' paths.
//!
//! A path is followed to the module that defines its item, also through `pub use`. A parent and its child may know each
//! other: the parent is made of its children. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// A module's path in the crate, as in `core`, `engine`, `gates`.
type Module = Vec<String>;

/// What a module brings in, by the name that it has there. A list, as one name may be a module, a type and a macro.
type Imports = BTreeMap<String, Vec<Module>>;

pub struct Crate {
    /// The code of each module without comments and tests.
    code: BTreeMap<Module, String>,
    /// What each module passes on by `pub use`.
    passed_on: BTreeMap<Module, Imports>,
}

impl Crate {
    /// Reads a folder of sources.
    pub fn read(src: &Path) -> Self {
        let mut code = BTreeMap::new();
        for path in crate::sources(src).into_iter().filter(|path| !crate::is_test(path)) {
            let text = fs::read_to_string(&path).expect("a source is UTF-8");
            let relative = path.strip_prefix(src).expect("it is below src").with_extension("");
            let mut module: Module = relative.iter().map(|part| part.to_str().expect("UTF-8").to_owned()).collect();
            module.pop_if(|last| ["mod", "lib"].contains(&last.as_str()));
            if module != ["main"] {
                code.insert(module, without_comments(crate::without_tests(&text)));
            }
        }
        Self::of(code)
    }

    fn of(code: BTreeMap<Module, String>) -> Self {
        let mut all = Self { code, passed_on: BTreeMap::new() };
        for (module, text) in &all.code {
            let mut imports = Imports::new();
            for statement in text.split(';').filter_map(|piece| piece.rfind("pub").map(|at| &piece[at..])) {
                let Some((_, tree)) = statement.split_once(" use ").filter(|(head, _)| !head.contains(['{', '}']))
                else {
                    continue;
                };
                for path in expanded(tree.trim()) {
                    let (path, name) = match path.split_once(" as ") {
                        Some((path, name)) => (path.to_owned(), name.trim().to_owned()),
                        None => (path.clone(), path.rsplit("::").next().unwrap_or_default().to_owned()),
                    };
                    imports.entry(name).or_default().push(path.split("::").map(str::to_owned).collect());
                }
            }
            all.passed_on.insert(module.clone(), imports);
        }
        all
    }

    /// The modules that each module names, but for itself, its parents and its children.
    fn edges(&self) -> BTreeMap<&Module, BTreeSet<&Module>> {
        let mut edges = BTreeMap::new();
        for (module, text) in &self.code {
            let named = paths(text).into_iter().filter_map(|path| self.home_of(module, &path, 0));
            let strangers = named.filter(|other| !other.starts_with(module) && !module.starts_with(other));
            edges.insert(module, strangers.collect());
        }
        edges
    }

    /// The module that defines what a path in another module names.
    fn home_of(&self, from: &Module, path: &[String], depth: usize) -> Option<&Module> {
        let mut at = from.clone();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Module::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {}
            first if self.child(from, first).is_some() => {}
            _ => return None,
        }
        while let Some(part) = rest.first() {
            if part == "super" {
                at.pop();
            } else if let Some(child) = self.child(&at, part) {
                at = child;
            } else {
                break;
            }
            rest = &rest[1..];
        }
        if let Some(item) = rest.first().filter(|_| depth < 8) {
            let passed_on = self.passed_on.get(&at).and_then(|imports| imports.get(item)).into_iter().flatten();
            let mut homes = passed_on.filter_map(|path| self.home_of(&at, path, depth + 1));
            if let Some(home) = homes.next() {
                return Some(home);
            }
        }
        self.code.get_key_value(&at).map(|(module, _)| module)
    }

    fn child(&self, module: &Module, name: &str) -> Option<Module> {
        let child: Module = module.iter().cloned().chain([name.to_owned()]).collect();
        self.code.contains_key(&child).then_some(child)
    }

    /// Sets of modules of which each one reaches each other one.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let reached = |from: &Module| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
            while let Some(module) = open.pop() {
                open.extend(edges[module].iter().filter(|next| seen.insert((**next).clone())));
            }
            seen
        };
        let reached: BTreeMap<&Module, BTreeSet<Module>> =
            edges.keys().map(|module| (*module, reached(module))).collect();
        let circle = |module: &Module| {
            let others = reached[module].iter().filter(|other| reached[*other].contains(module));
            others.map(|other| other.join("::")).collect::<Vec<_>>()
        };
        let circles: BTreeSet<Vec<String>> = edges.keys().map(|module| circle(module)).collect();
        circles.into_iter().filter(|circle| circle.len() > 1).collect()
    }
}

fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// All paths in the code that begin in the crate, each list in braces taken apart.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for begin in ["crate::", "super::", "self::"] {
        for (at, _) in text.match_indices(begin) {
            let before = text[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                found.extend(expanded(tree_at(&text[at..])));
            }
        }
    }
    let parts = |path: &String| path.split("::").map(|part| part.trim().to_owned()).collect();
    found.iter().map(parts).collect()
}

/// The path that the text begins with, to the end of its last list in braces.
fn tree_at(text: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with("::") || depth > 0 => depth += 1,
            '}' if depth > 1 => depth -= 1,
            '}' if depth == 1 => return &text[..=at],
            c if depth == 0 && !c.is_alphanumeric() && c != '_' && c != ':' => return &text[..at],
            _ => {}
        }
    }
    text
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d`, `a::c::e`.
fn expanded(tree: &str) -> Vec<String> {
    let Some((head, list)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let list = list.trim_end().strip_suffix('}').unwrap_or(list);
    let (mut parts, mut depth, mut begin) = (Vec::new(), 0_usize, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&list[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[begin..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(expanded).map(|part| format!("{}{part}", head.trim())).collect()
}

fn a_crate(modules: &[(&str, &str)]) -> Crate {
    let module = |(path, code): &(&str, &str)| {
        let path = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        (path, (*code).to_owned())
    };
    Crate::of(modules.iter().map(module).collect())
}

#[test]
fn a_circle_is_found_through_lists_and_what_is_passed_on() {
    let all = a_crate(&[
        ("", ""),
        ("a", "pub mod draw; mod act; pub use act::{Act as Acted, Other};"),
        ("a::act", "use crate::b::{self, Colour, inner::{Paint, Brush}};"),
        ("a::draw", "fn draw() { crate::b::paint() }"),
        ("b", "pub mod inner;"),
        ("b::inner", "use super::super::a::Acted;"),
    ]);
    assert_eq!(all.circles(), [["a::act", "b::inner"]]);
}

#[test]
fn parent_and_child_are_no_circle() {
    let all = a_crate(&[("", ""), ("a", "mod b; use b::B;"), ("a::b", "use super::A; use crate::c::C;"), ("c", "")]);
    assert_eq!(all.circles(), Vec::<Vec<String>>::new());
}
