//! The L4 load balancer's maps, links, next hops and probes.
