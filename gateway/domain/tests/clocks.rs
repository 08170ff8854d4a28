//! Terminals whose clocks are wrong, and a box whose own clock may be.

#![allow(clippy::unwrap_used, reason = "a property that breaks should fail loudly")]

use jiff::SignedDuration;
use proptest::prelude::*;
use rollcall_domain::clock_offset::{BoxClock, OffsetEstimate, captured};
use rollcall_domain::moment::Moment;
use rollcall_domain::policy::Policy;

fn at(millis: i64) -> Moment {
    Moment::from_millis(1_772_000_000_000 + millis)
}

#[test]
fn five_heartbeats_that_agree_make_an_offset() {
    let mut estimate = OffsetEstimate::default();
    for beat in 0..5 {
        assert_eq!(estimate.steady(), None);
        estimate.observe(at(beat * 30_000 + 90_000), at(beat * 30_000));
    }
    assert_eq!(estimate.steady(), Some(SignedDuration::from_secs(90)));
}

#[test]
fn samples_two_seconds_apart_agree_and_a_millisecond_more_do_not() {
    for (spread, steady) in [(2_000, true), (2_001, false)] {
        let mut estimate = OffsetEstimate::default();
        for beat in 0..5 {
            let offset = if beat == 4 { spread } else { 0 };
            estimate.observe(at(beat * 30_000 + offset), at(beat * 30_000));
        }
        assert_eq!(estimate.steady().is_some(), steady, "{spread}");
    }
}

#[test]
fn a_burst_of_old_scans_never_looks_like_a_slow_clock() {
    let mut estimate = OffsetEstimate::default();
    // An hour-old queue, sent within half a second.
    for scan in 0..50 {
        estimate.observe(at(scan * 100 - 3_600_000), at(scan * 10));
    }
    assert_eq!(estimate.steady(), None);
}

#[test]
fn a_clock_that_is_set_right_is_followed() {
    let mut estimate = OffsetEstimate::default();
    for beat in 0..5 {
        estimate.observe(at(beat * 30_000 - 3_600_000), at(beat * 30_000));
    }
    assert!(estimate.steady().is_some());
    estimate.observe(at(150_000), at(150_000));
    assert_eq!(estimate.steady(), None);
    for beat in 6..10 {
        estimate.observe(at(beat * 30_000), at(beat * 30_000));
    }
    assert_eq!(estimate.steady(), Some(SignedDuration::ZERO));
}

#[test]
fn what_was_learnt_is_forgotten_when_the_gateways_own_clock_is_set_back() {
    let mut estimate = OffsetEstimate::default();
    for beat in 0..5 {
        estimate.observe(at(beat * 30_000), at(beat * 30_000));
    }
    estimate.observe(at(-600_000), at(-600_000));
    assert_eq!(estimate.steady(), None);
}

#[test]
fn a_claim_is_believed_up_to_both_ends_of_what_is_possible() {
    let policy = Policy::default();
    let (ahead, behind) = (300_000, 30 * 86_400_000_i64);
    for (claim, believed) in [(ahead, true), (ahead + 1, false), (-behind, true), (-behind - 1, false)] {
        let found = captured(at(claim), at(0), None, &policy);
        assert_eq!(found.flagged, !believed, "{claim}");
        assert_eq!(found.at, if believed { at(claim) } else { at(0) });
    }
}

#[test]
fn a_steady_offset_is_taken_off_before_judging() {
    let day_ahead = SignedDuration::from_hours(24);
    let found = captured(at(86_400_000), at(0), Some(day_ahead), &Policy::default());
    assert_eq!((found.at, found.flagged), (at(0), false));
}

#[test]
fn a_box_that_starts_before_its_last_event_is_in_doubt_until_time_has_passed_it_or_somebody_confirms() {
    let doubt = BoxClock::at_start(at(0), Some(at(1)));
    assert!(doubt.in_doubt());
    assert!(doubt.tick(at(0)).in_doubt());
    assert!(!doubt.tick(at(1)).in_doubt());
    assert!(!doubt.confirm().in_doubt());
    assert!(!BoxClock::at_start(at(1), Some(at(1))).in_doubt());
    assert!(!BoxClock::at_start(at(0), None).in_doubt());
}

proptest! {
    #[test]
    fn the_time_used_is_always_possible(claim in any::<i64>(), offset in prop::option::of(any::<i64>())) {
        let offset = offset.map(SignedDuration::from_millis);
        let found = captured(Moment::from_millis(claim), at(0), offset, &Policy::default());
        prop_assert!(found.at <= at(300_000) && found.at >= at(-30 * 86_400_000));
    }

    #[test]
    fn any_samples_are_survived(samples in prop::collection::vec((any::<i64>(), any::<i64>()), 0..20)) {
        let mut estimate = OffsetEstimate::default();
        for (claimed, received) in samples {
            estimate.observe(Moment::from_millis(claimed), Moment::from_millis(received));
            estimate.steady();
        }
    }
}
