//! Point reads, gathered as commands are: what is asked at the same moment goes to the database as one query over an
//! array, so that a look-up per request costs little more than one per batch.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::fault::Fault;
use crate::store::StoreError;

/// The most look-ups in one query.
const MAX_BATCH: usize = 256;
/// Look-ups that may wait before more are turned away.
const QUEUE: usize = 4_096;

type Asked<K, V> = (K, oneshot::Sender<Result<Option<V>, StoreError>>);

/// Look-ups of one kind.
#[derive(Debug)]
pub(super) struct Lookups<K, V> {
    queue: mpsc::Sender<Asked<K, V>>,
}

impl<K, V> Lookups<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Starts the task that asks, on the current runtime.
    pub(super) fn start<R, F>(shared: Arc<Shared>, read: R) -> Self
    where
        R: Fn(Arc<Shared>, Vec<K>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<HashMap<K, V>, Fault>> + Send,
    {
        let (queue, mut asked) = mpsc::channel::<Asked<K, V>>(QUEUE);
        tokio::spawn(async move {
            let mut waiting = Vec::new();
            while asked.recv_many(&mut waiting, MAX_BATCH).await > 0 {
                // The first asker's neighbours, who are ready as well, come before the question goes out.
                tokio::task::yield_now().await;
                while waiting.len() < MAX_BATCH
                    && let Ok(another) = asked.try_recv()
                {
                    waiting.push(another);
                }
                let keys = waiting.iter().map(|(key, _)| key.clone()).collect();
                let found = read(Arc::clone(&shared), keys).await.map_err(StoreError::from);
                for (key, answer) in waiting.drain(..) {
                    let result = match &found {
                        Ok(found) => Ok(found.get(&key).cloned()),
                        Err(error) => Err(error.clone()),
                    };
                    // Whoever asked may have gone.
                    let _ = answer.send(result);
                }
            }
        });
        Self { queue }
    }

    /// Asks for one.
    pub(super) async fn find(&self, key: K) -> Result<Option<V>, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.queue.try_send((key, answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Unavailable("closed".into()),
        })?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a look-up failed".into())))
    }
}
