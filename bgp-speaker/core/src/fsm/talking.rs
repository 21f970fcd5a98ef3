//! The states with a working connection: OpenSent, OpenConfirm, Established.

use bgp_speaker_packet::{CeaseSubcode, ErrorCode, FsmSubcode, Notification};

use super::{Cause, Context, Fsm, Input as I, Output, Phase as P, State, Timers, Timing};
use crate::io::ConnectionId;
use crate::negotiate::Negotiated;

impl Fsm {
    pub(super) fn on_input_talking(
        &mut self,
        connection: ConnectionId,
        cx: Context,
        input: I,
        out: &mut Vec<Output>,
    ) {
        let due = |at: Option<_>| at.is_some_and(|at| at <= cx.now);
        let State::Talking(_, phase) = &mut self.state else {
            return;
        };
        match (&mut *phase, input) {
            (P::OpenSent { .. }, I::Open(session)) => self.confirm(session, cx, out),
            (P::OpenConfirm { session, timers }, I::Keepalive) => {
                out.push(Output::Up(connection, session.clone()));
                let (session, mut timers) = (session.clone(), *timers);
                timers.hold_at = Timing::hold_at(cx.now, &session);
                let since = cx.now;
                *phase = P::Established {
                    session,
                    timers,
                    since,
                };
            }
            (
                P::Established {
                    session, timers, ..
                },
                I::Keepalive | I::Update | I::Refresh,
            ) => timers.hold_at = Timing::hold_at(cx.now, session),

            // RFC 6608: any other message is an error of the state it comes in.
            (P::OpenSent { .. }, I::Keepalive | I::Update | I::Refresh) => {
                self.fail(ErrorCode::Fsm(FsmSubcode::UnexpectedInOpenSent), cx, out);
            }
            (P::OpenConfirm { .. }, I::Open(_) | I::Update | I::Refresh) => {
                self.fail(ErrorCode::Fsm(FsmSubcode::UnexpectedInOpenConfirm), cx, out);
            }
            (P::Established { .. }, I::Open(_)) => {
                self.fail(ErrorCode::Fsm(FsmSubcode::UnexpectedInEstablished), cx, out);
            }

            (P::OpenSent { hold_at }, I::Deadline) if *hold_at <= cx.now => {
                self.fail(ErrorCode::HoldTimerExpired, cx, out);
            }
            (P::OpenConfirm { timers, .. } | P::Established { timers, .. }, I::Deadline)
                if due(timers.hold_at) =>
            {
                self.fail(ErrorCode::HoldTimerExpired, cx, out);
            }
            (
                P::OpenConfirm { session, timers }
                | P::Established {
                    session, timers, ..
                },
                I::Deadline,
            ) if due(timers.keepalive_at) => {
                timers.keepalive_at = cx.timing.keepalive_at(cx.now, session);
                out.push(Output::Keepalive(connection));
            }
            (_, I::Deadline) => {}

            // RFC 4271 §6.8: the other connection stays.
            (P::OpenSent { .. } | P::OpenConfirm { .. }, I::Superseded) => {
                let cease = ErrorCode::Cease(CeaseSubcode::CollisionResolution).into();
                self.end(Some(cease), Cause::Superseded, out);
            }
            // RFC 4724 §4.2: the peer has restarted, so nobody is there to be told.
            (P::Established { .. }, I::Superseded) => self.end(None, Cause::Superseded, out),

            (_, I::Disconnected(reason)) => self.lose(reason, cx, out),
            (_, I::Notification(theirs)) => self.give_up(None, Cause::Received(theirs), cx, out),
            (_, I::Malformed(ours)) => self.fail(ours, cx, out),
            (_, I::Stop(ours)) => {
                let cause = ours.clone().map_or(Cause::Stopped, Cause::Sent);
                self.end(ours, cause, out);
            }
            (_, I::Restart(ours, pause)) => {
                self.end(Some(ours.clone()), Cause::Sent(ours), out);
                self.rest(Some(cx.now + pause));
            }
            // The session has its connection; a second machine takes any other.
            (_, I::Accepted(other)) => out.push(Output::Close(other)),
            // Already under way.
            (_, I::Start | I::Connected) => {}
        }
    }

    fn confirm(&mut self, session: Negotiated, cx: Context, out: &mut Vec<Output>) {
        let State::Talking(connection, phase) = &mut self.state else {
            return;
        };
        out.push(Output::Keepalive(*connection));
        *phase = P::OpenConfirm {
            timers: Timers {
                hold_at: Timing::hold_at(cx.now, &session),
                keepalive_at: cx.timing.keepalive_at(cx.now, &session),
            },
            session: Box::new(session),
        };
    }

    /// Ends the session for an error of the peer's.
    fn fail(
        &mut self,
        error: impl Into<Notification<'static>>,
        cx: Context,
        out: &mut Vec<Output>,
    ) {
        let ours = error.into();
        self.give_up(Some(ours.clone()), Cause::Sent(ours), cx, out);
    }

    /// Ends the session, and keeps still for a while that grows with each failure.
    fn give_up(
        &mut self,
        ours: Option<Notification<'static>>,
        cause: Cause,
        cx: Context,
        out: &mut Vec<Output>,
    ) {
        self.count_failure(cx.now);
        self.end(ours, cause, out);
        self.rest(Some(cx.now + cx.timing.idle_hold(self.failures)));
    }

    /// Tells the peer, closes, says that the session is over, and stays idle.
    fn end(&mut self, ours: Option<Notification<'static>>, cause: Cause, out: &mut Vec<Output>) {
        if let Some(connection) = self.connection() {
            out.extend(ours.map(|ours| Output::Notify(connection, ours)));
            out.push(Output::Close(connection));
        }
        out.push(Output::Down {
            established: self.established().is_some(),
            cause,
        });
        self.rest(None);
    }
}
