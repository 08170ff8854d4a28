//! Promise: the running gateway answers its own user's commands, one line for one line, and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rollcall_tests::campus::Campus;
use rollcall_tests::gateway::{Gateway, Signal, rollcall};
use serde_json::Value;

/// Far more looks than anything takes when all is well.
const LOOKS: u32 = 1_000;

fn start(campus: &Campus) -> Gateway {
    Gateway::start(&mut rollcall(campus.folder.path(), &["--config", "rollcall.toml"]))
}

fn socket(campus: &Campus) -> PathBuf {
    campus.folder.path().join("data/control.sock")
}

fn connect(campus: &Campus) -> UnixStream {
    UnixStream::connect(socket(campus)).unwrap()
}

/// Every line of the answer; whoever answers may have closed before it was sent everything.
fn ask(campus: &Campus, request: &[u8]) -> Vec<Value> {
    let mut stream = connect(campus);
    stream.write_all(request).ok();
    answer(&mut stream)
}

fn answer(stream: &mut UnixStream) -> Vec<Value> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok();
    String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn refusal(campus: &Campus, request: &[u8]) -> String {
    let lines = ask(campus, request);
    assert_eq!(lines.len(), 1, "{lines:?}");
    let message =
        lines.first().and_then(|line| line.get("error")?.get("message")?.as_str().map(str::to_owned));
    message.unwrap_or_else(|| format!("no refusal: {lines:?}"))
}

fn verify(campus: &Campus) -> Option<i32> {
    rollcall(campus.folder.path(), &["verify", "--config", "rollcall.toml"]).output().unwrap().status.code()
}

#[test]
fn it_is_for_its_user_alone_and_goes_with_the_gateway() {
    let campus = Campus::new();
    let gateway = start(&campus);
    let about = fs::symlink_metadata(socket(&campus)).unwrap();
    assert!(about.file_type().is_socket());
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
    assert!(!socket(&campus).exists());
}

#[test]
fn a_request_is_answered_by_its_result() {
    let campus = Campus::new();
    let _gateway = start(&campus);
    let lines = ask(&campus, b"{\"verify\":{\"rebuild\":false}}\n");
    let last = lines.last().and_then(|line| line.get("result")?.get("verified")).unwrap();
    assert_eq!(last.get("views").unwrap(), "not_asked");
    // The end of what is sent ends the line, too.
    let mut stream = connect(&campus);
    stream.write_all(b"{\"verify\":{\"rebuild\":false}}").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(answer(&mut stream), lines);
}

#[test]
fn rubbish_too_much_and_what_is_not_known_is_refused_in_a_line_and_harms_nothing() {
    let campus = Campus::new();
    let gateway = start(&campus);
    for rubbish in
        [&b"\n"[..], b"hello\n", b"\xff\xfe\0\n", b"[]\n", b"{\"dance\":{}}\n", b"{\"verify\":{}}\n"]
    {
        let said = refusal(&campus, rubbish);
        assert!(said.contains("does not know this request"), "{said}");
    }
    let said = refusal(&campus, b"{\"verify\":{\"rebuild\":false,\"more\":1}}\n");
    assert!(said.contains("unknown field"), "{said}");
    let said = refusal(&campus, b"{\"verify\":{\"rebuild\":false}}\n{\"verify\":{\"rebuild\":false}}\n");
    assert!(said.contains("one connection takes one request"), "{said}");
    let said = refusal(&campus, &vec![b' '; 1 << 20]);
    assert!(said.contains("longer than 65536 bytes"), "{said}");
    let said = refusal(&campus, b"{\"backup\":{\"target\":\"here\"}}\n");
    assert!(said.contains("here is not the whole path of a file"), "{said}");
    drop(connect(&campus));
    assert_eq!(verify(&campus), Some(0));
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
}

#[test]
fn only_so_many_are_answered_at_once_and_a_stop_does_not_wait_for_who_says_nothing() {
    let campus = Campus::new();
    let mut gateway = start(&campus);
    let mut silent: Vec<UnixStream> = (0..8).map(|_| connect(&campus)).collect();
    let said = refusal(&campus, b"{\"verify\":{\"rebuild\":false}}\n");
    assert!(said.contains("as many commands as it may"), "{said}");
    // The first goes, and sees that it is gone.
    let mut first = silent.remove(0);
    first.write_all(b"\n").unwrap();
    assert_eq!(answer(&mut first).len(), 1);
    // It has had its answer; what it held is free in a moment.
    assert!((0..LOOKS).any(|_| verify(&campus) == Some(0)), "nobody is let in although one has gone");
    gateway.signal(Signal::TERM);
    gateway.wait_for("rollcall has stopped");
    let (said, status) = gateway.end();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(!said.contains("took too long") && !said.contains("left behind"), "{said}");
    for stream in &mut silent {
        assert!(answer(stream).is_empty(), "somebody who said nothing was answered");
    }
}

#[test]
fn the_log_says_who_gave_a_command_and_what_came_of_it() {
    let campus = Campus::new();
    let mut gateway = start(&campus);
    ask(&campus, b"{\"verify\":{\"rebuild\":false}}\n");
    refusal(&campus, b"{\"backup\":{\"target\":\"/nowhere/at/all\"}}\n");
    let user = format!("\"user\":{}", rustix::process::geteuid().as_raw());
    for (command, outcome) in [("verify", "done"), ("backup", "there is no folder /nowhere/at; make it")] {
        let line = gateway.wait_for("a command has ended");
        assert!(line.contains(&user) && line.contains(command) && line.contains(outcome), "{line}");
    }
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end().1.code(), Some(0));
}

#[test]
fn a_socket_that_a_killed_gateway_left_confuses_nobody() {
    let campus = Campus::new();
    let gateway = start(&campus);
    gateway.signal(Signal::KILL);
    gateway.end();
    assert!(fs::symlink_metadata(socket(&campus)).is_ok());
    // The command opens the files itself, and the next gateway takes the socket's place.
    assert_eq!(verify(&campus), Some(0));
    let _gateway = start(&campus);
    let lines = ask(&campus, b"{\"verify\":{\"rebuild\":true}}\n");
    let verified = lines.last().and_then(|line| line.get("result")?.get("verified")).unwrap();
    assert_eq!(verified.get("views").unwrap(), "same");
    // A folder that somebody has who does not answer is left alone.
    fs::remove_file(socket(&campus)).unwrap();
    let output = rollcall(campus.folder.path(), &["verify", "--config", "rollcall.toml"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("somebody (process ") && said.contains("try again in a moment"), "{said}");
}
