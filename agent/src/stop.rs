//! When the agent is asked to end.

use tokio::signal::unix::{SignalKind, signal};

/// Waits until SIGTERM or SIGINT has come. Any number of callers hear of the same signal.
pub(crate) async fn requested() {
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    match (terminate, interrupt) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be heard; end the agent with SIGKILL");
            std::future::pending::<()>().await;
        }
    }
}
