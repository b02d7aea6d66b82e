//! Changes policies in a config's text and leaves every other byte as it is.
//!
//! A change replaces bytes at positions of the parsed text. The new text is read again like any config file. The change is returned
//! only if the intended policies changed and nothing else did.

mod block;
mod splice;
mod work;

use std::path::Path;

use thiserror::Error;

pub use block::{PolicyBlock, blocks_of, check_block};

use self::work::{ParsedFile, Work};
use super::model::Config;
use super::report::{Problem, Report};
use crate::core::policy::Scope;

/// What an operator wants of a policy block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockEdit<'a> {
    /// It says what this text says: keys get the new values, and are added or removed. The same holds for comments after keys that
    /// have their own lines. Other comments in the text are not written.
    Text(&'a str),
    /// These keys have new values, as TOML; `None` removes the key. A value that already means the same is not touched.
    Keys(&'a [(&'a str, Option<&'a str>)]),
}

/// Which block changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BlockName {
    /// This VM's own.
    Vm(String),
    /// The shared one of this name.
    Shared(String),
}

/// One key that changed, its values as the file writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockChange {
    /// The block. If a VM got its own block, the old values are those of the block that it shared before.
    pub block: BlockName,
    /// This key.
    pub key: String,
    /// `None`: it was not there.
    pub old: Option<String>,
    /// `None`: it was removed.
    pub new: Option<String>,
}

/// A changed file without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Amended {
    /// The whole file.
    pub bytes: Vec<u8>,
    /// Which values changed, block by block. It may be empty if only comments changed.
    pub changed: Vec<BlockChange>,
    /// What the changed file says.
    pub config: Config,
}

/// Why a file was not changed. Nothing was written.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum AmendError {
    /// The file cannot be read as it is.
    #[error("the config is broken, mend it first: {}", first(.0.problems()))]
    Broken(Report),
    /// The block has errors; positions are in the block's text.
    #[error("{}", first(.0))]
    Block(Vec<Problem>),
    /// There is no such block to change.
    #[error("{0}")]
    Missing(String),
    /// The changed file would be wrong.
    #[error("the changed config would be wrong: {}", first(.0.problems()))]
    Refused(Report),
    /// The change would alter more than it should.
    #[error("the change would alter more than the policies it is for: edit the file by hand")]
    Strayed,
}

fn first(problems: &[Problem]) -> String {
    let place = |problem: &Problem| format!("line {}, column {}: {}", problem.line, problem.column, problem.message);
    problems.first().map(place).unwrap_or_default()
}

/// Changes the policy blocks of these VMs. A VM that shares its block gets its own one, unless the scope is the block.
///
/// # Errors
/// Why the file stays as it is: the change is wrong for one of the VMs, or there is no such VM.
pub fn amend(
    bytes: &[u8],
    path: &Path,
    vms: &[&str],
    scope: Scope,
    edit: BlockEdit<'_>,
) -> Result<Amended, AmendError> {
    let file = ParsedFile::read(bytes, path)?;
    let mut work = Work::new(&file);
    vms.iter().try_for_each(|vm| work.change(vm, scope, edit))?;
    work.finish()
}
