//! Answers about a draft: its errors, what it would change, and what it would have done.

use std::collections::HashSet;
use std::sync::Arc;

use super::file::{ConfigFile, Refusal};
use super::past::CachedReader;
use super::{ConfigAnswer, Edited};
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::insight::{ComparedSide, Comparison, NO_WHAT_IF, Prices, Recording};
use crate::core::policy::Settings;
use crate::core::scanner::key_and_value;
use crate::edge::config::{self, BlockEdit};
use crate::view::{Block, Draft, DraftProblem, DraftView, KeyChange, Saving, WhatIf};

/// The open draft.
#[derive(Default)]
pub(super) struct Drafts {
    open: Option<Open>,
    /// The last question, and its time.
    last: Option<(Draft, Timestamp)>,
}

/// What stays the same while the operator types.
struct Open {
    vms: Vec<Name>,
    /// The block at the beginning of the draft.
    base: Arc<Block>,
    /// Each VM's samples, and what its present settings would have done with them.
    past: Option<(Span, Vec<Played>)>,
}

struct Played {
    recording: Result<Recording, Refusal>,
    prices: Prices,
    old: Option<ComparedSide>,
}

/// What a draft's text means: each VM's settings, or what is wrong with it.
type Meant = Result<Vec<Settings>, Vec<DraftProblem>>;

impl Drafts {
    /// Answers for this draft.
    pub(super) fn look(
        &mut self,
        draft: Option<Draft>,
        now: Timestamp,
        file: &ConfigFile,
        reader: &mut CachedReader,
    ) -> Option<DraftView> {
        self.last = draft.clone().map(|draft| (draft, now));
        let Some(draft) = draft else {
            self.open = None;
            return None;
        };
        if let Err(why) = self.begin(&draft, file) {
            return Some(answered(&draft, Arc::default(), Saving::Refused(why)));
        }
        let open = self.open.as_mut()?;
        let old = settings_of(file, &draft.vms);
        let meant = match &draft.text {
            None => Ok(old.clone()),
            Some(text) => meant(text, &open.base, &draft, file),
        };
        let mut view = answered(&draft, Arc::clone(&open.base), Saving::Not);
        match meant {
            Err(problems) => view.problems = problems,
            Ok(new) => {
                view.changes = changes(&old, &new);
                view.what_if = open.what_if(&draft, now, &[&old, &new], file, reader);
            }
        }
        if let Ok(current) = block(file, &draft.vms)
            && current.text != open.base.text
        {
            view.saving = Saving::Conflict(Arc::new(current));
        }
        Some(view)
    }

    /// The open draft, compared with the changed file.
    pub(super) fn again(&mut self, file: &ConfigFile, reader: &mut CachedReader) -> Option<DraftView> {
        if let Some(open) = &mut self.open {
            open.past = None;
        }
        let (draft, now) = self.last.clone().filter(|(draft, _)| draft.text.is_some())?;
        self.look(Some(draft), now, file, reader)
    }

    /// The open draft again, if it had no samples: there may be some now.
    pub(super) fn recorded(&mut self, file: &ConfigFile, reader: &mut CachedReader) -> Option<DraftView> {
        self.open.as_ref().filter(|open| open.lacks_samples())?;
        let (draft, now) = self.last.clone()?;
        self.look(Some(draft), now, file, reader)
    }

    fn begin(&mut self, draft: &Draft, file: &ConfigFile) -> Result<(), Refusal> {
        let same = self.open.as_ref().is_some_and(|open| open.vms == draft.vms && draft.text.is_some());
        if !same {
            let base = Arc::new(block(file, &draft.vms)?);
            self.open = Some(Open { vms: draft.vms.clone(), base, past: None });
        }
        Ok(())
    }

    /// Saves a draft in the file. The engine follows.
    pub(super) fn save(
        &mut self,
        draft: &Draft,
        why: Option<String>,
        over: bool,
        file: &mut ConfigFile,
    ) -> ConfigAnswer {
        let base = self.open.as_ref().filter(|open| open.vms == draft.vms).map(|open| Arc::clone(&open.base));
        let base = base.unwrap_or_default();
        match Self::write(draft, why, over, &base, file) {
            Ok(edited) => {
                self.open = None;
                self.last = None;
                ConfigAnswer::Edited(edited)
            }
            Err(saving) => ConfigAnswer::Draft(Arc::new(answered(draft, base, saving))),
        }
    }

    /// Writes a draft, or tells why it is not saved.
    fn write(
        draft: &Draft,
        why: Option<String>,
        over: bool,
        base: &Block,
        file: &mut ConfigFile,
    ) -> Result<Edited, Saving> {
        file.catch_up().map_err(Saving::Refused)?;
        let current = block(file, &draft.vms).map_err(Saving::Refused)?;
        if current.text != base.text && !over {
            return Err(Saving::Conflict(Arc::new(current)));
        }
        let text = draft.text.as_deref().unwrap_or(&current.text);
        let names: Vec<&str> = draft.vms.iter().map(|vm| &**vm).collect();
        let patch = patch(&current.text, text);
        let edit = if names.len() == 1 { BlockEdit::Text(text) } else { BlockEdit::Keys(&patch) };
        let edited = file.write(&names, draft.scope, edit, why).map_err(Saving::Refused)?;
        let after = block(file, &draft.vms).unwrap_or_default();
        let view = answered(draft, Arc::new(after), Saving::Done);
        Ok(Edited { draft: Some(Arc::new(view)), ..edited })
    }
}

/// An answer that says nothing but how saving went.
fn answered(draft: &Draft, block: Arc<Block>, saving: Saving) -> DraftView {
    DraftView { seq: draft.seq, block, problems: Vec::new(), changes: Vec::new(), what_if: WhatIf::default(), saving }
}

/// The policies of VMs as the file has them now.
fn settings_of(file: &ConfigFile, vms: &[Name]) -> Vec<Settings> {
    let Some(config) = file.config() else { return Vec::new() };
    vms.iter().filter_map(|vm| config.cluster.vm_named(vm)).map(|vm| config.cluster.vm(vm).policy.clone()).collect()
}

/// What an hour costs where a VM may be.
fn prices(file: &ConfigFile, vm: &str) -> Prices {
    let known = file.config().zip(file.vm(vm));
    known.map_or_else(Prices::default, |(config, vm)| Prices::of(&config.cluster, vm))
}

/// One VM's block; for several VMs, the keys that are written the same in all of them.
fn block(file: &ConfigFile, vms: &[Name]) -> Result<Block, Refusal> {
    let mut blocks = file.blocks(vms)?.into_iter();
    let first = blocks.next().ok_or("no VM was named")?;
    let others: Vec<Block> = blocks.collect();
    if others.is_empty() {
        return Ok(first);
    }
    let mut texts: Vec<&str> = others.iter().map(|block| &*block.text).collect();
    texts.sort_unstable();
    texts.dedup();
    let same = |line: &&str| {
        let mine = key_and_value(line);
        texts.iter().all(|text| text.lines().any(|other| key_and_value(other) == mine))
    };
    let text: String = first.text.lines().filter(same).flat_map(|line| [line, "\n"]).collect();
    let meant: HashSet<&Name> = vms.iter().collect();
    let mut shared: Vec<Arc<str>> = Vec::new();
    let mut touched: Vec<Name> = Vec::new();
    for block in [&first].into_iter().chain(&others) {
        shared.extend(block.shared.clone().filter(|name| !shared.contains(name)));
        touched.extend(block.others.iter().filter(|vm| !meant.contains(vm)).cloned());
    }
    touched.sort_unstable();
    touched.dedup();
    let shared = (!shared.is_empty()).then(|| Arc::from(shared.join(", ")));
    Ok(Block { text: Arc::from(text), place: first.place, shared, others: touched })
}

/// The keys that a text changes or removes, compared with the original.
fn patch<'a>(from: &'a str, to: &'a str) -> Vec<(&'a str, Option<&'a str>)> {
    let (before, after): (Vec<_>, Vec<_>) =
        (from.lines().filter_map(key_and_value).collect(), to.lines().filter_map(key_and_value).collect());
    let set = after.iter().filter(|pair| !before.contains(pair)).map(|(key, value)| (*key, Some(*value)));
    let gone = before.iter().filter(|(key, _)| !after.iter().any(|(k, _)| k == key)).map(|(key, _)| (*key, None));
    set.chain(gone).collect()
}

fn meant(text: &str, base: &Block, draft: &Draft, file: &ConfigFile) -> Meant {
    let Some(config) = file.config() else { return Ok(Vec::new()) };
    if let [vm] = &draft.vms[..] {
        let Some(vm) = file.vm(vm) else { return Ok(Vec::new()) };
        let checked = config::check_block(text, config, vm, draft.scope);
        return checked
            .map(|settings| vec![settings])
            .map_err(|all| all.iter().map(|p| problem(p, p.line - 1)).collect());
    }
    let patch = patch(&base.text, text);
    let Ok(blocks) = file.blocks(&draft.vms) else { return Ok(Vec::new()) };
    let each = draft.vms.iter().zip(blocks).filter_map(|(name, block)| Some((file.vm(name)?, block)));
    each.map(|(vm, block)| {
        let patched = patched(&block.text, &patch);
        config::check_block(&patched, config, vm, draft.scope).map_err(|all| {
            let line = |p: &config::Problem| {
                let key = patched.lines().nth(p.line - 1).and_then(key_and_value).map(|(key, _)| key);
                text.lines().position(|line| key.is_some() && key_and_value(line).map(|(key, _)| key) == key)
            };
            all.iter().map(|p| problem(p, line(p).unwrap_or(0))).collect()
        })
    })
    .collect()
}

/// A block with some keys set or removed.
fn patched(text: &str, patch: &[(&str, Option<&str>)]) -> String {
    let of = |key: &str| patch.iter().find(|(k, _)| *k == key);
    let mut out = String::new();
    for line in text.lines() {
        match key_and_value(line).and_then(|(key, _)| of(key)) {
            Some((key, Some(value))) => out.push_str(&format!("{key} = {value}\n")),
            Some((_, None)) => {}
            None => out.extend([line, "\n"]),
        }
    }
    let there = |key: &str| text.lines().filter_map(key_and_value).any(|(k, _)| k == key);
    for (key, value) in patch.iter().filter(|(key, _)| !there(key)) {
        if let Some(value) = value {
            out.push_str(&format!("{key} = {value}\n"));
        }
    }
    out
}

fn problem(p: &config::Problem, line: usize) -> DraftProblem {
    DraftProblem { line, column: p.column - 1, length: p.length, message: p.message.clone(), help: p.help.clone() }
}

/// The changes of the first VM that has any.
fn changes(old: &[Settings], new: &[Settings]) -> Vec<KeyChange> {
    let each = old.iter().zip(new).map(|(old, new)| Settings::differences(old, new));
    each.into_iter().find(|changed| !changed.is_empty()).unwrap_or_default()
}

impl Open {
    /// The block of some VM could not be read.
    fn lacks_samples(&self) -> bool {
        self.past.as_ref().is_some_and(|(_, played)| played.iter().any(|played| played.recording.is_err()))
    }

    fn what_if(
        &mut self,
        draft: &Draft,
        now: Timestamp,
        sides: &[&[Settings]; 2],
        file: &ConfigFile,
        reader: &mut CachedReader,
    ) -> WhatIf {
        if self.lacks_samples() || self.past.as_ref().is_none_or(|(span, _)| *span != draft.span) {
            let from = now - draft.span;
            let played = draft.vms.iter().map(|vm| {
                let recording = reader.recording(vm, from, now);
                Played { recording, prices: prices(file, vm), old: None }
            });
            self.past = Some((draft.span, played.collect()));
        }
        let Some((_, played)) = &mut self.past else { return WhatIf::Pending };
        let mut together = (0, 0);
        let mut first = None;
        for ((played, old), new) in played.iter_mut().zip(sides[0]).zip(sides[1]) {
            match played.compare(old, new, first.is_none()) {
                Ok(comparison) => {
                    together.0 += comparison.old.outcome.moves;
                    together.1 += comparison.new.outcome.moves;
                    first = first.or(Some(comparison));
                }
                Err(why) if draft.vms.len() == 1 => return WhatIf::None(why),
                Err(_) => {}
            }
        }
        let several = draft.vms.len() > 1;
        match first {
            Some(comparison) => {
                WhatIf::Told { comparison: Arc::new(comparison), together: several.then_some(together) }
            }
            None => WhatIf::None("none of these VMs has samples in this span".into()),
        }
    }
}

impl Played {
    fn compare(&mut self, old: &Settings, new: &Settings, strip: bool) -> Result<Comparison, Refusal> {
        let changes = Settings::differences(old, new);
        let recording = self.recording.as_ref().map_err(Arc::clone)?;
        let old = match &self.old {
            Some(old) => old.clone(),
            None => self.old.insert(recording.try_out(old, self.prices).ok_or(NO_WHAT_IF)?).clone(),
        };
        let new_side = recording.try_out(new, self.prices).ok_or(NO_WHAT_IF)?;
        let mut comparison = Comparison::between(recording, changes, old, new_side);
        if strip {
            comparison.strip = recording.strip(new);
        }
        Ok(comparison)
    }
}

#[cfg(test)]
mod tests {

    use super::super::ConfigInputs;
    use super::*;
    use crate::view::Scope;

    const CONFIG: &str = include_str!("../../../config/first.toml");
    const NOW: Timestamp = Timestamp::from_secs(1_241_613_600);

    struct Scene {
        drafts: Drafts,
        file: ConfigFile,
        reader: CachedReader,
        folder: tempfile::TempDir,
    }

    impl Scene {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("w.toml"), CONFIG).expect("a file");
            let path = Some(folder.path().join("w.toml"));
            let (file, _) = ConfigFile::new(ConfigInputs { file: path, ..ConfigInputs::default() });
            Self { drafts: Drafts::default(), file, reader: CachedReader::default(), folder }
        }

        fn on_disk(&self) -> String {
            std::fs::read_to_string(self.folder.path().join("w.toml")).expect("a file")
        }

        fn look(&mut self, text: Option<&str>) -> DraftView {
            let view = self.drafts.look(Some(draft(text)), NOW, &self.file, &mut self.reader);
            view.expect("something is known of it")
        }

        fn save(&mut self, text: &str, over: bool) -> ConfigAnswer {
            self.drafts.save(&draft(Some(text)), None, over, &mut self.file)
        }
    }

    fn draft(text: Option<&str>) -> Draft {
        let vms = vec!["db".into()];
        Draft { seq: 1, vms, text: text.map(str::to_owned), scope: Scope::Block, span: Span::from_hours(24) }
    }

    const BLOCK: &str = "kind = \"threshold\"\nthreshold = 60\ntarry = 3\n";

    #[test]
    fn a_draft_begins_with_the_files_block_and_says_what_it_would_change() {
        let mut scene = Scene::new();
        let view = scene.look(None);
        assert!(view.block.text.contains("threshold = 50") && view.block.place.starts_with("w.toml:"));
        assert!(view.changes.is_empty() && view.problems.is_empty());
        let view = scene.look(Some(BLOCK));
        assert_eq!((&*view.changes[0].key, &*view.changes[0].old, &*view.changes[0].new), ("threshold", "50", "60"));
        let no_what_if = |view: &DraftView| match &view.what_if {
            WhatIf::None(why) => why.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(no_what_if(&view), "the history is still being opened", "nobody has said yet where it is");
        scene.reader.open(None);
        assert_eq!(no_what_if(&scene.look(Some(BLOCK))), "there is no history");
        let view = scene.look(Some("kind = \"threshold\"\nthreshold = sixty\ntarry = 3\n"));
        assert_eq!(view.problems.first().map(|problem| problem.line), Some(1));
        assert_eq!(scene.on_disk(), CONFIG);
    }

    #[test]
    fn a_draft_without_samples_asks_again_and_one_that_is_left_does_not() {
        let mut scene = Scene::new();
        scene.look(Some(BLOCK));
        assert!(scene.drafts.recorded(&scene.file, &mut scene.reader).is_some(), "still without");
        assert!(scene.drafts.look(None, NOW, &scene.file, &mut scene.reader).is_none());
        assert!(scene.drafts.recorded(&scene.file, &mut scene.reader).is_none());
    }

    #[test]
    fn a_block_that_another_changed_meanwhile_is_shown_and_only_overwritten_when_told_to() {
        let mut scene = Scene::new();
        scene.look(None);
        let theirs = CONFIG.replace("threshold = 50,", "threshold = 55,");
        std::fs::write(scene.folder.path().join("w.toml"), &theirs).expect("a file");
        let ConfigAnswer::Draft(view) = scene.save(BLOCK, false) else { panic!("saved") };
        assert!(matches!(&view.saving, Saving::Conflict(now) if now.text.contains("threshold = 55")));
        assert_eq!(scene.on_disk(), theirs);
        let ConfigAnswer::Edited(edited) = scene.save(BLOCK, true) else { panic!("not saved") };
        assert_eq!(edited.changes.len(), 1);
        assert_eq!(scene.on_disk(), CONFIG.replace("threshold = 50,", "threshold = 60,"));
    }

    #[test]
    fn what_is_wrong_is_not_saved() {
        let mut scene = Scene::new();
        scene.look(None);
        let ConfigAnswer::Draft(view) = scene.save("kind = \"threshold\"\nthreshold = sixty\n", false) else {
            panic!("saved")
        };
        assert!(matches!(view.saving, Saving::Refused(_)));
        assert_eq!(scene.on_disk(), CONFIG);
    }
}
