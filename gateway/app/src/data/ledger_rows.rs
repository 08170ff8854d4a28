//! One entry of the ledger as a row: the one place that knows this format.
//!
//! Promises: the same fields in both styles, in the same order, with ids as everywhere else (`stu_7`); a kind
//! once written stays as it is, whatever the code comes to call it; a scan carries the device's own id for it.
//!
//! Refuses: keeping `event` stable. It is the whole event as this version has it, for people who look into
//! something; programs go by the fields before it.

use rollcall_domain::event::{
    AccountEvent, Actor, CampusEvent, DeviceEvent, Entry, Event, RequestEvent, RetentionEvent, SessionEvent,
    UpstreamEvent,
};
use rollcall_domain::ids::{ClassId, StudentId};
use rollcall_domain::moment::Moment;
use rollcall_domain::scan::{Outcome, Scan};
use serde::Serialize;

use crate::control::Trouble;

/// The names of the fields, in order.
pub(super) const HEAD: &str = "seq,at,by,kind,session,class,student,device,scan_id,captured_at,outcome,event";

/// An entry as it is written.
#[derive(Serialize)]
pub(super) struct Row<'a> {
    seq: u64,
    at: Moment,
    by: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    student: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scan_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    captured_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    event: &'a Event,
}

impl<'a> Row<'a> {
    /// `class` is the session's.
    pub(super) fn of(entry: &'a Entry, class: Option<ClassId>) -> Self {
        let scan = scan(&entry.event);
        let session = match &entry.event {
            Event::Unmatched(kept) => kept.session,
            event => event.session(),
        };
        Row {
            seq: entry.seq.0,
            at: entry.at,
            by: by(&entry.by),
            kind: kind(&entry.event),
            session: session.map(|id| id.to_string()),
            class: class.map(|id| id.to_string()),
            student: student(&entry.event).map(|id| id.to_string()),
            device: scan.map(|scan| scan.device.as_str()),
            scan_id: scan.and_then(|scan| scan.scan_id.as_deref()),
            captured_at: scan.map(|scan| scan.captured_at),
            outcome: outcome(&entry.event),
            event: &entry.event,
        }
    }

    pub(super) fn json(&self, out: &mut String) -> Result<(), Trouble> {
        out.push_str(&serde_json::to_string(self).map_err(|error| self.odd(&error))?);
        out.push('\n');
        Ok(())
    }

    pub(super) fn csv(&self, out: &mut String) -> Result<(), Trouble> {
        let event = serde_json::to_string(self.event).map_err(|error| self.odd(&error))?;
        let (seq, at) = (self.seq.to_string(), self.at.to_string());
        let captured_at = self.captured_at.map(|at| at.to_string());
        let fields = [
            Some(seq.as_str()),
            Some(&at),
            Some(&self.by),
            Some(self.kind),
            self.session.as_deref(),
            self.class.as_deref(),
            self.student.as_deref(),
            self.device,
            self.scan_id,
            captured_at.as_deref(),
            self.outcome,
            Some(&event),
        ];
        for (number, field) in fields.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            quote(field.unwrap_or_default(), out);
        }
        out.push('\n');
        Ok(())
    }

    fn odd(&self, error: &serde_json::Error) -> Trouble {
        Trouble::found(format!("entry {} cannot be written as text ({error}); please report this", self.seq))
    }
}

/// What a terminal takes for the beginning of a command, in 7 bits and in 8. No text needs it.
const ESCAPES: [char; 2] = ['\x1b', '\u{9b}'];

/// A field as RFC 4180 has it.
fn quote(field: &str, out: &mut String) {
    if field.contains(|c: char| c == ',' || c == '"' || c.is_control()) {
        out.push('"');
        out.push_str(&field.replace(ESCAPES, "").replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(field);
    }
}

fn by(actor: &Actor) -> String {
    match actor {
        Actor::Gateway => "gateway".to_owned(),
        Actor::User(id) => id.to_string(),
        Actor::Device(device) => format!("device:{device}"),
        Actor::Cli => "admin:cli".to_owned(),
        Actor::Visitor => "visitor".to_owned(),
    }
}

fn scan(event: &Event) -> Option<&Scan> {
    match event {
        Event::Session(_, SessionEvent::Scanned(scanned)) => Some(&scanned.scan),
        Event::Unmatched(kept) => Some(&kept.scan),
        _ => None,
    }
}

fn outcome(event: &Event) -> Option<&'static str> {
    match event {
        Event::Session(_, SessionEvent::Scanned(scanned)) => Some(match scanned.outcome {
            Outcome::Present => "present",
            Outcome::Late { .. } => "late",
            Outcome::Duplicate { .. } => "duplicate",
            Outcome::Out => "out",
            Outcome::LeftEarly => "left_early",
            Outcome::Unmatched(why) => why.code(),
        }),
        Event::Unmatched(kept) => Some(kept.reason.code()),
        _ => None,
    }
}

fn student(event: &Event) -> Option<StudentId> {
    match event {
        Event::Unmatched(kept) => kept.student,
        Event::Session(_, event) => match event {
            SessionEvent::Scanned(scanned) => Some(scanned.student),
            SessionEvent::Marked(mark) => Some(mark.student),
            SessionEvent::MarkedByQr { student, .. }
            | SessionEvent::MarkedSelf { student, .. }
            | SessionEvent::LeaveTaken { student, .. }
            | SessionEvent::ConflictSettled { student }
            | SessionEvent::RecordDeleted { student }
            | SessionEvent::Noted { student }
            | SessionEvent::StudentMerged { from: student, .. } => Some(*student),
            _ => None,
        },
        Event::Campus(
            CampusEvent::Merged { from: student, .. }
            | CampusEvent::PersonMapped { student, .. }
            | CampusEvent::ConsentGiven { student, .. }
            | CampusEvent::TemplateStored { student, .. },
        ) => Some(*student),
        Event::Request(RequestEvent::LeaveAsked(leave)) => Some(leave.student),
        Event::Request(RequestEvent::CorrectionAsked(correction)) => Some(correction.record.student),
        Event::Request(RequestEvent::SelfMarkAsked(mark)) => Some(mark.record.student),
        _ => None,
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Campus(event) => campus(event),
        Event::Session(_, event) => session(event),
        Event::Unmatched(_) => "scan.unmatched",
        Event::UnmatchedSettled { .. } => "scan.settled",
        Event::Request(event) => request(event),
        Event::Account(event) => account(event),
        Event::Device(event) => match event {
            DeviceEvent::SecretIssued { .. } => "device.secret_issued",
            DeviceEvent::Revoked { .. } => "device.revoked",
            DeviceEvent::Replaced { .. } => "device.replaced",
        },
        Event::SettingChanged { .. } => "setting.changed",
        Event::Upstream(event) => match event {
            UpstreamEvent::Delivered { .. } => "upstream.delivered",
            UpstreamEvent::DeadLettered { .. } => "upstream.dead_lettered",
            UpstreamEvent::RetryAsked { .. } => "upstream.retry_asked",
        },
        Event::Erased(_) => "person.erased",
        Event::ClockConfirmed => "clock.confirmed",
        Event::Retention(event) => match event {
            RetentionEvent::Records { .. } => "retention.records",
            RetentionEvent::Entries { .. } => "retention.entries",
        },
    }
}

fn campus(event: &CampusEvent) -> &'static str {
    match event {
        CampusEvent::Put(_) => "campus.put",
        CampusEvent::Removed(_) => "campus.removed",
        CampusEvent::Joined { .. } => "campus.joined",
        CampusEvent::Left { .. } => "campus.left",
        CampusEvent::Merged { .. } => "campus.merged",
        CampusEvent::PersonMapped { .. } => "campus.person_mapped",
        CampusEvent::PersonUnmapped { .. } => "campus.person_unmapped",
        CampusEvent::ConsentGiven { .. } => "campus.consent_given",
        CampusEvent::TemplateStored { .. } => "campus.template_stored",
    }
}

fn session(event: &SessionEvent) -> &'static str {
    match event {
        SessionEvent::Created { .. } => "session.created",
        SessionEvent::Changed { .. } => "session.changed",
        SessionEvent::Opened { .. } => "session.opened",
        SessionEvent::Closed { .. } => "session.closed",
        SessionEvent::Reopened => "session.reopened",
        SessionEvent::Locked { .. } => "session.locked",
        SessionEvent::Cancelled { .. } => "session.cancelled",
        SessionEvent::Reinstated => "session.reinstated",
        SessionEvent::Bound { .. } => "session.bound",
        SessionEvent::Unbound { .. } => "session.unbound",
        SessionEvent::QrStarted { .. } => "session.qr_started",
        SessionEvent::Scanned(_) => "session.scanned",
        SessionEvent::MarkedByQr { .. } => "session.marked_by_qr",
        SessionEvent::StrangerAtQr { .. } => "session.stranger_at_qr",
        SessionEvent::StrangerSettled { .. } => "session.stranger_settled",
        SessionEvent::MarkedSelf { .. } => "session.marked_self",
        SessionEvent::Marked(_) => "session.marked",
        SessionEvent::LeaveTaken { .. } => "session.leave_taken",
        SessionEvent::ConflictSettled { .. } => "session.conflict_settled",
        SessionEvent::RecordDeleted { .. } => "session.record_deleted",
        SessionEvent::Noted { .. } => "session.noted",
        SessionEvent::StudentMerged { .. } => "session.student_merged",
        SessionEvent::BiometricSet { .. } => "session.biometric_set",
    }
}

fn request(event: &RequestEvent) -> &'static str {
    match event {
        RequestEvent::LeaveAsked(_) => "request.leave_asked",
        RequestEvent::LeaveDecided { .. } => "request.leave_decided",
        RequestEvent::CorrectionAsked(_) => "request.correction_asked",
        RequestEvent::CorrectionDecided { .. } => "request.correction_decided",
        RequestEvent::SelfMarkAsked(_) => "request.self_mark_asked",
        RequestEvent::SelfMarkDecided { .. } => "request.self_mark_decided",
    }
}

fn account(event: &AccountEvent) -> &'static str {
    match event {
        AccountEvent::PasswordSet { .. } => "account.password_set",
        AccountEvent::ClaimCodeIssued { .. } => "account.claim_code_issued",
        AccountEvent::Claimed { .. } => "account.claimed",
        AccountEvent::SecondFactorOn { .. } => "account.second_factor_on",
        AccountEvent::SecondFactorOff { .. } => "account.second_factor_off",
        AccountEvent::BackupCodeUsed { .. } => "account.backup_code_used",
        AccountEvent::SignedOutEverywhere { .. } => "account.signed_out_everywhere",
        AccountEvent::ApiTokenIssued { .. } => "account.api_token_issued",
        AccountEvent::ApiTokenRevoked { .. } => "account.api_token_revoked",
    }
}

#[cfg(test)]
mod tests {
    use rollcall_domain::ids::Seq;
    use rollcall_domain::scan::Unmatched;

    use super::*;

    /// An event as it is written in JSON, so that a test need not make one field by field.
    fn entry(event: &str) -> Entry {
        let event = serde_json::from_str(event).unwrap();
        Entry { seq: Seq(9), at: Moment::from_millis(1_772_000_000_000), by: Actor::Cli, event }
    }

    fn unmatched(scan_id: &str) -> Entry {
        let hash = [1; 16];
        let scan = serde_json::json!({
            "device": "gate-1", "scan_id": scan_id, "dedup": hash, "claim": {"card": hash, "text": hash},
            "claimed_at": "2026-02-25T06:13:20Z", "captured_at": "2026-02-25T06:13:21Z",
            "received_at": "2026-02-25T06:13:22Z", "clock_flagged": false, "method": "face",
            "quality_milli": 930, "direction": null,
        });
        let reason = Unmatched::NoOpenSession;
        let event =
            serde_json::json!({"Unmatched": {"scan": scan, "reason": reason, "student": 7, "session": 3}});
        entry(&event.to_string())
    }

    #[test]
    fn a_scan_is_written_with_the_devices_own_id_in_both_styles() {
        let entry = unmatched("a \"b\", c");
        let row = Row::of(&entry, Some(ClassId(2)));
        let (mut json, mut csv) = (String::new(), String::new());
        row.json(&mut json).unwrap();
        row.csv(&mut csv).unwrap();
        let start = r#"{"seq":9,"at":"2026-02-25T06:13:20Z","by":"admin:cli","kind":"scan.unmatched","session":"ses_3","class":"cls_2","student":"stu_7","device":"gate-1","scan_id":"a \"b\", c","captured_at":"2026-02-25T06:13:21Z","outcome":"no_open_session","event":{"#;
        assert!(json.starts_with(start) && json.ends_with("}}}\n"), "{json}");
        let start = r#"9,2026-02-25T06:13:20Z,admin:cli,scan.unmatched,ses_3,cls_2,stu_7,gate-1,"a ""b"", c",2026-02-25T06:13:21Z,no_open_session,"{""Unmatched"":"#;
        assert!(csv.starts_with(start) && csv.lines().count() == 1, "{csv}");
    }

    #[test]
    fn a_field_with_control_characters_is_quoted_and_commands_no_terminal() {
        for (field, written) in [
            ("plain", "plain"),
            ("a\tb", "\"a\tb\""),
            ("a\0b\r\n", "\"a\0b\r\n\""),
            ("\x1b[2Jx", "\"[2Jx\""),
            ("\u{9b}2Jx", "\"2Jx\""),
        ] {
            let mut out = String::new();
            quote(field, &mut out);
            assert_eq!(out, written);
        }
    }

    #[test]
    fn what_an_entry_does_not_have_is_left_out_or_empty() {
        let entry = entry(r#"{"SettingChanged":{"key":"a","value":null}}"#);
        let row = Row::of(&entry, None);
        let mut out = String::new();
        row.json(&mut out).unwrap();
        row.csv(&mut out).unwrap();
        assert_eq!(
            out,
            "{\"seq\":9,\"at\":\"2026-02-25T06:13:20Z\",\"by\":\"admin:cli\",\"kind\":\"setting.changed\",\
             \"event\":{\"SettingChanged\":{\"key\":\"a\",\"value\":null}}}\n\
             9,2026-02-25T06:13:20Z,admin:cli,setting.changed,,,,,,,,\
             \"{\"\"SettingChanged\"\":{\"\"key\"\":\"\"a\"\",\"\"value\"\":null}}\"\n"
        );
        assert_eq!(HEAD.split(',').count(), 12);
    }
}
