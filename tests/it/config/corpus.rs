//! One fixture for each defect, with the words a person reads about it.

use std::path::{Path, PathBuf};

use super::{findings, load, no_env, sorted, tree};
use crate::golden;

pub const VALID_POLICIES: &str = "tests/fixtures/policies/valid";
pub const INVALID_POLICIES: &str = "tests/fixtures/policies/invalid";
pub const VALID_MAIN: &str = "tests/fixtures/main/valid";
pub const INVALID_MAIN: &str = "tests/fixtures/main/invalid";

/// A main file that any policy of the corpus can stand under.
const MAIN: &str = r#"instance = "use1-a"
[[witness]]
name = "one"
tcp = "192.0.2.251:443"
[[witness]]
name = "two"
tcp = "192.0.2.252:443"
[[witness]]
name = "three"
url = "https://www.example.net/"
[[notifier]]
name = "ops-slack"
type = "slack"
url = { env = "SLACK_WEBHOOK_URL" }
"#;

fn text(path: &Path) -> String {
    std::fs::read_to_string(golden::root().join(path)).unwrap()
}

/// What is said of one policy file under the common main file.
fn about_policy(path: &Path) -> String {
    let policy = text(path);
    // The id is the file's name, as it is for a user.
    let name = format!("policies/{}", path.file_name().unwrap().to_string_lossy());
    let dir = tree(&[("failoverd.toml", MAIN), (&name, &policy)]);
    findings(dir.path())
}

/// What is said of a main file, or of a whole directory given as a fixture.
fn about_main(path: &Path) -> String {
    let root = golden::root().join(path);
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    if !files.iter().any(|(name, _)| name.contains('/')) {
        files.push(("policies/web.toml".into(), text(Path::new("policies/active-standby.toml"))));
    }
    let list: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    findings(tree(&list).path())
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|e| e == "toml") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            files.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn directories(dir: &str) -> Vec<PathBuf> {
    sorted(Path::new(dir), "").into_iter().filter(|p| golden::root().join(p).is_dir()).collect()
}

#[test]
fn every_defect_has_its_words() {
    let mut wrong = Vec::new();
    let mut defects = 0;
    let policies = sorted(Path::new(INVALID_POLICIES), ".toml").into_iter().map(|p| (about_policy(&p), p));
    let mains = directories(INVALID_MAIN).into_iter().map(|p| (about_main(&p), p));
    for (said, path) in policies.chain(mains) {
        defects += 1;
        let errors = said.lines().filter(|l| l.contains(": error: ")).count();
        if errors != 1 {
            wrong.push(format!("{}: {errors} errors, a fixture has exactly one:\n{said}", path.display()));
        }
        wrong.extend(golden::compare(&path.with_extension("txt"), &said).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(defects >= 200, "only {defects} defects");
}

#[test]
fn a_good_file_has_no_errors_and_its_warnings_are_known() {
    let mut wrong = Vec::new();
    let policies = sorted(Path::new(VALID_POLICIES), ".toml").into_iter().map(|p| (about_policy(&p), p));
    let mains = directories(VALID_MAIN).into_iter().map(|p| (about_main(&p), p));
    for (said, path) in policies.chain(mains) {
        if said.contains(": error: ") {
            wrong.push(format!("{}:\n{said}", path.display()));
        }
        wrong.extend(golden::compare(&path.with_extension("txt"), &said).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_shipped_policies_are_good_together_and_say_where_their_schema_is() {
    let files = sorted(Path::new("policies"), ".toml");
    assert!(files.len() >= 3);
    let texts: Vec<(String, String)> = files.iter().map(|p| (p.to_string_lossy().into_owned(), text(p))).collect();
    let mut list: Vec<(&str, &str)> = texts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    list.push(("failoverd.toml", MAIN));
    let dir = tree(&list);
    assert_eq!(findings(dir.path()), "");
    assert_eq!(load(dir.path()).unwrap().policies.len(), files.len());
    for (name, text) in &texts {
        assert!(text.starts_with("#:schema ./policy.schema.json\n"), "{name}");
    }
}

#[test]
fn all_errors_of_all_files_are_told_at_once() {
    let policy = text(Path::new("policies/active-standby.toml"));
    let dir = tree(&[
        ("failoverd.toml", "cluster = \"UP\"\nburst = 3\n[guard]\nper = 5\n"),
        ("policies/a.toml", &policy.replace("ttl     = 30", "ttl = 0").replace("path ", "paht ")),
        ("policies/b.toml", "zone = \n"),
        ("policies/c.toml", &policy.replace("192.0.2.10", "192.0.2.310").replace("priority  = 2", "priority = \"2\"")),
        ("policies/d.toml", ""),
    ]);
    golden::check(Path::new("tests/fixtures/all-at-once.txt"), &findings(dir.path()));
}

#[test]
fn a_record_or_an_id_in_two_policies_is_told_with_both_places() {
    let policy = text(Path::new("policies/active-standby.toml"));
    let dir = tree(&[
        ("failoverd.toml", MAIN),
        ("policies/a.toml", &policy),
        ("policies/b.toml", &format!("id = \"a\"\n{}", policy.replace("www.example.com", "www2.example.com"))),
        ("policies/c.toml", &policy.replace("www.", "WWW.")),
    ]);
    golden::check(Path::new("tests/fixtures/two-policies.txt"), &findings(dir.path()));
}

#[test]
fn policies_that_could_point_to_each_other_are_told_and_a_chain_is_not() {
    let policy = text(Path::new("policies/heartbeat.toml"));
    let pointing = |record: &str, host: &str| {
        policy.replace("\"queue.example.com\"", &format!("\"{record}\"")).replace("queue.us-east-1.example.net", host)
    };
    let all = |c: &str| {
        let (a, b) = (pointing("a.example.com", "b.example.com"), pointing("b.example.com", "C.example.com."));
        let dir = tree(&[
            ("failoverd.toml", MAIN),
            ("policies/a.toml", &a),
            ("policies/b.toml", &b),
            ("policies/c.toml", &pointing("c.example.com", c)),
        ]);
        findings(dir.path())
    };
    golden::check(Path::new("tests/fixtures/three-in-a-circle.txt"), &all("a.example.com"));
    assert_eq!(all("d.example.com"), "", "a chain is legal");
}

#[test]
fn one_name_in_two_zones_is_two_records_when_both_say_which_zone() {
    let policy = text(Path::new("policies/active-standby.toml"));
    let zone = |id: &str| policy.replace("zone    = \"example.com\"", &format!("zone_id = \"{id}\""));
    let (public, private) = (zone("Z1PUBLIC"), zone("Z2PRIVATE"));
    let both = |b: &str| {
        let dir = tree(&[("failoverd.toml", MAIN), ("policies/a.toml", &public), ("policies/b.toml", b)]);
        findings(dir.path())
    };
    assert_eq!(both(&private), "");
    for other in [&public, &policy] {
        assert!(both(other).contains("record `www.example.com` is also moved by the policy at policies/a.toml:"));
    }
}

#[test]
fn a_policy_s_hash_follows_its_meaning_and_not_its_spelling_or_its_place() {
    let policy = text(Path::new("policies/active-standby.toml"));
    let hash = |text: &str| {
        let dir = tree(&[("failoverd.toml", MAIN), ("policies/a.toml", text)]);
        load(dir.path()).unwrap().policies[0].config_hash.clone()
    };
    let first = hash(&policy);
    assert_eq!(first.len(), 8);
    assert!(first.bytes().all(|b| b.is_ascii_hexdigit()));
    let with_ca = policy.replace("path  ", "ca_file = \"ca.pem\"\npath  ");
    assert_eq!(first, "ae509bf5", "a newer program's hash of an older file is the older one's");
    let top = |line: &str| policy.replace("ttl     = 30", &format!("ttl = 30\n{line}"));
    for (same, one) in [
        (true, policy.replace('#', "##")),
        (true, policy.replace("ttl     = 30", "")),
        (true, top("answers = 1\nmin_active = 1")),
        (false, policy.replace("30", "31")),
        (false, top("answers = 2")),
    ] {
        assert_eq!(hash(&one) == first, same);
    }
    assert_eq!(hash(&with_ca), hash(&with_ca), "two directories");
    assert_ne!(hash(&with_ca), first);
    let pool = top("answers = 2").replace("priority  = 2", "priority = 1");
    let kinds = |east: &str, west: &str| {
        let east = policy.replace("addresses = [\"192.0.2.10\"]", east);
        hash(&east.replace("addresses = [\"198.51.100.20\"]", west).replace("ttl     = 30", ""))
    };
    let alias = |more: &str| {
        let one = |n: &str| format!("alias = {{ name = \"{n}.example.net\", zone_id = \"Z1\"{more} }}");
        kinds(&one("a"), &one("b"))
    };
    let heartbeat = |more: &str| {
        let check = format!("type = \"heartbeat\"\nport = 1{more}\n");
        hash(&policy.replace("type   = \"https\"", &check).replace("path   =", "#").replace("expect =", "#"))
    };
    let all = [
        hash(&pool),
        hash(&pool.replace("answers = 2", "answers = 2\nmin_active = 2")),
        kinds("host = \"a.example.net\"", "host = \"b.example.net\""),
        kinds("host = \"a.example.net\"", "host = \"c.example.net\""),
        alias(""),
        alias(", evaluate_target_health = true"),
        heartbeat(""),
        heartbeat("\nsend = \"HI\""),
        heartbeat("\nreceive = \"HI\""),
    ];
    let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len(), "{all:?}");
}

#[test]
fn no_finding_shows_a_secret() {
    const SECRET: &str = "hunter2-T0K3N";
    let policy = text(Path::new("policies/active-standby.toml"));
    let header = policy.replace("path  ", &format!("headers = {{ x-key = \"{SECRET}\\n\" }}\npath  "));
    for main in [
        format!("[[notifier]]\nname = \"a\"\ntype = \"slack\"\nurll = \"https://hooks.example.com/{SECRET}\"\n"),
        format!("[[notifier]]\nname = \"a\"\ntype = \"slack\"\nurl = \"htp://hooks.example.com/{SECRET}\"\n"),
        format!(
            "[[notifier]]\nname = \"a\"\ntype = \"slack\"\nurl = \"https://hooks.example.com/{SECRET}\"\nname = \"b\"\n"
        ),
        format!(
            "[[notifier]]\nname = \"a\"\ntype = \"webhook\"\nurl = \"http://h.example.com/{SECRET}\"\nsecret = \"{SECRET}\"\n"
        ),
        format!(
            "[[notifier]]\nname = \"a\"\ntype = \"webhook\"\nurl = \"https://h.example.com/\"\nsecret = {{ env = \"{SECRET} x\" }}\n"
        ),
        format!("url = \"https://hooks.example.com/{SECRET}\"\n"),
        format!("[api]\nlisten = \"0.0.0.0:1\"\ntoken = \"{SECRET}\"\n"),
        format!("[[notifier]]\nurl = https://hooks.example.com/{SECRET}\n"),
        format!("notifier = [{{ name = 1, type = \"slack\", url = \"https://hooks.example.com/{SECRET}\" }}]\n"),
    ] {
        let dir = tree(&[("failoverd.toml", &main), ("policies/a.toml", &header)]);
        let errors = load(dir.path()).unwrap_err();
        assert!(!errors.to_string().contains(SECRET), "{main}\n{errors}");
        assert!(!format!("{errors:?}").contains(SECRET), "{main}\n{errors:?}");
        assert!(!serde_json::to_string(&errors.findings).unwrap().contains(SECRET));
    }
}

#[test]
fn the_environment_fills_what_the_file_leaves_open() {
    let policy = text(Path::new("policies/active-standby.toml"));
    let dir = tree(&[("failoverd.toml", MAIN), ("policies/a.toml", &policy)]);
    let file = dir.path().join("failoverd.toml");
    let env = |name: &str| match name {
        "STATE_DIRECTORY" => Some("/var/lib/failoverd:/other".to_owned()),
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:4566".to_owned()),
        _ => None,
    };
    let config = failoverd::config::load(&file, &env).unwrap();
    assert_eq!(config.state, Path::new("/var/lib/failoverd/failoverd.db"));
    assert_eq!(config.provider.endpoint_url.as_deref(), Some("http://127.0.0.1:4566"));
    let config = failoverd::config::load(&file, &no_env).unwrap();
    assert_eq!(config.state, dir.path().join("failoverd.db"));
    assert_eq!((config.provider.endpoint_url, config.provider.region.as_str()), (None, "us-east-1"));
    assert_eq!(config.sources, [file.clone(), dir.path().join("policies/a.toml")]);
}

#[test]
fn the_file_is_located_by_flag_then_environment_then_place() {
    let named = |name: &str| (name == "FAILOVERD_CONFIG").then(|| "/somewhere/f.toml".to_owned());
    let located = failoverd::config::locate(Some(Path::new("x.toml")), &named).unwrap();
    assert_eq!((located.path.as_path(), located.why.as_str()), (Path::new("x.toml"), "given with --config"));
    let located = failoverd::config::locate(None, &named).unwrap();
    assert_eq!(
        (located.path.as_path(), located.why.as_str()),
        (Path::new("/somewhere/f.toml"), "from $FAILOVERD_CONFIG")
    );
    let gone = failoverd::config::load(&located.path, &no_env).unwrap_err().to_string();
    assert_eq!(
        gone,
        "/somewhere/f.toml: error: there is no such file\n  fix: check the path, or type `failoverd init`\n1 error"
    );
}
