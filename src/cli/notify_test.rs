//! `failoverd notify-test`: one real notice to each receiver, to be seen there by a person.

use std::fmt::Write as _;

use clap::Args;

use crate::config::{Config, NotifierSettings};
use crate::domain::UnixMs;
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::notify::{SendResult, client};
use crate::runtime::clock::wall;
use crate::runtime::courier::sink;
use crate::runtime::unknown_name;

use super::output::data;
use super::{Context, Done, Exit, Failure};

/// Says what each receiver answered; never its URL.
#[derive(Args, Clone, Debug)]
pub struct NotifyTestArgs {
    /// Name of one notifier; without it, all of them
    #[arg(value_name = "NOTIFIER")]
    pub notifier: Option<String>,
}

/// Exit code 0 when every receiver took the notice, else 1.
pub async fn run(context: &Context, args: NotifyTestArgs) -> Done {
    let config = context.load()?;
    let (text, all_delivered) = test(&args, &config, &|name| std::env::var(name).ok(), wall()).await?;
    data(&text);
    Ok(if all_delivered { Exit::Ok } else { Exit::Error })
}

/// One line for each receiver, and whether all took the notice.
async fn test(
    args: &NotifyTestArgs,
    config: &Config,
    env: &dyn Fn(&str) -> Option<String>,
    now: UnixMs,
) -> Result<(String, bool), Failure> {
    let chosen = chosen(args, config)?;
    let client = client().map_err(Failure::error)?;
    let notice = notice(config, &chosen, now);
    let width = chosen.iter().map(|n| n.name.as_str().len()).max().unwrap_or(0);
    let (mut text, mut all_delivered) = (String::new(), true);
    for notifier in chosen {
        let answer = match sink(notifier, env) {
            Ok(sink) => match sink.send(&client, now, &notice).await {
                SendResult::Delivered => Ok(()),
                SendResult::Retry { error, .. } => Err(format!("{error}; failoverd would try again")),
                SendResult::Dead { error } => Err(format!("{error}; trying again would not help: mend the notifier")),
            },
            Err(error) => Err(error.to_string()),
        };
        all_delivered &= answer.is_ok();
        let said = answer.map_or_else(|error| format!("failed: {error}"), |()| "delivered".into());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:width$}  {said}", notifier.name.as_str());
    }
    Ok((text, all_delivered))
}

fn chosen<'a>(args: &NotifyTestArgs, config: &'a Config) -> Result<Vec<&'a NotifierSettings>, Failure> {
    let known: Vec<&str> = config.notifiers.iter().map(|n| n.name.as_str()).collect();
    if known.is_empty() {
        return Err(Failure::error("no notifier is configured, so nobody would be told")
            .next(format!("add a [[notifier]] to {}", config.path.display())));
    }
    match &args.notifier {
        None => Ok(config.notifiers.iter().collect()),
        Some(name) => match config.notifiers.iter().find(|n| n.name.as_str() == name) {
            Some(one) => Ok(vec![one]),
            None => Err(Failure::error(unknown_name("notifier", name, &known))),
        },
    }
}

fn notice(config: &Config, to: &[&NotifierSettings], now: UnixMs) -> Notice {
    Notice {
        id: format!("test-{}", now.0),
        kind: NoticeKind::Test,
        severity: Severity::Info,
        at: now,
        cluster: config.settings.cluster.clone(),
        instance: config.settings.instance.clone(),
        policy: None,
        incident: None,
        observe: false,
        title: "failoverd test notice: this receiver works".into(),
        why: vec!["somebody ran `failoverd notify-test`".into()],
        moved: None,
        timeline: Vec::new(),
        next: vec!["nothing; no record was touched".into()],
        undo: None,
        to: to.iter().map(|n| n.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;
    use crate::config;

    /// Answers each connection with the next status.
    fn receiver(statuses: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/c4n4ry-token", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for status in statuses {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"}") {
                    let mut part = [0; 4096];
                    let n = stream.read(&mut part).unwrap();
                    request.extend(&part[..n]);
                }
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    fn load(notifiers: &str) -> (tempfile::TempDir, Config) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("policies")).unwrap();
        let policy = "zone = \"example.com\"\nrecords = [\"www.example.com\"]\nttl = 30\n\
            [check]\ntype = \"tcp\"\nport = 80\n\
            [[target]]\nname = \"a\"\naddresses = [\"192.0.2.1\"]\npriority = 1\n\
            [[target]]\nname = \"b\"\naddresses = [\"192.0.2.2\"]\npriority = 2\n";
        std::fs::write(dir.path().join("policies/web.toml"), policy).unwrap();
        let path = dir.path().join("failoverd.toml");
        std::fs::write(&path, format!("instance = \"a\"\n{notifiers}")).unwrap();
        let config = config::load(&path, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        (dir, config)
    }

    async fn outcome(config: &Config, name: Option<&str>, env: &[(&str, &str)]) -> Result<(String, bool), Failure> {
        let args = NotifyTestArgs { notifier: name.map(Into::into) };
        let env = |wanted: &str| env.iter().find(|(n, _)| *n == wanted).map(|(_, v)| (*v).to_owned());
        test(&args, config, &env, UnixMs(1_800_000_000_000)).await
    }

    #[tokio::test]
    async fn each_receiver_is_told_apart_and_one_failure_is_a_failure() {
        let (slack, hook) = (receiver(&["200 OK", "200 OK"]), receiver(&["404 Not Found"]));
        let (_dir, config) = load(
            "[[notifier]]\nname = \"ops-slack\"\ntype = \"slack\"\nurl = { env = \"SLACK\" }\n\
             [[notifier]]\nname = \"audit\"\ntype = \"webhook\"\nurl = { env = \"HOOK\" }\n\
             [[notifier]]\nname = \"lost\"\ntype = \"slack\"\nurl = { env = \"NOWHERE\" }\n",
        );
        let env = [("SLACK", slack.as_str()), ("HOOK", hook.as_str())];
        let (text, all) = outcome(&config, None, &env).await.unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "ops-slack  delivered");
        assert!(lines[1].starts_with("audit      failed: HTTP 404"), "{text}");
        assert!(lines[2].starts_with("lost       failed: environment variable `NOWHERE` is not set"), "{text}");
        assert!(!all && !text.contains("c4n4ry"), "{text}");
        assert_eq!(outcome(&config, Some("ops-slack"), &env).await.unwrap(), ("ops-slack  delivered\n".into(), true));
        let error = outcome(&config, Some("ops-slak"), &env).await.unwrap_err();
        assert!(error.error.contains("did you mean `ops-slack`"), "{error:?}");
    }

    #[tokio::test]
    async fn without_any_notifier_it_says_that_nobody_would_be_told() {
        let (_dir, config) = load("");
        let error = outcome(&config, None, &[]).await.unwrap_err();
        assert!(error.error.contains("nobody would be told") && error.next.unwrap().contains("[[notifier]]"));
    }
}
