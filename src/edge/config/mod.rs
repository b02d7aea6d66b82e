//! Reads, checks and explains the config.
//!
//! The `toml` crate parses a file into a tree with positions, and goes on after errors. `toml_reader` walks that tree and records
//! wrong keys and values. `read` makes the core's types of it and records contradictions. All errors of a file are in one
//! [`Report`], in order of position; `redact` says which parts of the file the report may show.

mod differences;
mod edit;
mod keys;
mod model;
mod read;
mod redact;
mod reference;
mod render;
mod report;
mod save;
mod toml_reader;
mod watch;
mod words;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use differences::differences;
pub use edit::{AmendError, Amended, BlockChange, BlockEdit, BlockName, PolicyBlock, amend, blocks_of, check_block};
pub use model::{AnyConfig, Config, HistoryFile, PolicyOrigin, WorkerConfig, WorkerVm};
pub use reference::{reference, sample};
pub use render::{render, render_worker};
pub use report::{Problem, Report};
pub use save::{save, writable};
pub use watch::{Watch, has_changed, watch};
pub use words::free_name;

use redact::Redaction;
use report::Diagnostics;

/// The largest config in bytes.
const LONGEST: u64 = 16 << 20;

/// The config to read: the one named, else `$WHIMBREL_CONFIG`, `./whimbrel.toml`, `$XDG_CONFIG_HOME/whimbrel/whimbrel.toml`
/// (or the same under `~/.config`). A file named by hand or by the environment is taken even if it is not there, so that
/// reading it says so.
pub fn find(explicit: Option<&Path>) -> Option<PathBuf> {
    find_in(explicit, |name| std::env::var_os(name), is_there)
}

/// A file that may not be looked at counts as there, and so does a broken link: reading it then reports why it fails.
fn is_there(path: &Path) -> bool {
    let absent = |error: io::Error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    path.symlink_metadata().map_or_else(|error| !absent(error), |_| true)
}

fn find_in(
    explicit: Option<&Path>,
    env: impl Fn(&str) -> Option<OsString>,
    exists: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = explicit {
        return Some(path.to_owned());
    }
    if let Some(path) = set("WHIMBREL_CONFIG") {
        return Some(path);
    }
    // The XDG specification: a relative path is to be ignored.
    let xdg = set("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let folder = xdg.or_else(|| set("HOME").map(|home| home.join(".config")));
    let local = PathBuf::from("whimbrel.toml");
    let candidates = [Some(local), folder.map(|folder| folder.join("whimbrel").join("whimbrel.toml"))];
    candidates.into_iter().flatten().find(|path| exists(path))
}

/// Reads a config file.
///
/// # Errors
/// Everything that is wrong with it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Config, Report> {
    load_with_bytes(path).map(|(config, _)| config)
}

/// Reads a config file, and returns its bytes too, so that a later change can be seen.
///
/// # Errors
/// Everything that is wrong with it, or why it cannot be read.
pub fn load_with_bytes(path: &Path) -> Result<(Config, Vec<u8>), Report> {
    load_as(path, parse)
}

/// Reads a config file of either form.
///
/// # Errors
/// Everything that is wrong with it, or why it cannot be read.
pub fn load_any(path: &Path) -> Result<AnyConfig, Report> {
    load_as(path, parse_any).map(|(config, _)| config)
}

/// Reads a config file's bytes and its text.
fn load_as<T>(path: &Path, parse: fn(&Path, &str) -> Result<T, Report>) -> Result<(T, Vec<u8>), Report> {
    let bytes = bounded(path).map_err(|error| Report::unreadable(path, &error))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| not_utf8(path, &bytes, error.valid_up_to()))?;
    parse(path, text).map(|config| (config, bytes))
}

/// What is wrong with bytes that are not UTF-8 from this place on. Bad bytes are replaced; the position of the first one stays the
/// same.
fn not_utf8(path: &Path, bytes: &[u8], at: usize) -> Report {
    let text = String::from_utf8_lossy(bytes);
    let shown = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let start = at.saturating_sub(text.len() - shown.len());
    let diagnostics = Diagnostics::new(shown, Redaction::of(shown, true, read::echo));
    diagnostics.error(start..start + 1, "not UTF-8 from here on", "save the file as UTF-8");
    Report::new(path, diagnostics.problems(&[]))
}

/// The bytes of a file. It reads no more than a config may have, in case the file has no end.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 16 MiB"));
    }
    Ok(bytes)
}

/// Reads the text of a config file; `path` names it in errors, and relative files in it are relative to its folder.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(path: &Path, text: &str) -> Result<Config, Report> {
    let read = |tree: &DeTable<'_>, diagnostics: &Diagnostics<'_>| read::config(path, tree, diagnostics);
    read_text(text, read).map_err(|problems| Report::new(path, problems))
}

/// Reads the text of a config file of either form.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_any(path: &Path, text: &str) -> Result<AnyConfig, Report> {
    let read = |tree: &DeTable<'_>, diagnostics: &Diagnostics<'_>| read::any_config(path, tree, diagnostics);
    read_text(text, read).map_err(|problems| Report::new(path, problems))
}

/// Parses a text, as far as that goes, and reads its tree.
fn read_text<T>(text: &str, read: impl FnOnce(&DeTable<'_>, &Diagnostics<'_>) -> T) -> Result<T, Vec<Problem>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mended, mut errors) = report::mended(text);
    let (tree, others) = DeTable::parse_recoverable(&mended);
    errors.extend(others);
    let diagnostics = Diagnostics::new(text, Redaction::of(text, !errors.is_empty(), read::echo));
    let value = read(tree.get_ref(), &diagnostics);
    let problems = diagnostics.problems(&errors);
    if problems.is_empty() { Ok(value) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
