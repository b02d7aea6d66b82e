//! History and config file as the loop sees them: what they have to say, what they were asked, what they owe an answer.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::desk::{Ask, Desk, Papers, Told};
use crate::core::cluster::{RequestId, Timestamp};
use crate::edge::config::{self, Watch};
use crate::edge::history::{HistoryWriter, Note};
use crate::view::Subscription;

/// A migration is not kept waiting for its journal any longer: the disk is stuck.
const JOURNAL: Duration = Duration::from_secs(5);

/// What is new of the history.
pub enum News {
    /// It can be written now, and read in this file.
    HistoryWriter(HistoryWriter, PathBuf),
    /// There will be none, and why.
    None(String),
    /// The keeper says something.
    Note(Note),
}

/// Something from the back room.
pub enum Word {
    /// Of the history.
    News(News),
    /// An answer of the desk's.
    Told(Told),
    /// Journals that are not waited for any longer.
    Overdue(Vec<RequestId>),
}

/// The history's and the config file's side of the loop.
pub struct Backroom {
    desk: Option<Desk>,
    told: UnboundedReceiver<Told>,
    news: UnboundedReceiver<News>,
    bell: UnboundedSender<News>,
    /// Migrations that are being written down, and since when.
    journals: Vec<(RequestId, Instant)>,
    /// What the console has on screen.
    look: Subscription,
    /// Told when the config file changes, as long as it lives.
    _watch: Option<Watch>,
}

/// With nothing in it.
impl Default for Backroom {
    fn default() -> Self {
        let (bell, news) = unbounded_channel();
        let (_, told) = unbounded_channel();
        Self { desk: None, told, news, bell, journals: Vec::new(), look: Subscription::default(), _watch: None }
    }
}

impl Backroom {
    /// Where news of the history are brought.
    pub fn bell(&self) -> UnboundedSender<News> {
        self.bell.clone()
    }

    /// Opens the desk, with the config file on it if there is one, and has that watched.
    ///
    /// # Errors
    /// What does not work, in words; the rest does.
    pub fn open_desk(&mut self, papers: Papers) -> Result<(), String> {
        let (tell, told) = unbounded_channel();
        let file = papers.file.clone();
        let desk = Desk::open(papers, tell).map_err(|error| format!("policies cannot be edited: {error}"))?;
        let watch = file.map(|path| config::watch(&path, desk.bell())).transpose();
        // What changed after the desk's first look and before the watch began is nobody's to tell.
        desk.ask(Ask::Subscription);
        (self.told, self.desk) = (told, Some(desk));
        match watch {
            Ok(watch) => self._watch = watch,
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    /// Asks the desk. `false`: it is too busy, or there is none.
    pub fn ask(&self, ask: Ask) -> bool {
        self.desk.as_ref().is_some_and(|desk| desk.ask(ask))
    }

    /// Whether there is a desk.
    pub const fn has_desk(&self) -> bool {
        self.desk.is_some()
    }

    /// What is on screen now: asks for what it has of the past.
    pub fn look(&mut self, look: Subscription, now: Timestamp) {
        let before = std::mem::replace(&mut self.look, look);
        if self.look.past.is_some() && (before.past != self.look.past || before.vm != self.look.vm) {
            self.ask_past(now);
        }
        if self.look.activity != before.activity {
            self.ask_activity(now);
        }
    }

    /// More of the past is known: what of it is on screen and goes along is asked for again.
    pub fn refresh(&self, now: Timestamp) {
        if self.look.past.is_some_and(|past| past.end.is_none()) {
            self.ask_past(now);
        }
        self.ask_activity(now);
        self.ask(Ask::Recorded);
    }

    /// Whether some of the past is on screen.
    pub const fn is_looked_at(&self) -> bool {
        self.look.past.is_some() || self.look.activity.is_some()
    }

    fn ask_past(&self, now: Timestamp) {
        if let (Some(vm), Some(past)) = (&self.look.vm, self.look.past) {
            self.ask(Ask::Past(vm.clone(), past, now));
        }
    }

    fn ask_activity(&self, now: Timestamp) {
        if let Some(activity) = &self.look.activity {
            self.ask(Ask::Activity(activity.clone(), now));
        }
    }

    /// A migration is being written down.
    pub fn owes(&mut self, id: RequestId) {
        self.journals.push((id, Instant::now()));
    }

    /// It is written down, or is not waited for any longer. `false`: it was not.
    pub fn paid(&mut self, id: RequestId) -> bool {
        let before = self.journals.len();
        self.journals.retain(|(owed, _)| *owed != id);
        self.journals.len() < before
    }

    /// Whether a migration waits to be written down.
    pub const fn is_owing(&self) -> bool {
        !self.journals.is_empty()
    }

    /// What of the history has been said already.
    pub fn heard(&mut self) -> Option<Word> {
        self.news.try_recv().ok().map(Word::News)
    }

    /// The next word. Never comes if nobody has anything to say.
    pub async fn word(&mut self) -> Word {
        let overdue = self.journals.first().map(|(_, since)| *since + JOURNAL);
        let overdue = async {
            match overdue {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(news) = self.news.recv() => Word::News(news),
            Some(told) = self.told.recv() => Word::Told(told),
            () = overdue => {
                let now = Instant::now();
                let late = self.journals.iter().filter(|(_, since)| *since + JOURNAL <= now);
                Word::Overdue(late.map(|(id, _)| *id).collect())
            }
            else => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_migration_is_not_kept_waiting_for_a_disk_that_is_stuck() {
        let mut backroom = Backroom::default();
        let long_ago = Instant::now() - JOURNAL;
        backroom.journals.extend([(RequestId(1), long_ago), (RequestId(2), long_ago)]);
        backroom.owes(RequestId(3));
        assert!(backroom.paid(RequestId(1)) && !backroom.paid(RequestId(1)), "once");
        let Word::Overdue(late) = backroom.word().await else { panic!("another word") };
        assert_eq!(late, [RequestId(2)]);
        assert!(backroom.paid(RequestId(2)) && backroom.is_owing(), "the third may still come");
    }

    #[test]
    fn what_the_history_said_before_the_loop_began_is_heard_first() {
        let mut backroom = Backroom::default();
        assert!(backroom.heard().is_none());
        // The other end lives as long as the backroom.
        let _ = backroom.bell().send(News::None("off".to_owned()));
        assert!(matches!(backroom.heard(), Some(Word::News(News::None(why))) if why == "off"));
    }
}
