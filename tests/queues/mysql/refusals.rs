//! Databases in which no queue can be kept: each is refused with its remedy.

use whimbrel::core::cluster::Secret;
use whimbrel::core::queue::{Queue, QueueSource};
use whimbrel::edge::queue::{Delivery, Trouble, new_instance};

use super::claim;
use super::home::{Home, page, store};
use crate::support::services::{MariaDb, or_skip};

/// Why a queue is refused, by the probe and by a start alike.
async fn refusal(queue: &Queue) -> String {
    let store = store(queue);
    let probed = store.probe().await;
    let began = store.begin("nii4", &new_instance()).await.map(|_| ());
    match (probed, began) {
        (Err(Trouble::Refused(why)), Err(Trouble::Refused(_))) => why,
        other => panic!("{other:?}"),
    }
}

fn with_url(queue: &Queue, of: impl Fn(&str) -> String) -> Queue {
    let QueueSource::Mysql { url, password } = &queue.source else { panic!("a database") };
    Queue { source: QueueSource::Mysql { url: of(url), password: password.clone() }, ..queue.clone() }
}

#[tokio::test]
async fn a_user_who_may_not_write_is_told_which_grant_is_missing() {
    let name = "a_user_who_may_not_write_is_told_which_grant_is_missing";
    let Some(home) = or_skip(name, Home::start()) else { return };
    let (queue, user) = (home.queue(), MariaDb::USER);
    assert_eq!(store(&queue).probe().await, Ok(vec![]));
    home.add("page", 1).await;

    home.admin(&format!("REVOKE INSERT, UPDATE ON q.* FROM '{user}'@'127.0.0.1'")).await;
    let why = refusal(&queue).await;
    assert!(why.contains(&format!("GRANT SELECT, INSERT, UPDATE ON `q`.* TO '{user}'@'127.0.0.1'")), "{why}");
    assert_eq!(store(&queue).look("nii4").await.map(|look| look.waiting), Ok(1), "whoever looks needs no more");
    assert!(matches!(store(&queue).add("other", page(1)).await, Err(Trouble::Refused(why)) if why.contains("GRANT")));

    home.admin(&format!("REVOKE SELECT ON q.* FROM '{user}'@'127.0.0.1'")).await;
    let why = refusal(&queue).await;
    assert!(why.contains(&format!("GRANT SELECT, INSERT, UPDATE ON `q`.* TO '{user}'@'127.0.0.1'")), "{why}");
}

#[tokio::test]
async fn a_wrong_login_and_missing_tables_are_named() {
    let Some(home) = or_skip("a_wrong_login_and_missing_tables_are_named", Home::start()) else { return };
    let queue = home.queue();
    let QueueSource::Mysql { url, .. } = &queue.source else { panic!("a database") };
    let wrong = Some(Secret::Env("PATH".to_owned()));
    let wrong = Queue { source: QueueSource::Mysql { url: url.clone(), password: wrong }, ..queue.clone() };
    let why = refusal(&wrong).await;
    assert_eq!(
        why,
        "the database refuses the user 'watch': check the user and the password in the environment variable PATH"
    );
    let unset = Some(Secret::Env("WHIMBREL_TEST_UNSET".to_owned()));
    let unset = Queue { source: QueueSource::Mysql { url: url.clone(), password: unset }, ..queue.clone() };
    assert_eq!(refusal(&unset).await, "environment variable WHIMBREL_TEST_UNSET is not set");

    home.admin(&format!(
        "CREATE DATABASE bare; GRANT ALL ON bare.* TO '{0}'@'127.0.0.1'; GRANT ALL ON none.* TO '{0}'@'127.0.0.1'",
        MariaDb::USER
    ))
    .await;
    let why = refusal(&with_url(&queue, |url| url.replace("/q", "/bare"))).await;
    assert!(why.contains("run `whimbrel queue --schema | mysql bare`"), "{why}");
    let why = refusal(&with_url(&queue, |url| url.replace("/q", "/none"))).await;
    assert!(why.contains("CREATE DATABASE `none`"), "{why}");
    let why = refusal(&with_url(&queue, |url| url.replace("/q", "/mysql"))).await;
    assert!(why.contains(&format!("ON `mysql`.* TO '{}'@'127.0.0.1'", MariaDb::USER)), "{why}");
    home.admin("CREATE TABLE bare.queue (id INT)").await;
    let why = refusal(&with_url(&queue, |url| url.replace("/q", "/bare"))).await;
    assert!(why.contains("a database of its own"), "{why}");
    let why = refusal(&with_url(&queue, |url| format!("{url}?require_ssl=true"))).await;
    assert!(why.contains("the server has no TLS"), "{why}");
}

#[tokio::test]
async fn a_server_with_tls_is_used_with_tls() {
    let Some(db) = or_skip("a_server_with_tls_is_used_with_tls", MariaDb::start_with_tls()) else { return };
    let home = Home::on(db);
    home.admin(&format!("ALTER USER '{}'@'127.0.0.1' REQUIRE SSL", MariaDb::USER)).await;
    let why = refusal(&home.queue()).await;
    assert!(why.starts_with("the database refuses the user"), "{why}");
    let trusting = with_url(&home.queue(), |url| format!("{url}?require_ssl=true&verify_ca=false"));
    assert_eq!(store(&trusting).probe().await, Ok(vec![]));
    let strict = with_url(&home.queue(), |url| format!("{url}?require_ssl=true"));
    let answer = store(&strict).probe().await;
    assert!(matches!(&answer, Err(Trouble::Unreachable(why)) if why.contains("certificate")), "{answer:?}");
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_refused() {
    let Some(home) = or_skip("a_server_that_takes_no_writes_is_refused", Home::start()) else { return };
    home.add("page", 2).await;
    let worker = home.worker("nii4").await;
    let held = claim(&worker).await;
    home.admin("SET GLOBAL read_only = 1").await;
    let why = refusal(&home.queue()).await;
    assert!(why.contains("read-only") && why.contains("primary server"), "{why}");
    // A worker keeps its result until the server takes it.
    let delivery = worker.deliver(&held, 1, Ok(b"1")).await;
    assert!(matches!(&delivery, Delivery::Unknown(why) if why.contains("read-only")), "{delivery:?}");
    assert_eq!(worker.look("nii4").await.map(|look| look.claims.len()), Ok(1));
    home.admin("SET GLOBAL read_only = 0").await;
    assert_eq!(worker.deliver(&held, 1, Ok(b"1")).await, Delivery::Done);
}

#[tokio::test]
async fn a_log_of_statements_is_refused() {
    let options = ["--log-bin=log", "--server-id=1", "--binlog-format=STATEMENT"];
    let Some(home) = or_skip("a_log_of_statements_is_refused", Home::start_with(&options)) else { return };
    let why = refusal(&home.queue()).await;
    assert!(why.contains("binlog_format = MIXED or ROW"), "{why}");
    let why = home.store().add("page", page(1)).await;
    assert!(matches!(&why, Err(Trouble::Refused(why)) if why.contains("binlog_format = MIXED")), "{why:?}");
    home.admin("SET GLOBAL binlog_format = MIXED").await;
    assert_eq!(home.store().probe().await, Ok(vec![]));
    home.add("page", 1).await;
}

#[tokio::test]
async fn what_is_no_page_is_not_added() {
    let Some(home) = or_skip("what_is_no_page_is_not_added", Home::start()) else { return };
    let store = home.store();
    let reason = async |name: &str, bytes: Vec<u8>| match store.add(name, bytes).await {
        Err(Trouble::Refused(why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(reason("page", b"1\n\xff\n".to_vec()).await.contains("line 2"));
    assert!(reason("page", format!("{} = 1\n", "g".repeat(300)).into_bytes()).await.contains("longer than 255"));
    assert!(reason("", b"1\n".to_vec()).await.contains("empty"));
    assert_eq!(home.counts().await, [[0; 3]; 2]);
}
