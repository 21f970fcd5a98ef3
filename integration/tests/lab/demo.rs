//! The demonstration, as a test.

use integration::demo::{Demo, Say};
use integration::lab;

/// Every step of `make demo` is so: addresses, sessions, requests, changes under long transfers, a
/// killed agent, an edge node that is cut off.
#[test]
fn every_step_of_the_demonstration_is_so() {
    lab::run_programs(|lab| {
        let say = Say::default();
        Demo::start(lab, &say)?.run(&say)
    });
}
