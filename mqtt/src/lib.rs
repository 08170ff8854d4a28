//! The front door: an MQTT broker whose acknowledgement means "on disk".
//!
//! Promises: a PUBLISH on a scan topic is acknowledged after the ledger's commit and never before;
//! nobody publishes or subscribes outside their own topics; v3.1.1 and v5 share one port.
//!
//! Refuses: knowing what a scan means. It stamps it with the connection's identity and hands it on.
//! This is the only room that names the embedded broker.
