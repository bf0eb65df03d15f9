//! From what became of a request to what the engine is told. Pure; the table is the tests'.

use crate::engine::zone::{ApiError, ApiErrorKind, RefusedCode, WriteAnswer};

use super::failure::{Failure, NotSent};

/// The question that failed, for the message and for the permission it needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// As in an IAM policy, without `route53:`.
    pub(super) action: &'static str,
    /// Bare zone or change id, or a name.
    pub(super) subject: &'a str,
    /// Host and port of the API.
    pub(super) place: &'a str,
}

/// Classes of the API's error codes, for reads and writes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Precondition,
    Throttled,
    Prior,
    Denied,
    Credentials,
    NoSuchZone,
    /// The server gave up waiting for the request or for its own inside.
    Unsure,
    Other,
}

fn class_of(code: &str) -> Class {
    match code {
        "InvalidChangeBatch" => Class::Precondition,
        "Throttling" | "ThrottlingException" | "TooManyRequestsException" | "RequestLimitExceeded" => Class::Throttled,
        "PriorRequestNotComplete" => Class::Prior,
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" | "UnauthorizedOperation" => Class::Denied,
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "OptInRequired" => Class::Credentials,
        "NoSuchHostedZone" => Class::NoSuchZone,
        "RequestTimeout" | "RequestTimeoutException" | "InternalFailure" | "InternalError" | "ServiceUnavailable" => {
            Class::Unsure
        }
        _ => Class::Other,
    }
}

/// Only a 4xx that names an error of the API is definite: without a name some box on the way
/// may have spoken, and such a box may have passed the request on before.
pub(super) fn write_answer(failure: &Failure, asked: Asked<'_>) -> WriteAnswer {
    let (status, code, text) = match failure {
        Failure::NotSent { .. } => return WriteAnswer::NotSent(api_error(failure, asked)),
        Failure::Lost(text) => return WriteAnswer::Ambiguous(text.clone()),
        Failure::Answered { status, code, text } => (*status, code.as_deref(), text),
    };
    let unsure = || WriteAnswer::Ambiguous(format!("HTTP status {status}: {}", named(code, text)));
    let Some(code) = code.filter(|_| (400..500).contains(&status)) else { return unsure() };
    let refused = match class_of(code) {
        Class::Precondition => RefusedCode::Precondition,
        Class::Throttled => RefusedCode::Throttled,
        Class::Prior => RefusedCode::PriorRequestNotComplete,
        Class::Denied => RefusedCode::Denied,
        Class::Credentials => RefusedCode::Credentials,
        Class::NoSuchZone => RefusedCode::NoSuchZone,
        Class::Other => RefusedCode::Invalid,
        Class::Unsure => return unsure(),
    };
    let message = match refused {
        // The provider's own words name the sets; the engine and a person read them.
        RefusedCode::Precondition if !text.is_empty() => text.clone(),
        RefusedCode::Denied | RefusedCode::Credentials | RefusedCode::NoSuchZone => api_error(failure, asked).message,
        _ => named(Some(code), text),
    };
    WriteAnswer::Refused { code: refused, message }
}

pub(super) fn api_error(failure: &Failure, asked: Asked<'_>) -> ApiError {
    let Asked { action, subject, place } = asked;
    let (status, code, text) = match failure {
        Failure::NotSent { cause: NotSent::NoCredentials, text } => {
            return error(
                ApiErrorKind::Credentials,
                format!("no usable AWS credentials ({text}); set AWS_ACCESS_KEY_ID, AWS_PROFILE or an instance role"),
            );
        }
        Failure::NotSent { cause: NotSent::Malformed, text } => {
            return error(ApiErrorKind::Other, format!("{action} on {subject} could not be built: {text}"));
        }
        Failure::NotSent { cause: NotSent::NoConnection, text } => {
            return error(ApiErrorKind::Unreachable, format!("no connection to the Route 53 API at {place}: {text}"));
        }
        Failure::Lost(text) => {
            return error(
                ApiErrorKind::Unreachable,
                format!("no answer to {action} from the Route 53 API at {place}: {text}"),
            );
        }
        Failure::Answered { status, code, text } => (*status, code.as_deref(), text),
    };
    let what = named(code, text);
    let class = code.map_or(Class::Other, class_of);
    let throttled = || error(ApiErrorKind::Throttled, format!("the Route 53 API throttled {action}: {what}"));
    let failed = || {
        let text = format!("the Route 53 API failed at {action} with HTTP status {status}: {what}");
        error(ApiErrorKind::Unreachable, text)
    };
    match class {
        Class::Throttled | Class::Prior => throttled(),
        _ if status == 429 => throttled(),
        _ if status >= 500 || status == 408 => failed(),
        Class::Unsure => failed(),
        Class::Denied => error(
            ApiErrorKind::Denied,
            format!(
                "route53:{action} on {subject} was denied: {text}; grant that action to this identity (docs/aws.md)"
            ),
        ),
        Class::Credentials => error(
            ApiErrorKind::Credentials,
            format!("the AWS credentials were not accepted: {what}; renew them, and check this machine's clock"),
        ),
        Class::NoSuchZone if action == "GetChange" => error(
            ApiErrorKind::NoSuchZone,
            format!("the hosted zone of {subject} is gone from the account of these credentials; check zone_id"),
        ),
        Class::NoSuchZone => error(
            ApiErrorKind::NoSuchZone,
            format!("no {subject} in the account of these credentials; check zone_id, and the account or role_arn"),
        ),
        Class::Precondition | Class::Other => {
            error(ApiErrorKind::Other, format!("{action} on {subject} was refused with HTTP status {status}: {what}"))
        }
    }
}

fn named(code: Option<&str>, text: &str) -> String {
    match (code, text) {
        (Some(code), "") => code.into(),
        (Some(code), text) => format!("{code}: {text}"),
        (None, text) => text.into(),
    }
}

pub(super) fn error(kind: ApiErrorKind, message: String) -> ApiError {
    ApiError { kind, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKED: Asked<'static> =
        Asked { action: "ChangeResourceRecordSets", subject: "hostedzone/Z1", place: "127.0.0.1:1" };

    fn answered(status: u16, code: &str) -> Failure {
        let code = Some(code).filter(|c| !c.is_empty()).map(String::from);
        Failure::Answered { status, code, text: "words".into() }
    }

    #[test]
    fn a_write_is_refused_only_by_a_4xx_that_names_an_error_of_the_api() {
        use RefusedCode::*;
        let table: [(u16, &str, Option<RefusedCode>); 28] = [
            (400, "InvalidChangeBatch", Some(Precondition)),
            (400, "Throttling", Some(Throttled)),
            (400, "ThrottlingException", Some(Throttled)),
            (429, "TooManyRequestsException", Some(Throttled)),
            (400, "PriorRequestNotComplete", Some(PriorRequestNotComplete)),
            (403, "AccessDenied", Some(Denied)),
            (403, "AccessDeniedException", Some(Denied)),
            (403, "InvalidClientTokenId", Some(Credentials)),
            (403, "UnrecognizedClientException", Some(Credentials)),
            (403, "SignatureDoesNotMatch", Some(Credentials)),
            (403, "InvalidSignatureException", Some(Credentials)),
            (403, "ExpiredToken", Some(Credentials)),
            (403, "ExpiredTokenException", Some(Credentials)),
            (400, "RequestExpired", Some(Credentials)),
            (403, "MissingAuthenticationToken", Some(Credentials)),
            (404, "NoSuchHostedZone", Some(NoSuchZone)),
            (400, "InvalidInput", Some(Invalid)),
            (404, "NoSuchHealthCheck", Some(Invalid)),
            (413, "SomethingNew", Some(Invalid)),
            (400, "RequestTimeout", None),
            (403, "", None),
            (408, "", None),
            (302, "", None),
            (500, "InternalFailure", None),
            (500, "InvalidChangeBatch", None),
            (503, "Throttling", None),
            (503, "", None),
            (200, "", None),
        ];
        for (status, code, expected) in table {
            let answer = write_answer(&answered(status, code), ASKED);
            let got = match &answer {
                WriteAnswer::Refused { code, .. } => Some(*code),
                WriteAnswer::Ambiguous(_) => None,
                other => panic!("{status} {code}: {other:?}"),
            };
            assert_eq!(got, expected, "{status} {code}");
        }
    }

    #[test]
    fn nothing_but_proof_makes_a_write_not_sent() {
        for (cause, kind) in [
            (NotSent::NoConnection, ApiErrorKind::Unreachable),
            (NotSent::NoCredentials, ApiErrorKind::Credentials),
            (NotSent::Malformed, ApiErrorKind::Other),
        ] {
            let failure = Failure::NotSent { cause, text: "why".into() };
            assert!(matches!(write_answer(&failure, ASKED), WriteAnswer::NotSent(e) if e.kind == kind));
        }
        assert_eq!(write_answer(&Failure::Lost("reset".into()), ASKED), WriteAnswer::Ambiguous("reset".into()));
    }

    #[test]
    fn a_read_error_has_a_kind_and_says_what_to_do() {
        use ApiErrorKind::*;
        let table = [
            (403, "AccessDenied", Denied, "route53:ChangeResourceRecordSets on hostedzone/Z1 was denied"),
            (403, "ExpiredToken", Credentials, "renew them"),
            (404, "NoSuchHostedZone", NoSuchZone, "check zone_id"),
            (400, "Throttling", Throttled, "throttled"),
            (429, "", Throttled, "throttled"),
            (503, "ServiceUnavailable", Unreachable, "503"),
            (500, "", Unreachable, "500"),
            (400, "InvalidInput", Other, "InvalidInput: words"),
            (403, "", Other, "403"),
        ];
        for (status, code, kind, part) in table {
            let error = api_error(&answered(status, code), ASKED);
            assert_eq!(error.kind, kind, "{status} {code}");
            assert!(error.message.contains(part), "{status} {code}: {}", error.message);
        }
    }
}
