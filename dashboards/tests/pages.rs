//! What people see, as it goes over the wire.

#[path = "../../gateway/api/tests/common/mod.rs"]
mod common;

use common::client::{Answer, request};
use common::{ADAS_SESSION, Gateway, HOSTILE, PASSWORD, with_gateway, with_options};
use rollcall_dashboards::configure;

impl Gateway {
    async fn page(&self, path: &str, cookie: &str) -> Answer {
        request(self.address, &format!("GET {path}"), &[("cookie", cookie)], "").await
    }

    async fn submit(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let here = format!("http://{}", self.address);
        let kind = ("content-type", "application/x-www-form-urlencoded");
        let head = [kind, ("cookie", cookie), ("origin", here.as_str())];
        request(self.address, &format!("POST {path}"), &head, form).await
    }

    /// Signs in by the form; the cookie.
    async fn cookie(&self, username: &str) -> String {
        let form = format!("username={username}&password={}&next=%2Ftoday", PASSWORD.replace(' ', "+"));
        let answer = self.submit("/login", "", &form).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/today")), "{}", answer.body);
        let set = answer.header("set-cookie").unwrap_or_default();
        assert!(set.ends_with("Path=/; HttpOnly; SameSite=Strict"), "{set}");
        set.split(';').next().unwrap_or_default().to_owned()
    }
}

#[test]
fn who_is_not_signed_in_is_sent_to_sign_in_and_then_back() {
    with_gateway(configure, async |gateway| {
        for path in ["/", "/today", "/sessions/ses_1"] {
            let answer = gateway.page(path, "").await;
            let to = format!("/login?next={path}");
            assert_eq!((answer.status, answer.header("location")), (303, Some(to.as_str())));
        }
        let form = gateway.page("/login?next=/sessions/ses_1", "").await;
        assert!(form.body.contains("name=\"next\" value=\"/sessions/ses_1\""), "{}", form.body);
        let elsewhere = gateway.page("/login?next=//evil.example", "").await;
        assert!(elsewhere.body.contains("name=\"next\" value=\"/\""), "{}", elsewhere.body);
    });
}

#[test]
fn what_went_wrong_at_signing_in_is_said_in_place() {
    with_gateway(configure, async |gateway| {
        let answer = gateway.submit("/login", "", "username=%3Cb%3Eada&password=guess&next=%2F").await;
        assert_eq!((answer.status, answer.header("set-cookie")), (401, None));
        assert!(answer.body.contains("The user name or the password is not right."), "{}", answer.body);
        assert!(!answer.body.contains("<b>ada"), "{}", answer.body);
        let foreign =
            [("content-type", "application/x-www-form-urlencoded"), ("origin", "http://evil.example")];
        let answer = request(gateway.address, "POST /login", &foreign, "username=ada&password=x").await;
        assert_eq!(answer.status, 403);
    });
}

#[test]
fn a_form_that_no_page_of_ours_sends_is_a_problem() {
    with_gateway(configure, async |gateway| {
        let cookie = gateway.cookie("ada").await;
        let mark = format!("/sessions/{ADAS_SESSION}/mark");
        let huge = format!("student={}", "x".repeat(20_000));
        for (form, status, code) in
            [("student=stu_1&mark=asleep", 422, "validation_failed"), (huge.as_str(), 413, "too_large")]
        {
            let answer = gateway.submit(&mark, &cookie, form).await;
            assert_eq!((answer.status, answer.problem().as_str()), (status, code));
        }
        let post = gateway.submit("/", &cookie, "x=").await;
        assert_eq!((post.status, post.problem().as_str()), (405, "method_not_allowed"));
        assert_eq!(post.header("allow"), Some("GET, HEAD"));
    });
}

#[test]
fn over_tls_the_cookie_never_travels_without() {
    with_options(
        configure,
        |options| options.tls = true,
        async |gateway| {
            let form = format!("username=ada&password={}&next=%2F", PASSWORD.replace(' ', "+"));
            let answer = gateway.submit("/login", "", &form).await;
            assert!(answer.header("set-cookie").unwrap().ends_with("; Secure"));
        },
    );
}

#[test]
fn another_site_signs_nobody_out() {
    with_gateway(configure, async |gateway| {
        let cookie = gateway.cookie("ada").await;
        let head = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
        let answer = request(gateway.address, "POST /logout", &head, "").await;
        assert_eq!((answer.status, answer.header("set-cookie")), (403, None));
    });
}

#[test]
fn signing_out_forgets_the_cookie() {
    with_gateway(configure, async |gateway| {
        let cookie = gateway.cookie("ada").await;
        let answer = gateway.submit("/logout", &cookie, "x=").await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/login")));
        assert!(answer.header("set-cookie").unwrap().starts_with("rollcall_access=; Max-Age=0;"));
    });
}

#[test]
fn a_day_shows_own_sessions_and_opens_them_with_one_click() {
    with_gateway(configure, async |gateway| {
        let cookie = gateway.cookie("ada").await;
        let today = gateway.page("/today", &cookie).await;
        assert_eq!(today.status, 200);
        assert!(
            today.body.contains("Ada Lovelace") && today.body.contains("Monday, 23 November 2026"),
            "{}",
            today.body
        );
        assert!(
            today.body.contains("action=\"/sessions/ses_1/open\"") && !today.body.contains("ses_2"),
            "{}",
            today.body
        );
        assert!(today.body.contains("Numbers &#38; &#60;Order&#62;"), "{}", today.body);
        let opened = gateway.submit("/sessions/ses_1/open", &cookie, "x=").await;
        assert_eq!((opened.status, opened.header("location")), (303, Some("/sessions/ses_1")));
        let today = gateway.page("/today", &cookie).await;
        assert!(
            today.body.contains("data-status=\"open\"") && !today.body.contains("/open\""),
            "{}",
            today.body
        );
    });
}

#[test]
fn a_session_shows_everyone_escaped_and_who_was_absent_after_closing() {
    with_gateway(configure, async |gateway| {
        let cookie = gateway.cookie("ada").await;
        let path = format!("/sessions/{ADAS_SESSION}");
        gateway.submit(&format!("{path}/open"), &cookie, "x=").await;
        let marked = gateway.submit(&format!("{path}/mark"), &cookie, "student=stu_1&mark=present").await;
        assert_eq!((marked.status, marked.header("location")), (303, Some("/sessions/ses_1#stu_1")));
        let page = gateway.page(&path, &cookie).await.body;
        assert!(!page.contains(HOSTILE) && !page.contains("<script>alert"), "{page}");
        assert!(page.contains("&#60;script&#62;alert(&#39;1&#39;)&#60;/script&#62;"), "{page}");
        assert!(page.contains("data-student=\"stu_1\" data-mark=\"present\""), "{page}");
        assert!(!page.contains("<li>Alan Turing</li>"), "{page}");
        gateway.submit(&format!("{path}/close"), &cookie, "x=").await;
        let page = gateway.page(&path, &cookie).await.body;
        assert!(page.contains("data-status=\"closed\"") && page.contains("<li>Alan Turing</li>"), "{page}");
    });
}

#[test]
fn anothers_session_is_a_page_that_says_so() {
    with_gateway(configure, async |gateway| {
        let emmy = gateway.cookie("emmy").await;
        let page = gateway.page("/sessions/ses_1", &emmy).await;
        assert_eq!(page.status, 404);
        assert!(page.header("content-type").unwrap().starts_with("text/html"));
        let open = gateway.submit("/sessions/ses_1/open", &emmy, "x=").await;
        assert_eq!(open.status, 403);
        let grace = gateway.cookie("grace").await;
        assert_eq!(gateway.page("/sessions/ses_1", &grace).await.status, 403);
        let today = gateway.page("/today", &grace).await.body;
        assert!(today.contains("Numbers") && !today.contains("href=\"/sessions/"), "{today}");
    });
}

#[test]
fn an_address_that_leads_nowhere_is_a_page_for_browsers_and_a_refusal_for_programs() {
    with_gateway(configure, async |gateway| {
        let html = [("accept", "text/html,application/xhtml+xml;q=0.9")];
        for path in ["/sesions", "/api/v1/nothing", "/%3Cb%3E"] {
            let page = request(gateway.address, &format!("GET {path}"), &html, "").await;
            assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
            assert!(page.body.contains("href=\"/\"") && !page.body.contains("<b>"), "{}", page.body);
            let refused = gateway.page(path, "").await;
            assert_eq!((refused.status, refused.problem().as_str()), (404, "not_found"));
        }
    });
}

#[test]
fn pages_are_framed_by_nobody_and_run_no_script_but_ours() {
    with_gateway(configure, async |gateway| {
        let page = gateway.page("/login", "").await;
        let policy = page.header("content-security-policy").unwrap();
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(page.header("referrer-policy"), Some("same-origin"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(!page.body.contains("style=\"") && !page.body.contains("onclick"), "{}", page.body);
    });
}

#[test]
fn a_file_that_a_browser_has_is_not_sent_again() {
    with_gateway(configure, async |gateway| {
        let page = gateway.page("/login", "").await.body;
        let (_, rest) = page.split_once("href=\"/static/rollcall.css").unwrap();
        let address = &format!("/static/rollcall.css{}", rest.split('"').next().unwrap());
        let file = gateway.page(address, "").await;
        assert_eq!(file.header("content-type"), Some("text/css; charset=utf-8"));
        assert!(file.header("cache-control").unwrap().contains("immutable"));
        let tag = file.header("etag").unwrap();
        let again = request(gateway.address, &format!("GET {address}"), &[("if-none-match", tag)], "").await;
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        let plain = gateway.page("/static/live.js", "").await;
        assert_eq!(plain.header("cache-control"), Some("no-cache"));
        assert_eq!(gateway.page("/static/none.js", "").await.status, 404);
    });
}

#[test]
fn a_session_that_is_still_open_stays_on_todays_page_over_midnight_and_a_closed_one_does_not() {
    with_gateway(configure, async |gateway| {
        let one = format!("/sessions/{ADAS_SESSION}");
        let shown = async || {
            // The old cookie has expired by then, so sign in anew.
            let cookie = gateway.cookie("ada").await;
            (gateway.page("/today", &cookie).await.body.contains(&one), cookie)
        };
        let (today, cookie) = shown().await;
        assert!(today);
        assert_eq!(gateway.submit(&format!("{one}/open"), &cookie, "").await.status, 303);
        gateway.clock.go_on(24 * 60);
        let (tomorrow, cookie) = shown().await;
        assert!(tomorrow, "it began yesterday and is still open");
        assert_eq!(gateway.submit(&format!("{one}/close"), &cookie, "").await.status, 303);
        assert!(!shown().await.0, "it was yesterday's and is over");
    });
}
