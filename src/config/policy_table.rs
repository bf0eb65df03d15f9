//! The keys of a policy file. Ranges and defaults are a contract; the doc of a field is
//! what an editor shows.

use super::rule;
use super::table::{Default, Field, Kind, Relation, Table};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn field(key: &'static str, kind: Kind, default: Default, example: &'static str, doc: &'static str) -> Field {
    Field { key, kind, default, example, doc }
}

pub static POLICY: Table = Table {
    name: "<policy>",
    doc: "One failoverd policy: records, targets, check, thresholds, failback and who is told.",
    quiet: false,
    relations: &[Relation::AnyOf(&["zone", "zone_id"])],
    fields: &[
        field(
            "id",
            Kind::Text(&rule::LABEL),
            Default::Derived,
            "id = \"web\"",
            "Name of the policy, a DNS label. Default: the file's name without `.toml`.",
        ),
        field(
            "importance",
            Kind::Int { min: -1000, max: 1000 },
            Default::Int(0),
            "importance = 0",
            "Higher goes first when many policies want to move.",
        ),
        field(
            "adopt",
            Kind::OneOf(&["auto", "manual"]),
            Default::Text("auto"),
            "adopt = \"auto\"",
            "`auto`: take the records over when they already publish one of the targets. `manual`: wait for `failoverd adopt`.",
        ),
        field(
            "zone",
            Kind::Text(&rule::ZONE),
            Default::Derived,
            "zone = \"example.com\"",
            "Name of the hosted zone. Give this, `zone_id`, or both; both must match.",
        ),
        field(
            "zone_id",
            Kind::Text(&rule::ZONE_ID),
            Default::Derived,
            "zone_id = \"Z0123456789ABCDEFGHIJ\"",
            "Id of the hosted zone, needed when two zones have one name.",
        ),
        field(
            "records",
            Kind::List { of: &Kind::Text(&rule::RECORD), least: 1, most: 100 },
            Default::Required,
            "records = [\"www.example.com\"]",
            "Full names moved together in one batch; `*.` as the first label for a wildcard.",
        ),
        field(
            "ttl",
            Kind::Int { min: 1, max: 604_800 },
            Default::Int(30),
            "ttl = 30",
            "Seconds that resolvers may keep the answer.",
        ),
        field(
            "answers",
            Kind::Partly {
                now: &Kind::Int { min: 1, max: 1 },
                later: &[],
                fix: "leave it out; list several addresses in one target to publish them together",
            },
            Default::Int(1),
            "answers = 1",
            "How many targets are published at once. This version: 1.",
        ),
        field(
            "min_active",
            Kind::Partly { now: &Kind::Int { min: 1, max: 1 }, later: &[], fix: "leave it out" },
            Default::Int(1),
            "min_active = 1",
            "How few published targets are still enough. This version: 1.",
        ),
        field(
            "observe",
            Kind::Duration { min: 100, max: HOUR },
            Default::Text("30s"),
            "observe = \"30s\"",
            "How often an authoritative server is asked what it publishes.",
        ),
        field(
            "reconcile",
            Kind::Duration { min: SECOND, max: DAY },
            Default::Text("5m"),
            "reconcile = \"5m\"",
            "How often the records are read through the API.",
        ),
        field("check", Kind::Table(&CHECK), Default::Required, "[check]", "How every target is probed."),
        field(
            "target",
            Kind::Tables { of: &TARGET, least: 1, most: 32 },
            Default::Required,
            "[[target]]",
            "What may be published, one table for each region.",
        ),
        field("failover", Kind::Table(&FAILOVER), Default::Derived, "[failover]", "Brakes and manner of moves."),
        field("failback", Kind::Table(&FAILBACK), Default::Derived, "[failback]", "The way back to a better priority."),
        field("notify", Kind::Table(&NOTIFY), Default::Derived, "[notify]", "Who is told."),
    ],
};

pub static CHECK: Table = Table {
    name: "check",
    doc: "How a target is probed and how outcomes are counted.",
    quiet: false,
    relations: &[Relation::NotBoth("interval", "schedule")],
    fields: &[
        field(
            "type",
            Kind::Partly {
                now: &Kind::OneOf(&["http", "https", "tcp"]),
                later: &["heartbeat"],
                fix: "use `type = \"http\"`, `\"https\"` or `\"tcp\"`",
            },
            Default::Required,
            "type = \"http\"",
            "Protocol of the probe.",
        ),
        field(
            "port",
            Kind::Int { min: 1, max: 65_535 },
            Default::Derived,
            "port = 8080",
            "Default: 80 for http, 443 for https; required for tcp.",
        ),
        field(
            "host",
            Kind::Text(&rule::HOST),
            Default::Derived,
            "host = \"www.example.com\"",
            "Host header. Default: the first record; required when that is a wildcard.",
        ),
        field(
            "sni",
            Kind::Text(&rule::SNI),
            Default::Derived,
            "sni = \"www.example.com\"",
            "Server name in TLS, also expected in the certificate. Default: `host` without its port.",
        ),
        field(
            "path",
            Kind::Text(&rule::PATH),
            Default::Text("/"),
            "path = \"/healthz\"",
            "Path and query of the request.",
        ),
        field(
            "method",
            Kind::OneOf(&["GET", "HEAD", "OPTIONS", "POST", "PUT"]),
            Default::Text("GET"),
            "method = \"GET\"",
            "Method of the request.",
        ),
        field(
            "headers",
            Kind::Map { keys: &rule::HEADER_NAME, of: &Kind::Text(&rule::HEADER_VALUE), quiet: true },
            Default::Derived,
            "headers = { x-probe = \"failoverd\" }",
            "More request headers.",
        ),
        field(
            "expect",
            Kind::Table(&EXPECT),
            Default::Derived,
            "expect = { status = [\"200-299\"] }",
            "What makes an answer a good one.",
        ),
        field(
            "interval",
            Kind::Duration { min: 100, max: DAY },
            Default::Text("5s"),
            "interval = \"5s\"",
            "Time from one probe's start to the next while calm.",
        ),
        field(
            "schedule",
            Kind::Text(&rule::CRON),
            Default::Derived,
            "schedule = \"*/5 * * * *\"",
            "Cron expression (UTC) instead of `interval`; in doubt `fast_interval` is used.",
        ),
        field(
            "fast_interval",
            Kind::Duration { min: 50, max: HOUR },
            Default::Text("1s"),
            "fast_interval = \"1s\"",
            "Time from start to start while in doubt. Default: 1s, or `interval` when that is shorter.",
        ),
        field(
            "timeout",
            Kind::Duration { min: 10, max: MINUTE },
            Default::Text("2s"),
            "timeout = \"2s\"",
            "Deadline of a whole probe.",
        ),
        field("fall", Kind::Int { min: 1, max: 100 }, Default::Int(3), "fall = 3", "Remembered failures to go down."),
        field("rise", Kind::Int { min: 1, max: 100 }, Default::Int(2), "rise = 2", "Straight successes to come up."),
        field(
            "settle",
            Kind::Int { min: 1, max: 100 },
            Default::Int(1),
            "settle = 1",
            "Straight successes that clear remembered failures.",
        ),
        field(
            "confirm",
            Kind::Duration { min: 0, max: HOUR },
            Default::Text("8s"),
            "confirm = \"8s\"",
            "Least time from the first to the last of the `fall` failures.",
        ),
        field(
            "verify_tls",
            Kind::Bool,
            Default::Bool(true),
            "verify_tls = true",
            "Whether the certificate must be valid.",
        ),
        field(
            "ca_file",
            Kind::Text(&rule::NOT_EMPTY),
            Default::Derived,
            "ca_file = \"ca.pem\"",
            "PEM bundle used instead of the system's, relative to this file.",
        ),
        field(
            "min_cert_days",
            Kind::Int { min: 1, max: 3650 },
            Default::Derived,
            "min_cert_days = 7",
            "Down when the certificate has fewer whole days left. Default: not looked at.",
        ),
        field(
            "redirects",
            Kind::Int { min: 0, max: 3 },
            Default::Int(0),
            "redirects = 0",
            "How many redirects on the same host are followed.",
        ),
        field(
            "max_body",
            Kind::Size { min: 1, max: 1 << 20 },
            Default::Text("64KiB"),
            "max_body = \"64KiB\"",
            "Most bytes of the answer's body that are read.",
        ),
        field("send", Kind::Later { fix: "leave it out; a tcp check connects and closes" }, Default::Derived, "", ""),
        field(
            "receive",
            Kind::Later { fix: "leave it out; a tcp check connects and closes" },
            Default::Derived,
            "",
            "",
        ),
    ],
};

static EXPECT: Table = Table {
    name: "check.expect",
    doc: "What makes an answer a good one; all that is given must hold.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "status",
            Kind::List {
                of: &Kind::Either(&[Kind::Int { min: 100, max: 599 }, Kind::Text(&rule::STATUS)]),
                least: 1,
                most: 32,
            },
            Default::Derived,
            "status = [\"200-299\", 404]",
            "Good status codes and ranges. Default: 200-299.",
        ),
        field(
            "body",
            Kind::Either(&[Kind::Text(&rule::NOT_EMPTY), Kind::Table(&BODY)]),
            Default::Derived,
            "body = \"ok\"",
            "Text the body must contain, or `{ regex = \"…\" }`.",
        ),
        field(
            "json",
            Kind::Json,
            Default::Derived,
            "json = { status = \"healthy\" }",
            "Dotted path in a JSON body to the value that must stand there.",
        ),
    ],
};

static BODY: Table = Table {
    name: "check.expect.body",
    doc: "A pattern instead of a text.",
    quiet: false,
    relations: &[],
    fields: &[field(
        "regex",
        Kind::Text(&rule::REGEX),
        Default::Required,
        "regex = \"^ok\"",
        "Regular expression that must match somewhere in the body.",
    )],
};

static TARGET: Table = Table {
    name: "target",
    doc: "What may be published for one region.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "name",
            Kind::Text(&rule::LABEL),
            Default::Required,
            "name = \"eu-west-1\"",
            "Name within the policy, a DNS label.",
        ),
        field(
            "region",
            Kind::Text(&rule::LABEL),
            Default::Derived,
            "region = \"eu-west-1\"",
            "Failure domain. Default: the name.",
        ),
        field(
            "addresses",
            Kind::List { of: &Kind::Text(&rule::ADDRESS), least: 1, most: 100 },
            Default::Required,
            "addresses = [\"192.0.2.10\"]",
            "IPv4 and IPv6 addresses; all targets have the same families.",
        ),
        field(
            "priority",
            Kind::Int { min: 0, max: 1000 },
            Default::Derived,
            "priority = 1",
            "Lower is better. Default: the target's place in the file, from 1; give it to all targets or to none.",
        ),
        field(
            "check",
            Kind::Overrides(&CHECK),
            Default::Derived,
            "check = { port = 8081 }",
            "Overrides keys of `[check]`; tables are merged key by key.",
        ),
        field(
            "alias",
            Kind::Later { fix: "list the addresses instead; an alias needs a later version" },
            Default::Derived,
            "",
            "",
        ),
        field(
            "cname",
            Kind::Later { fix: "list the addresses instead; a host name needs a later version" },
            Default::Derived,
            "",
            "",
        ),
    ],
};

static FAILOVER: Table = Table {
    name: "failover",
    doc: "Brakes and manner of moves.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "hold_down",
            Kind::Duration { min: 0, max: DAY },
            Default::Text("60s"),
            "hold_down = \"60s\"",
            "Least time from the end of one automatic move to the next.",
        ),
        field(
            "flap_budget",
            Kind::Rate { min: 2, max: 60 },
            Default::Text("4/h"),
            "flap_budget = \"4/h\"",
            "Most automatic moves an hour, at least 2: a move and its undo.",
        ),
        field(
            "write",
            Kind::OneOf(&["upsert", "swap"]),
            Default::Text("upsert"),
            "write = \"upsert\"",
            "`swap`: delete the exact old set and create the new one instead of UPSERT.",
        ),
        field(
            "drift",
            Kind::OneOf(&["alert", "repair"]),
            Default::Text("alert"),
            "drift = \"alert\"",
            "What is done about a record that somebody else changed.",
        ),
    ],
};

static FAILBACK: Table = Table {
    name: "failback",
    doc: "The way back to a better priority.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "mode",
            Kind::OneOf(&["auto", "manual", "never"]),
            Default::Text("auto"),
            "mode = \"auto\"",
            "Who moves back: failoverd, a person, or nobody.",
        ),
        field(
            "soak",
            Kind::Duration { min: 0, max: 7 * DAY },
            Default::Text("5m"),
            "soak = \"5m\"",
            "Time the better target must stay healthy first.",
        ),
        field(
            "window",
            Kind::Table(&WINDOW),
            Default::Derived,
            "window = { cron = \"0 9 * * Mon-Fri\", duration = \"8h\" }",
            "When moving back is allowed. Default: always.",
        ),
    ],
};

static WINDOW: Table = Table {
    name: "failback.window",
    doc: "Open from each firing of `cron`, for `duration`.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "cron",
            Kind::Text(&rule::CRON),
            Default::Required,
            "cron = \"0 9 * * Mon-Fri\"",
            "Five fields, or six with seconds in front; weekdays by name.",
        ),
        field(
            "duration",
            Kind::Duration { min: SECOND, max: 7 * DAY },
            Default::Required,
            "duration = \"8h\"",
            "How long it stays open.",
        ),
        field(
            "timezone",
            Kind::Text(&rule::TIMEZONE),
            Default::Text("UTC"),
            "timezone = \"Europe/Berlin\"",
            "IANA time zone of `cron`.",
        ),
    ],
};

static NOTIFY: Table = Table {
    name: "notify",
    doc: "Who is told.",
    quiet: false,
    relations: &[],
    fields: &[field(
        "to",
        Kind::List { of: &Kind::Text(&rule::LABEL), least: 0, most: 32 },
        Default::Derived,
        "to = [\"ops-slack\"]",
        "Names of notifiers in failoverd.toml.",
    )],
};
