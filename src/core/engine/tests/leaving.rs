//! A VM leaves for another site in two steps: its worker stops, then the VM moves.

use proptest::prelude::*;

use super::harness::*;
use crate::core::cluster::{HostId, Mode, RequestId, Span, Timestamp, VmId};
use crate::core::engine::{Ask, By, Command, Effect, Engine, Event, Gate, Happened, Target};
use crate::core::policy::{Decision, SiteRule};
use crate::core::queue::{QueueLook, Stop, WorkerOrder};

/// One empty poll leads home.
const RULE: SiteRule = SiteRule { home_tarry: 1, ..SiteRule::new(2) };

/// nii1 is away, and nothing is in hand.
fn away() -> World {
    let mut cluster = two_sites(RULE);
    cluster.vms[0].host = HostId(3);
    let mut world = World::new(cluster, always(0.0));
    world.queue = Some(idle());
    world
}

/// nii1 is away, and its policy has decided to go home; its worker has not heard of it.
fn deaf() -> World {
    let mut world = away();
    world.obeys = false;
    world.run_for(Span::from_mins(1));
    assert_eq!(world.decisions(), [Decision::MoveHome]);
    world
}

/// What the engine has asked of the worker so far.
fn orders(world: &World) -> Vec<Option<Stop>> {
    let stop = |effect: &Effect| match effect {
        Effect::Order { order, .. } => Some(order.as_ref().map(|order| order.stop)),
        _ => None,
    };
    world.effects.iter().filter_map(stop).collect()
}

fn command(world: &mut World, target: Target) {
    world.command(Command::Move { vm: "nii1".to_owned(), target });
}

/// A small queue in hand away from home.
fn small(in_job: bool) -> QueueLook {
    queue(1, in_job)
}

#[test]
fn going_home_the_worker_confirms_that_it_claims_nothing_more_and_then_the_vm_moves() {
    let mut world = deaf();
    assert_eq!(orders(&world).last(), Some(&Some(Stop::Claiming)));
    assert!(world.control.engine.as_ref().is_some_and(|order| order.until == Some(order.at + Span::from_mins(10))));
    world.run_for(Span::from_mins(5));
    assert_eq!((world.requests().len(), world.host()), (0, "x1"), "not before it confirms");
    let told = "leaves for home when its worker has confirmed that it claims nothing more, asked ";
    assert!(world.why().contains(told), "{}", world.why());
    world.obeys = true;
    world.run_for(Span::from_secs(5));
    assert_eq!(world.host(), "h1");
    assert_eq!(world.decisions().len(), 1, "decided once");
    assert_eq!(orders(&world).last(), Some(&None), "taken back: it works at home");
    let site = world.control.site.clone();
    assert_eq!((world.control.engine.clone(), site), (None, Some("home".to_owned())));
}

#[test]
fn with_a_small_queue_the_job_in_hand_is_finished_and_the_rest_goes_along() {
    let mut world = away();
    world.report(small(true));
    assert_eq!(orders(&world).last(), Some(&Some(Stop::Working)));
    world.run_for(Span::from_hours(1));
    assert_eq!((world.host(), world.alarms().len()), ("x1", 0), "a worker that obeys may take its time");
    world.queue = Some(small(false));
    world.run_for(Span::from_secs(5));
    assert_eq!(world.host(), "h1");
    assert_eq!(world.decisions(), [Decision::MoveHome]);
}

#[test]
fn a_big_queue_goes_away_when_the_job_in_hand_is_done() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.report(queue(2, true));
    world.run_for(Span::from_mins(3));
    assert_eq!(world.host(), "h1");
    world.shows(queue(2, false));
    assert_eq!(world.host(), "x1");
}

#[test]
fn a_queue_that_comes_in_between_keeps_the_vm_there_and_that_is_said() {
    let mut waits = idle();
    waits.waiting = 1;
    for (look, said) in [(waits, "a page waits"), (queue(2, false), "it has claimed q1")] {
        let mut world = deaf();
        world.queue = Some(look);
        world.run_for(Span::from_secs(5));
        world.obeys = true;
        world.run_for(Span::from_mins(1));
        assert_eq!((world.host(), world.requests().len()), ("x1", 0));
        assert_eq!(world.blocked(), [(Gate::Preflight, format!("a queue came in between: {said}"))]);
        assert_eq!(world.control.engine, None, "the worker goes on");
    }
}

#[test]
fn a_small_queue_that_is_through_meanwhile_needs_no_move() {
    let mut world = away();
    world.report(small(true));
    world.report(idle());
    assert_eq!(world.blocked(), [(Gate::Preflight, "the queue in hand is gone".to_owned())]);
    assert_eq!((world.control.engine.clone(), world.host()), (None, "x1"));
}

#[test]
fn a_worker_that_never_confirms_is_an_alarm_and_goes_on() {
    let mut world = deaf();
    let until = world.engine.live(VmId(0)).leaving().unwrap().until;
    world.run_for(until.since(world.now + Span::from_millis(1)));
    assert!(world.alarms().is_empty());
    world.run_for(Span::from_secs(6));
    let why = "its worker has not stopped within 10 min: it does not obey";
    assert_eq!(world.alarms(), [format!("nii1 stays: {why}; look at the worker, or move the VM by hand")]);
    assert_eq!(world.blocked(), [(Gate::Preflight, why.to_owned())]);
    assert_eq!((world.control.engine.clone(), world.host()), (None, "x1"));
}

#[test]
fn an_order_that_cannot_be_written_is_given_again_and_the_alarm_says_why() {
    let mut world = away();
    world.model = Some(Box::new(ReadOnly(0)));
    world.run_for(Span::from_mins(1));
    assert!(world.why().contains("it could not be asked: the source is read-only"), "{}", world.why());
    world.run_for(Span::from_mins(10));
    let orders = orders(&world).into_iter().filter(Option::is_some).count();
    assert!(orders > 90, "{orders}");
    assert!(world.alarms()[0].contains("it could not be asked: the source is read-only"), "{:?}", world.alarms());
}

/// A source that takes no orders, and sometimes does not answer.
struct ReadOnly(u32);

impl QueueModel for ReadOnly {
    fn look(&mut self, now: Timestamp) -> Option<QueueLook> {
        self.0 += 1;
        let mut look = idle();
        look.at = now;
        look.worker.as_mut().unwrap().beat = now;
        (self.0 % 5 != 4).then_some(look)
    }

    fn order(&mut self, _: Timestamp, _: Option<WorkerOrder>) -> bool {
        false
    }

    fn leaves(&mut self, _: Timestamp) {
        panic!("it moves");
    }

    fn arrives(&mut self, _: Timestamp) {}
}

#[test]
fn a_source_that_does_not_answer_meanwhile_is_one_gap_and_makes_nobody_stale() {
    let mut world = deaf();
    world.queue = None;
    for _ in 0..20 {
        world.tell(Event::Reading { vm: VmId(0), reading: crate::core::cluster::Reading::Gap("refused".to_owned()) });
    }
    assert_eq!(world.gaps(), ["refused"]);
    world.queue = Some(idle());
    world.obeys = true;
    world.run_for(Span::from_secs(6));
    assert_eq!(world.host(), "h1");
}

#[test]
fn an_order_is_given_again_before_it_ends_and_is_the_same_for_a_while() {
    let mut world = away();
    world.report(small(true));
    world.run_for(Span::from_mins(30));
    let until = world.effects.iter().filter_map(|effect| match effect {
        Effect::Order { order: Some(order), .. } => Some(order.until.unwrap().since(order.at).millis() / 60_000),
        _ => None,
    });
    assert_eq!(until.collect::<Vec<_>>(), [10, 20, 30, 40]);
}

#[test]
fn a_silent_worker_keeps_the_policy_from_moving_and_is_said_once() {
    let mut world = away();
    world.model = Some(Box::new(Silent));
    world.run_for(Span::from_mins(5));
    assert_eq!(world.blocked(), [(Gate::Quality, "its worker gave its last sign of life 60 s ago".to_owned())]);
    assert!(orders(&world).iter().all(Option::is_none));
    // An operator is warned, and does not wait for it.
    let gates = world.engine.assess(VmId(0), &Ask::Operator(Target::Home), world.now);
    let (_, quality) = gates.into_iter().find(|(gate, _)| *gate == Gate::Quality).unwrap();
    assert!(quality.is_some_and(|why| why.starts_with("its worker gave its last sign of life ")));
    assert!(!world.engine.binds_operator(VmId(0), &Ask::Operator(Target::Home), Gate::Quality, world.now));
    command(&mut world, Target::Home);
    assert_eq!(world.host(), "h1");
}

/// A worker that is dead.
struct Silent;

impl QueueModel for Silent {
    fn look(&mut self, now: Timestamp) -> Option<QueueLook> {
        let mut look = idle();
        look.at = now;
        look.worker.as_mut().unwrap().beat = now - Span::from_mins(1);
        Some(look)
    }

    fn order(&mut self, _: Timestamp, _: Option<WorkerOrder>) -> bool {
        true
    }

    fn leaves(&mut self, _: Timestamp) {}

    fn arrives(&mut self, _: Timestamp) {}
}

#[test]
fn an_operators_move_asks_the_worker_too_and_takes_along_what_is_in_hand() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.report(queue(1, true));
    command(&mut world, Target::Away);
    let said = "nii1: its worker is asked to stop, then it moves from h1 to x1";
    assert_eq!(world.answers, [(true, said.to_owned())]);
    assert_eq!((world.host(), orders(&world).last()), ("h1", Some(&Some(Stop::Working))));
    world.run_for(Span::from_mins(12));
    world.shows(queue(1, false));
    assert_eq!((world.host(), world.alarms().len()), ("x1", 0));
    assert_eq!(
        world.pick(|what| match what {
            Happened::Request { by, .. } => Some(*by),
            _ => None,
        }),
        [By::Operator]
    );
    let home = |world: &mut World| world.command(Command::Move { vm: "nii1".to_owned(), target: Target::Home });
    world.obeys = false;
    home(&mut world);
    world.run_for(Span::from_mins(11));
    let (ok, text) = world.answers.last().unwrap();
    assert!(!ok && text.contains("nii1 stays: its worker has not stopped within 10 min"), "{text}");
    assert_eq!(world.host(), "x1");
}

#[test]
fn within_an_array_a_worker_goes_along_and_is_not_asked() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.report(queue(1, true));
    command(&mut world, Target::Next);
    assert_eq!(world.host(), "h2");
    assert!(orders(&world).iter().all(Option::is_none));
}

#[test]
fn an_operator_can_call_it_off() {
    for (command, gate) in
        [(Command::Abort { vm: "nii1".to_owned() }, Gate::Mode), (Command::Hold { vm: "nii1".to_owned() }, Gate::Hold)]
    {
        let mut world = deaf();
        world.command(command);
        assert!(world.answers.iter().all(|(ok, _)| *ok), "{:?}", world.answers);
        assert_eq!(world.blocked()[0].0, gate);
        assert_eq!((world.control.engine.clone(), world.engine.live(VmId(0)).leaving()), (None, None));
    }
}

#[test]
fn in_ask_mode_the_worker_is_asked_when_the_request_is_approved_and_its_number_stays() {
    let mut world = away();
    world.command(Command::Mode { mode: Mode::Ask });
    world.run_for(Span::from_mins(2));
    assert!(world.engine.live(VmId(0)).waiting().is_some() && orders(&world).iter().all(Option::is_none));
    world.obeys = false;
    world.command(Command::Approve { vm: "nii1".to_owned() });
    assert_eq!(world.answers.last().unwrap().1, "nii1: request #1 to h1 approved");
    assert_eq!(world.host(), "x1");
    world.obeys = true;
    world.run_for(Span::from_secs(5));
    let ids = world.pick(|what| match what {
        Happened::Request { id, .. } => Some(*id),
        _ => None,
    });
    assert_eq!((ids, world.host()), (vec![RequestId(1)], "h1"));
}

#[test]
fn who_only_watches_asks_nothing_of_a_worker() {
    let mut world = away();
    world.command(Command::Mode { mode: Mode::Observe });
    world.run_for(Span::from_mins(30));
    assert!(orders(&world).iter().all(Option::is_none));
    assert_eq!(world.blocked().len(), 1, "said once");
}

#[test]
fn a_gate_that_has_shut_meanwhile_blocks_and_the_order_is_taken_back() {
    let mut world = deaf();
    world.command(Command::Mode { mode: Mode::Observe });
    world.obeys = true;
    world.run_for(Span::from_secs(5));
    assert_eq!(world.blocked(), [(Gate::Mode, "observe: decisions are logged only".to_owned())]);
    assert_eq!((world.control.engine.clone(), world.host()), (None, "x1"));
}

#[test]
fn the_order_is_taken_back_however_the_move_ends() {
    use crate::core::engine::Presence::{Absent, Runs};
    for moves in [Moves::HostsSay(Runs, Absent), Moves::Refuse, Moves::NotJournalled, Moves::HostsSay(Absent, Absent)] {
        let mut world = away();
        world.moves = moves;
        world.run_for(Span::from_secs(66));
        assert_eq!(orders(&world)[1..], [Some(Stop::Claiming), None], "{moves:?}");
        assert_eq!(world.control.site.as_deref(), Some("cloud"), "{moves:?}");
    }
}

#[test]
fn while_it_moves_the_order_holds() {
    let mut world = away();
    world.moves = Moves::Slow;
    world.run_for(Span::from_mins(25));
    assert!(world.control.engine.as_ref().is_some_and(|order| order.holds(world.now)));
    let id = world.under_way[0];
    world.tell(Event::Ended { id, detail: "done".to_owned() });
    assert_eq!((world.control.engine.clone(), world.host()), (None, "h1"));
}

/// Another engine goes on; `forgets`: nothing was kept.
fn restart(world: &mut World, after: Span, forgets: bool) {
    let cluster = world.engine.cluster().clone();
    let kept = [("nii1".to_owned(), world.engine.keep(VmId(0)))];
    let kept = serde_json::from_str::<Vec<(String, _)>>(&serde_json::to_string(&kept).unwrap()).unwrap();
    let whole = world.engine.keep_cluster(world.now);
    world.now += after;
    world.engine = if forgets {
        Engine::new(cluster, world.now)
    } else {
        Engine::restored(cluster, world.now, &kept, Some(whole))
    };
    for host in 0..world.engine.cluster().hosts.len() {
        let state = crate::core::cluster::HostState::Up;
        world.tell(Event::Host { host: HostId::at(host), state, load: None, why: None });
    }
}

#[test]
fn an_engine_that_is_started_again_goes_on_where_it_was() {
    let mut world = deaf();
    restart(&mut world, Span::from_mins(3), false);
    world.obeys = true;
    world.run_for(Span::from_secs(11));
    assert_eq!((world.host(), world.decisions().len()), ("h1", 1));
    assert_eq!(world.control.engine, None);
}

#[test]
fn one_that_was_away_for_long_calls_it_off_and_takes_its_order_back() {
    let mut world = deaf();
    restart(&mut world, Span::from_mins(30), false);
    world.queue = Some(queue(2, true));
    world.run_for(Span::from_mins(1));
    let why = "whimbrel did not run while its worker was asked to stop";
    assert!(world.blocked().contains(&(Gate::Preflight, why.to_owned())), "{:?}", world.blocked());
    assert_eq!(world.control.engine, None);
}

#[test]
fn an_order_that_nobody_remembers_is_taken_back() {
    let mut world = deaf();
    world.queue = Some(small(false));
    world.engine = Engine::new(two_sites(RULE), world.now);
    world.run_for(Span::from_mins(1));
    assert_eq!(orders(&world).last(), Some(&None));
}

#[test]
fn a_restart_in_the_middle_of_the_move_follows_it_and_takes_the_order_back() {
    let mut world = away();
    world.moves = Moves::Slow;
    world.run_for(Span::from_secs(70));
    let id = world.under_way[0];
    let journalled = world.engine.in_flight(id).unwrap();
    restart(&mut world, Span::from_mins(2), false);
    let mut out = Vec::new();
    let now = world.now;
    world.engine.resume(now, &journalled, &mut out);
    world.run_for(Span::from_mins(6));
    assert!(world.control.engine.as_ref().is_some_and(|order| order.holds(world.now)), "it moves still");
    world.tell(Event::Ended { id, detail: "done".to_owned() });
    assert_eq!((world.control.engine.clone(), world.host()), (None, "h1"));
    world.run_for(Span::from_mins(1));
    let ways = world.engine.site(VmId(0)).unwrap().ways;
    assert_eq!(ways, WAYS, "how long it took is not known");
}

#[test]
fn a_host_that_leaves_the_config_meanwhile_ends_an_operators_move() {
    let mut world = deaf();
    command(&mut world, Target::Host("h1".to_owned()));
    let mut new = two_sites(RULE);
    new.vms[0].host = HostId(3);
    new.hosts[0].name = "other".into();
    world.tell(Event::Reconfigured { cluster: Box::new(new), reread: Vec::new(), said: Vec::new() });
    assert_eq!(world.engine.live(VmId(0)).leaving(), None);
    assert_eq!(world.blocked().last().unwrap().1, "its destination is not in the config any more");
    assert_eq!(world.control.engine, None);
}

#[test]
fn its_own_moves_tell_how_long_a_move_takes_also_after_a_restart() {
    let mut world = World::new(two_sites(RULE), always(0.0));
    world.moves = Moves::Slow;
    world.shows(queue(2, false));
    world.run_for(Span::from_secs(1_319));
    let id = world.under_way[0];
    world.tell(Event::Ended { id, detail: "done".to_owned() });
    restart(&mut world, Span::from_secs(1), false);
    world.report(queue(2, false));
    let ways = world.engine.site(VmId(0)).unwrap().ways;
    let out = ways.out.unwrap().millis() / 1_000;
    assert!((1_319..1_325).contains(&out), "{out}");
    assert_eq!(ways.back, WAYS.back, "none was made: the forecast");
}

/// A queue in its source, and a worker. Time goes in whole seconds.
#[derive(Debug, Clone, Copy)]
struct Script {
    /// When a page of small jobs comes, after the start.
    comes: i64,
    /// So many seconds after it was written the worker reads what it is asked; `None`: it never does.
    obeys_after: Option<i64>,
    /// It looks for a page every so many seconds.
    polls: i64,
    /// It dies then.
    dies: Option<i64>,
    /// How long a job takes.
    job: i64,
}

struct Played {
    script: Script,
    /// What is seen from outside: shared with the test.
    state: std::rc::Rc<std::cell::RefCell<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// It is played up to there.
    now: i64,
    waits: bool,
    came: bool,
    /// Jobs left of the claim, and when the one in hand ends.
    claim: Option<(u32, Option<i64>)>,
    done: bool,
    control: crate::core::queue::WorkerControl,
    written: i64,
    obeys: u64,
    may: (bool, bool),
    moving: bool,
    beat: i64,
    wrong: Vec<String>,
}

impl Played {
    fn seconds(now: Timestamp) -> i64 {
        now.since(T0).millis() / 1_000
    }

    fn play(&mut self, until: Timestamp) {
        let mut state = self.state.borrow_mut();
        while state.now < Self::seconds(until) {
            state.now += 1;
            let now = state.now;
            if now >= self.script.comes && !state.came {
                (state.came, state.waits) = (true, true);
            }
            if state.moving || self.script.dies.is_some_and(|dies| now >= dies) {
                continue;
            }
            state.beat = now;
            let at = T0 + Span::from_secs(now);
            let heard = self.script.obeys_after.is_some_and(|after| now >= state.written + after);
            if heard {
                state.obeys = state.control.serial;
            }
            if heard || self.script.obeys_after.is_some() && state.obeys == state.control.serial {
                state.may = (state.control.may_claim(at), state.control.may_work(at));
            }
            let (may_claim, may_work) = state.may;
            match state.claim {
                Some((left, Some(ends))) if now >= ends => {
                    state.claim = (left > 1).then_some((left - 1, None));
                    state.done = left == 1;
                }
                Some((left, None)) if may_work => state.claim = Some((left, Some(now + self.script.job))),
                None if state.waits && may_claim && now % self.script.polls == 0 => {
                    (state.waits, state.claim) = (false, Some((3, None)));
                }
                _ => {}
            }
        }
    }
}

impl QueueModel for Played {
    fn look(&mut self, now: Timestamp) -> Option<QueueLook> {
        self.play(now);
        let state = self.state.borrow();
        let mut look = match state.claim {
            Some((_, job)) => queue(0, job.is_some()),
            None => idle(),
        };
        (look.at, look.control, look.waiting) = (now, state.control.clone(), u32::from(state.waits));
        let worker = look.worker.as_mut()?;
        (worker.beat, worker.obeys, worker.claims) = (T0 + Span::from_secs(state.beat), state.obeys, state.may.0);
        Some(look)
    }

    fn order(&mut self, now: Timestamp, order: Option<WorkerOrder>) -> bool {
        self.play(now);
        let mut state = self.state.borrow_mut();
        if state.control.engine != order {
            state.control.engine = order;
            state.control.serial += 1;
            state.written = state.now;
        }
        true
    }

    fn leaves(&mut self, now: Timestamp) {
        self.play(now);
        let mut state = self.state.borrow_mut();
        state.moving = true;
        if matches!(state.claim, Some((_, Some(_)))) {
            state.wrong.push("it leaves with a job in hand".to_owned());
        }
        if state.claim.is_some() && state.control.engine.as_ref().is_some_and(|order| order.stop == Stop::Claiming) {
            state.wrong.push("it leaves with a claim that nobody works".to_owned());
        }
        let dead = self.script.dies.is_some_and(|dies| state.now >= dies);
        if !dead && (state.may.0 || state.obeys != state.control.serial) {
            state.wrong.push("it leaves while its worker may claim".to_owned());
        }
    }

    fn arrives(&mut self, now: Timestamp) {
        self.play(now);
        self.state.borrow_mut().moving = false;
    }
}

/// Plays a script for an hour: a move takes 100 s.
fn play(script: Script) -> (World, std::rc::Rc<std::cell::RefCell<State>>) {
    let mut world = away();
    world.queue = None;
    world.moves = Moves::Slow;
    let state = std::rc::Rc::new(std::cell::RefCell::new(State { may: (true, true), ..State::default() }));
    world.model = Some(Box::new(Played { script, state: std::rc::Rc::clone(&state) }));
    let mut started = None;
    for _ in 0..360 {
        world.run_for(Span::from_secs(10));
        match (started, world.under_way.first().copied()) {
            (None, Some(_)) => started = Some(world.now),
            (Some(at), Some(id)) if world.now.since(at) >= Span::from_secs(100) => {
                world.tell(Event::Ended { id, detail: "done".to_owned() });
                started = None;
            }
            _ => {}
        }
    }
    (world, state)
}

fn holds(script: Script) {
    let (world, state) = play(script);
    let state = state.borrow();
    assert!(state.wrong.is_empty(), "{script:?}: {:?}", state.wrong);
    let leaving = world.engine.live(VmId(0)).leaving().is_some();
    assert_eq!(state.control.engine.is_some(), leaving, "{script:?}: an order is left");
    if script.dies.is_none() {
        assert!(state.done, "{script:?}: the page was not worked: {state:?}");
        let home = script.obeys_after.is_some_and(|after| after < 600);
        assert_eq!(world.host() != "x1", home, "{script:?}: {:?}", world.blocked());
        assert_eq!(world.alarms().is_empty(), home, "{script:?}");
    }
}

/// The first poll decides within the first minute, and the VM leaves a few seconds later.
#[test]
fn a_queue_comes_at_every_instant_between_idle_and_going_home() {
    for comes in 1..130 {
        for obeys_after in [0, 7, 45] {
            holds(Script { comes, obeys_after: Some(obeys_after), polls: 3, dies: None, job: 20 });
        }
        holds(Script { comes, obeys_after: None, polls: 3, dies: None, job: 20 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn no_vm_leaves_with_work_in_hand_and_no_claim_is_left_whatever_the_worker_does(
        comes in 1_i64..900,
        obeys_after in prop::option::weighted(0.8, 0_i64..700),
        polls in 1_i64..130,
        dies in prop::option::of(1_i64..900),
        job in 1_i64..900,
    ) {
        let script = Script { comes, obeys_after, polls, dies, job };
        let (_, state) = play(script);
        let state = state.borrow();
        prop_assert!(state.wrong.is_empty(), "{script:?}: {:?}", state.wrong);
        prop_assert!(dies.is_some() || state.done, "{script:?}: {state:?}");
    }
}
