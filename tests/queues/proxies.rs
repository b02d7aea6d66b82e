//! The bad proxies of the other tests do what they say, and no more.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

use crate::support::proxy::{Cut, Fault, HttpProxy, TcpProxy, random};
use crate::support::services::{Dav, MariaDb, or_skip};

const DELAY: Duration = Duration::from_millis(50);

/// The status of the whole answer to a request with a blank line at its end; `None` if there is none, or half of one.
fn ask(proxy: &HttpProxy, request: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(proxy.address()).expect("the proxy listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a deadline");
    stream.write_all(request.as_bytes()).expect("the proxy reads");
    let mut answer = String::new();
    // A cut connection may be an error or an end.
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "))?;
    (length.parse() == Ok(body.len())).then_some(head.split(' ').nth(1)?.parse().ok()?)
}

/// What a `MOVE` of a new page `a` to `b` gives by a proxy with this fault: the client's answer, and whether the page is
/// at its new place when all is over.
fn moved(dav: &Dav, fault: Option<Fault>) -> (Option<u16>, bool) {
    let proxy = HttpProxy::before(dav.address());
    let put = "PUT /a HTTP/1.1\r\nHost: q\r\nConnection: close\r\nContent-Length: 4\r\n\r\n1+1\n";
    assert_eq!(ask(&proxy, put), Some(201));
    if let Some(fault) = fault {
        proxy.once(fault, |request| request.method == "MOVE");
    }
    let destination = proxy.url("/b");
    let header = format!("Host: q\r\nConnection: close\r\nDestination: {destination}\r\nOverwrite: F");
    let answer = ask(&proxy, &format!("MOVE /a HTTP/1.1\r\n{header}\r\n\r\n"));
    proxy.calm();
    assert_eq!(proxy.counts().faults.values().sum::<u64>(), fault.iter().count() as u64);
    let [old, new] = ["a", "b"].map(|name| fs::remove_file(dav.root().join(name)).is_ok());
    assert_ne!(old, new, "the page is in one place");
    (answer, new)
}

#[test]
fn a_proxys_faults_are_what_they_say() {
    let Some(dav) = or_skip("a_proxys_faults_are_what_they_say", Dav::start()) else { return };
    for (fault, answer, is_moved) in [
        (None, Some(201), true),
        (Some(Fault::LoseRequest), None, false),
        (Some(Fault::LoseAnswer), None, true),
        (Some(Fault::Late(DELAY)), None, true),
        (Some(Fault::DelayRequest(DELAY)), Some(201), true),
        (Some(Fault::DelayAnswer(DELAY)), Some(201), true),
        (Some(Fault::Repeat(DELAY)), Some(404), true),
        (Some(Fault::Refuse(412)), Some(412), false),
        (Some(Fault::Deny(500)), Some(500), true),
        (Some(Fault::CutRequest), None, false),
        (Some(Fault::CutAnswer), None, true),
    ] {
        assert_eq!(moved(&dav, fault), (answer, is_moved), "{fault:?}");
    }
}

#[test]
fn a_proxy_of_a_plan_spoils_its_share() {
    let Some(dav) = or_skip("a_proxy_of_a_plan_spoils_its_share", Dav::start()) else { return };
    let proxy = HttpProxy::before(dav.address());
    fs::write(dav.root().join("page"), "1\n").expect("the folder can be written");
    proxy.plan(random(7, 300));
    let get = "GET /page HTTP/1.1\r\nHost: q\r\nConnection: close\r\n\r\n";
    for _ in 0..100 {
        ask(&proxy, get);
    }
    proxy.calm();
    let faults: u64 = proxy.counts().faults.values().sum();
    assert!((10..60).contains(&faults), "{:?}", proxy.counts());
    assert_eq!(ask(&proxy, get), Some(200));
}

async fn connect(proxy: &TcpProxy) -> Conn {
    let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(proxy.address().port());
    let opts = opts.prefer_socket(false).user(Some(MariaDb::USER)).pass(Some(MariaDb::PASSWORD));
    Conn::new(opts).await.expect("the proxy passes a login on")
}

#[tokio::test]
async fn a_statement_is_cut_before_or_after_the_server_does_it() {
    let name = "a_statement_is_cut_before_or_after_the_server_does_it";
    let Some(db) = or_skip(name, MariaDb::start()) else { return };
    let proxy = TcpProxy::before((Ipv4Addr::LOCALHOST, db.port()).into());
    let mut lock = db.connect().await;
    for (cut, is_answered, is_done) in [
        (Cut::Before, false, false),
        (Cut::After, false, true),
        (Cut::Late(DELAY), false, true),
        (Cut::Delay(DELAY), true, true),
    ] {
        let mut conn = connect(&proxy).await;
        // The user may write nowhere: whether a statement was done is counted by the server.
        let done = "SELECT variable_value + 0 FROM information_schema.global_status WHERE variable_name = 'Com_do'";
        let before: u64 = lock.query_first(done).await.expect("a count").expect("a row");
        proxy.once(cut, |statement| statement.sql == "DO 7" && !statement.is_prepared);
        assert_eq!(conn.query_drop("DO 7").await.is_ok(), is_answered, "{cut:?}");
        proxy.calm();
        let after: u64 = lock.query_first(done).await.expect("a count").expect("a row");
        assert_eq!(after - before, u64::from(is_done), "{cut:?}");
    }
    let mut conn = connect(&proxy).await;
    proxy.once(Cut::Before, |statement| statement.sql == "SELECT ? + 1" && !statement.is_prepared);
    let prepared = conn.prep("SELECT ? + 1").await.expect("only the execution is cut");
    assert!(conn.exec_drop(prepared, (1,)).await.is_err());
}
