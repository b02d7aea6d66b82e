//! Job queues: what a console sees of one, and what operators ask of its worker.

use std::sync::Arc;

use super::engine_host::EngineHost;
use super::publish::Publisher;
use crate::core::cluster::{Source, VmId};
use crate::core::filter::Filter;
use crate::core::queue::{Claim, QueueLook};
use crate::view::{JobsView, QueueAsk, QueueView};

/// What a console sees of the queue that it asks for; `None`: it asks for none, or that VM has none.
pub fn queue_view(engine_host: &EngineHost, publisher: &Publisher) -> Option<Arc<QueueView>> {
    let ask = publisher.queue_asked()?.clone();
    let engine = engine_host.engine();
    let vm = engine.vm_named(&ask.vm)?;
    let site = engine.site(vm)?;
    let name = match &engine_host.monitors()[vm.index()].source {
        Source::Queue { queue } => queue.as_str(),
        _ => "",
    };
    let look = site.look.as_deref();
    // As it was when it was looked at: nobody knows more.
    let waits = look.map_or_else(Vec::new, |look| look.why_waits(&ask.vm, None, look.at));
    let jobs = shown_claim(look, &ask).map(|claim| Arc::new(simulated_jobs(engine_host, vm, claim, &ask)));
    Some(Arc::new(QueueView {
        queue: name.into(),
        finished: Arc::default(),
        waits: waits.into_iter().map(|waits| waits.text.into()).collect(),
        runs: publisher.runs(vm),
        site,
        jobs,
        ask,
    }))
}

/// The claim whose jobs are asked for.
fn shown_claim<'a>(look: Option<&'a QueueLook>, ask: &QueueAsk) -> Option<&'a Claim> {
    let claims = &look?.claims;
    claims.iter().find(|claim| Some(&claim.name) == ask.claim.as_ref()).or(claims.first())
}

fn simulated_jobs(engine_host: &EngineHost, vm: VmId, claim: &Claim, ask: &QueueAsk) -> JobsView {
    let Some(table) = engine_host.jobs(vm, claim) else { return JobsView::none(claim, ask, "the page is gone") };
    let found = (!ask.filter.is_empty()).then(|| table.find(&Filter::new(&ask.filter)));
    let jobs = JobsView::new(claim, &table, found.as_deref(), ask);
    let error = jobs.selected().and_then(|job| Some((job.number, engine_host.error_of(vm, job.number)?.into())));
    JobsView { error, ..jobs }
}
