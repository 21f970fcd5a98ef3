//! The connection to an API server: who we are, whom we trust, how fast we ask.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout};
use tower::{BoxError, ServiceBuilder};

use super::bucket::Bucket;
use super::discovery::Discovered;
use super::failure::Failure;
use super::resource::Address;

/// Credentials and authorities are read again at most this often.
const RELOAD: Duration = Duration::from_secs(10);

/// No answer to a single question is larger.
const LARGEST_ANSWER: usize = 256 * 1024 * 1024;

/// Writes that may be under way at a time, each with a connection of its own.
const WRITES: usize = 32;

/// Which cluster, and how it is spoken to.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The kubeconfig; none means the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig; none means its current one.
    pub context: Option<String>,
    /// How long one request may take, and for how long a write is tried again that the API server had
    /// no time for.
    pub timeout: Duration,
    /// How many writes a second.
    pub writes_per_second: u32,
    /// How many writes at once after a rest.
    pub burst: u32,
}

/// A Kubernetes cluster. Cheap to clone; what clones write shares one rate.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub(super) inner: Arc<Inner>,
}

/// Why it cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("reading the kubeconfig {path}")]
    Kubeconfig {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: Box<kube::config::KubeconfigError>,
    },
    /// There is none, and this is no pod.
    #[error(
        "no kubeconfig is given, and the service account of a pod cannot be used \
         (outside of a cluster a kubeconfig is needed)"
    )]
    InCluster(#[source] Box<kube::config::InClusterError>),
    /// What it says makes no connection.
    #[error("using the credentials for the API server")]
    Credentials(#[source] Box<kube::Error>),
}

pub(super) struct Inner {
    options: ConnectOptions,
    link: Mutex<Link>,
    start: Instant,
    rate: Mutex<Bucket>,
    writes: Semaphore,
    pub(super) discovered: Discovered,
}

struct Link {
    client: Client,
    namespace: String,
    server: String,
    loaded: Instant,
}

/// What is asked.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) address: String,
    /// The body with its type.
    pub(super) body: Option<(&'static str, Vec<u8>)>,
}

/// The answer of success.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Vec<u8>,
}

impl Default for ConnectOptions {
    /// The pod's service account, and a rate that suits one write for each of many services.
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            timeout: Duration::from_secs(10),
            writes_per_second: 200,
            burst: 400,
        }
    }
}

impl Cluster {
    /// Reads who we are and whom we trust. The API server need not be there yet.
    ///
    /// # Errors
    /// If the kubeconfig, or the pod's service account, cannot be used.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        let link = Link::load(&options).await?;
        let rate = Bucket::new(options.writes_per_second, options.burst);
        Ok(Self {
            inner: Arc::new(Inner {
                link: Mutex::new(link),
                start: Instant::now(),
                rate: Mutex::new(rate),
                writes: Semaphore::new(WRITES),
                discovered: Discovered::default(),
                options,
            }),
        })
    }

    /// The namespace that the kubeconfig's context, or the service account, is in.
    #[must_use]
    pub fn namespace(&self) -> String {
        lock(&self.inner.link).namespace.clone()
    }

    /// The address of the API server.
    #[must_use]
    pub fn server(&self) -> String {
        lock(&self.inner.link).server.clone()
    }

    /// How long one request may take.
    pub(super) fn timeout(&self) -> Duration {
        self.inner.options.timeout
    }

    /// Asks for one thing and waits for the whole answer.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let limit = self.inner.options.timeout;
        match timeout(limit, self.ask_without_limit(ask)).await {
            Ok(answer) => answer,
            Err(_) => Err(silent(limit)),
        }
    }

    /// As [`Self::ask`], when it is this one's turn; again if the API server had no time for it.
    pub(super) async fn write(&self, ask: impl Fn() -> Ask) -> Result<Answer, Failure> {
        let last = Instant::now() + self.timeout();
        loop {
            let turn = lock(&self.inner.rate).take(self.inner.start.elapsed());
            sleep_until(self.inner.start + turn).await;
            let Ok(_permit) = self.inner.writes.acquire().await else {
                return Err(Failure::Unreachable("this program is ending".to_owned()));
            };
            let ended = self.ask(ask()).await;
            let Err(Failure::Throttled { after, .. }) = &ended else {
                return ended;
            };
            let after = after.unwrap_or(Duration::from_secs(1));
            let until = self.inner.start.elapsed() + after;
            lock(&self.inner.rate).hold_until(until);
            if Instant::now() + after > last {
                return ended;
            }
        }
    }

    /// Asks for what has no end; `limit` is for how long it may take to begin.
    pub(super) async fn open(&self, address: Address, limit: Duration) -> Result<Body, Failure> {
        let ask = Ask::get(address);
        match timeout(limit, self.begin(ask)).await {
            Ok(begun) => begun.map(|(_, body)| body),
            Err(_) => Err(silent(limit)),
        }
    }

    async fn ask_without_limit(&self, ask: Ask) -> Result<Answer, Failure> {
        let (code, body) = self.begin(ask).await?;
        let body = collect(body).await?;
        Ok(Answer { code, body })
    }

    /// The code and the body of an answer of success.
    async fn begin(&self, ask: Ask) -> Result<(u16, Body), Failure> {
        let client = lock(&self.inner.link).client.clone();
        let result = match client.send(ask.into_request()?).await {
            Err(error) => Err(Failure::of_error(&error)),
            Ok(response) if response.status().is_success() => {
                Ok((response.status().as_u16(), response.into_body()))
            }
            Ok(response) => {
                let (head, body) = response.into_parts();
                let after = head.headers.get(header::RETRY_AFTER);
                let after = after.and_then(|value| value.to_str().ok());
                let body = collect(body).await.unwrap_or_default();
                Err(Failure::of_answer(head.status.as_u16(), after, &body))
            }
        };
        if result.as_ref().is_err_and(Failure::is_about_trust) {
            self.reload().await;
        }
        result
    }

    /// Credentials and authorities may have been renewed since they were read. What cannot be read
    /// leaves everything as it is.
    async fn reload(&self) {
        {
            let mut link = lock(&self.inner.link);
            if link.loaded.elapsed() < RELOAD {
                return;
            }
            link.loaded = Instant::now();
        }
        if let Ok(link) = Link::load(&self.inner.options).await {
            *lock(&self.inner.link) = link;
        }
    }
}

impl Link {
    async fn load(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let config = config(options).await?;
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string();
        let unusable = |error| ConnectError::Credentials(Box::new(error));
        Ok(Self {
            client: client(&config, options.timeout).map_err(unusable)?,
            namespace,
            server,
            loaded: Instant::now(),
        })
    }
}

async fn config(options: &ConnectOptions) -> Result<Config, ConnectError> {
    let Some(path) = &options.kubeconfig else {
        let in_cluster = Config::incluster();
        return in_cluster.map_err(|error| ConnectError::InCluster(Box::new(error)));
    };
    let unusable = |error| ConnectError::Kubeconfig {
        path: path.clone(),
        source: Box::new(error),
    };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    let choice = KubeConfigOptions {
        context: options.context.clone(),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &choice).await;
    config.map_err(unusable)
}

/// A client that leaves retries to us, and notices a server that vanished.
fn client(config: &Config, limit: Duration) -> Result<Client, kube::Error> {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(limit));
    connector.set_keepalive(Some(Duration::from_secs(30)));
    connector.set_keepalive_interval(Some(Duration::from_secs(10)));
    connector.set_keepalive_retries(Some(3));
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let transport = hyper_util::client::legacy::Client::builder(TokioExecutor::new());
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport.build::<_, Body>(connector));
    Ok(Client::new(service, config.default_namespace.clone()))
}

impl Ask {
    /// A question without a body.
    pub(super) fn get(address: Address) -> Self {
        Self {
            method: Method::GET,
            address: address.into_text(),
            body: None,
        }
    }

    fn into_request(self) -> Result<Request<Body>, Failure> {
        let mut request = Request::builder().method(self.method).uri(self.address);
        request = request.header(header::ACCEPT, HeaderValue::from_static("application/json"));
        let body = match self.body {
            None => Body::empty(),
            Some((content_type, body)) => {
                request = request.header(header::CONTENT_TYPE, content_type);
                Body::from(body)
            }
        };
        request
            .body(body)
            .map_err(|error| Failure::Invalid(format!("it cannot be asked for: {error}")))
    }
}

async fn collect(body: Body) -> Result<Vec<u8>, Failure> {
    match Limited::new(body, LARGEST_ANSWER).collect().await {
        Ok(collected) => Ok(collected.to_bytes().to_vec()),
        Err(error) => Err(Failure::of_error(error.as_ref())),
    }
}

fn silent(limit: Duration) -> Failure {
    Failure::Unreachable(format!("no answer within {limit:?}"))
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What a panic left behind is still whole: nothing is changed in more than one step.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
