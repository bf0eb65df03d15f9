//! What became of a request that did not end well, read out of the SDK's error.
//! The one question that matters: may it have been applied?

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use hyper_util::client::legacy::Error as HttpError;
use quick_xml::events::Event;

/// How far a failed request came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Proven: no byte of it left this machine.
    NotSent { cause: NotSent, text: String },
    /// It may have arrived: a timeout, a reset, an answer cut short.
    Lost(String),
    /// Answered with this status. `code` only when the answer names one of the API's errors.
    Answered { status: u16, code: Option<String>, text: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSent {
    NoConnection,
    NoCredentials,
    /// The request could not even be built.
    Malformed,
}

/// Longest text taken from outside into a message.
const TEXT_LIMIT: usize = 2_000;

impl Failure {
    /// `messages`: what a modelled error lists beside its one message.
    pub(super) fn of<E>(error: &SdkError<E, HttpResponse>, messages: &[String]) -> Failure
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        if let Some(raw) = error.raw_response() {
            let status = raw.status().as_u16();
            let bare = raw.body().bytes().and_then(bare_error);
            let code = error.code().map(String::from).or_else(|| bare.as_ref().map(|b| b.code.clone()));
            let listed =
                if messages.is_empty() { bare.map(|b| b.messages).unwrap_or_default() } else { messages.to_vec() };
            let text = match (listed.is_empty(), error.message()) {
                (false, _) => listed.join("; "),
                (true, Some(message)) => message.into(),
                (true, None) if code.is_none() => format!("HTTP status {status} and no error of the API"),
                (true, None) => String::new(),
            };
            return Failure::Answered { status, code, text: shortened(&text) };
        }
        let text = shortened(&causes(error));
        // Identity comes before the wire, whatever the kind of the outer error.
        if let Some(error) = find::<CredentialsError>(error) {
            let cause = match error {
                CredentialsError::ProviderTimedOut(_) => NotSent::NoConnection,
                _ => NotSent::NoCredentials,
            };
            return Failure::NotSent { cause, text };
        }
        if find::<HttpError>(error).is_some_and(HttpError::is_connect) {
            return Failure::NotSent { cause: NotSent::NoConnection, text };
        }
        match error {
            SdkError::ConstructionFailure(_) => Failure::NotSent { cause: NotSent::Malformed, text },
            _ => Failure::Lost(text),
        }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let now = next?;
        next = now.source();
        Some(now)
    })
}

fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|e| e.downcast_ref::<T>())
}

/// The chain as one line, without the SDK's outermost words and without repetitions.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in chain(error).skip(1).map(ToString::to_string) {
        let known = parts.iter().any(|p| p.contains(&part));
        if !known
            && !matches!(part.as_str(), "io error" | "timeout" | "other" | "user error" | "client error (Connect)")
        {
            parts.push(part);
        }
    }
    if parts.is_empty() { error.to_string() } else { parts.join(": ") }
}

/// One line, bounded, and without the canonical request that a signature error repeats: it
/// holds the session token.
pub(super) fn shortened(text: &str) -> String {
    let text = text.split("The Canonical String").next().unwrap_or("");
    let line: Vec<&str> = text.split_whitespace().collect();
    let mut line = line.join(" ");
    if let Some((at, _)) = line.char_indices().nth(TEXT_LIMIT) {
        line.truncate(at);
        line.push('…');
    }
    line
}

#[derive(Debug, PartialEq, Eq)]
struct BareError {
    code: String,
    messages: Vec<String>,
}

/// Reads an error whose name is the root element, as Route 53 answers a refused batch:
/// `<InvalidChangeBatch><Messages><Message>…`. The SDK knows only `<ErrorResponse>`.
fn bare_error(body: &[u8]) -> Option<BareError> {
    let text = std::str::from_utf8(body).ok().filter(|t| t.len() <= 1 << 20)?;
    let mut xml = quick_xml::Reader::from_str(text);
    let mut code: Option<String> = None;
    let mut messages: Vec<String> = Vec::new();
    let mut inside = false;
    loop {
        match xml.read_event().ok()? {
            Event::Start(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                if name == "ErrorResponse" || name.eq_ignore_ascii_case("html") {
                    return None;
                }
                inside = name == "Message";
                if inside {
                    messages.push(String::new());
                }
                code.get_or_insert(name);
            }
            Event::Text(part) if inside => messages.last_mut()?.push_str(&part),
            Event::GeneralRef(part) if inside => {
                let message = messages.last_mut()?;
                match part.resolve_char_ref().ok()? {
                    Some(c) => message.push(c),
                    None => message.push_str(quick_xml::escape::resolve_predefined_entity(&part)?),
                }
            }
            Event::End(_) => inside = false,
            Event::Eof => break,
            _ => {}
        }
    }
    // The API's names look like `InvalidChangeBatch`; a page of some box on the way does not.
    let ours = |c: &String| c.starts_with(|c: char| c.is_ascii_uppercase()) && c != "Error";
    code.filter(ours).map(|code| BareError { code, messages })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_is_the_root_element_is_read() {
        let body = r#"<?xml version="1.0"?>
            <InvalidChangeBatch xmlns="https://route53.amazonaws.com/doc/2013-04-01/">
              <Messages>
                <Message>Tried to delete resource record set [name=&apos;a.&apos;, type=&#39;TXT&#39;] but it was not found</Message>
                <Message>second</Message>
              </Messages><RequestId>r</RequestId></InvalidChangeBatch>"#;
        let read = bare_error(body.as_bytes()).unwrap();
        assert_eq!(read.code, "InvalidChangeBatch");
        assert_eq!(
            read.messages,
            ["Tried to delete resource record set [name='a.', type='TXT'] but it was not found", "second"]
        );
        for not_bare in [
            "",
            "plain",
            "<html><body>no</body></html>",
            "<ErrorResponse><Error/></ErrorResponse>",
            "<a",
            "<error>x</error>",
            "<Error><Code>x</Code></Error>",
        ] {
            assert_eq!(bare_error(not_bare.as_bytes()), None, "{not_bare}");
        }
    }

    #[test]
    fn a_text_from_outside_is_one_bounded_line_without_the_canonical_request() {
        assert_eq!(shortened("a\n  b\t c"), "a b c");
        assert_eq!(shortened(&"x".repeat(5000)).chars().count(), TEXT_LIMIT + 1);
        let leaky = "The signature does not match. The Canonical String for this request should have been\nx-amz-security-token:TOKEN";
        assert_eq!(shortened(leaky), "The signature does not match.");
    }
}
