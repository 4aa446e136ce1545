//! Templates and gateways → the document FreeSWITCH reads. The only writer and escaper of XML.
//!
//! Knows nothing of the network, Redis or the clock.
