//! Where a VM runs, from pictures of the hosts that were not taken at one instant.
//!
//! While somebody moves a VM it can look as if it ran twice, or nowhere: one end was looked at before the hand-over, the
//! other after it. So a single host is believed at once, and none or several only when a second look at every host says
//! the same. A VM that stands still at both ends is being handed over: that says nothing yet.

use crate::core::engine::Presence;

/// Where a VM runs: places in the fleet.
pub(super) type Hosts = Vec<usize>;

/// How many looks a host has had, and whether it answers now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Looks {
    pub count: u64,
    pub answers: bool,
}

/// What all pictures together say of a VM; `None` where they say nothing yet. A host without a picture is `Unknown`.
pub(super) fn sighting(presences: &[Presence]) -> Option<Hosts> {
    let at = |wanted: Presence| -> Hosts { (0..presences.len()).filter(|n| presences[*n] == wanted).collect() };
    let (running, paused) = (at(Presence::Runs), at(Presence::Paused));
    if !running.is_empty() {
        return Some(running);
    }
    // What stands still may be the far end of a migration from a host that has not answered.
    let complete = !presences.contains(&Presence::Unknown);
    (complete && paused.len() < 2).then_some(paused)
}

/// What has been told of a VM, and what would be if a second look agrees.
#[derive(Debug, Default)]
pub(super) struct Belief {
    told: Option<Hosts>,
    doubt: Option<(Hosts, Vec<Looks>)>,
}

impl Belief {
    /// Takes in a sighting and the looks that each host has had. Returns what is to be told.
    pub(super) fn weigh(&mut self, sighting: Option<Hosts>, looks: &[Looks]) -> Option<Hosts> {
        let Some(hosts) = sighting.filter(|hosts| self.told.as_ref() != Some(hosts)) else {
            self.doubt = None;
            return None;
        };
        if hosts.len() != 1 && !self.agreed(&hosts, looks) {
            return None;
        }
        self.doubt = None;
        self.told = Some(hosts.clone());
        Some(hosts)
    }

    /// Whether every host that answers has shown the same in a look that surely began later: one may have been under way.
    /// One that does not answer has no say in it.
    fn agreed(&mut self, hosts: &Hosts, looks: &[Looks]) -> bool {
        match &self.doubt {
            Some((seen, since)) if seen == hosts => {
                since.iter().zip(looks).all(|(then, now)| now.count > then.count + 1 || !now.answers)
            }
            _ => {
                self.doubt = Some((hosts.clone(), looks.to_vec()));
                false
            }
        }
    }

    /// Whether a second look is waited for.
    pub(super) fn doubts(&self) -> bool {
        self.doubt.is_some()
    }

    /// Forgets what was told, after the driver itself has moved the VM.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Presence::{Absent, Paused, Runs, Unknown};

    fn looks<const N: usize>(counts: [u64; N]) -> [Looks; N] {
        counts.map(|count| Looks { count, answers: true })
    }

    #[test]
    fn a_running_vm_is_where_it_runs() {
        assert_eq!(sighting(&[Absent, Runs, Absent]), Some(vec![1]));
        assert_eq!(sighting(&[Paused, Runs, Unknown]), Some(vec![1]), "the other end of a migration stands still");
        assert_eq!(sighting(&[Runs, Runs]), Some(vec![0, 1]));
        assert_eq!(sighting(&[Absent, Paused]), Some(vec![1]), "somebody paused it");
        assert_eq!(sighting(&[Unknown, Paused]), None, "or it is on its way from there");
    }

    #[test]
    fn nowhere_is_only_said_if_all_hosts_answered() {
        assert_eq!(sighting(&[Absent, Absent]), Some(vec![]));
        assert_eq!(sighting(&[Absent, Unknown]), None);
    }

    #[test]
    fn in_a_hand_over_nothing_is_said() {
        assert_eq!(sighting(&[Paused, Paused]), None);
    }

    #[test]
    fn a_single_host_is_told_at_once_and_once() {
        let mut belief = Belief::default();
        assert_eq!(belief.weigh(Some(vec![0]), &looks([1, 1])), Some(vec![0]));
        assert_eq!(belief.weigh(Some(vec![0]), &looks([2, 2])), None);
        assert_eq!(belief.weigh(Some(vec![1]), &looks([3, 2])), Some(vec![1]));
    }

    #[test]
    fn none_and_several_need_a_second_look_at_every_host() {
        let mut belief = Belief::default();
        belief.weigh(Some(vec![0]), &looks([1, 1]));
        for hosts in [vec![], vec![0, 1]] {
            assert_eq!(belief.weigh(Some(hosts.clone()), &looks([2, 1])), None);
            assert_eq!(belief.weigh(Some(hosts.clone()), &looks([4, 2])), None, "this look may have begun before");
            assert_eq!(belief.weigh(Some(hosts.clone()), &looks([4, 3])), Some(hosts));
        }
        assert_eq!(belief.weigh(Some(vec![0]), &looks([4, 4])), Some(vec![0]));
        belief.weigh(Some(vec![]), &looks([5, 4]));
        assert_eq!(belief.weigh(Some(vec![0]), &looks([5, 5])), None, "it was only a hand-over");
        assert_eq!(belief.weigh(Some(vec![]), &looks([6, 6])), None, "and the next doubt begins anew");
    }
    #[test]
    fn a_host_that_answers_no_more_has_no_say() {
        let with_a_third_down = |count: u64| [looks([count, count]), [Looks { count: 7, answers: false }; 2]].concat();
        let mut belief = Belief::default();
        belief.weigh(Some(vec![0]), &looks([1, 1, 7, 7]));
        assert_eq!(belief.weigh(Some(vec![0, 1]), &with_a_third_down(2)), None);
        assert_eq!(belief.weigh(Some(vec![0, 1]), &with_a_third_down(4)), Some(vec![0, 1]));
    }
}
