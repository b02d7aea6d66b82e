//! What a queue looks like: for the engine at each interval, for the command line, for the screen.
//!
//! All of it is read as it was at one instant, so that a page that is claimed meanwhile is either open or claimed, and never
//! neither. Jobs are counted in their index; only [`MysqlQueue::page`] and [`MysqlQueue::open_page`] read them.

use std::collections::{BTreeMap, HashMap, HashSet};

use mysql_async::Params;

use super::MysqlQueue;
use super::database::{Fault, Transaction, transaction};
use super::jobs::{COLUMNS, JobRow, PageJobs};
use crate::core::cluster::{Span, Timestamp};
use crate::core::format::{natural, one_line, tame};
use crate::core::queue::{Claim, ClaimStatus, OpenPage, Page, QueueLook, QueueOverview, WorkerControl, WorkerStatus};
use crate::edge::queue::names::{is_number, number_text, parse_numbered};
use crate::edge::queue::{Trouble, now};

/// Pages and refused names in a look.
const SHOWN_PAGES: usize = 100;
/// Finished claims in an overview.
const SHOWN_FINISHED: usize = 20;
/// A page up to this length, in bytes, is parsed where it is read.
const LONGEST_AT_ONCE: usize = 1 << 20;
/// Jobs in one answer.
const JOBS_AT_A_TIME: usize = 10_000;

/// The grades of a page that waits: its jobs do not change until it is claimed.
#[derive(Debug, Clone)]
pub(super) struct KnownGrades {
    returned: Option<i64>,
    grades: Vec<(String, u32)>,
}

/// Page, name, when it was added and when it was returned, in milliseconds since 1970, number.
type OpenRow = (u64, String, Option<i64>, Option<i64>, Option<u64>);

/// Number, page, VM, instance, status, when it was claimed (milliseconds since 1970), when it was last written (milliseconds
/// ago), whether the lease has ended.
type ClaimRow =
    (Option<u64>, String, Option<String>, Option<String>, Option<String>, Option<i64>, Option<i64>, Option<bool>);

const CLAIM_COLUMNS: &str = "number, page, vm, instance, status, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', claimed) DIV 1000, \
     TIMESTAMPDIFF(MICROSECOND, beat, UTC_TIMESTAMP(6)) DIV 1000, lease_until < UTC_TIMESTAMP(6)";

/// What waits.
struct WaitingRows {
    open: Vec<OpenPage>,
    waiting: u32,
    refused: Vec<(String, String)>,
}

/// Where a claim was found.
pub(super) struct FoundClaim {
    pub id: u64,
    /// Its name once it is finished or returned.
    pub ended: String,
    /// Whose worker has it or had it last.
    pub vm: String,
    /// `open`, `claimed` or `done`.
    pub state: String,
    pub token: Option<String>,
}

type FoundRow = (u64, u64, String, Option<String>, Option<String>, String, bool, Option<String>);

impl MysqlQueue {
    pub async fn look(&self, vm: &str) -> Result<QueueLook, Trouble> {
        let at = now();
        transaction!(self.database.read(), |tx| {
            let select = format!(
                "SELECT {CLAIM_COLUMNS} FROM queue FORCE INDEX (waiting) \
                     WHERE queue_name = ? AND state = 'claimed' AND vm = ?"
            );
            let rows = tx.rows(&select, (&self.name, vm)).await?;
            let mut claims: Vec<Claim> = rows.into_iter().map(|row| claim_of(row, at)).collect();
            claims.sort_by_key(|claim| (claim.status.hand.is_empty(), claim.status.claimed));
            let worker = self.workers(tx, Some(vm), at).await?.pop();
            let control = self.controls(tx, Some(vm)).await?.remove(vm).unwrap_or_default();
            let WaitingRows { open, waiting, refused } = self.open(tx, worker.as_slice()).await?;
            Ok(QueueLook { at, open, waiting, refused, claims, worker, control })
        })
    }

    pub async fn overview(&self) -> Result<QueueOverview, Trouble> {
        let at = now();
        transaction!(self.database.read(), |tx| {
            let select = format!(
                "SELECT {CLAIM_COLUMNS} FROM queue FORCE INDEX (waiting) WHERE queue_name = ? AND state = 'claimed'"
            );
            let rows = tx.rows(&select, (&self.name,)).await?;
            let mut claims: Vec<Claim> = rows.into_iter().map(|row| claim_of(row, at)).collect();
            claims.sort_by(|a, b| natural(&a.name, &b.name));
            let workers = self.workers(tx, None, at).await?;
            let controls = self.controls(tx, None).await?;
            let WaitingRows { open, waiting, refused } = self.open(tx, &workers).await?;
            let count = "SELECT COUNT(*) FROM queue FORCE INDEX (finished) WHERE queue_name = ? AND state = 'done'";
            let done = tx.first::<u32>(count, (&self.name,)).await?.unwrap_or_default();
            let select = format!(
                "SELECT {CLAIM_COLUMNS} FROM queue FORCE INDEX (finished) \
                     WHERE queue_name = ? AND state = 'done' ORDER BY finished DESC LIMIT {SHOWN_FINISHED}"
            );
            let rows: Vec<ClaimRow> = tx.rows(&select, (&self.name,)).await?;
            let finished = rows.into_iter().map(|row| Claim { name: numbered(&row.1, row.0), ..claim_of(row, at) });
            let finished = finished.map(|claim| Claim { trouble: None, ..claim }).collect();
            Ok(QueueOverview { at, open, waiting, refused, claims, workers, controls, done, finished })
        })
    }

    /// The pages that are shown, how many wait, and what workers refuse.
    async fn open(&self, tx: &mut Transaction, workers: &[WorkerStatus]) -> Result<WaitingRows, Fault> {
        let by_workers: BTreeMap<&str, &str> =
            workers.iter().flat_map(|worker| &worker.refused).map(|(name, why)| (&**name, &**why)).collect();
        let most = SHOWN_PAGES + by_workers.len();
        let select = format!(
            "SELECT id, page, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', added) DIV 1000, \
             TIMESTAMPDIFF(MICROSECOND, '1970-01-01', returned) DIV 1000, number FROM queue FORCE INDEX (waiting) \
             WHERE queue_name = ? AND state = 'open' AND (? IS NULL OR page = ?) ORDER BY id LIMIT {most}"
        );
        let rows: Vec<OpenRow> = tx.rows(&select, (&self.name, &self.page, &self.page)).await?;
        let count = "SELECT COUNT(*) FROM queue FORCE INDEX (waiting) \
             WHERE queue_name = ? AND state = 'open' AND (? IS NULL OR page = ?)";
        let waiting = tx.first::<u32>(count, (&self.name, &self.page, &self.page)).await?.unwrap_or_default();
        let why = |row: &OpenRow| by_workers.get(&*open_name(&row.1, row.4, row.3.is_some())).copied();
        let (bad, mut good): (Vec<OpenRow>, Vec<OpenRow>) = rows.into_iter().partition(|row| why(row).is_some());
        let waiting = waiting.saturating_sub(bad.len() as u32);
        let refused = bad
            .iter()
            .filter_map(|row| Some((open_name(&row.1, row.4, row.3.is_some()), tame(why(row)?).into_owned())));
        let refused = refused.take(SHOWN_PAGES).collect();
        good.truncate(SHOWN_PAGES);
        let mut grades = self.grades(tx, &good).await?;
        let open = good.into_iter().map(|(id, page, added, returned, number)| OpenPage {
            name: open_name(&page, number, returned.is_some()),
            since: returned.or(added).map(Timestamp::from_millis),
            bytes: 0,
            grades: grades.remove(&id),
            returned: returned.is_some(),
        });
        Ok(WaitingRows { open: open.collect(), waiting, refused })
    }

    /// The jobs of pages that wait, by grade, the big ones first. Each page is counted once.
    async fn grades(&self, tx: &mut Transaction, pages: &[OpenRow]) -> Result<HashMap<u64, Vec<(String, u32)>>, Fault> {
        let ids: HashSet<u64> = pages.iter().map(|(id, ..)| *id).collect();
        let unknown: Vec<&OpenRow> = {
            let mut memory = self.memory();
            memory.grades.retain(|id, _| ids.contains(id));
            let is_known = |(id, _, _, returned, _): &OpenRow| {
                memory.grades.get(id).is_some_and(|known| known.returned == *returned)
            };
            pages.iter().filter(|page| !is_known(page)).collect()
        };
        if !unknown.is_empty() {
            let mut found: HashMap<u64, Vec<(String, u32)>> = HashMap::new();
            let list = unknown.iter().map(|(id, ..)| id.to_string()).collect::<Vec<_>>().join(", ");
            // In the order in which the grades come on the page.
            let count = format!(
                "SELECT queue_id, tag, COUNT(*), MIN(number) FROM job FORCE INDEX (counts) \
                 WHERE queue_id IN ({list}) AND state = 'waiting' GROUP BY queue_id, tag"
            );
            let mut rows: Vec<(u64, String, u32, u32)> = tx.rows(&count, ()).await?;
            rows.sort_by_key(|(_, tag, _, first)| (self.big.is_empty() || !tag.starts_with(&self.big), *first));
            for (id, tag, jobs, _) in rows {
                found.entry(id).or_default().push((tag, jobs));
            }
            let mut memory = self.memory();
            for (id, _, _, returned, _) in unknown {
                let grades = found.remove(id).unwrap_or_default();
                memory.grades.insert(*id, KnownGrades { returned: *returned, grades });
            }
        }
        let memory = self.memory();
        Ok(memory.grades.iter().map(|(id, known)| (*id, known.grades.clone())).collect())
    }

    /// What workers report of themselves, by their VMs' names; `of`: of this VM alone.
    async fn workers(&self, tx: &mut Transaction, of: Option<&str>, at: Timestamp) -> Result<Vec<WorkerStatus>, Fault> {
        let select = "SELECT vm, instance, status, TIMESTAMPDIFF(MICROSECOND, beat, UTC_TIMESTAMP(6)) DIV 1000 \
             FROM worker WHERE queue_name = ? AND (? IS NULL OR vm = ?) ORDER BY vm";
        let rows: Vec<(String, String, String, i64)> = tx.rows(select, (&self.name, of, of)).await?;
        let worker = |(vm, instance, status, age): (String, String, String, i64)| WorkerStatus {
            vm,
            instance,
            // As long ago as the database's clock says, on the clock of this machine.
            beat: at - Span::from_millis(age),
            ..worker_of(&status)
        };
        Ok(rows.into_iter().map(worker).collect())
    }

    /// What is asked of workers; `of`: of this VM's alone.
    async fn controls(&self, tx: &mut Transaction, of: Option<&str>) -> Result<BTreeMap<String, WorkerControl>, Fault> {
        let select = "SELECT vm, control FROM control WHERE queue_name = ? AND (? IS NULL OR vm = ?)";
        let rows: Vec<(String, String)> = tx.rows(select, (&self.name, of, of)).await?;
        let mut controls = BTreeMap::new();
        for (vm, control) in rows {
            let control = control_of(&vm, &control)?;
            controls.insert(vm, control);
        }
        Ok(controls)
    }

    pub async fn control(&self, vm: &str) -> Result<WorkerControl, Trouble> {
        let controls = transaction!(self.database.read(), |tx| self.controls(tx, Some(vm)).await)?;
        Ok(controls.into_values().next().unwrap_or_default())
    }

    pub async fn page(&self, claim: &str) -> Result<Page, Trouble> {
        let page = transaction!(self.database.read(), |tx| {
            let found = self.find(tx, claim, false).await?;
            read_page(tx, found.id).await
        });
        page?.map(|(page, _)| page).map_err(Trouble::Refused)
    }

    pub async fn open_page(&self, name: &str) -> Result<Page, Trouble> {
        let page = transaction!(self.database.read(), |tx| {
            let select = "SELECT id FROM queue WHERE queue_name = ? AND fresh = ?";
            let fresh: Option<u64> = tx.first(select, (&self.name, name)).await?;
            let id = match (fresh, parse_numbered(name)) {
                (Some(id), _) => Some(id),
                (None, Some((page, number))) => {
                    let select = "SELECT id FROM queue WHERE number = ? AND queue_name = ? AND page = ? \
                         AND state = 'open' AND returned IS NOT NULL";
                    tx.first(select, (number, &self.name, page)).await?
                }
                (None, None) => None,
            };
            let id = id.ok_or_else(|| Trouble::Refused(format!("no page {} waits", tame(name))))?;
            read_page(tx, id).await
        });
        page?.map(|(page, _)| page).map_err(Trouble::Refused)
    }

    pub async fn error_of(&self, claim: &str, job: u32) -> Result<Option<String>, Trouble> {
        transaction!(self.database.read(), |tx| {
            let found = self.find(tx, claim, false).await?;
            let select = "SELECT COALESCE(error, '') FROM job WHERE queue_id = ? AND number = ? AND state = 'failed'";
            tx.first(select, (found.id, job)).await
        })
    }

    /// The claim of a name: one in work by its VM, instance and number, another by its page and number. `lock`: nobody changes
    /// it until the transaction ends.
    pub(super) async fn find(&self, tx: &mut Transaction, claim: &str, lock: bool) -> Result<FoundClaim, Fault> {
        let gone =
            || Trouble::Refused(format!("there is no claim {}: it was finished, returned or taken over", tame(claim)));
        let (_, number) = claim.rsplit_once('.').filter(|(_, number)| is_number(number)).ok_or_else(gone)?;
        let select = format!(
            "SELECT id, number, page, vm, instance, CAST(state AS CHAR), returned IS NOT NULL, token \
             FROM queue WHERE number = ? AND queue_name = ?{}",
            if lock { " FOR UPDATE" } else { "" }
        );
        let found: Option<FoundRow> = tx.first(&select, (number, &self.name)).await?;
        let (id, number, page, vm, instance, state, is_returned, token) = found.ok_or_else(gone)?;
        let vm = vm.unwrap_or_default();
        let name = match (&*state, is_returned) {
            ("claimed", _) => claim_name(&vm, &instance.unwrap_or_default(), number),
            ("done", _) | (_, true) => numbered(&page, Some(number)),
            _ => return Err(gone().into()),
        };
        let ended = numbered(&page, Some(number));
        if name == claim { Ok(FoundClaim { id, ended, vm, state, token }) } else { Err(gone().into()) }
    }
}

/// The jobs of a page. The inner error: it is none.
async fn read_jobs(tx: &mut Transaction, id: u64) -> Result<Result<PageJobs, String>, Fault> {
    let mut jobs = PageJobs::default();
    let select =
        format!("SELECT {COLUMNS} FROM job WHERE queue_id = ? AND number >= ? ORDER BY number LIMIT {JOBS_AT_A_TIME}");
    let mut next = 0;
    loop {
        let mut count = 0;
        let params: Params = (id, next).into();
        let read = tx.each(&select, params, |job: JobRow| {
            (next, count) = (job.0.saturating_add(1), count + 1);
            jobs.push(&job)
        });
        if let Err(why) = read.await? {
            return Ok(Err(why));
        }
        if count < JOBS_AT_A_TIME {
            return Ok(Ok(jobs));
        }
    }
}

/// The page, and which of its jobs have a result. The inner error: it is no page.
pub async fn read_page(tx: &mut Transaction, id: u64) -> Result<Result<(Page, PageJobs), String>, Fault> {
    let mut jobs = match read_jobs(tx, id).await? {
        Ok(jobs) => jobs,
        Err(why) => return Ok(Err(why)),
    };
    if jobs.bytes() <= LONGEST_AT_ONCE {
        return Ok(jobs.page().map(|page| (page, jobs)));
    }
    // Beside what else is to be done.
    let parsed = tokio::task::spawn_blocking(move || jobs.page().map(|page| (page, jobs))).await;
    parsed.map_err(|_| Trouble::Unreachable("the page was not read to its end".to_owned()).into())
}

/// `VM.INSTANCE.N`: a claim.
pub fn claim_name(vm: &str, instance: &str, number: u64) -> String {
    format!("{vm}.{instance}.{}", number_text(number))
}

/// `PAGE.N`: what is finished or returned.
pub fn numbered(page: &str, number: Option<u64>) -> String {
    format!("{page}.{}", number_text(number.unwrap_or_default()))
}

/// The name under which a page waits.
pub fn open_name(page: &str, number: Option<u64>, is_returned: bool) -> String {
    if is_returned { numbered(page, number) } else { page.to_owned() }
}

fn claim_of((number, page, vm, instance, status, claimed, age, has_lapsed): ClaimRow, at: Timestamp) -> Claim {
    let vm = vm.unwrap_or_default();
    let name = claim_name(&vm, &instance.unwrap_or_default(), number.unwrap_or_default());
    let (status, damage) = match status_of(status.as_deref()) {
        Ok(status) => (status, None),
        Err(why) => (ClaimStatus::default(), Some(why)),
    };
    let beat = age.map_or(status.beat, |age| at - Span::from_millis(age));
    let claimed = claimed.map_or(status.claimed, Timestamp::from_millis);
    let lapse =
        has_lapsed.unwrap_or_default().then_some("its lease has run out: the worker of any VM may go on with it");
    let trouble = damage.or(lapse.map(str::to_owned));
    Claim { name, status: ClaimStatus { vm, page, claimed, beat, ..status }, trouble }
}

/// What a worker reported of a claim.
///
/// # Errors
/// It cannot be read.
pub fn status_of(json: Option<&str>) -> Result<ClaimStatus, String> {
    let Some(json) = json else { return Ok(ClaimStatus::default()) };
    serde_json::from_str(json).map_err(|error| format!("its status is damaged: {}", one_line(&error.to_string(), 80)))
}

/// What a worker reported of itself.
pub fn worker_of(json: &str) -> WorkerStatus {
    serde_json::from_str(json).unwrap_or_else(|error| WorkerStatus {
        trouble: Some(format!("what it reports is damaged: {}", one_line(&error.to_string(), 80))),
        ..WorkerStatus::default()
    })
}

/// What is asked of a VM's worker.
///
/// # Errors
/// It cannot be read.
pub fn control_of(vm: &str, json: &str) -> Result<WorkerControl, Trouble> {
    serde_json::from_str(json).map_err(|error| {
        let (vm, why) = (tame(vm), one_line(&error.to_string(), 80));
        Trouble::Refused(format!("the row of {vm} in the table control is damaged, delete it and ask again: {why}"))
    })
}
