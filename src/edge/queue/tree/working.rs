//! What a worker writes: results, statuses, the end of a claim, reports of itself.
//!
//! A result is only written inside the claim. If the claim was moved away, by whomever, there is nothing to write into: that is
//! what keeps a worker that was believed dead from delivering.

use super::claiming::WorkerId;
use super::names::{
    CLAIMS, DONE, OPEN, PAGE, RESULTS, STATUS, check_page_name, parse_claim, parse_result, result_name,
};
use super::{Certainty, TreeQueue, path};
use crate::core::queue::{ClaimStatus, Ranges, WorkerStatus};
use crate::edge::queue::{Delivery, Held, Trouble};

impl TreeQueue {
    pub async fn save(&self, held: &Held) -> Delivery {
        match self.write_status(&held.claim.name, &held.claim.status).await {
            Ok(()) => Delivery::Done,
            Err(trouble) => self.lost_or(&held.claim.name, trouble).await,
        }
    }

    pub async fn deliver(&self, held: &Held, job: u32, result: Result<&[u8], &str>) -> Delivery {
        let name = &held.claim.name;
        let (bytes, is_error) = match result {
            Ok(output) => (output.to_vec(), false),
            Err(error) => (error.as_bytes().to_vec(), true),
        };
        let file = path(&[CLAIMS, name, RESULTS, &result_name(job, is_error)]);
        match self.tree.write_new(&file, bytes, &self.unfinished()).await {
            Certainty::Yes => Delivery::Done,
            Certainty::No(trouble) | Certainty::Unknown(trouble) => match self.tree.look(&file).await {
                Ok(Some(_)) => Delivery::Done,
                Ok(None) => self.lost_or(name, trouble).await,
                Err(trouble) => Delivery::Unknown(trouble.to_string()),
            },
        }
    }

    pub async fn try_again(&self, held: &mut Held, jobs: &Ranges) -> Delivery {
        let taken_back = match self.take_errors_back(held, jobs).await {
            Ok(()) => self.write_status(&held.claim.name, &held.claim.status).await,
            Err(trouble) => Err(trouble),
        };
        match taken_back {
            Ok(()) => Delivery::Done,
            Err(trouble) => self.lost_or(&held.claim.name, trouble).await,
        }
    }

    /// Removes the errors of these jobs, of all if there are none.
    pub(super) async fn take_errors_back(&self, held: &mut Held, jobs: &Ranges) -> Result<(), Trouble> {
        let status = &mut held.claim.status;
        let all = std::mem::take(&mut status.failed);
        let (again, rest): (Vec<u32>, Vec<u32>) = all.iter().partition(|job| jobs.is_empty() || jobs.contains(*job));
        status.failed = all.clone();
        for job in &again {
            self.tree.remove(&path(&[CLAIMS, &held.claim.name, RESULTS, &result_name(*job, true)])).await?;
        }
        let status = &mut held.claim.status;
        status.failed = rest.into_iter().collect();
        status.attempts.retain(|job, _| !again.contains(job));
        Ok(())
    }

    pub async fn finish(&self, held: &Held) -> Delivery {
        self.end(held, DONE).await
    }

    pub async fn return_claim(&self, held: &Held) -> Delivery {
        self.end(held, OPEN).await
    }

    /// Writes the last status and moves a claim away.
    async fn end(&self, held: &Held, place: &str) -> Delivery {
        let name = &held.claim.name;
        match self.save(held).await {
            Delivery::Done => {}
            // An earlier try may have moved it without an answer.
            Delivery::Lost(_) if self.has_arrived(held, place).await => return Delivery::Done,
            other => return other,
        }
        let ended = match self.send_off(name, &held.claim.status, place).await {
            Ok(Some(_)) => Delivery::Done,
            Ok(None) => Delivery::Lost(gone(name)),
            Err(trouble) => Delivery::Unknown(trouble.to_string()),
        };
        if !matches!(ended, Delivery::Unknown(_)) {
            self.remembered().held.remove(name);
        }
        ended
    }

    /// Whether a claim was moved away as it was to be.
    async fn has_arrived(&self, held: &Held, place: &str) -> bool {
        let Some(claim) = parse_claim(&held.claim.name) else { return false };
        let target = format!("{}.{}", held.claim.status.page, claim.number);
        matches!(self.tree.look(&path(&[place, &target, PAGE])).await, Ok(Some(_)))
    }

    /// Moves a claim to the waiting ones.
    pub(super) async fn put_back(&self, name: &str, status: &ClaimStatus) -> Result<Option<String>, Trouble> {
        self.send_off(name, status, OPEN).await
    }

    /// Moves a claim to `open/` or `done/`, under the page's name and the claim's own number: so whoever tries it again, also in
    /// another process, tries the same. Returns the new name; `None`: the claim is gone.
    async fn send_off(&self, name: &str, status: &ClaimStatus, place: &str) -> Result<Option<String>, Trouble> {
        let Some(claim) = parse_claim(name) else { return Err(Trouble::Refused("this is no claim".to_owned())) };
        let page = if check_page_name(&status.page).is_ok() { &status.page } else { claim.vm };
        let mut target = format!("{page}.{}", claim.number);
        let from = path(&[CLAIMS, name]);
        loop {
            let to = path(&[place, &target]);
            let trouble = match self.tree.move_folder(&from, &to).await {
                Certainty::Yes => return Ok(Some(target)),
                Certainty::No(trouble) | Certainty::Unknown(trouble) => trouble,
            };
            let is_here = self.tree.look(&from).await?.is_some();
            let is_there = self.tree.look(&path(&[&to, PAGE])).await?.is_some();
            match (is_here, is_there) {
                (false, true) => return Ok(Some(target)),
                (false, false) => return Ok(None),
                // It may just have been moved, or another claim has this very number.
                (true, true) if self.tree.look(&from).await?.is_none() => return Ok(Some(target)),
                (true, true) => target = format!("{page}.{}", self.number()),
                (true, false) => return Err(trouble),
            }
        }
    }

    pub async fn renew(&self, held: &Held) -> Delivery {
        let name = &held.claim.name;
        match self.is_gone(name).await {
            Ok(false) => Delivery::Done,
            Ok(true) => self.lost(name),
            Err(trouble) => Delivery::Unknown(trouble.to_string()),
        }
    }

    pub async fn report(&self, worker: &WorkerStatus) -> Delivery {
        let reported = async {
            let me = self.me()?;
            let names = self.tree.names(CLAIMS).await?.unwrap_or_default();
            if self.is_superseded(&names, &me).await? {
                return Ok(Some(format!("another worker of {} was started later", me.vm)));
            }
            let WorkerId { vm, instance, started } = me;
            self.write_worker(&WorkerStatus { vm, instance, started, ..worker.clone() }).await?;
            Ok(None)
        };
        match reported.await {
            Ok(None) => Delivery::Done,
            Ok(Some(other)) => Delivery::Lost(other),
            Err(trouble @ (Trouble::Unreachable(_) | Trouble::Refused(_))) => Delivery::Unknown(trouble.to_string()),
        }
    }

    /// Whether a step failed because the claim is gone.
    async fn lost_or(&self, name: &str, trouble: Trouble) -> Delivery {
        match self.is_gone(name).await {
            Ok(true) => self.lost(name),
            Ok(false) | Err(_) => Delivery::Unknown(trouble.to_string()),
        }
    }

    async fn is_gone(&self, name: &str) -> Result<bool, Trouble> {
        if self.tree.look(&path(&[CLAIMS, name, PAGE])).await?.is_some() {
            return Ok(false);
        }
        self.must_still_be_there().await?;
        Ok(true)
    }

    /// For a worker, which has made the folders at its start.
    ///
    /// # Errors
    /// They are gone: a file system is not mounted any more, and nothing can be concluded from what is not seen.
    pub(super) async fn must_still_be_there(&self) -> Result<(), Trouble> {
        if self.me().is_err() || self.tree.look(CLAIMS).await?.is_some() {
            return Ok(());
        }
        Err(Trouble::Unreachable("the queue's folders are gone: is its file system mounted?".to_owned()))
    }

    fn lost(&self, name: &str) -> Delivery {
        self.remembered().held.remove(name);
        Delivery::Lost(gone(name))
    }

    pub(super) async fn write_status(&self, name: &str, status: &ClaimStatus) -> Result<(), Trouble> {
        self.write_json(&path(&[CLAIMS, name, STATUS]), status).await
    }

    pub(super) async fn write_worker(&self, worker: &WorkerStatus) -> Result<(), Trouble> {
        let file = format!(".{}.{}.json", worker.vm, worker.instance);
        self.write_json(&path(&[CLAIMS, &file]), worker).await
    }

    /// Writes a file that may be written again if it is not known whether it was.
    pub(super) async fn write_json(&self, path: &str, content: &impl serde::Serialize) -> Result<(), Trouble> {
        let bytes = serde_json::to_vec(content).map_err(|error| Trouble::Refused(error.to_string()))?;
        match self.tree.write(path, bytes, &self.unfinished()).await {
            Certainty::Yes => Ok(()),
            Certainty::No(trouble) | Certainty::Unknown(trouble) => Err(trouble),
        }
    }
}

fn gone(name: &str) -> String {
    format!("the claim {name} is gone: it was returned, finished or taken over, or its page was removed")
}

/// The jobs that were set aside, from the names of results.
pub(super) fn failed_in(results: &[String]) -> Ranges {
    results.iter().filter_map(|name| parse_result(name)).filter(|(_, is_error)| *is_error).map(|(job, _)| job).collect()
}
