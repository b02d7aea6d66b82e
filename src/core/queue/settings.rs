//! A queue as the config describes it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::core::cluster::{Name, Secret, Span};

/// One `[[queue]]` of the config.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Unique among queues.
    pub name: Name,
    /// Where its pages and claims are.
    pub source: QueueSource,
    /// How a job is worked.
    pub job: JobKind,
    /// A job is big if its line begins with this tag; empty: none is.
    pub big: String,
    /// Only the page of this name is worked; `None`: every page.
    pub page: Option<String>,
    /// Jobs at a time.
    pub parallel: Parallel,
    /// After so many tries a job is set aside with its error. At least 1.
    pub attempts: u32,
    /// How long a claim lasts without being renewed (`mysql` only).
    pub lease: Span,
}

/// Where a queue is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum QueueSource {
    /// A collection on a WebDAV server.
    Http {
        /// `http://host/q/`, without a user and a password.
        url: String,
        /// Who logs in (Basic).
        user: Option<String>,
        /// Where the password is.
        password: Option<Secret>,
    },
    /// A folder, local or mounted.
    Dir {
        /// The folder.
        path: PathBuf,
    },
    /// A MariaDB or MySQL database.
    Mysql {
        /// `mysql://user@host:port/database`, without a password.
        url: String,
        /// Where the password is.
        password: Option<Secret>,
    },
}

/// How a job is worked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum JobKind {
    /// As `bc` computes it.
    Bc {
        /// The longest number, in decimal digits.
        digits: u64,
        /// How long a job may take.
        deadline: Span,
    },
    /// A program, without a shell.
    Exec {
        /// The program and its arguments; `{job}` stands for the work.
        argv: Vec<String>,
        /// How long a job may take; then its process group is killed.
        deadline: Span,
    },
}

/// How many jobs are worked at a time, at each site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parallel {
    /// At every site.
    Everywhere(u32),
    /// By the site's name; one job at a time at a site that is not named.
    BySite(BTreeMap<String, u32>),
}

/// Tries before a job is set aside, unless set.
pub const DEFAULT_ATTEMPTS: u32 = 3;
/// How long a claim lasts without being renewed, unless set.
pub const DEFAULT_LEASE: Span = Span::from_secs(60);
/// How long a job may take, unless set.
pub const DEFAULT_JOB_DEADLINE: Span = Span::from_hours(1);
/// The longest number of a `bc` job in decimal digits, unless set.
pub const DEFAULT_DIGITS: u64 = 1_000_000;

impl Parallel {
    /// Jobs at a time at a site. At least 1.
    pub fn at(&self, site: &str) -> u32 {
        match self {
            Self::Everywhere(jobs) => *jobs,
            Self::BySite(by_site) => by_site.get(site).copied().unwrap_or(1),
        }
        .max(1)
    }
}

impl QueueSource {
    /// Its word in the config.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Dir { .. } => "dir",
            Self::Mysql { .. } => "mysql",
        }
    }
}
