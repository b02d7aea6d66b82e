//! The thread of the job queues. It owns the stores: it looks at queues for the engine and for a console, and writes what
//! the engine and operators ask.

use std::collections::{HashMap, HashSet};
use std::future::{Future, pending};
use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Duration, Instant, sleep_until, timeout};

use super::{QueueNews, QueueTask};
use crate::core::cluster::{Name, Timestamp};
use crate::core::filter::Filter;
use crate::core::queue::{Claim, JobState, JobTable, Page, Queue, QueueLook, QueueOverview, QueueRequest, WorkerOrder};
use crate::edge::queue::{QueueStore, Trouble};
use crate::edge::supervisor::{REPORT_IT, fault, supervise};
use crate::runtime::pace::steady_clock;
use crate::view::{CommandId, JobsView, QueueAsk, QueueOrder};

/// The room for tasks, and for news.
pub(super) const TASKS: usize = 256;
const NEWS: usize = 256;
/// A queue on a console's screen is looked at so often.
const LIVE: Duration = Duration::from_secs(5);
/// A look that nobody asked for, and what is read for a screen, may take so long.
const READ_WITHIN: Duration = Duration::from_secs(60);
/// A console waits 10 s for the answer to an order.
const ORDER_WITHIN: Duration = Duration::from_secs(9);

/// Starts the thread. It ends when the tasks' other end is gone.
///
/// # Errors
/// There is no thread for it, in words.
pub(super) fn start() -> Result<(Sender<QueueTask>, Receiver<QueueNews>), String> {
    let (tasks, mut asked) = channel(TASKS);
    let (tell, news) = channel(NEWS);
    let work = move || {
        let report = |text| drop(tell.blocking_send(QueueNews::Trouble(text)));
        let mut queues = QueueThread::new(tell.clone());
        supervise("the thread of the job queues", report, || {
            match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime.block_on(queues.work(&mut asked)),
                Err(error) => report(format!("job queues are not read: {error}")),
            }
        });
    };
    let thread = thread::Builder::new().name("queues".to_owned()).spawn(work);
    thread.map_err(|error| format!("job queues are not read, as no thread could be started: {error}"))?;
    Ok((tasks, news))
}
