//! Where VMs run, as the operator's command says. What is no answer is never taken for one.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt};
use tokio::time::sleep;

use super::output::shown;
use super::process::within;
use super::{Move, Shop, argv};
use crate::core::engine::Presence;

/// Commands that look run so many at once.
pub(super) const AT_ONCE: usize = 8;

/// Where one VM runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Sight {
    /// On these hosts.
    pub(super) on: BTreeSet<String>,
    /// These could not be asked, and why.
    pub(super) unasked: Vec<(String, String)>,
}

impl Sight {
    /// What is said of one host.
    pub(super) fn at(&self, host: &str) -> Presence {
        if self.unasked.iter().any(|(name, _)| name == host) {
            Presence::Unknown
        } else if self.on.contains(host) {
            Presence::Runs
        } else {
            Presence::Absent
        }
    }

    /// Why a host could not be asked.
    pub(super) fn why(&self, host: &str) -> Option<&str> {
        self.unasked.iter().find(|(name, _)| name == host).map(|(_, why)| why.as_str())
    }

    /// Whether another look would say no more: it runs at one place, or somebody does not answer anyway.
    fn is_plain(&self) -> bool {
        self.on.len() == 1 || (self.on.is_empty() && !self.unasked.is_empty())
    }

    /// What both looks say alike; of hosts they say different of, nothing is known.
    pub(super) fn and(mut self, later: Self) -> Self {
        for host in self.on.symmetric_difference(&later.on).cloned().collect::<Vec<_>>() {
            if later.why(&host).is_none() && self.why(&host).is_none() {
                self.unasked.push((host, "it says one thing, then another".to_owned()));
            }
        }
        for (host, why) in later.unasked {
            if self.why(&host).is_none() {
                self.unasked.push((host, why));
            }
        }
        self.on.retain(|host| later.on.contains(host));
        self
    }
}

impl Shop {
    /// Whether `locate` is asked of each host, or once for each VM.
    pub(super) fn is_asked_of_hosts(&self) -> bool {
        argv::names(&self.settings.locate, "host")
    }

    /// Where a migration's VM runs, of all hosts, or only of the two it concerns. If that is not at one place, it is asked
    /// twice: two looks at two hosts are not at one instant, and a VM may just have gone from one to the other.
    pub(super) async fn find(&self, way: &Move, everywhere: bool) -> Sight {
        let sight = self.find_once(way, everywhere).await;
        if sight.is_plain() {
            return sight;
        }
        sleep(self.pace.again).await;
        sight.and(self.find_once(way, everywhere).await)
    }

    async fn find_once(&self, way: &Move, everywhere: bool) -> Sight {
        let mut hosts = vec![way.from.clone(), way.to.clone()];
        if everywhere {
            let others = self.fleet.hosts.iter().map(|host| &host.name).filter(|name| !hosts.contains(name));
            let others: Vec<String> = others.cloned().collect();
            hosts.extend(others);
        }
        if !self.is_asked_of_hosts() {
            return self.hosts_of(&way.vm, &self.fill(&self.settings.locate, way), &hosts).await;
        }
        let mut sight = Sight::default();
        for (host, vms) in self.vms_of(hosts).await {
            match vms {
                Ok(vms) if vms.iter().any(|name| name == self.domain(&way.vm)) => {
                    sight.on.insert(host);
                }
                Ok(_) => {}
                Err(why) => sight.unasked.push((host, why)),
            }
        }
        sight
    }

    /// What each host says of the VMs that run there, in the order in which they answer.
    pub(super) async fn vms_of(&self, hosts: Vec<String>) -> Vec<(String, Result<Vec<String>, String>)> {
        let asked = hosts.into_iter().map(|host| async {
            let argv = argv::fill(&self.settings.locate, &[("host", &host)]);
            let answer =
                within(&argv, self.deadline()).await.and_then(|process| self.vms_in(&process.output().lines()?));
            (host, answer)
        });
        stream::iter(asked).buffer_unordered(AT_ONCE).collect().await
    }

    /// Where a VM runs, as one command says for all hosts.
    pub(super) async fn hosts_of(&self, vm: &str, argv: &[String], hosts: &[String]) -> Sight {
        let answer = within(argv, self.deadline()).await;
        let answer = answer.and_then(|process| hosts_in(&process.output().lines()?, hosts, |name| self.has_host(name)));
        match answer {
            Ok(on) => Sight { on, unasked: Vec::new() },
            Err(why) => {
                let unasked = hosts.iter().map(|host| (host.clone(), format!("where {vm} runs cannot be told: {why}")));
                Sight { on: BTreeSet::new(), unasked: unasked.collect() }
            }
        }
    }

    fn has_host(&self, name: &str) -> bool {
        self.fleet.hosts.iter().any(|host| host.name == name)
    }

    /// The VMs in an answer. A host may run others as well; but what is no name at all makes the answer rubbish.
    fn vms_in(&self, lines: &[&str]) -> Result<Vec<String>, String> {
        let known = |line: &str| self.fleet.guests.iter().any(|guest| self.domain(&guest.name) == line);
        match lines.iter().find(|line| line.contains(char::is_whitespace) && !known(line)) {
            Some(line) => Err(format!("it printed '{}', not a VM's name", shown(line))),
            None => Ok(lines.iter().map(|line| (*line).to_owned()).collect()),
        }
    }
}

/// The hosts in an answer: nothing else may stand there.
fn hosts_in(lines: &[&str], asked: &[String], known: impl Fn(&str) -> bool) -> Result<BTreeSet<String>, String> {
    match lines.iter().find(|line| !known(line) && !asked.iter().any(|host| host == *line)) {
        Some(line) => Err(format!("it printed '{}', which is no host of the array", shown(line))),
        None => Ok(lines.iter().map(|line| (*line).to_owned()).collect()),
    }
}
