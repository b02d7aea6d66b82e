//! Changes policies in a config's text and leaves every other byte as it is.
//!
//! A change replaces bytes at positions of the parsed text. The new text is read again like any config file. The change is returned
//! only if the intended policies changed and nothing else did.

mod block;
mod splice;
mod work;

use std::collections::HashSet;
use std::path::Path;

use thiserror::Error;

pub use block::{BlockContext, PolicyBlock, block_of, blocks_of, check_block};

use self::block::PolicyValue;
use self::work::{Found, ParsedFile, Wanted, Work};
use super::model::Config;
use super::report::{Problem, Report};
use crate::core::policy::Scope;

/// Which policy block an operator's text replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditTarget<'a> {
    /// This VM's own.
    Own(&'a str),
    /// The shared one of this name.
    Shared(&'a str),
    /// A new own block for each of these VMs, which shared one before.
    Apart(&'a [&'a str]),
}

/// Keys with new values as TOML; `None` removes the key.
pub type Patch<'a> = [(&'a str, Option<&'a str>)];

/// Which block changed.
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Makes a block equal to `block_text`: keys get the new values, and are added or removed. The same holds for comments after keys
/// that have their own lines. Other comments in `block_text` are not written.
///
/// # Errors
/// Why the file stays as it is.
pub fn amend(bytes: &[u8], path: &Path, target: EditTarget<'_>, block_text: &str) -> Result<Amended, AmendError> {
    let file = ParsedFile::read(bytes, path)?;
    let found = Found::of(&file)?;
    let (mut work, wanted) = (Work::new(&file), Wanted::Block(block_text));
    match target {
        EditTarget::Own(vm) => match found.given(vm)? {
            PolicyValue::Own(place) => work.own(vm, place, &wanted)?,
            PolicyValue::Name(..) => {
                return Err(AmendError::Missing(format!("VM '{vm}' has no policy block of its own")));
            }
        },
        EditTarget::Shared(name) => work.shared(name, &found.shared(name)?, &wanted)?,
        EditTarget::Apart(vms) => vms.iter().try_for_each(|vm| work.apart(vm, &found, &wanted))?,
    }
    work.finish()
}

/// Sets single keys of these VMs' policies. A value that already means the same is not touched.
///
/// # Errors
/// Why the file stays as it is: the change is wrong for one of the VMs, or there is no such VM.
pub fn amend_many(
    bytes: &[u8],
    path: &Path,
    vms: &[&str],
    patch: &Patch<'_>,
    scope: Scope,
) -> Result<Amended, AmendError> {
    let file = ParsedFile::read(bytes, path)?;
    let found = Found::of(&file)?;
    let (mut work, wanted) = (Work::new(&file), Wanted::Patch(patch));
    let mut done: HashSet<&str> = HashSet::new();
    for vm in vms {
        match (found.given(vm)?, scope) {
            (PolicyValue::Own(place), _) if done.insert(vm) => work.own(vm, place, &wanted)?,
            (PolicyValue::Name(..), Scope::Own) if done.insert(vm) => work.apart(vm, &found, &wanted)?,
            (PolicyValue::Name(name, _), Scope::Block) if done.insert(name) => {
                work.shared(name, &found.shared(name)?, &wanted)?;
            }
            _ => {}
        }
    }
    work.finish()
}
