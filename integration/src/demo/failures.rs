//! Steps 5 and 6: an agent restarts, and an edge node is cut off.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{Demo, PATIENCE, Say, changes, routes};
use crate::traffic::Transfer;
use crate::until;

const TRANSFERS: u64 = 20;

pub(super) fn agent_restarts(demo: &mut Demo, say: &Say) -> Result<()> {
    say.step(5, "an agent is killed with SIGKILL and started again");
    demo.settled()?;
    let transfers = demo.transfers(TRANSFERS, Duration::from_secs(4))?;
    demo.edge(0)?.kill()?;
    moving(&transfers)?;
    routes::next_hops(demo, 2)?;
    say.checked("traffic flows without the agent, and the routers keep its routes");
    demo.edge(0)?.start()?;
    routes::established(demo)?;
    routes::next_hops(demo, 2)?;
    let status = until("the agent is ready again", PATIENCE, || {
        demo.edge(0)?.json("status")
    })?;
    let stores = status
        .pointer("/stores")
        .context("no stores in the status")?;
    ensure!(
        stores == 0,
        "the restarted agent made {stores} stores into the kernel's tables"
    );
    say.checked("it is back, and has changed nothing in the kernel's tables");
    changes::undisturbed(transfers, None, say)
}

pub(super) fn edge_is_cut_off(demo: &Demo, say: &Say) -> Result<()> {
    say.step(
        6,
        "an edge node is cut off, with its links down and then silently",
    );
    let edge = demo.network.edge(0)?;
    for silent in [false, true] {
        demo.settled()?;
        let transfers = demo.transfers(TRANSFERS, Duration::from_secs(6))?;
        for wire in demo.network.wires_of(edge) {
            if silent {
                wire.set_silent(true)?;
            } else {
                wire.set_carrier(false)?;
            }
        }
        routes::next_hops(demo, 1)?;
        let how = if silent {
            "silently"
        } else {
            "with its links down"
        };
        say.checked(&format!("edge1 is cut off {how}: its routes are gone"));
        moving(&transfers)?;
        changes::undisturbed(transfers, None, say)?;
        for wire in demo.network.wires_of(edge) {
            if silent {
                wire.set_silent(false)?;
            } else {
                wire.set_carrier(true)?;
            }
        }
        routes::established(demo)?;
        routes::next_hops(demo, 2)?;
    }
    say.checked("edge1 is back, and so are its routes");
    Ok(())
}

/// Waits until every transfer has received something more, or has ended.
fn moving(transfers: &[Transfer]) -> Result<()> {
    let before: Vec<u64> = transfers.iter().map(Transfer::received).collect();
    until("every transfer moves on", PATIENCE, || {
        let still = transfers
            .iter()
            .zip(&before)
            .filter(|(transfer, before)| !transfer.is_finished() && transfer.received() <= **before)
            .count();
        ensure!(still == 0, "{still} transfers stand still");
        Ok(())
    })
}
