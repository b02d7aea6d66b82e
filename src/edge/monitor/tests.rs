//! What a client says of services that misbehave. Each test's service is a listener that follows one script.

use std::future::{Future, pending};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::core::cluster::{MysqlQuantity, Secret, Span};

const DEADLINE_MS: i64 = 500;

/// Serves every connection by this script until the test ends; gives the address.
async fn service<F, S>(script: F) -> String
where
    F: Fn(TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(script(stream));
        }
    });
    address
}

async fn hear(stream: &mut TcpStream) {
    let mut request = [0; 4_096];
    let _ = stream.read(&mut request).await;
}

/// A service that hears one request and gives this reply, byte for byte.
async fn replying(reply: &'static [u8]) -> String {
    service(move |mut stream| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(reply).await;
    })
    .await
}

/// A service that accepts and then says nothing.
async fn silent() -> String {
    service(|stream| async move {
        let _open = stream;
        pending::<()>().await;
    })
    .await
}

/// An address at which nothing listens.
async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

fn client(source: Source) -> Client {
    Client::new(&Monitor { source, deadline: Span::from_millis(DEADLINE_MS) }).unwrap()
}

/// For checks in which the deadline has no part.
fn patient(source: Source) -> Client {
    Client::new(&Monitor { source, deadline: Span::from_secs(20) }).unwrap()
}

fn http(address: &str) -> Source {
    Source::Http { url: format!("http://{address}/health"), expect: 200 }
}

fn apache(address: &str, on_timeout: OnTimeout) -> Source {
    Source::Apache { url: format!("http://{address}/server-status"), field: "IdleWorkers".to_owned(), on_timeout }
}

fn mysql(address: &str, on_timeout: OnTimeout) -> Source {
    Source::Mysql {
        url: format!("mysql://watch:hunter2@{address}"),
        password: None,
        quantity: MysqlQuantity::Variable("Slow_queries".to_owned()),
        on_timeout,
    }
}

fn all(address: &str) -> [Source; 3] {
    [http(address), apache(address, OnTimeout::Gap), mysql(address, OnTimeout::Gap)]
}

fn reason(reading: Reading) -> String {
    match reading {
        Reading::Gap(reason) => reason,
        other => panic!("expected a gap, got {other:?}"),
    }
}

#[test]
fn the_simulators_indicator_has_no_client() {
    assert!(Client::new(&Monitor { source: Source::Simulated, deadline: Span::ZERO }).is_none());
}

#[tokio::test]
async fn a_service_that_never_answers_is_read_as_its_kind_says() {
    let address = silent().await;
    assert_eq!(client(http(&address)).read().await, Reading::AtLeast(DEADLINE_MS as f64));
    assert_eq!(client(apache(&address, OnTimeout::Beyond)).read().await, Reading::Busy);
    assert_eq!(client(mysql(&address, OnTimeout::Beyond)).read().await, Reading::Busy);
    for source in [apache(&address, OnTimeout::Gap), mysql(&address, OnTimeout::Gap)] {
        assert_eq!(reason(client(source).read().await), "no answer within 500 ms");
    }
}

#[tokio::test]
async fn a_busy_service_is_asked_at_every_reading() {
    let address = silent().await;
    let mut client = client(apache(&address, OnTimeout::Beyond));
    for _ in 0..3 {
        assert_eq!(client.read().await, Reading::Busy);
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_refused_and_then_left_alone() {
    let address = nobody().await;
    for source in all(&address) {
        let mut client = patient(source);
        assert_eq!(reason(client.read().await), "connection refused");
        let next = reason(client.read().await);
        assert!(next.starts_with("connection refused, retrying in "), "{next}");
    }
}

#[tokio::test]
async fn a_dead_host_is_never_taken_for_a_busy_one() {
    // A full backlog lets no further connection in, as a host that drops packets does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
        held.push(stream);
    }
    let address = address.to_string();
    for source in [http(&address), apache(&address, OnTimeout::Beyond), mysql(&address, OnTimeout::Beyond)] {
        assert_eq!(reason(client(source).read().await), "no connection within 500 ms");
    }
}

#[tokio::test]
async fn a_service_that_hangs_up_is_a_gap() {
    let address = service(|stream| async move { drop(stream) }).await;
    for source in all(&address) {
        let reason = reason(patient(source).read().await);
        assert!(reason.contains("connection"), "{reason}");
    }
}

#[tokio::test]
async fn garbage_is_a_gap() {
    let address = replying(b"\x07\x00\x00\x00garbage\x1b[2J\xff\xff\xff garbage garbage").await;
    for source in all(&address) {
        let reason = reason(client(source).read().await);
        assert!(!reason.is_empty() && !reason.contains('\u{1b}'), "{reason}");
    }
}

#[tokio::test]
async fn another_status_is_a_gap_that_says_both() {
    let address = replying(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(reason(patient(http(&address)).read().await), "status 503, expected 200");
    let status = reason(patient(apache(&address, OnTimeout::Gap)).read().await);
    assert_eq!(status, "an error (status 503), not a status page");
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let address = replying(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(reason(patient(http(&address)).read().await), "status 302, expected 200");
    let status = reason(patient(apache(&address, OnTimeout::Gap)).read().await);
    assert_eq!(status, "a redirect (status 302), not a status page");
    let Source::Http { url, .. } = http(&address) else { unreachable!() };
    let reading = patient(Source::Http { url, expect: 302 }).read().await;
    assert!(matches!(reading, Reading::Raw(ms) if ms >= 0.0), "{reading:?}");
}

#[tokio::test]
async fn a_reply_that_breaks_off_is_a_gap() {
    let address = replying(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nIdleWorkers: 5\n").await;
    for source in [http(&address), apache(&address, OnTimeout::Gap)] {
        let reason = reason(patient(source).read().await);
        assert!(!reason.contains("127.0.0.1"), "{reason}");
    }
}

#[tokio::test]
async fn an_endless_reply_is_cut_off() {
    let address = service(|mut stream| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 65_536]).await.is_ok() {}
    })
    .await;
    assert_eq!(reason(patient(apache(&address, OnTimeout::Gap)).read().await), "the reply is longer than 64 KiB");
    assert_eq!(reason(patient(http(&address)).read().await), "the reply is longer than 8192 KiB");
}

#[tokio::test]
async fn a_status_page_has_64_kib_at_most() {
    let page = |length| {
        service(move |mut stream| async move {
            hear(&mut stream).await;
            let mut page = b"IdleWorkers: 8\n".to_vec();
            page.resize(length, b' ');
            let _ = stream.write_all(&[b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &page].concat()).await;
        })
    };
    let longest = page(65_536).await;
    assert_eq!(patient(apache(&longest, OnTimeout::Gap)).read().await, Reading::Raw(8.0));
    let longer = page(65_537).await;
    assert_eq!(reason(patient(apache(&longer, OnTimeout::Gap)).read().await), "the reply is longer than 64 KiB");
}

#[tokio::test]
async fn a_reply_that_drips_is_not_complete() {
    let address = service(|mut stream| async move {
        hear(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(b"I").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(client(http(&address)).read().await, Reading::AtLeast(DEADLINE_MS as f64));
    assert_eq!(client(apache(&address, OnTimeout::Beyond)).read().await, Reading::Busy);
}

#[tokio::test]
async fn the_status_page_of_a_service_is_its_value() {
    let address = replying(b"HTTP/1.1 200 OK\r\n\r\nBusyWorkers: 2\nIdleWorkers: 8\n").await;
    assert_eq!(patient(apache(&address, OnTimeout::Gap)).read().await, Reading::Raw(8.0));
}

#[tokio::test]
async fn tls_that_is_none_is_a_gap() {
    let address = replying(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let source = Source::Http { url: format!("https://user:hunter2@{address}/"), expect: 200 };
    let reason = reason(patient(source).read().await);
    assert!(!reason.contains("hunter2") && !reason.is_empty(), "{reason}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_gap() {
    let source = Source::Http { url: "http://no-such-host.invalid/".to_owned(), expect: 200 };
    assert_eq!(reason(patient(source).read().await), "the host name cannot be resolved");
    let reading = patient(mysql("no-such-host.invalid:3306", OnTimeout::Gap)).read().await;
    assert_eq!(reason(reading), "the host name cannot be resolved");
}

#[tokio::test]
async fn a_missing_password_is_a_gap_before_any_connection() {
    let password = Some(Secret::Env("WHIMBREL_TEST_UNSET".to_owned()));
    let Source::Mysql { url, quantity, on_timeout, .. } = mysql(&nobody().await, OnTimeout::Gap) else {
        unreachable!()
    };
    let reading = patient(Source::Mysql { url, password, quantity, on_timeout }).read().await;
    assert_eq!(reason(reading), "environment variable WHIMBREL_TEST_UNSET is not set");
}

#[tokio::test]
async fn a_url_that_is_none_is_a_gap() {
    for source in [http(":"), apache(":", OnTimeout::Gap), mysql(":x", OnTimeout::Gap)] {
        assert_eq!(reason(patient(source).read().await), "the monitor's URL is not one");
    }
}
