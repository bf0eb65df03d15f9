//! Signatures of the Standard Webhooks specification, version `v1` (HMAC-SHA256).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// Value of `webhook-signature` over `id.timestamp.body`. A key `whsec_…` is base64 after its
/// prefix; any other key is used byte for byte. `None`: what follows `whsec_` is no base64.
pub(super) fn signature(key: &Secret, id: &str, timestamp: u64, body: &[u8]) -> Option<String> {
    let text = key.expose().trim();
    let key = match text.strip_prefix("whsec_") {
        Some(encoded) => STANDARD.decode(encoded).ok()?,
        None => text.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(key: &str) -> Option<String> {
        let body = br#"{"test": 2432232314}"#;
        signature(&Secret::new(key.into()), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body)
    }

    #[test]
    fn the_published_example_of_the_specification_is_reproduced() {
        let expected = Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned());
        assert_eq!(sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), expected);
        assert_eq!(sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"), expected, "a file's last newline is no key");
    }

    #[test]
    fn a_raw_key_is_its_bytes_and_a_broken_prefixed_key_is_an_error() {
        assert!(sign("any words at all").is_some());
        assert_ne!(sign("any words at all"), sign("any words at al"));
        assert_eq!(sign("whsec_***"), None);
    }
}
