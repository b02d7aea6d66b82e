//! A worker's start, its claims, and what is in doubt about them.
//!
//! ```text
//! claim a file       make claims/VM.INSTANCE.N · write status.json · move open/PAGE into it · make results
//! claim a folder     move open/PAGE.N to claims/VM.INSTANCE.N
//! in doubt, a start  move claims/VM.OLD.N to claims/VM.INSTANCE.M · look whether a page is in it
//! ```
//!
//! A page that is moved into a folder late, after everybody has given up on it, finds the folder moved away, and stays where it
//! was. So a claim is in doubt only until its folder was moved, and a claim that was handed out is never moved by accident.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::names::{CLAIMS, DotFile, OPEN, PAGE, RESULTS, check_vm_name, parse_claim, parse_dot_file, parse_result};
use super::reading::{WaitingPage, parse};
use super::{Certainty, TreeQueue, now, path};
use crate::core::cluster::{Span, Timestamp};
use crate::core::queue::{Claim, ClaimStatus, LONGEST_PAGE, Page, PageError, Ranges, Rates, WorkerState, WorkerStatus};
use crate::edge::queue::{Held, Trouble};

/// A page that was refused is read again after so long, even if it looks the same.
const READ_AGAIN: Span = Span::from_mins(10);
/// What a broken-off probe or another's unfinished file is left for at least: it may still be in use.
const LEFT_FOR: Span = Span::from_hours(1);

/// Who claims.
#[derive(Debug, Clone)]
pub struct WorkerId {
    pub vm: String,
    pub instance: String,
    /// When it started.
    pub started: Timestamp,
}

/// A claim that may have been made.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// The claim's names so far. It only ever moves on to a later one.
    names: Vec<String>,
    /// The folder among the waiting ones that was to be claimed; none: a file was.
    source: Option<String>,
    /// Whether the page may have been moved into it.
    is_sent: bool,
}

/// A page that is not claimed.
#[derive(Debug, Clone)]
pub struct RefusedPage {
    bytes: u64,
    changed: Option<Timestamp>,
    at: Timestamp,
    why: String,
}

/// What became of one page.
enum Attempted {
    Claimed(Box<Held>),
    /// Another has it.
    Taken,
    /// It is not worked.
    Refused,
}

impl TreeQueue {
    pub async fn begin(&self, vm: &str, instance: &str) -> Result<(Vec<Held>, Rates), Trouble> {
        check_vm_name(vm).map_err(|why| Trouble::Refused(format!("the VM's name cannot be used in a queue: {why}")))?;
        self.make_folders().await?;
        let me = WorkerId { vm: vm.to_owned(), instance: instance.to_owned(), started: now() };
        {
            let mut remembered = self.remembered();
            remembered.me = Some(me.clone());
            remembered.held.clear();
            remembered.doubts.clear();
        }
        let names = self.tree.names(CLAIMS).await?.unwrap_or_default();
        let before = self.earlier_start(&names, vm).await?;
        let rates = before.rates.clone();
        // From now on an earlier start that still runs learns that it is not the last.
        self.write_worker(&WorkerStatus {
            vm: me.vm.clone(),
            instance: me.instance.clone(),
            site: before.site,
            started: me.started,
            beat: me.started,
            state: WorkerState::Idle,
            rates: rates.clone(),
            ..WorkerStatus::default()
        })
        .await?;
        let control = self.control(vm).await?;
        let mut helds = Vec::new();
        for name in names.iter().filter(|name| parse_claim(name).is_some_and(|claim| claim.vm == vm)) {
            let Some(mut held) = self.take_over(name).await? else { continue };
            if let Some(retry) = control.retry.as_ref().filter(|retry| retry.claim == *name) {
                self.take_errors_back(&mut held, &retry.jobs).await?;
                self.ask(vm, &|control| control.retry = control.retry.take().filter(|retry| retry.claim != *name))
                    .await?;
            }
            helds.push(held);
        }
        self.clear(&names, &me).await?;
        for held in &helds {
            self.hand_over(held);
        }
        Ok((helds, rates))
    }

    /// The newest report of this VM's workers.
    async fn earlier_start(&self, names: &[String], vm: &str) -> Result<WorkerStatus, Trouble> {
        let mut newest = WorkerStatus::default();
        for name in names {
            if matches!(parse_dot_file(name), DotFile::Worker { vm: of, .. } if of == vm)
                && let Some(worker) = self.worker(name.clone()).await?
                && worker.started >= newest.started
            {
                newest = worker;
            }
        }
        Ok(newest)
    }

    /// Removes what earlier starts of this VM's worker have left, and what belongs to nobody and is old.
    async fn clear(&self, names: &[String], me: &WorkerId) -> Result<(), Trouble> {
        let mut has_old = false;
        for name in names {
            let is_left = match parse_dot_file(name) {
                DotFile::Worker { vm, instance } => vm == me.vm && instance != me.instance,
                DotFile::Unfinished { vm } if vm == me.vm => true,
                DotFile::Unfinished { vm: "" } | DotFile::Probe | DotFile::Lock => {
                    has_old = true;
                    false
                }
                DotFile::Unfinished { .. } | DotFile::Foreign => false,
            };
            if is_left {
                self.tree.remove(&path(&[CLAIMS, name])).await?;
            }
        }
        let entries = if has_old { self.tree.list(CLAIMS).await?.unwrap_or_default() } else { Vec::new() };
        // Ages are compared among themselves: the source's clock may be another.
        let newest = entries.iter().filter_map(|entry| entry.changed).max();
        let is_old =
            |changed: Option<Timestamp>| newest.zip(changed).is_some_and(|(new, old)| new.since(old) > LEFT_FOR);
        for entry in entries.iter().filter(|entry| is_old(entry.changed)) {
            if matches!(parse_dot_file(&entry.name), DotFile::Unfinished { vm: "" } | DotFile::Probe | DotFile::Lock) {
                self.tree.remove(&path(&[CLAIMS, &entry.name])).await?;
            }
        }
        Ok(())
    }

    pub async fn claim(&self) -> Result<Option<Held>, Trouble> {
        // A page that could not be had is not tried again in this call.
        let mut tried = BTreeSet::new();
        loop {
            let (pages, _) = self.waiting().await?;
            self.remembered().refused.retain(|name, _| pages.iter().any(|page| page.name == *name));
            let (mut is_contended, mut trouble) = (false, None);
            for page in pages.into_iter().filter(|page| !self.is_refused(page)) {
                if !tried.insert(page.name.clone()) {
                    continue;
                }
                match self.attempt(&page).await {
                    Ok(Attempted::Claimed(held)) => {
                        self.hand_over(&held);
                        return Ok(Some(*held));
                    }
                    Ok(Attempted::Taken) => is_contended = true,
                    Ok(Attempted::Refused) => {}
                    // One page that the source does not give must not keep the others waiting.
                    Err(refused @ Trouble::Refused(_)) => trouble = trouble.or(Some(refused)),
                    Err(unreachable @ Trouble::Unreachable(_)) => return Err(unreachable),
                }
            }
            match trouble {
                Some(trouble) => return Err(trouble),
                // While others took these pages, more may have come.
                None if is_contended => {}
                None => return self.must_still_be_there().await.map(|()| None),
            }
        }
    }

    async fn attempt(&self, page: &WaitingPage) -> Result<Attempted, Trouble> {
        if page.bytes > LONGEST_PAGE as u64 {
            self.refuse(page, PageError::TooLong.to_string());
            return Ok(Attempted::Refused);
        }
        let Some(bytes) = self.tree.read(&page.path(), LONGEST_PAGE).await? else {
            if page.returned && self.tree.look(&path(&[OPEN, &page.name])).await?.is_some() {
                self.refuse(page, "it is a folder without a page in it".to_owned());
                return Ok(Attempted::Refused);
            }
            return Ok(Attempted::Taken);
        };
        let parsed = match parse(bytes).await? {
            Ok(parsed) => parsed,
            Err(error) => {
                self.refuse(page, error.to_string());
                return Ok(Attempted::Refused);
            }
        };
        let claimed =
            if page.returned { self.claim_folder(page).await? } else { self.claim_file(page, &parsed).await? };
        Ok(claimed.map_or(Attempted::Taken, |held| Attempted::Claimed(Box::new(held))))
    }

    /// Claims a page that is a file; `None`: another has it.
    async fn claim_file(&self, page: &WaitingPage, parsed: &Page) -> Result<Option<Held>, Trouble> {
        let name = self.fresh_name()?;
        let folder = path(&[CLAIMS, &name]);
        self.remembered().doubts.push(Doubt { names: vec![name.clone()], source: None, is_sent: false });
        if let Certainty::No(trouble) | Certainty::Unknown(trouble) = self.tree.make(&folder).await
            && self.tree.look(&folder).await?.is_none()
        {
            // Without a folder no page can come into it. If it was made, it is empty, and is removed when it is seen.
            self.forget_doubt(&name);
            return Err(trouble);
        }
        let status = self.first_status(page, parsed)?;
        self.write_status(&name, &status).await?;
        self.remembered()
            .doubts
            .iter_mut()
            .filter(|doubt| doubt.names.contains(&name))
            .for_each(|doubt| doubt.is_sent = true);
        let trouble = match self.tree.move_file(&page.path(), &path(&[&folder, PAGE])).await {
            Certainty::Yes => return self.load(&name, Some(status)).await,
            Certainty::Unknown(trouble) => {
                if let Some(held) = self.take_over(&name).await? {
                    return Ok(Some(held));
                }
                trouble
            }
            Certainty::No(trouble) => {
                if self.tree.look(&path(&[&folder, PAGE])).await?.is_some() {
                    return self.load(&name, Some(status)).await;
                }
                self.drop_claim(&name).await?;
                trouble
            }
        };
        // A page that is gone was taken by another. One that is still there was refused.
        if self.tree.look(&page.path()).await?.is_some() { Err(trouble) } else { Ok(None) }
    }

    /// Claims a page that is a folder; `None`: another has it.
    async fn claim_folder(&self, page: &WaitingPage) -> Result<Option<Held>, Trouble> {
        let name = self.fresh_name()?;
        let doubt = Doubt { names: vec![name.clone()], source: Some(page.name.clone()), is_sent: true };
        self.remembered().doubts.push(doubt.clone());
        match self.tree.move_folder(&path(&[OPEN, &page.name]), &path(&[CLAIMS, &name])).await {
            Certainty::Yes => self.load(&name, None).await,
            Certainty::Unknown(trouble) => self.resolve_folder(&doubt, trouble).await,
            Certainty::No(trouble) => {
                if self.tree.look(&path(&[CLAIMS, &name])).await?.is_some() {
                    return self.load(&name, None).await;
                }
                self.forget_doubt(&name);
                if self.tree.look(&path(&[OPEN, &page.name])).await?.is_some() { Err(trouble) } else { Ok(None) }
            }
        }
    }

    /// Whether a folder was claimed. If it still waits, it is given another name, so that a claim that comes late finds nothing.
    async fn resolve_folder(&self, doubt: &Doubt, trouble: Trouble) -> Result<Option<Held>, Trouble> {
        let (Some(source), Some(name)) = (&doubt.source, doubt.names.first()) else { return Err(trouble) };
        if self.tree.look(&path(&[OPEN, source])).await?.is_some() {
            let page = super::names::parse_numbered(source).map_or(&**source, |(page, _)| page);
            let other = format!("{page}.{}", self.number());
            let moved = self.tree.move_folder(&path(&[OPEN, source]), &path(&[OPEN, &other])).await;
            if moved == Certainty::Yes || self.tree.look(&path(&[OPEN, &other])).await?.is_some() {
                self.forget_doubt(name);
                return Err(trouble);
            }
            if self.tree.look(&path(&[OPEN, source])).await?.is_some() {
                return Err(trouble);
            }
        }
        if self.tree.look(&path(&[CLAIMS, name])).await?.is_some() {
            return self.take_over(name).await;
        }
        self.forget_doubt(name);
        Ok(None)
    }

    pub fn doubtful(&self) -> u32 {
        self.remembered().doubts.iter().filter(|doubt| doubt.is_sent).count() as u32
    }

    pub async fn settle_doubtful(&self) -> Result<Vec<Held>, Trouble> {
        let mut found = Vec::new();
        let settled = self.settle(&mut found).await;
        // What was found goes to the worker, also if the rest stays in doubt.
        if found.is_empty() {
            settled?;
        }
        for held in &found {
            self.hand_over(held);
        }
        Ok(found)
    }

    async fn settle(&self, found: &mut Vec<Held>) -> Result<(), Trouble> {
        let me = self.me()?;
        for doubt in self.doubts(|doubt| doubt.source.is_some()) {
            let trouble = Trouble::Unreachable("it is not known whether the page was claimed".to_owned());
            match self.resolve_folder(&doubt, trouble).await {
                Ok(held) => found.extend(held),
                // It is known now, and the page waits.
                Err(_) if self.doubts(|other| other.names == doubt.names).is_empty() => {}
                Err(trouble) => return Err(trouble),
            }
        }
        let names = self.tree.names(CLAIMS).await?.unwrap_or_default();
        let is_last = !self.is_superseded(&names, &me).await?;
        for name in &names {
            let is_ours =
                parse_claim(name).is_some_and(|claim| claim.vm == me.vm && (claim.instance == me.instance || is_last));
            if is_ours && !self.remembered().held.contains(name) && !found.iter().any(|held| held.claim.name == *name) {
                found.extend(self.take_over(name).await?);
            }
        }
        for doubt in self.doubts(|doubt| doubt.source.is_none()) {
            let mut is_there = found.iter().any(|held| doubt.names.contains(&held.claim.name));
            // In the order in which it moves on, so that it is not missed.
            for name in &doubt.names {
                is_there = is_there || self.tree.look(&path(&[CLAIMS, name])).await?.is_some();
            }
            if !is_there {
                self.remembered().doubts.retain(|other| other.names != doubt.names);
            }
        }
        Ok(())
    }

    /// Whether a later start of this VM's worker is among these names under `claims/`.
    pub(super) async fn is_superseded(&self, names: &[String], me: &WorkerId) -> Result<bool, Trouble> {
        let (mut has_own, mut has_other) = (false, false);
        for name in names {
            match parse_dot_file(name) {
                DotFile::Worker { vm, instance } if vm == me.vm && instance == me.instance => has_own = true,
                DotFile::Worker { vm, .. } if vm == me.vm => {
                    let Some(other) = self.worker(name.clone()).await? else { continue };
                    if (other.started, &other.instance) > (me.started, &me.instance) {
                        return Ok(true);
                    }
                    has_other = true;
                }
                _ => {}
            }
        }
        // A later start removes the report of this one, whatever its clock says.
        Ok(has_other && !has_own)
    }

    /// Moves a claim to a name of this worker's own, and looks into it; `None`: there is no page in it, or it is gone.
    async fn take_over(&self, name: &str) -> Result<Option<Held>, Trouble> {
        let fresh = self.fresh_name()?;
        self.move_doubt(name, &fresh);
        let (from, to) = (path(&[CLAIMS, name]), path(&[CLAIMS, &fresh]));
        if let Certainty::No(trouble) | Certainty::Unknown(trouble) = self.tree.move_folder(&from, &to).await {
            // In this order: it only moves on.
            if self.tree.look(&from).await?.is_some() {
                return Err(trouble);
            }
            if self.tree.look(&to).await?.is_none() {
                self.forget_doubt(&fresh);
                return Ok(None);
            }
        }
        self.load(&fresh, None).await
    }

    /// Reads a claim that is under a name of this worker's own. `status`: it was just made, with this.
    async fn load(&self, name: &str, status: Option<ClaimStatus>) -> Result<Option<Held>, Trouble> {
        let folder = path(&[CLAIMS, name]);
        let (page_path, results_path) = (path(&[&folder, PAGE]), path(&[&folder, RESULTS]));
        let Some(bytes) = self.tree.read(&page_path, LONGEST_PAGE).await? else {
            self.drop_claim(name).await?;
            return Ok(None);
        };
        let is_new = status.is_some();
        let mut status = match status {
            Some(status) => status,
            None => self.status(&folder).await?.ok().flatten().unwrap_or_default(),
        };
        let page = match parse(bytes).await? {
            Ok(page) => Arc::new(page),
            // It was changed in the instant in which it was claimed.
            Err(error) => {
                self.put_back(name, &status).await?;
                self.forget_doubt(name);
                return Err(Trouble::Refused(error.to_string()));
            }
        };
        let results = if is_new { None } else { self.tree.names(&results_path).await? };
        if results.is_none()
            && let Certainty::No(trouble) | Certainty::Unknown(trouble) = self.tree.make(&results_path).await
            && self.tree.look(&results_path).await?.is_none()
        {
            return Err(trouble);
        }
        let me = self.me()?;
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        for (job, is_error) in results.unwrap_or_default().iter().filter_map(|name| parse_result(name)) {
            if is_error { failed.push(job) } else { done.push(job) }
        }
        (status.done, status.failed) = (ranges(done), ranges(failed));
        // A status that nobody could read is made anew.
        if status.page.is_empty() {
            status.page = name.to_owned();
            status.claimed = now();
        }
        (status.grades, status.big) = (page.grades(&self.big), page.big(&self.big));
        status.vm = me.vm;
        let mut held = Held { claim: Claim { name: name.to_owned(), status, trouble: None }, page };
        if !held.claim.status.retry.is_empty() {
            let retry = std::mem::take(&mut held.claim.status.retry);
            let wanted: Ranges = retry.iter().filter(|job| held.claim.status.failed.contains(*job)).collect();
            if !wanted.is_empty() {
                self.take_errors_back(&mut held, &wanted).await?;
            }
            self.write_status(name, &held.claim.status).await?;
        }
        Ok(Some(held))
    }

    /// Removes a claim into which no page can come any more. One with results in it is left to an operator.
    async fn drop_claim(&self, name: &str) -> Result<(), Trouble> {
        let folder = path(&[CLAIMS, name]);
        self.remembered()
            .doubts
            .iter_mut()
            .filter(|doubt| doubt.names.iter().any(|of| of == name))
            .for_each(|doubt| doubt.is_sent = false);
        let results = self.tree.names(&path(&[&folder, RESULTS])).await?.unwrap_or_default();
        if results.iter().any(|name| parse_result(name).is_some()) {
            self.remembered().held.insert(name.to_owned());
        } else {
            self.tree.remove(&folder).await?;
        }
        self.forget_doubt(name);
        Ok(())
    }

    fn first_status(&self, page: &WaitingPage, parsed: &Page) -> Result<ClaimStatus, Trouble> {
        let (me, at, grades) = (self.me()?, now(), parsed.grades(&self.big));
        Ok(ClaimStatus {
            vm: me.vm,
            page: page.page.clone(),
            claimed: at,
            beat: at,
            left: grades.clone(),
            grades,
            big: parsed.big(&self.big),
            ..ClaimStatus::default()
        })
    }

    /// Who works here.
    pub(super) fn me(&self) -> Result<WorkerId, Trouble> {
        let me = self.remembered().me.clone();
        me.ok_or_else(|| Trouble::Refused("no worker has begun here".to_owned()))
    }

    fn fresh_name(&self) -> Result<String, Trouble> {
        let me = self.me()?;
        Ok(format!("{}.{}.{}", me.vm, me.instance, self.number()))
    }

    /// The worker has it now.
    fn hand_over(&self, held: &Held) {
        self.remembered().held.insert(held.claim.name.clone());
        self.forget_doubt(&held.claim.name);
    }

    fn doubts(&self, which: impl Fn(&Doubt) -> bool) -> Vec<Doubt> {
        self.remembered().doubts.iter().filter(|doubt| which(doubt)).cloned().collect()
    }

    fn forget_doubt(&self, name: &str) {
        self.remembered().doubts.retain(|doubt| !doubt.names.iter().any(|of| of == name));
    }

    /// A claim is on its way to another name.
    fn move_doubt(&self, from: &str, to: &str) {
        let mut remembered = self.remembered();
        match remembered.doubts.iter_mut().find(|doubt| doubt.names.iter().any(|name| name == from)) {
            Some(doubt) => {
                doubt.names.push(to.to_owned());
                doubt.source = None;
            }
            None => {
                remembered.doubts.push(Doubt {
                    names: vec![from.to_owned(), to.to_owned()],
                    source: None,
                    is_sent: true,
                });
            }
        }
    }

    pub fn refused(&self) -> Vec<(String, String)> {
        let remembered = self.remembered();
        let mut refused: Vec<_> =
            remembered.refused.iter().map(|(name, refusal)| (name.clone(), refusal.why.clone())).collect();
        refused.sort();
        refused
    }

    fn refuse(&self, page: &WaitingPage, why: String) {
        let refusal = RefusedPage { bytes: page.bytes, changed: page.changed, at: now(), why };
        self.remembered().refused.insert(page.name.clone(), refusal);
    }

    fn is_refused(&self, page: &WaitingPage) -> bool {
        let is_same = |refusal: &RefusedPage| {
            let looks_same = refusal.bytes == page.bytes && refusal.changed == page.changed;
            looks_same && now().since(refusal.at) < READ_AGAIN
        };
        self.remembered().refused.get(&page.name).is_some_and(is_same)
    }
}

fn ranges(mut jobs: Vec<u32>) -> Ranges {
    // In order each one is added at the end.
    jobs.sort_unstable();
    jobs.into_iter().collect()
}
