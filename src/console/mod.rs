//! The terminal: what the operator sees and says.
//!
//! ```text
//! term      the terminal itself: entered, left exactly once, watched for hang-up
//! run       the loop: input first, then data, then a frame if something changed
//! keymap/   one table of keys: dispatch, footer and help
//! update/   Action in, screen state and effects out (pure)
//! ui/       the screen state: names and choices
//! listing   which rows, in which order
//! past      what of a VM's past is on its screen
//! screens/  Fleet, VM, Activity (and room for Arrays, Queue, Approvals)
//! editor/   a policy's text, and what it would have done
//! overlays/ what lies over a screen: moves, a question, help
//! widgets/  chart, sparkline, gauge, and the canvas they are drawn with
//! theme     roles and their styles       glyph  the characters
//! ```
//! It knows `view` and the core's types in it, never an edge or the runtime.

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

pub use editor::{CaretMove, Deletion, Editor, EditorAction, NumberChange, Prompt, ScopedChange};
pub use keymap::{Action, Binding, HelpGroup, KeyChord, KeyContext, dispatch, help};
pub use listing::{ByName, Listing, SortBy, arrange, urgency};
pub use run::{ExitReason, Options, first_look, run};
pub use term::has_terminal;
pub use text::Zone;
pub use theme::{Colours, Glyphs, Role, Theme, ThemeError, ThemeName};
pub use ui::{ActivityUi, Notice, Overlay, Screen, Tone, Ui, UiEffect, VmUi};
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
        Screen::Activity => screens::activity::draw(&mut canvas, area, snapshot, ui),
    }
    overlays::draw(&mut canvas, area, snapshot, ui);
}
