//! The config file changed under a running engine: by an editor, by a deployment, in whichever way; well and badly.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::pty::Console;
use crate::support::{Config, Run, whimbrel};
use rustix::process::Signal;
use serde_json::Value;

const CONFIG: &str = r#"# The night shift's cluster.
[history]
file = "past.db"
[[array]]
name = "a"
host = ["mln1", "mln2", "mln3"]
[[vm]]
name = "web"
host = "mln1"
interval = "1s"
monitor = { kind = "simulated", service = "http" }
policy = { kind = "threshold", threshold = 1500, tarry = 3 } # from the spring
[[vm]]
name = "db"
host = "mln2"
interval = "1s"
monitor = { kind = "simulated", service = "mysql" }
policy = { kind = "threshold", threshold = 50, tarry = 3 }
"#;

fn changed(threshold: u32) -> String {
    CONFIG.replace("1500", &threshold.to_string())
}

/// An engine that has begun.
fn run(config: &Path) -> Run {
    let mut run = Run::config(config);
    run.until_type("sample", "web");
    run
}

fn applied(event: &Value) -> bool {
    event["type"] == "operator" && text(event).starts_with("applied: ")
}

fn text(event: &Value) -> &str {
    event["text"].as_str().unwrap_or_default()
}

/// What is said of the next change, up to its end: `VM: key old → new` and the lines of what is no policy's.
fn said(run: &mut Run) -> Vec<String> {
    let from = run.events.len();
    run.until(applied);
    let by_config = run.events[from..].iter().filter(|event| event["by"] == "config" && !applied(event));
    let line = |event: &Value| {
        let vm = event["vm"].as_str().map(|vm| format!("{vm}: ")).unwrap_or_default();
        match event["key"].as_str() {
            Some(key) => format!(
                "{vm}{key} {} → {}",
                event["old"].as_str().unwrap_or_default(),
                event["new"].as_str().unwrap_or_default()
            ),
            None => format!("{vm}{}", text(event)),
        }
    };
    by_config.map(line).collect()
}

#[test]
fn in_whichever_way_the_file_is_changed_it_is_applied_and_said() {
    let config = Config::new(CONFIG);
    let (path, beside) = (config.path(), config.beside("new.toml"));
    let mut run = run(&path);

    fs::write(&path, changed(1600)).expect("rewritten in place");
    assert_eq!(said(&mut run), ["web: threshold 1500 → 1600"]);

    fs::write(&beside, changed(1700)).and_then(|()| fs::rename(&beside, &path)).expect("renamed over");
    assert_eq!(said(&mut run), ["web: threshold 1600 → 1700"]);

    fs::remove_file(&path).expect("it is there");
    let alarm = run.until(|event| event["type"] == "alarm");
    assert!(text(&alarm).starts_with("config not applied: ") && text(&alarm).contains("whimbrel.toml"), "{alarm}");
    fs::write(&path, changed(1800)).expect("created again");
    assert_eq!(said(&mut run), ["web: threshold 1700 → 1800"]);

    fs::write(&beside, changed(1900)).and_then(|()| fs::remove_file(&path)).expect("gone");
    symlink(&beside, &path).expect("a link in its place");
    assert_eq!(said(&mut run), ["web: threshold 1800 → 1900"]);
    assert!(run.events.iter().all(|event| event["state"] != "stale"), "the engine went on");
}

#[test]
fn a_link_that_is_turned_to_another_file_is_followed() {
    let config = Config::new("");
    let at = |name: &str| config.beside(name);
    for (folder, threshold) in [("blue", 1500), ("green", 1600)] {
        fs::create_dir(at(folder)).expect("a folder");
        fs::write(at(folder).join("w.toml"), changed(threshold).replace("past.db", "../past.db")).expect("a file");
    }
    // As a deployment does: the config is below a link to a folder, which is replaced in one go.
    symlink("blue", at("current")).expect("a link");
    let mut run = run(&at("current").join("w.toml"));
    symlink("green", at("next")).and_then(|()| fs::rename(at("next"), at("current"))).expect("turned");
    assert_eq!(said(&mut run), ["web: threshold 1500 → 1600"]);
}

#[test]
fn a_hang_up_reads_it_again_changed_or_not() {
    let config = Config::new(CONFIG);
    let mut run = run(&config.path());
    run.signal(Signal::HUP);
    assert_eq!(said(&mut run), Vec::<String>::new());
    run.signal(Signal::HUP);
    assert_eq!(said(&mut run), Vec::<String>::new());
    config.write(&changed(1600));
    run.signal(Signal::HUP);
    assert_eq!(said(&mut run), ["web: threshold 1500 → 1600"]);
    config.write(&format!("mode = \"atuo\"\n{CONFIG}"));
    run.signal(Signal::HUP);
    let alarm = run.until(|event| event["type"] == "alarm");
    assert!(text(&alarm).contains("whimbrel.toml:1:8: error:"), "{alarm}");
    config.write(CONFIG);
    // Read by the hang-up before it was noticed, the file is once more what it was when it was last noticed.
    assert_eq!(said(&mut run), ["web: threshold 1600 → 1500"]);
}

#[test]
fn all_that_changed_is_said_line_by_line_and_once() {
    let config = Config::new(CONFIG);
    let mut run = run(&config.path());
    let text = CONFIG
        .replace("[history]", "mode = \"observe\"\n[limits]\ncooldown = \"10m\"\n[history]")
        .replace("\"mln3\"]", "{ name = \"mln3\", draining = true }, \"mln4\"]")
        .replace("threshold = 50,", "threshold = 60,")
        .replace("tarry = 3 }\n", "tarry = 4 }\n")
        .replace("past.db\"", "past.db\"\nraw = \"7d\"")
        .replace("service = \"mysql\"", "service = \"mysql\", demand_ghz = 0.75");
    config.write(&format!("{text}[[vm]]\nname = \"new\"\nhost = \"mln4\"\nmonitor = {{ kind = \"simulated\", service = \"http\" }}\npolicy = {{ kind = \"threshold\", threshold = 900, tarry = 3 }}\n"));
    let mut lines = said(&mut run);
    lines.sort();
    let wanted = [
        "array a: ring mln1 mln2 mln3 → mln1 mln2 mln3 mln4",
        "cooldown off → 10m",
        "db: monitor demand_ghz 0.5 → 0.75",
        "db: tarry 3 → 4",
        "db: threshold 50 → 60",
        "history raw 14d → 7d: holds from the next start",
        "host mln3: draining, takes no more VMs",
        "host mln4: added",
        "mode ask → observe",
        "new: added, on mln4",
    ];
    assert_eq!(lines, wanted);
}

#[test]
fn a_broken_file_is_said_with_its_place_and_the_last_good_config_stays() {
    let config = Config::new(CONFIG);
    let mut run = run(&config.path());
    config.write(&CONFIG.replace("threshold = 50,", "threshold = fifty,"));
    let alarm = run.until(|event| event["type"] == "alarm");
    assert!(text(&alarm).contains("whimbrel.toml:18:44: error:"), "{alarm}");
    run.until_type("sample", "db");
    assert_eq!(run.of("sample", "db").last().map(|sample| &sample["tarry"]), Some(&3.into()), "it goes on");
    config.write(&CONFIG.replace("threshold = 50,", "threshold = 55,"));
    assert_eq!(said(&mut run), ["db: threshold 50 → 55"]);
    assert_eq!(run.events.iter().filter(|event| event["type"] == "alarm").count(), 1);
}

#[test]
fn many_quick_rewrites_end_in_the_last_ones_settings() {
    let config = Config::new(CONFIG);
    let mut run = run(&config.path());
    for round in 0..3 {
        for n in 1..=200 {
            // Some of them half written, some broken, some renamed over.
            match n % 4 {
                0 => config.write(&changed(n)[..200]),
                1 => fs::write(config.beside("new"), changed(n))
                    .and_then(|()| fs::rename(config.beside("new"), config.path()))
                    .expect("renamed over"),
                _ => config.write(&changed(n)),
            }
        }
        let last = 1700 + round;
        config.write(&changed(last));
        let new = last.to_string();
        run.until(|event| event["key"] == "threshold" && event["new"] == *new);
    }
    // It is what a new engine would have, and nothing comes after it.
    run.signal(Signal::HUP);
    assert_eq!(said(&mut run), Vec::<String>::new());
    let out = whimbrel().arg("check").arg(config.path()).output().expect("the binary runs");
    assert!(out.status.success());
}

// ---------------------------------------------------------------------------------------------------------------------
// In the console

fn console(config: &Config) -> Console {
    let mut console = Console::over(&config.path());
    console.shows("watching");
    console
}

fn left(mut console: Console) {
    console.press("q");
    console.until("the terminal as it was", Console::is_restored);
    assert!(console.child.wait().expect("an end").success());
}

#[test]
fn the_console_shows_the_change_and_keeps_its_selection() {
    let config = Config::new(CONFIG);
    let mut console = console(&config);
    console.press("/db\r");
    console.shows("1 of 2");
    config.write(&CONFIG.replace("threshold = 50,", "threshold = 55,"));
    console.shows("threshold 50 → 55");
    assert!(console.text().contains("1 of 2"));
    left(console);
}

#[test]
fn the_console_has_a_banner_for_a_broken_file_until_it_is_right_again() {
    let config = Config::new(CONFIG);
    let mut console = console(&config);
    config.write(&CONFIG.replace("threshold = 50,", "threshold = fifty,"));
    console.shows("the config is broken");
    console.shows("whimbrel.toml:18:44");
    assert!(console.text().contains("watching"), "the last good one runs on");
    // The same file as before: nothing changes, but the banner goes.
    config.write(CONFIG);
    console.until("the banner gone", |console| !console.text().contains("the config is broken"));
    left(console);
}

#[test]
fn a_key_reads_the_file_again() {
    let config = Config::new(CONFIG);
    let mut console = console(&config);
    console.press("R");
    console.shows("config: applied: 2 VMs, 3 hosts");
    left(console);
}
