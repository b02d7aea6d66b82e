//! The workers of the loop, each on a thread of its own: the history's writer, the config file's, the journal's.

use std::path::PathBuf;

use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::config_worker::{ConfigAnswer, ConfigInputs, ConfigWorker, Identified, Question};
use super::journal_writer::JournalWriter;
use crate::core::cluster::Timestamp;
use crate::core::engine::Event;
use crate::edge::history::{HistoryWriter, Note};
use crate::view::{CommandId, Subscription};

/// News of the history that the queue holds. Each of the 64 batches in the writer's queue makes at most three.
const NEWS: usize = 256;

/// What is new of the history.
pub enum HistoryNews {
    /// It can be written now, and read in this file.
    Writer(HistoryWriter, PathBuf),
    /// There will be no history, and why.
    None(String),
    /// The writer says something.
    Note(Note),
}

/// Something that a worker says.
pub enum WorkerEvent {
    /// The history's.
    History(HistoryNews),
    /// The config file's.
    Config(Identified<ConfigAnswer>),
    /// The journal's.
    Journal(Event),
}

/// What the loop has of each worker.
pub struct Workers {
    config: Option<ConfigWorker>,
    news: Receiver<HistoryNews>,
    tell: Sender<HistoryNews>,
    /// `None`: nothing is written down before it starts.
    pub journal: Option<JournalWriter>,
    /// What the console has on screen.
    on_screen: Subscription,
}

/// Without any worker.
impl Default for Workers {
    fn default() -> Self {
        let (tell, news) = channel(NEWS);
        Self { config: None, news, tell, journal: None, on_screen: Subscription::default() }
    }
}

impl Workers {
    /// The sender for news of the history.
    pub fn news(&self) -> Sender<HistoryNews> {
        self.tell.clone()
    }

    /// Starts the config file's worker.
    ///
    /// # Errors
    /// What does not work, in words. The rest works.
    pub fn start_config(&mut self, inputs: ConfigInputs) -> Result<(), String> {
        let (worker, watched) = ConfigWorker::start(inputs)?;
        self.config = Some(worker);
        watched
    }

    /// Asks the config file's worker. `false`: it is too busy, or there is none.
    pub fn ask(&self, question: Question) -> bool {
        self.ask_for(None, question)
    }

    /// Asks it for the console's command with this id, which the answer repeats. `false`: it is too busy, or there is none.
    pub fn ask_for(&self, id: Option<CommandId>, question: Question) -> bool {
        self.config.as_ref().is_some_and(|worker| worker.ask(id, question))
    }

    /// Whether there is a worker for the config file.
    pub const fn has_config(&self) -> bool {
        self.config.is_some()
    }

    /// Takes what is on screen now, and asks for the past that it shows.
    pub fn look(&mut self, on_screen: Subscription, now: Timestamp) {
        let before = std::mem::replace(&mut self.on_screen, on_screen);
        if self.on_screen.past.is_some() && (before.past != self.on_screen.past || before.vm != self.on_screen.vm) {
            self.ask_past(now);
        }
        if self.on_screen.activity != before.activity {
            self.ask_activity(now);
        }
    }

    /// New history has been written: asks again for the past that is on screen and follows the present.
    pub fn refresh(&self, now: Timestamp) {
        if self.on_screen.past.is_some_and(|past| past.end.is_none()) {
            self.ask_past(now);
        }
        self.ask_activity(now);
        self.ask(Question::Recorded);
    }

    /// Whether some of the past is on screen.
    pub const fn is_looked_at(&self) -> bool {
        self.on_screen.past.is_some() || self.on_screen.activity.is_some()
    }

    fn ask_past(&self, now: Timestamp) {
        if let (Some(vm), Some(past)) = (&self.on_screen.vm, self.on_screen.past) {
            self.ask(Question::Past(vm.clone(), past, now));
        }
    }

    fn ask_activity(&self, now: Timestamp) {
        if let Some(activity) = &self.on_screen.activity {
            self.ask(Question::Activity(activity.clone(), now));
        }
    }

    /// Whether a migration waits to be written down.
    pub fn is_journalling(&self) -> bool {
        self.journal.as_ref().is_some_and(JournalWriter::is_waiting)
    }

    /// What the history has said already.
    pub fn heard(&mut self) -> Option<WorkerEvent> {
        self.news.try_recv().ok().map(WorkerEvent::History)
    }

    /// Waits for the next thing that a worker says.
    pub async fn next(&mut self) -> WorkerEvent {
        let journal = async {
            match &mut self.journal {
                Some(journal) => journal.next().await,
                None => std::future::pending().await,
            }
        };
        let config = async {
            match &mut self.config {
                Some(worker) => worker.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            note = journal => WorkerEvent::Journal(note),
            Some(news) = self.news.recv() => WorkerEvent::History(news),
            answer = config => WorkerEvent::Config(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_history_said_before_the_loop_began_is_heard_first() {
        let mut workers = Workers::default();
        assert!(workers.heard().is_none());
        // The other end lives as long as the workers.
        let _ = workers.news().try_send(HistoryNews::None("off".to_owned()));
        assert!(matches!(workers.heard(), Some(WorkerEvent::History(HistoryNews::None(why))) if why == "off"));
    }
}
