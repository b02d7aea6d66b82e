use super::*;
use crate::core::cluster::{Monitor, Reading, Source, Span, VmId};
use crate::core::engine::{Command, Target};
use crate::core::simulation::{START, Scenario, Size};
use crate::edge::config;
use crate::runtime::config_worker::{Changed, ConfigInputs};
use crate::runtime::{Format, HistoryBatcher, Printer, Publisher};
use crate::view::{CommandId, SetValue, Snapshot};

/// A VM that a real monitor reads. Its URL is invalid, so that no connection is ever made.
fn event_loop() -> EventLoop {
    let (cluster, mut monitors, plan) = Scenario::One.build(Size::default(), 1);
    let source = Source::Http { url: "nowhere".to_owned(), expect: 200 };
    monitors[0] = Monitor { source, deadline: Span::from_secs(1) };
    let engine_host = EngineHost::new(cluster, monitors, plan, START);
    // Every VM's first reading is due by now.
    let began = Instant::now() - Duration::from_secs(2);
    let pace = Pace::Simulated { start: START, began, speed: 60.0 };
    let show = Frontend::Print(Printer::new(Format::Json, Box::new(io::sink())));
    EventLoop::new(engine_host, pace, Outputs::new(show, HistoryBatcher::none()), Workers::default())
}

async fn polled(event_loop: &mut EventLoop) -> Vec<Polled> {
    let mut all = Vec::new();
    while let Some(polled) = event_loop.polls.next(event_loop.engine_host.monitors()).await {
        all.push(polled);
    }
    all
}

#[tokio::test]
async fn what_is_due_is_read_by_a_real_monitor() {
    let mut event_loop = event_loop();
    event_loop.come_to_now();
    event_loop.pass_on();
    let all = polled(&mut event_loop).await;
    assert!(matches!(&all[..], [Polled::Reading(VmId(0), Reading::Gap(why))] if why.contains("URL")));
}

/// A VM that always wants to move.
const BUSY: &str = r#"
            mode = "auto"
            [history]
            file = "a.db"
            [[array]]
            name = "a"
            host = ["mln1", "mln2"]
            [[vm]]
            name = "nii2"
            host = "mln1"
            monitor = { kind = "simulated", service = "apache" }
            policy = { kind = "threshold", threshold = 100000, tarry = 1 }
        "#;

/// A config file, and the folder that goes with it.
fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("whimbrel.toml");
    std::fs::write(&path, text).expect("a file");
    (folder, path)
}

#[tokio::test]
async fn the_very_first_migration_is_written_down_before_it_starts() {
    let (_folder, path) = written(BUSY);
    let show = Frontend::Print(Printer::new(Format::Json, Box::new(io::sink())));
    let journal = Some(path.with_extension("journal"));
    let loaded = config::load_with_bytes(&path).expect("a config");
    let mut event_loop = crate::runtime::start::over_with(loaded, journal, show, None).expect("a history");
    for _ in 0..20 {
        if event_loop.engine().migrations().next().is_none() {
            event_loop.wake(event_loop.engine_host.next_wake());
        }
    }
    assert!(event_loop.workers.is_journalling(), "it waits for its journal");
    let stage = event_loop.engine().migrations().next().map(|migration| migration.stage());
    assert_eq!(stage, Some(crate::core::engine::StageKind::Journal));
}

#[tokio::test]
async fn a_journals_disk_is_waited_for_in_real_time_however_fast_time_runs() {
    let mut event_loop = event_loop();
    event_loop.engine_host.journal_outside(true);
    event_loop.come_to_now();
    let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln5".to_owned()) };
    event_loop.engine_host.command("operator", there, &mut event_loop.outputs, &mut event_loop.asks);
    // The disk does not answer.
    assert_eq!(event_loop.asks.journal.drain(..).count(), 1);
    let mut waits_after = |seconds| {
        if let Pace::Simulated { began, .. } = &mut event_loop.pace {
            *began -= Duration::from_secs(seconds);
        }
        event_loop.come_to_now();
        event_loop.engine().migrations().count() == 1
    };
    assert!(waits_after(10), "ten seconds are ten minutes here");
    assert!(!waits_after(10), "it does not wait for ever");
}

#[tokio::test]
async fn a_config_that_a_migration_stands_against_is_applied_when_that_is_done() {
    let (_folder, path) = written(include_str!("../../../config/first.toml"));
    let mut event_loop = event_loop();
    let inputs = ConfigInputs { file: Some(path.clone()), ..ConfigInputs::default() };
    event_loop.workers.start_config(inputs).expect("a worker");
    event_loop.come_to_now();
    let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln5".to_owned()) };
    event_loop.engine_host.command("operator", there, &mut event_loop.outputs, &mut event_loop.asks);
    assert_eq!(event_loop.engine().migrations().count(), 1);
    let config = config::load(&path).expect("a config");
    event_loop.changed(reread(config, None)).expect_err("a migration is under way");
    assert!(event_loop.engine().cluster().vm_named("nii2").is_some(), "it is on its way: the old config stays");
    while event_loop.engine().migrations().next().is_some() {
        event_loop.wake(event_loop.engine_host.next_wake());
    }
    event_loop.reload_refused();
    while event_loop.engine().cluster().vm_named("nii2").is_some() {
        let event = event_loop.workers.next().await;
        event_loop.on_worker_event(event);
    }
    assert!(event_loop.refused.is_none() && event_loop.engine().cluster().vm_named("web").is_some());
}

#[tokio::test]
async fn what_was_due_before_a_reload_is_not_asked_of_the_new_configs_vms() {
    let (_folder, path) = written(include_str!("../../../config/first.toml"));
    let config = config::load(&path).expect("a config");
    let mut event_loop = event_loop();
    event_loop.changed(reread(config, None)).expect("it can be applied");
    assert!(event_loop.engine_host.engine().cluster().vm_named("nii1").is_none(), "the config is the new one");
    assert!(polled(&mut event_loop).await.is_empty());
}

#[tokio::test]
async fn a_burst_of_readings_does_not_keep_a_drivers_fact_waiting() {
    let mut event_loop = event_loop();
    let fact = DriverEvent::Trouble { vm: None, text: "a fact".to_owned() };
    event_loop.drivers = Drivers::saying(std::iter::repeat_n(fact.clone(), 3));
    event_loop.come_to_now();
    event_loop.pass_on();
    // The poll ends as soon as its task has run.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let (_control, mut control) = mpsc::channel(1);
    let far = Instant::now() + Duration::from_secs(3_600);
    for _ in 0..3 {
        let woken = event_loop.wait(far, &mut control, &mut None).await;
        assert!(matches!(woken, Woken::DriverEvent(said) if said == fact), "the driver first");
    }
    assert!(matches!(event_loop.wait(far, &mut control, &mut None).await, Woken::Polled(Polled::Reading(..))));
}

#[tokio::test]
async fn without_a_place_for_a_journal_no_migration_starts() {
    let (_folder, path) = written(BUSY);
    let show = Frontend::Print(Printer::new(Format::Json, Box::new(io::sink())));
    let loaded = config::load_with_bytes(&path).expect("a config");
    let mut event_loop = crate::runtime::start::over_with(loaded, None, show, None).expect("an engine");
    for _ in 0..20 {
        event_loop.wake(event_loop.engine_host.next_wake());
        assert_eq!(event_loop.engine().migrations().count(), 0, "asked for, refused at once");
    }
    let last = event_loop.engine().keep(VmId(0)).outcome(RequestId(1));
    assert!(last.is_some(), "one was asked for");
}

/// A changed file as its worker tells of it.
fn reread(config: config::Config, before: Option<config::Config>) -> Changed {
    let said = before.as_ref().map_or_else(Vec::new, |before| config::differences(before, &config));
    Changed { config, before, said, uneditable: None, origins: Vec::new() }
}

/// A loop that shows a console what it does; with a worker for this config file.
fn shown(path: &std::path::Path) -> (EventLoop, tokio::sync::watch::Receiver<std::sync::Arc<Snapshot>>) {
    let config = config::load(path).expect("a config");
    let engine_host = EngineHost::new(config.cluster, config.monitors, config.plan, START);
    let (publisher, seen) = Publisher::new(engine_host.engine(), START, None, None);
    let outputs = Outputs::new(Frontend::Publish(publisher), HistoryBatcher::none());
    let mut workers = Workers::default();
    let inputs = ConfigInputs { file: Some(path.to_owned()), ..ConfigInputs::default() };
    workers.start_config(inputs).expect("a worker");
    (EventLoop::new(engine_host, Pace::Unpaced, outputs, workers), seen)
}

#[tokio::test]
async fn each_answer_has_the_id_of_its_command() {
    let (_folder, path) = written(include_str!("../../../config/first.toml"));
    let (mut event_loop, seen) = shown(&path);
    let vm = event_loop.engine().cluster().vms[0].name.clone();
    let set = |value| SetValue {
        vms: vec![vm.as_str().into()],
        scope: crate::view::Scope::Block,
        field: crate::core::policy::Field::Threshold,
        value,
    };
    let nobody = Command::Move { vm: "nobody".to_owned(), target: Target::Next };
    event_loop.on_ui_command(UiCommand::SetValue(CommandId(1), set(4_321.0)));
    event_loop.on_ui_command(UiCommand::SetValue(CommandId(2), set(4_321.0)));
    event_loop.on_ui_command(UiCommand::Reload(CommandId(3)));
    event_loop.on_ui_command(UiCommand::Command(CommandId(4), nobody));
    event_loop.on_ui_command(UiCommand::Command(CommandId(5), Command::Hold { vm: vm.to_string() }));
    let answers = || -> Vec<(Option<CommandId>, bool)> {
        seen.borrow().answers.iter().map(|answer| (answer.to, answer.ok)).collect()
    };
    while answers().len() < 5 {
        let event = event_loop.workers.next().await;
        event_loop.on_worker_event(event);
        event_loop.publish();
    }
    let expected = [(4, false), (5, true), (1, true), (2, false), (3, true)].map(|(id, ok)| (Some(CommandId(id)), ok));
    assert_eq!(answers(), expected);
}

#[tokio::test]
async fn a_worker_whose_queues_are_full_refuses_at_once_and_answers_what_it_took() {
    // More than the questions and the answers that wait.
    const MANY: u64 = 1_000;
    let (_folder, path) = written(include_str!("../../../config/first.toml"));
    let (mut event_loop, seen) = shown(&path);
    let mut taken = std::collections::BTreeSet::new();
    for id in 0..MANY {
        event_loop.on_ui_command(UiCommand::Reload(CommandId(id)));
        let busy = seen.borrow().answers.last().is_some_and(|answer| answer.to == Some(CommandId(id)));
        if busy {
            let answer = seen.borrow().answers.last().map(|answer| (answer.ok, answer.text.clone()));
            assert_eq!(answer, Some((false, "too busy: not done, try again".to_owned())));
        } else {
            taken.insert(id);
        }
    }
    assert!((taken.len() as u64) < MANY, "nobody has read an answer");
    while !taken.is_empty() {
        if let WorkerEvent::Config((Some(CommandId(id)), _)) = event_loop.workers.next().await {
            assert!(taken.remove(&id), "{id} was refused, or is answered twice");
        }
    }
}

#[tokio::test]
async fn what_is_said_after_the_answer_is_nobodys_answer() {
    let (_folder, path) = written(BUSY);
    let (mut event_loop, seen) = shown(&path);
    event_loop.wake(event_loop.engine_host.next_wake());
    let there = Command::Move { vm: "nii2".to_owned(), target: Target::Host("mln2".to_owned()) };
    event_loop.engine_host.journal_outside(true);
    event_loop.on_ui_command(UiCommand::Command(CommandId(1), there));
    event_loop.publish();
    let answers = || -> Vec<(Option<CommandId>, bool)> {
        seen.borrow().answers.iter().map(|answer| (answer.to, answer.ok)).collect()
    };
    // There is no journal: the move is taken, and refused when it is to be written down.
    assert_eq!(answers(), [(Some(CommandId(1)), true), (None, false)]);
}

#[tokio::test]
async fn what_could_not_be_applied_is_said_when_it_can_be() {
    const TEXT: &str = r#"
            [[array]]
            name = "a"
            host = ["mln1", "mln2"]
            [[vm]]
            name = "nii2"
            host = "mln1"
            monitor = { kind = "simulated", service = "apache" }
            policy = { kind = "threshold", threshold = 5, tarry = 3 }
            [[vm]]
            name = "nii3"
            host = "mln1"
            monitor = { kind = "simulated", service = "apache" }
            policy = { kind = "threshold", threshold = 5, tarry = 3 }
        "#;
    let parse = |text: &str| config::parse(std::path::Path::new("w.toml"), text).expect("a config");
    let old = parse(TEXT);
    let engine_host = EngineHost::new(old.cluster.clone(), old.monitors.clone(), old.plan.clone(), START);
    let (publisher, seen) = Publisher::new(engine_host.engine(), START, None, None);
    let mut event_loop = EventLoop::new(
        engine_host,
        Pace::Unpaced,
        Outputs::new(Frontend::Publish(publisher), HistoryBatcher::none()),
        Workers::default(),
    );
    event_loop.wake(event_loop.engine_host.next_wake());
    let there = Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln2".to_owned()) };
    event_loop.on_ui_command(UiCommand::Command(CommandId(1), there));
    let new = parse(&TEXT.replace("name = \"nii3\"", "name = \"nii4\""));
    let about = |event_loop: &mut EventLoop, words: &str| -> Vec<String> {
        event_loop.publish();
        seen.borrow().log.iter().map(|line| line.text.clone()).filter(|text| text.contains(words)).collect()
    };
    event_loop.changed(reread(new.clone(), Some(old))).expect_err("a migration is under way");
    assert!(about(&mut event_loop, "config not applied: nii3 is migrating").len() == 1);
    assert_eq!(about(&mut event_loop, "removed"), Vec::<String>::new());
    while event_loop.engine().migrations().next().is_some() {
        event_loop.wake(event_loop.engine_host.next_wake());
    }
    // Read again when it is done, the file is as it was then.
    for _ in 0..2 {
        event_loop.changed(reread(new.clone(), Some(new.clone()))).expect("it can be applied");
        assert_eq!(about(&mut event_loop, "removed"), ["config: VM nii3: removed"]);
    }
}
