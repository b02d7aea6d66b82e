//! One table of keys: it dispatches, it is the footer, and it is the help. So none of them can drift.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::ui::{Overlay, Ui};
use crate::core::engine::{Phase, VmState};
use crate::view::{Snapshot, VmRow};

/// Something the operator, the terminal or the engine does to the screen.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Leave.
    Quit,
    /// To the shell and back.
    Suspend,
    /// To the next line.
    Down,
    /// To the line before.
    Up,
    /// A page on.
    PageDown,
    /// A page back.
    PageUp,
    /// To the first line.
    First,
    /// To the last line.
    Last,
    /// Narrow the table.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Sort from the other end.
    Reverse,
    /// Open the move dialog.
    Moves,
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
    /// Stand still, or go on.
    Freeze,
    /// Copy the why line.
    Copy,
    /// One step back.
    Back,
    /// Take this.
    Choose,
    /// Yes.
    Yes,
    /// No.
    No,
    /// A character into the filter.
    Type(char),
    /// The character before the caret goes.
    Erase,
    /// The word before the caret goes.
    EraseWord,
    /// The line goes.
    EraseLine,
    /// Text was pasted.
    Paste(String),
    /// The terminal has so many columns and rows.
    Resize(u16, u16),
    /// A snapshot has come.
    Arrived,
    /// None has come for so many milliseconds.
    Quiet(i64),
    /// None will come any more.
    EngineGone,
    /// The engine's channel was full: the last command did not reach it.
    NotSent,
}

/// What takes the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Always.
    Everywhere,
    /// The Fleet screen.
    Fleet,
    /// The move dialog.
    Moves,
    /// A question.
    Confirm,
    /// The help.
    Help,
    /// A filter being typed.
    Filter,
}

/// When a key does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// A VM is selected.
    Selected,
    /// The selected VM's request waits.
    Waits,
    /// The selected VM's migration runs.
    Migrates,
    /// The selected VM is held.
    Held,
    /// The selected VM is not held.
    NotHeld,
    /// There are alarms.
    Alarms,
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
    /// The console.
    Console,
}

impl Group {
    /// Its heading.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Vm => "the selected VM",
            Self::Policy => "its policy, in the running engine",
            Self::Cluster => "the cluster",
            Self::Table => "the table",
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

const fn ch(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: false }
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn code(code: KeyCode) -> Key {
    Key { code, ctrl: false }
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

macro_rules! keys {
    ($($context:ident $group:ident $shown:literal [$($key:expr),+] $action:ident $when:ident $short:literal $help:literal;)*) => {
        &[$(Binding {
            context: Context::$context,
            keys: &[$($key),+],
            shown: $shown,
            action: Action::$action,
            when: When::$when,
            short: $short,
            help: $help,
            group: Group::$group,
        }),*]
    };
}

/// Every key, the most wanted first: a footer too narrow for all of them shows those.
pub const BINDINGS: &[Binding] = keys! {
    Everywhere Console "ctrl-c" [ctrl('c')] Quit Always "" "quit, whatever is open";
    Everywhere Console "ctrl-z" [ctrl('z')] Suspend Always "" "to the shell; fg comes back";

    Fleet Vm "a" [ch('a')] Approve Waits "approve" "approve the request that waits";
    Fleet Vm "d" [ch('d')] Deny Waits "deny" "deny it";
    Fleet Vm "x" [ch('x')] Abort Migrates "abort" "abort its migration (asks first)";
    Fleet Cluster "A" [ch('A')] Acknowledge Alarms "acknowledge" "the alarms have been seen";
    Fleet Vm "m" [ch('m')] Moves Selected "move" "move it: every destination, and what the gates say";
    Fleet Vm "h" [ch('h')] Hold NotHeld "hold" "hold it where it is";
    Fleet Vm "h" [ch('h')] Release Held "release" "release it from a hold, or from flapping";
    Fleet Policy "+ -" [ch('+'), ch('=')] Raise Selected "change" "raise and lower the chosen number";
    Fleet Policy "" [ch('-')] Lower Selected "" "";
    Fleet Policy "t" [ch('t')] Field Selected "which" "choose which: threshold, tarry, low threshold, low tarry";
    Fleet Policy "u" [ch('u')] Undo Always "undo" "take the last change of a number back";
    Fleet Table "/" [ch('/')] Filter Always "filter" "filter by name, service, policy, host, state; ! turns it round";
    Fleet Table "s" [ch('s')] Sort Always "sort" "sort by the next column";
    Fleet Table "S" [ch('S')] Reverse Always "" "sort from the other end";
    Fleet Console "esc" [code(KeyCode::Esc)] Back Always "" "one step back: banner, filter, freeze";
    Fleet Cluster "o" [ch('o')] Mode Always "mode" "observe, ask, auto: the next (asks before more is allowed)";
    Fleet Console "p" [ch('p')] Freeze Always "freeze" "freeze the display; the engine goes on";
    Fleet Console "?" [ch('?'), code(KeyCode::F(1))] Help Always "help" "this help";
    Fleet Console "q" [ch('q')] Quit Always "quit" "quit";
    Fleet Console "y" [ch('y')] Copy Selected "" "copy the why line (OSC 52: works over ssh)";
    Fleet Console "T" [ch('T')] Theme Always "" "dark, light, mono: the next theme";
    Fleet Table "j k" [ch('j'), code(KeyCode::Down)] Down Always "" "down and up; also the arrows";
    Fleet Table "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Fleet Table "pgdn pgup" [code(KeyCode::PageDown), ch(' '), ctrl('d')] PageDown Always "" "a page; also space, ctrl-d, ctrl-u";
    Fleet Table "" [code(KeyCode::PageUp), ctrl('u')] PageUp Always "" "";
    Fleet Table "g G" [ch('g'), code(KeyCode::Home)] First Always "" "first and last; also home, end";
    Fleet Table "" [ch('G'), code(KeyCode::End)] Last Always "" "";

    Moves Vm "j k" [ch('j'), code(KeyCode::Down)] Down Always "choose" "";
    Moves Vm "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Moves Vm "" [ch('g'), code(KeyCode::Home)] First Always "" "";
    Moves Vm "" [ch('G'), code(KeyCode::End)] Last Always "" "";
    Moves Vm "" [code(KeyCode::PageDown)] PageDown Always "" "";
    Moves Vm "" [code(KeyCode::PageUp)] PageUp Always "" "";
    Moves Vm "enter" [code(KeyCode::Enter)] Choose Always "move there" "";
    Moves Console "esc" [code(KeyCode::Esc), ch('q'), ch('m')] Back Always "leave" "";

    Confirm Vm "y" [ch('y'), ch('Y')] Yes Always "yes" "";
    Confirm Vm "n" [ch('n'), ch('N'), code(KeyCode::Esc), ch('q')] No Always "no" "";

    Help Table "j k" [ch('j'), code(KeyCode::Down)] Down Always "scroll" "";
    Help Table "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Help Table "" [code(KeyCode::PageDown), ch(' ')] PageDown Always "" "";
    Help Table "" [code(KeyCode::PageUp)] PageUp Always "" "";
    Help Table "" [ch('g'), code(KeyCode::Home)] First Always "" "";
    Help Table "" [ch('G'), code(KeyCode::End)] Last Always "" "";
    Help Console "esc" [code(KeyCode::Esc), ch('q'), ch('?'), code(KeyCode::F(1)), code(KeyCode::Enter)] Back Always "leave" "";

    Filter Table "enter" [code(KeyCode::Enter)] Choose Always "keep" "";
    Filter Table "esc" [code(KeyCode::Esc)] Back Always "clear" "";
    Filter Table "" [code(KeyCode::Down)] Down Always "" "";
    Filter Table "" [code(KeyCode::Up)] Up Always "" "";
    Filter Table "" [code(KeyCode::Backspace), ctrl('h')] Erase Always "" "";
    Filter Table "ctrl-w" [ctrl('w')] EraseWord Always "word back" "";
    Filter Table "ctrl-u" [ctrl('u')] EraseLine Always "empty" "";
};

/// What takes the keys now.
pub fn context(ui: &Ui) -> Context {
    match ui.overlays.last() {
        None => Context::Fleet,
        Some(Overlay::Help { .. }) => Context::Help,
        Some(Overlay::Moves { .. }) => Context::Moves,
        Some(Overlay::Confirm { .. }) => Context::Confirm,
        Some(Overlay::Filter { .. }) => Context::Filter,
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
    for binding in BINDINGS.iter().filter(|b| b.context == Context::Everywhere || b.context == context) {
        let leaves = matches!(binding.action, Action::Quit | Action::Suspend);
        if !binding.keys.contains(&key) || blind && !leaves {
            continue;
        }
        if binding.when.holds(ui, snapshot) {
            return Some(Ok(binding.action.clone()));
        }
        missing = missing.or(Some(Err(binding.when.missing(snapshot))));
    }
    match key {
        Key { code: KeyCode::Char(c), ctrl: false } if context == Context::Filter => Some(Ok(Action::Type(c))),
        _ => missing,
    }
}

/// What can be done now, for the footer.
pub fn available<'a>(ui: &'a Ui, snapshot: &'a Snapshot) -> impl Iterator<Item = &'static Binding> + 'a {
    let context = context(ui);
    BINDINGS.iter().filter(move |b| b.context == context && !b.short.is_empty() && b.when.holds(ui, snapshot))
}

/// The keys of the help, by part.
pub fn help() -> Vec<(Group, Vec<&'static Binding>)> {
    let groups = [Group::Vm, Group::Policy, Group::Cluster, Group::Table, Group::Console];
    let of = |group| BINDINGS.iter().filter(move |b| b.group == group && !b.help.is_empty());
    groups.into_iter().map(|group| (group, of(group).collect())).collect()
}

impl When {
    /// Whether it is so now.
    pub fn holds(self, ui: &Ui, snapshot: &Snapshot) -> bool {
        let row = |test: fn(&VmRow) -> bool| ui.row().is_some_and(|row| test(row));
        match self {
            Self::Always => true,
            Self::Selected => ui.row().is_some(),
            Self::Waits => row(|row| row.waiting.is_some()),
            Self::Migrates => row(|row| row.migration.as_ref().is_some_and(|m| m.phase == Phase::Running)),
            Self::Held => row(is_held),
            Self::NotHeld => row(|row| !is_held(row)),
            Self::Alarms => !snapshot.alarms.is_empty(),
        }
    }

    /// Why a key does nothing when it is not so.
    const fn missing(self, snapshot: &Snapshot) -> &'static str {
        match self {
            Self::Waits if snapshot.totals.waiting > 0 => "it is another VM's request that waits",
            Self::Always | Self::Selected | Self::Held | Self::NotHeld => "no VM is selected",
            Self::Waits => "nothing waits for approval here",
            Self::Migrates => "no migration runs here",
            Self::Alarms => "no alarm to acknowledge",
        }
    }
}

fn is_held(row: &VmRow) -> bool {
    matches!(row.state, VmState::Held | VmState::Flapping)
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn no_key_means_two_things_at_once() {
        for (i, a) in BINDINGS.iter().enumerate() {
            for b in BINDINGS.iter().skip(i + 1).filter(|b| b.context == a.context) {
                let apart = (a.when, b.when) == (When::NotHeld, When::Held);
                assert!(apart || !a.keys.iter().any(|key| b.keys.contains(key)), "{:?} and {:?}", a.action, b.action);
            }
        }
    }

    #[test]
    fn every_key_of_the_fleet_screen_stands_in_the_help() {
        let helped: Vec<&Action> = help().iter().flat_map(|(_, bindings)| bindings.iter().map(|b| &b.action)).collect();
        for binding in BINDINGS.iter().filter(|b| b.context == Context::Fleet) {
            let paired = matches!(binding.action, Action::Up | Action::PageUp | Action::Last | Action::Lower);
            assert!(paired || helped.contains(&&binding.action), "{:?}", binding.action);
        }
    }
}
