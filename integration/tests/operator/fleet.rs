//! Operators of a fleet: objects and the lease in etcd.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration::cluster::{Etcd, program};
use integration::lab::{self, Host, Process, built_program, is_there};
use integration::until;
use serde_json::{Value, json};

use crate::field::{PATIENCE, SHORT, get};

const POOL: &str = "/sluicegate/cilium.io/ciliumloadbalancerippools/-/all";

#[test]
fn two_operators_of_a_fleet_take_turns_and_give_every_address_once() {
    if !is_there([built_program("sluice-operator"), program("etcd")]) {
        return;
    }
    lab::run(|lab| {
        let host = lab.own_host("fleet")?;
        let etcd = Etcd::start(&host)?;
        put(&host, POOL, &pool("10.9.0.0/24"))?;
        let first = operator(&host, &etcd, "127.0.0.1:9001")?;
        ready(&host, 9001, "this operator leads")?;
        let second = operator(&host, &etcd, "127.0.0.1:9002")?;
        ready(&host, 9002, "standby; ")?;
        put(&host, &service_key("a"), &service("a"))?;
        until_addresses(&host, "a", &["10.9.0.0"])?;

        first.kill()?;
        put(&host, &service_key("b"), &service("b"))?;
        ready(&host, 9002, "this operator leads")?;
        until_addresses(&host, "b", &["10.9.0.1"])?;
        let third = operator(&host, &etcd, "127.0.0.1:9001")?;
        ready(&host, 9001, "standby; ")?;
        ensure!(second.stop(PATIENCE)?.success());
        put(&host, &service_key("c"), &service("c"))?;

        until_addresses(&host, "c", &["10.9.0.2"])?;
        until_addresses(&host, "a", &["10.9.0.0"])?;
        until_addresses(&host, "b", &["10.9.0.1"])?;
        ensure!(third.stop(PATIENCE)?.success());
        Ok(())
    });
}

fn operator(host: &Host, etcd: &Etcd, metrics: &str) -> Result<Process> {
    let url = etcd.url();
    let own = ["--etcd", url.as_str(), "--metrics", metrics];
    let args: Vec<&str> = own.into_iter().chain(SHORT).collect();
    host.spawn("sluice-operator", built_program("sluice-operator")?, &args)
}

fn ready(host: &Host, port: u16, text: &str) -> Result<()> {
    until(&format!("{port} is ready: {text}"), PATIENCE, || {
        let (code, said) = get(host, port, "/readyz")?;
        ensure!(code == 200 && said.contains(text), "{code} {said}");
        Ok(())
    })
}

fn until_addresses(host: &Host, name: &str, addresses: &[&str]) -> Result<()> {
    until(&format!("{name} has {addresses:?}"), PATIENCE, || {
        let service = range(host, &service_key(name))?;
        let ingress = service.pointer("/status/loadBalancer/ingress");
        let ingress = ingress.and_then(Value::as_array).into_iter().flatten();
        let found: Vec<&str> = ingress.filter_map(|entry| entry["ip"].as_str()).collect();
        ensure!(found == addresses, "{service}");
        Ok(())
    })
}

fn service_key(name: &str) -> String {
    format!("/sluicegate/core/services/default/{name}")
}

fn pool(cidr: &str) -> Value {
    json!({
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumLoadBalancerIPPool",
        "metadata": {"name": "all"},
        "spec": {"blocks": [{"cidr": cidr}]},
    })
}

fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    })
}

fn put(host: &Host, key: &str, value: &Value) -> Result<()> {
    let value = STANDARD.encode(value.to_string());
    ask(
        host,
        "put",
        &json!({"key": STANDARD.encode(key), "value": value}),
    )
    .map(drop)
}

fn range(host: &Host, key: &str) -> Result<Value> {
    let answer = ask(host, "range", &json!({"key": STANDARD.encode(key)}))?;
    let value = answer.pointer("/kvs/0/value").and_then(Value::as_str);
    let value = STANDARD.decode(value.with_context(|| format!("{key} is not there"))?)?;
    Ok(serde_json::from_slice(&value)?)
}

/// Asks etcd in JSON over HTTP.
fn ask(host: &Host, what: &str, body: &Value) -> Result<Value> {
    let body = body.to_string();
    let answer = host.enter(|| -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, 2379))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        // Without chunks.
        write!(
            stream,
            "POST /v3/kv/{what} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
    ensure!(head.contains(" 200 "), "{answer}");
    Ok(serde_json::from_str(body)?)
}
