//! Job queues: pages of jobs that VMs claim and work.
//!
//! | file | its story |
//! | --- | --- |
//! | `settings` | a queue in the config |
//! | `page` | the text of a queue, a job a line |
//! | `ranges` | a set of job numbers |
//! | `status` | what workers report, and what a look at a queue shows |
//! | `control` | what operators and the engine ask of a worker |
//! | `jobs` | the table of a claim's jobs, the worst first |
//! | `bc` | the answers of bc to a line of work |
//! | `rates` | how long jobs take, and whether a move to another site pays |
//! | `waits` | why a page waits |
//! | `work` | one claim under work: which job is begun next, and what becomes of a try |

pub mod bc;
mod control;
mod jobs;
mod page;
mod ranges;
mod rates;
mod settings;
mod status;
mod waits;
mod work;

pub use control::{QueueOrder, QueueRequest, Retry, Stop, WorkerControl, WorkerOrder};
pub use jobs::{JobRow, JobState, JobTable};
pub use page::{Job, LONGEST_LINE, LONGEST_PAGE, MOST_LINES, Page, PageError, is_big};
pub use ranges::Ranges;
pub use rates::{Estimate, FEWEST, MoveGain, Rates, Took, Trips, UnknownRate, Ways};
pub use settings::{
    DEFAULT_ATTEMPTS, DEFAULT_DIGITS, DEFAULT_JOB_DEADLINE, DEFAULT_LEASE, JobKind, Parallel, Queue, QueueSource,
};
pub use status::{
    BEAT_EVERY, Claim, ClaimStatus, JobInHand, OpenPage, QueueLook, QueueOverview, SILENT_AFTER, WorkerState,
    WorkerStatus,
};
pub use waits::{PageTaker, WaitReason, WaitingRoom, Waits};
pub use work::{ClaimWork, Held, NextJob};
