//! What the loop is told: by the console, by monitors and drivers, by other processes, by the desk, by the history.

use super::{Event, EventLoop};
use crate::core::cluster::{Reading, RequestId};
use crate::core::engine::Command;
use crate::edge::config::differences;
use crate::edge::control::Call;
use crate::edge::driver::DriverEvent;
use crate::edge::history::Note;
use crate::runtime::backroom::{News, Word};
use crate::runtime::control_endpoint;
use crate::runtime::desk::{Ask, Changed, Edited, Save, Told};
use crate::runtime::drivers::{self, crews};
use crate::runtime::engine_host::Listener;
use crate::runtime::history_batcher::HistoryBatcher;
use crate::runtime::pace::Pace;
use crate::runtime::polls::Polled;
use crate::runtime::sink::Show;
use crate::view::{HistoryView, UiCommand};

impl EventLoop {
    pub(super) fn listen(&mut self, say: UiCommand) {
        let now = self.pace.now(self.engine_host.now());
        let deed = match say {
            // A look changes nothing: what is due waits for its own wake, so that the answer does not.
            UiCommand::Subscription(look) => {
                if let Some(publisher) = self.sink.publisher() {
                    publisher.set_look(look.clone());
                }
                self.backroom.look(look, now);
                None
            }
            UiCommand::Draft(draft) => {
                if draft.is_none()
                    && let Some(publisher) = self.sink.publisher()
                {
                    publisher.beside.draft = None;
                }
                self.backroom.ask(Ask::Draft(draft, now));
                None
            }
            UiCommand::Command(command) => self.allowed().then(|| {
                self.come_to_now();
                self.obey(command);
                true
            }),
            UiCommand::Save { draft, why, over } => {
                self.allowed().then(|| self.backroom.ask(Ask::Save(Save { draft, why, over })))
            }
            UiCommand::SetValue(nudge) => self.allowed().then(|| self.backroom.ask(Ask::SetValue(nudge))),
            UiCommand::Undo => self.allowed().then(|| self.backroom.ask(Ask::Undo)),
            UiCommand::Reload => Some(self.backroom.ask(Ask::Reload)),
        };
        if deed == Some(false) {
            let why =
                if self.backroom.has_desk() { "too busy: not done, try again" } else { "there is no config file" };
            self.answer(false, why);
        }
        self.pass_on();
        self.publish();
    }

    /// Whether anything may be commanded here; if not, that is the answer.
    fn allowed(&mut self) -> bool {
        if let Some(why) = self.read_only {
            self.answer(false, why);
        }
        self.read_only.is_none()
    }

    fn answer(&mut self, ok: bool, text: &str) {
        self.sink.answer(ok, text);
    }

    fn obey(&mut self, command: Command) {
        let by = self.operator.clone();
        self.engine_host.command(&by, command.clone(), &mut self.sink, &mut self.asks);
        let engine = self.engine_host.engine();
        if let Show::Publish(publisher) = &mut self.sink.show {
            publisher.touched_by(&command, engine);
        }
    }

    pub(super) fn take(&mut self, polled: Polled) {
        match polled {
            Polled::Reading(vm, reading) => self.tell(Event::Reading { vm, reading }),
            Polled::Panicked(vm) => {
                let name = &self.engine().cluster().vm(vm).name;
                let text = format!("the monitor of {name} failed and was started again");
                self.tell(Event::Trouble { vm: Some(vm), text });
                self.tell(Event::Reading { vm, reading: Reading::Gap("the monitor failed".to_owned()) });
            }
            Polled::Outdated => {}
        }
    }

    pub(super) fn learn(&mut self, fact: DriverEvent) {
        if let Some(event) = drivers::event(fact, self.engine().cluster(), self.engine_host.monitors()) {
            self.tell(event);
        }
    }

    /// Answers another process.
    pub(super) fn serve(&mut self, call: Call) {
        self.come_to_now();
        control_endpoint::answer(call, &mut self.engine_host, &mut self.sink, &mut self.asks, self.read_only);
        self.stale = true;
        self.pass_on();
    }

    pub(super) fn reload(&mut self) {
        self.backroom.ask(Ask::Reload);
    }

    pub(super) fn hear(&mut self, word: Word) {
        match word {
            Word::News(news) => self.of_history(news),
            Word::Told(told) => self.of_desk(told),
            Word::Overdue(late) => {
                let text = "the history's disk does not answer: migrations start without being written down".to_owned();
                self.tell(Event::Trouble { vm: None, text });
                late.into_iter().for_each(|id| self.written_down(id));
            }
        }
        self.stale = true;
    }

    fn written_down(&mut self, id: RequestId) {
        if self.backroom.paid(id) {
            self.tell(Event::Journalled { id });
        }
    }

    fn of_history(&mut self, news: News) {
        let view = match news {
            News::HistoryWriter(keeper, path) => {
                self.sink.batcher.keep_by(keeper);
                self.engine_host.journal_outside(true);
                let shown = path.to_string_lossy().into();
                // A simulated past and a simulated time are nobody else's.
                if let (Pace::Real, Err(text)) = (self.pace, self.control_endpoint.open(&path)) {
                    self.engine_host.tell(Event::Trouble { vm: None, text }, &mut self.sink, &mut self.asks);
                }
                self.backroom.ask(Ask::History(path));
                Some(HistoryView::On { path: shown, size: 0 })
            }
            News::None(why) => {
                self.sink.batcher = HistoryBatcher::none();
                self.engine_host.journal_outside(false);
                Some(HistoryView::Off(why.into()))
            }
            News::Note(Note::Journalled(id)) => {
                self.written_down(id);
                None
            }
            News::Note(Note::Written { through }) => {
                self.sink.batcher.written(through);
                self.backroom.refresh(self.pace.now(self.engine_host.now()));
                None
            }
            News::Note(Note::Trouble(text)) => {
                self.tell(Event::Trouble { vm: None, text: text.clone() });
                self.history_fails(text)
            }
            News::Note(Note::Well) => {
                self.losing = false;
                self.history_view(|_| ())
            }
            News::Note(Note::Size(bytes)) => self.history_view(|size| *size = bytes),
        };
        if let (Some(view), Some(publisher)) = (view, self.sink.publisher()) {
            publisher.beside.history = view;
        }
    }

    fn history_fails(&mut self, why: String) -> Option<HistoryView> {
        let publisher = self.sink.publisher()?;
        match &publisher.beside.history {
            HistoryView::On { path, size } | HistoryView::Failing { path, size, .. } => {
                Some(HistoryView::Failing { path: path.clone(), size: *size, why: why.into() })
            }
            HistoryView::Off(_) => None,
        }
    }

    fn history_view(&mut self, change: impl FnOnce(&mut u64)) -> Option<HistoryView> {
        match self.sink.publisher()?.beside.history.clone() {
            HistoryView::On { path, mut size } | HistoryView::Failing { path, mut size, .. } => {
                change(&mut size);
                Some(HistoryView::On { path, size })
            }
            HistoryView::Off(_) => None,
        }
    }

    fn of_desk(&mut self, told: Told) {
        if let Told::Edited(edited) = told {
            return self.edited(edited);
        }
        match told {
            Told::Changed(changed) => self.changed(*changed),
            Told::Refused(why) => self.answer(false, &why),
            Told::Failed => {
                let text = "the history or the config file could not be dealt with: a fault of whimbrel's own, please report it";
                self.answer(false, text);
                self.tell(Event::Trouble { vm: None, text: text.to_owned() });
            }
            Told::Broken(why) => {
                if let Some(why) = &why {
                    self.tell(Event::Trouble { vm: None, text: format!("config not applied: {why}") });
                }
                if let Some(publisher) = self.sink.publisher() {
                    publisher.set_broken(why);
                }
            }
            told => {
                let Some(publisher) = self.sink.publisher() else { return };
                // What is not for the screen was seen to above.
                let _ = publisher.beside.take(told);
            }
        }
        self.publish();
    }

    /// An edit is in the file: the engine follows.
    fn edited(&mut self, edited: Edited) {
        let Edited { changes, why, origins, draft } = edited;
        if let Some(publisher) = self.sink.publisher() {
            publisher.beside.origins = origins;
            publisher.beside.draft = draft;
        }
        if changes.is_empty() {
            self.answer(true, "saved: it means the same as before");
        } else {
            self.come_to_now();
            self.obey(Command::Amend { changes, why });
            self.pass_on();
        }
        self.publish();
    }

    /// Somebody else changed the config.
    pub(super) fn changed(&mut self, changed: Changed) {
        let Changed { config, before, said, editing, origins } = changed;
        // What a config changes that could not be applied is said when it can.
        let (before, said) = match self.applied.take() {
            Some(running) => {
                let said = differences(&running, &config);
                (Some(running), said)
            }
            None => (before, said),
        };
        self.come_to_now();
        // These ids are the old config's.
        self.pass_on();
        let (crews, engine) = (crews(&config), self.engine_host.engine());
        let stands = engine.can_become(&config.cluster).and_then(|()| self.drivers.can_become(&crews, engine));
        let applied = stands.and_then(|()| {
            // Whoever is asked next is one of the new ones.
            let troubles = self.drivers.configure(crews);
            self.engine_host.reconfigure(config, said, &mut self.sink, &mut self.asks).map(|()| troubles)
        });
        match applied {
            Ok(troubles) => {
                self.refused = None;
                for text in troubles {
                    self.tell(Event::Trouble { vm: None, text });
                }
                self.polls.configure(self.engine_host.monitors());
                if let Some(publisher) = self.sink.publisher() {
                    (publisher.beside.editing, publisher.beside.origins) = (editing, origins);
                    publisher.set_broken(None);
                }
            }
            Err(why) => {
                self.applied = before;
                let under_way = self.engine().migrations().map(|migration| migration.route.id).collect();
                let known = self.refused.replace((under_way, why.clone()));
                if known.is_none_or(|(_, said)| said != why) {
                    self.tell(Event::Trouble { vm: None, text: format!("config not applied: {why}") });
                }
            }
        }
        self.pass_on();
        self.stale = true;
    }

    /// A config that a migration kept from being applied is read again when one of those under way then is over.
    pub(super) fn reload_refused(&mut self) {
        let Some((under_way, _)) = &mut self.refused else { return };
        let engine = self.engine_host.engine();
        if under_way.iter().any(|id| !engine.migrations().any(|migration| migration.route.id == *id)) {
            under_way.clear();
            self.backroom.ask(Ask::Reload);
        }
    }
}
