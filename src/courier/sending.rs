//! The thread that sends. What goes to other people's servers is done beside the threads that answer clients, and after
//! them: where processors are scarce, payments come first.

use std::future::poll_fn;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How much later than others the kernel lets it run: about a tenth of a processor is its own whatever happens.
const NICENESS: i32 = 10;
/// How long it rests after each step of an attempt. Being nice is not enough: the kernel lets whoever runs go on for
/// milliseconds before others that wake up, and what is handed out together is many steps.
const REST: Duration = Duration::from_micros(1);

/// The thread's runtime. The thread ends when this is dropped, and what it was sending with it.
#[derive(Debug)]
pub(super) struct Sending {
    runtime: Handle,
    /// None if there is no thread, and the one that answers clients sends.
    rest: Option<Duration>,
    _until: oneshot::Sender<()>,
}

impl Sending {
    /// Starts the thread. Where the system has none, whoever starts it sends himself.
    pub(super) fn start() -> Self {
        let (until, ended) = oneshot::channel();
        let started = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            let handle = runtime.handle().clone();
            std::thread::Builder::new().name("courier".to_owned()).spawn(move || {
                // Of the thread alone. Where that is not allowed it sends at the pace of the others.
                let _ = rustix::process::setpriority_process(None, NICENESS);
                // Nobody tells it anything but the end.
                let _ = runtime.block_on(ended);
                runtime.shutdown_background();
            })?;
            Ok(handle)
        });
        let (runtime, rest) = match started {
            Ok(runtime) => (runtime, Some(REST)),
            Err(error) => {
                tracing::warn!(%error, "webhooks have no thread of their own: {error}");
                (Handle::current(), None)
            }
        };
        Self { runtime, rest, _until: until }
    }

    /// Runs something there; none if the thread ended before.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (mut work, rest) = (Box::pin(work), self.rest);
        let in_steps = poll_fn(move |context| {
            let step = work.as_mut().poll(context);
            rest.into_iter().for_each(std::thread::sleep);
            step
        });
        self.runtime.spawn(in_steps).await.ok()
    }
}
