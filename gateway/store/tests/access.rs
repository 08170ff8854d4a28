//! Who shows a secret is let in by it for as long as it is theirs, and no longer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::channel;

use common::{gate, news, open, register, setting};
use proptest::prelude::*;
use rollcall_domain::campus::ItemId;
use rollcall_domain::event::{AccountEvent, CampusEvent, DeviceEvent, Event};
use rollcall_domain::ids::{ApiTokenId, DeviceId, Seq, UserId};
use rollcall_store::{Append, Appended, Claimant, Credential, Held, Store};
use tempfile::tempdir;

const ONE: UserId = UserId(1);
const TWO: UserId = UserId(2);

fn write(store: &Store, credentials: Vec<Credential>) -> Appended {
    register(store, setting("5"), vec![], credentials)
}

fn gone(store: &Store, held: Held) {
    assert!(matches!(write(store, vec![Credential::Gone(held)]), Appended::Committed(_)));
}

fn device_secret(store: &Store, device: &DeviceId, secret: &[u8]) -> Credential {
    Credential::DeviceSecret { device: device.clone(), hash: store.secrets().device(secret) }
}

fn token(store: &Store, user: UserId, number: u64, token: &[u8]) -> Credential {
    Credential::ApiToken { user, token: ApiTokenId(number), hash: store.secrets().api_token(token) }
}

fn backup_codes(store: &Store, user: UserId, codes: &[&str]) -> Credential {
    let hashes = codes.iter().map(|code| store.secrets().backup_code(user, code)).collect();
    Credential::BackupCodes { user, hashes }
}

fn claim_code(store: &Store, of: &Claimant, code: &str) -> Credential {
    Credential::ClaimCode { of: of.clone(), hash: store.secrets().claim_code(code) }
}

#[test]
fn nobody_is_let_in_before_anything_is_written() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let register = store.register();
    assert!(!register.is_device_secret(&gate(), b"s").unwrap());
    assert_eq!(register.device_of_secret(b"s").unwrap(), None);
    assert_eq!(register.user_of_token(b"s").unwrap(), None);
    assert_eq!(register.backup_code(ONE, "s").unwrap(), None);
    assert_eq!(register.claim_code("s").unwrap(), None);
}

#[test]
fn a_device_is_known_by_its_secret_until_it_gets_another_also_after_opening_again() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let hall = DeviceId::parse("hall").unwrap();
    write(&store, vec![device_secret(&store, &gate(), b"first"), device_secret(&store, &hall, b"other")]);
    write(&store, vec![device_secret(&store, &gate(), b"second")]);
    drop(store);
    let store = open(folder.path());
    let register = store.register();
    assert!(register.is_device_secret(&gate(), b"second").unwrap());
    assert!(!register.is_device_secret(&gate(), b"first").unwrap());
    assert!(!register.is_device_secret(&gate(), b"other").unwrap());
    assert_eq!(register.device_of_secret(b"second").unwrap(), Some(gate()));
    assert_eq!(register.device_of_secret(b"other").unwrap(), Some(hall));
    assert_eq!(register.device_of_secret(b"first").unwrap(), None);
    gone(&store, Held::DeviceSecret(gate()));
    assert!(!register.is_device_secret(&gate(), b"second").unwrap());
    assert_eq!(register.device_of_secret(b"second").unwrap(), None);
}

#[test]
fn a_token_names_its_user_and_itself_until_it_is_revoked() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    write(
        &store,
        vec![token(&store, ONE, 7, b"a"), token(&store, ONE, 8, b"b"), token(&store, TWO, 9, b"c")],
    );
    let register = store.register();
    assert_eq!(register.user_of_token(b"b").unwrap(), Some((ONE, ApiTokenId(8))));
    assert_eq!(register.user_of_token(b"c").unwrap(), Some((TWO, ApiTokenId(9))));
    assert_eq!(register.api_tokens(ONE).unwrap(), [ApiTokenId(7), ApiTokenId(8)]);
    // A device's secret with the same bytes is something else.
    assert_eq!(register.device_of_secret(b"b").unwrap(), None);
    let revoked = Event::Account(AccountEvent::ApiTokenRevoked { user: ONE, token: ApiTokenId(8) });
    common::register(&store, revoked, vec![], vec![]);
    assert_eq!(register.user_of_token(b"b").unwrap(), None);
    assert_eq!(register.user_of_token(b"a").unwrap(), Some((ONE, ApiTokenId(7))));
    gone(&store, Held::ApiTokens(ONE));
    assert_eq!(register.api_tokens(ONE).unwrap(), []);
    assert_eq!(register.user_of_token(b"c").unwrap(), Some((TWO, ApiTokenId(9))));
}

#[test]
fn a_backup_code_counts_once_also_if_it_is_sent_twice_at_once() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    write(&store, vec![backup_codes(&store, ONE, &["AAAA-BBBB", "CCCC-DDDD"])]);
    write(&store, vec![backup_codes(&store, TWO, &["AAAA-BBBB"])]);
    let register = store.register();
    assert_eq!(register.backup_codes(ONE).unwrap(), 2);
    let hash = register.backup_code(ONE, "aaaabbbb").unwrap().unwrap();
    let answers: Vec<_> = (0..2)
        .map(|_| {
            let (sender, receiver) = channel();
            let used = Event::Account(AccountEvent::BackupCodeUsed { user: ONE });
            let append = Append::new(news(vec![used]), move |appended| sender.send(appended).unwrap());
            let credentials = vec![Credential::BackupCodeUsed { user: ONE, hash }];
            assert!(store.append(Append { credentials, ..append }).is_ok());
            receiver
        })
        .collect();
    let answers: Vec<_> = answers.iter().map(|answer| answer.recv().unwrap()).collect();
    assert!(matches!(answers.as_slice(), [Appended::Committed(_), Appended::Stale]));
    // What was stale left nothing behind.
    assert_eq!(store.entries(Seq(3), 10).unwrap().len(), 1);
    assert_eq!(register.backup_code(ONE, "AAAA-BBBB").unwrap(), None);
    assert_eq!(register.backup_codes(ONE).unwrap(), 1);
    assert!(register.backup_code(TWO, "AAAA-BBBB").unwrap().is_some());
    write(&store, vec![backup_codes(&store, ONE, &["EEEE-FFFF"])]);
    assert_eq!(register.backup_code(ONE, "CCCC-DDDD").unwrap(), None);
    assert_eq!(register.backup_codes(ONE).unwrap(), 1);
}

#[test]
fn nobody_uses_up_the_code_of_another() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    write(&store, vec![backup_codes(&store, ONE, &["AAAA-BBBB"])]);
    let hash = store.secrets().backup_code(ONE, "AAAA-BBBB");
    let used = write(&store, vec![Credential::BackupCodeUsed { user: TWO, hash }]);
    assert!(matches!(used, Appended::Stale));
    assert_eq!(store.register().backup_codes(ONE).unwrap(), 1);
}

#[test]
fn a_claim_code_leads_to_whom_it_is_for_once() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    let (user, device) = (Claimant::User(ONE), Claimant::Device(gate()));
    write(&store, vec![claim_code(&store, &user, "OLD"), claim_code(&store, &device, "GATE")]);
    write(&store, vec![claim_code(&store, &user, "NEW1-NEW2")]);
    let register = store.register();
    assert_eq!(register.claim_code("OLD").unwrap(), None);
    let (of, hash) = register.claim_code("new1 new2").unwrap().unwrap();
    assert_eq!(of, user);
    let used = || write(&store, vec![Credential::ClaimCodeUsed { of: of.clone(), hash }]);
    assert!(matches!(used(), Appended::Committed(_)));
    assert!(matches!(used(), Appended::Stale));
    assert_eq!(register.claim_code("NEW1-NEW2").unwrap(), None);
    assert_eq!(register.claim_code("GATE").unwrap().unwrap().0, device);
    gone(&store, Held::ClaimCode(device));
    assert_eq!(register.claim_code("GATE").unwrap(), None);
}

fn everything_of_one(store: &Store) {
    let credentials = vec![
        Credential::Password { user: ONE, hash: "of a password".to_owned() },
        Credential::SecondFactor { user: ONE, secret: vec![7; 20] },
        backup_codes(store, ONE, &["AAAA-BBBB"]),
        token(store, ONE, 7, b"a"),
        claim_code(store, &Claimant::User(ONE), "CLAIM"),
    ];
    write(store, credentials);
}

#[test]
fn a_second_factor_that_is_off_takes_its_secret_and_its_codes_along_and_nothing_else() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    everything_of_one(&store);
    register(&store, Event::Account(AccountEvent::SecondFactorOff { user: ONE }), vec![], vec![]);
    let register = store.register();
    assert_eq!(register.second_factor(ONE).unwrap(), None);
    assert_eq!(register.backup_codes(ONE).unwrap(), 0);
    assert!(register.password(ONE).unwrap().is_some());
    assert!(register.user_of_token(b"a").unwrap().is_some());
}

#[test]
fn a_sign_in_or_a_device_that_was_removed_lets_nobody_in() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    everything_of_one(&store);
    write(&store, vec![device_secret(&store, &gate(), b"s")]);
    let removed = |item| Event::Campus(CampusEvent::Removed(item));
    common::register(&store, removed(ItemId::User(ONE)), vec![], vec![]);
    common::register(&store, removed(ItemId::Device(gate())), vec![], vec![]);
    let register = store.register();
    assert_eq!(register.password(ONE).unwrap(), None);
    assert_eq!(register.second_factor(ONE).unwrap(), None);
    assert_eq!(register.backup_code(ONE, "AAAA-BBBB").unwrap(), None);
    assert_eq!(register.user_of_token(b"a").unwrap(), None);
    assert_eq!(register.claim_code("CLAIM").unwrap(), None);
    assert!(!register.is_device_secret(&gate(), b"s").unwrap());
}

#[test]
fn a_device_that_was_revoked_needs_a_new_secret() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    write(&store, vec![device_secret(&store, &gate(), b"s")]);
    register(&store, Event::Device(DeviceEvent::Revoked { device: gate() }), vec![], vec![]);
    assert_eq!(store.register().device_of_secret(b"s").unwrap(), None);
    // Revoked and given a new one at once: the new one stays.
    let new = vec![device_secret(&store, &gate(), b"t")];
    register(&store, Event::Device(DeviceEvent::Revoked { device: gate() }), vec![], new);
    assert_eq!(store.register().device_of_secret(b"t").unwrap(), Some(gate()));
}

#[test]
fn a_password_and_a_second_factor_can_be_taken_away() {
    let folder = tempdir().unwrap();
    let store = open(folder.path());
    everything_of_one(&store);
    gone(&store, Held::Password(ONE));
    assert_eq!(store.register().password(ONE).unwrap(), None);
    assert_eq!(store.register().second_factor(ONE).unwrap(), Some(vec![7; 20]));
    gone(&store, Held::SecondFactor(ONE));
    assert_eq!(store.register().second_factor(ONE).unwrap(), None);
}

/// What is done with secrets; of each there are only so many that they get in each other's way.
#[derive(Debug, Clone)]
enum Step {
    Token { user: u64, number: u64, secret: u8 },
    NoToken { user: u64, number: u64 },
    Codes { user: u64, codes: BTreeSet<u8> },
    Use { user: u64, code: u8 },
    Removed { user: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let user = 1..3_u64;
    prop_oneof![
        (user.clone(), 0..3_u64, 0..4_u8).prop_map(|(user, number, secret)| Step::Token {
            user,
            number,
            secret
        }),
        (user.clone(), 0..3_u64).prop_map(|(user, number)| Step::NoToken { user, number }),
        (user.clone(), prop::collection::btree_set(0..4_u8, 0..3))
            .prop_map(|(user, codes)| Step::Codes { user, codes }),
        (user.clone(), 0..4_u8).prop_map(|(user, code)| Step::Use { user, code }),
        user.prop_map(|user| Step::Removed { user }),
    ]
}

/// What everybody has, as plainly as it can be said.
#[derive(Default)]
struct Model {
    tokens: BTreeMap<(u64, u64), u8>,
    codes: BTreeSet<(u64, u8)>,
}

impl Model {
    fn step(&mut self, store: &Store, step: Step) {
        let event = setting("5");
        let credential = match step {
            Step::Token { user, number, secret } => {
                self.tokens.retain(|of, had| *of != (user, number) && *had != secret);
                self.tokens.insert((user, number), secret);
                token(store, UserId(user), number, &[secret])
            }
            Step::NoToken { user, number } => {
                self.tokens.remove(&(user, number));
                Credential::Gone(Held::ApiToken(UserId(user), ApiTokenId(number)))
            }
            Step::Codes { user, codes } => {
                self.codes.retain(|(of, _)| *of != user);
                self.codes.extend(codes.iter().map(|code| (user, *code)));
                let hashes =
                    codes.iter().map(|code| store.secrets().backup_code(UserId(user), &code.to_string()));
                Credential::BackupCodes { user: UserId(user), hashes: hashes.collect() }
            }
            Step::Use { user, code } => {
                let hash = store.secrets().backup_code(UserId(user), &code.to_string());
                let used = register(
                    store,
                    event,
                    vec![],
                    vec![Credential::BackupCodeUsed { user: UserId(user), hash }],
                );
                assert_eq!(matches!(used, Appended::Committed(_)), self.codes.remove(&(user, code)));
                return;
            }
            Step::Removed { user } => {
                self.tokens.retain(|(of, _), _| *of != user);
                self.codes.retain(|(of, _)| *of != user);
                let removed = Event::Campus(CampusEvent::Removed(ItemId::User(UserId(user))));
                register(store, removed, vec![], vec![]);
                return;
            }
        };
        register(store, event, vec![], vec![credential]);
    }

    fn agrees(&self, store: &Store) {
        let register = store.register();
        for secret in 0..4_u8 {
            let of = self.tokens.iter().find(|(_, had)| **had == secret).map(|(of, _)| *of);
            let of = of.map(|(user, number)| (UserId(user), ApiTokenId(number)));
            assert_eq!(register.user_of_token(&[secret]).unwrap(), of);
        }
        for user in 1..3_u64 {
            let tokens: Vec<_> =
                self.tokens.keys().filter(|(of, _)| *of == user).map(|(_, n)| ApiTokenId(*n)).collect();
            assert_eq!(register.api_tokens(UserId(user)).unwrap(), tokens);
            let codes: Vec<_> = (0..4_u8)
                .filter(|code| register.backup_code(UserId(user), &code.to_string()).unwrap().is_some())
                .map(|code| (user, code))
                .collect();
            assert_eq!(register.backup_codes(UserId(user)).unwrap(), codes.len());
            assert_eq!(codes, self.codes.iter().filter(|(of, _)| *of == user).copied().collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_secret_is_found_exactly_while_it_is_somebodys(steps in prop::collection::vec(any_step(), 1..30)) {
        let folder = tempdir().unwrap();
        let store = open(folder.path());
        let mut model = Model::default();
        for step in steps {
            model.step(&store, step);
            model.agrees(&store);
        }
    }
}
