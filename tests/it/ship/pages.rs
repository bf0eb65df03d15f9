//! The manual, the completions and `--version`, as their readers read them: man, bash, a script.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::real::daemon::{failoverd, finish};
use crate::real::program;

/// Every command, as `--help` lists them.
pub fn commands(dir: &Path) -> BTreeSet<String> {
    let help = finish(failoverd(dir).arg("--help")).out;
    let list = help.split_once("Commands:\n").unwrap().1;
    let list = list.split_once("\n\n").unwrap().0;
    let name = |line: &str| {
        let rest = line.strip_prefix("  ")?;
        (!rest.starts_with(' ')).then(|| rest.split(' ').next().unwrap().to_owned())
    };
    list.lines().filter_map(name).collect()
}

/// What `man` complains of in a page.
pub fn complaints(page: &Path) -> String {
    let mut man = Command::new(program("man", "man-db"));
    let out = man.args(["--warnings", "-E", "UTF-8", "-Tutf8", "-Z", "-l"]).arg(page).env("LC_ALL", "C.UTF-8").output();
    let out = out.unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    if out.status.success() { said } else { format!("exit {:?}: {said}", out.status.code()) }
}

#[test]
fn every_command_has_a_page_that_man_reads_without_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let commands = commands(dir.path());
    assert!(commands.len() > 25 && commands.contains("switch") && commands.contains("man"), "{commands:?}");
    let said = finish(failoverd(dir.path()).args(["man", "pages/man1"]));
    assert_eq!((said.code, said.out.as_str()), (Some(0), ""), "{said:#?}");

    let pages = dir.path().join("pages/man1");
    let mut wanted: BTreeSet<String> = commands.iter().map(|command| format!("failoverd-{command}.1")).collect();
    wanted.insert("failoverd.1".into());
    let found: BTreeSet<String> =
        std::fs::read_dir(&pages).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(found, wanted);
    for name in &found {
        assert_eq!(complaints(&pages.join(name)), "", "{name}");
    }

    let main = std::fs::read_to_string(pages.join("failoverd.1")).unwrap();
    assert_eq!(finish(failoverd(dir.path()).arg("man")).out.trim_end(), main.trim_end(), "the main page is on stdout");
    for words in ["EXIT STATUS", "FAILOVERD_CONFIG", "/etc/failoverd/failoverd.toml"] {
        assert!(main.contains(words), "{words}");
    }
    let switch = std::fs::read_to_string(pages.join("failoverd-switch.1")).unwrap();
    assert!(switch.contains("Example: failoverd switch web"), "{switch}");

    // The same look finds what is wrong with a page.
    let bad = dir.path().join("bad.1");
    std::fs::write(&bad, main.replacen(".SH EXIT", ".ft nonsense\n.SH EXIT", 1).replacen(".SH FILES", ".SHH", 1))
        .unwrap();
    assert_ne!(complaints(&bad), "");
}

#[test]
fn a_manual_that_cannot_be_written_is_one_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("taken"), "").unwrap();
    let said = finish(failoverd(dir.path()).args(["man", "taken"]));
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("error: cannot write taken: "), "{said:#?}");
}

/// What bash offers after `line`, whose last word is being typed.
fn offered(dir: &Path, line: &[&str]) -> Vec<String> {
    let words: String = line.iter().map(|word| format!(" '{word}'")).collect();
    // The function is looked up as bash does: by `complete`.
    let script = format!(
        "source ./completions.bash || exit 9\n\
         function=$(complete -p failoverd | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         COMP_WORDS=({words} )\nCOMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
         COMP_LINE=\"${{COMP_WORDS[*]}}\"\nCOMP_POINT=${{#COMP_LINE}}\n\
         $function failoverd \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\""
    );
    let mut bash = Command::new("bash");
    let out = bash.args(["--norc", "--noprofile", "-c", &script]).current_dir(dir).output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(String::from).collect()
}

#[test]
fn bash_completes_commands_and_their_options() {
    let dir = tempfile::tempdir().unwrap();
    let script = finish(failoverd(dir.path()).args(["completions", "bash"])).out;
    std::fs::write(dir.path().join("completions.bash"), script).unwrap();
    let checked = Command::new("bash").arg("-n").arg(dir.path().join("completions.bash")).output().unwrap();
    assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");

    let offer = |line: &[&str]| offered(dir.path(), line);
    assert_eq!(offer(&["failoverd", "swi"]), ["switch"]);
    assert_eq!(offer(&["failoverd", "no"]), ["notify-test"]);
    assert_eq!(offer(&["failoverd", "switch", "--dr"]), ["--drain"]);
    assert_eq!(offer(&["failoverd", "completions", "b"]), ["bash"]);
    assert_eq!(offer(&["failoverd", "run", "--log", "j"]), ["json"]);
    assert_eq!(offer(&["failoverd", "zzz"]), [""]);
    let all: BTreeSet<String> = offer(&["failoverd", ""]).into_iter().filter(|word| !word.starts_with('-')).collect();
    assert_eq!(all, commands(dir.path()));
}

#[test]
fn the_other_shells_are_given_every_command_too() {
    let dir = tempfile::tempdir().unwrap();
    for (shell, first) in [("zsh", "#compdef failoverd"), ("fish", "# Print an optspec")] {
        let said = finish(failoverd(dir.path()).args(["completions", shell]));
        assert!(said.code == Some(0) && said.out.starts_with(first), "{shell}: {said:#?}");
        for command in commands(dir.path()) {
            assert!(said.out.contains(&command), "{shell}: {command}");
        }
    }
    let said = finish(failoverd(dir.path()).args(["completions", "tcsh"]));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("[possible values: bash, zsh, fish]"), "{said:#?}");
}

#[test]
fn the_version_names_the_release_and_the_long_one_the_commit() {
    let dir = tempfile::tempdir().unwrap();
    let short = finish(failoverd(dir.path()).arg("-V")).out;
    assert_eq!(short, concat!("failoverd ", env!("CARGO_PKG_VERSION")));
    let long = finish(failoverd(dir.path()).arg("--version")).out;
    let (first, second) = long.split_once('\n').unwrap();
    assert_eq!(first, short);
    let wanted = match failoverd::version::DATE {
        "" => format!("commit {}", failoverd::version::COMMIT),
        date => format!("commit {} of {date}", failoverd::version::COMMIT),
    };
    assert_eq!(second, wanted);
}

/// build.rs as a program of its own, run in other people's directories.
struct Stamp {
    dir: tempfile::TempDir,
}

impl Stamp {
    fn new() -> Stamp {
        let dir = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        let out = rustc.args(["--edition", "2024", "-o"]).arg(dir.path().join("stamp")).arg(source).output().unwrap();
        assert!(out.status.success(), "{out:?}");
        std::fs::create_dir_all(dir.path().join("tree/src")).unwrap();
        std::fs::write(dir.path().join("tree/src/main.rs"), "").unwrap();
        Stamp { dir }
    }

    fn tree(&self) -> std::path::PathBuf {
        self.dir.path().join("tree")
    }

    fn git(&self, line: &[&str]) -> String {
        let mut git = Command::new(program("git", "git"));
        git.args(["-c", "user.name=a", "-c", "user.email=a@example.com"]).args(line).current_dir(self.tree());
        let date = "2026-01-31T09:00:00Z";
        let out = git.env("GIT_COMMITTER_DATE", date).env("GIT_AUTHOR_DATE", date).env("HOME", self.dir.path());
        let out = out.output().unwrap();
        assert!(out.status.success(), "{line:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    }

    /// What it tells cargo.
    fn says(&self, at: &Path, profile: &str, env: &[(&str, &str)]) -> String {
        let mut stamp = Command::new(self.dir.path().join("stamp"));
        stamp.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PROFILE", profile);
        stamp.env("CARGO_MANIFEST_DIR", at).envs(env.iter().copied()).current_dir(at);
        let out = stamp.output().unwrap();
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    }

    fn line(&self, profile: &str, env: &[(&str, &str)]) -> String {
        let said = self.says(&self.tree(), profile, env);
        let line = said.lines().find_map(|l| l.strip_prefix("cargo:rustc-env=FAILOVERD_BUILD_LINE="));
        line.unwrap().to_owned()
    }
}

#[test]
fn the_commit_is_asked_of_git_told_by_the_environment_or_unknown() {
    let stamp = Stamp::new();
    assert_eq!(stamp.line("release", &[]), "commit unknown", "a tarball");
    let told = [("FAILOVERD_COMMIT", "abc123\ncargo:rustc-cfg=evil"), ("FAILOVERD_COMMIT_DATE", "2026-02-03")];
    assert_eq!(stamp.line("release", &told), "commit abc123 of 2026-02-03");
    assert!(!stamp.says(&stamp.tree(), "release", &told).contains("evil"));
    assert_eq!(stamp.line("debug", &told[..1]), "commit abc123");

    stamp.git(&["init", "-q"]);
    stamp.git(&["add", "."]);
    stamp.git(&["commit", "-q", "-m", "one"]);
    let commit = stamp.git(&["rev-parse", "--short=12", "HEAD"]);
    assert_eq!(stamp.line("release", &[]), format!("commit {commit} of 2026-01-31"));
    assert_eq!(stamp.line("debug", &[]), "commit unknown", "a debug build is not rebuilt for each commit");
    assert!(!stamp.says(&stamp.tree(), "debug", &[]).contains("HEAD"));
    assert!(stamp.says(&stamp.tree(), "release", &[]).contains("rerun-if-changed=.git/HEAD"));
    assert_eq!(stamp.line("release", &told[..1]), "commit abc123", "what is told goes first");

    std::fs::write(stamp.tree().join("src/main.rs"), "// changed").unwrap();
    assert_eq!(stamp.line("release", &[]), format!("commit {commit}-dirty of 2026-01-31"));
    stamp.git(&["checkout", "-q", "."]);
    assert_eq!(stamp.line("release", &[]), format!("commit {commit} of 2026-01-31"));

    // A tarball unpacked in somebody else's repository is not of that repository's commit.
    let inner = stamp.says(&stamp.tree().join("src"), "release", &[]);
    assert!(inner.contains("FAILOVERD_BUILD_LINE=commit unknown"), "{inner}");
}
