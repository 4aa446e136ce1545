//! Ports for servers that start later, or stop and come back.

use std::hash::{BuildHasher, RandomState};
use std::net::{TcpListener, UdpSocket};

/// First, and how many. Linux gives sockets that ask for none a port from 32768 up: nobody takes one of these
/// while a server is away.
const FIRST: u16 = 10_000;
const COUNT: u64 = 22_000;

/// A port of 127.0.0.1 where nothing listens.
pub fn free_port() -> u16 {
    loop {
        let at = RandomState::new().hash_one(FIRST) % COUNT;
        let port = FIRST + u16::try_from(at).expect("below COUNT");
        let address = ("127.0.0.1", port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}
