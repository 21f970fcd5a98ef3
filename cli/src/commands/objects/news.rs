//! What happens to objects, wherever they are.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use api::{Change, Key, Kind};
use serde_json::Value;
use store::Source as _;
use store::kubernetes::{Cluster, KubernetesSource, Watch};

use super::in_words;
use super::place::{Place, documents};

/// How often a directory is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// One thing that happened.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    Put(Key, Value),
    Gone(Key),
}

/// Tells what is there, and then what happens.
pub(super) enum Watching {
    Directory(Looking),
    #[cfg(feature = "etcd")]
    Fleet(store::etcd::Sights),
    Cluster(Box<Followed>),
}

/// A directory that is looked at again and again.
pub(super) struct Looking {
    root: PathBuf,
    socket: PathBuf,
    kinds: Vec<Kind>,
    known: BTreeMap<Key, Value>,
    is_first: bool,
}

/// A cluster's watches, with what was there when they began.
pub(super) struct Followed {
    cluster: Cluster,
    source: KubernetesSource,
    listed: BTreeMap<Key, Value>,
    changes: VecDeque<Change>,
}

impl Watching {
    pub(super) async fn begin(place: &Place, kinds: &[Kind]) -> Result<Self> {
        Ok(match place {
            Place::Directory { files, socket } => Self::Directory(Looking {
                root: files.root().to_owned(),
                socket: socket.clone(),
                kinds: kinds.to_vec(),
                known: BTreeMap::new(),
                is_first: true,
            }),
            #[cfg(feature = "etcd")]
            Place::Fleet(fleet) => {
                // What cannot be asked at all is said now; later outages are waited out.
                for kind in kinds.iter().take(1) {
                    fleet.list(*kind).await.map_err(in_words)?;
                }
                Self::Fleet(fleet.sights(kinds.iter().copied()))
            }
            Place::Cluster(cluster) => {
                let mut listed = BTreeMap::new();
                for kind in kinds {
                    for document in cluster.list(*kind, None).await.map_err(in_words)? {
                        listed.insert(super::document::key_of(*kind, &document), document);
                    }
                }
                let watches: Vec<Watch> = kinds.iter().copied().map(Watch::new).collect();
                Self::Cluster(Box::new(Followed {
                    cluster: cluster.clone(),
                    source: cluster.source(&watches),
                    listed,
                    changes: VecDeque::new(),
                }))
            }
        })
    }

    /// What happened since the last call; perhaps nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<News>> {
        match self {
            Self::Directory(looking) => Ok(looking.next().await),
            #[cfg(feature = "etcd")]
            Self::Fleet(sights) => Ok(seen(sights.next().await)),
            Self::Cluster(followed) => followed.next().await,
        }
    }
}

impl Looking {
    async fn next(&mut self) -> Vec<News> {
        if !std::mem::take(&mut self.is_first) {
            tokio::time::sleep(LOOK).await;
        }
        let found = documents(&self.root, &self.socket).await;
        let found: BTreeMap<Key, Value> = found
            .into_iter()
            .filter(|(key, _)| self.kinds.contains(&key.kind))
            .collect();
        let news = difference(&self.known, &found);
        self.known = found;
        news
    }
}

impl Followed {
    async fn next(&mut self) -> Result<Vec<News>> {
        if self.changes.is_empty() {
            self.changes.extend(self.source.next().await);
        }
        let mut news = Vec::new();
        while let Some(change) = self.changes.pop_front() {
            match change {
                Change::Put(key, _, version) => {
                    let is_listed = self.listed.get(&key).is_some_and(|listed| {
                        let is = listed.pointer("/metadata/resourceVersion");
                        is.and_then(Value::as_str) == Some(version.as_str())
                    });
                    let document = match self.listed.remove(&key).filter(|_| is_listed) {
                        Some(document) => Some(document),
                        None => self.cluster.get(&key).await.map_err(in_words)?,
                    };
                    // Gone already: the watch will say so.
                    news.extend(document.map(|document| News::Put(key, document)));
                }
                Change::Gone(key) => news.push(News::Gone(key)),
                Change::Refused(key, faults, _) => {
                    for fault in faults {
                        eprintln!("sluice: {key}: {fault}");
                    }
                }
                Change::Restart(_) | Change::Synced(_) => {}
            }
        }
        Ok(news)
    }
}

#[cfg(feature = "etcd")]
fn seen(sights: Vec<store::etcd::Sight>) -> Vec<News> {
    use store::etcd::Sight;

    let mut news = Vec::new();
    for sight in sights {
        match sight {
            Sight::Put(key, document) => news.push(News::Put(key, document)),
            Sight::Gone(key) => news.push(News::Gone(key)),
            Sight::Broken(key, faults) => {
                for fault in faults {
                    eprintln!("sluice: {key}: {fault}");
                }
            }
            Sight::Restart(_) | Sight::Synced(_) => {}
        }
    }
    news
}

fn difference(before: &BTreeMap<Key, Value>, after: &BTreeMap<Key, Value>) -> Vec<News> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let gone = gone.cloned().map(News::Gone);
    let put = after
        .iter()
        .filter(|(key, value)| before.get(*key) != Some(*value));
    let put = put.map(|(key, value)| News::Put(key.clone(), value.clone()));
    gone.chain(put).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::document::named;
    use super::*;

    #[test]
    fn what_differs_between_two_looks_is_news() {
        let key = |name: &str| named(Kind::Node, "", name);
        let before = [
            (key("a"), json!(1)),
            (key("b"), json!(1)),
            (key("c"), json!(1)),
        ]
        .into();
        let after = [
            (key("b"), json!(1)),
            (key("c"), json!(2)),
            (key("d"), json!(1)),
        ]
        .into();

        assert_eq!(
            difference(&before, &after),
            [
                News::Gone(key("a")),
                News::Put(key("c"), json!(2)),
                News::Put(key("d"), json!(1))
            ]
        );
    }
}
