//! The table itself.

use crossterm::event::KeyCode;

use super::{Action, Binding, Context, Group, Key, When};

const fn ch(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: false }
}

pub(super) const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn code(code: KeyCode) -> Key {
    Key { code, ctrl: false }
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

    Acting Vm "a" [ch('a')] Approve Waits "approve" "approve the request that waits";
    Acting Vm "d" [ch('d')] Deny Waits "deny" "deny it";
    Acting Vm "x" [ch('x')] Abort Migrates "abort" "abort its migration (asks first)";
    Screens Cluster "A" [ch('A')] Acknowledge Alarms "acknowledge" "the alarms have been seen";
    Fleet Vm "enter" [code(KeyCode::Enter)] Open Selected "open" "its screen: its past, decisions, settings, moves";
    Acting Vm "m" [ch('m')] Moves Selected "move" "move it: every destination, and what the gates say";
    Acting Vm "h" [ch('h')] Hold NotHeld "hold" "hold it where it is";
    Acting Vm "h" [ch('h')] Release Held "release" "release it from a hold, or from flapping";
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
    Acting Policy "+ -" [ch('+'), ch('=')] Raise Selected "change" "raise and lower the chosen number";
    Acting Policy "" [ch('-')] Lower Selected "" "";
    Acting Policy "t" [ch('t')] Field Selected "which" "choose which: threshold, tarry, low threshold, low tarry";
    Acting Policy "u" [ch('u')] Undo Always "undo" "take the last change of a number back";
    Fleet Table "/" [ch('/')] Filter Always "filter" "filter by name, service, policy, host, state; ! turns it round";
    Fleet Table "s" [ch('s')] Sort Always "sort" "sort by the next column";
    Fleet Table "S" [ch('S')] Reverse Always "" "sort from the other end";
    Fleet Table "space" [ch(' ')] Mark Selected "mark" "mark this row, or not, and go down: what is edited, all marked get";
    Screens Console "v" [ch('v')] Activity Always "activity" "what was done: requests an hour, moves, hours and cost";
    Screens Console "esc" [code(KeyCode::Esc)] Back Always "back" "one step back: banner, cursor, screen, marks, filter, freeze";
    Screens Cluster "o" [ch('o')] Mode Always "mode" "observe, ask, auto: the next (asks before more is allowed)";
    Screens Console "p" [ch('p')] Freeze Always "freeze" "freeze the display; the engine goes on";
    Screens Console "?" [ch('?'), code(KeyCode::F(1))] Help Always "help" "this help";
    Screens Console "q" [ch('q')] Quit Always "quit" "quit";
    Acting Vm "y" [ch('y')] Copy Selected "" "copy the why line (OSC 52: works over ssh)";
    Screens Console "T" [ch('T')] Theme Always "" "dark, light, mono: the next theme";
    Fleet Table "j k" [ch('j'), code(KeyCode::Down)] Down Always "" "down and up; also the arrows";
    Fleet Table "" [ch('k'), code(KeyCode::Up)] Up Always "" "";
    Graphs Vm "j k" [ch('j'), code(KeyCode::Down), code(KeyCode::Tab)] Down Selected "next VM" "the next VM and the one before, as Fleet lists them; also tab";
    Graphs Vm "" [ch('k'), code(KeyCode::Up), code(KeyCode::BackTab)] Up Selected "" "";
    Fleet Table "pgdn pgup" [code(KeyCode::PageDown), ctrl('d')] PageDown Always "" "a page; also ctrl-d, ctrl-u";
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
