//! Policies edited in the real console: previewed, written into the file in one place, applied, taken back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::Config;
use crate::support::pty::{Console, whimbrel};
use crate::support::services::or_skip;
use portable_pty::CommandBuilder;

const F2: &str = "\x1bOQ";
const ESC: &str = "\x1b";

const CONFIG: &str = "# The night shift's cluster.\r
[history]\r
file = \"past.db\"\r
\r
[[array]]\r
name = \"a\"\r
host = [\"mln1\", \"mln2\"]\r
\r
[policy.shop]   # for all of them\r
kind = \"threshold\"\r
threshold = 1500   # since May\r
tarry = 3\r
\r
[[vm]]\r
name = \"web\"\r
host = \"mln1\"\r
interval = \"1s\"\r
monitor = { kind = \"simulated\", service = \"http\" }\r
policy = { kind = \"threshold\", threshold = 1500, tarry = 3 } # from the spring\r
\r
[[vm]]\r
name = \"api\"\r
host = \"mln1\"\r
interval = \"1s\"\r
monitor = { kind = \"simulated\", service = \"http\" }\r
policy = { kind = \"threshold\", threshold = 1500, tarry = 5 }\r
\r
[[vm]]\r
name = \"shop1\"\r
host = \"mln2\"\r
interval = \"1s\"\r
monitor = { kind = \"simulated\", service = \"http\" }\r
policy = \"shop\"\r
\r
[[vm]]\r
name = \"shop2\"\r
host = \"mln2\"\r
interval = \"1s\"\r
monitor = { kind = \"simulated\", service = \"http\" }\r
policy = \"shop\"";

fn opened(config: &Config, arguments: &[&str]) -> Console {
    let mut console = Console::spawn(whimbrel(&[&[&*config.path().to_string_lossy()], arguments].concat()));
    console.shows("4 VMs");
    console.shows("watching");
    read(&mut console);
    console
}

/// Selects a VM.
fn select(console: &mut Console, vm: &str) {
    console.press(&format!("/\x15{vm}\r"));
    console.until(vm, |console| console.text().contains(&format!(">{vm}")));
}

/// Opens the editor, as soon as the config file has been read.
fn edit(console: &mut Console, title: &str) {
    read(console);
    console.press("e");
    console.until("the editor", |console| console.text().contains(title) && console.text().contains("kind = "));
}

/// A console on the config, with the editor open on this VM's policy.
fn editing(vm: &str, title: &str) -> (Config, Console) {
    let config = Config::new(CONFIG);
    let mut console = opened(&config, &[]);
    select(&mut console, vm);
    edit(&mut console, title);
    (config, console)
}

/// Waits until the config file has been read: until then nothing can be edited.
fn read(console: &mut Console) {
    loop {
        console.press("e");
        console.until("an editor, or why there is none", |console| {
            console.text().contains("kind = ") || console.text().contains("cannot be edited here")
        });
        let early = console.text().contains("still being read");
        // Leaves the editor; of the table only a notice goes, the filter stays.
        console.press(if console.text().contains("kind = ") { ESC } else { "T" });
        console.until("the table", |console| {
            !console.text().contains("kind = ") && !console.text().contains("cannot be edited here")
        });
        if !early {
            return;
        }
    }
}

fn left(mut console: Console) {
    console.press("\x03");
    console.until("the terminal as it was", Console::is_restored);
    assert!(console.child.wait().expect("an end").success());
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

/// The only place in which two texts differ: what stands there in each.
fn difference<'a>(old: &'a str, new: &'a str) -> (&'a str, &'a str) {
    let begin = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[begin..], &new[begin..]);
    let end = old.bytes().rev().zip(new.bytes().rev()).take_while(|(a, b)| a == b).count();
    (&old[..old.len() - end], &new[..new.len() - end])
}

/// The line of a text on which two texts begin to differ.
fn line_of(old: &str, new: &str) -> usize {
    old.lines().zip(new.lines()).take_while(|(a, b)| a == b).count() + 1
}

// ---------------------------------------------------------------------------------------------------------------------
// The demo

/// The demo's config in a folder of temporary files.
fn demo_file(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder).expect("a folder").map_while(Result::ok);
    let mut demos = entries.map(|entry| entry.path().join("demo.toml")).filter(|path| path.exists());
    demos.next().expect("the demo has its config there")
}

#[test]
fn the_demos_threshold_is_edited_previewed_saved_used_and_undone() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = whimbrel(&["demo", "1", "--speed", "1"]);
    command.env("TMPDIR", folder.path());
    let mut console = Console::spawn(command);
    console.shows("nii1");
    select(&mut console, "nii1");
    edit(&mut console, "policy of nii1");
    // It has a past when that has been simulated.
    console.until("what-if", |console| console.text().contains("recorded where it ran then"));
    let file = demo_file(folder.path());
    let before = text(&file);
    // The caret is in the threshold, which is selected: it is typed over.
    console.press("777");
    console.shows("threshold 50 → 777");
    let row = |console: &Console, name: &str| {
        let text = console.text();
        let line = text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_default();
        line.split_whitespace().filter_map(|word| word.parse::<u32>().ok()).collect::<Vec<_>>()
    };
    console.until("fewer moves", |console| matches!(row(console, "moves")[..], [now, then, ..] if then < now));
    assert_eq!(text(&file), before, "nothing is saved yet");

    console.press(F2);
    console.shows("saved to demo.toml:");
    let after = text(&file);
    assert_eq!(difference(&before, &after), ("50", "777"));
    console.shows("+/- threshold 777");
    console.press("u");
    console.shows("threshold 777 → 50");
    console.shows("+/- threshold 50");
    assert_eq!(text(&file), before, "byte for byte");
    left(console);
    assert!(!file.exists(), "the demo leaves nothing behind");
}

// ---------------------------------------------------------------------------------------------------------------------
// One's own config

#[test]
fn a_real_configs_block_is_saved_in_one_place_and_undone_byte_for_byte() {
    let (config, mut console) = editing("web", "policy of web");
    console.press("1800");
    console.shows("threshold 1500 → 1800");
    console.press(F2);
    console.shows("saved to whimbrel.toml:19");
    let after = text(&config.path());
    assert_eq!((difference(CONFIG, &after), line_of(CONFIG, &after)), (("5", "8"), 19));
    console.shows("+/- threshold 1800");
    console.press("u");
    console.shows("threshold 1800 → 1500");
    assert_eq!(text(&config.path()), CONFIG);
    console.press("u");
    console.shows("nothing to undo");
    left(console);
}

#[test]
fn what_is_wrong_is_said_and_not_saved() {
    let (config, mut console) = editing("web", "policy of web");
    console.press("fifty");
    console.shows("invalid");
    console.press(F2);
    console.press("\x15\x15\x15\x15\x15\x15");
    console.shows("unchanged");
    console.press(ESC);
    console.shows("4 VMs");
    assert_eq!(text(&config.path()), CONFIG);
    left(console);
}

#[test]
fn a_key_changes_a_number_in_the_file_too_and_is_taken_back() {
    let config = Config::new(CONFIG);
    let mut console = opened(&config, &[]);
    select(&mut console, "api");
    console.press("+");
    console.shows("threshold 1500 → 1");
    console.until("applied", |console| !console.text().contains("asked"));
    let after = text(&config.path());
    assert_eq!(line_of(CONFIG, &after), 26, "{after}");
    console.press("u");
    console.shows("→ 1500");
    assert_eq!(text(&config.path()), CONFIG);
    left(console);
}

#[test]
fn a_shared_block_asks_first_and_is_changed_for_all_or_left_alone() {
    let (config, mut console) = editing("shop1", "policy shop");
    assert!(console.text().contains("shared with shop2"), "{}", console.text());
    console.press("1700");
    console.shows("threshold 1500 → 1700");
    console.press(F2);
    console.shows("policy shop is shared: this changes 2 VMs");
    assert_eq!(text(&config.path()), CONFIG, "asked first");
    console.press("b");
    console.shows("saved to whimbrel.toml:");
    let after = text(&config.path());
    assert_eq!((difference(CONFIG, &after), line_of(CONFIG, &after)), (("5", "7"), 11));
    console.press("u");
    console.shows("threshold 1700 → 1500");
    assert_eq!(text(&config.path()), CONFIG);

    // The other answer gives it a block of its own.
    edit(&mut console, "policy shop");
    console.press("1700");
    console.shows("threshold 1500 → 1700");
    console.press(F2);
    console.shows("policy shop is shared");
    console.press("o");
    console.shows("saved to whimbrel.toml:");
    let after = text(&config.path());
    assert!(
        after.contains("[policy.shop]   # for all of them\r\nkind = \"threshold\"\r\nthreshold = 1500   # since May")
    );
    assert_eq!(line_of(CONFIG, &after), 33, "{after}");
    assert!(after.ends_with(CONFIG.lines().last().expect("lines")), "the other VM still has it: {after}");
    left(console);
}

#[test]
fn marked_vms_are_edited_at_once() {
    let config = Config::new(CONFIG);
    let mut console = opened(&config, &[]);
    for vm in ["web", "api"] {
        select(&mut console, vm);
        console.press(" ");
    }
    console.press("/");
    console.press("\x15\r");
    console.until("all rows", |console| console.text().contains("shop2"));
    edit(&mut console, "policy of 2 VMs");
    console.press("1800");
    console.shows("threshold 1500 → 1800");
    console.press(F2);
    console.shows("saved to");
    let wanted = CONFIG.replace("threshold = 1500, tarry", "threshold = 1800, tarry");
    assert_eq!(text(&config.path()), wanted);
    console.press("u");
    console.shows("1800 → 1500");
    assert_eq!(text(&config.path()), CONFIG, "one edit, one undo");
    left(console);
}

#[test]
fn a_file_that_another_changed_under_the_editor_is_not_overwritten_unasked() {
    let (config, mut console) = editing("web", "policy of web");
    console.press("1800");
    console.shows("threshold 1500 → 1800");
    let theirs = CONFIG.replace("1500, tarry = 3 } # from", "1600, tarry = 4 } # from");
    config.write(&theirs);
    console.press(F2);
    console.shows("the file was changed meanwhile: nothing was written");
    let screen = console.text();
    assert!(screen.contains("threshold = 1800") && screen.contains("threshold = 1600"), "both texts: {screen}");
    assert_eq!(text(&config.path()), theirs);
    console.press(ESC);
    console.shows("policy of web");
    console.press(F2);
    console.shows("the file was changed meanwhile: nothing was written");
    assert_eq!(text(&config.path()), theirs);
    console.press("m");
    console.shows("saved to whimbrel.toml:19");
    let after = text(&config.path());
    assert!(after.contains("threshold = 1800, tarry = 3 } # from the spring\r\n"), "{after}");
    assert_eq!(difference(&theirs, &after), ("600, tarry = 4", "800, tarry = 3"));
    left(console);
}

#[test]
fn read_only_refuses_with_its_reason() {
    let config = Config::new(CONFIG);
    let mut console = opened(&config, &["--read-only"]);
    for key in ["e", "+", "-", "#", "u", "h", "oy"] {
        console.press(key);
        console.shows("this console was opened with --read-only");
        console.press("T");
        console.shows("theme");
        console.until("the notice gone", |console| !console.text().contains("--read-only"));
    }
    console.press("m");
    console.shows("what the gates say");
    console.press("\r");
    console.until("asked or refused", |console| {
        console.text().contains("sure?") || console.text().contains("--read-only")
    });
    console.press("y");
    console.shows("this console was opened with --read-only");
    assert_eq!(text(&config.path()), CONFIG);
    left(console);
}

#[test]
fn a_file_without_the_right_to_write_it_is_not_edited_and_says_why() {
    let test = "a_file_without_the_right_to_write_it_is_not_edited_and_says_why";
    let config = Config::new(&CONFIG.replace("past.db", "off"));
    let readable = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mine");
    readable(config.path().parent().expect("a folder"), 0o755);
    readable(&config.path(), 0o444);
    let mut words = vec![env!("CARGO_BIN_EXE_whimbrel").to_owned()];
    if rustix::process::geteuid().is_root() {
        // Root may write everything.
        let nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned);
        words.splice(0..0, nobody);
    }
    let probe = std::process::Command::new(&words[0]).args(&words[1..]).arg("--version").output();
    let works = probe.map_err(|why| why.to_string()).and_then(|out| {
        let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
        if out.status.success() { Ok(()) } else { Err(said) }
    });
    let Some(()) = or_skip(test, works) else { return };
    let mut command = CommandBuilder::new(&words[0]);
    command.args(&words[1..]);
    command.arg(config.path());
    command.env("LANG", "C.UTF-8");
    let mut console = Console::spawn(command);
    console.shows("watching");
    read(&mut console);
    console.press("e");
    console.shows("policies cannot be edited here: ");
    console.shows("cannot be written");
    left(console);
}
