//! The monitors against real servers: MariaDB and Apache as Debian packages them.

use std::time::{Duration, Instant};

use crate::support::services::{Apache, MariaDb, or_skip};
use whimbrel::core::cluster::{Monitor, MysqlQuantity, OnTimeout, Reading, Secret, Source, Span};
use whimbrel::edge::monitor::Client;

/// A test that waits this long for a value has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Has no part in the reading, however busy the machine is.
const LONG: Span = Span::from_secs(20);
/// For readings that are meant to take too long.
const SHORT: Span = Span::from_millis(300);

fn client(source: Source, deadline: Span) -> Client {
    Client::new(&Monitor { source, deadline }).expect("a real service has a client")
}

fn slow_queries() -> MysqlQuantity {
    MysqlQuantity::Variable("Slow_queries".to_owned())
}

fn query(sql: &str) -> MysqlQuantity {
    MysqlQuantity::Query(sql.to_owned())
}

fn mysql(db: &MariaDb, quantity: MysqlQuantity) -> Source {
    mysql_at(db, db.url(), quantity)
}

fn mysql_at(db: &MariaDb, url: String, quantity: MysqlQuantity) -> Source {
    let password = Some(Secret::File(db.password_file()));
    Source::Mysql { url, password, quantity, on_timeout: OnTimeout::Beyond }
}

fn apache(url: String, field: &str) -> Source {
    Source::Apache { url, field: field.to_owned(), on_timeout: OnTimeout::Beyond }
}

fn http(url: String) -> Source {
    Source::Http { url, expect: 200 }
}

async fn raw(client: &mut Client) -> f64 {
    match client.read().await {
        Reading::Raw(value) => value,
        other => panic!("expected a number, got {other:?}"),
    }
}

async fn gap(client: &mut Client) -> String {
    match client.read().await {
        Reading::Gap(reason) => reason,
        other => panic!("expected a gap, got {other:?}"),
    }
}

/// Reads until there is a number again: a server takes time to recover, and a client leaves one that refused alone.
async fn raw_again(client: &mut Client) -> f64 {
    let end = Instant::now() + PATIENCE;
    loop {
        let reading = client.read().await;
        if let Reading::Raw(value) = reading {
            return value;
        }
        assert!(Instant::now() < end, "no number came back: {reading:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Reads until the value is a right one: a server counts what it did a moment after it has answered.
async fn comes_to(client: &mut Client, right: impl Fn(f64) -> bool) {
    let end = Instant::now() + PATIENCE;
    loop {
        let value = raw(client).await;
        if right(value) {
            return;
        }
        assert!(Instant::now() < end, "the value stays {value}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks until no query like this runs any more.
async fn ends_in_the_server(db: &MariaDb, like: &str) {
    let running = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE '{like}'");
    comes_to(&mut client(mysql(db, query(&running)), LONG), |running| running == 0.0).await;
}

#[tokio::test]
async fn slow_queries_are_counted_by_the_server_and_read() {
    let Some(db) = or_skip("slow_queries_are_counted_by_the_server_and_read", MariaDb::start()) else { return };
    let mut client = client(mysql(&db, slow_queries()), LONG);
    let before = raw(&mut client).await;
    db.slow_queries(5).await;
    // At least: on a busy machine other queries are slow, too.
    comes_to(&mut client, |after| after >= before + 5.0).await;
}

#[tokio::test]
async fn a_killed_and_restarted_server_is_a_gap_and_then_a_smaller_counter() {
    let name = "a_killed_and_restarted_server_is_a_gap_and_then_a_smaller_counter";
    let Some(mut db) = or_skip(name, MariaDb::start()) else { return };
    let mut client = client(mysql(&db, slow_queries()), LONG);
    db.slow_queries(20).await;
    let before = raw(&mut client).await;
    db.kill();
    assert_eq!(gap(&mut client).await, "connection refused");
    assert!(gap(&mut client).await.starts_with("connection refused, retrying in "));
    db.restart();
    let after = raw_again(&mut client).await;
    assert!(after < before, "{before} → {after}");
}

#[tokio::test]
async fn a_restart_between_two_readings_is_no_gap_of_the_monitor() {
    let name = "a_restart_between_two_readings_is_no_gap_of_the_monitor";
    let Some(mut db) = or_skip(name, MariaDb::start()) else { return };
    let mut client = client(mysql(&db, query("SELECT 7")), LONG);
    assert_eq!(raw(&mut client).await, 7.0);
    db.kill();
    db.restart();
    assert_eq!(raw(&mut client).await, 7.0);
}

#[tokio::test]
async fn a_query_gives_one_number_or_a_gap() {
    let Some(db) = or_skip("a_query_gives_one_number_or_a_gap", MariaDb::start()) else { return };
    for (sql, value) in [("SELECT 42", 42.0), ("SELECT -1.5", -1.5), ("SELECT '7'", 7.0), ("SELECT 1e3", 1_000.0)] {
        assert_eq!(raw(&mut client(mysql(&db, query(sql)), LONG)).await, value, "{sql}");
    }
    for (sql, reason) in [
        ("SELECT 1 UNION SELECT 2", "the query gave more than one row"),
        (
            "SELECT 1 FROM information_schema.collations a, information_schema.collations b",
            "the query gave more than one row",
        ),
        ("SELECT 1 FROM DUAL WHERE FALSE", "the query gave no row"),
        ("SELECT 1, 2", "the query gave 2 columns instead of one"),
        ("SELECT NULL", "NULL is not a number"),
        ("SELECT 'a\\nb'", "'a b' is not a number"),
        ("SELECT NOW()", "is not a number"),
        ("SELECT no_such_column", "Unknown column 'no_such_column'"),
        ("SELEKT 1", "You have an error in your SQL syntax"),
        ("DO 1", "the query gave no row"),
        ("SELECT REPEAT('x', 1000000)", "Packet is larger than max_allowed_packet"),
    ] {
        let mut client = client(mysql(&db, query(sql)), LONG);
        for _ in 0..2 {
            let found = gap(&mut client).await;
            assert!(found.contains(reason), "{sql}: {found}");
        }
    }
    let mut unknown = client(mysql(&db, MysqlQuantity::Variable("Slow_querie_".to_owned())), LONG);
    assert_eq!(gap(&mut unknown).await, "the server has no status variable Slow_querie_");
}

#[tokio::test]
async fn one_connection_serves_all_readings() {
    let Some(db) = or_skip("one_connection_serves_all_readings", MariaDb::start()) else { return };
    let mut client = client(mysql(&db, query("SELECT CONNECTION_ID()")), LONG);
    let first = raw(&mut client).await;
    assert_eq!((raw(&mut client).await, raw(&mut client).await), (first, first));
}

#[tokio::test]
async fn a_connection_that_timed_out_is_not_used_again() {
    let Some(mut db) = or_skip("a_connection_that_timed_out_is_not_used_again", MariaDb::start()) else { return };
    let mut client = client(mysql(&db, query("SELECT CONNECTION_ID()")), Span::from_secs(2));
    // On a busy machine even this may take longer than the deadline.
    let before = raw_again(&mut client).await;
    db.freeze();
    assert_eq!(client.read().await, Reading::Busy);
    assert_eq!(client.read().await, Reading::Busy);
    db.thaw();
    assert!(raw_again(&mut client).await > before);
}

#[tokio::test]
async fn a_slow_server_does_not_take_knocks_for_an_attack() {
    let Some(db) = or_skip("a_slow_server_does_not_take_knocks_for_an_attack", MariaDb::start()) else { return };
    let mut client = client(mysql(&db, query("SELECT CONNECTION_ID() + SLEEP(1.5)")), Span::from_secs(2));
    // Answered after the knock: a new login follows.
    let first = raw_again(&mut client).await;
    assert!(raw_again(&mut client).await > first);
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_a_busy_server() {
    let Some(db) = or_skip("a_query_that_takes_too_long_is_a_busy_server", MariaDb::start()) else { return };
    let mut client = client(mysql(&db, query("SELECT SLEEP(600)")), Span::from_secs(1));
    assert_eq!(client.read().await, Reading::Busy);
}

#[tokio::test]
async fn a_query_that_was_given_up_ends_in_the_server() {
    let Some(db) = or_skip("a_query_that_was_given_up_ends_in_the_server", MariaDb::start()) else { return };
    // Unlike a sleep, it does not notice by itself that its client has gone.
    let mut slow = client(mysql(&db, query("SELECT BENCHMARK(4000000000, MD5('x'))")), Span::from_millis(500));
    slow.read().await;
    ends_in_the_server(&db, "SELECT BENCHMARK%").await;
}

#[tokio::test]
async fn rows_that_nobody_needs_are_not_waited_for() {
    let Some(db) = or_skip("rows_that_nobody_needs_are_not_waited_for", MariaDb::start()) else { return };
    let table = "information_schema.collations";
    let endless = format!("SELECT 1 FROM {table} a, {table} b, {table} c, {table} d");
    let mut client = client(mysql(&db, query(&endless)), LONG);
    assert_eq!(gap(&mut client).await, "the query gave more than one row");
    ends_in_the_server(&db, "SELECT 1 FROM%").await;
}

#[tokio::test]
async fn a_wrong_password_is_a_gap_without_it() {
    let Some(db) = or_skip("a_wrong_password_is_a_gap_without_it", MariaDb::start()) else { return };
    let path = db.password_file();
    std::fs::write(&path, "wrong").unwrap();
    let password = Some(Secret::File(path.clone()));
    let source = Source::Mysql { url: db.url(), password, quantity: slow_queries(), on_timeout: OnTimeout::Gap };
    let mut client = client(source, LONG);
    assert_eq!(gap(&mut client).await, "access denied for user 'watch'");
    // The right one takes no restart.
    std::fs::write(&path, MariaDb::PASSWORD).unwrap();
    raw_again(&mut client).await;
}

#[tokio::test]
async fn tls_is_used_if_the_url_asks_for_it() {
    let Some(db) = or_skip("tls_is_used_if_the_url_asks_for_it", MariaDb::start_with_tls()) else { return };
    let encrypted =
        "SELECT variable_value <> '' FROM information_schema.session_status WHERE variable_name = 'Ssl_cipher'";
    let url = |parameters: &str| format!("{}{parameters}", db.url());
    let mut plain = client(mysql_at(&db, url(""), query(encrypted)), LONG);
    assert_eq!(raw(&mut plain).await, 0.0);
    let unverified = url("/?require_ssl=true&verify_ca=false&verify_identity=false");
    let mut tls = client(mysql_at(&db, unverified, query(encrypted)), LONG);
    assert_eq!(raw(&mut tls).await, 1.0);
    let mut strict = client(mysql_at(&db, url("/?require_ssl=true"), query(encrypted)), LONG);
    let reason = gap(&mut strict).await;
    assert!(reason.contains("invalid peer certificate"), "{reason}");
}

#[tokio::test]
async fn tls_that_the_server_does_not_have_is_a_gap() {
    let Some(db) = or_skip("tls_that_the_server_does_not_have_is_a_gap", MariaDb::start()) else { return };
    let mut client = client(mysql_at(&db, format!("{}/?require_ssl=true", db.url()), slow_queries()), LONG);
    assert_eq!(gap(&mut client).await, "the server has no TLS");
}

#[tokio::test]
async fn idle_workers_fall_while_workers_are_occupied() {
    let Some(mut server) = or_skip("idle_workers_fall_while_workers_are_occupied", Apache::start()) else { return };
    let mut client = client(apache(server.status_url(), "IdleWorkers"), LONG);
    comes_to(&mut client, |idle| idle == 9.0).await;
    let occupied = server.occupy(8);
    comes_to(&mut client, |idle| idle == 1.0).await;
    drop(occupied);
    comes_to(&mut client, |idle| idle == 9.0).await;
}

#[tokio::test]
async fn a_server_without_a_free_worker_is_busy() {
    let Some(mut server) = or_skip("a_server_without_a_free_worker_is_busy", Apache::start()) else { return };
    // All but one by sight, and the last with one more than there are.
    let _most = server.occupy(9);
    let _all = server.occupy(Apache::WORKERS);
    assert_eq!(client(apache(server.status_url(), "IdleWorkers"), SHORT).read().await, Reading::Busy);
}

#[tokio::test]
async fn a_page_that_is_no_status_page_is_a_gap() {
    let Some(server) = or_skip("a_page_that_is_no_status_page_is_a_gap", Apache::start()) else { return };
    for (path, reason) in [
        ("/nothing", "an error (status 404), not a status page"),
        ("/private", "an error (status 403), not a status page"),
        ("/moved", "a redirect (status 302), not a status page"),
        ("/", "an HTML page, not a status page"),
    ] {
        assert_eq!(gap(&mut client(apache(server.url(path), "IdleWorkers"), LONG)).await, reason);
    }
    let mut field = client(apache(server.status_url(), "Idle"), LONG);
    assert_eq!(gap(&mut field).await, "the status page has no Idle");
    let mut text = client(apache(server.status_url(), "ServerMPM"), LONG);
    assert_eq!(gap(&mut text).await, "ServerMPM: 'prefork' is not a number");
}

#[tokio::test]
async fn the_response_time_is_read_in_milliseconds() {
    let Some(server) = or_skip("the_response_time_is_read_in_milliseconds", Apache::start()) else { return };
    let mut page = client(http(server.url("/")), LONG);
    let ms = raw(&mut page).await;
    assert!(ms > 0.0 && ms < 20_000.0, "{ms}");
    assert_eq!(gap(&mut client(http(server.url("/nothing")), LONG)).await, "status 404, expected 200");
}

#[tokio::test]
async fn a_response_that_takes_too_long_is_a_sample() {
    let Some(mut server) = or_skip("a_response_that_takes_too_long_is_a_sample", Apache::start()) else { return };
    let mut client = client(http(server.url("/")), SHORT);
    server.freeze();
    assert_eq!(client.read().await, Reading::AtLeast(300.0));
    server.thaw();
    server.wait_until_idle(9);
    raw_again(&mut client).await;
    server.kill();
    assert_eq!(gap(&mut client).await, "connection refused");
}
