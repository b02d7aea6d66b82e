//! Hosts and VMs, looked at again and again: whether a host is up, and who runs where.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::keeper::Word;
use super::locate::{AT_ONCE, Sight};
use super::process::within;
use super::{DriverEvent, Shop, argv};
use crate::core::cluster::HostState;

/// What has been said of a host: its state, and why it is not up.
type Said = (HostState, Option<String>);

/// The looks at all hosts and VMs; one round ends before the next begins.
pub(super) struct Rounds {
    shop: Rc<Shop>,
    words: Sender<Word>,
    hosts: BTreeMap<String, Said>,
    seen: BTreeMap<String, BTreeSet<String>>,
    /// `locate` fails, and that was said.
    troubled: bool,
}

impl Rounds {
    pub(super) fn new(shop: Rc<Shop>, words: Sender<Word>) -> Self {
        Self { shop, words, hosts: BTreeMap::new(), seen: BTreeMap::new(), troubled: false }
    }

    /// Never ends.
    pub(super) async fn go(mut self) {
        let mut rounds = interval(self.shop.pace.round);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            self.ask_hosts().await;
            self.look_for_vms().await;
        }
    }

    fn host_names(&self) -> Vec<String> {
        self.shop.fleet.hosts.iter().map(|host| host.name.clone()).collect()
    }

    async fn ask_hosts(&mut self) {
        if self.shop.settings.host_state.is_none() {
            return;
        }
        let shop = self.shop.clone();
        let asked = self.host_names().into_iter().map(|host| async {
            let state = shop.state_of(&host).await;
            (host, state)
        });
        let mut answers = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((host, answer)) = answers.next().await {
            self.said_of(host, answer.map_or_else(|why| (HostState::Down, Some(why)), |()| (HostState::Up, None)));
        }
    }

    /// Tells of a host what is new.
    fn said_of(&mut self, host: String, said: Said) {
        if self.hosts.get(&host) != Some(&said) {
            let (state, why) = said.clone();
            self.hosts.insert(host.clone(), said);
            self.shop.say(DriverEvent::Host { host, state, load: None, why });
        }
    }

    async fn look_for_vms(&mut self) {
        let since = Instant::now();
        let vms: Vec<String> = self.shop.fleet.guests.iter().map(|guest| guest.name.clone()).collect();
        let mut sights = self.look(&vms).await;
        self.say_failures(&sights);
        let strange: Vec<String> = vms.into_iter().filter(|vm| self.is_strange(vm, &sights)).collect();
        if !strange.is_empty() {
            sleep(self.shop.pace.again).await;
            for (vm, again) in self.look(&strange).await {
                let sight = sights.remove(&vm).unwrap_or_default();
                sights.insert(vm, sight.and(again));
            }
        }
        for (vm, Sight { on, unasked }) in sights {
            // That it runs nowhere is known only if all have answered.
            if !on.is_empty() || unasked.is_empty() {
                self.seen.insert(vm.clone(), on.clone());
                // The keeper lives longer than these rounds.
                let _ = self.words.send(Word::Seen { vm, on, since }).await;
            }
        }
    }

    /// What is not as it was, and what is not at one place at first sight, is looked at twice.
    fn is_strange(&self, vm: &str, sights: &BTreeMap<String, Sight>) -> bool {
        let Some(sight) = sights.get(vm) else { return false };
        match self.seen.get(vm) {
            Some(seen) => *seen != sight.on,
            None => sight.on.len() != 1,
        }
    }

    /// Where these VMs run.
    async fn look(&mut self, vms: &[String]) -> BTreeMap<String, Sight> {
        if self.shop.is_asked_of_hosts() { self.look_at_hosts(vms).await } else { self.look_at_vms(vms).await }
    }

    async fn look_at_hosts(&mut self, vms: &[String]) -> BTreeMap<String, Sight> {
        let mut sights: BTreeMap<String, Sight> = vms.iter().map(|vm| (vm.clone(), Sight::default())).collect();
        for (host, answer) in self.shop.vms_of(self.host_names()).await {
            let running = answer.as_ref().map(|names| names.iter().map(String::as_str).collect::<BTreeSet<_>>());
            for (vm, sight) in &mut sights {
                match &running {
                    Ok(names) if names.contains(self.shop.domain(vm)) => drop(sight.on.insert(host.clone())),
                    Ok(_) => {}
                    Err(why) => sight.unasked.push((host.clone(), (*why).clone())),
                }
            }
            if self.shop.settings.host_state.is_none() {
                let said = answer.map_or_else(|why| (HostState::Unknown, Some(why)), |_| (HostState::Up, None));
                self.said_of(host, said);
            }
        }
        sights
    }

    async fn look_at_vms(&mut self, vms: &[String]) -> BTreeMap<String, Sight> {
        let (shop, hosts) = (self.shop.clone(), self.host_names());
        let asked = vms.iter().map(|vm| async {
            let argv = argv::fill(&shop.settings.locate, &[("vm", shop.domain(vm))]);
            let sight = shop.hosts_of(vm, &argv, &hosts).await;
            (vm.clone(), sight)
        });
        let sights: BTreeMap<String, Sight> = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        if shop.settings.host_state.is_none() && sights.values().any(|sight| sight.unasked.is_empty()) {
            hosts.into_iter().for_each(|host| self.said_of(host, (HostState::Up, None)));
        }
        sights
    }

    /// That `locate` fails is said once, until it does not any more; of a host that is down it is no news.
    fn say_failures(&mut self, sights: &BTreeMap<String, Sight>) {
        let not_up = |host: &str| self.hosts.get(host).is_some_and(|(state, _)| *state != HostState::Up);
        let mut failures = sights.values().flat_map(|sight| &sight.unasked).filter(|(host, _)| !not_up(host));
        let first = failures.next();
        if let (Some((host, why)), false) = (first, self.troubled) {
            self.shop.trouble(format!("locate fails ({host}): {why}; where VMs run is not known"));
        }
        self.troubled = first.is_some();
    }
}

impl Shop {
    /// Whether a host is up, if there is a command that tells.
    ///
    /// # Errors
    /// It is not, or does not answer: in words.
    pub(super) async fn state_of(&self, host: &str) -> Result<(), String> {
        let Some(template) = &self.settings.host_state else { return Ok(()) };
        within(&argv::fill(template, &[("host", host)]), self.deadline()).await.map(drop)
    }
}
