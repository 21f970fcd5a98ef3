//! The operator's shell over statuses that fail on cue.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use api::{Key, Object, Statement, StatusPatch, Strictness, Truth, Version};
use operator::{Input, Operator, OperatorHandle};
use serde_json::json;
use store::{Statuses, WriteError};
use tokio::sync::mpsc::{self, Sender};
use tokio::sync::oneshot;
use types::Family;

type Call = (Key, StatusPatch, oneshot::Sender<Result<(), WriteError>>);

#[tokio::test]
async fn it_finishes_its_writes_once_its_inputs_are_closed() {
    let (mut operator, inputs, mut calls) = start();
    inputs.send(missing_secret(&["a", "b"])).await.unwrap();
    drop(inputs);

    let mut written = Vec::new();
    for _ in 0..2 {
        let (key, patch, end) = calls.recv().await.unwrap();
        written.push((
            key.to_string(),
            patch.conditions.into_keys().collect::<Vec<_>>(),
        ));
        end.send(Ok(())).unwrap();
    }
    operator.ended().await;

    written.sort();
    let condition = "cilium.io/MissingAuthSecret".to_owned();
    assert_eq!(
        written,
        ["a", "b"].map(|name| (
            format!("CiliumBGPPeerConfig/{name}"),
            vec![condition.clone()]
        ))
    );
}

#[tokio::test]
async fn a_refusal_is_reported_by_object_and_reason_until_it_is_over() {
    let (operator, inputs, mut calls) = start();
    inputs.send(missing_secret(&["a"])).await.unwrap();

    let (key, _, end) = calls.recv().await.unwrap();
    let forbidden = WriteError::Forbidden("no right to write statuses".into());
    end.send(Err(forbidden.clone())).unwrap();
    let (_, _, end) = calls.recv().await.unwrap();
    assert_eq!(operator.report().faults, BTreeMap::from([(key, forbidden)]));
    end.send(Ok(())).unwrap();

    // Answered after the write above ended, since there is one at a time.
    let mut next = missing_secret(&["a"]);
    next.objects = [peer_config("a", "2")].into();
    inputs.send(next).await.unwrap();
    let (_, _, end) = calls.recv().await.unwrap();
    assert_eq!(operator.report().faults, BTreeMap::new());
    end.send(Ok(())).unwrap();
}

/// Statuses whose writes end as the test says.
struct OnCue(Mutex<Sender<Call>>);

impl Statuses for OnCue {
    async fn write(&self, key: Key, _: Version, status: StatusPatch) -> Result<(), WriteError> {
        let (end, ended) = oneshot::channel();
        let calls = self.0.lock().unwrap().clone();
        calls.send((key, status, end)).await.unwrap();
        ended.await.unwrap()
    }
}

fn start() -> (OperatorHandle, Sender<Input>, mpsc::Receiver<Call>) {
    let (inputs, receiver) = mpsc::channel(1);
    let (calls, called) = mpsc::channel(1);
    let statuses = OnCue(Mutex::new(calls));
    (
        Operator::spawn(&Family::BOTH, receiver, statuses),
        inputs,
        called,
    )
}

/// Peer configs that lack a Secret, and do not say so yet.
fn missing_secret(names: &[&str]) -> Input {
    let objects: BTreeMap<Key, Option<Object>> =
        names.iter().map(|name| peer_config(name, "1")).collect();
    let statement = Statement::new(Truth::True, "MissingAuthSecret", "");
    let statements = objects.keys().map(|key| {
        let kind = "cilium.io/MissingAuthSecret".to_owned();
        (key.clone(), [(kind, Some(statement.clone()))].into())
    });
    Input {
        statements: statements.collect(),
        objects: objects.clone(),
        ..Input::default()
    }
}

fn peer_config(name: &str, version: &str) -> (Key, Option<Object>) {
    let object = json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumBGPPeerConfig",
        "metadata": { "name": name, "resourceVersion": version },
        "spec": {},
    });
    let object = Object::from_value(object, Strictness::Strict).unwrap();
    (object.key(), Some(object))
}
