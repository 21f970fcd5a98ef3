//! Two operators: one leads, and the other takes over whatever happens to it.

use anyhow::{Context as _, Result, ensure};
use integration::until;

use crate::field::{Field, Operator, PATIENCE, SHORT, run};
use crate::ipam::{pool, quiet, service, services};
use crate::watchman::Watchman;

#[test]
fn a_leader_that_is_asked_to_end_hands_over_at_once() {
    run(|lab| {
        let field = &Field::build(lab, 2)?;
        // The usual terms: fifteen seconds if it did not give the lease back.
        let mut first = field.operator(0, &[])?;
        first.until_leading()?;
        let mut second = field.operator(1, &[])?;
        second.until_standby()?;
        let mut writes = 0.0;
        for path in ["/healthz", "/metrics"] {
            ensure!(second.get(path)?.0 == 200, "{path}");
            writes += second.metric("sluice_operator_writes_total")?;
        }
        ensure!(writes == 0.0, "a standby writes nothing");
        let before = field.lease()?;

        let began = std::time::Instant::now();
        first.stop()?;
        second.until_leading()?;
        let took = began.elapsed();

        ensure!(took.as_secs() < 10, "it took {took:?}");
        let after = field.lease()?;
        ensure!(
            before["holderIdentity"] != after["holderIdentity"],
            "{after}"
        );
        let transitions = |lease: &serde_json::Value| lease["leaseTransitions"].as_u64();
        ensure!(transitions(&after) > transitions(&before), "{after}");
        Ok(())
    });
}

#[test]
fn no_operator_is_needed_for_what_is_there_and_what_is_new_waits() {
    run(|lab| {
        let field = &Field::build(lab, 1)?;
        let mut operator = field.operator(0, &SHORT)?;
        operator.until_leading()?;
        field.plane.apply(&pool("all", "10.9.0.0/24"))?;
        field.plane.apply(&service("old", "type: LoadBalancer"))?;
        field.until_external_ip("default", "old", "10.9.0.0")?;

        operator.kill()?;
        field.plane.apply(&service("new", "type: LoadBalancer"))?;
        ensure!(field.external_ip("default", "old")? == "10.9.0.0");
        ensure!(field.external_ip("default", "new")? == "<pending>");

        operator.start()?;
        field.until_external_ip("default", "new", "10.9.0.1")?;
        ensure!(field.external_ip("default", "old")? == "10.9.0.0");
        quiet(field, &operator)
    });
}

#[test]
fn addresses_are_neither_given_twice_nor_lost_while_leaders_are_killed_frozen_and_cut_off() {
    run(|lab| {
        let field = &Field::build(lab, 2)?;
        let mut operators = [field.operator(0, &SHORT)?, field.operator(1, &SHORT)?];
        until("one of them leads", PATIENCE, || {
            leader(&operators).map(drop)
        })?;
        // Not enough for all that ever were, so that addresses are given again.
        field.plane.apply(&pool("all", "10.9.0.0/24"))?;
        let mut watchman = Watchman::default();
        for round in 0..10 {
            field.plane.apply(&services(round * 40..(round + 1) * 40))?;
            // While most of that is still to be written.
            let harmed = leader(&operators).ok();
            if let Some(number) = harmed {
                harm(operators.get_mut(number).context("a leader")?, round)?;
            }
            let from = (round * 40).saturating_sub(120);
            if round >= 3 {
                let names: Vec<String> = (from..from + 40).map(|n| format!("s{n}")).collect();
                let names = names.join(" ");
                field
                    .plane
                    .kubectl(&format!("delete services --wait=false {names}"))?;
            }
            watch_until(field, &mut watchman, &operators, expected(round))?;
            if let Some(number) = harmed {
                heal(operators.get_mut(number).context("a leader")?, round)?;
            }
            watchman.look(&field.plane)?;
        }
        until("one leads and has nothing to do", PATIENCE, || {
            let leader = leader(&operators)?;
            let operator = operators.get(leader).context("a leader")?;
            ensure!(operator.metric("sluice_operator_queue")? == 0.0);
            Ok(())
        })?;
        ensure!(watchman.look(&field.plane)? == expected(9));
        Ok(())
    });
}

/// How many services there are at the end of a round.
fn expected(round: usize) -> usize {
    (round + 1).min(4) * 40 - if round >= 3 { 40 } else { 0 }
}

fn harm(operator: &mut Operator<'_>, round: usize) -> Result<()> {
    match round % 3 {
        0 => operator.kill(),
        1 => operator.freeze(true),
        _ => operator.cut_off(true),
    }
}

fn heal(operator: &mut Operator<'_>, round: usize) -> Result<()> {
    match round % 3 {
        0 => operator.start(),
        1 => operator.freeze(false),
        _ => operator.cut_off(false),
    }
}

/// Which one leads and has listed everything.
fn leader(operators: &[Operator<'_>]) -> Result<usize> {
    let leads = |operator: &Operator<'_>| {
        let (code, said) = operator.get("/readyz")?;
        anyhow::Ok(code == 200 && said.contains("this operator leads"))
    };
    let mut numbers = (0..operators.len()).filter(|number| {
        let operator = operators.get(*number);
        operator.is_some_and(|operator| leads(operator).unwrap_or(false))
    });
    numbers.next().context("nobody leads")
}

/// Looks all the time until that many services have addresses.
fn watch_until(
    field: &Field,
    watchman: &mut Watchman,
    operators: &[Operator<'_>],
    services: usize,
) -> Result<()> {
    // What the watchman finds wrong does not become right by waiting.
    let mut wrong = None;
    let waited = until(
        &format!("{services} services have addresses"),
        PATIENCE,
        || match watchman.look(&field.plane) {
            Ok(found) => {
                let who = leader(operators);
                ensure!(found == services, "{found}; the leader is {who:?}");
                Ok(())
            }
            Err(error) => {
                wrong = Some(error);
                Ok(())
            }
        },
    );
    match wrong {
        Some(error) => Err(error),
        None => waited,
    }
}
