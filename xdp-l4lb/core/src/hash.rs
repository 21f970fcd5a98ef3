//! A mixing function for identities. Not secret: every node of a fleet must agree on it.

use std::net::IpAddr;

use types::BackendAddr;

/// Two independent words for a backend's identity, for its offset and its skip.
pub(crate) fn of_backend(seed: u64, backend: &BackendAddr) -> (u64, u64) {
    let addr = match backend.addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped(),
        IpAddr::V6(addr) => addr,
    };
    let bits = u128::from(addr);
    let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)].map(low_word);
    let state = mix(mix(mix(seed, high), low), u64::from(backend.port));
    (mix(state, 1), mix(state, 2))
}

/// MurmurHash3's finalizer over the state and one more word: every input bit reaches every output bit.
const fn mix(state: u64, word: u64) -> u64 {
    let mut x = state.rotate_left(29) ^ word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// The low 64 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
const fn low_word(bits: u128) -> u64 {
    bits as u64
}
