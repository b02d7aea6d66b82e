//! A simulated cluster with a past that stands still: whatever is asked of it is answered at once, and the same every
//! time. For pictures.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::watch;

use super::config_worker::{ConfigAnswer, ConfigInputs, ConfigThread, Identified, Question};
use super::engine_host::{Asked, EngineHost};
use super::history_batcher::HistoryBatcher;
use super::outputs::{Output, Outputs};
use super::pace::Pace;
use super::publish::Publisher;
use super::start::{keep_demo, simulate};
use super::workers::Workers;
use crate::core::cluster::{Span, Timestamp};
use crate::core::simulation::{START, Scenario, Size};
use crate::edge::config;
use crate::view::{Clock, HistoryView, Snapshot, Subscription, UiCommand};

/// Simulated seconds a second that its clock says, as a demo's does.
const SPEED: f64 = 60.0;

/// Each question has one answer or two, and they are taken before the next is asked.
const ANSWERS: usize = 16;

/// The cluster, and everything that answers for it.
pub struct Studio {
    engine_host: EngineHost,
    publisher: Publisher,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    clerk: ConfigThread,
    told: Receiver<Identified<ConfigAnswer>>,
    now: Timestamp,
}

impl Studio {
    /// The scenario's cluster some time after its start, with its past before that. Its config file `demo.toml` and its
    /// history are in `folder`, which has to be empty and to stay.
    ///
    /// # Errors
    /// One of the files cannot be written: which, and why.
    pub fn new(scenario: Scenario, age: Span, folder: &Path) -> Result<Self, String> {
        let (size, seed) = (Size::default(), 1);
        let (file, history) = (folder.join("demo.toml"), folder.join("history.db"));
        let (cluster, monitors, plan) = scenario.build(size, seed);
        let rendered = config::render(config::Parts::simulated(&cluster, &monitors, &plan));
        std::fs::write(&file, rendered).map_err(|why| format!("{} cannot be written: {why}", file.display()))?;
        let inputs =
            ConfigInputs { file: Some(file), untold: Some((cluster.clone(), plan.clone())), ..ConfigInputs::default() };

        let mut engine_host = EngineHost::new(cluster, monitors, plan, START);
        let (publisher, snapshots) = Publisher::new(engine_host.engine(), START, Clock::default(), None);
        let mut outputs = Outputs::new(Output::Publish(publisher), HistoryBatcher::soon(engine_host.engine(), START));
        let now = START + age;
        while engine_host.next_wake() <= now {
            engine_host.wake(engine_host.next_wake(), &mut outputs, &mut Asked::default());
        }
        let keeper = keep_demo(&history, Workers::default().news()).map_err(|error| error.to_string())?;
        outputs.batcher.keep_by(simulate(scenario.before(size, seed), keeper));
        outputs.batcher.flush(&mut engine_host, true);
        let Outputs { output: Output::Publish(mut publisher), batcher } = outputs else {
            unreachable!("it was made above")
        };
        // The keeper's end is that of its writing: from here on the past is whole.
        drop(batcher);
        publisher.set_clock(Pace::simulated(now, SPEED).clock());
        // Neither its place nor its size is anybody's: they would be others in every picture.
        publisher.extras.history = HistoryView::On { path: "history.db".into(), size: 0 };

        let (tell, told) = channel(ANSWERS);
        let mut clerk = ConfigThread::new(inputs, tell);
        clerk.answer(None, Question::History(history));
        let mut studio = Self { engine_host, publisher, snapshots, clerk, told, now };
        studio.publish();
        Ok(studio)
    }

    /// Answers a look or a draft. Nothing is commanded here: whatever else is said changes nothing.
    pub fn say(&mut self, say: UiCommand) -> Arc<Snapshot> {
        match say {
            UiCommand::Subscription(look) => self.look(look),
            UiCommand::Draft(draft) => {
                self.publisher.extras.draft = None;
                self.clerk.answer(None, Question::Draft(draft, self.now));
            }
            UiCommand::Command(..)
            | UiCommand::Save { .. }
            | UiCommand::SetValue(..)
            | UiCommand::Undo(_)
            | UiCommand::Reload(_) => {}
        }
        self.publish()
    }

    fn look(&mut self, look: Subscription) {
        if let (Some(vm), Some(past)) = (&look.vm, look.past) {
            self.clerk.answer(None, Question::Past(Arc::clone(vm), past, self.now));
        }
        if let Some(activity) = &look.activity {
            self.clerk.answer(None, Question::Activity(activity.clone(), self.now));
        }
        self.publisher.set_look(look);
    }

    fn publish(&mut self) -> Arc<Snapshot> {
        while let Ok((_, told)) = self.told.try_recv() {
            // The file is nobody else's: there is nothing to be said of it but for the screen.
            let _ = self.publisher.extras.take(told);
        }
        self.publisher.publish(self.engine_host.engine(), self.now);
        Arc::clone(&self.snapshots.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{ActivityAsk, Draft, PastAsk, Scope, WhatIf};

    /// Everything a screen can ask for of scenario 1's nii1.
    fn asked() -> [UiCommand; 2] {
        let (vm, span) = (Arc::<str>::from("nii1"), Span::from_hours(48));
        let look = Subscription {
            vm: Some(Arc::clone(&vm)),
            window: Span::from_mins(30),
            moves: true,
            drain: None,
            past: Some(PastAsk { end: None, span, columns: 280 }),
            activity: Some(ActivityAsk { vm: None, span }),
        };
        let draft = Draft { seq: 1, vms: vec![vm], scope: Scope::Block, text: None, span };
        [UiCommand::Subscription(look), UiCommand::Draft(Some(draft))]
    }

    fn studio() -> (Studio, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        (Studio::new(Scenario::One, Span::from_mins(44), folder.path()).expect("a studio"), folder)
    }

    #[test]
    fn what_is_asked_is_in_the_next_snapshot() {
        let (mut studio, _folder) = studio();
        let snapshots = asked().map(|say| studio.say(say));
        let past = snapshots[0].past.as_ref().expect("a past");
        assert!(past.begins.is_some_and(|begins| begins < START - Span::from_hours(47)), "{past:?}");
        let activity = &snapshots[0].activity.as_ref().expect("an activity").activity;
        let edit = activity.edits.first().expect("the threshold was raised");
        let requests: u32 = activity.hours.iter().map(|hour| hour.requests).sum();
        assert!(edit.at < START && requests > 100, "{edit:?} {requests}");
        let draft = snapshots[1].draft.as_ref().expect("a draft");
        assert!(matches!(draft.what_if, WhatIf::Told { .. }), "{draft:?}");
        assert!(draft.block.place.starts_with("demo.toml:"), "{draft:?}");
    }

    #[test]
    fn two_studios_say_the_same() {
        let ((mut one, _folder), (mut other, _other)) = (studio(), studio());
        for say in asked() {
            let (mut one, mut other) = (one.say(say.clone()), other.say(say));
            // As text, since what is not a number equals nothing.
            let said = |snapshot: &mut Arc<Snapshot>| {
                let editing = std::mem::take(&mut Arc::make_mut(snapshot).editing);
                assert!(matches!(editing, crate::view::Editing::On(_)), "its place is each one's own");
                format!("{snapshot:?}")
            };
            assert_eq!(said(&mut one), said(&mut other));
        }
    }
}
