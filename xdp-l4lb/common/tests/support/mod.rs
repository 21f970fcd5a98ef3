//! Tables in memory, packets to send, and what a verdict does to a frame. The host's tests and the
//! kernel's share it, so the same tables are asked the same questions.

pub(crate) mod packets;
pub(crate) mod tables;
pub(crate) mod world;

use xdp_l4lb_common::{Answer, Exit, Maps as _, PUSH_V4, PUSH_V6, Verdict};

use tables::Tables;

/// What a program does with a frame, by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Drop = 1,
    Pass = 2,
    Transmit = 3,
    Redirect = 4,
}

/// Does to the frame what the program would.
pub(crate) fn apply(tables: &Tables, verdict: &Verdict, frame: &[u8]) -> (Action, Vec<u8>) {
    let mut out = frame.to_vec();
    let action = match verdict {
        Verdict::Pass(_) => Action::Pass,
        Verdict::Drop(_) => Action::Drop,
        Verdict::Forward(forward) => {
            out.truncate(forward.frame_len());
            match forward.addr.as_v4() {
                Some(dst) => {
                    let src = tables.outer_v4().source(forward.hash);
                    push(&mut out, 20, &forward.head_v4(src, dst));
                }
                None => push(&mut out, 40, &forward.head_v6(tables.outer_v6())),
            }
            match forward.exit {
                Exit::Back => Action::Transmit,
                Exit::Through(_) => Action::Redirect,
            }
        }
        Verdict::Answer(answer, _) => {
            match answer {
                Answer::EchoV4(head) => push(&mut out, 0, &head.0),
                Answer::EchoV6(head) => push(&mut out, 0, &head.0),
                Answer::ErrorV4 { head, quote } => {
                    out.truncate(14 + quote);
                    push(&mut out, PUSH_V4, &head.0);
                }
                Answer::ErrorV6 { head, quote } => {
                    out.truncate(14 + quote);
                    push(&mut out, PUSH_V6, &head.0);
                }
            }
            Action::Transmit
        }
    };
    (action, out)
}

fn push(frame: &mut Vec<u8>, bytes: usize, head: &[u8]) {
    frame.splice(0..0, std::iter::repeat_n(0, bytes));
    frame[..head.len()].copy_from_slice(head);
}
