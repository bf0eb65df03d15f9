//! MiniStack from PyPI, unchanged: the third party that the Route 53 adapter must agree with.
//!
//! One process serves all tests that run at the same time; it ends with the last of them, or
//! with the test binary however that ends.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

/// What `tests/run` installs, every file by its hash.
const REQUIREMENTS: &str = include_str!("../requirements.txt");

pub struct MiniStack {
    pub api: SocketAddr,
    child: Mutex<Child>,
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        // Closing the pipe tells the guard below to end the server and itself.
        let child = self.child.get_mut().unwrap();
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

/// A running MiniStack, shared with whoever holds one now.
pub async fn shared() -> Arc<MiniStack> {
    static CURRENT: tokio::sync::Mutex<Weak<MiniStack>> = tokio::sync::Mutex::const_new(Weak::new());
    let mut current = CURRENT.lock().await;
    if let Some(running) = current.upgrade() {
        return running;
    }
    let program = tokio::task::spawn_blocking(program).await.unwrap().as_ref().unwrap_or_else(|why| panic!("{why}"));
    for _ in 0..3 {
        if let Some(started) = start(program).await {
            let started = Arc::new(started);
            *current = Arc::downgrade(&started);
            return started;
        }
    }
    panic!("MiniStack did not answer within 30 s on any of three ports; try: SERVICES=route53 {}", program.display());
}

async fn start(program: &Path) -> Option<MiniStack> {
    let free = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    // The shell lives as long as the pipe to this process, and the server as long as the shell.
    let guard = r#""$0" </dev/null & server=$!; read -r _; kill $server; wait $server"#;
    let child = Command::new("sh")
        .args(["-c", guard])
        .arg(program)
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", free.port().to_string())
        .env("SERVICES", "route53")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh is on every machine");
    let server = MiniStack { api: free, child: Mutex::new(child) };
    for _ in 0..300 {
        if tokio::net::TcpStream::connect(free).await.is_ok() {
            return Some(server);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// Another program that `tests/run` installs with it, of the version pinned there.
pub fn tool(name: &str) -> PathBuf {
    let ministack = program().as_ref().unwrap_or_else(|why| panic!("{why}"));
    let found = ministack.with_file_name(name);
    assert!(
        found.exists(),
        "no {} although MiniStack is there; remove that environment and run tests/run",
        found.display()
    );
    found
}

/// The program of the pinned version, installed when the environment of `tests/run` is not there.
fn program() -> &'static Result<PathBuf, String> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let venv = std::env::var_os("FAILOVERD_TEST_VENV").map_or(root.join("target/test-venv"), PathBuf::from);
        let program = venv.join("bin/ministack");
        if !program.exists() {
            install(&venv)?;
        }
        let python = venv.join("bin/python");
        let ask = "from importlib.metadata import version; print(version('ministack'))";
        let found = run(Command::new(&python).args(["-c", ask]))?;
        let wanted = REQUIREMENTS.lines().find_map(|line| line.strip_prefix("ministack==")).unwrap_or_default();
        if wanted.split_whitespace().next() != Some(found.trim()) {
            return Err(format!(
                "MiniStack in {} is {}, the tests are made for {wanted}; remove that directory and run tests/run",
                venv.display(),
                found.trim()
            ));
        }
        Ok(program)
    })
}

fn install(venv: &Path) -> Result<(), String> {
    let hint =
        |e: String| format!("no MiniStack in {}, and making one failed: {e}; run tests/run once", venv.display());
    // A shim on PATH may be a python that cannot make one.
    let make = |python: &str| run(Command::new(python).args(["-m", "venv"]).arg(venv));
    make("python3").or_else(|_| make("/usr/bin/python3")).map_err(hint)?;
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requirements.txt");
    let args =
        ["install", "--quiet", "--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:", "-r"];
    run(Command::new(venv.join("bin/pip")).args(args).arg(&list)).map_err(hint)?;
    std::fs::copy(&list, venv.join("requirements.txt")).map_err(|e| hint(e.to_string()))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
