//! Where the API is and who we are there: settings, environment, role.

use super::*;
use crate::engine::zone::ApiErrorKind;

#[tokio::test]
async fn a_url_that_is_no_api_is_refused_without_repeating_its_secrets() {
    for bad in ["", "nonsense", "ftp://h", "http://", "/only/path", "http://user:hunter2@h:1", "http://h/?key=hunter2"]
    {
        let settings = Settings { endpoint_url: Some(bad.into()), ..Settings::default() };
        let error = connect(&settings).await.unwrap_err().to_string();
        assert!(error.contains("http://HOST:PORT") && !error.contains("hunter2"), "{bad}: {error}");
    }
}

/// Runs this very test again in a process with `vars` as its only AWS settings.
fn again_with(test: &str, vars: &[(&str, &str)]) {
    let path = format!("dns::route53::tests::environment::{test}");
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &path, "--nocapture"]).env("FAILOVERD_TEST_CHILD", test);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("AWS_")) {
        command.env_remove(key);
    }
    let nowhere = [
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nonexistent"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent"),
    ];
    let output = command.envs(nowhere).envs(vars.iter().copied()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn is_child(test: &str) -> bool {
    std::env::var("FAILOVERD_TEST_CHILD").as_deref() == Ok(test)
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "secret")];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_names_the_api_and_the_keys() {
    let test = "the_environment_names_the_api_and_the_keys";
    if is_child(test) {
        let answer = write(&connect(&Settings::default()).await.unwrap()).await;
        assert!(matches!(answer, WriteAnswer::Ambiguous(_)), "{answer:?}");
        return;
    }
    for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ROUTE_53"] {
        let canned = Canned::start(vec![Reply::Http(503, String::new())]).await;
        again_with(test, &[KEYS[0], KEYS[1], (variable, &canned.url)]);
        let head = canned.heads.lock().unwrap().concat();
        assert!(head.contains("Credential=AKIDENV/") && head.contains("/us-east-1/route53/"), "{head}");
        assert_eq!(canned.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_taken_before_the_first_call_and_signs_it() {
    let test = "a_role_is_taken_before_the_first_call_and_signs_it";
    let role = "arn:aws:iam::123456789012:role/failoverd";
    if is_child(test) {
        let settings = Settings { role_arn: Some(role.into()), ..Settings::default() };
        let answer = write(&connect(&settings).await.unwrap()).await;
        let denied = std::env::var_os("FAILOVERD_TEST_DENIED").is_some();
        match answer {
            WriteAnswer::Ambiguous(_) if !denied => {}
            WriteAnswer::NotSent(e) if denied => assert_eq!(e.kind, ApiErrorKind::Credentials, "{e}"),
            other => panic!("{other:?}"),
        }
        return;
    }
    let assumed = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>\
                   <AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
                   <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
    let api = Canned::start(vec![Reply::Http(503, String::new())]).await;
    let sts = Canned::start(vec![Reply::Http(200, assumed.into())]).await;
    let place = [("AWS_ENDPOINT_URL_ROUTE_53", api.url.as_str()), ("AWS_ENDPOINT_URL_STS", &sts.url)];
    again_with(test, &[KEYS[0], KEYS[1], place[0], place[1]]);
    let asked = sts.requests();
    assert!(asked.len() == 1 && asked[0].1.contains("RoleSessionName=failoverd"), "{asked:?}");
    assert!(api.heads.lock().unwrap().concat().contains("Credential=ASIAROLE/"));

    let api = Canned::start(vec![Reply::Http(503, String::new())]).await;
    let sts = Canned::start(vec![Reply::Http(403, wrapped("AccessDenied", "not authorized to assume"))]).await;
    let place = [("AWS_ENDPOINT_URL_ROUTE_53", api.url.as_str()), ("AWS_ENDPOINT_URL_STS", &sts.url)];
    again_with(test, &[KEYS[0], KEYS[1], place[0], place[1], ("FAILOVERD_TEST_DENIED", "1")]);
    assert!(api.requests().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_any_credentials_nothing_is_sent_and_the_message_says_what_to_set() {
    let test = "without_any_credentials_nothing_is_sent_and_the_message_says_what_to_set";
    if is_child(test) {
        match write(&connect(&Settings::default()).await.unwrap()).await {
            WriteAnswer::NotSent(e) => {
                assert!(e.kind == ApiErrorKind::Credentials && e.message.contains("AWS_PROFILE"))
            }
            other => panic!("{other:?}"),
        }
        return;
    }
    let canned = Canned::start(vec![Reply::Http(503, String::new())]).await;
    again_with(test, &[("AWS_ENDPOINT_URL", &canned.url)]);
    assert!(canned.requests().is_empty());
}
