//! Works a change out: the new text of each block, and what the whole file must say afterwards.

use std::collections::HashMap;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::model::Config;
use super::block::{self, BlockContext, BlockPlace, PolicyValue, check_block, lines, unix};
use super::splice::{TextEdit, eol, spliced};
use super::{AmendError, Amended, BlockChange, BlockName, Patch};
use crate::core::cluster::VmId;
use crate::core::policy::Settings;

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
        Ok(Self { path, text, mark, tree, config })
    }
}

/// Where the policies of a file stand.
pub(super) struct Found<'f> {
    file: &'f ParsedFile<'f>,
    vms: HashMap<String, PolicyValue<'f>>,
}

impl<'f> Found<'f> {
    pub fn of(file: &'f ParsedFile<'f>) -> Result<Self, AmendError> {
        let vms: HashMap<_, _> = block::of_vms(file.text, file.tree.get_ref()).into_iter().collect();
        // The reader of whole files found the same VMs.
        if vms.len() == file.config.cluster.vms.len() { Ok(Self { file, vms }) } else { Err(AmendError::Strayed) }
    }

    /// The policy of a VM.
    pub fn given(&self, vm: &str) -> Result<&PolicyValue<'f>, AmendError> {
        self.vms.get(vm).ok_or_else(|| AmendError::Missing(format!("the config has no VM '{vm}'")))
    }

    /// The shared policy of a name.
    pub fn shared(&self, name: &str) -> Result<BlockPlace<'f>, AmendError> {
        let found = block::of_shared(self.file.text, self.file.tree.get_ref(), name);
        found.ok_or_else(|| AmendError::Missing(format!("the config has no [policy.{name}]")))
    }
}

/// What a block is to be.
pub(super) enum Wanted<'a> {
    /// This, whole.
    Block(&'a str),
    /// As it is, but for these keys.
    Patch(&'a Patch<'a>),
}

impl Wanted<'_> {
    /// The new keys, and the block's new text.
    fn over(&self, old: &Keys) -> Result<(Keys, String), AmendError> {
        match self {
            Self::Block(text) => {
                let keys = lines(text).into_iter().map(|line| (line.key, line.value));
                Ok((keys.collect(), (*text).to_owned()))
            }
            Self::Patch(patch) => {
                let new = patched(old, patch);
                let text: String = new.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
                // A text with more than one value could add or hide other keys.
                let whole = patch.iter().all(|(_, value)| value.is_none_or(is_value));
                if whole { Ok((new, text)) } else { Err(AmendError::Strayed) }
            }
        }
    }

    /// The comments after keys, if they are given.
    fn comments(&self) -> Option<HashMap<String, String>> {
        match self {
            Self::Block(text) => Some(lines(text).into_iter().map(|line| (line.key, line.comment)).collect()),
            Self::Patch(_) => None,
        }
    }
}

/// A block's keys with a patch laid over them.
fn patched(old: &Keys, patch: &Patch<'_>) -> Keys {
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
    changed: Vec<BlockChange>,
    /// What the changed file must say.
    expected: Config,
}

impl<'f> Work<'f> {
    pub fn new(file: &'f ParsedFile<'f>) -> Self {
        Self { file, edits: Vec::new(), changed: Vec::new(), expected: file.config.clone() }
    }

    /// Changes a VM's own block.
    pub fn own(&mut self, vm: &str, place: &BlockPlace<'_>, wanted: &Wanted<'_>) -> Result<(), AmendError> {
        let id = self.file.config.cluster.vm_named(vm);
        self.reshape(&BlockName::Vm(vm.to_owned()), id.into_iter().collect(), place, wanted)
    }

    /// Changes a shared block.
    pub fn shared(&mut self, name: &str, place: &BlockPlace<'_>, wanted: &Wanted<'_>) -> Result<(), AmendError> {
        let vms = self.file.config.sharing(name).collect();
        self.reshape(&BlockName::Shared(name.to_owned()), vms, place, wanted)
    }

    /// Gives a VM its own block.
    pub fn apart(&mut self, vm: &str, found: &Found<'_>, wanted: &Wanted<'_>) -> Result<(), AmendError> {
        let PolicyValue::Name(shared, given) = found.given(vm)? else {
            return Err(AmendError::Missing(format!("VM '{vm}' has a policy block of its own already")));
        };
        let old = found.shared(shared)?.written();
        let (new, text) = wanted.over(&old)?;
        let ids: Vec<VmId> = self.file.config.cluster.vm_named(vm).into_iter().collect();
        self.expect(&ids, &text)?;
        for id in ids {
            self.expected.origins[id.index()].shared = None;
        }
        let keys: Vec<String> =
            new.iter().map(|(key, value)| format!("{key} = {}", self.ended(value, given.end))).collect();
        let table = format!("{{ {} }}", keys.join(", "));
        let block = BlockName::Vm(vm.to_owned());
        let name = self.file.text.get(given.clone()).map(str::to_owned);
        self.changed.push(BlockChange {
            block: block.clone(),
            key: "policy".to_owned(),
            old: name,
            new: Some(table.clone()),
        });
        self.note(&block, &old, &new);
        self.edits.push(TextEdit { range: given.clone(), text: table });
        Ok(())
    }

    fn reshape(
        &mut self,
        block: &BlockName,
        vms: Vec<VmId>,
        place: &BlockPlace<'_>,
        wanted: &Wanted<'_>,
    ) -> Result<(), AmendError> {
        let old = place.written();
        let (new, text) = wanted.over(&old)?;
        self.expect(&vms, &text)?;
        self.note(block, &old, &new);
        let comments = wanted.comments().filter(|_| place.has_lines()).unwrap_or_default();
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

    /// Notes that these VMs must have the block's settings afterwards.
    fn expect(&mut self, vms: &[VmId], text: &str) -> Result<(), AmendError> {
        let context = BlockContext::of(&self.file.config, vms.iter().copied());
        let settings = check_block(text, &context).map_err(AmendError::Block)?;
        for vm in vms {
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
        let Self { file, edits, changed, mut expected } = self;
        let text = file.mark.to_owned() + &spliced(file.text, edits);
        let config = super::super::parse(file.path, &text).map_err(AmendError::Refused)?;
        // LineIndex may move, the rest of where a policy stands may not.
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
