//! QR tokens and typed codes: who made them counts, and when.

#![allow(clippy::unwrap_used, reason = "a property that breaks should fail loudly")]

use proptest::prelude::*;
use rollcall_domain::ids::SessionId;
use rollcall_domain::moment::Moment;
use rollcall_domain::qr::{QrKey, check, window};
use rollcall_domain::session::QrPeriod;

const SESSION: SessionId = SessionId(42);

fn at(seconds: i64) -> Moment {
    Moment::from_millis(1_772_000_000_000 + seconds * 1000)
}

fn period() -> QrPeriod {
    QrPeriod { from: at(0), until: at(600), rotate_seconds: 7 }
}

fn key() -> QrKey {
    QrKey::new([1; 32])
}

fn accepted(made: i64, shown: i64) -> Result<(), &'static str> {
    let text = key().token(SESSION, &period(), at(made), [3; 12]);
    let token = key().open(&text).map_err(|refusal| refusal.code())?;
    assert_eq!(token.session, SESSION);
    check(&token, Some(&period()), at(shown)).map_err(|refusal| refusal.code())
}

#[test]
fn the_current_and_the_previous_window_are_accepted_and_no_other() {
    assert_eq!(accepted(0, 0), Ok(()));
    assert_eq!(accepted(0, 6), Ok(()));
    assert_eq!(accepted(0, 13), Ok(()));
    assert_eq!(accepted(0, 14), Err("qr_expired"));
    // From a window still to come: the clock was set back, or somebody else's clock made it.
    assert_eq!(accepted(14, 0), Err("qr_expired"));
}

#[test]
fn nothing_is_accepted_once_the_period_is_over() {
    assert_eq!(accepted(599, 599), Ok(()));
    assert_eq!(accepted(599, 600), Err("qr_expired"));
}

#[test]
fn a_token_of_an_older_period_has_expired() {
    let old = key().token(SESSION, &period(), at(0), [3; 12]);
    let again = QrPeriod { from: at(1), ..period() };
    let token = key().open(&old).unwrap();
    assert_eq!(check(&token, Some(&again), at(2)).unwrap_err().code(), "qr_expired");
    assert_eq!(check(&token, None, at(2)).unwrap_err().code(), "qr_expired");
}

#[test]
fn without_rotation_one_token_lasts_the_whole_period() {
    let fixed = QrPeriod { rotate_seconds: 0, ..period() };
    let text = key().token(SESSION, &fixed, at(0), [3; 12]);
    let token = key().open(&text).unwrap();
    assert_eq!(check(&token, Some(&fixed), at(599)), Ok(()));
    assert_eq!(window(&fixed, at(599)), (0, at(600)));
}

#[test]
fn a_token_of_another_box_is_unknown() {
    let text = QrKey::new([2; 32]).token(SESSION, &period(), at(0), [3; 12]);
    assert_eq!(key().open(&text).unwrap_err().code(), "qr_unknown");
}

#[test]
fn a_challenge_is_not_a_token_and_lasts_three_minutes() {
    let text = key().challenge(SESSION, at(0), [4; 12]);
    assert_eq!(key().open(&text).unwrap_err().code(), "qr_unknown");
    assert_eq!(key().check_challenge(&text, at(180)), Ok((SESSION, at(0))));
    assert_eq!(key().check_challenge(&text, at(181)).unwrap_err().code(), "qr_expired");
    let token = key().token(SESSION, &period(), at(0), [4; 12]);
    assert_eq!(key().check_challenge(&token, at(0)).unwrap_err().code(), "qr_unknown");
}

#[test]
fn a_typed_code_is_forgiving_of_spelling_and_not_of_time() {
    let code = key().typed(SESSION, &period(), at(0));
    assert_eq!(code.len(), 8);
    let (front, back) = code.split_at(4);
    let spelt = format!("{front}-{back}").to_lowercase();
    assert_eq!(key().check_typed(&spelt, SESSION, &period(), at(13)), Ok(()));
    assert!(key().check_typed(&code, SESSION, &period(), at(14)).is_err());
    assert!(key().check_typed(&code, SessionId(43), &period(), at(0)).is_err());
    assert!(key().check_typed("", SESSION, &period(), at(0)).is_err());
}

#[test]
fn the_key_does_not_print_itself() {
    assert_eq!(format!("{:?}", key()), "QrKey(secret)");
}

proptest! {
    #[test]
    fn no_other_text_opens(text in ".{0,120}") {
        prop_assert!(key().open(&text).is_err());
        prop_assert!(key().check_challenge(&text, at(0)).is_err());
    }

    #[test]
    fn a_token_with_one_byte_changed_is_unknown(place in 0..100_usize, letter in "[A-Za-z0-9_-]") {
        let text = key().token(SESSION, &period(), at(0), [3; 12]);
        let mut letters: Vec<char> = text.chars().collect();
        let place = place % letters.len();
        let letter = letter.chars().next().unwrap();
        prop_assume!(letters[place] != letter);
        letters[place] = letter;
        let changed: String = letters.into_iter().collect();
        prop_assert!(key().open(&changed).is_err());
    }

    #[test]
    fn a_fresh_token_is_always_accepted_and_its_window_ends_later(second in 0..600_i64, rotate in 0..120_u32) {
        let period = QrPeriod { rotate_seconds: rotate, ..period() };
        let text = key().token(SESSION, &period, at(second), [5; 12]);
        let token = key().open(&text).unwrap();
        prop_assert_eq!(check(&token, Some(&period), at(second)), Ok(()));
        prop_assert!(window(&period, at(second)).1 > at(second));
    }
}
