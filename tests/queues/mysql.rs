//! A queue in MariaDB. What became of pages and jobs is counted in the tables, not from what workers say.

mod home;
mod lost_answers;
mod refusals;

use std::collections::BTreeSet;
use std::sync::Arc;

use whimbrel::core::cluster::{Span, Timestamp};
use whimbrel::core::queue::{JobInHand, Ranges, Stop, WorkerOrder, WorkerState, WorkerStatus};
use whimbrel::edge::queue::{Delivery, Held, QueueStore, Trouble, new_instance};

use self::home::{Home, page, store};
use crate::support::services::or_skip;

/// Works a claim to its end: the output of each job is its work and the VM.
async fn work(store: &QueueStore, held: &Held, vm: &str) {
    for job in held.page.jobs().filter(|job| !has_result(held, job.number)) {
        let output = format!("{} {vm}\n", job.work);
        assert_eq!(store.deliver(held, job.number, Ok(output.as_bytes())).await, Delivery::Done);
    }
    assert_eq!(store.finish(held).await, Delivery::Done);
}

fn has_result(held: &Held, job: u32) -> bool {
    held.claim.status.done.contains(job) || held.claim.status.failed.contains(job)
}

async fn claim(store: &QueueStore) -> Held {
    store.claim().await.expect("an answer").expect("a page waits")
}

/// The name of a claim once it is finished or returned.
fn ended(held: &Held) -> String {
    let number = held.claim.name.rsplit('.').next().expect("a claim's name has dots");
    format!("{}.{number}", held.claim.status.page)
}

fn ranges(jobs: &[u32]) -> Ranges {
    jobs.iter().copied().collect()
}

#[track_caller]
fn lost(delivery: Delivery) -> String {
    match delivery {
        Delivery::Lost(why) => why,
        other => panic!("{other:?} is not lost"),
    }
}

#[tokio::test]
async fn eight_workers_claim_a_hundred_pages_once() {
    let Some(home) = or_skip("eight_workers_claim_a_hundred_pages_once", Home::start()) else { return };
    let producer = home.store();
    let workers = (0..8).map(|n| {
        let store = store(&home.queue());
        tokio::spawn(async move {
            let vm = format!("vm{n}");
            store.begin(&vm, &new_instance()).await.expect("a start");
            let mut claimed = Vec::new();
            // Pages come while others are worked.
            while claimed.last().is_none_or(|last| last != "last") {
                let Some(held) = store.claim().await.expect("an answer") else {
                    tokio::task::yield_now().await;
                    if store.overview().await.expect("an answer").done == 100 {
                        break;
                    }
                    continue;
                };
                claimed.push(held.claim.status.page.clone());
                work(&store, &held, &vm).await;
            }
            claimed
        })
    });
    let workers: Vec<_> = workers.collect();
    for n in 0..100 {
        assert_eq!(producer.add(&format!("page{n}"), page(10)).await, Ok(format!("page{n}")));
    }
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.extend(worker.await.expect("a worker ends"));
    }
    assert_eq!(home.counts().await, [[0, 0, 100], [0, 1_000, 0]]);
    assert_eq!(claimed.len(), 100, "no page was claimed twice");
    assert_eq!(claimed.iter().collect::<BTreeSet<_>>().len(), 100);
    let by_others = "SELECT COUNT(*) FROM job JOIN queue ON id = queue_id \
         WHERE output <> CONCAT(work, ' ', vm, '\n') OR job.number <> work";
    assert_eq!(home.row::<u64>(by_others).await, 0, "the VM that claimed a page has delivered all of it");
}

#[tokio::test]
async fn a_look_shows_what_waits_and_what_is_worked() {
    let Some(home) = or_skip("a_look_shows_what_waits_and_what_is_worked", Home::start()) else { return };
    for name in ["first", "second", "third"] {
        home.add(name, 10).await;
    }
    let looker = home.store();
    let look = looker.look("nii4").await.expect("a look");
    assert_eq!((look.waiting, look.open.len(), look.worker.is_none()), (3, 3, true));
    let grades = vec![("grade a".to_owned(), 3), ("grade b".to_owned(), 7)];
    assert_eq!((&*look.open[0].name, look.open[0].returned), ("first", false));
    assert_eq!(look.open[0].grades.as_ref(), Some(&grades), "the big ones first");
    let age = look.open[0].since.map_or(Span::from_hours(9), |since| look.at.since(since));
    assert!(age < Span::from_mins(5), "it waits since it was added: {age:?}");

    let worker = home.worker("nii4").await;
    let mut held = claim(&worker).await;
    held.claim.status.hand = vec![JobInHand { job: 1, since: look.at, attempt: 1 }];
    held.claim.status.site = "home".to_owned();
    assert_eq!(worker.save(&held).await, Delivery::Done);
    assert_eq!(worker.deliver(&held, 1, Ok(b"1\n")).await, Delivery::Done);
    let report = WorkerStatus { state: WorkerState::Working, obeys: 3, ..WorkerStatus::default() };
    assert_eq!(worker.report(&report).await, Delivery::Done);

    let look = looker.look("nii4").await.expect("a look");
    assert_eq!((look.waiting, look.claims.len()), (2, 1));
    let seen = &look.claims[0];
    assert_eq!((&seen.name, &seen.status.page[..], &seen.trouble), (&held.claim.name, "first", &None));
    assert_eq!((&seen.status.grades, &seen.status.left), (&grades, &grades));
    assert_eq!(seen.status.hand.len(), 1);
    let reported = look.worker.expect("a worker");
    assert_eq!((&*reported.vm, reported.state, reported.obeys), ("nii4", WorkerState::Working, 3));
    assert!(!reported.is_silent(look.at) && look.at.since(reported.beat) < Span::from_secs(40));
    assert_eq!(looker.look("other").await.expect("a look").claims, []);

    work(&worker, &held, "nii4").await;
    let overview = looker.overview().await.expect("an overview");
    assert_eq!((overview.done, overview.waiting, overview.claims.len()), (1, 2, 0));
    let finished = overview.finished.iter().map(|claim| &*claim.name).collect::<Vec<_>>();
    assert_eq!(finished, [ended(&held)]);
    assert_eq!(looker.page(finished[0]).await.map(|page| page.count()), Ok(10));
    assert_eq!(looker.open_page("third").await.map(|page| page.count()), Ok(10));
    assert!(matches!(looker.open_page("first").await, Err(Trouble::Refused(_))));
    // The time of job 1 is known from its beginning.
    let (site, took): (String, Option<u64>) =
        home.row("SELECT site, took_ms FROM job WHERE number = 1 AND queue_id = 1").await;
    assert!(site == "home" && took.is_some_and(|took| took < 60_000), "{site} {took:?}");
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_the_late_worker_delivers_nothing() {
    let name = "a_lease_that_ran_out_is_taken_over_and_the_late_worker_delivers_nothing";
    let Some(home) = or_skip(name, Home::start()) else { return };
    home.add("page", 5).await;
    let [stopped, other] = [home.worker("stopped").await, home.worker("other").await];
    let mut held = claim(&stopped).await;
    assert_eq!(stopped.deliver(&held, 1, Ok(b"one")).await, Delivery::Done);
    held.claim.status.hand = vec![JobInHand { job: 2, since: Timestamp::default(), attempt: 1 }];
    assert_eq!(stopped.save(&held).await, Delivery::Done);
    assert_eq!(other.claim().await.expect("an answer").map(|held| held.claim.name), None, "its lease holds");

    home.lapse().await;
    let look = other.look("stopped").await.expect("a look");
    assert!(look.claims[0].trouble.as_ref().is_some_and(|why| why.contains("lease")), "{look:?}");
    let rescued = claim(&other).await;
    assert_eq!((&rescued.claim.status.done, rescued.claim.status.attempts.get(&2)), (&ranges(&[1]), Some(&1)));

    // The stopped worker comes back.
    assert!(lost(stopped.deliver(&held, 2, Ok(b"late")).await).contains("the worker of other has it"));
    let late = [
        stopped.save(&held).await,
        stopped.renew(&held).await,
        stopped.finish(&held).await,
        stopped.return_claim(&held).await,
        stopped.try_again(&mut held.clone(), &Ranges::new()).await,
    ];
    assert!(late.map(lost).iter().all(|why| why.contains("does not have")));
    assert_eq!(stopped.claim().await.expect("an answer").map(|held| held.claim.name), None);
    work(&other, &rescued, "other").await;
    let outputs: Vec<(u32, String)> = home.rows("SELECT number, output FROM job ORDER BY number").await;
    assert_eq!(outputs[..2], [(1, "one".to_owned()), (2, "2 other\n".to_owned())]);
    assert_eq!(home.counts().await, [[0, 0, 1], [0, 5, 0]]);
}

#[tokio::test]
async fn whoever_renews_in_time_keeps_the_claim_and_a_token_outlives_its_lease() {
    let name = "whoever_renews_in_time_keeps_the_claim_and_a_token_outlives_its_lease";
    let Some(home) = or_skip(name, Home::start()) else { return };
    home.add("page", 2).await;
    let [owner, other] = [home.worker("owner").await, home.worker("other").await];
    let held = claim(&owner).await;
    let lapsed = "SELECT lease_until < UTC_TIMESTAMP(6) FROM queue";
    for step in 0..4 {
        home.lapse().await;
        assert!(home.row::<bool>(lapsed).await);
        // Nobody has taken it over, so it is still this worker's: a VM that was paused goes on.
        let delivery = match step {
            0 => owner.renew(&held).await,
            1 => owner.deliver(&held, 1, Ok(b"1")).await,
            2 => owner.save(&held).await,
            _ => owner.deliver(&held, 1, Ok(b"again")).await,
        };
        assert_eq!((delivery, home.row::<bool>(lapsed).await), (Delivery::Done, false), "{step}");
        assert!(other.claim().await.expect("an answer").is_none(), "{step}");
    }
    assert_eq!(
        home.row::<String>("SELECT output FROM job WHERE number = 1").await,
        "1",
        "a result that is there stays"
    );
}

#[tokio::test]
async fn what_is_returned_half_done_is_continued() {
    let Some(home) = or_skip("what_is_returned_half_done_is_continued", Home::start()) else { return };
    home.add("page", 6).await;
    let [first, second] = [home.worker("first").await, home.worker("second").await];
    let mut held = claim(&first).await;
    assert_eq!(first.deliver(&held, 3, Ok(b"3")).await, Delivery::Done);
    assert_eq!(first.deliver(&held, 4, Err("poison")).await, Delivery::Done);
    held.claim.status.took = vec![(3, Span::from_secs(7))];
    held.claim.status.done = ranges(&[3]);
    assert_eq!(first.return_claim(&held).await, Delivery::Done);
    lost(first.deliver(&held, 5, Ok(b"5")).await);
    let returned = ended(&held);

    // A producer may use the name again: nobody has the new page yet.
    home.add("page", 2).await;
    assert!(
        matches!(home.store().add("page", page(2)).await, Err(Trouble::Refused(why)) if why.contains("choose another"))
    );
    let look = home.store().look("first").await.expect("a look");
    let open: Vec<_> = look.open.iter().map(|page| (&*page.name, page.returned)).collect();
    assert_eq!(open, [(&*returned, true), ("page", false)]);
    let left = vec![("grade a".to_owned(), 1), ("grade b".to_owned(), 3)];
    assert_eq!(look.open[0].grades.as_ref(), Some(&left), "of a page that was returned only what waits is counted");
    assert_eq!(home.store().open_page(&returned).await.map(|page| page.count()), Ok(6));

    let held = claim(&second).await;
    let status = &held.claim.status;
    assert_eq!(
        (&status.done, &status.failed, &status.took[..]),
        (&ranges(&[3]), &ranges(&[4]), &[(3, Span::from_secs(7))][..])
    );
    assert_eq!(home.store().error_of(&held.claim.name, 4).await, Ok(Some("poison".to_owned())));
    assert_eq!(home.store().error_of(&held.claim.name, 3).await, Ok(None));
    work(&second, &held, "second").await;
    assert_eq!(home.counts().await, [[1, 0, 1], [2, 5, 1]]);
}

#[tokio::test]
async fn a_claim_is_given_back_under_a_live_worker() {
    let Some(home) = or_skip("a_claim_is_given_back_under_a_live_worker", Home::start()) else { return };
    home.add("page", 3).await;
    let (worker, operator) = (home.worker("nii4").await, home.store());
    let held = claim(&worker).await;
    assert_eq!(operator.give_back(&held.claim.name).await, Ok(ended(&held)));
    assert!(matches!(operator.give_back(&held.claim.name).await, Err(Trouble::Refused(_))));
    assert!(lost(worker.deliver(&held, 1, Ok(b"late")).await).contains(&format!("{} waits", ended(&held))));
    assert_eq!(home.counts().await, [[1, 0, 0], [3, 0, 0]]);

    // It is the same worker that claims it again. What it held before is still lost.
    let again = claim(&worker).await;
    assert_ne!(again.claim.name, held.claim.name);
    assert_eq!(worker.deliver(&again, 1, Ok(b"right")).await, Delivery::Done);
    lost(worker.deliver(&held, 2, Ok(b"late")).await);
    lost(worker.finish(&held).await);
    work(&worker, &again, "nii4").await;
    let late = "SELECT COUNT(*) FROM job WHERE output = 'late'";
    assert_eq!((home.row::<u64>(late).await, home.counts().await), (0, [[0, 0, 1], [0, 3, 0]]));
}

#[tokio::test]
async fn jobs_that_were_set_aside_are_tried_again() {
    let Some(home) = or_skip("jobs_that_were_set_aside_are_tried_again", Home::start()) else { return };
    home.add("page", 4).await;
    let (worker, operator) = (home.worker("nii4").await, home.store());
    let mut held = claim(&worker).await;
    for job in [2, 3] {
        assert_eq!(worker.deliver(&held, job, Err("no luck")).await, Delivery::Done);
    }
    held.claim.status.failed = ranges(&[2, 3]);
    assert!(
        matches!(operator.retry(&held.claim.name, &ranges(&[1])).await, Err(Trouble::Refused(why)) if why.contains("job 1"))
    );

    // A claim in work: its worker is asked, and does it.
    let words = operator.retry(&held.claim.name, &ranges(&[2])).await;
    assert_eq!(words, Ok("the worker of nii4 is asked to try 1 job again".to_owned()));
    let retry = worker.control("nii4").await.expect("a control").retry.expect("an order");
    assert_eq!((&retry.claim, &retry.jobs), (&held.claim.name, &ranges(&[2])));
    assert_eq!(worker.try_again(&mut held, &retry.jobs).await, Delivery::Done);
    assert_eq!(held.claim.status.failed, ranges(&[3]));
    work(&worker, &held, "nii4").await;
    assert_eq!(home.counts().await, [[0, 0, 1], [0, 3, 1]]);

    // A finished claim waits again.
    let finished = ended(&held);
    let words = operator.retry(&finished, &Ranges::new()).await;
    assert_eq!(words, Ok(format!("{finished} waits again, for 1 job")));
    let held = claim(&worker).await;
    assert_eq!((held.claim.status.done.len(), held.claim.status.failed.len()), (3, 0));
    work(&worker, &held, "nii4").await;
    assert_eq!(home.counts().await, [[0, 0, 1], [0, 4, 0]]);
    assert!(matches!(operator.retry(&ended(&held), &Ranges::new()).await, Err(Trouble::Refused(_))));
}

#[tokio::test]
async fn a_start_goes_on_with_its_vms_claims_and_the_older_worker_is_fenced() {
    let name = "a_start_goes_on_with_its_vms_claims_and_the_older_worker_is_fenced";
    let Some(home) = or_skip(name, Home::start()) else { return };
    for page in ["one", "two"] {
        home.add(page, 3).await;
    }
    let older = home.worker("nii4").await;
    let mut held = claim(&older).await;
    assert_eq!(older.deliver(&held, 1, Ok(b"1")).await, Delivery::Done);
    assert_eq!(older.deliver(&held, 3, Err("no luck")).await, Delivery::Done);
    held.claim.status.hand = vec![JobInHand { job: 2, since: Timestamp::default(), attempt: 2 }];
    assert_eq!(older.save(&held).await, Delivery::Done);
    let mut report = WorkerStatus { site: "cloud".to_owned(), ..WorkerStatus::default() };
    report.rates.add("cloud", "grade b", Span::from_secs(4), 1);
    assert_eq!(older.report(&report).await, Delivery::Done);
    // An operator's order names the claim as it is called now.
    home.store().retry(&held.claim.name, &Ranges::new()).await.expect("an order");

    let newer = home.store();
    let (helds, rates) = newer.begin("nii4", &new_instance()).await.expect("a start");
    assert_eq!((helds.len(), rates), (1, report.rates.clone()));
    let taken = &helds[0];
    assert_ne!(taken.claim.name, held.claim.name);
    let status = &taken.claim.status;
    assert_eq!((&status.done, &status.failed, status.attempts.get(&2)), (&ranges(&[1]), &Ranges::new(), Some(&2)));
    assert_eq!(newer.control("nii4").await.expect("a control").retry, None);

    // The older one runs on: it delivers nothing, claims nothing, and learns why.
    assert!(lost(older.deliver(&held, 2, Ok(b"late")).await).contains("later start"));
    assert!(matches!(older.claim().await, Err(Trouble::Refused(why)) if why.contains("started later")));
    assert!(lost(older.report(&report).await).contains("started later"));
    assert_eq!(home.counts().await, [[1, 1, 0], [5, 1, 0]]);
    let mut finished = 0;
    let mut next = Some(taken.clone());
    while let Some(held) = next {
        work(&newer, &held, "newer").await;
        finished += 1;
        next = newer.claim().await.expect("an answer");
    }
    assert_eq!((finished, home.counts().await), (2, [[0, 0, 2], [0, 6, 0]]));
}

#[tokio::test]
async fn a_page_that_another_transaction_has_locked_is_waited_for() {
    let name = "a_page_that_another_transaction_has_locked_is_waited_for";
    let Some(home) = or_skip(name, Home::start()) else { return };
    home.add("page", 1).await;
    let worker = home.worker("nii4").await;
    let mut lock = home.db.admin().await;
    use mysql_async::prelude::Queryable;
    lock.query_drop("START TRANSACTION").await.expect("a transaction");
    lock.query_drop("SELECT * FROM q.queue FOR UPDATE").await.expect("a lock");
    // Skipping it finds nothing, but the queue is not empty.
    let claims = tokio::spawn({
        let worker = Arc::clone(&worker);
        async move { worker.claim().await }
    });
    home.comes_to("SELECT variable_value > 5 FROM information_schema.global_status WHERE variable_name = 'Com_select'")
        .await;
    lock.query_drop("COMMIT").await.expect("the lock ends");
    let held = claims.await.expect("it ends").expect("an answer").expect("the page");
    work(&worker, &held, "nii4").await;
    assert!(worker.claim().await.expect("an answer").is_none());
}

#[tokio::test]
async fn everyone_who_asks_is_heard() {
    let Some(home) = or_skip("everyone_who_asks_is_heard", Home::start()) else { return };
    let order = |by: &str| WorkerOrder {
        stop: Stop::Claiming,
        by: by.to_owned(),
        why: String::new(),
        at: Timestamp::from_secs(1_700_000_000),
        until: None,
    };
    let asks = (0..16).map(|n| {
        let (store, order) = (home.store(), order(&n.to_string()));
        tokio::spawn(async move {
            store
                .ask("nii4", &|control| match n {
                    0 => control.engine = Some(order.clone()),
                    1 => control.site = Some("cloud".to_owned()),
                    _ => control.operator = Some(order.clone()),
                })
                .await
        })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.expect("it ends").expect("an answer");
    }
    let control = home.store().control("nii4").await.expect("a control");
    assert_eq!((control.serial, control.site.as_deref()), (16, Some("cloud")));
    assert!(control.engine.is_some_and(|order| order.by == "0") && control.operator.is_some());
    let again = home.store().ask("nii4", &|control| control.site = Some("cloud".to_owned())).await.expect("an answer");
    assert_eq!(again.serial, 16, "what is asked already is no change");
}

#[tokio::test]
async fn producers_add_pages_as_the_schema_says() {
    let Some(home) = or_skip("producers_add_pages_as_the_schema_says", Home::start()) else { return };
    let example = whimbrel::edge::queue::SCHEMA.lines().skip_while(|line| !line.contains("START TRANSACTION"));
    let example: Vec<&str> =
        example.take_while(|line| *line != "--").map(|line| line.trim_start_matches("--")).collect();
    home.db.run_sql("q", &example.join("\n"));
    // What cannot be a page stays where it is, and keeps no other from being worked.
    home.db.run_sql(
        "q",
        "INSERT INTO queue (queue_name, page) VALUES ('render', 'torn'), ('render', 'tagged'), ('render', 'empty'), ('other', 'x');
         INSERT INTO job (queue_id, number, work) SELECT id, 7, 'a\\nb' FROM queue WHERE page = 'torn';
         INSERT INTO job (queue_id, number, work) SELECT id, 1, 'x = 3' FROM queue WHERE page = 'tagged';",
    );
    let worker = home.worker("nii4").await;
    let held = claim(&worker).await;
    let jobs: Vec<_> = held.page.jobs().map(|job| (job.number, job.tag, job.work)).collect();
    assert_eq!(jobs, [(1, "grade b", "123^123"), (2, "grade a", "scale=20;sqrt(2)"), (3, "", "1+1")]);
    assert_eq!((held.claim.status.big, &*held.claim.status.page), (1, "monday"));
    let empty = claim(&worker).await;
    assert_eq!((&*empty.claim.status.page, empty.page.count()), ("empty", 0));
    work(&worker, &empty, "nii4").await;
    assert!(worker.claim().await.expect("an answer").is_none());
    let refused = worker.refused();
    assert_eq!(refused.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["tagged", "torn"]);
    assert!(
        refused[0].1.contains("into the column tag") && refused[1].1.contains("job 7 has a line break"),
        "{refused:?}"
    );
    let report = WorkerStatus { refused, ..WorkerStatus::default() };
    assert_eq!(worker.report(&report).await, Delivery::Done);
    let look = worker.look("nii4").await.expect("a look");
    assert_eq!((look.waiting, look.open.len(), look.refused.len()), (0, 0, 2), "they do not wait for a worker");
    assert_eq!(home.row::<u64>("SELECT COUNT(*) FROM queue WHERE state = 'open'").await, 3);
}

/// Twenty thousand jobs; a million of them with `WHIMBREL_LONG=1`.
#[tokio::test]
async fn a_long_page_is_added_looked_at_and_claimed() {
    let Some(home) = or_skip("a_long_page_is_added_looked_at_and_claimed", Home::start()) else { return };
    let jobs = if std::env::var_os("WHIMBREL_LONG").is_some() { 1_000_000 } else { 20_000 };
    home.add("long", jobs).await;
    assert_eq!(home.counts().await, [[1, 0, 0], [u64::from(jobs), 0, 0]]);
    let look = home.store().look("nii4").await.expect("a look");
    let counted: u32 = look.open[0].grades.iter().flatten().map(|(_, jobs)| jobs).sum();
    assert_eq!(counted, jobs);
    let worker = home.worker("nii4").await;
    let held = claim(&worker).await;
    assert_eq!((held.page.count(), held.claim.status.big), (jobs, jobs / 3));
    assert_eq!(worker.deliver(&held, jobs, Ok(b"the last")).await, Delivery::Done);
    let longest = vec![b'7'; 15 << 20];
    assert_eq!(worker.deliver(&held, 1, Ok(&longest)).await, Delivery::Done);
    // What is longer than the server takes at once is kept by the worker until the server takes it.
    let too_long = vec![b'7'; 17 << 20];
    let refused = worker.deliver(&held, 2, Ok(&too_long)).await;
    assert!(matches!(&refused, Delivery::Unknown(why) if why.contains("max_allowed_packet")), "{refused:?}");
    home.admin("SET GLOBAL max_allowed_packet = 64 << 20").await;
    let worker = home.store();
    let (helds, _) = worker.begin("nii4", &new_instance()).await.expect("a start");
    assert_eq!(helds[0].claim.status.done, ranges(&[1, jobs]));
    assert_eq!(worker.deliver(&helds[0], 2, Ok(&too_long)).await, Delivery::Done);
    let lengths: Vec<u64> = home.rows("SELECT LENGTH(output) FROM job WHERE number <= 2 ORDER BY number").await;
    assert_eq!(lengths, [15 << 20, 17 << 20]);
}
