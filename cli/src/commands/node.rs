//! `sluice node`: the whole node, in and out of service.

use agent_api::Withdrawn;
use anyhow::Result;
use hyper::Method;

use crate::args::{NodeCommand, Output};
use crate::client::Client;
use crate::output::print;

pub(super) fn run(client: &Client<'_>, output: Output, command: NodeCommand) -> Result<bool> {
    let method = match command {
        NodeCommand::Withdraw => Method::PUT,
        NodeCommand::Restore => Method::DELETE,
    };
    let order: Withdrawn = client.ask(&method, "/v1/withdrawal")?;
    print(output, &order, |order, _| render(*order).to_owned())?;
    Ok(true)
}

fn render(order: Withdrawn) -> &'static str {
    match (order.withdrawn, order.kept) {
        (true, true) => "The node announces nothing until sluice node restore.\n",
        (true, false) => {
            "The node announces nothing until sluice node restore, or a restart of the agent: it \
             has no state directory.\n"
        }
        (false, _) => "The node announces what the objects say.\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_does_not_outlive_the_agent_says_so() {
        let order = |withdrawn, kept| render(Withdrawn { withdrawn, kept });

        assert!(order(true, false).contains("restart of the agent"));
        assert!(!order(true, true).contains("restart of the agent"));
        assert!(order(false, false).contains("what the objects say"));
    }
}
