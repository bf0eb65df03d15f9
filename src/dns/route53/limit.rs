//! A bound on what one answer of the API may take in memory (invariant I16). The SDK reads a
//! whole body; this ends the reading early, and the request counts as answered unreadably.

use aws_sdk_route53::config::interceptors::BeforeDeserializationInterceptorContextMut;
use aws_sdk_route53::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_route53::error::BoxError;
use aws_smithy_types::body::SdkBody;
use http_body_util::Limited;

/// Bytes. A page of 300 sets with every value as long as the API allows stays below.
pub(super) const ANSWER_LIMIT: usize = 16 << 20;
/// Bytes. A refusal that names each change of the largest batch stays below.
const REFUSAL_LIMIT: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct AnswerLimit;

impl Intercept for AnswerLimit {
    fn name(&self) -> &'static str {
        "AnswerLimit"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        let body = response.take_body();
        let limit = if response.status().is_success() { ANSWER_LIMIT } else { REFUSAL_LIMIT };
        *response.body_mut() = SdkBody::from_body_1_x(Limited::new(body, limit));
        Ok(())
    }
}
