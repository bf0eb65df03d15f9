//! The keys of `failoverd.toml`.

use super::rule;
use super::table::{Default, Field, Kind, Relation, Table};

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

const fn field(key: &'static str, kind: Kind, default: Default, example: &'static str, doc: &'static str) -> Field {
    Field { key, kind, default, example, doc }
}

pub static MAIN: Table = Table {
    name: "<main>",
    doc: "The main file of failoverd.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "instance",
            Kind::Text(&rule::LABEL),
            Default::Derived,
            "instance = \"use1-a\"",
            "Name of this controller within its cluster. Default: the host name.",
        ),
        field(
            "cluster",
            Kind::Text(&rule::LABEL),
            Default::Text("default"),
            "cluster = \"default\"",
            "Controllers with one cluster name share their records.",
        ),
        field(
            "policies",
            Kind::Text(&rule::GLOB),
            Default::Text("policies/*.toml"),
            "policies = \"policies/*.toml\"",
            "Pattern of the policy files, relative to this file.",
        ),
        field(
            "state",
            Kind::Text(&rule::NOT_EMPTY),
            Default::Derived,
            "state = \"failoverd.db\"",
            "The state file, relative to this file. Default: `$STATE_DIRECTORY/failoverd.db`, else `failoverd.db` beside this file.",
        ),
        field("route53", Kind::Table(&ROUTE53), Default::Derived, "[route53]", "The provider's API."),
        field("verify", Kind::Table(&VERIFY), Default::Derived, "[verify]", "How a move is proven."),
        field("guard", Kind::Table(&GUARD), Default::Derived, "[guard]", "Limits of the whole fleet."),
        field(
            "rehearsal",
            Kind::Table(&REHEARSAL),
            Default::Derived,
            "[rehearsal]",
            "The standing rehearsal of the write path.",
        ),
        field(
            "api",
            Kind::Table(&API),
            Default::Derived,
            "[api]",
            "Metrics and health checks over HTTP: /metrics, /healthz, /readyz. Off when left out.",
        ),
        field(
            "witness",
            Kind::Tables { of: &WITNESS, least: 0, most: 32 },
            Default::Derived,
            "[[witness]]",
            "Addresses that tell whether this controller can see; three or more.",
        ),
        field(
            "notifier",
            Kind::Tables { of: &NOTIFIER, least: 0, most: 64 },
            Default::Derived,
            "[[notifier]]",
            "Where notices go.",
        ),
    ],
};

static ROUTE53: Table = Table {
    name: "route53",
    doc: "The provider's API.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "endpoint_url",
            Kind::Text(&rule::URL),
            Default::Derived,
            "endpoint_url = \"http://127.0.0.1:8553\"",
            "Another address of the API. Default: `$AWS_ENDPOINT_URL_ROUTE_53`, `$AWS_ENDPOINT_URL`, else AWS.",
        ),
        field(
            "region",
            Kind::Text(&rule::LABEL),
            Default::Text("us-east-1"),
            "region = \"us-east-1\"",
            "Region that requests are signed for.",
        ),
        field(
            "role_arn",
            Kind::Text(&rule::ROLE),
            Default::Derived,
            "role_arn = \"arn:aws:iam::123456789012:role/failoverd\"",
            "Role assumed for every call.",
        ),
        field(
            "requests_per_second",
            Kind::Number { above: 0.0, max: 50.0 },
            Default::Number(5.0),
            "requests_per_second = 5",
            "Calls a second in the long run.",
        ),
        field(
            "burst",
            Kind::Int { min: 1, max: 50 },
            Default::Int(10),
            "burst = 10",
            "Calls at once after a calm time.",
        ),
        field(
            "share",
            Kind::Number { above: 0.0, max: 1.0 },
            Default::Number(1.0),
            "share = 1.0",
            "Part of the account's limit that is ours.",
        ),
    ],
};

static VERIFY: Table = Table {
    name: "verify",
    doc: "How a move is proven.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "name_servers",
            Kind::Either(&[
                Kind::OneOf(&["delegation"]),
                Kind::List { of: &Kind::Text(&rule::PEER), least: 0, most: 32 },
            ]),
            Default::Text("delegation"),
            "name_servers = \"delegation\"",
            "Authoritative servers to ask: those of the zone, or exactly these; an empty list trusts INSYNC alone.",
        ),
        field(
            "timeout",
            Kind::Duration { min: SECOND, max: HOUR },
            Default::Text("120s"),
            "timeout = \"120s\"",
            "After this a move that is neither proven nor contradicted is unverified.",
        ),
    ],
};

static GUARD: Table = Table {
    name: "guard",
    doc: "Limits of the whole fleet.",
    quiet: false,
    relations: &[],
    fields: &[
        field(
            "max_changed",
            Kind::Number { above: 0.0, max: 1.0 },
            Default::Number(0.3),
            "max_changed = 0.3",
            "Largest part of the policies that may move automatically within `per`.",
        ),
        field(
            "per",
            Kind::Duration { min: SECOND, max: 24 * HOUR },
            Default::Text("10m"),
            "per = \"10m\"",
            "Time over which moves are counted.",
        ),
        field(
            "floor",
            Kind::Int { min: 0, max: 100_000 },
            Default::Int(10),
            "floor = 10",
            "This many may always move.",
        ),
    ],
};

static REHEARSAL: Table = Table {
    name: "rehearsal",
    doc: "A fence-only write on a calm day: it shows that a failover could be written, and how long that takes.",
    quiet: false,
    relations: &[],
    fields: &[field(
        "schedule",
        Kind::Text(&rule::CRON_OR_OFF),
        Default::Text("0 0 4 * * *"),
        "schedule = \"0 0 4 * * *\"",
        "Cron expression (UTC), five fields or six with seconds in front; `off` for never.",
    )],
};

static API: Table = Table {
    name: "api",
    doc: "Metrics and health checks over HTTP.",
    quiet: true,
    relations: &[],
    fields: &[
        field(
            "listen",
            Kind::Text(&rule::SOCKET),
            Default::Required,
            "listen = \"127.0.0.1:8653\"",
            "Address and port to listen on.",
        ),
        field(
            "token",
            Kind::Table(&SECRET),
            Default::Derived,
            "token = { env = \"FAILOVERD_TOKEN\" }",
            "Bearer token that /metrics asks for; required unless `listen` is a loopback address.",
        ),
    ],
};

static WITNESS: Table = Table {
    name: "witness",
    doc: "An address that tells whether this controller can see.",
    quiet: false,
    relations: &[Relation::ExactlyOne(&["tcp", "url"])],
    fields: &[
        field("name", Kind::Text(&rule::LABEL), Default::Required, "name = \"resolver-1\"", "Name of the witness."),
        field(
            "tcp",
            Kind::Text(&rule::PEER),
            Default::Derived,
            "tcp = \"192.0.2.53:443\"",
            "Address and port that accepts connections.",
        ),
        field(
            "url",
            Kind::Text(&rule::URL),
            Default::Derived,
            "url = \"https://www.example.net/\"",
            "URL that answers.",
        ),
        field(
            "region",
            Kind::Text(&rule::LABEL),
            Default::Derived,
            "region = \"eu-west-1\"",
            "Failure domain it stands for: a verdict on targets of that region needs its answer too. Default: none.",
        ),
    ],
};

static NOTIFIER: Table = Table {
    name: "notifier",
    doc: "Where notices go.",
    quiet: true,
    relations: &[],
    fields: &[
        field(
            "name",
            Kind::Text(&rule::LABEL),
            Default::Required,
            "name = \"ops-slack\"",
            "Name that policies use in `notify.to`.",
        ),
        field(
            "type",
            Kind::OneOf(&["slack", "webhook"]),
            Default::Required,
            "type = \"slack\"",
            "Slack incoming webhook, or a webhook with Standard Webhooks headers.",
        ),
        field(
            "url",
            Kind::Either(&[Kind::Text(&rule::URL), Kind::Table(&SECRET)]),
            Default::Required,
            "url = { env = \"SLACK_WEBHOOK_URL\" }",
            "Where notices are posted: a URL, `{ env = \"NAME\" }` or `{ file = \"path\" }`.",
        ),
        field(
            "secret",
            Kind::Table(&SECRET),
            Default::Derived,
            "secret = { env = \"WEBHOOK_SECRET\" }",
            "Key that signs the notices of a webhook.",
        ),
    ],
};

static SECRET: Table = Table {
    name: "secret",
    doc: "Where a secret is found; it never stands in the file itself.",
    quiet: true,
    relations: &[Relation::ExactlyOne(&["env", "file"])],
    fields: &[
        field(
            "env",
            Kind::Text(&rule::ENV_NAME),
            Default::Derived,
            "env = \"FAILOVERD_TOKEN\"",
            "Environment variable that holds it.",
        ),
        field(
            "file",
            Kind::Text(&rule::NOT_EMPTY),
            Default::Derived,
            "file = \"/run/secrets/token\"",
            "File that holds it, relative to this file.",
        ),
    ],
};
