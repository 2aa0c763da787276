//! The flusher: a thread that makes durable beside the writer what the writer did not wait for, so that no payment's fsync
//! has it to do.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use super::connect;

/// Its thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Flusher(SyncSender<()>);

impl Flusher {
    /// Starts the thread, for the ledger in that folder.
    pub(super) fn start(folder: &Path) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(1);
        let log = connect::log(folder);
        std::thread::Builder::new().name("flusher".into()).spawn(move || {
            while receiver.recv() == Ok(()) {
                // Opened anew each time: another file may have taken its place. Nothing counts on this; a disk that fails
                // tells the writer, too, at the next sync of its own.
                if let Err(error) = File::open(&log).and_then(|log| log.sync_data()) {
                    tracing::debug!(%error, "the log could not be flushed: {error}");
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Lets it flush what is written by now, once more if it is at it.
    pub(super) fn wake(&self) {
        // Where one call waits already, that one serves this, too.
        let _ = self.0.try_send(());
    }
}
