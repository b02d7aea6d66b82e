//! Answers slow questions on its own thread, so that neither the engine nor the screen waits for a disk: the past, what was
//! done, drafts of policies, and the config file.
//!
//! | file | content |
//! | --- | --- |
//! | `mod` | the worker: of most kinds of question only the newest is answered |
//! | `file` | the config file: its blocks, edits, undo, other people's changes |
//! | `draft` | answers about a draft: its errors, what it would have done |
//! | `past` | a VM's past for a screen, what was done over a span |

mod draft;
mod file;
mod past;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use tokio::sync::mpsc;

use crate::core::cluster::{Cluster, Name, Timestamp};
use crate::core::engine::{Change, ConfigChange};
use crate::core::simulation::Plan;
use crate::edge::config::{self, Config, Watch};
use crate::edge::supervisor::{fault, panic_message, supervise};
use crate::view::{ActivityAsk, ActivityView, CommandId, Draft, DraftView, Origin, Past, PastAsk, SetValue};

use draft::Drafts;
use file::ConfigFile;
use past::CachedReader;

/// The room for questions. Of most kinds only the newest is answered.
const WAITING: usize = 256;
/// The room for answers. The worker waits for room; the loop never waits for the worker.
const ANSWERS: usize = 64;

/// A question.
pub enum Question {
    /// A VM's past, up to now.
    Past(Name, PastAsk, Timestamp),
    /// What was done, up to now.
    Activity(ActivityAsk, Timestamp),
    /// Check this draft, with a what-if up to now.
    Draft(Option<Draft>, Timestamp),
    /// Save it; `over`: even if the file has been changed since the draft began.
    Save { draft: Draft, why: Option<String>, over: bool },
    /// Change one number.
    SetValue(SetValue),
    /// Take the last change back.
    Undo,
    /// The file may have changed on disk: read it again.
    Reread,
    /// An operator wants the file to be read again, changed or not.
    Reload,
    /// The history is in this file from now on; `None`: there will be none.
    History(Option<PathBuf>),
    /// The history has new entries.
    Recorded,
}

/// An answer.
pub enum ConfigAnswer {
    Past(Arc<Past>),
    Activity(Arc<ActivityView>),
    Draft(Arc<DraftView>),
    /// Policies changed in the file; the engine must follow.
    Edited(Edited),
    /// Nothing was changed, and why.
    Refused(String),
    /// A question failed because of a fault in the program; this is its message.
    Failed(String),
    /// The worker itself failed and began again.
    Trouble(String),
    /// The file has changed.
    Changed(Box<Changed>),
    /// The file has an error, with its position; the last good config stays. `None`: the error is gone.
    Broken(Option<String>),
    /// Why policies cannot be edited, if they cannot, and where each VM's settings come from.
    Editing(Option<Arc<str>>, Vec<Origin>),
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
    pub uneditable: Option<Arc<str>>,
    pub origins: Vec<Origin>,
}

/// A question or its answer, and the id of the console's command that it belongs to, if it is one's.
pub type Identified<T> = (Option<CommandId>, T);

/// The loop's end of the worker.
pub struct ConfigWorker {
    questions: SyncSender<Identified<Question>>,
    answers: mpsc::Receiver<Identified<ConfigAnswer>>,
    /// Reports changes of the config file until it is dropped.
    _watch: Option<Watch>,
}

/// What the worker starts with.
#[derive(Clone, Default)]
pub struct ConfigInputs {
    /// The config file, if there is one.
    pub file: Option<PathBuf>,
    /// Why nothing may be written into the file.
    pub locked: Option<&'static str>,
    /// The config with which the engine started, and its bytes; `None`: the file's.
    pub loaded: Option<(Config, Vec<u8>)>,
    /// A simulated cluster, with what its file cannot say of it.
    pub untold: Option<(Cluster, Plan)>,
}

impl ConfigWorker {
    /// Starts the worker, and has the config file watched if there is one. The second result says why it is not watched.
    ///
    /// # Errors
    /// There is no thread for it, in words.
    pub fn start(inputs: ConfigInputs) -> Result<(Self, Result<(), String>), String> {
        let (questions, asked) = sync_channel(WAITING);
        let (tell, answers) = mpsc::channel(ANSWERS);
        let (file, locked, watch_tell) = (inputs.file.clone(), inputs.locked, tell.clone());
        let again = ConfigInputs { file: file.clone(), locked, ..ConfigInputs::default() };
        let work = move || {
            let (mut thread, mut inputs) = (None, Some(inputs));
            let report = |text| drop(tell.blocking_send((None, ConfigAnswer::Trouble(text))));
            supervise("the worker for config file and past", report, || {
                let begin = || ConfigThread::new(inputs.take().unwrap_or_else(|| again.clone()), tell.clone());
                thread.get_or_insert_with(begin).work(&asked);
            });
        };
        let thread = thread::Builder::new().name("config".to_owned()).spawn(work);
        thread.map_err(|error| format!("policies cannot be edited: {error}"))?;
        let bell = questions.clone();
        let reread = move || bell.try_send((None, Question::Reread)).is_ok();
        let report = move |text| drop(watch_tell.blocking_send((None, ConfigAnswer::Trouble(text))));
        let watch = file.map(|path| config::watch(&path, reread, report)).transpose();
        // Nobody reports a change between the worker's first read and the begin of the watch. If the queue is full, other
        // questions read the file.
        let _ = questions.try_send((None, Question::Reread));
        let (watch, watched) = match watch {
            Ok(watch) => (watch, Ok(())),
            Err(error) => {
                let why = format!("the config is not watched, as no thread could be started: {error}");
                (None, Err(format!("{why}; reload it by hand")))
            }
        };
        Ok((Self { questions, answers, _watch: watch }, watched))
    }

    /// Asks; `id`: the console's command that it is. `false`: there is no room.
    pub fn ask(&self, id: Option<CommandId>, question: Question) -> bool {
        self.questions.try_send((id, question)).is_ok()
    }

    /// Waits for the next answer.
    pub async fn next(&mut self) -> Identified<ConfigAnswer> {
        match self.answers.recv().await {
            Some(answer) => answer,
            // The thread keeps the other end as long as there are questions.
            None => std::future::pending().await,
        }
    }
}

/// The thread's side.
pub struct ConfigThread {
    file: ConfigFile,
    reader: CachedReader,
    drafts: Drafts,
    tell: mpsc::Sender<Identified<ConfigAnswer>>,
}

impl Question {
    /// The place among waiting questions. Those with an effect come first, and all of them are answered. Of each other kind only
    /// the newest is.
    const fn rank(&self) -> u8 {
        match self {
            Self::Save { .. }
            | Self::SetValue(_)
            | Self::Undo
            | Self::Reread
            | Self::Reload
            | Self::History(_)
            | Self::Recorded => 0,
            Self::Draft(..) => 1,
            Self::Past(..) => 2,
            Self::Activity(..) => 3,
        }
    }
}

/// Adds a question to those that wait.
fn queue(waiting: &mut VecDeque<Identified<Question>>, ask: Identified<Question>) {
    let rank = ask.1.rank();
    waiting.retain(|(_, other)| rank == 0 || other.rank() != rank);
    waiting.insert(waiting.partition_point(|(_, other)| other.rank() <= rank), ask);
}

impl ConfigThread {
    /// Reads the file, on the caller's thread. Answers go to `tell`.
    pub fn new(inputs: ConfigInputs, tell: mpsc::Sender<Identified<ConfigAnswer>>) -> Self {
        let (file, first) = ConfigFile::new(inputs);
        let thread = Self { file, reader: CachedReader::default(), drafts: Drafts::default(), tell };
        thread.tell(None, first);
        thread
    }

    fn work(&mut self, asked: &Receiver<Identified<Question>>) {
        let mut waiting = VecDeque::new();
        loop {
            // What does not fit waits in the channel, which then refuses further questions.
            while waiting.len() < WAITING
                && let Ok(question) = asked.try_recv()
            {
                queue(&mut waiting, question);
            }
            let Some((id, question)) = waiting.pop_front().or_else(|| asked.recv().ok()) else { return };
            // A question that fails gets an answer, and the other questions go on.
            let answered = catch_unwind(AssertUnwindSafe(|| {
                fault("config");
                self.answer(id, question);
            }));
            if let Err(panic) = answered {
                self.tell(id, ConfigAnswer::Failed(panic_message(&*panic)));
            }
        }
    }

    /// Somebody may have changed the file; the open draft is compared with it.
    fn look(&mut self, anyway: bool) -> Option<ConfigAnswer> {
        let told = self.file.look(anyway)?;
        if matches!(told, ConfigAnswer::Changed(_))
            && let Some(view) = self.drafts.again(&self.file, &mut self.reader)
        {
            self.tell(None, ConfigAnswer::Draft(Arc::new(view)));
        }
        Some(told)
    }

    /// There may be samples now for a draft that had none.
    fn recorded(&mut self) -> Option<ConfigAnswer> {
        let view = self.drafts.recorded(&self.file, &mut self.reader)?;
        Some(ConfigAnswer::Draft(Arc::new(view)))
    }

    fn tell(&self, id: Option<CommandId>, told: ConfigAnswer) {
        // The engine has ended, so nobody listens.
        let _ = self.tell.blocking_send((id, told));
    }

    /// Answers one question; `id`: the console's command that it is.
    pub fn answer(&mut self, id: Option<CommandId>, ask: Question) {
        let told = match ask {
            Question::Past(vm, ask, now) => {
                Some(ConfigAnswer::Past(Arc::new(self.reader.past(&self.file, vm, ask, now))))
            }
            Question::Activity(ask, now) => {
                Some(ConfigAnswer::Activity(Arc::new(self.reader.activity(&self.file, ask, now))))
            }
            Question::Draft(draft, now) => {
                let view = self.drafts.look(draft, now, &self.file, &mut self.reader);
                view.map(|view| ConfigAnswer::Draft(Arc::new(view)))
            }
            Question::Save { draft, why, over } => Some(self.drafts.save(&draft, why, over, &mut self.file)),
            Question::SetValue(set) => Some(self.file.set_value(&set)),
            Question::Undo => Some(self.file.undo()),
            Question::Recorded => self.recorded(),
            Question::Reread => self.look(false),
            Question::Reload => {
                let told = self.look(true);
                told.or_else(|| Some(ConfigAnswer::Refused("there is no config file to read again".to_owned())))
            }
            Question::History(path) => {
                self.reader.open(path);
                self.recorded()
            }
        };
        if let Some(noticed) = self.file.take_noticed() {
            self.tell(None, noticed);
        }
        if let Some(answer) = told {
            self.tell(id, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeds_come_first_and_in_order_and_of_looks_only_the_newest() {
        let mut waiting = VecDeque::new();
        let now = Timestamp::from_secs;
        for ask in [Question::Draft(None, now(1)), Question::Undo, Question::Draft(None, now(2)), Question::Reload] {
            queue(&mut waiting, (None, ask));
        }
        assert!(matches!(waiting.pop_front(), Some((_, Question::Undo))));
        assert!(matches!(waiting.pop_front(), Some((_, Question::Reload))));
        assert!(matches!(waiting.pop_front(), Some((_, Question::Draft(None, at))) if at == now(2)));
        assert!(waiting.pop_front().is_none());
    }
}
