//! `driver = …`: what moves the VMs of an array.

use std::path::Path;

use super::super::keys::{
    ConfigKey, Form, KeyField, KindOfTable, WrittenKey, bare, duration, fill, list, set, shape, text, word, words_of,
    write,
};
use super::super::toml_reader::{Item, Shape, Table};
use super::address;
use crate::core::cluster::{Commands, CopyStorage, Driver, Libvirt, Span};
use crate::core::format::exact_span;

const COPIES: [(&str, CopyStorage); 3] =
    [("none", CopyStorage::None), ("all", CopyStorage::All), ("increment", CopyStorage::Increment)];
const SHORTEST: Span = Span::from_millis(1);
const SHORTEST_STALL: Span = Span::from_secs(5);

const MIGRATE: &str = "[\"move-vm\", \"{vm}\", \"{from}\", \"{to}\"]";
const LOCATE: &str = "[\"where-is\", \"{vm}\"]";
/// What a command about one migration knows.
const OF_A_MOVE: [&str; 4] = ["{vm}", "{from}", "{to}", "{index}"];

const KIND: ConfigKey = ConfigKey::new(
    "kind",
    Form::Words(&Driver::WORDS),
    "What moves the VMs; driver = \"KIND\" is short for a driver of which nothing else is said",
)
.default("\"simulator\"");

/// The kinds of driver, by their words.
fn blanks() -> [(&'static str, Driver); 3] {
    [Driver::Simulator, Driver::Libvirt(Libvirt::default()), Driver::Command(Commands::default())]
        .map(|driver| (driver.word(), driver))
}

pub(super) fn kinds() -> Vec<KindOfTable> {
    let kind = |(word, driver): (&'static str, Driver)| {
        let (doc, rows) = match &driver {
            Driver::Simulator => ("The built-in simulator", Vec::new()),
            Driver::Libvirt(libvirt) => (
                "libvirt's daemons move the VMs, live and from host to host, within an array",
                KindOfTable::rows(&LIBVIRT, libvirt),
            ),
            Driver::Command(commands) => (
                "Commands of your own move and find the VMs. Each is a program and its arguments, one text each; no shell \
                 reads them. A program with a / in its name is relative to the config's folder. {vm} stands for the VM's \
                 domain, {from} and {to} for the hosts' names, {index} for the destination's place in its ring, from 1 \
                 (nothing at the base), {host} for the host that is asked",
                KindOfTable::rows(&COMMANDS, commands),
            ),
        };
        KindOfTable { kind: word, doc, keys: [(KIND, None)].into_iter().chain(rows).collect() }
    };
    blanks().map(kind).into()
}

pub(super) const DRIVER: Shape = shape!("a driver", kinds);

/// The keys of a driver, as a file has them.
pub(in super::super) fn write_driver(driver: &Driver) -> Vec<WrittenKey> {
    let kind = WrittenKey::text(KIND, driver.word(), *driver == Driver::default());
    let rest = match driver {
        Driver::Simulator => Vec::new(),
        Driver::Libvirt(libvirt) => write(&LIBVIRT, libvirt, &Libvirt::default()),
        Driver::Command(commands) => write(&COMMANDS, commands, &Commands::default()),
    };
    std::iter::once(kind).chain(rest).collect()
}

const LIBVIRT: [KeyField<Libvirt>; 12] = [
    KeyField {
        key: ConfigKey::new(
            "uri",
            Form::Address,
            "A host's uri as it is reached from here; {host} is its name. Never with a password in it",
        )
        .default("each host has its own")
        .example("\"qemu+ssh://root@{host}/system\""),
        read: |item, libvirt| set(&mut libvirt.uri, address::template(item, "uri").map(Some)),
        write: |libvirt| text(libvirt.uri.as_ref()?),
    },
    KeyField {
        key: ConfigKey::new("peer_uri", Form::Address, "A destination's uri, as the source reaches it")
            .default("the same as from here")
            .example("\"qemu+tcp://{host}/system\""),
        read: |item, libvirt| {
            let peer = address::template(item, "peer_uri")?;
            check_peer(item, &peer);
            set(&mut libvirt.peer_uri, Some(Some(peer)))
        },
        write: |libvirt| text(libvirt.peer_uri.as_ref()?),
    },
    KeyField {
        key: ConfigKey::new("tunnelled", Form::Flag, "Memory goes through the daemons' own connection"),
        read: |item, libvirt| set(&mut libvirt.tunnelled, item.flag()),
        write: |libvirt| bare(libvirt.tunnelled),
    },
    KeyField {
        key: ConfigKey::new("persistent", Form::Flag, "The VM is defined at the destination")
            .default("if it is so at the source")
            .example("true"),
        read: |item, libvirt| set(&mut libvirt.persistent, item.flag().map(Some)),
        write: |libvirt| bare(libvirt.persistent?),
    },
    KeyField {
        key: ConfigKey::new("undefine_source", Form::Flag, "The VM is not defined at the source any more")
            .default("if it is defined at the destination")
            .example("true"),
        read: |item, libvirt| set(&mut libvirt.undefine_source, item.flag().map(Some)),
        write: |libvirt| bare(libvirt.undefine_source?),
    },
    KeyField {
        key: ConfigKey::new("bandwidth", Form::Number, "MiB/s for memory, at least 1")
            .default("as the hypervisor is set")
            .example("500"),
        read: |item, libvirt| set(&mut libvirt.bandwidth, item.whole(1..=u32::MAX).map(|most| Some(u64::from(most)))),
        write: |libvirt| bare(libvirt.bandwidth?),
    },
    KeyField {
        key: ConfigKey::new("downtime", Form::Duration, "How long a VM may stand still at the end, at least \"1ms\"")
            .default("as the hypervisor is set")
            .example("\"300ms\""),
        read: |item, libvirt| set(&mut libvirt.downtime, length(item, "downtime", SHORTEST).map(Some)),
        write: |libvirt| duration(libvirt.downtime?),
    },
    KeyField {
        key: ConfigKey::new(
            "post_copy",
            Form::Flag,
            "A VM that changes too fast is started at the destination first. If the network fails then, the VM is lost",
        ),
        read: |item, libvirt| set(&mut libvirt.post_copy, item.flag()),
        write: |libvirt| bare(libvirt.post_copy),
    },
    KeyField {
        key: ConfigKey::new("auto_converge", Form::Flag, "A VM that changes too fast is slowed down"),
        read: |item, libvirt| set(&mut libvirt.auto_converge, item.flag()),
        write: |libvirt| bare(libvirt.auto_converge),
    },
    KeyField {
        key: ConfigKey::new(
            "copy_storage",
            Form::Words(const { &words_of(&COPIES) }),
            "Which disks that are not shared are copied: none, all, or the increment over a base image that both hosts have",
        ),
        read: |item, libvirt| set(&mut libvirt.copy_storage, item.choice(&COPIES)),
        write: |libvirt| text(word(&COPIES, libvirt.copy_storage)),
    },
    KeyField {
        key: ConfigKey::new(
            "unsafe",
            Form::Flag,
            "Moves even where libvirt takes the storage for not shared: that can destroy a VM's disk",
        ),
        read: |item, libvirt| set(&mut libvirt.allow_unsafe, item.flag()),
        write: |libvirt| bare(libvirt.allow_unsafe),
    },
    KeyField {
        key: ConfigKey::new(
            "stall",
            Form::Duration,
            "A migration that moves nothing for so long is aborted, at least \"5s\"",
        ),
        read: |item, libvirt| set(&mut libvirt.stall, length(item, "stall", SHORTEST_STALL)),
        write: |libvirt| duration(libvirt.stall),
    },
];

const COMMANDS: [KeyField<Commands>; 7] = [
    KeyField {
        key: ConfigKey::new("migrate", Form::Program, "Moves {vm} to {to} or {index}, and ends when that is done")
            .example(MIGRATE).needed(),
        read: |item, commands| {
            let needs: [&[&str]; 2] = [&["{vm}"], &["{to}", "{index}"]];
            set(&mut commands.migrate, command(item, "migrate", &OF_A_MOVE, &needs))
        },
        write: |commands| list(&commands.migrate),
    },
    KeyField {
        key: ConfigKey::new(
            "locate",
            Form::Program,
            "Without {host}: prints the names of the hosts on which {vm} runs, one a line. With it, asked of each host: prints \
             the names of the VMs that run there. A status other than 0 means that it cannot be told, never that the VM is not \
             there",
        )
        .example(LOCATE).needed(),
        read: |item, commands| {
            set(&mut commands.locate, command(item, "locate", &["{vm}", "{host}"], &[&["{vm}", "{host}"]]))
        },
        write: |commands| list(&commands.locate),
    },
    KeyField {
        key: ConfigKey::new("progress", Form::Program, "Prints a number from 0 to 100, and whatever is to be shown")
            .default("not asked").example(r#"["./progress", "{vm}", "{from}"]"#),
        read: |item, commands| {
            set(&mut commands.progress, command(item, "progress", &OF_A_MOVE, &[&["{vm}"]]).map(Some))
        },
        write: |commands| list(commands.progress.as_ref()?),
    },
    KeyField {
        key: ConfigKey::new("abort", Form::Program, "Stops the migration of {vm}")
            .default("it cannot be stopped")
            .example(r#"["./abort", "{vm}", "{from}"]"#),
        read: |item, commands| set(&mut commands.abort, command(item, "abort", &OF_A_MOVE, &[&["{vm}"]]).map(Some)),
        write: |commands| list(commands.abort.as_ref()?),
    },
    KeyField {
        key: ConfigKey::new("host_state", Form::Program, "Ends with status 0 if {host} is up")
            .default("not asked")
            .example(r#"["ssh", "-o", "BatchMode=yes", "root@{host}", "true"]"#),
        read: |item, commands| {
            set(&mut commands.host_state, command(item, "host_state", &["{host}"], &[&["{host}"]]).map(Some))
        },
        write: |commands| list(commands.host_state.as_ref()?),
    },
    KeyField {
        key: ConfigKey::new("migrate_deadline", Form::Duration, "`migrate` is ended after so long"),
        read: |item, commands| set(&mut commands.migrate_deadline, length(item, "migrate_deadline", SHORTEST)),
        write: |commands| duration(commands.migrate_deadline),
    },
    KeyField {
        key: ConfigKey::new("deadline", Form::Duration, "Each of the other commands is ended after so long"),
        read: |item, commands| set(&mut commands.deadline, length(item, "deadline", SHORTEST)),
        write: |commands| duration(commands.deadline),
    },
];

/// An array's driver, if its kind can be read. What else could not be read has its default. A program with a `/` in its name is
/// relative to the config's folder.
pub(super) fn read(array: &Table<'_>, folder: Option<&Path>) -> Option<Driver> {
    let Some(item) = array.get("driver") else { return Some(Driver::default()) };
    let kind = |item: &Item<'_>| {
        let word = item.choice(&Driver::WORDS.map(|word| (word, word)))?;
        blanks().into_iter().find(|(known, _)| *known == word).map(|(_, driver)| driver)
    };
    if !item.is_table() {
        let driver = kind(&item)?;
        if let Driver::Command(_) = driver {
            let help = format!("write driver = {{ kind = \"command\", migrate = {MIGRATE}, locate = {LOCATE} }}");
            item.wrong("a driver of kind 'command' needs 'migrate' and 'locate'", help);
        }
        return Some(driver);
    }
    let table = item.table(DRIVER)?;
    let mut driver = table.need(&KIND).and_then(|item| kind(&item));
    match &mut driver {
        None | Some(Driver::Simulator) => {}
        Some(Driver::Libvirt(libvirt)) => drop(fill(&LIBVIRT, &table, libvirt)),
        Some(Driver::Command(commands)) => {
            fill(&COMMANDS, &table, commands);
            commands.resolve(folder.unwrap_or(Path::new("")));
        }
    }
    table.finish(driver.as_ref().map(Driver::word));
    driver
}

/// Records a peer uri that means the source itself.
pub(super) fn check_peer(item: &Item<'_>, peer: &str) {
    if address::is_local(peer) {
        let help = "write the destination as another host reaches it, such as qemu+tcp://{host}/system";
        item.wrong("this uri names no host: the source would reach itself", help);
    }
}

/// A program and its arguments, which may use the placeholders that are `known`, and must use one of each of `needs`.
fn command(item: &Item<'_>, key: &str, known: &[&str], needs: &[&[&str]]) -> Option<Vec<String>> {
    let command = arguments(item, key, known)?;
    needs.iter().for_each(|one_of| check_says(item, key, &command, one_of));
    Some(command)
}

/// A program and its arguments, which may use the placeholders that are `known`.
pub(super) fn arguments(item: &Item<'_>, key: &str, known: &[&str]) -> Option<Vec<String>> {
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
                address::check_placeholders(item, text, key, known);
                return Some(text.to_owned());
            }
        }
        None
    };
    items.iter().map(read).collect::<Vec<_>>().into_iter().collect()
}

/// Records a command that names none of these.
fn check_says(item: &Item<'_>, key: &str, command: &[String], one_of: &[&str]) {
    if !command.iter().any(|argument| one_of.iter().any(|word| argument.contains(word))) {
        let words = one_of.join(" or ");
        item.wrong(format!("'{key}' says nothing of {words}"), format!("add an argument with {words} in it"));
    }
}

/// A length of time that is at least this.
pub(super) fn length(item: &Item<'_>, key: &str, least: Span) -> Option<Span> {
    let length = item.duration()?.into_inner();
    if length < least {
        let least = exact_span(least);
        item.wrong(format!("'{key}' must be at least {least}"), format!("write \"{least}\" or more"));
        return None;
    }
    Some(length)
}
