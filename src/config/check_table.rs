//! The keys of `[check]` and of a target's own `check`.

use super::rule;
use super::table::{Default, Field, Kind, Relation, Table};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

const fn field(key: &'static str, kind: Kind, default: Default, example: &'static str, doc: &'static str) -> Field {
    Field { key, kind, default, example, doc }
}

pub static CHECK: Table = Table {
    name: "check",
    doc: "How a target is probed and how outcomes are counted.",
    quiet: false,
    relations: &[Relation::NotBoth("interval", "schedule")],
    fields: &[
        field(
            "type",
            Kind::OneOf(&["http", "https", "tcp", "heartbeat"]),
            Default::Required,
            "type = \"http\"",
            "Protocol of the probe; `heartbeat` sends a word over TCP and waits for the answer.",
        ),
        field(
            "port",
            Kind::Int { min: 1, max: 65_535 },
            Default::Derived,
            "port = 8080",
            "Default: 80 for http, 443 for https; required for tcp and heartbeat.",
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
        field(
            "send",
            Kind::Text(&rule::EXCHANGE),
            Default::Derived,
            "send = \"PING\"",
            "Bytes sent once connected, 1 to 1024. Default: PING for heartbeat, none for tcp.",
        ),
        field(
            "receive",
            Kind::Text(&rule::EXCHANGE),
            Default::Derived,
            "receive = \"PONG\"",
            "Bytes the answer must begin with, 1 to 1024. Default: PONG for heartbeat, none for tcp.",
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
