use actix_service::fn_service;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::*;

fn io() -> (OneRequestIo<DuplexStream>, DuplexStream) {
    let (server, client) = duplex(1024 * 1024);
    (OneRequestIo::new(server, Rc::new(Exchange::new())), client)
}

#[tokio::test]
async fn a_request_is_read_in_small_parts() {
    let (mut io, mut client) = io();
    client.write_all(&[b'x'; 2 * MAX_READ]).await.unwrap();
    let mut buffer = vec![0; 4 * MAX_READ];
    assert_eq!(io.read(&mut buffer).await.unwrap(), MAX_READ);
    assert_eq!(io.read(&mut buffer).await.unwrap(), MAX_READ);
}

#[tokio::test]
async fn bytes_after_the_request_are_discarded_until_the_client_closes_its_end() {
    let (mut io, mut client) = io();
    io.exchange.end_of_request();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    drop(client);
    assert_eq!(io.read(&mut [0; 64]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_keeps_sending_is_cut() {
    let (mut io, mut client) = io();
    io.exchange.end_of_request();
    client.write_all(&vec![b'x'; MAX_DISCARDED]).await.unwrap();
    let error = io.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn the_connection_is_closed_after_the_response_and_not_before() {
    let (mut io, mut client) = io();
    io.write_all(b"the response").await.unwrap();
    io.flush().await.unwrap();
    io.exchange.response_ended.set(true);
    let receiving = async move {
        let mut received = String::new();
        client.read_to_string(&mut received).await.unwrap();
        received
    };
    let (closed, received) = tokio::join!(io.flush(), receiving);
    assert_eq!(received, "the response");
    assert_eq!(closed.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
}

#[tokio::test(start_paused = true)]
async fn a_connection_ends_at_its_time_limit_and_when_it_is_cut() {
    let peer = "192.0.2.1:5000".parse().unwrap();
    let limit = Duration::from_secs(120);
    let stuck = fn_service(|_| std::future::pending::<Result<(), DispatchError>>());
    let (server, _client) = duplex(1024);
    let began = Instant::now();
    assert!(matches!(
        serve_one(&stuck, server, peer, limit).await,
        ConnectionEnd::TooLong
    ));
    assert_eq!(began.elapsed(), limit);

    let cut = fn_service(
        |(io, _, _): (OneRequestIo<DuplexStream>, Protocol, Option<SocketAddr>)| {
            io.exchange.cut().notify_one();
            std::future::pending::<Result<(), DispatchError>>()
        },
    );
    let (server, _client) = duplex(1024);
    assert!(matches!(serve_one(&cut, server, peer, limit).await, ConnectionEnd::Cut));
}
