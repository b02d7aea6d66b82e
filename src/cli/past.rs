//! The history a config has, for commands that read it.

use std::path::PathBuf;

use color_eyre::eyre::{Result, WrapErr, bail, eyre};

use crate::core::cluster::VmId;
use crate::edge::config::{Config, HistoryFile};
use crate::edge::history::{Reader, default_path};

/// A config's history, open for reading: an engine may be writing it meanwhile.
pub(super) struct ConfigHistory {
    pub(super) reader: Reader,
    pub(super) path: PathBuf,
}

impl ConfigHistory {
    pub(super) fn of(config: &Config) -> Result<Self> {
        let path = match &config.history.file {
            HistoryFile::At(path) => path.clone(),
            HistoryFile::Default => default_path(&config.cluster.name, &config.path)
                .ok_or_else(|| eyre!("no place for a history\nhelp: set HOME, or `file` in [history] of the config"))?,
            HistoryFile::Off => bail!(
                "{}: the history is off, so there is nothing to read\nhelp: take `file = \"off\"` out of [history]",
                config.path.display()
            ),
        };
        let reader = Reader::open(&path).wrap_err("the history cannot be read")?;
        Ok(Self { reader, path })
    }
}

/// A VM of the config by name, or what there is instead.
pub(super) fn vm(config: &Config, name: &str) -> Result<VmId, String> {
    config.cluster.vm_named(name).ok_or_else(|| {
        let names: Vec<&str> = config.cluster.vms.iter().map(|vm| vm.name.as_str()).take(12).collect();
        let more = if config.cluster.vms.len() > names.len() { ", …" } else { "" };
        format!(
            "error: {}: no VM is named '{name}'\nhelp: its VMs are {}{more}",
            config.path.display(),
            names.join(", ")
        )
    })
}
