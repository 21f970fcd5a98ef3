//! Allocates addresses to LoadBalancer services: pools, requests, conflicts.
