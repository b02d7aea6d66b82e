//! The nouns: site, array, host, VM, indicator, sample, ids and units.

mod driver;
mod id;
mod indicator;
mod model;
mod source;
mod time;
mod transfer;

pub use driver::{Commands, CopyStorage, Domain, Driver, Libvirt, Reach};
pub use id::{ArrayId, HostId, Name, RequestId, SiteId, VmId};
pub use indicator::{Direction, Indicator, IndicatorKind, Reading, Value};
pub use model::{Array, Cluster, Host, HostState, Limits, Mode, Pick, Site, Vm};
pub use source::{Monitor, MysqlQuantity, OnTimeout, Secret, Source, Usage};
pub use time::{Span, Timestamp, rfc3339};
pub use transfer::Transfer;
