//! Promise: who starts it for the first time is shown where to go and with what, and it works as shown.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rollcall_tests::browser::Browser;
use rollcall_tests::gateway::{Signal, Started, rollcall};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::tempdir;

/// Both ends of a new terminal.
fn terminal() -> (File, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
    (File::from(ours), theirs)
}

fn word_after<'a>(line: &'a str, words: &str) -> &'a str {
    line.split_once(words).unwrap().1.split_whitespace().next().unwrap()
}

#[test]
fn on_a_terminal_the_first_password_comes_last_with_where_to_go_and_lets_one_in() {
    let folder = tempdir().unwrap();
    let (ours, theirs) = terminal();
    let mut command = rollcall(folder.path(), &[]);
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let gateway = Started(command.spawn().unwrap());
    // Its end of the terminal is to be held by the gateway alone, so that what it says ends with it.
    drop(command);
    let mut before = Vec::new();
    let mut lines = BufReader::new(ours).lines().map_while(Result::ok);
    let told = loop {
        let line = lines.next().unwrap();
        if line.starts_with("first start") {
            break line;
        }
        before.push(line);
    };
    let said = before.join("\n");
    assert!(said.contains("rollcall is running"), "{said}");
    let (url, password) = (word_after(&told, "sign in at "), word_after(&told, "with the first password "));
    assert!(url.starts_with("http://127.0.0.1:") && !said.contains(password), "{told}");
    // All that is left is to write the account, which takes less than a browser takes to start.
    assert!(lines.next().unwrap().starts_with("It is shown this once"));

    let browser = Browser::start();
    browser.sign_in(&format!("{url}login"), "admin", password);
    gateway.signal(Signal::TERM);
    let rest: Vec<String> = lines.collect();
    assert!(rest.first().is_some_and(|line| line.contains("rollcall stops")), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("rollcall has stopped")), "{rest:?}");
    assert!(!rest.join("\n").contains(password));
    assert!(!folder.path().join("data/admin-password").exists());
}

#[test]
fn the_line_that_the_demo_prints_makes_a_mark_of_somebody_who_would_not_come() {
    let folder = tempdir().unwrap();
    let mut command = rollcall(folder.path(), &["demo"]);
    let mut demo = Started(command.env("TMPDIR", folder.path()).stdout(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut said = Vec::new();
    for line in lines {
        let last = line.starts_with("Ctrl-C");
        said.push(line);
        if last {
            break;
        }
    }
    let find = |start: &str| said.iter().find(|line| line.trim_start().starts_with(start)).unwrap();
    let (url, password) =
        (word_after(find("open"), "open"), word_after(find("teacher"), "teacher   teacher"));
    let line = find("mosquitto_pub");
    let student = line.split_once("\"student\":\"").unwrap().1.split('"').next().unwrap();

    let browser = Browser::start();
    browser.sign_in(&format!("{url}login"), "teacher", password);
    browser.click(".card[data-status=open] h2 a");
    browser.find("#link[data-state=on]");
    let of = |mark: &str| format!("//li[@data-mark='{mark}'][.//*[@class='code'][.='{student}']]");
    browser.find(&of(""));
    assert!(Command::new("sh").args(["-c", line]).stdin(Stdio::null()).status().unwrap().success());
    browser.find(&of("present"));
    demo.signal(Signal::INT);
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its data is still there");
}
