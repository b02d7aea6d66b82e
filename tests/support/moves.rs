//! What a whimbrel under way tells of its moves.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::Run;

/// Far more than any outcome takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// Whether this is the outcome of a migration.
pub fn is_outcome(event: &Value) -> bool {
    event["type"] == "migration" && event["phase"] != "running" && event["phase"] != "unknown"
}

/// A run, read for the moves in it.
pub struct Moves {
    pub run: Run,
    /// When the last answer to a fault came.
    pub answered: Option<Instant>,
}

impl Moves {
    /// A run that has just begun.
    pub fn of(run: Run) -> Self {
        Self { run, answered: None }
    }

    /// Another run goes on where this one stopped.
    pub fn go_on(&mut self, run: Run) {
        let before = std::mem::replace(&mut self.run, run);
        self.run.events.clone_from(&before.events);
    }

    /// Reads on to the first event that is wanted.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        loop {
            let event = self.run.next();
            if wanted(event) {
                return event.clone();
            }
            assert!(Instant::now() < end, "waited in vain for {what}: {:#?}", self.story());
        }
    }

    /// Reads on to the next event of this phase, and its detail.
    pub fn phase(&mut self, phase: &str) -> String {
        let event = self.until(phase, |event| event["type"] == "migration" && event["phase"] == phase);
        text_of(&event, "detail")
    }

    /// Reads on to the next event of one of these phases: the phase, and its detail.
    pub fn one_of(&mut self, phases: &[&str]) -> (String, String) {
        let is = |event: &Value| event["type"] == "migration" && phases.iter().any(|phase| event["phase"] == *phase);
        let event = self.until(&phases.join(" or "), is);
        (text_of(&event, "phase"), text_of(&event, "detail"))
    }

    /// Reads on until something is blocked by this gate, and the detail.
    pub fn blocked(&mut self, gate: &str) -> String {
        let event = self.until(gate, |event| event["type"] == "blocked" && event["gate"] == gate);
        self.answered = Some(Instant::now());
        text_of(&event, "detail")
    }

    /// Reads on to an alarm with these words.
    pub fn alarm(&mut self, words: &str) -> String {
        let has = |event: &Value| event["type"] == "alarm" && text_of(event, "text").contains(words);
        let event = self.until(words, has);
        text_of(&event, "text")
    }

    /// Reads on to what somebody did or found, with these words.
    pub fn said(&mut self, words: &str) -> String {
        let has = |event: &Value| event["type"] == "operator" && text_of(event, "text").contains(words);
        let event = self.until(words, has);
        text_of(&event, "text")
    }

    /// Reads on until a VM is in this state.
    pub fn state(&mut self, state: &str) {
        self.until(state, |event| event["type"] == "state" && event["state"] == state);
    }

    /// Reads on to a sample in this state that is beyond a millisecond.
    pub fn beyond_and(&mut self, state: &str) {
        let is = |event: &Value| event["type"] == "sample" && event["state"] == state;
        self.until(state, |event| is(event) && event["value"].as_f64().is_none_or(|value| value > 1.0));
    }

    /// Reads on to the outcome: its phase and detail.
    pub fn outcome(&mut self) -> (String, String) {
        let event = self.until("an outcome", is_outcome);
        self.answered = Some(Instant::now());
        (text_of(&event, "phase"), text_of(&event, "detail"))
    }

    /// The phases told so far, each once in a row.
    pub fn phases(&self) -> Vec<String> {
        let moves = self.run.events.iter().filter(|event| event["type"] == "migration");
        let mut phases: Vec<String> = moves.map(|event| text_of(event, "phase")).collect();
        phases.dedup();
        phases
    }

    /// The phases told so far, without the times when it could not be told.
    pub fn known_phases(&self) -> Vec<String> {
        let mut phases = self.phases();
        phases.retain(|phase| phase != "unknown");
        phases.dedup();
        phases
    }

    /// How many migrations were asked for.
    pub fn requests(&self) -> usize {
        self.run.events.iter().filter(|event| event["type"] == "request").count()
    }

    /// All that matters of what was told, in order, in short.
    pub fn story(&self) -> Vec<String> {
        let mut story: Vec<String> = self.run.events.iter().filter_map(told).collect();
        story.dedup();
        story
    }
}

fn told(event: &Value) -> Option<String> {
    let text = |key| text_of(event, key);
    Some(match event["type"].as_str()? {
        "blocked" => format!("blocked by {}: {}", text("gate"), text("detail")),
        "request" => format!("request {} → {}", text("from"), text("to")),
        "migration" if event["phase"] == "running" => "running".to_owned(),
        "migration" => format!("{}: {}", text("phase"), text("detail")),
        "alarm" => format!("ALARM {}", text("text")),
        "operator" => format!("{} says: {}", text("by"), text("text")),
        _ => return None,
    })
}

/// An event's text under a key.
pub fn text_of(event: &Value, key: &str) -> String {
    event[key].as_str().unwrap_or_default().to_owned()
}
