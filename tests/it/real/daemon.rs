//! failoverd as a process: started, listened to, asked, stopped.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use super::{PATIENCE, Running, wait_for};
use crate::canary::{self, CANARY};

/// A command line of the real binary that meets no account and no configuration of this machine.
pub fn failoverd(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_failoverd"));
    clean(&mut command, dir);
    command
}

fn clean(command: &mut Command, dir: &Path) {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", dir)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", CANARY)
        .env(canary::VARIABLE, CANARY)
        .env("NO_COLOR", "1")
        .current_dir(dir);
}

/// The same under a shell that first runs `setup` (an `ulimit`, say).
pub fn failoverd_after(setup: &str, dir: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    let line = format!("{setup}; exec \"$0\" \"$@\"");
    command.arg("-c").arg(line).arg(env!("CARGO_BIN_EXE_failoverd"));
    clean(&mut command, dir);
    command
}

/// What a command that ends by itself said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command that ends by itself, in bounded time.
pub fn finish(command: &mut Command) -> Said {
    let shown = format!("{command:?}");
    let mut process = Process::start(command);
    let code = process.wait_exit(&shown).code();
    Said { code, out: process.out(), err: process.err() }
}

/// A process whose output is kept line by line.
pub struct Process {
    running: Running,
    out: Arc<Mutex<Vec<String>>>,
    err: Arc<Mutex<Vec<String>>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running::start(command);
        let (out, err) = (Arc::default(), Arc::default());
        let readers = vec![
            keep_lines(running.child.stdout.take().unwrap(), &out),
            keep_lines(running.child.stderr.take().unwrap(), &err),
        ];
        Process { running, out, err, readers }
    }

    pub fn alive(&mut self) -> bool {
        self.running.alive()
    }

    pub fn out(&self) -> String {
        self.out.lock().unwrap().join("\n")
    }

    pub fn err(&self) -> String {
        self.err.lock().unwrap().join("\n")
    }

    /// Lines of stderr that contain `text`.
    pub fn lines_with(&self, text: &str) -> Vec<String> {
        self.err.lock().unwrap().iter().filter(|l| l.contains(text)).cloned().collect()
    }

    /// Waits for a line of stderr with `text`; fails at once when the process ends without it.
    pub fn wait_log(&mut self, text: &str) -> String {
        self.wait_line(|p| p.lines_with(text).into_iter().next(), text)
    }

    /// Waits for a line of stdout with `text`.
    pub fn wait_out(&mut self, text: &str) -> String {
        let look = |p: &Process| p.out.lock().unwrap().iter().find(|l| l.contains(text)).cloned();
        self.wait_line(look, text)
    }

    fn wait_line(&mut self, look: impl Fn(&Process) -> Option<String>, text: &str) -> String {
        let begun = tokio::time::Instant::now();
        loop {
            let ended = !self.alive();
            if ended {
                self.readers.drain(..).for_each(|r| r.join().unwrap());
            }
            if let Some(line) = look(self) {
                return line;
            }
            let late = begun.elapsed() > PATIENCE;
            assert!(!ended && !late, "never said {text:?}; ended: {ended}\n{}\n{}", self.out(), self.err());
            std::thread::park_timeout(std::time::Duration::from_millis(20));
        }
    }

    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.running.child)
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// SIGTERM, then the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.wait_exit("SIGTERM").code()
    }

    /// SIGKILL; dead and reaped when this returns.
    pub fn kill(&mut self) {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }

    pub fn wait_exit(&mut self, what: &str) -> ExitStatus {
        let (out, err) = (self.out.clone(), self.err.clone());
        let child = &mut self.running.child;
        let say = || format!("{}\n{}", out.lock().unwrap().join("\n"), err.lock().unwrap().join("\n"));
        let status = wait_for(&format!("the end of the process after {what}"), || child.try_wait().unwrap(), say);
        self.readers.drain(..).for_each(|r| r.join().unwrap());
        status
    }
}

fn keep_lines(
    from: impl std::io::Read + Send + 'static,
    into: &Arc<Mutex<Vec<String>>>,
) -> std::thread::JoinHandle<()> {
    let into = into.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            into.lock().unwrap().push(line);
        }
    })
}

impl Drop for Process {
    /// The log of a process is what one wants to read when its test failed; it never holds a secret.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("---- stdout of {}\n{}\n---- stderr\n{}", self.running.child.id(), self.out(), self.err());
            return;
        }
        canary::assert_absent("what a process said on stdout", self.out().as_bytes());
        canary::assert_absent("what a process said on stderr", self.err().as_bytes());
    }
}
