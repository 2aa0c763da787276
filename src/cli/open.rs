//! Opens the ledger that the settings name.

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::control::{ControlResponse, SecretText};
use super::lock::FolderLock;
use super::terminal::Failure;
use crate::config::Settings;
use crate::ledger::{Email, Role, User};

/// Stand-in.
#[derive(Debug, Clone)]
pub struct Teller;

/// How a ledger is opened.
#[derive(Debug)]
pub enum Access {
    /// For reading.
    Read,
    /// For writing, which takes the folder's lock.
    Write(FolderLock),
}

/// An open ledger.
#[derive(Debug)]
pub struct Ledger {
    runtime: Runtime,
    teller: Teller,
    _access: Access,
}

impl Ledger {
    /// Runs work to its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The door.
    pub fn teller(&self) -> &Teller {
        &self.teller
    }

    /// Makes durable what was accepted.
    pub fn close(self) {
        self.runtime.shutdown_background();
    }
}

/// Opens it.
pub fn ledger(settings: &Settings, access: Access) -> Result<Ledger, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.server.workers)
        .enable_all()
        .build()
        .map_err(|error| Failure::Database(error.to_string()))?;
    Ok(Ledger { runtime, teller: Teller, _access: access })
}

/// Starts the log.
pub fn start_log(_settings: &Settings) -> Result<(), Failure> {
    Ok(())
}

/// Serves.
pub async fn serve(
    _ledger: &Ledger,
    _listener: TcpListener,
    _settings: &Settings,
    stop: oneshot::Receiver<()>,
) -> Result<(), Failure> {
    let _ = stop.await;
    Ok(())
}

/// Lists.
pub async fn users(_teller: &Teller) -> Result<Vec<Arc<User>>, Failure> {
    Ok(Vec::new())
}

/// Makes.
pub async fn create_user(
    _teller: &Teller,
    email: Email,
    _name: Option<String>,
    role: Role,
    _password: SecretText,
) -> ControlResponse {
    ControlResponse::User { id: "usr_".to_owned(), email: email.to_string(), role: role.to_string() }
}

/// Verifies.
pub fn verify(_settings: &Settings, _json: bool) -> Result<(), Failure> {
    Ok(())
}
