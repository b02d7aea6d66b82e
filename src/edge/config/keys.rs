//! Every key the config has, table by table.

/// A table of the config: what errors call it, and its keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// As in "a [[vm]] has no 'x'".
    pub name: &'static str,
    /// All of them, whatever the table's kind.
    pub keys: &'static [&'static str],
}

pub(super) const TOP: Shape =
    Shape { name: "the config", keys: &["name", "mode", "limits", "history", "site", "array", "policy", "vm"] };

pub(super) const LIMITS: Shape = Shape {
    name: "[limits]",
    keys: &["at_once", "at_once_per_host", "moves_per_hour", "cooldown", "flap_window", "hold_after_manual"],
};

pub(super) const HISTORY: Shape = Shape { name: "[history]", keys: &["file", "raw", "rolled"] };

pub(super) const SITE: Shape = Shape { name: "a site", keys: &["name", "home"] };

pub(super) const ARRAY: Shape = Shape { name: "an array", keys: &["name", "site", "driver", "base", "pick", "host"] };

pub(super) const DRIVER: Shape = Shape {
    name: "a driver",
    keys: &[
        "kind",
        "uri",
        "peer_uri",
        "tunnelled",
        "persistent",
        "undefine_source",
        "bandwidth",
        "downtime",
        "post_copy",
        "auto_converge",
        "copy_storage",
        "unsafe",
        "stall",
        "migrate",
        "locate",
        "progress",
        "abort",
        "host_state",
        "migrate_deadline",
        "deadline",
    ],
};

pub(super) const HOST: Shape =
    Shape { name: "a host", keys: &["name", "capacity", "price", "draining", "cpu_ghz", "uri", "peer_uri"] };

/// Its keys are the policies' names.
pub(super) const POLICIES: Shape = Shape { name: "[policy]", keys: &["NAME"] };

pub(super) const POLICY: Shape = Shape {
    name: "a policy",
    keys: &[
        "kind",
        "threshold",
        "tarry",
        "low_threshold",
        "low_tarry",
        "settle",
        "stale_after",
        "hours",
        "zone",
        "workstart",
        "workstop",
        "resting",
        "home_tarry",
        "break_even",
        "margin",
    ],
};

pub(super) const VM: Shape = Shape {
    name: "a VM",
    keys: &["name", "array", "host", "interval", "monitor", "policy", "mode", "away", "service", "domain", "uuid"],
};

pub(super) const MONITOR: Shape = Shape {
    name: "a monitor",
    keys: &[
        "kind",
        "url",
        "password_env",
        "password_file",
        "variable",
        "query",
        "field",
        "expect",
        "on_timeout",
        "deadline",
        "direction",
        "indicator_kind",
        "service",
        "demand_ghz",
        "swing",
        "bursts_a_day",
        "burst",
        "memory_mb",
        "dirty_mb_s",
    ],
};

/// What an error report may show of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Echo {
    /// All of it: the key has listed choices.
    Words,
    /// Numbers and flags, no strings.
    Plain,
    /// As `Plain`; keys of the table that it may be are names.
    Names,
    /// It is one of these names. Its table may be shown as another may, any other value may not.
    Name,
    /// Nothing: it leads to a secret, or may hold one.
    Nothing,
    /// Nothing: there is no such key.
    Unknown,
}

/// Keys with listed choices, in whichever table they stand.
const WORDS: [&str; 11] = [
    "mode",
    "pick",
    "kind",
    "driver",
    "copy_storage",
    "resting",
    "break_even",
    "zone",
    "on_timeout",
    "direction",
    "indicator_kind",
];
const SECRETS: [&str; 6] = ["url", "uri", "peer_uri", "password_env", "password_file", "query"];

/// What may be shown of the value of a key; `None`: no table has it.
pub(super) fn echo(key: &str) -> Option<Echo> {
    let shapes = [TOP, LIMITS, HISTORY, SITE, ARRAY, DRIVER, HOST, POLICY, VM, MONITOR];
    match key {
        "policy" => Some(Echo::Names),
        _ if WORDS.contains(&key) => Some(Echo::Words),
        _ if SECRETS.contains(&key) => Some(Echo::Nothing),
        _ => shapes.iter().any(|shape| shape.keys.contains(&key)).then_some(Echo::Plain),
    }
}
