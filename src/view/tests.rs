//! The words for what happened, record by record: the event contract's line of JSON and the log's line for people.

use std::collections::BTreeSet;

use super::*;
use crate::core::cluster::{Cluster, HostId, HostState, RequestId, Span, Timestamp, Transfer, Value, VmId};
use crate::core::engine::{By, Engine, Event, Gate, Happened, Phase, Presence, Record, StageKind, VmState};
use crate::core::policy::Decision;
use crate::core::simulation::{Scenario, Size};

const NII4: VmId = VmId(0);
const MLN1: HostId = HostId(0);
const MLN2: HostId = HostId(1);
const XL1: HostId = HostId(3);
const ENDS: [&str; 2] = ["mln1", "mln2"];
const AT: Timestamp = Timestamp::from_millis(1_241_613_863_042);
const ID: RequestId = RequestId(7);

/// The thesis's third scenario: nii4 at two sites.
fn cluster() -> Cluster {
    Scenario::Three.build(Size::default(), 1).0
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn sample(value: Value) -> Happened {
    Happened::Sample { value, count: 2, tarry: 3, low_count: 0, low_tarry: 20, state: VmState::Watching }
}

fn decision() -> Happened {
    Happened::Decision { action: Decision::MoveAway, reason: text("4 big jobs of 15, at or above 2") }
}

fn request(by: By, [from, to]: [&str; 2]) -> Happened {
    Happened::Request { id: ID, action: Decision::MoveAway, from: from.into(), to: to.into(), by }
}

fn migration(phase: Phase, detail: &str) -> Happened {
    Happened::Migration { id: ID, phase, percent: 62, from: "mln1".into(), to: "mln2".into(), detail: text(detail) }
}

fn state(state: VmState, why: &str) -> Happened {
    Happened::State { state, why: text(why) }
}

fn blocked() -> Happened {
    Happened::Blocked { action: Decision::MoveHome, gate: Gate::Cooldown, detail: text("11 min left") }
}

/// The JSON line, with the time and the VM that stand in each.
fn json(what: Happened) -> String {
    let record = Record { at: AT, vm: Some("nii4".into()), what };
    let line = serde_json::to_string(&record).expect("JSON");
    let rest = line.strip_prefix(r#"{"at":"2009-05-06T12:44:23.042Z","vm":"nii4","type":"#);
    rest.unwrap_or_else(|| panic!("{line}")).to_owned()
}

/// How loud the last of these records is and what the log says, if it says anything.
fn edit(old: &str, why: Option<&str>) -> Happened {
    let (by, key, old, new) = (text("root"), text("threshold"), text(old), text("60"));
    Happened::Edit { by, key, old, new, why: why.map(text) }
}

fn said(records: &[Happened]) -> Option<(Level, String)> {
    let mut log = Log::default();
    let lines = records.iter().map(|what| log.line(&Record { at: AT, vm: Some("nii4".into()), what: what.clone() }));
    lines.last().flatten().map(|line| (line.level, line.text))
}

#[test]
fn each_record_is_the_contracts_line_of_json() {
    let counts = r#""count":2,"tarry":3,"low_count":0,"low_tarry":20,"state":"watching"}"#;
    assert_eq!(json(sample(Value::Exact(62.5))), format!(r#""sample","value":62.5,{counts}"#));
    assert_eq!(json(sample(Value::AtLeast(800.0))), format!(r#""sample","value":800.0,"at_least":true,{counts}"#));
    assert_eq!(json(sample(Value::Busy)), format!(r#""sample","value":null,{counts}"#));
    let gap = Happened::Gap { reason: text("connection refused"), state: VmState::Stale };
    assert_eq!(json(gap), r#""gap","reason":"connection refused","state":"stale"}"#);
    assert_eq!(json(decision()), r#""decision","action":"move_away","reason":"4 big jobs of 15, at or above 2"}"#);
    assert_eq!(json(blocked()), r#""blocked","action":"move_home","gate":"cooldown","detail":"11 min left"}"#);
    assert_eq!(
        json(request(By::Policy, ENDS)),
        r#""request","id":7,"action":"move_away","from":"mln1","to":"mln2","by":"policy"}"#
    );
    assert_eq!(
        json(migration(Phase::Running, "round 2 of 6")),
        r#""migration","id":7,"phase":"running","percent":62,"from":"mln1","to":"mln2","detail":"round 2 of 6"}"#
    );
    assert_eq!(json(state(VmState::Settling, "45 s more")), r#""state","state":"settling","why":"45 s more"}"#);
    assert_eq!(json(Happened::Alarm { text: text("it is lost") }), r#""alarm","text":"it is lost"}"#);
    let operator = Happened::Operator { by: text("operator"), text: text("mode ask → auto") };
    assert_eq!(json(operator), r#""operator","by":"operator","text":"mode ask → auto"}"#);
    assert_eq!(json(edit("50", None)), r#""edit","by":"root","key":"threshold","old":"50","new":"60"}"#);
    let why = r#""edit","by":"root","key":"threshold","old":"50","new":"60","why":"too many moves"}"#;
    assert_eq!(json(edit("50", Some("too many moves"))), why);
}

#[test]
fn a_line_of_json_is_read_as_it_was_written_and_a_later_versions_too() {
    let at_least = sample(Value::AtLeast(800.0));
    for what in [sample(Value::Busy), at_least, request(By::Policy, ENDS), edit("50", None), Happened::Other] {
        let record = Record { at: AT, vm: Some("nii4".into()), what };
        let line = serde_json::to_string(&record).expect("JSON");
        assert_eq!(serde_json::from_str::<Record>(&line).expect(&line), record);
    }
    let later = r#"{"at":"2109-05-06T12:44:23Z","vm":"nii4","type":"teleported","to":{"star":"Vega"}}"#;
    assert_eq!(serde_json::from_str::<Record>(later).expect("a record").what, Happened::Other);
}

#[test]
fn across_sites_hosts_are_named_with_their_site() {
    let cluster = cluster();
    assert_eq!(cluster.ends(MLN1, MLN2), ("mln1".into(), "mln2".into()));
    assert_eq!(cluster.ends(MLN1, XL1), ("oslo/mln1".into(), "cloud/xl1".into()));
}

#[test]
fn an_event_of_the_cluster_has_no_vm() {
    let record = Record { at: AT, vm: None, what: Happened::Alarm { text: text("host mln3 is down") } };
    assert_eq!(
        serde_json::to_string(&record).expect("JSON"),
        r#"{"at":"2009-05-06T12:44:23.042Z","type":"alarm","text":"host mln3 is down"}"#
    );
}

#[test]
fn every_type_is_in_the_docs() {
    let docs = include_str!("../../docs/events.md");
    let all = [
        sample(Value::AtLeast(800.0)),
        Happened::Gap { reason: text("x"), state: VmState::Stale },
        decision(),
        blocked(),
        request(By::Policy, ENDS),
        migration(Phase::Running, ""),
        state(VmState::Held, "x"),
        Happened::Alarm { text: text("x") },
        edit("50", Some("x")),
        Happened::Operator { by: text("x"), text: text("x") },
    ];
    let keys = |what: Happened| {
        let line: serde_json::Value = serde_json::from_str(&format!(r#"{{"type":{}"#, json(what))).expect("JSON");
        let name = line["type"].as_str().unwrap_or_default().to_owned();
        let keys: BTreeSet<String> = line.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
        (name, keys)
    };
    for (name, keys) in all.map(keys) {
        let row = docs.lines().find(|line| line.starts_with(&format!("| `{name}` |"))).unwrap_or_default();
        for key in keys.iter().filter(|key| *key != "type") {
            assert!(row.contains(&format!("`{key}`")), "docs/events.md has no {key} of {name}");
        }
    }
}

#[test]
fn the_log_says_what_matters_to_people_and_how_loud() {
    let line = |level, said: &str| Some((level, text(said)));
    assert_eq!(said(&[request(By::Operator, ENDS)]), line(Level::Info, "request #7  mln1 > mln2  by operator"));
    assert_eq!(
        said(&[request(By::Schedule, ["oslo/mln1", "cloud/xl1"])]),
        line(Level::Info, "request #7  oslo/mln1 > cloud/xl1  by schedule")
    );
    assert_eq!(said(&[blocked()]), line(Level::Warning, "move home blocked by cooldown: 11 min left"));
    for (phase, level, word) in [
        (Phase::Confirmed, Level::Good, "confirmed"),
        (Phase::Failed, Level::Warning, "failed"),
        (Phase::Aborted, Level::Warning, "aborted"),
        (Phase::Unknown, Level::Warning, "unknown"),
        (Phase::Lost, Level::Alarm, "lost"),
        (Phase::Double, Level::Alarm, "double"),
    ] {
        assert_eq!(said(&[migration(phase, "21.3 s")]), line(level, &format!("{word} #7  mln1 > mln2  21.3 s")));
    }
    assert_eq!(said(&[migration(Phase::Confirmed, "")]), line(Level::Good, "confirmed #7  mln1 > mln2"));
    for state_said in [VmState::Stale, VmState::Held] {
        assert_eq!(said(&[state(state_said, "why")]), line(Level::Warning, "why"));
    }
    assert_eq!(said(&[state(VmState::Resting, "until Mon 09:00")]), line(Level::Info, "until Mon 09:00"));
    assert_eq!(said(&[Happened::Alarm { text: text("host down") }]), line(Level::Alarm, "host down"));
    let operator = Happened::Operator { by: text("config"), text: text("applied") };
    assert_eq!(said(&[operator]), line(Level::Info, "config: applied"));
    let edited = "threshold 50 → 60 by root: too many moves";
    assert_eq!(said(&[edit("50", Some("too many moves"))]), line(Level::Info, edited));
    assert_eq!(said(&[edit("", None)]), line(Level::Info, "threshold set to 60 by root"));
}

#[test]
fn what_is_only_progress_is_not_in_the_log() {
    let gap = Happened::Gap { reason: text("x"), state: VmState::Watching };
    let settling = state(VmState::Settling, "x");
    for what in [sample(Value::Exact(1.0)), gap, decision(), migration(Phase::Running, "x"), settling] {
        assert_eq!(said(std::slice::from_ref(&what)), None, "{what:?}");
    }
}

#[test]
fn a_decision_says_why_in_what_follows_from_it() {
    let why = "4 big jobs of 15, at or above 2";
    let after = |what| said(&[decision(), what]).map(|(_, text)| text).unwrap_or_default();
    assert_eq!(after(request(By::Policy, ENDS)), format!("request #7  mln1 > mln2  by policy: {why}"));
    assert_eq!(after(blocked()), format!("move home blocked by cooldown: 11 min left: {why}"));
    assert_eq!(after(state(VmState::Waiting, "request #7 waits")), format!("request #7 waits: {why}"));
    assert_eq!(after(request(By::Operator, ENDS)), "request #7  mln1 > mln2  by operator");
}

#[test]
fn a_line_begins_with_its_time_its_level_and_its_vm() {
    let line = |level, vm: Option<&str>| LogLine { at: AT, vm: vm.map(Into::into), level, text: text("words") };
    assert_eq!(line(Level::Alarm, Some("nii4")).to_string(), "2009-05-06T12:44:23Z ! nii4  words");
    assert_eq!(line(Level::Warning, Some("nii4")).to_string(), "2009-05-06T12:44:23Z - nii4  words");
    assert_eq!(line(Level::Good, None).to_string(), "2009-05-06T12:44:23Z   cluster  words");
}

/// An engine that moves nii4 from mln1 to mln2, and has just been asked to.
fn moving() -> Engine {
    let mut engine = Engine::new(cluster(), AT);
    for host in [MLN1, MLN2] {
        tell(&mut engine, Event::Host { host, state: HostState::Up, load: None, why: None });
    }
    let target = Target::Host(text("mln2"));
    tell(&mut engine, Event::Command { by: text("root"), command: Command::Move { vm: text("nii4"), target } });
    engine
}

fn tell(engine: &mut Engine, event: Event) {
    engine.step(AT, event, &mut Vec::new());
}

fn seen(engine: &Engine) -> VmRow {
    row(engine, NII4, &Memory::default(), false, AT)
}

#[test]
fn a_migration_is_shown_stage_by_stage_with_its_figures() {
    let mut engine = moving();
    let shown = |engine: &Engine| seen(engine).migration.expect("a migration");
    let id = shown(&engine).id;
    let asked = shown(&engine);
    assert_eq!((&*asked.from, &*asked.to, asked.by, asked.stage), ("mln1", "mln2", By::Operator, StageKind::Preflight));
    assert_eq!(asked.outlook(), Outlook::Untold);

    let forecast = Some(text("42 s, 6 rounds"));
    tell(&mut engine, Event::Preflight { id, refusal: None, forecast });
    assert_eq!(shown(&engine).stage, StageKind::Journal);
    tell(&mut engine, Event::Journalled { id });
    let transfer = Transfer { left: 90_000_000, rate: 40_000_000, dirty: 10_000_000, ..Transfer::default() };
    tell(&mut engine, Event::Progress { id, percent: 58, detail: text("round 2"), transfer: Some(transfer) });
    let running = shown(&engine);
    assert_eq!((running.stage, running.percent, &*running.forecast), (StageKind::Running, 58, "42 s, 6 rounds"));
    assert_eq!(running.outlook(), Outlook::Left(Span::from_secs(3)));
    assert!(running.can_abort() && !running.aborting);

    let faster = Transfer { dirty: 50_000_000, ..transfer };
    tell(&mut engine, Event::Progress { id, percent: 58, detail: text("round 3"), transfer: Some(faster) });
    tell(&mut engine, Event::Command { by: text("root"), command: Command::Abort { vm: text("nii4") } });
    assert_eq!(shown(&engine).outlook(), Outlook::Never { writes: 50_000_000, sends: 40_000_000 });
    assert!(shown(&engine).aborting && shown(&engine).can_abort(), "it can be asked again");

    tell(&mut engine, Event::Ended { id, detail: String::new() });
    assert_eq!((shown(&engine).stage, shown(&engine).can_abort()), (StageKind::Confirming, false));
    let [source, destination] = [Presence::Runs, Presence::Unknown];
    tell(&mut engine, Event::Presence { id, source, destination });
    assert_eq!(shown(&engine).stage, StageKind::Unknown);
}

#[test]
fn a_lost_or_double_vm_keeps_its_mark_until_it_is_released() {
    for both in [Presence::Absent, Presence::Runs] {
        let mut engine = moving();
        let id = seen(&engine).migration.expect("a migration").id;
        assert!(!seen(&engine).alarm);
        let (source, destination) = (both, both);
        for event in [
            Event::Preflight { id, refusal: None, forecast: None },
            Event::Journalled { id },
            Event::Ended { id, detail: String::new() },
            Event::Presence { id, source, destination },
        ] {
            tell(&mut engine, event);
        }
        tell(&mut engine, Event::Command { by: text("root"), command: Command::Acknowledge });
        assert_eq!(engine.alarms().count(), 0);
        assert!(seen(&engine).alarm, "{both:?}");
        tell(&mut engine, Event::Command { by: text("root"), command: Command::Release { vm: text("nii4") } });
        assert!(!seen(&engine).alarm, "{both:?}");
    }
}

#[test]
fn a_vm_that_is_found_nowhere_is_marked_until_it_is_found_again() {
    let mut engine = Engine::new(cluster(), AT);
    tell(&mut engine, Event::Found { vm: NII4, hosts: vec![MLN1] });
    assert_eq!((seen(&engine).trouble, seen(&engine).alarm), (None, false));
    tell(&mut engine, Event::Found { vm: NII4, hosts: Vec::new() });
    tell(&mut engine, Event::Command { by: text("root"), command: Command::Acknowledge });
    assert_eq!((seen(&engine).trouble.as_deref(), seen(&engine).alarm), (Some("it runs nowhere"), true));
    tell(&mut engine, Event::Command { by: text("root"), command: Command::Hold { vm: text("nii4") } });
    assert_eq!((seen(&engine).trouble.as_deref(), seen(&engine).alarm), (Some("it runs nowhere"), true), "held");
    tell(&mut engine, Event::Command { by: text("root"), command: Command::Release { vm: text("nii4") } });
    tell(&mut engine, Event::Found { vm: NII4, hosts: vec![MLN1] });
    assert_eq!((seen(&engine).trouble, seen(&engine).alarm), (None, false));
}
