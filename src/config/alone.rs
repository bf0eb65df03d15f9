//! One policy and what it needs of the main file, for break-glass: whatever is wrong elsewhere is
//! left out and told. Nothing else may read a configuration this way.

use std::path::{Path, PathBuf};

use super::finding::{ConfigErrors, Finding, Severity};
use super::load::{matching, open, read_all};
use super::main_file::{self, Main};
use super::source::Source;
use super::{Config, Env, fence_room, main_table, read};
use crate::domain::{NotifierName, Policy};

/// Keys of the main file without which nothing can be written to the right place.
const NEEDED: [&str; 5] = ["cluster", "instance", "policies", "state", "route53"];

/// A configuration of one policy.
pub struct Alone {
    pub config: Config,
    /// What was wrong and is done without.
    pub left_out: Vec<Finding>,
}

/// Reads the main file at `path` and the policy named `policy`. Errors hold what is wrong with
/// exactly what is needed.
pub fn alone(path: &Path, policy: &str, env: Env<'_>) -> Result<Alone, ConfigErrors> {
    let (main, pattern, mut left_out) = needed_main(path, env)?;
    let source = open(path).map_err(|finding| ConfigErrors::one(*finding))?;
    let files = matching(source.dir(), &pattern).map_err(|why| {
        let fix = "check the directory's permissions".into();
        ConfigErrors::one(Finding::about(path, Severity::Error, format!("cannot look for policies: {why}"), fix))
    })?;
    let mut broken = Vec::new();
    let mut found: Option<(Policy, PathBuf)> = None;
    for (file, one) in files.iter().zip(read_all(&files)) {
        match one {
            Err(finding) => broken.push((file.clone(), vec![*finding])),
            Ok(one) => {
                let faulty = one.source.has_errors();
                let findings = one.source.into_findings();
                match one.policy.filter(|_| !faulty) {
                    // Which of two files is meant nobody can know; break-glass must not guess.
                    Some(read) if read.id.as_str() == policy => match &found {
                        Some((_, first)) => return Err(doubled(file, first, policy)),
                        None => found = Some((read, file.clone())),
                    },
                    Some(_) => {}
                    None => broken.push((file.clone(), findings)),
                }
            }
        }
    }
    let Some((found, _)) = found else { return Err(not_found(path, policy, broken)) };
    if let Err(why) = fence_room::fence_fits(&found, &main.settings) {
        let fix = "shorten `cluster` and `instance`".into();
        return Err(ConfigErrors::one(Finding::about(path, Severity::Error, why, fix)));
    }
    left_out.extend(broken.into_iter().flat_map(|(_, findings)| findings).filter(|f| f.severity == Severity::Error));
    let notify = known(&found, &main);
    let config = Config {
        path: path.into(),
        settings: main.settings,
        policies: vec![Policy { notify, ..found }],
        state: main.state,
        provider: main.provider,
        notifiers: main.notifiers,
        api: None,
        warnings: Vec::new(),
        sources: vec![path.to_owned()],
    };
    Ok(Alone { config, left_out })
}

/// The receivers of the policy that there are.
fn known(policy: &Policy, main: &Main) -> Vec<NotifierName> {
    policy.notify.iter().filter(|name| main.notifiers.iter().any(|n| n.name == **name)).cloned().collect()
}

/// The main file with as much as is right in it, the pattern of its policies, and what is wrong.
fn needed_main(path: &Path, env: Env<'_>) -> Result<(Main, String, Vec<Finding>), ConfigErrors> {
    let source = open(path).map_err(|finding| ConfigErrors::one(*finding))?;
    let text = source.text().to_owned();
    let (whole, findings) = build(path, text.clone(), env);
    if let Some((main, pattern)) = whole {
        return Ok((main, pattern, Vec::new()));
    }
    let wrong = |findings: Vec<Finding>| -> Vec<Finding> {
        findings.into_iter().filter(|f| f.severity == Severity::Error).collect()
    };
    let with: [&[&str]; 3] = [&["verify", "notifier"], &["verify"], &[]];
    let mut last = findings.clone();
    for more in with {
        let Some(less) = only(&text, more) else { break };
        let (part, found) = build(path, less, env);
        if let Some((main, pattern)) = part {
            return Ok((main, pattern, wrong(findings)));
        }
        last = found;
    }
    Err(ConfigErrors { findings: if last.is_empty() { findings } else { last } })
}

fn build(path: &Path, text: String, env: Env<'_>) -> (Option<(Main, String)>, Vec<Finding>) {
    let mut source = Source::new(path.into(), text);
    let built = read::read(&mut source, &main_table::MAIN).and_then(|fields| {
        let pattern = fields.text("policies")?;
        main_file::build(&mut source, &fields, env).map(|main| (main, pattern))
    });
    let built = built.filter(|_| !source.has_errors());
    (built, source.into_findings())
}

/// The needed keys of a main file and `more`; `None` when it is not TOML.
fn only(text: &str, more: &[&str]) -> Option<String> {
    let mut table: toml::Table = toml::from_str(text).ok()?;
    table.retain(|key, _| NEEDED.contains(&key) || more.contains(&key));
    toml::to_string(&table).ok()
}

/// What is wrong with the file that should hold the policy, else with any.
fn doubled(file: &Path, first: &Path, policy: &str) -> ConfigErrors {
    let what = format!("policy `{policy}` is written here and in {}", first.display());
    ConfigErrors::one(Finding::about(file, Severity::Error, what, "move the wrong one away, then type it again".into()))
}

fn not_found(path: &Path, policy: &str, broken: Vec<(std::path::PathBuf, Vec<Finding>)>) -> ConfigErrors {
    let own = broken.iter().any(|(file, _)| file.file_stem().is_some_and(|stem| stem == policy));
    let mut findings: Vec<Finding> = broken
        .into_iter()
        .filter(|(file, _)| !own || file.file_stem().is_some_and(|stem| stem == policy))
        .flat_map(|(_, findings)| findings)
        .filter(|f| f.severity == Severity::Error)
        .collect();
    if !own {
        let what = format!("no policy file that can be read has the id `{policy}`");
        let fix = "check the name; its file must be among `policies` of the main file and free of errors".into();
        findings.push(Finding::about(path, Severity::Error, what, fix));
    }
    ConfigErrors { findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n\
        [check]\ntype = \"tcp\"\nport = 80\n\
        [[target]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\npriority = 1\n\
        [[target]]\nname = \"b\"\naddresses = [\"192.0.2.2\"]\npriority = 2\n\
        [notify]\nto = [\"ops\"]\n";
    const MAIN: &str = "instance = \"a\"\ncluster = \"blue\"\n[route53]\nendpoint_url = \"http://127.0.0.1:1\"\n";
    const OPS: &str = "[[notifier]]\nname = \"ops\"\ntype = \"webhook\"\nurl = \"http://127.0.0.1:2\"\n";

    #[test]
    fn what_is_wrong_elsewhere_is_left_out_and_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let main = dir.path().join("failoverd.toml");
        std::fs::write(dir.path().join("policies/web.toml"), POLICY).unwrap();
        for (text, told, receivers) in [
            (format!("{MAIN}{OPS}"), "", 1),
            (format!("{MAIN}{OPS}[guard]\nfloor = \"many\"\n"), "guard.floor", 1),
            (format!("odd = 1\n{MAIN}{OPS}"), "odd", 1),
            (format!("{MAIN}[[notifier]]\nname = \"ops\"\ntype = \"pigeon\"\n"), "notifier", 0),
            (format!("{MAIN}[verify]\ntimeout = 3\n{OPS}"), "verify.timeout", 0),
        ] {
            std::fs::write(&main, &text).unwrap();
            let Alone { config, left_out } = alone(&main, "web", &|_| None).unwrap_or_else(|e| panic!("{text}: {e}"));
            let said: Vec<String> = left_out.iter().map(ToString::to_string).collect();
            assert_eq!(said.is_empty(), told.is_empty(), "{said:?}");
            assert!(said.join("\n").contains(told), "{told}: {said:?}");
            assert_eq!((config.settings.cluster.as_str(), config.policies.len()), ("blue", 1));
            assert_eq!(config.policies[0].notify.len(), receivers, "{text}");
        }
        std::fs::write(&main, MAIN).unwrap();
        std::fs::write(dir.path().join("policies/other.toml"), "zone = 1\n").unwrap();
        let alone = alone(&main, "web", &|_| None).unwrap_or_else(|e| panic!("{e}"));
        assert!(!alone.left_out.is_empty(), "another policy's faults are told");
    }

    #[test]
    fn what_is_wrong_with_the_policy_or_the_provider_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let main = dir.path().join("failoverd.toml");
        let broken = POLICY.replace("ttl = 30", "tttl = 30");
        for (text, policy, asked, said) in [
            (MAIN.to_owned(), broken.as_str(), "web", "did you mean `ttl`"),
            (MAIN.to_owned(), POLICY, "wbe", "no policy file that can be read has the id `wbe`"),
            (MAIN.replace("endpoint_url", "endpoint"), POLICY, "web", "route53.endpoint"),
            ("not toml".to_owned(), POLICY, "web", "not TOML"),
        ] {
            std::fs::write(&main, text).unwrap();
            std::fs::write(dir.path().join("policies/web.toml"), policy).unwrap();
            let errors = alone(&main, asked, &|_| None).err().unwrap();
            assert!(errors.to_string().contains(said), "{said}: {errors}");
        }
    }
}
