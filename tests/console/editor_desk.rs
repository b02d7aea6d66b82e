//! A stand-in for the engine of the policy editor: it answers drafts by a simple rule.

use std::sync::Arc;

use whimbrel::console::{Action, Ui, UiEffect, update};
use whimbrel::core::cluster::Span;
use whimbrel::core::insight::{ComparedSide, Comparison, Difference, Outcome, ReplayedMove, Variant};
use whimbrel::core::policy::Decision;
use whimbrel::view::{Block, Draft, DraftProblem, DraftView, KeyChange, Saving, SetValue, Snapshot, UiCommand, WhatIf};

use crate::{press, recorded, sample, screen_on};

pub const BLOCK: &str =
    "kind = \"threshold\"\nthreshold = 50         # was 20 until the loop was seen\ntarry = 3\nsettle = \"45s\"\n";

/// The screen and the stand-in for its engine.
pub struct Desk {
    pub ui: Ui,
    pub snapshot: Snapshot,
    /// The block in the file.
    pub block: Block,
    /// What the screen sent, without subscriptions.
    pub said: Vec<UiCommand>,
    /// Whether there is a what-if, or why not.
    pub what_if: Result<(), &'static str>,
    /// Whether the what-if has a strip.
    pub has_strip: bool,
    /// Whether answers come at once.
    pub is_quick: bool,
    /// The result of the next save.
    pub saving: Saving,
}

/// How many moves a threshold makes: a slightly higher one makes far fewer.
fn moves(threshold: f64, tarry: u32) -> usize {
    (11.0 * (-(threshold - 50.0) / 8.0).exp() * 0.6f64.powi(tarry as i32 - 3)).round().min(999.0) as usize
}

fn tried(threshold: f64, tarry: u32, span: Span) -> ComparedSide {
    let moves = moves(threshold, tarry);
    let every = span.millis() / (moves as i64 + 1);
    let at = |n| sample::NOW - span + Span::from_millis(n * every);
    let all_moves = (1..=moves as i64).map(|n| ReplayedMove { at: at(n), decision: Decision::Move }).collect();
    ComparedSide {
        outcome: Outcome {
            samples: (span.secs_f64() / 60.0) as usize,
            gaps: 12,
            span_s: span.secs_f64(),
            moves,
            moves_to_base: 0,
            quick_moves: moves.saturating_sub(4) * 2 / 3,
            beyond_s: 3_120.0 * 50.0 / threshold.max(1.0),
            all_moves,
        },
        requests_per_hour: moves as f64 / span.secs_f64() * 3_600.0,
        at_base: Span::ZERO,
        cost: 0.0,
    }
}

fn strip(threshold: f64, tarry: u32) -> Vec<Variant> {
    let thresholds = [-20.0, -10.0, -5.0, 5.0, 10.0, 20.0].map(|p| (threshold * (1.0 + p / 100.0), tarry));
    let tarries = [(threshold, tarry - 1), (threshold, tarry + 1)];
    let variant = |(threshold, tarry)| Variant { threshold, tarry, moves: moves(threshold, tarry) };
    thresholds.into_iter().chain(tarries).map(variant).collect()
}

fn comparison(threshold: f64, tarry: u32, span: Span) -> Comparison {
    let at = |hours| sample::NOW - Span::from_hours(hours);
    let differs = |at, old, new| Difference { at, old, new };
    Comparison {
        from: sample::NOW - span,
        to: sample::NOW,
        changes: Vec::new(),
        old: tried(50.0, 3, span),
        new: tried(threshold, tarry, span),
        differences: vec![
            differs(at(21), Decision::Move, Decision::Stay),
            differs(at(20), Decision::Move, Decision::Stay),
            differs(at(7), Decision::Stay, Decision::Move),
        ],
        strip: Vec::new(),
    }
}

/// A key's value in the text.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.split('=').next().is_some_and(|k| k.trim() == key))?;
    Some(line.split_once('=')?.1.split('#').next()?.trim())
}

fn problems(text: &str) -> Vec<DraftProblem> {
    let mut problems = Vec::new();
    for (line, words) in text.lines().enumerate() {
        let key = words.split('=').next().unwrap_or_default().trim();
        let value = words.split_once('=').map_or("", |(_, value)| value.split('#').next().unwrap_or_default().trim());
        let column = words.chars().take_while(|c| *c != '=').count() + 2;
        if key == "threshold" && value.parse::<f64>().is_err() {
            let length = value.chars().count().max(1);
            let message = format!("threshold must be a number, found '{value}'");
            problems.push(DraftProblem { line, column, length, message, help: "write threshold = 50".into() });
        }
        if !key.is_empty() && !["kind", "threshold", "tarry", "settle"].contains(&key) && !key.starts_with('#') {
            let message = format!("unknown key '{key}'");
            let help = "did you mean 'tarry'?".into();
            problems.push(DraftProblem { line, column: 0, length: key.chars().count(), message, help });
        }
    }
    problems
}

impl Desk {
    pub fn new() -> Self {
        Self::on(&["nii1"])
    }

    pub fn on(vms: &[&str]) -> Self {
        let mut snapshot = sample::snapshot();
        snapshot.detail = Some(sample::detail(&snapshot, vms[0]));
        let mut ui = screen_on(&snapshot, vms[0]);
        if vms.len() > 1 {
            ui.marked = vms.iter().map(|vm| (*vm).into()).collect();
        }
        let block = Block { text: BLOCK.into(), place: "oslo-prod.toml:41".into(), ..Block::default() };
        Self {
            ui,
            snapshot,
            block,
            said: Vec::new(),
            what_if: Ok(()),
            has_strip: true,
            is_quick: true,
            saving: Saving::Done,
        }
    }

    /// The same, with a block that others share.
    pub fn shared() -> Self {
        let mut desk = Self::new();
        desk.block.shared = Some("web".into());
        desk.block.place = "oslo-prod.toml:12".into();
        desk.block.others = ["nii2", "nii3", "web01", "web02", "web07"].map(Into::into).to_vec();
        desk
    }

    /// Presses a key that is not a character.
    pub fn key(&mut self, code: crossterm::event::KeyCode) {
        let effects = press(&mut self.ui, &self.snapshot, code);
        self.hear(effects);
    }

    /// Presses a key with ctrl.
    pub fn ctrl(&mut self, c: char) {
        let key = crossterm::event::KeyEvent::new(
            crossterm::event::KeyCode::Char(c),
            crossterm::event::KeyModifiers::CONTROL,
        );
        if let Some(Ok(action)) = whimbrel::console::dispatch(key, &self.ui, &self.snapshot) {
            self.act(action);
        }
    }

    /// Presses a function key.
    pub fn f(&mut self, n: u8) {
        self.key(crossterm::event::KeyCode::F(n));
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        for c in keys.chars() {
            self.key(crossterm::event::KeyCode::Char(c));
        }
    }

    pub fn act(&mut self, action: Action) {
        let effects = update(&mut self.ui, action, &self.snapshot);
        self.hear(effects);
    }

    fn hear(&mut self, effects: Vec<UiEffect>) {
        let mut is_drafted = false;
        for effect in effects {
            let UiEffect::UiCommand(said) = effect else { continue };
            if let UiCommand::Subscription(look) = &said {
                self.snapshot.past = look.past.zip(look.vm.as_ref()).map(|(ask, vm)| recorded::past(vm, ask));
                continue;
            }
            is_drafted |= matches!(said, UiCommand::Draft(_) | UiCommand::Save { .. });
            self.said.push(said);
        }
        if is_drafted && self.is_quick {
            self.answer();
        }
    }

    /// Answers the newest draft or save.
    pub fn answer(&mut self) {
        let Some(draft) = self.draft() else { return };
        let saving = match (self.said.last(), &self.saving) {
            (Some(UiCommand::Save { over: true, .. }), _) => Saving::Done,
            (Some(UiCommand::Save { .. }), saving) => saving.clone(),
            (_, Saving::Conflict(theirs)) if **theirs != self.block => self.saving.clone(),
            _ => Saving::Not,
        };
        let mut view = self.view(&draft, saving);
        if matches!(self.said.last(), Some(UiCommand::Save { .. })) {
            // An answer to a save tells nothing else.
            (view.what_if, view.changes) = (WhatIf::Pending, Vec::new());
        }
        self.snapshot.draft = Some(Arc::new(view));
        self.act(Action::Arrived);
    }

    pub fn view(&self, draft: &Draft, saving: Saving) -> DraftView {
        let text = draft.text.as_deref().unwrap_or(&self.block.text);
        let problems = problems(text);
        let number = |key| value(text, key).and_then(|value| value.parse::<f64>().ok());
        let what_if = match (self.what_if, number("threshold").zip(number("tarry"))) {
            (Err(why), _) => WhatIf::None(why.into()),
            (Ok(()), Some((threshold, tarry))) => WhatIf::Told {
                comparison: Arc::new(Comparison {
                    strip: if self.has_strip { strip(threshold, tarry as u32) } else { Vec::new() },
                    ..comparison(threshold, tarry as u32, draft.span)
                }),
                together: (draft.vms.len() > 1).then_some((31, moves(threshold, tarry as u32) * 2 + 1)),
            },
            (Ok(()), None) => WhatIf::None("the text is no policy".into()),
        };
        let change = |key: &str| {
            let [old, new] = [&*self.block.text, text].map(|text| value(text, key).unwrap_or_default().to_owned());
            (old != new).then(|| KeyChange { key: key.to_owned(), old, new })
        };
        let changes = ["kind", "threshold", "tarry", "settle"].into_iter().filter_map(change).collect();
        DraftView { seq: draft.seq, block: Arc::new(self.block.clone()), problems, changes, what_if, saving }
    }

    /// The newest draft or save.
    pub fn draft(&self) -> Option<Draft> {
        self.said.iter().rev().find_map(|said| match said {
            UiCommand::Draft(draft) => Some(draft.clone()),
            UiCommand::Save { draft, .. } => Some(Some(draft.clone())),
            _ => None,
        })?
    }

    /// Its text.
    pub fn text(&self) -> String {
        self.draft().and_then(|draft| draft.text).unwrap_or_default()
    }

    /// The saves that were sent: text, reason, and whether over the file's changes.
    pub fn saves(&self) -> Vec<(String, Option<String>, bool)> {
        let save = |said: &UiCommand| match said {
            UiCommand::Save { draft, why, over, .. } => {
                Some((draft.text.clone().unwrap_or_default(), why.clone(), *over))
            }
            _ => None,
        };
        self.said.iter().filter_map(save).collect()
    }

    pub fn changes(&self) -> Vec<SetValue> {
        let change = |said: &UiCommand| match said {
            UiCommand::SetValue(_, change) => Some(change.clone()),
            _ => None,
        };
        self.said.iter().filter_map(change).collect()
    }

    pub fn notice(&self) -> &str {
        self.ui.notice.as_ref().map_or("", |notice| &notice.text)
    }
}
