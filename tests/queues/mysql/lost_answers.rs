//! Connections that break, answers that never come, a server that goes away: what was done is done once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use whimbrel::core::cluster::Timestamp;
use whimbrel::core::queue::{Ranges, Stop, WorkerOrder, WorkerStatus};
use whimbrel::edge::queue::{Delivery, Held, QueueStore, Trouble, new_instance};

use super::home::{Home, page, store};
use super::{claim, ended, work};
use crate::support::proxy::{Cut, Statement, cuts};
use crate::support::services::or_skip;

/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// A statement that comes late comes after the store has given up on its connection and asks again.
const LATE: Duration = Duration::from_millis(300);
const CUTS: [Cut; 3] = [Cut::Before, Cut::After, Cut::Late(LATE)];

/// The next COMMIT of a transaction that changes something.
fn is_commit_of_a_change() -> impl Fn(&Statement) -> bool + Send {
    let has_changed = AtomicBool::new(false);
    move |statement| {
        if statement.sql.starts_with("START") {
            has_changed.store(false, Ordering::Relaxed);
        } else if ["UPDATE", "INSERT"].iter().any(|begin| statement.sql.starts_with(begin)) {
            has_changed.store(true, Ordering::Relaxed);
        }
        statement.sql == "COMMIT" && has_changed.load(Ordering::Relaxed)
    }
}

/// Works a claim to its end, each step until it is known what became of it.
async fn worked(store: &QueueStore, held: &Held, mark: &str) {
    let end = Instant::now() + PATIENCE;
    let is_done = |delivery| match delivery {
        Delivery::Done => true,
        Delivery::Lost(why) => panic!("{} is lost: {why}", held.claim.name),
        Delivery::Unknown(why) => {
            assert!(Instant::now() < end, "{why}");
            false
        }
    };
    for job in held.page.jobs() {
        let output = format!("{} {mark}", job.work);
        while !is_done(store.deliver(held, job.number, Ok(output.as_bytes())).await) {}
    }
    while !is_done(store.finish(held).await) {}
}

/// The next page, as a worker gets it that tries again and again; `None`: none waits, and nothing is in doubt.
async fn claimed(store: &QueueStore) -> Option<Held> {
    let end = Instant::now() + PATIENCE;
    loop {
        match store.settle_doubtful().await {
            Ok(mut found) if !found.is_empty() => return found.pop(),
            Ok(_) => match store.claim().await {
                Ok(claimed) => return claimed,
                Err(trouble) => assert!(Instant::now() < end, "{trouble}"),
            },
            Err(trouble) => assert!(Instant::now() < end, "{trouble}"),
        }
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_looked_after() {
    let Some(home) = or_skip("a_commit_without_an_answer_is_looked_after", Home::start()) else { return };
    let proxy = home.proxy();
    let (worker, operator) = (home.store_behind(&proxy), home.store_behind(&proxy));
    let spoil = |cut| proxy.once(cut, is_commit_of_a_change());
    for (n, cut) in CUTS.into_iter().enumerate() {
        spoil(cut);
        let name = format!("page{n}");
        assert_eq!(operator.add(&name, page(3)).await, Ok(name.clone()), "{cut:?}");
        spoil(cut);
        let (helds, _) = worker.begin("nii4", &new_instance()).await.expect("a start");
        assert!(helds.is_empty(), "{cut:?}");

        spoil(cut);
        let held = claim(&worker).await;
        assert_eq!((&held.claim.status.page, worker.doubtful()), (&name, 0), "{cut:?}");
        spoil(cut);
        assert_eq!(worker.save(&held).await, Delivery::Done);
        spoil(cut);
        assert_eq!(worker.deliver(&held, 1, Ok(b"1")).await, Delivery::Done);
        spoil(cut);
        assert_eq!(worker.deliver(&held, 2, Err("no luck")).await, Delivery::Done);
        spoil(cut);
        assert_eq!(worker.renew(&held).await, Delivery::Done);
        spoil(cut);
        assert_eq!(worker.report(&WorkerStatus::default()).await, Delivery::Done);
        spoil(cut);
        let order = WorkerOrder {
            stop: Stop::Claiming,
            by: "root".to_owned(),
            why: format!("{cut:?}"),
            at: Timestamp::from_secs(n as i64),
            until: None,
        };
        let asked = operator.ask("nii4", &|control| control.operator = Some(order.clone())).await.expect("an answer");
        assert_eq!((asked.operator.as_ref(), asked.serial), (Some(&order), n as u64 + 1), "{cut:?}");

        spoil(cut);
        let returned = operator.give_back(&held.claim.name).await;
        assert_eq!(returned, Ok(ended(&held)), "{cut:?}");
        let held = claim(&worker).await;
        spoil(cut);
        assert_eq!(worker.return_claim(&held).await, Delivery::Done);
        let mut held = claim(&worker).await;
        spoil(cut);
        assert_eq!(worker.try_again(&mut held, &Ranges::new()).await, Delivery::Done);
        for job in [2, 3] {
            assert_eq!(worker.deliver(&held, job, Err("no luck")).await, Delivery::Done);
        }
        spoil(cut);
        assert_eq!(worker.finish(&held).await, Delivery::Done);
        spoil(cut);
        assert!(operator.retry(&ended(&held), &Ranges::new()).await.is_ok(), "{cut:?}");
        let held = claim(&worker).await;
        spoil(cut);
        work(&worker, &held, "nii4").await;
        proxy.calm();
        let done = n as u64 + 1;
        assert_eq!(home.counts().await, [[0, 0, done], [0, done * 3, 0]], "{cut:?}");
    }
    let count = |word| proxy.counts().get(word).copied().unwrap_or_default();
    assert_eq!([count("Before"), count("After"), count("Late")], [15; 3], "every cut has been made");
}

#[tokio::test]
async fn a_claim_in_doubt_stays_so_until_the_server_is_back() {
    let name = "a_claim_in_doubt_stays_so_until_the_server_is_back";
    let Some(home) = or_skip(name, Home::start()) else { return };
    home.add("page", 2).await;
    for cut in [Cut::Before, Cut::After] {
        let proxy = home.proxy();
        let worker = home.store_behind(&proxy);
        let (helds, _) = worker.begin("nii4", &new_instance()).await.expect("a start");
        assert!(helds.is_empty());
        // The COMMIT is cut, and nothing passes after it.
        let (mut is_cut, is_commit) = (false, is_commit_of_a_change());
        proxy.plan(move |statement| {
            let fate = if is_cut { Some(Cut::Before) } else { is_commit(statement).then_some(cut) };
            is_cut |= fate.is_some();
            fate
        });
        let answer = worker.claim().await;
        assert!(answer.is_err(), "{answer:?}");
        assert_eq!(worker.doubtful(), 1, "{cut:?}");
        assert!(worker.settle_doubtful().await.is_err());
        assert_eq!(worker.doubtful(), 1, "{cut:?}");
        proxy.calm();
        let found = worker.settle_doubtful().await.expect("an answer");
        assert_eq!((found.len(), worker.doubtful()), (usize::from(cut == Cut::After), 0));
        for held in found {
            assert_eq!(worker.return_claim(&held).await, Delivery::Done);
        }
        assert_eq!(home.counts().await, [[1, 0, 0], [2, 0, 0]]);
    }
}

#[tokio::test]
async fn work_goes_on_when_connections_are_killed_and_the_server_restarts() {
    let name = "work_goes_on_when_connections_are_killed_and_the_server_restarts";
    let Some(mut home) = or_skip(name, Home::start()) else { return };
    home.add("page", 4).await;
    let worker = store(&home.queue());
    worker.begin("nii4", &new_instance()).await.expect("a start");
    let held = claim(&worker).await;
    assert_eq!(worker.deliver(&held, 1, Ok(b"1")).await, Delivery::Done);
    let own = "SELECT id FROM information_schema.processlist WHERE user <> 'root' AND db = 'q'";
    for connection in home.rows::<u64>(own).await {
        home.admin(&format!("KILL CONNECTION {connection}")).await;
    }
    assert_eq!(worker.deliver(&held, 2, Ok(b"2")).await, Delivery::Done);
    home.db.stop();
    home.db.restart();
    assert_eq!(worker.deliver(&held, 3, Ok(b"3")).await, Delivery::Done);
    home.db.kill();
    let delivery = worker.deliver(&held, 4, Ok(b"4")).await;
    assert!(matches!(&delivery, Delivery::Unknown(why) if why.contains("connection refused")), "{delivery:?}");
    assert!(matches!(worker.look("nii4").await, Err(Trouble::Unreachable(_))));
    home.db.restart();
    assert_eq!(worker.deliver(&held, 4, Ok(b"4")).await, Delivery::Done);
    assert_eq!(worker.finish(&held).await, Delivery::Done);
    assert_eq!(home.counts().await, [[0, 0, 1], [0, 4, 0]]);
}

/// Four workers and a producer behind a network that cuts, delays and loses by a seeded plan.
#[tokio::test]
async fn nothing_is_lost_and_nothing_is_done_twice_on_a_bad_network() {
    let name = "nothing_is_lost_and_nothing_is_done_twice_on_a_bad_network";
    let Some(home) = or_skip(name, Home::start()) else { return };
    let (rounds, pages) = if std::env::var_os("WHIMBREL_LONG").is_some() { (20, 20) } else { (1, 12) };
    for round in 0..rounds {
        let proxy = home.proxy();
        let workers = (0..4).map(|n| {
            let store = home.store_behind(&proxy);
            tokio::spawn(async move {
                let end = Instant::now() + PATIENCE;
                while let Err(trouble) = store.begin(&format!("vm{n}"), &new_instance()).await {
                    assert!(Instant::now() < end, "{trouble}");
                }
                let mut claims = 0_u32;
                loop {
                    let Some(held) = claimed(&store).await else {
                        match store.overview().await {
                            Ok(overview) if overview.done == pages * (round + 1) => return claims,
                            _ => continue,
                        }
                    };
                    claims += 1;
                    worked(&store, &held, &claims.to_string()).await;
                }
            })
        });
        let workers: Vec<_> = workers.collect();
        proxy.plan(cuts(u64::from(round) + 1, 6));
        let producer = home.store_behind(&proxy);
        for n in 0..pages {
            let name = format!("round{round}-{n}");
            if let Err(trouble) = producer.add(&name, page(5)).await {
                // It is not known whether it was added, until everything that is late has come.
                assert!(matches!(trouble, Trouble::Unreachable(_)), "{trouble}");
                proxy.calm();
                if home.row::<u64>(&format!("SELECT COUNT(*) FROM queue WHERE page = '{name}'")).await == 0 {
                    home.add(&name, 5).await;
                }
                proxy.plan(cuts(u64::from(round) + 100, 6));
            }
        }
        let mut claims = 0;
        for worker in workers {
            claims += worker.await.expect("a worker ends");
        }
        proxy.calm();
        let done = u64::from(pages * (round + 1));
        assert_eq!(home.counts().await, [[0, 0, done], [0, done * 5, 0]], "{:?}", proxy.counts());
        assert_eq!(claims, pages, "each page was claimed once: {:?}", proxy.counts());
    }
}
