//! The lab: network namespaces, real routers, end-to-end tests and benchmarks.
