//! What keeps the worker from working, and when it tries again.

use std::time::Duration;

use tokio::time::Instant;

/// The first pause after something failed. Each next one is twice as long …
const FIRST: Duration = Duration::from_secs(1);
/// … up to this.
const LONGEST: Duration = Duration::from_secs(60);

/// What a worker does with its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkStep {
    Begin,
    Control,
    Claim,
    Save,
    Deliver,
    Finish,
    Retry,
    Report,
    /// The program that works the jobs.
    Job,
}

/// The trouble that there is, if there is any.
#[derive(Debug, Default)]
pub(super) struct Patience(Option<Trial>);

#[derive(Debug)]
struct Trial {
    step: WorkStep,
    why: String,
    pause: Duration,
    until: Instant,
}

impl Patience {
    /// A step failed. True: there was no trouble before, so it is to be said.
    pub fn failed(&mut self, step: WorkStep, why: String, now: Instant) -> bool {
        match &mut self.0 {
            // What was under way fails with it.
            Some(trial) if now < trial.until => {}
            Some(trial) => {
                let pause = (trial.pause * 2).min(LONGEST);
                *trial = Trial { step, why, pause, until: now + pause };
            }
            None => {
                self.0 = Some(Trial { step, why, pause: FIRST, until: now + FIRST });
                return true;
            }
        }
        false
    }

    /// A step succeeded. True: it was the one that had failed, so its end is to be said.
    pub fn succeeded(&mut self, step: WorkStep) -> bool {
        self.0.take_if(|trial| trial.step == step).is_some()
    }

    /// What is wrong, in words.
    pub fn why(&self) -> Option<&str> {
        self.0.as_ref().map(|trial| trial.why.as_str())
    }

    /// Nothing is tried before; `None`: nothing is wrong.
    pub fn until(&self) -> Option<Instant> {
        self.0.as_ref().map(|trial| trial.until)
    }

    /// Whether to wait with everything that needs the source, and with jobs.
    pub fn waits(&self, now: Instant) -> bool {
        self.0.as_ref().is_some_and(|trial| now < trial.until)
    }

    /// Whether to wait with questions to the source.
    pub fn waits_for_source(&self, now: Instant) -> bool {
        self.0.as_ref().is_some_and(|trial| now < trial.until && trial.step != WorkStep::Job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_said_once_and_waited_for_longer_and_longer_up_to_a_minute() {
        let (mut patience, mut now) = (Patience::default(), Instant::now());
        assert!(patience.failed(WorkStep::Save, "no route".to_owned(), now));
        assert!(!patience.failed(WorkStep::Deliver, "no route".to_owned(), now), "what was under way fails with it");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            now = patience.until().expect("trouble");
            assert!(!patience.waits(now) && !patience.failed(WorkStep::Save, "no route".to_owned(), now));
            pauses.extend(patience.until().map(|until| (until - now).as_secs()));
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(!patience.succeeded(WorkStep::Control), "another step says nothing of this one");
        assert!(patience.succeeded(WorkStep::Save) && !patience.succeeded(WorkStep::Save) && !patience.waits(now));
        assert!(patience.failed(WorkStep::Save, "no route".to_owned(), now), "it begins anew");
    }
}
