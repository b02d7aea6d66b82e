//! Read, check and explain the config.
//!
//! The `toml` crate parses a file, as far as it can, into a tree that knows its places. The `toml_reader` walks that tree
//! and records what is wrong with a key or a value. `read` makes the core's types of it and records what cannot stand
//! together. All errors of a file come back in one [`Report`], in order of position; `redact` says what of the file it
//! may show.

mod clip;
mod diagnostics;
mod differences;
mod edit;
mod find;
mod keys;
mod lines;
mod model;
mod read;
mod redact;
mod reference;
mod render;
mod report;
mod save;
mod syntax;
mod toml_reader;
mod watch;
mod words;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use toml::de::DeTable;

pub use differences::differences;
pub use edit::{
    AmendError, Amended, Block, BlockContext, BlockName, KeyChange, Patch, Scope, Target, amend, amend_many, block_of,
    blocks_of, check_block,
};
pub use find::find;
pub use model::{Config, HistoryFile, HistorySettings, Origin};
pub use reference::{reference, sample};
pub use render::{Parts, render};
pub use report::{Problem, Report};
pub use save::{SaveError, save, writable};
pub use watch::{Seen, Watch, WatchError, watch};

use diagnostics::Diagnostics;
use lines::Lines;
use redact::Redaction;

/// No config has more bytes than this.
const LONGEST: u64 = 16 << 20;

/// Reads a config file whole.
///
/// # Errors
/// Everything that is wrong with it, or why it cannot be read.
pub fn load(path: &Path) -> Result<Config, Report> {
    load_with_bytes(path).map(|(config, _)| config)
}

/// Reads a config file whole, and gives what was in it too, to know it again.
///
/// # Errors
/// Everything that is wrong with it, or why it cannot be read.
pub fn load_with_bytes(path: &Path) -> Result<(Config, Vec<u8>), Report> {
    let bytes = bounded(path).map_err(|error| Report::unreadable(path, &error))?;
    parse_bytes(path, &bytes).map(|config| (config, bytes))
}

/// Reads the bytes of a config file; see [`parse`].
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_bytes(path: &Path, bytes: &[u8]) -> Result<Config, Report> {
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(path, text),
        Err(error) => Err(Report::not_utf8(path, bytes, error.valid_up_to())),
    }
}

/// The bytes of a file, or of one without end no more than a config may have.
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
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mended, mut errors) = syntax::mended(text);
    let (tree, others) = DeTable::parse_recoverable(&mended);
    errors.extend(others);
    let diagnostics = Diagnostics::new(Redaction::of(text, !errors.is_empty(), read::echo));
    let config = read::config(path, tree.get_ref(), &Lines::of(text), &diagnostics);
    let (found, redaction) = diagnostics.into_parts();
    let faults = syntax::join(text, &errors, found, &redaction);
    if faults.is_empty() { Ok(config) } else { Err(Report::new(path, text, faults, &redaction)) }
}

#[cfg(test)]
mod tests;
