//! What the VM screen remembers: which stretch of the past is shown, and the cursor in it.

use crate::core::cluster::{Span, Timestamp};
use crate::view::PastAsk;

/// The stretches a graph can show, shortest first: 10 minutes to a year.
const SPANS: [Span; 12] = [
    Span::from_mins(10),
    Span::from_mins(30),
    Span::from_hours(1),
    Span::from_hours(3),
    Span::from_hours(6),
    Span::from_hours(12),
    Span::from_hours(24),
    Span::from_hours(3 * 24),
    Span::from_hours(7 * 24),
    Span::from_hours(30 * 24),
    Span::from_hours(91 * 24),
    Span::from_hours(365 * 24),
];

/// The VM screen's choices. They stay when another VM is shown, so that two can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VmUi {
    /// Which of the spans.
    zoom: usize,
    /// The right edge; `None` = now, and it goes along.
    pub end: Option<Timestamp>,
    /// The instant under the cursor, while there is one.
    pub cursor: Option<Timestamp>,
}

impl Default for VmUi {
    fn default() -> Self {
        Self { zoom: 3, end: None, cursor: None }
    }
}

impl VmUi {
    /// From the left edge to the right one.
    pub fn span(&self) -> Span {
        SPANS[self.zoom]
    }

    /// The left and the right edge.
    pub fn edges(&self, now: Timestamp) -> (Timestamp, Timestamp) {
        let to = self.end.unwrap_or(now);
        (to - self.span(), to)
    }

    /// What the engine should send: a band for every column of dots there may be.
    pub fn ask(&self, size: (u16, u16)) -> PastAsk {
        PastAsk { end: self.end, span: self.span(), columns: size.0.saturating_mul(2) }
    }

    /// A shorter or a longer stretch around the cursor, or else around the middle; at the present it stays there.
    /// `false` if there is none.
    pub fn zoom(&mut self, out: bool, now: Timestamp) -> bool {
        let to = if out { self.zoom + 1 } else { self.zoom.wrapping_sub(1) };
        let Some(span) = SPANS.get(to) else { return false };
        let (from, _) = self.edges(now);
        let middle = self.cursor.unwrap_or(from + self.span().scaled(1, 2));
        if self.end.is_some() || self.cursor.is_some() {
            self.to(middle + span.scaled(1, 2), now);
        }
        self.zoom = to;
        true
    }

    /// Half a stretch back or on.
    pub fn pan(&mut self, back: bool, now: Timestamp) {
        let (_, end) = self.edges(now);
        let half = self.span().scaled(1, 2);
        self.to(if back { end - half } else { end + half }, now);
    }

    /// The right edge there; what is not past yet is the present.
    pub fn to(&mut self, end: Timestamp, now: Timestamp) {
        self.end = (end < now).then_some(end);
    }
}
