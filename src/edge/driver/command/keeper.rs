//! The owner of all that is under way: takes jobs, has them done beside each other, and says what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use rustix::process::Signal;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::carry::{Asks, End, Trail, carry};
use super::process::signal;
use super::rounds::Rounds;
use super::{DriverCommand, DriverEvent, Move, Shop, mark, unmeasured};
use crate::core::cluster::RequestId;
use crate::core::engine::Presence;

/// What whoever works beside the keeper has to say to it.
pub(super) enum Word {
    /// A migration turned out to be under way.
    Found(Move, Trail),
    /// A migration's command is over.
    Over(Move, End),
    /// What both hosts say.
    Located(Move, [Presence; 2]),
    /// Where a VM runs, by a look that began then.
    Seen { vm: String, on: BTreeSet<String>, since: Instant },
}

/// What is known of a migration whose command is over.
#[derive(Debug, Default)]
struct Past {
    /// Its command ended by itself: nothing goes on without it.
    sure: bool,
    /// It was followed by what `progress` says, and is so once.
    was_told: bool,
    /// What both hosts say, and since when.
    says: Option<([Presence; 2], Instant)>,
}

/// Words that wait for the keeper at most. Whoever has more to say waits: the keeper itself waits for nobody.
const QUEUE: usize = 64;

/// A migration that is carried.
struct Carried {
    vm: String,
    asks: Rc<Asks>,
    /// Where its VM runs was asked meanwhile. That is answered when it is over, in case its progress was not told in time.
    is_asked: bool,
}

/// The driver's state.
pub(super) struct Keeper {
    shop: Rc<Shop>,
    carried: BTreeMap<RequestId, Carried>,
    past: BTreeMap<RequestId, Past>,
    confirming: BTreeSet<RequestId>,
    /// When a VM's migration was over: what was seen of it before is not told.
    touched: BTreeMap<String, Instant>,
    told: BTreeMap<String, BTreeSet<String>>,
    words: Sender<Word>,
    heard: Receiver<Word>,
}

impl Keeper {
    pub(super) fn new(shop: Rc<Shop>) -> Self {
        let (words, heard) = channel(QUEUE);
        Self {
            shop,
            carried: BTreeMap::new(),
            past: BTreeMap::new(),
            confirming: BTreeSet::new(),
            touched: BTreeMap::new(),
            told: BTreeMap::new(),
            words,
            heard,
        }
    }

    /// Works until nobody orders any more, and then until no command that must not be killed runs.
    pub(super) async fn work(mut self, mut orders: Receiver<DriverCommand>) {
        let rounds = spawn_local(Rounds::new(self.shop.clone(), self.words.clone()).go());
        loop {
            tokio::select! {
                biased;
                Some(word) = self.heard.recv() => self.hear(word),
                job = orders.recv() => match job {
                    Some(job) => self.take(job),
                    None => break,
                },
            }
        }
        self.shop.closed.set(true);
        rounds.abort();
        while !self.carried.is_empty() {
            match self.heard.recv().await {
                Some(Word::Over(way, _)) => drop(self.carried.remove(&way.id)),
                Some(_) => {}
                None => return,
            }
        }
    }

    fn take(&mut self, job: DriverCommand) {
        match job {
            DriverCommand::Preflight(way) => {
                let shop = self.shop.clone();
                spawn_local(async move {
                    let refusal = shop.refusal(&way).await;
                    shop.say(DriverEvent::Preflight { id: way.id, refusal, forecast: None });
                });
            }
            DriverCommand::Start(way) => self.carry(way, Trail::New),
            DriverCommand::Abort(way) => self.abort(way),
            DriverCommand::Confirm(way) => self.confirm(way),
            DriverCommand::Measure { vm } => self.shop.say(unmeasured(vm)),
        }
    }

    /// Has a migration carried, if it is not already.
    fn carry(&mut self, way: Move, trail: Trail) {
        if self.carried.contains_key(&way.id) {
            return;
        }
        let asks = Rc::new(Asks::default());
        self.carried.insert(way.id, Carried { vm: way.vm.clone(), asks: asks.clone(), is_asked: false });
        let (shop, words) = (self.shop.clone(), self.words.clone());
        spawn_local(async move {
            let end = carry(shop, way.clone(), trail, &asks).await;
            // The keeper lives as long as anything is carried.
            let _ = words.send(Word::Over(way, end)).await;
        });
    }

    fn abort(&self, way: Move) {
        if let Some(carried) = self.carried.get(&way.id) {
            carried.asks.abort.notify_one();
        } else if self.shop.settings.abort.is_some() {
            let shop = self.shop.clone();
            spawn_local(async move { shop.run_abort(&way).await });
        } else {
            spawn_local(async move {
                if let Some(stray) = mark::find(&way).await {
                    signal(stray.group, Signal::TERM);
                }
            });
        }
    }

    fn confirm(&mut self, way: Move) {
        if let Some(carried) = self.carried.get_mut(&way.id) {
            carried.asks.report.notify_one();
            carried.is_asked = true;
            return;
        }
        if !self.confirming.insert(way.id) {
            return;
        }
        let past = self.past.get(&way.id);
        let (known, was_told) = (past.is_some_and(|past| past.sure), past.is_some_and(|past| past.was_told));
        let (shop, words) = (self.shop.clone(), self.words.clone());
        spawn_local(async move {
            let trail = if known { None } else { shop.trail(&way, was_told).await };
            let word = match trail {
                Some(trail) => Word::Found(way, trail),
                None => {
                    let sight = shop.find(&way, false).await;
                    let both = [sight.at(&way.from), sight.at(&way.to)];
                    Word::Located(way, both)
                }
            };
            // Nobody listens to a driver that was dropped.
            let _ = words.send(word).await;
        });
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::Found(way, trail) => {
                self.confirming.remove(&way.id);
                self.past.entry(way.id).or_default().was_told |= matches!(trail, Trail::Told(..));
                self.carry(way, trail);
            }
            Word::Over(way, End { detail, sure }) => {
                let carried = self.carried.remove(&way.id);
                self.touch(way.vm.clone());
                self.past.entry(way.id).or_default().sure = sure;
                self.shop.say(DriverEvent::Ended { id: way.id, detail });
                if carried.is_some_and(|carried| carried.is_asked) {
                    self.confirm(way);
                }
            }
            Word::Located(way, both) => self.located(way, both),
            Word::Seen { vm, on, since } => self.seen(vm, on, since),
        }
    }

    /// Where it runs is told anew: what was told while it was being moved was for nobody.
    fn touch(&mut self, vm: String) {
        self.told.remove(&vm);
        self.touched.insert(vm, Instant::now());
    }

    /// What both hosts say, if it can be believed yet.
    fn located(&mut self, way: Move, both: [Presence; 2]) {
        self.confirming.remove(&way.id);
        self.touch(way.vm.clone());
        let past = self.past.entry(way.id).or_default();
        let (_, since) = *past.says.insert(match past.says {
            Some((says, since)) if says == both => (says, since),
            _ => (both, Instant::now()),
        });
        let arrived = both == [Presence::Absent, Presence::Runs];
        let [source, destination] = if past.sure || arrived || since.elapsed() >= self.shop.pace.quiet {
            both
        } else {
            [both[0], Presence::Unknown]
        };
        if source != Presence::Unknown && destination != Presence::Unknown {
            self.past.remove(&way.id);
        }
        self.shop.say(DriverEvent::Presence { id: way.id, source, destination });
    }

    /// Where a VM runs, if that is news and not the work of a migration of ours.
    fn seen(&mut self, vm: String, on: BTreeSet<String>, since: Instant) {
        let moving = self.carried.values().any(|carried| carried.vm == vm);
        if moving || self.touched.get(&vm).is_some_and(|at| *at >= since) || self.told.get(&vm) == Some(&on) {
            return;
        }
        self.shop.say(DriverEvent::Found { vm: vm.clone(), hosts: on.iter().cloned().collect() });
        self.told.insert(vm, on);
    }
}

impl Shop {
    /// Whether a migration that was not seen to its end is under way.
    async fn trail(&self, way: &Move, was_told: bool) -> Option<Trail> {
        if let Some(stray) = mark::find(way).await {
            return Some(Trail::Stray(stray));
        }
        let template = self.settings.progress.as_ref().filter(|_| !was_told)?;
        let (percent, detail) = self.progress(&self.fill(template, way)).await.ok()?;
        (percent < 100).then_some(Trail::Told(percent, detail))
    }

    /// Why a VM cannot be moved so; `None`: it can.
    async fn refusal(&self, way: &Move) -> Option<String> {
        let Move { vm, from, to, .. } = way;
        if from == to {
            return Some(format!("{vm} is to be moved from {from} to {from}"));
        }
        let (state, sight) = tokio::join!(self.state_of(to), self.find(way, true));
        if let Err(why) = state {
            return Some(format!("{to} is not up: {why}"));
        }
        let cannot = |host: &str| sight.why(host).map(|why| format!("{host} cannot be asked: {why}"));
        if let Some(why) = cannot(from).or_else(|| cannot(to)) {
            return Some(why);
        }
        let elsewhere = || sight.on.iter().filter(|host| *host != from).cloned().collect::<Vec<_>>().join(", ");
        match (sight.at(from), sight.on.len()) {
            (Presence::Runs, 1) => None,
            (Presence::Runs, _) => Some(format!("{vm} runs on {from}, and also on {}", elsewhere())),
            (_, 0) => Some(format!("{vm} does not run on {from}")),
            _ => Some(format!("{vm} does not run on {from}, but on {}", elsewhere())),
        }
    }
}
