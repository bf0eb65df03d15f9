//! A saved plan as a file: `plan --out` writes it, `apply` reads it. Its hash tells whether it was
//! changed in between.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::control::protocol::PlanToApply;
use crate::domain::UnixMs;
use crate::domain::time::human;
use crate::runtime::controller::Saved;

use super::{Exit, Failure};

const VERSION: u32 = 1;

/// A plan older than this is made anew: what it was decided on is gone.
const FRESH: Duration = Duration::from_secs(15 * 60);

/// A clock of another machine may be this far ahead of ours.
const AHEAD: Duration = Duration::from_secs(60);

/// A file above this many bytes is no plan.
const LARGEST: u64 = 1024 * 1024;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    version: u32,
    /// Milliseconds since 1970.
    made_at: UnixMs,
    /// Who looked.
    instance: String,
    pub policy: String,
    pub zone: String,
    pub plan: PlanToApply,
}

#[derive(Serialize, Deserialize)]
struct Signed {
    #[serde(flatten)]
    plan: Plan,
    /// Over everything else.
    sha256: String,
}

impl Plan {
    pub fn new(saved: &Saved, cluster: &str, instance: &str) -> Plan {
        Plan {
            version: VERSION,
            made_at: saved.at,
            instance: format!("{cluster}/{instance}"),
            policy: saved.policy.to_string(),
            zone: saved.zone.clone(),
            plan: saved.plan.clone(),
        }
    }

    fn sha256(&self) -> Result<String, Failure> {
        let text = serde_json::to_vec(self).map_err(Failure::error)?;
        Ok(Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn signed(&self) -> Result<String, Failure> {
        let signed = Signed { plan: self.clone(), sha256: self.sha256()? };
        serde_json::to_string_pretty(&signed).map_err(Failure::error)
    }

    /// Writes the file as a whole or not at all; one that is there already stays.
    pub fn write(&self, path: &Path) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            let next = "name a file that can be written with --out";
            Failure::error(format!("cannot write {}: {error}", path.display())).next(next)
        };
        let text = self.signed()?;
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = Path::new(&name);
        let written = std::fs::OpenOptions::new().write(true).create_new(true).open(new).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        // A link fails where a file is, a rename would replace it.
        let linked = written.and_then(|()| std::fs::hard_link(new, path));
        let _ = std::fs::remove_file(new);
        linked.map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                Failure::error(format!("{} is there already and is not overwritten", path.display()))
                    .next(format!("rm {}, or name another file with --out", path.display()))
            }
            _ => failed(error),
        })
    }

    /// Reads a file that was not changed and is not too old.
    pub fn read(path: &Path, now: UnixMs) -> Result<Plan, Failure> {
        let again = || "make it anew: failoverd plan POLICY --out FILE".to_owned();
        let shown = path.display();
        let unreadable =
            |error: &dyn std::fmt::Display| Failure::error(format!("cannot read {shown}: {error}")).next(again());
        let length = std::fs::metadata(path).map_err(|e| unreadable(&e))?.len();
        if length > LARGEST {
            return Err(unreadable(&format!("it has more than {LARGEST} bytes")));
        }
        let text = std::fs::read_to_string(path).map_err(|e| unreadable(&e))?;
        Plan::parse(&text, &shown, now)
    }

    fn parse(text: &str, shown: &dyn std::fmt::Display, now: UnixMs) -> Result<Plan, Failure> {
        let again = || "make it anew: failoverd plan POLICY --out FILE".to_owned();
        let no_plan = |error: serde_json::Error| {
            Failure::new(Exit::Config, format!("{shown} is no saved plan, or was changed: {error}")).next(again())
        };
        // A newer version may have keys this one does not know.
        let value: serde_json::Value = serde_json::from_str(text).map_err(no_plan)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(v) if v != u64::from(VERSION) => {
                return Err(Failure::new(
                    Exit::Config,
                    format!("{shown} has version {v}, this failoverd knows {VERSION}"),
                )
                .next("apply it with the failoverd that made it"));
            }
            _ => {}
        }
        let Signed { plan, sha256 } = serde_json::from_value(value).map_err(no_plan)?;
        if plan.sha256()? != sha256 {
            return Err(
                Failure::new(Exit::Config, format!("{shown}: the file was changed after it was saved")).next(again())
            );
        }
        let age = now.since(plan.made_at);
        let again = format!("failoverd plan {} --out FILE", plan.policy);
        if age > FRESH {
            let text = format!("{shown} is {} old; a plan is good for {}", human(age), human(FRESH));
            return Err(Failure::new(Exit::Refused, text).next(again));
        }
        if plan.made_at.since(now) > AHEAD {
            let text = format!("{shown} was made at {}, which is in the future here ({now})", plan.made_at);
            return Err(Failure::new(Exit::Refused, text).next(format!("set the clocks right, then: {again}")));
        }
        Ok(plan)
    }
}

/// A saved plan with this text as it would be saved again; what is refused is a sentence.
#[cfg(feature = "fuzzing")]
pub fn again(text: &str, now: UnixMs) -> Result<String, String> {
    Plan::parse(text, &"plan.json", now).and_then(|plan| plan.signed()).map_err(|failure| failure.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PolicyId;
    use crate::engine::intent::Kind;
    use crate::engine::zone::{LiveSet, RecordRead};

    fn set(rtype: &str, value: &str) -> LiveSet {
        LiveSet::values(rtype, 60, vec![value.into()])
    }

    fn plan(at: UnixMs) -> Plan {
        let plan = PlanToApply {
            kind: Kind::Failover,
            to: vec!["west".into()],
            zone: vec![RecordRead { sets: vec![set("A", "192.0.2.1")], fence: vec![set("TXT", "\"v=1 e=1\"")] }],
            config: "abc".into(),
        };
        Plan::new(&Saved { policy: PolicyId::new("web").unwrap(), zone: "example.com".into(), at, plan }, "c", "a")
    }

    #[test]
    fn a_saved_plan_is_good_unchanged_and_for_a_quarter_of_an_hour() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("p.json");
        let made = UnixMs(1_800_000_000_000);
        plan(made).write(&file).unwrap();
        assert!(plan(made).write(&file).unwrap_err().error.contains("not overwritten"));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        let read = |now| Plan::read(&file, now);
        assert_eq!(read(made + FRESH).unwrap(), plan(made));
        let text = std::fs::read_to_string(&file).unwrap();
        for (now, edit, exit, said) in [
            (made + FRESH + Duration::from_secs(1), None, Exit::Refused, "is 15m1s old"),
            (UnixMs(made.0 - 61_000), None, Exit::Refused, "in the future"),
            (made, Some(("west", "east")), Exit::Config, "the file was changed"),
            (made, Some(("1800000000000", "1800000000001")), Exit::Config, "the file was changed"),
            (made, Some(("\"config\"", "\"other\"")), Exit::Config, "was changed"),
            (made, Some(("\"version\": 1", "\"version\": 2")), Exit::Config, "knows 1"),
            (made, Some(("{", "[")), Exit::Config, "no saved plan"),
        ] {
            let edited = edit.map_or_else(|| text.clone(), |(from, to)| text.replacen(from, to, 1));
            std::fs::write(&file, edited).unwrap();
            let failure = read(now).unwrap_err();
            assert_eq!((failure.exit, failure.error.contains(said)), (exit, true), "{said}: {failure:?}");
            assert!(failure.next.is_some());
        }
    }
}
