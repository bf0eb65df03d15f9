//! The bearer token. Compared in constant time; only its digest is kept.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::secret::Secret;

/// What a caller without the right one is told to send.
pub const HINT: &str = "send the header `Authorization: Bearer TOKEN`; the token is the one `[api]` names";

/// What `/metrics` asks for; clones share it, so that a new token is in force at once.
#[derive(Clone, Debug)]
pub struct Door(Option<Arc<RwLock<Token>>>);

impl Door {
    /// Without a token it is open, for good.
    pub fn new(secret: Option<&Secret>) -> Door {
        Door(secret.map(|secret| Arc::new(RwLock::new(Token::new(secret)))))
    }

    pub fn opens_to(&self, headers: &HeaderMap) -> bool {
        self.0.as_ref().is_none_or(|token| token.read().unwrap_or_else(PoisonError::into_inner).is_in(headers))
    }

    /// From now on only `secret` opens. A door without a lock gets none.
    pub fn change(&self, secret: &Secret) {
        if let Some(token) = &self.0 {
            *token.write().unwrap_or_else(PoisonError::into_inner) = Token::new(secret);
        }
    }
}

struct Token([u8; 32]);

impl Token {
    fn new(secret: &Secret) -> Token {
        Token(Sha256::digest(secret.expose()).into())
    }

    /// Whether `headers` carry it. Digests are compared, so not even its length can be timed.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return false };
        let Some((scheme, credentials)) = value.as_bytes().split_at_checked("Bearer ".len()) else { return false };
        let same: bool = Sha256::digest(credentials.trim_ascii()).as_slice().ct_eq(&self.0).into();
        scheme.eq_ignore_ascii_case(b"Bearer ") && same
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(token)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token::new(&Secret::new("s3cret-canary".into()));
        for (headers, opens) in [
            (vec!["Bearer s3cret-canary"], true),
            (vec!["bearer   s3cret-canary "], true),
            (vec![], false),
            (vec!["Bearer"], false),
            (vec!["Bearer "], false),
            (vec!["Bearer s3cret-canar"], false),
            (vec!["Bearer s3cret-canary2"], false),
            (vec!["Bearer S3cret-canary"], false),
            (vec!["Basic s3cret-canary"], false),
            (vec!["s3cret-canary"], false),
            (vec!["Bearer s3cret-canary", "Bearer s3cret-canary"], false),
            (vec!["Bearer x", "Bearer s3cret-canary"], false),
        ] {
            let mut map = HeaderMap::new();
            for value in &headers {
                map.append(AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(token.is_in(&map), opens, "{headers:?}");
        }
        assert!(!format!("{token:?}").contains("canary"));
    }

    #[test]
    fn a_new_token_opens_at_once_and_the_old_one_no_more() {
        let headers = |token: &str| {
            HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {token}").parse::<http::HeaderValue>().unwrap())])
        };
        let door = Door::new(Some(&Secret::new("old".into())));
        let shared = door.clone();
        assert!(shared.opens_to(&headers("old")) && !shared.opens_to(&headers("new")));
        door.change(&Secret::new("new".into()));
        assert!(shared.opens_to(&headers("new")) && !shared.opens_to(&headers("old")));
        let open = Door::new(None);
        open.change(&Secret::new("new".into()));
        assert!(open.opens_to(&HeaderMap::new()));
    }
}
