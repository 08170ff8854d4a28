//! Access tokens.
//!
//! Promises: a token is taken only if it was signed with our key by our one algorithm, names this
//! gateway as its issuer, and has not expired by the gateway's clock.
//!
//! Refuses: saying what a user may do. That is looked up at each request, so that a disabled account
//! ends at once and not with its token.

use std::collections::HashSet;

use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use rollcall_domain::ids::UserId;
use rollcall_domain::moment::Moment;
use serde::{Deserialize, Serialize};

use super::hs256;
use crate::error::ApiError;
use crate::problem::Problem;

const ISSUER: &str = "rollcall";

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// Seconds since 1970, as the standard has it.
    iat: i64,
    exp: i64,
}

/// What a token that was taken says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) user: UserId,
    pub(crate) expires: Moment,
}

/// Issues and reads tokens.
pub(crate) struct Tokens {
    sign: EncodingKey,
    check: DecodingKey,
    validation: Validation,
    life: SignedDuration,
}

impl Tokens {
    pub(crate) fn new(key: &[u8; 32], life: SignedDuration) -> Result<Self, ApiError> {
        hs256::install();
        let mut validation = Validation::new(Algorithm::HS256);
        // The library would read the machine's clock; expiry is judged below, by the gateway's.
        validation.validate_exp = false;
        validation.set_issuer(&[ISSUER]);
        validation.required_spec_claims = HashSet::from(["iss", "sub", "exp"].map(str::to_owned));
        let (sign, check) = (EncodingKey::from_secret(key), DecodingKey::from_secret(key));
        let tokens = Tokens { sign, check, validation, life };
        tokens.issue(UserId(0), Moment::default())?;
        Ok(tokens)
    }

    pub(crate) fn life(&self) -> SignedDuration {
        self.life
    }

    pub(crate) fn issue(&self, user: UserId, now: Moment) -> Result<String, ApiError> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user.to_string(),
            iat: seconds(now),
            exp: seconds(now.plus(self.life)),
        };
        Ok(encode(&Header::new(Algorithm::HS256), &claims, &self.sign)?)
    }

    pub(crate) fn read(&self, token: &str, now: Moment) -> Result<Grant, Problem> {
        let invalid = || Problem::new("token_invalid", "this token is not from here; sign in again");
        let claims = match decode::<Claims>(token, &self.check, &self.validation) {
            Ok(data) => data.claims,
            Err(_why) => return Err(invalid()),
        };
        let expires = Moment::from_millis(claims.exp.saturating_mul(1000));
        if expires <= now {
            return Err(Problem::new("token_expired", "the sign-in has expired; sign in again"));
        }
        let Ok(user) = claims.sub.parse() else { return Err(invalid()) };
        Ok(Grant { user, expires })
    }
}

fn seconds(moment: Moment) -> i64 {
    moment.millis().div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use rollcall_domain::moment::minutes;

    use super::*;

    fn tokens(key: u8) -> Tokens {
        Tokens::new(&[key; 32], minutes(60)).unwrap()
    }

    #[test]
    fn a_token_lasts_its_life_and_not_a_second_longer() {
        let (tokens, now) = (tokens(1), Moment::from_millis(1_800_000_000_000));
        let token = tokens.issue(UserId(7), now).unwrap();
        assert_eq!(tokens.read(&token, now).unwrap().user, UserId(7));
        let last = now.plus(minutes(60)).minus(SignedDuration::from_millis(1));
        assert!(tokens.read(&token, last).is_ok());
        assert_eq!(tokens.read(&token, now.plus(minutes(60))).unwrap_err().code(), "token_expired");
    }

    #[test]
    fn a_token_of_another_key_is_not_taken() {
        let now = Moment::from_millis(1_800_000_000_000);
        let token = tokens(1).issue(UserId(7), now).unwrap();
        assert_eq!(tokens(2).read(&token, now).unwrap_err().code(), "token_invalid");
    }
}
