//! Promise: a large file of mistakes is answered soon and shortly.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fmt::Write as _;
use std::sync::mpsc::channel;
use std::time::Duration;

use common::{load_text, no_environment};
use rollcall_config::Problems;

/// Ten times what it takes without optimisation; what grows with the square takes far longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The problems of a text, if they are found in time.
fn soon(text: String) -> Problems {
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(load_text(&text, &no_environment()).unwrap_err()).ok());
    receiver.recv_timeout(PATIENCE).unwrap()
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", line(number)).unwrap();
        text
    })
}

#[test]
fn a_mebibyte_of_unknown_keys_takes_no_longer_than_reading_it() {
    let problems = soon(lines(100_000, |number| format!("a{number}=1")));
    assert_eq!(problems.found(), 100_000);
    assert_eq!(problems.iter().len(), 100);
    assert_eq!(problems.count(), "100000 problems in the settings, the first 100 shown");
    assert!(problems.to_string().ends_with("\nand 99900 more"));
}

#[test]
fn so_many_syntax_errors_take_no_longer_either() {
    let problems = soon(lines(40_000, |number| format!("a{number} = x")));
    assert_eq!(problems.found(), 40_000);
}

#[test]
fn so_many_items_of_a_list_on_one_line_take_no_longer_either() {
    let items = lines(40_000, |number| format!("\"h{number}\",")).replace('\n', "");
    let problems = soon(format!("http.allowed_hosts = [{items} \"-\"]"));
    assert_eq!(problems.found(), 1);
}

#[test]
fn so_many_entries_of_one_name_take_no_longer_either() {
    let problems = soon(lines(20_000, |number| {
        format!("[[dialects.mapped]]\nname = \"n{number}\"\ntopic = \"t/{number}\"\nstudent = \"\"")
    }));
    assert_eq!(problems.found(), 20_000);
}

#[test]
fn a_very_long_key_and_very_deep_brackets_are_mistakes_like_others() {
    assert_eq!(soon(format!("{} = 1", "a".repeat(60_000))).found(), 1);
    assert!(soon(format!("a = {}", "[".repeat(60_000))).found() >= 1);
}
