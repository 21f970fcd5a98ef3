//! What a person should know of this node's state, as far as announcements go.

use api::Node;
use api::condition::own;

use crate::Forwarding;

/// What the node's state means, if it is not the usual one: a reason for programs, words for people.
pub(crate) fn of(node: &Node, forwarding: Forwarding) -> Option<(&'static str, String)> {
    if node.is_excluded() {
        let label = api::keys::EXCLUDE;
        let words = format!("the label {label} keeps addresses of Services from being announced");
        return Some((own::REASON_EXCLUDED, words));
    }
    let words = match forwarding {
        Forwarding::Balancer => {
            "the node is cordoned; the balancer goes on, and so do announcements"
        }
        // Its forwarder still works; to withdraw would cut connections.
        Forwarding::Elsewhere => {
            "the node is cordoned; addresses of Services with traffic policy Cluster stay announced, \
             those with Local as long as there are ready endpoints on it"
        }
    };
    let cordoned = (own::REASON_CORDONED, words.to_owned());
    node.unschedulable.then_some(cordoned)
}
