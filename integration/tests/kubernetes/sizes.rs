//! Objects as large, and names as long, as Kubernetes has them.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use api::{Kind, Object};
use integration::cluster::{self, ControlPlane};
use serde_json::json;
use store::{Applied, Objects as _};

use super::view::{View, all, key, service};

/// A service whose slices are more than 2 MB together is seen whole, and changes are seen in it.
#[test]
fn two_megabytes_of_slices_are_seen_whole() {
    const SLICES: usize = 12;
    const ENDPOINTS: usize = 1000;

    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        let view = View::open(control.admin(), &all(&[Kind::EndpointSlice]))?;
        let slice = |n: usize, endpoints: usize| {
            let endpoints: Vec<_> = (0..endpoints)
                .map(|e| {
                    json!({
                        "addresses": [format!("10.{n}.{}.{}", e / 250, e % 250)],
                        "conditions": {"ready": true, "serving": true, "terminating": false},
                        "nodeName": format!("a-node-with-a-long-name-in-the-rack-{}", e % 40),
                        "zone": "eu-central-1a",
                        "targetRef": {
                            "kind": "Pod", "namespace": "default",
                            "name": format!("deployment-7d9c5b5f4-{n:05}{e:05}"),
                        },
                    })
                })
                .collect();
            json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("big-{n}"), "namespace": "default",
                    "labels": {"kubernetes.io/service-name": "big"},
                },
                "addressType": "IPv4",
                "ports": [{"name": "", "port": 80, "protocol": "TCP"}],
                "endpoints": endpoints,
            })
        };

        let mut bytes = 0;
        for n in 0..SLICES {
            let slice = slice(n, ENDPOINTS);
            bytes += slice.to_string().len();
            view.block_on(view.cluster.apply(&slice))?;
        }
        ensure!(bytes > 2_000_000, "{bytes} bytes");
        let endpoints = |seen: &store::Snapshot| -> usize {
            let slices = seen.objects.values().filter_map(|object| {
                let Object::EndpointSlice(slice) = object else {
                    return None;
                };
                slice.service.is_some().then_some(slice)
            });
            let ours = slices.filter(|slice| slice.meta.name.name.starts_with("big-"));
            ours.map(|slice| slice.endpoints.len()).sum()
        };
        view.until("every endpoint is seen", |seen| {
            endpoints(seen) == SLICES * ENDPOINTS
        })?;
        let another = View::open(control.admin(), &all(&[Kind::EndpointSlice]))?;
        another.until("every endpoint is listed", |seen| {
            endpoints(seen) == SLICES * ENDPOINTS
        })?;

        let smaller = slice(3, 7);
        ensure!(view.block_on(view.cluster.apply(&smaller))? == Applied::Changed);
        view.until("what went is gone", |seen| {
            endpoints(seen) == (SLICES - 1) * ENDPOINTS + 7
        })?;
        Ok(())
    });
}

/// Names, labels and annotations at their limits are read as they are.
#[test]
fn names_at_their_limits_are_names() {
    cluster::run(|lab| {
        let control = ControlPlane::start(lab)?;
        let label = "n".repeat(63);
        let subdomain = [
            "a".repeat(63),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(61),
        ]
        .join(".");
        ensure!(subdomain.len() == 253);
        control.kubectl(&format!("create namespace {label}"))?;
        let mut manifests = service(&label, &label);
        write!(
            manifests,
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\naddressType: IPv4\nendpoints: []\n\
             ports: []\nmetadata:\n  name: {subdomain}\n  namespace: {label}\n  labels: \
             {{{subdomain}/{label}: {label}, kubernetes.io/service-name: {label}}}\n---\n\
             apiVersion: v1\nkind: Node\nmetadata: {{name: {subdomain}}}\n"
        )?;
        control.apply(&manifests)?;
        let kinds = [Kind::Service, Kind::EndpointSlice, Kind::Node];
        let view = View::open(control.admin(), &all(&kinds))?;

        let slice = key(Kind::EndpointSlice, &label, &subdomain);
        let seen = view.until("all of them are seen", |seen| {
            seen.objects.contains_key(&slice)
                && seen
                    .objects
                    .contains_key(&key(Kind::Service, &label, &label))
                && seen.objects.contains_key(&key(Kind::Node, "", &subdomain))
        })?;

        let labels = &seen.objects.get(&slice).context("gone")?.meta().labels;
        ensure!(labels.get(&format!("{subdomain}/{label}")) == Some(&label));
        ensure!(seen.refused.is_empty(), "{:?}", seen.refused);
        Ok(())
    });
}
