//! Promise: a screen never shows old marks as live, and catches up by itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use rollcall_tests::browser::Browser;
use rollcall_tests::campus::Campus;
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
