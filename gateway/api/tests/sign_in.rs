//! Whoever signs in is who they say; every other token is refused.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use common::client::request;
use common::{PASSWORD, append, pseudonyms, set_user, with_gateway};
use jsonwebtoken::{EncodingKey, Header, encode};
use rollcall_domain::code::KeyKind;
use rollcall_domain::ids::UserId;
use rollcall_domain::people::User;
use rollcall_store::Append;
use serde_json::json;

fn no_pages(_: &mut actix_web::web::ServiceConfig) {}

#[test]
fn a_right_password_gives_a_token_that_says_who_one_is() {
    with_gateway(no_pages, async |gateway| {
        let answer = gateway.sign_in(" ADA ", PASSWORD).await;
        let body = answer.json();
        assert_eq!(answer.status, 200, "{body}");
        assert_eq!(body["expires_in"], 3600);
        assert_eq!(body["user"]["role"], "teacher");
        assert_eq!(body["user"]["name"], "Ada Lovelace");
        let token = body["access"].as_str().unwrap();
        for path in ["/api/v1/auth/me", "/api/v1/auth/me/", "/api/auth/me"] {
            let me = gateway.get(path, token).await;
            assert_eq!((me.status, me.json()["username"].clone()), (200, json!("ada")), "{path}");
        }
    });
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_answered_alike() {
    with_gateway(no_pages, async |gateway| {
        let wrong = gateway.sign_in("ada", "guess").await;
        let unknown = gateway.sign_in("nobody", "guess").await;
        assert_eq!(wrong.problem(), "bad_credentials");
        assert_eq!((wrong.status, &wrong.body), (401, &unknown.body));
        let metrics = request(gateway.address, "GET /metrics", &[], "").await.body;
        assert!(metrics.contains("rollcall_login_failures_total 2"), "{metrics}");
    });
}

#[test]
fn an_account_without_a_password_and_a_password_without_end_let_nobody_in() {
    with_gateway(no_pages, async |gateway| {
        let username = pseudonyms().key(KeyKind::Username, "new");
        let event = set_user(&gateway.store, 2, |ada| User { id: UserId(9), username, ..ada });
        append(&gateway.store, |then| Append { then, ..Append::new(vec![event], |_| {}) }).await;
        // What the comparison is made with in place of a password that is not there.
        for password in ["", "an account that is not there"] {
            assert_eq!(gateway.sign_in("new", password).await.problem(), "bad_credentials");
        }
        let book = gateway.sign_in("ada", &"x".repeat(1025)).await;
        assert_eq!((book.status, book.problem().as_str()), (422, "validation_failed"));
    });
}

#[test]
fn a_token_of_another_key_another_algorithm_or_another_issuer_is_refused() {
    with_gateway(no_pages, async |gateway| {
        let good = gateway.token("ada").await;
        let claims =
            |issuer: &str| json!({"iss": issuer, "sub": "usr_1", "iat": 0, "exp": 99_999_999_999_i64});
        let signed = |issuer, key: &[u8]| {
            encode(&Header::default(), &claims(issuer), &EncodingKey::from_secret(key)).unwrap()
        };
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let none = format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(&claims("rollcall")));
        let (head, rest) = good.split_once('.').unwrap();
        let other = part(&json!({"alg": "HS512", "typ": "JWT"}));
        assert_ne!(head, other);
        let forged = [
            signed("rollcall", &[8; 32]),
            signed("elsewhere", &common::KEY),
            none,
            format!("{other}.{rest}"),
            "nonsense".to_owned(),
            String::new(),
        ];
        for token in forged {
            let answer = gateway.get("/api/v1/auth/me", &token).await;
            assert_eq!((answer.status, answer.problem().as_str()), (401, "token_invalid"), "{token}");
        }
        assert_eq!(gateway.get("/api/v1/auth/me", &good).await.status, 200);
    });
}

#[test]
fn a_token_ends_with_its_hour_and_with_its_account() {
    with_gateway(no_pages, async |gateway| {
        let token = gateway.token("ada").await;
        gateway.clock.go_on(60);
        assert_eq!(gateway.get("/api/v1/auth/me", &token).await.problem(), "token_expired");
        let token = gateway.token("ada").await;
        let event = set_user(&gateway.store, 2, |ada| User { active: false, ..ada });
        append(&gateway.store, |then| Append { then, ..Append::new(vec![event], |_| {}) }).await;
        let answer = gateway.get("/api/v1/auth/me", &token).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "account_disabled"));
        assert_eq!(gateway.sign_in("ada", PASSWORD).await.problem(), "account_disabled");
        assert_eq!(gateway.sign_in("ada", "guess").await.problem(), "bad_credentials");
    });
}

#[test]
fn a_cookie_changes_something_only_from_our_own_pages() {
    with_gateway(no_pages, async |gateway| {
        let cookie = format!("theme=dark; rollcall_access={}", gateway.token("ada").await);
        let here = format!("http://{}", gateway.address);
        let open = "POST /api/v1/attendance/sessions/ses_1/open";
        let foreign: [&[(&str, &str)]; 4] = [
            &[],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("origin", &here), ("sec-fetch-site", "cross-site")],
        ];
        for head in foreign {
            let head: Vec<_> =
                [("cookie", cookie.as_str())].into_iter().chain(head.iter().copied()).collect();
            let answer = request(gateway.address, open, &head, "").await;
            assert_eq!((answer.status, answer.problem().as_str()), (403, "forbidden"), "{head:?}");
        }
        let head = [("cookie", cookie.as_str()), ("origin", &here)];
        assert_eq!(request(gateway.address, open, &head, "").await.status, 200);
        let me = request(gateway.address, "GET /api/v1/auth/me", &head[..1], "").await;
        assert_eq!(me.status, 200);
    });
}
