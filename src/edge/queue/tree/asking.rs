//! What operators and the engine do with a queue: add a page, return a claim, have jobs tried again, ask a worker for something.

use super::names::{
    CLAIMS, CONTROL, DONE, OPEN, PAGE, RESULTS, STATUS, check_page_name, check_vm_name, parse_claim, parse_numbered,
};
use super::reading::{LONGEST_JSON, parse};
use super::working::failed_in;
use super::{Certainty, TreeQueue, path};
use crate::core::format::{counted, one_line, tame};
use crate::core::queue::{Ranges, Retry, WorkerControl};
use crate::edge::queue::Trouble;

/// So often a change is written again that another writer has overwritten.
const TRIES: u32 = 8;

impl TreeQueue {
    pub async fn add(&self, name: &str, bytes: Vec<u8>) -> Result<String, Trouble> {
        check_page_name(name).map_err(|why| Trouble::Refused(format!("{} cannot be a page: {why}", tame(name))))?;
        if let Some(only) = self.page.as_ref().filter(|only| *only != name) {
            return Err(Trouble::Refused(format!("this queue works only the page '{only}': add it under this name")));
        }
        let kept = bytes.clone();
        parse(kept).await?.map_err(|error| Trouble::Refused(error.to_string()))?;
        self.make_folders().await?;
        let place = path(&[OPEN, name]);
        match self.tree.write_new(&place, bytes, &self.unfinished()).await {
            Certainty::Yes => Ok(place),
            Certainty::No(trouble) if self.tree.look(&place).await?.is_some() => {
                Err(trouble.map(|_| format!("a page {name} waits already: choose another name")))
            }
            Certainty::No(trouble) | Certainty::Unknown(trouble) => Err(trouble),
        }
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
        let file = control_file(vm)?;
        self.make_folders().await?;
        for _ in 0..TRIES {
            let before = self.control(vm).await?;
            let mut after = before.clone();
            change(&mut after);
            // It was so, or it was written and read back.
            if after == before {
                return Ok(before);
            }
            after.serial = before.serial + 1;
            self.write_json(&file, &after).await?;
        }
        Err(Trouble::Unreachable(format!("others keep changing what is asked of {vm}: try again")))
    }
}

fn control_file(vm: &str) -> Result<String, Trouble> {
    check_vm_name(vm).map_err(|why| Trouble::Refused(format!("the VM's name cannot be used in a queue: {why}")))?;
    Ok(path(&[CONTROL, &format!("{vm}.json")]))
}
