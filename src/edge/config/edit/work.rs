//! Works a change out: the new text of each block, and what the whole file must say afterwards.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::model::Config;
use super::block::{self, BlockKey, BlockPlace, PolicyValue, check_block, of_text, unix};
use super::splice::{TextEdit, eol, spliced};
use super::{AmendError, Amended, BlockChange, BlockEdit, BlockName};
use crate::core::cluster::VmId;
use crate::core::policy::{Scope, Settings};

/// Keys of a block, each with its value as it is written.
type Keys = Vec<(String, String)>;

/// A file to be changed.
pub(super) struct ParsedFile<'a> {
    path: &'a Path,
    /// Without its byte order mark.
    text: &'a str,
    mark: &'static str,
    tree: Spanned<DeTable<'a>>,
    config: Config,
    /// Where the policy of each VM stands.
    policies: HashMap<String, PolicyValue<'a>>,
}

impl<'a> ParsedFile<'a> {
    pub fn read(bytes: &'a [u8], path: &'a Path) -> Result<Self, AmendError> {
        let whole = std::str::from_utf8(bytes)
            .map_err(|error| AmendError::Broken(super::super::not_utf8(path, bytes, error.valid_up_to())))?;
        let config = super::super::parse(path, whole).map_err(AmendError::Broken)?;
        let (mark, text) = match whole.strip_prefix('\u{feff}') {
            Some(text) => ("\u{feff}", text),
            None => ("", whole),
        };
        let tree = DeTable::parse(text).map_err(|_| AmendError::Strayed)?;
        let policies: HashMap<_, _> = block::of_vms(text, tree.get_ref()).into_iter().collect();
        // The reader of whole files found the same VMs.
        let is_same = policies.len() == config.cluster.vms.len();
        if is_same { Ok(Self { path, text, mark, tree, config, policies }) } else { Err(AmendError::Strayed) }
    }

    fn shared(&self, name: &str) -> Result<BlockPlace<'a>, AmendError> {
        let found = block::of_shared(self.text, self.tree.get_ref(), name);
        found.ok_or_else(|| AmendError::Missing(format!("the config has no [policy.{name}]")))
    }
}

impl BlockEdit<'_> {
    /// The new keys, and the block's new text.
    fn over(&self, old: &Keys) -> Result<(Keys, String), AmendError> {
        match self {
            Self::Text(text) => Ok((of_text(text).map_or_else(Vec::new, |block| block.written()), (*text).to_owned())),
            Self::Keys(patch) => {
                let new = patched(old, patch);
                let text: String = new.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
                // A text with more than one value could add or hide other keys.
                let whole = patch.iter().all(|(_, value)| value.is_none_or(is_value));
                if whole { Ok((new, text)) } else { Err(AmendError::Strayed) }
            }
        }
    }

    /// The comments after keys, if they are given.
    fn comments(&self) -> HashMap<String, String> {
        let Some(block) = (match self {
            Self::Text(text) => of_text(text),
            Self::Keys(_) => None,
        }) else {
            return HashMap::new();
        };
        let comment = |entry: &BlockKey| (entry.name.clone(), block.comment(entry).trim().to_owned());
        block.entries.iter().map(comment).collect()
    }
}

/// A block's keys with a patch laid over them.
fn patched(old: &Keys, patch: &[(&str, Option<&str>)]) -> Keys {
    let mut new = old.clone();
    for (key, value) in patch {
        let at = new.iter().position(|(name, _)| name == key);
        match (at, value) {
            (Some(at), Some(value)) if is_same(&new[at].1, value) => {}
            (Some(at), Some(value)) => (*value).clone_into(&mut new[at].1),
            (None, Some(value)) => new.push(((*key).to_owned(), (*value).to_owned())),
            (Some(at), None) => drop(new.remove(at)),
            (None, None) => {}
        }
    }
    new
}

/// Whether this is a number, a flag or a text, and nothing else.
fn is_value(text: &str) -> bool {
    DeValue::parse(text).is_ok_and(|value| value.span() == (0..text.len()))
}

/// Whether two values mean the same number or text.
fn is_same(one: &str, other: &str) -> bool {
    let number = |value: &DeValue<'_>| match value {
        DeValue::Integer(n) => i128::from_str_radix(n.as_str(), n.radix()).ok().map(|n| n as f64),
        DeValue::Float(x) => x.as_str().parse().ok(),
        _ => None,
    };
    let (Ok(one), Ok(other)) = (DeValue::parse(one), DeValue::parse(other)) else { return false };
    match (one.get_ref(), other.get_ref()) {
        (DeValue::String(one), DeValue::String(other)) => one == other,
        (one, other) => number(one).is_some() && number(one) == number(other),
    }
}

/// A change in the making.
pub(super) struct Work<'f> {
    file: &'f ParsedFile<'f>,
    edits: Vec<TextEdit>,
    /// The blocks that were changed.
    done: HashSet<BlockName>,
    changed: Vec<BlockChange>,
    /// What the changed file must say.
    expected: Config,
}

impl<'f> Work<'f> {
    pub fn new(file: &'f ParsedFile<'f>) -> Self {
        let expected = file.config.clone();
        Self { file, edits: Vec::new(), done: HashSet::new(), changed: Vec::new(), expected }
    }

    /// Changes the policy of a VM, unless its block was changed already.
    pub fn change(&mut self, vm: &str, scope: Scope, edit: BlockEdit<'_>) -> Result<(), AmendError> {
        let file = self.file;
        let found = file.config.cluster.vm_named(vm).zip(file.policies.get(vm));
        let (id, policy) = found.ok_or_else(|| AmendError::Missing(format!("the config has no VM '{vm}'")))?;
        let block = match (policy, scope) {
            (PolicyValue::Name(name, _), Scope::Block) => BlockName::Shared(name.clone()),
            _ => BlockName::Vm(vm.to_owned()),
        };
        if !self.done.insert(block.clone()) {
            return Ok(());
        }
        match (policy, scope) {
            (PolicyValue::Own(place), _) => self.reshape(&block, id, place, edit),
            (PolicyValue::Name(name, _), Scope::Block) => self.reshape(&block, id, &file.shared(name)?, edit),
            (PolicyValue::Name(name, given), Scope::Own) => self.part(&block, id, (name, given), edit),
        }
    }

    /// Gives a VM its own block in place of the name of a shared one.
    fn part(
        &mut self,
        block: &BlockName,
        id: VmId,
        (shared, given): (&str, &Range<usize>),
        edit: BlockEdit<'_>,
    ) -> Result<(), AmendError> {
        let old = self.file.shared(shared)?.written();
        let (new, text) = edit.over(&old)?;
        self.expect(id, Scope::Own, &text)?;
        self.expected.origins[id.index()].shared = None;
        let key = |(key, value): &(String, String)| format!("{key} = {}", self.ended(value, given.end));
        let table = format!("{{ {} }}", new.iter().map(key).collect::<Vec<_>>().join(", "));
        let name = self.file.text.get(given.clone()).map(str::to_owned);
        let (block_name, key) = (block.clone(), "policy".to_owned());
        self.changed.push(BlockChange { block: block_name, key, old: name, new: Some(table.clone()) });
        self.note(block, &old, &new);
        self.edits.push(TextEdit { range: given.clone(), text: table });
        Ok(())
    }

    fn reshape(
        &mut self,
        block: &BlockName,
        id: VmId,
        place: &BlockPlace<'_>,
        edit: BlockEdit<'_>,
    ) -> Result<(), AmendError> {
        let old = place.written();
        let (new, text) = edit.over(&old)?;
        self.expect(id, Scope::Block, &text)?;
        self.note(block, &old, &new);
        let comments = if place.has_lines() { edit.comments() } else { HashMap::new() };
        let mut come = Vec::new();
        for (key, value) in &new {
            let comment = comments.get(key);
            match place.entries.iter().find(|entry| entry.name == *key) {
                Some(entry) if unix(place.raw(&entry.value)) == unix(value) => {}
                Some(entry) => {
                    let text = self.ended(value, entry.value.end);
                    self.edits.push(TextEdit { range: entry.value.clone(), text });
                }
                None => {
                    let comment = comment.filter(|comment| !comment.is_empty());
                    let comment = comment.map_or_else(String::new, |comment| format!(" {comment}"));
                    come.push((key.clone(), self.ended(value, place.start) + &comment));
                }
            }
        }
        let kept = place.entries.iter().filter_map(|entry| Some((entry, comments.get(&entry.name)?)));
        self.edits.extend(kept.filter_map(|(entry, comment)| place.commented(entry, comment)));
        let gone = place.entries.iter().map(|entry| entry.name.as_str());
        let gone: Vec<&str> = gone.filter(|name| new.iter().all(|(key, _)| key != name)).collect();
        if !gone.is_empty() || !come.is_empty() {
            self.edits.extend(place.reshaped(&gone, &come));
        }
        Ok(())
    }

    /// Notes that this VM, and those that share its block if that is the scope, must have the block's settings afterwards.
    fn expect(&mut self, vm: VmId, scope: Scope, text: &str) -> Result<(), AmendError> {
        let config = &self.file.config;
        let settings = check_block(text, config, vm, scope).map_err(AmendError::Block)?;
        for vm in std::iter::once(vm).chain(config.others_of(vm).filter(|_| scope == Scope::Block)) {
            let policy = &mut self.expected.cluster.vms[vm.index()].policy;
            *policy = Settings { direction: policy.direction, ..settings.clone() };
        }
        Ok(())
    }

    fn note(&mut self, block: &BlockName, old: &Keys, new: &Keys) {
        let value = |keys: &Keys, key: &str| keys.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
        let gone = old.iter().filter(|(key, _)| new.iter().all(|(name, _)| name != key));
        for (key, _) in new.iter().chain(gone) {
            let (old, new) = (value(old, key), value(new, key));
            if old.as_deref().map(unix) != new.as_deref().map(unix) {
                self.changed.push(BlockChange { block: block.clone(), key: key.clone(), old, new });
            }
        }
    }

    /// A value of several lines with the line ends used there.
    fn ended(&self, value: &str, at: usize) -> String {
        let value = unix(value);
        if value.contains('\n') { value.replace('\n', eol(self.file.text, at)) } else { value.into_owned() }
    }

    /// Makes the changes and reads the result.
    pub fn finish(self) -> Result<Amended, AmendError> {
        let Self { file, edits, changed, mut expected, .. } = self;
        let text = file.mark.to_owned() + &spliced(file.text, edits);
        let config = super::super::parse(file.path, &text).map_err(AmendError::Refused)?;
        // Lines may move, the rest of where a policy stands may not.
        let shared =
            |config: &Config| -> Vec<Option<String>> { config.origins.iter().map(|o| o.shared.clone()).collect() };
        if shared(&config) != shared(&expected) {
            return Err(AmendError::Strayed);
        }
        expected.origins.clone_from(&config.origins);
        if config != expected {
            return Err(AmendError::Strayed);
        }
        Ok(Amended { bytes: text.into_bytes(), changed, config })
    }
}
