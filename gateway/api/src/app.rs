//! How the routes hang together, and what holds for all of them.
//!
//! Promises: a path works with and without a slash at its end; what nothing answers is refused in the
//! form of every other refusal; every request is answered in time, and counted and timed under its route,
//! never under its path.
//!
//! Refuses: listening, and pages. [`app`] is handed both.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{AppService, HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Data, FormConfig, JsonConfig, PathConfig, QueryConfig, ServiceConfig};
use actix_web::{App, Error, FromRequest, Handler, HttpRequest, Resource, Responder, guard};

use crate::deadline::in_time;
use crate::handles::Api;
use crate::problem::{bad_form, bad_json, bad_path, bad_query, no_such_method, no_such_route};
use crate::{health, sessions, sign_in, ws};

/// Larger bodies are refused; uploads get a limit of their own where they are taken.
const LARGEST_JSON: usize = 256 * 1024;

/// The whole of what a server on the HTTP port answers: this API, and the pages that `pages` adds.
///
/// What neither answers is refused, unless `pages` has a default service of its own.
///
/// Call it once for each of the server's workers; all share `api`.
pub fn app(
    api: Api,
    pages: impl FnOnce(&mut ServiceConfig),
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(Data::new(api))
        .app_data(JsonConfig::default().limit(LARGEST_JSON).error_handler(|error, _| bad_json(&error).into()))
        .app_data(FormConfig::default().error_handler(|error, _| bad_form(&error).into()))
        .app_data(QueryConfig::default().error_handler(|error, _| bad_query(&error).into()))
        .app_data(PathConfig::default().error_handler(|_, request| bad_path(request).into()))
        .default_service(web::to(no_such_route))
        .configure(configure)
        .configure(pages)
        .wrap(from_fn(measure))
        .wrap(from_fn(in_time))
}

fn configure(config: &mut ServiceConfig) {
    sign_in::configure(config);
    sessions::configure(config);
    health::configure(config);
    ws::configure(config);
}

/// What answers at `path`, with or without a slash at its end; methods it does not know are refused.
pub fn at(path: &str) -> At {
    let path = path.trim_end_matches('/');
    At { resource: web::resource([path.to_owned(), format!("{path}/")]), methods: Vec::new() }
}

/// One path and the methods that it answers.
pub struct At {
    resource: Resource,
    methods: Vec<&'static str>,
}

impl At {
    /// Answers GET, and HEAD as far as its head goes.
    #[must_use]
    pub fn get<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let At { resource, mut methods } = self;
        methods.extend(["GET", "HEAD"]);
        let reads = guard::Any(guard::Get()).or(guard::Head());
        At { resource: resource.route(web::route().guard(reads).to(handler)), methods }
    }

    #[must_use]
    pub fn post<F, Args>(self, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let At { resource, mut methods } = self;
        methods.push("POST");
        At { resource: resource.route(web::post().to(handler)), methods }
    }
}

impl HttpServiceFactory for At {
    fn register(self, config: &mut AppService) {
        let allowed = self.methods.join(", ");
        let refuse = move |request: HttpRequest| {
            let refused = no_such_method(&request, &allowed);
            async move { refused }
        };
        self.resource.default_service(web::to(refuse)).register(config);
    }
}

/// Counts and times a request.
async fn measure(
    api: Data<Api>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = api.clock().monotonic();
    let method = known(request.method());
    let mut response = next.call(request).await?.map_into_boxed_body();
    protect(response.headers_mut());
    let route = response.request().match_pattern();
    let route = route.as_deref().map_or("unmatched", |route| route.trim_end_matches('/'));
    let route = if route.is_empty() { "/" } else { route };
    let took = api.clock().monotonic().saturating_sub(began);
    api.metrics().answered(route, method, response.status().as_u16(), took);
    Ok(response)
}

/// Tells browsers to keep no answer that does not say otherwise and not to guess at what it is.
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

/// A method as a label: whatever a client makes up is one and the same.
pub(crate) fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}
