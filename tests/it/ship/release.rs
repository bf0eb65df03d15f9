//! `packaging/release` over a tree of its own, with the tests' binary in place of a release build:
//! what it refuses, what it makes, and that what it makes installs and works.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::pages::{commands, complaints};
use super::wheels::cyclonedx_faults;
use crate::real::daemon::{Said, failoverd, finish};
use crate::real::program;

const TREE: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "LICENSE",
    "README.md",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "src",
    "benches",
    "packaging",
    "policies",
];

/// A repository with everything a release is made from, and where the release goes.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Tree {
        let tree = Tree { dir: tempfile::tempdir().unwrap() };
        let from = Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::create_dir_all(tree.path().join("tests/it")).unwrap();
        std::fs::write(tree.path().join("tests/it/main.rs"), "").unwrap();
        for part in TREE.iter().chain(&["docs"]) {
            tree.run(Command::new("cp").arg("-R").arg(from.join(part)).arg(tree.path()));
        }
        tree.git(&["init", "-q"]);
        tree.git(&["add", "."]);
        tree.git(&["commit", "-q", "-m", "one"]);
        tree
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out")
    }

    fn run(&self, command: &mut Command) -> String {
        let out = command.output().unwrap();
        assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    fn git(&self, line: &[&str]) -> String {
        let mut git = Command::new(program("git", "git"));
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(line).current_dir(self.path());
        git.env("GIT_COMMITTER_DATE", "2026-01-31T09:00:00Z").env("GIT_CONFIG_GLOBAL", "/dev/null");
        self.run(&mut git).trim().to_owned()
    }

    fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(self.path().join("packaging/release"));
        command.arg("--out").arg(self.out()).args(line);
        command.current_dir(self.dir.path()).env("CARGO_NET_OFFLINE", "true").env_remove("RUSTFLAGS");
        command
    }

    /// Runs the script on the tests' binary.
    fn release(&self, more: &[&str]) -> Said {
        finish(self.command(&["--binary", env!("CARGO_BIN_EXE_failoverd")]).args(more))
    }

    fn made(&self, end: &str) -> PathBuf {
        let files = std::fs::read_dir(self.out()).unwrap().map(|entry| entry.unwrap().path());
        let found: Vec<PathBuf> = files.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
        assert_eq!(found.len(), 1, "{end}");
        found[0].clone()
    }
}

/// A command that may own files as root does; without being root, in a user namespace.
fn as_root(name: &str) -> Command {
    if rustix::process::geteuid().is_root() {
        return Command::new(name);
    }
    let mut command = Command::new(program("unshare", "util-linux"));
    command.args(["--user", "--map-root-user", name]);
    command
}

/// This machine's target with another C library.
fn target(libc: &str) -> String {
    format!("{}-unknown-linux-{libc}", std::env::consts::ARCH)
}

const BIG: [&str; 2] = ["--limit", "400000000"];

#[test]
fn what_must_not_be_released_is_refused_and_nothing_is_left() {
    let tree = Tree::new();
    let refused = |more: &[&str], why: &str| {
        let said = tree.release(more);
        assert_eq!(said.code, Some(1), "{said:#?}");
        assert!(said.err.contains(why), "{why}: {said:#?}");
        assert!(!tree.out().exists(), "{why}");
    };
    refused(&[], "20000000 are allowed");
    refused(&BIG, "the binary does not say which commit it is");
    let static_one = target("musl");
    refused(&[&BIG[..], &["--allow-unknown-commit", "--target", &static_one]].concat(), "the binary is not static");
    refused(&["--bogus"], "what is --bogus?");
    refused(&["--out"], "--out needs a value");
    std::fs::write(tree.path().join("README.md"), "changed").unwrap();
    refused(&[&BIG[..], &["--allow-unknown-commit"]].concat(), "the tree differs from its commit");
    tree.git(&["checkout", "-q", "."]);
    std::fs::remove_dir_all(tree.path().join(".git")).unwrap();
    refused(&[], "set FAILOVERD_COMMIT and SOURCE_DATE_EPOCH");
}

#[test]
fn a_release_is_complete_installs_and_is_the_same_the_next_time() {
    let tree = Tree::new();
    let line = [&BIG[..], &["--allow-unknown-commit"]].concat();
    let said = tree.release(&line);
    assert_eq!(said.code, Some(0), "{said:#?}");
    assert!(said.err.contains("not looked for paths of this machine in it"), "a debug build has them: {said:#?}");
    let sums = std::fs::read_to_string(tree.out().join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 3, "{sums}");
    tree.run(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(tree.out()));

    let bill: Value = serde_json::from_slice(&std::fs::read(tree.made(".cdx.json")).unwrap()).unwrap();
    materials(&bill, &tree);
    tarball(&tree);
    package(&tree, &bill);

    assert_eq!(tree.release(&line).code, Some(0));
    assert_eq!(std::fs::read_to_string(tree.out().join("SHA256SUMS")).unwrap(), sums, "the same bytes");
}

/// The bill names what is linked in and nothing that only tests use.
fn materials(bill: &Value, tree: &Tree) {
    assert_eq!(cyclonedx_faults(bill), Vec::<String>::new());
    assert_eq!(bill["metadata"]["component"]["name"], "failoverd");
    assert_eq!(bill["metadata"]["properties"][0]["value"], tree.git(&["rev-parse", "--short=12", "HEAD"]));
    let components = bill["components"].as_array().unwrap();
    let named = |name: &str| components.iter().find(|c| c["name"] == name);
    for name in ["tokio", "rustls", "ring", "aws-sdk-route53", "libsqlite3-sys", "sqlite", "rust-std"] {
        let found = named(name).unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found["scope"], "required", "{found:#}");
        assert!(found["licenses"][0]["expression"].is_string(), "{found:#}");
        let no_crate = ["sqlite", "rust-std"].contains(&name);
        assert!(no_crate || found["hashes"][0]["content"].as_str().unwrap().len() == 64, "{found:#}");
    }
    assert_eq!(named("cc").unwrap()["scope"], "excluded", "it builds, and is not shipped");
    for name in ["proptest", "jsonschema", "rcgen"] {
        assert!(named(name).is_none(), "only tests use {name}");
    }
    assert!(named("musl").is_none(), "this one uses the machine's C library");
    assert_eq!(named("rust-std").unwrap()["version"], rustc(&["--version"]).split(' ').nth(1).unwrap());
    let refs: BTreeSet<&str> = components.iter().map(|c| c["bom-ref"].as_str().unwrap()).collect();
    assert_eq!(refs.len(), components.len());
    let edges = bill["dependencies"].as_array().unwrap();
    assert_eq!(edges.len(), components.len() + 1);
    let to = edges.iter().flat_map(|edge| edge["dependsOn"].as_array().unwrap());
    assert!(to.into_iter().all(|to| refs.contains(to.as_str().unwrap())), "no edge leads nowhere");
}

/// What the compiler that the script uses says of itself.
fn rustc(line: &[&str]) -> String {
    let out = Command::new("rustc").args(line).output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_bill_of_a_static_build_names_the_c_library_that_is_linked_in() {
    let tree = Tree::new();
    let target = target("musl");
    let said = tree.release(&["--bill", "--target", &target]);
    assert!(!tree.out().exists(), "nothing else is made");
    if !Path::new(&rustc(&["--print", "target-libdir", "--target", &target])).join("self-contained").exists() {
        assert_eq!(said.code, Some(1));
        assert!(said.err.contains(&format!("rustup target add {target}")), "{said:#?}");
        return;
    }
    assert_eq!(said.code, Some(0), "{said:#?}");
    let bill: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(cyclonedx_faults(&bill), Vec::<String>::new());
    let components = bill["components"].as_array().unwrap();
    let musl = components.iter().find(|c| c["name"] == "musl").unwrap();
    let version = musl["version"].as_str().unwrap();
    assert!(version.starts_with("1.") && version.split('.').all(|n| n.parse::<u32>().is_ok()), "{version}");
    let edges = bill["dependencies"].as_array().unwrap();
    let users: Vec<_> =
        edges.iter().filter(|e| e["dependsOn"].as_array().unwrap().contains(&musl["bom-ref"])).collect();
    assert!(users.len() == 1 && users[0]["ref"].as_str().unwrap().contains("/rust-std@"), "{users:#?}");
}

/// A program that says what a release build of this tree would, and holds one text more.
fn stand_in(tree: &Tree, holds: &Path) -> PathBuf {
    let commit = tree.git(&["rev-parse", "--short=12", "HEAD"]);
    let version = env!("CARGO_PKG_VERSION");
    let source = format!(
        "fn main() {{ println!(\"failoverd {version}\\ncommit {commit} of 2026-01-31\"); \
         if std::env::args().count() > 9 {{ println!({holds:?}) }} }}"
    );
    let (from, to) = (tree.dir.path().join("stand-in.rs"), tree.dir.path().join("stand-in"));
    std::fs::write(&from, source).unwrap();
    rustc(&["-o", to.to_str().unwrap(), from.to_str().unwrap()]);
    to
}

#[test]
fn a_release_build_that_holds_a_path_of_the_machine_is_refused() {
    let tree = Tree::new();
    let built = tree.dir.path().join("elsewhere");
    let release = |holds: &Path| {
        let mut command = tree.command(&["--binary", stand_in(&tree, holds).to_str().unwrap()]);
        finish(command.env("CARGO_TARGET_DIR", &built))
    };
    for found in [&built, &tree.path()] {
        let said = release(&found.join("src/main.rs"));
        assert_eq!(said.code, Some(1), "{said:#?}");
        let why = format!("a path of this machine is in the binary: {}\n", found.display());
        assert!((said.err + "\n").contains(&why), "{why}");
    }
    let said = release(Path::new("/usr/src/main.rs"));
    assert!(said.err.contains("\nrelease: binary: ") || said.err.contains("\nbinary: "), "{said:#?}");
    assert!(!said.err.contains("a path of this machine"), "{said:#?}");
}

fn tarball(tree: &Tree) {
    let list = tree.run(Command::new("tar").arg("-tvzf").arg(tree.made(".tar.gz")).env("TZ", "UTC"));
    assert!(list.lines().all(|line| line.contains(" 0/0 ") && line.contains(" 2026-01-31 09:00 ")), "{list}");
    for file in [
        "/bin/failoverd",
        "/share/man/man1/failoverd-switch.1",
        "/share/bash-completion/completions/failoverd",
        "/systemd/failoverd.service",
        "/policies/active-standby.toml",
        "/kubernetes.yaml",
        "/failoverd.cdx.json",
        "/LICENSE",
        "/docs/aws.md",
    ] {
        assert!(list.lines().any(|line| line.ends_with(file)), "{file}: {list}");
    }
}

/// Installed into a root of its own by dpkg itself, used there, and purged.
fn package(tree: &Tree, bill: &Value) {
    let deb = tree.made(".deb");
    let control = tree.run(Command::new(program("dpkg-deb", "dpkg")).arg("--field").arg(&deb));
    for line in ["Package: failoverd", concat!("Version: ", env!("CARGO_PKG_VERSION")), "Section: net"] {
        assert!(control.lines().any(|l| l == line), "{line}: {control}");
    }
    let needs = control.lines().find(|l| l.starts_with("Depends: ")).unwrap();
    assert!(needs.contains("libc6 (>= 2.") && needs.contains("ca-certificates"), "{needs}");

    let root = tree.dir.path().join("installed");
    for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"] {
        std::fs::create_dir_all(root.join(dir)).unwrap();
    }
    std::fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
    std::fs::write(root.join("var/lib/dpkg/available"), "").unwrap();
    let dpkg = |line: &[&str]| {
        let mut dpkg = as_root("dpkg");
        dpkg.arg(format!("--root={}", root.display()))
            .args(["--force-depends", "--force-script-chrootless"])
            .args(line);
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        tree.run(dpkg.env("PATH", path))
    };
    dpkg(&["--install", deb.to_str().unwrap()]);

    let binary = root.join("usr/bin/failoverd");
    let version = finish(Command::new(&binary).arg("--version"));
    assert!(version.out.starts_with(concat!("failoverd ", env!("CARGO_PKG_VERSION"))), "{version:#?}");
    let pages: Vec<PathBuf> =
        std::fs::read_dir(root.join("usr/share/man/man1")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(pages.len(), commands(tree.dir.path()).len() + 1);
    assert_eq!(complaints(&root.join("usr/share/man/man1/failoverd-run.1.gz")), "");
    for (installed, shipped) in [
        ("lib/systemd/system/failoverd.service", "packaging/failoverd.service"),
        ("lib/systemd/system/failoverd-once.service", "packaging/failoverd-once.service"),
        ("lib/systemd/system/failoverd-once.timer", "packaging/failoverd-once.timer"),
        ("usr/share/doc/failoverd/examples/policies/three-regions.toml", "policies/three-regions.toml"),
        ("usr/share/doc/failoverd/README.md", "README.md"),
    ] {
        let same = std::fs::read(root.join(installed)).unwrap() == std::fs::read(tree.path().join(shipped)).unwrap();
        assert!(same, "{installed}");
    }
    let completions = root.join("usr/share/bash-completion/completions/failoverd");
    assert_eq!(std::fs::read_to_string(completions).unwrap().trim_end(), {
        finish(failoverd(tree.dir.path()).args(["completions", "bash"])).out.trim_end().to_owned()
    });
    let inside = std::fs::read(root.join("usr/share/doc/failoverd/failoverd.cdx.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&inside).unwrap(), *bill);

    // The configuration as installed, with one of the examples, is valid, and keeps its state where the unit does.
    let main = root.join("etc/failoverd/failoverd.toml");
    let conffiles = tree.run(Command::new("dpkg-deb").args(["--info"]).arg(&deb).arg("conffiles"));
    assert_eq!(conffiles, "/etc/failoverd/failoverd.toml\n");
    assert!(std::fs::read_to_string(&main).unwrap().contains("\nstate = \"/var/lib/failoverd/failoverd.db\"\n"));
    let check = || finish(failoverd(tree.dir.path()).arg("-c").arg(&main).arg("check"));
    assert_eq!(check().code, Some(4), "no policy yet, so nothing is started");
    std::fs::copy(tree.path().join("policies/active-standby.toml"), root.join("etc/failoverd/policies/web.toml"))
        .unwrap();
    let said = check();
    assert_eq!(said.code, Some(0), "{said:#?}");

    upgrade(tree, &deb, &root);

    std::fs::write(&main, "# mine\n").unwrap();
    dpkg(&["--remove", "failoverd"]);
    assert!(!binary.exists() && main.exists(), "a configuration outlives its program");
    std::fs::create_dir_all(root.join("var/lib/failoverd")).unwrap();
    dpkg(&["--purge", "failoverd"]);
    assert!(!main.exists() && !root.join("var/lib/failoverd").exists());
    assert!(root.join("etc/failoverd/policies/web.toml").exists(), "what a person wrote stays");
}

/// The package's own postinst, led into the root where it is installed, with a systemctl that notes
/// what is asked of it: a daemon that runs is restarted only into a configuration the new one can read.
fn upgrade(tree: &Tree, deb: &Path, root: &Path) {
    let dir = tree.dir.path().join("upgrade");
    tree.run(Command::new("dpkg-deb").arg("--control").arg(deb).arg(&dir));
    let script = dir.join("postinst");
    let mut text = std::fs::read_to_string(&script).unwrap();
    for place in ["/run/systemd/system", "/usr/bin/failoverd", "/etc/failoverd/"] {
        assert!(text.contains(place), "{place}: {text}");
        text = text.replace(place, &format!("{}{place}", root.display()));
    }
    std::fs::write(&script, text).unwrap();
    std::fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    let systemctl = dir.join("systemctl");
    let noted = dir.join("noted");
    std::fs::write(
        &systemctl,
        "#!/bin/sh\necho \"$@\" >>\"$NOTED\"\ncase \"$*\" in *is-active*) exit \"$ACTIVE\" ;; esac\n",
    )
    .unwrap();
    tree.run(Command::new("chmod").arg("+x").arg(&systemctl));

    let policy = root.join("etc/failoverd/policies/web.toml");
    let good = std::fs::read_to_string(&policy).unwrap();
    let run = |since: &str, active: &str| {
        let _ = std::fs::remove_file(&noted);
        let mut postinst = Command::new(&script);
        postinst.args(["configure", since]).env("NOTED", &noted).env("ACTIVE", active).env_remove("DPKG_ROOT");
        let path = std::env::var("PATH").unwrap_or_default();
        let said = finish(postinst.env("PATH", format!("{}:{path}", dir.display())));
        assert_eq!(said.code, Some(0), "dpkg succeeds: {said:#?}");
        (std::fs::read_to_string(&noted).unwrap(), said.err)
    };
    let look = "daemon-reload\n--quiet is-active failoverd.service\n";
    let restart = format!("{look}try-restart failoverd.service\n");
    let stays = "the old one goes on running";
    assert_eq!(run("", "0").0, "daemon-reload\n", "a first installation starts nothing");
    assert_eq!(run("0.0.1", "3").0, look, "nor does an update of one that was stopped");
    let (asked, err) = run("0.0.1", "0");
    assert!(asked == restart && !err.contains(stays), "{asked}{err}");

    std::fs::write(&policy, good.replace("ttl", "tll")).unwrap();
    let (asked, err) = run("0.0.1", "0");
    assert_eq!(asked, look);
    assert!(err.contains("web.toml:") && err.contains("tll") && err.contains(stays), "{err}");
    std::fs::write(&policy, good).unwrap();
    assert_eq!(run("0.0.1", "0").0, restart);
}
