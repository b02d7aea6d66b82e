//! The past of a VM as its screen shows it: what the history has sent, and the newest readings after that.

use std::borrow::Cow;
use std::sync::Arc;

use super::text::Zone;
use super::ui::{Ui, WINDOW};
use super::widgets::Graph;
use crate::core::cluster::{Span, Timestamp};
use crate::core::insight::Band;
use crate::core::policy::Bounds;
use crate::view::{Detail, HistoryView, LogLine, Mark, Past, PastAsk, Snapshot, Stretch};

/// Where the readings come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PastSource {
    /// From the history, for the stretch on screen.
    Told,
    /// The history is being read; until it is, what is known is shown.
    Reading,
    /// Only what the engine remembers, and why.
    Live(Arc<str>),
}

/// A sentence that says why there is no history.
pub fn without(why: &str) -> String {
    if why.starts_with("no history") { why.to_owned() } else { format!("no history: {why}") }
}

/// What is shown until the history has answered.
pub fn reading(ui: &Ui) -> &'static str {
    if ui.frozen { "frozen: p goes on and reads it" } else { "reading the history" }
}

/// Everything a graph of the past needs.
#[derive(Debug)]
pub struct ShownPast<'a> {
    /// Where it comes from.
    pub source: PastSource,
    /// The left edge.
    pub from: Timestamp,
    /// The right edge.
    pub to: Timestamp,
    /// Readings, oldest first.
    pub bands: Vec<Band>,
    /// Whether the bands have counts; those of the newest readings have none.
    pub counted: bool,
    /// Two bands further apart than this are not joined by a line.
    pub longest_step: Span,
    /// The bounds as they were, oldest first.
    pub bounds: Vec<(Timestamp, Bounds)>,
    /// Moves and edits, oldest first.
    pub marks: Cow<'a, [Mark]>,
    /// Missed readings.
    pub gaps: &'a [Stretch],
    /// Scheduled rests.
    pub rests: &'a [Stretch],
    /// Decisions and what became of them, newest first.
    pub decisions: &'a [Arc<LogLine>],
    /// The oldest reading there is.
    pub begins: Option<Timestamp>,
}

impl ShownPast<'_> {
    /// Its graph over the whole stretch; its right edge is the present.
    pub fn graph(&self, zone: Zone) -> Graph<'_> {
        Graph {
            bands: &self.bands,
            longest_step: self.longest_step,
            bounds: &self.bounds,
            marks: &self.marks,
            gaps: self.gaps,
            rests: self.rests,
            from: self.from,
            span: self.span(),
            live: true,
            zone,
            ..Graph::default()
        }
    }

    /// What happened, in order: moves, edits, begins of gaps and rests.
    pub fn events(&self) -> Vec<Timestamp> {
        let stretches = self.gaps.iter().chain(self.rests).map(|stretch| stretch.from);
        let mut events: Vec<Timestamp> = self.marks.iter().map(|mark| mark.at).chain(stretches).collect();
        events.sort_unstable();
        events.dedup();
        events
    }

    /// Whether an instant is between the edges.
    pub fn has(&self, at: Timestamp) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// From the left edge to the right one.
    pub fn span(&self) -> Span {
        self.to.since(self.from)
    }

    /// The reading nearest to an instant.
    pub fn nearest(&self, at: Timestamp) -> Option<&Band> {
        let read = self.bands.iter().filter(|band| band.samples > 0);
        read.min_by_key(|band| band.at.millis().abs_diff(at.millis()))
    }
}

/// The selected VM's past that the history has sent last, whatever its stretch.
pub fn of<'a>(ui: &Ui, snapshot: &'a Snapshot) -> Option<&'a Arc<Past>> {
    let row = ui.row()?;
    snapshot.past.as_ref().filter(|past| past.vm == row.name)
}

/// What the VM screen shows.
pub fn shown<'a>(ui: &Ui, snapshot: &'a Snapshot) -> ShownPast<'a> {
    of_stretch(ui, snapshot, ui.vm.ask(ui.size))
}

/// What is known of this stretch.
pub fn of_stretch<'a>(ui: &Ui, snapshot: &'a Snapshot, ask: PastAsk) -> ShownPast<'a> {
    let detail = ui.detail(snapshot).map(|detail| &**detail);
    let past = of(ui, snapshot).map(|past| &**past);
    let source = match (past, &snapshot.history) {
        // Without a history every read fails; why there is none says more.
        (None | Some(Past { trouble: Some(_), .. }), HistoryView::Off(why)) => PastSource::Live(without(why).into()),
        (Some(Past { trouble: Some(why), .. }), _) => {
            PastSource::Live(format!("the history cannot be read: {why}").into())
        }
        (Some(past), _) if past.ask == ask => PastSource::Told,
        _ => PastSource::Reading,
    };
    let past = past.filter(|past| past.trouble.is_none());
    let mut bands = past.map_or_else(Vec::new, |past| past.bands.clone());
    if let Some(detail) = detail {
        // Readings newer than the history's answer.
        bands.extend(detail.bands.iter().filter(|band| past.is_none_or(|past| band.at > past.to)));
    }
    let read_every = detail.map_or(Span::from_mins(5), |detail| detail.interval.scaled(5, 2));
    let to = ask.end.unwrap_or(snapshot.at);
    // Without a history only the engine's memory can be shown.
    let span = if matches!(source, PastSource::Live(_)) && ask.end.is_none() { ask.span.min(WINDOW) } else { ask.span };
    ShownPast {
        source,
        from: to - span,
        to,
        counted: past.is_some(),
        longest_step: past.map_or(read_every, |past| past.longest_step.max(read_every)),
        bounds: bounds(ui, past, to),
        marks: marks(past, detail),
        gaps: past.map_or(&[], |past| &past.gaps),
        rests: past.map_or(&[], |past| &past.rests),
        decisions: past.map_or(&[], |past| &past.decisions),
        begins: past.and_then(|past| past.begins).or(bands.first().map(|band| band.at)),
        bands,
    }
}

/// The bounds up to the right edge; the present ones if the history has none.
fn bounds(ui: &Ui, past: Option<&Past>, to: Timestamp) -> Vec<(Timestamp, Bounds)> {
    let known = past.map_or(&[][..], |past| &past.bounds);
    let held = known.iter().enumerate().filter(|(i, (at, _))| *i == 0 || *at <= to);
    let mut bounds: Vec<_> = held.map(|(_, bounds)| *bounds).collect();
    if let Some(row) = ui.row().filter(|_| bounds.is_empty()) {
        bounds.push((Timestamp::default(), row.bounds));
    }
    bounds
}

/// The history's marks, and newer ones.
fn marks<'a>(past: Option<&'a Past>, detail: Option<&'a Detail>) -> Cow<'a, [Mark]> {
    let live = detail.map_or(&[][..], |detail| &detail.marks);
    let Some(past) = past else { return Cow::Borrowed(live) };
    let newer = live.iter().filter(|mark| mark.at > past.to);
    if newer.clone().next().is_none() {
        return Cow::Borrowed(&past.marks);
    }
    past.marks.iter().chain(newer).cloned().collect()
}
