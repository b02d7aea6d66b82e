//! The table itself.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::{Action, Binding, HelpGroup, KeyCondition, KeyContext};
use crate::console::editor::{CursorMove, Deletion, EditorAction};

const fn ch(c: char) -> KeyEvent {
    code(KeyCode::Char(c))
}

pub(super) const fn ctrl(c: char) -> KeyEvent {
    with_ctrl(KeyCode::Char(c))
}

const fn code(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::NONE)
}

const fn with_ctrl(code: KeyCode) -> KeyEvent {
    KeyEvent::new(code, KeyModifiers::CONTROL)
}

macro_rules! keys {
    ($($context:ident $group:ident $shown:literal [$($key:expr),+] $action:ident $(($edit:expr))? $when:ident $short:literal $help:literal;)*) => {
        &[$(Binding {
            context: KeyContext::$context,
            keys: &[$($key),+],
            shown: $shown,
            action: Action::$action$(($edit))?,
            when: KeyCondition::$when,
            short: $short,
            help: $help,
            group: HelpGroup::$group,
        }),*]
    };
}

/// Every key, the most wanted first: a footer too narrow for all of them shows those.
pub const BINDINGS: &[Binding] = keys! {
    Everywhere Console "ctrl-c" [ctrl('c')] Quit Always "" "quit, whatever is open";
    Everywhere Console "ctrl-z" [ctrl('z')] Suspend Always "" "to the shell; fg comes back";

    Acting Vm "a" [ch('a')] Approve Waits "approve" "approve the request that waits";
    Acting Vm "d" [ch('d')] Deny Waits "deny" "deny it";
    Acting Vm "x" [ch('x')] Abort Migrates "abort" "abort its migration (asks first)";
    Screens Cluster "A" [ch('A')] Acknowledge Alarms "acknowledge" "the alarms have been seen";
    Fleet Vm "enter" [code(KeyCode::Enter)] Open Selected "open" "its screen: its past, decisions, settings, moves; of a site VM its queue";
    Queue Queue "P" [ch('P')] Pause WorkerRuns "pause" "pause its worker: asks why and for how long; the job in hand is finished";
    Queue Queue "P" [ch('P')] GoOn WorkerPaused "go on" "have it go on (asks first)";
    Queue Queue "r" [ch('r')] Retry SetAside "retry" "try the marked jobs that were set aside again, or the selected one (asks first)";
    Queue Queue "b" [ch('b')] Return Claimed "give back" "return its claim: what is left of the page waits again (asks first)";
    Queue Queue "enter" [code(KeyCode::Enter)] Choose JobSelected "job" "the selected job in full, with its error";
    Acting Vm "m" [ch('m')] Moves Selected "move" "move it: every destination, and what the gates say";
    Acting Vm "h" [ch('h')] Hold NotHeld "hold" "hold it where it is";
    Acting Vm "h" [ch('h')] Release Held "release" "release it from a hold, from flapping, from a move of unknown outcome";
    Queue Queue "c" [ch('c')] NextClaim MoreClaims "claim" "the jobs of its next claim";
    Queue Vm "V" [ch('V')] Open Selected "VM" "its own screen: its past, decisions, settings, moves";
    Queue Queue "tab" [code(KeyCode::Tab)] NextQueue Always "" "the next VM with a queue; shift-tab the one before";
    Queue Queue "" [code(KeyCode::BackTab)] PreviousQueue Always "" "";
    Graphs Graph "[ ]" [ch('[')] ZoomIn Always "zoom" "a shorter and a longer stretch of time";
    Graphs Graph "" [ch(']')] ZoomOut Always "" "";
    Vm Graph "< >" [ch('<'), code(KeyCode::Left)] Earlier Always "pan" "back and forth in time; also left, right";
    Vm Graph "" [ch('>'), code(KeyCode::Right)] Later Always "" "";
    Vm Graph ", ." [ch(',')] CursorBack Always "cursor" "the value under the cursor: one reading back, one on";
    Vm Graph "" [ch('.')] CursorOn Always "" "";
    Vm Graph "( )" [ch('(')] EventBack Always "event" "the cursor to the move, edit, gap or rest before, after";
    Vm Graph "" [ch(')')] EventOn Always "" "";
    Vm Graph "n" [ch('n'), code(KeyCode::Home), code(KeyCode::End)] Now Always "now" "back to the present; also home, end";
    Activity Graph "c" [ch('c')] Scope Selected "cluster/VM" "the whole cluster, or the selected VM alone";
    Acting Policy "e" [ch('e')] Edit(EditorAction::Open) Selected "edit" "edit its policy, or the marked VMs', and see what it would have done";
    Acting Cluster "D" [ch('D')] Drain Always "drain" "empty a host: where its VMs would go; start, pause, release";
    Acting Policy "+ -" [ch('+'), ch('=')] Raise Selected "change" "raise and lower the chosen number";
    Acting Policy "" [ch('-')] Lower Selected "" "";
    Acting Policy "#" [ch('#')] Edit(EditorAction::Number) Selected "" "type the chosen number";
    Acting Policy "t" [ch('t')] Field Selected "which" "choose which: threshold, tarry, low threshold, low tarry";
    Acting Policy "u" [ch('u')] Undo Always "undo" "take the last change of a policy back";
    Fleet Table "/" [ch('/')] Filter Always "filter" "filter by name, service, policy, host, state; ! turns it round";
    Queue Table "/" [ch('/')] Filter Always "filter" "filter by number, tag, work, state; ! turns it round";
    Fleet Table "s" [ch('s')] Sort Always "sort" "sort by the next column";
    Fleet Table "S" [ch('S')] Reverse Always "" "sort from the other end";
    Fleet Table "space" [ch(' ')] Mark Selected "mark" "mark this row, or not, and go down: what is edited, all marked get";
    Queue Table "space" [ch(' ')] Mark JobSelected "mark" "mark this job, or not, and go down: what is tried again";
    Acting Queue "Q" [ch('Q')] Queue HasQueue "queue" "its job queue: what waits and why, its jobs, what happens next";
    Acting Console "v" [ch('v')] Activity Always "activity" "what was done: requests an hour, moves, hours and cost";
    Screens Console "esc" [code(KeyCode::Esc)] Back Always "back" "one step back: banner, cursor, screen, marks, filter, freeze";
    Screens Cluster "o" [ch('o')] Mode Always "mode" "observe, ask, auto: the next (asks before more is allowed)";
    Screens Console "p" [ch('p')] Freeze Always "freeze" "freeze the display; the engine goes on";
    Screens Console "?" [ch('?'), code(KeyCode::F(1))] Help Always "help" "this help";
    Screens Console "q" [ch('q')] Quit Always "quit" "quit";
    Acting Vm "y" [ch('y')] Copy Selected "" "copy the why line (OSC 52: works over ssh)";
    Screens Cluster "R" [ch('R')] Reload Always "" "read the config file again, where changes to it are not noticed";
    Screens Console "T" [ch('T')] Theme Always "" "dark, light, mono: the next theme";
    Tables Table "j k" [ch('j'), code(KeyCode::Down)] Down Always "" "down and up; also the arrows";
    Tables Table "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Activity Vm "j k" [ch('j'), code(KeyCode::Down), code(KeyCode::Tab)] Down Alone "next VM" "the next VM and the one before, of one VM's activity";
    Activity Vm "" [ch('k'), code(KeyCode::Up), code(KeyCode::BackTab)] Up Alone "" "";
    Vm Vm "j k" [ch('j'), code(KeyCode::Down), code(KeyCode::Tab)] Down Selected "next VM" "the next VM and the one before, as Fleet lists them; also tab";
    Vm Vm "" [ch('k'), code(KeyCode::Up), code(KeyCode::BackTab)] Up Selected "" "";
    Tables Table "pgdn pgup" [code(KeyCode::PageDown), ctrl('d')] PageDown Always "" "a page; also ctrl-d, ctrl-u";
    Tables Table "" [code(KeyCode::PageUp), ctrl('u')] PageUp Always "" "";
    Tables Table "g G" [ch('g'), code(KeyCode::Home)] First Always "" "first and last; also home, end";
    Tables Table "" [ch('G'), code(KeyCode::End)] Last Always "" "";

    Moves Vm "j k" [ch('j'), code(KeyCode::Down)] Down Always "choose" "";
    Moves Vm "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Moves Vm "" [ch('g'), code(KeyCode::Home)] First Always "" "";
    Moves Vm "" [ch('G'), code(KeyCode::End)] Last Always "" "";
    Moves Vm "" [code(KeyCode::PageDown)] PageDown Always "" "";
    Moves Vm "" [code(KeyCode::PageUp)] PageUp Always "" "";
    Moves Vm "enter" [code(KeyCode::Enter)] Choose Always "move there" "";
    Moves Console "esc" [code(KeyCode::Esc), ch('q'), ch('m')] Back Always "leave" "";

    Drain Cluster "j k" [ch('j'), code(KeyCode::Down)] Down Always "choose" "";
    Drain Cluster "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Drain Cluster "" [ch('g'), code(KeyCode::Home)] First Always "" "";
    Drain Cluster "" [ch('G'), code(KeyCode::End)] Last Always "" "";
    Drain Cluster "enter" [code(KeyCode::Enter)] Choose CanDrain "drain it" "";
    Drain Cluster "p" [ch('p')] PauseDrain Drains "pause" "";
    Drain Cluster "p" [ch('p')] ResumeDrain Paused "go on" "";
    Drain Cluster "r" [ch('r')] Undrain Drained "release" "";
    Drain Cluster "" [code(KeyCode::PageDown)] PageDown Always "" "";
    Drain Cluster "" [code(KeyCode::PageUp)] PageUp Always "" "";
    Drain Console "esc" [code(KeyCode::Esc), ch('q'), ch('D')] Back Always "leave" "";

    Confirm Vm "y" [ch('y'), ch('Y')] Yes Always "yes" "";
    Confirm Vm "n" [ch('n'), ch('N'), code(KeyCode::Esc), ch('q')] No Always "no" "";

    Job Queue "r" [ch('r')] Retry SetAside "retry" "";
    Job Queue "j k" [ch('j'), code(KeyCode::Down)] Down Always "next" "";
    Job Queue "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Job Console "esc" [code(KeyCode::Esc), ch('q'), code(KeyCode::Enter)] Back Always "leave" "";

    Pause Queue "enter" [code(KeyCode::Enter)] Choose Always "pause it" "";
    Pause Queue "tab" [code(KeyCode::Tab), code(KeyCode::Down)] OtherLine Always "other line" "";
    Pause Queue "" [code(KeyCode::BackTab), code(KeyCode::Up)] OtherLine Always "" "";
    Pause Queue "esc" [code(KeyCode::Esc)] Back Always "leave it" "";
    Pause Queue "" [code(KeyCode::Backspace), ctrl('h')] Erase Always "" "";
    Pause Queue "ctrl-w" [ctrl('w')] EraseWord Always "word back" "";
    Pause Queue "ctrl-u" [ctrl('u')] EraseLine Always "empty" "";

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

    Editor Editor "F2 ctrl-o" [code(KeyCode::F(2)), ctrl('o')] Edit(EditorAction::Save) Always "save & apply" "save into the config file and apply; refused while something is wrong";
    Editor Editor "esc" [code(KeyCode::Esc)] Edit(EditorAction::Leave) Always "leave" "leave; asks if something is not saved";
    Editor Editor "F5" [code(KeyCode::F(5)), ctrl('f')] Edit(EditorAction::Fewer) Always "fewer moves" "the nearest bound with fewer moves: e F5 F2 eases one; also ctrl-f";
    Editor Editor "F9" [code(KeyCode::F(9)), ctrl('t')] Edit(EditorAction::Scope) Shared "its own" "of a shared block: edit it, or give the VM its own; also ctrl-t";
    Editor Editor "F6" [code(KeyCode::F(6)), ctrl('g')] Edit(EditorAction::More) Always "" "to the nearest one with more moves; also ctrl-g";
    Editor Editor "tab" [code(KeyCode::Tab)] Edit(EditorAction::Next) Always "values" "select the next value, to type over it; shift-tab the one before";
    Editor Editor "" [code(KeyCode::BackTab)] Edit(EditorAction::Previous) Always "" "";
    Editor Editor "ctrl-u" [ctrl('u')] Edit(EditorAction::Undo) Always "undo" "take the last step back";
    Editor Editor "ctrl-r" [ctrl('r')] Edit(EditorAction::Redo) Always "" "do it again";
    Editor Editor "F3" [code(KeyCode::F(3)), ctrl('y')] Edit(EditorAction::SaveWhy) Always "save, why" "save and say why, for those who ask later; also ctrl-y";
    Editor Editor "F8" [code(KeyCode::F(8)), ctrl('d')] Edit(EditorAction::Days) Always "days" "what-if over 1, 3, 7, 14, 30 days: the next; also ctrl-d";
    Editor Editor "F7" [code(KeyCode::F(7))] Edit(EditorAction::Shorter) Always "" "the shorter one";
    Editor Editor "F1" [code(KeyCode::F(1))] Help Always "help" "this help";
    Editor Editor "" [code(KeyCode::Enter)] Edit(EditorAction::Newline) Always "" "";
    Editor Editor "" [code(KeyCode::Left)] Edit(EditorAction::Go(CursorMove::Back)) Always "" "";
    Editor Editor "" [code(KeyCode::Right)] Edit(EditorAction::Go(CursorMove::Forward)) Always "" "";
    Editor Editor "" [code(KeyCode::Up)] Edit(EditorAction::Go(CursorMove::Up)) Always "" "";
    Editor Editor "" [code(KeyCode::Down)] Edit(EditorAction::Go(CursorMove::Down)) Always "" "";
    Editor Editor "" [with_ctrl(KeyCode::Left)] Edit(EditorAction::Go(CursorMove::WordBack)) Always "" "";
    Editor Editor "" [with_ctrl(KeyCode::Right)] Edit(EditorAction::Go(CursorMove::WordForward)) Always "" "";
    Editor Editor "" [code(KeyCode::Home)] Edit(EditorAction::Go(CursorMove::Head)) Always "" "";
    Editor Editor "" [code(KeyCode::End), ctrl('e')] Edit(EditorAction::Go(CursorMove::End)) Always "" "";
    Editor Editor "" [code(KeyCode::PageUp)] Edit(EditorAction::Go(CursorMove::Top)) Always "" "";
    Editor Editor "" [code(KeyCode::PageDown)] Edit(EditorAction::Go(CursorMove::Bottom)) Always "" "";
    Editor Editor "" [code(KeyCode::Backspace), ctrl('h')] Edit(EditorAction::Cut(Deletion::Before)) Always "" "";
    Editor Editor "" [code(KeyCode::Delete)] Edit(EditorAction::Cut(Deletion::Behind)) Always "" "";
    Editor Editor "ctrl-w" [ctrl('w')] Edit(EditorAction::Cut(Deletion::Word)) Always "" "the word before the caret goes; ctrl-k: the rest of the line";
    Editor Editor "" [ctrl('k')] Edit(EditorAction::Cut(Deletion::Rest)) Always "" "";

    Saving Editor "esc" [code(KeyCode::Esc)] Edit(EditorAction::StopWaiting) Always "wait no longer" "";

    Line Editor "enter" [code(KeyCode::Enter)] Edit(EditorAction::Take) Always "take it" "";
    Line Editor "esc" [code(KeyCode::Esc)] Edit(EditorAction::GoOn) Always "leave it" "";
    Line Editor "" [code(KeyCode::Backspace), ctrl('h')] Erase Always "" "";
    Line Editor "ctrl-w" [ctrl('w')] EraseWord Always "word back" "";
    Line Editor "ctrl-u" [ctrl('u')] EraseLine Always "empty" "";

    Share Editor "b" [ch('b'), ch('y')] Edit(EditorAction::TheBlock) Always "the block" "change the block, for everybody who uses it";
    Share Editor "o" [ch('o')] Edit(EditorAction::ItsOwn) Always "its own" "make it a block of its own, for this alone";
    Share Editor "esc" [code(KeyCode::Esc), ch('n'), ch('q')] Edit(EditorAction::GoOn) Always "neither" "neither";

    Conflict Editor "m" [ch('m')] Edit(EditorAction::Mine) Always "save mine" "save mine over it";
    Conflict Editor "t" [ch('t')] Edit(EditorAction::Theirs) Always "take the file's" "take the file's, mine goes";
    Conflict Editor "esc" [code(KeyCode::Esc), ch('e'), ch('q')] Edit(EditorAction::GoOn) Always "go on editing" "go on editing, nothing is written";

    Unsaved Editor "l" [ch('l'), ch('y')] Edit(EditorAction::Lose) Always "lose them" "leave and lose them";
    Unsaved Editor "F2" [code(KeyCode::F(2)), ctrl('o'), ch('s')] Edit(EditorAction::Save) Always "save" "save and apply";
    Unsaved Editor "esc" [code(KeyCode::Esc), ch('n'), ch('q')] Edit(EditorAction::GoOn) Always "go on" "go on editing";
};
