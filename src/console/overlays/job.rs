//! One job in full: what is to be done, how far it is, and its error.

use ratatui::layout::Rect;

use crate::console::text::wrap;
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, centred};
use crate::core::format::{duration, measured};
use crate::core::queue::JobState;
use crate::view::{JobLine, Snapshot};

/// Columns of a line's first word.
const WORD: u16 = 9;
/// The most lines of the work and of the error.
const LINES: usize = 12;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, snapshot: &Snapshot, ui: &Ui) {
    let columns = area.width.min(100);
    let room = columns.saturating_sub(WORD + 5);
    let told = ui.jobs(snapshot).zip(ui.job(snapshot));
    let Some((jobs, job)) = told else {
        let at = centred(area, columns, 3);
        canvas.frame(at, "job");
        canvas.put(at.x + 2, at.y + 1, at.width.saturating_sub(4), "it is being read", Role::Quiet);
        return;
    };
    let wrapped = |text: &str| wrap(text, usize::from(room), LINES, canvas.glyphs.cut);
    let mut lines: Vec<(&str, String, Role)> = Vec::new();
    let mut say = |word: &'static str, texts: Vec<String>, role: Role| {
        for (n, text) in texts.into_iter().enumerate() {
            lines.push((if n == 0 { word } else { "" }, text, role));
        }
    };
    if !job.tag.is_empty() {
        say("grade", vec![job.tag.to_string()], Role::Text);
    }
    say("work", wrapped(&job.work), Role::Strong);
    say("state", vec![state(job, snapshot, ui)], Role::Text);
    if job.state == JobState::SetAside {
        let error = jobs.error.as_ref().filter(|(number, _)| *number == job.number);
        say("error", error.map_or_else(|| vec!["reading it".to_owned()], |(_, text)| wrapped(text)), Role::Alarm);
    }
    let at = centred(area, columns, lines.len() as u16 + 2);
    canvas.frame(at, &format!("job {} of {}", job.number, jobs.page));
    for (y, (word, text, role)) in (at.y + 1..at.bottom().saturating_sub(1)).zip(&lines) {
        canvas.put(at.x + 2, y, WORD, word, Role::Quiet);
        canvas.put(at.x + 2 + WORD, y, at.right().saturating_sub(at.x + WORD + 4), text, *role);
    }
}

/// `in hand since 14:40:11, for 4 min 12 s, try 2`.
fn state(job: &JobLine, snapshot: &Snapshot, ui: &Ui) -> String {
    let mut text = job.state.word().to_owned();
    if let Some(since) = job.since {
        let runs = duration(snapshot.at.since(since));
        text.push_str(&format!(" since {}, for {runs}", ui.zone.stamp(since, snapshot.at)));
    }
    if let Some(took) = job.took {
        text.push_str(&format!(", took {}", measured(took)));
    }
    match (job.attempt, job.state) {
        (0, _) => {}
        (n, JobState::InHand) => text.push_str(&format!(", try {n}")),
        (1, _) => text.push_str(" once; its worker died, or it failed"),
        (n, _) => text.push_str(&format!(" {n} times")),
    }
    text
}
