//! What goes from the register.
//!
//! Promises: what an event says is gone is gone with it: nobody has to remember to remove it as well. An
//! erased person's details, texts, templates and credentials leave every table in the transaction that
//! writes the event, and so do those of students who turned out to be the same person.
//!
//! Refuses: guessing who is one person. A student and the sign-in that they use are erased by two events.

use rollcall_domain::campus::ItemId;
use rollcall_domain::event::{AccountEvent, CampusEvent, DeviceEvent, Event, SessionEvent};
use rollcall_domain::ids::{DeviceId, StudentId, UserId};
use rollcall_domain::people::Person;

use super::{details, secrets, sign_in, templates, texts};
use crate::append::{Claimant, Held};
use crate::change::Change;
use crate::error::StoreError;
use crate::tables::{DEVICES, MERGED, PEOPLE};

/// Does what an event means for the register.
pub(super) fn follow(change: &Change, event: &Event) -> Result<(), StoreError> {
    match event {
        Event::Session(_, SessionEvent::Scanned(scanned)) => match scanned.was_unmatched {
            Some(seq) => texts::also_about(change, seq, Person::Student(scanned.student)),
            None => Ok(()),
        },
        Event::Campus(event) => follow_campus(change, event),
        Event::Account(event) => follow_account(change, event),
        Event::Device(DeviceEvent::Revoked { device }) => access_of_device(change, device),
        // An erasure comes last: see `forget_erased`.
        _ => Ok(()),
    }
}

fn follow_campus(change: &Change, event: &CampusEvent) -> Result<(), StoreError> {
    match event {
        CampusEvent::TemplateStored { student, present: false }
        | CampusEvent::Removed(ItemId::Student(student)) => templates::forget(change, *student),
        CampusEvent::Merged { from, into } => {
            change.open_table(MERGED)?.insert((into.0, from.0), ())?;
            Ok(())
        }
        CampusEvent::Removed(ItemId::User(user)) => access_of_user(change, *user),
        CampusEvent::Removed(ItemId::Device(device)) => {
            change.open_table(DEVICES)?.remove(device.as_str().to_owned())?;
            access_of_device(change, device)
        }
        _ => Ok(()),
    }
}

fn follow_account(change: &Change, event: &AccountEvent) -> Result<(), StoreError> {
    match event {
        AccountEvent::SecondFactorOff { user } => {
            credential(change, &Held::SecondFactor(*user))?;
            credential(change, &Held::BackupCodes(*user))
        }
        AccountEvent::ApiTokenRevoked { user, token } => credential(change, &Held::ApiToken(*user, *token)),
        _ => Ok(()),
    }
}

/// Removes one credential.
pub(super) fn credential(change: &Change, held: &Held) -> Result<(), StoreError> {
    match held {
        Held::Password(user) => sign_in::remove_password(change, *user),
        Held::SecondFactor(user) => sign_in::remove_second_factor(change, *user),
        Held::Template { student, method, number } => templates::remove(change, *student, *method, *number),
        Held::Templates(student) => templates::forget(change, *student),
        hashed => secrets::remove_held(change, hashed),
    }
}

/// Removes all that the register holds of somebody.
pub(crate) fn person(change: &Change, person: Person) -> Result<(), StoreError> {
    for person in with_those_merged(change, person)? {
        change.open_table(PEOPLE)?.remove(details::key(person))?;
        texts::forget(change, person)?;
        match person {
            Person::Student(student) => templates::forget(change, student)?,
            Person::User(user) => access_of_user(change, user)?,
            Person::Teacher(_) => {}
        }
    }
    Ok(())
}

/// The person and everybody who turned out to be them, also by way of others; the table forgets it.
fn with_those_merged(change: &Change, person: Person) -> Result<Vec<Person>, StoreError> {
    let Person::Student(student) = person else { return Ok(vec![person]) };
    let (mut found, mut next) = (vec![person], vec![student]);
    let mut merged = change.open_table(MERGED)?;
    while let Some(StudentId(into)) = next.pop() {
        for row in merged.extract_from_if((into, 0)..=(into, u64::MAX), |_, ()| true)? {
            let (_, from) = row?.0.value();
            found.push(Person::Student(StudentId(from)));
            next.push(StudentId(from));
        }
    }
    Ok(found)
}

fn access_of_user(change: &Change, user: UserId) -> Result<(), StoreError> {
    let all = [
        Held::Password(user),
        Held::SecondFactor(user),
        Held::BackupCodes(user),
        Held::ApiTokens(user),
        Held::ClaimCode(Claimant::User(user)),
    ];
    all.iter().try_for_each(|held| credential(change, held))
}

fn access_of_device(change: &Change, device: &DeviceId) -> Result<(), StoreError> {
    let all = [Held::DeviceSecret(device.clone()), Held::ClaimCode(Claimant::Device(device.clone()))];
    all.iter().try_for_each(|held| credential(change, held))
}
