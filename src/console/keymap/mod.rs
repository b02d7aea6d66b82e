//! One table of keys for dispatch, footer and help, so that they always agree.

mod bindings;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::console::editor::{EditorAction, Prompt};
use crate::console::ui::{Overlay, QueueUi, Screen, Ui};
use crate::core::cluster::HostState;
use crate::core::engine::{StageKind, VmState};
use crate::core::format::{is_hostile, tame};
use crate::core::queue::JobState;
use crate::view::{CommandId, Drain, MigrationView, Snapshot, VmRow};
pub use bindings::BINDINGS;

/// The part of the console that takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyContext {
    /// Always.
    Everywhere,
    /// Every screen.
    Screens,
    /// The screens on which a VM is acted on: Fleet, VM and Queue.
    Acting,
    /// The screens with a stretch of time: VM, Activity and Queue.
    Graphs,
    /// The screens with a table to go through: Fleet and Queue.
    Tables,
    /// The Fleet screen.
    Fleet,
    /// The VM screen.
    Vm,
    /// The Activity screen.
    Activity,
    /// The Queue screen.
    Queue,
    /// The move dialog.
    Moves,
    /// The drain dialog.
    Drain,
    /// A question.
    Confirm,
    /// A job in full.
    Job,
    /// A pause being described.
    Pause,
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

impl KeyContext {
    /// Whether a key of this context works while `now` takes the keys.
    pub const fn covers(self, now: Self) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Screens => matches!(now, Self::Fleet | Self::Vm | Self::Activity | Self::Queue),
            Self::Acting => matches!(now, Self::Fleet | Self::Vm | Self::Queue),
            Self::Graphs => matches!(now, Self::Vm | Self::Activity | Self::Queue),
            Self::Tables => matches!(now, Self::Fleet | Self::Queue),
            _ => self as u8 == now as u8,
        }
    }

    /// Whether characters are text here, not commands.
    pub const fn is_typed(self) -> bool {
        matches!(self, Self::Filter | Self::Editor | Self::Line | Self::Pause)
    }

    /// A screen's context.
    pub const fn of(screen: Screen) -> Self {
        match screen {
            Screen::Fleet => Self::Fleet,
            Screen::Vm => Self::Vm,
            Screen::Activity => Self::Activity,
            Screen::Queue => Self::Queue,
        }
    }
}

/// What must be true for a key to do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCondition {
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
    /// The chosen host is being drained, and that is not paused.
    Drains,
    /// The drain of the chosen host is paused.
    Paused,
    /// The chosen host is drained, or being drained.
    Drained,
    /// There are alarms.
    Alarms,
    /// There is a VM with a queue, which is not on screen.
    HasQueue,
    /// No operator has paused the worker of the queue on screen.
    WorkerRuns,
    /// An operator has.
    WorkerPaused,
    /// The jobs on screen are of a claim that the VM has.
    Claimed,
    /// There is another claim to look at.
    MoreClaims,
    /// Jobs that were set aside are marked, or one is selected.
    SetAside,
    /// A job is selected.
    JobSelected,
    /// The block that is edited is shared.
    Shared,
}

/// A part of the help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HelpGroup {
    /// The selected VM.
    Vm,
    /// Its job queue.
    Queue,
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

impl HelpGroup {
    const ALL: [Self; 7] =
        [Self::Vm, Self::Queue, Self::Policy, Self::Graph, Self::Cluster, Self::Table, Self::Console];

    /// Its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Vm => "the selected VM",
            Self::Queue => "its job queue",
            Self::Policy => "its policy, in the file and in the engine",
            Self::Cluster => "the cluster",
            Self::Table => "the table",
            Self::Graph => "the graph",
            Self::Editor => "in the policy editor",
            Self::Console => "the console",
        }
    }
}

/// One line of the table of keys.
#[derive(Debug)]
pub struct Binding {
    /// Where it works.
    pub context: KeyContext,
    /// The keys, with or without ctrl. Shift is part of the character.
    pub keys: &'static [KeyEvent],
    /// The keys as shown.
    pub shown: &'static str,
    /// What they do.
    pub action: Action,
    /// When they do it.
    pub when: KeyCondition,
    /// The footer's word; empty = not in the footer.
    pub short: &'static str,
    /// The help's words.
    pub help: &'static str,
    /// The help's part.
    pub group: HelpGroup,
}

/// What takes the keys now.
pub fn context(ui: &Ui) -> KeyContext {
    match ui.overlays.last() {
        None => match &ui.editor {
            Some(editor) if editor.is_saving() => KeyContext::Saving,
            Some(_) => KeyContext::Editor,
            None => KeyContext::of(ui.screen),
        },
        Some(Overlay::Prompt(prompt)) => prompt_context(prompt),
        Some(Overlay::Help { .. }) => KeyContext::Help,
        Some(Overlay::Moves { .. }) => KeyContext::Moves,
        Some(Overlay::Drain { .. }) => KeyContext::Drain,
        Some(Overlay::Confirm { .. }) => KeyContext::Confirm,
        Some(Overlay::Job) => KeyContext::Job,
        Some(Overlay::Pause(_)) => KeyContext::Pause,
        Some(Overlay::Filter) => KeyContext::Filter,
    }
}

/// What takes the keys while a question of the editor is open.
pub const fn prompt_context(prompt: &Prompt) -> KeyContext {
    match prompt {
        Prompt::Why(_) | Prompt::Number { .. } => KeyContext::Line,
        Prompt::ShareDraft { .. } | Prompt::ShareNumbers { .. } => KeyContext::Share,
        Prompt::Conflict(_) => KeyContext::Conflict,
        Prompt::Unsaved => KeyContext::Unsaved,
    }
}

/// The action of a key now. `Err` says why the key does nothing now; `None`: the key is not bound here.
pub fn dispatch(event: KeyEvent, ui: &Ui, snapshot: &Snapshot) -> Option<Result<Action, &'static str>> {
    let key = KeyEvent::new(event.code, event.modifiers & KeyModifiers::CONTROL);
    if event.modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
        return None;
    }
    // On a terminal that is too small nothing can be seen, so only leaving works.
    let blind = ui.is_too_small();
    let context = if blind { KeyContext::Fleet } else { context(ui) };
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
    match key.code {
        KeyCode::Char(c) if key.modifiers.is_empty() && context.is_typed() => Some(Ok(Action::Type(c))),
        _ => missing,
    }
}

/// What can be done now, for the footer.
pub fn available<'a>(ui: &'a Ui, snapshot: &'a Snapshot) -> impl Iterator<Item = &'static Binding> + 'a {
    let context = context(ui);
    BINDINGS.iter().filter(move |b| b.context.covers(context) && !b.short.is_empty() && b.when.holds(ui, snapshot))
}

/// The keys of the help, by part: first those of this screen, then those of the other screens.
pub fn help(screen: Screen) -> Vec<(&'static str, Vec<&'static Binding>)> {
    let here = |b: &&Binding| b.context.covers(KeyContext::of(screen));
    let told = || BINDINGS.iter().filter(|b| !b.help.is_empty());
    let mut parts: Vec<_> = HelpGroup::ALL
        .into_iter()
        .map(|group| (group.title(), told().filter(|b| b.group == group).filter(here).collect::<Vec<_>>()))
        .collect();
    for other in Screen::ALL.into_iter().filter(|other| *other != screen) {
        let there = |b: &&Binding| b.context.covers(KeyContext::of(other));
        let new = told().filter(there).filter(|b| !here(b));
        let seen = |b: &&Binding, parts: &[(&str, Vec<&Binding>)]| {
            parts.iter().any(|(_, bindings)| bindings.iter().any(|known| std::ptr::eq(*known, *b)))
        };
        let new = new.filter(|b| !seen(b, &parts)).collect();
        parts.push((other.title(), new));
    }
    parts.push((HelpGroup::Editor.title(), told().filter(|b| b.context == KeyContext::Editor).collect()));
    parts.retain(|(_, bindings)| !bindings.is_empty());
    parts
}

impl KeyCondition {
    /// Whether the condition is true now.
    pub fn holds(self, ui: &Ui, snapshot: &Snapshot) -> bool {
        let row = |test: fn(&VmRow) -> bool| ui.row().is_some_and(|row| test(row));
        let drain =
            |test: fn(&Drain) -> bool| ui.drained(snapshot).and_then(|host| host.drain.as_ref()).is_some_and(test);
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
            Self::HasQueue => ui.screen != Screen::Queue && ui.listing.rows.iter().any(|row| QueueUi::has_queue(row)),
            Self::WorkerRuns => ui.queue_view(snapshot).is_some_and(|view| view.pause(snapshot.at).is_none()),
            Self::WorkerPaused => ui.queue_view(snapshot).is_some_and(|view| view.pause(snapshot.at).is_some()),
            Self::Claimed => ui.queue_view(snapshot).is_some_and(|view| {
                let shown = view.shown().map(|claim| &claim.name);
                view.claims().iter().any(|claim| Some(&claim.name) == shown)
            }),
            Self::MoreClaims => ui.queue_view(snapshot).is_some_and(|view| view.all_claims().nth(1).is_some()),
            Self::JobSelected => ui.job(snapshot).is_some(),
            Self::SetAside => {
                !ui.queue.marked.is_empty() || ui.job(snapshot).is_some_and(|job| job.state == JobState::SetAside)
            }
            Self::Shared => ui.editor.as_ref().is_some_and(|editor| editor.is_shared()),
        }
    }

    /// Why a key does nothing while the condition is false.
    fn missing(self, ui: &Ui, snapshot: &Snapshot) -> &'static str {
        match self {
            Self::Waits if snapshot.waiting > 0 => "it is another VM's request that waits",
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
            Self::HasQueue if ui.screen == Screen::Queue => "this is the queue",
            Self::HasQueue => "no VM in the table has a queue: it needs the policy site",
            Self::WorkerRuns | Self::WorkerPaused if ui.queue_view(snapshot).is_none() => "its queue is not read yet",
            Self::WorkerRuns => "it is paused already",
            Self::WorkerPaused => "no operator has paused it",
            Self::Claimed if ui.jobs(snapshot).is_some() => "this page is finished",
            Self::Claimed => "it has no claim",
            Self::MoreClaims => "there is no other claim",
            Self::JobSelected => "no job is selected",
            Self::SetAside => "only a job that was set aside can be tried again",
            Self::Shared => "this block is its own already",
        }
    }
}

/// Whether the outcome of its migration is unknown. A release settles it with what the host that answers says.
pub fn is_in_doubt(row: &VmRow) -> bool {
    row.migration.as_ref().is_some_and(|migration| migration.stage == StageKind::Unknown)
}

fn is_held(row: &VmRow) -> bool {
    matches!(row.state, VmState::Held | VmState::Flapping) || is_in_doubt(row)
}

/// Something that changes the screen: a key, the terminal, or the engine.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Read the config again.
    Reload,
    /// To the shell and back.
    Suspend,
    /// To the next line.
    Down,
    /// To the line before.
    Up,
    /// A page down.
    PageDown,
    /// A page up.
    PageUp,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// Open the selected VM's screen.
    Open,
    /// Open the Activity screen.
    Activity,
    /// Open the Queue screen.
    Queue,
    /// The next VM with a queue.
    NextQueue,
    /// The one before.
    PreviousQueue,
    /// The jobs of the next claim.
    NextClaim,
    /// Describe a pause of the worker.
    Pause,
    /// The other line of that description.
    OtherLine,
    /// Have the worker go on.
    GoOn,
    /// Return the claim on screen.
    Return,
    /// Try jobs that were set aside again.
    Retry,
    /// Mark the selected row, or take its mark away, and go to the next one.
    Mark,
    /// A shorter stretch of time.
    ZoomIn,
    /// A longer one.
    ZoomOut,
    /// The stretch before.
    Earlier,
    /// The stretch after.
    Later,
    /// Back to now.
    Now,
    /// The graph's cursor, one reading back.
    CursorBack,
    /// The graph's cursor, one reading on.
    CursorOn,
    /// The graph's cursor, to what happened before.
    EventBack,
    /// The graph's cursor, to what happened after.
    EventOn,
    /// The cluster's activity, or the selected VM's.
    Scope,
    /// Narrow the table.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Sort from the other end.
    Reverse,
    /// Open the move dialog.
    Moves,
    /// Open the drain dialog.
    Drain,
    /// Stop sending VMs away from the chosen host.
    PauseDrain,
    /// Go on with it.
    ResumeDrain,
    /// Let the chosen host take VMs again.
    Undrain,
    /// Approve the selected VM's request.
    Approve,
    /// Deny it.
    Deny,
    /// Hold the selected VM.
    Hold,
    /// Release it.
    Release,
    /// Abort its migration.
    Abort,
    /// Raise the chosen number.
    Raise,
    /// Lower it.
    Lower,
    /// Choose which number that is.
    Field,
    /// Take the last change back.
    Undo,
    /// The next mode.
    Mode,
    /// The alarms have been seen.
    Acknowledge,
    /// All keys.
    Help,
    /// The next theme.
    Theme,
    /// Freeze the display, or go on.
    Freeze,
    /// Copy the why line.
    Copy,
    /// One step back.
    Back,
    /// Accept the choice.
    Choose,
    /// Yes.
    Yes,
    /// No.
    No,
    /// An action of the policy editor.
    Edit(EditorAction),
    /// A character into the filter.
    Type(char),
    /// Delete the character before the caret.
    Erase,
    /// Delete the word before the caret.
    EraseWord,
    /// Delete the line.
    EraseLine,
    /// Text was pasted.
    Paste(String),
    /// The terminal now has this many columns and rows.
    Resize(u16, u16),
    /// A snapshot has come.
    Arrived,
    /// No snapshot has come for this many milliseconds.
    Quiet(i64),
    /// The engine has ended: no snapshot will come any more.
    EngineGone,
    /// The engine's channel was full: this command did not reach it.
    NotSent(CommandId),
    /// This command's time for an answer is over. Nothing changes if it was answered.
    Unanswered(CommandId),
}

impl Action {
    /// Types into a line. An action that is no typing changes nothing.
    pub fn type_into(&self, line: &mut String) {
        match self {
            Self::Type(c) if !is_hostile(*c) => line.push(*c),
            Self::Paste(pasted) => line.push_str(tame(pasted).trim()),
            Self::Erase => drop(line.pop()),
            Self::EraseWord => {
                let kept = line.trim_end().rsplit_once(' ').map_or(0, |(head, _)| head.len() + 1);
                line.truncate(kept);
            }
            Self::EraseLine => line.clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::keymap::bindings::ctrl;

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
    fn together(a: KeyContext, b: KeyContext) -> bool {
        let screens = Screen::ALL.map(KeyContext::of);
        let others = [
            KeyContext::Moves,
            KeyContext::Drain,
            KeyContext::Confirm,
            KeyContext::Job,
            KeyContext::Pause,
            KeyContext::Help,
            KeyContext::Filter,
            KeyContext::Editor,
        ];
        let asks = [KeyContext::Saving, KeyContext::Line, KeyContext::Share, KeyContext::Conflict, KeyContext::Unsaved];
        let others = others.into_iter().chain(asks);
        screens.into_iter().chain(others).any(|now| a.covers(now) && b.covers(now))
    }

    #[test]
    fn no_key_means_two_things_at_once() {
        for (i, a) in BINDINGS.iter().enumerate() {
            for b in BINDINGS.iter().skip(i + 1).filter(|b| together(a.context, b.context)) {
                let apart = [
                    (KeyCondition::NotHeld, KeyCondition::Held),
                    (KeyCondition::Drains, KeyCondition::Paused),
                    (KeyCondition::WorkerRuns, KeyCondition::WorkerPaused),
                ]
                .contains(&(a.when, b.when));
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
            for binding in BINDINGS.iter().filter(|b| b.context.covers(KeyContext::of(screen))) {
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
            assert!(first.iter().all(|b| b.context.covers(KeyContext::of(screen))), "{screen:?}");
        }
    }
}
