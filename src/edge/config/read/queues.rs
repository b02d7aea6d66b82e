//! `[[queue]]`: where the pages of a queue are, and how their jobs are worked.
//!
//! Each kind of source and each kind of job is one block: its word, its keys, and what it is without them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::super::keys::{
    ConfigKey, Form, KeyField, KindOfTable, WrittenKey, bare, bare_or_quoted, duration, fill, list, set, shape, text,
    words_of, write,
};
use super::super::toml_reader::{Item, Shape, Table};
use super::{ConfigReader, address, driver, secret};
use crate::core::cluster::{Name, Secret, Span};
use crate::core::queue::{
    DEFAULT_ATTEMPTS, DEFAULT_DIGITS, DEFAULT_JOB_DEADLINE, DEFAULT_LEASE, JobKind, Parallel, Queue, QueueSource,
};

const SHORTEST: Span = Span::from_secs(1);
/// Digits of a number take memory: so many take a few hundred megabytes while they are computed.
const MOST_DIGITS: u32 = 100_000_000;
const MOST_AT_A_TIME: u32 = 1_000;
const MOST_ATTEMPTS: u32 = 1_000;
/// What stands for the work.
const JOB: &str = "{job}";

/// A kind of source, or of job.
struct Kind<T: 'static> {
    /// What it is, for the reference.
    doc: &'static str,
    /// One with the defaults of its keys.
    blank: fn() -> T,
    /// Its own keys, in the order of a file.
    fields: &'static [KeyField<T>],
}

/// Kinds with their words.
type Kinds<T, const N: usize> = [(&'static str, &'static Kind<T>); N];

const SOURCES: Kinds<QueueSource, 3> = [("http", &HTTP), ("dir", &DIR), ("mysql", &MYSQL)];
const JOBS: Kinds<JobKind, 2> = [("bc", &BC), ("exec", &EXEC)];

fn kind_of_source(source: &QueueSource) -> (&'static str, &'static Kind<QueueSource>) {
    let [http, dir, mysql] = SOURCES;
    match source {
        QueueSource::Http { .. } => http,
        QueueSource::Dir { .. } => dir,
        QueueSource::Mysql { .. } => mysql,
    }
}

fn kind_of_job(job: &JobKind) -> (&'static str, &'static Kind<JobKind>) {
    let [bc, exec] = JOBS;
    match job {
        JobKind::Bc { .. } => bc,
        JobKind::Exec { .. } => exec,
    }
}

const SOURCE_KIND: ConfigKey =
    ConfigKey::new("kind", Form::Words(const { &words_of(&SOURCES) }), "Where the queue is kept").needed();
const JOB_KIND: ConfigKey =
    ConfigKey::new("kind", Form::Words(const { &words_of(&JOBS) }), "What works a job").needed();

const HTTP: Kind<QueueSource> = Kind {
    doc: "A collection on a WebDAV server, such as Apache with mod_dav",
    blank: || QueueSource::Http { url: String::new(), user: None, password: None },
    fields: &[
        KeyField {
            key: ConfigKey::new("url", Form::Address, "The collection, without a user and a password")
                .needed()
                .example("\"http://queue.example/q/\""),
            read: |item, source| {
                let QueueSource::Http { url, .. } = source else { return None };
                set(url, address::collection(item))
            },
            write: |source| if let QueueSource::Http { url, .. } = source { text(url) } else { None },
        },
        KeyField {
            key: ConfigKey::new("user", Form::Text, "Who logs in (Basic)").default("nobody does").example("\"w\""),
            read: |item, source| {
                let name = item.line()?.into_inner();
                if name.contains(':') {
                    item.wrong("a user's name has no ':' in it", "take it out: Basic ends the name there");
                }
                let QueueSource::Http { user, .. } = source else { return None };
                set(user, Some(Some(name.to_owned())))
            },
            write: |source| if let QueueSource::Http { user, .. } = source { text(user.as_ref()?) } else { None },
        },
        PASSWORD_ENV,
        PASSWORD_FILE,
    ],
};

const DIR: Kind<QueueSource> = Kind {
    doc: "A folder. All of it must be on one file system",
    blank: || QueueSource::Dir { path: PathBuf::new() },
    fields: &[KeyField {
        key: ConfigKey::new("path", Form::Text, "The folder, relative to the config's").needed().example("\"/srv/q\""),
        read: |item, source| {
            let QueueSource::Dir { path } = source else { return None };
            set(path, item.line().map(|line| line.into_inner().into()))
        },
        write: |source| if let QueueSource::Dir { path } = source { text(path.to_string_lossy()) } else { None },
    }],
};

const MYSQL: Kind<QueueSource> = Kind {
    doc: "A database of MariaDB 10.6 or MySQL 8.0.1, or newer. `whimbrel queue --schema` prints its tables",
    blank: || QueueSource::Mysql { url: String::new(), password: None },
    fields: &[
        KeyField {
            key: ConfigKey::new("url", Form::Address, "The server and the database, never with a password in it")
                .needed()
                .example("\"mysql://w@db:3306/q\""),
            read: |item, source| {
                let QueueSource::Mysql { url, .. } = source else { return None };
                set(url, address::database(item))
            },
            write: |source| if let QueueSource::Mysql { url, .. } = source { text(url) } else { None },
        },
        PASSWORD_ENV,
        PASSWORD_FILE,
    ],
};

const PASSWORD_ENV: KeyField<QueueSource> = KeyField {
    key: secret::ENV.example("\"QUEUE_PW\""),
    read: |item, source| set(password_of(source)?, secret::env(item).map(Some)),
    write: |source| match source {
        QueueSource::Http { password: Some(Secret::Env(name)), .. }
        | QueueSource::Mysql { password: Some(Secret::Env(name)), .. } => text(name),
        _ => None,
    },
};

const PASSWORD_FILE: KeyField<QueueSource> = KeyField {
    key: secret::FILE.example("\"queue.password\""),
    read: |item, source| set(password_of(source)?, secret::file(item).map(Some)),
    write: |source| match source {
        QueueSource::Http { password: Some(Secret::File(path)), .. }
        | QueueSource::Mysql { password: Some(Secret::File(path)), .. } => text(path.to_string_lossy()),
        _ => None,
    },
};

fn password_of(source: &mut QueueSource) -> Option<&mut Option<Secret>> {
    match source {
        QueueSource::Http { password, .. } | QueueSource::Mysql { password, .. } => Some(password),
        QueueSource::Dir { .. } => None,
    }
}

const BC: Kind<JobKind> = Kind {
    doc: "What `bc` would print, by an evaluator of whimbrel's own: a line can neither hang nor kill the worker",
    blank: || JobKind::Bc { digits: DEFAULT_DIGITS, deadline: DEFAULT_JOB_DEADLINE },
    fields: &[
        KeyField {
            key: ConfigKey::new(
                "digits",
                Form::Number,
                "The longest number, in decimal digits. A job that needs a longer one is set aside",
            ),
            read: |item, job| {
                let JobKind::Bc { digits, .. } = job else { return None };
                set(digits, item.whole(1..=MOST_DIGITS).map(u64::from))
            },
            write: |job| if let JobKind::Bc { digits, .. } = job { bare(digits) } else { None },
        },
        DEADLINE,
    ],
};

const EXEC: Kind<JobKind> = Kind {
    doc: "A program, without a shell. The work is on its standard input too, and what it prints is the result",
    blank: || JobKind::Exec { argv: Vec::new(), deadline: DEFAULT_JOB_DEADLINE },
    fields: &[
        KeyField {
            key: ConfigKey::new(
                "argv",
                Form::Program,
                "The program and its arguments, one text each; {job} stands for the work. A program with a / in its name is \
                 relative to the config's folder",
            )
            .needed()
            .example("[\"/usr/local/bin/render\", \"{job}\"]"),
            read: |item, job| {
                let JobKind::Exec { argv, .. } = job else { return None };
                set(argv, driver::arguments(item, "argv", &[JOB]))
            },
            write: |job| if let JobKind::Exec { argv, .. } = job { list(argv) } else { None },
        },
        DEADLINE,
    ],
};

const DEADLINE: KeyField<JobKind> = KeyField {
    key: ConfigKey::new(
        "deadline",
        Form::Duration,
        "How long a job may take, at least \"1s\". A job that takes longer is ended, and has failed",
    ),
    read: |item, job| {
        let (JobKind::Bc { deadline, .. } | JobKind::Exec { deadline, .. }) = job;
        set(deadline, driver::length(item, "deadline", SHORTEST))
    },
    write: |job| {
        let (JobKind::Bc { deadline, .. } | JobKind::Exec { deadline, .. }) = job;
        duration(*deadline)
    },
};

const NAME: ConfigKey = ConfigKey::new("name", Form::Text, "Its name, without blanks").needed().example("\"render\"");
const SOURCE: ConfigKey = ConfigKey::new("source", Form::Table, "Where its pages and claims are")
    .needed()
    .example("{ kind = \"dir\", path = \"/srv/q\" }");
const WORK: ConfigKey = ConfigKey::new("job", Form::Table, "How a job is worked").needed().example("{ kind = \"bc\" }");

const FIELDS: [KeyField<Queue>; 5] = [
    KeyField {
        key: ConfigKey::new("big", Form::Text, "A job is big if its line begins with this tag")
            .default("no job is")
            .example("\"grade a\""),
        read: |item, queue| set(&mut queue.big, item.line().map(|tag| tag.into_inner().trim().to_owned())),
        write: |queue| if queue.big.is_empty() { None } else { text(&queue.big) },
    },
    KeyField {
        key: ConfigKey::new("page", Form::Text, "Only the page of this name is worked")
            .default("every page is")
            .example("\"jobs\""),
        read: |item, queue| {
            let name = item.line()?.into_inner();
            if name.contains('/') || name.starts_with('.') {
                item.wrong("a page's name has no / in it and does not begin with a dot", "write page = \"jobs\"");
            }
            set(&mut queue.page, Some(Some(name.to_owned())))
        },
        write: |queue| text(queue.page.as_ref()?),
    },
    KeyField {
        key: ConfigKey::new(
            "parallel",
            Form::Counts,
            "Jobs at a time, everywhere or by site: { home = 1, cloud = 4 }; one at a site that is not named",
        ),
        read: |item, queue| set(&mut queue.parallel, parallel(item)),
        write: |queue| match &queue.parallel {
            Parallel::Everywhere(jobs) => bare(jobs),
            Parallel::BySite(sites) => {
                let site = |(site, jobs): (&String, &u32)| format!("{} = {jobs}", bare_or_quoted(site));
                bare(format!("{{ {} }}", sites.iter().map(site).collect::<Vec<_>>().join(", ")))
            }
        },
    },
    KeyField {
        key: ConfigKey::new("attempts", Form::Number, "After so many tries a job is set aside with its error"),
        read: |item, queue| set(&mut queue.attempts, item.whole(1..=MOST_ATTEMPTS)),
        write: |queue| bare(queue.attempts),
    },
    KeyField {
        key: ConfigKey::new(
            "lease",
            Form::Duration,
            "How long a claim lasts if its worker cannot renew it, at least \"1s\"; of a mysql source only",
        ),
        read: |item, queue| set(&mut queue.lease, driver::length(item, "lease", SHORTEST)),
        write: |queue| duration(queue.lease),
    },
];

/// A number of jobs, or one for each site.
fn parallel(item: &Item<'_>) -> Option<Parallel> {
    let jobs = |item: &Item<'_>| item.whole(1..=MOST_AT_A_TIME);
    let Some(entries) = item.entries() else { return jobs(item).map(Parallel::Everywhere) };
    let site = |(name, item): (Spanned<&str>, Item<'_>)| Some((name.into_inner().to_owned(), jobs(&item)?));
    let sites: Vec<Option<(String, u32)>> = entries.into_iter().map(site).collect();
    sites.into_iter().collect::<Option<BTreeMap<_, _>>>().map(Parallel::BySite)
}

/// A queue with the defaults of its keys; what it needs is empty.
fn blank() -> Queue {
    Queue {
        name: Name::default(),
        source: (DIR.blank)(),
        job: (BC.blank)(),
        big: String::new(),
        page: None,
        parallel: Parallel::Everywhere(1),
        attempts: DEFAULT_ATTEMPTS,
        lease: DEFAULT_LEASE,
    }
}

pub(super) fn kinds() -> Vec<KindOfTable> {
    let mut keys = vec![(NAME, None), (SOURCE, None), (WORK, None)];
    keys.extend(KindOfTable::rows(&FIELDS, &blank()));
    vec![KindOfTable { kind: "", doc: "", keys }]
}

pub(super) fn source_kinds() -> Vec<KindOfTable> {
    SOURCES.map(|kind| of_kind(SOURCE_KIND, kind)).into()
}

pub(super) fn job_kinds() -> Vec<KindOfTable> {
    JOBS.map(|kind| of_kind(JOB_KIND, kind)).into()
}

fn of_kind<T>(key: ConfigKey, (word, kind): (&'static str, &Kind<T>)) -> KindOfTable {
    let rows = KindOfTable::rows(kind.fields, &(kind.blank)());
    KindOfTable { kind: word, doc: kind.doc, keys: [(key, None)].into_iter().chain(rows).collect() }
}

const QUEUE: Shape = shape!("a queue", kinds);
const SOURCE_SHAPE: Shape = shape!("a queue's source", source_kinds);
const JOB_SHAPE: Shape = shape!("a queue's job", job_kinds);

impl<'a> ConfigReader<'a> {
    /// Reads the queues.
    pub fn queues(&mut self, top: &Table<'a>) {
        let Some(item) = top.get("queue") else { return };
        let (entries, whole) = item.list("[[queue]], in double brackets, once for each");
        self.queues_whole = whole;
        for entry in entries {
            match entry.table(QUEUE) {
                Some(table) => self.queue(table, top.has("site")),
                None => self.queues_whole = false,
            }
        }
    }

    /// Reads a queue. One that is wrong is kept, so that VMs that name it are not wrong too.
    fn queue(&mut self, table: Table<'a>, has_sites: bool) {
        let folder = self.config.path.parent().unwrap_or(Path::new("")).to_owned();
        let mut queue = blank();
        let name = table.need(&NAME).and_then(|item| item.name());
        match &name {
            Some(name) => self.check_unique("a queue", name),
            None => self.queues_whole = false,
        }
        if let Some(source) = table.need(&SOURCE).and_then(|item| item.table(SOURCE_SHAPE)) {
            queue.source = read_source(source, &folder).unwrap_or(queue.source);
        }
        if let Some(job) = table.need(&WORK).and_then(|item| item.table(JOB_SHAPE)) {
            queue.job = read_kind(job, &JOB_KIND, &JOBS, |_, _| ()).unwrap_or(queue.job);
        }
        if let JobKind::Exec { argv, .. } = &mut queue.job
            && let Some(program) = argv.first_mut().filter(|program| program.contains('/'))
        {
            *program = folder.join(&*program).to_string_lossy().into_owned();
        }
        fill(&FIELDS, &table, &mut queue);
        for (site, _) in table.get("parallel").and_then(|item| item.entries()).unwrap_or_default() {
            let sites = self.config.cluster.sites.iter().map(|site| site.name.as_str());
            // A worker's config has no sites: there any name may be one.
            self.lookup("site", &site, sites, has_sites && self.sites_whole);
        }
        table.finish(None);
        queue.name = name.map_or_else(Name::default, |name| name.into_inner().into());
        self.config.queues.push(queue);
    }

    /// Checks the queue that a VM's monitor names, and the VM's name, which becomes a part of file names there.
    pub fn check_queue(&self, vm: Option<&Spanned<&str>>, item: &Item<'_>) {
        if let Some(name) = item.text() {
            let queues = self.config.queues.iter().map(|queue| queue.name.as_str());
            self.lookup("queue", &name, queues, self.queues_whole);
        }
        if let Some(vm) = vm.filter(|vm| vm.get_ref().contains('/') || vm.get_ref().starts_with('.')) {
            let message = "a VM that works a queue has no / in its name, and no dot at its beginning";
            self.diagnostics.error(vm.span(), message, "its claims are folders of this name: write another");
        }
    }
}

fn read_source(table: Table<'_>, folder: &Path) -> Option<QueueSource> {
    read_kind(table, &SOURCE_KIND, &SOURCES, |table, source| {
        if let Some(password) = password_of(source) {
            secret::settle(table, password, Some(folder));
        }
        match source {
            QueueSource::Http { user: None, password: Some(_), .. } => {
                table.lacks("a password without a user", "add user = \"NAME\"");
            }
            QueueSource::Dir { path } => *path = folder.join(&*path),
            _ => {}
        }
    })
}

/// Reads a table that has kinds, if its kind can be read. What else could not be read has its default. `check` comes before
/// the table's other keys are called unknown.
fn read_kind<T, const N: usize>(
    table: Table<'_>,
    key: &ConfigKey,
    kinds: &Kinds<T, N>,
    check: impl FnOnce(&Table<'_>, &mut T),
) -> Option<T> {
    let found = table.need(key).and_then(|item| {
        let word = item.choice(&kinds.map(|(word, _)| (word, word)))?;
        kinds.iter().find(|(known, _)| *known == word)
    });
    let Some((word, kind)) = found else {
        table.finish(None);
        return None;
    };
    let mut value = (kind.blank)();
    fill(kind.fields, &table, &mut value);
    check(&table, &mut value);
    table.finish(Some(word));
    Some(value)
}

/// The keys of a queue but for its name, as a file has them: its own, its source's and its job's.
pub(in super::super) fn write_queue(queue: &Queue) -> [Vec<WrittenKey>; 3] {
    let (source, job) = (kind_of_source(&queue.source), kind_of_job(&queue.job));
    [
        write(&FIELDS, queue, &blank()),
        write_kind(SOURCE_KIND, source, &queue.source),
        write_kind(JOB_KIND, job, &queue.job),
    ]
}

fn write_kind<T>(key: ConfigKey, (word, kind): (&str, &Kind<T>), value: &T) -> Vec<WrittenKey> {
    let mut keys = vec![WrittenKey::text(key, word, false)];
    keys.extend(write(kind.fields, value, &(kind.blank)()));
    keys
}
