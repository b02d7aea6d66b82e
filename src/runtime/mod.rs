//! The tokio shell that ties core to edge.
//!
//! | file | its story |
//! | --- | --- |
//! | `engine_host` | engine and simulator, stepped in the order of time; asks real monitors for what only they can tell |
//! | `drivers` | the drivers of real arrays: what they are asked, and what they find as events |
//! | `polls` | real readings under way; a monitor that panics is an alarm, not an end |
//! | `queues` | job queues: what a console sees of one, and what is asked of its worker |
//! | `pace` | which time it is: the wall clock's, or a simulated one that runs faster |
//! | `event_loop` | the loop: wakes, polls, commands, reloads, the end |
//! | `workers` | the loop's end of the threads that wait for disks |
//! | `config_worker` | slow questions: the past, what-if, the config file |
//! | `journal_writer` | each migration on the disk before it starts |
//! | `history_batcher` | records on their way into the history |
//! | `print` | records as lines on standard output |
//! | `stdout` | standard output on a thread of its own |
//! | `publish` | records as snapshots for a console |
//! | `outputs` | who gets the records |
//! | `control_endpoint` | commands from another process |
//! | `start` | an engine that goes on where the one before stopped; a demo with a past |
//! | `places` | where history, journal and socket are |
//! | `signals` | SIGINT, SIGTERM, SIGHUP as words for the loop |

mod config_worker;
mod control_endpoint;
mod drivers;
mod engine_host;
mod event_loop;
mod history_batcher;
mod journal_writer;
mod outputs;
mod pace;
mod places;
mod polls;
mod print;
mod publish;
mod queues;
mod signals;
mod start;
mod stdout;
mod workers;

pub use config_worker::ConfigInputs;
pub use engine_host::{Asked, EngineHost};
pub use event_loop::{Control, Ended, EventLoop};
pub use history_batcher::{HistoryBatcher, WRITTEN_WITHIN};
pub use outputs::{Frontend, Outputs};
pub use pace::{Pace, steady_clock};
pub use places::{log_place, socket_place};
pub use print::{Format, Printer};
pub use publish::Publisher;
pub use signals::to_control;
pub use start::{StartError, give_past, keep_in, over};
pub use stdout::NonBlockingStdout;
pub use workers::Workers;
