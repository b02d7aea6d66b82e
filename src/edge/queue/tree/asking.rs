//! What operators and the engine do with a queue: add a page, return a claim, have jobs tried again, ask a worker for something.

use std::time::{Duration, Instant};

use super::names::{
    CLAIMS, CONTROL, DONE, OPEN, PAGE, RESULTS, STATUS, check_page_name, check_vm_name, parse_claim, parse_numbered,
};
use super::reading::{LONGEST_JSON, parse};
use super::working::failed_in;
use super::{Certainty, FolderEntry, TreeQueue, certainly, path};
use crate::core::cluster::Span;
use crate::core::format::{counted, one_line, tame};
use crate::core::queue::{Ranges, Retry, WorkerControl};
use crate::edge::queue::{Trouble, new_instance};

/// So often a step is tried again that another has foiled.
const TRIES: u32 = 8;
/// A lock that is older was left by a program that died.
const ABANDONED: Span = Span::from_secs(60);
/// So long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(50);

impl TreeQueue {
    pub async fn add(&self, name: &str, bytes: Vec<u8>) -> Result<String, Trouble> {
        check_page_name(name).map_err(|why| Trouble::Refused(format!("{} cannot be a page: {why}", tame(name))))?;
        if let Some(only) = self.page.as_ref().filter(|only| *only != name) {
            return Err(Trouble::Refused(format!("this queue works only the page '{only}': add it under this name")));
        }
        let kept = bytes.clone();
        parse(kept).await?.map_err(|error| Trouble::Refused(error.to_string()))?;
        self.make_folders().await?;
        let (place, unfinished) = (path(&[OPEN, name]), self.unfinished());
        certainly(self.tree.write(&unfinished, bytes, &self.unfinished()).await)?;
        // A server looks whether the name is taken, and moves then: of two at a time, one would overwrite the other.
        let added = self.alone(&format!("add.{name}"), || self.publish(&unfinished, &place)).await;
        if added.is_err() {
            self.tree.remove(&unfinished).await?;
        }
        added.map(|()| place)
    }

    async fn publish(&self, unfinished: &str, place: &str) -> Result<(), Trouble> {
        let taken = || Trouble::Refused(format!("{place} waits already: choose another name"));
        if self.tree.look(place).await?.is_some() {
            return Err(taken());
        }
        let trouble = match self.tree.move_file(unfinished, place).await {
            Certainty::Yes => return Ok(()),
            Certainty::No(trouble) | Certainty::Unknown(trouble) => trouble,
        };
        let is_here = self.tree.look(unfinished).await?.is_some();
        let is_there = self.tree.look(place).await?.is_some();
        match (is_here, is_there) {
            (false, true) => Ok(()),
            (true, true) => Err(taken()),
            _ => Err(trouble),
        }
    }

    /// Does something that only one program may do at a time. Who dies in it keeps the others waiting for a minute.
    async fn alone<T, F>(&self, what: &str, work: impl Fn() -> F) -> Result<T, Trouble>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let lock = path(&[CLAIMS, &format!(".{what}.lock")]);
        let (begin, mut missed) = (Instant::now(), 0);
        loop {
            let trouble = match self.tree.make(&lock).await {
                Certainty::Yes => {
                    let has_lock = Instant::now();
                    let done = work().await;
                    // Later it may be another's.
                    if has_lock.elapsed() < ABANDONED.to_std() {
                        let _ = self.tree.remove(&lock).await;
                    }
                    return done;
                }
                Certainty::No(trouble) | Certainty::Unknown(trouble) => trouble,
            };
            match self.tree.look(&lock).await? {
                Some(entry) if self.is_abandoned(&entry).await? => {
                    // Only one of those who find it abandoned takes it away.
                    let aside = path(&[CLAIMS, &format!(".probe-{}", new_instance())]);
                    if self.tree.move_folder(&lock, &aside).await == Certainty::Yes {
                        self.tree.remove(&aside).await?;
                    }
                }
                Some(_) => {}
                // It was removed just now, or cannot be made at all.
                None if missed < TRIES => missed += 1,
                None => return Err(trouble),
            }
            if begin.elapsed() > PATIENCE {
                let why = format!("another program is changing the same ({what}): try again in a minute");
                return Err(Trouble::Unreachable(why));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whether a lock is so old, by the source's own clock, that nobody can be at work with it.
    async fn is_abandoned(&self, lock: &FolderEntry) -> Result<bool, Trouble> {
        let witness = self.unfinished();
        certainly(self.tree.write(&witness, Vec::new(), &self.unfinished()).await)?;
        let now = self.tree.look(&witness).await?.and_then(|entry| entry.changed);
        self.tree.remove(&witness).await?;
        Ok(now.zip(lock.changed).is_some_and(|(now, made)| now.since(made) > ABANDONED))
    }

    pub async fn give_back(&self, claim: &str) -> Result<String, Trouble> {
        let gone =
            || Trouble::Refused(format!("there is no claim {}: it was finished, returned or taken over", tame(claim)));
        if parse_claim(claim).is_none() || claim.contains('/') {
            return Err(gone());
        }
        let folder = path(&[CLAIMS, claim]);
        if self.tree.look(&path(&[&folder, PAGE])).await?.is_none() {
            return Err(match self.tree.look(&folder).await? {
                Some(_) => Trouble::Refused(format!("{claim} has no page: its worker removes it at its next start")),
                None => gone(),
            });
        }
        let status = self.status(&folder).await?.ok().flatten().unwrap_or_default();
        self.put_back(claim, &status).await?.ok_or_else(gone)
    }

    pub async fn retry(&self, claim: &str, jobs: &Ranges) -> Result<String, Trouble> {
        let folder = self.folder_of(claim).await?;
        let results = self.tree.names(&path(&[&folder, RESULTS])).await?.unwrap_or_default();
        let failed = failed_in(&results);
        if failed.is_empty() {
            return Err(Trouble::Refused(format!("no job of {claim} was set aside")));
        }
        if let Some(job) = jobs.iter().find(|job| !failed.contains(*job)) {
            return Err(Trouble::Refused(format!("job {job} of {claim} was not set aside")));
        }
        let wanted = if jobs.is_empty() { &failed } else { jobs };
        let words = counted(wanted.len(), "job", "jobs");
        match (folder.split('/').next(), parse_claim(claim), parse_numbered(claim)) {
            (Some(CLAIMS), Some(parts), _) => {
                let other = self.control(parts.vm).await?.retry.map(|retry| retry.claim).filter(|other| other != claim);
                if let Some(other) = other
                    && self.folder_of(&other).await.is_ok_and(|folder| folder.starts_with(CLAIMS))
                {
                    return Err(Trouble::Refused(format!(
                        "the worker of {} has not yet begun to try jobs of {other} again: wait for it",
                        parts.vm
                    )));
                }
                self.ask(parts.vm, &|control| {
                    let before = control.retry.take().filter(|retry| retry.claim == claim);
                    let before = before.map(|retry| retry.jobs).unwrap_or_default();
                    let jobs = before.iter().chain(wanted.iter()).collect();
                    control.retry = Some(Retry { claim: claim.to_owned(), jobs });
                })
                .await?;
                Ok(format!("the worker of {} is asked to try {words} again", parts.vm))
            }
            (Some(DONE), _, Some((page, _))) => {
                let mut status = self.status(&folder).await?.ok().flatten().unwrap_or_default();
                if status.page.is_empty() {
                    page.clone_into(&mut status.page);
                }
                // Noted first: if this ends here, the claim is finished as before.
                status.retry = wanted.clone();
                self.write_json(&path(&[&folder, STATUS]), &status).await?;
                let waits = path(&[OPEN, claim]);
                match self.tree.move_folder(&folder, &waits).await {
                    Certainty::Yes => {}
                    Certainty::No(trouble) | Certainty::Unknown(trouble) => {
                        if self.tree.look(&folder).await?.is_some() || self.tree.look(&waits).await?.is_none() {
                            return Err(trouble);
                        }
                    }
                }
                Ok(format!("{claim} waits again, for {words}"))
            }
            _ => Err(Trouble::Refused(format!(
                "{claim} waits: its jobs can be tried again when a worker has claimed it"
            ))),
        }
    }

    pub async fn control(&self, vm: &str) -> Result<WorkerControl, Trouble> {
        let Some(bytes) = self.tree.read(&control_file(vm)?, LONGEST_JSON).await? else {
            // A worker that cannot see its orders must not take that for none.
            self.must_still_be_there().await?;
            return Ok(WorkerControl::default());
        };
        serde_json::from_slice(&bytes).map_err(|error| {
            let why = one_line(&error.to_string(), 80);
            Trouble::Refused(format!("control/{vm}.json is damaged, remove it and ask again: {why}"))
        })
    }

    pub async fn ask(&self, vm: &str, change: &(dyn Fn(&mut WorkerControl) + Sync)) -> Result<WorkerControl, Trouble> {
        let before = self.control(vm).await?;
        let mut after = before.clone();
        change(&mut after);
        if after == before {
            return Ok(before);
        }
        self.make_folders().await?;
        self.alone(&format!("control.{vm}"), || self.change_control(vm, change)).await
    }

    /// Writes until what was written is read.
    async fn change_control(
        &self,
        vm: &str,
        change: &(dyn Fn(&mut WorkerControl) + Sync),
    ) -> Result<WorkerControl, Trouble> {
        for _ in 0..TRIES {
            let before = self.control(vm).await?;
            let mut after = before.clone();
            change(&mut after);
            // It was so already, or was written just now.
            if after == before {
                return Ok(before);
            }
            after.serial = before.serial + 1;
            self.write_json(&control_file(vm)?, &after).await?;
        }
        Err(Trouble::Unreachable(format!("others keep changing what is asked of {vm}: try again")))
    }
}

fn control_file(vm: &str) -> Result<String, Trouble> {
    check_vm_name(vm).map_err(|why| Trouble::Refused(format!("the VM's name cannot be used in a queue: {why}")))?;
    Ok(path(&[CONTROL, &format!("{vm}.json")]))
}
