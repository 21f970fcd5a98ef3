//! These tests again, on the kernels that are promised to work.

use crate::guest::Guest;

#[test]
fn the_packet_tests_pass_on_linux_6_1() {
    pass_on("6.1");
}

#[test]
fn the_packet_tests_pass_on_linux_6_12() {
    pass_on("6.12");
}

fn pass_on(kernel: &str) {
    let object = bpf_build::object("xdp-l4lb");
    if !object.is_file() {
        let required = std::env::var_os("SLUICE_TEST_REQUIRE").is_some_and(|v| v == "1");
        assert!(!required, "{} is not there", object.display());
        eprintln!("SKIPPED: {} is not there", object.display());
        return;
    }
    let guest = Guest {
        files: &[(&object, "/payload/bpf/xdp-l4lb.o")],
        env: &[("CARGO_TARGET_DIR", "/payload")],
        ..Guest::default()
    };
    guest.pass_on(kernel);
}
