//! The Kubernetes source against a real API server: what it sees, what it writes, and what becomes
//! of it when the API server is away, slow, strict or behind. Each test says what it proves.

mod outages;
mod permissions;
mod sizes;
mod throttling;
mod view;
mod watching;
mod writing;
