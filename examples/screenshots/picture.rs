//! A frame as an SVG: a rectangle per run of background, a text per run of style. Block, gauge and braille characters
//! are drawn as shapes, so that a picture looks the same whatever fonts are installed.

use std::fmt::Write;

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

const CELL: (f64, f64) = (9.0, 19.0);
const MARGIN: f64 = 12.0;
const BASELINE: f64 = 14.5;

/// What the picture's terminal looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// Light on dark.
    Dark,
    /// Dark on light.
    Light,
}

impl Background {
    const fn defaults(self) -> (&'static str, &'static str) {
        match self {
            Self::Dark => ("#d6dae0", "#15181d"),
            Self::Light => ("#23272e", "#fbfbfa"),
        }
    }

    const fn sixteen(self) -> [&'static str; 16] {
        match self {
            Self::Dark => [
                "#2a2f37", "#d75f5f", "#87af5f", "#d7a65f", "#5f87d7", "#af87d7", "#5fafaf", "#c6c8cc", "#6c7380",
                "#f2777a", "#8fce8f", "#f2b866", "#84b4f5", "#cf9fe8", "#66cccc", "#ffffff",
            ],
            Self::Light => [
                "#23272e", "#b3261e", "#257a3e", "#945200", "#1f5fbf", "#7b2fa8", "#0b7285", "#c6c8cc", "#7b828c",
                "#d7372d", "#2f9a4e", "#b86800", "#3f7fdf", "#9b4fc8", "#1b92a5", "#ffffff",
            ],
        }
    }

    fn resolve(self, colour: Color, default: &str) -> String {
        let sixteen = self.sixteen();
        let index = match colour {
            Color::Reset => return default.to_owned(),
            Color::Rgb(r, g, b) => return format!("#{r:02x}{g:02x}{b:02x}"),
            Color::Indexed(index) => index,
            Color::Black => 0,
            Color::Red => 1,
            Color::Green => 2,
            Color::Yellow => 3,
            Color::Blue => 4,
            Color::Magenta => 5,
            Color::Cyan => 6,
            Color::Gray => 7,
            Color::DarkGray => 8,
            Color::LightRed => 9,
            Color::LightGreen => 10,
            Color::LightYellow => 11,
            Color::LightBlue => 12,
            Color::LightMagenta => 13,
            Color::LightCyan => 14,
            Color::White => 15,
        };
        match index {
            0..16 => sixteen[usize::from(index)].to_owned(),
            16..232 => {
                let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
                let n = index - 16;
                format!("#{:02x}{:02x}{:02x}", level(n / 36), level(n / 6 % 6), level(n % 6))
            }
            _ => {
                let grey = 8 + 10 * (index - 232);
                format!("#{grey:02x}{grey:02x}{grey:02x}")
            }
        }
    }
}

/// The colours and modifiers of a run of cells.
#[derive(PartialEq, Clone)]
struct RunStyle {
    fg: String,
    bg: Option<String>,
    modifiers: Modifier,
}

fn look(cell: &Cell, background: Background) -> RunStyle {
    let (text, paper) = background.defaults();
    let (fg, bg) = (background.resolve(cell.fg, text), background.resolve(cell.bg, paper));
    let reversed = cell.modifier.contains(Modifier::REVERSED);
    let (fg, bg) = if reversed { (bg, fg) } else { (fg, bg) };
    let modifiers = cell.modifier & (Modifier::BOLD | Modifier::DIM | Modifier::ITALIC | Modifier::UNDERLINED);
    RunStyle { fg, bg: (bg != paper).then_some(bg), modifiers }
}

/// A frame as an SVG.
pub fn svg(buffer: &Buffer, background: Background) -> String {
    let area = buffer.area;
    let (width, height) =
        (f64::from(area.width) * CELL.0 + 2.0 * MARGIN, f64::from(area.height) * CELL.1 + 2.0 * MARGIN);
    let (_, paper) = background.defaults();
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"14.9\" xml:space=\"preserve\">\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"{paper}\"/>\n"
    );
    for y in area.top()..area.bottom() {
        row(&mut out, buffer, y, background);
    }
    out.push_str("</svg>\n");
    out
}

/// Neighbouring cells of one style.
struct Run {
    look: RunStyle,
    x: u16,
    columns: u16,
    text: String,
}

fn runs(buffer: &Buffer, y: u16, background: Background) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut x = buffer.area.left();
    while x < buffer.area.right() {
        let cell = &buffer[(x, y)];
        let look = look(cell, background);
        let columns = (cell.symbol().width().max(1) as u16).min(buffer.area.right() - x);
        match runs.last_mut() {
            // After a wide character begins a new run: within a run a character takes one column.
            Some(run) if run.look == look && columns == 1 && usize::from(run.columns) == run.text.chars().count() => {
                run.columns += 1;
                run.text.push_str(cell.symbol());
            }
            _ => runs.push(Run { look, x, columns, text: cell.symbol().to_owned() }),
        }
        x += columns;
    }
    runs
}

fn row(out: &mut String, buffer: &Buffer, y: u16, background: Background) {
    let top = MARGIN + f64::from(y - buffer.area.top()) * CELL.1;
    let runs = runs(buffer, y, background);
    let left = |x: u16| MARGIN + f64::from(x - buffer.area.left()) * CELL.0;
    for run in &runs {
        if let Some(bg) = &run.look.bg {
            let (x, width) = (left(run.x), f64::from(run.columns) * CELL.0);
            let _ =
                writeln!(out, "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{}\" fill=\"{bg}\"/>", CELL.1);
        }
    }
    for run in &runs {
        words(out, run, left(run.x), top);
        if run.look.modifiers.contains(Modifier::UNDERLINED) {
            let (x, y, width) = (left(run.x), top + BASELINE + 2.0, f64::from(run.columns) * CELL.0);
            let fg = &run.look.fg;
            let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"1\" fill=\"{fg}\"/>");
        }
    }
}

fn words(out: &mut String, run: &Run, left: f64, top: f64) {
    let RunStyle { fg, modifiers, .. } = &run.look;
    let opacity = if modifiers.contains(Modifier::DIM) { " opacity=\"0.55\"" } else { "" };
    let mut shapes = String::new();
    let mut text = String::new();
    for (i, c) in run.text.chars().enumerate() {
        if shape(&mut shapes, c, left + i as f64 * CELL.0, top) {
            text.push(' ');
        } else {
            text.push(c);
        }
    }
    if !shapes.is_empty() {
        let _ = writeln!(out, "<path d=\"{shapes}\" fill=\"{fg}\"{opacity}/>");
    }
    let lead = text.chars().take_while(|c| *c == ' ').count();
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    let bold = if modifiers.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let italic = if modifiers.contains(Modifier::ITALIC) { " font-style=\"italic\"" } else { "" };
    let (x, y) = (left + lead as f64 * CELL.0, top + BASELINE);
    // Every character has its own place: whatever the font's advance is, columns stay columns.
    let places: Vec<String> = (0..text.chars().count()).map(|i| format!("{}", x + i as f64 * CELL.0)).collect();
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{y}\" fill=\"{fg}\"{bold}{italic}{opacity}>{escaped}</text>",
        places.join(" ")
    );
}

/// Draws a character that is a shape; `false` if it is a letter.
fn shape(path: &mut String, c: char, x: f64, y: f64) -> bool {
    let (w, h) = CELL;
    let mut rect = |dx: f64, dy: f64, width: f64, height: f64| {
        let _ = write!(path, "M{:.2} {:.2}h{width:.2}v{height:.2}h-{width:.2}z", x + dx, y + dy);
    };
    let middle = (h - 1.0) / 2.0;
    match c {
        '\u{2581}'..='\u{2588}' => {
            let eighths = f64::from(c as u32 - 0x2580);
            rect(0.5, h * (1.0 - eighths / 8.0), w - 1.0, h * eighths / 8.0);
        }
        '▰' => rect(0.75, h * 0.3, w - 1.5, h * 0.4),
        '▱' => {
            rect(0.75, h * 0.3, w - 1.5, 1.0);
            rect(0.75, h * 0.7 - 1.0, w - 1.5, 1.0);
            rect(0.75, h * 0.3, 1.0, h * 0.4);
            rect(w - 1.75, h * 0.3, 1.0, h * 0.4);
        }
        '─' => rect(0.0, middle, w, 1.0),
        '╌' => rect(1.0, middle, w * 0.55, 1.0),
        '│' => rect(w / 2.0, 0.0, 1.0, h),
        '┤' => {
            rect(w / 2.0, 0.0, 1.0, h);
            rect(0.0, middle, w / 2.0, 1.0);
        }
        '┼' => {
            rect(w / 2.0, 0.0, 1.0, h / 2.0);
            rect(0.0, middle, w, 1.0);
        }
        '┴' => {
            rect(0.0, middle, w, 1.0);
            rect(w / 2.0, middle - 3.0, 1.0, 3.0);
        }
        '┌' | '┐' | '└' | '┘' => {
            let (down, right) = (matches!(c, '┌' | '┐'), matches!(c, '┌' | '└'));
            rect(if right { w / 2.0 } else { 0.0 }, middle, w / 2.0 + 1.0, 1.0);
            rect(w / 2.0, if down { middle } else { 0.0 }, 1.0, h / 2.0);
        }
        '\u{2800}'..='\u{28ff}' => {
            let bits = c as u32 - 0x2800;
            for (bit, (column, row)) in
                [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)].into_iter().enumerate()
            {
                if bits & (1 << bit) != 0 {
                    rect(1.2 + f64::from(column) * w / 2.0, 1.4 + f64::from(row) * h / 4.0, 2.2, 2.2);
                }
            }
        }
        _ => return false,
    }
    true
}
