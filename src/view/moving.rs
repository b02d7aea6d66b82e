//! What a screen may know of a migration under way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{HostId, Name, RequestId, Span, Timestamp, Transfer, VmId};
use crate::core::engine::{By, Engine, StageKind};

/// A migration under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationView {
    /// The request's number.
    pub id: RequestId,
    /// From this host.
    pub from: Name,
    /// To this host.
    pub to: Name,
    /// Who wanted it.
    pub by: By,
    /// How far it is.
    pub stage: StageKind,
    /// 0 to 100.
    pub percent: u8,
    /// The driver's last words.
    pub detail: Arc<str>,
    /// The driver's last figures, if it has any.
    pub transfer: Option<Transfer>,
    /// When the driver told them.
    pub told: Timestamp,
    /// What it was going to be like, as the driver said before it started; may be empty.
    pub forecast: Arc<str>,
    /// An operator wants it stopped.
    pub aborting: bool,
    /// When it was asked for.
    pub since: Timestamp,
}

/// A driver that has figures has none for so long only if its host does not answer.
const SILENT: Span = Span::from_secs(5);

/// When the rest of a VM will have been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outlook {
    /// That cannot be told.
    Untold,
    /// After so long.
    Left(Span),
    /// Not while things are as they are: it writes faster than is sent. Bytes a second.
    Never {
        /// Written.
        writes: u64,
        /// Sent.
        sends: u64,
    },
}

impl MigrationView {
    /// Whether it can still be stopped.
    pub fn can_abort(&self) -> bool {
        matches!(self.stage, StageKind::Preflight | StageKind::Journal | StageKind::Running)
    }

    /// How long its driver, which told of it before, has been silent: figures come twice a second, and these are old.
    pub fn silent(&self, now: Timestamp) -> Option<Span> {
        let span = now.since(self.told);
        (self.stage == StageKind::Running && self.transfer.is_some() && span >= SILENT).then_some(span)
    }

    /// When the rest will have been sent.
    pub fn outlook(&self) -> Outlook {
        let Some(transfer) = self.transfer.filter(|transfer| self.stage == StageKind::Running && transfer.rate > 0)
        else {
            return Outlook::Untold;
        };
        match transfer.eta() {
            Some(left) => Outlook::Left(left),
            None => Outlook::Never { writes: transfer.dirty, sends: transfer.rate },
        }
    }
}

/// A VM's migration, if one is under way.
pub fn migration(engine: &Engine, vm: VmId) -> Option<MigrationView> {
    let migration = engine.migration(vm)?;
    let named = |host: HostId| engine.cluster().host(host).name.clone();
    Some(MigrationView {
        id: migration.route.id,
        from: named(migration.route.from),
        to: named(migration.route.to),
        by: migration.by,
        stage: migration.stage(),
        percent: migration.percent,
        detail: Arc::from(migration.detail.as_str()),
        transfer: migration.transfer,
        told: migration.told,
        forecast: Arc::from(migration.forecast.as_str()),
        aborting: migration.aborting,
        since: migration.since,
    })
}
