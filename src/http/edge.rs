//! What stands between the network and the routes: proxies that are believed, sites that are let in, how long things may
//! take and how large they may be.

use std::time::Duration;

use super::cors::Origins;
use super::proxy::Proxies;
use crate::config::Settings;

/// Everything that is set about the way in.
#[derive(Debug, Clone, Default)]
pub struct Edge {
    /// The proxies in front.
    pub proxies: Proxies,
    /// The sites whose scripts may call.
    pub origins: Origins,
    /// Whether clients come by https over our own connections.
    pub has_tls: bool,
    /// How long and how large.
    pub bounds: Bounds,
}

/// How long things may take and how large they may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Connections at once; more wait in the kernel's queue.
    pub connections: usize,
    /// Connections at once from one address; more are closed.
    pub connections_per_address: usize,
    /// How long a request's head may take from its first byte; a handshake of TLS, too.
    pub head_timeout: Duration,
    /// How long a body may take.
    pub body_timeout: Duration,
    /// How long a connection may wait for its next request.
    pub idle_timeout: Duration,
    /// How long a client may take nothing of an answer.
    pub write_timeout: Duration,
    /// How large a head may be.
    pub head_bytes: usize,
}

impl Edge {
    /// What the settings say.
    pub fn new(settings: &Settings) -> Self {
        let server = &settings.server;
        Self {
            proxies: Proxies { trusted: server.trusted_proxies.clone(), header: server.proxy_header },
            origins: settings.cors.origins.clone(),
            has_tls: settings.tls.certificate.is_some(),
            bounds: Bounds {
                connections: server.connections,
                connections_per_address: server.connections_per_address,
                head_timeout: Duration::from_secs(server.head_timeout_seconds),
                body_timeout: Duration::from_secs(server.body_timeout_seconds),
                idle_timeout: Duration::from_secs(server.idle_timeout_seconds),
                write_timeout: Duration::from_secs(server.write_timeout_seconds),
                head_bytes: server.head_bytes,
            },
        }
    }

    /// The same for a listener that shows metrics alone: scrapers come as they are.
    #[must_use]
    pub fn for_metrics(&self) -> Self {
        Self { bounds: self.bounds, ..Self::default() }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Edge::new(&Settings::default()).bounds
    }
}
