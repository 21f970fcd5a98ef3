//! The connection to etcd: made when it is needed, and anew when it has failed.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::Client;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::fault::Failure;
use super::options::{BadOptions, ConnectOptions};
use crate::directory::chain;

/// How long one question may take, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The largest message that is read: a page of the largest values there can be.
const MAX_MESSAGE: usize = 256 << 20;

/// A connection that its clones share.
#[derive(Clone)]
pub(super) struct Session {
    options: Arc<ConnectOptions>,
    client: Arc<Mutex<Option<Client>>>,
}

impl Session {
    pub(super) fn new(options: ConnectOptions) -> Result<Self, BadOptions> {
        options.check()?;
        // What is wrong with them is said now, and not each time.
        options.credentials()?;
        Ok(Self {
            options: Arc::new(options),
            client: Arc::default(),
        })
    }

    /// The user that is asked for, for messages.
    pub(super) fn user(&self) -> Option<&str> {
        self.options.user.as_ref().map(|(name, _)| name.as_str())
    }

    /// Asks, with a limit. A question may be put twice: its first answer may have been lost.
    pub(super) async fn ask<T, F>(&self, question: impl Fn(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let attempts = async {
            let mut left = self.options.urls.len();
            loop {
                let client = self.client().await?;
                match question(client).await.map_err(|error| Failure::of(&error)) {
                    // The next member may be there.
                    Err(Failure::Unavailable(_)) if left > 0 => left -= 1,
                    Err(failure @ Failure::Unknown(_)) => {
                        self.forget().await;
                        return Err(failure);
                    }
                    outcome => return outcome,
                }
            }
        };
        let late = |_| Failure::Unavailable(format!("nothing within {ANSWER_WITHIN:?}"));
        timeout(ANSWER_WITHIN, attempts).await.map_err(late)?
    }

    /// Lets the next question make a connection anew, with the files as they are then.
    pub(super) async fn forget(&self) {
        *self.client.lock().await = None;
    }

    async fn client(&self) -> Result<Client, Failure> {
        let mut held = self.client.lock().await;
        if let Some(client) = held.as_ref() {
            return Ok(client.clone());
        }
        let credentials = self.options.credentials();
        let credentials = credentials.map_err(|error| Failure::Unavailable(chain(&error)))?;
        let options = credentials.into_client_options();
        let client = Client::connect(&self.options.urls, Some(options)).await;
        let client = client.map_err(|error| Failure::of(&error))?;
        *held = Some(client.clone());
        Ok(client)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// The part of a client that reads and writes keys.
pub(super) fn keys(client: &Client) -> etcd_client::KvClient {
    client.kv_client().max_decoding_message_size(MAX_MESSAGE)
}

/// The part of a client that watches.
pub(super) fn watches(client: &Client) -> etcd_client::WatchClient {
    client.watch_client().max_decoding_message_size(MAX_MESSAGE)
}
