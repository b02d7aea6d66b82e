//! What a queue looks like: for the engine at each interval, for the command line, for the screen.

use std::collections::BTreeMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::names::{
    CLAIMS, CONTROL, DONE, DotFile, OPEN, PAGE, RESULTS, STATUS, check_page_name, millis_of, parse_claim,
    parse_dot_file, parse_numbered, result_name,
};
use super::{EntryKind, FolderEntry, TreeQueue, now, path};
use crate::core::cluster::Timestamp;
use crate::core::format::{natural, one_line, tame};
use crate::core::queue::{
    Claim, ClaimStatus, LONGEST_PAGE, OpenPage, Page, PageError, QueueLook, QueueOverview, WorkerControl, WorkerStatus,
};
use crate::edge::queue::Trouble;

/// Pages and refused names in a look.
const SHOWN_PAGES: usize = 100;
/// Finished claims in an overview.
const SHOWN_FINISHED: usize = 20;
/// A longer page is not read for its grades.
const LONGEST_FOR_GRADES: u64 = 1 << 20;
/// The longest status, report or control, in bytes: the status of a page of a million jobs has at worst half a million ranges.
pub(super) const LONGEST_JSON: usize = 64 << 20;
/// The longest error of a job, in bytes.
const LONGEST_ERROR: usize = 1 << 20;
/// Requests at a time.
const AT_A_TIME: usize = 8;

/// A page that was read for its grades.
pub struct KnownPage {
    bytes: u64,
    changed: Option<Timestamp>,
    grades: Result<Vec<(String, u32)>, String>,
}

/// A name in `open/` that can be claimed.
#[derive(Debug, Clone)]
pub struct WaitingPage {
    /// Its name there.
    pub name: String,
    /// The page's own name.
    pub page: String,
    /// It is a folder: it was worked in part and returned.
    pub returned: bool,
    pub bytes: u64,
    pub changed: Option<Timestamp>,
    /// It waits since.
    pub since: Option<Timestamp>,
}

impl WaitingPage {
    /// The file with its jobs.
    pub fn path(&self) -> String {
        if self.returned { path(&[OPEN, &self.name, PAGE]) } else { path(&[OPEN, &self.name]) }
    }

    fn of(entry: FolderEntry) -> Result<Self, (String, String)> {
        let FolderEntry { name, kind, bytes, changed, .. } = entry;
        let refused = |name: &str, why: String| Err((tame(name).into_owned(), why));
        if let Err(why) = check_page_name(&name).or_else(|why| if is_returned(&name, kind) { Ok(()) } else { Err(why) })
        {
            return refused(&name, why);
        }
        match kind {
            EntryKind::File => Ok(Self { page: name.clone(), name, returned: false, bytes, changed, since: changed }),
            EntryKind::Folder => match parse_numbered(&name) {
                Some((page, number)) => {
                    let since = millis_of(number).map(Timestamp::from_millis);
                    Ok(Self { page: page.to_owned(), returned: true, bytes, changed, since, name: name.clone() })
                }
                None => {
                    refused(&name, "it is a folder, and a page is a file: put the files themselves here".to_owned())
                }
            },
            EntryKind::Other(why) => refused(&name, why.to_owned()),
        }
    }
}

/// Whether this is a returned claim of a page whose own name is good: with its number it may be longer than a page's name.
fn is_returned(name: &str, kind: EntryKind) -> bool {
    kind == EntryKind::Folder && parse_numbered(name).is_some_and(|(page, _)| check_page_name(page).is_ok())
}

impl TreeQueue {
    /// What waits, the oldest first; and what lies there and is no page.
    pub(super) async fn waiting(&self) -> Result<(Vec<WaitingPage>, Vec<(String, String)>), Trouble> {
        let (mut pages, mut refused) = (Vec::new(), Vec::new());
        let entries = self.tree.list(OPEN).await?.unwrap_or_default();
        // What begins with a dot is a producer's, or a server's, and not whole yet.
        for entry in entries.into_iter().filter(|entry| !entry.name.starts_with('.')) {
            match WaitingPage::of(entry) {
                Ok(page) if self.page.as_ref().is_none_or(|only| *only == page.page) => pages.push(page),
                Ok(_) => {}
                Err(why) => refused.push(why),
            }
        }
        pages.sort_by(|a, b| a.since.cmp(&b.since).then_with(|| natural(&a.name, &b.name)));
        refused.sort();
        Ok((pages, refused))
    }

    pub async fn look(&self, vm: &str) -> Result<QueueLook, Trouble> {
        let (at, names) = (now(), self.tree.names(CLAIMS));
        let (waiting, names, control) = tokio::try_join!(self.waiting(), names, self.control(vm))?;
        let mut names = names.unwrap_or_default();
        let workers = self.workers_of(&names, Some(vm)).await?;
        if workers.first().is_some_and(|worker| !worker.claims) {
            // What it claimed just before it said so is among the names that are read after that.
            names = self.tree.names(CLAIMS).await?.unwrap_or_default();
        }
        let is_of_vm = |name: &&String| parse_claim(name).is_some_and(|claim| claim.vm == vm);
        let mut claims = self.claims_of(names.iter().filter(is_of_vm).cloned().collect()).await?;
        claims.sort_by(|a, b| {
            let idle = |claim: &Claim| claim.status.hand.is_empty();
            idle(a).cmp(&idle(b)).then(a.status.claimed.cmp(&b.status.claimed))
        });
        let worker = workers.into_iter().next();
        let (open, waiting, refused) = self.open(waiting, worker.as_slice()).await?;
        Ok(QueueLook { at, open, waiting, refused, claims, worker, control })
    }

    pub async fn overview(&self) -> Result<QueueOverview, Trouble> {
        let at = now();
        let claims = self.tree.names(CLAIMS);
        let (waiting, names, done) = tokio::try_join!(self.waiting(), claims, self.tree.names(DONE))?;
        let names = names.unwrap_or_default();
        let of_claims = names.iter().filter(|name| !name.starts_with('.')).cloned().collect();
        let (mut claims, workers) = tokio::try_join!(self.claims_of(of_claims), self.workers_of(&names, None))?;
        claims.sort_by(|a, b| natural(&a.name, &b.name));
        let (open, waiting, refused) = self.open(waiting, &workers).await?;
        let done = done.unwrap_or_default();
        let done: Vec<String> = done.into_iter().filter(|name| parse_numbered(name).is_some()).collect();
        let (controls, finished) = tokio::try_join!(self.controls(), self.finished(&done))?;
        let done = done.len() as u32;
        Ok(QueueOverview { at, open, waiting, refused, claims, workers, controls, done, finished })
    }

    /// The pages that are shown, how many wait, and what is refused, also by workers.
    async fn open(
        &self,
        (pages, mut refused): (Vec<WaitingPage>, Vec<(String, String)>),
        workers: &[WorkerStatus],
    ) -> Result<(Vec<OpenPage>, u32, Vec<(String, String)>), Trouble> {
        let by_workers: BTreeMap<&str, &str> =
            workers.iter().flat_map(|worker| &worker.refused).map(|(name, why)| (&**name, &**why)).collect();
        let (bad, pages): (Vec<_>, Vec<_>) = pages.into_iter().partition(|page| by_workers.contains_key(&*page.name));
        refused.extend(bad.into_iter().map(|page| {
            let why = by_workers.get(&*page.name).map_or_else(String::new, |why| tame(why).into_owned());
            (page.name, why)
        }));
        // Owned, so that the compiler sees that it may go to another thread.
        let shown: Vec<WaitingPage> = pages.iter().take(SHOWN_PAGES).cloned().collect();
        let read = stream::iter(shown).map(|page| async move {
            let grades = self.grades(&page).await?;
            Ok((page, grades))
        });
        let read: Vec<_> = read.buffered(AT_A_TIME).try_collect().await?;
        self.remembered().pages.retain(|name, _| pages.iter().any(|page| page.name == *name));
        let (mut open, mut waiting) = (Vec::new(), pages.len());
        for (page, grades) in read {
            let grades = match grades {
                Some(Err(why)) => {
                    refused.push((page.name, why));
                    waiting -= 1;
                    continue;
                }
                Some(Ok(grades)) => Some(grades),
                None => None,
            };
            let WaitingPage { name, since, bytes, returned, .. } = page;
            open.push(OpenPage { name, since, bytes, grades, returned });
        }
        refused.truncate(SHOWN_PAGES);
        Ok((open, waiting as u32, refused))
    }
}

impl TreeQueue {
    /// The grades of a page that waits, or why it is no page; `None`: it was not read.
    async fn grades(&self, page: &WaitingPage) -> Result<Option<Result<Vec<(String, u32)>, String>>, Trouble> {
        let is_same = |known: &&KnownPage| known.bytes == page.bytes && known.changed == page.changed;
        if let Some(known) = self.remembered().pages.get(&page.name).filter(is_same) {
            return Ok(Some(known.grades.clone()));
        }
        let grades = match self.read_grades(page).await? {
            Some(grades) => grades,
            None => return Ok(None),
        };
        let known = KnownPage { bytes: page.bytes, changed: page.changed, grades: grades.clone() };
        self.remembered().pages.insert(page.name.clone(), known);
        Ok(Some(grades))
    }

    async fn read_grades(&self, page: &WaitingPage) -> Result<Option<Result<Vec<(String, u32)>, String>>, Trouble> {
        let mut bytes = page.bytes;
        if page.returned {
            let status = self.status(&path(&[OPEN, &page.name])).await?;
            if let Ok(Some(status)) = status
                && !status.left.is_empty()
            {
                return Ok(Some(Ok(status.left)));
            }
            match self.tree.look(&page.path()).await? {
                Some(entry) => bytes = entry.bytes,
                None => return Ok(Some(Err("it is a folder without a page in it".to_owned()))),
            }
        }
        if bytes > LONGEST_PAGE as u64 {
            return Ok(Some(Err(PageError::TooLong.to_string())));
        }
        if bytes > LONGEST_FOR_GRADES {
            return Ok(None);
        }
        let Some(bytes) = self.tree.read(&page.path(), LONGEST_PAGE).await? else { return Ok(None) };
        let grades = Page::parse(bytes).map(|page| page.grades(&self.big));
        Ok(Some(grades.map_err(|error| error.to_string())))
    }

    /// What lies in `claims/` under these names.
    async fn claims_of(&self, names: Vec<String>) -> Result<Vec<Claim>, Trouble> {
        let claims = stream::iter(names).map(|name| self.claim_of(name)).buffered(AT_A_TIME);
        Ok(claims.try_collect::<Vec<_>>().await?.into_iter().flatten().collect())
    }

    /// One claim as it is shown; `None`: it is gone, or only begun.
    async fn claim_of(&self, name: String) -> Result<Option<Claim>, Trouble> {
        let shown = tame(&name).into_owned();
        if parse_claim(&name).is_none() || name != shown {
            let trouble = "this is no claim: it does not belong among the claims, move it elsewhere".to_owned();
            return Ok(Some(Claim { name: shown, status: ClaimStatus::default(), trouble: Some(trouble) }));
        }
        let folder = path(&[CLAIMS, &name]);
        let (names, status) = tokio::try_join!(self.tree.names(&folder), self.status(&folder))?;
        let Some(names) = names else { return Ok(None) };
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        // Without results it is only begun, or is removed at the next start of its worker.
        if !has(PAGE) && !has(RESULTS) {
            return Ok(None);
        }
        let (status, mut trouble) = match status {
            Ok(Some(status)) => (status, None),
            Ok(None) => (ClaimStatus::default(), Some("it has no status.json: its worker writes it again".to_owned())),
            Err(why) => (ClaimStatus::default(), Some(why)),
        };
        if !has(PAGE) {
            trouble =
                Some("its page was removed: put it back as 'page', or move what is in 'results' elsewhere".to_owned());
        }
        let vm = parse_claim(&name).map_or_else(String::new, |claim| claim.vm.to_owned());
        Ok(Some(Claim { status: ClaimStatus { vm, ..status }, name, trouble }))
    }

    /// The status in a claim's folder; `None`: there is none. The inner error: it cannot be read as one.
    pub(super) async fn status(&self, folder: &str) -> Result<Result<Option<ClaimStatus>, String>, Trouble> {
        let Some(bytes) = self.tree.read(&path(&[folder, STATUS]), LONGEST_JSON).await? else { return Ok(Ok(None)) };
        let status = serde_json::from_slice(&bytes);
        Ok(status
            .map(Some)
            .map_err(|error| format!("its status.json is damaged: {}", one_line(&error.to_string(), 80))))
    }

    /// What workers report of themselves, one for each VM: the newest start.
    async fn workers_of(&self, names: &[String], of: Option<&str>) -> Result<Vec<WorkerStatus>, Trouble> {
        let wanted = names.iter().filter(|name| match parse_dot_file(name) {
            DotFile::Worker { vm, .. } => of.is_none_or(|of| of == vm),
            _ => false,
        });
        let wanted: Vec<String> = wanted.cloned().collect();
        let read = stream::iter(wanted).map(|name| self.worker(name)).buffered(AT_A_TIME);
        let mut workers = BTreeMap::<String, WorkerStatus>::new();
        for worker in read.try_collect::<Vec<_>>().await?.into_iter().flatten() {
            let is_newer = workers.get(&worker.vm).is_none_or(|other| other.started < worker.started);
            if is_newer {
                workers.insert(worker.vm.clone(), worker);
            }
        }
        Ok(workers.into_values().collect())
    }

    /// One worker by the name of its file; `None`: it was removed meanwhile.
    pub(super) async fn worker(&self, name: String) -> Result<Option<WorkerStatus>, Trouble> {
        let DotFile::Worker { vm, instance } = parse_dot_file(&name) else { return Ok(None) };
        let Some(bytes) = self.tree.read(&path(&[CLAIMS, &name]), LONGEST_JSON).await? else { return Ok(None) };
        let worker = serde_json::from_slice(&bytes).unwrap_or_else(|error| WorkerStatus {
            trouble: Some(format!("what it reports is damaged: {}", one_line(&error.to_string(), 80))),
            ..WorkerStatus::default()
        });
        Ok(Some(WorkerStatus { vm: vm.to_owned(), instance: instance.to_owned(), ..worker }))
    }

    async fn controls(&self) -> Result<BTreeMap<String, WorkerControl>, Trouble> {
        let names = self.tree.names(CONTROL).await?.unwrap_or_default();
        let vms = names.iter().filter_map(|name| name.strip_suffix(".json")).filter(|vm| !vm.is_empty());
        let vms: Vec<String> = vms.map(str::to_owned).collect();
        let read = stream::iter(vms).map(|vm| async move {
            let control = self.control(&vm).await?;
            Ok((vm, control))
        });
        read.buffered(AT_A_TIME).try_collect().await
    }

    /// The newest of the finished claims.
    async fn finished(&self, names: &[String]) -> Result<Vec<Claim>, Trouble> {
        let number = |name: &String| parse_numbered(name).map(|(_, number)| number.to_owned());
        let mut newest: Vec<&String> = names.iter().collect();
        newest.sort_by_key(|name| std::cmp::Reverse(number(name)));
        newest.truncate(SHOWN_FINISHED);
        self.remembered().finished.retain(|name, _| newest.contains(&name));
        let newest: Vec<String> = newest.into_iter().cloned().collect();
        let read = stream::iter(newest).map(|name| async move {
            if let Some(known) = self.remembered().finished.get(&name) {
                return Ok(known.clone());
            }
            let (status, trouble) = match self.status(&path(&[DONE, &name])).await? {
                Ok(Some(status)) => (status, None),
                Ok(None) => (ClaimStatus::default(), Some("it has no status.json".to_owned())),
                Err(why) => (ClaimStatus::default(), Some(why)),
            };
            let claim = Claim { name: tame(&name).into_owned(), status, trouble };
            self.remembered().finished.insert(name, claim.clone());
            Ok(claim)
        });
        read.buffered(AT_A_TIME).try_collect().await
    }

    pub async fn page(&self, claim: &str) -> Result<Page, Trouble> {
        let folder = self.folder_of(claim).await?;
        let page = self.tree.read(&path(&[&folder, PAGE]), LONGEST_PAGE).await?;
        let page = page.ok_or_else(|| Trouble::Refused(format!("{} has no page", tame(claim))))?;
        parse(page).await?.map_err(|error| Trouble::Refused(error.to_string()))
    }

    pub async fn open_page(&self, name: &str) -> Result<Page, Trouble> {
        let (pages, refused) = self.waiting().await?;
        let Some(page) = pages.iter().find(|page| page.name == name) else {
            let why = refused.into_iter().find(|(refused, _)| refused == name).map(|(_, why)| why);
            return Err(Trouble::Refused(why.unwrap_or_else(|| format!("no page {} waits", tame(name)))));
        };
        let read = self.tree.read(&page.path(), LONGEST_PAGE).await?;
        let read = read.ok_or_else(|| Trouble::Refused(format!("no page {} waits", tame(name))))?;
        parse(read).await?.map_err(|error| Trouble::Refused(error.to_string()))
    }

    pub async fn error_of(&self, claim: &str, job: u32) -> Result<Option<String>, Trouble> {
        let folder = self.folder_of(claim).await?;
        let error = self.tree.read(&path(&[&folder, RESULTS, &result_name(job, true)]), LONGEST_ERROR).await?;
        Ok(error.map(|error| String::from_utf8_lossy(&error).into_owned()))
    }

    /// Where a claim is: in work, finished or returned.
    pub(super) async fn folder_of(&self, claim: &str) -> Result<String, Trouble> {
        let places: &[&str] = match (parse_claim(claim), parse_numbered(claim)) {
            _ if claim.contains('/') => &[],
            (Some(_), _) => &[CLAIMS, DONE, OPEN],
            (None, Some(_)) => &[DONE, OPEN],
            (None, None) => &[],
        };
        for place in places {
            let folder = path(&[place, claim]);
            if self.tree.look(&folder).await?.is_some_and(|entry| entry.kind == EntryKind::Folder) {
                return Ok(folder);
            }
        }
        Err(Trouble::Refused(format!("there is no claim {}: it was finished, returned or taken over", tame(claim))))
    }
}

/// Finds the jobs of a page; of a long one beside what else is to be done.
pub(super) async fn parse(bytes: Vec<u8>) -> Result<Result<Page, PageError>, Trouble> {
    if (bytes.len() as u64) <= LONGEST_FOR_GRADES {
        return Ok(Page::parse(bytes));
    }
    let parsed = tokio::task::spawn_blocking(move || Page::parse(bytes)).await;
    parsed.map_err(|_| Trouble::Unreachable("the page was not read to its end".to_owned()))
}
