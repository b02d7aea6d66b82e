//! Slow questions, answered on a thread of their own so that neither the engine nor the screen waits for a disk: the
//! past, what was done, drafts of policies, and the config file.
//!
//! | file | its story |
//! | --- | --- |
//! | `mod` | the thread: of each kind of question only the newest is answered |
//! | `file` | the config file: its blocks, edits, undo, what others did to it |
//! | `draft` | what is known of a draft: what is wrong with it, what it would have done |
//! | `past` | a VM's past for a screen, what was done over a span |

mod draft;
mod file;
mod past;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use crate::core::cluster::{Cluster, Timestamp};
use crate::core::engine::{Change, ConfigChange};
use crate::core::simulation::Plan;
use crate::edge::config::Config;
use crate::view::{ActivityAsk, ActivityView, Draft, DraftView, Editing, Origin, Past, PastAsk, SetValue};

use draft::Drafts;
use file::File;
use past::Library;

/// Questions that may wait; of most kinds only the newest is answered.
const WAITING: usize = 256;

/// A question.
pub enum Ask {
    /// A VM's past, up to now.
    Past(Arc<str>, PastAsk, Timestamp),
    /// What was done, up to now.
    Activity(ActivityAsk, Timestamp),
    /// What of this draft, with what-if up to now?
    Draft(Option<Draft>, Timestamp),
    /// Save it.
    Save(Save),
    /// Change one number.
    SetValue(SetValue),
    /// Take the last change back.
    Undo,
    /// Somebody may have changed the file: is it another?
    Subscription,
    /// An operator wants the file to be read again, changed or not.
    Reload,
    /// The history has come to be.
    History(PathBuf),
    /// There is more in it than before.
    Recorded,
}

/// A draft to be saved.
pub struct Save {
    pub draft: Draft,
    pub why: Option<String>,
    pub over: bool,
}

/// An answer.
pub enum Told {
    Past(Arc<Past>),
    Activity(Arc<ActivityView>),
    Draft(Arc<DraftView>),
    /// Policies are other now, in the file: the engine is to follow.
    Edited(Edited),
    /// Nothing was changed, and why.
    Refused(String),
    /// A question could not be answered, for a fault of the program's own.
    Failed,
    /// The file is another now.
    Changed(Box<Changed>),
    /// The file is broken, with the place; the last good config stays. `None`: it is right again.
    Broken(Option<String>),
    /// Whether policies can be edited, and where each VM's settings come from.
    Editing(Editing, Vec<Origin>),
}

/// Policies that an edit changed.
#[derive(Default)]
pub struct Edited {
    pub changes: Vec<Change>,
    pub why: Option<String>,
    pub origins: Vec<Origin>,
    /// The draft that was saved, if it was one.
    pub draft: Option<Arc<DraftView>>,
}

/// A config that somebody else changed.
pub struct Changed {
    pub config: Config,
    /// The one before it, and what changed since then.
    pub before: Option<Config>,
    pub said: Vec<ConfigChange>,
    pub editing: Editing,
    pub origins: Vec<Origin>,
}

/// The way to the desk.
pub struct Desk {
    asks: SyncSender<Ask>,
}

/// What the desk has to do with.
#[derive(Default)]
pub struct Papers {
    /// The config file, if there is one.
    pub file: Option<PathBuf>,
    /// Why nothing is to be written into it.
    pub locked: Option<&'static str>,
    /// What the engine began with, and the bytes that said it; `None`: what the file says.
    pub loaded: Option<(Config, Vec<u8>)>,
    /// A simulated cluster, with what its file cannot say of it.
    pub untold: Option<(Cluster, Plan)>,
}

impl Desk {
    /// Opens the desk. Answers go to `told`.
    pub fn open(papers: Papers, told: UnboundedSender<Told>) -> std::io::Result<Self> {
        let (asks, asked) = sync_channel(WAITING);
        let clerk = move || Clerk::new(papers, told).work(&asked);
        thread::Builder::new().name("desk".to_owned()).spawn(clerk)?;
        Ok(Self { asks })
    }

    /// Asks. `false`: there is no room, or nobody to ask.
    pub fn ask(&self, ask: Ask) -> bool {
        match self.asks.try_send(ask) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// A way to say that the file may have changed, for whoever watches it.
    pub fn bell(&self) -> impl Fn() + Send + use<> {
        let asks = self.asks.clone();
        move || drop(asks.try_send(Ask::Subscription))
    }
}

/// Whoever sits at it.
pub struct Clerk {
    file: File,
    library: Library,
    drafts: Drafts,
    told: UnboundedSender<Told>,
}

/// What waits: of a kind only the newest.
#[derive(Default)]
struct Pile {
    /// In the order in which they were asked: each has a consequence.
    deeds: Vec<Ask>,
    draft: Option<Ask>,
    past: Option<Ask>,
    activity: Option<Ask>,
}

impl Pile {
    fn add(&mut self, ask: Ask) {
        match ask {
            Ask::Draft(..) => self.draft = Some(ask),
            Ask::Past(..) => self.past = Some(ask),
            Ask::Activity(..) => self.activity = Some(ask),
            Ask::Save(_)
            | Ask::SetValue(_)
            | Ask::Undo
            | Ask::Subscription
            | Ask::Reload
            | Ask::History(_)
            | Ask::Recorded => {
                self.deeds.push(ask);
            }
        }
    }

    fn next(&mut self) -> Option<Ask> {
        if !self.deeds.is_empty() {
            return Some(self.deeds.remove(0));
        }
        self.draft.take().or_else(|| self.past.take()).or_else(|| self.activity.take())
    }
}

impl Clerk {
    /// Reads the papers, on the caller's thread. Answers go to `told`.
    pub fn new(papers: Papers, told: UnboundedSender<Told>) -> Self {
        Self { file: File::new(papers, &told), library: Library::default(), drafts: Drafts::default(), told }
    }

    fn work(mut self, asked: &Receiver<Ask>) {
        let mut pile = Pile::default();
        loop {
            while let Ok(ask) = asked.try_recv() {
                pile.add(ask);
            }
            let Some(ask) = pile.next().or_else(|| asked.recv().ok()) else { return };
            // One question that cannot be answered does not close the desk.
            if catch_unwind(AssertUnwindSafe(|| self.answer(ask))).is_err() {
                self.tell(Told::Failed);
            }
        }
    }

    /// Somebody may have changed the file; a draft that is open is seen against it.
    fn look(&mut self, anyway: bool) -> Option<Told> {
        let told = self.file.look(anyway)?;
        if matches!(told, Told::Changed(_))
            && let Some(view) = self.drafts.again(&self.file, &mut self.library)
        {
            self.tell(Told::Draft(Arc::new(view)));
        }
        Some(told)
    }

    /// There may be samples now that a draft was without.
    fn recorded(&mut self) -> Option<Told> {
        let view = self.drafts.recorded(&self.file, &mut self.library)?;
        Some(Told::Draft(Arc::new(view)))
    }

    fn tell(&self, told: Told) {
        // Nobody listens any more: the engine has ended.
        let _ = self.told.send(told);
    }

    /// Answers one question.
    pub fn answer(&mut self, ask: Ask) {
        let told = match ask {
            Ask::Past(vm, ask, now) => Some(Told::Past(Arc::new(self.library.past(&self.file, vm, ask, now)))),
            Ask::Activity(ask, now) => Some(Told::Activity(Arc::new(self.library.activity(&self.file, ask, now)))),
            Ask::Draft(draft, now) => {
                let view = self.drafts.look(draft, now, &self.file, &mut self.library);
                view.map(|view| Told::Draft(Arc::new(view)))
            }
            Ask::Save(save) => Some(self.drafts.save(save, &mut self.file)),
            Ask::SetValue(nudge) => Some(self.file.nudge(&nudge)),
            Ask::Undo => Some(self.file.undo()),
            Ask::Recorded => self.recorded(),
            Ask::Subscription => self.look(false),
            Ask::Reload => {
                let told = self.look(true);
                told.or_else(|| Some(Told::Refused("there is no config file to read again".to_owned())))
            }
            Ask::History(path) => {
                self.library.open(path);
                self.recorded()
            }
        };
        if let Some(told) = told {
            self.tell(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_come_first_and_in_order_and_of_looks_only_the_newest() {
        let mut pile = Pile::default();
        let now = Timestamp::from_secs;
        for ask in [Ask::Draft(None, now(1)), Ask::Undo, Ask::Draft(None, now(2)), Ask::Reload] {
            pile.add(ask);
        }
        assert!(matches!(pile.next(), Some(Ask::Undo)));
        assert!(matches!(pile.next(), Some(Ask::Reload)));
        assert!(matches!(pile.next(), Some(Ask::Draft(None, at)) if at == now(2)));
        assert!(pile.next().is_none());
    }
}
