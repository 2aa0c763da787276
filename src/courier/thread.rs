//! The courier's own thread. What is done for other people's servers is done beside the threads that answer clients, and after
//! them: where processors are scarce, payments come first.

use std::future::poll_fn;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// How much later than others the kernel lets it run: about a tenth of a processor is its own whatever happens.
const NICENESS: i32 = 10;
/// How long it rests after each step of whatever it does. Being nice is not enough: the kernel lets whoever runs go on for
/// milliseconds before others that wake up, and what is handed out together is many steps.
const REST: Duration = Duration::from_micros(1);

/// Where things are run on the thread.
#[derive(Debug)]
pub(super) struct Own {
    runtime: Handle,
    /// None if there is no thread, and those that answer clients do its work.
    rest: Option<Duration>,
}

/// The thread's end, and that of whatever runs there: when this is dropped.
#[derive(Debug)]
pub(super) struct Until(#[expect(dead_code, reason = "only its end is waited for")] oneshot::Sender<()>);

/// Starts the thread. Where the system has none, whoever starts it does its work.
pub(super) fn start() -> (Own, Until) {
    let (until, ended) = oneshot::channel();
    let started = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name("courier".to_owned()).spawn(move || {
            // Of the thread alone. Where that is not allowed it runs at the pace of the others.
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
    (Own { runtime, rest }, Until(until))
}

impl Own {
    /// Runs something there.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let (mut work, rest) = (Box::pin(work), self.rest);
        self.runtime.spawn(poll_fn(move |context| {
            let step = work.as_mut().poll(context);
            rest.into_iter().for_each(std::thread::sleep);
            step
        }))
    }
}
