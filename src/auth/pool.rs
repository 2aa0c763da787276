//! A few threads for work that is dear on purpose, with a bounded queue before them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::hasher::HashError;

/// What those who are turned away are told to wait, in seconds.
const RETRY_AFTER_SECONDS: u64 = 1;

type Job = Box<dyn FnOnce() + Send>;

/// The pool. Its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct Pool {
    jobs: SyncSender<Job>,
    waiting: Arc<AtomicUsize>,
}

impl Pool {
    /// Starts the threads; none if the system gives none.
    pub(super) fn start(threads: usize, queue: usize) -> Option<Self> {
        let (jobs, receiver) = sync_channel::<Job>(queue.max(1));
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..threads.max(1) {
            let receiver = Arc::clone(&receiver);
            std::thread::Builder::new()
                .name(format!("hasher-{number}"))
                .spawn(move || work(&receiver))
                .ok()?;
        }
        Some(Self { jobs, waiting: Arc::default() })
    }

    /// Runs the work on one of the threads.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Arc::clone(&self.waiting);
        waiting.fetch_add(1, Ordering::Relaxed);
        let job: Job = Box::new(move || {
            waiting.fetch_sub(1, Ordering::Relaxed);
            // Whoever asked may have gone: before, and then the work is spared; or meanwhile.
            if !answer.is_closed() {
                let _ = answer.send(work());
            }
        });
        if let Err(refused) = self.jobs.try_send(job) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(match refused {
                TrySendError::Full(_) => HashError::Busy { retry_after_seconds: RETRY_AFTER_SECONDS },
                TrySendError::Disconnected(_) => HashError::Fault,
            });
        }
        answered.await.map_err(|_| HashError::Fault)
    }

    /// How many jobs wait.
    pub(super) fn queue_length(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // A job that panics takes its asker's answer with it, and nothing else.
        let _ = catch_unwind(AssertUnwindSafe(job));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_full_queue_turns_away_and_a_panic_kills_nobody() {
        let pool = Arc::new(Pool::start(1, 1).unwrap());
        let (started, is_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    started.send(()).unwrap();
                    released.recv().unwrap();
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || is_started.recv().unwrap()).await.unwrap();
        let second = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move { pool.run(|| panic!("a job of ours has a bug")).await }
        });
        while pool.queue_length() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(pool.run(|| 1).await, Err(HashError::Busy { retry_after_seconds: RETRY_AFTER_SECONDS }));
        release.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(second.await.unwrap(), Err::<(), _>(HashError::Fault));
        assert_eq!(pool.run(|| 2).await, Ok(2));
    }

    #[tokio::test]
    async fn nothing_is_done_for_those_who_have_gone() {
        let pool = Pool::start(1, 2).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let (did, done) = mpsc::channel();
        let mut first = Box::pin(pool.run(move || released.recv().unwrap()));
        let mut gone = Box::pin(pool.run(move || did.send(()).unwrap()));
        std::future::poll_fn(|context| {
            assert!(first.as_mut().poll(context).is_pending(), "it waits to be released");
            assert!(gone.as_mut().poll(context).is_pending(), "it waits behind the first");
            std::task::Poll::Ready(())
        })
        .await;
        drop(gone);
        release.send(()).unwrap();
        assert_eq!(first.await, Ok(()));
        assert_eq!(pool.run(|| 3).await, Ok(3));
        assert!(done.recv().is_err(), "the second job was dropped without being done");
    }
}
