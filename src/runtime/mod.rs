//! The tokio shell that ties core to edge.
//!
//! | file | its story |
//! | --- | --- |
//! | `engine_host` | engine and simulator, stepped in the order of time; asks real monitors for what only they can tell |
//! | `drivers` | the drivers of real arrays: what they are asked, and what they find as events |
//! | `polls` | real readings under way; a monitor that panics is an alarm, not an end |
//! | `pace` | which time it is: the wall clock's, or a simulated one that runs faster |
//! | `event_loop` | the loop: wakes, polls, commands, reloads, the end |
//! | `print` | records as lines on standard output |
//! | `stdout` | standard output on a thread of its own |
//! | `publish` | records as snapshots for a console |
//! | `history_batcher` | records on their way into the history |
//! | `sink` | all of these as one |
//! | `beside` | what a snapshot has that is not the engine's |
//! | `desk` | slow questions on a thread of their own: the past, what-if, the config file |
//! | `control_endpoint` | commands from another process |
//! | `backroom` | history and desk as the loop sees them |
//! | `begin` | an engine that goes on where the one before stopped; a demo with a past |
//! | `studio` | a simulated cluster that stands still and answers at once, for pictures |
//! | `signals` | SIGINT, SIGTERM, SIGHUP as words for the loop |

mod backroom;
mod begin;
mod beside;
mod control_endpoint;
mod desk;
mod drivers;
mod engine_host;
mod event_loop;
mod history_batcher;
mod pace;
mod polls;
mod print;
mod publish;
mod signals;
mod sink;
mod stdout;
mod studio;

pub use backroom::Backroom;
pub use begin::{give_past, keep_in, over};
pub use control_endpoint::door;
pub use desk::Papers;
pub use engine_host::{Asked, EngineHost};
pub use event_loop::{Control, Ended, EventLoop};
pub use history_batcher::HistoryBatcher;
pub use pace::{Pace, steady_clock};
pub use print::{Format, Printer};
pub use publish::Publisher;
pub use signals::{Hangup, on_hangup, to_control};
pub use sink::{Show, Sink};
pub use studio::Studio;
