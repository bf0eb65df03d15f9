//! `failoverd.toml` as settings: what its keys mean together.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::calendar;
use super::fields::{Fields, Value};
use super::rule;
use super::secret_source::SecretSource;
use super::source::{Source, Span};
use super::{ApiSettings, Env, NotifierKind, NotifierSettings, ProviderSettings};
use crate::domain::{
    ApiBudget, ClusterName, FleetSettings, GuardSettings, InstanceName, NameServers, NotifierName, RegionName,
    VerifySettings, Witness, WitnessKind, WitnessName,
};
use crate::secret::Secret;

/// Fewer witnesses than this cannot outvote a single wrong one.
const ENOUGH_WITNESSES: usize = 3;

/// Everything but the policies.
pub struct Main {
    pub settings: FleetSettings,
    pub state: PathBuf,
    pub provider: ProviderSettings,
    pub notifiers: Vec<NotifierSettings>,
    pub api: Option<ApiSettings>,
    /// Regions that witnesses stand for, and where.
    pub witness_regions: Vec<(RegionName, Span)>,
}

/// Reads the main file; reports what does not fit together and then answers `None`.
pub fn build(source: &mut Source, fields: &Fields, env: Env<'_>) -> Option<Main> {
    let provider = provider(source, fields, env);
    let (witnesses, witness_regions) = witnesses(source, fields);
    let notifiers = notifiers(source, fields);
    let api = api(source, fields);
    let verify = fields.table("verify").and_then(|v| verify(source, &v));
    let guard = fields.table("guard").and_then(|g| guard(&g));
    let rehearsal = fields.table("rehearsal").and_then(|r| rehearsal(source, &r));
    if source.has_errors() {
        return None;
    }
    let provider = provider?;
    let settings = FleetSettings {
        cluster: ClusterName::new(&fields.text("cluster")?).ok()?,
        instance: instance(fields)?,
        api: ApiBudget { rate: provider.requests_per_second * provider.share, burst: provider.burst },
        verify: verify?,
        guard: guard?,
        witnesses,
        rehearsal: rehearsal?,
    };
    let state = state(source.dir(), fields, env)?;
    Some(Main { settings, state, provider, notifiers, api, witness_regions })
}

fn instance(fields: &Fields) -> Option<InstanceName> {
    if fields.is_given("instance") {
        return fields.text("instance").and_then(|i| InstanceName::new(&i).ok());
    }
    InstanceName::new(&label_of(&gethostname::gethostname().to_string_lossy())).ok()
}

/// A host name's first label as a label of ours; `failoverd` when nothing is left of it.
fn label_of(host: &str) -> String {
    let first = host.split('.').next().unwrap_or("").to_ascii_lowercase();
    let plain: String = first.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let plain = plain.trim_matches('-');
    if plain.is_empty() { "failoverd".into() } else { plain.into() }
}

pub fn state(dir: &Path, fields: &Fields, env: Env<'_>) -> Option<PathBuf> {
    if fields.is_given("state") {
        return fields.text("state").map(|s| dir.join(s));
    }
    // systemd may list several directories.
    let given = env("STATE_DIRECTORY").and_then(|list| list.split(':').next().map(PathBuf::from));
    let base = given.filter(|d| !d.as_os_str().is_empty()).unwrap_or_else(|| dir.to_owned());
    Some(base.join("failoverd.db"))
}

fn provider(source: &mut Source, fields: &Fields, env: Env<'_>) -> Option<ProviderSettings> {
    let table = fields.table("route53")?;
    let mut endpoint_url = table.text("endpoint_url");
    if let Some(uri) = endpoint_url.as_deref().and_then(|u| rule::url(u).ok())
        && uri.scheme_str() == Some("http")
        && !is_local(&uri)
    {
        source.warn(
            &table.place("endpoint_url"),
            "`route53.endpoint_url` sends signed requests over plain HTTP to another machine",
            "write `https://`",
        );
    }
    if !table.is_given("endpoint_url") {
        let from_env = ["AWS_ENDPOINT_URL_ROUTE_53", "AWS_ENDPOINT_URL"]
            .into_iter()
            .find_map(|name| env(name).filter(|v| !v.is_empty()).map(|v| (name, v)));
        if let Some((name, url)) = from_env {
            if let Err(advice) = rule::url(&url) {
                source.error_whole(format!("${name}: {}", advice.what), format!("unset it, or {}", advice.fix));
            }
            endpoint_url = Some(url);
        }
    }
    Some(ProviderSettings {
        endpoint_url,
        region: table.text("region")?,
        role_arn: table.text("role_arn"),
        requests_per_second: table.number("requests_per_second")?,
        burst: table.int("burst")?,
        share: table.number("share")?,
    })
}

fn is_local(uri: &http::Uri) -> bool {
    let host = uri.host().unwrap_or("").trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn verify(source: &mut Source, table: &Fields) -> Option<VerifySettings> {
    let name_servers = match table.node("name_servers").map(|n| &n.value) {
        None | Some(Value::Text(_)) => NameServers::Delegation,
        Some(Value::List(nodes)) => {
            if nodes.is_empty() {
                source.warn(
                    &table.place("name_servers"),
                    "no name server is asked: a move counts as done when Route 53 says INSYNC",
                    "write `name_servers = \"delegation\"` to see what clients see",
                );
            }
            NameServers::These(table.texts("name_servers").filter_map(|(_, t)| rule::peer(t).ok()).collect())
        }
        Some(_) => return None,
    };
    Some(VerifySettings { name_servers, timeout: table.duration("timeout")? })
}

fn guard(table: &Fields) -> Option<GuardSettings> {
    Some(GuardSettings {
        max_changed: table.number("max_changed")?,
        per: table.duration("per")?,
        floor: table.int("floor")?,
    })
}

/// `Some(None)`: never.
fn rehearsal(source: &mut Source, table: &Fields) -> Option<Option<String>> {
    let schedule = table.text("schedule")?;
    if schedule == "off" {
        source.warn(
            &table.place("schedule"),
            "the write path is never rehearsed: lost credentials or permissions show only when a failover needs them",
            "write `schedule = \"0 0 4 * * *\"`, or leave the key out",
        );
        return Some(None);
    }
    Some(Some(calendar::canonical(&schedule)))
}

fn witnesses(source: &mut Source, fields: &Fields) -> (Vec<Witness>, Vec<(RegionName, Span)>) {
    let tables: Vec<&Fields> = fields.tables("witness").collect();
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    let (mut witnesses, mut regions) = (Vec::new(), Vec::new());
    for table in &tables {
        let name = table.text("name");
        if let Some(name) = &name
            && names.insert(name.clone(), ()).is_some()
        {
            source.error(&table.place("name"), format!("two witnesses are named `{name}`"), "give each its own name");
        }
        let key = if table.is_given("tcp") { "tcp" } else { "url" };
        let Some(text) = table.text(key) else { continue };
        if let Some(other) = places.insert(text.clone(), name.clone().unwrap_or_default()) {
            source.error(
                &table.place(key),
                format!("witness `{other}` already looks at `{text}`; one address has one vote"),
                "choose another address, best of another operator",
            );
        }
        let kind =
            if key == "tcp" { rule::peer(&text).ok().map(WitnessKind::Tcp) } else { Some(WitnessKind::Url(text)) };
        if let (Some(name), Some(kind)) = (name.and_then(|n| WitnessName::new(&n).ok()), kind) {
            let region = table.text("region").and_then(|r| RegionName::new(&r).ok());
            regions.extend(region.clone().map(|r| (r, table.place("region"))));
            witnesses.push(Witness { name, region, kind });
        }
    }
    match tables.last() {
        None if !fields.is_given("witness") => source.warn_whole(
            "there is no witness: only a standby's own answers show that this controller can see, \
             so a dead network here may look like a dead active while a standby is near",
            "add three `[[witness]]` tables with addresses of different operators, for example `tcp = \"1.1.1.1:443\"`",
        ),
        Some(last) if tables.len() < ENOUGH_WITNESSES => source.warn(
            &last.span,
            format!("{} of {ENOUGH_WITNESSES} witnesses: a majority needs all of them, so one that is down stops every move", tables.len()),
            "add witnesses of other operators until there are three",
        ),
        _ => {}
    }
    (witnesses, regions)
}

fn notifiers(source: &mut Source, fields: &Fields) -> Vec<NotifierSettings> {
    let mut names: BTreeMap<String, ()> = BTreeMap::new();
    let mut notifiers = Vec::new();
    for table in fields.tables("notifier") {
        let name = table.text("name");
        if let Some(name) = &name
            && names.insert(name.clone(), ()).is_some()
        {
            let what = format!("two notifiers are named `{name}`");
            source.error_unquoted(&table.place("name"), what, "give each its own name");
        }
        let kind = match table.text("type").as_deref() {
            Some("slack") => Some(NotifierKind::Slack),
            Some("webhook") => Some(NotifierKind::Webhook),
            _ => None,
        };
        let url = url(source, table, kind);
        if kind == Some(NotifierKind::Slack) && table.is_given("secret") {
            source.error_unquoted(
                &table.place("secret"),
                "`notifier.secret` means nothing for type \"slack\": the URL itself is the secret",
                "leave it out, or write `type = \"webhook\"`",
            );
        }
        if kind == Some(NotifierKind::Webhook) && !table.is_given("secret") {
            source.warn_unquoted(
                &table.span,
                "this webhook has no secret: its receiver cannot tell our notices from forged ones",
                "add `secret = { env = \"WEBHOOK_SECRET\" }`",
            );
        }
        let secret = secret(source, table, "secret");
        if let (Some(name), Some(kind), Some(url)) = (name.and_then(|n| NotifierName::new(&n).ok()), kind, url) {
            notifiers.push(NotifierSettings { name, kind, url, secret });
        }
    }
    notifiers
}

fn url(source: &mut Source, table: &Fields, kind: Option<NotifierKind>) -> Option<SecretSource> {
    let Some(Value::Text(text)) = table.node("url").map(|n| &n.value) else { return secret(source, table, "url") };
    let at = table.place("url");
    if kind == Some(NotifierKind::Slack) {
        source.warn_unquoted(
            &at,
            "whoever reads this file can post to the Slack channel: the webhook's URL is a secret",
            "write `url = { env = \"SLACK_WEBHOOK_URL\" }` or `url = { file = \"…\" }`",
        );
    }
    if rule::url(text).is_ok_and(|u| u.scheme_str() == Some("http") && !is_local(&u)) {
        source.warn_unquoted(&at, "notices go over plain HTTP to another machine", "write `https://`");
    }
    Some(SecretSource::Inline(Secret::new(text.clone())))
}

fn secret(source: &Source, table: &Fields, key: &str) -> Option<SecretSource> {
    let Some(Value::Table(place)) = table.node(key).map(|n| &n.value) else { return None };
    match place.text("env") {
        Some(name) => Some(SecretSource::Env(name)),
        None => place.text("file").map(|file| SecretSource::File(source.dir().join(file))),
    }
}

fn api(source: &mut Source, fields: &Fields) -> Option<ApiSettings> {
    let Some(Value::Table(table)) = fields.node("api").map(|n| &n.value) else { return None };
    let listen: SocketAddr = table.text("listen").and_then(|l| rule::socket(&l).ok())?;
    let token = secret(source, table, "token");
    if !listen.ip().is_loopback() {
        if table.is_given("token") {
            source.warn_unquoted(
                &table.place("listen"),
                "metrics go over plain HTTP: whoever is on the way can read the token",
                "keep it to a network you trust, or listen on 127.0.0.1 behind a proxy that speaks TLS",
            );
        } else {
            source.error_unquoted(
                &table.place("listen"),
                format!("metrics would be served on {listen} without a token: anybody who reaches it could read them"),
                "add `token = { env = \"FAILOVERD_TOKEN\" }`, or listen on 127.0.0.1",
            );
        }
    }
    Some(ApiSettings { listen, token })
}

#[cfg(test)]
mod tests {
    use super::label_of;

    #[test]
    fn any_host_name_becomes_a_label() {
        for (host, label) in [
            ("web-1.example.com", "web-1"),
            ("My_Host", "my-host"),
            ("", "failoverd"),
            ("--", "failoverd"),
            ("ü.x", "failoverd"),
        ] {
            assert_eq!(label_of(host), label);
        }
    }
}
