//! What keeps workers from claiming in a database: each with its remedy.

use super::MysqlQueue;
use super::database::{Fault, Transaction, read_only, statement_binlog, transaction};
use crate::core::format::{bytes, one_line};
use crate::edge::queue::Trouble;

/// The oldest servers that skip locked rows.
const OLDEST_MARIADB: [u32; 3] = [10, 6, 0];
const OLDEST_MYSQL: [u32; 3] = [8, 0, 1];
/// What a program may write as a job's output. A server that takes less at once gets only shorter ones.
const LONGEST_OUTPUT: u64 = 16 << 20;

/// What is asked for of each table: reading, adding, changing. None of it finds or changes a row.
const RIGHTS: [&str; 12] = [
    "SELECT id, queue_name, page, state, added, ticket, returned, vm, instance, token, lease_until, claimed, beat, finished, \
     status, fresh FROM queue WHERE 1 = 0",
    "SELECT queue_id, number, tag, work, state, attempts, output, error, began, ended, site, took_ms FROM job WHERE 1 = 0",
    "SELECT queue_name, vm, instance, beat, status FROM worker WHERE 1 = 0",
    "SELECT queue_name, vm, serial, control FROM control WHERE 1 = 0",
    "INSERT INTO queue (queue_name, page) SELECT queue_name, page FROM queue WHERE 1 = 0",
    "INSERT INTO job (queue_id, number, work) SELECT queue_id, number, work FROM job WHERE 1 = 0",
    "INSERT INTO worker SELECT * FROM worker WHERE 1 = 0",
    "INSERT INTO control SELECT * FROM control WHERE 1 = 0",
    "UPDATE queue SET beat = beat WHERE 1 = 0",
    "UPDATE job SET ended = ended WHERE 1 = 0",
    "UPDATE worker SET beat = beat WHERE 1 = 0",
    "UPDATE control SET serial = serial WHERE 1 = 0",
];

/// A server's settings, as it shows them.
#[derive(Debug, Default, PartialEq, Eq)]
struct ServerSettings {
    version: String,
    /// It takes no writes.
    is_read_only: bool,
    /// Its binary log, if it keeps one.
    binlog_format: Option<String>,
    /// The longest packet that it takes, in bytes.
    longest_packet: Option<u64>,
    /// A COMMIT is on the disk before it is answered.
    is_durable: bool,
}

impl MysqlQueue {
    pub async fn probe(&self) -> Result<Vec<String>, Trouble> {
        let warnings = self.check_server().await?;
        let try_rights = transaction!(self.database.change(), |tx| {
            for statement in RIGHTS {
                tx.run(statement, ()).await?;
            }
            Ok(())
        });
        try_rights?;
        Ok(warnings)
    }

    /// Whether pages can be claimed on this server.
    pub(super) async fn check_server(&self) -> Result<Vec<String>, Trouble> {
        let server = transaction!(self.database.read(), |tx| ServerSettings::read(tx).await)?;
        server.check()?;
        Ok(server.warnings())
    }
}

impl ServerSettings {
    async fn read(tx: &mut Transaction) -> Result<Self, Fault> {
        let show = "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'read_only', 'super_read_only', \
             'innodb_read_only', 'log_bin', 'binlog_format', 'max_allowed_packet', 'innodb_flush_log_at_trx_commit')";
        let rows: Vec<(String, String)> = tx.rows(show, ()).await?;
        Ok(Self::of(&rows))
    }

    fn of(variables: &[(String, String)]) -> Self {
        let value = |wanted: &str| variables.iter().find(|(name, _)| name == wanted).map(|(_, value)| &**value);
        // Newer servers have more values than ON and OFF.
        let is_on = |name: &str| value(name).is_some_and(|value| !["", "0", "OFF"].contains(&value));
        Self {
            version: value("version").unwrap_or_default().to_owned(),
            is_read_only: ["read_only", "super_read_only", "innodb_read_only"].into_iter().any(is_on),
            binlog_format: value("binlog_format").filter(|_| is_on("log_bin")).map(str::to_owned),
            longest_packet: value("max_allowed_packet").and_then(|bytes| bytes.parse().ok()),
            is_durable: value("innodb_flush_log_at_trx_commit").is_none_or(|value| value == "1"),
        }
    }

    fn check(&self) -> Result<(), Trouble> {
        let version = one_line(&self.version, 60);
        let is_mariadb = self.version.contains("MariaDB");
        let (name, oldest) = if is_mariadb { ("MariaDB", OLDEST_MARIADB) } else { ("MySQL", OLDEST_MYSQL) };
        let [major, minor, patch] = oldest;
        match numbers(&self.version) {
            Some(version) if version >= oldest => {}
            _ => {
                let remedy = format!(
                    "whimbrel's queues need MariaDB 10.6 or MySQL 8.0.1, which skip locked rows: update {name}"
                );
                let why = format!("{name} {version} is older than {major}.{minor}.{patch}: {remedy}");
                return Err(Trouble::Refused(why));
            }
        }
        if self.is_read_only {
            return Err(read_only());
        }
        if self.binlog_format.as_deref() == Some("STATEMENT") {
            return Err(statement_binlog());
        }
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(most) = self.longest_packet.filter(|most| *most < LONGEST_OUTPUT) {
            let most = bytes(most);
            warnings.push(format!("outputs longer than {most} cannot be delivered: set max_allowed_packet = 64M"));
        }
        if !self.is_durable {
            let remedy = "set innodb_flush_log_at_trx_commit = 1";
            warnings.push(format!("what is delivered may be lost in a power cut of the database: {remedy}"));
        }
        warnings
    }
}

/// The three numbers of a version, as in `10.11.19-MariaDB-log`; older MariaDBs put `5.5.5-` before it.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let version = if version.contains("MariaDB") { version.strip_prefix("5.5.5-").unwrap_or(version) } else { version };
    let mut parts = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    Some([parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(version: &str, more: &[(&str, &str)]) -> ServerSettings {
        let version = [("version", version)];
        let variables = more.iter().chain(&version).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        ServerSettings::of(&variables.collect::<Vec<_>>())
    }

    fn refusal(version: &str, more: &[(&str, &str)]) -> String {
        server(version, more).check().expect_err("a refusal").to_string()
    }

    #[test]
    fn servers_that_cannot_skip_locked_rows_are_refused_by_name() {
        for new in ["10.6.0-MariaDB", "5.5.5-10.11.19-MariaDB-0+deb12u1", "12.0.2-MariaDB-log", "8.0.1-dmr", "9.4.0"] {
            assert_eq!(server(new, &[]).check(), Ok(()), "{new}");
        }
        assert!(refusal("10.5.29-MariaDB", &[]).starts_with("MariaDB 10.5.29-MariaDB is older than 10.6.0: "));
        assert!(refusal("5.5.5-10.3.39-MariaDB", &[]).starts_with("MariaDB "));
        for old in ["8.0.0-dmr", "5.7.44-log", "", "nonsense"] {
            assert!(refusal(old, &[]).starts_with("MySQL "), "{old}");
        }
    }

    #[test]
    fn a_server_that_takes_no_writes_is_refused() {
        for name in ["read_only", "super_read_only", "innodb_read_only"] {
            assert!(refusal("8.4.2", &[(name, "ON")]).contains("read-only"), "{name}");
            assert_eq!(server("8.4.2", &[(name, "OFF")]).check(), Ok(()));
        }
        assert!(refusal("12.1.1-MariaDB", &[("read_only", "NO_LOCK")]).contains("read-only"));
    }

    #[test]
    fn a_log_of_statements_is_refused_if_it_is_kept() {
        let format = ("binlog_format", "STATEMENT");
        assert!(refusal("10.11.19-MariaDB", &[format, ("log_bin", "ON")]).contains("binlog_format = MIXED"));
        assert_eq!(server("10.11.19-MariaDB", &[format, ("log_bin", "OFF")]).check(), Ok(()));
        assert_eq!(server("8.4.2", &[("binlog_format", "ROW"), ("log_bin", "ON")]).check(), Ok(()));
        // A server that has no such variable any more logs rows.
        assert_eq!(server("9.9.0", &[("log_bin", "ON")]).check(), Ok(()));
    }

    #[test]
    fn what_may_lose_results_is_warned_of() {
        let warnings =
            server("8.4.2", &[("max_allowed_packet", "4194304"), ("innodb_flush_log_at_trx_commit", "2")]).warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].contains("4.2 MB") && warnings[1].contains("power cut"), "{warnings:?}");
        assert!(server("8.4.2", &[("max_allowed_packet", "67108864")]).warnings().is_empty());
    }
}
