//! The flusher: a thread that does beside the writer what the disk need not do while a payment waits.
//!
//! It makes durable what the writer did not wait for, and brings what the log holds into the file. A log that is in the file
//! whole, and that nobody adds to meanwhile, begins anew with the next commit; under a load that never pauses the writer
//! brings in the rest itself, once the log is at its longest. Nothing counts on this thread: a disk that fails tells the
//! writer, too, at the next sync of its own.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;

use super::connect;
use super::fault::Fault;
use crate::store::OpenError;

/// Pages of the log that go into the file beside the writer: 64 MiB. Pages that were written often go into the file once,
/// so that seldom is less altogether.
const PAGES: i32 = 16_384;
/// How many more there must be until the next time, if the log did not begin anew.
const MORE_PAGES: i32 = 1_024;
/// Pages of the log after which the writer waits until they are in the file: 96 MiB.
const MOST_PAGES: i32 = 24_576;
/// How often one call goes after what was added while it worked.
const ATTEMPTS: usize = 4;

/// The log of the writer's connection.
#[derive(Debug)]
pub(super) struct Log {
    /// How many pages it has.
    pages: Arc<AtomicI32>,
    /// At how many they go into the file the next time.
    next: i32,
}

impl Log {
    /// Watches the connection's commits.
    pub(super) fn of(connection: &mut Connection) -> Result<Self, Fault> {
        let pages = Arc::<AtomicI32>::default();
        let kept = Arc::clone(&pages);
        connection.wal_hook(Some(move |log: &mut rusqlite::hooks::Wal, pages| {
            kept.store(pages, Ordering::Relaxed);
            if pages >= MOST_PAGES {
                // Where it fails, the next commit tries it again.
                let _ = log.checkpoint();
            }
            Ok(())
        }))?;
        Ok(Self { pages, next: PAGES })
    }

    /// Whether it is time to bring it into the file; once for each time.
    pub(super) fn is_due(&mut self) -> bool {
        let pages = self.pages.load(Ordering::Relaxed);
        let is_due = pages >= self.next;
        self.next = if is_due {
            pages.saturating_add(MORE_PAGES)
        } else if pages < PAGES {
            PAGES
        } else {
            self.next
        };
        is_due
    }
}

/// Its thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Flusher {
    waker: Option<SyncSender<()>>,
    is_due: Arc<AtomicBool>,
    /// Held while the file is open.
    open: Arc<Mutex<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread, for the ledger in that folder.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let (waker, wakes) = sync_channel(1);
        let (is_due, open) = (Arc::<AtomicBool>::default(), Arc::<Mutex<()>>::default());
        let (asked, opened, folder) = (Arc::clone(&is_due), Arc::clone(&open), folder.to_owned());
        let thread = std::thread::Builder::new().name("flusher".into()).spawn(move || {
            while wakes.recv() == Ok(()) {
                let _open = opened.lock().unwrap_or_else(PoisonError::into_inner);
                let done =
                    if asked.swap(false, Ordering::Relaxed) { bring_in(&folder) } else { sync(&folder) };
                if let Err(error) = done {
                    tracing::debug!(%error, "the log could not be flushed: {error}");
                }
            }
        })?;
        Ok(Self { waker: Some(waker), is_due, open, thread: Some(thread) })
    }

    /// Lets it flush what is written by now, once more if it is at it.
    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            // Where one call waits already, that one serves this, too.
            let _ = waker.try_send(());
        }
    }

    /// Lets it bring into the file what is written by now; what is in there is durable.
    pub(super) fn bring_in(&self) {
        self.is_due.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Keeps it away from the files for as long as this is held.
    pub(super) fn keep_off(&self) -> MutexGuard<'_, ()> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.waker = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The files are opened anew each time: others may have taken their places.
fn sync(folder: &Path) -> Result<(), OpenError> {
    let synced = File::open(connect::log(folder)).and_then(|log| log.sync_data());
    synced.map_err(|error| OpenError::Unusable(error.to_string()))
}

fn bring_in(folder: &Path) -> Result<(), OpenError> {
    let connection = connect::beside(folder)?;
    for _ in 0..ATTEMPTS {
        let (pages, brought_in): (i64, i64) =
            connection
                .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get(1)?, row.get(2)?)))?;
        if pages == brought_in {
            break;
        }
    }
    Ok(())
}
