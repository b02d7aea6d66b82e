//! What operators and the engine do with a queue: add a page, return a claim, have jobs tried again, ask a worker for something.

use mysql_async::Value;

use super::database::{Fault, Transaction, transaction};
use super::jobs::LONGEST_TAG;
use super::reading::{control_of, numbered};
use super::working::wait_again;
use super::{MysqlQueue, check_vm, json, new_token};
use crate::core::format::{counted, tame};
use crate::core::queue::{Job, Page, Ranges, Retry, WorkerControl};
use crate::edge::queue::Trouble;
use crate::edge::queue::names::{check_page_name, is_number};

/// Jobs in one INSERT. A power of two: a shorter one takes the next smaller power, so that few statements are prepared.
const JOBS_AT_A_TIME: usize = 1_024;
/// Bytes in one INSERT, unless one job is longer: well below what every server takes at once.
const BYTES_AT_A_TIME: usize = 512 << 10;

impl MysqlQueue {
    pub async fn add(&self, name: &str, bytes: Vec<u8>) -> Result<String, Trouble> {
        check_page_name(name).map_err(|why| Trouble::Refused(format!("{} cannot be a page: {why}", tame(name))))?;
        if let Some(only) = self.page.as_ref().filter(|only| *only != name) {
            return Err(Trouble::Refused(format!("this queue works only the page '{only}': add it under this name")));
        }
        let parsed = tokio::task::spawn_blocking(move || Page::parse(bytes)).await;
        let parsed = parsed.map_err(|_| Trouble::Unreachable("the page was not read to its end".to_owned()))?;
        let page = parsed.map_err(|error| Trouble::Refused(error.to_string()))?;
        if let Some(job) = page.jobs().find(|job| job.tag.chars().count() > LONGEST_TAG) {
            let why = format!("the grade in line {} is longer than {LONGEST_TAG} characters", job.number);
            return Err(Trouble::Refused(why));
        }
        let ticket = new_token();
        transaction!(self.database.change(), |tx| self.insert(tx, name, &page, &ticket).await)
    }

    /// Adds a page. If an earlier run of this has passed, it is found by its ticket, though it may be claimed by now.
    async fn insert(&self, tx: &mut Transaction, name: &str, page: &Page, ticket: &str) -> Result<String, Fault> {
        let insert = "INSERT IGNORE INTO queue (queue_name, page, added, ticket) VALUES (?, ?, UTC_TIMESTAMP(6), ?)";
        if tx.run(insert, (&self.name, name, ticket)).await? == 0 {
            let own: Option<u64> = tx.first("SELECT id FROM queue WHERE ticket = ?", (ticket,)).await?;
            let taken = || Trouble::Refused(format!("a page {name} waits already: choose another name"));
            return Ok(own.map(|_| name.to_owned()).ok_or_else(taken)?);
        }
        let id: Option<u64> = tx.first("SELECT id FROM queue WHERE ticket = ?", (ticket,)).await?;
        let id = id.ok_or_else(|| Trouble::Refused("the page was not added: a trigger has removed it".to_owned()))?;
        let mut jobs = page.jobs().peekable();
        while jobs.peek().is_some() {
            let (mut batch, mut length) = (Vec::new(), 0);
            while batch.len() < JOBS_AT_A_TIME
                && let Some(job) = jobs.next_if(|job| batch.is_empty() || length + job.work.len() < BYTES_AT_A_TIME)
            {
                length += job.work.len() + job.tag.len();
                batch.push(job);
            }
            let mut rest = &batch[..];
            while !rest.is_empty() {
                let (now, later) = rest.split_at(1 << rest.len().ilog2());
                insert_jobs(tx, id, now).await?;
                rest = later;
            }
        }
        Ok(name.to_owned())
    }

    pub async fn give_back(&self, claim: &str) -> Result<String, Trouble> {
        let token = new_token();
        transaction!(self.database.change(), |tx| {
            let gone = || {
                Trouble::Refused(format!("there is no claim {}: it was finished, returned or taken over", tame(claim)))
            };
            let (_, number) = claim.rsplit_once('.').filter(|(_, number)| is_number(number)).ok_or_else(gone)?;
            let select = "SELECT page, number FROM queue WHERE number = ? AND state = 'open' AND token = ? FOR UPDATE";
            // An earlier run of this has passed.
            if let Some((page, number)) = tx.first::<(String, u64)>(select, (number, &token)).await? {
                return Ok(numbered(&page, Some(number)));
            }
            let found = self.find(tx, claim, true).await?;
            if found.state != "claimed" {
                return Err(gone().into());
            }
            // The worker does not find its token any more.
            let update = "UPDATE queue SET state = 'open', returned = UTC_TIMESTAMP(6), lease_until = NULL, token = ? WHERE id = ?";
            tx.run(update, (&token, found.id)).await?;
            Ok(found.ended)
        })
    }

    pub async fn retry(&self, claim: &str, jobs: &Ranges) -> Result<String, Trouble> {
        let token = new_token();
        transaction!(self.database.change(), |tx| {
            let found = self.find(tx, claim, true).await?;
            // An earlier run of this has passed.
            if found.token.as_ref() == Some(&token) {
                return Ok(format!("{} waits again", found.ended));
            }
            let failed = failed(tx, found.id).await?;
            if failed.is_empty() {
                return Err(Trouble::Refused(format!("no job of {} was set aside", tame(claim))).into());
            }
            if let Some(job) = jobs.iter().find(|job| !failed.contains(*job)) {
                return Err(Trouble::Refused(format!("job {job} of {} was not set aside", tame(claim))).into());
            }
            let wanted = if jobs.is_empty() { failed } else { jobs.clone() };
            let words = counted(wanted.len(), "job", "jobs");
            if found.state == "claimed" {
                self.change_control(tx, &found.vm, &mut |control| {
                    let before = control.retry.take().filter(|retry| retry.claim == claim);
                    let before = before.map(|retry| retry.jobs).unwrap_or_default();
                    let jobs = before.iter().chain(wanted.iter()).collect();
                    control.retry = Some(Retry { claim: claim.to_owned(), jobs });
                })
                .await?;
                return Ok(format!("the worker of {} is asked to try {words} again", tame(&found.vm)));
            }
            wait_again(tx, found.id, &wanted).await?;
            let update =
                "UPDATE queue SET state = 'open', returned = UTC_TIMESTAMP(6), finished = NULL, token = ? WHERE id = ?";
            tx.run(update, (&token, found.id)).await?;
            Ok(format!("{} waits again, for {words}", found.ended))
        })
    }

    pub async fn ask(&self, vm: &str, change: &(dyn Fn(&mut WorkerControl) + Sync)) -> Result<WorkerControl, Trouble> {
        check_vm(vm)?;
        transaction!(self.database.change(), |tx| self.change_control(tx, vm, &mut |control| change(control)).await)
    }

    /// Changes what is asked of a VM's worker; `change` may be called twice. What stays the same is not written.
    pub(super) async fn change_control(
        &self,
        tx: &mut Transaction,
        vm: &str,
        change: &mut (dyn FnMut(&mut WorkerControl) + Send),
    ) -> Result<WorkerControl, Fault> {
        let select = "SELECT control FROM control WHERE queue_name = ? AND vm = ? FOR UPDATE";
        loop {
            let found: Option<String> = tx.first(select, (&self.name, vm)).await?;
            let before = found.as_ref().map(|json| control_of(vm, json)).transpose()?.unwrap_or_default();
            let mut after = before.clone();
            change(&mut after);
            if after == before {
                return Ok(before);
            }
            after.serial = before.serial + 1;
            if found.is_some() {
                let update = "UPDATE control SET serial = ?, control = ? WHERE queue_name = ? AND vm = ?";
                tx.run(update, (after.serial, json(&after)?, &self.name, vm)).await?;
                return Ok(after);
            }
            // Without a row there is nothing to lock: another may be making it.
            let insert = "INSERT IGNORE INTO control (queue_name, vm, serial, control) VALUES (?, ?, 0, '{}')";
            tx.run(insert, (&self.name, vm)).await?;
        }
    }
}

/// Adds jobs to a page that nobody sees yet.
async fn insert_jobs(tx: &mut Transaction, id: u64, jobs: &[Job<'_>]) -> Result<(), Fault> {
    let params: Vec<Value> =
        jobs.iter().flat_map(|job| [id.into(), job.number.into(), job.tag.into(), job.work.into()]).collect();
    tx.run(&insert_of(jobs.len()), params).await?;
    Ok(())
}

/// An INSERT of so many jobs.
fn insert_of(jobs: usize) -> String {
    format!("INSERT INTO job (queue_id, number, tag, work) VALUES {}", vec!["(?, ?, ?, ?)"; jobs].join(", "))
}

/// The jobs of a page that were set aside.
async fn failed(tx: &mut Transaction, id: u64) -> Result<Ranges, Fault> {
    let select = "SELECT number FROM job FORCE INDEX (counts) WHERE queue_id = ? AND state = 'failed' ORDER BY number";
    let numbers: Vec<u32> = tx.rows(select, (id,)).await?;
    Ok(numbers.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_insert_has_many_jobs() {
        assert_eq!(insert_of(2), "INSERT INTO job (queue_id, number, tag, work) VALUES (?, ?, ?, ?), (?, ?, ?, ?)");
    }
}
