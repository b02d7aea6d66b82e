//! The terminal: what the operator sees and does.
//!
//! | file | its story |
//! | --- | --- |
//! | `run` | the loop: input first, then data, then a frame if something changed |
//! | `term` | the terminal: entered once, left exactly once, watched for a hang-up |
//! | `ui` | the state of the screen: names and choices |
//! | `keymap` | one table of keys for dispatch, footer and help |
//! | `update` | an action in, screen state and effects out (pure) |
//! | `listing` | which rows the table shows, in which order |
//! | `past` | the past of a VM as its screen shows it |
//! | `step` | the numbers of a policy that keys change, and by how much |
//! | `screens` | Fleet, VM, Activity, Queue |
//! | `editor` | a policy's text, and what the policy would have done |
//! | `overlays` | what lies over a screen: dialogs, a question, help |
//! | `widgets` | the canvas, gauges, sparklines, graphs |
//! | `theme` | roles and their styles, and the characters |
//! | `text` | text measured and cut by display width, clocks |
//!
//! It knows `view` and the core's types in it, never an edge or the runtime. Code that draws does not know `update`.

mod editor;
mod keymap;
mod listing;
mod overlays;
mod past;
mod run;
mod screens;
mod step;
mod term;
mod text;
mod theme;
mod ui;
mod update;
mod widgets;

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

pub use editor::{CursorMove, Deletion, Editor, EditorAction, NumberChange, Prompt};
pub use keymap::{Action, Binding, HelpGroup, KeyContext, dispatch, help};
pub use listing::{Listing, SortBy};
pub use run::{Options, first_look, run};
pub use term::has_terminal;
pub use text::Zone;
pub use theme::{Colours, Glyphs, Role, Theme, ThemeName};
pub use ui::{ActivityUi, Deed, Notice, Overlay, PauseForm, QueueUi, Screen, Tone, Ui, UiEffect, VmUi};
pub use update::update;

use crate::view::Snapshot;

/// The smallest terminal that shows a screen, in columns and rows.
pub const MINIMUM: (u16, u16) = (40, 10);

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, ui: &Ui, theme: &Theme) {
    let area = frame.area();
    paint(frame.buffer_mut(), area, snapshot, ui, theme);
}

/// Draws one frame without a terminal, for screenshots and tests.
pub fn render(snapshot: &Snapshot, ui: &Ui, theme: &Theme, width: u16, height: u16) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    paint(&mut buffer, area, snapshot, ui, theme);
    buffer
}

fn paint(buffer: &mut Buffer, area: Rect, snapshot: &Snapshot, ui: &Ui, theme: &Theme) {
    let mut canvas = widgets::Canvas::new(buffer, theme, ui.glyphs);
    if area.width < MINIMUM.0 || area.height < MINIMUM.1 {
        return screens::too_small(&mut canvas, area);
    }
    if let Some(editor) = &ui.editor {
        editor::draw(&mut canvas, area, editor, snapshot, ui);
        return overlays::draw(&mut canvas, area, snapshot, ui);
    }
    match ui.screen {
        Screen::Fleet => screens::fleet::draw(&mut canvas, area, snapshot, ui),
        Screen::Vm => screens::vm::draw(&mut canvas, area, snapshot, ui),
        Screen::Queue => screens::queue::draw(&mut canvas, area, snapshot, ui),
        Screen::Activity => screens::activity::draw(&mut canvas, area, snapshot, ui),
    }
    overlays::draw(&mut canvas, area, snapshot, ui);
}
