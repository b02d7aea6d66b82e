//! What a console may ask of the history, and what comes back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LogLine, Mark};
use crate::core::cluster::{Direction, Name, Span, Timestamp};
use crate::core::insight::{Band, PastMove, Stretch};

/// A stretch of the selected VM's past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastAsk {
    /// The right edge; `None` = now, and it goes along.
    pub end: Option<Timestamp>,
    /// How far back from there.
    pub span: Span,
    /// Bands wanted, at most: as many as the graph has columns of dots.
    pub columns: u16,
}

/// A stretch of one VM's past, thinned out to what can be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Past {
    /// Of this VM.
    pub vm: Name,
    /// What was asked for.
    pub ask: PastAsk,
    /// The left edge.
    pub from: Timestamp,
    /// The right edge.
    pub to: Timestamp,
    /// The oldest reading there is; `None` if there is none.
    pub begins: Option<Timestamp>,
    /// Readings, oldest first; a column with nothing in it has no band.
    pub bands: Vec<Band>,
    /// Two bands further apart than this are not joined.
    pub longest_step: Span,
    /// The bounds as they were, oldest first; the first holds at the left edge.
    pub bounds: Vec<BoundsFrom>,
    /// Moves and edits, oldest first.
    pub marks: Vec<Mark>,
    /// Scheduled rests.
    pub rests: Vec<Stretch>,
    /// Readings that were missed, with the reason of each stretch.
    pub gaps: Vec<Stretch>,
    /// Decisions and what became of them, newest first.
    pub decisions: Vec<Arc<LogLine>>,
    /// Migrations, newest first.
    pub moves: Vec<PastMove>,
    /// Why it could not be read; the rest is empty then.
    pub trouble: Option<Arc<str>>,
}

/// Bounds, from an instant on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoundsFrom {
    /// From then on.
    pub at: Timestamp,
    /// The threshold, where the policy had one.
    pub high: Option<f64>,
    /// The low threshold, where it had one.
    pub low: Option<f64>,
    /// Which way was bad.
    pub direction: Direction,
}

/// What was done over a span, of one VM or of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityAsk {
    /// `None`: the cluster.
    pub vm: Option<Name>,
    /// So far back from now.
    pub span: Span,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActivityView {
    /// What was asked for.
    pub ask: ActivityAsk,
    /// What was done.
    pub activity: crate::core::insight::Activity,
    /// Why it could not be read; the rest is empty then.
    pub trouble: Option<Arc<str>>,
}

/// Whether what happens is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryView {
    /// In this file, of so many bytes.
    On {
        /// The file.
        path: Arc<str>,
        /// Bytes on disk; 0 until it was measured.
        size: u64,
    },
    /// In this file, but it cannot be written just now.
    Failing {
        /// The file.
        path: Arc<str>,
        /// Bytes on disk.
        size: u64,
        /// Why.
        why: Arc<str>,
    },
    /// It is not, and why.
    Off(Arc<str>),
}

impl Default for HistoryView {
    fn default() -> Self {
        Self::Off(Arc::from("no history yet"))
    }
}
