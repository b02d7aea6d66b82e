//! What a console sees of an engine that goes on.

use super::*;
use crate::core::cluster::{Cluster, HostState, Monitor, Reading, Span};
use crate::core::engine::{self, Change, Event, Gate, Target};
use crate::core::policy::{Decision, Rule};
use crate::core::simulation::{Plan, START, Scenario, Size};
use crate::edge::config::Config;
use crate::runtime::engine_host::{Asked, EngineHost};

/// The thesis's second scenario: nii3 and nii5 on mln1 and mln2.
struct Stage {
    engine_host: EngineHost,
    publisher: Publisher,
    seen: watch::Receiver<Arc<Snapshot>>,
}

const NII3: VmId = VmId(0);

fn scenario() -> (Cluster, Vec<Monitor>, Plan) {
    Scenario::Two.build(Size::default(), 1)
}

impl Stage {
    fn set() -> Self {
        let (cluster, monitors, plan) = scenario();
        let engine_host = EngineHost::new(cluster, monitors, plan, START);
        let (publisher, seen) = Publisher::new(engine_host.engine(), START, None, None);
        Self { engine_host, publisher, seen }
    }

    /// Goes on until so long after the start.
    fn run_until(&mut self, after: Span) {
        while self.engine_host.next_wake() <= START + after {
            let due = self.engine_host.next_wake();
            self.engine_host.wake(due, &mut self.publisher, &mut Asked::default());
        }
    }

    fn say(&mut self, command: Command) {
        let asks = &mut Asked::default();
        let (ok, text) = self.engine_host.command("operator", command.clone(), &mut self.publisher, asks);
        self.publisher.answer_to(None, ok, &text);
        self.publisher.touched_by(&command, self.engine_host.engine());
    }

    fn amend(&mut self, vm: &str, change: impl FnOnce(&mut Rule)) {
        let cluster = self.engine_host.engine().cluster();
        let mut settings = cluster.vm(cluster.vm_named(vm).expect("a VM")).policy.clone();
        change(&mut settings.rule);
        let change = Change { vm: vm.to_owned(), settings: Box::new(settings) };
        self.say(Command::Amend { changes: vec![change], why: None });
    }

    fn reconfigure(&mut self, (cluster, monitors, plan): (Cluster, Vec<Monitor>, Plan)) {
        let config = Config::simulated(cluster, monitors, plan);
        self.engine_host
            .reconfigure(config, Vec::new(), &mut self.publisher, &mut Asked::default())
            .expect("nothing stands against it");
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        self.publisher.publish(self.engine_host.engine(), self.engine_host.now());
        Arc::clone(&self.seen.borrow())
    }

    /// A snapshot with the details of a VM.
    fn look(&mut self, vm: &str) -> Arc<Snapshot> {
        self.publisher.set_look(Subscription {
            vm: Some(vm.into()),
            window: Span::from_hours(1),
            moves: false,
            ..Subscription::default()
        });
        self.snapshot()
    }
}

fn row<'a>(snapshot: &'a Snapshot, vm: &str) -> &'a Arc<VmRow> {
    snapshot.rows.iter().find(|row| &*row.name == vm).expect("a row")
}

fn hosts(snapshot: &Snapshot) -> Vec<&Arc<HostView>> {
    snapshot.arrays.iter().flat_map(|array| &array.hosts).collect()
}

fn kinds(snapshot: &Snapshot) -> Vec<MarkKind> {
    snapshot.detail.iter().flat_map(|detail| &detail.marks).map(|mark| mark.kind.clone()).collect()
}

#[test]
fn what_did_not_change_is_shared_with_the_snapshot_before() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_mins(2));
    let before = stage.snapshot();
    let quiet = stage.snapshot();
    assert_eq!(quiet.seq, before.seq + 1);
    assert!(before.rows.iter().zip(quiet.rows.iter()).all(|(a, b)| Arc::ptr_eq(a, b)));

    let reading = Event::Reading { vm: NII3, reading: Reading::Gap("connection refused".to_owned()) };
    stage.engine_host.tell(reading, &mut stage.publisher, &mut Asked::default());
    let after = stage.snapshot();
    assert!(!Arc::ptr_eq(row(&quiet, "nii3"), row(&after, "nii3")));
    assert_eq!(row(&after, "nii3").gap.as_deref(), Some("connection refused"));
    assert!(Arc::ptr_eq(row(&quiet, "nii5"), row(&after, "nii5")));
    let shared = |name| {
        let of = |snapshot| hosts(snapshot).into_iter().find(|host| &*host.name == name).expect("a host").clone();
        Arc::ptr_eq(&of(&quiet), &of(&after))
    };
    assert!(!shared("mln1"), "where nii3 is");
    assert!(shared("mln2") && shared("mln6"));
}

#[test]
fn a_vm_that_moves_is_on_one_host_and_its_arrival_is_marked() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_secs(30));
    stage.say(Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln4".to_owned()) });
    let asked = stage.snapshot();
    assert_eq!(row(&asked, "nii3").migration.as_ref().map(|m| &*m.to), Some("mln4"));
    assert_eq!(asked.moving.len(), 1);
    let mut minutes = 1;
    let there = loop {
        stage.run_until(Span::from_mins(minutes));
        let snapshot = stage.look("nii3");
        if row(&snapshot, "nii3").migration.is_none() {
            break snapshot;
        }
        minutes += 1;
        assert!(minutes < 10, "it never ends");
    };
    assert_eq!(&*row(&there, "nii3").host, "mln4");
    let at: Vec<&str> = hosts(&there)
        .into_iter()
        .filter(|host| host.vms.iter().any(|vm| &**vm == "nii3"))
        .map(|host| &*host.name)
        .collect();
    assert_eq!(at, ["mln4"]);
    assert_eq!(kinds(&there), [MarkKind::Moved("mln4".into())]);
    assert_eq!((there.moving.len(), there.moves_last_hour), (0, 1));
}

#[test]
fn only_an_edit_that_was_taken_is_marked() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_mins(1));
    let low = |at| {
        move |rule: &mut Rule| match rule {
            Rule::Base { low, .. } => low.at = at,
            other => panic!("another kind: {other:?}"),
        }
    };
    stage.amend("nii3", low(1_000.0));
    let refused = stage.look("nii3");
    assert!(kinds(&refused).is_empty());
    assert!(refused.answers.last().is_some_and(|answer| !answer.ok && answer.text.contains("must be below")));
    stage.amend("nii3", low(2.0));
    let taken = stage.look("nii3");
    assert_eq!(kinds(&taken), [MarkKind::Edited]);
    assert_eq!(row(&taken, "nii3").bounds.low, Some(2.0));
}

#[test]
fn a_changed_config_keeps_each_vms_graph_by_its_name() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_mins(5));
    stage.amend("nii5", |rule| rule.high_mut().expect("a threshold").tarry = 4);
    let before = stage.look("nii5");
    let points = |snapshot: &Snapshot| -> Vec<_> {
        let bands = snapshot.detail.iter().flat_map(|detail| &detail.bands);
        bands.map(|band| (band.at, band.mean.to_bits(), band.samples)).collect()
    };
    assert!(points(&before).len() >= 4);

    let (mut cluster, mut monitors, mut plan) = scenario();
    cluster.vms[NII3.index()].name = "nii9".into();
    cluster.vms.reverse();
    monitors.reverse();
    plan.vms.reverse();
    stage.reconfigure((cluster, monitors, plan));
    let after = stage.look("nii5");
    assert_eq!(after.rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["nii5", "nii9"]);
    assert_eq!(points(&after), points(&before));
    assert_eq!(kinds(&after), [MarkKind::Edited]);
    assert_eq!(row(&after, "nii5").spark.len(), row(&before, "nii5").spark.len());
    assert!(row(&after, "nii9").spark.is_empty(), "another VM's graph is not its own");
    assert_eq!(hosts(&after).iter().map(|host| host.vms.len()).sum::<usize>(), 2);
    stage.run_until(Span::from_mins(8));
    assert!(points(&stage.look("nii5")).len() > points(&before).len(), "and it goes on");
}

#[test]
fn a_changed_config_gives_no_vm_the_reason_of_another() {
    let mut stage = Stage::set();
    let record = |vm: &str, what| Record { at: START, vm: Some(vm.into()), what };
    let decision = Happened::Decision { action: Decision::Move, reason: "62 /min > 50 for 3 samples".to_owned() };
    stage.publisher.record(&record("nii3", decision), stage.engine_host.engine());
    let (mut cluster, mut monitors, mut plan) = scenario();
    cluster.vms.reverse();
    monitors.reverse();
    plan.vms.reverse();
    stage.reconfigure((cluster, monitors, plan));
    let (gate, detail) = (Gate::Cooldown, "4 min left".to_owned());
    let blocked = Happened::Blocked { action: Decision::Move, gate, detail };
    stage.publisher.record(&record("nii5", blocked), stage.engine_host.engine());
    let last = stage.snapshot().log.last().cloned().expect("a line");
    assert_eq!((last.vm.as_deref(), last.text.as_str()), (Some("nii5"), "move blocked by cooldown: 4 min left"));
}

#[test]
fn lines_and_answers_are_bounded_and_the_newest_stay() {
    let mut stage = Stage::set();
    for n in 0..LOG_KEPT + 5 {
        let what = Happened::Alarm { text: format!("alarm {n}") };
        stage.publisher.record(&Record { at: START, vm: None, what }, stage.engine_host.engine());
        stage.publisher.answer(true, &format!("answer {n}"));
    }
    let snapshot = stage.snapshot();
    assert_eq!(snapshot.log.len(), LOG_KEPT);
    assert_eq!(snapshot.log[0].text, "alarm 5");
    assert_eq!(snapshot.answers.len(), ANSWERS_KEPT);
    assert_eq!(snapshot.answers.last().map(|answer| answer.seq), Some(LOG_KEPT as u64 + 5));
}

#[test]
fn the_vms_of_a_host_that_goes_down_are_shown_so_and_no_others() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_mins(1));
    let before = stage.snapshot();
    let mln1 = stage.engine_host.engine().live(NII3).host();
    stage.publisher.host(mln1);
    assert!(Arc::ptr_eq(&before.rows, &stage.snapshot().rows), "its load may be another, its state is not");
    let down = Event::Host { host: mln1, state: HostState::Down, load: None, why: None };
    stage.engine_host.tell(down, &mut stage.publisher, &mut Asked::default());
    stage.publisher.host(mln1);
    let after = stage.snapshot();
    assert_eq!([row(&after, "nii3").host_state, row(&after, "nii5").host_state], [HostState::Down, HostState::Up]);
    assert!(Arc::ptr_eq(row(&before, "nii5"), row(&after, "nii5")));
}

#[test]
fn what_moves_is_listed_with_what_is_shown_of_it() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_secs(30));
    assert!(stage.snapshot().moving.is_empty());
    stage.say(Command::Move { vm: "nii3".to_owned(), target: Target::Host("mln4".to_owned()) });
    let mut stages = Vec::new();
    let mut seconds = 30;
    while stages.is_empty() || stage.engine_host.engine().migration(NII3).is_some() {
        let snapshot = stage.snapshot();
        let [moving] = &snapshot.moving[..] else { panic!("{:?}", snapshot.moving) };
        assert!(Arc::ptr_eq(moving, row(&snapshot, "nii3")));
        stages.push(moving.migration.as_ref().expect("it migrates").stage);
        seconds += 1;
        assert!(seconds < 600, "it never ends");
        stage.run_until(Span::from_secs(seconds));
    }
    assert!(stages.contains(&engine::StageKind::Running), "{stages:?}");
    assert!(stage.snapshot().moving.is_empty());
}

#[test]
fn what_draining_a_host_would_mean_is_said_only_while_it_is_asked() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_mins(1));
    assert!(stage.snapshot().drain.is_none());
    let here = stage.engine_host.engine().live(NII3).host();
    let name = stage.engine_host.engine().cluster().host(here).name.clone();
    stage.publisher.set_look(Subscription { drain: Some(name.clone()), ..Subscription::default() });
    let plan = stage.snapshot().drain.clone().expect("a plan");
    assert_eq!((&plan.host, plan.at_once), (&name, 1));
    let [planned] = &plan.moves[..] else { panic!("{plan:?}") };
    let to = planned.to.as_ref().expect("a place to go");
    assert!(plan.hosts.iter().any(|taker| taker.host == *to && taker.vms_after == taker.vms + 1), "{plan:?}");
    stage.publisher.set_look(Subscription { drain: Some("nowhere".into()), ..Subscription::default() });
    assert!(stage.snapshot().drain.is_none());
}

#[test]
fn a_host_that_is_drained_is_followed_to_its_end_and_its_release() {
    let mut stage = Stage::set();
    stage.run_until(Span::from_mins(1));
    let here = stage.engine_host.engine().live(NII3).host();
    let host = stage.engine_host.engine().cluster().host(here).name.to_string();
    let drain =
        |snapshot: &Snapshot| snapshot.hosts().find(|view| *view.name == *host).and_then(|view| view.drain.clone());
    stage.say(Command::Drain { host: host.clone() });
    let begun = drain(&stage.snapshot()).expect("it is being drained");
    assert_eq!((&*begun.by, begun.commanded, begun.moved, begun.of, begun.done), ("operator", true, 0, 1, false));
    assert_eq!(stage.snapshot().draining, 1);
    stage.say(Command::PauseDrain { host: host.clone() });
    assert!(drain(&stage.snapshot()).is_some_and(|drain| drain.paused));
    stage.say(Command::ResumeDrain { host: host.clone() });
    let mut minutes = 1;
    while !drain(&stage.snapshot()).expect("it is kept empty").done {
        minutes += 1;
        assert!(minutes < 30, "it never ends");
        stage.run_until(Span::from_mins(minutes));
    }
    let ended = stage.snapshot();
    assert_eq!((drain(&ended).map(|drain| (drain.moved, drain.of)), ended.draining), (Some((1, 1)), 0));
    stage.say(Command::Undrain { host: host.clone() });
    assert_eq!(drain(&stage.snapshot()), None);
}

#[test]
fn a_migrations_stage_is_shown_though_nothing_is_said_of_it() {
    let cluster = scenario().0;
    let hosts = cluster.hosts.len();
    let mut engine = Engine::new(cluster, START);
    let (mut publisher, seen) = Publisher::new(&engine, START, None, None);
    let up = |host| Event::Host { host: HostId::at(host), state: HostState::Up, load: None, why: None };
    let (vm, target) = ("nii3".to_owned(), Target::Host("mln4".to_owned()));
    let command = Event::Command { by: "root".to_owned(), command: Command::Move { vm, target } };
    let mut tell = |event| {
        engine.step(START, event, &mut Vec::new());
        publisher.publish(&engine, START);
        row(&seen.borrow(), "nii3").migration.as_ref().map(|migration| (migration.id, migration.stage))
    };
    for host in 0..hosts {
        assert_eq!(tell(up(host)), None);
    }
    let (id, asked) = tell(command).expect("a migration");
    let stages = [
        Event::Preflight { id, refusal: None, forecast: None },
        Event::Journalled { id },
        Event::Ended { id, detail: String::new() },
        Event::Presence { id, source: engine::Presence::Unknown, destination: engine::Presence::Runs },
    ]
    .map(|event| tell(event).map(|(_, stage)| stage));
    use engine::StageKind::{Confirming, Journal, Preflight, Running, Unknown};
    assert_eq!((asked, stages), (Preflight, [Journal, Running, Confirming, Unknown].map(Some)));
}
