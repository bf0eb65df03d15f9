//! From a path to a [`Config`]: finds the files, reads all of them, and reports everything at
//! once. The only part of this room that touches the file system, but for a secret's file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::finding::{ConfigErrors, Finding, Severity};
use super::main_file::{self, Main};
use super::policy::{self, Places};
use super::source::{Source, Span};
use super::{Config, Env, fence_room, main_table, policy_table, read};
use crate::domain::{Policy, RecordName, ZoneId};

/// Largest file that is read; a policy of 32 targets has about 10 KiB.
const LARGEST: u64 = 1024 * 1024;

/// Where the main file is and why that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    pub path: PathBuf,
    /// For people: `given with --config`, `from $FAILOVERD_CONFIG`, …
    pub why: String,
}

/// `--config`, else `$FAILOVERD_CONFIG`, else `./failoverd.toml`, else `/etc/failoverd/failoverd.toml`.
pub fn locate(flag: Option<&Path>, env: Env<'_>) -> Result<Located, ConfigErrors> {
    let here = Path::new("failoverd.toml");
    let system = Path::new("/etc/failoverd/failoverd.toml");
    if let Some(path) = flag {
        return Ok(Located { path: path.into(), why: "given with --config".into() });
    }
    if let Some(path) = env("FAILOVERD_CONFIG").filter(|p| !p.is_empty()) {
        return Ok(Located { path: path.into(), why: "from $FAILOVERD_CONFIG".into() });
    }
    for (path, why) in [(here, "found in this directory"), (system, "the system's, as none is in this directory")] {
        if path.is_file() {
            return Ok(Located { path: path.into(), why: why.into() });
        }
    }
    Err(ConfigErrors::one(Finding::about(
        here,
        Severity::Error,
        format!(
            "there is no configuration: neither here nor at {}, and neither --config nor $FAILOVERD_CONFIG names one",
            system.display()
        ),
        "type `failoverd init` to write one, or `failoverd demo` to see failoverd at work without any".into(),
    )))
}

/// The state file that the main file at `path` names, whatever else is wrong with the
/// configuration: a daemon that runs on with an older one must stay within reach.
pub fn state_file(path: &Path, env: Env<'_>) -> Option<PathBuf> {
    let mut source = open(path).ok()?;
    let fields = read::read(&mut source, &main_table::MAIN)?;
    main_file::state(source.dir(), &fields, env)
}

/// Reads the main file and all policies. Errors hold every error of every file.
pub fn load(path: &Path, env: Env<'_>) -> Result<Config, ConfigErrors> {
    let mut source = open(path).map_err(|finding| ConfigErrors::one(*finding))?;
    let fields = read::read(&mut source, &main_table::MAIN);
    // Policies are looked for even when the rest of the main file is wrong.
    let pattern = match &fields {
        Some(fields) => fields.text("policies"),
        None => Some("policies/*.toml".into()),
    };
    let main = fields.as_ref().and_then(|f| main_file::build(&mut source, f, env));
    let mut files = Vec::new();
    if let Some(pattern) = &pattern {
        let at = fields.as_ref().map_or(0..0, |f| f.place("policies"));
        match matching(source.dir(), pattern) {
            Ok(found) if found.is_empty() => {
                let what = format!("`policies = \"{pattern}\"` matches no file");
                let fix = "write a policy there, for example with `failoverd init`, or correct the pattern";
                if at.is_empty() { source.error_whole(what, fix) } else { source.error(&at, what, fix) }
            }
            Ok(found) => files = found,
            Err(why) => {
                source.error(&at, format!("cannot look for policies: {why}"), "check the directory's permissions")
            }
        }
    }
    let mut unreadable = Vec::new();
    let mut read: Vec<Read> = Vec::new();
    for one in read_all(&files) {
        match one {
            Ok(one) => read.push(one),
            Err(finding) => unreadable.push(*finding),
        }
    }
    if let Some(main) = &main {
        against_main(&mut read, main);
        // What a policy that could not be read names is not known.
        if unreadable.is_empty() && read.iter().all(|one| one.policy.is_some()) {
            witnesses_against_targets(&mut source, &read, main);
        }
    }
    against_each_other(&mut read);
    no_circles(&mut read);
    let mut all = source.into_findings();
    all.append(&mut unreadable);
    let mut policies = Vec::new();
    for one in read {
        policies.extend(one.policy);
        all.extend(one.source.into_findings());
    }
    match main {
        Some(main) if all.iter().all(|f| f.severity == Severity::Warning) => {
            let mut sources = vec![path.to_owned()];
            sources.extend(files);
            Ok(Config {
                path: path.into(),
                settings: main.settings,
                policies,
                state: main.state,
                provider: main.provider,
                notifiers: main.notifiers,
                api: main.api,
                warnings: all,
                sources,
            })
        }
        _ => Err(ConfigErrors { findings: all }),
    }
}

/// One policy file after the rules that look at it alone.
pub(super) struct Read {
    pub(super) source: Source,
    pub(super) policy: Option<Policy>,
    /// `None` when the file is not TOML.
    places: Option<Places>,
}

impl Read {
    fn new(mut source: Source) -> Read {
        let Some(fields) = read::read(&mut source, &policy_table::POLICY) else {
            return Read { source, policy: None, places: None };
        };
        let (policy, places) = policy::build(&mut source, &fields);
        Read { source, policy, places: Some(places) }
    }
}

/// What one policy file with this text would be, and what is said about it.
#[cfg(feature = "fuzzing")]
pub fn policy_text(text: &str) -> (Option<Policy>, Vec<Finding>) {
    let Read { source, policy, .. } = Read::new(Source::new("fuzz.toml".into(), text.into()));
    (policy, source.into_findings())
}

/// Whether a main file with this text would do, and what is said about it.
#[cfg(feature = "fuzzing")]
pub fn main_text(text: &str) -> (bool, Vec<Finding>) {
    let mut source = Source::new("fuzz.toml".into(), text.into());
    let fields = read::read(&mut source, &main_table::MAIN);
    let main = fields.as_ref().and_then(|fields| main_file::build(&mut source, fields, &|_| None));
    (main.is_some(), source.into_findings())
}

/// Reads and judges each file alone, in the order given. A thousand policies are shared out among
/// the processors; a handful is not worth a thread.
pub(super) fn read_all(files: &[PathBuf]) -> Vec<Result<Read, Box<Finding>>> {
    let one = |file: &PathBuf| open(file).map(Read::new);
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(files.len() / 64);
    if workers < 2 {
        return files.iter().map(one).collect();
    }
    let share = files.len().div_ceil(workers);
    std::thread::scope(|scope| {
        let spawn = |chunk| scope.spawn(move || -> Vec<_> { Vec::from_iter(<[PathBuf]>::iter(chunk).map(one)) });
        let running: Vec<_> = files.chunks(share).map(spawn).collect();
        running
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

pub(super) fn open(path: &Path) -> Result<Source, Box<Finding>> {
    let failed = |what: String, fix: &str| Box::new(Finding::about(path, Severity::Error, what, fix.into()));
    let length = std::fs::metadata(path).map(|m| m.len());
    if length.as_ref().is_ok_and(|l| *l > LARGEST) {
        return Err(failed(
            format!("the file is larger than {LARGEST} bytes"),
            "split it, or check that it is the right file",
        ));
    }
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            failed("there is no such file".into(), "check the path, or type `failoverd init`")
        }
        std::io::ErrorKind::PermissionDenied => {
            failed("this user may not read the file".into(), "grant read permission to failoverd's user")
        }
        _ => failed(format!("cannot read the file: {e}"), "check that it is a regular file"),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| failed("the file is not UTF-8".into(), "save it as UTF-8"))?;
    Ok(Source::new(path.into(), text))
}

/// Files that match `pattern` below `dir`, sorted.
pub(super) fn matching(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let escaped = PathBuf::from(glob::Pattern::escape(&dir.to_string_lossy())).join(pattern);
    let paths = glob::glob(&escaped.to_string_lossy()).map_err(|e| e.msg.to_owned())?;
    let mut files = Vec::new();
    for path in paths {
        let path = path.map_err(|e| e.to_string())?;
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Rules between policies: no id and no record twice.
fn against_each_other(read: &mut [Read]) {
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    let mut records: BTreeMap<RecordName, Vec<(Option<ZoneId>, String)>> = BTreeMap::new();
    for one in read {
        let Some(places) = &one.places else { continue };
        if let Some(policy) = &one.policy {
            let here = match &places.id {
                Some(id) => one.source.place(id),
                None => one.source.path.display().to_string(),
            };
            if let Some(other) = ids.insert(policy.id.to_string(), here) {
                let what = format!("policy id `{}` is also used at {other}", policy.id);
                one.source.error_at(places.id.as_ref(), what, "give one of them another `id`");
            }
        }
        for (name, span) in &places.records {
            let known = records.entry(name.clone()).or_default();
            // One name in two zones is two records, if both policies say which zone they mean.
            let zone = &places.zone_id;
            let same = known.iter().find(|(other, _)| zone.is_none() || other.is_none() || other == zone);
            if let Some((_, other)) = same {
                let what = format!("record `{name}` is also moved by the policy at {other}");
                let fix = "leave it in one of the two, or set `zone_id` in both when two zones have this name";
                one.source.error(span, what, fix);
            }
            known.push((zone.clone(), one.source.place(span)));
        }
    }
}

/// A name that points to a record of another policy, whose targets point back, answers nobody.
fn no_circles(read: &mut [Read]) {
    let mut owners: BTreeMap<&RecordName, usize> = BTreeMap::new();
    let places: Vec<Option<&Places>> = read.iter().map(|one| one.places.as_ref()).collect();
    for (idx, places) in places.iter().enumerate() {
        owners.extend(places.iter().flat_map(|p| p.records.keys()).map(|name| (name, idx)));
    }
    let next = |idx: usize| {
        let names = places.get(idx).copied().flatten().map(|p| p.pointed_to.as_slice()).unwrap_or_default();
        names.iter().filter_map(|(name, at)| owners.get(name).map(|to| (name, at, *to)))
    };
    let mut found: Vec<(usize, Span, String)> = Vec::new();
    for start in 0..places.len() {
        for (name, at, first) in next(start).filter(|(_, _, to)| *to != start) {
            let (mut seen, mut open) = (BTreeSet::from([first]), vec![first]);
            while let Some(idx) = open.pop() {
                open.extend(next(idx).map(|(_, _, to)| to).filter(|to| seen.insert(*to)));
            }
            if let Some(other) = read.get(first).filter(|_| seen.contains(&start)) {
                let what = format!(
                    "`{name}` is moved by the policy at {}, whose targets point back here: \
                     the names could end up pointing to each other",
                    other.source.path.display()
                );
                found.push((start, at.clone(), what));
            }
        }
    }
    for (idx, at, what) in found {
        if let Some(one) = read.get_mut(idx) {
            one.source.error(&at, what, "let one of the two point to what serves it, for example its load balancer");
        }
    }
}

/// Rules between a policy and the main file.
fn against_main(read: &mut [Read], main: &Main) {
    for one in read {
        let Some(places) = &one.places else { continue };
        for (name, span) in &places.notify {
            if main.notifiers.iter().any(|n| n.name == *name) {
                continue;
            }
            let known = main.notifiers.iter().map(|n| n.name.as_str());
            let fix = match read::nearest(name.as_str(), known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add a `[[notifier]]` with `name = \"{name}\"` to the main file"),
            };
            one.source.error(span, format!("there is no notifier `{name}`"), fix);
        }
        if let Some(policy) = &one.policy
            && let Err(why) = fence_room::fence_fits(policy, &main.settings)
        {
            let fix = "shorten them: `id` here, `cluster` and `instance` in the main file";
            one.source.error_at(places.id.as_ref(), why, fix);
        }
    }
}

/// A witness of a region that no target has is heard for nothing.
fn witnesses_against_targets(source: &mut Source, read: &[Read], main: &Main) {
    let targets = read.iter().filter_map(|one| one.policy.as_ref()).flat_map(|p| &p.targets);
    let regions: BTreeSet<&str> = targets.map(|t| t.region.as_str()).collect();
    for (region, span) in main.witness_regions.iter().filter(|(r, _)| !regions.contains(r.as_str())) {
        let fix = match read::nearest(region.as_str(), regions.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write the `region` of a target, which by default is its name; or leave the key out".into(),
        };
        source.warn(span, format!("no target of any policy is in region `{region}`"), fix);
    }
}
