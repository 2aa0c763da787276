//! Readers: a few threads, each with its own read-only connection, so that reads neither wait for the writer nor block
//! the threads that serve.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::connect;
use super::fault::Fault;
use crate::store::{Answer, OpenError, StoreError};

/// Reads that may wait before more are turned away.
const QUEUE: usize = 4_096;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// The pool.
#[derive(Debug)]
pub(super) struct Readers {
    jobs: Mutex<Option<SyncSender<Job>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Counts how often another file took the place of the ledger's.
    generation: Arc<AtomicU64>,
}

impl Readers {
    /// Opens `count` connections and starts their threads.
    pub(super) fn start(folder: &Path, count: usize) -> Result<Self, OpenError> {
        let (sender, receiver) = sync_channel::<Job>(QUEUE);
        let receiver = Arc::new(Mutex::new(receiver));
        let generation = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::new();
        for number in 0..count.max(1) {
            let connection = connect::reader(folder)?;
            let receiver = Arc::clone(&receiver);
            let name = format!("reader-{number}");
            let place = Place { folder: folder.to_owned(), generation: Arc::clone(&generation) };
            let spawned =
                std::thread::Builder::new().name(name).spawn(move || serve(connection, &place, &receiver));
            threads.push(
                spawned.map_err(|error| OpenError::Unusable(format!("cannot start a thread: {error}")))?,
            );
        }
        Ok(Self { jobs: Mutex::new(Some(sender)), threads: Mutex::new(threads), generation })
    }

    /// Runs a read on one of the connections.
    pub(super) fn read<'a, T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    ) -> Answer<'a, T> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // Whoever asked may have gone.
            let _ = answer.send(read(connection).map_err(StoreError::from));
        });
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Err(StoreError::Unavailable("closed".into())),
            Some(jobs) => jobs.try_send(job).map_err(|error| match error {
                TrySendError::Full(_) => StoreError::Overloaded,
                TrySendError::Disconnected(_) => StoreError::Unavailable("no reader is left".into()),
            }),
        };
        Box::pin(async move {
            sent?;
            answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a read failed".into())))
        })
    }

    /// The next read of each thread opens the ledger's file anew.
    pub(super) fn reopen(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Ends the threads once what waits is read.
    pub(super) fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        for thread in self.threads.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = thread.join();
        }
    }
}

/// Where a thread reads, and which of the files that were there.
struct Place {
    folder: PathBuf,
    generation: Arc<AtomicU64>,
}

fn serve(mut connection: Connection, place: &Place, jobs: &Mutex<Receiver<Job>>) {
    let mut opened = place.generation.load(Ordering::SeqCst);
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        let newest = place.generation.load(Ordering::SeqCst);
        if newest != opened {
            match connect::reader(&place.folder) {
                Ok(reopened) => (connection, opened) = (reopened, newest),
                // Nothing is read from a file that is the ledger's no more; whoever asked is told that the read failed.
                Err(error) => {
                    tracing::error!(%error, "a reader cannot open the ledger anew: {error}");
                    continue;
                }
            }
        }
        // A read that panics takes its asker's answer with it, and nothing else.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&connection)));
    }
}
