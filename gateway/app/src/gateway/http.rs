//! The HTTP server.
//!
//! Promises: it listens before it says so; it stops within a second, with requests under way answered; it
//! has so many connections at once and no more.

use std::net::{SocketAddr, TcpListener};

use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use anyhow::{Context as _, Result};
use rollcall_api::Api;

use super::listen::cannot_listen;
use super::websocket::{self, Sockets};

const WORKERS: usize = 2;
const STOP_SECONDS: u64 = 1;
/// Connections that a worker has at once; further ones wait until one of them ends.
const CONNECTIONS: usize = 1_024;

/// The server, and the address it really has.
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    api: Api,
    server: ServerHandle,
}

impl Http {
    /// Starts the server on the current system.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub(crate) fn start(api: Api, sockets: Sockets, listen: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(listen)
            .map_err(|error| cannot_listen(listen, "pages", "http.listen", &error))?;
        let address = listener.local_addr().context("cannot tell the address of the pages")?;
        let served = api.clone();
        let app = move || {
            let sockets = sockets.clone();
            rollcall_api::app(served.clone(), |config| {
                rollcall_dashboards::configure(config);
                websocket::configure(config, sockets);
            })
        };
        let server = HttpServer::new(app)
            .workers(WORKERS)
            .max_connections(CONNECTIONS)
            .disable_signals()
            .shutdown_timeout(STOP_SECONDS)
            .listen(listener)
            .with_context(|| format!("cannot serve pages on {address}"))?
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the HTTP server ended; restart the gateway");
            }
        });
        Ok(Http { address, api, server: handle })
    }

    pub(crate) async fn stop(self) {
        self.api.stop();
        self.server.stop(true).await;
    }
}
