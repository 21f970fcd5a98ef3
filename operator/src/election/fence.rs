//! Lets writes through while this operator holds the lease, and no later.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use api::{Key, StatusPatch, Version};
use serde_json::Value;
use store::{Applied, Objects, Statuses, WriteError};
use tokio::sync::Notify;

use super::clock;
use super::terms::Terms;

/// One term's right to write. It ends by itself, and does not come back.
///
/// A write starts only before the end that the last renewal gave, and is given up after
/// [`Terms::write_limit`], which is before the lease can be another's. The clock is looked at whenever
/// a write takes a step, so that a process that was frozen sends nothing it had prepared before.
#[derive(Clone, Debug)]
pub struct Fence {
    shared: Arc<Shared>,
    limit: Duration,
}

/// Writers behind a fence.
#[derive(Clone, Debug)]
pub struct Fenced<W> {
    writer: W,
    fence: Fence,
}

#[derive(Debug, Default)]
struct Shared {
    /// Until when writes may start, in milliseconds of the clock; zero if none may be under way.
    until: AtomicU64,
    under_way: AtomicUsize,
    /// Told when nothing is under way any more.
    idle: Notify,
    /// When a write ended last of which it is not known whether it was done; zero if none did.
    uncertain: AtomicU64,
}

/// A write under way. One that is dropped before its end may have been done.
struct Passage<'a> {
    shared: &'a Shared,
    certain: bool,
}

impl Fence {
    /// A term that begins now.
    pub(crate) fn new(terms: &Terms, until: Duration) -> Self {
        let fence = Self {
            shared: Arc::default(),
            limit: terms.write_limit(),
        };
        fence.extend(until);
        fence
    }

    /// Writes may start until then.
    pub(crate) fn extend(&self, until: Duration) {
        self.shared.until.store(millis(until), Ordering::Release);
    }

    /// No write starts any more, and what is under way is given up at its next step.
    pub(crate) fn close(&self) {
        self.shared.until.store(0, Ordering::Release);
    }

    /// No write starts any more; what is under way goes on. Waits until that has ended.
    pub(crate) async fn drained(&self) {
        self.extend(Duration::ZERO);
        loop {
            let mut idle = pin!(self.shared.idle.notified());
            // Before looking, so that none is missed.
            idle.as_mut().enable();
            if self.shared.under_way.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }

    /// Whether nothing is under way, and of everything it is known whether it was done: another may
    /// begin. What is not known is over after a lease's duration.
    pub(crate) fn is_certain(&self, terms: &Terms) -> bool {
        let uncertain = self.shared.uncertain.load(Ordering::Acquire);
        let is_over = || millis(clock::now()).saturating_sub(uncertain) > millis(terms.lease());
        let is_idle = self.shared.under_way.load(Ordering::Acquire) == 0;
        is_idle && (uncertain == 0 || is_over())
    }

    /// Whether both are of one term.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Puts a writer behind the fence.
    pub fn around<W>(&self, writer: W) -> Fenced<W> {
        Fenced {
            writer,
            fence: self.clone(),
        }
    }

    /// Whether a write may start.
    pub(crate) fn is_open(&self) -> bool {
        millis(clock::now()) < self.shared.until.load(Ordering::Acquire)
    }

    /// Carries out a write as far as the fence lets it.
    ///
    /// # Errors
    /// [`WriteError::Unavailable`] if this operator does not lead, or not for long enough.
    pub async fn pass<T>(
        &self,
        write: impl Future<Output = Result<T, WriteError>>,
    ) -> Result<T, WriteError> {
        if !self.is_open() {
            return Err(shut());
        }
        let deadline = clock::now() + self.limit;
        let mut passage = Passage::begin(&self.shared);
        let mut late = pin!(tokio::time::sleep(self.limit));
        let mut write = pin!(write);
        let result = poll_fn(|context| {
            let is_closed = self.shared.until.load(Ordering::Acquire) == 0;
            if is_closed || clock::now() >= deadline {
                return Poll::Ready(Err(shut()));
            }
            if let Poll::Ready(result) = write.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            late.as_mut().poll(context).map(|()| Err(shut()))
        })
        .await;
        passage.certain = !matches!(result, Err(WriteError::Unavailable(_)));
        result
    }
}

impl<W: Statuses> Statuses for Fenced<W> {
    async fn write(&self, key: Key, seen: Version, status: StatusPatch) -> Result<(), WriteError> {
        let write = self.writer.write(key, seen, status);
        self.fence.pass(write).await
    }
}

impl<W: Objects> Objects for Fenced<W> {
    async fn apply(&self, manifest: &Value) -> Result<Applied, WriteError> {
        self.fence.pass(self.writer.apply(manifest)).await
    }

    async fn delete(&self, key: &Key) -> Result<bool, WriteError> {
        self.fence.pass(self.writer.delete(key)).await
    }
}

impl<'a> Passage<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.under_way.fetch_add(1, Ordering::AcqRel);
        let certain = false;
        Self { shared, certain }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if !self.certain {
            let now = millis(clock::now());
            self.shared.uncertain.fetch_max(now, Ordering::AcqRel);
        }
        if self.shared.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.idle.notify_waiters();
        }
    }
}

fn shut() -> WriteError {
    WriteError::Unavailable("this operator does not hold the lease for long enough".to_owned())
}

/// Zero is kept for "never".
fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const LONG: Duration = Duration::from_secs(3600);

    fn short() -> Terms {
        let millis = Duration::from_millis;
        Terms::new(millis(1000), millis(800), millis(10)).expect("times that fit")
    }

    fn open() -> Fence {
        Fence::new(&short(), clock::now() + LONG)
    }

    #[tokio::test]
    async fn a_write_passes_while_the_term_lasts() {
        let fence = open();

        let result = fence.pass(ready(Ok(7))).await;

        assert_eq!(result, Ok(7));
        assert!(fence.is_certain(&short()));
    }

    #[tokio::test]
    async fn no_write_starts_once_the_term_is_over() {
        let fence = Fence::new(&short(), clock::now());

        let result = fence.pass(async { panic!("it started") }).await;

        assert_eq!(result, Err::<(), _>(shut()));
        // It did not start, so nothing about it is uncertain.
        assert!(fence.is_certain(&short()));
    }

    #[tokio::test]
    async fn a_write_that_takes_too_long_is_given_up_and_uncertain() {
        let fence = open();

        let result = fence.pass(pending::<Result<(), _>>()).await;

        assert_eq!(result, Err(shut()));
        assert!(!fence.is_certain(&short()));
    }

    #[tokio::test]
    async fn what_is_under_way_ends_before_the_lease_is_given_back() {
        let fence = open();
        let (send, receive) = tokio::sync::oneshot::channel();
        let write = fence.pass(async { receive.await.map_err(|_| WriteError::Gone) });

        let (result, (), ()) = tokio::join!(biased; write, fence.drained(), async {
            assert_eq!(fence.pass(ready(Ok(()))).await, Err(shut()));
            assert!(!fence.is_certain(&short()));
            send.send(7).expect("it waits");
        });

        assert_eq!(result, Ok(7));
        assert!(fence.is_certain(&short()));
    }

    #[tokio::test]
    async fn a_write_takes_no_further_step_after_the_term_was_ended() {
        let fence = open();
        let (send, receive) = tokio::sync::oneshot::channel();
        let write = async {
            receive.await.expect("it is sent");
            panic!("it took a step")
        };

        let (result, ()) = tokio::join!(biased; fence.pass(write), async {
            fence.close();
            send.send(()).expect("it waits");
        });

        assert_eq!(result, Err::<(), _>(shut()));
        assert!(!fence.is_certain(&short()));
    }

    #[tokio::test]
    async fn a_write_that_is_dropped_may_have_been_done() {
        let fence = open();
        let write = async {
            tokio::select! {
                biased;
                _ = fence.pass(pending::<Result<(), _>>()) => {}
                () = ready(()) => {}
            }
        };

        write.await;

        assert!(!fence.is_certain(&short()));
    }

    #[tokio::test]
    async fn a_refusal_is_certain() {
        let fence = open();

        for error in [
            WriteError::Conflict,
            WriteError::Gone,
            WriteError::Forbidden("no".into()),
        ] {
            assert_eq!(
                fence.pass(ready(Err::<(), _>(error.clone()))).await,
                Err(error)
            );
        }

        assert!(fence.is_certain(&short()));
    }
}
