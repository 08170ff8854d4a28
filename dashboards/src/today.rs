//! `/` and `/today`: the day's sessions of whoever is signed in.
//!
//! Promises: what is on now is first; opening is one click.

use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use rollcall_api::sessions::{Filter, SessionView, find};
use rollcall_api::sign_in::SignedIn;
use rollcall_api::{Api, Problem, access, at};
use rollcall_domain::permission::Action;

use crate::page::{Frame, answer, clock_of, go_to, sees_registers, show};

/// More than any one person has in a day; an admin of a large campus sees the first of them.
const MOST: usize = 200;

pub(crate) fn configure(config: &mut ServiceConfig) {
    config.service(at("/").get(home));
    config.service(at("/today").get(today));
}

#[derive(Template)]
#[template(path = "today.html")]
struct TodayPage {
    frame: Frame,
    date: String,
    cards: Vec<Card>,
    more: usize,
}

/// A session as the list shows it.
struct Card {
    id: String,
    title: String,
    code: String,
    label: String,
    place: Option<String>,
    teacher: Option<String>,
    from: String,
    to: String,
    status: &'static str,
    here: u32,
    total: u32,
    /// The caller may look into its register.
    links: bool,
    opens: bool,
}

async fn home(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    let who = SignedIn::of(&api, &request);
    answer(&api, &request, who.map(|_| go_to("/today")))
}

async fn today(api: Data<Api>, request: HttpRequest) -> HttpResponse {
    answer(&api, &request, page(&api, &request).await)
}

async fn page(api: &Api, request: &HttpRequest) -> Result<HttpResponse, Problem> {
    let who = SignedIn::of(api, request)?;
    let date = api.now().date(&api.options().zone);
    let filter = Filter { today: Some(date), take: MOST, ..Filter::default() };
    let found = find(api, &who, &filter).await?;
    let more = found.count - found.sessions.len().min(found.count);
    let cards = found.sessions.into_iter().map(|view| card(api, &who, view)).collect();
    let date = date.strftime("%A, %-d %B %Y").to_string();
    let frame = Frame::of(api, &who).await?;
    Ok(show(StatusCode::OK, &TodayPage { frame, date, cards, more }))
}

fn card(api: &Api, who: &SignedIn, view: SessionView) -> Card {
    let may_open = access::session_id(&view.id)
        .is_ok_and(|id| access::changing(api, who, (id, Action::OpenSession), |_, _| ()).is_ok());
    let class = view.course_section;
    Card {
        from: clock_of(api, &view.start_datetime),
        to: clock_of(api, &view.end_datetime),
        opens: may_open && view.status == "scheduled",
        links: sees_registers(who),
        title: class.as_ref().map_or_else(|| view.class.clone(), |class| class.name.clone()),
        code: class.map_or(view.class, |class| class.code),
        label: view.label,
        place: view.room.map(|room| room.name),
        teacher: view.faculty.map(|faculty| faculty.name),
        here: view.attendance_count,
        total: view.counts.total,
        status: view.status,
        id: view.id,
    }
}
