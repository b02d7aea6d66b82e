//! What the Activity screen remembers.

use std::sync::Arc;

use crate::core::cluster::Span;
use crate::view::{ActivityAsk, PastAsk};

/// So far back an Activity screen can look, shortest first.
const SPANS: [Span; 3] = [Span::from_hours(24), Span::from_hours(48), Span::from_hours(168)];

/// The Activity screen's choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityUi {
    /// The selected VM alone, not the whole cluster.
    pub alone: bool,
    /// Which of the spans.
    zoom: usize,
}

impl Default for ActivityUi {
    fn default() -> Self {
        Self { alone: false, zoom: 1 }
    }
}

impl ActivityUi {
    /// How far back it looks.
    pub fn span(&self) -> Span {
        SPANS[self.zoom]
    }

    /// Looks less or more far back; `false` if it cannot.
    pub fn zoom(&mut self, out: bool) -> bool {
        let to = if out { self.zoom + 1 } else { self.zoom.wrapping_sub(1) };
        let can = to < SPANS.len();
        if can {
            self.zoom = to;
        }
        can
    }

    /// What the engine should say.
    pub fn ask(&self, selected: Option<&Arc<str>>) -> ActivityAsk {
        ActivityAsk { vm: selected.filter(|_| self.alone).cloned(), span: self.span() }
    }

    /// The readings of the VM, if it is shown alone.
    pub fn past(&self, size: (u16, u16)) -> Option<PastAsk> {
        self.alone.then_some(PastAsk { end: None, span: self.span(), columns: size.0.saturating_mul(2) })
    }
}
