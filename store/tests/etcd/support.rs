//! What the tests have in common.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use api::{Delta, Fault, Key, Kind, Object};
use serde_json::{Value, json};
use store::etcd::{ConnectOptions, Fleet};
use store::{Hub, HubHandle, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use types::ObjectName;

use crate::server::LIMIT;

/// What a watcher of a source knows.
pub(crate) struct Follower {
    /// Ends the source when dropped.
    _hub: HubHandle,
    watcher: Watcher,
    pub(crate) objects: BTreeMap<Key, Object>,
    pub(crate) refused: BTreeMap<Key, Vec<Fault>>,
    pub(crate) synced: usize,
    /// Objects that ever went.
    pub(crate) gone: usize,
}

impl Follower {
    pub(crate) fn of(fleet: &Fleet) -> Self {
        let hub = Hub::spawn(fleet.source(Kind::ALL));
        Self {
            watcher: hub.watch(),
            _hub: hub,
            objects: BTreeMap::new(),
            refused: BTreeMap::new(),
            synced: 0,
            gone: 0,
        }
    }

    /// Waits until what is known is as expected.
    pub(crate) async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let follow = async {
            while !is_so(self) {
                let delta = self.watcher.changed().await;
                self.take(delta);
            }
        };
        let outcome = timeout(LIMIT, follow).await;
        assert!(outcome.is_ok(), "never: {what}; {:?}", self.objects.keys());
    }

    pub(crate) async fn synced(&mut self) {
        self.until("everything is listed", |known| {
            known.synced >= Kind::ALL.len()
        })
        .await;
    }

    fn take(&mut self, delta: Delta) {
        for (key, object) in delta.objects {
            match object {
                Some(object) => drop(self.objects.insert(key, object)),
                None => {
                    self.objects.remove(&key);
                    self.gone += 1;
                }
            }
        }
        for (key, faults) in delta.refused {
            if faults.is_empty() {
                self.refused.remove(&key);
            } else {
                self.refused.insert(key, faults);
            }
        }
        self.synced += delta.synced.len();
    }

    pub(crate) fn has(&self, key: &Key) -> bool {
        self.objects.contains_key(key)
    }
}

/// A way to etcd that can be closed.
pub(crate) struct Gate {
    pub(crate) url: String,
    open: watch::Sender<bool>,
    _ways: JoinSet<()>,
}

impl Gate {
    pub(crate) async fn to(url: &str) -> Self {
        let server: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (open, opened) = watch::channel(true);
        let mut ways = JoinSet::new();
        ways.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(carry(client, server, opened.clone()));
            }
        });
        Self {
            url,
            open,
            _ways: ways,
        }
    }

    /// Ends every connection, and all that are tried.
    pub(crate) fn close(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn carry(mut client: TcpStream, server: SocketAddr, mut open: watch::Receiver<bool>) {
    if !*open.borrow() {
        return;
    }
    let Ok(mut server) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

pub(crate) fn fleet(url: &str) -> Fleet {
    Fleet::connect(ConnectOptions::new([url])).unwrap()
}

pub(crate) fn pool(name: &str, cidr: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2", "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": name}, "spec": {"blocks": [{"cidr": cidr}]},
    })
}

pub(crate) fn pool_key(name: &str) -> Key {
    Key::new(Kind::CiliumLoadBalancerIPPool, ObjectName::of_cluster(name))
}

/// Does it again until it says so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let again = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(LIMIT, again).await.is_ok(), "never: {what}");
}
