//! The local API's requests.

use std::future::Future;
use std::sync::Arc;

use agent_api::{
    Allocation, Drained, Lb, Maglev, Objects, Peer, Pool, Problem, Route, Service, Status,
    Withdrawn,
};
use anyhow::Result;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use types::{BackendAddr, Vip};

/// What the API asks of the agent. Each call answers from memory or from mapped tables.
pub(crate) trait Api: Send + Sync + 'static {
    /// The agent as a whole.
    fn status(&self) -> impl Future<Output = Result<Status>> + Send;
    /// Services as they are asked for.
    fn services(&self) -> impl Future<Output = Result<Vec<Service>>> + Send;
    /// What the kernel holds.
    fn lb(&self) -> Result<Lb>;
    /// The table of one virtual address; `None` if the kernel has no such address.
    fn maglev(&self, vip: Vip) -> Result<Option<Maglev>>;
    /// Drains or undrains a backend; `None` if no service has it.
    fn drain(
        &self,
        backend: BackendAddr,
        drained: bool,
    ) -> impl Future<Output = Result<Option<Drained>>> + Send;
    /// Takes the whole node out of service, or lets it back.
    fn withdraw(&self, withdrawn: bool) -> impl Future<Output = Result<Withdrawn>> + Send;
    /// BGP sessions.
    fn peers(&self) -> impl Future<Output = Result<Vec<Peer>>> + Send;
    /// BGP routes that are available, or advertised to peers.
    fn routes(&self, advertised: bool) -> impl Future<Output = Result<Vec<Route>>> + Send;
    /// The objects of a directory; `None` where they come from elsewhere, and are to be read there.
    fn objects(&self) -> Option<Objects>;
    /// Addresses that services hold.
    fn allocations(&self) -> Vec<Allocation>;
    /// Pools of addresses.
    fn pools(&self) -> Vec<Pool>;
}

#[derive(Deserialize)]
struct WhichVip {
    vip: Vip,
}

#[derive(Deserialize)]
struct WhichRoutes {
    table: RouteTable,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RouteTable {
    Available,
    Advertised,
}

/// A request that was not done.
struct Refusal(StatusCode, String);

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(Problem { error: self.1 })).into_response()
    }
}

/// Every request of the local API.
pub(super) fn router<A: Api>(api: Arc<A>) -> Router {
    Router::new()
        .route("/livez", get(|| async { Json("ok") }))
        .route("/readyz", get(ready::<A>))
        .route("/v1/status", get(status::<A>))
        .route("/v1/services", get(services::<A>))
        .route("/v1/lb", get(lb::<A>))
        .route("/v1/lb/maglev", get(maglev::<A>))
        .route("/v1/drains/{backend}", put(drain::<A>).delete(undrain::<A>))
        .route(
            "/v1/withdrawal",
            put(|State(api): State<Arc<A>>| set_withdrawn(api, true))
                .delete(|State(api): State<Arc<A>>| set_withdrawn(api, false)),
        )
        .route("/v1/objects", get(objects::<A>))
        .route("/v1/bgp/peers", get(peers::<A>))
        .route("/v1/bgp/routes", get(routes::<A>))
        .route(
            "/v1/lb-ipam/allocations",
            get(|State(api): State<Arc<A>>| async move { Json(api.allocations()) }),
        )
        .route(
            "/v1/lb-ipam/pools",
            get(|State(api): State<Arc<A>>| async move { Json(api.pools()) }),
        )
        .fallback(|| async {
            Refusal(
                StatusCode::NOT_FOUND,
                "the agent has no such request".to_owned(),
            )
        })
        .with_state(api)
}

async fn ready<A: Api>(State(api): State<Arc<A>>) -> Result<Json<&'static str>, Refusal> {
    let status = api.status().await?;
    if status.ready {
        Ok(Json("ok"))
    } else {
        Err(Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            status.problems.join("; "),
        ))
    }
}

async fn objects<A: Api>(State(api): State<Arc<A>>) -> Result<Json<Objects>, Refusal> {
    // A status may be being written.
    let objects = blocking(move || Ok(api.objects())).await?;
    let elsewhere = "the objects are not in a directory: read them where they are".to_owned();
    let objects = objects.ok_or(Refusal(StatusCode::NOT_FOUND, elsewhere))?;
    Ok(Json(objects))
}

async fn lb<A: Api>(State(api): State<Arc<A>>) -> Result<Json<Lb>, Refusal> {
    // Reading every table of a large node takes a while; other requests go on.
    Ok(Json(blocking(move || api.lb()).await?))
}

async fn maglev<A: Api>(
    State(api): State<Arc<A>>,
    Query(which): Query<WhichVip>,
) -> Result<Json<Maglev>, Refusal> {
    let vip = which.vip;
    blocking(move || api.maglev(vip))
        .await?
        .map(Json)
        .ok_or_else(|| {
            Refusal(
                StatusCode::NOT_FOUND,
                format!("the kernel has no {vip}: see sluice lb list"),
            )
        })
}

async fn drain<A: Api>(
    State(api): State<Arc<A>>,
    Path(backend): Path<BackendAddr>,
) -> Result<Json<Drained>, Refusal> {
    set_drained(api, backend, true).await
}

async fn undrain<A: Api>(
    State(api): State<Arc<A>>,
    Path(backend): Path<BackendAddr>,
) -> Result<Json<Drained>, Refusal> {
    set_drained(api, backend, false).await
}

async fn set_drained<A: Api>(
    api: Arc<A>,
    backend: BackendAddr,
    drained: bool,
) -> Result<Json<Drained>, Refusal> {
    api.drain(backend, drained).await?.map(Json).ok_or_else(|| {
        let hint = "see sluice service list";
        Refusal(
            StatusCode::NOT_FOUND,
            format!("no service has the backend {backend}: {hint}"),
        )
    })
}

async fn set_withdrawn<A: Api>(api: Arc<A>, withdrawn: bool) -> Result<Json<Withdrawn>, Refusal> {
    Ok(Json(api.withdraw(withdrawn).await?))
}

async fn routes<A: Api>(
    State(api): State<Arc<A>>,
    Query(which): Query<WhichRoutes>,
) -> Result<Json<Vec<Route>>, Refusal> {
    Ok(Json(
        api.routes(matches!(which.table, RouteTable::Advertised))
            .await?,
    ))
}

async fn status<A: Api>(State(api): State<Arc<A>>) -> Result<Json<Status>, Refusal> {
    Ok(Json(api.status().await?))
}

async fn services<A: Api>(State(api): State<Arc<A>>) -> Result<Json<Vec<Service>>, Refusal> {
    Ok(Json(api.services().await?))
}

async fn peers<A: Api>(State(api): State<Arc<A>>) -> Result<Json<Vec<Peer>>, Refusal> {
    Ok(Json(api.peers().await?))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T, Refusal> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => Ok(outcome?),
        Err(error) => Err(Refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            error.to_string(),
        )),
    }
}
