//! `docs/config.md` and `config/whimbrel.toml`: the list of all keys, and a config that shows them, made from their rows.

use std::collections::HashSet;
use std::fmt::Write;

use super::keys::{ConfigKey, Form, KindOfTable};
use super::read::{self, TABLES};
use crate::core::scanner::key_and_value;

const HEAD: &str = "\
# Keys of the config

This list and `config/whimbrel.toml`, which shows every key in its place, are made from the table of keys in
`src/edge/config`; `WHIMBREL_BLESS=1 cargo test --test config` writes both anew.

A duration is whole numbers with units: `\"500ms\"`, `\"45s\"`, `\"1m30s\"`, `\"2h\"`, `\"1d\"`. Names have no blanks in them. A key
without a default must be there, unless another key says the same.
";

/// The whole list, as Markdown.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (name, kinds) in TABLES {
        text.push_str(&format!("\n## {}\n", name.replace("[[", "`[[").replace("]]", "]]`")));
        for kind in kinds() {
            table(&mut text, &kind);
        }
    }
    text
}

fn table(text: &mut String, table: &KindOfTable) {
    if !table.kind.is_empty() {
        text.push_str(&format!("\n### kind = \"{}\"\n\n{}.\n", table.kind, table.doc));
    }
    text.push_str("\n| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
    for (key, default) in &table.keys {
        let default = match default {
            Some(toml) => format!("`{toml}`"),
            None => key.default.to_owned(),
        };
        writeln!(text, "| `{}` | {} | {default} | {}. |", key.name, form(key), key.doc).expect("a String takes it");
    }
}

fn form(key: &ConfigKey) -> String {
    match key.form {
        Form::Number => "number".to_owned(),
        Form::Flag => "`true`, `false`".to_owned(),
        Form::Duration => "duration".to_owned(),
        Form::Words(words) => words.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", "),
        Form::Zone => "time zone".to_owned(),
        Form::Text => "text".to_owned(),
        Form::Address => "url".to_owned(),
        Form::SecretPlace => "name".to_owned(),
        Form::Program if key.name == "query" => "query".to_owned(),
        Form::Program => "program and arguments".to_owned(),
        Form::Counts => "number, or numbers by site".to_owned(),
        Form::Table => "table, list or name".to_owned(),
    }
}

/// What the sample shows, in its order. A line `…` stands for the table's other keys, as far as they were not shown before;
/// those after its `-` stay out.
const SAMPLE: &str = r#"
name = "example"
…

[limits]
…

[history]
file = "history.db"
…

[[site]]
name = "oslo"
home = true

[[site]]
name = "cloud"

[[array]]
name = "a"
site = "oslo"
base = "mln6"
…
host = [
  { name = "mln1", capacity = 8, price = 0.20, cpu_ghz = 4.0 },
  { name = "mln2", capacity = 8, price = 0.25, cpu_ghz = 5.2 },
  "mln3",
  { name = "mln6", capacity = 8, price = 0.05 },
]

[[array]]
name = "b"
site = "cloud"
pick = "best"

[array.driver]
kind = "simulator"

[[array.host]]
name = "cloud1"
… - uri peer_uri

[[array]]
name = "c"

[array.driver]
kind = "libvirt"
…

[[array.host]]
name = "kvm1"

[[array.host]]
name = "kvm2"

[[array.host]]
name = "kvm3"
uri = "qemu+ssh://root@10.0.0.3:2222/system"
peer_uri = "qemu+tcp://10.0.1.3/system"

[[array]]
name = "d"
host = ["xen1", "xen2"]

[array.driver]
kind = "command"
migrate = ["ssh", "-o", "BatchMode=yes", "root@{from}", "xl", "migrate", "{vm}", "{to}"]
locate = ["virsh", "-c", "xen+ssh://root@{host}/system", "list", "--name", "--state-running"]
…

[policy.web]
kind = "threshold"
threshold = 5
…

[policy.database]
kind = "base"
…

[policy.office]
kind = "schedule"
hours = "Mon-Fri 09:00-16:00, Sat 10:00-12:00"
zone = "Europe/Oslo"
… - workstart workstop

[policy.thesis-office]
kind = "schedule"
… - hours
workstart = 108
workstop = 170
resting = "off"

[policy.queue]
kind = "site"
…

[[queue]]
name = "render"
big = "grade a"
parallel = { oslo = 1, cloud = 4 }
… - page

[queue.source]
kind = "http"
url = "http://queue.example/q/"
user = "w"
password_env = "QUEUE_PW"
… - password_file

[queue.job]
kind = "exec"
argv = ["/usr/local/bin/render", "{job}"]
deadline = "1h"

[[queue]]
name = "thesis"
source = { kind = "dir", path = "/srv/q" }
page = "jobs"
job = { kind = "bc" }

[[queue]]
name = "sums"

[queue.source]
kind = "mysql"
url = "mysql://w@db.example.org:3306/q"
password_file = "sums.password"

[queue.job]
kind = "bc"
…

[[vm]]
name = "nii1"
array = "a"
host = "mln1"
mode = "observe"
service = "shop-db"
policy = "database"
… - away domain uuid

[vm.monitor]
kind = "mysql"
url = "mysql://watch@127.0.0.1:3306/shop?require_ssl=true"
password_env = "NII1_PASSWORD"
… - password_file query

[[vm]]
name = "nii2"
host = "mln2"
policy = "office"

[vm.monitor]
kind = "mysql"
url = "mysql://watch@db.example.org"
password_file = "nii2.password"
query = "SELECT COUNT(*) FROM orders WHERE state = 'open'"

[[vm]]
name = "nii3"
host = "mln3"
policy = "web"

[vm.monitor]
kind = "apache"
on_timeout = "beyond"
…

[[vm]]
name = "nii5"
host = "mln1"
interval = "30s"
policy = { kind = "threshold", threshold = 800, tarry = 5 }

[vm.monitor]
kind = "http"
url = "https://www.example.org/health"
deadline = "5s"
…

[[vm]]
name = "nii7"
domain = "nii7.example.org"
uuid = "6c1f4f3a-6a3d-4bd1-8d0e-2f6c1b0f9a77"
host = "kvm1"
policy = { kind = "threshold", threshold = 90, tarry = 5 }

[vm.monitor]
kind = "hypervisor"
…

[[vm]]
name = "nii8"
host = "xen1"
policy = { kind = "threshold", threshold = 50, tarry = 3 }
monitor = { kind = "mysql", url = "mysql://watch@nii8.example.org", password_env = "NII8_PASSWORD" }

[[vm]]
name = "nii4"
array = "a"
host = "mln2"
interval = "2m"
away = "b"
policy = "queue"

[vm.monitor]
kind = "queue"
queue = "render"

[[vm]]
name = "nii6"
array = "a"
host = "mln2"
away = "b"
policy = "queue"
monitor = { kind = "simulated", service = "queue" }

[[vm]]
name = "demo1"
host = "mln1"
policy = "thesis-office"

[vm.monitor]
kind = "simulated"
…
"#;

const SAMPLE_HEAD: &str = "\
# whimbrel's config: every key there is, with what it means and what it is if left out.
# `whimbrel check FILE` says everything that is wrong with a config.
# This file is made from the table of keys in `src/edge/config`.
#
# A duration is whole numbers with units: \"500ms\", \"45s\", \"1m30s\", \"2h\", \"1d\". Names have no blanks in them.
";

/// Columns of a line of the sample, and the one at which the meaning of a key begins.
const WIDTH: usize = 120;
const MEANING: usize = 30;

/// `config/whimbrel.toml`: every key in its place, with its meaning and its default.
pub fn sample() -> String {
    let mut sample = Sample { text: SAMPLE_HEAD.to_owned(), shown: HashSet::new() };
    SAMPLE.trim().split("\n\n").for_each(|block| sample.block(block));
    // A kind of monitor that no VM above has.
    let monitors = TABLES.iter().filter(|(name, _)| name.starts_with("[vm.monitor]")).flat_map(|(_, kinds)| kinds());
    for kind in monitors.map(|table| table.kind).filter(|kind| !SAMPLE.contains(&format!("kind = \"{kind}\""))) {
        sample.block(&format!("[[vm]]\nname = \"{kind}1\"\nhost = \"mln1\"\npolicy = \"web\""));
        sample.block(&format!("[vm.monitor]\nkind = \"{kind}\"\n…"));
    }
    sample.text
}

/// The sample in the making.
struct Sample {
    text: String,
    /// The tables and the meanings of keys that it has so far: each is told once.
    shown: HashSet<(&'static str, &'static str)>,
}

impl Sample {
    /// Writes a table, or the keys at the top.
    fn block(&mut self, block: &str) {
        let header = block.lines().next().filter(|line| line.starts_with('[')).unwrap_or_default();
        let name = if header.starts_with("[policy.") { "[policy.NAME]" } else { header };
        let name = if name.is_empty() { "The top" } else { name };
        let (name, kinds) = TABLES.iter().find(|(table, _)| table.starts_with(name)).expect("a table of the config");
        let has_kind = |table: &KindOfTable| block.contains(&format!("\nkind = \"{}\"", table.kind));
        let kinds = kinds();
        let table = kinds.iter().find(|table| table.kind.is_empty() || has_kind(table)).expect("a kind of the table");

        self.text.push('\n');
        let is_new = self.section(header.trim_matches(['[', ']']).split('.').next().unwrap_or_default());
        if !table.kind.is_empty() && self.shown.insert((name, table.kind)) {
            if is_new {
                self.line("#");
            }
            self.comment(&format!("kind = \"{}\": {}.", table.kind, table.doc));
        }
        let given: Vec<&str> = block.lines().filter_map(|line| key_and_value(line).map(|(key, _)| key)).collect();
        for line in block.lines() {
            if let Some(without) = line.strip_prefix('…') {
                for (key, default) in self.others(name, table, &given, without) {
                    self.key(name, (key, default), &format!("{} = {}", key.name, key.sample(default)));
                }
                continue;
            }
            let row = key_and_value(line).and_then(|(name, _)| table.keys.iter().find(|(key, _)| key.name == name));
            match row {
                Some((key, default)) => self.key(name, (key, default.as_deref()), line),
                None => self.line(line),
            }
        }
    }

    /// The keys that a line `…` stands for: those that must be there, and those that were not shown so far.
    fn others<'t>(
        &self,
        name: &'static str,
        table: &'t KindOfTable,
        given: &[&str],
        without: &str,
    ) -> Vec<(&'t ConfigKey, Option<&'t str>)> {
        let rows = table.keys.iter().map(|(key, default)| (key, default.as_deref()));
        rows.filter(|(key, default)| {
            let is_due = default_of(key, *default).is_empty() || !self.shown.contains(&(name, key.doc));
            let is_here = given.contains(&key.name) || without.split(' ').any(|word| word == key.name);
            is_due && !is_here && key.form != Form::Table
        })
        .collect()
    }

    /// Begins the section of a key at the top of the file, if it is new.
    fn section(&mut self, name: &str) -> bool {
        let row = read::TOP_KEYS.iter().find(|key| key.name == name && key.form == Form::Table);
        let Some(key) = row.filter(|key| self.shown.insert(("", key.name))) else { return false };
        self.line(&format!("# {:-^width$}", format!(" {name} "), width = WIDTH - 2));
        self.comment(&format!("{}.", meaning(key, None)));
        true
    }

    /// Writes a key, the first time with its meaning: after it where there is room, else before it.
    fn key(&mut self, table: &'static str, (key, default): (&ConfigKey, Option<&str>), line: &str) {
        if !self.shown.insert((table, key.doc)) {
            return self.line(line);
        }
        let meaning = meaning(key, default);
        let column = MEANING.max(line.chars().count() + 2);
        if column + 2 + meaning.chars().count() <= WIDTH {
            self.line(&format!("{line:<column$}# {meaning}"));
        } else {
            self.comment(&meaning);
            self.line(line);
        }
    }

    /// Writes a comment in lines of its own.
    fn comment(&mut self, text: &str) {
        let mut line = "#".to_owned();
        for word in text.split(' ') {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&std::mem::replace(&mut line, "#".to_owned()));
            }
            line.extend([" ", word]);
        }
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        self.text.extend([line, "\n"]);
    }
}

/// What a key is if it is left out; empty: it must be there, or another key says the same.
fn default_of(key: &ConfigKey, default: Option<&str>) -> String {
    default.map_or_else(|| key.default.to_owned(), str::to_owned)
}

/// What a key means, and what it is if it is left out.
fn meaning(key: &ConfigKey, default: Option<&str>) -> String {
    let words = match key.form {
        Form::Words(words) => format!(" ({})", words.join(", ")),
        _ => String::new(),
    };
    match default_of(key, default) {
        default if default.is_empty() => format!("{}{words}", key.doc),
        default => format!("{}{words}. Default: {default}", key.doc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_documented_once_in_its_table() {
        for (name, kinds) in TABLES {
            for kind in kinds() {
                let mut seen = HashSet::new();
                for (key, _) in &kind.keys {
                    assert!(!key.doc.is_empty() && seen.insert(key.name), "{name} {}: {}", kind.kind, key.name);
                }
            }
        }
    }
}
