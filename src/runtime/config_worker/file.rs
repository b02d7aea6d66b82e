//! The config file: its blocks, edits, undo, and other people's changes.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Changed, ConfigAnswer, ConfigInputs, Edited};
use crate::core::cluster::{Cluster, Name, VmId};
use crate::core::engine::Change;
use crate::core::policy::{Field, Rule};
use crate::core::simulation::Plan;
use crate::edge::config::{self, Amended, BlockChange, BlockEdit, BlockName, Config};
use crate::view::{Block, Origin, Scope, SetValue};

/// The number of edits that can be undone.
const UNDO_KEPT: usize = 100;
/// Bytes of old files that are kept for undo, at most. With a large config fewer edits can be undone.
const UNDO_BYTES: usize = 16 << 20;

/// The config file as the engine has it.
pub(super) struct ConfigFile {
    path: Option<PathBuf>,
    locked: Option<&'static str>,
    bytes: Vec<u8>,
    config: Option<Config>,
    untold: Option<(Cluster, Plan)>,
    undo: Vec<Undo>,
    /// Another person's change that was seen before an edit.
    noticed: Option<ConfigAnswer>,
    /// The last error that was reported.
    broken: Option<String>,
}

/// How to undo an edit.
struct Undo {
    before: Vec<u8>,
    after: Vec<u8>,
    changed: Vec<BlockChange>,
}

/// Why an edit was not made.
pub(super) type Refusal = Arc<str>;

impl ConfigFile {
    /// Reads the file, and returns what there is to report.
    pub(super) fn new(inputs: ConfigInputs) -> (Self, ConfigAnswer) {
        let (config, bytes) = inputs.loaded.unzip();
        let mut file = Self {
            path: inputs.file,
            locked: inputs.locked,
            bytes: bytes.unwrap_or_default(),
            config,
            untold: inputs.untold,
            undo: Vec::new(),
            noticed: None,
            broken: None,
        };
        let began = file.config.is_some();
        let said = match file.look(false) {
            // The file may have changed since the engine read it.
            Some(answer @ ConfigAnswer::Changed(_)) if began => answer,
            Some(answer @ ConfigAnswer::Broken(_)) => answer,
            _ => file.status(),
        };
        (file, said)
    }

    pub(super) const fn config(&self) -> Option<&Config> {
        self.config.as_ref()
    }

    pub(super) fn vm(&self, name: &str) -> Option<VmId> {
        self.config.as_ref()?.cluster.vm_named(name)
    }

    fn file_name(&self) -> String {
        let name = self.path.as_ref().and_then(|path| path.file_name());
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap_or_default()
    }

    /// The VMs' policy blocks. If VMs share a block, the first of them lists the others.
    pub(super) fn blocks(&self, vms: &[Name]) -> Result<Vec<Block>, Refusal> {
        let names: Vec<&str> = vms.iter().map(|vm| &**vm).collect();
        let block = |(found, vm): (Option<config::PolicyBlock>, &Name)| {
            let found = found.ok_or_else(|| format!("{vm} has no policy in {}", self.file_name()))?;
            Ok(Block {
                text: Arc::from(found.text.as_str()),
                place: Arc::from(format!("{}:{}", self.file_name(), found.line)),
                shared: found.shared.as_deref().map(Arc::from),
                others: found.others.iter().map(|name| name.as_str().into()).collect(),
            })
        };
        config::blocks_of(self.text(), &names).into_iter().zip(vms).map(block).collect()
    }

    /// Whether policies can be edited, and where each VM's settings come from.
    fn status(&self) -> ConfigAnswer {
        ConfigAnswer::Editing(self.uneditable(), self.origins())
    }

    /// Why policies cannot be edited, if they cannot.
    fn uneditable(&self) -> Option<Refusal> {
        match (&self.path, &self.locked) {
            (None, _) => Some("there is no config file to save to".into()),
            (_, Some(why)) => Some((*why).into()),
            (Some(path), None) => config::writable(path).err().map(Refusal::from),
        }
    }

    fn origins(&self) -> Vec<Origin> {
        let (Some(config), name) = (&self.config, self.file_name()) else { return Vec::new() };
        let mut users = std::collections::HashMap::new();
        for shared in config.origins.iter().filter_map(|origin| origin.shared.as_deref()) {
            *users.entry(shared).or_insert(0_usize) += 1;
        }
        let origin = |origin: &config::PolicyOrigin| Origin {
            place: Arc::from(format!("{name}:{}", origin.line)),
            shared: origin.shared.as_deref().map(Arc::from),
            others: origin.shared.as_deref().map_or(0, |shared| users.get(shared).copied().unwrap_or(1) - 1),
        };
        config.origins.iter().map(origin).collect()
    }

    /// Reads a file that somebody else changed, and applies it if it has no errors. `anyway`: also if it has not changed.
    pub(super) fn look(&mut self, anyway: bool) -> Option<ConfigAnswer> {
        let path = self.path.clone()?;
        if !anyway && !self.bytes.is_empty() && matches!(config::has_changed(&path, &self.bytes), Ok(false)) {
            let was_broken = self.broken.take().is_some();
            return was_broken.then_some(ConfigAnswer::Broken(None));
        }
        match config::load_with_bytes(&path) {
            Ok((config, bytes)) => {
                let config = match &self.untold {
                    Some((cluster, plan)) => config.with_untold(cluster, plan),
                    None => config,
                };
                self.broken = None;
                self.bytes = bytes;
                let before = self.config.replace(config.clone());
                let said = before.as_ref().map_or_else(Vec::new, |before| config::differences(before, &config));
                let (uneditable, origins) = (self.uneditable(), self.origins());
                Some(ConfigAnswer::Changed(Box::new(Changed { config, before, said, uneditable, origins })))
            }
            Err(report) => {
                let text = in_short(&report);
                let is_news = self.broken.as_ref() != Some(&text) || anyway;
                self.broken = Some(text.clone());
                is_news.then_some(ConfigAnswer::Broken(Some(text)))
            }
        }
    }

    /// Another person's change that was seen before an edit. It is reported before the edit's answer.
    pub(super) fn take_noticed(&mut self) -> Option<ConfigAnswer> {
        self.noticed.take()
    }

    /// Applies other people's changes before an edit is made.
    pub(super) fn catch_up(&mut self) -> Result<(), Refusal> {
        if let Some(why) = self.uneditable() {
            return Err(format!("policies cannot be edited: {why}").into());
        }
        self.noticed = self.look(false).or(self.noticed.take());
        match &self.broken {
            Some(why) => Err(format!("the file is broken: {why}").into()),
            None => Ok(()),
        }
    }

    /// Changes one number.
    pub(super) fn set_value(&mut self, set: &SetValue) -> ConfigAnswer {
        let value = format!("{}", set.value);
        let key = |file: &Self| {
            let vm = file.vm(set.vms.first()?)?;
            let is_site = matches!(file.config()?.cluster.vm(vm).policy.rule, Rule::Site(_));
            Some(if is_site && set.field == Field::LowTarry { "home_tarry" } else { set.field.key() })
        };
        let done = self.catch_up().and_then(|()| {
            let key = key(self).ok_or_else(|| Refusal::from("that VM is not in the config any more"))?;
            let vms: Vec<&str> = set.vms.iter().map(|vm| &**vm).collect();
            self.write(&vms, set.scope, BlockEdit::Keys(&[(key, Some(value.as_str()))]), None)
        });
        done.map_or_else(|why| ConfigAnswer::Refused(why.to_string()), ConfigAnswer::Edited)
    }

    /// Changes the VMs' policy blocks in the file.
    pub(super) fn write(
        &mut self,
        vms: &[&str],
        scope: Scope,
        edit: BlockEdit<'_>,
        why: Option<String>,
    ) -> Result<Edited, Refusal> {
        let path = self.path.clone().ok_or("there is no config file to save to")?;
        let amended = config::amend(&self.bytes, &path, vms, scope, edit);
        let amended = amended.map_err(|error| Refusal::from(error.to_string()))?;
        if amended.changed.is_empty() {
            return Err("nothing to save: it is so already".into());
        }
        config::save(&path, &self.bytes, &amended.bytes).map_err(Refusal::from)?;
        let before = std::mem::replace(&mut self.bytes, amended.bytes);
        self.undo.push(Undo { before, after: self.bytes.clone(), changed: amended.changed });
        let bytes = |undo: &[Undo]| undo.iter().map(|undo| undo.before.len() + undo.after.len()).sum::<usize>();
        while self.undo.len() > 1 && (self.undo.len() > UNDO_KEPT || bytes(&self.undo) > UNDO_BYTES) {
            self.undo.remove(0);
        }
        Ok(self.adopt(amended.config, why))
    }

    /// Makes this the present config, and returns what changes in the engine.
    fn adopt(&mut self, config: Config, why: Option<String>) -> Edited {
        let old = self.config.replace(config);
        let (Some(old), Some(new)) = (old, &self.config) else { return Edited::default() };
        let pairs = old.cluster.vms.iter().zip(&new.cluster.vms).filter(|(a, b)| a.policy != b.policy);
        let changes =
            pairs.map(|(_, vm)| Change { vm: vm.name.to_string(), settings: Box::new(vm.policy.clone()) }).collect();
        Edited { changes, why, origins: self.origins(), draft: None }
    }

    /// Undoes the last edit: byte for byte if nobody changed the file since, else value by value.
    pub(super) fn undo(&mut self) -> ConfigAnswer {
        let done = self.catch_up().and_then(|()| self.take_back());
        done.map_or_else(|why| ConfigAnswer::Refused(why.to_string()), ConfigAnswer::Edited)
    }

    fn take_back(&mut self) -> Result<Edited, Refusal> {
        let path = self.path.clone().ok_or("there is no config file to save to")?;
        let last = self.undo.last().ok_or("nothing to undo")?;
        let (bytes, config) = if last.after == self.bytes {
            let text = String::from_utf8_lossy(&last.before).into_owned();
            let config = config::parse(&path, &text).map_err(|report| Refusal::from(in_short(&report)))?;
            (last.before.clone(), config)
        } else {
            let amended = value_by_value(&self.bytes, &path, &self.config, &last.changed)?;
            (amended.bytes, amended.config)
        };
        config::save(&path, &self.bytes, &bytes).map_err(Refusal::from)?;
        self.undo.pop();
        self.bytes = bytes;
        Ok(self.adopt(config, Some("undone".to_owned())))
    }
}

/// Sets the old values of an edit one by one, in a file that was changed since.
fn value_by_value(
    bytes: &[u8],
    path: &std::path::Path,
    config: &Option<Config>,
    changed: &[BlockChange],
) -> Result<Amended, Refusal> {
    let mut bytes = bytes.to_vec();
    let mut last = None;
    for change in changed {
        let vm = match &change.block {
            BlockName::Vm(vm) => Some(vm.clone()),
            BlockName::Shared(name) => config
                .as_ref()
                .and_then(|config| config.sharing(name).next().map(|vm| config.cluster.vm(vm).name.to_string())),
        };
        let vm = vm.ok_or("cannot be undone: the file was changed since, and the policy is not in it any more")?;
        let edit = BlockEdit::Keys(&[(change.key.as_str(), change.old.as_deref())]);
        let amended = config::amend(&bytes, path, &[vm.as_str()], Scope::Block, edit)
            .map_err(|error| Refusal::from(format!("cannot be undone: {error}")))?;
        if let Some(now) = amended.changed.iter().find(|now| now.key == change.key && now.old != change.new) {
            let now = now.old.as_deref().unwrap_or("not there");
            return Err(format!("cannot be undone: somebody else changed {} since, it is {now} now", change.key).into());
        }
        bytes.clone_from(&amended.bytes);
        last = Some(amended);
    }
    last.ok_or_else(|| "nothing to undo".into())
}

/// The first error with its place, and how many more there are.
pub(super) fn in_short(report: &config::Report) -> String {
    let text = report.to_string();
    let first = text.lines().next().unwrap_or_default();
    match report.problems().len() {
        0 | 1 => first.to_owned(),
        n => format!("{first} (and {} more: whimbrel check)", n - 1),
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    const CONFIG: &str = include_str!("../../../config/first.toml");

    /// A config file, and the folder that holds it.
    fn file(text: &str) -> (ConfigFile, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("whimbrel.toml");
        std::fs::write(&path, text).expect("a file");
        (ConfigFile::new(ConfigInputs { file: Some(path), ..ConfigInputs::default() }).0, folder)
    }

    fn on_disk(file: &ConfigFile) -> String {
        std::fs::read_to_string(file.path.as_ref().expect("a path")).expect("a file")
    }

    fn write(file: &ConfigFile, text: &str) {
        std::fs::write(file.path.as_ref().expect("a path"), text).expect("a file");
    }

    fn set_value(file: &mut ConfigFile, value: f64) -> ConfigAnswer {
        let vm = file.config().expect("a config").cluster.vms[0].name.clone();
        file.set_value(&SetValue { vms: vec![vm], scope: Scope::Block, field: Field::Threshold, value })
    }

    fn edited(told: ConfigAnswer) -> Edited {
        match told {
            ConfigAnswer::Edited(edited) => edited,
            ConfigAnswer::Refused(why) => panic!("refused: {why}"),
            _ => panic!("another answer"),
        }
    }

    fn refused(told: ConfigAnswer) -> String {
        match told {
            ConfigAnswer::Refused(why) => why,
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn a_number_is_in_the_file_before_the_engine_hears_of_it_and_is_taken_back_byte_for_byte() {
        let (mut file, _folder) = file(CONFIG);
        let done = edited(set_value(&mut file, 777.0));
        assert_eq!(done.changes[0].settings.get(Field::Threshold), Some(777.0));
        assert!(on_disk(&file).contains("threshold = 777"));
        let back = edited(file.undo());
        assert_eq!(back.why.as_deref(), Some("undone"));
        assert_ne!(back.changes[0].settings.get(Field::Threshold), Some(777.0));
        assert_eq!(on_disk(&file), CONFIG);
        assert_eq!(refused(file.undo()), "nothing to undo");
    }

    #[test]
    fn after_somebody_elses_change_it_is_taken_back_value_by_value() {
        let (mut file, _folder) = file(CONFIG);
        edited(set_value(&mut file, 777.0));
        write(&file, &format!("{}\n# Checked by the night shift.\n", on_disk(&file)));
        edited(file.undo());
        assert_eq!(on_disk(&file), format!("{CONFIG}\n# Checked by the night shift.\n"));
    }

    #[test]
    fn what_is_so_already_is_not_saved() {
        let (mut file, _folder) = file(CONFIG);
        edited(set_value(&mut file, 777.0));
        assert_eq!(refused(set_value(&mut file, 777.0)), "nothing to save: it is so already");
        edited(file.undo());
        assert_eq!(on_disk(&file), CONFIG, "nor is it something to undo");
    }

    #[test]
    fn a_broken_file_is_said_once_keeps_the_last_good_config_and_takes_no_edits() {
        let (mut file, _folder) = file(CONFIG);
        assert!(file.look(false).is_none(), "as it was");
        write(&file, "mode = \"atuo\"\n");
        assert!(matches!(file.look(false), Some(ConfigAnswer::Broken(Some(why))) if why.contains("whimbrel.toml:1:")));
        assert!(file.look(false).is_none(), "said once");
        assert!(matches!(file.look(true), Some(ConfigAnswer::Broken(Some(_)))), "and whenever it is asked");
        assert!(refused(set_value(&mut file, 777.0)).starts_with("the file is broken: "));
        assert!(file.config().is_some());
        write(&file, CONFIG);
        assert!(matches!(file.look(false), Some(ConfigAnswer::Broken(None))), "right again, and nothing changed");
    }

    #[test]
    fn what_somebody_else_changed_is_said_once_and_since_the_last_look() {
        let (mut file, _folder) = file(CONFIG);
        let loaded = file.config().cloned().zip(Some(file.bytes.clone()));
        let said = |told: Option<ConfigAnswer>| match told {
            Some(ConfigAnswer::Changed(changed)) => changed.said.into_iter().map(|change| change.text).collect(),
            _ => vec!["nothing".to_owned()],
        };
        let limits = |moves: u32| format!("{CONFIG}\n[limits]\nmoves_per_hour = {moves}\n");
        write(&file, &limits(6));
        assert_eq!(said(file.look(false)), ["moves_per_hour off → 6"]);
        assert_eq!(said(file.look(true)), Vec::<String>::new(), "read again, as it was");
        edited(set_value(&mut file, 777.0));
        write(&file, &on_disk(&file).replace("hour = 6", "hour = 7"));
        assert_eq!(said(file.look(false)), ["moves_per_hour 6 → 7"]);
        let (_, first) = ConfigFile::new(ConfigInputs { file: file.path.clone(), loaded, ..ConfigInputs::default() });
        assert_eq!(said(Some(first)), ["moves_per_hour off → 7"], "since the engine began");
    }

    #[test]
    fn nothing_is_written_where_that_is_not_allowed() {
        let (file, _folder) = file(CONFIG);
        let locked = Some("look only");
        let (mut locked, _) = ConfigFile::new(ConfigInputs { file: file.path, locked, ..ConfigInputs::default() });
        assert_eq!(refused(set_value(&mut locked, 777.0)), "policies cannot be edited: look only");
        assert_eq!(refused(locked.undo()), "policies cannot be edited: look only");
        assert_eq!(on_disk(&locked), CONFIG);
        let (mut none, _) = ConfigFile::new(ConfigInputs::default());
        assert_eq!(refused(none.undo()), "policies cannot be edited: there is no config file to save to");
        assert!(none.look(true).is_none());
    }

    #[test]
    fn of_a_large_config_fewer_edits_can_be_taken_back() {
        let (mut file, _folder) = file(&format!("{CONFIG}# {}\n", "x".repeat(900_000)));
        (60..80).for_each(|value| drop(edited(set_value(&mut file, f64::from(value)))));
        assert!((5..10).contains(&file.undo.len()), "{}", file.undo.len());
        edited(file.undo());
    }

    #[test]
    fn what_somebody_else_has_set_since_is_not_taken_back() {
        let (mut file, _folder) = file(CONFIG);
        edited(set_value(&mut file, 4321.5));
        let by_others = |file: &ConfigFile, from: &str, to: &str| {
            write(file, &format!("# hello\n{}", on_disk(file).replace(from, to)));
        };
        by_others(&file, "4321.5", "1234.5");
        let words = "cannot be undone: somebody else changed threshold since, it is 1234.5 now";
        assert_eq!(refused(file.undo()), words);
        assert!(on_disk(&file).contains("1234.5"), "theirs stays");
        by_others(&file, "1234.5", "4321.5");
        edited(file.undo());
        let text = on_disk(&file);
        assert!(!text.contains("4321.5") && text.contains("# hello"), "with their other changes around it");
    }

    #[test]
    fn what_changed_since_the_engine_began_is_told_at_once() {
        let (mut file, _folder) = file(CONFIG);
        let loaded = file.config().cloned().zip(Some(file.bytes.clone()));
        edited(set_value(&mut file, 777.0));
        let first =
            |loaded| ConfigFile::new(ConfigInputs { file: file.path.clone(), loaded, ..ConfigInputs::default() }).1;
        assert!(matches!(first(loaded), ConfigAnswer::Changed(_)));
        let loaded = file.config().cloned().zip(Some(file.bytes.clone()));
        assert!(matches!(first(loaded), ConfigAnswer::Editing(None, _)));
    }
}
