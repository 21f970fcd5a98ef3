//! The states without a working connection: Idle, Connect, Active.

use super::{Context, Fsm, Input as I, Output, State, Waiting as W};

impl Fsm {
    pub(super) fn on_input_waiting(
        &mut self,
        waiting: W,
        cx: Context,
        input: I,
        out: &mut Vec<Output>,
    ) {
        let due = |at: Option<_>| at.is_some_and(|at| at <= cx.now);
        match (waiting, input) {
            (W::Idle { until: None }, I::Start) => self.begin(cx, out),
            (W::Idle { until }, I::Deadline) if due(until) => self.begin(cx, out),
            (W::Active { retry_at }, I::Deadline) if due(retry_at) => self.dial(cx, out),
            (
                W::Connect {
                    connection,
                    retry_at,
                },
                I::Deadline,
            ) if due(Some(retry_at)) => {
                out.push(Output::Close(connection));
                self.dial(cx, out);
            }

            (W::Active { .. }, I::Accepted(connection)) => self.accept(connection, cx, out),
            (W::Connect { connection, .. }, I::Connected) => self.send_open(connection, cx, out),
            (W::Connect { .. }, I::Disconnected(reason)) => self.lose(reason, cx, out),
            // A pause after an error is for the peer too; and while we dial, a second machine
            // takes what the peer opens.
            (W::Idle { .. } | W::Connect { .. }, I::Accepted(connection)) => {
                out.push(Output::Close(connection));
            }

            // Nothing is established, so there is nothing to tell and no need to pause.
            (W::Idle { .. } | W::Active { .. }, I::Restart(..)) => self.begin(cx, out),
            (W::Connect { connection, .. }, I::Restart(..)) => {
                out.push(Output::Close(connection));
                self.begin(cx, out);
            }
            (W::Idle { .. } | W::Active { .. }, I::Stop(_) | I::Superseded) => self.rest(None),
            (W::Connect { connection, .. }, I::Stop(_) | I::Superseded) => {
                out.push(Output::Close(connection));
                self.rest(None);
            }

            // Under way already, or held back; and not yet due.
            (W::Idle { .. } | W::Connect { .. } | W::Active { .. }, I::Start | I::Deadline) => {}
            // Leftovers of a connection that has been closed.
            (W::Idle { .. } | W::Active { .. }, I::Connected | I::Disconnected(_))
            | (
                W::Idle { .. } | W::Connect { .. } | W::Active { .. },
                I::Open(_)
                | I::Keepalive
                | I::Update
                | I::Refresh
                | I::Notification(_)
                | I::Malformed(_),
            ) => {}
        }
    }

    /// Dials, or waits for a peer that is to do so.
    fn begin(&mut self, cx: Context, out: &mut Vec<Output>) {
        if cx.timing.passive {
            self.state = State::Waiting(W::Active { retry_at: None });
        } else {
            self.dial(cx, out);
        }
    }

    fn dial(&mut self, cx: Context, out: &mut Vec<Output>) {
        out.push(Output::Dial(cx.next_connection));
        self.state = State::Waiting(W::Connect {
            connection: cx.next_connection,
            retry_at: cx.now + cx.timing.dial_patience(),
        });
    }
}
