//! What an operator does with a queue.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use color_eyre::eyre::{Result, WrapErr, bail, eyre};
use tokio::time::{Instant, sleep};

use super::super::{ask, operator, refuse, say};
use super::told::{ToldState, workers_of};
use super::{QueueAction, Watched, absolute, print};
use crate::core::cluster::{Secret, Span};
use crate::core::format::{counted, one_line};
use crate::core::queue::{
    Claim, JobKind, LONGEST_PAGE, Queue, QueueLook, QueueOverview, QueueSource, Stop, WorkerControl, WorkerOrder,
    WorkerStatus,
};
use crate::edge::config::{WorkerConfig, render_worker};
use crate::edge::queue::{QueueStore, Trouble};
use crate::runtime::steady_clock;

/// Workers that live have this long to confirm what is asked of them.
const CONFIRMED: Duration = Duration::from_secs(10);
/// They are looked at so often.
const LOOK: Duration = Duration::from_millis(300);

/// Does with a queue what was asked for.
pub(super) async fn carry_out(action: &QueueAction, config: &WorkerConfig, queue: &Queue) -> Result<ExitCode> {
    let watched = Watched::new(config, queue);
    match action {
        QueueAction::Worker { vm } => return worker(config, queue, vm),
        QueueAction::Add { file } => return add(&watched, file).await,
        QueueAction::Return { claim, yes } => return give_back(&watched, claim, *yes).await,
        QueueAction::Retry { claim, jobs } => {
            say(&store(&watched)?.retry(claim, &jobs.iter().copied().collect()).await?);
        }
        QueueAction::Pause { lasts, why } => return pause(&watched, *lasts, why).await,
        QueueAction::Resume => return resume(&watched).await,
    }
    Ok(ExitCode::SUCCESS)
}

fn store<'w>(watched: &'w Watched<'_>) -> Result<&'w QueueStore, Trouble> {
    watched.store.as_ref().map_err(Trouble::clone)
}

/// Prints the config of a VM's worker.
fn worker(config: &WorkerConfig, queue: &Queue, vm: &str) -> Result<ExitCode> {
    let known = || config.workers_of(&queue.name).map(|vm| vm.name.as_str()).collect::<Vec<_>>().join(", ");
    let Some(vm) = config.workers_of(&queue.name).find(|known| known.name == *vm) else {
        let path = config.path.display();
        let help = match known() {
            none if none.is_empty() => {
                format!("give a VM monitor = {{ kind = \"queue\", queue = \"{}\" }}", queue.name)
            }
            known => format!("its VMs are {known}"),
        };
        return Ok(refuse(&format!("error: {path}: no VM '{vm}' works the queue '{}'\nhelp: {help}", queue.name)));
    };
    print(&render_worker(&elsewhere(queue)?, vm))?;
    Ok(ExitCode::SUCCESS)
}

/// The queue as a config in another folder says it.
fn elsewhere(queue: &Queue) -> Result<Queue> {
    let mut queue = queue.clone();
    if let QueueSource::Dir { path } = &mut queue.source {
        *path = absolute(path)?;
    }
    if let QueueSource::Http { password: Some(Secret::File(file)), .. }
    | QueueSource::Mysql { password: Some(Secret::File(file)), .. } = &mut queue.source
    {
        *file = absolute(file)?;
    }
    if let JobKind::Exec { argv, .. } = &mut queue.job
        && let Some(program) = argv.first_mut().filter(|program| program.contains('/'))
    {
        *program = absolute(Path::new(program))?.to_string_lossy().into_owned();
    }
    Ok(queue)
}

async fn add(watched: &Watched<'_>, file: &Path) -> Result<ExitCode> {
    let name = file.file_name().and_then(|name| name.to_str());
    let Some(name) = name else {
        return Ok(refuse(&format!("error: {}: a page has its file's name, and this is none", file.display())));
    };
    let bytes = bounded(file).wrap_err_with(|| format!("{} cannot be read", file.display()))?;
    let store = store(watched)?;
    store.add(name, bytes).await?;
    // The page is there, whatever comes of this look.
    let told = watched.told().await;
    let page = match &told.state {
        ToldState::Read(read) => read.pages.iter().find(|page| page.name == name),
        ToldState::Unread { .. } => None,
    };
    let name = one_line(name, 100);
    match page {
        Some(page) => {
            let jobs = page.jobs.map_or_else(String::new, |jobs| format!(", {}", counted(jobs, "job", "jobs")));
            say(&format!("{name} waits{jobs}: {}", page.waits.text));
        }
        None => say(&format!("{name} is added")),
    }
    Ok(ExitCode::SUCCESS)
}

/// A page's bytes. It reads no more than a page may have, in case the file has no end.
fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(LONGEST_PAGE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

async fn give_back(watched: &Watched<'_>, name: &str, yes: bool) -> Result<ExitCode> {
    let store = store(watched)?;
    let look = store.overview().await?;
    let Some(claim) = look.claims.iter().find(|claim| claim.name == name) else {
        let claims: Vec<String> = look.claims.iter().map(|claim| one_line(&claim.name, 100)).collect();
        let help =
            if claims.is_empty() { "none is claimed".to_owned() } else { format!("claims are {}", claims.join(", ")) };
        return Ok(refuse(&format!("error: there is no claim {}\nhelp: {help}", one_line(name, 100))));
    };
    let vm = one_line(&claim.status.vm, 100);
    if alive(&look, &claim.status.vm).is_some() && !yes {
        let loses = format!(
            "The worker of {vm} is alive. It loses this claim, and what it has in hand is worked again by whoever claims \
             the page next, perhaps by itself."
        );
        match ask(&format!("{loses}\nReturn {name}?")).await? {
            Some(true) => {}
            Some(false) => {
                eprintln!("nothing is returned");
                return Ok(ExitCode::SUCCESS);
            }
            None => {
                return Ok(refuse(&format!(
                    "{loses}\nThere is no terminal to ask at: --yes returns it without asking"
                )));
            }
        }
    }
    let waits = store.give_back(name).await?;
    say(&format!("{name} is returned: its page waits as {}", one_line(&waits, 200)));
    Ok(ExitCode::SUCCESS)
}

/// The worker of a VM, if it gives signs of life.
fn alive<'l>(look: &'l QueueOverview, vm: &str) -> Option<&'l WorkerStatus> {
    look.workers.iter().find(|worker| worker.vm == vm).filter(|worker| !worker.is_silent(look.at))
}

async fn pause(watched: &Watched<'_>, lasts: Option<Span>, why: &str) -> Result<ExitCode> {
    let (by, at, why) = (operator(), steady_clock(), one_line(why, 200));
    let order = WorkerOrder { stop: Stop::Working, by, why, at, until: lasts.map(|lasts| at + lasts) };
    let asked = ask_all(watched, &|control| control.operator = Some(order.clone())).await?;
    let has_stopped = |look: &QueueOverview, vm: &str, control: &WorkerControl| {
        let worker = look.workers.iter().find(|worker| worker.vm == vm).cloned();
        QueueLook { worker, control: control.clone(), ..QueueLook::default() }.has_stopped_claiming()
    };
    confirm(watched, asked, has_stopped, |look, vm| match jobs_in_hand(look, vm) {
        none if none.is_empty() => "is paused: it begins nothing and claims nothing more".to_owned(),
        jobs => format!("claims nothing more, and begins nothing after {jobs}"),
    })
    .await
}

async fn resume(watched: &Watched<'_>) -> Result<ExitCode> {
    let asked = ask_all(watched, &|control| control.operator = None).await?;
    let has_heard = |look: &QueueOverview, vm: &str, control: &WorkerControl| {
        look.workers.iter().any(|worker| worker.vm == vm && worker.obeys >= control.serial)
    };
    confirm(watched, asked, has_heard, |look, vm| {
        let order = look.controls.get(vm).and_then(|control| control.orders(look.at).next());
        match order {
            Some(order) => {
                format!("is not paused any more; {} still asks it to claim nothing", one_line(&order.by, 60))
            }
            None => "goes on".to_owned(),
        }
    })
    .await
}

/// `job 4 of render-6, job 5 of render-6`.
fn jobs_in_hand(look: &QueueOverview, vm: &str) -> String {
    let claims = look.claims.iter().filter(|claim| claim.status.vm == vm);
    let job = |Claim { status, .. }: &Claim| {
        let page = one_line(&status.page, 60);
        status.hand.iter().map(|hand| format!("job {} of {page}", hand.job)).collect::<Vec<_>>()
    };
    claims.flat_map(job).collect::<Vec<_>>().join(", ")
}

/// Asks the worker of every VM that works the queue for something.
async fn ask_all(
    watched: &Watched<'_>,
    change: &(dyn Fn(&mut WorkerControl) + Sync),
) -> Result<Vec<(String, WorkerControl)>> {
    let store = store(watched)?;
    let look = store.overview().await?;
    let vms = workers_of(&watched.vms, &look);
    if vms.is_empty() {
        bail!("no VM works the queue {}: there is nobody to ask", watched.queue.name);
    }
    let mut asked = Vec::new();
    for vm in vms {
        let control = store.ask(vm, change).await.map_err(|trouble| eyre!("{}: {trouble}", one_line(vm, 100)))?;
        asked.push((vm.to_owned(), control));
    }
    Ok(asked)
}

/// Waits until each worker that lives has confirmed, and says of each VM what is so.
async fn confirm(
    watched: &Watched<'_>,
    mut asked: Vec<(String, WorkerControl)>,
    confirms: impl Fn(&QueueOverview, &str, &WorkerControl) -> bool,
    done: impl Fn(&QueueOverview, &str) -> String,
) -> Result<ExitCode> {
    let store = store(watched)?;
    let last = Instant::now() + CONFIRMED;
    loop {
        let look = store.overview().await?;
        let is_over = Instant::now() >= last;
        asked.retain(|(vm, control)| {
            let name = one_line(vm, 100);
            if alive(&look, vm).is_none() {
                say(&format!("{name}: no worker runs there now; one that starts obeys"));
                return false;
            }
            if confirms(&look, vm, control) {
                say(&format!("{name} {}", done(&look, vm)));
                return false;
            }
            true
        });
        if asked.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        if is_over {
            for (vm, _) in &asked {
                let name = one_line(vm, 100);
                eprintln!("whimbrel: {name} has not confirmed within 10 s: it is asked, and obeys when it reads that");
            }
            return Ok(ExitCode::FAILURE);
        }
        sleep(LOOK).await;
    }
}
