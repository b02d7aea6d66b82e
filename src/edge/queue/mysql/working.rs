//! What a worker writes: results, statuses, renewals, the end of a claim, reports of itself.
//!
//! Each step first locks the row of its page and looks for its token there. A step whose COMMIT got no answer is run again, and
//! finds what it did before.

use super::database::{Fault, Transaction, transaction};
use super::reading::numbered;
use super::{MysqlQueue, OwnWorker, json, superseded};
use crate::core::format::tame;
use crate::core::queue::{ClaimStatus, JobInHand, Ranges, WorkerStatus};
use crate::edge::queue::names::parse_claim;
use crate::edge::queue::{Delivery, Held, Trouble};

/// So many ranges of jobs are named in one statement.
const RANGES_AT_A_TIME: usize = 500;

/// Whose a page is, with its row locked.
enum TokenCheck {
    Own,
    /// It was this worker's, and this worker has ended the claim.
    Ended,
    /// It is not this worker's, for this reason.
    Lost(String),
}

type TokenRow = (String, String, Option<String>, Option<String>, Option<String>, Option<u64>);

/// A step of a worker on its claim.
enum ClaimStep<'a> {
    Save(&'a ClaimStatus),
    Deliver(u32, Result<&'a [u8], &'a str>),
    /// These jobs wait again, and then this is the status.
    TryAgain(&'a Ranges, &'a ClaimStatus),
    Renew,
    Finish,
    Return,
}

impl MysqlQueue {
    pub async fn save(&self, held: &Held) -> Delivery {
        self.step(held, ClaimStep::Save(&held.claim.status)).await
    }

    pub async fn deliver(&self, held: &Held, job: u32, result: Result<&[u8], &str>) -> Delivery {
        self.step(held, ClaimStep::Deliver(job, result)).await
    }

    pub async fn try_again(&self, held: &mut Held, jobs: &Ranges) -> Delivery {
        let mut status = held.claim.status.clone();
        let again: Ranges = status.failed.iter().filter(|job| jobs.is_empty() || jobs.contains(*job)).collect();
        status.failed = status.failed.iter().filter(|job| !again.contains(*job)).collect();
        status.attempts.retain(|job, _| !again.contains(*job));
        let delivery = self.step(held, ClaimStep::TryAgain(&again, &status)).await;
        if delivery == Delivery::Done {
            held.claim.status = status;
        }
        delivery
    }

    pub async fn finish(&self, held: &Held) -> Delivery {
        self.step(held, ClaimStep::Finish).await
    }

    pub async fn return_claim(&self, held: &Held) -> Delivery {
        self.step(held, ClaimStep::Return).await
    }

    pub async fn renew(&self, held: &Held) -> Delivery {
        self.step(held, ClaimStep::Renew).await
    }

    pub async fn report(&self, worker: &WorkerStatus) -> Delivery {
        let reported = transaction!(self.database.change(), |tx| {
            let OwnWorker { vm, instance } = self.me()?;
            let select = "SELECT instance FROM worker WHERE queue_name = ? AND vm = ? FOR UPDATE";
            let found: Option<String> = tx.first(select, (&self.name, &vm)).await?;
            if found.is_some_and(|found| found != instance) {
                return Ok(Delivery::Lost(superseded(&vm).to_string()));
            }
            let status = json(&WorkerStatus { vm: vm.clone(), instance: instance.clone(), ..worker.clone() })?;
            // The row may have been deleted by hand.
            let insert = "INSERT INTO worker (queue_name, vm, instance, beat, status) VALUES (?, ?, ?, UTC_TIMESTAMP(6), ?) \
                 ON DUPLICATE KEY UPDATE beat = VALUES(beat), status = VALUES(status)";
            tx.run(insert, (&self.name, vm, instance, status)).await?;
            Ok(Delivery::Done)
        });
        delivery(reported)
    }

    async fn step(&self, held: &Held, step: ClaimStep<'_>) -> Delivery {
        let name = &held.claim.name;
        let hand = self.memory().hands.get(name).cloned();
        let Some((id, token)) = hand else {
            return Delivery::Lost(format!("this worker does not have {}", tame(name)));
        };
        let is_last = matches!(step, ClaimStep::Finish | ClaimStep::Return);
        let mut is_over = is_last;
        let stepped = transaction!(self.database.change(), |tx| match self.check_token(tx, held, id, &token).await? {
            TokenCheck::Own => self.carry_out(tx, held, id, &step).await,
            TokenCheck::Ended if is_last => Ok(Delivery::Done),
            // The last step comes again, and finds this.
            TokenCheck::Ended => Ok(Delivery::Lost("this worker has ended the claim".to_owned())),
            TokenCheck::Lost(why) => {
                is_over = true;
                Ok(Delivery::Lost(why))
            }
        });
        let delivery = delivery(stepped);
        if is_over && !matches!(delivery, Delivery::Unknown(_)) {
            self.memory().hands.remove(name);
        }
        delivery
    }

    /// A step on a page whose row is locked and is this worker's.
    async fn carry_out(
        &self,
        tx: &mut Transaction,
        held: &Held,
        id: u64,
        step: &ClaimStep<'_>,
    ) -> Result<Delivery, Fault> {
        self.extend(tx, id).await?;
        match step {
            ClaimStep::Save(status) => write_status(tx, id, status).await?,
            ClaimStep::Deliver(job, result) => {
                if !write_result(tx, id, *job, *result, &held.claim.status.site).await? {
                    let why = format!("job {job} of {} was removed from the database", tame(&held.claim.name));
                    return Ok(Delivery::Lost(why));
                }
            }
            ClaimStep::TryAgain(again, status) => {
                if !again.is_empty() {
                    wait_again(tx, id, again).await?;
                }
                write_status(tx, id, status).await?;
            }
            ClaimStep::Renew => {}
            ClaimStep::Finish => {
                write_status(tx, id, &held.claim.status).await?;
                let select =
                    "SELECT number FROM job FORCE INDEX (counts) WHERE queue_id = ? AND state = 'waiting' LIMIT 1";
                // Somebody may have added a job to the page: then it waits, and nothing of it is lost.
                let end = if tx.first::<u32>(select, (id,)).await?.is_some() { RETURN } else { FINISH };
                tx.run(end, (id,)).await?;
            }
            ClaimStep::Return => {
                write_status(tx, id, &held.claim.status).await?;
                tx.run(RETURN, (id,)).await?;
            }
        }
        Ok(Delivery::Done)
    }

    /// Locks the row of a claim's page and looks whose it is.
    async fn check_token(&self, tx: &mut Transaction, held: &Held, id: u64, token: &str) -> Result<TokenCheck, Fault> {
        let select = "SELECT CAST(state AS CHAR), page, vm, instance, token, number FROM queue WHERE id = ? FOR UPDATE";
        let row: Option<TokenRow> = tx.first(select, (id,)).await?;
        let name = &held.claim.name;
        let Some((state, page, vm, instance, found, number)) = row else {
            return Ok(TokenCheck::Lost(format!("{} was deleted", tame(name))));
        };
        let is_own = found.is_some_and(|found| found == token);
        let vm = vm.unwrap_or_default();
        let why = match (&*state, parse_claim(name)) {
            ("claimed", _) if is_own => return Ok(TokenCheck::Own),
            _ if is_own => return Ok(TokenCheck::Ended),
            ("claimed", Some(own)) if own.vm == vm && instance.is_some_and(|instance| instance != own.instance) => {
                format!("a later start of the worker of {vm} has taken it over")
            }
            ("claimed", _) => format!("it was returned, or its lease ran out: the worker of {vm} has it"),
            ("done", _) => format!("it is finished: {}", numbered(&page, number)),
            _ => format!("it was returned: {} waits", numbered(&page, number)),
        };
        Ok(TokenCheck::Lost(tame(&why).into_owned()))
    }

    /// Renews the lease of a page whose row is locked: the time of this statement is not that of a wait for the lock.
    async fn extend(&self, tx: &mut Transaction, id: u64) -> Result<(), Fault> {
        let update = "UPDATE queue SET beat = UTC_TIMESTAMP(6), \
             lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND WHERE id = ?";
        tx.run(update, (self.lease_us(), id)).await?;
        Ok(())
    }
}

const FINISH: &str = "UPDATE queue SET state = 'done', finished = UTC_TIMESTAMP(6), lease_until = NULL WHERE id = ?";
const RETURN: &str = "UPDATE queue SET state = 'open', returned = UTC_TIMESTAMP(6), lease_until = NULL WHERE id = ?";

/// Writes a claim's status, and the tries of the jobs in hand.
async fn write_status(tx: &mut Transaction, id: u64, status: &ClaimStatus) -> Result<(), Fault> {
    tx.run("UPDATE queue SET status = ? WHERE id = ?", (json(status)?, id)).await?;
    let begin = "UPDATE job SET attempts = ?, began = UTC_TIMESTAMP(6) \
         WHERE queue_id = ? AND number = ? AND state = 'waiting' AND attempts < ?";
    for JobInHand { job, attempt, .. } in &status.hand {
        tx.run(begin, (attempt, id, job, attempt)).await?;
    }
    Ok(())
}

/// Writes a job's result. One that is there stays: it is this one, or one of an earlier claim. False: there is no such job.
async fn write_result(
    tx: &mut Transaction,
    id: u64,
    job: u32,
    result: Result<&[u8], &str>,
    site: &str,
) -> Result<bool, Fault> {
    let (state, output, error) = match result {
        Ok(output) => ("done", Some(output), None),
        Err(error) => ("failed", None, Some(error)),
    };
    let update = "UPDATE job SET state = ?, output = ?, error = ?, ended = UTC_TIMESTAMP(6), site = ?, \
         took_ms = GREATEST(0, TIMESTAMPDIFF(MICROSECOND, began, UTC_TIMESTAMP(6)) DIV 1000) \
         WHERE queue_id = ? AND number = ? AND state = 'waiting'";
    if tx.run(update, (state, output, error, site, id, job)).await? == 1 {
        return Ok(true);
    }
    let select = "SELECT 1 FROM job WHERE queue_id = ? AND number = ?";
    Ok(tx.first::<u8>(select, (id, job)).await?.is_some())
}

/// Has jobs that were set aside wait again; none: all. The page's row is locked. Returns how many they are.
pub async fn wait_again(tx: &mut Transaction, id: u64, jobs: &Ranges) -> Result<u64, Fault> {
    let update = "UPDATE job SET state = 'waiting', attempts = 0, error = NULL, began = NULL, ended = NULL, took_ms = NULL \
         WHERE queue_id = ? AND state = 'failed'";
    if jobs.is_empty() {
        return tx.run(update, (id,)).await;
    }
    let mut count = 0;
    for ranges in jobs.as_slice().chunks(RANGES_AT_A_TIME) {
        let these: Vec<String> = ranges.iter().map(|(a, b)| format!("number BETWEEN {a} AND {b}")).collect();
        count += tx.run(&format!("{update} AND ({})", these.join(" OR ")), (id,)).await?;
    }
    Ok(count)
}

/// What is not known to be done or lost is tried again by the worker.
fn delivery(step: Result<Delivery, Trouble>) -> Delivery {
    step.unwrap_or_else(|trouble| Delivery::Unknown(trouble.to_string()))
}
