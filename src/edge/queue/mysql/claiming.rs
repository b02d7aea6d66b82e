//! A worker's start, its claims, and what is in doubt about them.
//!
//! A claim locks the page's row, reads the jobs, and then writes who has it and until when, with a new token. It is in doubt from
//! the instant before that until the worker has it in hand. What is in doubt is settled by a look under the lock of its row.

use std::sync::Arc;

use super::database::{Fault, Transaction, transaction};
use super::jobs::PageJobs;
use super::reading::{claim_name, open_name, read_page, status_of, worker_of};
use super::{MysqlQueue, OwnWorker, json, new_number, new_token, superseded};
use crate::core::cluster::{Span, Timestamp};
use crate::core::queue::{Claim, ClaimStatus, Page, Rates, WorkerControl, WorkerState, WorkerStatus};
use crate::edge::queue::{Held, Trouble, now};

/// A page that was refused is read again after so long: somebody may have changed its jobs.
const READ_AGAIN: Span = Span::from_mins(10);
/// So often a page is looked for again while other transactions have all that wait in their hands.
const LOOKS: u32 = 40;

/// A claim that may have been made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DoubtfulClaim {
    name: String,
    id: u64,
    token: String,
}

/// A page that is not claimed.
#[derive(Debug, Clone)]
pub(super) struct RefusedRow {
    /// The name under which it waits.
    name: String,
    at: Timestamp,
    why: String,
}

/// A page whose row is locked.
struct Locked {
    id: u64,
    page: String,
    /// The token that it had.
    token: Option<String>,
    status: Option<String>,
    is_returned: bool,
    /// When it was first claimed, in milliseconds since 1970.
    claimed: Option<i64>,
    /// The start of a worker that had it last.
    instance: Option<String>,
    /// The number of the claim, or of the last one.
    number: Option<u64>,
}

type LockedRow = (u64, String, Option<String>, Option<String>, bool, Option<i64>, Option<String>, Option<u64>);

const LOCKED_COLUMNS: &str = "id, page, token, status, returned IS NOT NULL, \
     TIMESTAMPDIFF(MICROSECOND, '1970-01-01', claimed) DIV 1000, instance, number";

/// What became of one attempt.
enum PageAttempt {
    Claimed(Box<Held>),
    /// It is not worked.
    Refused,
    /// Nothing is there that is not in another transaction's hands.
    Nothing,
}

impl From<LockedRow> for Locked {
    fn from((id, page, token, status, is_returned, claimed, instance, number): LockedRow) -> Self {
        Self { id, page, token, status, is_returned, claimed, instance, number }
    }
}

impl MysqlQueue {
    pub async fn begin(&self, vm: &str, instance: &str) -> Result<(Vec<Held>, Rates), Trouble> {
        super::check_vm(vm)?;
        self.check_server().await?;
        let me = OwnWorker { vm: vm.to_owned(), instance: instance.to_owned() };
        {
            let mut memory = self.memory();
            memory.me = Some(me.clone());
            memory.doubts.clear();
            memory.hands.clear();
        }
        let rates = transaction!(self.database.change(), |tx| self.register(tx, &me).await)?;
        let select = "SELECT id FROM queue FORCE INDEX (waiting) \
             WHERE queue_name = ? AND state = 'claimed' AND vm = ? ORDER BY id";
        let ids: Vec<u64> = transaction!(self.database.read(), |tx| tx.rows(select, (&self.name, vm)).await)?;
        let mut helds = Vec::new();
        for id in ids {
            helds.extend(transaction!(self.database.change(), |tx| self.take_over(tx, &me, id).await)?);
        }
        helds.iter().for_each(|held| self.hand_over(held));
        // Earlier tries of these.
        self.memory().doubts.clear();
        Ok((helds, rates))
    }

    /// From now on an earlier start of this VM's worker claims and reports nothing more. Returns the rates it had learned.
    async fn register(&self, tx: &mut Transaction, me: &OwnWorker) -> Result<Rates, Fault> {
        let select = "SELECT status FROM worker WHERE queue_name = ? AND vm = ? FOR UPDATE";
        let before: Option<String> = tx.first(select, (&self.name, &me.vm)).await?;
        let before = before.map(|json| worker_of(&json)).unwrap_or_default();
        let at = now();
        let status = WorkerStatus {
            vm: me.vm.clone(),
            instance: me.instance.clone(),
            site: before.site,
            started: at,
            beat: at,
            state: WorkerState::Idle,
            rates: before.rates.clone(),
            ..WorkerStatus::default()
        };
        let insert = "INSERT INTO worker (queue_name, vm, instance, beat, status) VALUES (?, ?, ?, UTC_TIMESTAMP(6), ?) \
             ON DUPLICATE KEY UPDATE instance = VALUES(instance), beat = VALUES(beat), status = VALUES(status)";
        tx.run(insert, (&self.name, &me.vm, &me.instance, json(&status)?)).await?;
        Ok(before.rates)
    }

    /// Takes a claim of this VM over from an earlier start; `None`: it is no longer this VM's.
    async fn take_over(&self, tx: &mut Transaction, me: &OwnWorker, id: u64) -> Result<Option<Held>, Fault> {
        let select = format!(
            "SELECT {LOCKED_COLUMNS} FROM queue WHERE id = ? AND queue_name = ? AND state = 'claimed' AND vm = ? FOR UPDATE"
        );
        let row: Option<LockedRow> = tx.first(&select, (id, &self.name, &me.vm)).await?;
        let Some(locked) = row.map(Locked::from) else { return Ok(None) };
        let instance = locked.instance.as_deref().unwrap_or_default();
        let claim = claim_name(&me.vm, instance, locked.number.unwrap_or_default());
        self.take_retry(tx, &claim, me, id).await?;
        match self.take(tx, me, locked).await? {
            PageAttempt::Claimed(held) => Ok(Some(*held)),
            PageAttempt::Refused => {
                put_back(tx, id).await?;
                Ok(None)
            }
            PageAttempt::Nothing => Ok(None),
        }
    }

    /// Does what an operator has asked of an earlier start: a claim's name changes, and with it the order would be forgotten.
    async fn take_retry(&self, tx: &mut Transaction, claim: &str, me: &OwnWorker, id: u64) -> Result<(), Fault> {
        let mut is_asked = None;
        self.change_control(tx, &me.vm, &mut |control: &mut WorkerControl| {
            is_asked = control.retry.take_if(|retry| retry.claim == claim).or(is_asked.take());
        })
        .await?;
        if let Some(retry) = is_asked {
            super::working::wait_again(tx, id, &retry.jobs).await?;
        }
        Ok(())
    }

    pub async fn claim(&self) -> Result<Option<Held>, Trouble> {
        let me = self.me()?;
        let mut looks = 0;
        loop {
            let attempted = transaction!(self.database.change(), |tx| {
                if let Some(held) = self.settle(tx, &me).await?.pop() {
                    return Ok(PageAttempt::Claimed(Box::new(held)));
                }
                match self.lapsed(tx, &me).await? {
                    Some(locked) => self.take(tx, &me, locked).await,
                    None => match self.oldest(tx).await? {
                        Some(locked) => self.take(tx, &me, locked).await,
                        None => Ok(PageAttempt::Nothing),
                    },
                }
            });
            match attempted? {
                PageAttempt::Claimed(held) => {
                    self.hand_over(&held);
                    return Ok(Some(*held));
                }
                PageAttempt::Refused => {}
                PageAttempt::Nothing if self.waiting().await? == 0 => return Ok(None),
                // What other transactions have locked was skipped.
                PageAttempt::Nothing if looks < LOOKS => {
                    looks += 1;
                    tokio::time::sleep(super::database::pause(looks.min(4))).await;
                }
                PageAttempt::Nothing => {
                    let why = "others have locked every page that waits: see SHOW ENGINE INNODB STATUS";
                    return Err(Trouble::Unreachable(why.to_owned()));
                }
            }
        }
    }

    /// The oldest page that waits and is in nobody's hands, locked.
    async fn oldest(&self, tx: &mut Transaction) -> Result<Option<Locked>, Fault> {
        let select = format!(
            "SELECT {LOCKED_COLUMNS} FROM queue FORCE INDEX (waiting) WHERE queue_name = ? AND state = 'open' \
             AND (? IS NULL OR page = ?){} ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
            self.but_refused()
        );
        let row: Option<LockedRow> = tx.first(&select, (&self.name, &self.page, &self.page)).await?;
        Ok(row.map(Locked::from))
    }

    /// How many pages wait, also those that are locked.
    async fn waiting(&self) -> Result<u32, Trouble> {
        let count = format!(
            "SELECT COUNT(*) FROM queue FORCE INDEX (waiting) WHERE queue_name = ? AND state = 'open' \
             AND (? IS NULL OR page = ?){}",
            self.but_refused()
        );
        let params = (&self.name, &self.page, &self.page);
        let waiting: Option<u32> = transaction!(self.database.read(), |tx| tx.first(&count, params).await)?;
        Ok(waiting.unwrap_or_default())
    }

    /// A claim of another VM whose lease has run out, locked.
    async fn lapsed(&self, tx: &mut Transaction, me: &OwnWorker) -> Result<Option<Locked>, Fault> {
        // Found without a lock, so that a worker that renews its claim never waits for others that look.
        let select = format!(
            "SELECT id, token FROM queue FORCE INDEX (waiting) WHERE queue_name = ? AND state = 'claimed' AND vm <> ? \
             AND lease_until < UTC_TIMESTAMP(6) AND (? IS NULL OR page = ?){} ORDER BY lease_until",
            self.but_refused()
        );
        let lapsed: Vec<(u64, Option<String>)> = tx.rows(&select, (&self.name, &me.vm, &self.page, &self.page)).await?;
        let lock = format!(
            "SELECT {LOCKED_COLUMNS} FROM queue WHERE id = ? AND state = 'claimed' AND token <=> ? \
             AND lease_until < UTC_TIMESTAMP(6) FOR UPDATE SKIP LOCKED"
        );
        for (id, token) in lapsed {
            if let Some(row) = tx.first::<LockedRow>(&lock, (id, token)).await? {
                return Ok(Some(row.into()));
            }
        }
        Ok(None)
    }

    /// Claims a page whose row is locked.
    async fn take(&self, tx: &mut Transaction, me: &OwnWorker, locked: Locked) -> Result<PageAttempt, Fault> {
        let (page, jobs) = match read_page(tx, locked.id).await? {
            Ok(read) => read,
            Err(why) => {
                let name = open_name(&locked.page, locked.number, locked.is_returned);
                self.memory().refused.insert(locked.id, RefusedRow { name, at: now(), why });
                return Ok(PageAttempt::Refused);
            }
        };
        // The worker's row is locked last, so that reports wait for no reading.
        let select = "SELECT instance, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000 FROM worker \
             WHERE queue_name = ? AND vm = ? FOR UPDATE";
        let worker: Option<(String, i64)> = tx.first(select, (&self.name, &me.vm)).await?;
        let Some((_, at)) = worker.filter(|(instance, _)| *instance == me.instance) else {
            return Err(superseded(&me.vm).into());
        };
        let (token, number) = (new_token(), new_number());
        let claimed = Timestamp::from_millis(locked.claimed.unwrap_or(at));
        let held = self.held(me, &locked, number, claimed, (page, jobs));
        let name = held.claim.name.clone();
        self.memory().doubts.push(DoubtfulClaim { name, id: locked.id, token: token.clone() });
        // The row is locked, so that the time of this statement is not that of a wait for it.
        let update = "UPDATE queue SET state = 'claimed', vm = ?, instance = ?, number = ?, token = ?, status = ?, \
             claimed = COALESCE(claimed, UTC_TIMESTAMP(6)), beat = UTC_TIMESTAMP(6), \
             lease_until = UTC_TIMESTAMP(6) + INTERVAL ? MICROSECOND WHERE id = ? AND token <=> ? \
             AND (state = 'open' OR state = 'claimed' AND (vm = ? OR lease_until < UTC_TIMESTAMP(6)))";
        let status = json(&held.claim.status)?;
        let params: Vec<mysql_async::Value> = vec![
            (&me.vm).into(),
            (&me.instance).into(),
            number.into(),
            (&token).into(),
            status.into(),
            self.lease_us().into(),
            locked.id.into(),
            locked.token.into(),
            (&me.vm).into(),
        ];
        if tx.run(update, params).await? == 1 {
            return Ok(PageAttempt::Claimed(Box::new(held)));
        }
        self.memory().doubts.retain(|doubt| doubt.token != token);
        Ok(PageAttempt::Nothing)
    }

    fn held(
        &self,
        me: &OwnWorker,
        locked: &Locked,
        number: u64,
        claimed: Timestamp,
        (page, jobs): (Page, PageJobs),
    ) -> Held {
        let before = status_of(locked.status.as_deref()).unwrap_or_default();
        let grades = page.grades(&self.big);
        let status = ClaimStatus {
            vm: me.vm.clone(),
            page: locked.page.clone(),
            claimed,
            beat: now(),
            left: if before.left.is_empty() { grades.clone() } else { before.left },
            big: page.big(&self.big),
            grades,
            hand: Vec::new(),
            done: jobs.done,
            failed: jobs.failed,
            attempts: jobs.attempts,
            ..before
        };
        let name = claim_name(&me.vm, &me.instance, number);
        Held { claim: Claim { name, status, trouble: None }, page: Arc::new(page) }
    }

    pub fn doubtful(&self) -> u32 {
        self.memory().doubts.len() as u32
    }

    pub async fn settle_doubtful(&self) -> Result<Vec<Held>, Trouble> {
        if self.doubtful() == 0 {
            return Ok(Vec::new());
        }
        let me = self.me()?;
        let found = transaction!(self.database.change(), |tx| self.settle(tx, &me).await)?;
        for held in &found {
            self.hand_over(held);
        }
        Ok(found)
    }

    /// Looks at what is in doubt. While the transaction that may have claimed it is not decided, it has the row's lock.
    async fn settle(&self, tx: &mut Transaction, me: &OwnWorker) -> Result<Vec<Held>, Fault> {
        let doubts = self.memory().doubts.clone();
        let select = format!("SELECT {LOCKED_COLUMNS} FROM queue WHERE id = ? AND state = 'claimed' FOR UPDATE");
        let mut found = Vec::new();
        for doubt in doubts {
            let row: Option<LockedRow> = tx.first(&select, (doubt.id,)).await?;
            let own = row.map(Locked::from).filter(|locked| locked.token.as_ref() == Some(&doubt.token));
            let Some(locked) = own else {
                self.memory().doubts.retain(|other| *other != doubt);
                continue;
            };
            let claimed = Timestamp::from_millis(locked.claimed.unwrap_or_default());
            let number = locked.number.unwrap_or_default();
            match read_page(tx, doubt.id).await? {
                Ok(read) => found.push(self.held(me, &locked, number, claimed, read)),
                Err(_) => put_back(tx, doubt.id).await?,
            }
        }
        Ok(found)
    }

    /// Who works here.
    pub(super) fn me(&self) -> Result<OwnWorker, Trouble> {
        let me = self.memory().me.clone();
        me.ok_or_else(|| Trouble::Refused("no worker has begun here".to_owned()))
    }

    /// The worker has it now.
    fn hand_over(&self, held: &Held) {
        let mut memory = self.memory();
        if let Some(at) = memory.doubts.iter().position(|doubt| doubt.name == held.claim.name) {
            let DoubtfulClaim { name, id, token } = memory.doubts.swap_remove(at);
            memory.hands.insert(name, (id, token));
        }
    }

    pub fn refused(&self) -> Vec<(String, String)> {
        let memory = self.memory();
        let mut refused: Vec<_> =
            memory.refused.values().map(|refusal| (refusal.name.clone(), refusal.why.clone())).collect();
        refused.sort();
        refused
    }

    /// The condition that leaves refused pages out; those that are to be read again are forgotten.
    fn but_refused(&self) -> String {
        let mut memory = self.memory();
        let at = now();
        memory.refused.retain(|_, refusal| at.since(refusal.at) < READ_AGAIN);
        let ids: Vec<String> = memory.refused.keys().map(u64::to_string).collect();
        if ids.is_empty() { String::new() } else { format!(" AND id NOT IN ({})", ids.join(", ")) }
    }
}

/// Has a claim wait whose jobs were changed so that they are no page any more. Whoever reads it then says what is wrong.
async fn put_back(tx: &mut Transaction, id: u64) -> Result<(), Fault> {
    let update =
        "UPDATE queue SET state = 'open', returned = UTC_TIMESTAMP(6), lease_until = NULL, token = ? WHERE id = ?";
    tx.run(update, (new_token(), id)).await?;
    Ok(())
}
