//! Carries out health probes: a TCP connection, or one HTTP request.

use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use xdp_l4lb_core::desired::CheckKind;

/// Probes that run at a time: more wait for one of them to end.
const CONCURRENT: usize = 256;

/// Results that wait to be read; past it, probes wait with theirs.
const RESULTS: usize = 256;

/// One probe to carry out. `id` comes back with its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe<Id> {
    /// Whose it is.
    pub id: Id,
    /// What to connect to.
    pub to: SocketAddr,
    /// What to do.
    pub kind: CheckKind,
    /// How long it may take, from when it starts.
    pub timeout: Duration,
}

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No answer in time.
    #[error("timed out")]
    TimedOut,
    /// No connection.
    #[error("connecting: {0}")]
    Connect(String),
    /// Not HTTP, or cut short.
    #[error("reading the answer: {0}")]
    Http(String),
    /// An answer that is no success.
    #[error("status {0}")]
    Status(u16),
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeResult<Id> {
    /// Whose it is.
    pub id: Id,
    /// Success, or why not.
    pub outcome: Result<(), ProbeError>,
}

/// Runs probes as tasks; dropping it ends them.
#[derive(Debug)]
pub struct Prober<Id> {
    sources: Sources,
    places: Arc<Semaphore>,
    tasks: JoinSet<()>,
    done: mpsc::Sender<ProbeResult<Id>>,
    results: mpsc::Receiver<ProbeResult<Id>>,
}

/// Where probes come from, by family; the kernel's choice where not set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// For IPv4.
    pub v4: Option<std::net::Ipv4Addr>,
    /// For IPv6.
    pub v6: Option<std::net::Ipv6Addr>,
}

impl Sources {
    fn of(self, to: SocketAddr) -> Option<IpAddr> {
        match to {
            SocketAddr::V4(_) => self.v4.map(IpAddr::V4),
            SocketAddr::V6(_) => self.v6.map(IpAddr::V6),
        }
    }
}

impl<Id: Send + 'static> Prober<Id> {
    /// A prober without probes.
    #[must_use]
    pub fn new(sources: Sources) -> Self {
        let (done, results) = mpsc::channel(RESULTS);
        Self {
            sources,
            places: Arc::new(Semaphore::new(CONCURRENT)),
            tasks: JoinSet::new(),
            done,
            results,
        }
    }

    /// Starts a probe as soon as there is a place for it.
    pub fn start(&mut self, probe: Probe<Id>) {
        while self.tasks.try_join_next().is_some() {}
        let (places, done) = (Arc::clone(&self.places), self.done.clone());
        let source = self.sources.of(probe.to);
        self.tasks.spawn(async move {
            let Ok(_place) = places.acquire().await else {
                return;
            };
            let attempt = attempt(probe.to, source, &probe.kind);
            let outcome = timeout(probe.timeout, attempt)
                .await
                .unwrap_or(Err(ProbeError::TimedOut));
            let id = probe.id;
            // Nobody reads any more: the prober is being dropped.
            let _ = done.send(ProbeResult { id, outcome }).await;
        });
    }

    /// The next result. Cancel safe.
    pub async fn next(&mut self) -> Option<ProbeResult<Id>> {
        self.results.recv().await
    }
}

async fn attempt(
    to: SocketAddr,
    source: Option<IpAddr>,
    kind: &CheckKind,
) -> Result<(), ProbeError> {
    let stream = connect(to, source)
        .await
        .map_err(|error| ProbeError::Connect(error.to_string()))?;
    match kind {
        CheckKind::Tcp => Ok(()),
        CheckKind::Http { path, host, status } => {
            let host = host.as_deref().map_or(to.to_string(), ToOwned::to_owned);
            let answer = get(stream, path, &host)
                .await
                .map_err(|error| ProbeError::Http(error.to_string()))?;
            judge(answer, *status)
        }
    }
}

async fn connect(to: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(to).await
}

/// Sends one request and reads the head of the answer.
async fn get(
    stream: TcpStream,
    path: &str,
    host: &str,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, host)
        .header(USER_AGENT, "sluicegate-probe")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let mut answer = pin!(sender.send_request(request));
    // The connection makes no progress unless it is polled beside the request, and may end in the
    // same moment that it delivers the answer.
    tokio::select! {
        biased;
        answer = &mut answer => Ok(answer?.status()),
        ended = connection => {
            ended?;
            Ok(answer.await?.status())
        }
    }
}

fn judge(status: StatusCode, (low, high): (u16, u16)) -> Result<(), ProbeError> {
    let status = status.as_u16();
    if (low..=high).contains(&status) {
        Ok(())
    } else {
        Err(ProbeError::Status(status))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_passes_and_a_closed_port_fails_a_tcp_probe() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refused = closed.local_addr().unwrap();
        drop(closed);

        assert_eq!(probe(open, CheckKind::Tcp).await, Ok(()));
        assert!(matches!(
            probe(refused, CheckKind::Tcp).await,
            Err(ProbeError::Connect(_))
        ));
    }

    #[tokio::test]
    async fn an_http_probe_sends_its_path_and_host_and_judges_the_status() {
        for (answer, expected) in [
            ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
            (
                "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
                Err(ProbeError::Status(503)),
            ),
        ] {
            let (to, seen) = serve(answer).await;

            assert_eq!(probe(to, http()).await, expected);

            let request = seen.await.unwrap();
            assert!(
                request.starts_with("GET /healthz HTTP/1.1\r\n"),
                "{request}"
            );
            assert!(request.contains("host: web.example\r\n"), "{request}");
        }
    }

    #[tokio::test]
    async fn garbage_and_a_hang_up_fail_an_http_probe() {
        for answer in ["", "SSH-2.0-OpenSSH\r\n"] {
            let (to, _) = serve(answer).await;

            assert!(matches!(probe(to, http()).await, Err(ProbeError::Http(_))));
        }
    }

    #[tokio::test]
    async fn silence_ends_at_the_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();

        let mut prober = Prober::new(Sources::default());
        prober.start(Probe {
            id: (),
            to,
            kind: http(),
            timeout: Duration::from_millis(20),
        });

        let result = prober.next().await.unwrap();

        assert_eq!(result.outcome, Err(ProbeError::TimedOut));
    }

    #[tokio::test]
    async fn a_probe_comes_from_the_address_it_is_given() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut prober = Prober::new(Sources {
            v4: Some(Ipv4Addr::new(127, 0, 0, 9)),
            v6: None,
        });
        prober.start(Probe {
            id: 7,
            to: listener.local_addr().unwrap(),
            kind: CheckKind::Tcp,
            timeout: Duration::from_secs(5),
        });

        let (_, from) = listener.accept().await.unwrap();

        assert_eq!(from.ip(), Ipv4Addr::new(127, 0, 0, 9));
        let result = prober.next().await.unwrap();
        assert_eq!((result.id, result.outcome), (7, Ok(())));
    }

    async fn probe(to: SocketAddr, kind: CheckKind) -> Result<(), ProbeError> {
        let mut prober = Prober::new(Sources::default());
        prober.start(Probe {
            id: (),
            to,
            kind,
            timeout: Duration::from_secs(5),
        });
        prober.next().await.expect("the prober lives").outcome
    }

    fn http() -> CheckKind {
        CheckKind::Http {
            path: "/healthz".into(),
            host: Some("web.example".into()),
            status: (200, 399),
        }
    }

    async fn serve(answer: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let to = listener.local_addr().expect("its address");
        let seen = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let len = stream.read(&mut request).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.expect("answered");
            request.truncate(len);
            String::from_utf8(request).expect("text")
        });
        (to, seen)
    }
}
