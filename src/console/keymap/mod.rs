//! One table of keys: it dispatches, it is the footer, and it is the help. So none of them can drift.

mod action;
mod bindings;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

pub use action::Action;
pub use bindings::BINDINGS;

use super::editor::Ask;
use super::ui::{Overlay, Screen, Ui};
use crate::core::cluster::HostState;
use crate::core::engine::{StageKind, VmState};
use crate::view::{DrainView, MigrationView, Snapshot, VmRow};

/// What takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Always.
    Everywhere,
    /// Every screen.
    Screens,
    /// The screens on which a VM is acted on: Fleet and VM.
    Acting,
    /// The screens with a stretch of time: VM and Activity.
    Graphs,
    /// The Fleet screen.
    Fleet,
    /// The VM screen.
    Vm,
    /// The Activity screen.
    Activity,
    /// The move dialog.
    Moves,
    /// The drain dialog.
    Drain,
    /// A question.
    Confirm,
    /// The help.
    Help,
    /// A filter being typed.
    Filter,
    /// The policy editor.
    Editor,
    /// The policy editor, waiting for a save.
    Saving,
    /// A line being typed: a reason, a number.
    Line,
    /// The shared block, or one of its own?
    Share,
    /// The file was changed meanwhile.
    Conflict,
    /// What is not saved would be lost.
    Unsaved,
}

impl Context {
    /// Whether a key of this context does something in that one.
    pub const fn covers(self, now: Self) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Screens => matches!(now, Self::Fleet | Self::Vm | Self::Activity),
            Self::Acting => matches!(now, Self::Fleet | Self::Vm),
            Self::Graphs => matches!(now, Self::Vm | Self::Activity),
            _ => self as u8 == now as u8,
        }
    }

    /// Whether characters are typed.
    pub const fn is_typed(self) -> bool {
        matches!(self, Self::Filter | Self::Editor | Self::Line)
    }

    /// A screen's.
    pub const fn of(screen: Screen) -> Self {
        match screen {
            Screen::Fleet => Self::Fleet,
            Screen::Vm => Self::Vm,
            Screen::Activity => Self::Activity,
        }
    }
}

/// When a key does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// A VM is selected.
    Selected,
    /// One VM's activity is shown.
    Alone,
    /// The selected VM's request waits.
    Waits,
    /// The selected VM's migration runs.
    Migrates,
    /// The selected VM is held.
    Held,
    /// The selected VM is not held.
    NotHeld,
    /// No operator has the chosen host drained, and it is up.
    CanDrain,
    /// VMs are sent away from the chosen host.
    Drains,
    /// That is paused.
    Paused,
    /// The chosen host is drained, or being drained.
    Drained,
    /// There are alarms.
    Alarms,
    /// The block that is edited is shared.
    Shared,
}

/// Which part of the help a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The selected VM.
    Vm,
    /// Its policy.
    Policy,
    /// The cluster.
    Cluster,
    /// The table.
    Table,
    /// The graph.
    Graph,
    /// The policy editor.
    Editor,
    /// The console.
    Console,
}

impl Group {
    const ALL: [Self; 6] = [Self::Vm, Self::Policy, Self::Graph, Self::Cluster, Self::Table, Self::Console];

    /// Its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Vm => "the selected VM",
            Self::Policy => "its policy, in the file and in the engine",
            Self::Cluster => "the cluster",
            Self::Table => "the table",
            Self::Graph => "the graph",
            Self::Editor => "in the policy editor",
            Self::Console => "the console",
        }
    }
}

/// A key as a terminal sends it. Shift shows in the character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    ctrl: bool,
}

/// One line of the table of keys.
#[derive(Debug)]
pub struct Binding {
    /// What takes it.
    pub context: Context,
    /// These keys.
    pub keys: &'static [Key],
    /// The keys as shown.
    pub shown: &'static str,
    /// Do this.
    pub action: Action,
    /// When it does something.
    pub when: When,
    /// The footer's word; empty = not in the footer.
    pub short: &'static str,
    /// The help's words.
    pub help: &'static str,
    /// The help's part.
    pub group: Group,
}

/// What takes the keys now.
pub fn context(ui: &Ui) -> Context {
    match ui.overlays.last() {
        None => match &ui.editor {
            Some(editor) if editor.is_saving() => Context::Saving,
            Some(_) => Context::Editor,
            None => Context::of(ui.screen),
        },
        Some(Overlay::Asks(ask)) => ask_context(ask),
        Some(Overlay::Help { .. }) => Context::Help,
        Some(Overlay::Moves { .. }) => Context::Moves,
        Some(Overlay::Drain { .. }) => Context::Drain,
        Some(Overlay::Confirm { .. }) => Context::Confirm,
        Some(Overlay::Filter { .. }) => Context::Filter,
    }
}

/// What takes the keys while a question of the editor is open.
pub const fn ask_context(ask: &Ask) -> Context {
    match ask {
        Ask::Why(_) | Ask::Number { .. } => Context::Line,
        Ask::Share { .. } => Context::Share,
        Ask::Conflict(_) => Context::Conflict,
        Ask::Unsaved => Context::Unsaved,
    }
}

/// What a key does now; `Err` says why it does nothing, `None` that it is no key here.
pub fn dispatch(event: KeyEvent, ui: &Ui, snapshot: &Snapshot) -> Option<Result<Action, &'static str>> {
    let key = Key { code: event.code, ctrl: event.modifiers.contains(KeyModifiers::CONTROL) };
    if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
        return None;
    }
    // What cannot be seen is not acted on: a terminal that is too small only lets its operator leave.
    let blind = ui.is_too_small();
    let context = if blind { Context::Fleet } else { context(ui) };
    let mut missing = None;
    for binding in BINDINGS.iter().filter(|b| b.context.covers(context)) {
        let leaves = matches!(binding.action, Action::Quit | Action::Suspend);
        if !binding.keys.contains(&key) || blind && !leaves {
            continue;
        }
        if binding.when.holds(ui, snapshot) {
            return Some(Ok(binding.action.clone()));
        }
        missing = missing.or(Some(Err(binding.when.missing(ui, snapshot))));
    }
    match key {
        Key { code: KeyCode::Char(c), ctrl: false } if context.is_typed() => Some(Ok(Action::Type(c))),
        _ => missing,
    }
}

/// What can be done now, for the footer.
pub fn available<'a>(ui: &'a Ui, snapshot: &'a Snapshot) -> impl Iterator<Item = &'static Binding> + 'a {
    let context = context(ui);
    BINDINGS.iter().filter(move |b| b.context.covers(context) && !b.short.is_empty() && b.when.holds(ui, snapshot))
}

/// The keys of the help, by part: first those of the screen, then those that only another one has.
pub fn help(screen: Screen) -> Vec<(&'static str, Vec<&'static Binding>)> {
    let here = |b: &&Binding| b.context.covers(Context::of(screen));
    let told = || BINDINGS.iter().filter(|b| !b.help.is_empty());
    let mut parts: Vec<_> = Group::ALL
        .into_iter()
        .map(|group| (group.title(), told().filter(|b| b.group == group).filter(here).collect::<Vec<_>>()))
        .collect();
    for other in Screen::ALL.into_iter().filter(|other| *other != screen) {
        let there = |b: &&Binding| b.context.covers(Context::of(other));
        let new = told().filter(there).filter(|b| !here(b));
        let seen = |b: &&Binding, parts: &[(&str, Vec<&Binding>)]| {
            parts.iter().any(|(_, bindings)| bindings.iter().any(|known| std::ptr::eq(*known, *b)))
        };
        let new = new.filter(|b| !seen(b, &parts)).collect();
        parts.push((other.title(), new));
    }
    parts.push((Group::Editor.title(), told().filter(|b| b.context == Context::Editor).collect()));
    parts.retain(|(_, bindings)| !bindings.is_empty());
    parts
}

impl When {
    /// Whether it is so now.
    pub fn holds(self, ui: &Ui, snapshot: &Snapshot) -> bool {
        let row = |test: fn(&VmRow) -> bool| ui.row().is_some_and(|row| test(row));
        let drain =
            |test: fn(&DrainView) -> bool| ui.drained(snapshot).and_then(|host| host.drain.as_ref()).is_some_and(test);
        match self {
            Self::Always => true,
            Self::CanDrain => ui.drained(snapshot).is_some_and(|host| {
                let is_up = matches!(host.state, HostState::Up | HostState::Draining);
                is_up && !host.drain.as_ref().is_some_and(|drain| drain.commanded)
            }),
            Self::Drains => drain(|drain| !drain.paused && !drain.done),
            Self::Paused => drain(|drain| drain.paused),
            Self::Drained => drain(|_| true),
            Self::Selected => ui.row().is_some(),
            Self::Alone => ui.row().is_some() && ui.activity.alone,
            Self::Waits => row(|row| row.waiting.is_some()),
            Self::Migrates => row(|row| row.migration.as_ref().is_some_and(MigrationView::can_abort)),
            Self::Held => row(is_held),
            Self::NotHeld => row(|row| !is_held(row)),
            Self::Alarms => !snapshot.alarms.is_empty(),
            Self::Shared => ui.editor.as_ref().is_some_and(|editor| editor.is_shared()),
        }
    }

    /// Why a key does nothing when it is not so.
    fn missing(self, ui: &Ui, snapshot: &Snapshot) -> &'static str {
        match self {
            Self::Waits if snapshot.totals.waiting > 0 => "it is another VM's request that waits",
            Self::Always | Self::Selected | Self::Held | Self::NotHeld => "no VM is selected",
            Self::Alone => "this is the whole cluster: c shows one VM",
            Self::Waits => "nothing waits for approval here",
            Self::Migrates if ui.row().is_some_and(|row| row.migration.is_some()) => {
                "it has ended: both hosts are asked where the VM runs"
            }
            Self::Migrates => "no migration runs here",
            Self::CanDrain if Self::Drained.holds(ui, snapshot) => "it is being drained: p pauses that, r releases it",
            Self::CanDrain => "it is not up: its VMs cannot be moved live",
            Self::Drains | Self::Paused if Self::Drained.holds(ui, snapshot) => "it is drained: r releases it",
            Self::Drains | Self::Paused | Self::Drained => "it is not being drained",
            Self::Alarms => "no alarm to acknowledge",
            Self::Shared => "this block is its own already",
        }
    }
}

/// Its migration's outcome is unknown: released, it is settled by what the host says that answers.
pub fn is_in_doubt(row: &VmRow) -> bool {
    row.migration.as_ref().is_some_and(|migration| migration.stage == StageKind::Unknown)
}

fn is_held(row: &VmRow) -> bool {
    matches!(row.state, VmState::Held | VmState::Flapping) || is_in_doubt(row)
}

#[cfg(test)]
mod tests {
    use super::bindings::ctrl;
    use super::*;

    #[test]
    fn no_key_is_one_of_flow_control_job_control_or_tmux() {
        for binding in BINDINGS {
            for key in ['a', 'b', 's', 'q'].map(ctrl) {
                assert!(!binding.keys.contains(&key), "{} is bound", binding.shown);
            }
        }
        let suspends = BINDINGS.iter().filter(|b| b.keys.contains(&ctrl('z')));
        assert!(suspends.map(|b| &b.action).eq([&Action::Suspend]));
    }

    /// Whether two contexts take keys at the same time.
    fn together(a: Context, b: Context) -> bool {
        let screens = Screen::ALL.map(Context::of);
        let others =
            [Context::Moves, Context::Drain, Context::Confirm, Context::Help, Context::Filter, Context::Editor];
        let asks = [Context::Saving, Context::Line, Context::Share, Context::Conflict, Context::Unsaved];
        let others = others.into_iter().chain(asks);
        screens.into_iter().chain(others).any(|now| a.covers(now) && b.covers(now))
    }

    #[test]
    fn no_key_means_two_things_at_once() {
        for (i, a) in BINDINGS.iter().enumerate() {
            for b in BINDINGS.iter().skip(i + 1).filter(|b| together(a.context, b.context)) {
                let apart = [(When::NotHeld, When::Held), (When::Drains, When::Paused)].contains(&(a.when, b.when));
                assert!(apart || !a.keys.iter().any(|key| b.keys.contains(key)), "{:?} and {:?}", a.action, b.action);
            }
        }
    }

    #[test]
    fn every_key_of_every_screen_stands_in_its_help_once() {
        for screen in Screen::ALL {
            let help = help(screen);
            let helped: Vec<&Binding> = help.iter().flat_map(|(_, bindings)| bindings.iter().copied()).collect();
            for (i, binding) in helped.iter().enumerate() {
                assert!(!helped[..i].iter().any(|before| std::ptr::eq(*before, *binding)), "{:?}", binding.action);
            }
            for binding in BINDINGS.iter().filter(|b| b.context.covers(Context::of(screen))) {
                let paired = binding.shown.is_empty();
                assert!(paired || helped.iter().any(|b| b.action == binding.action), "{:?}", binding.action);
            }
        }
    }

    #[test]
    fn the_help_begins_with_what_the_screen_can_do() {
        for screen in Screen::ALL {
            let help = help(screen);
            let (_, first) = &help[0];
            assert!(first.iter().all(|b| b.context.covers(Context::of(screen))), "{screen:?}");
        }
    }
}
