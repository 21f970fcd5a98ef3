//! The local API's requests and answers, shared by the agent and the command line.
