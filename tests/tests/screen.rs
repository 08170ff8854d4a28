//! Promise: a screen never shows old marks as live, catches up by itself, and answers every press.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Stdio};

use rollcall_tests::browser::Browser;
use rollcall_tests::campus::Campus;
use rollcall_tests::disk::Disk;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};

fn start(campus: &Campus, http: &str) -> Gateway {
    let mut command = rollcall(campus.folder.path(), &["--config", "rollcall.toml"]);
    Gateway::start(command.env_remove("ROLLCALL__MQTT__LISTEN").env("ROLLCALL__HTTP__LISTEN", http))
}

#[test]
fn a_screen_says_when_the_gateway_is_gone_or_silent_and_comes_back_with_it() {
    let campus = Campus::new();
    let gateway = start(&campus, "127.0.0.1:0");
    let http = gateway.http().to_owned();
    let browser = Browser::start();
    browser.open_the_session(&http);
    browser.run("window.isStillThere = true");

    // Silent, with the connection as open as before.
    gateway.signal(Signal::STOP);
    browser.find("#link[data-state=off]");
    gateway.signal(Signal::CONT);
    browser.find("#link[data-state=on]");

    gateway.signal(Signal::KILL);
    gateway.end();
    browser.find("#link[data-state=off]");
    let gateway = start(&campus, &http);
    browser.find("#link[data-state=on]");
    assert_eq!(browser.run("return window.isStillThere"), true, "the page was loaded again");

    // Who is not signed in any more is not left with a page that tries for ever.
    browser.forget_who_is_signed_in();
    gateway.signal(Signal::KILL);
    gateway.end();
    let _gateway = start(&campus, &http);
    browser.find("#username");
}

#[test]
fn a_screen_that_lost_the_gateway_tries_every_few_seconds_and_at_once_when_there_is_reason_to() {
    let campus = Campus::new();
    let gateway = start(&campus, "127.0.0.1:0");
    let browser = Browser::start();
    browser.open_the_session(gateway.http());
    browser.run(
        "window.tries = []; const real = window.fetch; \
         window.fetch = (...asked) => { tries.push(performance.now()); return real(...asked); }",
    );
    gateway.signal(Signal::KILL);
    gateway.end();
    browser.find("#link[data-state=off]");
    browser.run("window.tries = []");
    while browser.run("return tries.length").as_u64().unwrap() < 6 {}
    let longest = "return Math.max(...tries.slice(1).map((at, place) => at - tries[place]))";
    let longest = browser.run(longest).as_f64().unwrap();
    assert!(longest < 5_000.0, "{longest} ms");

    // A try that is under way is not hurried.
    let hurried =
        "const before = tries.length; dispatchEvent(new Event('online')); return tries.length > before";
    assert!((0..100).any(|_| browser.run(hurried) == true));
}

#[test]
fn a_screen_says_when_nothing_can_be_saved_and_goes_on_by_itself() {
    let campus = Campus::new();
    let disk = Disk::under(&campus.folder.path().join("data"));
    let gateway = start(&campus, "127.0.0.1:0");
    let browser = Browser::start();
    browser.open_the_session(gateway.http());
    disk.fail();
    let line = "#lines .line:last-of-type";
    browser.click(&format!("{line} [value=present]"));
    browser.find("#link[data-state=off]");
    let said = "Nothing can be saved now; tell the admin. This page goes on by itself once it can.";
    assert_eq!(browser.texts("#link"), [said]);
    let refused = "The gateway cannot use its disk now: tell the admin, and look whether this was saved before you try again.";
    browser.find("#alert:not([hidden])");
    assert_eq!(browser.texts("#alert"), [refused]);

    disk.mend();
    browser.find("#link[data-state=on]");
    // Nobody has read it yet, as far as anybody knows.
    assert_eq!(browser.texts("#alert"), [refused]);
    browser.click(&format!("{line} [value=present]"));
    browser.find(&format!("{line}[data-mark=present]"));
    browser.find("#alert[hidden]");
}

/// WebDriver's name of the Enter key.
const ENTER: &str = "\u{e007}";
/// A small phone.
const NARROW: u32 = 320;

/// A student of the first room holds a card before the terminal there.
fn scan(campus: &Campus, place: usize) -> String {
    let (device, secret) = campus.devices.first().unwrap();
    let student = campus.sample.rooms.first().and_then(|room| room.students.get(place)).unwrap();
    let payload = format!(r#"{{"id":"{place}","student":"{student}","at":"{}"}}"#, campus.clock.now());
    let published = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &campus.mqtt.port().to_string(), "-q", "1"])
        .args(["-u", device.as_str(), "-P", secret, "-t", &format!("rollcall/v1/{device}/scan")])
        .args(["-m", &payload])
        .stdin(Stdio::null())
        .status();
    assert!(published.unwrap().success());
    student.clone()
}

fn overflows(browser: &Browser) -> bool {
    let wide = browser.run("return document.documentElement.scrollWidth").as_u64().unwrap();
    wide > NARROW.into()
}

/// Whether all of it is where one looks now.
fn is_in_sight(browser: &Browser, selector: &str) -> bool {
    let script = format!(
        "const at = document.querySelector({selector:?}).getBoundingClientRect(); \
         return at.height > 0 && at.top >= 0 && at.bottom <= innerHeight"
    );
    browser.run(&script).as_bool().unwrap()
}

#[test]
fn a_devices_mark_in_a_closed_session_is_changed_with_a_reason_from_the_keyboard_and_on_a_phone() {
    let campus = Campus::new();
    let gateway = start(&campus, "127.0.0.1:0");
    let students = [0, 1, 2].map(|place| scan(&campus, place));
    let browser = Browser::start();
    browser.open_the_session(gateway.http());
    browser.find("//*[@data-count='present'][.='3']");
    assert_eq!(browser.texts("#link"), ["Live"]);
    let lines = students.map(|student| {
        let code = browser.find(&format!("//*[@class='line'][@data-mark='present'][.//*[.='{student}']]"));
        format!("#{}", browser.property(&code, "id"))
    });
    let [line, on_a_phone, without_script] = &lines;

    browser.click("details.confirm summary");
    assert_eq!(browser.texts("details.confirm p"), ["Everyone without a mark becomes absent: 33 so far."]);
    browser.click("details.confirm form button");
    browser.find("#status[data-status=closed]");
    browser.find("#link[data-state=on]");
    assert!(!browser.texts("#link").concat().contains("Live"));

    browser.run(&format!("document.querySelector('{line} [value=absent]').focus()"));
    browser.type_keys(ENTER);
    browser.find("dialog[open] #why:focus");
    browser.type_keys(&format!("the card was lent{ENTER}"));
    browser.find(&format!("{line}[data-mark=absent]"));
    browser.find(&format!("{line} [value=absent]:focus"));

    browser.is_a_phone(NARROW);
    assert!(!overflows(&browser));
    browser.click(&format!("{on_a_phone} [value=permission]"));
    browser.enter("dialog[open] #why", "at the dentist");
    assert!(!overflows(&browser));
    browser.click("dialog[open] .primary");
    browser.find(&format!("{on_a_phone}[data-mark=permission]"));

    // Sent by the form itself, as when script is switched off.
    browser.run(&format!(
        "const form = document.querySelector('{without_script} form'); \
         form.append(Object.assign(document.createElement('input'), {{ name: 'mark', value: 'late' }})); \
         form.submit()"
    ));
    browser.find("//h1[.='Why late?']");
    assert!(!overflows(&browser));
    browser.enter("#why", "came after the bell");
    browser.click("main .primary");
    browser.find(&format!("{without_script}[data-mark=late]"));
}

#[test]
fn no_page_is_wider_than_a_small_phone() {
    let campus = Campus::new();
    let gateway = start(&campus, "127.0.0.1:0");
    let browser = Browser::start();
    browser.is_a_phone(NARROW);
    browser.open_the_session(gateway.http());
    assert!(!overflows(&browser), "a session");
    browser.go_to(&format!("http://{}/today", gateway.http()));
    assert!(!overflows(&browser), "today");
    browser.forget_who_is_signed_in();
    browser.go_to(&format!("http://{}/login", gateway.http()));
    browser.find("#username");
    assert!(!overflows(&browser), "signing in");
}

#[test]
fn a_press_without_an_answer_is_given_back_with_words_in_sight_that_go_when_the_gateway_is_back() {
    let campus = Campus::new();
    let gateway = start(&campus, "127.0.0.1:0");
    let browser = Browser::start();
    browser.open_the_session(gateway.http());
    gateway.signal(Signal::STOP);
    browser.click("#lines .line:last-of-type [value=present]");
    browser.find("#lines .line:last-of-type form[aria-busy]");
    browser.find("#alert:not([hidden])");
    assert!(browser.texts("#alert").concat().contains("did not answer in time"));
    browser.find("#lines .line:last-of-type form:not([aria-busy])");
    browser.find("#link[data-state=off]");
    for told in ["#alert", "#link"] {
        assert!(is_in_sight(&browser, told), "{told}");
    }
    gateway.signal(Signal::CONT);
    browser.find("#link[data-state=on]");
    browser.find("#alert[hidden]");

    // The connection breaks: whether before or after the mark was made, nobody knows.
    let http = gateway.http().to_owned();
    gateway.signal(Signal::KILL);
    gateway.end();
    browser.click("#lines .line:last-of-type [value=late]");
    browser.find("#alert:not([hidden])");
    assert!(browser.texts("#alert").concat().contains("Look whether the mark is there"));
    let _gateway = start(&campus, &http);
    browser.find("#link[data-state=on]");
    browser.find("#alert[hidden]");
}
