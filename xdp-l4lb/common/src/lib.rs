//! What the L4 load balancer's kernel boundary shares, and what happens to one packet.
