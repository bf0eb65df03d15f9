//! The container: its file read by the parser of image builders, and the root it describes built
//! here and run as an engine would, by the kernel's own means, since no engine is at hand.
//!
//! As root in a mount namespace; else in a user namespace too. Dynamic libraries are lent to the
//! root, since the tests' binary is not the static one of a release.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::wheels;
use crate::cli::place::Place;
use crate::real::daemon::{Process, finish};
use crate::real::{free_port, http, own_addresses, program, wait_for, wait_until};

const USER: u32 = 65532;

/// What the last stage of `packaging/Containerfile` says.
pub struct Recipe {
    instructions: Vec<(String, Vec<String>, Vec<String>)>,
}

impl Recipe {
    pub fn read() -> Recipe {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/Containerfile");
        Recipe { instructions: wheels::containerfile(&path) }
    }

    fn last_stage(&self) -> &[(String, Vec<String>, Vec<String>)] {
        let from = self.instructions.iter().rposition(|(name, ..)| name == "FROM").unwrap();
        &self.instructions[from..]
    }

    /// The words of the one instruction of that name.
    pub fn one(&self, name: &str) -> Vec<String> {
        let found: Vec<_> = self.last_stage().iter().filter(|(n, ..)| n == name).collect();
        assert_eq!(found.len(), 1, "one {name}");
        found[0].2.clone()
    }
}

/// A root as the recipe makes it, and a volume.
pub struct Image {
    dir: tempfile::TempDir,
    recipe: Recipe,
}

impl Image {
    pub fn new() -> Image {
        let image = Image { dir: tempfile::tempdir().unwrap(), recipe: Recipe::read() };
        let root = image.root();
        // The kernel walks to the root as the container's user.
        std::fs::set_permissions(image.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let volume = &image.recipe.one("VOLUME")[0];
        for dir in
            ["usr/bin", "usr/lib", "etc/failoverd", "etc/ssl/certs", "proc", "dev", volume.trim_start_matches('/')]
        {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::write(root.join("usr/bin/failoverd"), "").unwrap();
        let roots = "etc/ssl/certs/ca-certificates.crt";
        std::fs::copy(Path::new("/").join(roots), root.join(roots))
            .expect("the roots of trust (package ca-certificates)");
        for lib in ["lib", "lib64"] {
            match std::fs::read_link(Path::new("/").join(lib)) {
                Ok(to) => std::os::unix::fs::symlink(to, root.join(lib)).unwrap(),
                Err(_) => std::fs::create_dir_all(root.join(lib)).unwrap(),
            }
        }
        std::fs::create_dir_all(root.join("usr/lib64")).unwrap();
        std::fs::create_dir(image.volume()).unwrap();
        image.give(&image.volume(), 0o700);
        image
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn volume(&self) -> PathBuf {
        self.dir.path().join("volume")
    }

    /// Makes the container's user the owner, where this user may.
    pub fn give(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        if is_root() {
            chown(path, Some(USER), Some(USER)).unwrap();
        }
    }

    /// A command line of failoverd in the container, with directories of this machine mounted read-only.
    pub fn command(&self, mounts: &[(&Path, &str)], line: &[String]) -> Command {
        let root = self.root();
        let mut script = String::from("set -e\nroot=$1; shift\nmount --bind \"$root\" \"$root\"\n");
        let mut bind = |from: &Path, to: &str, also: &str| {
            let to = format!("$root/{}", to.trim_start_matches('/'));
            script += &format!("mount --rbind '{}' \"{to}\"\n", from.display());
            if !also.is_empty() {
                script += &format!("mount -o remount,bind,{also} \"{to}\"\n");
            }
        };
        bind(Path::new(env!("CARGO_BIN_EXE_failoverd")), "usr/bin/failoverd", "");
        for lib in ["/usr/lib", "/usr/lib64", "/lib", "/lib64"].map(Path::new) {
            if lib.is_dir() && !lib.is_symlink() {
                bind(lib, lib.to_str().unwrap(), "");
            }
        }
        bind(Path::new("/dev"), "dev", "");
        bind(Path::new("/proc"), "proc", "");
        for (from, to) in mounts {
            std::fs::create_dir_all(root.join(to.trim_start_matches('/'))).unwrap();
            bind(from, to, "ro");
        }
        bind(&self.volume(), &self.recipe.one("VOLUME")[0], "");
        script += "mount -o remount,bind,ro \"$root\"\n";
        script += "exec setpriv --no-new-privs chroot $AS \"$root\" \"$@\"\n";

        let mut command = Command::new(program("unshare", "util-linux"));
        match is_root() {
            true => command.arg("--mount").env("AS", format!("--userspec={USER}:{USER} --groups=")),
            false => command
                .args(["--user", "--mount", &format!("--map-user={USER}"), &format!("--map-group={USER}")])
                .env("AS", ""),
        };
        command.args(["sh", "-c", &script, "sh"]).arg(&root).args(self.recipe.one("ENTRYPOINT")).args(line);
        let variables = self.recipe.one("ENV");
        for pair in variables.chunks(2) {
            command.env(&pair[0], &pair[1]);
        }
        for (name, value) in [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_ACCESS_KEY_ID", "test")] {
            command.env(name, value);
        }
        command.env("AWS_SECRET_ACCESS_KEY", crate::canary::CANARY).env_remove("RUST_LOG");
        command
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn words(line: &[&str]) -> Vec<String> {
    line.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_file_says_what_an_orchestrator_relies_on() {
    let recipe = Recipe::read();
    let stage = recipe.last_stage();
    assert_eq!(recipe.one("FROM"), ["scratch"], "nothing but what is copied");
    assert!(!stage.iter().any(|(name, ..)| name == "RUN"), "there is nothing to run it with");
    assert_eq!(recipe.one("USER"), [format!("{USER}:{USER}")]);
    assert_eq!(recipe.one("VOLUME"), ["/var/lib/failoverd"]);
    assert_eq!(recipe.one("STOPSIGNAL"), ["SIGTERM"]);
    assert_eq!(recipe.one("ENTRYPOINT"), ["/usr/bin/failoverd"]);
    let copied: Vec<_> = stage.iter().filter(|(name, ..)| name == "COPY").collect();
    assert!(copied.iter().all(|(_, flags, _)| flags.contains(&"--from=build".to_owned())), "{copied:?}");
    let owned = copied.iter().find(|(_, flags, _)| flags.contains(&format!("--chown={USER}:{USER}"))).unwrap();
    assert_eq!(owned.2, ["/state/", "/var/lib/"]);
    let run: Vec<&str> =
        recipe.instructions.iter().filter(|(name, ..)| name == "RUN").map(|(.., words)| words[0].as_str()).collect();
    for made in ["/image/usr/bin/failoverd", "/image/etc/ssl/certs/ca-certificates.crt", "/state/failoverd"] {
        assert!(run.iter().any(|line| line.contains(made)), "{made}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_as_a_numbered_user_on_a_read_only_root_and_writes_to_its_volume_alone() {
    let image = Image::new();
    let place = Place::new().await;
    let api = own_addresses().next().unwrap();
    let listen = format!("{api}:{}", free_port(api));
    let main = std::fs::read_to_string(place.path().join("failoverd.toml")).unwrap();
    std::fs::write(place.path().join("failoverd.toml"), format!("{main}[api]\nlisten = \"{listen}\"\n")).unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o755)).unwrap();

    let mounts = [(place.path(), "/etc/failoverd")];
    let mut daemon = Process::start(&mut image.command(&mounts, &image.recipe.one("CMD")));
    daemon.wait_log("\"message\":\"ready\"");
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid().as_raw_nonzero())).unwrap();
    let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(&format!("{name}:\t"))).unwrap().to_owned();
    assert_eq!((field("NoNewPrivs").as_str(), field("CapEff").as_str()), ("1", "0000000000000000"));
    if is_root() {
        assert_eq!((field("Uid"), field("Groups").trim()), (format!("{USER}\t{USER}\t{USER}\t{USER}"), ""));
    }
    let fence = || place.sandbox.history().len() > 1;
    wait_for("the record is adopted", || fence().then_some(()), || daemon.err());
    for page in ["/healthz", "/readyz"] {
        wait_until(page, || http::get(listen.parse().unwrap(), page).0 == 200);
    }
    // The STOPSIGNAL.
    assert_eq!(daemon.terminate(), Some(0), "{}", daemon.err());
    let kept: Vec<String> =
        std::fs::read_dir(image.volume()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert!(kept.contains(&"failoverd.db".to_owned()), "{kept:?}");

    // Anywhere else it cannot write, and says so.
    std::fs::write(place.path().join("failoverd.toml"), format!("state = \"/usr/elsewhere/failoverd.db\"\n{main}"))
        .unwrap();
    let said = finish(&mut image.command(&mounts, &words(&["once"])));
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.err.contains("Read-only file system") && said.err.contains("next: "), "{said:#?}");
}
