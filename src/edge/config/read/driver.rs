//! `driver = …`: what moves the VMs of an array.

use std::path::Path;

use super::super::keys;
use super::super::toml_reader::{Item, Table};
use super::super::words::written;
use super::{address, template};
use crate::core::cluster::{Commands, CopyStorage, Driver, Libvirt, Span};

/// The word in `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Simulator,
    Libvirt,
    Command,
}

const KINDS: [(&str, Kind); 3] =
    [("simulator", Kind::Simulator), ("libvirt", Kind::Libvirt), ("command", Kind::Command)];
const COPIES: [(&str, CopyStorage); 3] =
    [("none", CopyStorage::None), ("all", CopyStorage::All), ("increment", CopyStorage::Increment)];
const SHORTEST: Span = Span::from_millis(1);
const SHORTEST_STALL: Span = Span::from_secs(5);

const MIGRATE: &str = "migrate = [\"move-vm\", \"{vm}\", \"{from}\", \"{to}\"]";
const LOCATE: &str = "locate = [\"where-is\", \"{vm}\"]";
/// What a command about one migration knows.
const OF_A_MOVE: [&str; 4] = ["{vm}", "{from}", "{to}", "{index}"];

/// A driver as it was given. What could not be read of it is as by default.
pub(super) struct Given<'a> {
    pub driver: Driver,
    /// The whole value; `None`: it is the one by default.
    pub item: Option<Item<'a>>,
    /// libvirt's templates, right or wrong.
    pub uri: Option<Item<'a>>,
    pub peer_uri: Option<Item<'a>>,
}

/// An array's driver, if its kind can be read. A program with a `/` in its name is relative to the config's folder.
pub(super) fn read<'a>(array: &Table<'a>, folder: Option<&Path>) -> Option<Given<'a>> {
    let given = |driver, item| Given { driver, item, uri: None, peer_uri: None };
    let Some(item) = array.get("driver") else { return Some(given(Driver::default(), None)) };
    let given = |driver| given(driver, Some(item.clone()));
    if !item.is_table() {
        return item.choice(&KINDS).map(|kind| given(alone(kind, &item)));
    }
    let table = item.table(keys::DRIVER)?;
    let kind = table.need("kind", "kind = \"libvirt\", or simulator, command").and_then(|item| item.choice(&KINDS));
    let given = kind.map(|kind| match kind {
        Kind::Simulator => given(Driver::Simulator),
        Kind::Libvirt => {
            let (uri, peer_uri) = (table.get("uri"), table.get("peer_uri"));
            Given { uri, peer_uri, ..given(Driver::Libvirt(libvirt(&table))) }
        }
        Kind::Command => given(Driver::Command(commands(&table, folder))),
    });
    table.finish(given.as_ref().map(|given| given.driver.word()));
    given
}

/// A driver of which nothing but the kind is said.
fn alone(kind: Kind, item: &Item<'_>) -> Driver {
    match kind {
        Kind::Simulator => Driver::Simulator,
        Kind::Libvirt => Driver::Libvirt(Libvirt::default()),
        Kind::Command => {
            let help = format!("write driver = {{ kind = \"command\", {MIGRATE}, {LOCATE} }}");
            item.wrong("a driver of kind 'command' needs 'migrate' and 'locate'", help);
            Driver::Command(Commands {
                migrate: Vec::new(),
                locate: Vec::new(),
                progress: None,
                abort: None,
                host_state: None,
                migrate_deadline: Commands::MIGRATE_DEADLINE,
                deadline: Commands::DEADLINE,
            })
        }
    }
}

fn libvirt(table: &Table<'_>) -> Libvirt {
    let flag = |key| table.get(key).and_then(|item| item.flag());
    let peer_uri = table.get("peer_uri").and_then(|item| {
        let peer = address::template(&item, "peer_uri")?;
        check_peer(&item, &peer);
        Some(peer)
    });
    Libvirt {
        uri: table.get("uri").and_then(|item| address::template(&item, "uri")),
        peer_uri,
        tunnelled: flag("tunnelled").unwrap_or(false),
        persistent: flag("persistent"),
        undefine_source: flag("undefine_source"),
        bandwidth: table.get("bandwidth").and_then(|item| item.whole(1..=u32::MAX)).map(u64::from),
        downtime: table.get("downtime").and_then(|item| length(&item, "downtime", SHORTEST)),
        post_copy: flag("post_copy").unwrap_or(false),
        auto_converge: flag("auto_converge").unwrap_or(false),
        copy_storage: table.get("copy_storage").and_then(|item| item.choice(&COPIES)).unwrap_or_default(),
        allow_unsafe: flag("unsafe").unwrap_or(false),
        stall: table.get("stall").and_then(|item| length(&item, "stall", SHORTEST_STALL)).unwrap_or(Libvirt::STALL),
    }
}

/// Records a peer's uri by which a source would reach itself.
pub(super) fn check_peer(item: &Item<'_>, peer: &str) {
    if address::is_local(peer) {
        let help = "write the destination as another host reaches it, such as qemu+tcp://{host}/system";
        item.wrong("this uri names no host: the source would reach itself", help);
    }
}

fn commands(table: &Table<'_>, folder: Option<&Path>) -> Commands {
    let command = |key: &'static str, known: &[&str]| {
        table.get(key).and_then(|item| arguments(&item, key, known, folder).map(|command| (item, command)))
    };
    let about = |key: &'static str, known: &[&str], needs: &[&[&str]]| {
        let (item, command) = command(key, known)?;
        needs.iter().for_each(|one_of| check_says(&item, key, &command, one_of));
        Some(command)
    };
    let needed = |key: &'static str, example: &str, known: &[&str], needs: &[&[&str]]| {
        table.need(key, example);
        about(key, known, needs).unwrap_or_default()
    };
    let deadline = |key, default| table.get(key).and_then(|item| length(&item, key, SHORTEST)).unwrap_or(default);
    Commands {
        migrate: needed("migrate", MIGRATE, &OF_A_MOVE, &[&["{vm}"], &["{to}", "{index}"]]),
        locate: needed("locate", LOCATE, &["{vm}", "{host}"], &[&["{vm}", "{host}"]]),
        progress: about("progress", &OF_A_MOVE, &[&["{vm}"]]),
        abort: about("abort", &OF_A_MOVE, &[&["{vm}"]]),
        host_state: about("host_state", &["{host}"], &[&["{host}"]]),
        migrate_deadline: deadline("migrate_deadline", Commands::MIGRATE_DEADLINE),
        deadline: deadline("deadline", Commands::DEADLINE),
    }
}

/// A program and its arguments.
fn arguments(item: &Item<'_>, key: &str, known: &[&str], folder: Option<&Path>) -> Option<Vec<String>> {
    let (items, is_list) = item.list(&format!("{key} = [\"PROGRAM\", \"ARGUMENT\"], each argument on its own"));
    if items.is_empty() {
        if is_list {
            item.wrong(format!("'{key}' names no program"), format!("write {key} = [\"PROGRAM\", \"ARGUMENT\"]"));
        }
        return None;
    }
    let read = |item: &Item<'_>| {
        match item.as_text() {
            None => item.wrong(format!("an argument of '{key}' is no text"), "put each argument in quotes"),
            Some("") => item.wrong(format!("an argument of '{key}' is empty"), "write it, or remove its quotes"),
            Some(text) if text.contains('\0') => item.wrong("no argument can have a NUL in it", "remove it"),
            Some(text) => {
                template::check(item, text, key, known);
                return Some(text.to_owned());
            }
        }
        None
    };
    let mut arguments: Vec<String> = items.iter().map(read).collect::<Vec<_>>().into_iter().collect::<Option<_>>()?;
    if let Some((program, folder)) = arguments.first_mut().zip(folder).filter(|(program, _)| program.contains('/')) {
        *program = folder.join(&*program).to_string_lossy().into_owned();
    }
    Some(arguments)
}

/// Records a command that names none of these.
fn check_says(item: &Item<'_>, key: &str, command: &[String], one_of: &[&str]) {
    if !command.iter().any(|argument| one_of.iter().any(|word| argument.contains(word))) {
        let words = one_of.join(" or ");
        item.wrong(format!("'{key}' says nothing of {words}"), format!("add an argument with {words} in it"));
    }
}

fn length(item: &Item<'_>, key: &str, least: Span) -> Option<Span> {
    let length = item.duration()?.value;
    if length < least {
        let least = written(least);
        item.wrong(format!("'{key}' must be at least {least}"), format!("write \"{least}\" or more"));
        return None;
    }
    Some(length)
}
