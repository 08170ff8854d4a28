//! A browser that is steered: Chromium without a window, by the W3C's WebDriver protocol.
//!
//! Promises: what is looked for is waited for by the browser itself, up to a limit; neither the browser
//! nor its driver nor their folder outlives the test.
//!
//! Refuses: being a WebDriver library. It does what a person does: go, look, type and click.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::campus::PASSWORD;

/// How long the browser looks for an element before it says that there is none.
const LOOK: Duration = Duration::from_secs(20);
/// Longer than the browser ever looks, or takes to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// The key under which WebDriver tells an element's name.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keeps the browser from asking anybody but the pages under test.
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// The process that steers the browser.
struct Driver {
    child: Child,
    port: u16,
}

impl Driver {
    /// Starts it on a port that nobody has, and returns once it listens there.
    fn start() -> Self {
        let mut command = Command::new("chromedriver");
        // In a group of its own, so that the browser goes with it.
        command.arg("--port=0").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else { panic!("no chromedriver: install Debian's chromium-driver") };
        let mut driver = Driver { child, port: 0 };
        let lines = BufReader::new(driver.child.stdout.take().unwrap()).lines();
        let port =
            |line: String| line.split_once("successfully on port ")?.1.trim_end_matches('.').parse().ok();
        driver.port = lines.map_while(Result::ok).find_map(port).unwrap();
        driver
    }

    /// One request and its answer's value, or what went wrong.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let answer = exchange(self.port, method, path, body).map_err(|error| error.to_string())?;
        match answer.get("value") {
            Some(value) if value.get("error").is_some() => Err(value.to_string()),
            Some(value) => Ok(value.clone()),
            None => Err(answer.to_string()),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// One HTTP request on a connection of its own.
fn exchange(port: u16, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = if method == "POST" { body.to_string() } else { String::new() };
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-length: {}\r\n", body.len());
    let rest = "content-type: application/json; charset=utf-8\r\nconnection: close\r\n\r\n";
    stream.write_all(format!("{head}{rest}{body}").as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while stream.read_line(&mut line)? > 0 && line != "\r\n" {
        if let Some((_, value)) =
            line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    Ok(serde_json::from_slice(&answer)?)
}

/// A browser with one page.
///
/// What is looked for on it is named by a CSS selector, or by an `XPath` that begins with a slash.
pub struct Browser {
    driver: Driver,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub fn start() -> Self {
        let profile = tempfile::tempdir().unwrap();
        let driver = Driver::start();
        let folder = format!("--user-data-dir={}", profile.path().display());
        let arguments: Vec<&str> = ARGUMENTS.into_iter().chain([folder.as_str()]).collect();
        let timeouts = json!({ "implicit": LOOK.as_millis(), "pageLoad": LOOK.as_millis() });
        let wanted = json!({
            "browserName": "chrome", "timeouts": timeouts, "goog:chromeOptions": { "args": arguments },
        });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let started = driver.ask("POST", "/session", &wanted).unwrap_or_else(|error| panic!("{error}"));
        let session = started.get("sessionId").and_then(Value::as_str).unwrap().to_owned();
        Self { driver, session, _profile: profile }
    }

    fn ask(&self, method: &str, what: &str, body: &Value) -> Value {
        let path = format!("/session/{}/{what}", self.session);
        self.driver.ask(method, &path, body).unwrap_or_else(|error| panic!("{method} {what} {body}: {error}"))
    }

    pub fn go_to(&self, url: &str) {
        self.ask("POST", "url", &json!({ "url": url }));
    }

    pub fn url(&self) -> String {
        self.ask("GET", "url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// Returns once there is such an element.
    pub fn find(&self, selector: &str) -> String {
        let found = self.ask("POST", "element", &by(selector));
        found.get(ELEMENT).and_then(Value::as_str).unwrap().to_owned()
    }

    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("element/{element}/click"), &json!({}));
    }

    pub fn enter(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.ask("POST", &format!("element/{element}/value"), &json!({ "text": text }));
    }

    /// The texts of all such elements, of which there is at least one.
    pub fn texts(&self, selector: &str) -> Vec<String> {
        let found = self.ask("POST", "elements", &by(selector));
        let elements = found.as_array().unwrap().iter();
        let name = |element: &Value| element.get(ELEMENT).and_then(Value::as_str).unwrap().to_owned();
        elements.map(|element| self.text(&name(element))).collect()
    }

    fn text(&self, element: &str) -> String {
        let text = self.ask("GET", &format!("element/{element}/text"), &Value::Null);
        text.as_str().unwrap().to_owned()
    }

    /// What an element that was found has under this name.
    pub fn property(&self, element: &str, name: &str) -> String {
        let value = self.ask("GET", &format!("element/{element}/property/{name}"), &Value::Null);
        value.as_str().unwrap().to_owned()
    }

    /// Signs in on the page there, and returns once it leads to the day.
    pub fn sign_in(&self, page: &str, username: &str, password: &str) {
        self.go_to(page);
        self.enter("#username", username);
        self.enter("#password", password);
        self.click("form[action='/login'] button");
        self.find("//h1[.='Today']");
    }

    /// Signs in as the campus's teacher, and opens the page of the session that is open now.
    pub fn open_the_session(&self, http: &str) {
        self.sign_in(&format!("http://{http}/login"), "teacher", PASSWORD);
        assert_eq!(self.url(), format!("http://{http}/today"));
        self.click(".card[data-status=open] h2 a");
        self.find("#link[data-state=on]");
        self.find("#status[data-status=open]");
    }

    /// From here on the window is as wide as a phone's: so many CSS pixels.
    pub fn is_a_phone(&self, width: u32) {
        let size = json!({ "width": width, "height": 640, "deviceScaleFactor": 1, "mobile": true });
        let order = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.ask("POST", "goog/cdp/execute", &order);
    }

    /// Types into whatever has the focus, as on a keyboard.
    pub fn type_keys(&self, keys: &str) {
        let press = |key: char| {
            [json!({ "type": "keyDown", "value": key }), json!({ "type": "keyUp", "value": key })]
        };
        let actions: Vec<Value> = keys.chars().flat_map(press).collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.ask("POST", "actions", &json!({ "actions": [keyboard] }));
    }

    /// Nobody is signed in any more, as when a sign-in has expired.
    pub fn forget_who_is_signed_in(&self) {
        self.ask("DELETE", "cookie", &Value::Null);
    }

    /// What a script on the page returns.
    pub fn run(&self, script: &str) -> Value {
        self.ask("POST", "execute/sync", &json!({ "script": script, "args": [] }))
    }
}

/// How WebDriver is told what to look for.
fn by(selector: &str) -> Value {
    let using = if selector.starts_with('/') { "xpath" } else { "css selector" };
    json!({ "using": using, "value": selector })
}

impl Drop for Browser {
    /// Asked first, so that the browser is through with its folder; its driver ends it otherwise.
    fn drop(&mut self) {
        self.driver.ask("DELETE", &format!("/session/{}", self.session), &Value::Null).ok();
    }
}
