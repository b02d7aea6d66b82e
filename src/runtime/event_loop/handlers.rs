//! What the loop does when the console, a monitor, a driver, another process or a worker tells it something.

use std::sync::Arc;

use super::{Event, EventLoop};
use crate::core::cluster::Reading;
use crate::core::engine::{Command, Happened, Record};
use crate::edge::config::differences;
use crate::edge::control::Call;
use crate::edge::driver::DriverEvent;
use crate::edge::history::Note;
use crate::edge::supervisor::REPORT_IT;
use crate::runtime::config_worker::{Changed, ConfigAnswer, Edited, Question};
use crate::runtime::control_endpoint;
use crate::runtime::drivers::driver_configs;
use crate::runtime::engine_host::Listener;
use crate::runtime::history_batcher::HistoryBatcher;
use crate::runtime::outputs::Frontend;
use crate::runtime::pace::Pace;
use crate::runtime::polls::Polled;
use crate::runtime::workers::{HistoryNews, WorkerEvent};
use crate::view::{CommandId, HistoryView, QueueOrder, UiCommand};

impl EventLoop {
    pub(super) fn on_ui_command(&mut self, say: UiCommand) {
        let now = self.pace.now(self.engine_host.now());
        let id = say.id();
        let deed = match say {
            // A look changes nothing, so it is answered before what is due.
            UiCommand::Subscription(look) => {
                if let Some(publisher) = self.outputs.publisher() {
                    publisher.set_look(look.clone());
                }
                self.workers.look(look, now);
                None
            }
            UiCommand::Draft(draft) => {
                if draft.is_none()
                    && let Some(publisher) = self.outputs.publisher()
                {
                    publisher.extras.draft = None;
                }
                self.workers.ask(Question::Draft(draft, now));
                None
            }
            UiCommand::Command(_, command) => self.allowed(id).then(|| {
                self.come_to_now();
                self.obey(id, command);
                true
            }),
            UiCommand::Queue(_, order) => self.allowed(id).then(|| {
                self.come_to_now();
                self.order(id, &order);
                true
            }),
            UiCommand::Save { draft, why, over, .. } => {
                self.allowed(id).then(|| self.workers.ask_for(id, Question::Save { draft, why, over }))
            }
            UiCommand::SetValue(_, change) => {
                self.allowed(id).then(|| self.workers.ask_for(id, Question::SetValue(change)))
            }
            UiCommand::Undo(_) => self.allowed(id).then(|| self.workers.ask_for(id, Question::Undo)),
            UiCommand::Reload(_) => Some(self.workers.ask_for(id, Question::Reload)),
        };
        if deed == Some(false) {
            let why =
                if self.workers.has_config() { "too busy: not done, try again" } else { "there is no config file" };
            self.answer(id, false, why);
        }
        self.pass_on();
        self.publish();
    }

    /// Whether commands are allowed. If not, the console is told why.
    fn allowed(&mut self, id: Option<CommandId>) -> bool {
        if let Some(why) = self.read_only {
            self.answer(id, false, why);
        }
        self.read_only.is_none()
    }

    /// Answers the console's command with this id.
    fn answer(&mut self, to: Option<CommandId>, ok: bool, text: &str) {
        if let Some(publisher) = self.outputs.publisher() {
            publisher.answer_to(to, ok, text);
        }
    }

    fn obey(&mut self, id: Option<CommandId>, command: Command) {
        let by = self.operator.clone();
        let (ok, text) = self.engine_host.command(&by, command.clone(), &mut self.outputs, &mut self.asks);
        self.answer(id, ok, &text);
        let engine = self.engine_host.engine();
        if let Frontend::Publish(publisher) = &mut self.outputs.frontend {
            publisher.touched_by(&command, engine);
        }
    }

    /// Has a VM's worker asked for something.
    fn order(&mut self, id: Option<CommandId>, order: &QueueOrder) {
        let by = self.operator.clone();
        let Some(vm) = self.engine().vm_named(&order.vm) else {
            return self.answer(id, false, &format!("there is no VM {}", order.vm));
        };
        let done = self.engine_host.order(&by, vm, &order.what);
        if done.is_ok() {
            let at = self.engine_host.now();
            let what = Happened::Operator { by, text: order.what.to_string() };
            self.outputs.record(&Record { at, vm: Some(order.vm.clone()), what }, self.engine_host.engine());
        }
        let (ok, text) = done.map_or_else(|why| (false, why), |text| (true, text));
        self.answer(id, ok, &format!("{}: {text}", order.vm));
    }

    pub(super) fn on_polled(&mut self, polled: Polled) {
        match polled {
            Polled::Reading(vm, reading) => self.tell(Event::Reading { vm, reading }),
            Polled::Panicked(vm) => {
                let name = &self.engine().cluster().vm(vm).name;
                let text = format!("the monitor of {name} failed and was started again");
                self.tell(Event::Trouble { vm: Some(vm), text });
                self.tell(Event::Reading { vm, reading: Reading::Gap("the monitor failed".to_owned()) });
            }
        }
    }

    pub(super) fn on_driver_event(&mut self, event: DriverEvent) {
        // Names that left the config mean nothing, nor does a driver's reading of a VM that something else reads now.
        match self.engine().in_ids(event) {
            Some(Event::Reading { vm, .. }) if !self.engine_host.is_measured(vm) => {}
            Some(event) => self.tell(event),
            None => {}
        }
    }

    /// Answers another process. An error is an alarm: the socket's thread failed.
    pub(super) fn on_call(&mut self, call: Result<Call, String>) {
        let call = match call {
            Ok(call) => call,
            Err(text) => return self.tell(Event::Trouble { vm: None, text }),
        };
        self.come_to_now();
        control_endpoint::answer(call, &mut self.engine_host, &mut self.outputs, &mut self.asks, self.read_only);
        self.stale = true;
        self.pass_on();
    }

    pub(super) fn reload(&mut self) {
        if !self.workers.ask(Question::Reload) && self.workers.has_config() {
            let text = "the config is not read again: too much waits to be read and saved; ask once more".to_owned();
            self.tell(Event::Trouble { vm: None, text });
        }
    }

    pub(super) fn on_worker_event(&mut self, event: WorkerEvent) {
        match event {
            WorkerEvent::History(news) => self.on_history_news(news),
            WorkerEvent::Config((id, answer)) => self.on_config_answer(id, answer),
            WorkerEvent::Journal(event) => self.tell(event),
        }
        self.stale = true;
    }

    fn on_history_news(&mut self, news: HistoryNews) {
        let view = match news {
            HistoryNews::Writer(writer, path) => {
                self.outputs.batcher.keep_by(writer);
                let shown = path.to_string_lossy().into();
                // A simulated past and a simulated time are nobody else's.
                if let (Pace::Real, Err(text)) = (self.pace, self.control_endpoint.open(&path)) {
                    self.engine_host.tell(Event::Trouble { vm: None, text }, &mut self.outputs, &mut self.asks);
                }
                self.workers.ask(Question::History(Some(path)));
                Some(HistoryView::On { path: shown, size: 0, trouble: None })
            }
            HistoryNews::None(why) => {
                self.outputs.batcher = HistoryBatcher::none();
                self.workers.ask(Question::History(None));
                Some(HistoryView::Off(why.into()))
            }
            HistoryNews::Note(Note::Written { through }) => {
                self.outputs.batcher.written(through);
                self.settle_ended();
                self.workers.refresh(self.pace.now(self.engine_host.now()));
                None
            }
            HistoryNews::Note(Note::Trouble(text)) => {
                self.tell(Event::Trouble { vm: None, text: text.clone() });
                self.show_history(|_, trouble| *trouble = Some(text.into()))
            }
            HistoryNews::Note(Note::Well) => {
                self.losing = false;
                self.show_history(|_, trouble| *trouble = None)
            }
            HistoryNews::Note(Note::Size(bytes)) => {
                self.show_history(|size, trouble| (*size, *trouble) = (bytes, None))
            }
        };
        if let (Some(view), Some(publisher)) = (view, self.outputs.publisher()) {
            publisher.extras.history = view;
        }
    }

    /// Changes what the screen shows of a history that is on.
    fn show_history(&mut self, change: impl FnOnce(&mut u64, &mut Option<Arc<str>>)) -> Option<HistoryView> {
        let mut view = self.outputs.publisher()?.extras.history.clone();
        if let HistoryView::On { size, trouble, .. } = &mut view {
            change(size, trouble);
        }
        Some(view)
    }

    /// What the config file's worker says; `id`: in answer to the console's command with this id.
    fn on_config_answer(&mut self, id: Option<CommandId>, told: ConfigAnswer) {
        match told {
            ConfigAnswer::Edited(edited) => return self.edited(id, edited),
            ConfigAnswer::Changed(changed) => {
                let applied = self.changed(*changed);
                if id.is_some() {
                    let read = || "the config file was read again".to_owned();
                    let (ok, text) = applied.map_or_else(|why| (false, why), |()| (true, read()));
                    self.answer(id, ok, &text);
                }
            }
            ConfigAnswer::Refused(why) => self.answer(id, false, &why),
            ConfigAnswer::Failed(why) => {
                let text = format!("the history or the config file could not be dealt with: {why}; {REPORT_IT}");
                self.answer(id, false, &text);
                self.tell(Event::Trouble { vm: None, text });
            }
            ConfigAnswer::Trouble(text) => self.tell(Event::Trouble { vm: None, text }),
            ConfigAnswer::Broken(why) => {
                if let Some(why) = &why {
                    let text = format!("config not applied: {why}");
                    self.tell(Event::Trouble { vm: None, text: text.clone() });
                    if id.is_some() {
                        self.answer(id, false, &text);
                    }
                }
                if let Some(publisher) = self.outputs.publisher() {
                    publisher.set_broken(why);
                }
            }
            told => {
                let Some(publisher) = self.outputs.publisher() else { return };
                // What is not for the screen was seen to above.
                let _ = publisher.extras.take(told);
            }
        }
        self.publish();
    }

    /// Has the engine take over an edit that is in the file.
    fn edited(&mut self, id: Option<CommandId>, edited: Edited) {
        let Edited { changes, why, origins, draft } = edited;
        if let Some(publisher) = self.outputs.publisher() {
            publisher.extras.origins = origins;
            publisher.extras.draft = draft;
        }
        if changes.is_empty() {
            self.answer(id, true, "saved: it means the same as before");
        } else {
            self.come_to_now();
            self.obey(id, Command::Amend { changes, why });
            self.pass_on();
        }
        self.publish();
    }

    /// Applies a config that somebody else changed, or that was read again.
    ///
    /// # Errors
    /// Why it cannot be applied now.
    pub(super) fn changed(&mut self, changed: Changed) -> Result<(), String> {
        let Changed { config, before, said, uneditable, origins } = changed;
        // What a config changes that could not be applied is said when it can.
        let (before, said) = match self.applied.take() {
            Some(running) => {
                let said = differences(&running, &config);
                (Some(running), said)
            }
            None => (before, said),
        };
        self.come_to_now();
        // What was asked for so far has the old config's ids.
        self.pass_on();
        let (drivers, engine) = (driver_configs(&config), self.engine_host.engine());
        let stands = engine.can_become(&config.cluster).and_then(|()| self.drivers.can_become(&drivers, engine));
        let applied = stands.and_then(|()| {
            // The engine asks again where outcomes are open, and must reach the new drivers.
            let troubles = self.drivers.configure(drivers);
            self.engine_host.reconfigure(config, said, &mut self.outputs, &mut self.asks).map(|()| troubles)
        });
        let applied = match applied {
            Ok(troubles) => {
                self.refused = None;
                // Before the engine is told anything: that may start a poll, which needs the new clients.
                self.polls.configure(self.engine_host.monitors());
                for text in troubles {
                    self.tell(Event::Trouble { vm: None, text });
                }
                if let Some(publisher) = self.outputs.publisher() {
                    (publisher.extras.uneditable, publisher.extras.origins) = (uneditable, origins);
                    publisher.set_broken(None);
                }
                Ok(())
            }
            Err(why) => {
                self.applied = before;
                let under_way = self.engine().migrations().map(|migration| migration.route.id).collect();
                let known = self.refused.replace((under_way, why.clone()));
                let text = format!("config not applied: {why}");
                if known.is_none_or(|(_, said)| said != why) {
                    self.tell(Event::Trouble { vm: None, text: text.clone() });
                }
                Err(text)
            }
        };
        self.pass_on();
        self.stale = true;
        applied
    }

    /// Reads a config again that a migration kept from being applied, once one of those under way then is over.
    pub(super) fn reload_refused(&mut self) {
        let Some((under_way, _)) = &mut self.refused else { return };
        let engine = self.engine_host.engine();
        if under_way.iter().any(|id| !engine.migrations().any(|migration| migration.route.id == *id)) {
            // If the worker is too busy, the next migration that ends asks again.
            if self.workers.ask(Question::Reload) {
                under_way.clear();
            }
        }
    }
}
