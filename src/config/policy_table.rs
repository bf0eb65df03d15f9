//! The keys of a policy file. Ranges and defaults are a contract; the doc of a field is
//! what an editor shows.

use super::check_table::CHECK;
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
            Kind::Int { min: 1, max: 32 },
            Default::Int(1),
            "answers = 2",
            "How many targets of one priority are published at once; more than one only with `addresses`.",
        ),
        field(
            "min_active",
            Kind::Int { min: 1, max: 32 },
            Default::Derived,
            "min_active = 1",
            "With fewer healthy targets the policy leaves for those of another priority. Default: half of `answers`, rounded up.",
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
            "What may be published, one table for each region; all of one kind.",
        ),
        field("failover", Kind::Table(&FAILOVER), Default::Derived, "[failover]", "Brakes and manner of moves."),
        field("failback", Kind::Table(&FAILBACK), Default::Derived, "[failback]", "The way back to a better priority."),
        field("notify", Kind::Table(&NOTIFY), Default::Derived, "[notify]", "Who is told."),
    ],
};

static TARGET: Table = Table {
    name: "target",
    doc: "What may be published for one region.",
    quiet: false,
    relations: &[Relation::ExactlyOne(&["addresses", "host", "alias"])],
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
            Default::Derived,
            "addresses = [\"192.0.2.10\"]",
            "IPv4 and IPv6 addresses, published as A and AAAA; all targets have the same families.",
        ),
        field(
            "host",
            Kind::Text(&rule::TARGET_HOST),
            Default::Derived,
            "host = \"lb.example.net\"",
            "Host name, published as a CNAME; not at the zone's own name.",
        ),
        field(
            "alias",
            Kind::Table(&ALIAS),
            Default::Derived,
            "alias = { name = \"lb.example.net\", zone_id = \"Z0123456789ABCDEFGHIJ\" }",
            "Route 53 alias: a load balancer, a distribution or another record, published as alias A and AAAA.",
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
        field("cname", Kind::Misnamed { fix: "write `host = \"lb.example.net\"`" }, Default::Derived, "", ""),
        field("address", Kind::Misnamed { fix: "write `addresses = [\"192.0.2.10\"]`" }, Default::Derived, "", ""),
    ],
};

static ALIAS: Table = Table {
    name: "target.alias",
    doc: "Where a Route 53 alias points to.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "name",
            Kind::Text(&rule::TARGET_HOST),
            Default::Required,
            "name = \"web-1234.us-east-1.elb.amazonaws.com\"",
            "DNS name of the load balancer, distribution or record.",
        ),
        field(
            "zone_id",
            Kind::Text(&rule::ZONE_ID),
            Default::Required,
            "zone_id = \"Z35SXDOTRQ7X7K\"",
            "Hosted zone of that name, not of ours: the load balancer's, as AWS lists it.",
        ),
        field(
            "evaluate_target_health",
            Kind::Bool,
            Default::Bool(false),
            "evaluate_target_health = false",
            "Whether Route 53 also leaves out an unhealthy target by itself.",
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
