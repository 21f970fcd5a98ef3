//! The random searches.

use std::time::Duration;

use crate::changes::{Change, first, random, tell, vips};
use crate::clients::Clients;
use crate::node::Node;
use crate::rng::Rng;

/// Steps of each search: thousands of packets, changes, stores and crashes.
const STEPS: u64 = 40_000;

/// Short enough that slots settle in the search.
const IDLE: Duration = Duration::from_secs(40);

/// So long that none does.
const NEVER: Duration = Duration::from_secs(1_000_000);

#[test]
fn no_established_flow_moves_on_one_node() {
    let mut total = (0, 0, 0);
    for (seed, flow_capacity) in (1..).zip([1000, 2, 16, 2]) {
        let (checked, deferred, remembered) = search(seed, flow_capacity, steps());
        total = (total.0 + checked, total.1 + deferred, total.2 + remembered);
    }

    let (checked, deferred, remembered) = total;
    println!(
        "{checked} packets of established flows, {remembered} remembered, {deferred} deferred"
    );
    assert!(checked > steps() / 10, "{checked}");
    assert!(deferred > steps() / 1000, "{deferred}");
    assert!(remembered > steps() / 1000, "{remembered}");
}

#[test]
fn a_crash_after_any_single_store_moves_no_flow() {
    // Every store of every script where all tests are asked for; in the daily loop a stride, as most
    // lie in runs of the same kind.
    let every = std::env::var_os("SLUICE_TEST_REQUIRE").is_some();
    let mut stores = 0;
    for seed in 1..=3 {
        let length = script(seed, u64::MAX);
        let stride = if every { 1 } else { 1 + length / 130 };
        for at in (seed % stride..length).step_by(usize::try_from(stride).unwrap()) {
            script(seed, at);
            stores += 1;
        }
    }

    println!("{stores} crashes");
    assert!(stores > 300, "{stores}");
}

#[test]
fn between_two_nodes_only_flows_of_slots_in_change_break() {
    let mut broken = 0;
    for seed in 1..=3 {
        let mut rng = Rng(seed * 1_000_003);
        let mut nodes = vec![Node::new(1000), Node::new(if seed == 2 { 2 } else { 1000 })];
        let mut clients = Clients::default();
        let vips = vips();
        // What the second node has not been told yet.
        let mut late: Vec<Change> = Vec::new();
        for change in first(NEVER) {
            nodes.iter_mut().for_each(|node| tell(node, &change));
        }
        for _ in 0..steps() {
            match rng.below(400) {
                0..3 => {
                    let change = random(&mut rng, &nodes[0], NEVER);
                    tell(&mut nodes[0], &change);
                    late.push(change);
                }
                3..9 if !late.is_empty() => tell(&mut nodes[1], &late.remove(0)),
                9 if rng.one_in(4) => {
                    let at = rng.below(2);
                    nodes[at].crash(&mut rng);
                }
                10..30 => nodes.iter_mut().for_each(Node::recall_one),
                30..40 => {
                    let by = Duration::from_millis(rng.next() % 1500);
                    nodes.iter_mut().for_each(|node| node.now += by);
                }
                40..220 => {
                    clients.act(&mut rng, &nodes, &vips);
                    continue;
                }
                _ => {
                    let at = rng.below(2);
                    nodes[at].work_on(&mut rng);
                    continue;
                }
            }
            clients.excuse(&mut nodes);
        }
        println!(
            "{} checked, {} broke as excepted",
            clients.checked, clients.broken
        );
        assert!(clients.checked > steps() / 100);
        broken += clients.broken;
    }

    // The exception is no larger than it has to be, but it is one.
    assert!(broken > 0);
}

/// A random search on one node. Counts packets of established flows, deferred SYNs, remembered ones.
fn search(seed: u64, flow_capacity: usize, steps: u64) -> (u64, u64, u64) {
    let mut rng = Rng(seed);
    let mut nodes = [Node::new(flow_capacity)];
    let mut clients = Clients::default();
    let vips = vips();
    for change in first(IDLE) {
        tell(&mut nodes[0], &change);
    }
    for step in 0..steps {
        match rng.below(300) {
            0..2 => {
                let change = random(&mut rng, &nodes[0], IDLE);
                tell(&mut nodes[0], &change);
            }
            2 if rng.one_in(4) => nodes[0].crash(&mut rng),
            3..10 => nodes[0].recall_one(),
            10..18 => nodes[0].now += Duration::from_millis(rng.next() % 3000),
            18..160 => {
                clients.act(&mut rng, &nodes, &vips);
                continue;
            }
            _ => {
                nodes[0].work_on(&mut rng);
                continue;
            }
        }
        clients.excuse(&mut nodes);
        if step % 64 == 0 {
            nodes[0].assert_sound();
        }
    }
    nodes[0].settle(&mut rng);
    nodes[0].assert_sound();
    let kernel = &nodes[0].kernel;
    (
        clients.checked,
        kernel.deferred.get(),
        kernel.remembered.get(),
    )
}

/// A short life with a crash after store number `crash_at`. Gives the number of stores without it.
fn script(seed: u64, crash_at: u64) -> u64 {
    let mut rng = Rng(seed * 7919);
    // Its own numbers, so that a crash does not change the script.
    let mut agent = Rng(seed);
    let mut nodes = [Node::new(8)];
    let mut clients = Clients::default();
    for change in first(IDLE) {
        tell(&mut nodes[0], &change);
    }
    for _ in 0..25 {
        let change = random(&mut rng, &nodes[0], IDLE);
        tell(&mut nodes[0], &change);
        clients.excuse(&mut nodes);
        for _ in 0..60 {
            let node = &mut nodes[0];
            let before = node.stored;
            node.work(&mut agent);
            if before <= crash_at && crash_at < node.stored {
                node.crash(&mut agent);
            }
            node.recall_one();
            clients.act(&mut rng, &nodes, &vips());
        }
        nodes[0].now += Duration::from_millis(rng.next() % 8000);
        clients.excuse(&mut nodes);
    }
    nodes[0].settle(&mut agent);
    nodes[0].assert_sound();
    nodes[0].stored
}

fn steps() -> u64 {
    let more = std::env::var("SLUICEGATE_MODEL_STEPS").ok();
    more.and_then(|steps| steps.parse().ok()).unwrap_or(STEPS)
}
