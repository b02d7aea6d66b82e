//! The read model: everything a screen draws, by value, sharing what did not change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{HostState, Mode, Name, Span, Timestamp, Value};
use crate::core::engine::{Drain, DrainPlan, Gate, HoldCause, SiteView, Target, VmState, Waiting};
use crate::core::insight::{Band, PastMove, Stretch};
use crate::core::policy::{Bounds, PolicyKind, Settings};
use crate::core::queue::ClaimStatus;

use super::draft::{DraftView, Origin};
use super::moving::MigrationView;
use super::queue::QueueView;

/// One state of everything, published at most ten times a second.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Grows with every snapshot.
    pub seq: u64,
    /// The engine's time.
    pub at: Timestamp,
    /// Simulated seconds a second; `None`: the time is real.
    pub speed: Option<f64>,
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// How far the engine may go on its own.
    pub mode: Mode,
    /// How many hosts are being emptied and are not empty yet.
    pub draining: usize,
    /// How many requests wait for approval.
    pub waiting: usize,
    /// How many moves were confirmed in the last hour.
    pub moves_last_hour: usize,
    /// Every VM, in the config's order; the very same list as in the snapshot before, if none of them changed.
    pub rows: Arc<Vec<Arc<VmRow>>>,
    /// Of them, those that are migrating: the oldest request first.
    pub moving: Vec<Arc<VmRow>>,
    /// Every array, in the config's order; shared like the rows.
    pub arrays: Arc<Vec<ArrayView>>,
    /// The newest lines of the log, oldest first; shared like the rows.
    pub log: Arc<Vec<Arc<LogLine>>>,
    /// Alarms that nobody has acknowledged, oldest first.
    pub alarms: Vec<Arc<LogLine>>,
    /// What became of the last commands, oldest first.
    pub answers: Vec<Arc<Answer>>,
    /// The VM the console looks at.
    pub detail: Option<Arc<Detail>>,
    /// What draining a host would mean; while it is asked about.
    pub drain: Option<Arc<DrainPlan>>,
    /// Its past, as far as it was asked for.
    pub past: Option<Arc<Past>>,
    /// What was done, as far as it was asked for.
    pub activity: Option<Arc<ActivityView>>,
    /// A VM's queue, as far as it was asked for.
    pub queue: Option<Arc<QueueView>>,
    /// What is known of the draft that was sent last.
    pub draft: Option<Arc<DraftView>>,
    /// Whether what happens is kept.
    pub history: HistoryView,
    /// Why policies cannot be edited here, if they cannot.
    pub uneditable: Option<Arc<str>>,
    /// Said at the top of the screen until it is dismissed: how to begin, a broken config.
    pub banner: Option<Arc<str>>,
}

impl Snapshot {
    /// Every host, array by array.
    pub fn hosts(&self) -> impl Iterator<Item = &Arc<HostView>> {
        self.arrays.iter().flat_map(|array| &array.hosts)
    }
}

/// One VM's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VmRow {
    /// Its identity.
    pub name: Name,
    /// `mysql`, `apache`, `http`, `queue`.
    pub service: Arc<str>,
    /// Which policy it has.
    pub policy: PolicyKind,
    /// The indicator's unit.
    pub unit: Arc<str>,
    /// The policy's bounds.
    pub bounds: Bounds,
    /// The newest value, if the newest reading was one.
    pub value: Option<Value>,
    /// Why the newest reading was none.
    pub gap: Option<Arc<str>>,
    /// It was none because it was a baseline, as it should be.
    pub baseline: bool,
    /// When it was last read, well or not.
    pub read_at: Option<Timestamp>,
    /// The newest values, oldest first; NaN for a gap.
    #[serde(with = "nulls_for_nan")]
    pub spark: Arc<[f32]>,
    /// Count and tarry, where the policy counts.
    pub count: Option<(u32, u32)>,
    /// Low count and low tarry, where the policy counts them.
    pub low_count: Option<(u32, u32)>,
    /// Where it is.
    pub host: Name,
    /// In this array.
    pub array: Name,
    /// That host's state.
    pub host_state: HostState,
    /// Its state.
    pub state: VmState,
    /// A word more on the state: `> 09:00`, `by hand`, `4m refused`.
    pub note: Arc<str>,
    /// Why it is held, if it is.
    pub hold: Option<HoldCause>,
    /// When the state ends by itself.
    pub until: Option<Timestamp>,
    /// An alarm on it that nobody has acknowledged, or one that lasts (lost, double, nowhere, flapping).
    pub alarm: bool,
    /// What is wrong with where it runs, if it is not held for that: `it runs nowhere`.
    pub trouble: Option<Arc<str>>,
    /// Its migration, if one is under way.
    pub migration: Option<MigrationView>,
    /// Its request, if one waits for approval.
    pub waiting: Option<Waiting<Name>>,
    /// When it last arrived somewhere.
    pub last_move: Option<Timestamp>,
    /// Confirmed moves in the last 24 h.
    pub moves_24h: u32,
    /// Its queue and its sites (site policy).
    pub site: Option<SiteView>,
}

impl VmRow {
    /// The queue in hand (site policy).
    pub fn claim(&self) -> Option<&ClaimStatus> {
        Some(&self.site.as_ref()?.hand()?.status)
    }

    /// Whether it is at another site than home (site policy).
    pub fn is_away(&self) -> bool {
        self.site.as_ref().is_some_and(SiteView::is_away)
    }
}

/// One array and its hosts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArrayView {
    /// Its name.
    pub name: Name,
    /// Its site.
    pub site: Name,
    /// The site is home.
    pub home: bool,
    /// In ring order, the base last.
    pub hosts: Vec<Arc<HostView>>,
}

/// One host and what runs there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostView {
    /// Its name.
    pub name: Name,
    /// The array's base.
    pub base: bool,
    /// Its state.
    pub state: HostState,
    /// 0 to 1 and more; `None` = not measured.
    pub load: Option<f32>,
    /// How many VMs it takes.
    pub capacity: Option<u32>,
    /// Its emptying, if it is emptied.
    pub drain: Option<Drain>,
    /// The VMs there.
    pub vms: Vec<Name>,
}

/// How loud a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// As it goes.
    Info,
    /// Something ended well.
    Good,
    /// Something was kept from happening, or failed.
    Warning,
    /// A human is needed.
    Alarm,
}

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// Which VM; `None` for the cluster.
    pub vm: Option<Name>,
    /// How loud.
    pub level: Level,
    /// What happened.
    pub text: String,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Grows with every answer.
    pub seq: u64,
    /// The console's command that it answers. `None`: it is about a command that was answered before, or another process's.
    pub to: Option<CommandId>,
    /// It was taken.
    pub ok: bool,
    /// In words.
    pub text: String,
}

/// The VM a console looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// Its name.
    pub vm: Name,
    /// Where it is.
    pub host: Name,
    /// In this array.
    pub array: Name,
    /// The indicator in an operator's words: `slow queries`.
    pub indicator: Arc<str>,
    /// Its policy, as it runs.
    pub settings: Settings,
    /// Where that comes from.
    pub origin: Origin,
    /// Why it stands where it stands.
    pub why: String,
    /// Time between two readings.
    pub interval: Span,
    /// The next reading.
    pub next_read: Option<Timestamp>,
    /// Readings of the window asked for, oldest first.
    pub bands: Vec<Band>,
    /// Moves and edits of the window, oldest first.
    pub marks: Vec<Mark>,
    /// What each destination would mean; filled while the move dialog is open.
    pub moves: Vec<MoveOption>,
}

/// Something to mark on a graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What.
    pub kind: MarkKind,
}

/// What a mark stands for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum MarkKind {
    /// Arrived at this host.
    Moved(Name),
    /// A bound or a tarry was changed.
    Edited,
}

/// One destination in the move dialog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MoveOption {
    /// What the command would say.
    pub target: Target,
    /// The host it comes to, if one.
    pub to: Option<Name>,
    /// Its load now.
    pub load: Option<f64>,
    /// Its load with the VM there, if that can be told.
    pub load_after: Option<f64>,
    /// What every gate that has something to say would say.
    pub gates: Vec<GateView>,
}

impl MoveOption {
    /// Whether no gate binds.
    pub fn is_open(&self) -> bool {
        self.to.is_some() && self.gates.iter().all(|gate| gate.verdict != GateVerdict::Blocks)
    }
}

/// What one gate would say to an operator's move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateView {
    /// This gate.
    pub gate: Gate,
    /// How it would take it.
    pub verdict: GateVerdict,
    /// In words, with the distance.
    pub detail: String,
}

/// How a gate takes an operator's move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GateVerdict {
    /// It lets it pass.
    Passes,
    /// It would stop a policy; an operator is warned.
    Warns,
    /// It stops an operator too.
    Blocks,
}

/// The number of a console's command. The answer repeats it, so that a console knows its own answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct CommandId(pub u64);

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
    /// The bounds from an instant on, oldest first; the first holds at the left edge.
    pub bounds: Vec<(Timestamp, Bounds)>,
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
        /// Why it cannot be written just now, if it cannot.
        trouble: Option<Arc<str>>,
    },
    /// It is not, and why.
    Off(Arc<str>),
}

impl Default for HistoryView {
    fn default() -> Self {
        Self::Off(Arc::from("no history yet"))
    }
}

/// A list in which NaN stands for a gap, for serde's `with`: `null` in JSON.
mod nulls_for_nan {
    use std::sync::Arc;

    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    pub fn serialize<S: Serializer>(list: &[f32], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(|number| Some(*number).filter(|number| !number.is_nan())))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[f32]>, D::Error> {
        let list = Vec::<Option<f32>>::deserialize(from)?;
        Ok(list.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect())
    }
}
